//! What a camera does that comes late, goes, freezes, loses frames, or was suspended with its machine.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use facewarden::camera::scripted::{Scripted, Step};
use facewarden::camera::{FrameSource, Losses, OpenSource, SourceError};
use facewarden::clock::SimulatedClock;
use facewarden::domain::{CapturedFrame, Payload};
use facewarden::pipeline::Running;

use super::support::{Door, Heard, LONG, camera, ms, picture};

fn frame() -> Step {
    Step::Frame(Payload::Rgb(picture(&[])))
}

/// So many frames at ten a second.
fn frames(count: usize) -> Vec<Step> {
    (0..count).flat_map(|_| [Step::Wait(ms(100)), frame()]).collect()
}

/// One after the other.
fn steps<const N: usize>(parts: [Vec<Step>; N]) -> Vec<Step> {
    parts.into_iter().flatten().collect()
}

fn away() -> SourceError {
    SourceError::Away("/dev/video0: it is not plugged in".into())
}

fn ends() -> Step {
    Step::Fail(SourceError::Ended)
}

/// A camera of this machine that follows a script.
struct Local {
    script: Scripted,
    /// Told one after the other, with each step.
    losses: VecDeque<Losses>,
    complaints: Vec<String>,
    /// The machine is suspended for an hour before the frame with this number.
    suspended_before: Option<u64>,
    clock: SimulatedClock,
    heard: Heard,
    /// How many events there were when it was let go.
    heard_at_drop: Arc<Mutex<Vec<usize>>>,
}

impl FrameSource for Local {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let frame = self.script.next_frame(timeout)?;
        if self.suspended_before == Some(frame.seq) {
            self.clock.suspend(Duration::from_secs(3600));
        }
        Ok(frame)
    }

    fn describe(&self) -> String {
        "a camera".into()
    }

    fn is_finite(&self) -> bool {
        false
    }

    fn is_slow_to_start(&self) -> bool {
        false
    }

    fn losses(&mut self) -> Losses {
        self.losses.pop_front().unwrap_or_default()
    }

    fn complaints(&self) -> Vec<String> {
        self.complaints.clone()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.heard_at_drop.lock().unwrap().push(self.heard.events().len());
    }
}

/// A door and what is needed to watch its camera.
struct Watched {
    door: Door,
    heard_at_drop: Arc<Mutex<Vec<usize>>>,
}

impl Watched {
    fn new() -> Self {
        Self { door: Door::new(), heard_at_drop: Arc::default() }
    }

    fn camera(&self, steps: Vec<Step>) -> Local {
        let clock = self.door.clock.clone();
        Local {
            script: Scripted::camera(camera(), Arc::new(clock.clone()), steps),
            losses: VecDeque::new(),
            complaints: vec![],
            suspended_before: None,
            clock,
            heard: self.door.heard.clone(),
            heard_at_drop: Arc::clone(&self.heard_at_drop),
        }
    }

    /// Opens the door with these attempts at its camera.
    fn open(self, attempts: Vec<Result<Local, SourceError>>) -> (Running, Heard, Arc<Mutex<Vec<usize>>>) {
        let (heard, drops) = (self.door.heard.clone(), self.heard_at_drop);
        let mut attempts = attempts.into_iter();
        let open: OpenSource =
            Box::new(move || attempts.next().unwrap().map(|local| Box::new(local) as Box<dyn FrameSource>));
        (self.door.open(open), heard, drops)
    }
}

#[test]
fn a_frozen_camera_is_lost_opened_again_and_recovers() {
    let watched = Watched::new();
    let thawed = steps([vec![Step::Wait(ms(2100))], frames(3), vec![ends()]]);
    let attempts = vec![
        Ok(watched.camera(frames(60))),
        // Opened again, it gives nothing for 5 seconds; then, opened once more, it comes back.
        Ok(watched.camera(vec![])),
        Ok(watched.camera(thawed)),
    ];
    let (running, heard, drops) = watched.open(attempts);
    let stats = running.join(LONG).unwrap();
    assert_eq!(heard.lines(), ["8.0 lost: no frame for 2.0 s", "15.2 recovered"]);
    assert_eq!((stats.captured.get(), stats.lost.get()), (63, 1));
    assert_eq!(
        drops.lock().unwrap()[0],
        1,
        "the loss is told before the camera is let go, which may take long"
    );
}

#[test]
fn a_camera_that_is_silent_from_the_start_is_said_to_be_lost_and_kept_open() {
    let watched = Watched::new();
    let script = steps([vec![Step::Wait(ms(2900))], frames(2), vec![ends()]]);
    let attempts = vec![Ok(watched.camera(script))];
    let (running, heard, _) = watched.open(attempts);
    running.join(LONG).unwrap();
    assert_eq!(heard.lines(), ["2.0 lost: no frame for 2.0 s", "3.0 recovered"]);
}

