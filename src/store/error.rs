//! What can go wrong with the gallery, in words that say what to do.

use std::io;
use std::path::PathBuf;

use super::format::{MAX_FILE_BYTES, VERSION};
use super::person::RecordId;
use super::record::FileProblem;
use crate::domain::PersonId;

/// Why bytes are not a person's file, or a person cannot be written as one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FormatError {
    /// Shorter than the shortest file there can be.
    #[error("it has {0} bytes, too few for a person's file")]
    TooShort(usize),
    /// Longer than any file may be.
    #[error("it has {0} bytes; a person's file has at most {MAX_FILE_BYTES}")]
    TooLarge(u64),
    /// The first bytes are wrong.
    #[error("it does not begin as a person's file does")]
    NotAPersonFile,
    /// The length that the file states is not the length it has: it was cut off, or something was appended.
    #[error("it has {is} bytes and says that it has {says}")]
    WrongLength {
        /// The length it states.
        says: u32,
        /// The length it has.
        is: usize,
    },
    /// Some byte is not what was written.
    #[error("its checksum is wrong: it was changed or damaged")]
    Checksum,
    /// Whole, and of a later format.
    #[error(
        "a newer program wrote it (format {0}; this program reads up to format {VERSION}): use that program"
    )]
    Newer(u16),
    /// Whole, and it says something impossible.
    #[error("its {field} cannot be: {why}")]
    Invalid {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// Why the gallery could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no folder.
    #[error("the gallery folder {} does not exist: enrol somebody to create it, or correct gallery.folder", .0.display())]
    MissingFolder(PathBuf),
    /// There is something else in its place.
    #[error("the gallery {} is not a folder: correct gallery.folder", .0.display())]
    NotAFolder(PathBuf),
    /// Others can read biometric data there.
    #[error("others can get at the gallery folder {} (mode {mode:03o}): run chmod 700 {}", .path.display(), .path.display())]
    Permissions {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refused. What was stored before is still stored.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The change was made, and may be undone by a power cut right now.
    #[error("the change in {} was made, and the disk did not confirm that it would survive a power cut", .folder.display())]
    NotDurable {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another program changes the gallery and did not finish in time.
    #[error("another program is changing the gallery in {}: try again when it is done", .0.display())]
    Locked(PathBuf),
    /// Nobody of that name.
    #[error("nobody is enrolled as \"{0}\"")]
    NoSuchPerson(PersonId),
    /// No file of that id.
    #[error("there is no file {}", .0.file_name())]
    NoSuchRecord(RecordId),
    /// Somebody else has that name.
    #[error("somebody is already enrolled as \"{0}\"")]
    NameTaken(PersonId),
    /// Several files claim the name, so that it is not clear whose it is.
    #[error("\"{name}\" is claimed by several files ({}): rename or remove one of them by its id", list(.files))]
    DuplicateName {
        /// The name.
        name: PersonId,
        /// The files.
        files: Vec<RecordId>,
    },
    /// A file that cannot be read might hold the very name, so nothing is added.
    #[error("nothing was changed, because the file {file_name} is in the way: {problem}")]
    Blocked {
        /// Which.
        file_name: String,
        /// Why it cannot be used.
        problem: FileProblem,
    },
    /// What was to be stored cannot be.
    #[error("\"{name}\" cannot be stored: {source}")]
    Unstorable {
        /// Who.
        name: PersonId,
        /// Why.
        source: FormatError,
    },
}

fn list(files: &[RecordId]) -> String {
    files.iter().map(|id| id.file_name()).collect::<Vec<_>>().join(", ")
}
