//! The program as a whole: how long it takes to start, and what it uses over time.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::exit::{Exit, Failure, OrExit};
use super::speed::{camera_frame, megabytes, milliseconds};
use super::{Row, median};
use crate::clock::{Clock, SystemClock};

const START_RUNS: usize = 7;
const VIDEO_LOOPS: &str = "10";

/// What a process took.
pub(super) struct Used {
    pub wall: Duration,
    pub peak_bytes: u64,
}

fn program(arguments: &[&Path]) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe().or_exit(Exit::Internal)?);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

/// Runs this program with other arguments to its end.
pub(super) fn run_to_end(arguments: &[&Path]) -> Result<Used, Failure> {
    let clock = SystemClock::new();
    let started = clock.now();
    let mut child = program(arguments)?.stdout(Stdio::null()).spawn().or_exit(Exit::Unavailable)?;
    let mut peak_bytes = 0;
    // The high-water mark only grows, so the last reading before the end is the peak but for two milliseconds.
    let status = loop {
        peak_bytes = peak_bytes.max(memory(&child, "VmHWM:").unwrap_or(0));
        match child.try_wait().or_exit(Exit::Internal)? {
            Some(status) => break status,
            None => clock.sleep(Duration::from_millis(2)),
        }
    };
    let wall = clock.now().since(started);
    if status.code().is_none_or(|code| code > 1) {
        return Err(Failure::new(Exit::Internal, format!("{arguments:?} ended with {status}")));
    }
    Ok(Used { wall, peak_bytes })
}

/// From the start of the daemon until it watches.
pub(super) fn start(pictures: &Path) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir().or_exit(Exit::CannotWrite)?;
    let (frames, gallery) = (folder.path().join("frames"), private_folder(&folder.path().join("gallery"))?);
    std::fs::create_dir(&frames).or_exit(Exit::CannotWrite)?;
    for n in 0..20 {
        std::fs::write(frames.join(format!("{n}.jpg")), camera_frame(&pictures.join("obama2.jpg"))?)
            .or_exit(Exit::CannotWrite)?;
    }
    let clock = SystemClock::new();
    let mut times = Vec::new();
    for _ in 0..START_RUNS {
        let started = clock.now();
        let mut child = daemon(&frames, &gallery, "1")?;
        let out = child.stdout.take().ok_or_else(|| Failure::new(Exit::Internal, "no standard output"))?;
        let mut first = String::new();
        BufReader::new(out).read_line(&mut first).or_exit(Exit::Internal)?;
        let ready = clock.now().since(started);
        child.kill().or_exit(Exit::Internal)?;
        child.wait().or_exit(Exit::Internal)?;
        if !first.contains("service.started") {
            return Err(Failure::new(
                Exit::Internal,
                format!("the daemon said {first:?} instead of starting"),
            ));
        }
        times.push(milliseconds(ready));
    }
    Ok(vec![Row::new("start of the daemon until it watches", format!("{:.0} ms", median(times)), "700 ms")])
}

/// The daemon on a video in real time, several times over.
pub(super) fn video(data: &Path) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir().or_exit(Exit::CannotWrite)?;
    let gallery = private_folder(&folder.path().join("gallery"))?;
    let mut child = daemon(&data.join("video-group.mp4"), &gallery, VIDEO_LOOPS)?;
    let clock = SystemClock::new();
    let started = clock.now();
    let (out, log) = (child.stdout.take(), child.stderr.take());
    let (memory, log) = std::thread::scope(|scope| {
        scope.spawn(move || out.map(|mut out| std::io::copy(&mut out, &mut std::io::sink())));
        let log = scope.spawn(move || {
            let mut text = String::new();
            log.map(|mut log| log.read_to_string(&mut text));
            text
        });
        let mut samples: Vec<(f64, u64)> = Vec::new();
        while child.try_wait().is_ok_and(|status| status.is_none()) {
            let at = clock.now().since(started).as_secs_f64();
            samples.extend(memory(&child, "VmRSS:").map(|bytes| (at, bytes)));
            clock.sleep(Duration::from_millis(200));
        }
        (samples, log.join().unwrap_or_default())
    });
    let status = child.wait().or_exit(Exit::Internal)?;
    if !status.success() {
        return Err(Failure::new(Exit::Internal, format!("the daemon ended with {status}:\n{log}")));
    }
    let field = |name: &str| {
        let found = log.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")));
        found.unwrap_or("?").to_owned()
    };
    // The first loop fills caches and pools; growth after it would be a leak.
    let after_first = memory.iter().filter(|(at, _)| *at > 6.0).map(|(_, bytes)| *bytes);
    let (low, high) = (after_first.clone().min().unwrap_or(0), after_first.max().unwrap_or(0));
    let peak = memory.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let name = format!("1080p25 video in real time, {VIDEO_LOOPS} loops");
    Ok(vec![
        Row::new(
            &format!("{name}: lag of the newest frame, p50 / p99"),
            format!("{} / {} ms", field("frame_lag_p50_ms"), field("frame_lag_p99_ms")),
            "p99 120 ms",
        ),
        Row::new(
            &format!("{name}: frames captured / detected / replaced by newer ones"),
            format!("{} / {} / {}", field("captured"), field("detected"), field("replaced")),
            "",
        ),
        Row::new(
            &format!("{name}: tracks / embeddings"),
            format!("{} / {}", field("tracks"), field("embeddings")),
            "",
        ),
        Row::new(
            &format!("{name}: resident memory after the first loop, least to most; peak"),
            format!("{} to {}; {}", megabytes(low), megabytes(high), megabytes(peak)),
            "200 MB, flat",
        ),
    ])
}

fn daemon(source: &Path, gallery: &Path, loops: &str) -> Result<Child, Failure> {
    let mut command = program(&[Path::new("run"), Path::new("--source"), source])?;
    command.arg("--gallery").arg(gallery).args(["--events", "-", "--loops", loops, "--log-level", "info"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().or_exit(Exit::Unavailable)
}

fn private_folder(path: &Path) -> Result<std::path::PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path).or_exit(Exit::CannotWrite)?;
    Ok(path.to_owned())
}

fn memory(child: &Child, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}
