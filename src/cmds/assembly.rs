//! From the configuration to a pipeline: the same for the daemon and for a replay of what it recorded.

use std::sync::Arc;
use std::time::Duration;

use super::engine::{gates, model_failure};
use super::exit::{Exit, Failure, OrExit};
use super::terms::Terms;
use crate::bundles::{self, BundleFolder, ModelIdentity};
use crate::camera::{OpenSource, shown_source};
use crate::clock::Clock;
use crate::config::{self, Camera, Config, LivenessMode, OnFault};
use crate::decision::Decider;
use crate::domain::{ModelDigest, ViewFault};
use crate::inference::{
    Detector, DetectorOptions, Embedder, LivenessModel, LoadError, ModelFolders, OrtDetector, OrtEmbedder,
    OrtLiveness, Turns, start_runtime,
};
use crate::matching::SharedGallery;
use crate::pipeline::{
    Announcer, DecisionTerms, IdleSettings, Looking, Offers, Orders, Parts, Recording, SharedCondition,
    SharedView, SignSettings, Stats, Tap, Watching,
};
use crate::tracking::{TrackIds, Tracker, TrackerSettings};
use crate::watch::WatchSettings;

/// The frames in memory never take more than this, whatever may be stored.
const MAX_RECORDING_BYTES: usize = 200_000_000;

/// The models of one pipeline.
pub(super) struct Models {
    pub(super) detector: OrtDetector,
    pub(super) embedder: OrtEmbedder,
    pub(super) liveness: Option<OrtLiveness>,
}

impl Models {
    /// Loads what the configuration names.
    ///
    /// # Errors
    /// If ONNX Runtime or a model is missing or wrong.
    pub(super) fn load(config: &Config) -> Result<Self, Failure> {
        start_runtime(config.models.runtime_library.as_deref()).or_exit(Exit::Unavailable)?;
        let folders = ModelFolders::or_usual(config.models.folder.clone());
        let options = DetectorOptions {
            max_side_px: config.detection.max_side_px,
            min_score: config.detection.min_score,
        };
        let load = || -> Result<Self, LoadError> {
            std::thread::scope(|scope| {
                let detector = scope.spawn(|| OrtDetector::load(&folders, &config.models.detector, options));
                let embedder = OrtEmbedder::load(&folders, &config.models.embedder)?;
                let liveness = match config.liveness.mode {
                    LivenessMode::Off => None,
                    _ => Some(OrtLiveness::load(&folders, &config.models.liveness)?),
                };
                let detector = detector.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                Ok(Self { detector, embedder, liveness })
            })
        };
        load().map_err(model_failure)
    }

    /// Which they are.
    pub(super) fn identity(&self) -> bundles::Models {
        let identity = |name: &str, digest: ModelDigest| ModelIdentity {
            name: name.to_owned(),
            digest: digest.to_string(),
        };
        bundles::Models {
            detector: identity(self.detector.name(), self.detector.digest()),
            embedder: identity(self.embedder.name(), self.embedder.digest()),
            liveness: self.liveness.as_ref().map(|model| identity(model.name(), model.digest())),
        }
    }

    /// What the settings come to with this embedder.
    ///
    /// # Errors
    /// As [`Terms::new`].
    pub(super) fn terms(&self, config: &Config, is_tested: bool) -> Result<Terms, Failure> {
        Terms::new(config, self.embedder.name(), self.embedder.calibration(), is_tested)
    }
}

/// The models of several pipelines, which ask them in turn.
#[derive(Clone)]
pub(super) struct SharedModels {
    detector: Turns<OrtDetector>,
    embedder: Turns<OrtEmbedder>,
    liveness: Option<Turns<OrtLiveness>>,
}

impl SharedModels {
    pub(super) fn new(models: Models) -> Self {
        Self {
            detector: Turns::new(models.detector),
            embedder: Turns::new(models.embedder),
            liveness: models.liveness.map(Turns::new),
        }
    }

    /// What turns faces into numbers, in its turn.
    pub(super) fn embedder(&self) -> Box<dyn Embedder> {
        Box::new(self.embedder.clone())
    }

