//! Events that are kept for a while, in order, so that a reader who was away can go on where they stopped.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ulid::Ulid;

use super::SinkError;
use crate::domain::Event;

/// An event that is kept, and its place among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Counts up from 1 without holes; an event keeps its number for as long as it is kept.
    pub seq: u64,
    /// The event, as it was emitted: whether a grant has expired meanwhile is for the teller to say.
    pub event: Arc<Event>,
}

/// Events that are kept, the oldest of which may go at any time.
pub trait Backlog: Send + Sync {
    /// The oldest kept events whose number is above `seq`, in order, at most `most` of them. Empty if there are none.
    /// The first one's number is above `seq + 1` where what was in between is not kept any more.
    ///
    /// # Errors
    /// If they cannot be read.
    fn after(&self, seq: u64, most: usize) -> Result<Vec<Entry>, SinkError>;

    /// Number of the newest event there ever was; 0 if there was none.
    fn latest(&self) -> u64;

    /// Number of the oldest event that is kept; one above [`Backlog::latest`] if none is.
    fn oldest(&self) -> u64;

    /// The number of an event that is kept; `None` if it is not.
    ///
    /// # Errors
    /// If that cannot be looked up.
    fn seq_of(&self, id: Ulid) -> Result<Option<u64>, SinkError>;

    /// Waits until there is an event whose number is above `seq`, at most for `within`. True if there is one.
    fn wait_after(&self, seq: u64, within: Duration) -> bool;
}

/// A [`Backlog`] in memory, for tests. Clones share one.
#[derive(Debug, Clone, Default)]
pub struct ScriptedBacklog(Arc<(Mutex<Kept>, Condvar)>);

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    latest: u64,
    failure: Option<SinkError>,
}

impl ScriptedBacklog {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event, and gives back its number.
    pub fn push(&self, event: Event) -> u64 {
        let mut kept = self.lock();
        kept.latest += 1;
        let seq = kept.latest;
        kept.entries.push_back(Entry { seq, event: Arc::new(event) });
        self.0.1.notify_all();
        seq
    }

    /// Keeps the newest `count` events alone.
    pub fn keep(&self, count: usize) {
        let mut kept = self.lock();
        let surplus = kept.entries.len().saturating_sub(count);
        kept.entries.drain(..surplus);
    }

    /// From now on reading fails like this; `None`: it works again.
    pub fn fail(&self, failure: Option<SinkError>) {
        self.lock().failure = failure;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog for ScriptedBacklog {
    fn after(&self, seq: u64, most: usize) -> Result<Vec<Entry>, SinkError> {
        let kept = self.lock();
        match &kept.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(kept.entries.iter().filter(|entry| entry.seq > seq).take(most).cloned().collect()),
        }
    }

    fn latest(&self) -> u64 {
        self.lock().latest
    }

    fn oldest(&self) -> u64 {
        let kept = self.lock();
        kept.entries.front().map_or(kept.latest + 1, |entry| entry.seq)
    }

    fn seq_of(&self, id: Ulid) -> Result<Option<u64>, SinkError> {
        let kept = self.lock();
        match &kept.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(kept.entries.iter().find(|entry| entry.event.id == id).map(|entry| entry.seq)),
        }
    }

    fn wait_after(&self, seq: u64, within: Duration) -> bool {
        let waited = self.0.1.wait_timeout_while(self.lock(), within, |kept| kept.latest <= seq);
        waited.unwrap_or_else(PoisonError::into_inner).0.latest > seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::domain::{EventKind, SCHEMA};

    fn event(number: u128) -> Event {
        let kind = EventKind::Degraded { message: String::new() };
        Event { schema: SCHEMA, id: Ulid(number), at: WallTime(jiff::Timestamp::UNIX_EPOCH), kind }
    }

    #[test]
    fn numbers_go_on_when_old_events_go() {
        let backlog = ScriptedBacklog::new();
        assert_eq!((backlog.oldest(), backlog.latest()), (1, 0));
        assert!(!backlog.wait_after(0, Duration::ZERO));
        let pushed: Vec<u64> = (11..=14).map(|number| backlog.push(event(number))).collect();
        assert_eq!(pushed, [1, 2, 3, 4]);
        assert!(backlog.wait_after(3, Duration::ZERO) && !backlog.wait_after(4, Duration::ZERO));
        backlog.keep(2);
        let seqs = |after, most| -> Vec<u64> {
            backlog.after(after, most).unwrap().iter().map(|entry| entry.seq).collect()
        };
        assert_eq!((seqs(0, 9), seqs(3, 9), seqs(0, 1)), (vec![3, 4], vec![4], vec![3]));
        assert_eq!((backlog.oldest(), backlog.seq_of(Ulid(11)).unwrap()), (3, None));
        assert_eq!(backlog.seq_of(Ulid(14)).unwrap(), Some(4));
        backlog.keep(0);
        assert_eq!((backlog.oldest(), backlog.latest()), (5, 4));
        backlog.fail(Some(SinkError::once("x".into(), "y")));
        assert!(backlog.after(0, 1).is_err());
    }
}
