//! From what happened to an event: id, time, and out.

use std::sync::{Arc, Mutex, PoisonError};

use ulid::Ulid;

use crate::clock::{Clock, Moment, WallTime};
use crate::domain::{Event, EventKind, SCHEMA};

/// Takes finished events: the fan-out to the sinks, or a test. Must not wait.
pub type EventOut = Arc<dyn Fn(Event) + Send + Sync>;

/// What an event was given when it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Its id.
    pub id: Ulid,
    /// Its time.
    pub at: WallTime,
}

/// Gives events their id and time. Clones share the order of ids.
#[derive(Clone)]
pub struct Announcer {
    clock: Arc<dyn Clock>,
    out: EventOut,
    last: Arc<Mutex<Ulid>>,
}

impl Announcer {
    /// Sends events to `out`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, out: EventOut) -> Self {
        Self { clock, out, last: Arc::new(Mutex::new(Ulid::nil())) }
    }

    /// Sends an event, now.
    pub fn announce(&self, kind: EventKind) {
        self.announce_at(kind, self.clock.now());
    }

    /// Sends an event that happened at `at` (in a recording that is played fast, the recording's time).
    /// Gives back what it was given.
    pub fn announce_at(&self, kind: EventKind, at: Moment) -> Announced {
        let at = self.clock.wall(at);
        // Held while sending, so that ids and order of arrival agree.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = next_id(*last, at.0.as_millisecond());
        let announced = Announced { id: *last, at };
        (self.out)(Event { schema: SCHEMA, id: *last, at, kind });
        announced
    }
}

/// A random id for this millisecond; one more than the last if that would not sort after it.
fn next_id(last: Ulid, now_ms: i64) -> Ulid {
    let fresh = Ulid::from_parts(u64::try_from(now_ms).unwrap_or(0), Ulid::generate().random());
    if fresh > last { fresh } else { last.increment().unwrap_or(fresh) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_in_the_order_of_events_even_when_the_clock_goes_back() {
        let mut last = Ulid::nil();
        for ms in [5_000, 5_000, 5_000, 4_000, 6_000, 0] {
            let next = next_id(last, ms);
            assert!(next > last);
            last = next;
        }
    }
}
