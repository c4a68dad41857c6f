//! Forgetting somebody in the outbox and in the files beside it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

use serde_json::Value;

use super::{DatabaseError, Outbox, State};
use crate::domain::{Erasure, Event, EventKind};
use crate::sinks::event_log::LineHash;
use crate::sinks::rewrite::{Fate, rewrite};
use crate::sinks::{Entry, SinkError};

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OutboxForgotten {
    /// So many events were replaced by a place that is never told.
    pub events: u64,
    /// So many events that a sink had refused for good were dropped.
    pub refused: u64,
    /// Damaged files that were moved aside, and are not looked into.
    pub not_looked_into: Vec<PathBuf>,
}

/// What stands in the place of an event that names them: its number, its id and its time stay, so that whoever takes
/// events from the outbox neither misses any nor begins anew. `None` where it does not name them.
pub(super) fn in_place_of(json: &str, erasure: &Erasure) -> Option<Event> {
    let value: Value = serde_json::from_str(json).ok()?;
    if !erasure.concerns(&value) {
        return None;
    }
    let event: Event = serde_json::from_value(value).ok()?;
    let kind = EventKind::EntryForgotten {
        record: erasure.record().to_owned(),
        was: event.kind.name().to_owned(),
        sha256: LineHash::of(json.as_bytes()).to_string(),
    };
    Some(Event { kind, ..event })
}

impl Outbox {
    /// Takes in what kept events say of a record.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn learn(&self, erasure: &mut Erasure) -> Result<(), SinkError> {
        let state = self.lock();
        for entry in &state.recent {
            if let Ok(event) = serde_json::to_value(&*entry.event) {
                erasure.learn(&event);
            }
        }
        let Some(database) = &state.database else { return Ok(()) };
        let mut look = |json: &str| {
            if let Ok(event) = serde_json::from_str(json) {
                erasure.learn(&event);
            }
        };
        database.each(&mut look).map_err(|error| unreadable(&error))
    }

    /// Takes every kept event away that names somebody who is to be forgotten, from memory and from the disk, where no
    /// byte of it is left in the outbox's files. Who is just being told of one hears it to the end.
    ///
    /// # Errors
    /// If the disk fails: then some may be left there, and it can be done again.
    pub fn forget(&self, erasure: &Erasure) -> Result<OutboxForgotten, SinkError> {
        let mut state = self.lock();
        if state.stored < state.latest {
            self.write(&mut state);
        }
        let mut gone: BTreeSet<u64> = BTreeSet::new();
        let on_disk = match &mut state.database {
            Some(database) => database.forget(&|json| in_place_of(json, erasure)),
            None => Err(DatabaseError::Disk("it cannot be opened".to_owned())),
        };
        gone.extend(on_disk.as_ref().map(|gone| gone.as_slice()).unwrap_or_default());
        forget_in_memory(&mut state, erasure, &mut gone);
        let events = gone.len() as u64;
        state.forgotten.extend(gone);
        drop(state);
        on_disk.map_err(|error| unreadable(&error))?;
        let refused = self.forget_refused(erasure);
        let (refused, not_looked_into) =
            refused.map_err(|error| SinkError::once("outbox".to_owned(), error))?;
        Ok(OutboxForgotten { events, refused, not_looked_into })
    }

    /// Whether the event of this number was forgotten since the outbox was opened.
    pub(in crate::sinks) fn is_forgotten(&self, seq: u64) -> bool {
        self.lock().forgotten.contains(&seq)
    }

    /// Held by whoever writes a file of refused events.
    pub(in crate::sinks) fn hold_refused(&self) -> MutexGuard<'_, ()> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_refused(&self, erasure: &Erasure) -> io::Result<(u64, Vec<PathBuf>)> {
        let _held = self.hold_refused();
        forget_refused_in(&self.folder, erasure)
    }
}

fn forget_in_memory(state: &mut State, erasure: &Erasure, gone: &mut BTreeSet<u64>) {
    for entry in &mut state.recent {
        let Ok(json) = serde_json::to_string(&*entry.event) else { continue };
        if let Some(event) = in_place_of(&json, erasure) {
            gone.insert(entry.seq);
            *entry = Entry { seq: entry.seq, event: Arc::new(event) };
        }
    }
}

fn forget_refused_in(folder: &Path, erasure: &Erasure) -> io::Result<(u64, Vec<PathBuf>)> {
    let (mut count, mut odd) = (0, Vec::new());
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, odd)),
        listed => listed?,
    };
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.contains(".damaged-") {
            odd.push(path);
        } else if name.starts_with("refused-") && name.ends_with(".jsonl") {
            count += rewrite(&path, &mut |line| match serde_json::from_slice::<Value>(line) {
                Ok(said) if erasure.concerns(&said["event"]) => Fate::Drop,
                _ => Fate::Keep,
            })?;
        }
    }
    odd.sort_unstable();
    Ok((count, odd))
}

fn unreadable(error: &DatabaseError) -> SinkError {
    SinkError::once("outbox".to_owned(), format!("events could not be forgotten: {error}"))
}
