//! Cameras by the portable nokhwa library: for laptops and trials, never for a door; a configuration with hooks or relays
//! is refused with it.
//!
//! Its limits, which cannot be mended from outside:
//! - A frozen camera blocks its `frame()` for ever. It runs on a thread of its own, so that waiting here ends
//!   in time; but that thread and the device stay, and only a restart of the program frees them.
//! - It does not say how many bytes of a buffer are used. A JPEG is cut at its end marker; of one that arrived
//!   by half, with the rest of an older frame behind it, nothing can be noticed.
//! - Its decoding of pictures can panic and is not used. A panic on its thread ends that thread, and the camera is opened
//!   again.
//! - Capture times are those of arrival. Grey (infra-red) cameras are not accepted.
//! - It takes numbers, and a camera's number changes when it is plugged in again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use nokhwa::utils::{
    CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution,
};

use super::{FrameSource, SourceError};
use crate::clock::{Clock, Moment};
use crate::config::{Camera, PixelFormat};
use crate::domain::{CameraId, CapturedFrame, Payload};
use crate::vision::decode::check_size;
use crate::vision::jpeg;

/// How long a camera may take to open.
const OPENING: Duration = Duration::from_secs(10);
/// How long its thread may take to end.
const CLOSING: Duration = Duration::from_millis(500);

/// Opens `camera.source`: a number, or `/dev/videoN` or a link to it.
///
/// # Errors
/// [`SourceError::Unusable`] if the source is no such thing, [`SourceError::Lost`] if the camera does not open.
pub fn open(camera: &Camera, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, SourceError> {
    let index = index(&camera.source)?;
    let formats = formats(camera.format)?;
    let wanted =
        Wanted { index, formats, width: camera.width, height: camera.height, fps: whole_fps(camera.fps)? };
    let stop = Arc::new(AtomicBool::new(false));
    let (frames_to, frames) = crossbeam_channel::bounded(1);
    let (opened_to, opened) = crossbeam_channel::bounded(1);
    let thread = {
        let (stop, clock) = (Arc::clone(&stop), Arc::clone(&clock));
        std::thread::Builder::new()
            .name(format!("nokhwa-{}", camera.id))
            .spawn(move || capture(&wanted, &opened_to, &frames_to, &stop, clock.as_ref()))
            .map_err(|error| SourceError::Lost(format!("no thread for the camera: {error}")))?
    };
    // From here on dropping the source ends the thread, whatever happened.
    let mut source = Nokhwa {
        camera: camera.id.clone(),
        described: String::new(),
        frames,
        stop,
        thread: Some(thread),
        clock,
    };
    source.described = match opened.recv_timeout(OPENING) {
        Ok(Ok(described)) => described,
        Ok(Err(what)) => return Err(SourceError::Lost(format!("{}: {what}", camera.source))),
        Err(_) => return Err(SourceError::Lost(format!("{}: it does not open", camera.source))),
    };
    Ok(Box::new(source))
}

/// What the thread is to open.
struct Wanted {
    index: u32,
    formats: Vec<FrameFormat>,
    width: u32,
    height: u32,
    fps: u32,
}

/// What the thread hands over.
type Arrival = Result<(u64, Moment, Payload), SourceError>;

struct Nokhwa {
    camera: CameraId,
    described: String,
    frames: Receiver<Arrival>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    clock: Arc<dyn Clock>,
}

impl FrameSource for Nokhwa {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let (seq, captured_at, payload) = match self.frames.recv_timeout(timeout) {
            Ok(arrival) => arrival?,
            Err(RecvTimeoutError::Timeout) => return Err(SourceError::TimedOut(timeout)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(SourceError::Lost(format!("{}: its thread has ended", self.described)));
            }
        };
        Ok(CapturedFrame { camera: self.camera.clone(), seq, captured_at, payload })
    }

    fn describe(&self) -> String {
        self.described.clone()
    }

    fn is_finite(&self) -> bool {
        false
    }
}

