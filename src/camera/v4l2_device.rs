//! An opened V4L2 device: what it is and what it can do. Used for capturing and for listing.

use std::io;
use std::path::Path;

use v4l::buffer::Type;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::io::mmap::Stream;
use v4l::io::traits::Stream as _;
use v4l::v4l_sys::{
    V4L2_CAP_DEVICE_CAPS, V4L2_CAP_STREAMING, V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_VIDEO_CAPTURE_MPLANE,
    V4L2_FMT_FLAG_EMULATED, v4l2_capability, v4l2_fmtdesc,
};
use v4l::v4l2::vidioc;
use v4l::video::Capture as _;

use super::v4l2_mode::Sizes;

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// The camera's name.
    pub(super) card: String,
    /// Where it is plugged in.
    pub(super) bus: String,
    /// Flags of this very node (not of the whole device).
    flags: u32,
}

impl Capabilities {
    /// True for a node that gives pictures; false for metadata nodes, encoders, radios.
    pub(super) fn is_camera(&self) -> bool {
        self.flags & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE) != 0
    }

    /// True if this program can read it: one plane, mapped buffers.
    pub(super) fn is_supported(&self) -> bool {
        self.flags & V4L2_CAP_VIDEO_CAPTURE != 0 && self.flags & V4L2_CAP_STREAMING != 0
    }
}

/// What to say of a camera that gives its picture in several pieces.
pub(super) const NOT_SUPPORTED: &str = "this kind of camera (several planes, or no mapped buffers) is not supported: use a USB camera, or read it with \
     `driver: ffmpeg` through a program that serves it as a stream";

/// Opens a node. The descriptor is not handed on to child processes: a hook that runs for long would keep the
/// camera busy after it was lost.
pub(super) fn open(path: &Path) -> io::Result<v4l::Device> {
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path contains a zero byte"));
    }
    let device = v4l::Device::with_path(path)?;
    let handle = device.handle();
    // SAFETY: the descriptor is open and stays so until `handle` is dropped, after this borrow has ended.
    #[expect(unsafe_code, reason = "the v4l crate gives its descriptor as a bare number")]
    let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(handle.fd()) };
    rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
    Ok(device)
}

