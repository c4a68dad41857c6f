//! Pictures in time.

use std::sync::Arc;

use image::RgbImage;

use super::names::CameraId;
use crate::clock::Moment;

/// A frame as the camera gave it: not decoded yet, since most frames of a busy camera never are.
#[derive(Debug, Clone)]
pub struct CapturedFrame {
    /// Which camera.
    pub camera: CameraId,
    /// Counts up by one for every frame the source produced, also for those that were dropped since.
    pub seq: u64,
    /// When the picture was taken.
    pub captured_at: Moment,
    /// The bytes.
    pub payload: Payload,
}

/// What a camera's bytes are. Width and height in pixels.
#[derive(Debug, Clone)]
pub enum Payload {
    /// A whole JPEG file (MJPEG cameras, folders of photos).
    Jpeg(Vec<u8>),
    /// Any still image file that is not JPEG (PNG, BMP...).
    Still(Vec<u8>),
    /// Packed 4:2:2, two bytes a pixel, `stride` bytes a row.
    Yuyv {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes from one row to the next.
        stride: u32,
        /// `stride * height` bytes.
        data: Vec<u8>,
    },
    /// A full-size luma plane followed by an interleaved, half-size chroma plane.
    Nv12 {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes from one row to the next, in both planes.
        stride: u32,
        /// `stride * height * 3 / 2` bytes.
        data: Vec<u8>,
    },
    /// One byte a pixel (infra-red cameras).
    Grey {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes from one row to the next.
        stride: u32,
        /// `stride * height` bytes.
        data: Vec<u8>,
    },
    /// Already RGB, three bytes a pixel.
    Rgb(RgbImage),
}

/// A captured picture that is kept beside its decoded form, without loss. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub enum Original {
    /// As the camera gave it; never [`Payload::Rgb`].
    Bytes(Arc<Payload>),
    /// The camera gave pixels: the same that are looked at.
    Pixels(Arc<RgbImage>),
}

impl Original {
    /// How many bytes of memory it takes, near enough.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bytes(payload) => match payload.as_ref() {
                Payload::Jpeg(data)
                | Payload::Still(data)
                | Payload::Yuyv { data, .. }
                | Payload::Nv12 { data, .. }
                | Payload::Grey { data, .. } => data.len(),
                Payload::Rgb(picture) => picture.as_raw().len(),
            },
            Self::Pixels(pixels) => pixels.as_raw().len(),
        }
    }
}

/// A decoded frame. Cloning shares the pixels.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Which camera.
    pub camera: CameraId,
    /// The number of the captured frame it was decoded from.
    pub seq: u64,
    /// When the picture was taken.
    pub captured_at: Moment,
    /// The picture.
    pub pixels: Arc<RgbImage>,
}
