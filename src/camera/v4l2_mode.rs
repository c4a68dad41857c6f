//! Choosing a mode of a V4L2 camera, and saying what an errno means. Pure, so it is tested without a camera.

use std::io;

use rustix::io::Errno;

use super::SourceError;
use super::v4l2_device::Format;
use crate::config::PixelFormat;

/// The formats this program takes, in the order of preference: MJPG is the only one that most USB cameras send
/// at full rate, NV12 is half the bytes of YUYV.
pub(super) const PREFERENCE: [PixelFormat; 4] =
    [PixelFormat::Mjpg, PixelFormat::Nv12, PixelFormat::Yuyv, PixelFormat::Grey];

/// The four letters of a format; `None` for `auto`.
pub(super) const fn fourcc(format: PixelFormat) -> Option<[u8; 4]> {
    match format {
        PixelFormat::Auto => None,
        PixelFormat::Mjpg => Some(*b"MJPG"),
        PixelFormat::Yuyv => Some(*b"YUYV"),
        PixelFormat::Nv12 => Some(*b"NV12"),
        PixelFormat::Grey => Some(*b"GREY"),
    }
}

/// The format of four letters, if it is one of ours. Some drivers call motion JPEG plain `JPEG`.
pub(super) fn format_of(fourcc_of_device: [u8; 4]) -> Option<PixelFormat> {
    if &fourcc_of_device == b"JPEG" {
        return Some(PixelFormat::Mjpg);
    }
    PREFERENCE.into_iter().find(|format| fourcc(*format) == Some(fourcc_of_device))
}

/// Four letters as people read them. The highest bit of the last stands for the other order of bytes.
pub(super) fn shown(letters: [u8; 4]) -> String {
    let [a, b, c, d] = letters;
    let text: String =
        [a, b, c, d & 0x7F].iter().map(|byte| char::from(*byte)).filter(|c| !c.is_control()).collect();
    let order = if d & 0x80 != 0 { "-BE" } else { "" };
    format!("{}{order}", text.trim())
}

/// The four letters to ask for: those of `wanted`, or the first of [`PREFERENCE`] that the device `has`. One that is
/// emulated is taken only where there is no other.
pub(super) fn choose_format(wanted: PixelFormat, has: &[Format]) -> Option<[u8; 4]> {
    let find = |format: PixelFormat, is_emulated: bool| {
        let is_it = |has: &&Format| has.is_emulated == is_emulated && format_of(has.letters) == Some(format);
        has.iter().find(is_it).map(|has| has.letters)
    };
    let choose = |is_emulated| match wanted {
        PixelFormat::Auto => PREFERENCE.into_iter().find_map(|format| find(format, is_emulated)),
        wanted => find(wanted, is_emulated),
    };
    choose(false).or_else(|| choose(true))
}

/// Sizes a device has, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizes {
    /// One size.
    One(u32, u32),
    /// From the least to the most, in steps.
    Range {
        /// Least width and height.
        min: (u32, u32),
        /// Greatest width and height.
        max: (u32, u32),
        /// Steps of width and height.
        step: (u32, u32),
    },
}

/// The size to ask for: the wanted one if the device has it, else the smallest that is at least as large on both
/// sides, else the largest. `None` if it has none.
pub(super) fn choose_size(wanted: (u32, u32), has: &[Sizes]) -> Option<(u32, u32)> {
    let nearest = has.iter().map(|sizes| match *sizes {
        Sizes::One(width, height) => (width, height),
        Sizes::Range { min, max, step } => {
            (on_step(wanted.0, min.0, max.0, step.0), on_step(wanted.1, min.1, max.1, step.1))
        }
    });
    let area = |&(width, height): &(u32, u32)| u64::from(width) * u64::from(height);
    let all: Vec<_> = nearest.collect();
    let covers = |size: &&(u32, u32)| size.0 >= wanted.0 && size.1 >= wanted.1;
    all.iter()
        .filter(covers)
        .min_by_key(|size| area(size))
        .or(all.iter().max_by_key(|size| area(size)))
        .copied()
}

/// The least number of the steps that is not under `wanted`; the greatest if there is none.
fn on_step(wanted: u32, min: u32, max: u32, step: u32) -> u32 {
    let steps = wanted.saturating_sub(min).div_ceil(step.max(1));
    let value = min.saturating_add(steps.saturating_mul(step));
    if value > max { max } else { value }
}

/// A rate as the fraction of a second that one frame takes, as V4L2 has it: numerator and denominator.
pub(super) fn interval(fps: f64) -> Option<(u32, u32)> {
    if !(0.001..=1000.0).contains(&fps) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1 to a million, just checked"
    )]
    let thousand_seconds = (fps * 1000.0).round() as u32;
    Some((1000, thousand_seconds))
}

/// Frames a second of such a fraction; `None` if the device leaves it open.
pub(super) fn rate((numerator, denominator): (u32, u32)) -> Option<f64> {
    (numerator > 0 && denominator > 0).then(|| f64::from(denominator) / f64::from(numerator))
}

