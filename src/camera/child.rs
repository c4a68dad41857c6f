//! A child process whose output is read with a timeout, and that leaves nothing behind.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

/// A child process in a group of its own, killed and reaped when dropped.
pub(super) struct Process {
    child: Child,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    said: LastWords,
}

impl Process {
    /// Starts `command` with a pipe for its output and one for standard error; no shell sees the arguments.
    pub(super) fn spawn(command: &OsStr, arguments: &[String]) -> std::io::Result<Self> {
        let mut child = Command::new(command)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(std::io::Error::other("it was started without pipes"));
        };
        let process = Self { child, stdout, stderr: Some(stderr), said: LastWords::default() };
        process.prepare_pipes()?;
        Ok(process)
    }

    /// The last lines of standard error, on one line.
    pub(super) fn last_words(&mut self) -> String {
        self.drain_stderr();
        self.said.text()
    }

    fn prepare_pipes(&self) -> rustix::io::Result<()> {
        set_nonblocking(&self.stdout)?;
        if let Some(stderr) = &self.stderr {
            set_nonblocking(stderr)?;
        }
        // Fewer and larger reads. Where the system does not allow it, the pipe stays as it is.
        let enlarged = rustix::pipe::fcntl_setpipe_size(&self.stdout, 1 << 20);
        tracing::trace!(?enlarged, "pipe from the child");
        Ok(())
    }

    /// Reads once: `Some(0)` at the end of the output, `None` if nothing came in time.
    pub(super) fn read(&mut self, room: &mut [u8], timeout: Duration) -> std::io::Result<Option<usize>> {
        loop {
            match self.stdout.read(room) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.wait_for_output(timeout)? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for output or for words on standard error, and takes the latter. False if nothing came in time.
    fn wait_for_output(&mut self, timeout: Duration) -> std::io::Result<bool> {
        let mut waiting = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        waiting.extend(self.stderr.as_ref().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
        let ready = poll(&mut waiting, timeout)?;
        let has_words = waiting.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if has_words {
            self.drain_stderr();
        }
        Ok(ready)
    }

    /// Takes what is there of standard error. Without that a talkative child would block.
    fn drain_stderr(&mut self) {
        let mut piece = [0; 4096];
        while let Some(stderr) = &mut self.stderr {
            match stderr.read(&mut piece) {
                Ok(0) => self.stderr = None,
                Ok(count) => self.said.add(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.stderr = None,
            }
        }
    }

    /// Waits until the child has closed standard error too, then takes its exit status; `None` if it does not
    /// end in time.
    pub(super) fn wait(&mut self, timeout: Duration) -> Option<std::process::ExitStatus> {
        self.drain_stderr();
        while let Some(stderr) = &self.stderr {
            if !poll(&mut [PollFd::new(stderr, PollFlags::IN)], timeout).ok()? {
                return None;
            }
            self.drain_stderr();
        }
        self.child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After `wait` has reaped it the number may belong to somebody else; `try_wait` knows.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let group = rustix::process::Pid::from_child(&self.child);
        let killed = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let reaped = self.child.wait();
        tracing::trace!(?killed, ?reaped, "child ended");
    }
}

fn set_nonblocking(pipe: impl AsFd) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&pipe)?;
    rustix::fs::fcntl_setfl(&pipe, flags | rustix::fs::OFlags::NONBLOCK)
}

/// True if one of them is ready (or hung up) in time.
fn poll(waiting: &mut [PollFd<'_>], timeout: Duration) -> std::io::Result<bool> {
    let timeout = Timespec::try_from(timeout).map_err(std::io::Error::other)?;
    match rustix::event::poll(waiting, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        // A signal; the caller's loop comes back here with what is left of its time.
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The end of what a process said on standard error.
#[derive(Default)]
struct LastWords {
    bytes: Vec<u8>,
}

impl LastWords {
    const MAX_BYTES: usize = 2048;
    const MAX_LINES: usize = 4;

    fn add(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        let surplus = self.bytes.len().saturating_sub(Self::MAX_BYTES);
        self.bytes.drain(..surplus);
    }

    /// The last lines on one line, without control characters.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(Self::MAX_LINES)..).unwrap_or_default();
        last.join("; ").chars().filter(|c| !c.is_control()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_short_and_clean() {
        let mut words = LastWords::default();
        (0..1000).for_each(|n| words.add(format!("line {n}\x1b[0m\r\n\n").as_bytes()));
        assert_eq!(words.text(), "line 996[0m; line 997[0m; line 998[0m; line 999[0m");
    }
}
