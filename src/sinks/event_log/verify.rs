//! Looking through a log: whether it is as it was written, and what is in it.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::chain::{Entry, LineHash, Place};
use super::diagnose::{Before, diagnose};
use super::head::{self, Found, Head};
use super::names::Names;
use super::scan::{Line, next_line};
use crate::clock::WallTime;

/// A log is rotated while it is looked through: its files are listed again, so often at most.
const LISTINGS: usize = 20;

/// What a log holds that is as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// So many entries.
    pub entries: u64,
    /// The files, the oldest first.
    pub files: Vec<PathBuf>,
    /// When the oldest and the newest event was emitted; `None` in an empty log.
    pub times: Option<(WallTime, WallTime)>,
    /// Number and hash of the newest entry; 0 and [`LineHash::NONE`] in an empty log.
    pub head: (u64, LineHash),
    /// So many of the newest entries are not in the head file yet: nothing tells whether the last of them was changed.
    pub unconfirmed: u64,
    /// Bytes of half a line at the end: a crash, or an entry that is being written.
    pub torn_bytes: u64,
    /// There is no head file: entries may be missing at the end.
    pub is_head_missing: bool,
    /// So many entries named somebody who was forgotten: what they were is not there any more, only their hashes.
    pub forgotten: u64,
}

/// The first thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In which file.
    pub file: PathBuf,
    /// On which line of it, from 1; one past the last where entries are missing at the end.
    pub line: u64,
    /// Number of the entry.
    pub n: u64,
    /// What is wrong with it.
    pub what: What,
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The entry was changed.
    Changed(String),
    /// Entries were removed before this one, up to the number given, beginning with the fault's.
    Removed {
        /// The last of them.
        to: u64,
    },
    /// The entry does not belong here: it was inserted.
    Inserted,
    /// Entries were put in another order: the one with that number stands further down, on that line.
    Reordered {
        /// In which file.
        file: PathBuf,
        /// On which line of it.
        line: u64,
    },
    /// Entries are missing at the end, up to the number given: they were removed, or lost in a power cut.
    MissingAtEnd {
        /// The last of them.
        to: u64,
    },
    /// There is no head file, so that nobody can tell whether entries are missing at the end.
    HeadMissing,
    /// The head file is damaged.
    HeadDamaged,
    /// The head that was noted earlier is of no entry of the log.
    NotedHeadMissing,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, n, what } = self;
        let file = file.display();
        match what {
            What::Changed(how) => write!(f, "{file}: line {line}: entry {n} was changed: {how}"),
            What::Removed { to } if to == n => {
                write!(f, "{file}: line {line}: entry {n} was removed before this line")
            }
            What::Removed { to } => {
                write!(f, "{file}: line {line}: the entries {n} to {to} were removed before this line")
            }
            What::Inserted => {
                write!(f, "{file}: line {line}: entry {n} does not belong here: it was inserted")
            }
            What::Reordered { file: other, line: place } => write!(
                f,
                "{file}: line {line}: entry {n} belongs here and stands in {}, line {place}: the order was changed",
                other.display()
            ),
            What::MissingAtEnd { to } => write!(
                f,
                "{file}: line {line}: the entries {n} to {to} are missing at the end: removed, or lost in a power cut"
            ),
            What::HeadMissing => write!(
                f,
                "{file} is missing: whether entries are missing at the end of the log cannot be told (a head that was \
                 noted earlier can take its place: --head)"
            ),
            What::HeadDamaged => write!(f, "{file}: it is damaged, or was changed"),
            What::NotedHeadMissing => write!(
                f,
                "{file}: no entry has the head that was noted: the log was replaced, or cut and written on, or that \
                 entry is so old that it was deleted with its file"
            ),
        }
    }
}

/// Why a log does not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such log.
    #[error("there is no event log {}", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the event log {} cannot be read: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not as it was written.
    #[error("{0}")]
    Damaged(Box<Fault>),
}

/// Looks through all files of a log. `noted` is a head that was noted earlier, and must be of an entry in it.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(log: &Path, noted: Option<LineHash>) -> Result<Report, VerifyError> {
    let files = Files::open(log)?;
    let known = match files.head {
        Found::Damaged => return Err(files.fault_of_head(What::HeadDamaged)),
        Found::Missing => None,
        Found::Head(head) => Some(head),
    };
    let mut walked = Walked::default();
    let mut lines = files.lines().peekable();
    while let Some(found) = lines.next() {
        let found = found?;
        if !found.is_whole && found.file + 1 == files.files.len() {
            walked.torn_bytes = found.bytes;
            break;
        }
        let next = match lines.peek() {
            Some(Ok(next)) => next.entry.as_ref().ok(),
            _ => None,
        };
        let before = Before { last: walked.last.as_ref(), one_earlier: walked.one_earlier };
        let found = match found {
            // The last line of an older file was cut.
            Located { is_whole: false, entry: Ok(_), .. } => {
                Located { entry: Err("its line break is missing".to_owned()), ..found }
            }
            found => found,
        };
        if let Some(fault) = diagnose(&found, before, next, known, |n| files.find_after(&found, n))? {
            return Err(files.fault(fault));
        }
        walked.take(found, known, noted);
    }
    walked.settle(&files, known, noted)
}

