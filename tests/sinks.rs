//! Sinks with real files, real pipes and real commands.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use facewarden::clock::{Clock, Moment, SystemClock, WallTime};
use facewarden::config::{Backoff, Hook, Only};
use facewarden::domain::{
    Event, EventKind, MatchDetail, PersonId, Reason, SCHEMA, Similarity, Threshold, TrackId,
};
use facewarden::sinks::{EventLog, Fanout, Fate, HookSink, MAX_WAITING, ScriptedSink, Sink, notices};

const LONG: Duration = Duration::from_secs(30);

pub(crate) fn wall(seconds: i64) -> WallTime {
    WallTime(jiff::Timestamp::from_second(1_700_000_000 + seconds).unwrap())
}

fn event(number: u64, kind: EventKind) -> Event {
    Event { schema: SCHEMA, id: ulid::Ulid(u128::from(number)), at: wall(0), kind }
}

fn notice(number: u64) -> Event {
    event(number, EventKind::Degraded { message: format!("number {number}") })
}

pub(crate) fn detail() -> MatchDetail {
    MatchDetail {
        camera: "front door".parse().unwrap(),
        track: TrackId(7),
        display_name: None,
        groups: Vec::new(),
        captured_at: wall(1),
        decided_at: wall(2),
        similarity: Some(Similarity::new(0.75).unwrap()),
        second: None,
        threshold: Some(Threshold::new(0.5).unwrap()),
        target: None,
        challenge: None,
        faults: Vec::new(),
        looks: Vec::new(),
        observations: 5,
        agreeing: 4,
        liveness: Some(0.9),
        liveness_mode: "enforce".into(),
        model: "ab".repeat(32),
    }
}

