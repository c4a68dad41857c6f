//! Linux cameras, by the kernel's V4L2 interface: the driver for doors.
//!
//! A frame is what the driver says it is: cut to the bytes used, refused when flagged as damaged, stamped with
//! the kernel's monotonic capture time. When frames have piled up the newest is taken.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use v4l::buffer::{Flags, Metadata, Type};
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream as _, Stream as _};
use v4l::video::Capture as _;

use super::v4l2_device as device;
use super::v4l2_mode as mode;
use super::{FrameSource, SourceError};
use crate::clock::{Clock, Moment};
use crate::config::{Camera, PixelFormat};
use crate::domain::{CameraId, CapturedFrame, Payload};
use crate::vision::decode::check_size;
use crate::vision::jpeg;

/// Buffers that kernel and program share. The driver may give more or fewer.
const BUFFERS: u32 = 4;

/// Opens the device at `camera.source`, a path or a by-id link, and starts it.
///
/// # Errors
/// [`SourceError::Lost`] with what to do, if it is not there, busy or not permitted; [`SourceError::Unusable`]
/// if it is no camera or has no format that this program takes.
pub fn open(camera: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, SourceError> {
    let path = camera.source.clone();
    let lost = |doing: &str, error: &io::Error| mode::lost(&path, doing, error);
    let device = device::open(Path::new(&path)).map_err(|error| lost("opening it", &error))?;
    let capabilities = device::capabilities(&device).map_err(|error| lost("asking what it is", &error))?;
    if !capabilities.is_supported() {
        let what = if capabilities.is_camera() {
            "this kind of camera (several planes) is not supported"
        } else {
            "it gives no pictures (a metadata node?): `facewarden devices` lists those that do"
        };
        return Err(SourceError::Unusable(format!("{path}: {what}")));
    }
    let picture = set_mode(&device, camera, &path)?;
    let fps = set_rate(&device, camera, &path);
    let mut stream = Stream::with_buffers(&device, Type::VideoCapture, BUFFERS)
        .map_err(|error| lost("taking buffers", &error))?;
    // Never reached while `wait` comes first; without it a driver that breaks its word would hang the thread.
    stream.set_timeout(Duration::from_secs(2));
    let mut source = V4l2 {
        time: TimeMap::new(monotonic_now(), clock.now()),
        path,
        card: capabilities.card,
        camera: camera.id.clone(),
        clock,
        picture,
        fps,
        stream: Some(stream),
        sequence: Sequence::default(),
    };
    source.start()?;
    Ok(Box::new(source))
}

/// What each frame of the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Picture {
    format: PixelFormat,
    width: u32,
    height: u32,
    stride: u32,
}

struct V4l2 {
    path: String,
    card: String,
    camera: CameraId,
    clock: Arc<dyn Clock>,
    time: TimeMap,
    picture: Picture,
    fps: Option<f64>,
    /// `None` only while it is dropped.
    stream: Option<Stream<'static>>,
    sequence: Sequence,
}

/// Asks for format and size, and checks what was given.
fn set_mode(device: &v4l::Device, camera: &Camera, path: &str) -> Result<Picture, SourceError> {
    let has = device::formats(device).map_err(|error| mode::lost(path, "listing its formats", &error))?;
    let letters = mode::choose_format(camera.format, &has).ok_or_else(|| {
        let names: Vec<_> = has.iter().map(|letters| String::from_utf8_lossy(letters)).collect();
        SourceError::Unusable(format!(
            "{path}: it has no format that is asked for (format: {:?}); it has {}",
            camera.format,
            names.join(", ")
        ))
    })?;
    let wanted = (camera.width, camera.height);
    // A driver that does not list its sizes is asked for the wanted one.
    let (width, height) = mode::choose_size(wanted, &device::sizes(device, letters)).unwrap_or(wanted);
    let fourcc = v4l::FourCC::new(&letters);
    let given = device
        .set_format(&v4l::Format::new(width, height, fourcc))
        .map_err(|error| mode::lost(path, "setting its format", &error))?;
    let picture =
        checked(letters, &given).map_err(|what| SourceError::Unusable(format!("{path}: {what}")))?;
    if (picture.width, picture.height) != wanted {
        tracing::warn!(
            camera = %camera.id,
            "{path} has no {}x{}: it gives {}x{}", camera.width, camera.height, picture.width, picture.height
        );
    }
    Ok(picture)
}

