//! What became of each picture of a bulk enrolment, on disk: a JSON object a line.
//!
//! For people and programs to read; and to know again, when a run goes on, pictures that were looked at and are of no
//! use. What is enrolled is not looked up here but in the gallery, which alone can know it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mark::FileMark;
use crate::cmds::exit::{Exit, Failure, OrExit};
use crate::domain::PersonId;

/// What became of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It is a template now.
    Enrolled,
    /// It was one before.
    Known,
    /// It adds nothing: `reason` is `repeated`, `alike` or `enough`.
    LeftOut,
    /// It cannot be used: `reason` is `unreadable`, `no_face`, `several_faces` or `quality`.
    Refused,
    /// `reason` is `somebody_else` or `unlike`: nothing of the person is written. `held_back` is a picture of such a
    /// person that nothing speaks against.
    Conflict,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) person: PersonId,
    pub(super) picture: PathBuf,
    /// Of the file, as in the gallery; absent if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) sha256: Option<String>,
    pub(super) outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) message: Option<String>,
    /// Under which name this face is enrolled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) other: Option<PersonId>,
    /// By what it was judged: digests of the models' manifests. Lines of others are not gone by.
    pub(super) models: String,
    /// Nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(super) dry_run: bool,
}

/// The file, if one is wanted, and what was in it.
pub(super) struct Record {
    file: Option<(PathBuf, File)>,
    models: String,
    dry_run: bool,
    before: HashMap<PersonId, HashMap<FileMark, Line>>,
}

impl Record {
    /// Opens or begins the file. A last line that was cut off when a run was killed is taken away.
    ///
    /// # Errors
    /// If it cannot be read or written, or is something else.
    pub(super) fn open(path: Option<&Path>, models: String, dry_run: bool) -> Result<Self, Failure> {
        let mut record = Self { file: None, models, dry_run, before: HashMap::new() };
        let Some(path) = path else { return Ok(record) };
        let failed = |error: io::Error| {
            Failure::new(Exit::CannotWrite, format!("the report {}: {error}", path.display()))
        };
        // Names and what they look like: for its owner alone.
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for (number, line) in (1..).zip(bytes[..whole].split(|byte| *byte == b'\n')) {
            if line.is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                let message =
                    format!("{} is no report of `enroll --from`: line {number}: {error}", path.display());
                Failure::new(Exit::Usage, message)
            })?;
            record.remember(line);
        }
        if whole == 0 && !bytes.is_empty() {
            let message = format!("{} is no report of `enroll --from`, and is left as it is", path.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        record.file = Some((path.to_owned(), file));
        Ok(record)
    }

    fn remember(&mut self, line: Line) {
        let mark = line.sha256.as_deref().and_then(FileMark::parse);
        if let Some(mark) = mark.filter(|_| line.models == self.models && !line.dry_run) {
            self.before.entry(line.person.clone()).or_default().insert(mark, line);
        }
    }

    /// Whether anything is written of that person.
    pub(super) fn knows(&self, person: &PersonId) -> bool {
        self.before.contains_key(person)
    }

    /// What is written of that very picture by an earlier run with the same models, last.
    pub(super) fn before(&self, person: &PersonId, mark: FileMark) -> Option<&Line> {
        self.before.get(person)?.get(&mark)
    }

    /// Whether a line says something that an earlier one does not.
    fn is_news(&self, line: &Line) -> bool {
        let mark = line.sha256.as_deref().and_then(FileMark::parse);
        let Some(before) = mark.and_then(|mark| self.before(&line.person, mark)) else { return true };
        let is_same = before.outcome == line.outcome && before.reason == line.reason;
        !is_same && (before.outcome, line.outcome) != (Outcome::Enrolled, Outcome::Known)
    }

    /// Writes what became of a person's pictures, whole; what is written already is not written again.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(super) fn write(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let news: Vec<&Line> = lines.iter().filter(|line| self.is_news(line)).collect();
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let mut text = Vec::new();
        for line in news {
            serde_json::to_writer(&mut text, line).or_exit(Exit::Internal)?;
            text.push(b'\n');
        }
        file.write_all(&text)
            .map_err(|error| anyhow::anyhow!("the report {}: {error}", path.display()))
            .or_exit(Exit::CannotWrite)
    }

    /// An unfinished line, to be completed.
    pub(super) fn line(
        &self,
        person: &PersonId,
        picture: &Path,
        mark: Option<FileMark>,
        outcome: Outcome,
    ) -> Line {
        Line {
            person: person.clone(),
            picture: picture.to_owned(),
            sha256: mark.map(|mark| mark.to_string()),
            outcome,
            reason: None,
            message: None,
            other: None,
            models: self.models.clone(),
            dry_run: self.dry_run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_taken_away_and_the_rest_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        let ada = PersonId::new("Ada").unwrap();
        let (one, two) = (FileMark::of(b"1"), FileMark::of(b"2"));
        let open = |models: &str| Record::open(Some(&path), models.to_owned(), false).unwrap();
        let mut record = open("m");
        let line = record.line(&ada, Path::new("a.jpg"), Some(one), Outcome::Refused);
        record.write(std::slice::from_ref(&line)).unwrap();
        let second = record.line(&ada, Path::new("b.jpg"), Some(two), Outcome::Refused);
        record.write(&[second]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();

        let mut record = open("m");
        assert_eq!(record.before(&ada, one), Some(&line));
        assert_eq!(record.before(&ada, two), None);
        let third =
            Line { dry_run: true, ..record.line(&ada, Path::new("b.jpg"), Some(two), Outcome::Refused) };
        record.write(&[third]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(open("m").before(&ada, two), None, "nothing came of it");
        assert_eq!(open("other").before(&ada, one), None, "by other models");
    }

    #[test]
    fn another_file_is_not_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in ["name,picture\nAda,a.jpg\n", "one line"] {
            std::fs::write(&path, text).unwrap();
            assert!(Record::open(Some(&path), String::new(), false).is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
