//! The stages and the links between them, for one camera. Sees traits, never an adapter.
//!
//! ```text
//!  capture ──latest──▶ detect + track ──bounded──▶ embed + match + decide ──▶ events
//!                           ▲                            │
//!                           └───────── attention ────────┘
//! ```
//!
//! | link | holds | when full |
//! |---|---|---|
//! | frames | 1 | the newer frame replaces the older (a recording that keeps all waits) |
//! | work | 4 frames with looks | the looks are dropped and counted; ends of tracks are kept for the next |
//! | attention | 64 track ids | dropped: a track is looked at a little more, or less, often than it should be |
//! | record | 32 frames or decisions; only where recording is on | dropped and counted, and the bundle says so (a recording that keeps all waits) |
//! | tap | what each taker asks for, while there is one | dropped: it skips a frame (a recording that keeps all waits, where the taker wants all) |
//! | offers | 1 face that was verified; only where templates are added by themselves | the newer replaces the older |
//! | changes | 1 for each stage | the newer change of the settings replaces the older |
//!
//! Shutdown runs with the stream: the capture stage stops and drops its sender, the next stage sees the end, and so
//! on; each ends when everything before it was handled.

mod announce;
mod capture;
mod condition;
mod detect;
mod embed;
mod event_of;
mod idle;
mod latest;
mod looks;
mod manner;
mod offer;
mod orders;
mod pulse;
mod record;
mod signs;
mod stats;
mod tap;
mod trouble;
mod watching;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

pub use announce::{Announced, Announcer, EventOut};
pub use condition::{CameraState, Condition, SharedCondition};
pub use detect::Seen;
pub use embed::{DecisionTerms, Verdicts};
pub use idle::IdleSettings;
pub use latest::{Closed, LatestReceiver, LatestSender, Nothing, latest};
pub use looks::most_looks;
pub use manner::{Deciding, Looking};
pub use offer::{Offer, Offers};
pub use orders::{Order, Orders};
pub use record::Recording;
pub use signs::SignSettings;
pub use stats::{Counter, Gauge, Latency, Stats};
pub use tap::Tap;
pub use watching::{SharedView, Watching};

use crate::camera::{OpenSource, SourceError};
use crate::clock::{Clock, SystemClock};
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
use idle::Idle;
use manner::{ChangeIn, changes};
use pulse::Pulses;
use record::{Record, RecordLink};
use trouble::Trouble;
use watching::ViewWatch;

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
    /// True if a recording's own time is the time, because it is not played at its own rate.
    pub own_time: bool,
    /// Finds faces.
    pub detector: Box<dyn Detector>,
    /// The detector runs at most once in so long.
    pub min_detect_interval: Duration,
    /// When it rests. Where `keep_all` is set it never does.
    pub idle: IdleSettings,
    /// How the camera's view is watched.
    pub watching: Watching,
    /// Follows faces.
    pub tracker: Tracker,
    /// What a picture of a face needs.
    pub gates: Gates,
    /// Which signs of pictures of faces are looked for; `None` when liveness is off.
    pub signs: Option<SignSettings>,
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
    /// Shows frames with their tracks to whoever looks on.
    pub tap: Tap,
    /// What it is told to do while it runs.
    pub orders: Orders,
    /// Where faces go that were verified, if the terms say so.
    pub offers: Offers,
    /// How what led up to decisions is kept; `None` where it is not.
    pub recording: Option<Recording>,
    /// What it counts; a pipeline that is started anew counts on.
    pub stats: Arc<Stats>,
    /// How it goes with the camera.
    pub condition: SharedCondition,
    /// What is known of the camera's view.
    pub view_of_camera: SharedView,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A pipeline at work. Dropping it stops it and waits for its end.
pub struct Running {
    /// Disconnected to stop the capture stage. The first field, so that it is dropped before the threads are
    /// waited for.
    stop: Option<Sender<()>>,
    capture: Thread<Result<(), SourceError>>,
    detect: Thread<()>,
    embed: Thread<()>,
    record: Option<Thread<()>>,
    pulses: Pulses,
    changes: ChangeIn,
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
    let stats = parts.stats;
    let mut pulses = Pulses::new(Arc::clone(&parts.clock));
    let (changes, looking, deciding) = changes();
    let verdicts = Verdicts::default();
    let (frames_in, frames_out) = latest(stats.replaced.share());
    let (work_in, work_out) = bounded(4);
    let (attention_in, attention_out) = bounded(64);
    let (ready_in, ready) = bounded(1);
    let has_own_time = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = bounded(0);
    let (link, takes) = match &parts.recording {
        Some(_) => {
            let (link, takes) = RecordLink::new(parts.keep_all, &stats);
            (Some(link), Some(takes))
        }
        None => (None, None),
    };
    let record = parts.recording.zip(takes).map(|(recording, takes)| {
        let (announcer, clock) = (parts.announcer.clone(), Arc::clone(&parts.clock));
        Record::new(recording, takes, announcer, clock, Arc::clone(&stats), pulses.add("record"))
    });
    let trouble = |doing, consequence| Trouble::new(doing, consequence, parts.announcer.clone());

