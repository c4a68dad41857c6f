//! A unix socket that programs on this machine read events from, one JSON object a line.
//!
//! One thread accepts, one rings when there are new events, and each reader has one of its own that reads from the
//! [`Backlog`] at the reader's pace: nothing is queued for anybody, so a slow reader costs neither memory nor others'
//! time.

mod reader;

use std::sync::Arc;
use std::time::Duration;

use super::{Backlog, Filter};
use crate::clock::Clock;
use crate::config::{Socket, socket_mode};
use crate::listen::{Address, Guests, Host, ListenError, Server, Service};
use reader::Reader;

pub use reader::MAX_REQUEST_BYTES;

/// The bell looks so often whether the server is being closed.
const BELL_TICK: Duration = Duration::from_millis(250);

/// The open socket. Closing it ends its readers and removes its file.
pub struct SocketServer(Server);

/// What all readers share.
struct Shared {
    source: Arc<dyn Backlog>,
    clock: Arc<dyn Clock>,
    filter: Filter,
    stall: Duration,
    /// Whether everybody is told scores.
    scores: bool,
}

impl SocketServer {
    /// Listens as the settings say. A file that a daemon left behind is replaced.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn open(
        settings: &Socket,
        source: Arc<dyn Backlog>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ListenError> {
        let mode = socket_mode(&settings.mode).ok_or_else(|| ListenError::Mode(settings.mode.clone()))?;
        // Before anybody can connect: of what comes after this, readers are woken.
        let seen = source.latest();
        let address = Address {
            thread: "socket",
            path: &settings.path,
            mode,
            group: settings.group.as_deref(),
            most: settings.max_readers as usize,
        };
        let (filter, stall) = (Filter::new(&settings.only), Duration::from_millis(settings.stall_ms));
        let scores = settings.scores;
        let shared = Arc::new(Shared { source: Arc::clone(&source), clock, filter, stall, scores });
        let mut server = Server::open(address, Box::new(Desk(shared)))?;
        server
            .accompany("socket-bell", move |readers| ring_for_events(&*source, seen, readers))
            .map_err(|source| ListenError::Io { path: settings.path.clone(), source })?;
        tracing::info!("programs may read events at {}", settings.path.display());
        Ok(Self(server))
    }

    /// So many read at this moment.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.guests()
    }

    /// Gives readers what they can take at once, ends them and removes the file. False if a thread did not end within
    /// that time, and is left behind.
    #[must_use]
    pub fn close(self, within: Duration) -> bool {
        self.0.close(within)
    }
}

/// Wakes the readers when there are new events.
fn ring_for_events(source: &dyn Backlog, mut seen: u64, readers: &Guests) {
    while !readers.is_closing() {
        readers.wait_for_any();
        if source.wait_after(seen, BELL_TICK) {
            seen = source.latest();
            readers.ring();
        }
    }
}

/// Takes readers in.
struct Desk(Arc<Shared>);

impl Host for Desk {
    fn welcome(&self) -> Service {
        let shared = Arc::clone(&self.0);
        // From here on nothing is missed, however long it takes to say where to begin.
        let connected_at = shared.source.latest();
        Box::new(move |stream, guest| Reader::new(&shared, stream, guest, connected_at).serve())
    }

    fn turn_away(&self, stream: &std::os::unix::net::UnixStream, most: usize) {
        reader::refuse(stream, &format!("{most} read already, and that is the most"));
    }
}
