//! The socket, with real readers: programs that are slow, too many, rude, or gone.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod command;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use facewarden::clock::{Clock, SimulatedClock, SystemClock, WallTime};
use facewarden::config::{Only, Socket};
use facewarden::domain::{Event, EventKind, LookDetail, MatchDetail, Reason, SCHEMA, Similarity};
use facewarden::listen::ListenError;
use facewarden::sinks::{MAX_REQUEST_BYTES, ScriptedBacklog, SinkError, SocketServer};
use serde_json::Value;

use super::control::rights::{Everywhere, open_to_all};
use super::support::{LONG, eventually};

pub(crate) fn notice(number: u64) -> Event {
    let kind = EventKind::Degraded { message: format!("number {number}") };
    event(number, kind)
}

fn event(number: u64, kind: EventKind) -> Event {
    let at = WallTime(jiff::Timestamp::from_second(1_700_000_000).unwrap());
    Event { schema: SCHEMA, id: ulid::Ulid(u128::from(number)), at, kind }
}

/// A socket with a backlog behind it.
pub(crate) struct Desk {
    _folder: tempfile::TempDir,
    pub(crate) settings: Socket,
    pub(crate) backlog: ScriptedBacklog,
    clock: Arc<dyn Clock>,
    server: Option<SocketServer>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(set: impl FnOnce(&mut Socket)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Socket { path: folder.path().join("run/events.sock"), ..Socket::default() };
        set(&mut settings);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut desk =
            Self { _folder: folder, settings, backlog: ScriptedBacklog::new(), clock, server: None };
        desk.open();
        desk
    }

    pub(crate) fn open(&mut self) {
        self.server = Some(self.try_open().unwrap());
    }

    fn try_open(&self) -> Result<SocketServer, ListenError> {
        SocketServer::open(&self.settings, Arc::new(self.backlog.clone()), Arc::clone(&self.clock))
    }

    pub(crate) fn close(&mut self) {
        assert!(self.server.take().unwrap().close(LONG), "it ended in time");
    }

    pub(crate) fn push(&self, numbers: std::ops::RangeInclusive<u64>) {
        numbers.for_each(|number| {
            self.backlog.push(notice(number));
        });
    }

    pub(crate) fn readers(&self) -> usize {
        self.server.as_ref().unwrap().readers()
    }

    fn connect(&self) -> Reader {
        let stream = UnixStream::connect(&self.settings.path).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Reader(BufReader::new(stream))
    }

    fn ask(&self, request: &str) -> Reader {
        let reader = self.connect();
        reader.say(request);
        reader
    }
}

/// A program that reads.
struct Reader(BufReader<UnixStream>);

impl Reader {
    fn say(&self, line: &str) {
        self.0.get_ref().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Events with the numbers, in this order and without others in between.
    #[track_caller]
    fn expect(&mut self, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            let event: Event = serde_json::from_value(self.line().unwrap()).unwrap();
            assert_eq!(event, notice(number));
        }
    }

    #[track_caller]
    fn expect_said(&mut self, kind: &str) -> Value {
        let line = self.line().unwrap();
        assert_eq!(line["type"], kind, "{line}");
        line
    }

    /// The same, and nothing after it.
    #[track_caller]
    fn expect_end(&mut self, kind: &str) -> Value {
        let line = self.expect_said(kind);
        assert_eq!(self.line(), None);
        line
    }
}

fn since(number: u64) -> String {
    format!("{{\"since\":\"{}\"}}", notice(number).id)
}

#[test]
fn a_reader_gets_what_comes_from_now_on_whether_it_says_so_or_not() {
    let mut desk = Desk::new();
    desk.push(1..=3);
    let mut polite = desk.ask("{}");
    let mut brief = desk.ask("");
    let mut silent = desk.connect();
    let mut deaf = desk.connect();
    deaf.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    eventually("all are in", || desk.readers() == 4);
    // While the silent one may still say something.
    desk.push(4..=5);
    for reader in [&mut polite, &mut brief, &mut silent, &mut deaf] {
        reader.expect(4..=5);
    }
    desk.push(6..=200);
    for reader in [&mut polite, &mut brief, &mut silent, &mut deaf] {
        reader.expect(6..=200);
    }
    desk.close();
    for reader in [&mut polite, &mut brief, &mut silent, &mut deaf] {
        reader.expect_end("stream.closed");
    }
    assert!(!desk.settings.path.exists());
}

