//! What happens when a part of the pipeline fails: the camera, a frame, a model, a sink, a stage.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use facewarden::camera::scripted::{Scripted, Step};
use facewarden::camera::{FrameSource, OpenSource, SourceError};
use facewarden::clock::{Clock, Moment, SimulatedClock, SystemClock};
use facewarden::decision::{Decider, InvalidPolicy, Policy, Said};
use facewarden::domain::{
    CapturedFrame, Detection, Embedding, LiveScore, ModelDigest, Payload, Scene, ScoredObservation, TrackId,
};
use facewarden::inference::{
    Detector, Embedder, InferenceError, LivenessModel, ScriptedDetector, ScriptedEmbedder,
};
use facewarden::pipeline::{PipelineError, Running, Seen, Tap};
use facewarden::sinks::{Fanout, ScriptedSink, notices};
use facewarden::sys::thread::ThreadError;
use image::RgbImage;

use super::support::{ANN, BERT, Beat, Door, LONG, Recording, camera, eventually, ms, once, picture, scene};

fn frame() -> Step {
    Step::Frame(Payload::Rgb(picture(&[])))
}

/// So many frames at ten a second.
fn frames(count: usize) -> Vec<Step> {
    (0..count).flat_map(|_| [Step::Wait(ms(100)), frame()]).collect()
}

fn lost(message: &str) -> SourceError {
    SourceError::Lost(message.into())
}

/// What one attempt to open the camera leads to.
enum Attempt {
    Refused(SourceError),
    Camera(Vec<Step>),
    /// Ends when its frames do.
    Recording(Vec<Step>),
}

/// The attempts one after the other, and when (really) each was made.
fn attempts(clock: &SimulatedClock, attempts: Vec<Attempt>) -> (OpenSource, Arc<Mutex<Vec<Moment>>>) {
    let times: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let (real, noted, clock) = (SystemClock::new(), Arc::clone(&times), Arc::new(clock.clone()));
    let mut attempts = attempts.into_iter();
    let open: OpenSource = Box::new(move || {
        noted.lock().unwrap().push(real.now());
        let source = match attempts.next().unwrap() {
            Attempt::Refused(error) => return Err(error),
            Attempt::Camera(steps) => Scripted::camera(camera(), clock.clone(), steps),
            Attempt::Recording(steps) => Scripted::recording(camera(), clock.clone(), steps),
        };
        Ok(Box::new(source))
    });
    (open, times)
}

/// A door that sees these attempts, and every frame it saw.
fn see(door: Door, list: Vec<Attempt>) -> (Running, Receiver<Seen>, Arc<Mutex<Vec<Moment>>>) {
    let (open, times) = attempts(&door.clock, list);
    let seen = door.tap.join_for_all(1000);
    (door.open(open), seen, times)
}

#[test]
fn a_lost_camera_is_announced_once_and_its_frames_flow_again() {
    let door = Door::new();
    let heard = door.heard.clone();
    let list = vec![
        Attempt::Refused(lost("/dev/video0 is not there")),
        Attempt::Refused(lost("/dev/video0 is not there")),
        Attempt::Camera(frames(3).into_iter().chain([Step::Fail(lost("unplugged"))]).collect()),
        Attempt::Recording(frames(4)),
    ];
    let (running, seen, times) = see(door, list);
    running.ready.recv_timeout(LONG).unwrap();
    let stats = running.join(LONG).unwrap();
    let lines = heard.lines();
    assert_eq!(lines[0], "0.0 lost: /dev/video0 is not there");
    assert_eq!(lines[1..], ["0.1 recovered", "0.3 lost: unplugged", "0.4 recovered"]);
    assert_eq!((stats.captured.get(), stats.detected.get()), (7, 7));
    // The numbers count on, since looks at one track are told apart by them.
    let numbers: Vec<u64> = seen.iter().map(|seen| seen.frame.seq).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
    // Each pause is longer than the one before; a camera that only blinked does not start anew.
    let times = times.lock().unwrap();
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(pauses[0] >= ms(250) && pauses[1] >= ms(500) && pauses[2] >= ms(1000), "{pauses:?}");
}

