//! How often somebody may ask: a bucket of tokens for each of them, that fills with time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Moment;

/// So many are kept apart. When there are more, those who could ask as if they had never asked are forgotten first; a
/// newcomer for whom there is no room yet is refused.
const MOST: usize = 4096;

/// A limit of requests, for each key by itself.
pub(super) struct Rate<K> {
    /// A request costs so much of a bucket's time.
    cost: Duration,
    /// A full bucket holds so much.
    full: Duration,
    /// When each bucket will be full.
    full_at: Mutex<HashMap<K, Moment>>,
}

impl<K: Eq + Hash> Rate<K> {
    /// `per_second` in the long run, and `burst` at once.
    pub(super) fn new(per_second: f64, burst: u32) -> Self {
        let cost = Duration::from_secs_f64(1.0 / per_second);
        Self { cost, full: cost * burst, full_at: Mutex::default() }
    }

    /// Takes one request in; the error is how long to wait before the next.
    pub(super) fn take(&self, key: K, now: Moment) -> Result<(), Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= MOST && !full_at.contains_key(&key) {
            full_at.retain(|_, at| *at > now);
            if full_at.len() >= MOST {
                return Err(self.full);
            }
        }
        let at = full_at.entry(key).or_insert(now);
        let next = (*at).max(now) + self.cost;
        let over = next.since(now).saturating_sub(self.full);
        if over > Duration::ZERO {
            return Err(over);
        }
        *at = next;
        Ok(())
    }

    /// Whether one more would be taken in; takes none.
    pub(super) fn has_room(&self, key: &K, now: Moment) -> bool {
        let full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        full_at.get(key).is_none_or(|at| at.since(now) + self.cost <= self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds_for_each_by_itself() {
        let rate = Rate::new(10.0, 5);
        let taken = |key: &'static str, ms: u64| (0..9).filter(|_| rate.take(key, at(ms)).is_ok()).count();
        assert_eq!((taken("a", 1000), taken("a", 1000), taken("b", 1000)), (5, 0, 5));
        assert!(!rate.has_room(&"a", at(1000)) && rate.has_room(&"c", at(1000)));
        assert_eq!(rate.take("a", at(1000)), Err(Duration::from_millis(100)));
        assert_eq!((taken("a", 1100), taken("a", 1350), taken("a", 9000)), (1, 2, 5));
    }

    #[test]
    fn its_memory_is_bounded() {
        let rate = Rate::new(1.0, 2);
        for key in 0..MOST {
            assert_eq!(rate.take(key, at(0)), Ok(()));
        }
        assert!(rate.take(MOST, at(0)).is_err(), "no room");
        assert_eq!(rate.take(0, at(0)), Ok(()), "who is known is not shut out");
        assert_eq!(rate.take(MOST, at(1500)), Ok(()));
        assert!(rate.full_at.lock().unwrap().len() < 5);
    }
}
