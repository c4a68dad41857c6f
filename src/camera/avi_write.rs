//! AVI files with MJPEG video, written: frames go in as they are, so it costs next to nothing.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::vision::jpeg::{self, JpegError};

/// A part of the file is closed at this size and an `AVIX` part follows (OpenDML): older readers take sizes as
/// signed 32-bit numbers.
const MAX_PART_BYTES: u64 = 1 << 30;

/// Why a frame was not written.
#[derive(Debug, thiserror::Error)]
pub enum AviWriteError {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The frame is not a whole JPEG.
    #[error(transparent)]
    Jpeg(#[from] JpegError),
    /// All frames of a video have one size, in pixels.
    #[error("a frame of {got_width}x{got_height} pixels in a video of {width}x{height}")]
    Size {
        /// Pixels across of the video.
        width: u32,
        /// Pixels down of the video.
        height: u32,
        /// Pixels across of the frame.
        got_width: u32,
        /// Pixels down of the frame.
        got_height: u32,
    },
    /// No video has such a rate.
    #[error("{0} is not a number of frames a second")]
    Rate(f64),
    /// A file without frames is no video.
    #[error("no frame was written")]
    Empty,
}

/// Writes an AVI file. Without [`AviWriter::finish`] the file has no index and no lengths; most players read it
/// all the same.
#[derive(Debug)]
pub struct AviWriter<W: Write + Seek> {
    out: W,
    /// Frames in a thousand seconds.
    rate: u32,
    size: Option<(u32, u32)>,
    frames: u32,
    /// Name, flags, offset and size of each frame of the first part.
    index: Vec<[u32; 2]>,
    is_first_part: bool,
    part_at: u64,
    movi_at: u64,
    at: u64,
}

impl AviWriter<BufWriter<File>> {
    /// Creates a file that only its owner can read (it shows faces); an old one of that name is replaced.
    ///
    /// # Errors
    /// If the file cannot be created, or `fps` is no rate.
    pub fn create(path: &Path, fps: f64) -> Result<Self, AviWriteError> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Self::new(BufWriter::new(file), fps)
    }
}

impl<W: Write + Seek> AviWriter<W> {
    /// Writes to `out`, from its beginning. The first frame decides the size.
    ///
    /// # Errors
    /// [`AviWriteError::Rate`] unless `fps` is between 0.001 and 1000.
    pub fn new(out: W, fps: f64) -> Result<Self, AviWriteError> {
        if !(0.001..=1000.0).contains(&fps) {
            return Err(AviWriteError::Rate(fps));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and a million, just checked"
        )]
        let rate = (fps * 1000.0).round() as u32;
        Ok(Self {
            out,
            rate,
            size: None,
            frames: 0,
            index: Vec::new(),
            is_first_part: true,
            part_at: 0,
            movi_at: 0,
            at: 0,
        })
    }

    /// Adds one frame; bytes after its end marker are left out.
    ///
    /// # Errors
    /// If it is not a whole JPEG of the size of the first, or cannot be written.
    pub fn write_jpeg(&mut self, frame: &[u8]) -> Result<(), AviWriteError> {
        let info = jpeg::inspect(frame)?;
        let frame = frame.get(..info.length).unwrap_or(frame);
        let (got_width, got_height) = (info.width, info.height);
        match self.size {
            None => {
                self.size = Some((got_width, got_height));
                self.write_headers()?;
            }
            Some((width, height)) if (width, height) != (got_width, got_height) => {
                return Err(AviWriteError::Size { width, height, got_width, got_height });
            }
            Some(_) if self.at - self.part_at + frame.len() as u64 > MAX_PART_BYTES => self.next_part()?,
            Some(_) => {}
        }
        let size = u32::try_from(frame.len()).map_err(std::io::Error::other)?;
        if self.is_first_part {
            // Offsets in the index count from the four letters `movi`.
            let offset = u32::try_from(self.at - self.movi_at - 8).map_err(std::io::Error::other)?;
            self.index.push([offset, size]);
        }
        self.put(b"00dc")?;
        self.put(&size.to_le_bytes())?;
        self.put(frame)?;
        if size % 2 == 1 {
            self.put(&[0])?;
        }
        self.frames = self.frames.saturating_add(1);
        Ok(())
    }

    /// Writes the index and the lengths, and gives the output back.
    ///
    /// # Errors
    /// If it cannot be written, or no frame was.
    pub fn finish(mut self) -> Result<W, AviWriteError> {
        if self.size.is_none() {
            return Err(AviWriteError::Empty);
        }
        self.close_part()?;
        for at in [FRAMES_AT, STREAM_LENGTH_AT] {
            self.patch(at, self.frames)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), AviWriteError> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn put_all(&mut self, numbers: &[u32]) -> Result<(), AviWriteError> {
        numbers.iter().try_for_each(|number| self.put(&number.to_le_bytes()))
    }

    /// Overwrites the four bytes at `at`.
    fn patch(&mut self, at: u64, value: u32) -> Result<(), AviWriteError> {
        self.out.seek(SeekFrom::Start(at))?;
        self.out.write_all(&value.to_le_bytes())?;
        self.out.seek(SeekFrom::Start(self.at))?;
        Ok(())
    }

    /// The main header, one video stream, and the head of the list of frames.
    fn write_headers(&mut self) -> Result<(), AviWriteError> {
        let (width, height) = self.size.unwrap_or_default();
        let microseconds_a_frame = 1_000_000_000 / self.rate;
        let pixels_bytes = width.saturating_mul(height).saturating_mul(3);
        let short_size =
            [u16::try_from(width).unwrap_or(u16::MAX), u16::try_from(height).unwrap_or(u16::MAX)];
        self.put(b"RIFF\0\0\0\0AVI ")?;
        self.put(b"LIST\xC0\0\0\0hdrl")?;
        self.put(b"avih\x38\0\0\0")?;
        // Rate in bytes, granularity, flags (has an index), frames, first frame, streams, buffer size, size.
        self.put_all(&[microseconds_a_frame, 0, 0, 0x10, 0, 0, 1, 0, width, height, 0, 0, 0, 0])?;
        self.put(b"LIST\x74\0\0\0strl")?;
        self.put(b"strh\x38\0\0\0vidsMJPG")?;
        // Flags, priority, first frame, scale, rate, start, length, buffer size, quality (default), sample size.
        self.put_all(&[0, 0, 0, 1000, self.rate, 0, 0, 0, u32::MAX, 0, 0])?;
        self.put(&short_size.map(u16::to_le_bytes).concat())?;
        self.put(b"strf\x28\0\0\0")?;
        self.put_all(&[40, width, height])?;
        self.put(&[1, 0, 24, 0])?;
        self.put(b"MJPG")?;
        self.put_all(&[pixels_bytes, 0, 0, 0, 0])?;
        self.open_list()
    }

    fn open_list(&mut self) -> Result<(), AviWriteError> {
        self.movi_at = self.at;
        self.put(b"LIST\0\0\0\0movi")
    }

    /// Closes this part of the file: the index of the first part, and the lengths.
    fn close_part(&mut self) -> Result<(), AviWriteError> {
        let movi_size = self.at - self.movi_at - 8;
        if self.is_first_part {
            self.put(b"idx1")?;
            let index = std::mem::take(&mut self.index);
            self.put(&u32::try_from(index.len() * 16).map_err(std::io::Error::other)?.to_le_bytes())?;
            for [offset, size] in index {
                self.put(b"00dc")?;
                self.put_all(&[0x10, offset, size])?;
            }
        }
        let part_size = self.at - self.part_at - 8;
        self.patch(self.movi_at + 4, u32::try_from(movi_size).map_err(std::io::Error::other)?)?;
        self.patch(self.part_at + 4, u32::try_from(part_size).map_err(std::io::Error::other)?)
    }

    fn next_part(&mut self) -> Result<(), AviWriteError> {
        self.close_part()?;
        self.is_first_part = false;
        self.part_at = self.at;
        self.put(b"RIFF\0\0\0\0AVIX")?;
        self.open_list()
    }
}

