//! The stages and the links between them, for one camera. Sees traits, never an adapter.
//!
//! ```text
//!  capture ──latest──▶ detect + track ──bounded──▶ embed + match + decide ──▶ events
//!                           ▲                            │
//!                           └────────── settled ─────────┘
//! ```
//!
//! | link | holds | when full |
//! |---|---|---|
//! | frames | 1 | the newer frame replaces the older (a recording that keeps all waits) |
//! | work | 4 frames with looks | the looks are dropped and counted; ends of tracks are kept for the next |
//! | settled | 64 track ids | dropped: the track is looked at more often than it need be |
//! | view | 4 frames | dropped: the drawing skips a frame (a recording that keeps all waits) |
//!
//! Shutdown runs with the stream: the capture stage stops and drops its sender, the next stage sees the end, and so
//! on; each ends when everything before it was handled.

mod announce;
mod capture;
mod detect;
mod embed;
mod latest;
mod looks;
mod stats;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

pub use announce::{Announcer, EventOut};
pub use detect::Seen;
pub use embed::{DecisionTerms, Verdicts};
pub use latest::{Closed, LatestReceiver, LatestSender, Nothing, latest};
pub use stats::{Counter, Latency, Stats};

use crate::camera::{OpenSource, SourceError};
use crate::clock::Clock;
use crate::decision::Decider;
use crate::domain::CameraId;
use crate::inference::{Detector, Embedder, LivenessModel};
use crate::matching::SharedGallery;
use crate::sys::thread::{self, Thread, ThreadError};
use crate::tracking::Tracker;
use crate::vision::quality::Gates;
use capture::Capture;
use detect::Detect;
use embed::Embed;

/// Everything that one camera's pipeline is made of.
pub struct Parts {
    /// Which camera.
    pub camera: CameraId,
    /// Opens it.
    pub open: OpenSource,
    /// A camera that gives no frame for so long is lost.
    pub read_timeout: Duration,
    /// True for a recording of which every frame is to be processed; false where the newest frame wins.
    pub keep_all: bool,
    /// Finds faces.
    pub detector: Box<dyn Detector>,
    /// The detector runs at most once in so long.
    pub min_detect_interval: Duration,
    /// Follows faces.
    pub tracker: Tracker,
    /// What a picture of a face needs.
    pub gates: Gates,
    /// Turns faces into numbers.
    pub embedder: Box<dyn Embedder>,
    /// Tells a face from a picture of one; `None` when that is off.
    pub liveness: Option<Box<dyn LivenessModel>>,
    /// Who is enrolled.
    pub gallery: SharedGallery,
    /// Turns looks into decisions.
    pub decider: Box<dyn Decider>,
    /// What events say about that.
    pub terms: DecisionTerms,
    /// Where events go.
    pub announcer: Announcer,
    /// Where frames with their tracks go, if anybody draws them.
    pub view: Option<Sender<Seen>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Disconnected when the pipeline is to end.
    pub stop: Receiver<()>,
}

/// A pipeline at work.
pub struct Running {
    capture: Thread<Result<(), SourceError>>,
    detect: Thread<()>,
    embed: Thread<()>,
    /// Gives one value when the first frame has come, or the camera was found missing and is waited for; is
    /// disconnected if the pipeline ends before.
    pub ready: Receiver<()>,
    /// What it counts.
    pub stats: Arc<Stats>,
    /// What became of the tracks that are there.
    pub verdicts: Verdicts,
}

/// Why a pipeline did not end well.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The source cannot work.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A stage panicked or did not end: a defect.
    #[error(transparent)]
    Stage(#[from] ThreadError),
}

/// Starts the stages of one camera.
///
/// # Errors
/// If the system gives no threads.
pub fn spawn(parts: Parts) -> std::io::Result<Running> {
    let stats = Arc::new(Stats::default());
    let verdicts = Verdicts::default();
    let (frames_in, frames_out) = latest(stats.replaced.share());
    let (work_in, work_out) = bounded(4);
    let (settled_in, settled_out) = bounded(64);
    let (ready_in, ready) = bounded(1);

    let embed = Embed {
        camera: parts.camera.clone(),
        work: work_out,
        settled: settled_in,
        embedder: parts.embedder,
        liveness: parts.liveness,
        gallery: parts.gallery,
        decider: parts.decider,
        terms: parts.terms,
        verdicts: verdicts.clone(),
        announcer: parts.announcer.clone(),
        clock: Arc::clone(&parts.clock),
        stats: Arc::clone(&stats),
    };
    let detect = Detect {
        frames: frames_out,
        detector: parts.detector,
        tracker: parts.tracker,
        gates: parts.gates,
        min_interval: parts.min_detect_interval,
        keep_all: parts.keep_all,
        work: work_in,
        settled: settled_out,
        view: parts.view,
        clock: Arc::clone(&parts.clock),
        stats: Arc::clone(&stats),
    };
    let capture = Capture {
        camera: parts.camera,
        open: parts.open,
        read_timeout: parts.read_timeout,
        keep_all: parts.keep_all,
        frames: frames_in,
        announcer: parts.announcer,
        clock: parts.clock,
        stats: Arc::clone(&stats),
        stop: parts.stop,
        ready: ready_in,
    };
    // From the end of the stream to its beginning: if a thread cannot be had, those that run see their link close.
    let embed = thread::spawn("embed", move || embed.run())?;
    let detect = thread::spawn("detect", move || detect.run())?;
    let capture = thread::spawn("capture", move || capture.run())?;
    Ok(Running { capture, detect, embed, ready, stats, verdicts })
}

impl Running {
    /// True once the source has ended, or a stage has.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.capture.is_finished() || self.detect.is_finished() || self.embed.is_finished()
    }

    /// Waits for all stages, each at most `within`, in the order of the stream.
    ///
    /// # Errors
    /// The first fault in that order: a source that cannot work, a stage that panicked or does not end.
    pub fn join(self, within: Duration) -> Result<Arc<Stats>, PipelineError> {
        let captured = self.capture.join_within(within);
        let detected = self.detect.join_within(within);
        let embedded = self.embed.join_within(within);
        captured??;
        detected?;
        embedded?;
        Ok(self.stats)
    }
}
