//! One reader of the socket.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{SendFlags, send, sockopt};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::Shared;
use crate::listen::{Guest, drain};
use crate::sinks::Entry;

/// No request is longer.
pub const MAX_REQUEST_BYTES: usize = 4096;
/// A reader that does not say where to begin within that time gets what comes from now on.
const REQUEST_WITHIN: Duration = Duration::from_secs(1);
/// So many events are read from the backlog at once.
const BATCH: usize = 32;
/// What may wait in the kernel for a reader. Little, so that what a slow reader gets is not old; the system takes
/// twice as much, for what it needs itself.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// For the last words to a reader whose buffer is full.
const LAST_BUFFER_BYTES: usize = 128 * 1024;
/// Within the time that a reader may stall, it is tried so often whether something can be sent: the system says so of
/// itself only when the buffer is nearly empty.
const TRIES_IN_A_STALL: u32 = 8;

/// What a reader may say first, as one line of JSON.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    /// Go on after this event.
    since: Option<Ulid>,
    /// Begin with the oldest event that is kept.
    all: bool,
    /// False to end with the newest event there is.
    follow: Option<bool>,
}

/// What is said of the stream itself.
#[derive(Debug, Serialize)]
struct Said<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
    /// The last event that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Ulid>,
}

impl Said<'_> {
    fn line(&self) -> Vec<u8> {
        // Text and numbers can always be written.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// Says why nothing is sent, if that can be said at once.
pub(super) fn refuse(stream: &UnixStream, message: &str) {
    let line = Said { kind: "stream.refused", message, last: None }.line();
    let _or_gone = send(stream, &line, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    drain(stream);
}

/// How a stream ends.
#[derive(Debug)]
enum End {
    /// The reader has gone.
    Gone,
    /// The server is being closed.
    Closing,
    /// All that was asked for was sent.
    Complete,
    /// It takes nothing.
    Stalled,
    /// It said something that is no request.
    Refused(String),
    /// The backlog cannot be read, or the system refuses.
    Broken(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Gone,
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// A reader, and how far it is.
pub(super) struct Reader<'a> {
    shared: &'a Shared,
    stream: &'a UnixStream,
    guest: &'a Guest,
    /// It is told scores.
    sees_scores: bool,
    /// It has all up to this number.
    position: u64,
    /// Nothing beyond this number is sent.
    until: Option<u64>,
    waiting: VecDeque<Entry>,
    /// What is left of the line that is being sent.
    rest: Vec<u8>,
    /// The event of that line.
    sending: Option<Ulid>,
    last: Option<Ulid>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(shared: &'a Shared, stream: &'a UnixStream, guest: &'a Guest, position: u64) -> Self {
        Self {
            shared,
            stream,
            guest,
            sees_scores: shared.scores || is_privileged(stream),
            position,
            until: None,
            waiting: VecDeque::new(),
            rest: Vec::new(),
            sending: None,
            last: None,
        }
    }

    /// Sends events until something ends it.
    pub(super) fn serve(mut self) {
        let Err(end) = self.run();
        let (kind, message) = match end {
            End::Gone => return,
            End::Closing => ("stream.closed", "the daemon ends".to_owned()),
            End::Complete => ("stream.end", "these are all the events that are kept".to_owned()),
            End::Stalled => {
                let stall_ms = self.shared.stall.as_millis();
                tracing::warn!("a reader of the socket took nothing for {stall_ms} ms and is dropped");
                ("stream.dropped", format!("nothing was taken for {stall_ms} ms: go on with since"))
            }
            End::Refused(why) => ("stream.refused", why),
            End::Broken(why) => {
                tracing::warn!("a reader of the socket is dropped: {why}");
                ("stream.dropped", why)
            }
        };
        // A line that was begun is ended, or its reader could not read the last one.
        let mut last_words = std::mem::take(&mut self.rest);
        let last = self.sending.or(self.last);
        last_words.extend(Said { kind, message: &message, last }.line());
        let _or_as_it_was = sockopt::set_socket_send_buffer_size(self.stream, LAST_BUFFER_BYTES);
        let _or_gone = send(self.stream, &last_words, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        drain(self.stream);
    }

    fn run(&mut self) -> Result<std::convert::Infallible, End> {
        sockopt::set_socket_send_buffer_size(self.stream, SEND_BUFFER_BYTES).map_err(io::Error::from)?;
        let request = self.request()?;
        self.begin(&request)?;
        loop {
            self.guest.silence();
            let is_closing = self.guest.is_closing();
            self.load()?;
            if !self.rest.is_empty() {
                self.send(is_closing)?;
            } else if self.until.is_some() {
                // Nothing is left up to there, whether it was sent or is not kept any more.
                return Err(End::Complete);
            } else if is_closing {
                return Err(End::Closing);
            } else {
                self.idle()?;
            }
        }
    }

    /// What the reader asks for.
    fn request(&mut self) -> Result<Request, End> {
        let clock = &self.shared.clock;
        let until = clock.now() + REQUEST_WITHIN;
        let mut said = Vec::new();
        loop {
            let left = until.since(clock.now());
            if left.is_zero() || self.guest.is_closing() {
                return if said.is_empty() {
                    Ok(Request::default())
                } else {
                    Err(End::Refused("half a line was said".to_owned()))
                };
            }
            self.guest.wait(self.stream, PollFlags::IN, Some(left))?;
            let mut bytes = [0; MAX_REQUEST_BYTES + 1];
            match (&mut &*self.stream).read(&mut bytes) {
                // It has nothing (more) to say, and may still listen.
                Ok(0) => return read(&said).map_err(End::Refused),
                Ok(count) => said.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.into()),
            }
            let end = said.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(said.len()) > MAX_REQUEST_BYTES {
                return Err(End::Refused(format!("a request has at most {MAX_REQUEST_BYTES} bytes")));
            }
            if let Some(end) = end {
                said.truncate(end);
                return read(&said).map_err(End::Refused);
            }
        }
    }

    /// Goes to where the reader wants to begin.
    fn begin(&mut self, request: &Request) -> Result<(), End> {
        let source = &self.shared.source;
        let broken = |error: crate::sinks::SinkError| End::Broken(error.to_string());
        // Nobody waits for what is yet to come without having asked for it.
        if request.follow == Some(false) {
            self.until = Some(source.latest());
        }
        match request.since {
            Some(id) => match source.seq_of(id).map_err(broken)? {
                Some(seq) => self.position = seq,
                None => {
                    self.position = source.oldest().saturating_sub(1);
                    self.say_gap("that event is not kept: here is everything that is");
                }
            },
            None if request.all => self.position = source.oldest().saturating_sub(1),
            None => (),
        }
        Ok(())
    }

    fn say_gap(&mut self, message: &str) {
        self.rest = Said { kind: "stream.gap", message, last: None }.line();
    }

    /// Puts the next line into `rest`, if there is one and nothing is left of the line before.
    fn load(&mut self) -> Result<(), End> {
        while self.rest.is_empty() {
            if self.until.is_some_and(|until| self.position >= until) {
                return Ok(());
            }
            if self.waiting.is_empty() {
                let source = &self.shared.source;
                let more =
                    source.after(self.position, BATCH).map_err(|error| End::Broken(error.to_string()))?;
                let Some(first) = more.first() else {
                    return Ok(());
                };
                if first.seq > self.position + 1 && source.oldest() > self.position + 1 {
                    self.position = first.seq - 1;
                    self.say_gap("events that were not yet sent are not kept any more");
                    return Ok(());
                }
                self.waiting = more.into();
            }
            let Some(entry) = self.waiting.pop_front() else { return Ok(()) };
            self.position = entry.seq;
            if self.until.is_some_and(|until| entry.seq > until) {
                return Ok(());
            }
            if !entry.event.kind.is_told() || !self.shared.filter.passes(&entry.event) {
                continue;
            }
            // Only now, so that it says of a grant what is true when it is sent.
            let clock = &self.shared.clock;
            let event = entry.event.as_of(clock.wall(clock.now()));
            let event =
                if self.sees_scores { event } else { Cow::Owned(event.without_scores().into_owned()) };
            self.rest = serde_json::to_vec(&event).map_err(|error| End::Broken(error.to_string()))?;
            self.rest.push(b'\n');
            self.sending = Some(entry.event.id);
        }
        Ok(())
    }

    /// Sends what is left of the line; waits for a reader that is slow.
    fn send(&mut self, is_closing: bool) -> Result<(), End> {
        let clock = &self.shared.clock;
        let mut moved_at = clock.now();
        while !self.rest.is_empty() {
            match send(self.stream, &self.rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => {
                    self.rest.drain(..count.min(self.rest.len()));
                    moved_at = clock.now();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if is_closing || self.guest.is_closing() {
                        return Err(End::Closing);
                    }
                    let stalled = clock.now().since(moved_at);
                    if stalled >= self.shared.stall {
                        return Err(End::Stalled);
                    }
                    let left = (self.shared.stall - stalled).min(self.shared.stall / TRIES_IN_A_STALL);
                    // New events change nothing here.
                    self.guest.wait(self.stream, PollFlags::OUT, Some(left.max(Duration::from_millis(1))))?;
                }
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        if let Some(id) = self.sending.take() {
            self.last = Some(id);
        }
        Ok(())
    }

    /// Waits for an event, or for the reader to go.
    fn idle(&self) -> Result<(), End> {
        // That the other side has closed is told without being asked for; that it says something is not wanted.
        let found = self.guest.wait(self.stream, PollFlags::empty(), None)?;
        if found.intersects(PollFlags::HUP | PollFlags::ERR) { Err(End::Gone) } else { Ok(()) }
    }
}

/// Whether root or the user of this process is at the other end. Where the system does not say, nobody is.
fn is_privileged(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid();
    sockopt::socket_peercred(stream).is_ok_and(|other| other.uid.is_root() || other.uid == own)
}

fn read(said: &[u8]) -> Result<Request, String> {
    if said.trim_ascii().is_empty() {
        return Ok(Request::default());
    }
    let request: Request = serde_json::from_slice(said)
        .map_err(|error| format!("that is no request ({error}): {{\"since\":\"<id>\"}}"))?;
    if request.all && request.since.is_some() {
        return Err("`all` and `since` exclude each other".to_owned());
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_one_object_with_known_keys() {
        assert_eq!(read(b"").unwrap(), Request::default());
        assert_eq!(read(b" {} ").unwrap(), Request::default());
        let id = "01M84XQ0000000000000000003";
        assert_eq!(
            read(format!("{{\"since\":\"{id}\"}}").as_bytes()).unwrap().since.unwrap().to_string(),
            id
        );
        assert!(read(b"{\"all\":true,\"follow\":false}").unwrap().all);
        for odd in ["x", "[1]", "{\"sinc\":1}", "{\"since\":\"x\"}", "{}{}", "GET / HTTP/1.1\r"] {
            assert!(read(odd.as_bytes()).is_err(), "{odd}");
        }
        assert!(read(format!("{{\"since\":\"{id}\",\"all\":true}}").as_bytes()).is_err());
    }
}