    /// What one more pipeline thinks with.
    pub(super) fn minds(&self, decider: impl Decider + 'static) -> Minds {
        Minds {
            detector: Box::new(self.detector.clone()),
            embedder: Box::new(self.embedder.clone()),
            liveness: self.liveness.clone().map(|model| Box::new(model) as Box<dyn LivenessModel>),
            decider: Box::new(decider),
        }
    }
}

/// What a pipeline thinks with.
pub(super) struct Minds {
    /// Finds faces.
    pub(super) detector: Box<dyn Detector>,
    /// Turns them into numbers.
    pub(super) embedder: Box<dyn Embedder>,
    /// Tells them from pictures of faces.
    pub(super) liveness: Option<Box<dyn LivenessModel>>,
    /// Decides.
    pub(super) decider: Box<dyn Decider>,
}

impl Minds {
    /// The models for this pipeline alone, and what decides by them.
    pub(super) fn new(models: Models, decider: impl Decider + 'static) -> Self {
        Self {
            detector: Box::new(models.detector),
            embedder: Box::new(models.embedder),
            liveness: models.liveness.map(|model| Box::new(model) as Box<dyn LivenessModel>),
            decider: Box::new(decider),
        }
    }
}

/// What a pipeline is put into; the settings say the rest.
pub(super) struct Surroundings {
    /// Opens the camera or what stands in for it.
    pub(super) open: OpenSource,
    /// True if no frame may be skipped.
    pub(super) keep_all: bool,
    /// True if a recording's own time is the time, because it is not played at its own rate.
    pub(super) own_time: bool,
    /// Who is enrolled.
    pub(super) gallery: SharedGallery,
    /// Where events go.
    pub(super) announcer: Announcer,
    /// How what led up to decisions is kept.
    pub(super) recording: Option<Recording>,
    /// What outlives the pipeline.
    pub(super) lasting: Lasting,
    /// The time.
    pub(super) clock: Arc<dyn Clock>,
}

/// What a camera's pipelines hand on to one another.
#[derive(Clone, Default)]
pub(super) struct Lasting {
    /// The ids of its tracks.
    pub(super) ids: TrackIds,
    /// What is counted.
    pub(super) stats: Arc<Stats>,
    /// How it goes with the camera.
    pub(super) condition: SharedCondition,
    /// What is known of its view.
    pub(super) view: SharedView,
    /// Shows frames with their tracks.
    pub(super) tap: Tap,
    /// What they are told to do while they run.
    pub(super) orders: Orders,
    /// Faces that were verified, for those who keep some of them.
    pub(super) offers: Offers,
}

/// All that one camera's pipeline is made of.
pub(super) fn parts((config, camera): (&Config, &Camera), minds: Minds, surroundings: Surroundings) -> Parts {
    let Surroundings { open, keep_all, own_time, gallery, announcer, recording, lasting, clock } =
        surroundings;
    let Looking { min_detect_interval, idle, watching, tracker, gates, signs } = looking(config);
    Parts {
        camera: camera.id.clone(),
        open,
        read_timeout: Duration::from_millis(camera.read_timeout_ms),
        keep_all,
        own_time,
        detector: minds.detector,
        min_detect_interval,
        idle,
        watching,
        tracker: Tracker::with_ids(tracker, lasting.ids),
        gates,
        signs,
        embedder: minds.embedder,
        liveness: minds.liveness,
        gallery,
        decider: minds.decider,
        terms: decision_terms(config),
        announcer,
        tap: lasting.tap,
        orders: lasting.orders,
        offers: lasting.offers,
        recording,
        stats: lasting.stats,
        condition: lasting.condition,
        view_of_camera: lasting.view,
        clock,
    }
}

/// How faces are looked at, by the settings.
pub(super) fn looking(config: &Config) -> Looking {
    Looking {
        min_detect_interval: Duration::from_secs_f64(0.9 / config.detection.max_fps),
        idle: idle(&config.detection),
        watching: config.cameras.first().map_or(Watching::Off, watching),
        tracker: tracker_settings(&config.tracking),
        gates: gates(&config.quality),
        signs: signs(config),
    }
}

