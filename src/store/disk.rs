//! The few things that a change of the gallery does to the disk, one by one, so that a test can let any of
//! them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags};

/// What is asked of a disk. The methods given here are the real ones.
pub(super) trait Disk: Send + Sync + std::fmt::Debug {
    /// A new, empty file that only its owner can read; an error if there is one of that name.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(no_follow()).open(path)
    }

    /// All bytes into the file.
    fn write(&self, file: &mut File, _path: &Path, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Returns when a power cut no longer takes away what was written.
    fn sync(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_all()
    }

    /// Puts one file in the place of another, at one instant.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Moves a file to a name that nothing has; an error of kind `AlreadyExists` if something has it.
    fn move_to_new_name(&self, from: &Path, to: &Path) -> io::Result<()> {
        rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from)
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Returns when a power cut no longer undoes the renames and removals in the folder.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// The disk there is.
#[derive(Debug)]
pub(super) struct SystemDisk;

impl Disk for SystemDisk {}

/// A link in the place of a file could lead anywhere.
pub(super) fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

/// A pipe of that name would be waited on for ever.
pub(super) fn no_waiting() -> i32 {
    OFlags::NONBLOCK.bits().cast_signed()
}

/// When root enrols somebody for a daemon with a user of its own, the daemon must be able to read the file: it is given
/// to the user whose folder this is.
pub(super) fn give_to_owner_of(file: &File, folder: &Path) -> io::Result<()> {
    let (folder, own) = (fs::metadata(folder)?, file.metadata()?);
    if rustix::process::geteuid().is_root() && folder.uid() != own.uid() {
        std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// Makes `path` hold exactly `bytes`: after an error, and after a crash at any point, it holds what it held
/// before or all of the new bytes. `temporary` is in the same folder. The file is given to whom `owned_as` belongs.
pub(super) fn write_whole(
    disk: &dyn Disk,
    (temporary, path): (&Path, &Path),
    owned_as: &Path,
    bytes: &[u8],
) -> Result<(), (&'static str, io::Error)> {
    let mut file = disk.create(temporary).map_err(|error| ("create a file for", error))?;
    let written = give_to_owner_of(&file, owned_as)
        .map_err(|error| ("hand over", error))
        .and_then(|()| disk.write(&mut file, temporary, bytes).map_err(|error| ("write", error)))
        .and_then(|()| disk.sync(&file, temporary).map_err(|error| ("write", error)))
        .and_then(|()| disk.replace(temporary, path).map_err(|error| ("replace", error)));
    if written.is_err() {
        // Best effort: the first error is the one to tell, and the next writer cleans up what is left.
        drop(disk.remove(temporary));
    }
    written
}
