//! The daemon's side of the socket: takes requests in, asks the main thread, and says what comes back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::caller::{Caller, Operators};
use super::protocol::{
    Answer, InvalidRequest, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Refusal, Request, read_request, write_answer,
};
use crate::clock::{Clock, Moment};
use crate::config::{Control, socket_mode};
use crate::listen::{Address, Guest, Host, ListenError, Server, Service, drain};

/// So many are served at once. More are told to come again.
pub const MAX_CLIENTS: usize = 8;
/// A client has so long to say what it wants: programs do at once.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// The main thread answers within a moment; reading settings and models again takes it a few seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A client that takes nothing for so long is gone.
const STALL: Duration = Duration::from_secs(5);
/// It is looked so often whether a client has gone.
const GLANCE: Duration = Duration::from_millis(100);
/// That somebody may not do something is logged once in so long for each user.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A request for the daemon's main thread.
pub struct Asked {
    /// What is asked for.
    pub request: Request,
    /// By whom; they may.
    pub caller: Caller,
    reply: Sender<Reply>,
}

impl Asked {
    /// Answers it. Does nothing if whoever asked has gone.
    pub fn answer(self, reply: Reply) {
        // The link has one place, and this is the only value.
        let _or_gone = self.reply.try_send(reply);
    }
}

/// What the main thread says to a request.
pub enum Reply {
    /// The answer.
    Answer(Answer),
    /// It takes longer: this is done on the thread of whoever asked.
    Work(Work),
}

/// Does what was asked for and gives back the last answer. It must look often whether the other side [is
/// gone](Talk::is_gone), and end then.
pub type Work = Box<dyn FnOnce(&mut dyn Talk) -> Answer + Send>;

/// A conversation with whoever asked.
pub trait Talk {
    /// Says how it goes.
    ///
    /// # Errors
    /// [`Gone`].
    fn say(&mut self, answer: &Answer) -> Result<(), Gone>;

    /// Whether nobody waits for the answer any more: whoever asked has hung up, or the daemon ends.
    fn is_gone(&mut self) -> bool;
}

/// Nobody waits for the answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The open socket. Closing it hangs up on everybody and removes its file.
pub struct ControlServer(Server);

impl ControlServer {
    /// Listens at `path`. Requests come out of the receiver, each after a call of `knock`, which must not wait.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn open(
        path: &Path,
        settings: &Control,
        clock: Arc<dyn Clock>,
        knock: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<(Self, Receiver<Asked>), ListenError> {
        let mode = socket_mode(&settings.mode).ok_or_else(|| ListenError::Mode(settings.mode.clone()))?;
        let operators = Operators::new(&settings.operators)?;
        let (ask, asked) = bounded(MAX_CLIENTS);
        let refused = Mutex::new(BTreeMap::new());
        let shared = Arc::new(Shared { ask, knock, operators, clock, refused });
        let group = settings.group.as_deref();
        let address = Address { thread: "control", path, mode, group, most: MAX_CLIENTS };
        let server = Server::open(address, Box::new(Reception(shared)))?;
        tracing::info!("facewarden ctl is answered at {}", path.display());
        Ok((Self(server), asked))
    }

    /// Hangs up on everybody. False if a thread did not end within that time, and is left behind.
    #[must_use]
    pub fn close(self, within: Duration) -> bool {
        self.0.close(within)
    }
}

struct Shared {
    ask: Sender<Asked>,
    knock: Arc<dyn Fn() + Send + Sync>,
    operators: Operators,
    clock: Arc<dyn Clock>,
    /// When it was last logged that a user may not.
    refused: Mutex<BTreeMap<u32, Moment>>,
}

struct Reception(Arc<Shared>);

impl Host for Reception {
    fn welcome(&self) -> Service {
        let shared = Arc::clone(&self.0);
        Box::new(move |stream, guest| Conversation { shared: &shared, stream, guest }.hold())
    }

    fn turn_away(&self, stream: &UnixStream, most: usize) {
        let message = format!("{most} are being served already, and that is the most: try again");
        let line = write_answer(&Answer::refused(Refusal::Busy, message));
        let _or_gone = send(stream, &line, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        drain(stream);
    }
}

struct Conversation<'a> {
    shared: &'a Shared,
    stream: &'a UnixStream,
    guest: &'a Guest,
}

