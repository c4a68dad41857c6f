//! One run of a command: fed, listened to, ended in time with all it started, and reaped.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use crate::clock::{Clock, Moment};

/// What a command writes beyond this is read and thrown away.
pub const MAX_OUTPUT_BYTES: usize = 8 * 1024;
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// The same when the daemon ends.
const GRACE_AT_END: Duration = Duration::from_millis(300);
/// The longest wait between looks at the time and at whether the daemon ends.
const TICK: Duration = Duration::from_millis(100);
/// Reads of one pipe before something else has its turn.
const READS_PER_TURN: usize = 32;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that this program did not send.
    Signalled(i32),
    /// It took too long and was killed.
    TimedOut,
    /// The daemon ends, and it was killed.
    Aborted,
}

/// A run that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) end: End,
    pub(super) took: Duration,
    pub(super) output: Output,
}

/// What it wrote to standard output and standard error, as it came.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) kept: Vec<u8>,
    pub(super) discarded_bytes: u64,
}

impl Output {
    fn take(&mut self, bytes: &[u8]) {
        let room = MAX_OUTPUT_BYTES - self.kept.len();
        let (keep, discard) = bytes.split_at(room.min(bytes.len()));
        self.kept.extend(keep);
        self.discarded_bytes += discard.len() as u64;
    }
}

/// Runs a command to its end. `input` is its standard input. It may take until `timeout`, or until `abort` is
/// set; then its whole process group gets SIGTERM and, a little later, SIGKILL. What it leaves behind in its
/// group when it exits by itself is killed too.
///
/// # Errors
/// If it cannot be started, or the system fails while it runs; then it is killed.
pub(super) fn run(
    command: &mut Command,
    input: &[u8],
    timeout: Duration,
    clock: &dyn Clock,
    abort: &AtomicBool,
) -> io::Result<Finished> {
    let started = clock.now();
    let mut group = Group::start(command)?;
    let mut pipes = Pipes::of(&mut group.leader, input)?;
    // Wakes the loop the moment the command ends. Without it (an old kernel, a sandbox) the next tick will do.
    let pidfd = pidfd_open(group.pid, PidfdFlags::empty()).ok();
    let mut stage = Stage::Running { until: started + timeout };
    let mut cause = None;
    while !group.has_exited()? {
        pipes.turn(pidfd.as_ref(), stage.until().map_or(TICK, |until| until.since(clock.now()).min(TICK)))?;
        let now = clock.now();
        let is_end = abort.load(Ordering::Acquire);
        let grace = if is_end { GRACE_AT_END } else { GRACE };
        match stage {
            Stage::Running { until } if is_end || now >= until => {
                cause = Some(if is_end { End::Aborted } else { End::TimedOut });
                group.signal(Signal::TERM);
                stage = Stage::Terminating { until: now + grace };
            }
            Stage::Terminating { until } if now >= until => {
                group.signal(Signal::KILL);
                stage = Stage::Killed;
            }
            Stage::Terminating { until } => stage = Stage::Terminating { until: until.min(now + grace) },
            _ => {}
        }
    }
    let status = group.end()?;
    pipes.read_all();
    let end = cause.unwrap_or_else(|| match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signalled(signal.unwrap_or(0)),
    });
    Ok(Finished { end, took: clock.now().since(started), output: pipes.output })
}

/// How far the end of a run has come.
#[derive(Clone, Copy)]
enum Stage {
    Running { until: Moment },
    Terminating { until: Moment },
    Killed,
}

impl Stage {
    fn until(self) -> Option<Moment> {
        match self {
            Self::Running { until } | Self::Terminating { until } => Some(until),
            Self::Killed => None,
        }
    }
}

/// A command and all it started that did not leave its process group.
struct Group {
    leader: Child,
    pid: Pid,
    is_reaped: bool,
}

impl Group {
    fn start(command: &mut Command) -> io::Result<Self> {
        let mut leader = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        match i32::try_from(leader.id()).ok().and_then(Pid::from_raw) {
            Some(pid) => Ok(Self { leader, pid, is_reaped: false }),
            None => {
                leader.kill()?;
                leader.wait()?;
                Err(io::Error::other("the system gave an impossible process id"))
            }
        }
    }

    /// Whether the leader has ended. It is not reaped yet, so that its number, which is the group's too, cannot
    /// be given to another process meanwhile.
    fn has_exited(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), options) {
            Ok(status) => Ok(status.is_some()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn signal(&self, signal: Signal) {
        // The group may be gone already, which is what is wanted.
        if let Err(error) = kill_process_group(self.pid, signal) {
            tracing::trace!(group = %self.pid, %error, "nothing was left to signal");
        }
    }

    /// Kills what is left and reaps the leader.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let status = self.leader.wait()?;
        self.is_reaped = true;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_reaped {
            drop(self.end());
        }
    }
}