/// Where the number of frames is in the main header: behind `RIFF....AVI LIST....hdrlavih....` and four numbers.
const FRAMES_AT: u64 = 12 + 12 + 8 + 4 * 4;
/// Where it is in the stream's header: behind the main header, `LIST....strlstrh....vidsMJPG` and six numbers.
const STREAM_LENGTH_AT: u64 = 12 + 12 + 8 + 56 + 12 + 8 + 8 + 6 * 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::jpeg::tests::sample;
    use std::io::Cursor;
    use std::os::unix::fs::PermissionsExt as _;

    fn le32(bytes: &[u8], at: u64) -> u32 {
        let at = usize::try_from(at).unwrap();
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn lengths_and_index_are_true() {
        let mut writer = AviWriter::new(Cursor::new(Vec::new()), 30.0).unwrap();
        let frame = sample(40, 24);
        (0..5).for_each(|_| writer.write_jpeg(&[frame.as_slice(), b"junk"].concat()).unwrap());
        let bytes = writer.finish().unwrap().into_inner();
        let find = |name: &[u8]| bytes.windows(4).position(|four| four == name).unwrap();
        assert_eq!(le32(&bytes, 4) as usize, bytes.len() - 8);
        assert_eq!([FRAMES_AT, STREAM_LENGTH_AT].map(|at| le32(&bytes, at)), [5, 5]);
        let (hdrl, movi, idx1) = (find(b"hdrl"), find(b"movi"), find(b"idx1"));
        assert_eq!(le32(&bytes, hdrl as u64 - 4) as usize, movi - 8 - hdrl);
        assert_eq!(le32(&bytes, find(b"strl") as u64 - 4) as usize, movi - 8 - find(b"strl"));
        assert_eq!(le32(&bytes, movi as u64 - 4) as usize, idx1 - movi);
        assert_eq!(idx1 + 8 + 5 * 16, bytes.len());
        for entry in bytes[idx1 + 8..].chunks(16) {
            let at = movi + le32(entry, 8) as usize;
            assert_eq!(bytes[at..at + 4], *b"00dc");
            assert_eq!(le32(entry, 12) as usize, frame.len());
            assert_eq!(bytes[at + 8..][..frame.len()], frame);
        }
    }

    #[test]
    fn what_is_no_frame_of_this_video_is_refused() {
        assert!(matches!(AviWriter::new(Cursor::new(vec![]), f64::NAN), Err(AviWriteError::Rate(_))));
        let mut writer = AviWriter::new(Cursor::new(Vec::new()), 30.0).unwrap();
        assert!(matches!(writer.write_jpeg(b"no"), Err(AviWriteError::Jpeg(_))));
        writer.write_jpeg(&sample(16, 16)).unwrap();
        assert!(matches!(
            writer.write_jpeg(&sample(16, 24)),
            Err(AviWriteError::Size { got_height: 24, .. })
        ));
        let nothing = AviWriter::new(Cursor::new(Vec::new()), 30.0).unwrap();
        assert!(matches!(nothing.finish(), Err(AviWriteError::Empty)));
    }

    #[test]
    fn a_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.avi");
        let mut writer = AviWriter::create(&path, 10.0).unwrap();
        writer.write_jpeg(&sample(16, 16)).unwrap();
        writer.finish().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