    let embed = Embed {
        pulse: pulses.add("embed"),
        changes: deciding,
        camera: parts.camera.clone(),
        work: work_out,
        attention: attention_in,
        embedder: parts.embedder,
        liveness: parts.liveness,
        gallery: parts.gallery,
        decider: parts.decider,
        terms: parts.terms,
        verdicts: verdicts.clone(),
        pools: std::collections::BTreeMap::new(),
        is_unfit: false,
        announcer: parts.announcer.clone(),
        record: link.clone(),
        embedder_trouble: trouble("turning faces into numbers", "nobody is recognised"),
        liveness_trouble: trouble("telling faces from pictures", "nobody is verified where that is enforced"),
        offers: parts.offers,
        newest_look: None,
        company_at: None,
        orders: parts.orders.clone(),
        has_own_time: Arc::clone(&has_own_time),
        clock: Arc::clone(&parts.clock),
        stats: Arc::clone(&stats),
    };
    let detect = Detect {
        pulse: pulses.add("detect"),
        changes: looking,
        frames: frames_out,
        detector: parts.detector,
        tracker: parts.tracker,
        gates: parts.gates,
        signs: parts.signs.map(signs::SignWatch::new),
        min_interval: parts.min_detect_interval,
        idle: Idle::new(parts.idle, parts.keep_all),
        view_watch: ViewWatch::new(
            parts.camera.clone(),
            parts.watching,
            parts.view_of_camera,
            parts.condition.clone(),
            parts.announcer.clone(),
        ),
        told_unfit: None,
        keep_all: parts.keep_all,
        work: work_in,
        attention: attention_out,
        tap: parts.tap,
        orders: parts.orders.clone(),
        record: link,
        trouble: trouble("finding faces", "nobody is seen"),
        clock: Arc::clone(&parts.clock),
        stats: Arc::clone(&stats),
    };
    let capture = Capture {
        pulse: pulses.add("capture"),
        condition: parts.condition,
        camera: parts.camera,
        open: parts.open,
        orders: parts.orders,
        read_timeout: parts.read_timeout,
        keep_all: parts.keep_all,
        own_time: parts.own_time,
        has_own_time,
        frames: frames_in,
        announcer: parts.announcer,
        clock: parts.clock,
        stats: Arc::clone(&stats),
        stop: stopped,
        ready: ready_in,
    };
    // From the end of the stream to its beginning: if a thread cannot be had, those that run see their link close.
    let record = record.map(|record| thread::spawn("record", move || record.run())).transpose()?;
    let embed = thread::spawn("embed", move || embed.run())?;
    let detect = thread::spawn("detect", move || detect.run())?;
    let capture = thread::spawn("capture", move || capture.run())?;
    Ok(Running { stop: Some(stop), capture, detect, embed, record, pulses, changes, ready, stats, verdicts })
}

impl Running {
    /// Asks the pipeline to end: the camera is let go, and what was captured before is still handled.
    pub fn stop(&mut self) {
        self.stop = None;
    }

    /// True once the source has ended, or a stage has.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.capture.is_finished() || self.detect.is_finished() || self.embed.is_finished()
    }

    /// The stage that hangs, if one does: it has given no sign of life for longer than its work can take.
    #[must_use]
    pub fn silent(&self) -> Option<&'static str> {
        self.pulses.silent()
    }

    /// Looks and decides in another manner from the next frame on.
    pub fn change(&self, looking: Looking, deciding: Deciding) {
        self.changes.send(looking, deciding);
    }

    /// Waits for all stages, together at most `within`. A stage that still runs then is left behind.
    ///
    /// A recording is waited for to its end, unless [`Running::stop`] was called before; a camera would be waited
    /// for in vain.
    ///
    /// # Errors
    /// A stage that panicked; else a source that cannot work; else a stage that does not end. With several, the
    /// first in the order of the stream.
    pub fn join(self, within: Duration) -> Result<Arc<Stats>, PipelineError> {
        let clock = SystemClock::new();
        let left = || within.saturating_sub(clock.now().0);
        let captured = self.capture.join_within(left());
        let detected = self.detect.join_within(left());
        let embedded = self.embed.join_within(left());
        let recorded = match self.record.map_or(Ok(()), |record| record.join_within(left())) {
            // Nothing rests on it: what is half written is removed at the next start.
            Err(late @ ThreadError::StillRunning { .. }) => {
                tracing::warn!("{late}: the last decisions may not be recorded");
                Ok(())
            }
            recorded => recorded,
        };
        let (source, captured) = match captured {
            Ok(source) => (source, Ok(())),
            Err(error) => (Ok(()), Err(error)),
        };
        // Where one stage panics the others end early or wait in vain: the panic is the cause.
        let (panicked, late): (Vec<_>, Vec<_>) = [captured, detected, embedded, recorded]
            .into_iter()
            .filter_map(Result::err)
            .partition(|error| matches!(error, ThreadError::Panicked { .. }));
        if let Some(panic) = panicked.into_iter().next() {
            return Err(panic.into());
        }
        source?;
        late.into_iter().next().map_or(Ok(self.stats), |late| Err(late.into()))
    }
}
