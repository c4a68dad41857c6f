//! What a buffer of a V4L2 camera is worth: its bytes cut and checked, its time on our clock, its place in the count.
//! Pure, so it is tested without a camera.

use std::time::Duration;

use v4l::buffer::{Flags, Metadata};

use super::Losses;
use super::v4l2_mode as mode;
use crate::clock::Moment;
use crate::config::PixelFormat;
use crate::domain::Payload;
use crate::vision::decode::check_size;
use crate::vision::jpeg::{self, JpegError};

/// What each frame of the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) format: PixelFormat,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes from one row to the next; of no meaning for JPEG.
    pub(super) stride: u32,
}

/// Why a buffer is no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The driver says so.
    Flagged,
    /// It holds nothing.
    Empty,
    /// It ends before its picture does.
    Truncated(String),
    /// Its markers contradict each other.
    Corrupt(String),
}

impl Fault {
    /// Counts it.
    pub(super) fn count(&self, losses: &mut Losses) {
        let counter = match self {
            Self::Flagged => &mut losses.flagged,
            Self::Empty => &mut losses.empty,
            Self::Truncated(_) => &mut losses.truncated,
            Self::Corrupt(_) => &mut losses.corrupt,
        };
        *counter += 1;
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flagged => f.write_str("the driver says that it is damaged"),
            Self::Empty => f.write_str("it is empty"),
            Self::Truncated(what) | Self::Corrupt(what) => f.write_str(what),
        }
    }
}

/// Checks a format that a driver gave against the letters that were asked for.
pub(super) fn checked(letters: [u8; 4], given: &v4l::Format) -> Result<Picture, String> {
    let v4l::Format { width, height, .. } = *given;
    if given.fourcc.repr != letters {
        let [asked, got] = [letters, given.fourcc.repr].map(mode::shown);
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

/// What is wrong with a buffer as can be seen without reading it.
pub(super) fn fault_of(metadata: &Metadata) -> Option<Fault> {
    if metadata.flags.contains(Flags::ERROR) {
        return Some(Fault::Flagged);
    }
    (metadata.bytesused == 0).then_some(Fault::Empty)
}

/// The used bytes of a buffer as a payload: checked, cut to what belongs to the frame, and only then copied.
pub(super) fn payload(picture: Picture, used: &[u8]) -> Result<Payload, Fault> {
    let Picture { format, width, height, stride } = picture;
    if used.is_empty() {
        return Err(Fault::Empty);
    }
    let rows = match format {
        PixelFormat::Mjpg => {
            let info = jpeg::inspect(used).map_err(|error| match error {
                JpegError::Truncated(_) => Fault::Truncated(error.to_string()),
                _ => Fault::Corrupt(error.to_string()),
            })?;
            return Ok(Payload::Jpeg(used.get(..info.length).unwrap_or(used).to_vec()));
        }
        PixelFormat::Nv12 => height as usize + height.div_ceil(2) as usize,
        _ => height as usize,
    };
    let expected = stride as usize * rows;
    let Some(data) = used.get(..expected).map(<[u8]>::to_vec) else {
        return Err(Fault::Truncated(format!("{} bytes instead of {expected}", used.len())));
    };
    match format {
        PixelFormat::Yuyv => Ok(Payload::Yuyv { width, height, stride, data }),
        PixelFormat::Nv12 => Ok(Payload::Nv12 { width, height, stride, data }),
        PixelFormat::Grey => Ok(Payload::Grey { width, height, stride, data }),
        PixelFormat::Auto | PixelFormat::Mjpg => Err(Fault::Corrupt("its format is not known".into())),
    }
}

/// True if the buffer's time is of the monotonic clock (UVC cameras: always).
pub(super) fn is_monotonic(flags: Flags) -> bool {
    (flags & Flags::TIMESTAMP_MASK) == Flags::TIMESTAMP_MONOTONIC
}

fn duration_of(timestamp: v4l::Timestamp) -> Duration {
    let seconds = u64::try_from(timestamp.sec).unwrap_or(0);
    let microseconds = u32::try_from(timestamp.usec).unwrap_or(0).min(999_999);
    Duration::new(seconds, microseconds * 1000)
}

/// The kernel's monotonic clock, which stamps the frames. It is read once for each opening, to know how far it
/// is from ours; it tells nobody what time it is.
pub(super) fn monotonic_now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

/// When frames were taken, on our clock. A stamp may be of the beginning of a frame (as with UVC) or of its end; what
/// lies between is less than one frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// One instant, read on both clocks before the stream was started.
    kernel: Duration,
    ours: Moment,
    /// The time of the frame before.
    last: Moment,
}

impl Times {
    pub(super) fn new(kernel: Duration, ours: Moment) -> Self {
        Self { kernel, ours, last: ours }
    }

    /// When the frame with this metadata was taken, if it is taken out of the queue at `now`.
    ///
    /// A stamp of another clock than the monotonic one, or one that lies before the start of the stream, is not
    /// believed: then the frame counts as taken when it arrived. Never in the future, and never before the frame
    /// before it.
    pub(super) fn captured_at(&mut self, metadata: &Metadata, now: Moment) -> Moment {
        let stamped = is_monotonic(metadata.flags)
            .then(|| duration_of(metadata.timestamp).checked_sub(self.kernel))
            .flatten();
        let taken = stamped.map_or(now, |since_start| self.ours + since_start);
        self.last = taken.min(now).max(self.last);
        self.last
    }
}

/// The driver's 32-bit count of frames, made 64 bits wide. It also counts those that were lost on the way.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    last: Option<u32>,
    seq: u64,
}