impl Conversation<'_> {
    fn hold(mut self) {
        let answer = match self.request() {
            Ok(Some(request)) => self.answer(request),
            // It has gone without a word.
            Ok(None) => return,
            Err(error) => Answer::refused(Refusal::NoRequest, error),
        };
        let mut line = write_answer(&answer);
        if line.len() > MAX_ANSWER_BYTES {
            line = write_answer(&Answer::refused(Refusal::Internal, "the answer is too long to be sent"));
        }
        // Should it be gone, nobody wants to know.
        let _or_gone = self.send(&line);
        drain(self.stream);
    }

    /// What is asked for; `None` if the client goes, or the daemon ends, before it has said so.
    fn request(&self) -> Result<Option<Request>, InvalidRequest> {
        let until = self.shared.clock.now() + REQUEST_WITHIN;
        let mut said = Vec::new();
        loop {
            let left = until.since(self.shared.clock.now());
            if self.guest.is_closing() {
                return Ok(None);
            }
            if left.is_zero() {
                return Err(InvalidRequest::Form(format!("no whole line within {REQUEST_WITHIN:?}")));
            }
            if self.guest.wait(self.stream, PollFlags::IN, Some(left.min(GLANCE))).is_err() {
                return Ok(None);
            }
            let mut bytes = [0; MAX_REQUEST_BYTES + 1];
            match (&mut &*self.stream).read(&mut bytes) {
                Ok(0) if said.is_empty() => return Ok(None),
                Ok(0) => return read_request(&said).map(Some),
                Ok(count) => said.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_gone) => return Ok(None),
            }
            let end = said.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(said.len()) > MAX_REQUEST_BYTES {
                return Err(InvalidRequest::TooLong);
            }
            if let Some(end) = end {
                said.truncate(end);
                return read_request(&said).map(Some);
            }
        }
    }

    fn answer(&mut self, request: Request) -> Answer {
        let caller = match Caller::of(self.stream) {
            Ok(caller) => caller,
            Err(error) => {
                tracing::error!("who asks over the control socket is not known: {error}");
                return Answer::refused(Refusal::Internal, "the system does not say who asks");
            }
        };
        if request.is_for_operators() && !self.shared.operators.include(&caller) {
            return self.refuse(&request, &caller);
        }
        let (reply, replies) = bounded(1);
        let name = request.name();
        match self.shared.ask.try_send(Asked { request, caller, reply }) {
            Ok(()) => (self.shared.knock)(),
            Err(TrySendError::Full(_)) => {
                return Answer::refused(Refusal::Busy, "too much is asked at once: try again");
            }
            Err(TrySendError::Disconnected(_)) => return ending(),
        }
        let asked_at = self.shared.clock.now();
        loop {
            match replies.recv_timeout(GLANCE) {
                Ok(Reply::Answer(answer)) => return answer,
                Ok(Reply::Work(work)) => return work(self),
                Err(RecvTimeoutError::Disconnected) => return ending(),
                Err(RecvTimeoutError::Timeout) if self.guest.is_closing() => return ending(),
                Err(RecvTimeoutError::Timeout) => {
                    let waited = self.shared.clock.now().since(asked_at);
                    if waited >= ANSWER_WITHIN {
                        tracing::error!("the main thread did not answer `{name}` within {ANSWER_WITHIN:?}");
                        let message = "the daemon did not answer in time; its log may say why";
                        return Answer::refused(Refusal::Unavailable, message);
                    }
                }
            }
        }
    }

    fn refuse(&self, request: &Request, caller: &Caller) -> Answer {
        let now = self.shared.clock.now();
        let mut refused = self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, at| now.since(*at) < WARN_EVERY);
        // The time of the first is kept, or of somebody who goes on asking nothing would be heard again.
        if let Entry::Vacant(place) = refused.entry(caller.uid) {
            place.insert(now);
            tracing::warn!(uid = caller.uid, "{caller} asked for `{}` and may not", request.name());
        }
        drop(refused);
        let message = format!(
            "`{}` is for root, the daemon's own user, and those whom `control.operators` in the configuration names; \
             you are {caller}: use sudo, or have yourself added there",
            request.name()
        );
        Answer::refused(Refusal::NotAllowed, message)
    }

    /// Sends all of it; waits for a client that is slow, and not for one that takes nothing.
    fn send(&self, mut rest: &[u8]) -> Result<(), Gone> {
        let clock = &self.shared.clock;
        let mut moved_at = clock.now();
        while !rest.is_empty() {
            match send(self.stream, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    moved_at = clock.now();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if self.guest.is_closing() || clock.now().since(moved_at) >= STALL {
                        return Err(Gone);
                    }
                    self.guest.wait(self.stream, PollFlags::OUT, Some(GLANCE)).map_err(|_| Gone)?;
                }
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}

impl Talk for Conversation<'_> {
    fn say(&mut self, answer: &Answer) -> Result<(), Gone> {
        self.send(&write_answer(answer))
    }

    fn is_gone(&mut self) -> bool {
        let gone = PollFlags::HUP | PollFlags::ERR;
        self.guest.is_closing()
            || self
                .guest
                .wait(self.stream, PollFlags::empty(), Some(Duration::ZERO))
                .is_ok_and(|found| found.intersects(gone))
    }
}

fn ending() -> Answer {
    Answer::refused(Refusal::Unavailable, "the daemon ends")
}
