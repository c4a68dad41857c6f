//! Whatever the `ffmpeg` command reads: video files, RTSP and HTTP cameras.
//!
//! ffmpeg runs as a child process (version 5.1 or newer) and writes raw frames into a pipe. It gives limited
//! range 4:2:0 without touching the colour matrix: a stream marked BT.709 comes out with the small colour shift
//! that most software gives it, since converting would double the cost. The address of a network camera, with
//! its password, is one of the child's arguments, which other users of the machine can list.

use std::ffi::OsString;
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::address::Address;
use super::pace::{Paced, Place, Recording};
use super::y4m::{Header, Parser, Progress};
use super::{FrameSource, SourceError};
use crate::clock::{Clock, Moment};
use crate::config::Camera;
use crate::domain::{CameraId, CapturedFrame, Payload};

/// Names the command, if it is not `ffmpeg` in the search path.
pub const COMMAND_VARIABLE: &str = "FACEWARDEN_FFMPEG";

/// How long a file may take to show its first line.
const FILE_START: Duration = Duration::from_secs(10);
/// How long the child may take to end after it has closed its output.
const EXIT: Duration = Duration::from_secs(2);

/// Even sides (4:2:0 needs them), limited range, three planes; each does nothing where nothing is to be done.
const FILTERS: &str = "crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0,scale=out_range=tv,format=yuv420p";

