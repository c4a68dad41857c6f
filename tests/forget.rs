//! Somebody is forgotten: by the real program, with a daemon that runs and without one.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use facewarden::clock::{Clock, SystemClock};
use facewarden::config::{Backoff, OutboxSettings};
use facewarden::domain::{Erasure, Event, EventKind, PersonId};
use facewarden::sinks::{
    Addressee, Backlog as _, Courier, EventLog, Fate, Outbox, Rotation, ScriptedSink, Sink as _,
    new_webhook_secret, notices, verify,
};
use rustix::process::Signal;
use serde_json::Value;

use super::daemon::rig::Before::{Barack, Nobody};
use super::daemon::rig::{Daemon, Rig, text};
use super::support::eventually;

const RECORD: &str = "01M84XQ0000000000000000003";

/// Every file below a folder whose bytes hold this text.
fn holding(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            found.extend(bytes.windows(needle.len()).any(|at| at == needle.as_bytes()).then_some(path));
        }
    }
    found
}

// ---- the outbox ----

fn event(number: u64) -> Event {
    let now = SystemClock::new();
    super::sinks::verified(number, now.wall(now.now()))
}

fn name() -> PersonId {
    event(1).kind.person().unwrap().clone()
}

fn open(folder: &Path) -> (Arc<Outbox>, facewarden::sinks::Notices, Arc<dyn Clock>) {
    let (say, _said) = notices();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings = OutboxSettings { folder: folder.join("outbox"), ..OutboxSettings::default() };
    let outbox = Outbox::open(&settings, &["web".to_owned()], Arc::clone(&clock), say.clone()).unwrap();
    (Arc::new(outbox), say, clock)
}

fn store(outbox: &Outbox) {
    for number in 1..=40 {
        let kind = EventKind::Degraded { message: "x".repeat(3000) };
        outbox.store(&[Arc::new(event(2 * number)), Arc::new(Event { kind, ..event(2 * number + 1) })]);
    }
}

#[test]
fn no_byte_of_them_is_left_in_the_outbox_and_numbers_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (outbox, ..) = open(folder.path());
    store(&outbox);
    let needle = "reboot";
    assert!(!holding(folder.path(), needle).is_empty());
    let done = outbox.forget(&Erasure::new(RECORD, Some(&name()))).unwrap();
    assert_eq!((done.events, done.refused), (40, 0));
    assert_eq!(holding(folder.path(), needle), Vec::<PathBuf>::new(), "while it is open");
    assert_eq!((outbox.latest(), outbox.oldest()), (80, 1));
    let kept = outbox.after(0, 1000).unwrap();
    assert_eq!(kept.len(), 80, "what is left stands in the place of what was");
    assert_eq!(kept.iter().filter(|entry| !entry.event.kind.is_told()).count(), 40);
    assert_eq!(outbox.seq_of(ulid::Ulid(2)).unwrap(), Some(1));
    assert_eq!(outbox.forget(&Erasure::new(RECORD, Some(&name()))).unwrap().events, 0, "done already");
    drop(outbox);
    assert_eq!(holding(folder.path(), needle), Vec::<PathBuf>::new());
    let (outbox, ..) = open(folder.path());
    assert_eq!((outbox.latest(), outbox.after(0, 1000).unwrap().len()), (80, 80));
}

#[test]
fn who_was_waited_for_is_told_of_everything_but_them() {
    let folder = tempfile::tempdir().unwrap();
    let (outbox, say, clock) = open(folder.path());
    let backoff = Backoff { first_ms: 5, max_ms: 10 };
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let script = move |_: &Event| if down.load(Ordering::Relaxed) { Err("down".to_owned()) } else { Ok(()) };
    let (sink, delivered) = ScriptedSink::with_script("web", script);
    // It has the first event in hand and tries it again and again.
    let sink = sink.with_fate(Fate::Later { after: None });
    let addressee = Addressee { key: "web".to_owned(), backoff, sink: Box::new(sink), has_up_to: None };
    let close = std::time::Duration::from_millis(100);
    let courier = Courier::start(addressee, Arc::clone(&outbox), clock, say, close).unwrap();
    store(&outbox);
    eventually("a try", || courier.stats().retries.load(Ordering::Relaxed) > 0);
    fs::write(
        folder.path().join("outbox/refused-web.jsonl"),
        format!(
            "{}\n{{\"why\":\"x\",\"event\":{{}}}}\n",
            serde_json::json!({ "why": "no", "event": event(9) })
        ),
    )
    .unwrap();
    let done = outbox.forget(&Erasure::new(RECORD, Some(&name()))).unwrap();
    assert_eq!((done.events, done.refused), (40, 1));
    is_down.store(false, Ordering::Relaxed);
    eventually("the others", || delivered.events().len() == 40);
    assert!(delivered.events().iter().all(|event| event.kind.name() == "service.degraded"));
    outbox.close();
    assert_eq!(courier.stats().missed.load(Ordering::Relaxed), 0);
    assert!(courier.join_within(super::support::LONG));
    assert_eq!(holding(folder.path(), "reboot"), Vec::<PathBuf>::new());
}

