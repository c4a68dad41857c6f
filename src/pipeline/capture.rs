//! The capture stage: opens the source, hands on its frames, and opens it again when it was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::announce::Announcer;
use super::condition::{CameraState, SharedCondition};
use super::latest::LatestSender;
use super::orders::{Order, Orders};
use super::pulse::Beating;
use super::stats::Stats;
use crate::camera::{FrameSource, OpenSource, SourceError};
use crate::clock::{Clock, Moment};
use crate::domain::{CameraId, CapturedFrame, EventKind};

/// How long one wait for a frame takes at most: so soon is a shutdown noticed.
const SLICE: Duration = Duration::from_millis(200);

/// The first pause before a lost source is opened again; it doubles each time. A source that held out for as long as
/// [`BACK_OFF_MAX`] begins anew with the first; one that gives a frame and is lost again does not.
const BACK_OFF: Duration = Duration::from_millis(250);

/// The longest pause for a source that costs a process or a connection.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// The longest pause for a camera of this machine: with it and the time of opening, a camera that is back is known to be
/// within 2 seconds.
const BACK_OFF_MAX_AWAY: Duration = Duration::from_secs(1);

/// The first frame after opening may take this long even where a later one may not. Without it such a source would be
/// opened again for ever.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(5);

/// The same for sources that are slow to start. Nothing is said of them before that.
const SLOW_FIRST_FRAME_WITHIN: Duration = Duration::from_secs(15);

/// A camera on a slow bus may take so long to be opened, or let go. One that takes longer hangs, and so does its stage.
const OPENED_WITHIN: Duration = Duration::from_secs(20);

/// A machine that was suspended for longer than this has lost its cameras, or has frames of before.
const SUSPENSION: Duration = Duration::from_secs(1);

pub(super) struct Capture {
    pub pulse: Beating,
    pub condition: SharedCondition,
    pub camera: CameraId,
    pub open: OpenSource,
    pub orders: Orders,
    /// A source that gives nothing for so long is lost; before its first frame it may take a little longer.
    pub read_timeout: Duration,
    /// True if no frame may be skipped.
    pub keep_all: bool,
    /// True if a recording is not played at its own rate.
    pub own_time: bool,
    /// Set while such a recording is played: its own time is the time then.
    pub has_own_time: Arc<AtomicBool>,
    pub frames: LatestSender<CapturedFrame>,
    pub announcer: Announcer,
    pub clock: Arc<dyn Clock>,
    pub stats: Arc<Stats>,
    /// Disconnected when the pipeline is to end.
    pub stop: Receiver<()>,
    /// Told once when the first frame has come, or the source was found missing.
    pub ready: Sender<()>,
}

/// What is remembered over reopenings.
struct Memory {
    /// The loss was announced and the source is not back yet.
    is_lost: bool,
    pause: Duration,
    /// The number of the next frame: counts on where a reopened source begins anew, since looks at one track are
    /// told apart by it.
    next_seq: u64,
    /// What the source had to complain about and was said.
    complaints: Vec<String>,
}

/// How reading a source ended.
enum End {
    /// The recording is over, or the pipeline is to end.
    Done,
    /// The source is gone; opened again, after a pause of at most so long.
    Lost(String, Duration),
    /// The machine was suspended; opened again at once.
    Suspended(Duration),
    /// It will never work.
    Unusable(SourceError),
    /// The order is to close it.
    Resting,
}

