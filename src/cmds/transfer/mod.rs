//! People from one gallery to another, in an archive with a passphrase.

mod export;
mod import;
mod merge;

pub use export::{Args as ExportArgs, run as export};
pub use import::{Args as ImportArgs, run as import};

use super::exit::{Exit, Failure};
use crate::store::ArchiveError;

/// The exit code of an archive that cannot be read or written.
fn archive_failure(error: ArchiveError) -> Failure {
    let exit = match &error {
        ArchiveError::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Exit::Permission,
        ArchiveError::Io(_) => Exit::CannotWrite,
        ArchiveError::Passphrase => Exit::Permission,
        ArchiveError::TooShort => Exit::Usage,
        ArchiveError::NoRandom(_) => Exit::Internal,
        ArchiveError::NotAnArchive
        | ArchiveError::Newer(_)
        | ArchiveError::Parameters
        | ArchiveError::Damaged(_)
        | ArchiveError::Content { .. } => Exit::Data,
    };
    Failure { exit, error: error.into() }
}