#[test]
fn a_frozen_camera_is_lost() {
    let door = Door::new();
    let heard = door.heard.clone();
    // Silent after its frames; then silent before its first frame, which may take longer, but not for ever.
    let list = vec![
        Attempt::Camera(frames(60)),
        Attempt::Camera(vec![Step::Wait(ms(16_000)), frame()]),
        Attempt::Camera(vec![Step::Wait(ms(12_100)), frame(), Step::Fail(SourceError::Ended)]),
    ];
    let (running, _seen, times) = see(door, list);
    let stats = running.join(LONG).unwrap();
    // 6 s of frames, 2 s of patience; 15 s of patience; 12.1 s until the first frame.
    assert_eq!(heard.lines(), ["8.0 lost: no frame for 2.0 s", "35.1 recovered"]);
    assert_eq!((stats.captured.get(), times.lock().unwrap().len()), (61, 3));
}

#[test]
fn damaged_frames_are_counted_and_nothing_else_happens() {
    let door = Door::new();
    let heard = door.heard.clone();
    let good = frames(2);
    let bad = [
        Step::Fail(SourceError::BadFrame("cut short".into())),
        Step::Frame(Payload::Still(b"no picture at all".to_vec())),
        Step::Frame(Payload::Jpeg(vec![0xFF, 0xD8, 0xFF])),
        Step::Frame(Payload::Grey { width: 64, height: 32, stride: 64, data: vec![0; 7] }),
    ];
    let steps = bad.into_iter().chain(good).collect();
    let (running, seen, _) = see(door, vec![Attempt::Recording(steps)]);
    let stats = running.join(LONG).unwrap();
    assert_eq!((stats.bad_frames.get(), stats.detected.get(), seen.iter().count()), (4, 2, 2));
    assert_eq!(heard.lines(), [] as [&str; 0]);
}

#[test]
fn a_source_that_can_never_work_ends_the_run_with_its_message() {
    let unusable = || SourceError::Unusable("a film without a picture".into());
    let later = frames(2).into_iter().chain([Step::Fail(unusable())]).collect();
    for (attempt, is_ready) in [(Attempt::Refused(unusable()), false), (Attempt::Camera(later), true)] {
        let door = Door::new();
        let heard = door.heard.clone();
        let (running, ..) = see(door, vec![attempt]);
        assert_eq!(running.ready.recv_timeout(LONG).is_ok(), is_ready);
        let error = running.join(LONG).unwrap_err();
        assert!(matches!(&error, PipelineError::Source(SourceError::Unusable(_))), "{error:?}");
        assert_eq!(error.to_string(), "a film without a picture");
        assert_eq!(heard.lines(), [] as [&str; 0]);
    }
}

fn failure() -> InferenceError {
    InferenceError::Run { model: "m".into(), message: "out of memory".into() }
}

#[test]
fn a_detector_that_fails_now_and_then_costs_only_those_frames() {
    let failures = (0..4).map(|_| failure()).collect();
    let door = Door { detector: Box::new(ScriptedDetector { failures }), ..Door::new() };
    let heard = door.heard.clone();
    let stats = door.open(once(Recording::new(scene(0, 2000, &[(ANN, 10)])))).join(LONG).unwrap();
    assert_eq!(heard.lines(), ["0.7 verified Ann"]);
    assert_eq!((stats.model_failures.get(), stats.detected.get()), (4, 16));
}

/// A model that always fails, or panics.
struct Broken {
    panics: bool,
}

impl Broken {
    fn fail<T>(&self) -> Result<T, InferenceError> {
        assert!(!self.panics, "a defect");
        Err(failure())
    }
}

impl Detector for Broken {
    fn detect(&mut self, _picture: &RgbImage) -> Result<Vec<Detection>, InferenceError> {
        self.fail()
    }
}

impl Embedder for Broken {
    fn embed(&mut self, _picture: &RgbImage, _detection: &Detection) -> Result<Embedding, InferenceError> {
        self.fail()
    }

    fn digest(&self) -> ModelDigest {
        ScriptedEmbedder::DIGEST
    }
}

impl LivenessModel for Broken {
    fn judge(&mut self, _picture: &RgbImage, _detection: &Detection) -> Result<LiveScore, InferenceError> {
        self.fail()
    }
}

