//! The gallery: load it, add to it, take from it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::changes::{Changes, Removed};
use super::disk::{Disk, SystemDisk};
use super::error::StoreError;
use super::folder::{self, Fingerprint, QUARANTINE, WriteLock, io_error};
use super::key::{KeyError, KeyPlace, KeyRing};
use super::person::{Person, RecordId, Template};
use super::record::{self, Content, FileProblem, RefusedFile};
use crate::clock::WallTime;
use crate::domain::{GroupId, Particulars, PersonId};

/// While files keep changing under the reader, it starts again so often. Each file is whole all the same, and
/// the fingerprint handed out is from before, so that the next look finds what was missed.
const LOAD_ATTEMPTS: u32 = 3;
/// The most files of one name in the quarantine.
const MAX_SAME_NAME: u32 = 1000;

/// The gallery in one folder. Holds nothing open and nothing in memory; any number may look at one folder, from
/// any number of processes.
#[derive(Debug)]
pub struct Store {
    pub(super) folder: PathBuf,
    pub(super) key: KeyPlace,
    pub(super) disk: Box<dyn Disk>,
}

/// What is in a gallery.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Everybody whose file is good, by name. No name is there twice.
    pub people: Vec<Person>,
    /// Files that are not used, by file name. To be reported, always.
    pub refused: Vec<RefusedFile>,
    /// The state of the folder just before it was read.
    pub fingerprint: Fingerprint,
}

