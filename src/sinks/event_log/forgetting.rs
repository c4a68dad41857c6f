//! Forgetting somebody in a log: an entry that names them is replaced by a short line that does not.
//!
//! The line has the id, the time and the place in the chain of the entry, and the hash that the entry had. For the chain
//! that hash is the line's own, so that all later lines, the head file and heads that were noted elsewhere stay true.
//! What is not held by the chain any more is the rest of such a line, and which record it names; therefore `verify` counts
//! them, and they have exactly one form.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use ulid::Ulid;

use super::chain::{Entry, LineHash, Stamp, chained};
use super::names::Names;
use super::scan::{Line, next_line};
use crate::domain::{ENTRY_FORGOTTEN, Erasure, Event, EventKind};
use crate::sinks::rewrite::{Fate, rewrite};

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LogForgotten {
    /// So many entries were replaced.
    pub entries: u64,
    /// Files that could not be looked into (compressed, or damaged) and may name them.
    pub not_looked_into: Vec<PathBuf>,
}

/// The line, without its line break, in the place of an entry. `None` if that is no event.
fn forgotten_line(entry: &Entry, event: &Value, record: &str) -> Option<Vec<u8>> {
    let kind = EventKind::EntryForgotten {
        record: record.to_owned(),
        was: event["type"].as_str().filter(|was| is_plain(was)).unwrap_or("unknown").to_owned(),
        sha256: entry.place.hash.to_string(),
    };
    let schema = u32::try_from(event["schema"].as_u64()?).ok()?;
    let Stamp { id, at, .. } = entry.stamp;
    chained(&Event { schema, id, at, kind }, entry.place.n, entry.prev).ok()
}

/// How types are written: nothing can be hidden in one.
fn is_plain(kind: &str) -> bool {
    kind.len() <= 40 && kind.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
}

/// The hash that an entry had which was forgotten. An error if the line is not exactly as such a line is written.
pub(super) fn hash_of_forgotten(line: &str, n: u64, prev: LineHash) -> Result<LineHash, String> {
    let odd = || "it is said to be forgotten, and is not written like that".to_owned();
    let event: Event = serde_json::from_str(line).map_err(|_| odd())?;
    let EventKind::EntryForgotten { record, was, sha256 } = &event.kind else { return Err(odd()) };
    let hash: LineHash = sha256.parse().map_err(|_| odd())?;
    let is_so = Ulid::from_string(record).is_ok_and(|id| id.to_string() == *record)
        && is_plain(was)
        && was != ENTRY_FORGOTTEN
        && hash.to_string() == *sha256
        && chained(&event, n, prev).is_ok_and(|own| own == line.as_bytes());
    if is_so { Ok(hash) } else { Err(odd()) }
}

/// All files of a log, also damaged ones that were moved out of the way: the newest first.
fn all_files(names: &Names) -> io::Result<Vec<PathBuf>> {
    let mut files = vec![names.log.clone()];
    files.extend(names.kept_files()?.into_iter().rev().map(|(_, path)| path));
    files.extend(names.foreign_files()?.into_iter().rev());
    files.extend(names.damaged_files()?);
    Ok(files)
}

/// Takes in what a log says of a record.
pub(super) fn learn(names: &Names, erasure: &mut Erasure) -> io::Result<()> {
    for path in all_files(names)? {
        each_event(&path, &mut |event| erasure.learn(event))?;
    }
    Ok(())
}

fn each_event(path: &Path, look: &mut dyn FnMut(&Value)) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut reader, mut line) = (BufReader::with_capacity(1 << 16, file), Line::default());
    while next_line(&mut reader, &mut line)? > 0 {
        if let Ok(event) = serde_json::from_slice(&line.bytes) {
            look(&event);
        }
    }
    Ok(())
}

/// Replaces entries in all files of a log, the current one first, whose name need not be known from an older one then.
/// Whoever calls holds the log. Can be done again after a crash.
pub(super) fn forget(names: &Names, erasure: &Erasure) -> io::Result<LogForgotten> {
    let mut done = LogForgotten::default();
    let needles: Vec<Vec<u8>> =
        erasure.names().iter().filter_map(|name| serde_json::to_vec(name).ok()).collect();
    for path in all_files(names)? {
        let is_packed =
            path.extension().is_some_and(|end| ["gz", "xz", "zst", "bz2"].iter().any(|e| end == *e));
        if is_packed {
            done.not_looked_into.push(path);
            continue;
        }
        let mut is_odd = false;
        let replaced = rewrite(&path, &mut |line| match judge(line, erasure) {
            Some(fate) => fate,
            None => {
                is_odd |= needles.iter().any(|needle| contains(line, needle));
                Fate::Keep
            }
        });
        match replaced {
            Ok(count) => done.entries += count,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
        if is_odd {
            done.not_looked_into.push(path);
        }
    }
    Ok(done)
}

/// What becomes of a line; `None` if it is no entry.
fn judge(line: &[u8], erasure: &Erasure) -> Option<Fate> {
    let entry = Entry::read(line).ok()?;
    let event: Value = serde_json::from_slice(line).ok()?;
    if !erasure.concerns(&event) {
        return Some(Fate::Keep);
    }
    forgotten_line(&entry, &event, erasure.record()).map(Fate::Replace)
}

fn contains(line: &[u8], needle: &[u8]) -> bool {
    line.windows(needle.len()).any(|window| window == needle)
}

/// How often a log has each of the two entries that are left of a record.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Traces {
    /// `person.removed`.
    pub removed: u64,
    /// `entry.forgotten`.
    pub forgotten: u64,
    /// Entries that still name somebody beside the record's id.
    pub named: u64,
}

/// What a log still has of a record.
///
/// # Errors
/// If it cannot be read.
pub fn traces(log: &Path, record: &str) -> io::Result<Traces> {
    let mut traces = Traces::default();
    for path in all_files(&Names::of(log)?)? {
        each_event(&path, &mut |event| {
            if event["record"].as_str() != Some(record) {
                return;
            }
            match event["type"].as_str() {
                Some(ENTRY_FORGOTTEN) => traces.forgotten += 1,
                _ if event["person"].is_string() => traces.named += 1,
                Some("person.removed") => traces.removed += 1,
                _ => (),
            }
        })?;
    }
    Ok(traces)
}

/// Whether there is anything of a log at all.
///
/// # Errors
/// If its folder cannot be read.
pub fn log_exists(log: &Path) -> io::Result<bool> {
    let names = Names::of(log)?;
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    Ok(is_there(&names.log)
        || is_there(&names.head())
        || (is_there(names.folder()) && !names.kept_files()?.is_empty()))
}
