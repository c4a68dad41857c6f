//! Linux cameras, by the kernel's V4L2 interface: the driver for doors.
//!
//! A frame is what the driver says it is: cut to the bytes used, refused when flagged as damaged, stamped with
//! the kernel's monotonic capture time. When frames have piled up the newest is taken.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use v4l::buffer::{Metadata, Type};
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream as _, Stream as _};
use v4l::video::Capture as _;

use super::identity::{self, Found, Identity, NotFound};
use super::v4l2_device as device;
use super::v4l2_frame::{self as frame, Fault, Picture, Sequence, Times};
use super::v4l2_mode as mode;
use super::v4l2_settings as settings;
use super::{FrameSource, Losses, OpenSource, SourceError};
use crate::clock::{Clock, Moment};
use crate::config::Camera;
use crate::domain::{CameraId, CapturedFrame, Payload};

/// Buffers that kernel and program share. The driver may give more or fewer.
const BUFFERS: u32 = 4;

/// Opens the device at `camera.source`, a path or a by-id link, and starts it, as often as it is asked to. Nothing is
/// opened yet. A camera named by a plain number that comes back under another one is found again.
///
/// Opening fails with [`SourceError::Away`] and what to do, if it is not there, busy or not permitted, and with
/// [`SourceError::Unusable`] if it is no camera or has no format that this program takes.
pub fn opener(camera: &Camera, clock: Arc<dyn Clock>) -> OpenSource {
    let camera = camera.clone();
    let mut known = None;
    Box::new(move || {
        let source = open(&camera, &mut known, Arc::clone(&clock))?;
        Ok(Box::new(source) as Box<dyn FrameSource>)
    })
}

fn open(camera: &Camera, known: &mut Option<Identity>, clock: Arc<dyn Clock>) -> Result<V4l2, SourceError> {
    let source = Path::new(&camera.source);
    let Found { device, capabilities, path } = identity::find(source, known).map_err(|why| match why {
        NotFound::Failed(doing, error) => mode::lost(&camera.source, doing, &error),
        NotFound::Another(card) => SourceError::Away(format!(
            "{}: the camera that was there is gone; there is another one now ({card}), which is not taken for it: if \
             it shall be used, start the service again, better with its /dev/v4l/by-id/ link as source",
            camera.source
        )),
    })?;
    if path != source {
        tracing::warn!(
            camera = %camera.id,
            "{} is now {} ({}): a /dev/v4l/by-id/ link as source stays right", camera.source, path.display(),
            capabilities.card
        );
    }
    let path = path.display().to_string();
    let lost = |doing: &str, error: &io::Error| mode::lost(&path, doing, error);
    if !capabilities.is_supported() {
        let what = if capabilities.is_camera() {
            device::NOT_SUPPORTED
        } else {
            "it gives no pictures (a metadata node?): `facewarden devices` lists those that do"
        };
        return Err(SourceError::Unusable(format!("{path}: {what}")));
    }
    let picture = set_mode(&device, camera, &path)?;
    let fps = set_rate(&device, camera, &path);
    let complaints = settings::apply(&device, &camera.controls)
        .into_iter()
        .map(|what| format!("camera {}: {what}", camera.id))
        .collect();
    let mut stream = Stream::with_buffers(&device, Type::VideoCapture, BUFFERS)
        .map_err(|error| lost("taking buffers", &error))?;
    // Never reached while `wait` comes first; without it a driver that breaks its word would hang the thread.
    stream.set_timeout(Duration::from_secs(2));
    let mut source = V4l2 {
        time: Times::new(frame::monotonic_now(), clock.now()),
        path,
        card: capabilities.card,
        camera: camera.id.clone(),
        clock,
        picture,
        fps,
        complaints,
        buffers: 0,
        stream: Some(stream),
        sequence: Sequence::default(),
        losses: Losses::default(),
    };
    source.start()?;
    Ok(source)
}

struct V4l2 {
    path: String,
    card: String,
    camera: CameraId,
    clock: Arc<dyn Clock>,
    time: Times,
    picture: Picture,
    fps: Option<f64>,
    complaints: Vec<String>,
    /// How many buffers the driver gave.
    buffers: usize,
    /// `None` only while it is dropped.
    stream: Option<Stream<'static>>,
    sequence: Sequence,
    losses: Losses,
}

