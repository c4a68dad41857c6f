//! One camera's post: its pipeline, started anew when a stage of it fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::super::assembly::{self, Lasting, Minds, Surroundings};
use super::super::desk::View;
use super::super::exit::{Exit, Failure, OrExit};
use super::{pipeline_failure, source_failure};
use crate::camera::{OpenSource, SourceError};
use crate::clock::{Clock, Moment};
use crate::config::{Camera, Config, Speed};
use crate::decision::{Decider as _, Policy, SharedDecider};
use crate::domain::{CameraId, EventKind};
use crate::matching::SharedGallery;
use crate::pipeline::{
    self, Announcer, CameraState, Condition, Deciding, Offer, PipelineError, Recording, Running, Stats, Tap,
};
use crate::sys::thread::ThreadError;

/// A stage that fails so often within [`FAILURES_WITHIN`] ends the process, for the service manager to start it anew:
/// what is wrong then is more than one picture.
const MOST_FAILURES: usize = 3;

/// See [`MOST_FAILURES`].
const FAILURES_WITHIN: Duration = Duration::from_secs(60);

/// The pause before a failed stage is started anew, and four times as long the next time.
const PAUSE: Duration = Duration::from_millis(250);

/// The stages that are left when one has failed end within this; nothing holds them up.
const OTHERS_END_WITHIN: Duration = Duration::from_millis(1500);

/// A source that cannot be used is tried again so seldom: somebody has to do something about it.
const UNUSABLE_PAUSE: Duration = Duration::from_secs(30);

/// Makes what opens a camera.
type MakeOpener = Box<dyn Fn(&Camera) -> Result<OpenSource, SourceError>>;

/// Makes what records decisions, by the settings of a camera; nothing where they say so.
type MakeRecording = Box<dyn Fn(&Config) -> Option<Recording>>;

/// What all posts of a daemon have in common.
pub(super) struct Common {
    pub(super) opener: MakeOpener,
    /// Makes what one more pipeline thinks with.
    pub(super) minds: Box<dyn Fn(SharedDecider) -> Minds>,
    pub(super) recording: MakeRecording,
    pub(super) gallery: SharedGallery,
    pub(super) announcer: Announcer,
    pub(super) clock: Arc<dyn Clock>,
}

/// One camera's post.
pub(super) struct Post {
    camera: Camera,
    /// The settings, with this camera alone.
    config: Config,
    policy: Policy,
    decider: SharedDecider,
    lasting: Lasting,
    /// When stages have failed of late.
    failures: VecDeque<Moment>,
    /// It was stopped only to be started by other settings.
    is_reopened: bool,
    state: State,
}

enum State {
    Running(Box<Running>),
    /// The pipeline is started anew then.
    Waiting(Moment),
    /// The source has ended.
    Over,
}

impl Post {
    /// A post for the one camera of `config`. Nothing is opened yet.
    pub(super) fn new(config: Config, policy: Policy) -> Result<Self, Failure> {
        let camera = config.cameras.first().cloned();
        let camera = camera.ok_or_else(|| Failure::new(Exit::Config, "no camera is configured"))?;
        Ok(Self {
            decider: decider(&policy)?,
            camera,
            config,
            policy,
            lasting: Lasting::default(),
            failures: VecDeque::new(),
            is_reopened: false,
            state: State::Waiting(Moment::default()),
        })
    }

    pub(super) fn camera(&self) -> &CameraId {
        &self.camera.id
    }

    /// Shows what its pipelines see.
    pub(super) fn tap(&self) -> &Tap {
        &self.lasting.tap
    }

    /// What the desk knows of it.
    pub(super) fn view(&self) -> View {
        View {
            settings: self.camera.clone(),
            condition: self.condition(),
            stats: Arc::clone(self.stats()),
            verdicts: self.running().map(|running| running.verdicts.clone()).unwrap_or_default(),
            tap: self.tap().clone(),
            orders: self.lasting.orders.clone(),
            is_over: self.is_over(),
        }
    }

    /// The face that was verified there last, once.
    pub(super) fn offer(&self) -> Option<Offer> {
        self.lasting.offers.take()
    }

    pub(super) fn stats(&self) -> &Arc<Stats> {
        &self.lasting.stats
    }

    pub(super) fn condition(&self) -> Condition {
        self.lasting.condition.now()
    }

    /// Starts the pipeline.
    ///
    /// # Errors
    /// If the source can never be used, or the system gives no threads.
    pub(super) fn start(&mut self, common: &Common) -> Result<(), Failure> {
        let open = (common.opener)(&self.camera).map_err(source_failure)?;
        let surroundings = Surroundings {
            open,
            keep_all: self.camera.speed == Speed::Max,
            own_time: self.camera.speed != Speed::Real,
            gallery: common.gallery.clone(),
            announcer: common.announcer.clone(),
            recording: (common.recording)(&self.config),
            lasting: self.lasting.clone(),
            clock: Arc::clone(&common.clock),
        };
        self.decider.adopt(self.policy.clone()).or_exit(Exit::Config)?;
        let minds = (common.minds)(self.decider.clone());
        let parts = assembly::parts((&self.config, &self.camera), minds, surroundings);
        self.state = State::Running(Box::new(pipeline::spawn(parts).or_exit(Exit::Unavailable)?));
        Ok(())
    }