/// Checks a format that a driver gave against the letters that were asked for.
fn checked(letters: [u8; 4], given: &v4l::Format) -> Result<Picture, String> {
    let v4l::Format { width, height, .. } = *given;
    if given.fourcc.repr != letters {
        let [asked, got] = [letters, given.fourcc.repr].map(|l| String::from_utf8_lossy(&l).into_owned());
        return Err(format!("asked for {asked}, the camera gives {got}"));
    }
    let format = mode::format_of(letters).ok_or("the camera gives a format that was not asked for")?;
    check_size(width, height).map_err(|error| error.to_string())?;
    let row_bytes = match format {
        PixelFormat::Yuyv => width.next_multiple_of(2) * 2,
        PixelFormat::Nv12 => width.next_multiple_of(2),
        _ => width,
    };
    // Some drivers leave the stride at 0 where rows have no padding.
    let stride = if given.stride == 0 { row_bytes } else { given.stride };
    if format != PixelFormat::Mjpg && stride < row_bytes {
        return Err(format!("rows of {width} pixels do not fit into {stride} bytes"));
    }
    Ok(Picture { format, width, height, stride })
}

/// Asks for a rate. Many cameras have but one, and some have no such control: then they give what they give.
fn set_rate(device: &v4l::Device, camera: &Camera, path: &str) -> Option<f64> {
    let (numerator, denominator) = mode::interval(camera.fps)?;
    let asked = v4l::video::capture::Parameters::new(v4l::Fraction::new(numerator, denominator));
    match device.set_params(&asked) {
        Ok(given) => {
            let fps = mode::rate((given.interval.numerator, given.interval.denominator));
            if let Some(fps) = fps.filter(|fps| (fps / camera.fps - 1.0).abs() > 0.05) {
                tracing::warn!(camera = %camera.id, "{path} gives {fps:.1} fps, not {}", camera.fps);
            }
            fps
        }
        Err(error) => {
            tracing::debug!(camera = %camera.id, %error, "the rate of {path} cannot be set");
            None
        }
    }
}

impl V4l2 {
    /// Queues the buffers and starts the stream.
    ///
    /// All but buffer 0 are queued here: `Stream::next` queues the one it gave last, and before its first call
    /// that is buffer 0. Starting by hand lets every wait be a poll with a timeout; left to `next`, the first
    /// frame is waited for inside, and a timeout there breaks the stream for good.
    fn start(&mut self) -> Result<(), SourceError> {
        let path = self.path.clone();
        let Some(stream) = &mut self.stream else { return Err(SourceError::Lost(path)) };
        let queued = (1..32).map_while(|index| stream.queue(index).ok()).count();
        if queued == 0 {
            return Err(SourceError::Lost(format!("{path}: the driver gave too few buffers")));
        }
        stream.start().map_err(|error| mode::lost(&path, "starting it", &error))
    }

    /// Waits for a frame and takes the newest there is, at most `BUFFERS` of them.
    fn newest(&mut self, timeout: Duration) -> Result<(Vec<u8>, Metadata), SourceError> {
        let lost = |doing: &str, error: &io::Error| mode::lost(&self.path, doing, error);
        let Some(stream) = &mut self.stream else { return Err(SourceError::Lost(self.path.clone())) };
        let handle = stream.handle();
        let deadline = self.clock.now() + timeout;
        loop {
            let left = deadline.since(self.clock.now());
            match handle.poll(POLLIN, milliseconds(left)) {
                Ok(0) => return Err(SourceError::TimedOut(timeout)),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost("waiting for a frame", &error)),
            }
        }
        let mut taken = 0;
        loop {
            let (bytes, metadata) = stream.next().map_err(|error| lost("taking a frame", &error))?;
            taken += 1;
            self.sequence.note(metadata.sequence);
            let is_another_there = taken < BUFFERS && handle.poll(POLLIN, 0).is_ok_and(|ready| ready > 0);
            if !is_another_there {
                let used = bytes.get(..metadata.bytesused as usize).unwrap_or_default();
                return Ok((used.to_vec(), *metadata));
            }
        }
    }
}

