//! The watch over the camera's view, and what is looked at while nobody is there: in the pipeline, and on drawn films.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use facewarden::camera::{FrameSource, SourceError};
use facewarden::clock::Moment;
use facewarden::cmds::clip::{ClipOptions, Cutout, Scene, Walk, render_demo};
use facewarden::domain::{CapturedFrame, Detection, EventKind, Payload, Point, Rect, ViewFault};
use facewarden::inference::{Detector, InferenceError, ScriptedDetector};
use facewarden::pipeline::{IdleSettings, Stats, Watching};
use facewarden::watch::{Change, Glance, SceneWatch, Sight, WatchSettings};
use image::RgbImage;

use super::support::{ANN, Beat, Colour, Door, Heard, LONG, camera, eventually, ms, once, picture, scene};

fn settings() -> WatchSettings {
    WatchSettings {
        frozen: Some(ms(3000)),
        covered: Some(ms(3000)),
        blinded: Some(ms(3000)),
        moved: Some(ms(10_000)),
        clear_after: ms(1000),
        confirm_after: None,
    }
}

/// Only frozen pictures are looked for: the scripted ones are black where nobody is.
fn watching(refuses: &[ViewFault]) -> Watching {
    let settings = WatchSettings { covered: None, blinded: None, moved: None, ..settings() };
    Watching::On { settings, refuses: refuses.iter().copied().collect::<BTreeSet<_>>(), recordings: true }
}

/// Ann moves, stands as still as a picture from 1.0 to 8.0 s, moves, leaves, and comes again.
fn visit(refuses: &[ViewFault]) -> Heard {
    let mut beats = scene(0, 200, &[]);
    beats.extend((1000..8000).step_by(100).map(|at| Beat::Frame(at, vec![(ANN, 10)])));
    beats.extend(scene(8000, 10_000, &[(ANN, 10)]));
    beats.extend(scene(10_000, 21_000, &[]));
    beats.extend(scene(21_000, 23_000, &[(ANN, 10)]));
    Door { watching: watching(refuses), ..Door::new() }.replay(beats)
}

#[test]
fn nothing_rests_on_a_frozen_picture() {
    // Told after 3 s of repeats; looks are taken from then on, and 4 s later given up. Neither before is anybody verified,
    // nor by the looks that were taken meanwhile. Of the pictures that come twice each, one counts.
    assert_eq!(
        visit(&[ViewFault::Frozen]).lines(),
        [
            "4.1 frozen, refuses: true",
            "8.1 rejected Ann CameraFrozen",
            "9.2 frozen no more",
            "21.6 verified Ann"
        ]
    );
    // Where it is only reported it counts as any other.
    let reported = visit(&[]).lines();
    assert_eq!(
        reported,
        ["1.3 verified Ann", "4.1 frozen, refuses: false", "9.2 frozen no more", "21.3 verified Ann"]
    );
}

#[test]
fn a_recording_is_watched_only_where_that_is_asked_for() {
    let mut beats = scene(0, 200, &[]);
    beats.extend((200..9000).step_by(100).map(|at| Beat::Frame(at, vec![(ANN, 10)])));
    let Watching::On { settings, refuses, .. } = watching(&[ViewFault::Frozen]) else { panic!() };
    let watching = Watching::On { settings, refuses, recordings: false };
    assert_eq!(Door { watching, ..Door::new() }.replay(beats).lines(), ["0.5 verified Ann"]);
}

#[test]
fn a_view_that_is_said_to_be_unfit_refuses_and_tells_nothing_else() {
    let watching = Watching::Said(ViewFault::Moved);
    let beats = scene(0, 6000, &[(ANN, 10)]);
    assert_eq!(Door { watching, ..Door::new() }.replay(beats).lines(), ["4.1 rejected Ann CameraMoved"]);
}

/// Counts how often faces are looked for.
struct Counting(ScriptedDetector, Arc<AtomicU64>);

