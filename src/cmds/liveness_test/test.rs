//! A self-test from its first presentation to its report: the same whether it is led at a terminal or over HTTP.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::exit::{Exit, Failure};
use super::guide::Kind;
use super::present::{Extent, Stage};
use super::report::Report;
use super::subject;
use super::verdict::{Counts, Limits};
use super::witness::Outcome;
use crate::camera::OpenSource;
use crate::clock::{Clock, WallTime};
use crate::config::{Config, LivenessMode};
use crate::domain::CameraId;
use crate::store::{Origin, SelfTest, SelfTestError, read_self_tests, save_self_test};

/// A self-test of one camera.
pub(in crate::cmds) struct Test {
    camera: CameraId,
    /// Of camera, models and settings, for which it holds.
    fingerprint: String,
    stage: Stage,
    /// What came of it so far.
    pub(in crate::cmds) counts: Counts,
}

impl Test {
    /// Loads the models. `config` has the one camera that is tested; `saves` says whether the result is to be stored.
    ///
    /// # Errors
    /// If there is nothing to test, a model cannot be used, or the result could not be stored.
    pub(in crate::cmds) fn new(config: Config, saves: bool, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let camera =
            config.cameras.first().ok_or_else(|| Failure::new(Exit::Config, "no camera is configured"))?;
        let camera = camera.id.clone();
        if config.liveness.mode == LivenessMode::Off {
            let message =
                "`liveness.mode` is off: there is nothing to test; `report` judges and decides nothing";
            return Err(Failure::new(Exit::Config, message));
        }
        if saves {
            can_save(&config.liveness.self_test_file)?;
        }
        let fingerprint = subject::fingerprint(&config)?;
        let stage = Stage::new(config, clock)?;
        Ok(Self { camera, fingerprint, stage, counts: Counts::default() })
    }

    /// Watches one presentation and counts it; `None` if `go_on` said no. That is asked several times a second, and is to wait
    /// for that long itself.
    ///
    /// # Errors
    /// If the camera gives no picture, or a model fails.
    pub(in crate::cmds) fn present(
        &mut self,
        kind: Kind,
        open: OpenSource,
        extent: Extent,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Outcome>, Failure> {
        let outcome = self.stage.present(open, extent, go_on)?;
        if let Some(outcome) = outcome {
            self.counts.add(kind, outcome);
        }
        Ok(outcome)
    }

    /// What it comes to.
    pub(in crate::cmds) fn report(&self, from: Origin, is_complete: bool, min_presentations: u64) -> Report {
        let limits = Limits::new(&self.stage.config.liveness, min_presentations);
        let subject = (self.stage.config.liveness.mode.as_str(), self.fingerprint.clone());
        Report::new((self.camera.clone(), self.now(), from), &self.counts, &limits, is_complete, subject)
    }

    /// Stores what it comes to, as the newest result of its camera, and notes in the report where.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub(in crate::cmds) fn save(&self, report: &mut Report) -> Result<(), Failure> {
        let file = &self.stage.config.liveness.self_test_file;
        let test = SelfTest {
            at: report.at,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            fingerprint: self.fingerprint.clone(),
            from: report.from,
            min_presentations: report.min_presentations,
            live: self.counts.live,
            attacks: self.counts.attacks.clone(),
            is_passed: report.is_passed,
        };
        save_self_test(file, &self.camera, test).map_err(self_test_failure)?;
        report.saved_to = Some(file.clone());
        Ok(())
    }

    fn now(&self) -> WallTime {
        self.stage.clock.wall(self.stage.clock.now())
    }
}

/// Before anybody takes the trouble: whether the result can be stored.
fn can_save(file: &Path) -> Result<(), Failure> {
    read_self_tests(file).map_err(self_test_failure)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
    if !folder.is_dir() || !is_writable {
        let message = format!(
            "the result cannot be stored in {}: no folder that this user can write to; see \
             `liveness.self_test_file` (on the command line, --no-save stores nothing)",
            folder.display()
        );
        return Err(Failure::new(Exit::CannotWrite, message));
    }
    Ok(())
}

fn self_test_failure(error: SelfTestError) -> Failure {
    let exit = match &error {
        SelfTestError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        SelfTestError::Io { .. } => Exit::CannotWrite,
        SelfTestError::TooOpen { .. } => Exit::Permission,
        SelfTestError::NotAFile(_) | SelfTestError::Damaged { .. } | SelfTestError::Newer { .. } => {
            Exit::Data
        }
    };
    Failure { exit, error: error.into() }
}