#[test]
fn a_reader_goes_on_after_the_event_it_names() {
    let desk = Desk::new();
    desk.push(1..=100);
    let mut reader = desk.ask(&since(40));
    reader.expect(41..=100);
    desk.push(101..=101);
    reader.expect(101..=101);
    desk.ask(&since(101)).0.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    let mut all = desk.ask("{\"all\":true,\"follow\":false}");
    all.expect(1..=101);
    let end = all.expect_end("stream.end");
    assert_eq!(end["last"], notice(101).id.to_string());
}

#[test]
fn a_reader_is_told_of_events_that_are_not_kept() {
    let desk = Desk::new();
    desk.push(1..=10);
    desk.backlog.keep(4);
    let mut reader = desk.ask(&since(3));
    reader.expect_said("stream.gap");
    reader.expect(7..=10);
    desk.push(11..=11);
    reader.expect(11..=11);
    // Nothing was missed: the oldest event is the next one.
    desk.ask("{\"all\":true}").expect(7..=11);
    desk.backlog.keep(0);
    desk.ask("{\"all\":true,\"follow\":false}").expect_end("stream.end");
    let mut reader = desk.ask(&format!("{{\"since\":\"{}\",\"follow\":false}}", notice(11).id));
    reader.expect_said("stream.gap");
    reader.expect_end("stream.end");
}

#[test]
fn a_reader_that_is_too_slow_for_the_backlog_is_told_of_the_gap() {
    let mut desk = Desk::new();
    desk.close();
    // It stands still, so that there is time to say something.
    desk.clock = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
    desk.open();
    let mut reader = desk.connect();
    eventually("it is in", || desk.readers() == 1);
    desk.push(1..=9);
    desk.backlog.keep(2);
    reader.say("{}");
    reader.expect_said("stream.gap");
    reader.expect(8..=9);
}

#[test]
fn each_event_passes_the_filter_and_says_whether_it_still_grants() {
    let only = Only { kinds: Some(vec!["match.verified".into()]), ..Only::default() };
    let clock = SimulatedClock::new(jiff::Timestamp::from_second(1_700_000_000).unwrap());
    let mut desk = Desk::with(|settings| settings.only = only);
    desk.close();
    desk.clock = Arc::new(clock.clone());
    desk.open();
    desk.push(1..=3);
    let expires_at = WallTime(jiff::Timestamp::from_second(1_700_000_002).unwrap());
    let kind = EventKind::Verified {
        person: "Ada".parse().unwrap(),
        expires_at,
        expired: false,
        detail: crate::sinks::detail(),
    };
    desk.backlog.push(event(4, kind));
    // The simulated clock stands still, so that the wait for a request is not over before it comes.
    let fresh = desk.ask("{\"all\":true}").line().unwrap();
    assert_eq!((fresh["type"].as_str(), fresh.get("expired")), (Some("match.verified"), None));
    clock.advance(Duration::from_secs(3));
    let late = desk.ask("{\"all\":true}").line().unwrap();
    assert_eq!((late["id"].clone(), late["expired"].clone()), (fresh["id"].clone(), true.into()));
}

#[test]
fn scores_are_told_to_root_and_the_daemons_user_alone() {
    const SOMEBODY: (u32, u32) = (65_534, 54_321);
    let Some(everywhere) = Everywhere::new() else { return };
    let scored = ["similarity", "second", "liveness", "looks"];
    for scores in [false, true] {
        let desk = Desk::with(|settings| (settings.mode, settings.scores) = ("0666".into(), scores));
        open_to_all(desk._folder.path());
        open_to_all(desk.settings.path.parent().unwrap());
        let look = LookDetail {
            seq: 1,
            before_ms: 0,
            similarity: Some(Similarity::new(0.3).unwrap()),
            agrees: true,
            quality: 0.5,
            liveness: Some(0.9),
        };
        let second = Some(Similarity::new(0.25).unwrap());
        let detail = MatchDetail { second, looks: vec![look], ..crate::sinks::detail() };
        let kind = EventKind::Unknown { reason: Reason::NoMatch, detail };
        desk.backlog.push(event(1, kind));
        let whole = desk.ask("{\"all\":true}").line().unwrap();
        assert!(scored.iter().all(|score| whole.get(score).is_some()), "{whole}");
        let mut command = everywhere.command(SOMEBODY);
        let told = command.args(["events", "--socket"]).arg(&desk.settings.path).output().unwrap();
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        if scores {
            assert_eq!(told, whole);
            continue;
        }
        assert!(scored.iter().all(|score| told.get(score).is_none()), "{told}");
        let mut expected = whole.clone();
        scored.iter().for_each(|score| drop(expected.as_object_mut().unwrap().remove(*score)));
        assert_eq!(told, expected, "all else is told");
    }
}

