//! Opening a log: where its chain goes on, and what is done about damage.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ulid::Ulid;

use super::chain::Place;
use super::head::{Found, Head, HeadError, HeadFile};
use super::names::Names;
use super::scan::{Scan, scan};
use crate::clock::WallTime;

/// A log that can be gone on with.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) head_file: HeadFile,
    /// What the head file says.
    pub(super) head: Head,
    /// The newest entry.
    pub(super) newest: Place,
    pub(super) last_id: Option<Ulid>,
    /// Length of the file.
    pub(super) bytes: u64,
    /// What operators should hear.
    pub(super) notices: Vec<String>,
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("another program writes it; each daemon needs a log of its own")]
    Busy,
    #[error("cannot {doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
}

fn io_error(doing: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { doing, source }
}

/// Opens or creates the file that is written, for its owner alone.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

fn open_head(names: &Names) -> Result<HeadFile, OpenError> {
    HeadFile::open(&names.head()).map_err(|error| match error {
        HeadError::Busy => OpenError::Busy,
        HeadError::Io(source) => OpenError::Io { doing: "open its head file", source },
    })
}

/// Where the chain goes on.
enum Judgement {
    /// After this entry.
    GoOn { newest: Place, last_id: Option<Ulid>, head: Head },
    /// What is there cannot be gone on with.
    Damaged(String),
}

/// Opens the log: goes on where it ends, cuts off what a crash left of a line, and moves a damaged log aside, all of
/// which it tells.
pub(super) fn open(names: &Names, now: WallTime) -> Result<Opened, OpenError> {
    let mut notices = Vec::new();
    let mut head_file = open_head(names)?;
    let mut file = open_file(&names.log).map_err(io_error("open it"))?;
    let found = head_file.read().map_err(io_error("read its head file"))?;
    let wanted = match found {
        Found::Head(head) => head.newest.n,
        Found::Missing | Found::Damaged => 0,
    };
    let mut scanned = scan(&mut BufReader::new(&file), wanted).map_err(io_error("read it"))?;
    let mut is_head_aside = false;
    let (newest, last_id, head) = match judge(names, found, &scanned, &mut notices)? {
        Judgement::GoOn { newest, last_id, head } => (newest, last_id, head),
        Judgement::Damaged(why) => {
            let aside = names.move_damaged(now).map_err(io_error("move it aside, damaged as it is"))?;
            notices.push(format!(
                "the event log {} is damaged ({why}): it was moved to {}, with all that belongs to it, and a new one \
                 is begun; find out who changed it",
                names.log.display(),
                aside.display()
            ));
            // The old one stays locked until the new one is.
            head_file = open_head(names)?;
            file = open_file(&names.log).map_err(io_error("create it anew"))?;
            scanned = Scan::default();
            is_head_aside = true;
            (Place::START, None, Head::EMPTY)
        }
    };
    if scanned.torn_bytes > 0 {
        file.set_len(scanned.whole_bytes).map_err(io_error("cut off half a line"))?;
        notices.push(format!(
            "the event log {} ended with half a line, as after a crash: {} bytes were cut off",
            names.log.display(),
            scanned.torn_bytes
        ));
    }
    if found == Found::Damaged && !is_head_aside {
        names.move_damaged_head(now).map_err(io_error("move its head file aside"))?;
        head_file = open_head(names)?;
    }
    head_file.write(head).map_err(io_error("write its head file"))?;
    head_file.sync().and_then(|()| names.sync_folder()).map_err(io_error("write its head file"))?;
    Ok(Opened { file, head_file, head, newest, last_id, bytes: scanned.whole_bytes, notices })
}

fn judge(names: &Names, found: Found, log: &Scan, notices: &mut Vec<String>) -> Result<Judgement, OpenError> {
    if let Some(fault) = &log.fault {
        return Ok(Judgement::Damaged(fault.clone()));
    }
    let kept = names.kept_files().map_err(io_error("list its folder"))?;
    match found {
        Found::Head(head) => with_head(names, head, log, kept.last().map(|(last, _)| *last), notices),
        Found::Missing if log.last.is_none() && kept.is_empty() => {
            Ok(Judgement::GoOn { newest: Place::START, last_id: None, head: Head::EMPTY })
        }
        Found::Missing | Found::Damaged => without_head(names, found, log, &kept, notices),
    }
}

fn with_head(
    names: &Names,
    head: Head,
    log: &Scan,
    newest_kept: Option<u64>,
    notices: &mut Vec<String>,
) -> Result<Judgement, OpenError> {
    let (Some(first), Some(last)) = (&log.first, &log.last) else {
        if newest_kept.unwrap_or(0) != head.newest.n {
            notices.push(format!(
                "the event log {} is not there or empty, and it had {} entries: it was moved or removed while nobody \
                 wrote it; the chain goes on in a new file",
                names.log.display(),
                head.newest.n
            ));
        }
        let last_id = match newest_kept {
            Some(last) if last == head.newest.n => {
                scan_kept(&names.kept(last))?.last.map(|last| last.stamp.id)
            }
            _ => None,
        };
        return Ok(Judgement::GoOn { newest: head.newest, last_id, head });
    };
    let known = head.newest;
    let is_continued = match () {
        () if last.place.n < known.n => {
            let (from, to) = (last.place.n + 1, known.n);
            return Ok(Judgement::Damaged(format!("the entries {from} to {to} are missing at its end")));
        }
        () if first.place.n > known.n => first.follows(known),
        () => log.wanted == Some(known),
    };
    if !is_continued {
        return Ok(Judgement::Damaged(format!(
            "it does not hold the entry {} that its head file has",
            known.n
        )));
    }
    Ok(Judgement::GoOn { newest: last.place, last_id: Some(last.stamp.id), head })
}

fn without_head(
    names: &Names,
    found: Found,
    log: &Scan,
    kept: &[(u64, std::path::PathBuf)],
    notices: &mut Vec<String>,
) -> Result<Judgement, OpenError> {
    let what = if found == Found::Missing { "is missing" } else { "is damaged" };
    notices.push(format!(
        "the head file {} {what}: whether entries are missing at the end of the event log cannot be told; the log goes \
         on after the entries that are there",
        names.head().display()
    ));
    let older = match (&log.last, kept.last()) {
        (None, Some((_, path))) => Some(scan_kept(path)?),
        _ => None,
    };
    let log = older.as_ref().unwrap_or(log);
    if let Some(fault) = &log.fault {
        return Ok(Judgement::Damaged(format!("its newest file that was moved aside: {fault}")));
    }
    let (Some(first), Some(last)) = (&log.first, &log.last) else {
        return Ok(Judgement::GoOn { newest: Place::START, last_id: None, head: Head::EMPTY });
    };
    let oldest = match kept.first() {
        Some((_, path)) => scan_kept(path)?.first.map_or(first.place.n, |oldest| oldest.place.n),
        None => first.place.n,
    };
    let head = Head { newest: last.place, first: oldest };
    Ok(Judgement::GoOn { newest: last.place, last_id: Some(last.stamp.id), head })
}

fn scan_kept(path: &Path) -> Result<Scan, OpenError> {
    let file = File::open(path).map_err(io_error("open a file that was moved aside"))?;
    scan(&mut BufReader::new(file), 0).map_err(io_error("read a file that was moved aside"))
}
