//! The soak: the daemon as a process of its own, at ten times the speed of life, watched from outside.
//!
//! It plays the demonstration's clip again and again, with a log, a hook, a webhook and a reader of its socket. Flat means
//! that the median of the last third of the time is not above the median of the middle third: descriptors and threads not
//! at all, memory not by more than 2 % or 2 MB. The first third is for caches and pools to fill.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::super::clip::demo_scenes;
use super::super::demo;
use super::super::engine::{Engine, ModelArgs};
use super::super::exit::{Exit, Failure, OrExit};
use super::Row;
use super::events::{Desk, Server};
use crate::clock::{Clock, SystemClock};
use crate::config::{Camera, Config, Hook, LivenessMode, Speed};
use crate::domain::CameraId;
use crate::inference::Detector;
use crate::sys::thread;

/// How many times as fast as life.
const SPEED: f64 = 10.0;
/// How often the process is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Memory may grow by the larger of these: part of the whole, and bytes. The system's allocator alone moves by some
/// hundred kilobytes.
const GROWTH: (f64, f64) = (0.02, 2e6);
/// The daemon must be gone so soon after it is asked to end.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What the process had at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    bytes: f64,
    descriptors: f64,
    threads: f64,
}

/// Plays for so many minutes; the figures, and whether all is well.
///
/// # Errors
/// If the daemon cannot be started, or ends before it is told to.
pub(super) fn measure(models: &ModelArgs, minutes: u32) -> Result<(Vec<Row>, bool), Failure> {
    let desk = Desk::new()?;
    let mut engine = Engine::load(models)?;
    let story = demo_scenes(|photo| engine.detector.detect(photo)).or_exit(Exit::Internal)?;
    let gallery = desk.path("enrolled");
    demo::enrol(&mut engine, &story, &gallery)?;
    drop(engine);
    let film = demo::clip(&story, &desk.path(""))?;
    let server = Server::Answers.start()?.ok_or_else(|| Failure::new(Exit::Internal, "no web server"))?;
    let config = settings(&desk, film, &gallery, server.port)?;
    let file = desk.path("facewarden.yaml");
    // JSON is YAML.
    fs::write(&file, serde_json::to_string(&config).or_exit(Exit::Internal)?).or_exit(Exit::CannotWrite)?;

    let mut daemon = start(&file)?;
    let read = Arc::new(AtomicU64::new(0));
    let (path, counter) = (desk.path("events.sock"), Arc::clone(&read));
    let reader = thread::spawn("reader", move || read_socket(&path, &counter)).or_exit(Exit::Unavailable)?;
    let log = daemon.stderr.take();
    let messages = thread::spawn("messages", move || {
        let mut text = String::new();
        log.map(|mut log| log.read_to_string(&mut text));
        text
    });
    let messages = messages.or_exit(Exit::Unavailable)?;
    let samples = watch(&mut daemon, Duration::from_secs(60) * minutes)?;
    let ended = end(&mut daemon)?;
    let messages = messages.join().or_exit(Exit::Internal)?;
    reader.join().or_exit(Exit::Internal)?;
    if !ended {
        return Err(Failure::new(Exit::Internal, format!("the daemon did not end well:\n{messages}")));
    }
    let counts = Counts {
        decisions: field(&messages, "decisions"),
        decisions_in_log: log_lines(&desk, "\"type\":\"match.")?,
        in_log: log_lines(&desk, "")?,
        at_webhook: server.answered.load(Ordering::Relaxed),
        at_reader: read.load(Ordering::Relaxed),
    };
    // Before that it warns of settings that no door should have: the people are photos.
    let at_work = messages.lines().skip_while(|line| !line.contains("watching"));
    let troubles = at_work.filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
    let verified = verify(&desk.path("events.jsonl"))?;
    let (mut rows, is_flat) = judge(&samples, minutes);
    let (row, nothing_lost) = counts.judge();
    rows.push(row);
    rows.push(Row::new(
        "soak: frames captured / looked at / replaced by newer ones; warnings in the log; does the event log verify",
        format!(
            "{} / {} / {}; {troubles}; {}",
            field(&messages, "captured"),
            field(&messages, "detected"),
            field(&messages, "replaced"),
            if verified { "yes" } else { "NO" }
        ),
        "no warning, yes",
    ));
    if troubles > 0 {
        eprintln!("{messages}");
    }
    Ok((rows, is_flat && nothing_lost && verified && troubles == 0))
}

