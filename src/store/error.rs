//! What can go wrong with the gallery, in words that say what to do.

use std::io;
use std::path::PathBuf;

use super::key::{KeyError, KeyId};
use super::person::RecordId;
use super::record::FileProblem;
use crate::domain::PersonId;

/// Why bytes are not a person's file, or a person cannot be written as one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FormatError {
    /// Shorter than the shortest file there can be.
    #[error("it has {0} bytes, too few for a file of its kind")]
    TooShort(usize),
    /// Longer than any file may be.
    #[error("it has {is} bytes; a file of its kind has at most {most}")]
    TooLarge {
        /// The length it has.
        is: u64,
        /// The longest that is possible.
        most: usize,
    },
    /// The first bytes are wrong.
    #[error("it does not begin as a file of its kind does")]
    WrongStart,
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
        "a newer program wrote it (format {is}; this program reads up to format {known}): use that program"
    )]
    Newer {
        /// Its format.
        is: u16,
        /// The newest that this program reads.
        known: u16,
    },
    /// Whole, and from before files were encrypted; or somebody put a file of that kind there.
    #[error("it is not encrypted (format {0})")]
    NotEncrypted(u16),
    /// Whole, and encrypted with another key than those at hand.
    #[error("it is encrypted with the key {0}, which is not at hand")]
    OtherKey(KeyId),
    /// Whole, and not made by anybody who has the key.
    #[error("whoever wrote it did not have the key that it names")]
    Forged,
    /// Nothing can be encrypted.
    #[error("the system gives no random numbers: {0}")]
    NoRandom(String),
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
    /// There is something to read, or to write, and no key for it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder holds people, and the key is gone. A new one is never made beside them.
    #[error("the gallery {} holds people, and there is no key to read them with: put the key file back at {}, or name it with --key or gallery.key", .folder.display(), .key.display())]
    KeyGone {
        /// The gallery.
        folder: PathBuf,
        /// Where the key was looked for.
        key: PathBuf,
    },
    /// There is a key, and none of the people there can be read with it.
    #[error("the key {} ({id}) is not the one of the gallery {}: put the right one back, or name it with --key or gallery.key", .key.display(), .folder.display())]
    WrongKey {
        /// The gallery.
        folder: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What the key in it is called.
        id: KeyId,
    },
    /// A photo that a template was made of is not there any more.
    #[error("the photo {0} is not there")]
    NoSuchPhoto(RecordId),
    /// A photo that is there cannot be used.
    #[error("the photo {file_name} cannot be used: {problem}")]
    BadPhoto {
        /// Its file.
        file_name: String,
        /// What is wrong.
        problem: FormatError,
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
