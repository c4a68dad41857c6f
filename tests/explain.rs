//! The real program with real models: decisions are recorded, explained, and decided again.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use facewarden::domain::{Event, EventKind};

use super::daemon::rig::Before::{Barack, Nobody, Stranger};
use super::daemon::rig::{Rig, text};

/// Somebody enrolled comes and goes, then a stranger.
const VISITS: [super::daemon::rig::Before; 3] = [Barack(12), Nobody(23), Stranger(12)];

/// A daemon that has run on the visits, with everything in one folder.
struct Ran {
    rig: Rig,
    log: String,
}

/// How the program ended, and what it printed.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn facewarden(args: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_facewarden")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

impl Ran {
    /// At this speed, and with these settings below `debug`.
    fn new(speed: &str, debug: &str) -> Self {
        let rig = Rig::new(&VISITS);
        rig.enrol_barack();
        let yaml = format!(
            "schema: 1\ncameras:\n  - {{ id: door, source: \"{}\", fps: 15, speed: {speed} }}\nliveness: {{ mode: report \
             }}\ngallery: {{ folder: \"{}\" }}\nevents: {{ log: \"{}\" }}\ndebug: {{ record: true, folder: \"{}\"{debug} \
             }}\n",
            text(&rig.frames()),
            text(&rig.enrolled()),
            text(&rig.path("events.jsonl")),
            text(&rig.path("debug")),
        );
        fs::write(rig.path("facewarden.yaml"), yaml).unwrap();
        let config = rig.path("facewarden.yaml");
        let mut daemon = rig.start(&["run", "--config", text(&config)]);
        let status = daemon.end();
        let log = daemon.log();
        assert_eq!(status.code(), Some(0), "{log}");
        drop(daemon);
        Self { rig, log }
    }

    fn config(&self) -> PathBuf {
        self.rig.path("facewarden.yaml")
    }

    fn events(&self) -> Vec<Event> {
        let log = fs::read_to_string(self.rig.path("events.jsonl")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn decisions(&self) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.kind.detail().is_some()).collect()
    }

    fn bundle(&self, event: &Event) -> PathBuf {
        self.rig.path("debug").join(event.id.to_string())
    }

    fn explain(&self, event: &str) -> Said {
        facewarden(&["explain", event, "--config", text(&self.config())])
    }
}