// ---- the program ----

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn facewarden(args: &[&str]) -> Said {
    let output =
        Command::new(env!("CARGO_BIN_EXE_facewarden")).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A door at which Barack was verified, recorded and told of: to a log, and to a webhook that is down.
struct House {
    rig: Rig,
    record: String,
}

impl House {
    /// With the daemon that runs there.
    fn new(control: &str) -> (Self, Daemon) {
        let rig = Rig::new(&[Barack(10), Nobody(10)]);
        rig.enrol_barack();
        let secret = rig.path("secret");
        fs::write(&secret, new_webhook_secret()).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let settings = format!(
            "gallery: {{ folder: \"{}\", reload_every_ms: 60000 }}\ndebug: {{ record: true, folder: \"{}\" }}\n{control}\n\
             events:\n  log: \"{}\"\n  outbox: {{ folder: \"{}\" }}\n  webhooks: [{{ name: web, url: \"http://127.0.0.1:9/\", \
             secret_file: \"{}\" }}]\n",
            text(&rig.enrolled()),
            text(&rig.path("debug")),
            text(&rig.path("events.jsonl")),
            text(&rig.path("outbox")),
            text(&secret)
        );
        let daemon = rig.watch(&settings);
        let record = rig.store().load().unwrap().people[0].id.to_string();
        let house = Self { rig, record };
        eventually("the name everywhere", || {
            let held = house.holding("Barack");
            ["debug", "outbox", "events.jsonl"]
                .iter()
                .all(|place| held.iter().any(|path| path.to_str().unwrap().contains(place)))
        });
        (house, daemon)
    }

    fn holding(&self, needle: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in ["debug", "outbox", "enrolled"] {
            if self.rig.path(folder).exists() {
                found.extend(holding(&self.rig.path(folder), needle));
            }
        }
        // Files beside each other: the log and all that belongs to it, the key, the receipt.
        for entry in fs::read_dir(self.rig.path("")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && fs::read_to_string(&path).is_ok_and(|text| text.contains(needle)) {
                found.push(path);
            }
        }
        found
    }

    fn ask(&self, args: &[&str]) -> Said {
        let config = self.rig.path("facewarden.yaml");
        facewarden(&[args, &["--config", text(&config)]].concat())
    }

    fn receipt(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.rig.path("receipt.json")).unwrap()).unwrap()
    }

    /// Forgets Barack, and looks whether that is so.
    fn forget(&self) {
        let paper = self.rig.path("receipt.json");
        let said = self.ask(&["forget", "Barack", "--yes", "--receipt", text(&paper)]);
        assert_eq!(said.code, 0, "{}{}", said.err, said.out);
        assert_eq!(fs::metadata(&paper).unwrap().permissions().mode() & 0o777, 0o600);
        let receipt = self.receipt();
        let removed = &receipt["removed"];
        assert_eq!(
            (removed["templates"].as_u64(), receipt["record"].as_str()),
            (Some(1), Some(&*self.record))
        );
        for what in ["outbox_events", "recordings", "log_entries"] {
            assert!(removed[what].as_u64() > Some(0), "{what}: {receipt}");
        }
        assert_eq!(receipt["left"], serde_json::json!([]));
        assert_eq!(self.holding("Barack"), Vec::<PathBuf>::new());
        let report = verify(&self.rig.path("events.jsonl"), None).unwrap();
        assert!(report.forgotten > 0);
    }

    /// What the receipt says is so, and what is left of an entry says that.
    fn check(&self) {
        let paper = self.rig.path("receipt.json");
        let said = self.ask(&["forget", "--check", text(&paper)]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert!(said.out.contains("entries of the removal of that record"), "{}", said.out);
        let said = self.ask(&["log", "verify"]);
        assert!(said.code == 0 && said.out.contains("forgotten with the pe"), "{}{}", said.out, said.err);
        let forgotten = self.event("entry.forgotten");
        let said = self.ask(&["explain", forgotten["id"].as_str().unwrap()]);
        assert!(said.code == 0 && said.out.contains("This entry was forgotten"), "{}{}", said.out, said.err);
        let gone = self.event("person.removed");
        assert_eq!(gone["record"].as_str(), Some(&*self.record));
        // A receipt that was changed, or of somebody who is there.
        let text_of = fs::read_to_string(&paper).unwrap();
        fs::write(&paper, text_of.replace("\"templates\": 1", "\"templates\": 0")).unwrap();
        let said = self.ask(&["forget", "--check", text(&paper)]);
        assert!(said.code == 65 && said.err.contains("was changed"), "{}{}", said.out, said.err);
        fs::write(&paper, text_of).unwrap();
        fs::write(self.rig.enrolled().join(format!("{}.fwp", self.record)), "x").unwrap();
        let said = self.ask(&["forget", "--check", text(&paper)]);
        assert!(said.code == 1 && said.out.contains("NOT  "), "{}{}", said.out, said.err);
    }

    fn event(&self, kind: &str) -> Value {
        let log = fs::read_to_string(self.rig.path("events.jsonl")).unwrap();
        let mut events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["type"] == kind).unwrap_or_else(|| panic!("{kind}: {log}"))
    }
}

