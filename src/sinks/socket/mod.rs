//! A unix socket that programs on this machine read events from, one JSON object a line.
//!
//! One thread accepts, one rings when there are new events, and each reader has one of its own that reads from the
//! [`Backlog`] at the reader's pace: nothing is queued for anybody, so a slow reader costs neither memory nor others'
//! time.

mod bind;
mod reader;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::{Backlog, Filter};
use crate::clock::Clock;
use crate::config::{Socket, socket_mode};
use bind::Bound;
use reader::Reader;

pub use reader::MAX_REQUEST_BYTES;

/// The bell looks so often whether the server is being closed.
const BELL_TICK: Duration = Duration::from_millis(250);
/// When no more readers can be had (no file descriptors), it is tried again after so long.
const PAUSE: Duration = Duration::from_secs(1);
/// A server that is dropped waits so long for its readers.
const DROP_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another daemon answers at the socket {}", .0.display())]
    Busy(PathBuf),
    /// Something else than a socket is there.
    #[error("{} is in the way of the socket: it is none itself; move it away", .0.display())]
    InTheWay(PathBuf),
    /// The folder for it is missing and cannot be made.
    #[error("there is no folder {} for the socket, and it cannot be made: {source}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such group.
    #[error("there is no group `{0}` in /etc/group; a group from elsewhere is written as its number")]
    NoGroup(String),
    /// The file cannot be given to the group.
    #[error("the socket cannot be given to the group {group}: {source}; the daemon's user must be in it")]
    CannotGive {
        /// Its number.
        group: u32,
        /// Why.
        source: io::Error,
    },
    /// The mode is no mode.
    #[error("`{0}` are no permissions: four octal digits such as 0660")]
    Mode(String),
    /// The system refuses.
    #[error("the socket {} cannot be opened: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The open socket. Closing it ends its readers and removes its file.
pub struct SocketServer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Disconnected when every thread has ended.
    over: Receiver<()>,
}

/// What all threads of the server know.
struct Shared {
    source: Arc<dyn Backlog>,
    clock: Arc<dyn Clock>,
    filter: Filter,
    stall: Duration,
    most: usize,
    is_closing: AtomicBool,
    /// Wakes the thread that accepts.
    door: OwnedFd,
    readers: Mutex<Vec<Handle>>,
    readers_changed: Condvar,
}

/// A reader's thread, and what wakes it.
struct Handle {
    bell: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Shared {
    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that a thread can wait for together with a socket.
fn bell() -> io::Result<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from)
}

