//! The folder of the gallery: who may read it, what is in it, and the lock of the writers.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::disk;
use super::error::StoreError;
use super::person::{EXTENSION, PHOTO_EXTENSION, RecordId};

/// Where damaged files are moved to, inside the folder.
pub(super) const QUARANTINE: &str = "quarantine";
const LOCK: &str = ".lock";
const TEMPORARY_EXTENSION: &str = ".tmp";
/// A writer waits so often and so long for another one: 5 seconds together.
const LOCK_ATTEMPTS: u32 = 100;
const BETWEEN_LOCK_ATTEMPTS: Duration = Duration::from_millis(50);

/// More threads than this only wait for the disk.
const MAX_THREADS: usize = 8;
/// For fewer files a thread is not worth its start.
const LEAST_SHARE: usize = 256;

/// What tells one state of a file from another, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    modified_ns: (i64, i64),
    /// Also moves when permissions change, which may make a refused file usable.
    changed_ns: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The state of the whole folder and its key: equal as long as no file was added, removed, replaced or changed. Costs
/// one `stat` a person and reads no file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint {
    files: Vec<(OsString, Stamp)>,
    key: Option<Stamp>,
}

impl Fingerprint {
    /// The names of the person files, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &OsString> {
        self.files.iter().map(|(name, _)| name)
    }

    /// Whether there is no person file at all.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

pub(super) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { doing, path: path.to_owned(), source }
}

/// Refuses a folder that is missing or that others can look into.
pub(super) fn check(folder: &Path) -> Result<(), StoreError> {
    let metadata = match fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::MissingFolder(folder.to_owned()));
        }
        Err(error) => return Err(io_error("look at", folder)(error)),
    };
    if !metadata.is_dir() {
        return Err(StoreError::NotAFolder(folder.to_owned()));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::Permissions { path: folder.to_owned(), mode });
    }
    Ok(())
}

/// Makes the folder, with those above it, for its owner alone. One that is there stays as it is.
pub(super) fn create(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => StoreError::NotAFolder(folder.to_owned()),
        _ => io_error("create the gallery folder", folder)(error),
    })
}

/// Looks at every person file. `key` is the state of the key file.
pub(super) fn fingerprint(folder: &Path, key: Option<Stamp>) -> Result<Fingerprint, StoreError> {
    check(folder)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let name = entry.map_err(io_error("list", folder))?.file_name();
        if is_person_file(name.as_bytes()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    let stamps = side_by_side(&names, |name| {
        let path = folder.join(name);
        // Of a link itself, not of what it leads to.
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("look at", &path)(error)),
        }
    })?;
    let files = names.into_iter().zip(stamps).filter_map(|(name, stamp)| Some((name, stamp?))).collect();
    Ok(Fingerprint { files, key })
}

/// The state of the folder itself: another one after any file came, went or was replaced.
pub(super) fn stamp(folder: &Path) -> Result<Stamp, StoreError> {
    check(folder)?;
    fs::metadata(folder).map(|metadata| Stamp::of(&metadata)).map_err(io_error("look at", folder))
}

/// Does something for each, on several threads where there are many; in order, up to the first error of a thread.
pub(super) fn side_by_side<T: Sync, R: Send>(
    all: &[T],
    each: impl Fn(&T) -> Result<R, StoreError> + Sync,
) -> Result<Vec<R>, StoreError> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let share = all.len().div_ceil(threads).max(LEAST_SHARE);
    if all.len() <= share {
        return all.iter().map(each).collect();
    }
    let work = |share: &[T]| share.iter().map(&each).collect::<Result<Vec<R>, _>>();
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = all.chunks(share).map(|share| scope.spawn(move || work(share))).collect();
        let mut results = Vec::with_capacity(all.len());
        for thread in threads {
            results.append(&mut thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(results)
    })
}

fn is_person_file(name: &[u8]) -> bool {
    name.ends_with(EXTENSION.as_bytes()) && !name.starts_with(b".")
}

/// The file that the file of that name is written as before it takes its place.
pub(super) fn temporary(folder: &Path, file_name: &str) -> PathBuf {
    folder.join(format!(".{file_name}{TEMPORARY_EXTENSION}"))
}

/// The photos that are kept.
pub(super) fn photos(folder: &Path) -> Result<BTreeSet<RecordId>, StoreError> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let name = entry.map_err(io_error("list", folder))?.file_name();
        found.extend(
            name.to_str().and_then(|name| name.strip_suffix(PHOTO_EXTENSION)).and_then(RecordId::parse),
        );
    }
    Ok(found)
}

/// What writers left that were killed.
pub(super) fn leftovers(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let entry = entry.map_err(io_error("list", folder))?;
        let name = entry.file_name();
        let ours = name
            .to_str()
            .and_then(|name| name.strip_prefix('.')?.strip_suffix(TEMPORARY_EXTENSION))
            .is_some_and(|name| RecordId::from_file_name(name.as_ref()).is_some() || is_photo(name));
        if ours {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Removes what a writer left that was killed. Only while holding the lock.
pub(super) fn remove_leftovers(folder: &Path) -> Result<(), StoreError> {
    for path in leftovers(folder)? {
        fs::remove_file(&path).map_err(io_error("remove the leftover", &path))?;
    }
    Ok(())
}

fn is_photo(name: &str) -> bool {
    name.strip_suffix(PHOTO_EXTENSION).is_some_and(|id| RecordId::parse(id).is_some())
}

/// Held while the gallery is changed. The system lets go of it even when the process is killed.
#[derive(Debug)]
pub(super) struct WriteLock {
    _file: File,
}

impl WriteLock {
    /// Waits a few seconds for another writer.
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        check(folder)?;
        let path = folder.join(LOCK);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(disk::no_follow())
            .open(&path)
            .map_err(io_error("open the lock file", &path))?;
        disk::give_to_owner_of(&file, folder).map_err(io_error("hand over the lock file", &path))?;
        for attempt in 1..=LOCK_ATTEMPTS {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::WOULDBLOCK) if attempt < LOCK_ATTEMPTS => {
                    std::thread::sleep(BETWEEN_LOCK_ATTEMPTS);
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(io_error("lock", &path)(error.into())),
            }
        }
        Err(StoreError::Locked(folder.to_owned()))
    }
}