fn settings(desk: &Desk, film: String, gallery: &Path, port: u16) -> Result<Config, Failure> {
    let camera = Camera {
        speed: Speed::Times(SPEED),
        // Longer than any soak.
        loops: 1_000_000,
        ..Camera::new(CameraId::new("door").or_exit(Exit::Internal)?, film)
    };
    let mut config = Config::new(camera);
    config.gallery.folder = gallery.to_owned();
    // The people are photos.
    config.liveness.mode = LivenessMode::Report;
    // Whoever comes again in the next round of the clip is told of again.
    config.decision.cooldown_ms = 1000;
    config.events = desk.events();
    config.events.log_keep_files = 1000;
    config.events.webhooks = vec![desk.webhook(port)?];
    config.events.hooks = vec![Hook::new(vec!["/bin/true".to_owned()])];
    let socket = serde_json::json!({ "path": desk.path("events.sock") });
    config.events.socket = Some(serde_json::from_value(socket).or_exit(Exit::Internal)?);
    Ok(config)
}

fn start(config: &Path) -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe().or_exit(Exit::Internal)?);
    command.args(["run", "--log-level", "info", "--config"]).arg(config);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().or_exit(Exit::Unavailable)
}

/// Looks at the process until the time is over.
fn watch(daemon: &mut Child, time: Duration) -> Result<Vec<Sample>, Failure> {
    let clock = SystemClock::new();
    let mut samples = Vec::new();
    while clock.now().0 < time {
        clock.sleep(EVERY);
        if let Some(status) = daemon.try_wait().or_exit(Exit::Internal)? {
            return Err(Failure::new(Exit::Internal, format!("the daemon ended early: {status}")));
        }
        samples.extend(sample(daemon.id()));
        if samples.len() % 60 == 0
            && let Some(newest) = samples.last()
        {
            eprintln!(
                "minute {}: {:.1} MB, {} descriptors, {} threads",
                samples.len() / 60,
                newest.bytes / 1e6,
                newest.descriptors,
                newest.threads
            );
        }
    }
    Ok(samples)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of descriptors")]
fn sample(process: u32) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let number = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as f64;
    Some(Sample { bytes: number("VmRSS:")? * 1024.0, descriptors, threads: number("Threads:")? })
}

/// Asks it to end; true if it does, and well.
fn end(daemon: &mut Child) -> Result<bool, Failure> {
    let id = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| Failure::new(Exit::Internal, "the daemon has no process number"))?;
    kill_process(id, Signal::TERM).or_exit(Exit::Internal)?;
    let clock = SystemClock::new();
    while clock.now().0 < GONE_WITHIN {
        if let Some(status) = daemon.try_wait().or_exit(Exit::Internal)? {
            return Ok(status.success());
        }
        clock.sleep(Duration::from_millis(20));
    }
    daemon.kill().or_exit(Exit::Internal)?;
    daemon.wait().or_exit(Exit::Internal)?;
    Ok(false)
}

