//! The files of a log: the one that is written, those that were moved aside, and the head file.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use crate::clock::WallTime;

/// What is appended to the names of files that were moved out of the way because they are damaged.
const DAMAGED: &str = ".damaged-";
/// As many digits as the largest number has, so that names sort like numbers.
const DIGITS: usize = 20;

/// How the files of one log are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The file that is written.
    pub(super) log: PathBuf,
    folder: PathBuf,
    /// `events` of `events.jsonl`.
    stem: String,
    /// `.jsonl` of it, or empty.
    extension: String,
    /// `.damaged-...`, or empty.
    suffix: String,
}

impl Names {
    /// Those that belong to `log`, which may be one that was moved out of the way. An error if its name is no text.
    pub(super) fn of(log: &Path) -> io::Result<Self> {
        let odd = || io::Error::new(io::ErrorKind::InvalidInput, "the name of an event log must be text");
        // Beside the file itself, where the name is a link to it.
        let is_link = fs::symlink_metadata(log).is_ok_and(|metadata| metadata.is_symlink());
        let log = if is_link { fs::canonicalize(log)? } else { log.to_owned() };
        let name = log.file_name().and_then(OsStr::to_str).ok_or_else(odd)?;
        let (bare, suffix) = name.find(DAMAGED).map_or((name, ""), |at| name.split_at(at));
        let dot = bare.rfind('.').filter(|at| *at > 0).unwrap_or(bare.len());
        let folder = match log.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let (stem, extension) = bare.split_at(dot);
        let (stem, extension, suffix) = (stem.to_owned(), extension.to_owned(), suffix.to_owned());
        Ok(Self { log, folder, stem, extension, suffix })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The head file.
    pub(super) fn head(&self) -> PathBuf {
        self.folder.join(format!("{}{}.head{}", self.stem, self.extension, self.suffix))
    }

    /// How the file is called when it is moved aside with `last` as its last entry.
    pub(super) fn kept(&self, last: u64) -> PathBuf {
        self.folder.join(format!("{}-{last:0DIGITS$}{}{}", self.stem, self.extension, self.suffix))
    }

    /// The number of the last entry of a file that was moved aside, from its name; `None` if it is no such file.
    fn last_of(&self, name: &OsStr) -> Option<u64> {
        let number = name
            .to_str()?
            .strip_suffix(&self.suffix)?
            .strip_suffix(&self.extension)?
            .strip_prefix(&self.stem)?
            .strip_prefix('-')?;
        (number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| number.parse().ok())
            .flatten()
    }

    /// The files that were moved aside, the oldest first, each with the number of its last entry.
    pub(super) fn kept_files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if let Some(last) = self.last_of(&name) {
                found.push((last, self.folder.join(name)));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Files that look as if somebody else (logrotate) had moved them aside: `events.jsonl.1`,
    /// `events.jsonl-20261124`.
    pub(super) fn foreign_files(&self) -> io::Result<Vec<PathBuf>> {
        if !self.suffix.is_empty() {
            return Ok(Vec::new());
        }
        let bare = format!("{}{}", self.stem, self.extension);
        let is_foreign = |name: &OsString| {
            let rest = name.to_str().and_then(|name| name.strip_prefix(&bare));
            rest.is_some_and(|rest| {
                rest.starts_with(['.', '-']) && !rest.starts_with(".head") && !rest.contains(DAMAGED)
            }) && self.last_of(name).is_none()
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && is_foreign(&entry.file_name()) {
                found.push(entry.path());
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Files of the log that were moved out of the way because they are damaged; no head files.
    pub(super) fn damaged_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        if self.suffix.is_empty() {
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let bare = name.to_str().and_then(|name| Some(name.split_at(name.find(DAMAGED)?).0));
                let is_own = bare.is_some_and(|bare| {
                    bare == format!("{}{}", self.stem, self.extension)
                        || self.last_of(OsStr::new(bare)).is_some()
                });
                if is_own && entry.file_type()?.is_file() {
                    found.push(entry.path());
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Moves all files of the log out of the way, under names that say so; gives back how the log itself is called
    /// now. Nothing is overwritten.
    pub(super) fn move_damaged(&self, now: WallTime) -> io::Result<PathBuf> {
        let suffix = format!("{DAMAGED}{}", now.to_string().replace([':', '-'], ""));
        let aside = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(&suffix);
            PathBuf::from(name)
        };
        let kept = self.kept_files()?.into_iter().map(|(_, path)| path);
        for path in kept.chain([self.log.clone(), self.head()]) {
            match move_to_new_name(&path, &aside(&path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved?,
            }
        }
        self.sync_folder()?;
        Ok(aside(&self.log))
    }

    /// Moves the head file alone out of the way.
    pub(super) fn move_damaged_head(&self, now: WallTime) -> io::Result<()> {
        let mut name = self.head().into_os_string();
        name.push(format!("{DAMAGED}{}", now.to_string().replace([':', '-'], "")));
        move_to_new_name(&self.head(), Path::new(&name))
    }

    /// Returns when a power cut no longer undoes renames and removals.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        fs::File::open(&self.folder)?.sync_all()
    }
}

/// An error of kind `AlreadyExists` if something has that name.
pub(super) fn move_to_new_name(from: &Path, to: &Path) -> io::Result<()> {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_together_and_sort_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let names = Names::of(&at("events.jsonl")).unwrap();
        assert_eq!(names.head(), at("events.jsonl.head"));
        assert_eq!(names.kept(123), at("events-00000000000000000123.jsonl"));
        for path in
            [names.kept(123), names.kept(9), at("events-9.jsonl"), at("events.jsonl.1"), at("other.jsonl")]
        {
            fs::write(path, "x").unwrap();
        }
        fs::write(names.head(), "x").unwrap();
        fs::write(&names.log, "x").unwrap();
        assert_eq!(names.kept_files().unwrap(), [(9, names.kept(9)), (123, names.kept(123))]);
        assert_eq!(names.foreign_files().unwrap(), [at("events.jsonl.1")]);
        let aside = names.move_damaged(WallTime(jiff::Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(aside, at("events.jsonl.damaged-19700101T000000.000Z"));
        let moved = Names::of(&aside).unwrap();
        assert!(moved.head().exists() && !names.head().exists() && !names.log.exists());
        assert_eq!(moved.kept_files().unwrap().len(), 2);
        assert_eq!(names.kept_files().unwrap(), []);
        assert_eq!(names.foreign_files().unwrap(), [at("events.jsonl.1")]);
    }

    #[test]
    fn a_log_may_have_no_extension_and_no_folder() {
        let names = Names::of(Path::new("log")).unwrap();
        assert_eq!(names.kept(1), Path::new("./log-00000000000000000001"));
        assert_eq!(names.folder(), Path::new("."));
        assert!(Names::of(Path::new("/")).is_err());
    }
}