/// What events say of how it is decided, by the settings.
pub(super) fn decision_terms(config: &Config) -> DecisionTerms {
    DecisionTerms {
        grant_valid: Duration::from_millis(config.decision.grant_valid_ms),
        window: Duration::from_millis(config.decision.window_ms),
        liveness_mode: config.liveness.mode.as_str(),
        is_shadow: config.decision.shadow,
        offers: config.refreshes(),
    }
}

/// When the detector rests.
fn idle(detection: &config::Detection) -> IdleSettings {
    IdleSettings {
        after: Duration::from_millis(detection.idle_after_ms),
        detect_every: Duration::from_secs_f64(0.9 / detection.idle_fps),
    }
}

/// How the view of a camera is watched.
fn watching(camera: &Camera) -> Watching {
    let watch = camera.watch.clone().unwrap_or_default();
    let time_in =
        |fault: ViewFault, ms: u64| (watch.on(fault) != OnFault::Off).then_some(Duration::from_millis(ms));
    let settings = WatchSettings {
        frozen: time_in(ViewFault::Frozen, watch.frozen_after_ms),
        covered: time_in(ViewFault::Covered, watch.obstructed_after_ms),
        blinded: time_in(ViewFault::Blinded, watch.obstructed_after_ms),
        moved: time_in(ViewFault::Moved, watch.moved_after_ms),
        clear_after: Duration::from_millis(watch.clear_after_ms),
        confirm_after: watch.moved_confirm_after_ms.map(Duration::from_millis),
    };
    let refuses = ViewFault::ALL.into_iter().filter(|fault| watch.on(*fault) == OnFault::Refuse).collect();
    Watching::On { settings, refuses, recordings: camera.watch.is_some() }
}

/// How decisions are recorded, where the settings want that.
pub(super) fn recording(config: &Config, models: bundles::Models) -> Option<Recording> {
    let debug = &config.debug;
    let max_mb = usize::try_from(debug.max_mb).unwrap_or(usize::MAX);
    debug.record.then(|| Recording {
        before: Duration::from_secs(debug.seconds_before.into()),
        max_bytes: max_mb.saturating_mul(1_000_000).min(MAX_RECORDING_BYTES),
        out: Box::new(BundleFolder::new(without_secrets(config), models)),
    })
}

/// The settings without what a replay does not need and nobody should find in a folder that is handed on: the password
/// of a camera's address, and commands.
fn without_secrets(config: &Config) -> Config {
    let mut config = config.clone();
    config.events.hooks.clear();
    for camera in &mut config.cameras {
        camera.source = shown_source(&camera.source);
    }
    config
}

/// Which signs of pictures of faces are looked for.
fn signs(config: &Config) -> Option<SignSettings> {
    let liveness = &config.liveness;
    (liveness.mode != LivenessMode::Off).then(|| SignSettings {
        edges: liveness.screen_edges,
        max_overexposed: liveness.overexposure.then_some(liveness.max_overexposed),
    })
}

/// The tracker's settings of the configuration.
pub(super) fn tracker_settings(tracking: &config::Tracking) -> TrackerSettings {
    TrackerSettings {
        confirm_after: tracking.confirm_after,
        max_missed: Duration::from_millis(tracking.max_missed_ms),
        min_iou: tracking.min_iou,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Hook;
    use crate::domain::CameraId;

    #[test]
    fn what_is_recorded_of_the_settings_holds_no_password_and_no_command() {
        let id = CameraId::new("door").unwrap();
        let mut config = Config::new(Camera::new(id, "rtsp://me:hunter2@door.example/live?key=abc".into()));
        config.events.hooks.push(Hook::new(vec!["/bin/unlock".into(), "--token=abc".into()]));
        let text = serde_json::to_string(&without_secrets(&config)).unwrap();
        assert!(text.contains("door.example"), "{text}");
        for secret in ["hunter2", "abc", "unlock"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
