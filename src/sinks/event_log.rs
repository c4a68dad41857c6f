//! Events as JSON, one a line, in a file or on standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Sink, SinkError};
use crate::domain::Event;

/// Writes every event as one line, with one `write` call, at once.
///
/// A file is created for its owner alone, only ever appended to, and opened again when it was moved away (so
/// that logrotate needs no signal). If the last line there was cut off by a crash, a new line ends it first.
#[derive(Debug)]
pub struct EventLog {
    name: String,
    file: File,
    /// `None` is standard output.
    path: Option<PathBuf>,
    /// The last line is not whole.
    mid_line: bool,
}

impl EventLog {
    /// What `events.log` says: `-` is standard output, all else a file.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        if path.as_os_str() == "-" { Self::stdout() } else { Self::file(path) }
    }

    /// Standard output. Once its reader has gone, the error says that the sink is gone for good.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn stdout() -> Result<Self, SinkError> {
        let name = "event log on standard output".to_owned();
        // A descriptor of its own: Rust's own handle keeps half a line back after an error.
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(fd) => Ok(Self { name, file: fd.into(), path: None, mid_line: false }),
            Err(error) => Err(SinkError::gone(name, error)),
        }
    }

    /// A file.
    ///
    /// # Errors
    /// If it cannot be opened or created.
    pub fn file(path: &Path) -> Result<Self, SinkError> {
        let name = format!("event log {}", path.display());
        match open_file(path) {
            Ok((file, mid_line)) => Ok(Self { name, file, path: Some(path.to_owned()), mid_line }),
            Err(error) => Err(SinkError::once(name, format!("cannot open it: {error}"))),
        }
    }

    /// Opens the file again if another one, or none, has its name by now.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let own = self.file.metadata()?;
        let moved = match fs::metadata(path) {
            Ok(named) => (named.dev(), named.ino()) != (own.dev(), own.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        if moved {
            (self.file, self.mid_line) = open_file(path)?;
        }
        Ok(())
    }

    fn write_line(&mut self, event: &Event) -> io::Result<()> {
        self.follow_rotation()?;
        let mut line = Vec::with_capacity(1024);
        if self.mid_line {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, event)?;
        line.push(b'\n');
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = &rest[count..];
                    self.mid_line = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The file, and whether its last line lacks its end.
fn open_file(path: &Path) -> io::Result<(File, bool)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok((file, false));
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok((file, last != *b"\n"))
}

impl Sink for EventLog {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn wants(&self, _event: &Event) -> bool {
        true
    }

    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        self.write_line(event).map_err(|error| {
            if self.path.is_none() && error.kind() == io::ErrorKind::BrokenPipe {
                SinkError::gone(self.name.clone(), "whoever read it has gone")
            } else {
                SinkError::once(self.name.clone(), format!("event {} was not written: {error}", event.id))
            }
        })
    }

    fn close(&mut self, _within: Duration) {
        // Every line was handed to the system already; pipes and terminals know no sync, which is no fault.
        drop(self.file.sync_all());
    }
}