fn ring(bell: &OwnedFd) {
    // Full means that it rings already.
    let _or_full = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

/// Stops it ringing.
fn silence(bell: &OwnedFd) {
    let _or_silent = rustix::io::read(bell, &mut [0_u8; 8]);
}

/// As poll(2), without interruptions by signals; `None` waits for ever.
fn wait(on: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(Timespec::try_from).transpose().unwrap_or(None);
    match poll(on, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl SocketServer {
    /// Listens as the settings say. A file that a daemon left behind is replaced.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn open(
        settings: &Socket,
        source: Arc<dyn Backlog>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SocketError> {
        let io_error = |source| SocketError::Io { path: settings.path.clone(), source };
        let mode = socket_mode(&settings.mode).ok_or_else(|| SocketError::Mode(settings.mode.clone()))?;
        // Before anybody can connect: of what comes after this, readers are woken.
        let seen = source.latest();
        let bound = Bound::new(&settings.path, mode, settings.group.as_deref())?;
        let shared = Arc::new(Shared {
            source,
            clock,
            filter: Filter::new(&settings.only),
            stall: Duration::from_millis(settings.stall_ms),
            most: settings.max_readers as usize,
            is_closing: AtomicBool::new(false),
            door: bell().map_err(io_error)?,
            readers: Mutex::new(Vec::new()),
            readers_changed: Condvar::new(),
        });
        let (alive, over) = bounded(0);
        let mut server = Self { shared, threads: Vec::new(), over };
        let (shared, ours) = (Arc::clone(&server.shared), alive.clone());
        server.spawn("socket-bell", move || ring_for_events(&shared, seen, &ours)).map_err(io_error)?;
        let shared = Arc::clone(&server.shared);
        server.spawn("socket", move || accept(&shared, bound, &alive)).map_err(io_error)?;
        tracing::info!("programs may read events at {}", settings.path.display());
        Ok(server)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(())
    }

    /// So many read at this moment.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.shared.lock().iter().filter(|reader| !reader.thread.is_finished()).count()
    }

    /// Gives readers what they can take at once, ends them and removes the file. False if a thread did not end within
    /// that time, and is left behind.
    #[must_use]
    pub fn close(mut self, within: Duration) -> bool {
        self.end(within)
    }

    fn end(&mut self, within: Duration) -> bool {
        self.shared.is_closing.store(true, Ordering::Release);
        ring(&self.shared.door);
        let readers = self.shared.lock();
        readers.iter().for_each(|reader| ring(&reader.bell));
        self.shared.readers_changed.notify_all();
        drop(readers);
        if self.over.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        let readers = std::mem::take(&mut *self.shared.lock());
        for thread in readers.into_iter().map(|reader| reader.thread).chain(self.threads.drain(..)) {
            if thread.join().is_err() {
                tracing::error!("a thread of the socket panicked");
            }
        }
        true
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        if !self.threads.is_empty() && !self.end(DROP_WITHIN) {
            tracing::warn!("the socket did not end in time");
        }
    }
}

/// Wakes the readers when there are new events.
fn ring_for_events(shared: &Shared, mut seen: u64, _alive: &Sender<()>) {
    while !shared.is_closing() {
        let is_idle = |readers: &mut Vec<Handle>| readers.is_empty() && !shared.is_closing();
        drop(shared.readers_changed.wait_while(shared.lock(), is_idle));
        if shared.source.wait_after(seen, BELL_TICK) {
            seen = shared.source.latest();
            shared.lock().iter().for_each(|reader| ring(&reader.bell));
        }
    }
}

/// Takes readers in, until the server is closed.
fn accept(shared: &Arc<Shared>, bound: Bound, alive: &Sender<()>) {
    let mut count = 0_u64;
    let mut is_said = false;
    while !shared.is_closing() {
        let mut on = [PollFd::new(&shared.door, PollFlags::IN), PollFd::new(&bound.listener, PollFlags::IN)];
        let accepted = match wait(&mut on, None) {
            Ok(()) => bound.listener.accept(),
            Err(error) => Err(error),
        };
        match accepted {
            Ok((stream, _)) => {
                count += 1;
                is_said = false;
                if let Err(error) = take_in(shared, stream, count, alive) {
                    tracing::warn!("a reader of the socket cannot be served: {error}");
                }
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {}
            Err(error) => {
                if !is_said {
                    tracing::warn!("no reader can be taken in at the socket: {error}");
                }
                is_said = true;
                let mut door = [PollFd::new(&shared.door, PollFlags::IN)];
                drop(wait(&mut door, Some(PAUSE)));
            }
        }
    }
    drop(bound);
}

fn take_in(shared: &Arc<Shared>, stream: UnixStream, count: u64, alive: &Sender<()>) -> io::Result<()> {
    // From here on nothing is missed, however long it takes to say where to begin.
    let connected_at = shared.source.latest();
    stream.set_nonblocking(true)?;
    let mut readers = shared.lock();
    let (over, going): (Vec<Handle>, Vec<Handle>) =
        readers.drain(..).partition(|reader| reader.thread.is_finished());
    *readers = going;
    for reader in over {
        if reader.thread.join().is_err() {
            tracing::error!("a thread of the socket panicked");
        }
    }
    if readers.len() >= shared.most {
        drop(readers);
        reader::refuse(&stream, &format!("{} read already, and that is the most", shared.most));
        return Ok(());
    }
    let bell = Arc::new(bell()?);
    let (ours, alive) = (Arc::clone(&bell), alive.clone());
    let served = Arc::clone(shared);
    let thread = Builder::new().name(format!("reader-{count}")).spawn(move || {
        Reader::new(&served, &stream, &ours, connected_at).serve();
        drop(alive);
    })?;
    readers.push(Handle { bell, thread });
    shared.readers_changed.notify_all();
    Ok(())
}