impl Detector for Counting {
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferenceError> {
        self.1.fetch_add(1, Ordering::Release);
        self.0.detect(picture)
    }
}

/// A camera of 30 frames a second under a clock that stands still: each frame comes once the one before was handled.
struct Steps {
    next: u64,
    frames: u64,
    /// From which frame on somebody is there, and to which.
    somebody: (u64, u64),
    stats: Arc<Stats>,
    runs: Arc<AtomicU64>,
    /// How often faces had been looked for before each frame.
    counted: Arc<Mutex<Vec<u64>>>,
}

impl FrameSource for Steps {
    fn next_frame(&mut self, _timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let stats = &self.stats;
        let handled = || stats.skipped.get() + stats.quiet.get() + stats.detected.get();
        eventually("the frame before", || handled() == self.next);
        self.counted.lock().unwrap().push(self.runs.load(Ordering::Acquire));
        if self.next == self.frames {
            return Err(SourceError::Ended);
        }
        let faces: Vec<(Colour, u32)> = if (self.somebody.0..self.somebody.1).contains(&self.next) {
            vec![(ANN, 10)]
        } else {
            Vec::new()
        };
        let (seq, captured_at) = (self.next, Moment(Duration::from_micros(self.next * 33_333)));
        self.next += 1;
        Ok(CapturedFrame { camera: camera(), seq, captured_at, payload: Payload::Rgb(picture(&faces)) })
    }

    fn describe(&self) -> String {
        "a camera, step by step".into()
    }

    fn is_finite(&self) -> bool {
        true
    }
}

/// On which frames faces were looked for. Somebody stands there for the last second of the first minute.
fn searched(idle: IdleSettings) -> Vec<bool> {
    let (stats, runs, counted) = (Arc::<Stats>::default(), Arc::<AtomicU64>::default(), Arc::default());
    let source = Steps {
        next: 0,
        frames: 2400,
        somebody: (1770, 1800),
        stats: Arc::clone(&stats),
        runs: Arc::clone(&runs),
        counted: Arc::clone(&counted),
    };
    let detector = Box::new(Counting(ScriptedDetector::default(), runs));
    let door = Door { keep_all: false, idle, detector, stats, ..Door::new() };
    door.open(once(source)).join(LONG).unwrap();
    let counted: Vec<u64> = counted.lock().unwrap().clone();
    counted.windows(2).map(|pair| pair[1] > pair[0]).collect()
}

#[test]
fn while_nobody_is_there_faces_are_seldom_looked_for_and_one_brings_the_full_rate_back() {
    let searched = searched(IdleSettings { after: ms(5000), detect_every: ms(300) });
    let count = |from: usize, to: usize| searched[from..to].iter().filter(|searched| **searched).count();
    assert_eq!(count(0, 150), 150, "all of the first five seconds");
    // In the 54 s after that: at most every 300 ms, on the frames that are decoded, every fourth.
    assert_eq!(count(150, 1770), 1620_usize.div_ceil(12));
    // Somebody comes. With the next frame that is decoded something moves, and from then on all are looked at.
    let first = (1770..1800).find(|frame| searched[*frame]).unwrap();
    assert!(first <= 1773, "{first}");
    assert_eq!(count(first, 1800), 1800 - first);
    // And for five seconds after they have gone, which takes 0.7 s to be sure of.
    let rests = (1800..2400).find(|frame| !searched[*frame]).unwrap();
    assert!((1800 + 165..=1800 + 175).contains(&rests), "{rests}");
    assert!(count(rests, 2400) < (2400 - rests) / 10);
}

#[test]
fn as_high_a_rate_as_ever_is_no_rest() {
    // As `idle_fps: 30` comes to.
    let searched = searched(IdleSettings { after: ms(5000), detect_every: ms(30) });
    assert!(searched.iter().all(|searched| *searched));
}