pub(crate) fn verified(number: u64, expires_at: WallTime) -> Event {
    let person = PersonId::new("Zoë $(reboot); \"x\"").unwrap();
    event(number, EventKind::Verified { person, expires_at, expired: false, detail: detail() })
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !condition() {
        assert!(clock.now() < Moment(LONG), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

// ---- event log: files are tested in log.rs ----

/// Runs this very test again as a process of its own, and stops reading its output.
#[test]
fn a_closed_standard_output_is_an_error_and_no_panic() {
    const CHILD: &str = "FACEWARDEN_TEST_STDOUT";
    const GONE: i32 = 42;
    if std::env::var_os(CHILD).is_some() {
        let mut log = EventLog::stdout().unwrap();
        loop {
            if let Err(error) = log.deliver(&notice(1)) {
                std::process::exit(if error.fate == Fate::Gone { GONE } else { 1 });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sinks::a_closed_standard_output_is_an_error_and_no_panic", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.find(|line| line.contains("service.degraded")).unwrap();
    assert!(first.contains("number 1"));
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(GONE));
}

// ---- fan-out ----

#[test]
fn a_stuck_sink_delays_no_other_and_loses_only_its_own_events() {
    let (release, wait) = crossbeam_channel::bounded::<()>(0);
    let (stuck, stuck_got) = ScriptedSink::with_script("stuck", move |_| {
        assert!(wait.recv().is_err());
        Ok(())
    });
    let (quick, quick_got) = ScriptedSink::new("quick");
    let fanout =
        Fanout::new(vec![Box::new(stuck.with_queue_length(4)), Box::new(quick)], notices().0).unwrap();
    for number in 0..20 {
        fanout.send(notice(number));
        eventually("the quick sink", || quick_got.events().len() as u64 == number + 1);
    }
    let states = fanout.states();
    assert_eq!((states[1].dropped, states[1].failed), (0, 0));
    let (kept, dropped) = (5, 15); // one in its hands, four in the queue
    assert_eq!((states[0].waiting, states[0].dropped), (kept - 1, dropped));
    assert_eq!(stuck_got.events(), []);
    drop(release);
    assert_eq!(fanout.close(LONG), Vec::<String>::new());
    assert_eq!(stuck_got.events(), (0..5).map(notice).collect::<Vec<_>>(), "the oldest, in order");
    assert!(stuck_got.is_closed() && quick_got.is_closed());
}

#[test]
fn a_sink_that_panics_takes_nobody_with_it() {
    let (broken, broken_got) = ScriptedSink::with_script("broken", |event| {
        assert!(event.id.0 != 2, "a defect");
        Ok(())
    });
    let (failing, failing_got) =
        ScriptedSink::with_script(
            "failing",
            |event| {
                if event.id.0 == 2 { Err("not today".into()) } else { Ok(()) }
            },
        );
    let (good, good_got) = ScriptedSink::new("good");
    let fanout = Fanout::new(vec![Box::new(broken), Box::new(failing), Box::new(good)], notices().0).unwrap();
    for number in 1..=4 {
        fanout.send(notice(number));
    }
    let gone = fanout.gone().recv_timeout(LONG).unwrap();
    assert_eq!(gone.sink, "broken");
    assert!(gone.message.contains("a defect"), "{gone}");
    eventually("the counters", || {
        let counts: Vec<_> = fanout.states().iter().map(|s| (s.waiting, s.failed, s.dropped)).collect();
        counts == [(0, 1, 2), (0, 1, 0), (0, 0, 0)]
    });
    assert_eq!(fanout.close(LONG), Vec::<String>::new());
    assert_eq!(broken_got.events(), [notice(1)]);
    assert_eq!(failing_got.events(), [notice(1), notice(3), notice(4)]);
    assert_eq!(good_got.events().len(), 4);
}

#[test]
fn closing_delivers_what_waits_and_has_a_deadline() {
    let clock = SystemClock::new();
    let (slow, slow_got) = ScriptedSink::with_script("slow", |_| {
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    });
    let (_keep, never) = crossbeam_channel::bounded::<()>(0);
    let (stuck, _) = ScriptedSink::with_script("stuck", move |_| {
        assert!(never.recv().is_err());
        Ok(())
    });
    let (lazy, lazy_got) = ScriptedSink::with_script("lazy", |_| {
        std::thread::sleep(Duration::from_millis(600));
        Ok(())
    });
    let fanout = Fanout::new(vec![Box::new(stuck), Box::new(slow), Box::new(lazy)], notices().0).unwrap();
    (0..10).for_each(|number| fanout.send(notice(number)));
    assert_eq!(fanout.close(Duration::from_secs(2)), ["stuck"]);
    assert!(clock.now() < Moment(Duration::from_secs(8)), "{:?}", clock.now());
    assert_eq!(slow_got.events().len(), 10);
    assert!(lazy_got.is_closed(), "it was closed in time, by leaving out the last events");
    assert!(lazy_got.events().len() < 10);
}

#[test]
fn what_may_go_well_later_is_tried_again_and_said_once() {
    let (failures, (say, said)) = (AtomicU64::new(0), notices());
    let (full, delivered) = ScriptedSink::with_script("full", move |_| {
        // As a disk that is full for a moment.
        if failures.fetch_add(1, Ordering::Relaxed) < 3 { Err("no room".to_owned()) } else { Ok(()) }
    });
    let soon = Fate::Later { after: Some(Duration::from_millis(10)) };
    let fanout = Fanout::new(vec![Box::new(full.with_fate(soon))], say).unwrap();
    (1..=5).for_each(|number| fanout.send(notice(number)));
    eventually("all of it", || delivered.events().len() == 5);
    assert_eq!(delivered.events(), (1..=5).map(notice).collect::<Vec<_>>());
    let said: Vec<String> = said.try_iter().collect();
    assert_eq!(said, ["full: no room; events for it wait in memory and are tried again"]);
    assert_eq!(fanout.states()[0].failed, 0);

    // The end does not wait for it.
    let (full, delivered) = ScriptedSink::with_script("full", |_| Err("no room".to_owned()));
    let later = Fate::Later { after: Some(LONG) };
    let fanout = Fanout::new(vec![Box::new(full.with_fate(later))], notices().0).unwrap();
    fanout.send(notice(1));
    assert_eq!(fanout.close(Duration::from_millis(500)), Vec::<String>::new());
    assert!(delivered.events().is_empty() && delivered.is_closed());
}

// ---- hook ----

fn hook(script: &str, path: &Path) -> Hook {
    let argv = ["/bin/sh", "-c", script, path.to_str().unwrap()].map(str::to_owned).to_vec();
    Hook {
        only: Only {
            kinds: Some(vec!["match.verified".into(), "match.rejected".into(), "service.degraded".into()]),
            ..Only::default()
        },
        timeout_ms: 20_000,
        max_parallel: 1,
        ..Hook::new(argv)
    }
}

fn sink(hook: &Hook) -> HookSink {
    HookSink::new(hook, Arc::new(SystemClock::new())).unwrap()
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Not there, or dead and only waiting for its new parent to notice.
fn is_dead(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

#[test]
fn a_hook_gets_the_event_and_nothing_of_our_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut sink = sink(&hook("cat > \"$0.json\"; env > \"$0.env\"; pwd >> \"$0.env\"", &path));
    let stats = sink.stats();
    assert!(!sink.wants(&event(1, EventKind::CameraRecovered { camera: "x".parse().unwrap() })));
    let clock = SystemClock::new();
    // Written in milliseconds: what comes back has no more.
    let soon = clock.wall(clock.now() + LONG).0.as_millisecond();
    let expires_at = WallTime(jiff::Timestamp::from_millisecond(soon).unwrap());
    let sent = verified(5, expires_at);
    assert!(sink.wants(&sent));
    sink.deliver(&sent).unwrap();
    sink.close(LONG);
    assert_eq!(count(&stats.succeeded), 1);
    let json = fs::read_to_string(folder.path().join("out.json")).unwrap();
    assert!(json.ends_with("}\n"));
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), sent);
    let text = fs::read_to_string(folder.path().join("out.env")).unwrap();
    let id = sent.id.to_string();
    for (name, value) in [
        ("EVENT_TYPE", "match.verified"),
        ("EVENT_ID", &id),
        ("AT", "2023-11-14T22:13:20.000Z"),
        ("CAMERA", "front door"),
        ("PERSON", "Zoë $(reboot); \"x\""),
        ("SIMILARITY", "0.750"),
        ("THRESHOLD", "0.500"),
        ("EXPIRES_AT", &expires_at.to_string()),
        ("TRACK", "7"),
        ("LIVENESS", "0.9"),
        ("LIVENESS_MODE", "enforce"),
    ] {
        let line = format!("FACEWARDEN_{name}={value}");
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
    let known = ["FACEWARDEN_", "PATH=/usr/local/sbin:", "LANG=C.UTF-8", "PWD=/", "SHLVL=", "_=", "OLDPWD="];
    for line in text.lines().filter(|line| *line != "/") {
        assert!(known.iter().any(|start| line.starts_with(start)), "leaked: {line}");
    }
    assert!(text.lines().any(|line| line == "/"), "it runs in /");
}

#[test]
fn a_rejected_person_is_not_in_the_variable_that_opens_doors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("env");
    let mut sink = sink(&hook("env > \"$0\"", &path));
    let person = Some(PersonId::new("Anna").unwrap());
    sink.deliver(&event(1, EventKind::Rejected { person, reason: Reason::NotLive, detail: detail() }))
        .unwrap();
    sink.close(LONG);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("FACEWARDEN_PERSON"), "{text}");
    assert!(text.contains("FACEWARDEN_RESEMBLES=Anna\n"), "{text}");
    assert!(text.contains("FACEWARDEN_REASON=not_live\n"), "{text}");
}

#[test]
fn a_hook_that_ignores_sigterm_and_forks_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pids");
    let script = "trap '' TERM; sleep 1000 & echo $! $$ > \"$0.new\"; mv \"$0.new\" \"$0\"; wait; sleep 1000";
    let mut sink = sink(&Hook { timeout_ms: 300, ..hook(script, &path) });
    let stats = sink.stats();
    sink.deliver(&notice(1)).unwrap();
    eventually("the hook to be killed", || count(&stats.timed_out) == 1);
    let pids = fs::read_to_string(&path).unwrap();
    let (forked, leader) = pids.trim().split_once(' ').unwrap();
    eventually("what it started to be dead", || is_dead(forked));
    assert!(!Path::new(&format!("/proc/{leader}")).exists(), "it was not reaped");
    sink.deliver(&notice(2)).unwrap();
    eventually("the next event to have its turn", || count(&stats.timed_out) == 2);
}

#[test]
fn what_a_hook_leaves_behind_is_killed_when_it_exits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let mut sink = sink(&hook("sleep 1000 & echo $! > \"$0\"", &path));
    let stats = sink.stats();
    sink.deliver(&notice(1)).unwrap();
    eventually("the hook", || count(&stats.succeeded) == 1);
    let pid = fs::read_to_string(&path).unwrap();
    eventually("the rest to be dead", || is_dead(pid.trim()));
}

#[test]
fn no_more_run_at_once_than_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let script = "echo start >> \"$0\"; sleep 0.15; echo end >> \"$0\"";
    let mut sink = sink(&Hook { max_parallel: 3, ..hook(script, &path) });
    (0..9).for_each(|number| sink.deliver(&notice(number)).unwrap());
    let stats = sink.stats();
    sink.close(LONG);
    assert_eq!(count(&stats.succeeded), 9);
    let (mut running, mut most) = (0, 0);
    for line in fs::read_to_string(&path).unwrap().lines() {
        running += if line == "start" { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!((running, most), (0, 3));
}

#[test]
fn when_too_many_wait_the_oldest_are_dropped_and_expired_grants_are_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ids");
    let script = "echo $FACEWARDEN_EVENT_ID >> \"$0\"; while [ ! -e \"$0.go\" ]; do sleep 0.02; done";
    let mut sink = sink(&hook(script, &path));
    let stats = sink.stats();
    sink.deliver(&notice(0)).unwrap();
    eventually("the first run", || path.exists());
    let waiting = MAX_WAITING as u64;
    (1..=waiting + 2).for_each(|number| sink.deliver(&notice(number)).unwrap());
    let clock = SystemClock::new();
    sink.deliver(&verified(900, clock.wall(clock.now() + Duration::from_millis(50)))).unwrap();
    sink.deliver(&verified(901, clock.wall(clock.now() + LONG))).unwrap();
    assert_eq!(count(&stats.dropped), 4);
    std::thread::sleep(Duration::from_millis(60));
    fs::write(folder.path().join("ids.go"), "").unwrap();
    sink.close(LONG);
    assert_eq!(count(&stats.expired), 1);
    let expected: Vec<_> = std::iter::once(0).chain(5..=waiting + 2).chain([901]).collect();
    let expected: Vec<_> = expected.into_iter().map(|n| ulid::Ulid(u128::from(n)).to_string()).collect();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn closing_kills_what_does_not_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let mut sink = sink(&hook("trap '' TERM; echo $$ > \"$0\"; while :; do sleep 0.1; done", &path));
    let stats = sink.stats();
    sink.deliver(&notice(1)).unwrap();
    sink.deliver(&notice(2)).unwrap();
    eventually("the run", || fs::read_to_string(&path).is_ok_and(|pid| !pid.is_empty()));
    let clock = SystemClock::new();
    sink.close(Duration::from_secs(2));
    assert!(clock.now() < Moment(Duration::from_secs(6)), "{:?}", clock.now());
    assert_eq!(count(&stats.dropped), 2);
    let pid = fs::read_to_string(&path).unwrap();
    eventually("the run to be dead", || is_dead(pid.trim()));
    assert!(sink.deliver(&notice(3)).is_err());
}

#[test]
fn a_hook_that_cannot_be_run_is_said_so() {
    let bad = |argv: &[&str]| Hook {
        argv: argv.iter().map(|&item| item.to_owned()).collect(),
        ..hook("", Path::new("x"))
    };
    for argv in [&[][..], &["unlock"], &["./unlock"], &[""]] {
        let error = HookSink::new(&bad(argv), Arc::new(SystemClock::new())).unwrap_err();
        assert!(error.message.contains("absolute path"), "{error}");
    }
    let none = Hook { max_parallel: 0, ..bad(&["/bin/true"]) };
    assert!(HookSink::new(&none, Arc::new(SystemClock::new())).is_err());
    let folder = tempfile::tempdir().unwrap();
    let (open, broken) = (folder.path().join("open"), folder.path().join("broken"));
    for (path, mode) in [(&open, 0o757), (&broken, 0o755)] {
        fs::write(path, "#!/nonexistent/shell\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for (program, why) in [
        ("/nonexistent/unlock", "No such file"),
        ("/etc/passwd", "chmod +x"),
        ("/etc", "chmod +x"),
        (open.to_str().unwrap(), "chmod o-w"),
    ] {
        let error = HookSink::new(&bad(&[program]), Arc::new(SystemClock::new())).unwrap_err();
        assert!(error.message.contains(why), "{error}");
    }
    for program in [broken.to_str().unwrap(), "/bin/false"] {
        let mut sink = sink(&bad(&[program]));
        let stats = sink.stats();
        sink.deliver(&notice(1)).unwrap();
        sink.close(LONG);
        assert_eq!((count(&stats.failed), count(&stats.succeeded)), (1, 0), "{program}");
    }
}

#[test]
fn a_hook_is_run_again_for_the_exit_codes_that_ask_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs");
    // The third run of an event succeeds; the event is the same each time.
    let script = r#"cat >> "$0"; test "$(grep -c . "$0")" -ge 3 || exit 75"#;
    let again = Hook {
        retry_exit_codes: vec![75],
        attempts: 5,
        backoff: Backoff { first_ms: 10, max_ms: 20 },
        ..hook(script, &path)
    };
    let mut sink = sink(&again);
    let stats = sink.stats();
    sink.deliver(&notice(1)).unwrap();
    eventually("the third run", || count(&stats.succeeded) == 1);
    assert_eq!((count(&stats.failed), count(&stats.retried)), (2, 2));
    let lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    assert!(lines.len() == 3 && lines.iter().all(|line| line == &lines[0]), "{lines:?}");

    // Other codes do not ask for it, and there is an end to it.
    for (script, runs) in [("echo >> \"$0\"; exit 1", 1), ("echo >> \"$0\"; exit 75", 5)] {
        let path = folder.path().join(runs.to_string());
        let mut sink = self::sink(&Hook { argv: hook(script, &path).argv, ..again.clone() });
        let stats = sink.stats();
        sink.deliver(&notice(1)).unwrap();
        eventually("all runs", || count(&stats.failed) == runs);
        sink.close(LONG);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count() as u64, runs);
    }
}

#[test]
fn a_hook_is_started_no_more_often_than_it_may_be_and_the_end_waits_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs");
    let limited = Hook { max_per_minute: Some(3), max_parallel: 2, ..hook("echo >> \"$0\"", &path) };
    let mut sink = sink(&limited);
    let stats = sink.stats();
    for number in 0..5 {
        sink.deliver(&notice(number)).unwrap();
    }
    eventually("three runs", || count(&stats.succeeded) == 3);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    let clock = SystemClock::new();
    sink.close(Duration::from_millis(600));
    assert!(clock.now() < Moment(LONG), "the minute was waited for");
    assert_eq!((count(&stats.succeeded), count(&stats.dropped)), (3, 2));
}
