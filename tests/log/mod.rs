//! The event log in real files: it is appended to, killed, damaged, moved away and tampered with, and looked through.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod command;
mod disk;
mod forgetting;
mod schema;
mod tampering;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use facewarden::clock::{Clock, SimulatedClock, WallTime};
use facewarden::domain::{Event, EventKind, SCHEMA};
use facewarden::sinks::{
    EventLog, Fate, Notices, Report, Rotation, Sink, SinkError, VerifyError, notices, verify,
};

pub(crate) const NO_WAIT: Duration = Duration::ZERO;
pub(crate) const NEVER: Rotation = Rotation { rotate_bytes: u64::MAX, keep_files: 3 };

pub(crate) fn notice(number: u64) -> Event {
    let at = WallTime(jiff::Timestamp::from_second(1_700_000_000 + i64::try_from(number).unwrap()).unwrap());
    let kind = EventKind::Degraded { message: format!("number {number}") };
    Event { schema: SCHEMA, id: ulid::Ulid(u128::from(number)), at, kind }
}

/// A log in a folder of its own.
pub(crate) struct Place {
    _folder: Option<tempfile::TempDir>,
    pub(crate) path: PathBuf,
    pub(crate) clock: SimulatedClock,
    said: Receiver<String>,
    notices: Notices,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        Self { _folder: Some(folder), ..Self::at(&path) }
    }

    pub(crate) fn at(path: &Path) -> Self {
        let (notices, said) = notices();
        let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
        Self { _folder: None, path: path.to_owned(), clock, said, notices }
    }

    pub(crate) fn try_open(&self, rotation: Rotation) -> Result<EventLog, SinkError> {
        self.clock.advance(Duration::from_millis(1));
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        EventLog::open(&self.path, rotation, &clock, &self.notices)
    }

    pub(crate) fn open(&self, rotation: Rotation) -> EventLog {
        self.try_open(rotation).unwrap()
    }

    /// Writes these events and closes the log.
    pub(crate) fn write(&self, rotation: Rotation, numbers: std::ops::RangeInclusive<u64>) {
        let mut log = self.open(rotation);
        numbers.for_each(|number| log.deliver(&notice(number)).unwrap());
        log.close(NO_WAIT);
    }

    /// What was said since it was last asked.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.try_iter().collect()
    }

    pub(crate) fn verify(&self) -> Result<Report, VerifyError> {
        verify(&self.path, None)
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Vec<String> {
        let folder = self.path.parent().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }
}

/// Bytes after which a file has three entries.
pub(crate) fn three_entries() -> Rotation {
    let place = Place::new();
    place.write(NEVER, 1..=3);
    Rotation { rotate_bytes: fs::metadata(&place.path).unwrap().len() - 20, keep_files: 3 }
}

