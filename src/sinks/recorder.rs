//! Writes what happens to the outbox: told directly, like a sink, and faster than any.

use std::sync::Arc;
use std::time::Duration;

use super::{Outbox, Sink, SinkError};
use crate::domain::Event;

/// So many events are written together at most.
const BATCH: usize = 128;
/// So many wait while the disk is slow: about a minute of very many.
const QUEUE_LENGTH: usize = 8192;

/// Takes every event to the outbox. What comes in quick succession is written together, so that a burst costs one
/// wait for the disk.
pub struct Recorder {
    outbox: Arc<Outbox>,
    gathered: Vec<Arc<Event>>,
}

impl Recorder {
    /// Writes to `outbox`.
    #[must_use]
    pub fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, gathered: Vec::with_capacity(BATCH) }
    }

    fn store(&mut self) {
        if !self.gathered.is_empty() {
            self.outbox.store(&self.gathered);
            self.gathered.clear();
        }
    }
}

impl Sink for Recorder {
    fn name(&self) -> String {
        "outbox".to_owned()
    }

    fn wants(&self, _event: &Event) -> bool {
        true
    }

    fn queue_length(&self) -> usize {
        QUEUE_LENGTH
    }

    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        self.gathered.push(Arc::new(event.clone()));
        if self.gathered.len() >= BATCH {
            self.store();
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), SinkError> {
        self.store();
        Ok(())
    }

    fn close(&mut self, _within: Duration) {
        self.store();
        self.outbox.rest();
    }
}