impl Capture {
    /// Reads until the source ends or the pipeline is to end.
    ///
    /// # Errors
    /// Only if the source will never work, however often it is opened.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let mut memory = Memory {
            is_lost: self.condition.is_lost(),
            pause: BACK_OFF,
            next_seq: 0,
            complaints: Vec::new(),
        };
        loop {
            if self.orders.current() == Order::Rest && !self.rest(&mut memory) {
                return Ok(());
            }
            match self.attempt(&mut memory) {
                End::Done => return Ok(()),
                End::Unusable(error) => return Err(error),
                // Dropped by now, and so closed.
                End::Resting => (),
                End::Suspended(time) => {
                    tracing::info!(camera = %self.camera, "the machine was suspended for {time:.0?}: the camera is opened again");
                }
                End::Lost(_, longest_pause) => {
                    let pause = memory.pause.min(longest_pause);
                    self.pulse.expect_within(pause + SLICE + OPENED_WITHIN);
                    if self.is_stopped_within(pause) {
                        return Ok(());
                    }
                    memory.pause = (pause * 2).min(longest_pause);
                }
            }
        }
    }

    /// Leaves the camera closed for as long as it is to rest; false if the pipeline is to end.
    fn rest(&self, memory: &mut Memory) -> bool {
        // Should it be gone afterwards, that is news.
        (memory.is_lost, memory.pause) = (false, BACK_OFF);
        self.condition.set(CameraState::Resting, self.clock.now());
        tracing::info!(camera = %self.camera, "camera closed");
        while self.orders.current() == Order::Rest {
            self.pulse.beat();
            if self.is_stopped_within(SLICE) {
                return false;
            }
        }
        self.condition.set(CameraState::Opening, self.clock.now());
        true
    }

    /// Opens the source and reads it to its end.
    fn attempt(&mut self, memory: &mut Memory) -> End {
        self.pulse.expect_within(OPENED_WITHIN);
        let opened = (self.open)();
        let mut source = match opened {
            Ok(source) => source,
            Err(error) => {
                let end = end_of(error);
                self.announce_loss(&end, memory);
                return end;
            }
        };
        self.condition.opened(source.as_ref());
        tracing::info!(camera = %self.camera, source = source.describe(), "camera open");
        self.tell_complaints(source.complaints(), memory);
        self.has_own_time.store(self.own_time && source.is_finite(), Ordering::Release);
        let end = self.read(source.as_mut(), memory);
        // Before it is dropped: a camera that went wrong may take seconds to let go.
        self.announce_loss(&end, memory);
        self.pulse.expect_within(OPENED_WITHIN);
        end
    }

    fn read(&self, source: &mut dyn FrameSource, memory: &mut Memory) -> End {
        let (opened, suspended) = (self.clock.now(), self.clock.suspended());
        let first_seq = memory.next_seq;
        let mut last_frame = None;
        loop {
            if self.is_stopped_within(Duration::ZERO) {
                return End::Done;
            }
            self.pulse.beat();
            if self.orders.current() == Order::Rest {
                return End::Resting;
            }
            let silence =
                Silence::of(self.read_timeout, source, last_frame.unwrap_or(opened), last_frame.is_none());
            let slice = if source.is_finite() { SLICE } else { silence.slice(self.clock.now()) };
            let came = source.next_frame(slice);
            let losses = source.losses();
            self.stats.count(losses);
            let now = self.clock.now();
            let slept = self.clock.suspended().saturating_sub(suspended);
            if slept >= SUSPENSION && !source.is_finite() {
                return End::Suspended(slept);
            }
            match came {
                Ok(mut frame) => {
                    last_frame = Some(now);
                    frame.seq = frame.seq.saturating_add(first_seq);
                    memory.next_seq = frame.seq.saturating_add(1);
                    if std::mem::take(&mut memory.is_lost) {
                        tracing::info!(camera = %self.camera, "camera recovered");
                        self.announcer.announce(EventKind::CameraRecovered { camera: self.camera.clone() });
                    }
                    if now.since(opened) >= BACK_OFF_MAX {
                        memory.pause = BACK_OFF;
                    }
                    self.condition.set(CameraState::Watching, now);
                    self.tell_ready();
                    self.stats.captured.add_one();
                    let sent = if self.keep_all {
                        self.frames.wait_and_send(frame)
                    } else {
                        self.frames.replace(frame)
                    };
                    if sent.is_err() {
                        return End::Done;
                    }
                }
                Err(error @ (SourceError::TimedOut(_) | SourceError::BadFrame(_))) => {
                    let mut what = "no frame";
                    if let SourceError::BadFrame(message) = error {
                        if losses.damaged() == 0 {
                            self.stats.bad_frames.add_one();
                        }
                        tracing::debug!(camera = %self.camera, "{message}");
                        what = "no frame that was whole";
                    }
                    if source.is_finite() {
                        continue;
                    }
                    let silent = now.since(last_frame.unwrap_or(opened));
                    let message = || format!("{what} for {:.1} s", silent.as_secs_f64());
                    if now >= silence.lost_at {
                        let is_slow = source.is_slow_to_start();
                        return End::Lost(message(), if is_slow { BACK_OFF_MAX } else { BACK_OFF_MAX_AWAY });
                    }
                    if now >= silence.announced_at {
                        self.announce(message(), memory);
                    }
                }
                Err(error) => return end_of(error),
            }
        }
    }

    fn announce_loss(&self, end: &End, memory: &mut Memory) {
        if let End::Lost(message, _) = end {
            self.announce(message.clone(), memory);
        }
    }

    /// Says once that the source is lost.
    fn announce(&self, message: String, memory: &mut Memory) {
        self.tell_ready();
        if std::mem::replace(&mut memory.is_lost, true) {
            return;
        }
        self.condition.set(CameraState::Lost { message: message.clone() }, self.clock.now());
        tracing::warn!(camera = %self.camera, "camera lost: {message}; opening it again until it is back");
        self.stats.lost.add_one();
        self.announcer.announce(EventKind::CameraLost { camera: self.camera.clone(), message });
    }

    /// Says what the source complains about, unless it was said at an opening before.
    fn tell_complaints(&self, complaints: Vec<String>, memory: &mut Memory) {
        for message in complaints {
            if memory.complaints.contains(&message) {
                continue;
            }
            tracing::warn!(camera = %self.camera, "{message}");
            memory.complaints.push(message.clone());
            self.announcer.announce(EventKind::Degraded { message });
        }
    }

    fn is_stopped_within(&self, pause: Duration) -> bool {
        self.stop.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected)
    }

    /// Only the first time matters: the link has one place, and nobody empties it twice.
    fn tell_ready(&self) {
        self.ready.try_send(()).ok();
    }
}

