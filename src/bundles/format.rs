//! `bundle.json`: what is in a bundle beside the frames.

use serde::{Deserialize, Serialize};

use crate::clock::WallTime;
use crate::config::Config;
use crate::domain::{CameraId, Event, Original, Payload, Rect, TrackId};

/// The version of a bundle's format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// The name of the file in a bundle.
pub(super) const MANIFEST: &str = "bundle.json";

/// `bundle.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// The decision, as it was announced.
    pub event: Event,
    /// Which camera.
    pub camera: CameraId,
    /// The settings in force. Without hooks, and without the password of a camera's address.
    pub config: Config,
    /// The models that were used.
    pub models: Models,
    /// Who was enrolled.
    pub gallery: GalleryIdentity,
    /// When the first frame was taken.
    pub first_frame_at: WallTime,
    /// Frames in between that were not kept.
    pub missing: u64,
    /// The face was there before the first frame.
    pub is_cut: bool,
    /// The frames, oldest first.
    pub frames: Vec<FrameEntry>,
}

/// The models of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Models {
    /// Finds faces.
    pub detector: ModelIdentity,
    /// Turns faces into numbers.
    pub embedder: ModelIdentity,
    /// Tells faces from pictures; absent when that was off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<ModelIdentity>,
}

/// Which model, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Its manifest's name.
    pub name: String,
    /// Digest of the model and of how it is fed, 64 hexadecimal digits.
    pub digest: String,
}

/// Who was enrolled, without saying who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GalleryIdentity {
    /// SHA-256 over names and templates, 64 hexadecimal digits.
    pub digest: String,
    /// How many people.
    pub people: usize,
}

/// One frame of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameEntry {
    /// The number that the source gave it.
    pub seq: u64,
    /// When it was taken: nanoseconds after the first frame.
    pub at_ns: u64,
    /// The name of its file, in the bundle's folder.
    pub file: String,
    /// The length of the file.
    pub bytes: u64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// What the file's bytes are.
    #[serde(flatten)]
    pub form: Form,
    /// The faces, as they were followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faces: Vec<Face>,
}

/// A face on a frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// Which track, as in the event.
    pub track: TrackId,
    /// Where, in pixels of the full frame.
    #[serde(flatten)]
    pub box_in_frame: Rect,
    /// Whether it was looked at, to be embedded.
    pub looked_at: bool,
}

/// What the bytes of a frame's file are. Sizes in pixels, strides in bytes, as in [`Payload`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of `Payload`, which explains them")]
pub enum Form {
    /// A JPEG file.
    Jpeg,
    /// Another still image file.
    Still,
    /// Packed 4:2:2.
    Yuyv { width: u32, height: u32, stride: u32 },
    /// A luma plane and a chroma plane.
    Nv12 { width: u32, height: u32, stride: u32 },
    /// One byte a pixel.
    Grey { width: u32, height: u32, stride: u32 },
    /// Three bytes a pixel, without gaps between rows.
    Rgb { width: u32, height: u32 },
}

impl Form {
    /// The form of a kept picture, and its bytes.
    pub(super) fn of(original: &Original) -> (Self, &[u8]) {
        let pixels =
            |picture: &image::RgbImage| Self::Rgb { width: picture.width(), height: picture.height() };
        match original {
            Original::Pixels(picture) => (pixels(picture), picture.as_raw()),
            Original::Bytes(payload) => match payload.as_ref() {
                Payload::Jpeg(data) => (Self::Jpeg, data),
                Payload::Still(data) => (Self::Still, data),
                &Payload::Yuyv { width, height, stride, ref data } => {
                    (Self::Yuyv { width, height, stride }, data)
                }
                &Payload::Nv12 { width, height, stride, ref data } => {
                    (Self::Nv12 { width, height, stride }, data)
                }
                &Payload::Grey { width, height, stride, ref data } => {
                    (Self::Grey { width, height, stride }, data)
                }
                Payload::Rgb(picture) => (pixels(picture), picture.as_raw()),
            },
        }
    }

    /// The payload of these bytes; `None` if they do not fit the size. Raw forms are checked when they are decoded.
    pub(super) fn payload(self, data: Vec<u8>) -> Option<Payload> {
        Some(match self {
            Self::Jpeg => Payload::Jpeg(data),
            Self::Still => Payload::Still(data),
            Self::Yuyv { width, height, stride } => Payload::Yuyv { width, height, stride, data },
            Self::Nv12 { width, height, stride } => Payload::Nv12 { width, height, stride, data },
            Self::Grey { width, height, stride } => Payload::Grey { width, height, stride, data },
            Self::Rgb { width, height } => Payload::Rgb(image::RgbImage::from_raw(width, height, data)?),
        })
    }

    /// The end of the file's name.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Still => "picture",
            Self::Yuyv { .. } => "yuyv",
            Self::Nv12 { .. } => "nv12",
            Self::Grey { .. } => "grey",
            Self::Rgb { .. } => "rgb",
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