/// The three pipes to a command. None of them is ever waited on for long.
struct Pipes<'a> {
    input: Option<(std::process::ChildStdin, &'a [u8])>,
    streams: Vec<Box<dyn Stream>>,
    output: Output,
}

trait Stream: Read + AsFd {}
impl<T: Read + AsFd> Stream for T {}

impl<'a> Pipes<'a> {
    fn of(leader: &mut Child, input: &'a [u8]) -> io::Result<Self> {
        let mut streams: Vec<Box<dyn Stream>> = Vec::new();
        if let Some(stdout) = leader.stdout.take() {
            streams.push(Box::new(stdout));
        }
        if let Some(stderr) = leader.stderr.take() {
            streams.push(Box::new(stderr));
        }
        for stream in &streams {
            set_nonblocking(stream)?;
        }
        let stdin = leader.stdin.take();
        if let Some(stdin) = &stdin {
            set_nonblocking(stdin)?;
        }
        Ok(Self { input: stdin.map(|stdin| (stdin, input)), streams, output: Output::default() })
    }

    /// Waits for something to do, at most for `within`, and does it.
    fn turn(&mut self, pidfd: Option<&OwnedFd>, within: Duration) -> io::Result<()> {
        let mut waited_on: Vec<PollFd<'_>> = Vec::with_capacity(4);
        waited_on.extend(pidfd.map(|fd| PollFd::new(fd, PollFlags::IN)));
        waited_on.extend(self.input.as_ref().map(|(stdin, _)| PollFd::new(stdin, PollFlags::OUT)));
        waited_on.extend(self.streams.iter().map(|stream| PollFd::new(stream, PollFlags::IN)));
        let timeout = Timespec::try_from(within).map_err(io::Error::other)?;
        match poll(&mut waited_on, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        drop(waited_on);
        self.write();
        self.read_all();
        Ok(())
    }

    /// Writes what fits. A command that does not care to read its input is none of our business.
    fn write(&mut self) {
        let Some((stdin, rest)) = &mut self.input else { return };
        let is_done = match stdin.write(rest) {
            Ok(count) => {
                *rest = &rest[count..];
                rest.is_empty()
            }
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        };
        if is_done {
            self.input = None; // closes the pipe, which is how the command sees the end
        }
    }

    /// Reads what is there, within reason.
    fn read_all(&mut self) {
        let output = &mut self.output;
        self.streams.retain_mut(|stream| is_open_after_reading(stream, output));
    }
}

fn is_open_after_reading(stream: &mut impl Read, output: &mut Output) -> bool {
    let mut buffer = [0; 4096];
    for _ in 0..READS_PER_TURN {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => output.take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}

fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    Ok(fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    const LONG: Duration = Duration::from_secs(30);

    fn shell(script: &str, input: &[u8], timeout: Duration) -> Finished {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(&mut command, input, timeout, &SystemClock::new(), &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn input_output_and_exit_code_pass_through() {
        let finished = shell("cat; echo problem >&2; exit 7", b"hello\n", LONG);
        assert_eq!(finished.end, End::Exited(7));
        assert_eq!(finished.output.kept, b"hello\nproblem\n");
        assert_eq!(shell("kill -9 $$", b"", LONG).end, End::Signalled(9));
    }

    #[test]
    fn a_flood_of_output_is_drained_and_mostly_thrown_away() {
        let flood = "head -c 1000000 /dev/zero";
        let finished = shell(&format!("{flood}; {flood} >&2; exit 3"), b"", LONG);
        assert_eq!(finished.end, End::Exited(3));
        assert_eq!(finished.output.kept.len(), MAX_OUTPUT_BYTES);
        assert_eq!(finished.output.discarded_bytes, 2_000_000 - MAX_OUTPUT_BYTES as u64);
    }

    #[test]
    fn input_that_nobody_reads_blocks_nothing() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(shell("exit 0", &input, LONG).end, End::Exited(0));
        assert_eq!(shell("exec 0<&-; sleep 0.1", &input, LONG).end, End::Exited(0));
        let finished = shell("sleep 0.2; wc -c", &input, LONG);
        assert_eq!(String::from_utf8_lossy(&finished.output.kept).trim(), "1048576");
    }

    #[test]
    fn the_time_is_up_for_a_command_and_for_one_that_listens_to_sigterm() {
        let finished = shell("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done", b"", LONG / 100);
        assert_eq!(finished.end, End::TimedOut);
        // The shell may also say that its own child was terminated.
        assert!(String::from_utf8_lossy(&finished.output.kept).contains("bye\n"));
        assert!(finished.took < GRACE, "{:?}", finished.took);
    }
}
