//! The outbox on disk: an SQLite database of one file, for this process alone.
//!
//! SQLite rather than redb, because what this needs most is to go on after faults: a full disk, a file system gone
//! read-only or a bit flipped on a memory card are ordinary errors there, with a transaction rolled back and a
//! database still open, and `kill -9` is what it has been tested with for decades.
//!
//! Every commit of events is synced to the disk (`synchronous=FULL` on a write-ahead log), so that a power cut loses
//! nothing that was offered to anybody. Cursors are not waited for: an old one only repeats events.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use ulid::Ulid;

use crate::domain::Event;
use crate::sinks::Entry;

/// The file in the outbox's folder.
const FILE: &str = "outbox.db";
/// "FcWd": says that the database is one of these.
const APPLICATION_ID: i32 = 0x4663_5764;
/// Version of the tables.
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE events (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, at_ms INTEGER NOT NULL, json TEXT NOT NULL);
    CREATE INDEX events_by_id ON events (id);
    CREATE TABLE cursors (sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
";

/// What is wrong with the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// Another process has it open.
    #[error("another process uses the outbox")]
    Busy,
    /// Made by a newer version of the program.
    #[error("the outbox was made by a newer version of Facewarden (format {0}, this one knows {VERSION})")]
    Newer(i32),
    /// It cannot be made sense of: it has to be moved aside.
    #[error("the outbox is damaged: {0}")]
    Damaged(String),
    /// The disk is full, read-only, or fails: it may work again later.
    #[error("{0}")]
    Disk(String),
    /// The folder or file cannot be used, and waiting will not help.
    #[error("{0}")]
    Unusable(io::Error),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            // A value of another type than was stored, a table that is not there.
            Some(ErrorCode::Unknown | ErrorCode::TypeMismatch) | None => Self::Damaged(error.to_string()),
            Some(_) => Self::Disk(error.to_string()),
        }
    }
}

impl From<io::Error> for DatabaseError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::QuotaExceeded => {
                Self::Disk(error.to_string())
            }
            _ => Self::Unusable(error),
        }
    }
}

/// An open database.
pub(super) struct Database {
    connection: Connection,
    /// Bytes of all stored events' JSON.
    bytes: u64,
}

