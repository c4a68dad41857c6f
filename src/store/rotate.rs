//! A new key for the whole gallery, file by file, in a way that a crash at any point leaves everything readable.
//!
//! First both keys are in the key file, then each file is encrypted anew, then the former key goes. Whoever reads
//! meanwhile finds the key for every file. A rotation that was cut off is gone on with by the next one.

use std::fs;
use std::path::Path;

use super::error::{FormatError, StoreError};
use super::folder::{self, WriteLock, io_error};
use super::format::{self, PERSON};
use super::gallery::Store;
use super::key::{Key, KeyError, KeyId, KeyPlace, KeyRing};
use super::photo::PHOTO;
use super::record::FileProblem;
use super::seal::{self, Kind};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key that was in use. Backups from before need it.
    pub former: KeyId,
    /// The key that is in use.
    pub current: KeyId,
    /// How many files were encrypted anew now; less than all if an earlier run had begun.
    pub files: usize,
    /// An earlier run was cut off, and this one finished it.
    pub was_interrupted: bool,
}

/// What became of files from before files were encrypted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Adoption {
    /// Files that are encrypted now.
    pub adopted: Vec<String>,
    /// Files that are not, with the reason.
    pub refused: Vec<(String, FormatError)>,
}

impl Store {
    /// Encrypts everybody and every photo with a new key, and forgets the old one; or writes the old one to `keep_former`
    /// first, a new file for whoever has backups. Finishes what an earlier call began.
    ///
    /// # Errors
    /// If there is no key yet, it is a credential (which cannot be written), any file cannot be read, another writer holds
    /// the lock, or the disk fails. Everything stays readable with the key file as it is then.
    pub fn rotate_key(&self, keep_former: Option<&Path>) -> Result<Rotation, StoreError> {
        let _lock = WriteLock::take(&self.folder)?;
        folder::remove_leftovers(&self.folder)?;
        let keys = self.key.read()?;
        if self.key.is_credential() {
            // Fails, and says why.
            self.key.write(&*self.disk, &keys, &self.folder)?;
        }
        let was_interrupted = keys.former.is_some();
        let keys = match keys.former {
            Some(_) => keys,
            None => KeyRing { current: self.new_key()?, former: Some(keys.current) },
        };
        let KeyRing { current, former: Some(former) } = &keys else {
            return Err(StoreError::Key(KeyError::Missing(self.key.path().to_owned())));
        };
        let files = self.sealed_files()?;
        // Before anything is changed: a file that cannot be read now would be lost with its key.
        for (kind, name) in &files {
            self.resealed(*kind, name, &keys)?;
        }
        if let Some(path) = keep_former {
            save_new(self, path, former)?;
        }
        if !was_interrupted {
            self.key.write(&*self.disk, &keys, &self.folder)?;
        }
        let mut count = 0;
        for (kind, name) in &files {
            if let Some(bytes) = self.resealed(*kind, name, &keys)? {
                self.write_file(name, &bytes)?;
                count += 1;
            }
        }
        self.key.write(&*self.disk, &KeyRing::of(current.clone()), &self.folder)?;
        Ok(Rotation { former: former.id(), current: current.id(), files: count, was_interrupted })
    }

    /// Encrypts the files that an earlier version of the program wrote before files were encrypted. Whoever calls this
    /// says that these files are theirs: anybody who could write to the folder could have made them.
    ///
    /// # Errors
    /// If another writer holds the lock, there is no key for people who are encrypted already, or the disk fails.
    pub fn adopt_unencrypted(&self) -> Result<Adoption, StoreError> {
        let (_lock, loaded) = self.lock_and_load()?;
        let is_old = |problem: &FileProblem| matches!(problem, FileProblem::NotEncrypted(_));
        let old: Vec<&str> = loaded
            .refused
            .iter()
            .filter(|file| is_old(&file.problem))
            .map(|file| file.file_name.as_str())
            .collect();
        let mut done = Adoption::default();
        if old.is_empty() {
            return Ok(done);
        }
        // Where some are encrypted and the key is gone, loading has failed.
        let keys = match self.keys()? {
            Some(keys) => keys,
            None => self.make_key()?,
        };
        for name in old {
            let path = self.folder.join(name);
            let bytes = fs::read(&path).map_err(io_error("read", &path))?;
            match format::decode_unencrypted(&bytes) {
                Ok(person) if person.id.file_name() == name => {
                    self.write(&person, &keys.current)?;
                    done.adopted.push(name.to_owned());
                }
                Ok(person) => {
                    let why = format!("it was written as {}", person.id.file_name());
                    done.refused.push((name.to_owned(), format::invalid("name of the file", why)));
                }
                Err(error) => done.refused.push((name.to_owned(), error)),
            }
        }
        Ok(done)
    }

    /// A new key, from the system's random numbers.
    pub(super) fn new_key(&self) -> Result<Key, StoreError> {
        Key::new_random().map_err(|source| StoreError::Io {
            doing: "make a key for",
            path: self.folder.clone(),
            source,
        })
    }

    /// Everything in the folder that is encrypted, by name.
    fn sealed_files(&self) -> Result<Vec<(Kind, String)>, StoreError> {
        let people = self.fingerprint()?;
        let people = people.names().map(|name| (PERSON, name.to_string_lossy().into_owned()));
        let photos = folder::photos(&self.folder)?;
        Ok(people.chain(photos.iter().map(|id| (PHOTO, id.photo_name()))).collect())
    }

    /// A file encrypted anew; `None` if it is already encrypted with the current key.
    fn resealed(&self, kind: Kind, name: &str, keys: &KeyRing) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.folder.join(name);
        let blocked = |problem| StoreError::Blocked { file_name: name.to_owned(), problem };
        let length = fs::symlink_metadata(&path).map_err(io_error("look at", &path))?;
        if !length.is_file() {
            return Err(blocked(FileProblem::NotAFile));
        }
        if length.len() > kind.max_bytes as u64 {
            let error = FormatError::TooLarge { is: length.len(), most: kind.max_bytes };
            return Err(blocked(FileProblem::Damaged(error)));
        }
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        let (id, plain) = seal::unseal(kind, &bytes, Some(keys)).map_err(|error| {
            blocked(match error {
                FormatError::OtherKey(id) => FileProblem::OtherKey(id),
                FormatError::NotEncrypted(version) => FileProblem::NotEncrypted(version),
                FormatError::Newer { is, .. } => FileProblem::Newer(is),
                error => FileProblem::Damaged(error),
            })
        })?;
        if seal::key_id_of(&bytes) == Some(keys.current.id()) {
            return Ok(None);
        }
        seal::seal(kind, id, &plain, &keys.current)
            .map(Some)
            .map_err(|error| blocked(FileProblem::Damaged(error)))
    }
}

/// Writes a key to a file that is not there yet.
fn save_new(store: &Store, path: &Path, key: &Key) -> Result<(), StoreError> {
    if path.exists() {
        let source = std::io::ErrorKind::AlreadyExists.into();
        return Err(KeyError::Unwritable { path: path.to_owned(), source }.into());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    KeyPlace::file(path).write(&*store.disk, &KeyRing::of(key.clone()), folder)?;
    Ok(())
}
