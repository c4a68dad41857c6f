//! `facewarden log`, and `explain` on the files that it looks after.

use std::fs;
use std::path::Path;
use std::process::Command;

use facewarden::domain::{Event, EventKind, Reason};
use facewarden::sinks::Sink as _;

use super::{NEVER, NO_WAIT, Place, notice, three_entries};
use crate::support::Ran;

fn facewarden(args: &[&str], path: &Path) -> Ran {
    Ran::of(Command::new(env!("CARGO_BIN_EXE_facewarden")).args(args).arg(path))
}

fn events(text: &str) -> Vec<Event> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn verify_says_what_the_log_holds_or_what_is_wrong_with_it() {
    let place = Place::new();
    place.write(three_entries(), 1..=7);
    let head = place.verify().unwrap().head.1.to_string();
    let said = facewarden(&["log", "verify"], &place.path).code(0).out;
    for line in [
        "entries  7".to_owned(),
        "files    3".to_owned(),
        "first    2023-11-14T22:13:21.000Z".to_owned(),
        "last     2023-11-14T22:13:27.000Z".to_owned(),
        format!("head     {head}"),
        "result   as it was written".to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "no {line} in\n{said}");
    }
    let noted = facewarden(&["log", "verify", "--head", &head], &place.path).code(0).out;
    assert!(noted.contains("the noted head is in it"), "{noted}");
    let other = facewarden(&["log", "verify", "--head", &"ab".repeat(32)], &place.path).code(65).err;
    assert!(other.contains("no entry has the head"), "{other}");
    facewarden(&["log", "verify", "--head", "abc"], &place.path).code(64);
    let older = place.beside("events-00000000000000000003.jsonl");
    let text = fs::read_to_string(&older).unwrap();
    fs::write(&older, text.replace("number 2", "number 5")).unwrap();
    let said = facewarden(&["log", "verify"], &place.path).code(65).err;
    let expected = format!("{}: line 2: entry 2 was changed", older.display());
    assert!(said.contains(&expected), "{said}");
    facewarden(&["log", "verify"], &place.beside("none.jsonl")).code(66);
    facewarden(&["log", "verify"], Path::new("/nonexistent/none.jsonl")).code(66);
}

#[test]
fn the_log_of_the_configuration_is_looked_at() {
    let place = Place::new();
    place.write(NEVER, 1..=2);
    let config = place.beside("facewarden.yaml");
    let yaml = |log: &str| {
        let yaml = format!(
            "schema: 1\ncameras: [{{ id: door, source: /dev/video0 }}]\nevents: {{ log: \"{log}\" }}\n"
        );
        fs::write(&config, yaml).unwrap();
    };
    yaml(place.path.to_str().unwrap());
    assert!(facewarden(&["log", "verify", "--config"], &config).code(0).out.contains("entries  2"));
    assert_eq!(events(&facewarden(&["log", "export", "--config"], &config).code(0).out).len(), 2);
    yaml("-");
    assert!(
        facewarden(&["log", "verify", "--config"], &config).code(64).err.contains("not written to a file")
    );
}

#[test]
fn export_prints_events_as_they_were_and_refuses_a_damaged_log() {
    let place = Place::new();
    place.write(three_entries(), 1..=8);
    let out = facewarden(&["log", "export"], &place.path).code(0).out;
    let plain: String =
        (1..=8).map(|number| serde_json::to_string(&notice(number)).unwrap() + "\n").collect();
    assert_eq!(out, plain);
    let export =
        |more: &[&str]| events(&facewarden(&[&["log", "export"], more].concat(), &place.path).code(0).out);
    assert_eq!(export(&["--since", &notice(6).id.to_string()]), [notice(7), notice(8)]);
    let (from, to) = (notice(3).at.to_string(), notice(5).at.to_string());
    assert_eq!(export(&["--since", &from, "--until", &to]), [notice(3), notice(4)]);
    facewarden(&["log", "export", "--since", "yesterday"], &place.path).code(64);
    fs::write(&place.path, place.text().replacen("{\"schema\"", "{\"sch", 1)).unwrap();
    let refused = facewarden(&["log", "export"], &place.path).code(65);
    assert_eq!(refused.out, "");
    assert!(refused.err.contains("--even-if-damaged"), "{}", refused.err);
    let anyway = facewarden(&["log", "export", "--even-if-damaged"], &place.path).code(0);
    let without_seven: Vec<Event> = (1..=6).chain([8]).map(notice).collect();
    assert_eq!(events(&anyway.out), without_seven);
    assert!(anyway.err.contains("entry 7 was changed") && anyway.err.contains("1 lines"), "{}", anyway.err);
}

#[test]
fn explain_finds_what_is_in_older_files() {
    let place = Place::new();
    let mut log = place.open(three_entries());
    let detail = crate::sinks::detail();
    let decision = Event { kind: EventKind::Unknown { reason: Reason::NoMatch, detail }, ..notice(1) };
    log.deliver(&decision).unwrap();
    (2..=9).for_each(|number| log.deliver(&notice(number)).unwrap());
    log.close(NO_WAIT);
    assert!(!place.text().contains("match.unknown"));
    for wanted in ["last", &decision.id.to_string()] {
        let said = facewarden(&["explain", wanted, "--json", "--log"], &place.path).code(0).out;
        assert_eq!(events(&said), std::slice::from_ref(&decision));
    }
    facewarden(&["explain", "7ZZZ", "--log"], &place.path).code(1);
}
