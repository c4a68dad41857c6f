//! Events as JSON, one a line: in files whose lines hang together as a chain, or on standard output.
//!
//! The chain: each line in a file ends with a field `chain` that has the number of the entry and the SHA-256 of the
//! line before. A head file beside the log has the newest entry that is safe on the disk. `verify` finds whatever was
//! changed, removed, inserted or put in another order since.

mod chain;
mod chained;
mod diagnose;
mod forgetting;
mod head;
mod names;
mod open;
mod scan;
mod verify;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ulid::Ulid;

use super::{Notices, Sink, SinkError};
use crate::clock::Clock;
use crate::config::Events;
use crate::domain::{Erasure, Event};
use chained::Chained;
use names::Names;

pub use chain::LineHash;
pub use forgetting::{LogForgotten, Traces, log_exists, traces};
pub use verify::{Fault, Report, VerifyError, What, print_events, verify};

/// When files are moved aside, and how many of those are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file of so many bytes or more is moved aside before the next entry.
    pub rotate_bytes: u64,
    /// So many files that were moved aside are kept; older ones are deleted.
    pub keep_files: u32,
}

impl Rotation {
    /// As the configuration says it.
    #[must_use]
    pub fn new(events: &Events) -> Self {
        Self { rotate_bytes: u64::from(events.log_rotate_mb) * 1_000_000, keep_files: events.log_keep_files }
    }
}

/// Writes every event as one line, with one `write` call, at once.
///
/// A file is created for its owner alone, only ever appended to, and begun anew when it was moved away (so that
/// logrotate needs no signal). An append that fails halfway is undone. What is neither standard output nor a regular
/// file (a pipe, a device) gets the lines without a chain.
#[derive(Debug)]
pub struct EventLog {
    name: String,
    output: Output,
}

#[derive(Debug)]
enum Output {
    Stdout(File),
    Device(File),
    Files(LogKeeper),
}

impl EventLog {
    /// What `events.log` says: `-` is standard output, all else a file. What was found wrong with a file, and what
    /// was done about it, is told to `notices`.
    ///
    /// # Errors
    /// If it cannot be opened for writing, or another program has it open.
    pub fn open(
        path: &Path,
        rotation: Rotation,
        clock: &Arc<dyn Clock>,
        notices: &Notices,
    ) -> Result<Self, SinkError> {
        if path.as_os_str() == "-" {
            return Self::stdout();
        }
        let name = format!("event log {}", path.display());
        let is_device = |path: &Path| {
            path.starts_with("/proc")
                || path.parent() == Some(Path::new("/dev"))
                || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
        };
        let output = if is_device(path) {
            File::options()
                .read(true)
                .append(true)
                .open(path)
                .map(Output::Device)
                .map_err(|error| error.to_string())
        } else {
            Chained::open(path, rotation, clock.wall(clock.now()), notices)
                .map(|log| Output::Files(LogKeeper(Arc::new(Mutex::new(log)))))
                .map_err(|error| error.to_string())
        };
        match output {
            Ok(output) => Ok(Self { name, output }),
            Err(message) => Err(SinkError::once(name, message)),
        }
    }

    /// Standard output. Once its reader has gone, the error says that the sink is gone for good.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn stdout() -> Result<Self, SinkError> {
        let name = "event log on standard output".to_owned();
        // A descriptor of its own: Rust's own handle keeps half a line back after an error.
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(fd) => Ok(Self { name, output: Output::Stdout(fd.into()) }),
            Err(error) => Err(SinkError::gone(name, error)),
        }
    }

    /// Id of the newest entry: after a crash, what comes after it is still to be written. `None` for an empty log and
    /// for what is no file.
    #[must_use]
    pub fn last_id(&self) -> Option<Ulid> {
        match &self.output {
            Output::Files(log) => log.lock().last_id(),
            Output::Stdout(_) | Output::Device(_) => None,
        }
    }

    /// Number and hash of the newest entry, which [`verify()`] can be asked for; 0 and [`LineHash::NONE`] for a new log.
    /// `None` for what is no file.
    #[must_use]
    pub fn head(&self) -> Option<(u64, LineHash)> {
        match &self.output {
            Output::Files(log) => Some(log.lock().head()),
            Output::Stdout(_) | Output::Device(_) => None,
        }
    }

    /// Reaches the files while the log is being written; `None` for what is no file.
    #[must_use]
    pub fn keeper(&self) -> Option<LogKeeper> {
        match &self.output {
            Output::Files(log) => Some(log.clone()),
            Output::Stdout(_) | Output::Device(_) => None,
        }
    }

    fn later(&self, message: impl std::fmt::Display) -> SinkError {
        SinkError::later(self.name.clone(), message, None)
    }
}

/// The files of a log, for whoever writes it and for whoever has somebody forgotten in it: one at a time.
#[derive(Debug, Clone)]
pub struct LogKeeper(Arc<Mutex<Chained>>);

impl LogKeeper {
    /// Takes in what the log says of a record.
    ///
    /// # Errors
    /// If a file of it cannot be read.
    pub fn learn(&self, erasure: &mut Erasure) -> io::Result<()> {
        self.lock().learn(erasure)
    }

    /// Replaces every entry that names somebody who is to be forgotten by one that does not. The chain stays valid.
    ///
    /// # Errors
    /// If the disk fails. What was replaced until then stays so, and it can be done again.
    pub fn forget(&self, erasure: &Erasure) -> io::Result<LogForgotten> {
        self.lock().forget(erasure)
    }

    /// Writes an event that no sink is told of, for good.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn append(&self, event: &Event) -> io::Result<()> {
        let mut log = self.lock();
        log.append(event)?;
        log.close()
    }

    fn lock(&self) -> MutexGuard<'_, Chained> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a log that were moved aside, the newest first.
///
/// # Errors
/// If its folder cannot be read.
pub fn older_files(log: &Path) -> io::Result<Vec<PathBuf>> {
    let kept = Names::of(log)?.kept_files()?;
    Ok(kept.into_iter().rev().map(|(_, path)| path).collect())
}

fn write_line(file: &mut File, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    file.write_all(&line)
}

impl Sink for EventLog {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn wants(&self, event: &Event) -> bool {
        event.kind.is_told()
    }

    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        let (written, is_stdout) = match &mut self.output {
            Output::Stdout(file) => (write_line(file, event), true),
            Output::Device(file) => (write_line(file, event), false),
            Output::Files(log) => (log.lock().append(event), false),
        };
        written.map_err(|error| {
            if is_stdout && error.kind() == io::ErrorKind::BrokenPipe {
                SinkError::gone(self.name.clone(), "whoever read it has gone")
            } else {
                self.later(format!("event {} was not written: {error}", event.id))
            }
        })
    }

    fn rest(&mut self) -> Result<(), SinkError> {
        match &mut self.output {
            Output::Files(log) => {
                let synced = log.lock().sync();
                synced.map_err(|error| self.later(format!("the disk does not confirm it: {error}")))
            }
            Output::Stdout(_) | Output::Device(_) => Ok(()),
        }
    }

    fn close(&mut self, _within: Duration) {
        // Pipes and terminals know no sync; every line was handed to the system already.
        if let Output::Files(log) = &self.output
            && let Err(error) = log.lock().close()
        {
            tracing::warn!("{}: the disk does not confirm its end: {error}", self.name);
        }
    }
}