impl FrameSource for V4l2 {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let (bytes, metadata) = self.newest(timeout)?;
        if metadata.flags.contains(Flags::ERROR) {
            return Err(SourceError::BadFrame("the driver says that it is damaged".into()));
        }
        let payload = payload(self.picture, bytes).map_err(SourceError::BadFrame)?;
        let now = self.clock.now();
        let captured_at = if is_monotonic(metadata.flags) {
            // Never in the future, whatever the driver says.
            self.time.moment(duration_of(metadata.timestamp)).min(now)
        } else {
            now
        };
        Ok(CapturedFrame { camera: self.camera.clone(), seq: self.sequence.seq(), captured_at, payload })
    }

    fn describe(&self) -> String {
        let Picture { format, width, height, .. } = self.picture;
        let format = format!("{format:?}").to_ascii_lowercase();
        let fps = self.fps.map_or_else(String::new, |fps| format!(", {fps:.0} fps"));
        format!("{} at {}, {width}x{height} {format}{fps}", self.card, self.path)
    }

    fn is_finite(&self) -> bool {
        false
    }
}

impl Drop for V4l2 {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            device::close(stream);
        }
    }
}

/// The bytes of a buffer as a payload, checked and cut to what belongs to the frame.
fn payload(picture: Picture, mut bytes: Vec<u8>) -> Result<Payload, String> {
    let Picture { format, width, height, stride } = picture;
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    let rows = match format {
        PixelFormat::Mjpg => {
            let info = jpeg::inspect(&bytes).map_err(|error| error.to_string())?;
            bytes.truncate(info.length);
            return Ok(Payload::Jpeg(bytes));
        }
        PixelFormat::Nv12 => height as usize + height.div_ceil(2) as usize,
        _ => height as usize,
    };
    let expected = stride as usize * rows;
    if bytes.len() < expected {
        return Err(format!("{} bytes instead of {expected}", bytes.len()));
    }
    bytes.truncate(expected);
    match format {
        PixelFormat::Yuyv => Ok(Payload::Yuyv { width, height, stride, data: bytes }),
        PixelFormat::Nv12 => Ok(Payload::Nv12 { width, height, stride, data: bytes }),
        PixelFormat::Grey => Ok(Payload::Grey { width, height, stride, data: bytes }),
        PixelFormat::Auto | PixelFormat::Mjpg => Err("its format is not known".into()),
    }
}

/// `POLLIN` of poll(2).
const POLLIN: i16 = 0x001;

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// True if the buffer's time is of the monotonic clock (UVC cameras: always).
fn is_monotonic(flags: Flags) -> bool {
    (flags & Flags::TIMESTAMP_MASK) == Flags::TIMESTAMP_MONOTONIC
}

fn duration_of(timestamp: v4l::Timestamp) -> Duration {
    let seconds = u64::try_from(timestamp.sec).unwrap_or(0);
    let microseconds = u32::try_from(timestamp.usec).unwrap_or(0).min(999_999);
    Duration::new(seconds, microseconds * 1000)
}

/// The kernel's monotonic clock, which stamps the frames. It is read once for each opening, to know how far it
/// is from ours; it tells nobody what time it is.
fn monotonic_now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

/// From the kernel's time to ours, by one instant that was read on both.
#[derive(Debug, Clone, Copy)]
struct TimeMap {
    kernel: Duration,
    ours: Moment,
}

impl TimeMap {
    fn new(kernel: Duration, ours: Moment) -> Self {
        Self { kernel, ours }
    }

    fn moment(self, kernel: Duration) -> Moment {
        if kernel >= self.kernel {
            self.ours + (kernel - self.kernel)
        } else {
            Moment(self.ours.0.saturating_sub(self.kernel - kernel))
        }
    }
}

/// The driver's 32-bit count of frames, made 64 bits wide. It also counts those that were lost on the way.
#[derive(Debug, Default)]
struct Sequence {
    last: Option<u32>,
    seq: u64,
}

impl Sequence {
    fn note(&mut self, sequence: u32) {
        let step = self.last.map_or(0, |last| sequence.wrapping_sub(last));
        // A driver that does not count, or starts again, still gives a new frame.
        let is_plausible = self.last.is_none() || (1..1 << 16).contains(&step);
        self.seq += if is_plausible { u64::from(step) } else { 1 };
        self.last = Some(sequence);
    }

