//! Who is told of events.

use crate::domain::Event;

/// Something that takes events. Each sink has a thread and a bounded queue of its own, so that a slow one
/// delays no other.
pub trait Sink: Send {
    /// For logs: "event log /var/log/...", "hook /usr/local/bin/unlock".
    fn name(&self) -> String;

    /// Whether it wants this event.
    fn wants(&self, event: &Event) -> bool;

    /// Delivers one event; may take its time.
    ///
    /// # Errors
    /// What went wrong; the caller logs it once.
    fn deliver(&mut self, event: &Event) -> Result<(), SinkError>;

    /// Called once, after the last event: finish what is under way within about `within`.
    fn close(&mut self, within: std::time::Duration);
}

/// An event that was not delivered.
#[derive(Debug, thiserror::Error)]
#[error("{sink}: {message}")]
pub struct SinkError {
    /// Name of the sink.
    pub sink: String,
    /// What went wrong and what to do.
    pub message: String,
}
