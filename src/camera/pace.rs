//! Recordings as cameras: what a folder, an AVI file and a video file have in common.
//!
//! Frame number n of a recording was taken at `start + n / fps`, and the recording starts when its first frame
//! is asked for. At [`Speed::Real`] a frame is given when its time has come and late frames are skipped, as
//! with a camera, so that the newest wins; [`Speed::Times`] does the same with a time that passes faster (or slower) than
//! the clock's; at [`Speed::Max`] every frame is given at once. The stamps are the same always, and so run away from the
//! clock where the recording is not played at its own rate.

use std::sync::Arc;
use std::time::Duration;

use crate::camera::{FrameSource, SourceError};
use crate::clock::{Clock, Moment};
use crate::config::Speed;
use crate::domain::{CameraId, CapturedFrame, Payload};

/// What lies at one place of a recording.
#[derive(Debug)]
pub(super) enum Place {
    /// A picture.
    Frame(Payload),
    /// No picture, but its time passes (an empty AVI chunk repeats the picture before it).
    Nothing,
    /// The end.
    End,
}

/// Frames in a fixed order at a fixed rate.
pub(super) trait Recording: Send {
    /// Takes the next place. After [`SourceError::BadFrame`] the recording stands behind the damaged frame;
    /// after [`SourceError::TimedOut`] it stands where it stood.
    fn read(&mut self, timeout: Duration) -> Result<Place, SourceError>;

    /// Passes over the next place, cheaper than reading it. False at the end.
    fn skip(&mut self, timeout: Duration) -> Result<bool, SourceError> {
        match self.read(timeout) {
            Ok(place) => Ok(!matches!(place, Place::End)),
            Err(SourceError::BadFrame(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Goes back to the beginning.
    fn rewind(&mut self) -> Result<(), SourceError>;

    /// Frames a second; a finite number above 0.
    fn fps(&self) -> f64;

    /// For people.
    fn describe(&self) -> String;
}

/// A recording played as a source: paced, numbered, repeated.
pub(super) struct Paced<R> {
    recording: R,
    camera: CameraId,
    clock: Arc<dyn Clock>,
    speed: Speed,
    passes_left: u32,
    /// Whether this pass has come upon anything yet: a recording of nothing must not be repeated for ever.
    pass_has_frames: bool,
    start: Option<Moment>,
    /// Number of the place that is read next, over all passes.
    next: u64,
    /// Read, but not due yet.
    waiting: Option<Payload>,
}

impl<R: Recording> Paced<R> {
    /// Plays `recording` `loops` times.
    pub(super) fn new(
        recording: R,
        camera: CameraId,
        clock: Arc<dyn Clock>,
        speed: Speed,
        loops: u32,
    ) -> Result<Self, SourceError> {
        let fps = recording.fps();
        if !(fps.is_finite() && (MIN_FPS..=MAX_FPS).contains(&fps)) {
            return Err(SourceError::Unusable(format!(
                "{}: {fps} frames a second is no rate to play at ({MIN_FPS} to {MAX_FPS})",
                recording.describe()
            )));
        }
        if speed.rate().is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return Err(SourceError::Unusable(format!("{speed:?} is no speed to play at")));
        }
        if loops == 0 {
            return Err(SourceError::Unusable("loops must be at least 1".into()));
        }
        Ok(Self {
            recording,
            camera,
            clock,
            speed,
            passes_left: loops - 1,
            pass_has_frames: false,
            start: None,
            next: 0,
            waiting: None,
        })
    }

    /// When place number `number` was taken.
    fn taken_at(&self, start: Moment, number: u64) -> Moment {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact up to 2^53 frames, which take longer than a life"
        )]
        let seconds = number as f64 / self.recording.fps();
        start + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// At the end of a pass: begins the next one, or ends.
    fn next_pass(&mut self) -> Result<(), SourceError> {
        if self.passes_left == 0 || !self.pass_has_frames {
            self.passes_left = 0;
            return Err(SourceError::Ended);
        }
        self.recording.rewind()?;
        self.passes_left -= 1;
        self.pass_has_frames = false;
        Ok(())
    }

    /// Reads until a picture waits.
    fn fill(&mut self, timeout: Duration) -> Result<(), SourceError> {
        while self.waiting.is_none() {
            match self.recording.read(timeout) {
                Ok(Place::Frame(payload)) => self.waiting = Some(payload),
                Ok(Place::Nothing) => self.next += 1,
                Ok(Place::End) => {
                    self.next_pass()?;
                    continue;
                }
                Err(SourceError::BadFrame(what)) => {
                    self.pass_has_frames = true;
                    self.next += 1;
                    return Err(SourceError::BadFrame(what));
                }
                Err(error) => return Err(error),
            }
            self.pass_has_frames = true;
        }
        Ok(())
    }

    /// How many places from the next one on are late because a newer one is due as well. Counted once a call:
    /// a recording that cannot be read at its own rate still gives a frame each time.
    fn late(&self, start: Moment, rate: f64) -> u64 {
        let elapsed = self.clock.now().since(start).as_secs_f64() * self.recording.fps() * rate;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and `as` saturates"
        )]
        let newest_due = elapsed as u64;
        newest_due.saturating_sub(self.next)
    }
}