/// What was seen so far.
#[derive(Default)]
struct Walked {
    entries: u64,
    forgotten: u64,
    first: Option<Entry>,
    last: Option<Located>,
    one_earlier: Option<Place>,
    /// Where the entry stands that the head file names, whatever its hash.
    at_head: Option<(usize, u64, Place)>,
    is_noted_found: bool,
    torn_bytes: u64,
}

impl Walked {
    fn take(&mut self, found: Located, known: Option<Head>, noted: Option<LineHash>) {
        let Ok(entry) = &found.entry else { return };
        self.entries += 1;
        self.forgotten += u64::from(entry.is_forgotten());
        if known.is_some_and(|head| head.newest.n == entry.place.n) {
            self.at_head = Some((found.file, found.line, entry.place));
        }
        // What the first entry names is known, though its file was deleted.
        self.is_noted_found |=
            noted == Some(entry.place.hash) || (self.first.is_none() && noted == Some(entry.prev));
        if self.first.is_none() {
            self.first = Some(entry.clone());
        }
        self.one_earlier = self.last.as_ref().and_then(Located::place);
        self.last = Some(found);
    }

    fn settle(
        self,
        files: &Files,
        known: Option<Head>,
        noted: Option<LineHash>,
    ) -> Result<Report, VerifyError> {
        let last = self.last.as_ref().and_then(|last| last.entry.as_ref().ok());
        let newest = last.map_or(Place::START, |entry| entry.place);
        let end = self.last.as_ref().map(|last| (last.file, last.line + 1));
        match known {
            None if noted.is_none() => return Err(files.fault_of_head(What::HeadMissing)),
            None => (),
            Some(head) if head.newest.n > newest.n => {
                let (file, line) = end.unwrap_or((files.files.len().saturating_sub(1), 1));
                let n = if newest.n == 0 { head.first } else { newest.n + 1 };
                return Err(files.fault((file, line, n, What::MissingAtEnd { to: head.newest.n })));
            }
            Some(head) => {
                if let Some((file, line, place)) = self.at_head.filter(|(_, _, place)| *place != head.newest)
                {
                    let how = format!("its hash is not the one in {}", files.names.head().display());
                    return Err(files.fault((file, line, place.n, What::Changed(how))));
                }
            }
        }
        if noted.is_some_and(|noted| noted != LineHash::NONE) && !self.is_noted_found {
            let (file, line) = end.unwrap_or((files.files.len().saturating_sub(1), 1));
            return Err(files.fault((file, line, newest.n, What::NotedHeadMissing)));
        }
        Ok(Report {
            entries: self.entries,
            files: files.files.iter().map(|(path, _)| path.clone()).collect(),
            times: self.first.as_ref().zip(last).map(|(first, last)| (first.stamp.at, last.stamp.at)),
            head: (newest.n, newest.hash),
            unconfirmed: known.map_or(self.entries, |head| newest.n.saturating_sub(head.newest.n)),
            torn_bytes: self.torn_bytes,
            is_head_missing: known.is_none(),
            forgotten: self.forgotten,
        })
    }
}

/// Writes the events that `wants` wants, by id and time, one a line and without their place in the chain. Gives back
/// how many lines were left out because they are no entries.
///
/// # Errors
/// If the log cannot be read; an error of `out` comes back as the inner one.
pub fn print_events(
    log: &Path,
    wants: &dyn Fn(ulid::Ulid, WallTime) -> bool,
    out: &mut dyn Write,
) -> Result<io::Result<u64>, VerifyError> {
    let files = Files::open(log)?;
    let mut left_out = 0;
    for found in files.lines() {
        let found = found?;
        match &found.entry {
            Ok(entry) if wants(entry.stamp.id, entry.stamp.at) => {
                let event = found.text.get(..entry.event_bytes).unwrap_or_default();
                if let Err(error) = out.write_all(event).and_then(|()| out.write_all(b"}\n")) {
                    return Ok(Err(error));
                }
            }
            Ok(_) => (),
            Err(_) if !found.is_whole => (),
            Err(_) => left_out += 1,
        }
    }
    Ok(out.flush().map(|()| left_out))
}

/// A line and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Located {
    /// Which of the files.
    pub(super) file: usize,
    /// From 1.
    pub(super) line: u64,
    pub(super) entry: Result<Entry, String>,
    is_whole: bool,
    bytes: u64,
    text: Vec<u8>,
}

impl Located {
    pub(super) fn place(&self) -> Option<Place> {
        self.entry.as_ref().ok().map(|entry| entry.place)
    }
}

/// A fault with the number of the file: where, which entry, what.
pub(super) type FoundFault = (usize, u64, u64, What);

/// All files of a log, open, as they were at one moment.
struct Files {
    names: Names,
    head: Found,
    /// The oldest first.
    files: Vec<(PathBuf, File)>,
}

