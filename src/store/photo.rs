//! Photos that are kept so that another model can make new templates of them: encrypted like the people, one file each.

use std::fs;
use std::io;

use zeroize::Zeroizing;

use super::changes::Changes;
use super::error::{FormatError, StoreError};
use super::folder::io_error;
use super::gallery::Store;
use super::person::RecordId;
use super::seal::{self, Kind};
use crate::clock::WallTime;

/// The largest photo that is kept, in bytes of its file.
pub const MAX_PHOTO_BYTES: usize = 32 << 20;

pub(super) const PHOTO: Kind =
    Kind { magic: *b"FWPHOTO\0", version: 1, sealed_since: 1, max_bytes: MAX_PHOTO_BYTES + 1024 };

impl Changes<'_> {
    /// Keeps a picture file as it is. To be called before the template that names it is enrolled: a crash in between
    /// leaves a photo that `fsck` finds, and never a template without its photo.
    ///
    /// # Errors
    /// If it is larger than [`MAX_PHOTO_BYTES`], or the disk fails.
    pub fn keep_photo(&mut self, picture: &[u8], now: WallTime) -> Result<RecordId, StoreError> {
        let id = RecordId::new(now);
        self.restore_photo(id, picture)?;
        Ok(id)
    }

    /// Keeps a photo under the name that it had: from an archive. To be called before [`Changes::restore`].
    ///
    /// # Errors
    /// As [`Changes::keep_photo`].
    pub fn restore_photo(&mut self, id: RecordId, picture: &[u8]) -> Result<(), StoreError> {
        let bytes = seal::seal(PHOTO, id, picture, self.key())
            .map_err(|problem| StoreError::BadPhoto { file_name: id.photo_name(), problem })?;
        self.store().write_file(&id.photo_name(), &bytes)
    }
}

impl Store {
    /// A photo that was kept: the bytes of the picture file. Wiped from memory when dropped.
    ///
    /// # Errors
    /// If there is none of that name, it is damaged, or it is encrypted with another key.
    pub fn photo(&self, id: RecordId) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let path = self.folder.join(id.photo_name());
        let bad = |problem| StoreError::BadPhoto { file_name: id.photo_name(), problem };
        let length = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::NoSuchPhoto(id)),
            Err(error) => return Err(io_error("look at", &path)(error)),
        };
        if length > PHOTO.max_bytes as u64 {
            return Err(bad(FormatError::TooLarge { is: length, most: PHOTO.max_bytes }));
        }
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        let (inside, picture) = seal::unseal(PHOTO, &bytes, self.keys()?.as_ref()).map_err(bad)?;
        // A photo of somebody else in its place.
        if inside == id { Ok(picture) } else { Err(bad(FormatError::Forged)) }
    }

    /// Removes photos; gives back how many there were. Of somebody who is to go before they do, so that a crash in between
    /// leaves no picture of somebody who is gone.
    pub(super) fn delete_photos(&self, photos: impl Iterator<Item = RecordId>) -> Result<usize, StoreError> {
        let mut removed = 0;
        for id in photos {
            removed += usize::from(self.delete_photo(id)?);
        }
        if removed > 0 {
            self.make_durable(&self.folder)?;
        }
        Ok(removed)
    }

    /// Whether there was one.
    pub(super) fn delete_photo(&self, id: RecordId) -> Result<bool, StoreError> {
        let path = self.folder.join(id.photo_name());
        match self.disk.remove(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("remove", &path)(error)),
        }
    }
}
