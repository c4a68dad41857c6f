//! What sinks have to say about themselves, on its way to becoming a `service.degraded` event.
//!
//! A sink cannot send events itself: it is told of them, and would wait for itself.

use crossbeam_channel::{Receiver, Sender, bounded};

/// So many wait to be told; more are only in the log.
const MOST_WAITING: usize = 64;

/// Where a sink says what operators should hear. Clones go to the same place.
#[derive(Debug, Clone)]
pub struct Notices(Sender<String>);

/// A place for notices, and where they come out. Whoever owns the daemon announces them.
#[must_use]
pub fn notices() -> (Notices, Receiver<String>) {
    let (sender, receiver) = bounded(MOST_WAITING);
    (Notices(sender), receiver)
}

impl Notices {
    /// Says something once: what is wrong and what follows, for people, without names and scores. It is logged as a
    /// warning and becomes a `service.degraded` event.
    pub fn say(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!("{message}");
        // With so many waiting, one more would tell nobody anything; it is in the log.
        drop(self.0.try_send(message));
    }
}
