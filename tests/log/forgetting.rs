//! Somebody is forgotten in a log: nothing of their name is left, and the chain is as valid as before.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use facewarden::domain::{Erasure, Event, EventKind};
use facewarden::sinks::{Rotation, Sink as _, Traces, VerifyError, traces, verify};
use ulid::Ulid;

use super::{NEVER, NO_WAIT, Place, notice};

const RECORD: &str = "01M84XQ0000000000000000003";

fn enrolled(number: u64, name: &str, record: &str, was: Option<&str>) -> Event {
    let (person, record, templates) = (name.parse().unwrap(), record.to_owned(), 1);
    let kind = match was {
        None => EventKind::PersonEnrolled { person, record, templates, groups: vec![] },
        Some(was) => {
            let was = Some(was.parse().unwrap());
            EventKind::PersonChanged { person, record, was, templates, groups: vec![] }
        }
    };
    Event { kind, ..notice(number) }
}

fn verified(number: u64, name: &str) -> Event {
    let event = crate::sinks::verified(number, notice(number).at);
    let EventKind::Verified { expires_at, expired, detail, .. } = event.kind else { unreachable!() };
    let kind = EventKind::Verified { person: name.parse().unwrap(), expires_at, expired, detail };
    Event { kind, ..notice(number) }
}

fn ada() -> Erasure {
    Erasure::new(RECORD, Some(&"Ada".parse().unwrap()))
}

const OFTEN: Rotation = Rotation { rotate_bytes: 800, keep_files: 20 };

/// Eleven entries: of Ada, who was called Eve, of Adam, and of another Eve later.
fn with_ada(rotation: Rotation) -> Place {
    let place = Place::new();
    let mut log = place.open(rotation);
    for event in [
        notice(1),
        enrolled(10, "Eve", RECORD, None),
        verified(20, "Eve"),
        enrolled(30, "Ada", RECORD, Some("Eve")),
        enrolled(40, "Adam", "01M84XQ0000000000000000009", None),
        verified(50, "Ada"),
        verified(60, "Adam"),
        verified(70, "Eve"),
        notice(80),
        notice(90),
        verified(100, "Ada"),
    ] {
        log.deliver(&event).unwrap();
    }
    log.close(NO_WAIT);
    place
}