#[test]
fn a_reader_that_takes_nothing_is_dropped_and_can_read_why_when_it_wakes() {
    let desk = Desk::with(|settings| settings.stall_ms = 300);
    let mut slow = desk.ask("{}");
    let mut quick = desk.ask("{}");
    eventually("both are in", || desk.readers() == 2);
    desk.push(1..=3000);
    quick.expect(1..=3000);
    // The slow one reads nothing until it was dropped.
    eventually("the slow one is dropped", || desk.readers() == 1);
    let mut count = 0;
    let last = loop {
        let line = slow.line().unwrap();
        if line["type"] == "stream.dropped" {
            break line;
        }
        count += 1;
        assert_eq!(serde_json::from_value::<Event>(line).unwrap(), notice(count));
    };
    assert_eq!(slow.line(), None);
    assert!(count > 0 && count < 3000, "{count}");
    assert_eq!(last["last"], notice(count).id.to_string());
    let mut again = desk.ask(&since(count));
    again.expect(count + 1..=3000);
    desk.push(3001..=3001);
    quick.expect(3001..=3001);
}

#[test]
fn a_reader_that_is_slow_and_takes_something_is_not_dropped() {
    let desk = Desk::with(|settings| settings.stall_ms = 1500);
    let mut slow = desk.ask("{}");
    eventually("it is in", || desk.readers() == 1);
    desk.push(1..=1200);
    for number in 1..=1200 {
        slow.expect(number..=number);
        // Together far longer than it may stall.
        if number % 40 == 0 {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    desk.push(1201..=1201);
    slow.expect(1201..=1201);
}

#[test]
fn one_reader_too_many_is_told_so_and_a_place_becomes_free() {
    let desk = Desk::with(|settings| settings.max_readers = 2);
    let mut first = desk.ask("{}");
    let second = desk.ask("{}");
    eventually("both are in", || desk.readers() == 2);
    let refused = desk.connect().expect_end("stream.refused");
    assert!(refused["message"].as_str().unwrap().contains("2 read already"), "{refused}");
    // Noticed though no event comes.
    drop(second);
    eventually("the place is free", || desk.readers() == 1);
    let mut third = desk.ask("{}");
    eventually("the third is in", || desk.readers() == 2);
    desk.push(1..=1);
    first.expect(1..=1);
    third.expect(1..=1);
}

#[test]
fn what_is_no_request_is_refused() {
    let desk = Desk::new();
    desk.push(1..=1);
    for odd in ["GET / HTTP/1.1", "{\"since\":\"x\"}", "{\"sinse\":1}", "[", "\u{0}"] {
        let refused = desk.ask(odd).expect_end("stream.refused");
        assert!(refused["message"].as_str().unwrap().contains("no request"), "{odd}: {refused}");
    }
    let endless = desk.connect();
    endless.0.get_ref().write_all(&vec![b' '; MAX_REQUEST_BYTES + 1]).unwrap();
    let mut endless = endless;
    let refused = endless.expect_end("stream.refused");
    assert!(refused["message"].as_str().unwrap().contains("at most 4096 bytes"), "{refused}");
    let half = desk.connect();
    half.0.get_ref().write_all(b"{\"since\":").unwrap();
    let mut half = half;
    half.expect_end("stream.refused");
}

#[test]
fn a_backlog_that_cannot_be_read_ends_the_stream_and_says_why() {
    let desk = Desk::new();
    let mut reader = desk.ask("{}");
    eventually("it is in", || desk.readers() == 1);
    desk.push(1..=1);
    reader.expect(1..=1);
    desk.backlog.fail(Some(SinkError::later("outbox".into(), "the disk is gone", None)));
    desk.push(2..=2);
    let dropped = reader.expect_end("stream.dropped");
    assert_eq!(
        (&dropped["message"], &dropped["last"]),
        (&"outbox: the disk is gone".into(), &notice(1).id.to_string().into())
    );
    desk.backlog.fail(None);
    let mut reader = desk.ask(&since(1));
    reader.expect(2..=2);
}

#[test]
fn the_file_has_the_mode_and_group_it_is_to_have_and_its_folder_is_made() {
    let desk = Desk::with(|settings| settings.mode = "0620".into());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&desk.settings.path), 0o620);
    let folder = desk.settings.path.parent().unwrap();
    assert_eq!(mode(folder), 0o755);
    let names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["events.sock"], "nothing is left behind");
    if rustix::process::geteuid().is_root() {
        let desk = Desk::with(|settings| settings.group = Some("12345".into()));
        assert_eq!(fs::metadata(&desk.settings.path).unwrap().gid(), 12345);
    } else {
        eprintln!("SKIPPED: only root may give a file to any group");
    }
    let mut wrong = Desk::new();
    wrong.close();
    for (set, why) in [
        (Socket { group: Some("no such group".into()), ..wrong.settings.clone() }, "no group"),
        (Socket { mode: "rw".into(), ..wrong.settings.clone() }, "octal"),
        (Socket { path: "/nonexistent/a/b.sock".into(), ..wrong.settings.clone() }, "no folder"),
        (Socket { path: "/proc/x.sock".into(), ..wrong.settings.clone() }, "cannot be opened"),
    ] {
        wrong.settings = set;
        let error = wrong.try_open().err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_stale_file_is_replaced_a_living_one_and_anything_else_is_not() {
    let mut desk = Desk::new();
    let error = desk.try_open().err().unwrap();
    assert!(matches!(error, ListenError::Busy(_)), "{error}");
    assert!(desk.connect().0.get_ref().peer_addr().is_ok(), "the first one still answers");
    desk.close();
    drop(UnixListener::bind(&desk.settings.path).unwrap());
    assert!(desk.settings.path.exists(), "left behind by a daemon that was killed");
    desk.open();
    desk.push(1..=1);
    desk.ask("{\"all\":true}").expect(1..=1);
    desk.close();
    fs::write(&desk.settings.path, "precious").unwrap();
    let error = desk.try_open().err().unwrap();
    assert!(matches!(error, ListenError::InTheWay(_)), "{error}");
    assert_eq!(fs::read_to_string(&desk.settings.path).unwrap(), "precious");
}

#[test]
fn a_path_as_long_as_a_socket_can_have_works() {
    let mut desk = Desk::new();
    desk.close();
    let folder = desk.settings.path.parent().unwrap().to_owned();
    let length = 107 - folder.as_os_str().len() - 1;
    desk.settings.path = folder.join("s".repeat(length));
    desk.open();
    desk.push(1..=1);
    desk.ask("{\"all\":true}").expect(1..=1);
}

#[test]
fn closing_does_not_wait_for_a_reader_that_reads_nothing() {
    let mut desk = Desk::new();
    let _silent = desk.connect();
    let _stuck = desk.ask("{}");
    eventually("both are in", || desk.readers() == 2);
    desk.push(1..=3000);
    let clock = SystemClock::new();
    desk.close();
    assert!(clock.now().0 < Duration::from_secs(8), "{:?}", clock.now());
}

/// A reader that is killed is gone like one that closes.
#[test]
fn a_reader_that_is_killed_is_noticed() {
    let mut desk = Desk::new();
    let mut child = command::follow(&desk.settings.path);
    eventually("it is in", || desk.readers() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("it is out", || desk.readers() == 0);
    desk.push(1..=10);
    desk.close();
}

fn output(mut child: std::process::Child) -> (String, String, Option<i32>) {
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (out, err, child.wait().unwrap().code())
}

fn facewarden() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facewarden"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
