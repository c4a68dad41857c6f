//! The gallery while one writer holds it: what is checked against everybody and what is written cannot be torn apart by
//! another writer.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::disk;
use super::error::StoreError;
use super::folder::{self, WriteLock};
use super::format::{encode, invalid};
use super::gallery::{Loaded, Store, claimants, ensure_free, nobody_called};
use super::key::{Key, KeyRing};
use super::person::{Person, RecordId, Template, to_millisecond};
use super::record::{Content, RefusedFile};
use crate::clock::WallTime;
use crate::domain::{Particulars, PersonId};

/// A gallery that nobody else changes meanwhile. Each change is on disk, for good, when its method returns; there is
/// nothing to commit, and what was changed stays changed when a later change fails.
#[derive(Debug)]
pub struct Changes<'a> {
    store: &'a Store,
    _lock: WriteLock,
    loaded: Loaded,
    keys: KeyRing,
}

/// Somebody who was removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Removed {
    /// Whom it was.
    pub person: Person,
    /// How many kept photos went along.
    pub photos: usize,
    /// SHA-256 of the file that was deleted, as it was on disk (encrypted).
    pub record_sha256: [u8; 32],
}

impl Removed {
    pub(super) fn of(person: Person, photos: usize, bytes: &[u8]) -> Self {
        Self { person, photos, record_sha256: Sha256::digest(bytes).into() }
    }
}

impl<'a> Changes<'a> {
    pub(super) fn begin(store: &'a Store) -> Result<Self, StoreError> {
        let (lock, loaded) = store.lock_and_load()?;
        // A change could give a name away twice: none is made beside a file that may hold any name.
        if let Some(RefusedFile { file_name, problem, .. }) =
            loaded.refused.iter().find(|file| file.problem.blocks_changes())
        {
            return Err(StoreError::Blocked { file_name: file_name.clone(), problem: problem.clone() });
        }
        let keys = match store.keys()? {
            Some(keys) => keys,
            // The first use. Beside any file at all no new key is made: the old one may be on its way back.
            None if loaded.fingerprint.is_empty() => store.make_key()?,
            None => return Err(store.key_gone()),
        };
        Ok(Self { store, _lock: lock, loaded, keys })
    }

    /// Everybody, by name, with the changes made so far.
    #[must_use]
    pub fn people(&self) -> &[Person] {
        &self.loaded.people
    }

    /// Files that are not used.
    #[must_use]
    pub fn refused(&self) -> &[RefusedFile] {
        &self.loaded.refused
    }

    /// The person of that name.
    #[must_use]
    pub fn get(&self, name: &PersonId) -> Option<&Person> {
        self.at(name).map(|at| &self.loaded.people[at])
    }

    /// Adds templates to the person of that name, who is created if there is none.
    ///
    /// # Errors
    /// If the templates are none, too many, or of unequal length for one model; if the name is claimed by several files;
    /// or if the disk fails.
    pub fn enrol(
        &mut self,
        name: &PersonId,
        templates: Vec<Template>,
        now: WallTime,
    ) -> Result<Person, StoreError> {
        let added = templates.into_iter().map(|t| Template { added: to_millisecond(t.added), ..t });
        if self.at(name).is_some() {
            return self.change(name, now, |person| person.templates.extend(added));
        }
        let files = claimants(&self.loaded, name);
        if !files.is_empty() {
            return Err(StoreError::DuplicateName { name: name.clone(), files });
        }
        let now = to_millisecond(now);
        self.put(Person {
            id: RecordId::new(now),
            name: name.clone(),
            groups: Vec::new(),
            particulars: Particulars::default(),
            created: now,
            changed: now,
            templates: added.collect(),
        })
    }

    /// Changes whatever of somebody, but for their name and id.
    ///
    /// # Errors
    /// If there is nobody of that name, the result cannot be stored, or the disk fails.
    pub fn change(
        &mut self,
        name: &PersonId,
        now: WallTime,
        change: impl FnOnce(&mut Person),
    ) -> Result<Person, StoreError> {
        let mut person = self.named(name)?.clone();
        let (id, name) = (person.id, person.name.clone());
        change(&mut person);
        self.put(Person { id, name, changed: to_millisecond(now), ..person })
    }

