//! Scaling pictures and parts of them.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

/// Why a picture could not be scaled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot scale a picture of {width}x{height}: {message}")]
pub struct ResizeError {
    /// Width of the source.
    pub width: u32,
    /// Height of the source.
    pub height: u32,
    /// What the resizer said.
    pub message: String,
}

/// How pixels between pixels are made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// The four nearest source pixels, also when scaling down: what OpenCV's `resize` does by default, and so
    /// what most models were trained with.
    Nearest4,
    /// All source pixels under the new one (bilinear filter): no aliasing when scaling down.
    Area,
}

/// A part of a picture, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Left edge.
    pub left: u32,
    /// Top edge.
    pub top: u32,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Scales `crop` of `picture` (all of it if `None`) to `width` x `height`.
///
/// # Errors
/// If the crop is empty or not inside the picture, or the target is empty.
pub fn resize(
    picture: &RgbImage,
    crop: Option<Crop>,
    width: u32,
    height: u32,
    sampling: Sampling,
) -> Result<RgbImage, ResizeError> {
    let mut scaled = RgbImage::new(width, height);
    resize_into(picture, crop, scaled.as_flat_samples_mut().samples, (width, height), sampling)?;
    Ok(scaled)
}

/// The same into a buffer of `size.0 * size.1 * 3` bytes that the caller owns.
///
/// # Errors
/// As [`resize`]; also if the buffer is of another size.
pub fn resize_into(
    picture: &RgbImage,
    crop: Option<Crop>,
    target: &mut [u8],
    size: (u32, u32),
    sampling: Sampling,
) -> Result<(), ResizeError> {
    let (width, height) = picture.dimensions();
    let fail = |message: String| ResizeError { width, height, message };
    if width == 0 || height == 0 || size.0 == 0 || size.1 == 0 {
        return Err(fail("a side is 0".into()));
    }
    // The typed calls: the others are compiled for every pixel type there is, which takes minutes.
    let source: TypedImageRef<'_, U8x3> =
        TypedImageRef::from_buffer(width, height, picture.as_raw()).map_err(|e| fail(e.to_string()))?;
    let mut target: TypedImage<'_, U8x3> =
        TypedImage::from_buffer(size.0, size.1, target).map_err(|e| fail(e.to_string()))?;
    let filter = match sampling {
        Sampling::Nearest4 => ResizeAlg::Interpolation(FilterType::Bilinear),
        Sampling::Area => ResizeAlg::Convolution(FilterType::Bilinear),
    };
    let mut options = ResizeOptions::new().resize_alg(filter);
    if let Some(crop) = crop {
        options = options.crop(crop.left.into(), crop.top.into(), crop.width.into(), crop.height.into());
    }
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| fail(e.to_string()))
}
