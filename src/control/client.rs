//! The other side of the socket: asks, and reads what is said back.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Answer, MAX_ANSWER_BYTES, Request, read_answer, write_request};

/// A daemon that says nothing for so long hangs. More than it takes itself: enrolling speaks up every second.
const SILENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It may not be opened.
    #[error("the socket {} may not be opened: {source}; `control.mode` and `control.group` say who may: try sudo", path.display())]
    NotAllowed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is none.
    #[error("there is no socket {}: is the daemon running? `facewarden run` has one where `control.path` is set, and as a systemd service", .0.display())]
    Missing(PathBuf),
    /// Nobody answers.
    #[error("nobody answers at the socket {}: start the daemon", .0.display())]
    Deserted(PathBuf),
    /// Anything else.
    #[error("the socket {} cannot be used: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It hung up in the middle.
    #[error("the daemon has ended before it answered")]
    HungUp,
    /// Nothing was said for a long time.
    #[error("the daemon says nothing: it hangs, or is not one")]
    Silent,
    /// What answers is no daemon of this version.
    #[error("what answers is no daemon of this version: {0}")]
    NoAnswer(String),
}

/// A request that was sent. Dropping it hangs up.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Client {
    /// Sends a request to the daemon that listens at `path`.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub fn ask(path: &Path, request: &Request) -> Result<Self, AskError> {
        let at = |source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied => AskError::NotAllowed { path: path.to_owned(), source },
            io::ErrorKind::NotFound => AskError::Missing(path.to_owned()),
            io::ErrorKind::ConnectionRefused => AskError::Deserted(path.to_owned()),
            _ => AskError::Io { path: path.to_owned(), source },
        };
        let mut stream = UnixStream::connect(path).map_err(at)?;
        stream.set_read_timeout(Some(SILENCE)).map_err(at)?;
        // Who is one too many may be hung up on before it could ask; why comes in what is read.
        drop(stream.write_all(&write_request(request)));
        Ok(Self { stream: BufReader::new(stream), path: path.to_owned() })
    }

    /// The next answer; waits for it.
    ///
    /// # Errors
    /// If there is none.
    pub fn next_answer(&mut self) -> Result<Answer, AskError> {
        let mut line = Vec::new();
        let most = u64::try_from(MAX_ANSWER_BYTES + 1).unwrap_or(u64::MAX);
        let read = (&mut self.stream).take(most).read_until(b'\n', &mut line);
        match read {
            Ok(_) if line.ends_with(b"\n") => read_answer(&line).map_err(AskError::NoAnswer),
            Ok(_) if line.len() > MAX_ANSWER_BYTES => {
                Err(AskError::NoAnswer("it sends a line without an end".to_owned()))
            }
            Ok(_) => Err(AskError::HungUp),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(AskError::Silent)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(AskError::HungUp),
            Err(source) => Err(AskError::Io { path: self.path.clone(), source }),
        }
    }
}
