//! The gallery: load it, add to it, take from it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, Disk, SystemDisk};
use super::error::StoreError;
use super::folder::{self, Fingerprint, QUARANTINE, WriteLock, io_error};
use super::format::encode;
use super::person::{Person, RecordId, Template, to_millisecond};
use super::record::{self, Content, FileProblem, RefusedFile};
use crate::clock::WallTime;
use crate::domain::{GroupId, PersonId};

/// While files keep changing under the reader, it starts again so often. Each file is whole all the same, and
/// the fingerprint handed out is from before, so that the next look finds what was missed.
const LOAD_ATTEMPTS: u32 = 3;
/// The most files of one name in the quarantine.
const MAX_SAME_NAME: u32 = 1000;

/// The gallery in one folder. Holds nothing open and nothing in memory; any number may look at one folder, from
/// any number of processes.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    disk: Box<dyn Disk>,
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
        Ok(Self { folder, disk })
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
        folder::fingerprint(&self.folder)
    }

    /// Reads everybody. Changes nothing and needs no lock.
    ///
    /// # Errors
    /// If the folder as a whole cannot be read. A single bad file is in [`Loaded::refused`] instead.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let mut before = self.fingerprint()?;
        let mut attempt = 1;
        loop {
            let loaded = self.read_all(before)?;
            let after = self.fingerprint()?;
            if after == loaded.fingerprint || attempt == LOAD_ATTEMPTS {
                return Ok(loaded);
            }
            before = after;
            attempt += 1;
        }
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

    /// Adds templates to the person of that name, who is created if there is none.
    ///
    /// # Errors
    /// If the templates are none, too many, or of unequal length for one model; if the name is claimed by
    /// several files, or might be by one that cannot be read; if another writer holds the lock for seconds; or
    /// if the disk fails. Then the gallery is as it was.
    pub fn enrol(
        &self,
        name: &PersonId,
        templates: Vec<Template>,
        now: WallTime,
    ) -> Result<Person, StoreError> {
        let now = to_millisecond(now);
        let (_lock, loaded) = self.begin_change()?;
        let mut person = match take_named(loaded, name) {
            Ok(person) => person,
            Err(StoreError::NoSuchPerson(_)) => Person {
                id: RecordId::new(now),
                name: name.clone(),
                groups: Vec::new(),
                created: now,
                changed: now,
                templates: Vec::new(),
            },
            Err(error) => return Err(error),
        };
        let added = templates.into_iter().map(|t| Template { added: to_millisecond(t.added), ..t });
        person.templates.extend(added);
        person.changed = now;
        self.write(&person)?;
        Ok(person)
    }

    /// Puts somebody into these groups, and takes them out of those.
    ///
    /// # Errors
    /// If there is nobody of that name, they would be in too many groups, or as [`Store::enrol`].
    pub fn regroup(
        &self,
        name: &PersonId,
        (into, out_of): (&[GroupId], &[GroupId]),
        now: WallTime,
    ) -> Result<Person, StoreError> {
        let (_lock, loaded) = self.begin_change()?;
        let mut person = take_named(loaded, name)?;
        let mut groups: BTreeSet<GroupId> = std::mem::take(&mut person.groups).into_iter().collect();
        groups.extend(into.iter().cloned());
        groups.retain(|group| !out_of.contains(group));
        person.groups = groups.into_iter().collect();
        person.changed = to_millisecond(now);
        self.write(&person)?;
        Ok(person)
    }

    /// Gives somebody another name. The file keeps its own.
    ///
    /// # Errors
    /// If there is nobody of the old name, somebody of the new one, or as [`Store::enrol`].
    pub fn rename(&self, from: &PersonId, to: &PersonId, now: WallTime) -> Result<Person, StoreError> {
        let (_lock, loaded) = self.begin_change()?;
        ensure_free(&loaded, to)?;
        let person = take_named(loaded, from)?;
        self.write_renamed(person, to, now)
    }

    /// Gives the person in one file another name: the way to settle that two files claim one.
    ///
    /// # Errors
    /// If there is no such file, it cannot be read, somebody has the new name, or as [`Store::enrol`].
    pub fn rename_record(&self, id: RecordId, to: &PersonId, now: WallTime) -> Result<Person, StoreError> {
        let (_lock, loaded) = self.begin_change()?;
        ensure_free(&loaded, to)?;
        match self.read_one(id.file_name().as_ref())? {
            Content::Person(person) => self.write_renamed(*person, to, now),
            Content::Refused(problem) => Err(StoreError::Blocked { file_name: id.file_name(), problem }),
            Content::Gone => Err(StoreError::NoSuchRecord(id)),
        }
    }

    /// Removes a person: the file is deleted. Gives back whom it was.
    ///
    /// # Errors
    /// If there is nobody of that name, several files claim it, or the disk fails. Files that others can read,
    /// or that cannot be read, do not stand in the way of a removal.
    pub fn remove(&self, name: &PersonId) -> Result<Person, StoreError> {
        let (_lock, loaded) = self.lock_and_load()?;
        let person = take_named(loaded, name)?;
        self.delete(person.id)?;
        Ok(person)
    }

    /// Removes one file, whatever is in it.
    ///
    /// # Errors
    /// If there is no such file, or the disk fails.
    pub fn remove_record(&self, id: RecordId) -> Result<(), StoreError> {
        let _lock = WriteLock::take(&self.folder)?;
        folder::remove_leftovers(&self.folder)?;
        self.delete(id)
    }

    fn lock_and_load(&self) -> Result<(WriteLock, Loaded), StoreError> {
        let lock = WriteLock::take(&self.folder)?;
        folder::remove_leftovers(&self.folder)?;
        let loaded = self.load()?;
        Ok((lock, loaded))
    }

    /// For changes that could give a name away twice: none is made beside a file that may hold any name.
    fn begin_change(&self) -> Result<(WriteLock, Loaded), StoreError> {
        let (lock, loaded) = self.lock_and_load()?;
        match loaded.refused.iter().find(|file| file.problem.blocks_changes()) {
            None => Ok((lock, loaded)),
            Some(RefusedFile { file_name, problem, .. }) => {
                Err(StoreError::Blocked { file_name: file_name.clone(), problem: problem.clone() })
            }
        }
    }

    fn write_renamed(&self, person: Person, to: &PersonId, now: WallTime) -> Result<Person, StoreError> {
        let renamed = Person { name: to.clone(), changed: to_millisecond(now), ..person };
        self.write(&renamed)?;
        Ok(renamed)
    }

    fn write(&self, person: &Person) -> Result<(), StoreError> {
        let bytes =
            encode(person).map_err(|source| StoreError::Unstorable { name: person.name.clone(), source })?;
        let path = self.folder.join(person.id.file_name());
        disk::write_whole(&*self.disk, &folder::temporary(&self.folder, person.id), &path, &bytes)
            .map_err(|(doing, source)| StoreError::Io { doing, path, source })?;
        self.make_durable(&self.folder)
    }

    fn delete(&self, id: RecordId) -> Result<(), StoreError> {
        let path = self.folder.join(id.file_name());
        match self.disk.remove(&path) {
            Ok(()) => self.make_durable(&self.folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoSuchRecord(id)),
            Err(error) => Err(io_error("remove", &path)(error)),
        }
    }

    fn make_durable(&self, folder: &Path) -> Result<(), StoreError> {
        self.disk
            .sync_folder(folder)
            .map_err(|source| StoreError::NotDurable { folder: folder.to_owned(), source })
    }

    fn read_one(&self, file_name: &OsStr) -> Result<Content, StoreError> {
        let path = self.folder.join(file_name);
        record::read(&path).map_err(io_error("read", &path))
    }

    fn read_all(&self, fingerprint: Fingerprint) -> Result<Loaded, StoreError> {
        let (mut people, mut refused) = (Vec::new(), Vec::new());
        for name in fingerprint.names() {
            match self.read_one(name)? {
                Content::Person(person) => people.push(*person),
                Content::Refused(problem) => refused.push(RefusedFile {
                    file_name: name.to_string_lossy().into_owned(),
                    problem,
                    moved_to: None,
                }),
                Content::Gone => {}
            }
        }
        let people = set_duplicates_aside(people, &mut refused);
        refused.sort_by(|a, b| a.file_name.cmp(&b.file_name));
        Ok(Loaded { people, refused, fingerprint })
    }

    fn quarantine(&self, refused: &mut [RefusedFile]) -> Result<(), StoreError> {
        let _lock = WriteLock::take(&self.folder)?;
        let aside = self.folder.join(QUARANTINE);
        folder::create(&aside)?;
        let mut result = Ok(());
        for file in refused.iter_mut().filter(|file| file.problem.is_damage()) {
            // Looked at again under the lock: a writer may have replaced it with a good one.
            match self.read_one(file.file_name.as_ref())? {
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
/// guess.
fn set_duplicates_aside(people: Vec<Person>, refused: &mut Vec<RefusedFile>) -> Vec<Person> {
    let mut by_name: HashMap<PersonId, Vec<Person>> = HashMap::new();
    for person in people {
        by_name.entry(person.name.clone()).or_default().push(person);
    }
    let mut single = Vec::with_capacity(by_name.len());
    for (name, mut same) in by_name {
        if same.len() == 1 {
            single.append(&mut same);
            continue;
        }
        for (at, person) in same.iter().enumerate() {
            let other = same[usize::from(at == 0)].id;
            refused.push(RefusedFile {
                file_name: person.id.file_name(),
                problem: FileProblem::DuplicateName { name: name.clone(), other },
                moved_to: None,
            });
        }
    }
    single.sort_by(|a, b| a.name.cmp(&b.name));
    single
}

/// The files that claim a name in vain.
fn claimants(loaded: &Loaded, wanted: &PersonId) -> Vec<RecordId> {
    let claims = |file: &RefusedFile| match &file.problem {
        FileProblem::DuplicateName { name, .. } if name == wanted => {
            RecordId::from_file_name(file.file_name.as_ref())
        }
        _ => None,
    };
    loaded.refused.iter().filter_map(claims).collect()
}

fn ensure_free(loaded: &Loaded, name: &PersonId) -> Result<(), StoreError> {
    if loaded.people.iter().any(|person| person.name == *name) || !claimants(loaded, name).is_empty() {
        return Err(StoreError::NameTaken(name.clone()));
    }
    Ok(())
}

fn take_named(mut loaded: Loaded, name: &PersonId) -> Result<Person, StoreError> {
    if let Some(at) = loaded.people.iter().position(|person| person.name == *name) {
        return Ok(loaded.people.swap_remove(at));
    }
    let files = claimants(&loaded, name);
    if files.is_empty() {
        Err(StoreError::NoSuchPerson(name.clone()))
    } else {
        Err(StoreError::DuplicateName { name: name.clone(), files })
    }
}