fn all(place: &Place) -> String {
    place.verify().unwrap().files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn forget(place: &Place, erasure: &mut Erasure) -> u64 {
    let mut log = place.open(NEVER);
    let keeper = log.keeper().unwrap();
    keeper.learn(erasure).unwrap();
    let done = keeper.forget(erasure).unwrap();
    assert!(done.not_looked_into.is_empty());
    log.close(NO_WAIT);
    done.entries
}

#[test]
fn what_named_them_is_gone_and_everything_else_is_as_it_was() {
    let place = with_ada(OFTEN);
    let before = place.verify().unwrap();
    assert!(before.forgotten == 0 && before.files.len() > 3, "{before:?}");
    assert_eq!(forget(&place, &mut ada()), 5);
    let report = verify(&place.path, Some(before.head.1)).unwrap();
    assert_eq!((report.entries, report.forgotten, report.head), (11, 5, before.head));
    let text = all(&place);
    assert!(!text.contains("\"Ada\""), "{text}");
    assert_eq!(text.matches("\"Adam\"").count(), 2);
    assert_eq!(text.matches("\"Eve\"").count(), 1, "the other Eve, who came later");
    assert_eq!(traces(&place.path, RECORD).unwrap(), Traces { removed: 0, forgotten: 5, named: 0 });
    for path in report.files {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
    // Once more, and on in the same chain.
    assert_eq!(forget(&place, &mut ada()), 0);
    assert_eq!(place.said(), [""; 0]);
    place.write(NEVER, 110..=112);
    let report = place.verify().unwrap();
    assert_eq!((report.entries, report.forgotten, report.unconfirmed), (14, 5, 0));
    // What is left of an entry is an event.
    let text = all(&place);
    let line = text.lines().find(|line| line.contains(&Ulid(100).to_string())).unwrap();
    let event: Event = serde_json::from_str(line).unwrap();
    assert_eq!((event.id, event.at), (Ulid(100), notice(100).at));
    let EventKind::EntryForgotten { record, was, .. } = &event.kind else { panic!("{event:?}") };
    assert_eq!((record.as_str(), was.as_str()), (RECORD, "match.verified"));
}

#[test]
fn a_log_that_is_being_written_goes_on_after_it() {
    let place = with_ada(NEVER);
    let mut log = place.open(NEVER);
    log.deliver(&verified(110, "Ada")).unwrap();
    // Not synced yet.
    assert_eq!(log.keeper().unwrap().forget(&ada()).unwrap().entries, 5);
    log.deliver(&notice(120)).unwrap();
    log.rest().unwrap();
    let report = place.verify().unwrap();
    assert_eq!((report.entries, report.forgotten, report.unconfirmed), (13, 5, 0));
    assert_eq!(place.said(), [""; 0], "nobody takes it for another program's doing");
}

#[test]
fn by_the_record_alone_it_can_be_finished() {
    let place = with_ada(OFTEN);
    // The name is in the log still: the newest file was done, and then there was no time left.
    assert_eq!(forget(&place, &mut Erasure::new(RECORD, None)), 5);
    assert!(!all(&place).contains("\"Ada\""));
}

#[test]
fn nothing_else_can_be_passed_off_as_forgotten() {
    let place = with_ada(NEVER);
    forget(&place, &mut ada());
    let path = place.path.clone();
    let whole = fs::read_to_string(&path).unwrap();
    let all: Vec<&str> = whole.lines().collect();
    // Of the renaming, of Adam, and of Ada's visit.
    let lines = &all[3..6];
    let with = |these: &[&str]| [&all[..3], these, &all[6..], &[""]].concat().join("\n");
    let sha = |line: &str| line.split("\"sha256\":\"").nth(1).unwrap()[..64].to_owned();
    let (first, last) = (sha(lines[0]), sha(lines[2]));
    let adam = lines[1];
    // An entry is replaced by somebody who does not know the hash that it had, or knows it and gets the rest wrong.
    let chain = |line: &str| line.split_once(",\"chain\"").unwrap().1.to_owned();
    let at_its_place = lines[2].replace(&chain(lines[2]), &chain(adam));
    let made_up = lines[0].replace(&first, &"0".repeat(64));
    for (what, changed) in [
        ("a hash", whole.replace(&last, &"0".repeat(64))),
        ("the hashes of two", whole.replace(&first, "x").replace(&last, &first).replace('x', &last)),
        ("two lines", with(&[lines[2], adam, lines[0]])),
        ("a line that was not forgotten", with(&[lines[0], &made_up, lines[2]])),
        ("a copy", with(&[lines[0], lines[0], lines[2]])),
        ("one less", with(&[lines[0], adam])),
        ("a line that was not forgotten, at its place", with(&[lines[0], &at_its_place, lines[2]])),
        ("a field more", whole.replacen("\"was\":", "\"person\":\"Eve\",\"was\":", 1)),
        ("a space", whole.replacen("\"was\":", "\"was\": ", 1)),
        ("a text in `was`", whole.replacen("\"person.changed\"", "\"Hello there\"", 1)),
        ("a name in `record`", whole.replacen(RECORD, "Ada", 1)),
        ("no hash", whole.replacen(&first, "", 1)),
        ("a hash in capitals", whole.replacen(&first, &first.to_uppercase(), 1)),
        ("no forgotten entry any more", whole.replacen("\"entry.forgotten\"", "\"entry.remembered\"", 1)),
        ("an entry that is there", whole.replace("\"Adam\"", "\"Adan\"")),
    ] {
        assert_ne!(changed, whole, "{what}");
        fs::write(&path, &changed).unwrap();
        assert!(matches!(place.verify(), Err(VerifyError::Damaged(_))), "{what}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(place.verify().unwrap().forgotten, 5);
}

#[test]
fn files_that_others_moved_aside_are_looked_into_and_those_that_cannot_be_are_said() {
    let place = with_ada(OFTEN);
    let files = place.verify().unwrap().files;
    let with_name =
        files.iter().rev().skip(1).find(|path| fs::read_to_string(path).unwrap().contains("\"Ada\""));
    fs::rename(with_name.unwrap(), place.beside("events.jsonl.1")).unwrap();
    fs::write(place.beside("events.jsonl.2.gz"), "packed").unwrap();
    fs::write(place.beside("events.jsonl.damaged-x"), "half a line of \"Ada\"").unwrap();
    let log = place.open(NEVER);
    let mut erasure = ada();
    let keeper = log.keeper().unwrap();
    keeper.learn(&mut erasure).unwrap();
    let done = keeper.forget(&erasure).unwrap();
    let odd = [place.beside("events.jsonl.2.gz"), place.beside("events.jsonl.damaged-x")];
    assert_eq!((done.entries, done.not_looked_into.as_slice()), (5, &odd[..]));
    assert!(!fs::read_to_string(place.beside("events.jsonl.1")).unwrap().contains("Ada\""));
}