impl Sequence {
    /// Takes in the number of the next buffer; gives back how many are missing before it.
    pub(super) fn note(&mut self, sequence: u32) -> u64 {
        let step = self.last.map_or(0, |last| sequence.wrapping_sub(last));
        let is_first = self.last.replace(sequence).is_none();
        // A driver that does not count, or starts again, still gives a new frame.
        let is_plausible = is_first || (1..1 << 16).contains(&step);
        let step = if is_plausible { u64::from(step) } else { 1 };
        self.seq += step;
        step.saturating_sub(1)
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::decode::decode;
    use crate::vision::jpeg::tests::{sample, without_huffman_tables};
    use proptest::prelude::*;

    fn picture(format: PixelFormat, width: u32, height: u32, stride: u32) -> Picture {
        Picture { format, width, height, stride }
    }

    fn mjpg(used: &[u8]) -> Result<Payload, Fault> {
        payload(picture(PixelFormat::Mjpg, 320, 240, 0), used)
    }

    /// A photo as a camera would send it.
    fn photo() -> Vec<u8> {
        static PHOTO: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let encoded = || {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/cat.jpg");
            let small = image::open(path).unwrap().thumbnail_exact(320, 240).into_rgb8();
            let mut bytes = Vec::new();
            let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 60);
            encoder.encode_image(&small).unwrap();
            bytes
        };
        PHOTO.get_or_init(encoded).clone()
    }

    #[test]
    fn buffers_are_cut_to_what_belongs_to_the_frame() {
        let jpeg = sample(32, 32);
        let padded = [jpeg.as_slice(), &[0; 500]].concat();
        assert!(matches!(mjpg(&padded), Ok(Payload::Jpeg(bytes)) if bytes == jpeg));
        assert!(matches!(mjpg(&jpeg[..jpeg.len() / 2]), Err(Fault::Truncated(_))));
        assert!(matches!(mjpg(&[&jpeg[..300], &jpeg].concat()), Err(Fault::Corrupt(_))));
        assert_eq!(mjpg(&[]).unwrap_err(), Fault::Empty);
        let yuyv = picture(PixelFormat::Yuyv, 4, 2, 10);
        assert!(matches!(payload(yuyv, &[1; 25]), Ok(Payload::Yuyv { data, .. }) if data.len() == 20));
        assert_eq!(payload(yuyv, &[1; 19]).unwrap_err().to_string(), "19 bytes instead of 20");
        let nv12 = picture(PixelFormat::Nv12, 4, 3, 4);
        assert!(matches!(payload(nv12, &[1; 20]), Ok(Payload::Nv12 { stride: 4, .. })));
        assert_eq!(payload(nv12, &[1; 16]).unwrap_err().to_string(), "16 bytes instead of 20");
        let grey = picture(PixelFormat::Grey, 4, 2, 4);
        assert!(matches!(payload(grey, &[1; 8]), Ok(Payload::Grey { .. })));
    }

    #[test]
    fn no_photo_that_is_cut_short_passes() {
        let jpeg = photo();
        assert!(mjpg(&jpeg).is_ok());
        for length in 0..jpeg.len() {
            let fault = mjpg(&jpeg[..length]).unwrap_err();
            let expected = match length {
                0 => matches!(fault, Fault::Empty),
                1 => matches!(fault, Fault::Corrupt(_)),
                _ => matches!(fault, Fault::Truncated(_)),
            };
            assert!(expected, "{length} bytes of {}: {fault}", jpeg.len());
        }
    }

    #[test]
    fn a_photo_without_its_tables_decodes_to_the_same_pixels() {
        let jpeg = photo();
        let bare = without_huffman_tables(&jpeg);
        assert!(bare.len() < jpeg.len());
        let pixels = |bytes: &[u8]| decode(mjpg(bytes).unwrap()).unwrap();
        assert_eq!(pixels(&bare), pixels(&jpeg));
    }