impl Files {
    fn open(log: &Path) -> Result<Self, VerifyError> {
        let names = Names::of(log).map_err(io_error(log))?;
        for _ in 1..LISTINGS {
            if let Some(files) = Self::open_once(&names)? {
                return Ok(files);
            }
        }
        let source = io::Error::new(io::ErrorKind::ResourceBusy, "its files change all the time: try again");
        Err(io_error(log)(source))
    }

    /// `None` if a file was moved aside meanwhile.
    fn open_once(names: &Names) -> Result<Option<Self>, VerifyError> {
        // The head file before the files: what it has is in them.
        let head = head::read(&names.head()).map_err(io_error(&names.head()))?;
        let log = match File::open(&names.log) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error(&names.log)(error)),
        };
        let listed = names.kept_files().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => VerifyError::Missing(names.log.clone()),
            _ => io_error(names.folder())(error),
        })?;
        let mut files = Vec::new();
        for (_, path) in &listed {
            match File::open(path) {
                Ok(file) => files.push((path.clone(), file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(io_error(path)(error)),
            }
        }
        if log.is_none() && files.is_empty() && head == Found::Missing {
            return Err(VerifyError::Missing(names.log.clone()));
        }
        let named = std::fs::metadata(&names.log).map(|metadata| metadata.ino()).ok();
        let own = log.as_ref().and_then(|file| file.metadata().ok()).map(|metadata| metadata.ino());
        if named != own || names.kept_files().map_err(io_error(names.folder()))? != listed {
            return Ok(None);
        }
        files.extend(log.map(|file| (names.log.clone(), file)));
        let mut all = Self { names: names.clone(), head, files };
        all.add_foreign()?;
        Ok(Some(all))
    }

    /// Files that somebody else moved aside, as far as they hold what is in no other file.
    fn add_foreign(&mut self) -> Result<(), VerifyError> {
        for path in self.names.foreign_files().map_err(io_error(self.names.folder()))? {
            let file = File::open(&path).map_err(io_error(&path))?;
            let Some((first, last)) = ends(&file).map_err(io_error(&path))? else { continue };
            let mut at = 0;
            let mut is_known = false;
            for (path, file) in &self.files {
                let Some((known_first, known_last)) = ends(file).map_err(io_error(path))? else { continue };
                is_known |= first <= known_last && last >= known_first;
                at += usize::from(known_first < first);
            }
            if !is_known {
                self.files.insert(at, (path, file));
            }
        }
        Ok(())
    }

    fn lines(&self) -> impl Iterator<Item = Result<Located, VerifyError>> + '_ {
        self.files.iter().enumerate().flat_map(|(number, (path, file))| lines(number, path, file))
    }

    /// Where the entry `n` stands after `found`.
    fn find_after(&self, found: &Located, n: u64) -> Result<Option<(PathBuf, u64)>, VerifyError> {
        for other in self.lines() {
            let other = other?;
            let is_after = (other.file, other.line) > (found.file, found.line);
            if is_after && other.place().is_some_and(|place| place.n == n) {
                return Ok(self.files.get(other.file).map(|(path, _)| (path.clone(), other.line)));
            }
        }
        Ok(None)
    }

    fn fault(&self, (file, line, n, what): FoundFault) -> VerifyError {
        let file = self.files.get(file).map_or_else(|| self.names.log.clone(), |(path, _)| path.clone());
        VerifyError::Damaged(Box::new(Fault { file, line, n, what }))
    }

    fn fault_of_head(&self, what: What) -> VerifyError {
        VerifyError::Damaged(Box::new(Fault { file: self.names.head(), line: 1, n: 0, what }))
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> VerifyError {
    let path = path.to_owned();
    move |source| VerifyError::Io { path, source }
}

/// The lines of one file, from its beginning, whoever else reads it.
fn lines<'a>(
    number: usize,
    path: &'a Path,
    file: &'a File,
) -> impl Iterator<Item = Result<Located, VerifyError>> + 'a {
    let mut reader = BufReader::with_capacity(1 << 16, FromStart { file, at: 0 });
    let mut count = 0;
    std::iter::from_fn(move || {
        let mut line = Line::default();
        match next_line(&mut reader, &mut line) {
            Ok(0) => None,
            Ok(bytes) => {
                count += 1;
                let entry = line.entry();
                let Line { bytes: text, is_whole, .. } = line;
                Some(Ok(Located { file: number, line: count, entry, is_whole, bytes, text }))
            }
            Err(error) => Some(Err(io_error(path)(error))),
        }
    })
}

/// Reads a file without moving the place that all who have it open share.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for FromStart<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = std::os::unix::fs::FileExt::read_at(self.file, bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Numbers of the first and the last entry; `None` if the first line is none.
fn ends(file: &File) -> io::Result<Option<(u64, u64)>> {
    let mut reader = BufReader::new(FromStart { file, at: 0 });
    let (mut line, mut ends) = (Line::default(), None);
    while next_line(&mut reader, &mut line)? > 0 {
        match (line.entry(), &mut ends) {
            (Ok(entry), None) => ends = Some((entry.place.n, entry.place.n)),
            (Ok(entry), Some((_, last))) => *last = entry.place.n,
            (Err(_), None) => return Ok(None),
            (Err(_), Some(_)) => (),
        }
    }
    Ok(ends)
}