#[test]
fn a_model_that_keeps_failing_is_said_once_and_verifies_nobody() {
    let broken = || Broken { panics: false };
    let detector = Door { detector: Box::new(broken()), ..Door::new() };
    let embedder = Door { embedder: Box::new(broken()), ..Door::new() };
    let liveness = Door { liveness: Some(Box::new(broken())), ..Door::new() };
    let degraded = |doing: &str, so: &str| {
        format!("0.0 degraded: {doing} keeps failing, so {so}: the model m failed: out of memory")
    };
    let beats = || scene(0, 2000, &[(ANN, 10)]).into_iter().chain(scene(2000, 4000, &[])).collect();
    let expected = [degraded("finding faces", "nobody is seen")];
    assert_eq!(detector.replay(beats()).lines(), expected);
    let expected = [degraded("turning faces into numbers", "nobody is recognised")];
    assert_eq!(embedder.replay(beats()).lines(), expected);
    let unjudged = degraded("telling faces from pictures", "nobody is verified where that is enforced");
    let expected = [unjudged, "2.7 rejected Ann LivenessUnknown".into()];
    assert_eq!(liveness.replay(beats()).lines(), expected);
}

#[test]
fn a_stuck_sink_delays_neither_the_frames_nor_the_others() {
    let (release, stuck) = bounded::<()>(0);
    let (slow, _) = ScriptedSink::with_script("slow", move |_| {
        stuck.recv().ok();
        Ok(())
    });
    let (quick, delivered) = ScriptedSink::new("quick");
    let fanout = Arc::new(
        Fanout::new(vec![Box::new(slow.with_queue_length(2)), Box::new(quick)], notices().0).unwrap(),
    );
    let out = Arc::clone(&fanout);
    let door = Door { also: Some(Arc::new(move |event| out.send(event))), ..Door::new() };
    let visits = (0..8).flat_map(|n| {
        let at = n * 20_000;
        let told = delivered.clone();
        // The quick one is given the time it needs; the stuck one is not waited for.
        let delivered = Beat::Do(Box::new(move || {
            let wanted = usize::try_from(n).unwrap();
            eventually("the quick sink to be told", || told.events().len() >= wanted);
        }));
        let (there, gone) = (scene(at, at + 1000, &[(ANN, 10)]), scene(at + 1000, at + 2000, &[]));
        std::iter::once(delivered).chain(there).chain(gone)
    });
    let heard = door.replay(visits.collect());
    assert_eq!(heard.events().len(), 8);
    eventually("the quick sink to be told all", || delivered.events().len() == 8);
    // One is being delivered, two wait.
    assert_eq!((fanout.states()[0].dropped, fanout.states()[1].dropped), (5, 0));
    assert_eq!(Arc::into_inner(fanout).unwrap().close(ms(300)), ["slow"]);
    drop(release);
}

/// Waits, at every face, until the gate is dropped.
struct Gated(Receiver<()>);

impl Embedder for Gated {
    fn embed(&mut self, picture: &RgbImage, detection: &Detection) -> Result<Embedding, InferenceError> {
        self.0.recv().ok();
        ScriptedEmbedder::default().embed(picture, detection)
    }

    fn digest(&self) -> ModelDigest {
        ScriptedEmbedder::DIGEST
    }
}

/// Notes the tracks that end.
struct Ends<D>(D, Arc<Mutex<BTreeSet<TrackId>>>);

impl<D: Decider> Decider for Ends<D> {
    fn observe(&mut self, observation: &ScoredObservation, now: Moment) -> Vec<Said> {
        self.0.observe(observation, now)
    }

    fn scene(&mut self, scene: &Scene, now: Moment) -> Vec<Said> {
        self.0.scene(scene, now)
    }

    fn track_ended(&mut self, track: TrackId, now: Moment) -> Vec<Said> {
        assert!(self.1.lock().unwrap().insert(track), "a track ends once");
        self.0.track_ended(track, now)
    }

