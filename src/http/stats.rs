//! What the server counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What the server counts. Shared by all that serve.
#[derive(Debug, Default)]
pub struct HttpStats {
    connections_now: AtomicU64,
    refused: AtomicU64,
    answered: Mutex<BTreeMap<(String, u16), u64>>,
}

impl HttpStats {
    /// Connections that are open.
    #[must_use]
    pub fn connections_now(&self) -> u64 {
        self.connections_now.load(Ordering::Relaxed)
    }

    /// Connections that were closed at once because there were too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How often each route was answered with each status. Routes as they are defined, never as they were asked for.
    #[must_use]
    pub fn answered(&self) -> Vec<((String, u16), u64)> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.iter().map(|(key, count)| (key.clone(), *count)).collect()
    }

    pub(super) fn opened(&self) {
        self.connections_now.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.connections_now.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// `route` is one of those that are defined, so their number is bounded.
    pub(super) fn answer(&self, route: &str, status: u16) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        *answered.entry((route.to_owned(), status)).or_default() += 1;
    }
}