#[test]
fn a_camera_that_gives_only_damaged_frames_is_lost_like_a_silent_one() {
    let watched = Watched::new();
    let bad = || Step::Fail(SourceError::BadFrame("cut short".into()));
    let damaged = (0..40).flat_map(|_| [Step::Wait(ms(100)), bad()]).collect();
    let script = steps([frames(2), damaged]);
    let again = steps([frames(1), vec![ends()]]);
    let attempts = vec![Ok(watched.camera(script)), Ok(watched.camera(again))];
    let (running, heard, _) = watched.open(attempts);
    let stats = running.join(LONG).unwrap();
    assert_eq!(heard.lines(), ["2.2 lost: no frame that was whole for 2.0 s", "2.3 recovered"]);
    assert_eq!((stats.captured.get(), stats.bad_frames.get()), (3, 20));
}

#[test]
fn a_missing_camera_is_said_at_once_and_waited_for() {
    let watched = Watched::new();
    let script = steps([frames(1), vec![ends()]]);
    let attempts = vec![Err(away()), Err(away()), Ok(watched.camera(script))];
    let (running, heard, _) = watched.open(attempts);
    assert_eq!(running.ready.recv_timeout(LONG), Ok(()));
    running.join(LONG).unwrap();
    assert_eq!(heard.lines(), ["0.0 lost: /dev/video0: it is not plugged in", "0.1 recovered"]);
}

#[test]
fn after_a_suspension_the_camera_is_opened_again_and_old_frames_are_dropped() {
    let watched = Watched::new();
    let mut slept = watched.camera(frames(9));
    slept.suspended_before = Some(3);
    let script = steps([frames(2), vec![ends()]]);
    let attempts = vec![Ok(slept), Ok(watched.camera(script))];
    let (running, heard, _) = watched.open(attempts);
    let stats = running.join(LONG).unwrap();
    // Three of before, two of after; the one that was waiting over the suspension would look fresh, and is not.
    assert_eq!(stats.captured.get(), 5);
    assert_eq!(heard.lines(), [] as [&str; 0], "a camera that is back at once was never lost");
    // One that is not is lost.
    let watched = Watched::new();
    let mut slept = watched.camera(frames(9));
    slept.suspended_before = Some(1);
    let script = steps([frames(1), vec![ends()]]);
    let attempts = vec![Ok(slept), Err(away()), Ok(watched.camera(script))];
    let (running, heard, _) = watched.open(attempts);
    running.join(LONG).unwrap();
    assert_eq!(heard.lines(), ["0.2 lost: /dev/video0: it is not plugged in", "0.3 recovered"]);
}

#[test]
fn what_a_camera_loses_is_counted_each_kind_on_its_own() {
    let watched = Watched::new();
    let bad = || Step::Fail(SourceError::BadFrame("cut short".into()));
    let steps = vec![frame(), bad(), bad(), frame(), ends()];
    let losses = vec![
        Losses { missing: 2, overtaken: 3, ..Losses::default() },
        Losses { truncated: 1, ..Losses::default() },
        // A frame whose fault the source did not count.
        Losses::default(),
        Losses { flagged: 4, empty: 5, corrupt: 6, ..Losses::default() },
    ];
    let mut local = watched.camera(steps);
    local.losses = losses.into();
    let (running, heard, _) = watched.open(vec![Ok(local)]);
    let stats = running.join(LONG).unwrap();
    let kinds =
        [&stats.flagged, &stats.empty, &stats.truncated, &stats.corrupt, &stats.missing, &stats.overtaken];
    assert_eq!(kinds.map(|counter| counter.get()), [4, 5, 1, 6, 2, 3]);
    assert_eq!((stats.bad_frames.get(), stats.captured.get()), (17, 2));
    assert_eq!(heard.lines(), [] as [&str; 0]);
}

#[test]
fn what_a_camera_cannot_do_is_said_once_and_it_is_used_all_the_same() {
    let watched = Watched::new();
    let complaints = vec!["camera door: it has no control `gian`".to_owned()];
    let mut first = watched.camera(steps([frames(1), vec![Step::Fail(away())]]));
    first.complaints.clone_from(&complaints);
    let mut second = watched.camera(steps([frames(1), vec![ends()]]));
    second.complaints = complaints;
    let (running, heard, _) = watched.open(vec![Ok(first), Ok(second)]);
    assert_eq!(running.join(LONG).unwrap().captured.get(), 2);
    assert_eq!(
        heard.lines(),
        [
            "0.0 degraded: camera door: it has no control `gian`",
            "0.1 lost: /dev/video0: it is not plugged in",
            "0.2 recovered"
        ]
    );
}