/// Opens `camera.source`, a file or an address, with the command that [`COMMAND_VARIABLE`] names or with
/// `ffmpeg`. A file is played at its own rate, `camera.loops` times. A network camera is taken as it comes; its
/// frames are stamped when they arrive, and it is never finite.
///
/// # Errors
/// [`SourceError::Unusable`] if there is no ffmpeg, no such file or no video in it.
pub fn open(camera: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, SourceError> {
    let command = std::env::var_os(COMMAND_VARIABLE).unwrap_or_else(|| "ffmpeg".into());
    open_with(command, camera, clock)
}

fn open_with(
    command: OsString,
    camera: &Camera,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, SourceError> {
    let address = Address::parse(&camera.source)?;
    let is_file = match &address {
        Address::File(path) => {
            let metadata = std::fs::metadata(path)
                .map_err(|error| SourceError::Unusable(format!("{}: {error}", path.display())))?;
            if metadata.is_dir() {
                return Err(SourceError::Unusable(format!("{} is a folder", path.display())));
            }
            true
        }
        Address::Url(_) => false,
    };
    let decoder = Decoder::start(command, address, is_file, Arc::clone(&clock))?;
    if is_file {
        let file = File { decoder, header: Header { width: 0, height: 0, fps: 0.0 } }.with_header()?;
        return Ok(Box::new(Paced::new(file, camera.id.clone(), clock, camera.speed, camera.loops)?));
    }
    Ok(Box::new(Live { decoder, camera: camera.id.clone(), clock, seq: 0 }))
}

/// A video file.
struct File {
    decoder: Decoder,
    header: Header,
}

impl File {
    fn with_header(mut self) -> Result<Self, SourceError> {
        self.header = self.decoder.read_header(FILE_START)?;
        Ok(self)
    }
}

impl Recording for File {
    fn read(&mut self, timeout: Duration) -> Result<Place, SourceError> {
        if !self.decoder.read_frame(timeout)? {
            return Ok(Place::End);
        }
        Ok(self.decoder.parser.take().map_or(Place::Nothing, Place::Frame))
    }

    fn skip(&mut self, timeout: Duration) -> Result<bool, SourceError> {
        self.decoder.read_frame(timeout)
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.decoder.restart()
    }

    fn fps(&self) -> f64 {
        self.header.fps
    }

    fn describe(&self) -> String {
        self.decoder.describe()
    }
}

/// A camera on the network.
struct Live {
    decoder: Decoder,
    camera: CameraId,
    clock: Arc<dyn Clock>,
    seq: u64,
}

impl FrameSource for Live {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let mut newest: Option<(u64, Payload)> = None;
        // Small frames pile up in the pipe while nobody reads; an old one must not be stamped as new.
        for _ in 0..64 {
            let patience = if newest.is_some() { Duration::ZERO } else { timeout };
            match self.decoder.read_frame(patience) {
                Ok(true) => {
                    newest = self.decoder.parser.take().map(|payload| (self.seq, payload));
                    self.seq += 1;
                }
                Ok(false) => {
                    let what = format!("{}: the stream has ended", self.decoder.address.shown());
                    return Err(SourceError::Lost(what));
                }
                Err(SourceError::TimedOut(_)) if newest.is_some() => break,
                Err(error) => return Err(error),
            }
        }
        let (seq, payload) = newest.ok_or(SourceError::TimedOut(timeout))?;
        let captured_at = self.clock.now();
        Ok(CapturedFrame { camera: self.camera.clone(), seq, captured_at, payload })
    }

    fn describe(&self) -> String {
        self.decoder.describe()
    }

    fn is_finite(&self) -> bool {
        false
    }
}

/// A running ffmpeg and what has come from it.
struct Decoder {
    command: OsString,
    address: Address,
    is_file: bool,
    clock: Arc<dyn Clock>,
    process: Process,
    parser: Parser,
    has_given_frames: bool,
    has_ended: bool,
}

impl Decoder {
    fn start(
        command: OsString,
        address: Address,
        is_file: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SourceError> {
        let process = Process::spawn(&command, &arguments(&address, is_file))?;
        Ok(Self {
            command,
            address,
            is_file,
            clock,
            process,
            parser: Parser::default(),
            has_given_frames: false,
            has_ended: false,
        })
    }

    fn restart(&mut self) -> Result<(), SourceError> {
        self.process = Process::spawn(&self.command, &arguments(&self.address, self.is_file))?;
        self.parser = Parser::default();
        self.has_given_frames = false;
        self.has_ended = false;
        Ok(())
    }

    fn describe(&self) -> String {
        let shown = self.address.shown();
        match self.parser.header() {
            Some(Header { width, height, fps }) if self.is_file => {
                format!("{shown} by ffmpeg, {width}x{height}, {fps:.3} fps")
            }
            Some(Header { width, height, .. }) => format!("{shown} by ffmpeg, {width}x{height}"),
            None => format!("{shown} by ffmpeg"),
        }
    }

    fn read_header(&mut self, timeout: Duration) -> Result<Header, SourceError> {
        let deadline = self.clock.now() + timeout;
        loop {
            if let Some(header) = self.parser.header() {
                return Ok(header);
            }
            match self.step(deadline, timeout) {
                Ok(Some(_)) => {}
                Ok(None) => return Err(self.failed("there is no video in it")),
                Err(SourceError::TimedOut(_)) => {
                    return Err(self.failed(&format!("ffmpeg gave nothing within {timeout:?}")));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads up to the end of the next frame, which is then in the parser. False at the end.
    fn read_frame(&mut self, timeout: Duration) -> Result<bool, SourceError> {
        let deadline = self.clock.now() + timeout;
        loop {
            match self.step(deadline, timeout)? {
                None => return Ok(false),
                Some(Progress::More) => {}
                Some(Progress::Frame) => {
                    self.has_given_frames = true;
                    return Ok(true);
                }
            }
        }
    }

    /// Takes one piece from the pipe. `None` at the end.
    fn step(&mut self, deadline: Moment, timeout: Duration) -> Result<Option<Progress>, SourceError> {
        if self.has_ended {
            return Ok(None);
        }
        match self.process.read(self.parser.wants(), deadline.since(self.clock.now())) {
            Ok(Some(0)) => self.end().map(|()| None),
            Ok(Some(count)) => match self.parser.got(count) {
                Ok(progress) => Ok(Some(progress)),
                Err(what) => Err(self.failed(&format!("what ffmpeg gives is not understood: {what}"))),
            },
            Ok(None) => Err(SourceError::TimedOut(timeout)),
            Err(error) => Err(self.failed(&format!("ffmpeg's pipe: {error}"))),
        }
    }

    /// ffmpeg has closed its output: was that the end, or did it fail?
    fn end(&mut self) -> Result<(), SourceError> {
        self.has_ended = true;
        let status = self.process.wait(EXIT);
        let is_whole = self.parser.is_between_frames();
        match status {
            Some(status) if status.success() && self.has_given_frames && is_whole => Ok(()),
            Some(status) if status.success() && self.has_given_frames => {
                Err(SourceError::BadFrame("the video ends within a frame".into()))
            }
            Some(status) if status.success() => Err(self.failed("there is no video in it")),
            Some(status) => Err(self.failed(&format!("ffmpeg ended with {status}"))),
            None => Err(self.failed("ffmpeg closed its output and did not end")),
        }
    }

    /// The error for `what`, with ffmpeg's last words: for ever with a file, for now with a camera.
    fn failed(&mut self, what: &str) -> SourceError {
        self.process.drain_stderr();
        let said = self.address.redacted(&self.process.said.text());
        let said = if said.is_empty() { said } else { format!(" ({said})") };
        let message = format!("{}: {what}{said}", self.address.shown());
        if self.is_file { SourceError::Unusable(message) } else { SourceError::Lost(message) }
    }
}

fn arguments(address: &Address, is_file: bool) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["-nostdin", "-hide_banner", "-loglevel", "error"].map(str::to_owned).to_vec();
    arguments.extend(address.input_arguments());
    arguments.extend(["-an", "-sn", "-dn", "-vf", FILTERS].map(str::to_owned));
    // A file gets a constant rate, so that a frame's number is its time; a camera's frames come as they are.
    arguments.extend(["-fps_mode", if is_file { "cfr" } else { "passthrough" }].map(str::to_owned));
    arguments.extend(["-f", "yuv4mpegpipe", "pipe:1"].map(str::to_owned));
    arguments
}

/// A child process in a group of its own, killed and reaped when dropped.
struct Process {
    child: Child,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    said: LastWords,
}

impl Process {
    fn spawn(command: &OsString, arguments: &[String]) -> Result<Self, SourceError> {
        let shown = command.to_string_lossy();
        let mut child = Command::new(command)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => SourceError::Unusable(format!(
                    "there is no command {shown}: install ffmpeg (apt install ffmpeg) or set {COMMAND_VARIABLE}"
                )),
                _ => SourceError::Lost(format!("{shown} cannot be started: {error}")),
            })?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(SourceError::Lost(format!("{shown} was started without pipes")));
        };
        let process = Self { child, stdout, stderr: Some(stderr), said: LastWords::default() };
        process.prepare_pipes().map_err(|error| SourceError::Lost(format!("{shown}: its pipe: {error}")))?;
        Ok(process)
    }

    fn prepare_pipes(&self) -> rustix::io::Result<()> {
        set_nonblocking(&self.stdout)?;
        if let Some(stderr) = &self.stderr {
            set_nonblocking(stderr)?;
        }
        // Fewer and larger reads. Where the system does not allow it, the pipe stays as it is.
        let enlarged = rustix::pipe::fcntl_setpipe_size(&self.stdout, 1 << 20);
        tracing::trace!(?enlarged, "pipe from ffmpeg");
        Ok(())
    }

    /// Reads once: `Some(0)` at the end of the output, `None` if nothing came in time.
    fn read(&mut self, room: &mut [u8], timeout: Duration) -> std::io::Result<Option<usize>> {
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

    /// Takes what is there of standard error. Without that a talkative ffmpeg would block.
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
    fn wait(&mut self, timeout: Duration) -> Option<std::process::ExitStatus> {
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
        tracing::trace!(?killed, ?reaped, "ffmpeg ended");
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
#[path = "ffmpeg_tests.rs"]
mod tests;
