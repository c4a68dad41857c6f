//! A source that follows a script, for tests: frames, waits and faults in a fixed order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{FrameSource, SourceError};
use crate::clock::Clock;
use crate::domain::{CameraId, CapturedFrame, Payload};

/// One step of a script.
#[derive(Debug)]
pub enum Step {
    /// A frame, taken at the moment it is asked for.
    Frame(Payload),
    /// A fault.
    Fail(SourceError),
    /// Nothing happens for so long, by the clock; a call whose patience is shorter times out meanwhile.
    Wait(Duration),
}

/// Follows its script, then ends (as a recording) or stays silent (as a camera).
pub struct Scripted {
    camera: CameraId,
    clock: Arc<dyn Clock>,
    steps: VecDeque<Step>,
    is_finite: bool,
    seq: u64,
}

impl Scripted {
    /// A recording: after the last step it has ended.
    #[must_use]
    pub fn recording(camera: CameraId, clock: Arc<dyn Clock>, steps: Vec<Step>) -> Self {
        Self { camera, clock, steps: steps.into(), is_finite: true, seq: 0 }
    }

    /// A camera: after the last step nothing comes any more, and every call times out.
    #[must_use]
    pub fn camera(camera: CameraId, clock: Arc<dyn Clock>, steps: Vec<Step>) -> Self {
        Self { is_finite: false, ..Self::recording(camera, clock, steps) }
    }
}

impl FrameSource for Scripted {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let mut patience = timeout;
        loop {
            match self.steps.pop_front() {
                Some(Step::Frame(payload)) => {
                    let (camera, captured_at, seq) = (self.camera.clone(), self.clock.now(), self.seq);
                    self.seq += 1;
                    return Ok(CapturedFrame { camera, seq, captured_at, payload });
                }
                Some(Step::Fail(error)) => return Err(error),
                Some(Step::Wait(wait)) if wait <= patience => {
                    self.clock.sleep(wait);
                    patience -= wait;
                }
                Some(Step::Wait(wait)) => {
                    self.clock.sleep(patience);
                    self.steps.push_front(Step::Wait(wait.saturating_sub(patience)));
                    return Err(SourceError::TimedOut(timeout));
                }
                None if self.is_finite => return Err(SourceError::Ended),
                None => {
                    self.clock.sleep(patience);
                    return Err(SourceError::TimedOut(timeout));
                }
            }
        }
    }

    fn describe(&self) -> String {
        "a script".into()
    }

    fn is_finite(&self) -> bool {
        self.is_finite
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    #[test]
    fn the_script_is_followed() {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let milliseconds = Duration::from_millis;
        let steps = || {
            vec![
                Step::Wait(milliseconds(250)),
                Step::Frame(Payload::Still(vec![1])),
                Step::Fail(SourceError::Lost("unplugged".into())),
                Step::Frame(Payload::Still(vec![2])),
            ]
        };
        let id = CameraId::new("test").unwrap();
        let mut source = Scripted::recording(id.clone(), Arc::new(clock.clone()), steps());
        let next = |source: &mut Scripted| match source.next_frame(milliseconds(100)) {
            Ok(frame) => format!("{} at {}", frame.seq, frame.captured_at.0.as_millis()),
            Err(error) => error.to_string(),
        };
        let seen: Vec<_> = (0..6).map(|_| next(&mut source)).collect();
        let silence = "no frame within 100ms";
        assert_eq!(seen, [silence, silence, "0 at 250", "unplugged", "1 at 250", "the source has ended"]);
        let mut source = Scripted::camera(id, Arc::new(clock.clone()), vec![]);
        assert_eq!(next(&mut source), silence);
        assert_eq!(clock.now().0, milliseconds(350));
        assert!(!source.is_finite());
    }
}
