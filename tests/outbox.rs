//! The outbox and its couriers: on real disks, full, read-only and damaged ones among them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crossbeam_channel::Receiver;
use facewarden::clock::{Clock, SystemClock, WallTime};
use facewarden::cmds::telling::Telling;
use facewarden::config::{Backoff, Events, OutboxSettings, Socket};
use facewarden::domain::{Event, EventKind, SCHEMA};
use facewarden::sinks::{
    Addressee, Backlog as _, Courier, Delivered, Fate, MAX_IN_MEMORY, Outbox, OutboxError, ScriptedSink,
    notices, print_events, verify,
};

use super::sinks::verified;
use super::support::{LONG, eventually};

const SOON: Backoff = Backoff { first_ms: 10, max_ms: 50 };
const CLOSE: Duration = Duration::from_millis(100);

/// A folder with an outbox in it, and what was said about that.
struct Desk {
    folder: tempfile::TempDir,
    clock: Arc<dyn Clock>,
}

struct Open {
    outbox: Arc<Outbox>,
    said: Receiver<String>,
    say: facewarden::sinks::Notices,
    clock: Arc<dyn Clock>,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(SystemClock::new()) }
    }

    fn settings(&self) -> OutboxSettings {
        OutboxSettings { folder: self.folder.path().join("outbox"), ..OutboxSettings::default() }
    }

    fn file(&self) -> PathBuf {
        self.settings().folder.join("outbox.db")
    }

    fn open(&self, sinks: &[&str]) -> Open {
        self.open_with(&self.settings(), sinks).unwrap()
    }

    fn open_with(&self, settings: &OutboxSettings, sinks: &[&str]) -> Result<Open, OutboxError> {
        let (say, said) = notices();
        let sinks: Vec<_> = sinks.iter().map(|sink| (*sink).to_owned()).collect();
        let outbox = Outbox::open(settings, &sinks, Arc::clone(&self.clock), say.clone())?;
        Ok(Open { outbox: Arc::new(outbox), said, say, clock: Arc::clone(&self.clock) })
    }
}

impl Open {
    fn store(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.outbox.store(&[Arc::new(notice(number))]);
        }
    }

    fn deliver_to(&self, key: &str, sink: ScriptedSink) -> Courier {
        let addressee =
            Addressee { key: key.to_owned(), backoff: SOON, sink: Box::new(sink), has_up_to: None };
        let (outbox, clock) = (Arc::clone(&self.outbox), Arc::clone(&self.clock));
        Courier::start(addressee, outbox, clock, self.say.clone(), CLOSE).unwrap()
    }

    /// The numbers that are kept.
    fn kept(&self) -> Vec<u64> {
        let mut kept = Vec::new();
        loop {
            let entries = self.outbox.after(kept.last().copied().unwrap_or(0), 7).unwrap();
            if entries.is_empty() {
                return kept;
            }
            kept.extend(entries.iter().map(|entry| entry.seq));
        }
    }

    fn end(self, courier: Courier) {
        self.outbox.close();
        assert!(courier.join_within(LONG));
    }
}

fn notice(number: u64) -> Event {
    let now = SystemClock::new();
    let kind = EventKind::Degraded { message: format!("number {number}") };
    Event { schema: SCHEMA, id: ulid::Ulid(u128::from(number)), at: now.wall(now.now()), kind }
}

fn numbers(delivered: &Delivered) -> Vec<u128> {
    delivered.events().iter().map(|event| event.id.0).collect()
}

#[test]
fn who_was_away_gets_everything_in_order_and_nothing_twice() {
    let desk = Desk::new();
    let open = desk.open(&["a", "b"]);
    open.store(1..101);
    let (sink, delivered) = ScriptedSink::new("a");
    let courier = open.deliver_to("a", sink);
    eventually("100 events", || delivered.events().len() == 100);
    open.end(courier);

    // Another run; `b` was away all the time, `c` is new and was never owed anything.
    let open = desk.open(&["a", "b", "c"]);
    open.store(101..111);
    let mut couriers = Vec::new();
    for (key, expected) in [("a", 101..=110), ("b", 1..=110), ("c", 101..=110)] {
        let (sink, delivered) = ScriptedSink::new(key);
        let courier = open.deliver_to(key, sink);
        let expected: Vec<u128> = expected.collect();
        eventually(key, || delivered.events().len() == expected.len());
        assert_eq!(numbers(&delivered), expected, "{key}");
        assert_eq!(courier.stats().delivered.load(Ordering::Relaxed), expected.len() as u64);
        couriers.push(courier);
    }
    open.outbox.close();
    assert!(couriers.into_iter().all(|courier| courier.join_within(LONG)));
    drop(open);

    // Whoever is not named is forgotten, and begins anew.
    drop(desk.open(&["a", "c"]));
    let open = desk.open(&["b"]);
    assert_eq!(open.outbox.cursor("b"), 110);
    assert_eq!(open.kept().len(), 110, "kept for readers of the socket");
}