#[test]
fn the_log_has_one_event_a_line_is_private_and_goes_on_when_it_is_opened_again() {
    let place = Place::new();
    assert_eq!(place.open(NEVER).last_id(), None);
    for number in 1..=3 {
        let mut log = place.open(NEVER);
        log.deliver(&notice(number)).unwrap();
        assert_eq!(log.last_id(), Some(notice(number).id));
    }
    let text = place.text();
    let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, [notice(1), notice(2), notice(3)]);
    let log = place.open(NEVER);
    assert_eq!(log.last_id(), Some(notice(3).id));
    for name in place.names() {
        assert_eq!(fs::metadata(place.beside(&name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let chain: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["chain"]["n"].as_u64().unwrap())
        .collect();
    assert_eq!(chain, [1, 2, 3]);
    assert_eq!(place.said(), Vec::<String>::new());
    let report = place.verify().unwrap();
    assert_eq!(
        (report.entries, report.head, report.unconfirmed),
        (3, log.head().unwrap(), 3),
        "nobody rested"
    );
    let (first, last) = report.times.unwrap();
    assert_eq!((first, last), (notice(1).at, notice(3).at));
}

#[test]
fn resting_confirms_what_was_written() {
    let place = Place::new();
    let mut log = place.open(NEVER);
    assert_eq!(place.verify().unwrap().entries, 0, "a log without entries is whole");
    log.deliver(&notice(1)).unwrap();
    log.rest().unwrap();
    log.deliver(&notice(2)).unwrap();
    assert_eq!(place.verify().unwrap().unconfirmed, 1);
    log.rest().unwrap();
    let report = place.verify().unwrap();
    assert_eq!((report.unconfirmed, report.head), (0, log.head().unwrap()));
}

#[test]
fn two_cannot_write_one_log() {
    let place = Place::new();
    let log = place.open(NEVER);
    let error = place.try_open(NEVER).unwrap_err();
    assert!(error.message.contains("another program writes it"), "{error}");
    drop(log);
    assert!(place.try_open(NEVER).is_ok());
}

#[test]
fn a_line_that_a_crash_cut_off_is_removed_and_said() {
    let place = Place::new();
    place.write(NEVER, 1..=2);
    let whole = place.text();
    fs::write(&place.path, format!("{whole}{{\"schema\":1,\"id")).unwrap();
    assert_eq!(place.verify().unwrap().torn_bytes, 15);
    place.write(NEVER, 3..=3);
    let said = place.said();
    assert!(said.len() == 1 && said[0].contains("15 bytes were cut off"), "{said:?}");
    assert!(place.text().starts_with(&whole));
    assert_eq!(place.verify().unwrap().entries, 3);
}

#[test]
fn what_is_no_log_is_moved_aside_and_never_overwritten() {
    let old = serde_json::to_string(&notice(1)).unwrap() + "\n";
    for (text, why) in [(old.as_str(), "no field `chain`"), ("root:x:0:0", "no beginning of an entry")] {
        let place = Place::new();
        fs::write(&place.path, text).unwrap();
        place.write(NEVER, 2..=2);
        let said = place.said();
        assert!(said.iter().any(|said| said.contains(why) && said.contains("was moved to")), "{said:?}");
        let names = place.names();
        let aside = names.iter().find(|name| name.starts_with("events.jsonl.damaged-")).unwrap();
        assert_eq!(fs::read_to_string(place.beside(aside)).unwrap(), text);
        assert_eq!(place.verify().unwrap().entries, 1);
    }
}

#[test]
fn a_log_that_was_changed_meanwhile_is_moved_aside_whole_with_all_its_files() {
    let place = Place::new();
    place.write(three_entries(), 1..=8);
    fs::write(&place.path, place.text().replace("number 7", "number 9")).unwrap();
    place.write(three_entries(), 9..=9);
    let said = place.said();
    assert!(said.len() == 1 && said[0].contains("line 2 does not continue"), "{said:?}");
    assert_eq!(place.verify().unwrap().entries, 1);
    let names = place.names();
    let aside = names.iter().find(|name| name.starts_with("events.jsonl.damaged-")).unwrap();
    // What was moved aside can still be looked through.
    let error = verify(&place.beside(aside), None).unwrap_err().to_string();
    assert!(error.contains("line 1: entry 7 was changed"), "{error}");
    assert_eq!(names.iter().filter(|name| name.contains("damaged")).count(), 4, "{names:?}");
}

#[test]
fn entries_that_were_removed_while_it_was_closed_are_noticed_when_it_is_opened() {
    let place = Place::new();
    place.write(NEVER, 1..=5);
    let text = place.text();
    let cut: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(&place.path, &cut).unwrap();
    place.write(NEVER, 6..=6);
    let said = place.said();
    assert!(said.len() == 1 && said[0].contains("the entries 4 to 5 are missing at its end"), "{said:?}");
    assert_eq!(place.verify().unwrap().entries, 1);
}

#[test]
fn a_head_file_that_is_missing_or_damaged_is_said_and_kept() {
    for damage in [None, Some("something else, longer than a head file is, by far ".repeat(9))] {
        let place = Place::new();
        place.write(NEVER, 1..=2);
        let head = place.beside("events.jsonl.head");
        match &damage {
            None => fs::remove_file(&head).unwrap(),
            Some(text) => fs::write(&head, text).unwrap(),
        }
        assert!(matches!(place.verify(), Err(VerifyError::Damaged(_))));
        place.write(NEVER, 3..=3);
        let said = place.said();
        assert!(said.len() == 1 && said[0].contains("events.jsonl.head is "), "{said:?}");
        assert_eq!(place.verify().unwrap().entries, 3);
        let kept = place.names().into_iter().find(|name| name.contains(".head.damaged-"));
        assert_eq!(kept.map(|name| fs::read_to_string(place.beside(&name)).unwrap()), damage);
    }
}

#[test]
fn full_files_are_moved_aside_and_the_oldest_deleted() {
    let place = Place::new();
    place.write(three_entries(), 1..=20);
    let kept = |last: u64| format!("events-{last:020}.jsonl");
    let expected = [kept(12), kept(15), kept(18), "events.jsonl".to_owned(), "events.jsonl.head".to_owned()];
    assert_eq!(place.names(), expected);
    assert_eq!(place.text().lines().count(), 2);
    let report = place.verify().unwrap();
    assert_eq!((report.entries, report.head.0, report.files.len()), (11, 20, 4));
    assert_eq!(place.said(), Vec::<String>::new());
    // Rotated at the very end: nothing is in the new file yet.
    fs::remove_file(&place.path).unwrap();
    let error = place.verify().unwrap_err().to_string();
    assert!(error.contains("the entries 19 to 20 are missing at the end"), "{error}");
}

#[test]
fn a_crash_between_moving_aside_and_beginning_anew_is_no_damage() {
    let place = Place::new();
    place.write(three_entries(), 1..=6);
    fs::rename(&place.path, place.beside("events-00000000000000000006.jsonl")).unwrap();
    assert_eq!(place.verify().unwrap().entries, 6);
    let log = place.open(three_entries());
    assert_eq!(log.last_id(), Some(notice(6).id));
    drop(log);
    place.write(three_entries(), 7..=7);
    assert_eq!((place.said(), place.verify().unwrap().entries), (Vec::new(), 7));
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew_and_the_chain_goes_on() {
    let place = Place::new();
    let mut log = place.open(NEVER);
    log.deliver(&notice(1)).unwrap();
    fs::rename(&place.path, place.beside("events.jsonl.1")).unwrap();
    log.deliver(&notice(2)).unwrap();
    let said = place.said();
    assert!(
        said.len() == 1 && said[0].contains("was moved away by another program after entry 1"),
        "{said:?}"
    );
    // Under a name that logrotate gives, in the same folder, it still belongs to the log.
    assert_eq!(place.verify().unwrap().entries, 2);
    fs::remove_file(&place.path).unwrap();
    log.deliver(&notice(3)).unwrap();
    assert!(place.said()[0].contains("was removed by another program after entry 2"));
    log.close(NO_WAIT);
    let error = place.verify().unwrap_err().to_string();
    assert!(error.contains("entry 2 was removed before this line"), "{error}");
    assert_eq!(serde_json::from_str::<Event>(&place.text()).unwrap(), notice(3));
}

#[test]
fn a_log_that_went_away_while_nobody_wrote_it_goes_on_and_is_said() {
    let place = Place::new();
    place.write(NEVER, 1..=3);
    fs::write(&place.path, "").unwrap();
    place.write(NEVER, 4..=4);
    let said = place.said();
    assert!(said.len() == 1 && said[0].contains("it had 3 entries"), "{said:?}");
    let error = place.verify().unwrap_err().to_string();
    assert!(error.contains("the entries 1 to 3 were removed before this line"), "{error}");
}

#[test]
fn a_log_that_another_program_writes_to_is_said_and_nothing_is_glued_together() {
    let place = Place::new();
    let mut log = place.open(NEVER);
    log.deliver(&notice(1)).unwrap();
    fs::write(&place.path, format!("{}half", place.text())).unwrap();
    log.deliver(&notice(2)).unwrap();
    log.close(NO_WAIT);
    assert!(place.said()[0].contains("another program changed it"));
    let error = place.verify().unwrap_err().to_string();
    assert!(error.contains("line 2: entry 2 does not belong here: it was inserted"), "{error}");
    assert_eq!(serde_json::from_str::<Event>(place.text().lines().nth(2).unwrap()).unwrap(), notice(2));
}

#[test]
fn devices_get_lines_without_a_chain() {
    let place = Place::at(Path::new("/dev/full"));
    let error = place.open(NEVER).deliver(&notice(1)).unwrap_err();
    assert!(error.fate == Fate::Later { after: None }, "there may be room again later");
    assert!(error.message.contains(&notice(1).id.to_string()), "{error}");
    assert!(Place::at(Path::new("/nonexistent/events.jsonl")).try_open(NEVER).is_err());
    let mut null = Place::at(Path::new("/dev/null")).open(NEVER);
    null.deliver(&notice(1)).unwrap();
    null.rest().unwrap();
    assert_eq!((null.head(), null.last_id()), (None, None));
    assert!(!Path::new("/dev/null.head").exists());
}