    #[test]
    fn rows_may_be_padded_and_sides_odd() {
        // The first row dark, the second bright, and rubbish where rows are padded.
        let row = |luma: u8, used: usize, stride: usize| -> Vec<u8> {
            let pixels = [luma, 128].into_iter().cycle().take(used);
            pixels.chain(std::iter::repeat(77)).take(stride).collect()
        };
        let lumas =
            |payload: Payload| -> Vec<u8> { decode(payload).unwrap().pixels().map(|p| p.0[0]).collect() };
        let yuyv = [row(16, 8, 11), row(235, 8, 11)].concat();
        let got = lumas(payload(picture(PixelFormat::Yuyv, 3, 2, 11), &yuyv).unwrap());
        assert_eq!(got, [0, 0, 0, 255, 255, 255]);
        let luma = |value: u8| [[value; 4].as_slice(), &[77; 2]].concat();
        let chroma = [[128; 4].as_slice(), &[77; 2]].concat();
        let nv12 = [luma(16), luma(235), luma(16), chroma.clone(), chroma].concat();
        let got = lumas(payload(picture(PixelFormat::Nv12, 3, 3, 6), &nv12).unwrap());
        assert_eq!(got, [0, 0, 0, 255, 255, 255, 0, 0, 0]);
        let grey = [[0, 0, 0, 77, 77], [255, 255, 255, 77, 77]].concat();
        let got = lumas(payload(picture(PixelFormat::Grey, 3, 2, 5), &grey).unwrap());
        assert_eq!(got, [0, 0, 0, 255, 255, 255]);
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

    fn stamped(flags: u32, seconds: i64, bytesused: u32) -> Metadata {
        let timestamp = v4l::Timestamp::new(seconds, 250_000);
        Metadata { flags: Flags::from(flags), timestamp, bytesused, ..Metadata::default() }
    }

    #[test]
    fn the_driver_is_believed_when_it_calls_a_frame_damaged_or_empty() {
        assert_eq!(fault_of(&stamped(0x2000, 1, 9)), None);
        assert_eq!(fault_of(&stamped(0x2040, 1, 9)), Some(Fault::Flagged));
        assert_eq!(fault_of(&stamped(0x2000, 1, 0)), Some(Fault::Empty));
        let mut losses = Losses::default();
        for fault in [Fault::Flagged, Fault::Empty, Fault::Empty, Fault::Truncated(String::new())] {
            fault.count(&mut losses);
        }
        assert_eq!(losses, Losses { flagged: 1, empty: 2, truncated: 1, ..Losses::default() });
    }

    #[test]
    fn kernel_time_becomes_ours() {
        const MONOTONIC_SOE: u32 = 0x2000 | 0x1_0000;
        let seconds = Duration::from_secs;
        let mut times = Times::new(seconds(1000), Moment(seconds(7)));
        let now = Moment(seconds(20));
        let mut at = |flags, stamp| times.captured_at(&stamped(flags, stamp, 9), now).0.as_millis();
        assert_eq!(at(MONOTONIC_SOE, 1003), 10_250);
        assert_eq!(at(0x2000, 1004), 11_250, "a stamp of the frame's end");
        assert_eq!(at(MONOTONIC_SOE, 1003), 11_250, "never before the last one");
        assert_eq!(at(MONOTONIC_SOE, 1020), 20_000, "never in the future");
        for (flags, stamp, why) in [
            (MONOTONIC_SOE, 998, "before the stream was started"),
            (MONOTONIC_SOE, -3, "no time at all"),
            (0, 1_795_000_000, "of an unknown clock"),
            (0x4000, 1005, "copied from somewhere"),
        ] {
            let mut times = Times::new(seconds(1000), Moment(seconds(7)));
            assert_eq!(times.captured_at(&stamped(flags, stamp, 9), now), now, "{why}");
        }
        assert!(monotonic_now() > Duration::ZERO);
    }

    #[test]
    fn frames_are_counted_over_gaps_and_the_end_of_32_bits() {
        let mut sequence = Sequence::default();
        let seen: Vec<_> = [u32::MAX - 1, u32::MAX, 0, 3, 3, 0, 1]
            .into_iter()
            .map(|number| (sequence.note(number), sequence.seq()))
            .collect();
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (2, 5), (0, 6), (0, 7), (0, 8)]);
    }

    proptest! {
        #[test]
        fn a_photo_cut_short_stays_an_error_whatever_was_flipped(
            flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut jpeg = photo();
            let end = jpeg.len() - 2;
            for (at, flip) in flips {
                jpeg[at.index(end)] ^= flip;
            }
            // The end marker stays where it was; a flip may make another one before it, or hide that there is one.
            match mjpg(&jpeg) {
                Ok(Payload::Jpeg(whole)) => {
                    let cut = cut.index(whole.len());
                    prop_assert!(mjpg(&whole[..cut]).is_err());
                    // It decodes, or it is an error; it does not panic and does not change its size unnoticed.
                    if let (Ok(info), Ok(pixels)) = (jpeg::inspect(&whole), decode(Payload::Jpeg(whole))) {
                        prop_assert_eq!(pixels.dimensions(), (info.width, info.height));
                    }
                }
                Ok(other) => prop_assert!(false, "{:?}", other),
                Err(_) => (),
            }
        }
    }
}
