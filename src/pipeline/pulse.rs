//! Signs of life of the stages, so that a service manager can be told the truth about a stage that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// A stage looks up several times a second; one that has not for so long hangs. Far longer than the slowest inference
/// (a second, on a small machine under load).
const BEATS_WITHIN: Duration = Duration::from_secs(4);

/// The sign of life of one stage. It promises when the next one will come.
#[derive(Clone)]
pub(super) struct Pulse {
    /// The promised moment, in milliseconds of the clock; `u64::MAX` once the stage has ended.
    due_ms: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

impl Pulse {
    /// A stage that is about to start.
    fn new(clock: Arc<dyn Clock>) -> Self {
        let pulse = Self { due_ms: Arc::default(), clock };
        pulse.beat();
        pulse
    }

    /// The stage is alive.
    pub(super) fn beat(&self) {
        self.expect_within(BEATS_WITHIN);
    }

    /// The stage begins something that may take `longest`, such as opening a camera.
    pub(super) fn expect_within(&self, longest: Duration) {
        let due = self.clock.now() + longest;
        self.due_ms.store(u64::try_from(due.0.as_millis()).unwrap_or(u64::MAX - 1), Ordering::Relaxed);
    }

    /// The stage has come to its end: nothing more is expected of it.
    fn rest(&self) {
        self.due_ms.store(u64::MAX, Ordering::Relaxed);
    }

    fn is_overdue(&self, now: Moment) -> bool {
        now.0.as_millis() > u128::from(self.due_ms.load(Ordering::Relaxed))
    }
}

/// A pulse that rests when its stage ends, in whatever way.
pub(super) struct Beating(Pulse);

impl std::ops::Deref for Beating {
    type Target = Pulse;

    fn deref(&self) -> &Pulse {
        &self.0
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// The pulses of a pipeline.
pub(super) struct Pulses {
    clock: Arc<dyn Clock>,
    stages: Vec<(&'static str, Pulse)>,
}

impl Pulses {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, stages: Vec::new() }
    }

    /// The pulse of another stage.
    pub(super) fn add(&mut self, stage: &'static str) -> Beating {
        let pulse = Pulse::new(Arc::clone(&self.clock));
        self.stages.push((stage, pulse.clone()));
        Beating(pulse)
    }

    /// The first stage that hangs, in the order of the stream.
    pub(super) fn silent(&self) -> Option<&'static str> {
        let now = self.clock.now();
        self.stages.iter().find(|(_, pulse)| pulse.is_overdue(now)).map(|(stage, _)| *stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    #[test]
    fn a_stage_that_stops_beating_is_named_and_one_that_has_ended_is_not() {
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        let mut pulses = Pulses::new(Arc::new(clock.clone()));
        let capture = pulses.add("capture");
        let detect = pulses.add("detect");
        clock.sleep(BEATS_WITHIN);
        assert_eq!(pulses.silent(), None);
        capture.expect_within(Duration::from_secs(30));
        clock.sleep(Duration::from_millis(1));
        assert_eq!(pulses.silent(), Some("detect"));
        detect.beat();
        assert_eq!(pulses.silent(), None);
        drop(detect);
        clock.sleep(Duration::from_secs(29));
        assert_eq!(pulses.silent(), None);
        clock.sleep(Duration::from_secs(2));
        assert_eq!(pulses.silent(), Some("capture"));
    }
}
