//! One file of the gallery folder: read, or refused with the reason.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::disk;
use super::error::FormatError;
use super::folder::Stamp;
use super::format::{MAX_FILE_BYTES, decode};
use super::key::{KeyId, KeyRing};
use super::person::{Person, RecordId};
use crate::domain::PersonId;

/// A file that is damaged, or changes while it is read, is looked at so often before it is believed.
const ATTEMPTS: u32 = 4;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(25);

/// Why a file of the gallery is not used. None of these is ever read as "nobody".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FileProblem {
    /// Not what was written.
    #[error("the file is damaged: {0}")]
    Damaged(FormatError),
    /// A link, a folder or a device in the place of a file.
    #[error("it is not an ordinary file")]
    NotAFile,
    /// Its name is not the one it was written under: a copy, or renamed by hand.
    #[error("it is not called {} as it was when it was written: a copy, or renamed by hand", .0.file_name())]
    WrongName(RecordId),
    /// Written by a later version of the program; nothing is wrong with it.
    #[error("a newer program wrote it (format {0}): use that program, this one cannot read it")]
    Newer(u16),
    /// Anybody could have written it: it is not encrypted.
    #[error(
        "it is not encrypted (format {0}), so anybody may have written it: if it is from an earlier version of this program, run `facewarden key adopt`"
    )]
    NotEncrypted(u16),
    /// Nothing is wrong with it, and the key for it is not here.
    #[error(
        "it is encrypted with the key {0}, which is not here: put that key back, or remove the file by its id"
    )]
    OtherKey(KeyId),
    /// Others can read biometric data.
    #[error("others can get at it (mode {mode:03o}): run chmod 600 {}", .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system does not let it be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Several files claim one name; none of them is used until that is settled.
    #[error("\"{name}\" is also claimed by {}: rename or remove one of them by its id", .other.file_name())]
    DuplicateName {
        /// The name.
        name: PersonId,
        /// Another file that claims it.
        other: RecordId,
    },
}

impl FileProblem {
    /// True if the file is no use to anybody and is to be moved aside. The other problems are of the kind that
    /// the operator settles, after which the file is good.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::NotAFile | Self::WrongName(_))
    }

    /// True if the file may be good and hold any name, so that nothing may be added beside it.
    pub(super) fn blocks_changes(&self) -> bool {
        match self {
            Self::Newer(_)
            | Self::NotEncrypted(_)
            | Self::OtherKey(_)
            | Self::Permissions { .. }
            | Self::Unreadable(_) => true,
            Self::Damaged(_) | Self::NotAFile | Self::WrongName(_) | Self::DuplicateName { .. } => false,
        }
    }
}

/// A file of the gallery that is not used.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedFile {
    /// Its name in the folder.
    pub file_name: String,
    /// Why.
    pub problem: FileProblem,
    /// Where it was moved to, if it was.
    pub moved_to: Option<PathBuf>,
}

impl fmt::Display for RefusedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Somebody may have put a file there whose name is meant for a terminal.
        write!(f, "{}: {}", self.file_name.escape_debug(), self.problem)?;
        match &self.moved_to {
            Some(path) => write!(f, " (moved to {})", path.display()),
            None => Ok(()),
        }
    }
}

/// What is in a file.
pub(super) enum Content {
    /// A person.
    Person(Box<Person>),
    /// Something that is not used.
    Refused(FileProblem),
    /// Nothing: it was removed meanwhile.
    Gone,
}

/// Reads one file. What looks damaged is read again, since somebody may just be copying it in.
///
/// # Errors
/// When the system cannot do it now (out of memory, too many open files): that says nothing about the file.
pub(super) fn read(path: &Path, keys: Option<&KeyRing>) -> io::Result<Content> {
    let mut attempt = 1;
    loop {
        let (result, steady) = read_once(path, keys)?;
        let done = steady && !matches!(result, Content::Refused(FileProblem::Damaged(_)));
        if done || attempt == ATTEMPTS {
            return Ok(result);
        }
        attempt += 1;
        std::thread::sleep(BETWEEN_ATTEMPTS);
    }
}

/// Reads once; the flag is false if the file changed meanwhile.
fn read_once(path: &Path, keys: Option<&KeyRing>) -> io::Result<(Content, bool)> {
    let refused = |problem| Ok((Content::Refused(problem), true));
    // Without NONBLOCK, a pipe of that name would be waited on for ever.
    let flags = disk::no_follow() | disk::no_waiting();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => return Ok((Content::Gone, true)),
            Some(Errno::LOOP | Errno::NXIO) => return refused(FileProblem::NotAFile),
            Some(Errno::ACCESS | Errno::PERM | Errno::IO) => {
                return refused(FileProblem::Unreadable(error.to_string()));
            }
            _ => return Err(error),
        },
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return refused(FileProblem::NotAFile);
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return refused(FileProblem::Permissions { path: path.to_owned(), mode });
    }
    if metadata.len() > MAX_FILE_BYTES as u64 {
        return refused(FileProblem::Damaged(FormatError::TooLarge {
            is: metadata.len(),
            most: MAX_FILE_BYTES,
        }));
    }
    let bytes = match read_bytes(&file, metadata.len()) {
        Ok(bytes) => bytes,
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => {
            return refused(FileProblem::Unreadable(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    let steady = Stamp::of(&metadata) == Stamp::of(&file.metadata()?);
    Ok((understand(path, &bytes, keys), steady))
}

/// `expected` is how many there should be, checked to be possible.
fn read_bytes(file: &File, expected: u64) -> io::Result<Vec<u8>> {
    // Room for all of it and one more, so that a file is read at once.
    let mut bytes = Vec::with_capacity(usize::try_from(expected).map_or(0, |expected| expected + 1));
    // One byte more than allowed, so that a file that grows is found out.
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn understand(path: &Path, bytes: &[u8], keys: Option<&KeyRing>) -> Content {
    match decode(bytes, keys) {
        Ok(person) if path.file_name().and_then(RecordId::from_file_name) == Some(person.id) => {
            Content::Person(Box::new(person))
        }
        Ok(person) => Content::Refused(FileProblem::WrongName(person.id)),
        Err(FormatError::Newer { is, .. }) => Content::Refused(FileProblem::Newer(is)),
        Err(FormatError::NotEncrypted(version)) => Content::Refused(FileProblem::NotEncrypted(version)),
        Err(FormatError::OtherKey(key)) => Content::Refused(FileProblem::OtherKey(key)),
        Err(error) => Content::Refused(FileProblem::Damaged(error)),
    }
}