/// Asks for format and size, and checks what was given.
fn set_mode(device: &v4l::Device, camera: &Camera, path: &str) -> Result<Picture, SourceError> {
    let has = device::formats(device).map_err(|error| mode::lost(path, "listing its formats", &error))?;
    let letters = mode::choose_format(camera.format, &has).ok_or_else(|| {
        let names: Vec<_> = has.iter().map(|has| mode::shown(has.letters)).collect();
        let asked = format!("{:?}", camera.format).to_ascii_lowercase();
        SourceError::Unusable(format!(
            "{path}: it has no format that is asked for (format: {asked}); it has {}",
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
        frame::checked(letters, &given).map_err(|what| SourceError::Unusable(format!("{path}: {what}")))?;
    if (picture.width, picture.height) != wanted {
        tracing::warn!(
            camera = %camera.id,
            "{path} has no {}x{}: it gives {}x{}", camera.width, camera.height, picture.width, picture.height
        );
    }
    Ok(picture)
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
        let Some(stream) = &mut self.stream else { return Err(SourceError::Away(path)) };
        let queued = (1..32).map_while(|index| stream.queue(index).ok()).count();
        if queued == 0 {
            return Err(SourceError::Away(format!("{path}: the driver gave too few buffers")));
        }
        self.buffers = queued + 1;
        stream.start().map_err(|error| mode::lost(&path, "starting it", &error))
    }

    /// Waits for a frame and takes the newest there is. Those before it go back to the driver uncopied; all but the
    /// one in hand are always the driver's to fill.
    fn newest(&mut self, timeout: Duration) -> Result<(Moment, Payload), SourceError> {
        let lost = |doing: &str, error: &io::Error| mode::lost(&self.path, doing, error);
        let Some(stream) = &mut self.stream else { return Err(SourceError::Away(self.path.clone())) };
        let handle = stream.handle();
        let deadline = self.clock.now() + timeout;
        let mut taken = 0;
        loop {
            let left = deadline.since(self.clock.now());
            match handle.poll(POLLIN, milliseconds(left)) {
                Ok(0) => return Err(SourceError::TimedOut(timeout)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(lost("waiting for a frame", &error)),
            }
            let (bytes, metadata) = stream.next().map_err(|error| lost("taking a frame", &error))?;
            taken += 1;
            self.losses.missing += self.sequence.note(metadata.sequence);
            let is_another_there =
                taken < self.buffers && handle.poll(POLLIN, 0).is_ok_and(|ready| ready > 0);
            let fault = frame::fault_of(metadata);
            // When every buffer was full, the driver had none left to fill: without a stamp that can be believed
            // nobody knows how long ago that was.
            let is_of_unknown_age = taken == self.buffers && !frame::is_monotonic(metadata.flags);
            if is_another_there || is_of_unknown_age {
                match fault {
                    Some(fault) => fault.count(&mut self.losses),
                    None => self.losses.overtaken += 1,
                }
                continue;
            }
            let captured_at = self.time.captured_at(metadata, self.clock.now());
            let payload = match fault {
                Some(fault) => Err(fault),
                None => payload_of(self.picture, bytes, metadata),
            };
            return payload.map(|payload| (captured_at, payload)).map_err(|fault| {
                fault.count(&mut self.losses);
                SourceError::BadFrame(fault.to_string())
            });
        }
    }
}

/// What a mapped buffer holds, cut to the bytes that the driver used.
fn payload_of(picture: Picture, buffer: &[u8], metadata: &Metadata) -> Result<Payload, Fault> {
    let used = buffer.get(..metadata.bytesused as usize);
    let used = used.ok_or_else(|| Fault::Corrupt("the driver names more bytes than there are".into()))?;
    frame::payload(picture, used)
}

impl FrameSource for V4l2 {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let (captured_at, payload) = self.newest(timeout)?;
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

    fn is_slow_to_start(&self) -> bool {
        false
    }

    fn losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    fn complaints(&self) -> Vec<String> {
        self.complaints.clone()
    }
}

impl Drop for V4l2 {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            device::close(stream);
        }
    }
}

/// `POLLIN` of poll(2).
const POLLIN: i16 = 0x001;

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::config::PixelFormat;
    use crate::vision::jpeg::tests::sample;

    #[test]
    fn a_missing_camera_is_waited_for_and_a_file_is_none() {
        let open = |path: &str| {
            let camera = Camera::new(CameraId::new("door").unwrap(), path.to_owned());
            opener(&camera, Arc::new(SystemClock::new()))().map(|source| source.describe())
        };
        match open("/dev/video-that-is-not-there") {
            Err(SourceError::Away(text)) => assert!(text.contains("not plugged in"), "{text}"),
            other => panic!("it should be away: {other:?}"),
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        match open(file.path().to_str().unwrap()) {
            Err(SourceError::Unusable(text)) => assert!(text.contains("not a camera"), "{text}"),
            other => panic!("it should be unusable: {other:?}"),
        }
    }

    #[test]
    fn what_lies_behind_the_used_bytes_is_never_looked_at() {
        let jpeg = sample(32, 32);
        let picture = Picture { format: PixelFormat::Mjpg, width: 32, height: 32, stride: 0 };
        let half = jpeg.len() / 2;
        // Half a frame, and behind it the rest of an older one.
        let used = |bytes: usize| {
            let metadata = Metadata { bytesused: u32::try_from(bytes).unwrap(), ..Metadata::default() };
            payload_of(picture, &jpeg, &metadata)
        };
        assert!(matches!(used(jpeg.len()), Ok(Payload::Jpeg(_))));
        assert!(matches!(used(half), Err(Fault::Truncated(_))));
        assert!(matches!(used(jpeg.len() + 1), Err(Fault::Corrupt(_))));
    }
}