/// Until the time in which a grant may open something is over: `explain` says of it what is true when it is asked.
fn wait_until_expired(event: &Event) {
    let EventKind::Verified { expires_at, .. } = &event.kind else { panic!("no grant: {event:?}") };
    let left = expires_at.0.duration_since(jiff::Timestamp::now());
    if let Ok(left) = Duration::try_from(left) {
        std::thread::sleep(left);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn decisions_are_recorded_explained_and_decided_again() {
    let ran = Ran::new("max", "");
    let warning = "debug.record: pictures of everybody who is decided about are stored in";
    assert!(ran.log.contains(warning), "{}", ran.log);
    let checked = facewarden(&["config", "check", text(&ran.config())]);
    assert!(
        checked.out.contains("pictures of everybody who is decided about are stored in"),
        "{}",
        checked.out
    );
    let decisions = ran.decisions();
    let kinds: Vec<&str> = decisions.iter().map(|event| event.kind.name()).collect();
    assert_eq!(kinds, ["match.verified", "match.unknown"]);

    let last = ran.explain("last");
    assert_eq!(last.code, 0, "{}", last.err);
    let begin = format!(
        "{}  match.unknown\nSomebody was there and was not recognised: the face is like nobody enrolled.\n",
        decisions[1].id
    );
    assert!(last.out.starts_with(&begin), "{}", last.out);
    wait_until_expired(&decisions[0]);
    let first = ran.explain(&decisions[0].id.to_string());
    for part in
        ["Barack was verified", "one in 10,000 strangers' visits", "with 1 person enrolled", "expired "]
    {
        assert!(first.out.contains(part), "{part}: {}", first.out);
    }
    let json = facewarden(&["explain", "last", "--json", "--log", text(&ran.rig.path("events.jsonl"))]);
    assert_eq!(serde_json::from_str::<Event>(&json.out).unwrap(), decisions[1]);

    assert_eq!(mode(&ran.rig.path("debug")), 0o700);
    assert_eq!(files(&ran.rig.path("debug")), [ran.bundle(&decisions[0]), ran.bundle(&decisions[1])]);
    for event in &decisions {
        let bundle = ran.bundle(event);
        assert_eq!(mode(&bundle), 0o700);
        assert!(files(&bundle).iter().all(|file| mode(file) == 0o600));
        let replayed = facewarden(&["replay", text(&bundle)]);
        assert_eq!(replayed.code, 0, "{}{}", replayed.out, replayed.err);
        assert!(replayed.out.ends_with("\nthe verdict is the same\n"), "{}", replayed.out);
        assert!(!replayed.out.contains("note:"), "{}", replayed.out);
        let json = facewarden(&["replay", text(&bundle), "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(json["replayed"]["looks"], json["recorded"]["looks"], "the same looks in every figure");
        assert_eq!(json["replayed"]["similarity"], json["recorded"]["similarity"]);
        assert_eq!(json["replayed"]["reason"], json["recorded"]["reason"]);
    }
}

#[test]
fn what_was_decided_in_real_time_is_decided_again() {
    let ran = Ran::new("real", "");
    let decisions = ran.decisions();
    assert!(matches!(decisions[0].kind, EventKind::Verified { .. }), "{decisions:?}");
    for event in &decisions {
        let replayed = facewarden(&["replay", text(&ran.bundle(event))]);
        assert_eq!(replayed.code, 0, "{}{}", replayed.out, replayed.err);
    }
}

#[test]
fn what_has_changed_since_is_said_and_damage_is_refused() {
    let ran = Ran::new("max", "");
    let decisions = ran.decisions();
    let bundle = ran.bundle(&decisions[0]);
    let replay = |more: &[&str]| facewarden(&[&["replay", text(&bundle)], more].concat());

    // Nobody of that name any more: the verdict is another one.
    ran.rig.store().remove(&"Barack".parse().unwrap()).unwrap();
    let forgotten = replay(&[]);
    assert_eq!(forgotten.code, 1, "{}{}", forgotten.out, forgotten.err);
    let note = "note: the gallery, or when its people may be let in, has changed since: 1 could be recognised then, 0 can be now\n";
    assert!(forgotten.out.contains(note), "{}", forgotten.out);
    assert!(forgotten.out.contains("empty_gallery"), "{}", forgotten.out);
    ran.rig.enrol_barack();

    let other = ran.rig.path("other.yaml");
    let strict = "\ndecision: { min_similarity: 0.999 }\n";
    fs::write(&other, fs::read_to_string(ran.config()).unwrap() + strict).unwrap();
    let stricter = replay(&["--config", text(&other)]);
    assert_eq!(stricter.code, 1, "{}{}", stricter.out, stricter.err);
    assert!(stricter.out.contains("note: decided by the settings of "), "{}", stricter.out);

    // Another model.
    let manifest = bundle.join("bundle.json");
    let whole = fs::read_to_string(&manifest).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&whole).unwrap();
    json["models"]["embedder"]["digest"] = "00".repeat(32).into();
    fs::write(&manifest, json.to_string()).unwrap();
    let differs = replay(&[]);
    assert_eq!(differs.code, 2, "{}{}", differs.out, differs.err);
    assert!(differs.err.contains("the embedder was faceplugin512 000000000000, and is"), "{}", differs.err);
    let seen_all_the_same = replay(&["--config", text(&ran.config())]);
    assert_eq!(seen_all_the_same.code, 0, "{}", seen_all_the_same.err);
    fs::write(&manifest, whole).unwrap();

    let frame = bundle.join("00003.jpg");
    let mut bytes = fs::read(&frame).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&frame, bytes).unwrap();
    let damaged = replay(&[]);
    assert_eq!(damaged.code, 65, "{}", damaged.err);
    assert!(damaged.err.contains("00003.jpg is damaged: its bytes are not those"), "{}", damaged.err);
    fs::remove_file(&frame).unwrap();
    let missing = replay(&[]);
    assert_eq!(missing.code, 65, "{}", missing.err);
    assert!(missing.err.contains("00003.jpg is damaged: the file is missing"), "{}", missing.err);
    assert_eq!(facewarden(&["replay", "/nowhere/at/all"]).code, 66);
}

#[test]
fn a_folder_that_cannot_be_written_to_stops_no_decision() {
    // Others can look into the folder above: pictures are not put there.
    let rig = Rig::new(&VISITS);
    fs::create_dir(rig.path("debug")).unwrap();
    fs::set_permissions(rig.path("debug"), fs::Permissions::from_mode(0o755)).unwrap();
    rig.enrol_barack();
    let yaml = format!(
        "schema: 1\ncameras:\n  - {{ id: door, source: \"{}\", speed: max }}\nliveness: {{ mode: report }}\ndebug: {{ \
         record: true, folder: \"{}\" }}\ngallery: {{ folder: \"{}\" }}\n",
        text(&rig.frames()),
        text(&rig.path("debug")),
        text(&rig.enrolled())
    );
    let config = rig.path("facewarden.yaml");
    fs::write(&config, yaml).unwrap();
    let mut daemon = rig.start(&["run", "--config", text(&config)]);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    let mut kinds = daemon.kinds();
    let degraded = kinds.iter().filter(|kind| **kind == "service.degraded").count();
    kinds.retain(|kind| *kind != "service.degraded");
    assert_eq!(kinds, ["service.started", "match.verified", "match.unknown", "service.stopping"]);
    assert_eq!(degraded, 1, "{}", daemon.log());
    assert_eq!(files(&rig.path("debug")), [""; 0].map(PathBuf::from));
}

#[test]
fn old_recordings_are_deleted_at_the_start() {
    let ran = Ran::new("max", "");
    let debug = ran.rig.path("debug");
    // Of the year 2016.
    let old = debug.join("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    fs::create_dir(&old).unwrap();
    fs::write(debug.join("mine.txt"), "mine").unwrap();
    let before = files(&debug).len();
    let config = ran.config();
    let mut daemon = ran.rig.start(&["run", "--config", text(&config)]);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    assert!(!old.exists());
    assert!(debug.join("mine.txt").exists());
    // Two decisions more.
    assert_eq!(files(&debug).len(), before + 1);
}

#[test]
fn an_event_that_cannot_be_found_has_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("events.jsonl");
    let line = |id: &str| {
        format!(
            "{{\"schema\":1,\"id\":\"{id}\",\"at\":\"2026-11-23T19:25:23.378Z\",\"type\":\"service.stopping\",\"message\":\
             \"SIGTERM\"}}\n"
        )
    };
    let explain = |event: &str| {
        let said = facewarden(&["explain", event, "--log", text(&log)]);
        (said.code, said.out, said.err)
    };
    assert_eq!(explain("last").0, 66, "no log");
    fs::write(&log, line("01M84XQ0000000000000000002") + &line("01M84XQ0000000000000000003")).unwrap();
    let (code, out, _) = explain("01M84XQ0000000000000000003");
    assert!(code == 0 && out.contains("\nThe daemon ended: SIGTERM.\n"), "{out}");
    assert_eq!(explain("last").0, 1, "no decision");
    assert_eq!(explain("01M9").0, 1, "no such event");
    let (code, _, err) = explain("01M84");
    assert_eq!(code, 2, "ambiguous");
    assert!(
        err.contains("01M84XQ0000000000000000002, 01M84XQ0000000000000000003; write more of it"),
        "{err}"
    );
    assert_eq!(explain("no-id").0, 64);
    fs::write(&log, line("01M84XQ0000000000000000002") + "{\"schema\":1,\"id\":\"01M8").unwrap();
    let (code, _, err) = explain("01M84XQ0000000000000000003");
    assert_eq!(code, 65, "damaged");
    assert!(err.contains("line 2 cannot be read as an event"), "{err}");
    let (code, _, err) = explain("01M84XQ0000000000000000002");
    assert_eq!(code, 0, "the damage is elsewhere");
    assert!(err.contains("the event asked for is whole"), "{err}");
    let config = folder.path().join("facewarden.yaml");
    fs::write(&config, "schema: 1\ncameras:\n  - { id: door, source: /dev/video0 }\n").unwrap();
    let said = facewarden(&["explain", "last", "--config", text(&config)]);
    assert!(said.code == 64 && said.err.contains("--log FILE"), "{}", said.err);
}
