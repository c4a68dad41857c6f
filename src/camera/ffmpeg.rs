//! Whatever the `ffmpeg` command reads: video files, RTSP and HTTP cameras.
//!
//! ffmpeg runs as a child process (version 5.1 or newer) and writes raw frames into a pipe. It gives limited
//! range 4:2:0 without touching the colour matrix: a stream marked BT.709 comes out with the small colour shift
//! that most software gives it, since converting would double the cost. The address of a network camera, with
//! its password, is one of the child's arguments, which other users of the machine can list.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::child::Process;
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
        let process = spawn(&command, &address, is_file)?;
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
        self.process = spawn(&self.command, &self.address, self.is_file)?;
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
        let said = self.address.redacted(&self.process.last_words());
        let said = if said.is_empty() { said } else { format!(" ({said})") };
        let message = format!("{}: {what}{said}", self.address.shown());
        if self.is_file { SourceError::Unusable(message) } else { SourceError::Lost(message) }
    }
}

fn spawn(command: &OsStr, address: &Address, is_file: bool) -> Result<Process, SourceError> {
    let shown = command.to_string_lossy();
    Process::spawn(command, &arguments(address, is_file)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => SourceError::Unusable(format!(
            "there is no command {shown}: install ffmpeg (apt install ffmpeg) or set {COMMAND_VARIABLE}"
        )),
        _ => SourceError::Lost(format!("{shown} cannot be started: {error}")),
    })
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

#[cfg(test)]
#[path = "ffmpeg_tests.rs"]
mod tests;
