//! The settings of a running daemon, and how it takes over others.

use super::super::assembly::Models;
use super::super::exit::{Exit, Failure, OrExit};
use super::super::liveness_test::untested;
use super::super::terms::Terms;
use crate::config::{Config, Takeover};
use crate::decision::Policy;
use crate::domain::Calibration;

/// Reads the settings anew, with whatever the command line puts over them.
pub type Reread = Box<dyn Fn() -> Result<Config, Failure>>;

/// The settings in use.
pub(super) struct Settings {
    pub(super) config: Config,
    /// `None` where there is no file to read.
    reread: Option<Reread>,
    embedder: String,
    calibration: Option<Calibration>,
}

/// What the settings come to at each camera.
pub(super) struct Outlook {
    /// At the camera with the strictest rate, for what is said of the gallery as a whole.
    pub(super) terms: Terms,
    /// At each camera, in their order.
    pub(super) policies: Vec<Policy>,
    /// What to tell the operator where nobody may be verified for want of a self-test.
    pub(super) untested: Vec<String>,
}

/// What came of reading the settings again.
pub(super) struct Reloaded {
    /// Keys that were taken over.
    pub(super) taken: Vec<String>,
    /// Keys that take effect only when the daemon is started anew.
    pub(super) at_next_start: Vec<String>,
}

impl Settings {
    pub(super) fn new(config: &Config, reread: Option<Reread>, models: &Models) -> Self {
        Self {
            config: config.clone(),
            reread,
            embedder: models.embedder.name().to_owned(),
            calibration: models.embedder.calibration().cloned(),
        }
    }

    /// What these settings come to.
    ///
    /// # Errors
    /// If a rate is not supported by the calibration, or a manifest cannot be read.
    pub(super) fn outlook(&self, config: &Config) -> Result<Outlook, Failure> {
        let mut strictest: Option<(f64, Terms)> = None;
        let (mut policies, mut missing) = (Vec::new(), Vec::new());
        for own in config.one_by_one() {
            let untested = untested(&own)?;
            let terms = Terms::new(&own, &self.embedder, self.calibration.as_ref(), untested.is_none())?;
            terms.policy.check().or_exit(Exit::Config)?;
            policies.push(terms.policy.clone());
            missing.extend(untested);
            let rate = own.cameras.first().and_then(|camera| camera.false_match_rate);
            let rate = rate.unwrap_or(config.decision.false_match_rate);
            if strictest.as_ref().is_none_or(|(least, _)| rate < *least) {
                strictest = Some((rate, terms));
            }
        }
        let (_, terms) = strictest.ok_or_else(|| Failure::new(Exit::Config, "no camera is configured"))?;
        Ok(Outlook { terms, policies, untested: missing })
    }

    /// Reads the settings again. They are in use from when `adopt` is given them; with an error the old ones stay.
    ///
    /// # Errors
    /// If they cannot be read, are faulty, or come to nothing.
    pub(super) fn read_again(&mut self, adopt: impl FnOnce(&Config, Outlook)) -> Result<Reloaded, Failure> {
        let Some(reread) = &self.reread else {
            return Ok(Reloaded { taken: Vec::new(), at_next_start: Vec::new() });
        };
        let Takeover { config, taken, at_next_start } = Takeover::new(&self.config, &reread()?);
        let outlook = self.outlook(&config)?;
        adopt(&config, outlook);
        self.config = config;
        Ok(Reloaded { taken, at_next_start })
    }
}