impl Store {
    /// A gallery that is there.
    ///
    /// # Errors
    /// If the folder is missing, is none, or can be read by others; the message says what to do.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_on(folder.into(), Box::new(SystemDisk))
    }

    /// A gallery that is there, or a new, empty one in a folder that only its owner can read.
    ///
    /// # Errors
    /// As [`Store::open`], or if the folder cannot be created.
    pub fn open_or_create(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        if !folder.exists() {
            folder::create(&folder)?;
        }
        Self::open(folder)
    }

    pub(super) fn open_on(folder: PathBuf, disk: Box<dyn Disk>) -> Result<Self, StoreError> {
        folder::check(&folder)?;
        Ok(Self { key: KeyPlace::beside(&folder), folder, disk })
    }

    /// The same gallery with its key elsewhere than beside the folder.
    #[must_use]
    pub fn with_key(mut self, key: KeyPlace) -> Self {
        self.key = key;
        self
    }

    /// Where the key is.
    #[must_use]
    pub fn key(&self) -> &KeyPlace {
        &self.key
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The state of the folder. Cheap enough to ask every second; differs after any change.
    ///
    /// # Errors
    /// If the folder cannot be looked at, or can be read by others by now.
    pub fn fingerprint(&self) -> Result<Fingerprint, StoreError> {
        folder::fingerprint(&self.folder, self.key.stamp())
    }

    /// Reads everybody. Changes nothing and needs no lock.
    ///
    /// # Errors
    /// If the folder as a whole, or its key, cannot be read. A single bad file is in [`Loaded::refused`] instead.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let mut attempt = 1;
        loop {
            let before = self.state()?;
            let loaded = self.read_all(self.fingerprint()?)?;
            if self.state()? == before || attempt == LOAD_ATTEMPTS {
                return Ok(loaded);
            }
            attempt += 1;
        }
    }

    /// Differs after any file came, went or was replaced. Much cheaper than a fingerprint, which also tells of a file
    /// that somebody changed in its place.
    fn state(&self) -> Result<impl PartialEq + use<>, StoreError> {
        Ok((folder::stamp(&self.folder)?, self.key.stamp()))
    }

    /// As [`Store::load`], and moves damaged files into `quarantine/` inside the folder, under the name they
    /// have. Nothing is deleted and nothing overwritten there. A file that cannot be moved stays, and is
    /// reported all the same.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn load_and_quarantine(&self) -> Result<Loaded, StoreError> {
        let mut loaded = self.load()?;
        if loaded.refused.iter().any(|file| file.problem.is_damage())
            && let Err(error) = self.quarantine(&mut loaded.refused)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "damaged files stay where they are");
        }
        Ok(loaded)
    }

    /// The person of that name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPerson`], [`StoreError::DuplicateName`], or as [`Store::load`].
    pub fn get(&self, name: &PersonId) -> Result<Person, StoreError> {
        take_named(self.load()?, name)
    }

    /// Holds the gallery for changes: other writers wait, readers do not notice.
    ///
    /// # Errors
    /// If a file that cannot be read might hold any name; if another writer holds the lock for seconds; if there are
    /// people and no key; or as [`Store::load`].
    pub fn begin(&self) -> Result<Changes<'_>, StoreError> {
        Changes::begin(self)
    }

    /// Adds templates to the person of that name, who is created if there is none.
    ///
    /// # Errors
    /// As [`Store::begin`] and [`Changes::enrol`]. Then the gallery is as it was.
    pub fn enrol(
        &self,
        name: &PersonId,
        templates: Vec<Template>,
        now: WallTime,
    ) -> Result<Person, StoreError> {
        self.begin()?.enrol(name, templates, now)
    }

    /// Puts somebody into these groups, and takes them out of those.
    ///
    /// # Errors
    /// As [`Store::begin`] and [`Changes::change`].
    pub fn regroup(
        &self,
        name: &PersonId,
        (into, out_of): (&[GroupId], &[GroupId]),
        now: WallTime,
    ) -> Result<Person, StoreError> {
        self.begin()?.change(name, now, |person| {
            person.groups.extend(into.iter().cloned());
            person.groups.retain(|group| !out_of.contains(group));
            person.groups.sort_unstable();
            person.groups.dedup();
        })
    }

    /// Changes what is known of somebody beside name, groups and templates.
    ///
    /// # Errors
    /// As [`Store::begin`] and [`Changes::change`].
    pub fn describe(
        &self,
        name: &PersonId,
        change: impl FnOnce(&mut Particulars),
        now: WallTime,
    ) -> Result<Person, StoreError> {
        self.begin()?.change(name, now, |person| change(&mut person.particulars))
    }

    /// Gives somebody another name. The file keeps its own.
    ///
    /// # Errors
    /// If there is nobody of the old name, somebody of the new one, or as [`Store::enrol`].
    pub fn rename(&self, from: &PersonId, to: &PersonId, now: WallTime) -> Result<Person, StoreError> {
        self.begin()?.rename(from, to, now)
    }

    /// Gives the person in one file another name: the way to settle that two files claim one.
    ///
    /// # Errors
    /// If there is no such file, it cannot be read, somebody has the new name, or as [`Store::enrol`].
    pub fn rename_record(&self, id: RecordId, to: &PersonId, now: WallTime) -> Result<Person, StoreError> {
        self.begin()?.rename_record(id, to, now)
    }

    /// Removes a person: the file is deleted, and with it the photos that were kept. Gives back whom it was.
    ///
    /// # Errors
    /// If there is nobody of that name, several files claim it, or the disk fails. Files that others can read,
    /// or that cannot be read, do not stand in the way of a removal.
    pub fn remove(&self, name: &PersonId) -> Result<Removed, StoreError> {
        let (_lock, loaded) = self.lock_and_load()?;
        let person = take_named(loaded, name)?;
        let bytes = self.bytes_of(person.id)?;
        let photos = self.delete_photos(person.photos())?;
        self.delete(person.id)?;
        Ok(Removed::of(person, photos, &bytes))
    }

    /// Removes one file, whatever is in it.
    ///
    /// # Errors
    /// If there is no such file, or the disk fails.
    pub fn remove_record(&self, id: RecordId) -> Result<(), StoreError> {
        let _lock = WriteLock::take(&self.folder)?;
        folder::remove_leftovers(&self.folder)?;
        if let Content::Person(person) = self.read_one(id.file_name().as_ref(), self.keys()?.as_ref())? {
            self.delete_photos(person.photos())?;
        }
        self.delete(id)
    }

    /// The files that a record has: its own, and damaged ones of it in the quarantine.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn files_of(&self, id: RecordId) -> Result<Vec<PathBuf>, StoreError> {
        let own = self.folder.join(id.file_name());
        let is_there = std::fs::symlink_metadata(&own).is_ok();
        let mut files = self.quarantined_of(id)?;
        files.extend(is_there.then_some(own));
        Ok(files)
    }

    /// Deletes damaged files of a record that were moved aside; gives back how many.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn remove_quarantined(&self, id: RecordId) -> Result<usize, StoreError> {
        let _lock = WriteLock::take(&self.folder)?;
        let files = self.quarantined_of(id)?;
        for path in &files {
            self.disk.remove(path).map_err(io_error("remove", path))?;
        }
        if !files.is_empty() {
            self.make_durable(&self.folder.join(QUARANTINE))?;
        }
        Ok(files.len())
    }

    fn quarantined_of(&self, id: RecordId) -> Result<Vec<PathBuf>, StoreError> {
        let (folder, own) = (self.folder.join(QUARANTINE), id.file_name());
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_error("list", &folder))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error("list", &folder))?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            // The same name with a number after it, where it was taken.
            if name.strip_prefix(&own).is_some_and(|end| end.is_empty() || end.starts_with('.')) {
                found.push(path);
            }
        }
        Ok(found)
    }

    pub(super) fn lock_and_load(&self) -> Result<(WriteLock, Loaded), StoreError> {
        let lock = WriteLock::take(&self.folder)?;
        folder::remove_leftovers(&self.folder)?;
        let loaded = self.load()?;
        Ok((lock, loaded))
    }

    /// The keys; `None` where there is no key file.
    pub(super) fn keys(&self) -> Result<Option<KeyRing>, StoreError> {
        match self.key.read() {
            Ok(keys) => Ok(Some(keys)),
            Err(KeyError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// That there are people, and no key.
    pub(super) fn key_gone(&self) -> StoreError {
        StoreError::KeyGone { folder: self.folder.clone(), key: self.key.path().to_owned() }
    }

    fn bytes_of(&self, id: RecordId) -> Result<Vec<u8>, StoreError> {
        let path = self.folder.join(id.file_name());
        std::fs::read(&path).map_err(io_error("read", &path))
    }

    fn delete(&self, id: RecordId) -> Result<(), StoreError> {
        let path = self.folder.join(id.file_name());
        match self.disk.remove(&path) {
            Ok(()) => self.make_durable(&self.folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoSuchRecord(id)),
            Err(error) => Err(io_error("remove", &path)(error)),
        }
    }

    pub(super) fn make_durable(&self, folder: &Path) -> Result<(), StoreError> {
        self.disk
            .sync_folder(folder)
            .map_err(|source| StoreError::NotDurable { folder: folder.to_owned(), source })
    }

    pub(super) fn read_one(&self, file_name: &OsStr, keys: Option<&KeyRing>) -> Result<Content, StoreError> {
        let path = self.folder.join(file_name);
        record::read(&path, keys).map_err(io_error("read", &path))
    }

    fn read_all(&self, fingerprint: Fingerprint) -> Result<Loaded, StoreError> {
        let keys = self.keys()?;
        let (mut people, mut refused) = (Vec::new(), Vec::new());
        for (name, content) in self.read_side_by_side(&fingerprint, keys.as_ref())? {
            match content {
                // There were people, and whoever took the key away must not be taken for having removed them.
                Content::Refused(FileProblem::OtherKey(_)) if keys.is_none() => {
                    return Err(self.key_gone());
                }
                Content::Person(person) => people.push(*person),
                Content::Refused(problem) => refused.push(RefusedFile {
                    file_name: name.to_string_lossy().into_owned(),
                    problem,
                    moved_to: None,
                }),
                Content::Gone => {}
            }
        }
        if let Some(keys) = &keys
            && people.is_empty()
            && !refused.is_empty()
            && refused.iter().all(|file| matches!(file.problem, FileProblem::OtherKey(_)))
        {
            let (folder, key) = (self.folder.clone(), self.key.path().to_owned());
            return Err(StoreError::WrongKey { folder, key, id: keys.current.id() });
        }
        let people = set_duplicates_aside(people, &mut refused);
        refused.sort_by(|a, b| a.file_name.cmp(&b.file_name));
        Ok(Loaded { people, refused, fingerprint })
    }

    /// Reads every file, on several threads where there are many.
    fn read_side_by_side<'f>(
        &self,
        fingerprint: &'f Fingerprint,
        keys: Option<&KeyRing>,
    ) -> Result<Vec<(&'f OsString, Content)>, StoreError> {
        let names: Vec<&OsString> = fingerprint.names().collect();
        folder::side_by_side(&names, |name| Ok((*name, self.read_one(name, keys)?)))
    }

    fn quarantine(&self, refused: &mut [RefusedFile]) -> Result<(), StoreError> {
        let _lock = WriteLock::take(&self.folder)?;
        let keys = self.keys()?;
        let aside = self.folder.join(QUARANTINE);
        folder::create(&aside)?;
        let mut result = Ok(());
        for file in refused.iter_mut().filter(|file| file.problem.is_damage()) {
            // Looked at again under the lock: a writer may have replaced it with a good one.
            match self.read_one(file.file_name.as_ref(), keys.as_ref())? {
                Content::Refused(problem) if problem.is_damage() => {}
                _ => continue,
            }
            match self.move_aside(&aside, &file.file_name) {
                Ok(path) => file.moved_to = Some(path),
                Err(error) => result = Err(error),
            }
        }
        self.make_durable(&aside)?;
        self.make_durable(&self.folder)?;
        result
    }

    fn move_aside(&self, aside: &Path, file_name: &str) -> Result<PathBuf, StoreError> {
        let from = self.folder.join(file_name);
        let names = std::iter::once(file_name.to_owned())
            .chain((1..MAX_SAME_NAME).map(|number| format!("{file_name}.{number}")));
        for name in names {
            let to = aside.join(name);
            match self.disk.move_to_new_name(&from, &to) {
                Ok(()) => return Ok(to),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io_error("move aside", &from)(error)),
            }
        }
        Err(io_error("find a free name in", aside)(io::ErrorKind::AlreadyExists.into()))
    }
}