    pub(super) fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Running(running) => Some(running),
            State::Waiting(_) | State::Over => None,
        }
    }

    /// True once the source has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Looks after the pipeline: one that has failed is started anew.
    ///
    /// # Errors
    /// What ends the daemon: a stage that fails again and again, and, where there is no other camera, a source that can
    /// never be used.
    pub(super) fn tend(&mut self, common: &Common, is_alone: bool) -> Result<(), Failure> {
        match &self.state {
            State::Over => Ok(()),
            State::Running(running) if !running.is_over() => Ok(()),
            State::Waiting(until) if common.clock.now() < *until => Ok(()),
            State::Waiting(_) => match self.start(common) {
                Err(failure) if !is_alone && failure.exit == Exit::Unavailable => {
                    self.unusable(&failure.to_string(), common);
                    Ok(())
                }
                started => started,
            },
            State::Running(_) => self.ended(common, is_alone),
        }
    }

    fn ended(&mut self, common: &Common, is_alone: bool) -> Result<(), Failure> {
        let State::Running(running) = std::mem::replace(&mut self.state, State::Over) else { return Ok(()) };
        match running.join(OTHERS_END_WITHIN) {
            Ok(_stats) => {
                if std::mem::take(&mut self.is_reopened) {
                    self.state = State::Waiting(common.clock.now());
                }
                Ok(())
            }
            Err(PipelineError::Stage(error)) => self.failed(error, common),
            Err(PipelineError::Source(error)) if is_alone => Err(source_failure(error)),
            Err(PipelineError::Source(error)) => {
                self.unusable(&error.to_string(), common);
                Ok(())
            }
        }
    }

    /// A stage has failed.
    fn failed(&mut self, error: ThreadError, common: &Common) -> Result<(), Failure> {
        let now = common.clock.now();
        self.failures.retain(|failed| now.since(*failed) < FAILURES_WITHIN);
        self.failures.push_back(now);
        // A recording would be played from its beginning again.
        if self.failures.len() >= MOST_FAILURES || self.condition().is_finite {
            return Err(pipeline_failure(error.into()));
        }
        let message = format!("a defect at camera {}: {error}; its stages are started anew", self.camera.id);
        tracing::error!("{message}");
        common.announcer.announce(EventKind::Degraded { message });
        if self.decider.is_broken() {
            self.decider = decider(&self.policy)?;
        }
        let before = u32::try_from(self.failures.len() - 1).unwrap_or(u32::MAX);
        self.state = State::Waiting(now + PAUSE * 4_u32.saturating_pow(before));
        Ok(())
    }

    /// The source cannot be used, and other cameras go on.
    fn unusable(&mut self, message: &str, common: &Common) {
        let now = common.clock.now();
        self.state = State::Waiting(now + UNUSABLE_PAUSE);
        let state = CameraState::Lost { message: message.to_owned() };
        if self.lasting.condition.set(state, now) {
            let camera = self.camera.id.clone();
            tracing::warn!(%camera, "this camera cannot be used: {message}; it is tried again now and then");
            common.announcer.announce(EventKind::CameraLost { camera, message: message.to_owned() });
        }
    }

    /// Goes on by other settings, which were checked. A camera whose own settings have changed is opened anew.
    pub(super) fn change(&mut self, config: Config, policy: Policy) {
        let Some(camera) = config.cameras.first().cloned() else { return };
        let live = camera.clone();
        let before =
            Camera { false_match_rate: live.false_match_rate, watch: live.watch, ..self.camera.clone() };
        self.is_reopened = camera != before;
        (self.camera, self.config, self.policy) = (camera, config, policy);
        if let State::Running(running) = &mut self.state {
            let terms = assembly::decision_terms(&self.config);
            let deciding = Deciding { policy: self.policy.clone(), terms };
            running.change(assembly::looking(&self.config), deciding);
            if self.is_reopened {
                // It may show something else.
                self.lasting.view.learn_anew();
                running.stop();
            }
        }
    }

    /// Asks the pipeline to end.
    pub(super) fn stop(&mut self) {
        if let State::Running(running) = &mut self.state {
            running.stop();
        }
    }

    /// Waits for the end of the pipeline.
    ///
    /// # Errors
    /// As [`Running::join`].
    pub(super) fn join(self, within: Duration) -> Result<(), PipelineError> {
        let Self { state, lasting, .. } = self;
        // Whoever looks on is not to wait any longer, though others may still have the tap.
        let ended = match state {
            State::Running(running) => running.join(within).map(|_stats| ()),
            State::Waiting(_) | State::Over => Ok(()),
        };
        lasting.tap.close();
        ended
    }
}

fn decider(policy: &Policy) -> Result<SharedDecider, Failure> {
    SharedDecider::new(policy.clone(), Box::new(rand::random::<u64>)).or_exit(Exit::Config)
}
