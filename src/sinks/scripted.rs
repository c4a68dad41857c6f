//! A sink for tests: it collects what it is given, and fails, waits or panics where a script says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Fate, QUEUE_LENGTH, Sink, SinkError};
use crate::domain::Event;

/// What a [`ScriptedSink`] was given. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Delivered(Arc<Mutex<(Vec<Event>, bool)>>);

impl Delivered {
    /// Everything delivered so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Whether the sink was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

type Script = Box<dyn FnMut(&Event) -> Result<(), String> + Send>;

/// Collects events.
pub struct ScriptedSink {
    name: String,
    delivered: Delivered,
    script: Script,
    queue_length: usize,
    fate: Fate,
}

impl ScriptedSink {
    /// Takes everything.
    #[must_use]
    pub fn new(name: &str) -> (Self, Delivered) {
        Self::with_script(name, |_| Ok(()))
    }

    /// Asks the script before it takes an event: an error is one event not delivered. The script may also wait
    /// or panic.
    #[must_use]
    pub fn with_script(
        name: &str,
        script: impl FnMut(&Event) -> Result<(), String> + Send + 'static,
    ) -> (Self, Delivered) {
        let delivered = Delivered::default();
        (
            Self {
                name: name.to_owned(),
                delivered: delivered.clone(),
                script: Box::new(script),
                queue_length: QUEUE_LENGTH,
                fate: Fate::Refused,
            },
            delivered,
        )
    }

    /// What becomes of events for which the script gives an error, instead of [`Fate::Refused`].
    #[must_use]
    pub fn with_fate(self, fate: Fate) -> Self {
        Self { fate, ..self }
    }

    /// With so many places where events wait for it.
    #[must_use]
    pub fn with_queue_length(self, queue_length: usize) -> Self {
        Self { queue_length, ..self }
    }
}

impl Sink for ScriptedSink {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn wants(&self, _event: &Event) -> bool {
        true
    }

    fn queue_length(&self) -> usize {
        self.queue_length
    }

    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        (self.script)(event).map_err(|message| SinkError {
            sink: self.name.clone(),
            message,
            fate: self.fate,
        })?;
        self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner).0.push(event.clone());
        Ok(())
    }

    fn close(&mut self, _within: Duration) {
        self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
    }
}