#[test]
fn it_is_for_its_owner_alone() {
    let desk = Desk::new();
    let open = desk.open(&["a"]);
    open.store(1..3);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&desk.settings().folder), 0o700);
    for file in fs::read_dir(desk.settings().folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let again = desk.open_with(&desk.settings(), &["a"]).err().unwrap();
    assert!(matches!(again, OutboxError::Busy(_)), "{again}");
}

#[test]
fn a_sink_that_fails_is_tried_again_in_order_and_delays_no_other() {
    let desk = Desk::new();
    let open = desk.open(&["flaky", "good"]);
    let tries = AtomicU32::new(0);
    let (flaky, delivered) =
        ScriptedSink::with_script("flaky", move |_| match tries.fetch_add(1, Ordering::Relaxed) % 3 {
            2 => Ok(()),
            _ => Err("not now".to_owned()),
        });
    let (stuck, never) = ScriptedSink::with_script("stuck", |_| {
        std::thread::sleep(LONG);
        Ok(())
    });
    let (good, quick) = ScriptedSink::new("good");
    let flaky = open.deliver_to("flaky", flaky.with_fate(Fate::Later { after: None }));
    let _left_behind = open.deliver_to("stuck", stuck);
    let good = open.deliver_to("good", good);
    open.store(1..11);
    eventually("good", || quick.events().len() == 10);
    eventually("flaky", || delivered.events().len() == 10);
    assert_eq!(numbers(&delivered), (1..=10).collect::<Vec<u128>>());
    assert!(never.events().is_empty());
    assert_eq!(flaky.stats().retries.load(Ordering::Relaxed), 20);
    assert_eq!(good.stats().retries.load(Ordering::Relaxed), 0);
    let said: Vec<String> = open.said.try_iter().collect();
    assert_eq!(said.len(), 1, "once a minute, and not for each of ten outages: {said:?}");
    assert!(said[0].starts_with("flaky: not now;"), "{said:?}");
}

#[test]
fn what_is_refused_is_put_aside_and_the_rest_goes_on() {
    let desk = Desk::new();
    let open = desk.open(&["strict"]);
    let (strict, delivered) = ScriptedSink::with_script("strict", |event| match event.id.0 {
        2 => Err("unprocessable".to_owned()),
        _ => Ok(()),
    });
    let courier = open.deliver_to("strict", strict);
    open.store(1..4);
    eventually("two events", || delivered.events().len() == 2);
    assert_eq!(numbers(&delivered), [1, 3]);
    let file = desk.settings().folder.join("refused-strict.jsonl");
    let line: serde_json::Value = serde_json::from_str(fs::read_to_string(&file).unwrap().trim()).unwrap();
    assert_eq!(
        (line["why"].as_str(), line["event"]["message"].as_str()),
        (Some("unprocessable"), Some("number 2"))
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(open.said.recv_timeout(LONG).unwrap().contains("refused-strict.jsonl"));
    open.end(courier);
}

#[test]
fn a_grant_that_expired_on_its_way_is_marked_and_a_live_one_is_not() {
    let desk = Desk::new();
    let open = desk.open(&["slow"]);
    let is_up = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&is_up);
    let (slow, delivered) = ScriptedSink::with_script("slow", move |_| {
        gate.load(Ordering::Relaxed).then_some(()).ok_or("down".to_owned())
    });
    let courier = open.deliver_to("slow", slow.with_fate(Fate::Later { after: None }));
    let now = open.clock.wall(open.clock.now());
    let ms = Duration::from_millis;
    open.outbox.store(&[Arc::new(verified(1, now + ms(100))), Arc::new(verified(2, now + ms(3_600_000)))]);
    std::thread::sleep(ms(150));
    is_up.store(true, Ordering::Relaxed);
    eventually("both", || delivered.events().len() == 2);
    let grants: Vec<bool> = delivered.events().iter().map(Event::is_grant).collect();
    assert_eq!(grants, [false, true]);
    let late = serde_json::to_value(&delivered.events()[0]).unwrap();
    assert_eq!((&late["type"], &late["expired"]), (&"match.verified".into(), &true.into()));
    let live = serde_json::to_value(&delivered.events()[1]).unwrap();
    assert!(live.get("expired").is_none());
    open.end(courier);
}