impl Database {
    /// Opens the database in `folder`, or makes both.
    pub(super) fn open(folder: &Path) -> Result<Self, DatabaseError> {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            made => made?,
        }
        let path = folder.join(FILE);
        // SQLite gives its helper files the permissions of this one.
        drop(OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?);
        let connection = Connection::open(&path)?;
        connection.busy_timeout(std::time::Duration::from_millis(200))?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Names of people are in there, and what was deleted is to be gone.
        connection.pragma_update(None, "secure_delete", "ON")?;
        // Takes the lock that the locking mode then keeps.
        connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        match (application, version) {
            (0, 0) => {
                connection.execute_batch(&format!(
                    "BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT"
                ))?;
            }
            (APPLICATION_ID, VERSION) => (),
            (APPLICATION_ID, newer) if newer > VERSION => return Err(DatabaseError::Newer(newer)),
            _ => return Err(DatabaseError::Damaged("it is another program's database".to_owned())),
        }
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(DatabaseError::Damaged(verdict));
        }
        let bytes = connection
            .query_row("SELECT coalesce(sum(length(json)), 0) FROM events", [], |row| row.get(0))?;
        Ok(Self { connection, bytes })
    }

    /// Whether there is one in `folder`.
    pub(super) fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Moves the database in `folder` aside, out of the way of a new one; says what it is called now.
    pub(super) fn move_aside(folder: &Path, label: &str) -> io::Result<PathBuf> {
        let aside = folder.join(format!("{FILE}.damaged-{label}"));
        fs::rename(folder.join(FILE), &aside)?;
        for end in ["-wal", "-shm", "-journal"] {
            match fs::rename(
                folder.join(format!("{FILE}{end}")),
                folder.join(format!("{FILE}.damaged-{label}{end}")),
            ) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                moved => moved?,
            }
        }
        Ok(aside)
    }

    /// Bytes of all stored events' JSON.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of the newest event, and all cursors.
    pub(super) fn state(&self) -> Result<(u64, Vec<(String, u64)>), DatabaseError> {
        let newest =
            self.connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))?;
        let mut statement = self.connection.prepare("SELECT sink, seq FROM cursors")?;
        let cursors = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((newest, cursors.collect::<Result<_, _>>()?))
    }

    /// Writes events and cursors, all or none; they are on the disk when this returns.
    pub(super) fn write<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry>,
        cursors: &[(String, u64)],
    ) -> Result<(), DatabaseError> {
        let transaction = self.connection.transaction()?;
        let mut added = 0;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO events (seq, id, at_ms, json) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for Entry { seq, event } in entries {
                let json =
                    serde_json::to_string(&**event).map_err(|e| DatabaseError::Damaged(e.to_string()))?;
                added += json.len() as u64;
                insert.execute(params![seq, event.id.to_bytes(), event.at.0.as_millisecond(), json])?;
            }
        }
        put_cursors(&transaction, cursors)?;
        transaction.commit()?;
        self.bytes += added;
        Ok(())
    }

    /// Writes cursors alone, without waiting for the disk.
    pub(super) fn write_cursors(&mut self, cursors: &[(String, u64)]) -> Result<(), DatabaseError> {
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let written = self.connection.transaction().map_err(DatabaseError::from).and_then(|transaction| {
            put_cursors(&transaction, cursors)?;
            Ok(transaction.commit()?)
        });
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        written
    }

    /// Forgets the cursors of all sinks but these.
    pub(super) fn keep_cursors(&mut self, sinks: &[String]) -> Result<(), DatabaseError> {
        let known = self.state()?.1;
        for (sink, _) in known.iter().filter(|(sink, _)| !sinks.contains(sink)) {
            self.connection.execute("DELETE FROM cursors WHERE sink = ?1", [sink])?;
        }
        Ok(())
    }

    /// The events after `seq`, at most `most`.
    pub(super) fn after(&self, seq: u64, most: usize) -> Result<Vec<Entry>, DatabaseError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, json FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let rows =
            statement.query_map(params![seq, most], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        let entry = |(seq, json): (u64, String)| match serde_json::from_str::<Event>(&json) {
            Ok(event) => Ok(Entry { seq, event: Arc::new(event) }),
            Err(error) => Err(DatabaseError::Damaged(format!("event {seq} cannot be read: {error}"))),
        };
        rows.map(|row| entry(row?)).collect()
    }

    /// Shows all events as JSON, in order.
    pub(super) fn each(&self, look: &mut dyn FnMut(&str)) -> Result<(), DatabaseError> {
        let mut statement = self.connection.prepare("SELECT json FROM events ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            look(row.get_ref(0)?.as_str().map_err(|error| DatabaseError::Damaged(error.to_string()))?);
        }
        Ok(())
    }

    /// Replaces those events for which `other` gives another one; gives back their numbers. Nothing of what they were,
    /// or of what was ever deleted, is left in the database's files.
    pub(super) fn forget(
        &mut self,
        other: &dyn Fn(&str) -> Option<Event>,
    ) -> Result<Vec<u64>, DatabaseError> {
        let mut found = Vec::new();
        {
            let mut statement = self.connection.prepare("SELECT seq, json FROM events ORDER BY seq")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let json =
                    row.get_ref(1)?.as_str().map_err(|error| DatabaseError::Damaged(error.to_string()))?;
                if let Some(event) = other(json) {
                    let json =
                        serde_json::to_string(&event).map_err(|e| DatabaseError::Damaged(e.to_string()))?;
                    found.push((row.get::<_, u64>(0)?, json));
                }
            }
        }
        let transaction = self.connection.transaction()?;
        for (seq, json) in &found {
            transaction.execute("UPDATE events SET json = ?2 WHERE seq = ?1", params![seq, json])?;
        }
        transaction.commit()?;
        // What older versions deleted may still stand in free pages, and moving a row may leave a copy of it.
        self.connection.execute_batch("PRAGMA temp_store = MEMORY; VACUUM")?;
        let is_busy: bool =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if is_busy {
            return Err(DatabaseError::Busy);
        }
        self.bytes =
            self.connection
                .query_row("SELECT coalesce(sum(length(json)), 0) FROM events", [], |row| row.get(0))?;
        Ok(found.into_iter().map(|(seq, _)| seq).collect())
    }

    /// Number of an event.
    pub(super) fn seq_of(&self, id: Ulid) -> Result<Option<u64>, DatabaseError> {
        let mut statement = self.connection.prepare_cached("SELECT seq FROM events WHERE id = ?1")?;
        Ok(statement.query_row([id.to_bytes()], |row| row.get(0)).optional()?)
    }

    /// Number of the oldest event.
    pub(super) fn oldest(&self) -> Result<Option<u64>, DatabaseError> {
        Ok(self.connection.query_row("SELECT min(seq) FROM events", [], |row| row.get(0))?)
    }

    /// Deletes events up to number `up_to` that are older than `before_ms` (milliseconds since 1970), the oldest
    /// first up to the first that stays.
    pub(super) fn delete_old(&mut self, up_to: u64, before_ms: i64) -> Result<(), DatabaseError> {
        self.delete(
            "seq <= ?1 AND seq < (SELECT coalesce(min(seq), 9223372036854775807) FROM events WHERE at_ms >= ?2)",
            params![up_to, before_ms],
        )
    }

    /// Deletes the oldest events until at most `bytes` are left.
    pub(super) fn delete_down_to(&mut self, bytes: u64) -> Result<(), DatabaseError> {
        self.delete(
            "seq <= (SELECT coalesce(max(seq), 0) FROM (SELECT seq, sum(length(json)) OVER (ORDER BY seq DESC) AS newer \
             FROM events) WHERE newer > ?1)",
            params![bytes],
        )
    }

    fn delete(&mut self, which: &str, values: &[&dyn rusqlite::ToSql]) -> Result<(), DatabaseError> {
        let transaction = self.connection.transaction()?;
        transaction.execute(&format!("DELETE FROM events WHERE {which}"), values)?;
        let bytes =
            transaction
                .query_row("SELECT coalesce(sum(length(json)), 0) FROM events", [], |row| row.get(0))?;
        transaction.commit()?;
        self.bytes = bytes;
        Ok(())
    }
}

fn put_cursors(
    transaction: &rusqlite::Transaction<'_>,
    cursors: &[(String, u64)],
) -> Result<(), DatabaseError> {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO cursors (sink, seq) VALUES (?1, ?2)")?;
    for (sink, seq) in cursors {
        put.execute(params![sink, seq])?;
    }
    Ok(())
}
