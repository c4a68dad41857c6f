//! What a pipeline does while it is told to rest, or to look and decide nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use facewarden::camera::{FrameSource, SourceError};
use facewarden::clock::{Clock as _, SimulatedClock};
use facewarden::domain::{CapturedFrame, Payload};
use facewarden::pipeline::{CameraState, Order, Seen};

use crate::support::{ANN, Beat, Door, LONG, Recording, camera, eventually, ms, once, picture, scene};

/// A camera with nobody in view.
struct Steady(SimulatedClock, u64);

impl FrameSource for Steady {
    fn next_frame(&mut self, _timeout: Duration) -> Result<CapturedFrame, SourceError> {
        std::thread::sleep(ms(5));
        self.0.advance(ms(100));
        self.1 += 1;
        let (seq, captured_at, payload) = (self.1, self.0.now(), Payload::Rgb(picture(&[])));
        Ok(CapturedFrame { camera: camera(), seq, captured_at, payload })
    }

    fn describe(&self) -> String {
        "a steady camera".into()
    }

    fn is_finite(&self) -> bool {
        false
    }
}

fn give(door: &Door, order: Order) -> Beat {
    let orders = door.orders.clone();
    Beat::Do(Box::new(move || orders.give(order)))
}

/// Pauses long enough that every stage has seen all before.
fn settle() -> Beat {
    Beat::Do(Box::new(|| std::thread::sleep(ms(700))))
}

#[test]
fn while_it_only_looks_nobody_is_verified_and_frames_are_shown() {
    let door = Door::new();
    let seen = door.tap.join(1000);
    let mut beats = vec![give(&door, Order::LookOnly)];
    beats.extend(scene(0, 2000, &[(ANN, 10)]));
    beats.push(settle());
    beats.push(give(&door, Order::Watch));
    beats.extend(scene(2000, 4000, &[(ANN, 10)]));
    let heard = door.replay(beats);
    let lines = heard.lines();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.starts_with("2.") && line.ends_with(" verified Ann"), "{line}");
    let seen: Vec<Seen> = seen.try_iter().collect();
    assert_eq!(seen.len(), 40, "all of them");
    let id = |at: usize| seen[at].tracks[0].id;
    assert_ne!(id(10), id(39), "nothing is inherited from before");
}

#[test]
fn evidence_from_before_does_not_count_afterwards() {
    let door = Door::new();
    // Two looks of the three that it takes.
    let mut beats = scene(0, 300, &[(ANN, 10)]);
    beats.extend([settle(), give(&door, Order::LookOnly)]);
    beats.extend(scene(300, 400, &[(ANN, 10)]));
    beats.extend([settle(), give(&door, Order::Watch)]);
    beats.extend(scene(400, 600, &[(ANN, 10)]));
    let heard = door.replay(beats);
    assert!(heard.lines().iter().all(|line| !line.contains("verified")), "{:?}", heard.lines());
}

#[test]
fn while_it_rests_the_camera_is_closed_and_no_frame_is_looked_at() {
    let mut door = Door::new();
    door.keep_all = false;
    let (orders, clock, heard) = (door.orders.clone(), door.clock.clone(), door.heard.clone());
    let seen = door.tap.join(1000);
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let open = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Steady(clock.clone(), 0)) as Box<dyn FrameSource>)
    };
    let opens = || opened.load(Ordering::Relaxed);
    let mut running = door.open(Box::new(open));
    running.ready.recv().unwrap();
    orders.give(Order::Rest);
    // Closed, and nothing more comes.
    let mut before = running.stats.captured.get();
    eventually("it rests", || {
        std::thread::sleep(ms(300));
        std::mem::replace(&mut before, running.stats.captured.get()) == running.stats.captured.get()
    });
    let shown = seen.try_iter().count();
    std::thread::sleep(ms(600));
    assert_eq!((running.stats.captured.get(), seen.try_iter().count(), opens()), (before, 0, 1), "{shown}");
    orders.give(Order::Watch);
    eventually("it is open again", || opens() == 2 && running.stats.captured.get() > before);
    assert_eq!(heard.lines(), [""; 0], "neither lost nor recovered");
    orders.give(Order::Rest);
    running.stop();
    running.join(LONG).unwrap();
}

#[test]
fn a_recording_that_rests_can_still_be_ended() {
    let door = Door::new();
    door.orders.give(Order::Rest);
    let mut running = door.open(once(Recording::new(scene(0, 1000, &[(ANN, 10)]))));
    running.stop();
    let stats = running.join(LONG).unwrap();
    assert_eq!(stats.captured.get(), 0);
}

#[test]
fn a_camera_that_was_lost_before_it_rested_is_lost_anew_afterwards() {
    let door = Door::new();
    let (orders, heard, condition) = (door.orders.clone(), door.heard.clone(), door.condition.clone());
    let mut running = door.open(Box::new(|| Err(SourceError::Lost("unplugged".into()))));
    running.ready.recv().unwrap();
    heard.wait_for(1);
    assert_eq!(heard.lines(), ["0.0 lost: unplugged"]);
    orders.give(Order::Rest);
    eventually("it rests", || condition.now().state == CameraState::Resting);
    orders.give(Order::Watch);
    heard.wait_for(2);
    assert_eq!(heard.lines()[1], "0.0 lost: unplugged");
    running.stop();
    running.join(LONG).unwrap();
}
