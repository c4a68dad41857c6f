//! Writing the files of a log.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use ulid::Ulid;

use super::Rotation;
use super::chain::{LineHash, Place, line_after};
use super::forgetting::{self, LogForgotten};
use super::head::{Head, HeadFile};
use super::names::{Names, move_to_new_name};
use super::open::{self, OpenError, Opened, open_file};
use crate::clock::WallTime;
use crate::domain::{Erasure, Event};
use crate::sinks::Notices;

/// A log in files.
#[derive(Debug)]
pub(super) struct Chained {
    names: Names,
    rotation: Rotation,
    notices: Notices,
    file: File,
    head_file: HeadFile,
    head: Head,
    newest: Place,
    last_id: Option<Ulid>,
    /// Bytes of whole lines in the file. Anything after them is what an append that failed has left.
    bytes: u64,
    is_torn: bool,
    /// Something was written since the last sync.
    is_dirty: bool,
    /// That it cannot be moved aside was said.
    is_stuck: bool,
}

impl Chained {
    pub(super) fn open(
        path: &Path,
        rotation: Rotation,
        now: WallTime,
        notices: &Notices,
    ) -> Result<Self, OpenError> {
        let names = Names::of(path).map_err(|source| OpenError::Io { doing: "open it", source })?;
        let Opened { file, head_file, head, newest, last_id, bytes, notices: told } =
            open::open(&names, now)?;
        told.into_iter().for_each(|message| notices.say(message));
        // What a crash left behind the head may not be on the disk yet.
        let is_dirty = newest != head.newest;
        let notices = notices.clone();
        let log = Self {
            names,
            rotation,
            notices,
            file,
            head_file,
            head,
            newest,
            last_id,
            bytes,
            is_torn: false,
            is_dirty,
            is_stuck: false,
        };
        log.tell_head("opened");
        Ok(log)
    }

    pub(super) fn last_id(&self) -> Option<Ulid> {
        self.last_id
    }

    pub(super) fn head(&self) -> (u64, LineHash) {
        (self.newest.n, self.newest.hash)
    }

    /// Into the log of the program, which may be kept where nobody who can write this one can.
    fn tell_head(&self, what: &str) {
        tracing::info!(n = self.newest.n, head = %self.newest.hash, "event log {} {what}", self.names.log.display());
    }

    /// Appends an entry, all of it or nothing.
    pub(super) fn append(&mut self, event: &Event) -> io::Result<()> {
        self.repair()?;
        self.follow()?;
        self.rotate_if_full();
        let (line, place) = line_after(event, self.newest)?;
        if let Err(error) = self.write(&line) {
            // If it cannot be cut off now, it is before the next line.
            self.is_torn = true;
            drop(self.repair());
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.newest = place;
        self.last_id = Some(event.id);
        self.is_dirty = true;
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Cuts off what an append that failed has left.
    fn repair(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.bytes)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Goes on in a new file if the one that is written was moved away or removed.
    fn follow(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        let is_own = match fs::symlink_metadata(&self.names.log) {
            Ok(named) => (named.dev(), named.ino()) == (own.dev(), own.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_own {
            return self.check_length(own.len());
        }
        self.sync()?;
        let file = open_file(&self.names.log)?;
        let bytes = file.metadata()?.len();
        if bytes > 0 {
            // Somebody else's: it is neither overwritten nor gone on with.
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("another file took the place of {}: move it away", self.names.log.display()),
            ));
        }
        self.file = file;
        self.bytes = 0;
        if own.nlink() == 0 || self.newest.n > 0 {
            self.notices.say(format!(
                "the event log {} was {} by another program after entry {}; the chain goes on in a new file",
                self.names.log.display(),
                if own.nlink() == 0 { "removed" } else { "moved away" },
                self.newest.n
            ));
        }
        self.names.sync_folder()
    }

    /// The file is as long as it was left, or somebody else has written to it.
    fn check_length(&mut self, bytes: u64) -> io::Result<()> {
        if bytes == self.bytes {
            return Ok(());
        }
        let (had, place) = (self.bytes, self.newest.n);
        let mut last = [b'\n'];
        if bytes > 0 {
            self.file.read_exact_at(&mut last, bytes - 1)?;
        }
        self.bytes = bytes;
        if last != *b"\n" {
            // The next entry is not to be glued to half a line of somebody else's.
            self.file.write_all(b"\n")?;
            self.bytes += 1;
        }
        self.notices.say(format!(
            "the event log {} has {bytes} bytes, and had {had} after entry {place}: another program changed it; \
             `facewarden log verify` says where",
            self.names.log.display()
        ));
        Ok(())
    }

    /// Puts on the disk what was written, and then says so in the head file. In this order the head file never has
    /// more than the log.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_dirty {
            return Ok(());
        }
        self.file.sync_data()?;
        let head = Head { newest: self.newest, ..self.head };
        self.head_file.write(head)?;
        self.head = head;
        self.is_dirty = false;
        Ok(())
    }

    /// Moves the file aside if it is large enough. Where that does not work it is gone on with, and said once.
    fn rotate_if_full(&mut self) {
        if self.bytes < self.rotation.rotate_bytes {
            return;
        }
        match self.rotate() {
            Ok(()) => self.is_stuck = false,
            Err(error) if !self.is_stuck => {
                self.is_stuck = true;
                self.notices.say(format!(
                    "the event log {} cannot be moved aside ({error}): it grows on until that works",
                    self.names.log.display()
                ));
            }
            Err(_) => (),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        let kept = self.names.kept(self.newest.n);
        move_to_new_name(&self.names.log, &kept)?;
        let file = match open_file(&self.names.log) {
            Ok(file) => file,
            Err(error) => {
                // Back, so that what is written is under its name.
                move_to_new_name(&kept, &self.names.log)?;
                return Err(error);
            }
        };
        self.file = file;
        self.bytes = 0;
        self.names.sync_folder()?;
        self.prune()
    }

    /// Removes the oldest of the files that were moved aside. That they are gone is in the head file first, so that
    /// a crash in between does not look like somebody else's doing.
    fn prune(&mut self) -> io::Result<()> {
        let mut kept = self.names.kept_files()?;
        let surplus = kept.len().saturating_sub(self.rotation.keep_files as usize);
        kept.truncate(surplus);
        let Some((last_gone, _)) = kept.last() else { return Ok(()) };
        let head = Head { first: last_gone.saturating_add(1).max(self.head.first), ..self.head };
        self.head_file.write(head)?;
        self.head_file.sync()?;
        self.head = head;
        for (_, path) in kept {
            fs::remove_file(path)?;
        }
        self.names.sync_folder()
    }

    /// Takes in what the log says of a record.
    pub(super) fn learn(&self, erasure: &mut Erasure) -> io::Result<()> {
        forgetting::learn(&self.names, erasure)
    }

    /// Replaces the entries that name somebody who is to be forgotten, and goes on in the file that replaced its own.
    pub(super) fn forget(&mut self, erasure: &Erasure) -> io::Result<LogForgotten> {
        self.repair()?;
        self.follow()?;
        self.sync()?;
        let done = forgetting::forget(&self.names, erasure);
        // Also where a later file failed: its own may have been replaced by then.
        self.file = open_file(&self.names.log)?;
        self.bytes = self.file.metadata()?.len();
        done
    }

    /// Puts everything on the disk. Errors are the last thing to be said.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.repair()?;
        self.sync()?;
        self.head_file.sync()?;
        self.tell_head("closed");
        Ok(())
    }
}
