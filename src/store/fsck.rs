//! A look at everything in the gallery folder, and at how it fits together.

use std::collections::BTreeSet;
use std::fs;

use super::error::StoreError;
use super::folder::{self, QUARANTINE, WriteLock, io_error};
use super::gallery::Store;
use super::key::KeyId;
use super::person::RecordId;
use super::record::RefusedFile;
use crate::domain::PersonId;

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inventory {
    /// The key that is written with; `None` as long as nobody was ever enrolled.
    pub key: Option<KeyId>,
    /// The key before: a rotation was cut off, and is to be gone on with.
    pub former_key: Option<KeyId>,
    /// How many people can be recognised.
    pub people: usize,
    /// With how many templates.
    pub templates: usize,
    /// How many photos are kept and good.
    pub photos: usize,
    /// Person files that are not used.
    pub refused: Vec<RefusedFile>,
    /// Photos that are there and cannot be read, with the reason.
    pub bad_photos: Vec<(RecordId, String)>,
    /// Photos that a template names and that are not there.
    pub missing_photos: Vec<(PersonId, RecordId)>,
    /// Photos that no template names: left by an enrolment that was cut off. Only told where every person file can be read.
    pub stray_photos: Vec<RecordId>,
    /// Files of writers that were cut off.
    pub leftovers: usize,
    /// Files in the quarantine.
    pub quarantined: usize,
}

impl Inventory {
    /// Whether there is nothing to do about it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.former_key.is_none()
            && self.refused.is_empty()
            && self.bad_photos.is_empty()
            && self.missing_photos.is_empty()
            && self.stray_photos.is_empty()
            && self.leftovers == 0
    }
}

impl Store {
    /// Reads every file, photos too, and changes nothing.
    ///
    /// # Errors
    /// If the folder or the key cannot be read.
    pub fn inspect(&self) -> Result<Inventory, StoreError> {
        let keys = self.keys()?;
        let loaded = self.load()?;
        let mut found = Inventory {
            key: keys.as_ref().map(|keys| keys.current.id()),
            former_key: keys.and_then(|keys| keys.former).map(|key| key.id()),
            people: loaded.people.len(),
            templates: loaded.people.iter().map(|person| person.templates.len()).sum(),
            leftovers: folder::leftovers(&self.folder)?.len(),
            quarantined: self.quarantined()?,
            ..Inventory::default()
        };
        let there = folder::photos(&self.folder)?;
        let mut named = BTreeSet::new();
        for person in &loaded.people {
            for photo in person.photos() {
                if named.insert(photo) && !there.contains(&photo) {
                    found.missing_photos.push((person.name.clone(), photo));
                }
            }
        }
        for id in &there {
            match self.photo(*id) {
                Ok(_) => found.photos += 1,
                Err(error) => found.bad_photos.push((*id, error.to_string())),
            }
        }
        // A file that cannot be read may be the one that names it.
        if loaded.refused.is_empty() {
            found.stray_photos = there.difference(&named).copied().collect();
        }
        found.refused = loaded.refused;
        Ok(found)
    }

    /// Moves damaged files into the quarantine, removes what writers left that were cut off, and photos that nobody
    /// belongs to any more. Says what is left.
    ///
    /// # Errors
    /// If the folder or the key cannot be read, another writer holds the lock, or the disk fails.
    pub fn repair(&self) -> Result<Inventory, StoreError> {
        self.load_and_quarantine()?;
        {
            let _lock = WriteLock::take(&self.folder)?;
            folder::remove_leftovers(&self.folder)?;
            // Under the lock: an enrolment at work has its photos there before its person.
            self.delete_photos(self.inspect()?.stray_photos.into_iter())?;
        }
        self.inspect()
    }

    fn quarantined(&self) -> Result<usize, StoreError> {
        let folder = self.folder.join(QUARANTINE);
        match fs::read_dir(&folder) {
            Ok(entries) => Ok(entries.count()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(io_error("list", &folder)(error)),
        }
    }
}