/// Of several files that claim one name, none is used: which of them is the person is not for the program to
/// guess. The others are given back by name.
fn set_duplicates_aside(mut people: Vec<Person>, refused: &mut Vec<RefusedFile>) -> Vec<Person> {
    people.sort_unstable_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    for same in people.chunk_by(|a, b| a.name == b.name).filter(|same| same.len() > 1) {
        for (at, person) in same.iter().enumerate() {
            let other = same[usize::from(at == 0)].id;
            refused.push(RefusedFile {
                file_name: person.id.file_name(),
                problem: FileProblem::DuplicateName { name: person.name.clone(), other },
                moved_to: None,
            });
        }
    }
    let claimed = |refused: &[RefusedFile], name: &PersonId| {
        let is_it = |file: &RefusedFile| matches!(&file.problem, FileProblem::DuplicateName { name: claimed, .. } if claimed == name);
        refused.iter().any(is_it)
    };
    if refused.iter().any(|file| matches!(file.problem, FileProblem::DuplicateName { .. })) {
        people.retain(|person| !claimed(refused, &person.name));
    }
    people
}

/// The files that claim a name in vain.
pub(super) fn claimants(loaded: &Loaded, wanted: &PersonId) -> Vec<RecordId> {
    let claims = |file: &RefusedFile| match &file.problem {
        FileProblem::DuplicateName { name, .. } if name == wanted => {
            RecordId::from_file_name(file.file_name.as_ref())
        }
        _ => None,
    };
    loaded.refused.iter().filter_map(claims).collect()
}

pub(super) fn ensure_free(loaded: &Loaded, name: &PersonId) -> Result<(), StoreError> {
    if loaded.people.iter().any(|person| person.name == *name) || !claimants(loaded, name).is_empty() {
        return Err(StoreError::NameTaken(name.clone()));
    }
    Ok(())
}

pub(super) fn take_named(mut loaded: Loaded, name: &PersonId) -> Result<Person, StoreError> {
    match loaded.people.iter().position(|person| person.name == *name) {
        Some(at) => Ok(loaded.people.swap_remove(at)),
        None => Err(nobody_called(&loaded, name)),
    }
}

/// Why there is nobody of a name among those who are served.
pub(super) fn nobody_called(loaded: &Loaded, name: &PersonId) -> StoreError {
    let files = claimants(loaded, name);
    match files.is_empty() {
        true => StoreError::NoSuchPerson(name.clone()),
        false => StoreError::DuplicateName { name: name.clone(), files },
    }
}