#[test]
fn whoever_stands_still_is_somebody() {
    let beats = (0..9000).step_by(100).map(|at| Beat::Frame(at, vec![(ANN, 10)])).collect();
    let door = Door { idle: IdleSettings { after: ms(1000), detect_every: LONG }, ..Door::new() };
    let stats = Arc::clone(&door.stats);
    // Not even where every frame is processed, which never rests.
    door.replay(beats);
    assert_eq!((stats.detected.get(), stats.quiet.get(), stats.skipped.get()), (90, 0, 0));
}

fn person() -> Arc<Cutout> {
    let photo = RgbImage::from_fn(300, 300, |x, y| {
        image::Rgb([200, (x % 256).to_le_bytes()[0] / 2, (y % 256).to_le_bytes()[0] / 2])
    });
    let eyes = [Point::new(130.0, 130.0), Point::new(170.0, 130.0)];
    Arc::new(Cutout::new(&photo, Rect::new(110.0, 100.0, 190.0, 200.0), eyes).unwrap())
}

/// What is told of a film of ten frames a second, each frame changed by `change`.
fn told(scenes: &[Scene], change: impl Fn(usize, RgbImage) -> RgbImage) -> Vec<(usize, Change)> {
    let options = ClipOptions { width: 320, height: 180, fps: 10.0, seed: 5 };
    let mut watch = SceneWatch::new(settings());
    let mut told = Vec::new();
    for (n, frame) in render_demo(scenes, options).enumerate() {
        let glance = Glance::of(&change(n, frame));
        let at = Moment(ms(100 * n as u64));
        // No detector: people are not known to the watch, as with their backs turned.
        let sight = Sight { at, glance: &glance, payload: None, faces: &[] };
        told.extend(watch.see(&sight).into_iter().map(|change| (n / 10, change)));
    }
    told
}

#[test]
fn a_corridor_with_people_in_it_is_no_fault_and_its_faults_are_told() {
    let walk = || Scene::WalkUp(Walk::new(person()));
    let empty = |seconds| Scene::Empty(Duration::from_secs(seconds));
    // Somebody who stands before the camera for half a minute, and two who come.
    let waits = Scene::WalkUp(Walk { stay: Duration::from_secs(30), ..Walk::new(person()) });
    assert_eq!(told(&[empty(8), walk(), empty(2), walk(), empty(2), waits, empty(5)], |_, frame| frame), []);

    let film = [empty(8), walk(), empty(20)];
    let from = |second: usize, change: fn(RgbImage) -> RgbImage| {
        told(&film, move |n, frame| if n >= second * 10 { change(frame) } else { frame })
    };
    let dark = from(15, |mut frame| {
        // A hand, before a sensor that still has noise.
        frame.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| 4 + value % 3));
        frame
    });
    assert_eq!(dark.len(), 1, "{dark:?}");
    assert_eq!(dark[0].1, Change::Began(ViewFault::Covered));
    let night = from(15, |mut frame| {
        frame.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| value / 8));
        frame
    });
    assert_eq!(night, [], "an eighth of the light is night, and no hand");
    let lamp = from(15, |mut frame| {
        frame.enumerate_pixels_mut().filter(|(x, ..)| *x < 220).for_each(|(.., pixel)| pixel.0 = [255; 3]);
        frame
    });
    assert_eq!(lamp.first().map(|told| told.1), Some(Change::Began(ViewFault::Blinded)), "{lamp:?}");
    let turned = from(15, |frame| image::imageops::rotate180(&frame));
    assert_eq!(turned.first().map(|told| told.1), Some(Change::Began(ViewFault::Moved)), "{turned:?}");
}

#[test]
fn events_of_the_view_say_what_to_do() {
    let heard = visit(&[ViewFault::Frozen]);
    let EventKind::CameraFrozen { camera: at, message, refuses: true } = &heard.events()[0].kind else {
        panic!()
    };
    assert_eq!(*at, camera());
    assert!(message.contains("plug it in again") && message.contains("nobody is verified"), "{message}");
}