/// One question or order to the kernel about a device: `room` is what it reads and fills.
///
/// # Safety
/// `request` must be an ioctl of V4L2 that takes a `T`, and `T` must hold no pointer that is wrong.
#[expect(unsafe_code, reason = "an ioctl of the kernel's video interface")]
pub(super) unsafe fn ask<T>(device: &v4l::Device, request: Request, room: &mut T) -> io::Result<()> {
    let room: *mut T = room;
    loop {
        // SAFETY: `room` points to one `T` that outlives the call; the rest is the caller's promise.
        match unsafe { v4l::v4l2::ioctl(device.handle().fd(), request, room.cast()) } {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The number of an ioctl.
pub(super) type Request = v4l::v4l2::vidioc::_IOC_TYPE;

/// Asks a node what it is. (The v4l crate's own call panics on a name that is not UTF-8.)
pub(super) fn capabilities(device: &v4l::Device) -> io::Result<Capabilities> {
    // SAFETY: plain numbers and arrays of bytes, for which all zeros is a value.
    #[expect(unsafe_code, reason = "a C structure is zeroed before the kernel fills it")]
    let mut raw: v4l2_capability = unsafe { std::mem::zeroed() };
    // SAFETY: VIDIOC_QUERYCAP fills a `v4l2_capability`, which holds no pointer.
    #[expect(unsafe_code, reason = "an ioctl of the kernel's video interface")]
    unsafe {
        ask(device, vidioc::VIDIOC_QUERYCAP, &mut raw)?;
    }
    let has_own_flags = raw.capabilities & V4L2_CAP_DEVICE_CAPS != 0;
    let flags = if has_own_flags { raw.device_caps } else { raw.capabilities };
    Ok(Capabilities { card: text(&raw.card), bus: text(&raw.bus_info), flags })
}

/// A format that a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// Its four letters.
    pub(super) letters: [u8; 4],
    /// True if a library makes it out of another one: the camera itself does not have it.
    pub(super) is_emulated: bool,
}

/// More formats than any camera has: a driver that never ends its list is not followed for ever.
const MAX_FORMATS: u32 = 64;

/// The formats a device has, its own before the emulated ones. (The v4l crate's own call panics on a description that
/// is not UTF-8.)
pub(super) fn formats(device: &v4l::Device) -> io::Result<Vec<Format>> {
    let mut formats = Vec::new();
    for index in 0..MAX_FORMATS {
        // SAFETY: plain numbers and arrays of bytes, for which all zeros is a value.
        #[expect(unsafe_code, reason = "a C structure is zeroed before the kernel fills it")]
        let mut raw: v4l2_fmtdesc = unsafe { std::mem::zeroed() };
        raw.index = index;
        raw.type_ = Type::VideoCapture as u32;
        // SAFETY: VIDIOC_ENUM_FMT reads and fills a `v4l2_fmtdesc`, which holds no pointer.
        #[expect(unsafe_code, reason = "an ioctl of the kernel's video interface")]
        let asked = unsafe { ask(device, vidioc::VIDIOC_ENUM_FMT, &mut raw) };
        match asked {
            Ok(()) => formats.push(Format {
                letters: raw.pixelformat.to_le_bytes(),
                is_emulated: raw.flags & V4L2_FMT_FLAG_EMULATED != 0,
            }),
            // That is how the list ends.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    formats.sort_by_key(|format| format.is_emulated);
    Ok(formats)
}

/// The sizes a device has in a format; none if it does not say.
pub(super) fn sizes(device: &v4l::Device, letters: [u8; 4]) -> Vec<Sizes> {
    let sizes = device.enum_framesizes(v4l::FourCC::new(&letters)).unwrap_or_default();
    let convert = |size| match size {
        FrameSizeEnum::Discrete(size) => Sizes::One(size.width, size.height),
        FrameSizeEnum::Stepwise(range) => Sizes::Range {
            min: (range.min_width, range.min_height),
            max: (range.max_width, range.max_height),
            step: (range.step_width, range.step_height),
        },
    };
    sizes.into_iter().map(|size| convert(size.size)).collect()
}

/// The rates a device has in a format and size, in frames a second, as fractions (numerator, denominator) of a
/// second a frame; the two ends of a range.
pub(super) fn intervals(device: &v4l::Device, letters: [u8; 4], size: (u32, u32)) -> Vec<(u32, u32)> {
    let listed = device.enum_frameintervals(v4l::FourCC::new(&letters), size.0, size.1).unwrap_or_default();
    let pair = |fraction: v4l::Fraction| (fraction.numerator, fraction.denominator);
    let convert = |interval| match interval {
        FrameIntervalEnum::Discrete(fraction) => vec![pair(fraction)],
        FrameIntervalEnum::Stepwise(range) => vec![pair(range.min), pair(range.max)],
    };
    listed.into_iter().flat_map(|interval| convert(interval.interval)).collect()
}

/// Takes buffers of a device and gives them back: what fails with "busy" while another program captures.
pub(super) fn try_buffers(device: &v4l::Device) -> io::Result<()> {
    close(Stream::with_buffers(device, Type::VideoCapture, 1)?);
    Ok(())
}

/// Ends a stream and frees what it held.
///
/// The v4l crate panics when a camera refuses to stop, and again when it then refuses to free its buffers: the second
/// panic would end the process. So it is asked to stop first, and a stream that does not is left as it is: the device
/// stays taken until this program ends. No driver of the kernel is known to do that.
pub(super) fn close(mut stream: Stream<'static>) {
    let is_gone = |error: &io::Error| error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error());
    match stream.stop() {
        Err(error) if !is_gone(&error) => {
            tracing::error!(%error, "the camera refuses to stop: it stays taken until this program is started again");
            std::mem::forget(stream);
        }
        _ => {
            let freed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(stream)));
            if freed.is_err() {
                tracing::debug!("the camera refused to free its buffers");
            }
        }
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nodes_that_give_pictures_are_cameras() {
        let node = |flags| Capabilities { card: String::new(), bus: String::new(), flags };
        let camera = node(V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING);
        assert!(camera.is_camera() && camera.is_supported());
        let metadata = node(v4l::v4l_sys::V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING);
        assert!(!metadata.is_camera() && !metadata.is_supported());
        let planes = node(V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING);
        assert!(planes.is_camera() && !planes.is_supported());
    }

    #[test]
    fn names_are_cleaned() {
        assert_eq!(text(b"HD \x07Cam\xFF \0rest"), "HD Cam\u{fffd}");
        assert_eq!(text(b"full"), "full");
    }

    #[test]
    fn a_file_that_is_no_camera_is_refused_by_the_kernel() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = open(file.path()).unwrap();
        let errno = capabilities(&device).unwrap_err().raw_os_error();
        assert_eq!(errno, Some(rustix::io::Errno::NOTTY.raw_os_error()));
        assert!(open(Path::new("/dev/video\0")).is_err());
    }
}