/// What an error of a source means.
fn end_of(error: SourceError) -> End {
    match error {
        SourceError::Ended => End::Done,
        SourceError::Unusable(_) => End::Unusable(error),
        SourceError::Away(message) => End::Lost(message, BACK_OFF_MAX_AWAY),
        SourceError::Lost(_) | SourceError::TimedOut(_) | SourceError::BadFrame(_) => {
            End::Lost(error.to_string(), BACK_OFF_MAX)
        }
    }
}

/// How long a source may say nothing.
struct Silence {
    /// From then on it is said to be lost.
    announced_at: Moment,
    /// From then on it is opened again.
    lost_at: Moment,
}

impl Silence {
    fn of(read_timeout: Duration, source: &dyn FrameSource, since: Moment, is_first: bool) -> Self {
        let (announced, lost) = match (is_first, source.is_slow_to_start()) {
            (false, _) => (read_timeout, read_timeout),
            (true, false) => (read_timeout, read_timeout.max(FIRST_FRAME_WITHIN)),
            (true, true) => {
                let patience = read_timeout.max(SLOW_FIRST_FRAME_WITHIN);
                (patience, patience)
            }
        };
        Self { announced_at: since + announced, lost_at: since + lost }
    }

    /// How long to wait now: not beyond the moment at which something is to be said or done.
    fn slice(&self, now: Moment) -> Duration {
        let next = if now < self.announced_at { self.announced_at } else { self.lost_at };
        next.since(now).clamp(Duration::from_millis(1), SLICE)
    }
}
