//! Where every event is kept until all have it who must miss none, and a while longer.
//!
//! Events are written to disk before they are offered to anybody from here, numbered in the order they came. Each sink
//! has a cursor: the number up to which it has everything. What the disk refuses is kept in memory until it takes it,
//! and that is said once. A damaged database is moved aside, and a new one begun.

mod database;
mod forgetting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ulid::Ulid;

use super::{Backlog, Entry, Notices, SinkError};
use crate::clock::{Clock, Moment};
use crate::config::OutboxSettings;
use crate::domain::Event;
use database::{Database, DatabaseError};
pub use forgetting::OutboxForgotten;

/// So many of the newest events are kept in memory beside the disk, so that whoever keeps up costs no reading.
const RECENT: usize = 512;
/// So many are kept in memory while the disk takes none; the oldest go when there are more.
pub const MAX_IN_MEMORY: usize = 10_000;
/// A disk that failed is tried again so often.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often what is old is looked for.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// What is left when there was too much, of what may be there.
const LEFT_PERCENT: u64 = 90;

/// Why there is no outbox.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Another daemon has it.
    #[error("the outbox in {} is used by another process: give each daemon a folder of its own (events.outbox.folder)", .0.display())]
    Busy(PathBuf),
    /// Made by a newer version of the program.
    #[error("the outbox in {} was made by a newer version of Facewarden (format {format}): use that version, or move the folder away and lose what was not delivered", folder.display())]
    Newer {
        /// Which folder.
        folder: PathBuf,
        /// Its format.
        format: i32,
    },
    /// The folder cannot be used.
    #[error("the outbox cannot be kept in {}: {source}", folder.display())]
    Unusable {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Bounds of the outbox.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    bytes: u64,
    age: Duration,
    delivered_age: Duration,
}

/// See the module's page.
pub struct Outbox {
    folder: PathBuf,
    bounds: Bounds,
    clock: Arc<dyn Clock>,
    notices: Notices,
    state: Mutex<State>,
    /// Held while a file of refused events is written.
    refused: Mutex<()>,
    /// Something came, or the end has.
    changed: Condvar,
}

struct State {
    /// `None` while it cannot be opened.
    database: Option<Database>,
    /// The newest events in order without holes: at least all that are not on disk.
    recent: VecDeque<Entry>,
    /// Number of the newest event.
    latest: u64,
    /// Number of the newest event on disk.
    stored: u64,
    /// Number of the oldest event that is kept anywhere, or one above the newest.
    oldest: u64,
    cursors: BTreeMap<String, u64>,
    /// Events that were forgotten since the start: a courier may still have one of them in hand.
    forgotten: BTreeSet<u64>,
    /// Cursors have moved since they were written.
    has_moved: bool,
    /// What is wrong with the disk has been said, and when it was last tried.
    failing_since: Option<Moment>,
    last_tidy: Moment,
    is_closing: bool,
    /// The database could not be opened at the start. Its numbers are not known, so none of it is used later either.
    is_memory_only: bool,
}