#[test]
fn a_running_daemon_forgets_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let (house, mut daemon) = House::new(&format!("control: {{ path: \"{}\" }}", text(&socket)));
    house.forget();
    // Who comes now is nobody whom it knows.
    eventually("a stranger", || {
        fs::read_to_string(house.rig.path("events.jsonl")).unwrap().contains("match.unknown")
    });
    assert_eq!(house.holding("Barack"), Vec::<PathBuf>::new());
    let log = daemon.log();
    assert!(log.contains("asked for `forget`") && log.contains("somebody was forgotten"), "{log}");
    assert!(!log.contains("Barack"), "{log}");
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0), "{}", daemon.log());
    assert_eq!(house.holding("Barack"), Vec::<PathBuf>::new());
    // Nobody is there any more, and it can be said again.
    let again = house.ask(&["forget", "Barack", "--yes"]);
    assert!(again.code == 66 && again.err.contains("--record ID"), "{}", again.err);
    let again = house.ask(&["forget", "--record", &house.record, "--yes"]);
    assert_eq!(again.code, 0, "{}", again.err);
    let receipt: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(receipt["removed"]["log_entries"].as_u64(), Some(0), "{receipt}");
    house.check();
}

#[test]
fn a_daemon_that_cannot_be_asked_stops_it_before_anything_is_removed_and_without_one_all_is_done() {
    let (house, mut daemon) = House::new("control: { enabled: false }");
    let said = house.ask(&["forget", "Barack", "--yes"]);
    assert!(said.code == 75 && said.err.contains("nothing was removed"), "{}{}", said.code, said.err);
    assert!(said.err.contains("control.enabled"), "{}", said.err);
    assert!(house.rig.store().get(&"Barack".parse().unwrap()).is_ok());
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0), "{}", daemon.log());
    drop(daemon);
    let unsure = house.ask(&["forget", "Barack"]);
    assert!(unsure.code == 64 && unsure.err.contains("--yes"), "{}", unsure.err);
    let nobody = house.ask(&["forget", "Bert", "--yes"]);
    assert_eq!(nobody.code, 66, "{}", nobody.err);
    house.forget();
    // The daemon goes on with that log and that outbox, and tells of the removal.
    let config = house.rig.path("facewarden.yaml");
    let mut daemon = house.rig.start(&["run", "--config", text(&config)]);
    eventually("a stranger", || {
        fs::read_to_string(house.rig.path("events.jsonl")).unwrap().contains("match.unknown")
    });
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0), "{}", daemon.log());
    assert!(!daemon.log().contains("another program"), "{}", daemon.log());
    assert_eq!(house.holding("Barack"), Vec::<PathBuf>::new());
    let log = fs::read_to_string(house.rig.path("events.jsonl")).unwrap();
    assert_eq!(log.matches("person.removed").count(), 1, "{log}");
    house.check();
}