/// Slower than a frame a minute or faster than this is a damaged header, not a video.
const MIN_FPS: f64 = 1.0 / 60.0;
const MAX_FPS: f64 = 1000.0;

impl<R: Recording> FrameSource for Paced<R> {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let deadline = self.clock.now() + timeout;
        let start = if let Some(start) = self.start {
            start
        } else {
            // The first frame may take a while (a decoder starts up); time begins when it is there.
            self.fill(timeout)?;
            *self.start.insert(self.clock.now())
        };
        if let Some(rate) = self.speed.rate() {
            let mut late = self.late(start, rate);
            while late > 0 {
                if self.waiting.take().is_some() || self.recording.skip(deadline.since(self.clock.now()))? {
                    self.pass_has_frames = true;
                    self.next += 1;
                    late -= 1;
                } else {
                    self.next_pass()?;
                }
            }
        }
        self.fill(deadline.since(self.clock.now()))?;
        let captured_at = self.taken_at(start, self.next);
        if let Some(rate) = self.speed.rate() {
            let now = self.clock.now();
            let due = start + captured_at.since(start).div_f64(rate);
            if due > deadline {
                self.clock.sleep(deadline.since(now));
                return Err(SourceError::TimedOut(timeout));
            }
            let early = due.since(now);
            if !early.is_zero() {
                self.clock.sleep(early);
            }
        }
        let seq = self.next;
        self.next += 1;
        let payload = self.waiting.take().ok_or(SourceError::Ended)?;
        Ok(CapturedFrame { camera: self.camera.clone(), seq, captured_at, payload })
    }

    fn describe(&self) -> String {
        self.recording.describe()
    }

    fn is_finite(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    /// Places by number: a picture, nothing, or damage.
    struct Numbers {
        places: &'static [u8],
        at: usize,
        fps: f64,
        /// How long reading one takes.
        effort: Duration,
        clock: SimulatedClock,
    }

    impl Recording for Numbers {
        fn read(&mut self, _timeout: Duration) -> Result<Place, SourceError> {
            let Some(&place) = self.places.get(self.at) else { return Ok(Place::End) };
            self.clock.advance(self.effort);
            self.at += 1;
            match place {
                b'-' => Ok(Place::Nothing),
                b'x' => Err(SourceError::BadFrame("x".into())),
                place => Ok(Place::Frame(Payload::Still(vec![place]))),
            }
        }
        fn rewind(&mut self) -> Result<(), SourceError> {
            self.at = 0;
            Ok(())
        }
        fn fps(&self) -> f64 {
            self.fps
        }
        fn describe(&self) -> String {
            "numbers".into()
        }
    }

    fn paced(
        places: &'static [u8],
        speed: Speed,
        loops: u32,
        effort_ms: u64,
    ) -> (Paced<Numbers>, SimulatedClock) {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        clock.advance(Duration::from_secs(100));
        let effort = Duration::from_millis(effort_ms);
        let recording = Numbers { places, at: 0, fps: 10.0, effort, clock: clock.clone() };
        let camera = CameraId::new("test").unwrap();
        (Paced::new(recording, camera, Arc::new(clock.clone()), speed, loops).unwrap(), clock)
    }

    /// The next frame as "seq:picture@milliseconds", or what there is instead.
    fn next(source: &mut Paced<Numbers>, timeout_ms: u64) -> String {
        match source.next_frame(Duration::from_millis(timeout_ms)) {
            Ok(CapturedFrame { seq, captured_at, payload: Payload::Still(bytes), .. }) => {
                format!("{seq}:{}@{}", char::from(bytes[0]), captured_at.0.as_millis() - 100_000)
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn at_full_speed_every_frame_comes_at_once_with_media_time() {
        let (mut source, clock) = paced(b"ab-x", Speed::Max, 2, 0);
        let seen: Vec<_> = (0..7).map(|_| next(&mut source, 50)).collect();
        let expected =
            ["0:a@0", "1:b@100", "a frame is damaged: x", "4:a@400", "5:b@500", "a frame is damaged: x"];
        assert_eq!(seen[..6], expected);
        assert_eq!(seen[6], "the source has ended");
        assert_eq!(clock.now().0, Duration::from_secs(100));
        assert_eq!(next(&mut source, 50), "the source has ended");
    }

    #[test]
    fn in_real_time_a_frame_waits_for_its_time() {
        let (mut source, clock) = paced(b"abc", Speed::Real, 1, 0);
        assert_eq!(next(&mut source, 1000), "0:a@0");
        assert_eq!(next(&mut source, 30), "no frame within 30ms");
        assert_eq!(clock.now().0, Duration::from_millis(100_030));
        assert_eq!(next(&mut source, 1000), "1:b@100");
        assert_eq!(clock.now().0, Duration::from_millis(100_100));
        assert_eq!(next(&mut source, 1000), "2:c@200");
        assert_eq!(next(&mut source, 1000), "the source has ended");
    }

    #[test]
    fn many_times_as_fast_the_stamps_stay_and_the_clock_does_not_keep_up() {
        let (mut source, clock) = paced(b"abcdef", Speed::Times(10.0), 1, 0);
        assert_eq!(next(&mut source, 1000), "0:a@0");
        assert_eq!(next(&mut source, 1000), "1:b@100");
        assert_eq!(clock.now().0, Duration::from_millis(100_010));
        clock.advance(Duration::from_millis(35));
        assert_eq!(next(&mut source, 1000), "4:e@400", "late ones are skipped");
        assert_eq!(next(&mut source, 2), "no frame within 2ms");
        assert_eq!(next(&mut source, 1000), "5:f@500");
    }

    #[test]
    fn in_real_time_late_frames_are_skipped_over_the_end_of_a_pass_too() {
        let (mut source, clock) = paced(b"abcd", Speed::Real, 3, 0);
        assert_eq!(next(&mut source, 1000), "0:a@0");
        clock.advance(Duration::from_millis(350));
        assert_eq!(next(&mut source, 1000), "3:d@300");
        clock.advance(Duration::from_millis(350));
        assert_eq!(next(&mut source, 1000), "7:d@700");
        clock.advance(Duration::from_secs(60));
        assert_eq!(next(&mut source, 1000), "the source has ended");
    }

    #[test]
    fn a_recording_that_is_slow_to_read_still_gives_frames() {
        let (mut source, clock) = paced(b"abcdefghijklmnop", Speed::Real, 1, 300);
        assert_eq!(next(&mut source, 9000), "0:a@300");
        clock.advance(Duration::from_millis(250));
        // Number 2 is due when it is asked for. Reading up to it takes 600 ms, and it comes all the same.
        assert_eq!(next(&mut source, 9000), "2:c@500");
    }

    #[test]
    fn a_recording_of_nothing_ends() {
        let (mut source, _) = paced(b"", Speed::Max, u32::MAX, 0);
        assert_eq!(next(&mut source, 50), "the source has ended");
    }

    #[test]
    fn impossible_rates_and_loops_are_refused() {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let make = |fps, loops| {
            let recording =
                Numbers { places: b"a", at: 0, fps, effort: Duration::ZERO, clock: clock.clone() };
            let camera = CameraId::new("test").unwrap();
            Paced::new(recording, camera, Arc::new(clock.clone()), Speed::Max, loops).is_ok()
        };
        assert!(make(25.0, 1));
        for (fps, loops) in [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (f64::INFINITY, 1), (1e6, 1), (25.0, 0)] {
            assert!(!make(fps, loops), "{fps} {loops}");
        }
    }
}
