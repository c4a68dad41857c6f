//! Who is told of events.
//!
//! What acts at once is told directly, over a queue of its own (`fanout`): hooks, relays, standard output. What must
//! miss nothing is told from the outbox, a store on disk that every event is written to first.

mod backlog;
mod courier;
mod event_log;
mod fanout;
mod filter;
mod hook;
mod mqtt;
mod notices;
mod outbox;
mod pause;
mod recorder;
mod relay;
mod rewrite;
mod scripted;
mod secret;
mod socket;
mod tls;
mod webhook;

pub use backlog::{Backlog, Entry, ScriptedBacklog};
pub use courier::{Addressee, Courier, CourierStats};
pub use event_log::{
    EventLog, Fault, LineHash, LogForgotten, LogKeeper, Report, Rotation, Traces, VerifyError, What,
    log_exists, older_files, print_events, traces, verify,
};
pub use fanout::{Fanout, LinkState, QUEUE_LENGTH};
pub use filter::Filter;
pub use hook::{HookSink, HookStats, MAX_OUTPUT_BYTES, MAX_WAITING};
pub use mqtt::{MqttError, MqttSink, MqttStats, try_broker};
pub use notices::{Notices, notices};
pub use outbox::{MAX_IN_MEMORY, Outbox, OutboxError, OutboxForgotten};
pub use recorder::Recorder;
pub use relay::{Line, RelaySink};
pub use scripted::{Delivered, ScriptedSink};
pub use secret::{SecretError, read_secret};
pub use socket::{MAX_REQUEST_BYTES, SocketServer};
pub use tls::RootsError;
pub use webhook::{WebhookError, WebhookFault, WebhookSink, new_webhook_secret, try_webhook};

use std::time::Duration;

use crate::domain::Event;

/// Something that takes events. Each sink has a thread of its own, so that a slow one delays no other.
pub trait Sink: Send {
    /// For logs: "event log /var/log/...", "hook /usr/local/bin/unlock".
    fn name(&self) -> String;

    /// Whether it wants this event.
    fn wants(&self, event: &Event) -> bool;

    /// So many events wait for it before new ones are dropped for it, where it is told directly.
    fn queue_length(&self) -> usize {
        QUEUE_LENGTH
    }

    /// Delivers one event; may take its time. Once it gives back `Ok` the event is never offered again, except after
    /// a crash.
    ///
    /// # Errors
    /// What went wrong and what is to become of the event; the caller logs it.
    fn deliver(&mut self, event: &Event) -> Result<(), SinkError>;

    /// Called when nothing waits for it any more, for now: what was put off for the sake of speed is to be done.
    ///
    /// # Errors
    /// What went wrong; the caller logs it.
    fn rest(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Called once, after the last event: finish what is under way within about `within`.
    fn close(&mut self, within: Duration);
}

/// An event that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sink}: {message}")]
pub struct SinkError {
    /// Name of the sink.
    pub sink: String,
    /// What went wrong and what to do.
    pub message: String,
    /// What is to become of the event.
    pub fate: Fate,
}

/// What is to become of an event that was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is not delivered, and trying again would not help. The next event may be.
    Refused,
    /// It may be delivered later: told from the outbox it is tried again, for as long as it is kept there. Directly
    /// told sinks have no later.
    Later {
        /// Not before so long has passed; `None` where the other side did not say.
        after: Option<Duration>,
    },
    /// Neither this nor any later event can be delivered (standard output was closed): the sink is not used any more,
    /// and whoever runs the daemon may want to end it.
    Gone,
    /// As [`Fate::Gone`], because the sink panicked: a defect of this program.
    Defect,
}

impl Fate {
    /// Whether the sink is not to be used any more.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Gone | Self::Defect)
    }
}

impl SinkError {
    /// This one event was not delivered; the next may be.
    #[must_use]
    pub fn once(sink: String, message: impl std::fmt::Display) -> Self {
        Self { sink, message: message.to_string(), fate: Fate::Refused }
    }

    /// It did not work this time, and may later.
    #[must_use]
    pub fn later(sink: String, message: impl std::fmt::Display, after: Option<Duration>) -> Self {
        Self { sink, message: message.to_string(), fate: Fate::Later { after } }
    }

    /// Neither this nor any later event can be delivered.
    #[must_use]
    pub fn gone(sink: String, message: impl std::fmt::Display) -> Self {
        Self { sink, message: message.to_string(), fate: Fate::Gone }
    }
}