impl Drop for Nokhwa {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        let deadline = self.clock.now() + CLOSING;
        while !thread.is_finished() {
            if self.clock.now() >= deadline {
                tracing::warn!(camera = %self.camera, "the camera's thread hangs in nokhwa and is left behind");
                return;
            }
            self.clock.sleep(Duration::from_millis(5));
        }
        if thread.join().is_err() {
            tracing::warn!(camera = %self.camera, "the camera's thread ended with a panic in nokhwa");
        }
    }
}

/// The thread: opens the camera, says how it went, hands over frames until it is told to stop or one fails.
/// While nobody takes the last frame, newer ones are let go: they are read so that the camera's queue of four
/// does not grow old.
fn capture(
    wanted: &Wanted,
    opened_to: &Sender<Result<String, String>>,
    frames_to: &Sender<Arrival>,
    stop: &AtomicBool,
    clock: &dyn Clock,
) {
    let mut camera = match start(wanted) {
        Ok(camera) => camera,
        Err(what) => return tell(opened_to, Err(what)),
    };
    let format = camera.camera_format();
    tell(opened_to, Ok(format!("{} by nokhwa, {format}", camera.info().human_name())));
    let mut seq = 0;
    while !stop.load(Ordering::Relaxed) {
        let arrival = match camera.frame() {
            Ok(frame) => {
                let resolution = (frame.resolution().width(), frame.resolution().height());
                payload(frame.source_frame_format(), resolution, frame.buffer())
                    .map(|payload| (seq, clock.now(), payload))
                    .map_err(SourceError::BadFrame)
            }
            Err(error) => return tell(frames_to, Err(SourceError::Lost(error.to_string()))),
        };
        seq += 1;
        match frames_to.try_send(arrival) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => return,
        }
    }
}

/// Waits until it is taken; if nobody is there to take it, it is not needed.
fn tell<T>(to: &Sender<T>, what: T) {
    if to.send(what).is_err() {
        tracing::trace!("nobody listens to the camera's thread");
    }
}

/// Opens the camera in the first format of the list that it has, and checks what it gave.
fn start(wanted: &Wanted) -> Result<nokhwa::Camera, String> {
    let mut last_error = "no format was asked for".to_owned();
    for &format in &wanted.formats {
        let resolution = Resolution::new(wanted.width, wanted.height);
        let closest = RequestedFormatType::Closest(CameraFormat::new(resolution, format, wanted.fps));
        let formats = [format];
        let request = RequestedFormat::with_formats(closest, &formats);
        match nokhwa::Camera::new(CameraIndex::Index(wanted.index), request) {
            Ok(mut camera) => {
                camera.open_stream().map_err(|error| error.to_string())?;
                let given = camera.camera_format();
                if given.format() != format {
                    return Err(format!("asked for {format}, the camera gives {}", given.format()));
                }
                if given.resolution() != resolution {
                    tracing::warn!("the camera has no {resolution}: it gives {}", given.resolution());
                }
                return Ok(camera);
            }
            Err(error) => last_error = error.to_string(),
        }
    }
    Err(last_error)
}

fn payload(format: FrameFormat, (width, height): (u32, u32), bytes: &[u8]) -> Result<Payload, String> {
    check_size(width, height).map_err(|error| error.to_string())?;
    let needs = |rows: u64, stride: u32| {
        let expected = usize::try_from(rows * u64::from(stride)).unwrap_or(usize::MAX);
        bytes
            .get(..expected)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| format!("{} bytes instead of {expected}", bytes.len()))
    };
    match format {
        FrameFormat::MJPEG => {
            let info = jpeg::inspect(bytes).map_err(|error| error.to_string())?;
            Ok(Payload::Jpeg(bytes.get(..info.length).unwrap_or(bytes).to_vec()))
        }
        FrameFormat::YUYV => {
            let stride = width.next_multiple_of(2) * 2;
            Ok(Payload::Yuyv { width, height, stride, data: needs(height.into(), stride)? })
        }
        FrameFormat::NV12 => {
            let stride = width.next_multiple_of(2);
            let rows = u64::from(height) + u64::from(height.div_ceil(2));
            Ok(Payload::Nv12 { width, height, stride, data: needs(rows, stride)? })
        }
        other => Err(format!("format {other} was not asked for")),
    }
}

