//! Who is told of events.

mod event_log;
mod fanout;
mod hook;
mod scripted;

pub use event_log::EventLog;
pub use fanout::{Fanout, LinkState, QUEUE_LENGTH};
pub use hook::{HookSink, HookStats, MAX_OUTPUT_BYTES, MAX_WAITING};
pub use scripted::{Delivered, ScriptedSink};

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
    /// True if nothing can ever be delivered there again (standard output was closed): it is not tried again,
    /// and whoever runs the daemon may want to end it.
    pub gone: bool,
}

impl SinkError {
    /// This one event was not delivered; the next may be.
    #[must_use]
    pub fn once(sink: String, message: impl std::fmt::Display) -> Self {
        Self { sink, message: message.to_string(), gone: false }
    }

    /// Neither this nor any later event can be delivered.
    #[must_use]
    pub fn gone(sink: String, message: impl std::fmt::Display) -> Self {
        Self { sink, message: message.to_string(), gone: true }
    }
}