#[test]
fn too_much_and_too_old_is_dropped_and_said() {
    let desk = Desk::new();
    let settings = OutboxSettings { max_mb: 1, ..desk.settings() };
    let open = desk.open_with(&settings, &["away"]).unwrap();
    let long = "x".repeat(10_000);
    let big = |number: u64| {
        let kind = EventKind::Degraded { message: format!("{number} {long}") };
        Arc::new(Event { kind, ..notice(number) })
    };
    for number in 1..=150 {
        open.outbox.store(&[big(number)]);
    }
    let kept = open.kept();
    assert!(kept.last() == Some(&150) && (70..=100).contains(&kept.len()), "{kept:?}");
    let (away, delivered) = ScriptedSink::new("away");
    let courier = open.deliver_to("away", away);
    eventually("the rest", || delivered.events().len() == kept.len());
    let message = open.said.recv_timeout(LONG).unwrap();
    assert!(message.starts_with(&format!("away: {} events are lost for it", 150 - kept.len())), "{message}");
    assert_eq!(courier.stats().missed.load(Ordering::Relaxed), 150 - kept.len() as u64);
    open.end(courier);
    let size = fs::metadata(desk.file()).unwrap().len();
    assert!(size < 3_000_000, "{size}");
}

#[test]
fn a_damaged_outbox_is_moved_aside_and_said() {
    for damage in ["not a database", "cut", "flipped", "event"] {
        let desk = Desk::new();
        let open = desk.open(&["a"]);
        open.store(1..200);
        drop(open);
        let path = desk.file();
        let mut bytes = fs::read(&path).unwrap();
        match damage {
            "not a database" => bytes = b"once upon a time ".repeat(500),
            "cut" => bytes.truncate(bytes.len() / 2),
            "flipped" => bytes[4096..12_288].iter_mut().for_each(|byte| *byte ^= 0x5a),
            // The tables are sound, and one event is not.
            _ => {
                let at = bytes.windows(10).position(|part| part == b"number 77\"").unwrap();
                bytes[at + 9] = b'\\';
            }
        }
        fs::write(&path, bytes).unwrap();
        let open = desk.open(&["a"]);
        let (sink, delivered) = ScriptedSink::new("a");
        let courier = open.deliver_to("a", sink);
        let said = open.said.recv_timeout(LONG).unwrap();
        assert!(said.starts_with("the outbox was damaged"), "{damage}: {said}");
        open.store(1000..1010);
        eventually(damage, || numbers(&delivered).ends_with(&(1000..1010).collect::<Vec<u128>>()));
        let folder = desk.settings().folder;
        let aside =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        assert!(aside.into_iter().any(|name| name.starts_with("outbox.db.damaged-")), "{damage}");
        open.end(courier);
        let open = desk.open(&["a"]);
        assert_eq!(open.outbox.seq_of(ulid::Ulid(1000)).unwrap(), Some(open.outbox.latest() - 9), "{damage}");
    }
}

#[test]
fn an_outbox_of_a_newer_version_is_left_alone() {
    let desk = Desk::new();
    drop(desk.open(&["a"]));
    let mut bytes = fs::read(desk.file()).unwrap();
    bytes[63] = 9; // user_version, by SQLite's file format
    fs::write(desk.file(), &bytes).unwrap();
    let error = desk.open_with(&desk.settings(), &["a"]).err().unwrap();
    assert!(matches!(error, OutboxError::Newer { format: 9, .. }), "{error}");
    assert_eq!(fs::read(desk.file()).unwrap(), bytes);
}

#[test]
fn a_folder_that_cannot_be_is_an_error() {
    let desk = Desk::new();
    let file = desk.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let settings = OutboxSettings { folder: file.join("outbox"), ..desk.settings() };
    let error = desk.open_with(&settings, &[]).err().unwrap();
    assert!(matches!(error, OutboxError::Unusable { .. }), "{error}");
}