/// What failed and what to do about it, for people.
pub(super) fn advice(path: &str, doing: &str, error: &io::Error) -> String {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let advice = match errno {
        _ if is_absent(error) => "it is not plugged in",
        Some(Errno::ACCESS) => {
            "no permission: add the user to the group video (usermod -aG video USER, then log in again), or give the \
             unit SupplementaryGroups=video"
        }
        Some(Errno::PERM) => {
            "the service may not use it: give the unit DeviceAllow=char-video4linux rw; if it has that, the first \
             camera came after the service was started: systemctl restart facewarden"
        }
        Some(Errno::BUSY) => {
            return format!("{path}: another program has it: see `fuser -v {path}` ({doing})");
        }
        Some(Errno::NOSPC) => {
            "the USB bus has no bandwidth left: another port, a lower resolution, or format mjpg"
        }
        Some(Errno::IO | Errno::PROTO | Errno::PIPE | Errno::TIMEDOUT) => {
            "the camera does not answer: check cable, port and power"
        }
        Some(Errno::INVAL) => "the camera refuses: another format, resolution or rate may work",
        Some(Errno::NOTTY) => "it is not a camera",
        Some(Errno::NOMEM) => "the kernel has no memory for its buffers",
        _ => return format!("{path}: {doing}: {error}"),
    };
    format!("{path}: {advice} ({doing}: {error})")
}

/// True if there is no such device just now.
pub(super) fn is_absent(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOENT | Errno::NXIO | Errno::NODEV))
}

/// The same as an error. Everything about a camera may mend itself (it is plugged in again, udev sets its
/// permissions a moment later, the other program ends), but for a path that is no camera.
pub(super) fn lost(path: &str, doing: &str, error: &io::Error) -> SourceError {
    let message = advice(path, doing, error);
    if error.raw_os_error() == Some(Errno::NOTTY.raw_os_error()) {
        SourceError::Unusable(message)
    } else {
        SourceError::Away(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_format_of_the_preference_is_taken() {
        let own = |letters: &[u8; 4]| Format { letters: *letters, is_emulated: false };
        let emulated = |letters: &[u8; 4]| Format { letters: *letters, is_emulated: true };
        let has = [own(b"GREY"), own(b"YUYV"), own(b"H264"), own(b"MJPG")];
        assert_eq!(choose_format(PixelFormat::Auto, &has), Some(*b"MJPG"));
        assert_eq!(choose_format(PixelFormat::Auto, &has[..3]), Some(*b"YUYV"));
        assert_eq!(choose_format(PixelFormat::Auto, &[own(b"JPEG")]), Some(*b"JPEG"));
        assert_eq!(choose_format(PixelFormat::Grey, &has), Some(*b"GREY"));
        assert_eq!(choose_format(PixelFormat::Nv12, &has), None);
        assert_eq!(choose_format(PixelFormat::Auto, &[own(b"H264")]), None);
        assert_eq!([*b"YUYV", *b"Y16 ", *b"Y16\xA0"].map(shown), ["YUYV", "Y16", "Y16-BE"]);
        let mixed = [emulated(b"MJPG"), own(b"YUYV"), emulated(b"NV12")];
        assert_eq!(choose_format(PixelFormat::Auto, &mixed), Some(*b"YUYV"));
        assert_eq!(choose_format(PixelFormat::Nv12, &mixed), Some(*b"NV12"));
        assert_eq!(choose_format(PixelFormat::Auto, &mixed[2..]), Some(*b"NV12"));
    }

    #[test]
    fn the_size_wanted_or_the_next_larger_or_the_largest_is_taken() {
        let has = [(640, 480), (1920, 1080), (1280, 720), (3840, 2160)].map(|(w, h)| Sizes::One(w, h));
        assert_eq!(choose_size((1280, 720), &has), Some((1280, 720)));
        assert_eq!(choose_size((1280, 960), &has), Some((1920, 1080)));
        assert_eq!(choose_size((8000, 6000), &has), Some((3840, 2160)));
        assert_eq!(choose_size((1, 1), &[]), None);
        let range = Sizes::Range { min: (160, 120), max: (1000, 700), step: (16, 8) };
        assert_eq!(choose_size((300, 201), &[range]), Some((304, 208)));
        assert_eq!(choose_size((5000, 5000), &[range]), Some((1000, 700)));
        assert_eq!(choose_size((1, 1), &[range]), Some((160, 120)));
    }

    #[test]
    fn each_errno_says_what_to_do() {
        let say = |errno: Errno| match lost("/dev/video0", "opening it", &errno.into()) {
            SourceError::Away(text) => text,
            SourceError::Unusable(text) => format!("unusable: {text}"),
            other => panic!("{other:?}"),
        };
        assert!(say(Errno::NODEV).contains("not plugged in"));
        assert!(say(Errno::ACCESS).contains("group video"));
        assert!(say(Errno::PERM).contains("DeviceAllow"));
        assert_eq!(
            say(Errno::BUSY),
            "/dev/video0: another program has it: see `fuser -v /dev/video0` (opening it)"
        );
        assert!(say(Errno::NOSPC).contains("bandwidth"));
        assert!(say(Errno::IO).contains("check cable"));
        assert!(say(Errno::INVAL).contains("refuses"));
        assert!(say(Errno::NOTTY).starts_with("unusable: /dev/video0: it is not a camera"));
        assert!(say(Errno::XDEV).starts_with("/dev/video0: opening it: "));
    }

    #[test]
    fn rates_are_fractions_of_a_second() {
        assert_eq!(interval(29.97), Some((1000, 29970)));
        assert_eq!(interval(0.0), None);
        assert_eq!(interval(f64::NAN), None);
        assert_eq!(rate((1, 30)), Some(30.0));
        assert_eq!(rate((0, 30)), None);
    }

    proptest! {
        #[test]
        fn a_chosen_size_is_one_the_device_has(
            wanted in (1u32..5000, 1u32..5000), min in 1u32..500, span in 0u32..3000, step in 0u32..40,
        ) {
            let range = Sizes::Range { min: (min, min), max: (min + span, min + span), step: (step, step) };
            let (width, height) = choose_size(wanted, &[range]).unwrap();
            for side in [width, height] {
                prop_assert!((min..=min + span).contains(&side));
            }
        }
    }
}