/// The number of a camera: `0`, `/dev/video0`, or a link to that.
fn index(source: &str) -> Result<u32, SourceError> {
    if let Ok(index) = source.parse() {
        return Ok(index);
    }
    let unusable =
        || SourceError::Unusable(format!("{source}: the nokhwa driver takes a number or /dev/videoN"));
    if !source.starts_with("/dev/") {
        return Err(unusable());
    }
    let node = std::fs::canonicalize(source)
        .map_err(|error| SourceError::Lost(format!("{source}: it is not plugged in ({error})")))?;
    let name = node.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("video").and_then(|number| number.parse().ok()).ok_or_else(unusable)
}

fn formats(wanted: PixelFormat) -> Result<Vec<FrameFormat>, SourceError> {
    match wanted {
        PixelFormat::Auto => Ok(vec![FrameFormat::MJPEG, FrameFormat::NV12, FrameFormat::YUYV]),
        PixelFormat::Mjpg => Ok(vec![FrameFormat::MJPEG]),
        PixelFormat::Nv12 => Ok(vec![FrameFormat::NV12]),
        PixelFormat::Yuyv => Ok(vec![FrameFormat::YUYV]),
        PixelFormat::Grey => {
            Err(SourceError::Unusable("the nokhwa driver does not take grey cameras: use v4l2".into()))
        }
    }
}

fn whole_fps(fps: f64) -> Result<u32, SourceError> {
    if !(0.5..=1000.0).contains(&fps) {
        return Err(SourceError::Unusable(format!("{fps} is not a rate that can be asked for")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1000, just checked")]
    let whole = fps.round() as u32;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::vision::jpeg::tests::sample;

    #[test]
    fn sources_are_numbers_and_nodes() {
        assert_eq!(index("3").unwrap(), 3);
        assert!(matches!(index("/dev/video-gone"), Err(SourceError::Lost(_))));
        for source in ["/dev/null", "/tmp", "door", "-1", ""] {
            assert!(matches!(index(source), Err(SourceError::Unusable(_))), "{source}");
        }
    }

    #[test]
    fn buffers_are_cut_to_the_frame() {
        let jpeg = sample(16, 16);
        let padded = [jpeg.as_slice(), &[7; 99]].concat();
        assert!(matches!(payload(FrameFormat::MJPEG, (16, 16), &padded), Ok(Payload::Jpeg(b)) if b == jpeg));
        assert!(payload(FrameFormat::MJPEG, (16, 16), &jpeg[..200]).is_err());
        let raw = [1; 24];
        assert!(
            matches!(payload(FrameFormat::YUYV, (4, 2), &raw), Ok(Payload::Yuyv { data, .. }) if data.len() == 16)
        );
        assert!(
            matches!(payload(FrameFormat::NV12, (4, 4), &raw), Ok(Payload::Nv12 { data, .. }) if data.len() == 24)
        );
        assert!(payload(FrameFormat::NV12, (4, 5), &raw).is_err());
        assert!(payload(FrameFormat::YUYV, (0, 0), &raw).is_err());
        assert!(payload(FrameFormat::YUYV, (u32::MAX, u32::MAX), &raw).is_err());
        assert!(payload(FrameFormat::GRAY, (4, 4), &raw).is_err());
    }

    #[test]
    fn without_a_camera_it_is_lost_and_the_thread_has_ended() {
        let camera = Camera::new(CameraId::new("laptop").unwrap(), "4999".into());
        let result = open(&camera, Arc::new(SystemClock::new()));
        assert!(matches!(result, Err(SourceError::Lost(_))));
        assert!(matches!(whole_fps(f64::NAN), Err(SourceError::Unusable(_))));
        assert_eq!(whole_fps(29.97).unwrap(), 30);
    }
}
