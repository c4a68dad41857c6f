//! A copy of the gallery as it is at one moment, encrypted as it is.

use std::fs;
use std::path::Path;

use super::disk;
use super::error::StoreError;
use super::folder::{self, WriteLock, io_error};
use super::gallery::Store;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Person files.
    pub people: usize,
    /// Photos.
    pub photos: usize,
    /// All of them together.
    pub bytes: u64,
}

impl Store {
    /// Copies every person file and photo into a new folder, which is a gallery itself then. The key is not copied: a
    /// backup that lies beside its key protects nobody. Writers wait meanwhile, so that the copy is of one moment; readers do
    /// not notice.
    ///
    /// # Errors
    /// If the folder is there and not empty, a file cannot be read, another writer holds the lock, or the disk fails.
    pub fn back_up(&self, to: &Path) -> Result<Copied, StoreError> {
        folder::create(to)?;
        folder::check(to)?;
        if fs::read_dir(to).map_err(io_error("list", to))?.next().is_some() {
            return Err(io_error("fill the folder", to)(std::io::ErrorKind::DirectoryNotEmpty.into()));
        }
        let _lock = WriteLock::take(&self.folder)?;
        let people = self.fingerprint()?;
        let photos = folder::photos(&self.folder)?;
        let mut copied = Copied { people: 0, photos: photos.len(), bytes: 0 };
        let names = people.names().map(|name| name.to_string_lossy().into_owned());
        for name in names.chain(photos.iter().map(|id| id.photo_name())) {
            let from = self.folder.join(&name);
            // Whatever is wrong with a file, it is what there is; `fsck` tells of it. Nothing is followed.
            if !fs::symlink_metadata(&from).map_err(io_error("look at", &from))?.is_file() {
                continue;
            }
            let bytes = fs::read(&from).map_err(io_error("read", &from))?;
            let (temporary, path) = (folder::temporary(to, &name), to.join(&name));
            disk::write_whole(&*self.disk, (&temporary, &path), to, &bytes)
                .map_err(|(doing, source)| StoreError::Io { doing, path, source })?;
            copied.people += usize::from(name.ends_with(super::person::EXTENSION));
            copied.bytes += bytes.len() as u64;
        }
        self.make_durable(to)?;
        Ok(copied)
    }
}