/// A small file system of its own; `None` where this user may not mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder.to_owned()));
        }
        eprintln!("SKIPPED: this user may not mount a small file system (run as root to test full disks)");
        None
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn on_a_full_disk_events_are_kept_in_memory_delivered_and_written_when_there_is_room() {
    let desk = Desk::new();
    let Some(_disk) = SmallDisk::mount(desk.folder.path(), "2m") else { return };
    let open = desk.open(&["a", "away"]);
    open.store(1..11);
    let hog = desk.folder.path().join("hog");
    let filled = fs::write(&hog, vec![7_u8; 4 << 20]).unwrap_err();
    assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull);
    let (sink, delivered) = ScriptedSink::new("a");
    let courier = open.deliver_to("a", sink);
    open.store(11..2011);
    eventually("all", || delivered.events().len() == 2010);
    let said: Vec<_> = open.said.try_iter().collect();
    assert_eq!(said.len(), 1, "once: {said:?}");
    assert!(said[0].contains("cannot be written"), "{said:?}");
    assert_eq!(open.kept().len(), 2010);
    // Room again: what was in memory is written.
    fs::remove_file(&hog).unwrap();
    let clock = SystemClock::new();
    while clock.now().0 < Duration::from_millis(1500) {
        std::thread::sleep(Duration::from_millis(100));
    }
    open.outbox.rest();
    open.end(courier);
    let open = desk.open(&["a", "away"]);
    assert_eq!(open.kept().len(), 2010);
    assert_eq!((open.outbox.cursor("a"), open.outbox.cursor("away")), (2010, 0));
}

#[test]
fn a_disk_that_goes_read_only_stops_nothing() {
    let desk = Desk::new();
    let Some(disk) = SmallDisk::mount(desk.folder.path(), "8m") else { return };
    let open = desk.open(&["a"]);
    open.store(1..11);
    drop(open);
    disk.remount("ro");
    // Also a start of the daemon.
    let open = desk.open(&["a"]);
    assert!(open.said.try_recv().unwrap().contains("cannot be used"));
    let (sink, delivered) = ScriptedSink::new("a");
    let courier = open.deliver_to("a", sink);
    open.store(100..100 + MAX_IN_MEMORY as u64 / 10);
    eventually("all", || delivered.events().len() == MAX_IN_MEMORY / 10);
    open.end(courier);
    disk.remount("rw");
    assert_eq!(desk.open(&["a"]).kept().len(), 10, "what was there before is not touched");
}

#[test]
fn time_is_kept() {
    // Old and delivered goes, old and not delivered stays until it is too old.
    let desk = Desk::new();
    let old = WallTime(jiff::Timestamp::now() - jiff::SignedDuration::from_hours(48));
    let open = desk.open(&["a"]);
    open.outbox.store(&[Arc::new(Event { at: old, ..notice(1) }), Arc::new(Event { at: old, ..notice(2) })]);
    open.outbox.advance("a", 1);
    drop(open);
    let settings = OutboxSettings { max_mb: 1, ..desk.settings() };
    let open = desk.open_with(&settings, &["a"]).unwrap();
    assert_eq!(open.kept(), [1, 2]);
    let long = "x".repeat(1_100_000);
    // More than there may be: what is old is looked for at once.
    open.outbox.store(&[Arc::new(Event { kind: EventKind::Degraded { message: long }, ..notice(3) })]);
    assert_eq!(open.kept(), Vec::<u64>::new(), "one event that is larger than all may be leaves nothing");

    // Its cursor was not written before the first end, so all three count. It is told so, and the end does not wait for what will never come.
    let (sink, delivered) = ScriptedSink::new("a");
    let courier = open.deliver_to("a", sink);
    let said = open.said.recv_timeout(LONG).unwrap();
    assert!(said.starts_with("a: 3 events are lost for it"), "{said}");
    open.end(courier);
    assert!(delivered.events().is_empty());
}

#[test]
fn a_log_that_lost_its_end_in_a_power_cut_gets_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let events = Events {
        log: Some(path("events.jsonl")),
        outbox: OutboxSettings { folder: path("outbox"), ..OutboxSettings::default() },
        socket: Some(Socket { path: path("events.sock"), ..Socket::default() }),
        ..Events::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let tell = |numbers: std::ops::RangeInclusive<u64>| {
        let telling = Telling::open((&events, false), &[], Vec::new(), &clock).unwrap();
        numbers.for_each(|number| telling.send(notice(number)));
        assert_eq!(telling.close(LONG), Vec::<String>::new());
    };
    let files = ["events.jsonl", "events.jsonl.head"];
    tell(1..=5);
    for name in files {
        fs::copy(path(name), path(&format!("{name}.old"))).unwrap();
    }
    tell(6..=9);
    files.iter().for_each(|name| fs::rename(path(&format!("{name}.old")), path(name)).unwrap());
    tell(10..=10);
    let mut text = Vec::new();
    print_events(&path("events.jsonl"), &|_, _| true, &mut text).unwrap().unwrap();
    let ids = std::str::from_utf8(&text)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Event>(line).unwrap().id.0);
    assert_eq!(ids.collect::<Vec<_>>(), (1..=10).collect::<Vec<u128>>());
    verify(&path("events.jsonl"), None).unwrap();
}
