//! What the replay and fault tests share: pictures whose colours are people, sources that play them, and a door
//! around them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use facewarden::camera::{FrameSource, OpenSource, SourceError};
use facewarden::clock::{Clock, Moment, SimulatedClock, SystemClock};
use facewarden::decision::{
    Acceptance, Decider, EvidenceDecider, LivenessChecks, LivenessPolicy, Policy, SeveralFaces,
};
use facewarden::domain::{
    CameraId, CapturedFrame, Embedding, Event, EventKind, Payload, PersonId, Threshold,
};
use facewarden::inference::{
    Detector, Embedder, LivenessModel, ScriptedDetector, ScriptedEmbedder, ScriptedLiveness,
};
use facewarden::matching::{Gallery, GalleryEntry, GalleryMetric, SharedGallery};
use facewarden::pipeline::{
    Announcer, DecisionTerms, EventOut, IdleSettings, Offers, Orders, Parts, Running, SharedCondition,
    SharedView, Stats, Tap, Watching, spawn,
};
use facewarden::tracking::{Tracker, TrackerSettings};
use facewarden::vision::quality::Gates;
use image::{Rgb, RgbImage};

/// Longer than anything takes on the slowest machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Who somebody is: their face is a rectangle of this colour, and their embedding is the colour itself. Any two
/// of these have a cosine of 0.41.
pub(crate) type Colour = [u8; 3];
pub(crate) const ANN: Colour = [200, 40, 40];
pub(crate) const BERT: Colour = [40, 200, 40];
pub(crate) const STRANGER: Colour = [40, 40, 200];

/// A picture with these faces, each with its left edge at so many pixels.
pub(crate) fn picture(faces: &[(Colour, u32)]) -> RgbImage {
    let mut picture = RgbImage::new(64, 32);
    for &(colour, left) in faces {
        for (x, y) in (left..left + 14).flat_map(|x| (8..26).map(move |y| (x, y))) {
            picture.put_pixel(x, y, Rgb(colour));
        }
    }
    picture
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn camera() -> CameraId {
    CameraId::new("door").unwrap()
}

/// One step of a recording.
pub(crate) enum Beat {
    /// A frame taken at so many milliseconds, with these faces.
    Frame(u64, Vec<(Colour, u32)>),
    /// Something done before the next frame.
    Do(Box<dyn FnOnce() + Send>),
}

/// Ten frames a second from `from_ms` up to `to_ms`, with these faces, which move a little.
pub(crate) fn scene(from_ms: u64, to_ms: u64, faces: &[(Colour, u32)]) -> Vec<Beat> {
    let moved = |ms: u64| faces.iter().map(|&(who, x)| (who, x + u32::from(ms / 100 % 4 >= 2))).collect();
    (from_ms..to_ms).step_by(100).map(|ms| Beat::Frame(ms, moved(ms))).collect()
}

/// Gives frames with the time that is written on them, as fast as they are taken; then it has ended.
pub(crate) struct Recording {
    beats: VecDeque<Beat>,
    seq: u64,
    /// Really waited before each frame.
    pub(crate) pause: Duration,
}

impl Recording {
    pub(crate) fn new(beats: Vec<Beat>) -> Self {
        Self { beats: beats.into(), seq: 0, pause: Duration::ZERO }
    }
}

impl FrameSource for Recording {
    fn next_frame(&mut self, _timeout: Duration) -> Result<CapturedFrame, SourceError> {
        loop {
            match self.beats.pop_front().ok_or(SourceError::Ended)? {
                Beat::Do(action) => action(),
                Beat::Frame(at, faces) => {
                    std::thread::sleep(self.pause);
                    let payload = Payload::Rgb(picture(&faces));
                    self.seq += 1;
                    let captured_at = Moment(ms(at));
                    return Ok(CapturedFrame { camera: camera(), seq: self.seq - 1, captured_at, payload });
                }
            }
        }
    }

    fn describe(&self) -> String {
        "a recording".into()
    }

    fn is_finite(&self) -> bool {
        true
    }
}

/// Opens `source`, once.
pub(crate) fn once(source: impl FrameSource + 'static) -> OpenSource {
    let mut source = Some(source);
    Box::new(move || Ok(Box::new(source.take().unwrap()) as Box<dyn FrameSource>))
}

/// Who is enrolled.
pub(crate) fn gallery(people: &[(&str, Colour)]) -> Gallery {
    let entry = |&(name, colour): &(&str, Colour)| GalleryEntry {
        person: PersonId::new(name).unwrap(),
        template: Embedding::new(ScriptedEmbedder::DIGEST, colour.map(f32::from).to_vec()).unwrap(),
    };
    let entries: Vec<GalleryEntry> = people.iter().map(entry).collect();
    Gallery::new(ScriptedEmbedder::DIGEST, GalleryMetric::Cosine, 3, &entries)
}

/// The events so far. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// One line an event: when (in seconds), what and who.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.events().iter().map(line).collect()
    }

    /// Waits until there are so many.
    pub(crate) fn wait_for(&self, count: usize) {
        eventually(&format!("{count} events"), || self.events().len() >= count);
    }
}

fn line(event: &Event) -> String {
    let at = event.at.0.as_millisecond();
    let what = match &event.kind {
        EventKind::Verified { person, .. } => format!("verified {person}"),
        EventKind::Unknown { reason, .. } => format!("unknown {reason:?}"),
        EventKind::Rejected { person: Some(person), reason, .. } => format!("rejected {person} {reason:?}"),
        EventKind::CameraLost { message, .. } => format!("lost: {message}"),
        EventKind::CameraRecovered { .. } => "recovered".to_owned(),
        EventKind::CameraFrozen { refuses, .. } => format!("frozen, refuses: {refuses}"),
        EventKind::CameraClear { over, .. } => format!("{over} no more"),
        EventKind::Degraded { message } => format!("degraded: {message}"),
        other => format!("{other:?}"),
    };
    format!("{}.{} {what}", at / 1000, at % 1000 / 100)
}

pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !condition() {
        assert!(clock.now() < Moment(LONG), "waited in vain: {what}");
        std::thread::sleep(ms(2));
    }
}

/// One camera's pipeline with scripted models; each part can be exchanged before it is opened.
pub(crate) struct Door {
    pub(crate) policy: Policy,
    pub(crate) gallery: SharedGallery,
    pub(crate) detector: Box<dyn Detector>,
    pub(crate) embedder: Box<dyn Embedder>,
    pub(crate) liveness: Option<Box<dyn LivenessModel>>,
    /// Put around the decider.
    pub(crate) wrap: Box<dyn FnOnce(EvidenceDecider) -> Box<dyn Decider>>,
    pub(crate) keep_all: bool,
    pub(crate) idle: IdleSettings,
    pub(crate) watching: Watching,
    pub(crate) is_shadow: bool,
    pub(crate) offers: Offers,
    pub(crate) offers_on: bool,
    pub(crate) stats: Arc<Stats>,
    pub(crate) tap: Tap,
    pub(crate) orders: Orders,
    pub(crate) condition: SharedCondition,
    pub(crate) clock: SimulatedClock,
    pub(crate) heard: Heard,
    /// Told of events besides `heard`.
    pub(crate) also: Option<EventOut>,
}

impl Door {
    /// At moment zero of a clock that nobody turns, with Ann and Bert enrolled.
    pub(crate) fn new() -> Self {
        Self {
            policy: Policy {
                acceptance: Acceptance::Similarity(Threshold::new(0.8).unwrap()),
                min_margin: 0.05,
                min_looks: 3,
                window: ms(2000),
                give_up_after: ms(4000),
                cooldown: ms(10_000),
                grant_valid: ms(2000),
                liveness: LivenessPolicy::Enforce(LivenessChecks {
                    min_mean: Some(0.5),
                    min_looks: 3,
                    min_span: ms(100),
                    refuses_overexposed: false,
                    refuses_edges: false,
                    max_failed_tracks: 3,
                    lockout: ms(60_000),
                    is_tested: true,
                }),
                several_faces: SeveralFaces::Each,
            },
            gallery: SharedGallery::new(gallery(&[("Ann", ANN), ("Bert", BERT)])),
            detector: Box::new(ScriptedDetector::default()),
            embedder: Box::new(ScriptedEmbedder::default()),
            liveness: Some(Box::new(ScriptedLiveness::default())),
            wrap: Box::new(|decider| Box::new(decider)),
            keep_all: true,
            idle: IdleSettings { after: LONG, detect_every: LONG },
            watching: Watching::Off,
            is_shadow: false,
            offers: Offers::default(),
            offers_on: false,
            stats: Arc::default(),
            tap: Tap::default(),
            orders: Orders::default(),
            condition: SharedCondition::default(),
            clock: SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH),
            heard: Heard::default(),
            also: None,
        }
    }

    pub(crate) fn open(self, open: OpenSource) -> Running {
        let Self { heard, also, policy, .. } = self;
        let clock: Arc<dyn Clock> = Arc::new(self.clock);
        let out: EventOut = Arc::new(move |event: Event| {
            heard.0.lock().unwrap().push(event.clone());
            also.iter().for_each(|also| also(event.clone()));
        });
        spawn(Parts {
            camera: camera(),
            open,
            read_timeout: ms(2000),
            keep_all: self.keep_all,
            own_time: true,
            detector: self.detector,
            min_detect_interval: Duration::ZERO,
            idle: self.idle,
            watching: self.watching,
            tracker: Tracker::new(TrackerSettings { confirm_after: 2, max_missed: ms(700), min_iou: 0.25 }),
            gates: Gates {
                min_width_px: 0.0,
                min_sharpness: 0.0,
                min_luma: 0.0,
                max_luma: 255.0,
                min_contrast: 0.0,
                min_frontality: 0.0,
            },
            signs: None,
            embedder: self.embedder,
            liveness: self.liveness,
            gallery: self.gallery,
            terms: DecisionTerms {
                grant_valid: policy.grant_valid,
                window: policy.window,
                liveness_mode: "enforce",
                is_shadow: self.is_shadow,
                offers: self.offers_on,
            },
            decider: (self.wrap)(EvidenceDecider::new(policy, Box::new(|| 0)).unwrap()),
            announcer: Announcer::new(Arc::clone(&clock), out),
            tap: self.tap,
            orders: self.orders,
            offers: self.offers,
            recording: None,
            stats: self.stats,
            view_of_camera: SharedView::default(),
            condition: self.condition,
            clock,
        })
        .unwrap()
    }

    /// Plays a recording to its end and gives back what was heard.
    pub(crate) fn replay(self, beats: Vec<Beat>) -> Heard {
        let heard = self.heard.clone();
        self.open(once(Recording::new(beats))).join(LONG).unwrap();
        heard
    }
}

/// How a command ended, and what it printed.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Runs it with nothing to read and the models of the checkout; it must not panic.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).env_remove("FACEWARDEN_MODELS").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran =
            Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        ran
    }

    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nout: {}\nerr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "no {text:?} in: {}", self.out);
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}
