//! The capture stage: opens the source, hands on its frames, and opens it again when it was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::announce::Announcer;
use super::condition::{CameraState, SharedCondition};
use super::latest::LatestSender;
use super::pulse::Beating;
use super::stats::Stats;
use crate::camera::{FrameSource, OpenSource, SourceError};
use crate::clock::Clock;
use crate::domain::{CameraId, CapturedFrame, EventKind};

/// How long one wait for a frame takes at most: so soon is a shutdown noticed.
const SLICE: Duration = Duration::from_millis(200);

/// The first and the longest pause before a lost source is opened again. A source that held out for as long as
/// the longest pause begins anew with the first; one that gives a frame and is lost again does not, or it would
/// be announced as lost and recovered several times a second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// A camera on a slow bus may take so long to be opened. One that takes longer hangs, and so does its stage.
const OPENED_WITHIN: Duration = Duration::from_secs(20);

/// The first frame after opening may take this long even where a later one may not: network cameras wait for a
/// key frame, and a decoder starts up. Without it such a source would be opened again for ever.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(15);

pub(super) struct Capture {
    pub pulse: Beating,
    pub condition: SharedCondition,
    pub camera: CameraId,
    pub open: OpenSource,
    /// A source that gives nothing for so long is lost; before its first frame it may take a little longer.
    pub read_timeout: Duration,
    /// True if no frame may be skipped.
    pub keep_all: bool,
    /// Set while a recording is played of which no frame may be skipped: its own time is the time then.
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
}

/// How reading a source ended.
enum End {
    /// The recording is over, or the pipeline is to end.
    Done,
    /// The source is gone; opened again.
    Lost(String),
    /// It will never work.
    Unusable(SourceError),
}

impl Capture {
    /// Reads until the source ends or the pipeline is to end.
    ///
    /// # Errors
    /// Only if the source will never work, however often it is opened.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let mut memory = Memory { is_lost: self.condition.is_lost(), pause: BACK_OFF.0, next_seq: 0 };
        loop {
            self.pulse.expect_within(OPENED_WITHIN);
            let end = match (self.open)() {
                Ok(mut source) => {
                    self.condition.opened(source.as_ref());
                    tracing::info!(camera = %self.camera, source = source.describe(), "camera open");
                    self.has_own_time.store(self.keep_all && source.is_finite(), Ordering::Release);
                    self.read(source.as_mut(), &mut memory)
                }
                Err(SourceError::Unusable(message)) => End::Unusable(SourceError::Unusable(message)),
                Err(error) => End::Lost(error.to_string()),
            };
            match end {
                End::Done => return Ok(()),
                End::Unusable(error) => return Err(error),
                End::Lost(message) => {
                    if !memory.is_lost {
                        let state = CameraState::Lost { message: message.clone() };
                        self.condition.set(state, self.clock.now());
                        tracing::warn!(camera = %self.camera, "camera lost: {message}; opening it again until it is back");
                        self.announcer
                            .announce(EventKind::CameraLost { camera: self.camera.clone(), message });
                        memory.is_lost = true;
                    }
                    self.tell_ready();
                }
            }
            self.pulse.expect_within(memory.pause + SLICE + OPENED_WITHIN);
            if self.is_stopped_within(memory.pause) {
                return Ok(());
            }
            memory.pause = (memory.pause * 2).min(BACK_OFF.1);
        }
    }

    fn read(&self, source: &mut dyn FrameSource, memory: &mut Memory) -> End {
        let opened = self.clock.now();
        let first_seq = memory.next_seq;
        let mut last_frame = None;
        loop {
            if self.is_stopped_within(Duration::ZERO) {
                return End::Done;
            }
            self.pulse.beat();
            match source.next_frame(SLICE.min(self.read_timeout)) {
                Ok(mut frame) => {
                    let now = self.clock.now();
                    last_frame = Some(now);
                    frame.seq = frame.seq.saturating_add(first_seq);
                    memory.next_seq = frame.seq.saturating_add(1);
                    if std::mem::take(&mut memory.is_lost) {
                        tracing::info!(camera = %self.camera, "camera recovered");
                        self.announcer.announce(EventKind::CameraRecovered { camera: self.camera.clone() });
                    }
                    if now.since(opened) >= BACK_OFF.1 {
                        memory.pause = BACK_OFF.0;
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
                Err(SourceError::TimedOut(_)) => {
                    let silent = self.clock.now().since(last_frame.unwrap_or(opened));
                    let patience = match last_frame {
                        Some(_) => self.read_timeout,
                        None => self.read_timeout.max(FIRST_FRAME_WITHIN),
                    };
                    if silent >= patience && !source.is_finite() {
                        return End::Lost(format!("no frame for {:.1} s", silent.as_secs_f64()));
                    }
                }
                Err(SourceError::BadFrame(message)) => {
                    self.stats.bad_frames.add_one();
                    tracing::debug!(camera = %self.camera, "{message}");
                }
                Err(SourceError::Ended) => return End::Done,
                Err(SourceError::Lost(message)) => return End::Lost(message),
                Err(error @ SourceError::Unusable(_)) => return End::Unusable(error),
            }
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
