//! A unix socket that is listened at: its file, who comes in, and how it all ends. What is said there is up to the
//! [`Host`].
//!
//! One thread accepts, and each guest is served on one of its own. All of them can be woken, so that closing waits for
//! nobody.

mod bind;

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use bind::Bound;
pub use bind::group_id;

/// When nobody can be taken in (no file descriptors), it is tried again after so long.
const PAUSE: Duration = Duration::from_secs(1);
/// A server that is dropped waits so long for its guests.
const DROP_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
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
    /// There is no such user.
    #[error("there is no user `{0}` in /etc/passwd; a user from elsewhere is written as its number")]
    NoUser(String),
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

/// Where to listen, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// Name of the thread that accepts, and the beginning of its guests'.
    pub thread: &'static str,
    /// The socket's file. The folder it is in is made if that one alone is missing.
    pub path: &'a Path,
    /// Its permission bits.
    pub mode: u32,
    /// The group that the file is given to; `None` for the process's own.
    pub group: Option<&'a str>,
    /// So many guests at once.
    pub most: usize,
}

/// Serves one guest, on a thread of its own. The stream does not block.
pub type Service = Box<dyn FnOnce(&UnixStream, &Guest) + Send>;

/// Says what is done with those who come in.
pub trait Host: Send + Sync {
    /// Somebody has come in. Called on the thread that accepts, so it must not wait.
    fn welcome(&self) -> Service;

    /// Somebody has come in while `most` are there; is hung up on after this. Must not wait.
    fn turn_away(&self, stream: &UnixStream, most: usize);
}

/// Somebody who has come in.
pub struct Guest {
    bell: Arc<OwnedFd>,
    guests: Arc<Guests>,
}

impl Guest {
    /// Whether the server is being closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.guests.is_closing()
    }

    /// Waits until something may be done with the stream, the bell rings (which stops it) or time is over. `None` waits
    /// for ever.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn wait(
        &self,
        stream: &UnixStream,
        flags: PollFlags,
        timeout: Option<Duration>,
    ) -> io::Result<PollFlags> {
        let mut on = [PollFd::new(stream, flags), PollFd::new(&self.bell, PollFlags::IN)];
        wait(&mut on, timeout)?;
        let found = on[0].revents();
        self.silence();
        Ok(found)
    }

    /// Stops the bell.
    pub fn silence(&self) {
        let _or_silent = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }
}

/// All who are there.
pub struct Guests {
    is_closing: AtomicBool,
    /// Wakes the thread that accepts.
    door: OwnedFd,
    there: Mutex<Vec<Handle>>,
    changed: Condvar,
}

