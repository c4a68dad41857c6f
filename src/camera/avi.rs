//! AVI files with MJPEG video, read. (See `avi_write` for the writer.)
//!
//! A RIFF file is a tree of chunks: four letters, a size (32 bits, little endian), and so many bytes, padded to
//! an even number. This reader walks it flat: it steps into the lists it knows and over everything else. So it
//! needs no index, reads OpenDML's further `AVIX` parts, and gets to the last whole frame of a recording that
//! was never finished, whose sizes are still 0. Every size is checked against the file before memory is taken.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::pace::{Paced, Place, Recording};
use super::{FrameSource, SourceError};
use crate::clock::Clock;
use crate::config::Camera;
use crate::domain::Payload;
use crate::vision::jpeg;

/// Larger chunks are not frames (an 8192 x 8192 JPEG of best quality is smaller).
const MAX_FRAME_BYTES: u32 = 64 << 20;

/// What the headers say of the video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AviInfo {
    /// Pixels across, as the header has it; the JPEG frames decide.
    pub width: u32,
    /// Pixels down, as the header has it.
    pub height: u32,
    /// Frames a second, finite and above 0.
    pub fps: f64,
}

/// Why a file cannot be read as MJPEG AVI.
#[derive(Debug, thiserror::Error)]
pub enum AviError {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not a RIFF file of type AVI.
    #[error("it is not an AVI file")]
    NotAvi,
    /// It has no video, or its headers make no sense.
    #[error("its headers are damaged: {0}")]
    Headers(&'static str),
    /// Its video is not MJPEG.
    #[error("its video is coded as '{0}', not as MJPG")]
    NotMjpeg(String),
}

/// Gives the JPEG frames of an AVI file, one after the other.
#[derive(Debug)]
pub struct AviReader<R> {
    reader: R,
    info: AviInfo,
    /// The chunk names of the video's frames: two digits and `dc` or `db`.
    frame_ids: [[u8; 4]; 2],
    /// Where the first frame may be.
    frames_from: u64,
    length: u64,
    at: u64,
}

/// The head of a chunk.
struct Chunk {
    id: [u8; 4],
    size: u32,
}

impl<R: Read + Seek> AviReader<R> {
    /// Reads the headers, up to the list of frames.
    ///
    /// # Errors
    /// [`AviError`] if this is no AVI file with MJPEG video.
    pub fn new(mut reader: R) -> Result<Self, AviError> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        let info = AviInfo { width: 0, height: 0, fps: 0.0 };
        let mut this = Self { reader, info, frame_ids: [[0; 4]; 2], frames_from: 0, length, at: 0 };
        let mut start = [0; 12];
        match this.reader.read_exact(&mut start) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(AviError::NotAvi),
            other => other?,
        }
        if &start[..4] != b"RIFF" || &start[8..] != b"AVI " {
            return Err(AviError::NotAvi);
        }
        this.at = 12;
        this.read_headers()?;
        Ok(this)
    }

    /// What the headers say.
    #[must_use]
    pub fn info(&self) -> AviInfo {
        self.info
    }

    /// The bytes of the next frame; empty for a repeated frame; `None` at the end. A last frame that is cut
    /// short does not count.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, AviError> {
        let Some(size) = self.next_frame_size()? else { return Ok(None) };
        let mut frame = vec![0; size as usize];
        self.reader.seek(SeekFrom::Start(self.at))?;
        self.reader.read_exact(&mut frame)?;
        self.pass(size);
        Ok(Some(frame))
    }

    /// Passes over one frame without reading it. False at the end.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn skip_frame(&mut self) -> Result<bool, AviError> {
        let Some(size) = self.next_frame_size()? else { return Ok(false) };
        self.pass(size);
        Ok(true)
    }

    /// Goes back to the first frame.
    pub fn rewind(&mut self) {
        self.at = self.frames_from;
    }

    /// The chunk at the present place, which is then behind its head; `None` at the end of the file.
    fn chunk(&mut self) -> Result<Option<Chunk>, AviError> {
        if self.length.saturating_sub(self.at) < 8 {
            return Ok(None);
        }
        let mut head = [0; 8];
        self.reader.seek(SeekFrom::Start(self.at))?;
        self.reader.read_exact(&mut head)?;
        self.at += 8;
        let [a, b, c, d, size @ ..] = head;
        Ok(Some(Chunk { id: [a, b, c, d], size: u32::from_le_bytes(size) }))
    }

    /// The type of the list whose head was just read; the place is then inside of the list.
    fn list_type(&mut self) -> Result<[u8; 4], AviError> {
        let kind = self.bytes(4)?;
        self.at += 4;
        Ok(kind.first_chunk().copied().unwrap_or_default())
    }

    /// The next bytes, as many as there are of `wanted`; the place does not change.
    fn bytes(&mut self, wanted: u32) -> Result<Vec<u8>, AviError> {
        let mut bytes = Vec::new();
        self.reader.seek(SeekFrom::Start(self.at))?;
        self.reader.by_ref().take(wanted.into()).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Passes over a chunk of `size` bytes and its padding.
    fn pass(&mut self, size: u32) {
        self.at += u64::from(size) + u64::from(size % 2);
    }

    fn read_headers(&mut self) -> Result<(), AviError> {
        let mut streams: u8 = 0;
        let mut video: Option<Stream> = None;
        let mut is_video = false;
        let mut microseconds_a_frame = 0;
        while let Some(Chunk { id, size }) = self.chunk()? {
            match &id {
                b"LIST" => match &self.list_type()? {
                    b"hdrl" | b"strl" => {}
                    b"movi" => return self.finish_headers(video, microseconds_a_frame),
                    _ => self.pass(size.saturating_sub(4)),
                },
                b"avih" => {
                    microseconds_a_frame = le32(&self.bytes(size.min(4))?, 0);
                    self.pass(size);
                }
                b"strh" => {
                    let header = self.bytes(size.min(48))?;
                    is_video = header.starts_with(b"vids") && video.is_none();
                    if is_video {
                        let mut handler = [0; 4];
                        handler.copy_from_slice(header.get(4..8).unwrap_or(&[0; 4]));
                        let (scale, rate) = (le32(&header, 20), le32(&header, 24));
                        video = Some(Stream { number: streams, handler, scale, rate });
                    }
                    streams = streams.saturating_add(1);
                    self.pass(size);
                }
                b"strf" => {
                    if let (true, Some(video)) = (is_video, &mut video) {
                        // BITMAPINFOHEADER: size, width, height, planes and bits, compression.
                        let format = self.bytes(size.min(20))?;
                        self.info.width = le32(&format, 4);
                        self.info.height = le32(&format, 8);
                        if let Some(compression) = format.get(16..20) {
                            video.handler.copy_from_slice(compression);
                        }
                    }
                    self.pass(size);
                }
                _ => self.pass(size),
            }
        }
        Err(AviError::Headers("the list of frames is missing"))
    }

    fn finish_headers(&mut self, video: Option<Stream>, microseconds_a_frame: u32) -> Result<(), AviError> {
        let video = video.ok_or(AviError::Headers("there is no video in it"))?;
        if !video.handler.eq_ignore_ascii_case(b"MJPG") {
            let name = String::from_utf8_lossy(&video.handler);
            return Err(AviError::NotMjpeg(name.chars().filter(|c| !c.is_control()).collect()));
        }
        self.info.fps = if video.scale > 0 && video.rate > 0 {
            f64::from(video.rate) / f64::from(video.scale)
        } else if microseconds_a_frame > 0 {
            1e6 / f64::from(microseconds_a_frame)
        } else {
            return Err(AviError::Headers("they do not say how many frames a second it has"));
        };
        let [tens, ones] = [b'0' + video.number / 10 % 10, b'0' + video.number % 10];
        self.frame_ids = [[tens, ones, b'd', b'c'], [tens, ones, b'd', b'b']];
        self.frames_from = self.at;
        Ok(())
    }

    /// Walks to the next whole frame; the place is then at its bytes.
    fn next_frame_size(&mut self) -> Result<Option<u32>, AviError> {
        while let Some(Chunk { id, size }) = self.chunk()? {
            if self.frame_ids.contains(&id) {
                let there = self.length.saturating_sub(self.at);
                if u64::from(size) <= there && size <= MAX_FRAME_BYTES {
                    return Ok(Some(size));
                }
            }
            match &id {
                b"RIFF" | b"LIST" => match &self.list_type()? {
                    b"AVIX" | b"movi" | b"rec " => {}
                    _ => self.pass(size.saturating_sub(4)),
                },
                _ => self.pass(size),
            }
        }
        Ok(None)
    }
}