impl Outbox {
    /// Opens the outbox for these sinks; `sinks` are their names in the outbox. A sink that is new begins with the next
    /// event, and one that is not named any more is forgotten. A disk that is full or read-only is no error: events
    /// are kept in memory then, and that is said.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn open(
        settings: &OutboxSettings,
        sinks: &[String],
        clock: Arc<dyn Clock>,
        notices: Notices,
    ) -> Result<Self, OutboxError> {
        let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
        let outbox = Self {
            folder: settings.folder.clone(),
            bounds: Bounds {
                bytes: u64::from(settings.max_mb) * 1_000_000,
                age: hours(settings.max_age_hours),
                delivered_age: hours(settings.keep_delivered_hours),
            },
            state: Mutex::new(State {
                database: None,
                recent: VecDeque::new(),
                latest: 0,
                stored: 0,
                oldest: 1,
                cursors: BTreeMap::new(),
                forgotten: BTreeSet::new(),
                has_moved: false,
                failing_since: None,
                last_tidy: clock.now(),
                is_closing: false,
                is_memory_only: false,
            }),
            refused: Mutex::new(()),
            changed: Condvar::new(),
            clock,
            notices,
        };
        {
            let mut state = outbox.lock();
            match outbox.connect(&mut state) {
                Ok(()) => (),
                Err(DatabaseError::Busy) => return Err(OutboxError::Busy(outbox.folder.clone())),
                Err(DatabaseError::Newer(format)) => {
                    return Err(OutboxError::Newer { folder: outbox.folder.clone(), format });
                }
                Err(DatabaseError::Unusable(source)) => {
                    return Err(OutboxError::Unusable { folder: outbox.folder.clone(), source });
                }
                Err(error @ (DatabaseError::Damaged(_) | DatabaseError::Disk(_))) => {
                    state.is_memory_only = true;
                    outbox.notices.say(format!(
                        "the outbox in {} cannot be used: {error}. Until the daemon is started again, events are kept in \
                         memory alone, and what waits is lost when it ends",
                        outbox.folder.display()
                    ));
                }
            }
            let latest = state.latest;
            state.cursors.retain(|sink, _| sinks.contains(sink));
            for sink in sinks {
                state.cursors.entry(sink.clone()).or_insert(latest);
            }
            state.has_moved = true;
            if let Some(database) = &mut state.database
                && let Err(error) = database.keep_cursors(sinks)
            {
                outbox.failed(&mut state, &error);
            }
        }
        Ok(outbox)
    }

    /// Takes events, in order. What the disk refuses stays in memory.
    pub fn store(&self, events: &[Arc<Event>]) {
        let mut state = self.lock();
        for event in events {
            state.latest += 1;
            let entry = Entry { seq: state.latest, event: Arc::clone(event) };
            state.recent.push_back(entry);
        }
        self.write(&mut state);
        self.tidy(&mut state);
        drop(state);
        self.changed.notify_all();
    }

    /// What can be put off: writes cursors and what the disk did not take before, and deletes what is old.
    pub fn rest(&self) {
        let mut state = self.lock();
        if state.stored < state.latest {
            self.write(&mut state);
        }
        self.write_cursors(&mut state);
        self.tidy(&mut state);
    }

    /// The number up to which a sink has everything.
    #[must_use]
    pub fn cursor(&self, sink: &str) -> u64 {
        let state = self.lock();
        state.cursors.get(sink).copied().unwrap_or(state.latest)
    }

    /// Remembers that a sink has everything up to `seq`. It is written with the next events, or by [`Outbox::rest`].
    pub fn advance(&self, sink: &str, seq: u64) {
        let mut state = self.lock();
        if let Some(cursor) = state.cursors.get_mut(sink)
            && *cursor < seq
        {
            *cursor = seq;
            state.has_moved = true;
        }
    }

    /// How many events each sink has not seen.
    #[must_use]
    pub fn all_waiting(&self) -> Vec<(String, u64)> {
        let state = self.lock();
        let waiting = |(sink, cursor): (&String, &u64)| (sink.clone(), state.latest.saturating_sub(*cursor));
        state.cursors.iter().map(waiting).collect()
    }

    /// Whether there is an outbox in a folder.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        Database::is_in(folder)
    }

    /// Where files beside the database may be kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Wakes everybody who waits: no more events come.
    pub fn close(&self) {
        self.lock().is_closing = true;
        self.changed.notify_all();
    }

    /// Whether [`Outbox::close`] was called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.lock().is_closing
    }

    /// Waits for so long, or until the outbox is closed; true if it is.
    #[must_use]
    pub fn wait_for_close(&self, within: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, within, |state| !state.is_closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the database; one that is damaged is moved aside first.
    fn connect(&self, state: &mut State) -> Result<(), DatabaseError> {
        let database = match Database::open(&self.folder) {
            Err(DatabaseError::Damaged(why)) => {
                self.set_aside(state, &why)?;
                Database::open(&self.folder)?
            }
            opened => opened?,
        };
        let (newest, cursors) = database.state()?;
        if state.latest == 0 {
            let beyond = cursors.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
            state.latest = newest.max(beyond);
            state.stored = state.latest;
            state.cursors = cursors.into_iter().collect();
            state.oldest = database.oldest()?.unwrap_or(state.latest + 1);
        }
        state.database = Some(database);
        Ok(())
    }

    /// Moves a damaged database aside and says so. What is in memory is written to the new one.
    fn set_aside(&self, state: &mut State, why: &str) -> Result<(), DatabaseError> {
        state.database = None;
        let label = self.clock.wall(self.clock.now()).0.as_millisecond().to_string();
        let aside = Database::move_aside(&self.folder, &label)?;
        let in_memory = state.recent.front().map_or(state.latest + 1, |first| first.seq);
        state.stored = in_memory - 1;
        state.oldest = in_memory;
        state.has_moved = true;
        self.notices.say(format!(
            "the outbox was damaged ({why}) and begun anew: events that were not delivered yet may be lost; the damaged \
             file is {}",
            aside.display()
        ));
        Ok(())
    }

    /// Tries to bring to disk what is not there yet.
    fn write(&self, state: &mut State) {
        let now = self.clock.now();
        if state.is_memory_only || state.failing_since.is_some_and(|tried| now.since(tried) < RETRY_AFTER) {
            return self.bound_memory(state);
        }
        let written = self.try_write(state).or_else(|error| match error {
            DatabaseError::Damaged(why) => {
                self.set_aside(state, &why)?;
                self.try_write(state)
            }
            other => Err(other),
        });
        match written {
            Ok(()) => {
                state.stored = state.latest;
                state.has_moved = false;
                if state.failing_since.take().is_some() {
                    tracing::info!("the outbox is written to disk again");
                }
                let surplus = state.recent.len().saturating_sub(RECENT);
                state.recent.drain(..surplus);
            }
            Err(error) => {
                self.failed(state, &error);
                self.bound_memory(state);
            }
        }
    }

    fn try_write(&self, state: &mut State) -> Result<(), DatabaseError> {
        if state.database.is_none() {
            self.connect(state)?;
        }
        let cursors: Vec<_> = state.cursors.iter().map(|(sink, seq)| (sink.clone(), *seq)).collect();
        let stored = state.stored;
        match &mut state.database {
            Some(database) => {
                database.write(state.recent.iter().filter(|entry| entry.seq > stored), &cursors)
            }
            None => Ok(()),
        }
    }

    fn write_cursors(&self, state: &mut State) {
        if !state.has_moved || state.is_memory_only || state.failing_since.is_some() {
            return;
        }
        let cursors: Vec<_> = state.cursors.iter().map(|(sink, seq)| (sink.clone(), *seq)).collect();
        if let Some(database) = &mut state.database {
            match database.write_cursors(&cursors) {
                Ok(()) => state.has_moved = false,
                Err(error) => self.failed(state, &error),
            }
        }
    }

    /// The disk did not take something: said once, until it does again.
    fn failed(&self, state: &mut State, error: &DatabaseError) {
        if state.failing_since.replace(self.clock.now()).is_none() {
            self.notices.say(format!(
                "the outbox in {} cannot be written: {error}. Events are kept in memory until it can, and are lost if \
                 the daemon ends before",
                self.folder.display()
            ));
        }
    }

    /// Memory is no disk: past a bound the oldest go, and whoever misses them says so.
    fn bound_memory(&self, state: &mut State) {
        let surplus = state.recent.len().saturating_sub(MAX_IN_MEMORY);
        if surplus > 0 {
            state.recent.drain(..surplus);
            // What is older may still be on disk, but not without a hole; it stays until it is read or too old.
        }
    }

    /// Deletes what is old, when it is time or too much is there.
    fn tidy(&self, state: &mut State) {
        let now = self.clock.now();
        let Some(database) = &mut state.database else { return };
        let is_too_much = database.bytes() > self.bounds.bytes;
        if state.failing_since.is_some() || (!is_too_much && now.since(state.last_tidy) < TIDY_EVERY) {
            return;
        }
        state.last_tidy = now;
        let wall = self.clock.wall(now).0.as_millisecond();
        let before = |age: Duration| wall.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let delivered = state.cursors.values().copied().min().unwrap_or(state.latest);
        let done = database
            .delete_old(delivered, before(self.bounds.delivered_age))
            .and_then(|()| database.delete_old(state.latest, before(self.bounds.age)))
            .and_then(|()| match database.bytes() > self.bounds.bytes {
                true => database.delete_down_to(self.bounds.bytes / 100 * LEFT_PERCENT),
                false => Ok(()),
            })
            .and_then(|()| database.oldest());
        match done {
            Ok(oldest) => {
                state.oldest = oldest.unwrap_or(state.latest + 1);
                let oldest = state.oldest;
                state.recent.retain(|entry| entry.seq >= oldest);
                state.forgotten.retain(|seq| *seq >= oldest);
            }
            Err(error) => self.failed(state, &error),
        }
    }
}