/// Counts the events that a reader of the socket gets, until the daemon ends.
fn read_socket(path: &Path, count: &AtomicU64) {
    let clock = SystemClock::new();
    let stream = loop {
        match UnixStream::connect(path) {
            Ok(stream) => break stream,
            Err(_) if clock.now().0 < Duration::from_secs(60) => clock.sleep(Duration::from_millis(20)),
            // Then it counts none, which is seen in the figures.
            Err(_) => return,
        }
    };
    if (&stream).write_all(b"{\"all\":true}\n").is_err() {
        return;
    }
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if !line.contains("\"type\":\"stream.") {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Lines with `what` in all files of the event log.
fn log_lines(desk: &Desk, what: &str) -> Result<u64, Failure> {
    let mut count = 0;
    for entry in fs::read_dir(desk.path("")).or_exit(Exit::Internal)? {
        let path = entry.or_exit(Exit::Internal)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("events") && name.ends_with(".jsonl") {
            let text = fs::read_to_string(&path).or_exit(Exit::Internal)?;
            count += text.lines().filter(|line| line.contains(what)).count() as u64;
        }
    }
    Ok(count)
}

fn verify(log: &Path) -> Result<bool, Failure> {
    let mut command = Command::new(std::env::current_exe().or_exit(Exit::Internal)?);
    let status = command.args(["log", "verify"]).arg(log).stdout(Stdio::null()).status();
    Ok(status.or_exit(Exit::Internal)?.success())
}

/// A number of the daemon's last words.
fn field(messages: &str, name: &str) -> u64 {
    let words = messages.lines().rev().flat_map(str::split_whitespace);
    let number = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).next();
    number.unwrap_or(0)
}

/// How many events there were, by everybody who counts.
struct Counts {
    decisions: u64,
    decisions_in_log: u64,
    in_log: u64,
    at_webhook: u64,
    at_reader: u64,
}

impl Counts {
    fn judge(&self) -> (Row, bool) {
        let Self { decisions, decisions_in_log, in_log, at_webhook, at_reader } = *self;
        let lost = decisions.abs_diff(decisions_in_log)
            + in_log.saturating_sub(at_webhook)
            + in_log.saturating_sub(at_reader);
        let measured = format!(
            "{decisions} decisions, {decisions_in_log} of them in the log; {in_log} events in the log, {at_webhook} at the \
             webhook, {at_reader} at the socket's reader; {lost} lost"
        );
        (Row::new("soak: events", measured, "0 lost"), lost == 0 && decisions > 0)
    }
}

/// The figures of the three thirds, and whether the last is as the middle.
fn judge(samples: &[Sample], minutes: u32) -> (Vec<Row>, bool) {
    let third = samples.len() / 3;
    let thirds = [&samples[..third], &samples[third..2 * third], &samples[2 * third..]];
    let mut all_flat = third > 0;
    let mut row = |what: &str, value: fn(&Sample) -> f64, show: fn(f64) -> String, growth: (f64, f64)| {
        let medians = thirds.map(|third| super::median(third.iter().map(value).collect()));
        let most = samples.iter().map(value).fold(0.0, f64::max);
        let is_flat = medians[2] <= medians[1] + (medians[1] * growth.0).max(growth.1);
        all_flat &= is_flat;
        let [first, middle, last] = medians.map(show);
        let verdict = if is_flat { "flat" } else { "NOT FLAT" };
        Row::new(
            &format!(
                "soak, {minutes} min at {SPEED} times the speed of life: {what}, median of each third; most"
            ),
            format!("{first}, {middle}, {last}; {}: {verdict}", show(most)),
            "flat",
        )
    };
    let whole = |value: f64| format!("{value:.0}");
    let rows = vec![
        row("memory", |sample| sample.bytes, |bytes| format!("{:.1} MB", bytes / 1e6), GROWTH),
        row("descriptors", |sample| sample.descriptors, whole, (0.0, 0.0)),
        row("threads", |sample| sample.threads, whole, (0.0, 0.0)),
    ];
    (rows, all_flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_in_the_last_third_is_not_flat() {
        let flat = |grow: fn(usize) -> (f64, f64, f64)| {
            let sample = |n| {
                let (bytes, descriptors, threads) = grow(n);
                Sample { bytes, descriptors, threads }
            };
            judge(&(0..300).map(sample).collect::<Vec<_>>(), 5).1
        };
        assert!(flat(|n| (if n < 90 { n as f64 * 1e6 } else { 9e7 }, 20.0, 9.0)), "it fills up at first");
        assert!(flat(|n| (1e8 + n as f64 * 1e4, 20.0, 9.0)), "2 MB are no leak");
        assert!(!flat(|n| (1e8 + n as f64 * 3e4, 20.0, 9.0)));
        assert!(!flat(|n| (1e8, 20.0 + (n / 100) as f64, 9.0)));
        assert!(!flat(|n| (1e8, 20.0, if n > 240 { 11.0 } else { 9.0 + (n / 200) as f64 })));
        assert!(!judge(&[], 1).1, "nothing was seen");
    }

    #[test]
    fn an_event_that_is_missing_anywhere_is_lost() {
        let counts = |decisions_in_log, at_webhook, at_reader| Counts {
            decisions: 10,
            decisions_in_log,
            in_log: 12,
            at_webhook,
            at_reader,
        };
        assert!(counts(10, 12, 12).judge().1);
        for counts in [counts(9, 12, 12), counts(10, 11, 12), counts(10, 12, 11), counts(11, 12, 12)] {
            assert!(!counts.judge().1);
        }
        assert_eq!(field("x decisions=3 y\ndone decisions=7 z", "decisions"), 7);
    }
}