    /// Gives somebody another name.
    ///
    /// # Errors
    /// If there is nobody of the old name, somebody of the new one, or the disk fails.
    pub fn rename(&mut self, from: &PersonId, to: &PersonId, now: WallTime) -> Result<Person, StoreError> {
        ensure_free(&self.loaded, to)?;
        let person = self.named(from)?.clone();
        self.put(Person { name: to.clone(), changed: to_millisecond(now), ..person })
    }

    /// Gives the person in one file another name.
    ///
    /// # Errors
    /// If there is no such file, it cannot be read, somebody has the new name, or the disk fails.
    pub fn rename_record(
        &mut self,
        id: RecordId,
        to: &PersonId,
        now: WallTime,
    ) -> Result<Person, StoreError> {
        ensure_free(&self.loaded, to)?;
        match self.store.read_one(id.file_name().as_ref(), Some(&self.keys))? {
            Content::Person(person) => {
                self.put(Person { name: to.clone(), changed: to_millisecond(now), ..*person })
            }
            Content::Refused(problem) => Err(StoreError::Blocked { file_name: id.file_name(), problem }),
            Content::Gone => Err(StoreError::NoSuchRecord(id)),
        }
    }

    /// Puts in somebody as they are, with their id and their times: from an archive. Whoever has that id is replaced.
    ///
    /// # Errors
    /// If somebody else has the name, the person cannot be stored, or the disk fails.
    pub fn restore(&mut self, person: Person) -> Result<Person, StoreError> {
        if self.get(&person.name).is_some_and(|known| known.id != person.id) {
            return Err(StoreError::NameTaken(person.name));
        }
        self.put(person)
    }

    /// The key that is written with.
    pub(super) fn key(&self) -> &Key {
        &self.keys.current
    }

    pub(super) fn store(&self) -> &Store {
        self.store
    }

    fn at(&self, name: &PersonId) -> Option<usize> {
        self.loaded.people.binary_search_by(|person| person.name.cmp(name)).ok()
    }

    fn named(&self, name: &PersonId) -> Result<&Person, StoreError> {
        self.get(name).ok_or_else(|| nobody_called(&self.loaded, name))
    }

    /// Writes somebody, and knows them from then on. Photos of theirs that no template names any more are removed.
    fn put(&mut self, person: Person) -> Result<Person, StoreError> {
        // Not when reading: a time zone that this machine does not know bars whoever has it, and damages nothing.
        if let Err(why) = person.particulars.check() {
            let source = invalid("particulars", why);
            return Err(StoreError::Unstorable { name: person.name, source });
        }
        self.store.write(&person, self.key())?;
        let people = &mut self.loaded.people;
        // They may have had another name.
        let before = people.iter().position(|known| known.id == person.id).map(|at| people.remove(at));
        let at = people.partition_point(|known| known.name < person.name);
        people.insert(at, person.clone());
        let kept: BTreeSet<_> = person.photos().collect();
        let dropped = before.iter().flat_map(Person::photos).filter(|photo| !kept.contains(photo));
        self.store.delete_photos(dropped)?;
        Ok(person)
    }
}

impl Store {
    /// The first key of a gallery.
    pub(super) fn make_key(&self) -> Result<KeyRing, StoreError> {
        let keys = KeyRing::of(self.new_key()?);
        self.key.write(&*self.disk, &keys, &self.folder)?;
        Ok(keys)
    }

    pub(super) fn write(&self, person: &Person, key: &Key) -> Result<(), StoreError> {
        let bytes = encode(person, key)
            .map_err(|source| StoreError::Unstorable { name: person.name.clone(), source })?;
        self.write_file(&person.id.file_name(), &bytes)
    }

    /// Puts a file into the folder, whole and for good.
    pub(super) fn write_file(&self, file_name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(file_name);
        let temporary = folder::temporary(&self.folder, file_name);
        disk::write_whole(&*self.disk, (&temporary, &path), &self.folder, bytes)
            .map_err(|(doing, source)| StoreError::Io { doing, path, source })?;
        self.make_durable(&self.folder)
    }
}
