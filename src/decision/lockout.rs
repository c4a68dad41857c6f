//! Few attempts at liveness: after several tracks have failed, nobody is let in for a while.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// The failures of late, and until when that bars the way.
#[derive(Debug, Default)]
pub(super) struct Lockout {
    failures: VecDeque<Moment>,
    until: Option<Moment>,
}

impl Lockout {
    /// Takes in that a track failed; the end of the lock-out if it begins with this.
    pub(super) fn failed(&mut self, now: Moment, most: u32, lasts: Duration) -> Option<Moment> {
        self.failures.retain(|failed| now.since(*failed) < lasts);
        self.failures.push_back(now);
        if self.is_on(now) || self.failures.len() < usize::try_from(most).unwrap_or(usize::MAX) {
            return None;
        }
        self.failures.clear();
        self.until = Some(Moment(now.0.saturating_add(lasts)));
        self.until
    }

    pub(super) fn is_on(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}