struct Stream {
    number: u8,
    handler: [u8; 4],
    scale: u32,
    rate: u32,
}

/// 0 if there are too few bytes: the header does not say.
fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_le_bytes(*four))
}

/// Opens the MJPEG AVI file `camera.source`, played at its own rate `camera.loops` times.
///
/// # Errors
/// [`SourceError::Unusable`] if it is no AVI file with MJPEG video.
pub fn open(camera: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, SourceError> {
    let path = Path::new(&camera.source);
    let reader = open_file(path).map_err(|error| {
        let hint = if matches!(error, AviError::NotMjpeg(_)) { "; `driver: ffmpeg` can read it" } else { "" };
        SourceError::Unusable(format!("{}: {error}{hint}", path.display()))
    })?;
    let recording = Video { path: path.to_owned(), reader };
    Ok(Box::new(Paced::new(recording, camera.id.clone(), clock, camera.speed, camera.loops)?))
}

/// Opens a file and reads its headers.
///
/// # Errors
/// [`AviError`].
pub fn open_file(path: &Path) -> Result<AviReader<BufReader<File>>, AviError> {
    AviReader::new(BufReader::new(File::open(path)?))
}

struct Video {
    path: PathBuf,
    reader: AviReader<BufReader<File>>,
}

impl Video {
    fn lost(&self, error: &AviError) -> SourceError {
        SourceError::Lost(format!("{}: {error}", self.path.display()))
    }
}

impl Recording for Video {
    fn read(&mut self, _timeout: Duration) -> Result<Place, SourceError> {
        let Some(mut frame) = self.reader.next_frame().map_err(|error| self.lost(&error))? else {
            return Ok(Place::End);
        };
        if frame.is_empty() {
            return Ok(Place::Nothing);
        }
        let info = jpeg::inspect(&frame).map_err(|error| SourceError::BadFrame(error.to_string()))?;
        frame.truncate(info.length);
        Ok(Place::Frame(Payload::Jpeg(frame)))
    }

    fn skip(&mut self, _timeout: Duration) -> Result<bool, SourceError> {
        self.reader.skip_frame().map_err(|error| self.lost(&error))
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.reader.rewind();
        Ok(())
    }

    fn fps(&self) -> f64 {
        self.reader.info().fps
    }

    fn describe(&self) -> String {
        let AviInfo { width, height, fps } = self.reader.info();
        format!("{}, {width}x{height} mjpg, {fps:.3} fps", self.path.display())
    }
}

#[cfg(test)]
#[path = "avi_tests.rs"]
mod tests;