/// A guest's thread, and what wakes it.
struct Handle {
    bell: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Guests {
    /// Whether the server is being closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Waits until somebody is there, or the server is being closed.
    pub fn wait_for_any(&self) {
        let is_idle = |there: &mut Vec<Handle>| there.is_empty() && !self.is_closing();
        drop(self.changed.wait_while(self.lock(), is_idle));
    }

    /// Wakes all of them.
    pub fn ring(&self) {
        self.lock().iter().for_each(|guest| ring(&guest.bell));
    }

    /// So many are there at this moment.
    fn count(&self) -> usize {
        self.lock().iter().filter(|guest| !guest.thread.is_finished()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what the other side has said and nobody has read, before it is hung up on: the system would call it an error if
/// that were left, and the last words might be lost.
pub fn drain(mut stream: &UnixStream) {
    let mut bytes = [0; 4096];
    for _ in 0..16 {
        if !matches!(stream.read(&mut bytes), Ok(1..)) {
            break;
        }
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

/// As poll(2), without interruptions by signals; `None` waits for ever.
fn wait(on: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(Timespec::try_from).transpose().unwrap_or(None);
    match poll(on, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The open socket. Closing it ends its guests' threads and removes its file.
pub struct Server {
    guests: Arc<Guests>,
    thread: &'static str,
    threads: Vec<JoinHandle<()>>,
    /// Each thread has one. Dropped when it is to end.
    alive: Option<Sender<()>>,
    /// Disconnected when every thread has ended.
    over: Receiver<()>,
}

impl Server {
    /// Listens. A file that a process left behind is replaced.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn open(address: Address<'_>, host: Box<dyn Host>) -> Result<Self, ListenError> {
        let Address { thread, path, mode, group, most } = address;
        let io_error = |source| ListenError::Io { path: path.to_owned(), source };
        let bound = Bound::new(path, mode, group)?;
        let guests = Arc::new(Guests {
            is_closing: AtomicBool::new(false),
            door: bell().map_err(io_error)?,
            there: Mutex::new(Vec::new()),
            changed: Condvar::new(),
        });
        let (alive, over) = bounded(0);
        let mut server = Self { guests, thread, threads: Vec::new(), alive: Some(alive.clone()), over };
        let (guests, path) = (Arc::clone(&server.guests), path.to_owned());
        let accept = move || Door { bound, host, guests, thread, path, most, alive }.run();
        server.threads.push(Builder::new().name(thread.to_owned()).spawn(accept).map_err(io_error)?);
        Ok(server)
    }

    /// Starts a further thread that belongs to the server: it must end soon after [`Guests::is_closing`].
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub fn accompany(&mut self, name: &str, work: impl FnOnce(&Guests) + Send + 'static) -> io::Result<()> {
        let (guests, alive) = (Arc::clone(&self.guests), self.alive.clone());
        let work = move || {
            work(&guests);
            drop(alive);
        };
        self.threads.push(Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(())
    }

    /// So many guests are there at this moment.
    #[must_use]
    pub fn guests(&self) -> usize {
        self.guests.count()
    }

    /// Ends everything and removes the file. False if a thread did not end within that time, and is left behind.
    #[must_use]
    pub fn close(mut self, within: Duration) -> bool {
        self.end(within)
    }

    fn end(&mut self, within: Duration) -> bool {
        self.guests.is_closing.store(true, Ordering::Release);
        self.alive = None;
        ring(&self.guests.door);
        self.guests.ring();
        self.guests.changed.notify_all();
        let threads = std::mem::take(&mut self.threads);
        if self.over.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        let there = std::mem::take(&mut *self.guests.lock());
        for thread in there.into_iter().map(|guest| guest.thread).chain(threads) {
            join(thread, self.thread);
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty() && !self.end(DROP_WITHIN) {
            tracing::warn!("the {} did not end in time", self.thread);
        }
    }
}

fn join(thread: JoinHandle<()>, name: &str) {
    if thread.join().is_err() {
        tracing::error!("a thread of the {name} panicked");
    }
}

/// What the thread that accepts works with.
struct Door {
    bound: Bound,
    host: Box<dyn Host>,
    guests: Arc<Guests>,
    thread: &'static str,
    path: PathBuf,
    most: usize,
    alive: Sender<()>,
}

impl Door {
    /// Takes guests in, until the server is closed.
    fn run(self) {
        let mut count = 0_u64;
        let mut is_said = false;
        let path = self.path.display();
        while !self.guests.is_closing() {
            let door = &self.guests.door;
            let mut on = [PollFd::new(door, PollFlags::IN), PollFd::new(&self.bound.listener, PollFlags::IN)];
            let accepted = match wait(&mut on, None) {
                Ok(()) => self.bound.listener.accept(),
                Err(error) => Err(error),
            };
            match accepted {
                Ok((stream, _)) => {
                    count += 1;
                    is_said = false;
                    if let Err(error) = self.take_in(stream, count) {
                        tracing::warn!("somebody at the socket {path} cannot be served: {error}");
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    if !is_said {
                        tracing::warn!("nobody can be taken in at the socket {path}: {error}");
                    }
                    is_said = true;
                    drop(wait(&mut [PollFd::new(door, PollFlags::IN)], Some(PAUSE)));
                }
            }
        }
    }

    fn take_in(&self, stream: UnixStream, count: u64) -> io::Result<()> {
        let service = self.host.welcome();
        stream.set_nonblocking(true)?;
        let mut there = self.guests.lock();
        let (over, going): (Vec<Handle>, Vec<Handle>) =
            there.drain(..).partition(|guest| guest.thread.is_finished());
        *there = going;
        over.into_iter().for_each(|guest| join(guest.thread, self.thread));
        if there.len() >= self.most {
            drop(there);
            self.host.turn_away(&stream, self.most);
            return Ok(());
        }
        let bell = Arc::new(bell()?);
        let guest = Guest { bell: Arc::clone(&bell), guests: Arc::clone(&self.guests) };
        let alive = self.alive.clone();
        let thread = Builder::new().name(format!("{}-{count}", self.thread)).spawn(move || {
            service(&stream, &guest);
            drop(alive);
        })?;
        there.push(Handle { bell, thread });
        self.guests.changed.notify_all();
        Ok(())
    }
}