impl Backlog for Outbox {
    fn after(&self, seq: u64, most: usize) -> Result<Vec<Entry>, SinkError> {
        let mut state = self.lock();
        let first_in_memory = state.recent.front().map_or(state.latest + 1, |first| first.seq);
        if seq + 1 < first_in_memory
            && let Some(database) = &mut state.database
        {
            match database.after(seq, most) {
                Ok(entries) if entries.is_empty() => (),
                Ok(entries) => return Ok(entries),
                Err(DatabaseError::Damaged(why)) => {
                    if let Err(error) = self.set_aside(&mut state, &why) {
                        self.failed(&mut state, &error);
                    }
                    self.write(&mut state);
                }
                Err(error) => {
                    let message = format!("the outbox cannot be read: {error}");
                    return Err(SinkError::later("outbox".to_owned(), message, Some(RETRY_AFTER)));
                }
            }
        }
        Ok(state.recent.iter().filter(|entry| entry.seq > seq).take(most).cloned().collect())
    }

    fn latest(&self) -> u64 {
        self.lock().latest
    }

    fn oldest(&self) -> u64 {
        self.lock().oldest
    }

    fn seq_of(&self, id: Ulid) -> Result<Option<u64>, SinkError> {
        let state = self.lock();
        if let Some(entry) = state.recent.iter().find(|entry| entry.event.id == id) {
            return Ok(Some(entry.seq));
        }
        let found = state.database.as_ref().map_or(Ok(None), |database| database.seq_of(id));
        found.map_err(|error| {
            SinkError::later(
                "outbox".to_owned(),
                format!("the outbox cannot be read: {error}"),
                Some(RETRY_AFTER),
            )
        })
    }

    fn wait_after(&self, seq: u64, within: Duration) -> bool {
        let state = self.lock();
        let idle = |state: &mut State| state.latest <= seq && !state.is_closing;
        let waited = self.changed.wait_timeout_while(state, within, idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.latest > seq
    }
}