    fn seq(&self) -> u64 {
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::vision::jpeg::tests::sample;

    fn picture(format: PixelFormat, width: u32, height: u32, stride: u32) -> Picture {
        Picture { format, width, height, stride }
    }

    #[test]
    fn buffers_are_cut_to_what_belongs_to_the_frame() {
        let jpeg = sample(32, 32);
        let mjpg = picture(PixelFormat::Mjpg, 32, 32, 0);
        let padded = [jpeg.as_slice(), &[0; 500]].concat();
        assert!(matches!(payload(mjpg, padded), Ok(Payload::Jpeg(bytes)) if bytes == jpeg));
        assert!(payload(mjpg, jpeg[..jpeg.len() / 2].to_vec()).unwrap_err().contains("cut short"));
        assert_eq!(payload(mjpg, vec![]).unwrap_err(), "it is empty");
        let yuyv = picture(PixelFormat::Yuyv, 4, 2, 10);
        assert!(matches!(payload(yuyv, vec![1; 25]), Ok(Payload::Yuyv { data, .. }) if data.len() == 20));
        assert_eq!(payload(yuyv, vec![1; 19]).unwrap_err(), "19 bytes instead of 20");
        let nv12 = picture(PixelFormat::Nv12, 4, 3, 4);
        assert!(matches!(payload(nv12, vec![1; 20]), Ok(Payload::Nv12 { stride: 4, .. })));
        assert_eq!(payload(nv12, vec![1; 16]).unwrap_err(), "16 bytes instead of 20");
        let grey = picture(PixelFormat::Grey, 4, 2, 4);
        assert!(matches!(payload(grey, vec![1; 8]), Ok(Payload::Grey { .. })));
    }

    #[test]
    fn what_the_driver_gives_is_checked() {
        let given = |letters: &[u8; 4], width, height, stride| {
            let fourcc = v4l::FourCC::new(letters);
            v4l::Format { stride, ..v4l::Format::new(width, height, fourcc) }
        };
        let ok = checked(*b"YUYV", &given(b"YUYV", 640, 480, 0)).unwrap();
        assert_eq!(ok, picture(PixelFormat::Yuyv, 640, 480, 1280));
        assert_eq!(checked(*b"JPEG", &given(b"JPEG", 640, 480, 0)).unwrap().format, PixelFormat::Mjpg);
        let error = |asked: &[u8; 4], given| checked(*asked, &given).unwrap_err();
        assert_eq!(error(b"MJPG", given(b"YUYV", 640, 480, 1280)), "asked for MJPG, the camera gives YUYV");
        assert!(error(b"GREY", given(b"GREY", 640, 480, 639)).contains("do not fit"));
        assert!(error(b"GREY", given(b"GREY", 0, 480, 0)).contains("not accepted"));
        assert!(error(b"GREY", given(b"GREY", 8192, 8192, 0)).contains("not accepted"));
    }

    #[test]
    fn kernel_time_becomes_ours() {
        let seconds = Duration::from_secs;
        let map = TimeMap::new(seconds(1000), Moment(seconds(7)));
        assert_eq!(map.moment(seconds(1003)), Moment(seconds(10)));
        assert_eq!(map.moment(seconds(998)), Moment(seconds(5)));
        assert_eq!(map.moment(seconds(1)), Moment(Duration::ZERO));
        assert_eq!(duration_of(v4l::Timestamp::new(3, 250_000)), Duration::from_millis(3250));
        assert_eq!(duration_of(v4l::Timestamp::new(-3, -1)), Duration::ZERO);
        assert!(monotonic_now() > Duration::ZERO);
        assert!(is_monotonic(Flags::from(0x2000 | 0x4 | 0x10000)));
        assert!(!is_monotonic(Flags::from(0x4000)));
        assert!(!is_monotonic(Flags::from(0)));
    }

    #[test]
    fn frames_are_counted_over_gaps_and_the_end_of_32_bits() {
        let mut sequence = Sequence::default();
        let seen: Vec<_> = [u32::MAX - 1, u32::MAX, 0, 3, 3, 0, 1]
            .into_iter()
            .map(|number| {
                sequence.note(number);
                sequence.seq()
            })
            .collect();
        assert_eq!(seen, [0, 1, 2, 5, 6, 7, 8]);
    }

    #[test]
    fn a_missing_camera_is_waited_for_and_a_file_is_none() {
        let camera = |path: &str| Camera::new(CameraId::new("door").unwrap(), path.to_owned());
        let clock = Arc::new(SystemClock::new());
        match open(&camera("/dev/video-that-is-not-there"), clock.clone()) {
            Err(SourceError::Lost(text)) => assert!(text.contains("not plugged in"), "{text}"),
            _ => panic!("it should be lost"),
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        match open(&camera(file.path().to_str().unwrap()), clock) {
            Err(SourceError::Unusable(text)) => assert!(text.contains("not a camera"), "{text}"),
            _ => panic!("it should be unusable"),
        }
    }
}