    fn tick(&mut self, now: Moment) -> Vec<Said> {
        self.0.tick(now)
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn adopt(&mut self, policy: Policy) -> Result<(), InvalidPolicy> {
        self.0.adopt(policy)
    }
}

#[test]
fn an_embedder_that_is_behind_costs_looks_but_no_end_of_a_track() {
    let (gate, closed) = bounded::<()>(0);
    let ends: Arc<Mutex<BTreeSet<TrackId>>> = Arc::default();
    let noted = Arc::clone(&ends);
    let tap = Tap::default();
    let seen = tap.join_for_all(1000);
    let door = Door {
        embedder: Box::new(Gated(closed)),
        wrap: Box::new(move |decider| Box::new(Ends(decider, noted))),
        keep_all: false,
        tap,
        ..Door::new()
    };
    let mut beats: Vec<Beat> = (0..6)
        .flat_map(|n| {
            let (at, who) = (n * 3000, [ANN, BERT][usize::try_from(n % 2).unwrap()]);
            scene(at, at + 1500, &[(who, 10)]).into_iter().chain(scene(at + 1500, at + 3000, &[]))
        })
        .collect();
    beats.push(Beat::Do(Box::new(move || drop(gate))));
    let mut recording = Recording::new(beats);
    recording.pause = ms(5);
    let running = door.open(once(recording));
    let stats = running.join(LONG).unwrap();
    assert!(stats.looks_dropped.get() > 0, "the link was never full");
    let confirmed =
        |track: &&facewarden::domain::Track| track.state == facewarden::domain::TrackState::Confirmed;
    let tracks: BTreeSet<TrackId> = seen
        .iter()
        .flat_map(|s| s.tracks.iter().filter(confirmed).map(|t| t.id).collect::<Vec<_>>())
        .collect();
    assert!(tracks.len() >= 6, "{tracks:?}");
    let ends = ends.lock().unwrap();
    assert!(ends.is_superset(&tracks), "{tracks:?} were seen, {ends:?} have ended");
}

#[test]
fn a_stage_that_panics_ends_the_run_and_is_named() {
    let panics = || Broken { panics: true };
    let ann = || Step::Frame(Payload::Rgb(picture(&[(ANN, 10)])));
    let endless = || Attempt::Camera((0..1000).flat_map(|_| [Step::Wait(ms(100)), ann()]).collect());
    let doors = [
        (Door { detector: Box::new(panics()), ..Door::new() }, "detect"),
        (Door { embedder: Box::new(panics()), ..Door::new() }, "embed"),
        (Door { liveness: Some(Box::new(panics())), ..Door::new() }, "embed"),
    ];
    for (door, stage) in doors {
        let (mut running, ..) = see(door, vec![endless()]);
        eventually("the end", || running.is_over());
        running.stop();
        let error = running.join(LONG).unwrap_err();
        let PipelineError::Stage(ThreadError::Panicked { name, message }) = error else {
            panic!("{error:?}")
        };
        assert_eq!((name.as_str(), message.as_str()), (stage, "a defect"));
    }
    let running = Door::new().open(Box::new(|| panic!("the driver is broken")));
    assert!(running.ready.recv_timeout(LONG).is_err(), "it was never ready");
    let error = running.join(LONG).unwrap_err();
    assert_eq!(error.to_string(), "the thread capture panicked: the driver is broken");
}

#[test]
fn a_drawing_that_ends_early_does_not_matter() {
    let door = Door::new();
    drop(door.tap.join_for_all(0));
    let heard = door.replay(scene(0, 1000, &[(ANN, 10)]));
    assert_eq!(heard.lines(), ["0.3 verified Ann"]);
}

/// A camera that really says nothing for as long as it is asked to wait.
struct Silent;

impl FrameSource for Silent {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        std::thread::sleep(timeout);
        Err(SourceError::TimedOut(timeout))
    }

    fn describe(&self) -> String {
        "silence".into()
    }

    fn is_finite(&self) -> bool {
        false
    }
}

#[test]
fn stopping_is_quick_while_the_camera_is_silent_or_gone() {
    let silent = || once(Silent);
    let gone = || -> OpenSource { Box::new(|| Err(lost("gone"))) };
    for open in [silent(), gone()] {
        let mut running = Door::new().open(open);
        std::thread::sleep(ms(300));
        assert!(!running.is_over());
        running.stop();
        running.join(ms(1500)).unwrap();
    }
    // Dropping it is enough: whoever fails on the way out leaves no thread behind.
    for open in [silent(), gone()] {
        drop(Door::new().open(open));
    }
}