/// No camera and no daemon: Ada is enrolled, and a log and an outbox know of her.
fn quiet_house() -> House {
    let rig = Rig::new(&[]);
    rig.enrol_somebody("Ada");
    let yaml = format!(
        "schema: 1\ncameras: [{{ id: door, source: \"{}\" }}]\ngallery: {{ folder: \"{}\" }}\ndebug: {{ folder: \"{}\" }}\n\
         control: {{ enabled: false }}\nevents:\n  log: \"{}\"\n  outbox: {{ folder: \"{}\" }}\n",
        text(&rig.frames()),
        text(&rig.enrolled()),
        text(&rig.path("debug")),
        text(&rig.path("events.jsonl")),
        text(&rig.path("outbox")),
    );
    fs::write(rig.path("facewarden.yaml"), yaml).unwrap();
    let record = rig.store().load().unwrap().people[0].id.to_string();
    let (outbox, say, clock) = open(&rig.path(""));
    let rotation = Rotation { rotate_bytes: u64::MAX, keep_files: 3 };
    let mut log = EventLog::open(&rig.path("events.jsonl"), rotation, &clock, &say).unwrap();
    let person: PersonId = "Ada".parse().unwrap();
    let (templates, groups) = (1, vec![]);
    let enrolled =
        EventKind::PersonEnrolled { person: person.clone(), record: record.clone(), templates, groups };
    let EventKind::Verified { expires_at, detail, .. } = event(1).kind else { unreachable!() };
    let verified = EventKind::Verified { person, expires_at, expired: false, detail };
    for (number, kind) in [(1, enrolled), (2, verified)] {
        let event = Event { kind, ..event(number) };
        log.deliver(&event).unwrap();
        outbox.store(&[Arc::new(event)]);
    }
    log.close(std::time::Duration::ZERO);
    House { rig, record }
}

#[test]
fn what_could_not_be_done_is_said_and_finished_by_the_record() {
    let house = quiet_house();
    let paper = house.rig.path("receipt.json");
    // Nothing happens while there is no place for the receipt.
    fs::write(&paper, "in the way").unwrap();
    let said = house.ask(&["forget", "Ada", "--yes", "--receipt", text(&paper)]);
    assert!(said.code == 73 && said.err.contains("nothing was removed"), "{}{}", said.code, said.err);
    let early = house.ask(&["forget", "--record", &house.record, "--yes"]);
    assert!(early.code == 1 && early.err.contains("is enrolled"), "{}{}", early.code, early.err);
    assert!(house.rig.store().get(&"Ada".parse().unwrap()).is_ok());
    fs::remove_file(&paper).unwrap();

    let aside = house.rig.enrolled().join("quarantine");
    fs::create_dir(&aside).unwrap();
    for name in [format!("{}.fwp", house.record), format!("{}.fwp.1", house.record), format!("{RECORD}.fwp")]
    {
        fs::write(aside.join(name), "x").unwrap();
    }
    // What cannot be read as a file.
    let odd = house.rig.path("outbox/refused-web.jsonl");
    fs::create_dir(&odd).unwrap();
    let said = house.ask(&["forget", "Ada", "--yes", "--receipt", text(&paper)]);
    assert!(said.code == 73 && said.err.contains(&format!("--record {}", house.record)), "{}", said.err);
    let receipt = house.receipt();
    assert_eq!(receipt["left"].as_array().map(Vec::len), Some(1), "{receipt}");
    assert_eq!(receipt["removed"]["quarantined"].as_u64(), Some(2), "{receipt}");
    assert!(receipt["record_sha256"].as_str().is_some_and(|hash| hash.len() == 64), "{receipt}");
    assert_eq!(fs::read_dir(&aside).unwrap().count(), 1, "somebody else's");
    let said = house.ask(&["forget", "--check", text(&paper)]);
    assert!(said.code == 1 && said.out.contains("NOT  it says that something was left"), "{}", said.out);

    fs::remove_dir(&odd).unwrap();
    fs::remove_file(&paper).unwrap();
    let said = house.ask(&["forget", "--record", &house.record, "--yes", "--receipt", text(&paper)]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(house.holding("Ada"), Vec::<PathBuf>::new());
    let said = house.ask(&["forget", "--check", text(&paper)]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    // Somebody else has the name by now.
    house.rig.enrol_somebody("Ada");
    let said = house.ask(&["forget", "Ada", "--record", &house.record, "--yes"]);
    assert!(said.code == 1 && said.err.contains("somebody else"), "{}{}", said.code, said.err);
}
