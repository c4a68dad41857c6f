//! Time, as something handed in: the real clock, and one that tests turn by hand.
//!
//! This is the only file that asks the system for the time. Everything else is told, so a whole day at a
//! door can be replayed in a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize, Serializer};

/// A monotonic point in time: how long after the clock's start. Never goes backwards, survives changes of
/// the wall clock, and is what ages and windows are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// How long after `earlier` this is; zero if `earlier` is in fact later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

/// A point in calendar time, UTC, as events show it: RFC 3339, cut to milliseconds when it is written
/// (`2026-11-23T19:08:11.851Z`); any RFC 3339 time can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct WallTime(#[schemars(with = "String")] pub jiff::Timestamp);

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::ops::Add<Duration> for WallTime {
    type Output = Self;

    /// So much later; the last moment of the calendar if that is beyond it.
    fn add(self, rhs: Duration) -> Self {
        let rhs = jiff::SignedDuration::try_from(rhs).unwrap_or(jiff::SignedDuration::MAX);
        Self(self.0.checked_add(rhs).unwrap_or(jiff::Timestamp::MAX))
    }
}

impl std::fmt::Display for WallTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Monotonic time now.
    fn now(&self) -> Moment;

    /// What the calendar says (or said, or will say) at `moment`.
    fn wall(&self, moment: Moment) -> WallTime;

    /// Waits. The simulated clock moves itself forward instead.
    fn sleep(&self, duration: Duration);

    /// How long the machine has been suspended so far. [`Clock::now`] stands still meanwhile, so that what is older
    /// than a suspension looks fresh.
    fn suspended(&self) -> Duration;
}

/// The system's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemClock {
    /// A clock whose `Moment` zero is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]
    fn now(&self) -> Moment {
        Moment(Instant::now().duration_since(self.started))
    }

    fn wall(&self, moment: Moment) -> WallTime {
        // From today's calendar and the distance to `moment`, so that a corrected wall clock shows at once.
        let now = self.now();
        let ahead = jiff::SignedDuration::try_from(moment.since(now)).unwrap_or_default();
        let behind = jiff::SignedDuration::try_from(now.since(moment)).unwrap_or_default();
        let wall = jiff::Timestamp::now();
        WallTime(wall.checked_add(ahead).and_then(|t| t.checked_sub(behind)).unwrap_or(wall))
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn suspended(&self) -> Duration {
        let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        let mut answer = Duration::ZERO;
        // A thread that is put aside between two readings would make a suspension out of nothing.
        for _attempt in 0..4 {
            let before = read(ClockId::Monotonic);
            answer = read(ClockId::Boottime).saturating_sub(before);
            if read(ClockId::Monotonic).saturating_sub(before) < Duration::from_millis(10) {
                break;
            }
        }
        answer
    }
}

/// A clock that stands still until a test moves it. Clones share one time.
#[derive(Debug, Clone)]
pub struct SimulatedClock {
    now: Arc<Mutex<Moment>>,
    suspended: Arc<Mutex<Duration>>,
    epoch: jiff::Timestamp,
}

impl SimulatedClock {
    /// Starts at moment zero, which the calendar calls `epoch`.
    #[must_use]
    pub fn new(epoch: jiff::Timestamp) -> Self {
        Self { now: Arc::default(), suspended: Arc::default(), epoch }
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = *now + by;
    }

    /// Moves time forward to `moment`; does nothing if that is past.
    pub fn advance_to(&self, moment: Moment) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = (*now).max(moment);
    }

    /// The machine is suspended for so long: no monotonic time passes.
    pub fn suspend(&self, duration: Duration) {
        let mut suspended = self.suspended.lock().unwrap_or_else(PoisonError::into_inner);
        *suspended = suspended.saturating_add(duration);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Moment {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wall(&self, moment: Moment) -> WallTime {
        let offset = jiff::SignedDuration::try_from(moment.0).unwrap_or_default();
        WallTime(self.epoch.checked_add(offset).unwrap_or(self.epoch))
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }

    fn suspended(&self) -> Duration {
        *self.suspended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_was_not_suspended_says_so_again_and_again() {
        let clock = SystemClock::new();
        let before = clock.suspended();
        for _ in 0..1000 {
            assert!(clock.suspended().saturating_sub(before) < Duration::from_millis(500));
        }
    }

    #[test]
    fn calendar_time_is_written_in_milliseconds_and_read_in_any_form() {
        let read = |text: &str| serde_json::from_str::<WallTime>(&format!("\"{text}\"")).unwrap();
        let time = read("2026-11-23T19:08:11.851999999Z");
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2026-11-23T19:08:11.851Z\"");
        assert_eq!(read("2026-11-23T20:08:11+01:00"), read("2026-11-23T19:08:11Z"));
        assert_eq!(
            serde_json::to_string(&read("2026-11-23T19:08:11Z")).unwrap(),
            "\"2026-11-23T19:08:11.000Z\""
        );
        assert!(serde_json::from_str::<WallTime>("\"yesterday\"").is_err());
        assert_eq!(time + Duration::from_secs(2), read("2026-11-23T19:08:13.851999999Z"));
        assert_eq!(time + Duration::MAX, WallTime(jiff::Timestamp::MAX));
    }
}
