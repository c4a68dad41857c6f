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
    let crop = crop.unwrap_or(Crop { left: 0, top: 0, width, height });
    if crop.width == 0
        || crop.height == 0
        || crop.left + crop.width > width
        || crop.top + crop.height > height
    {
        return Err(fail(format!("the crop {crop:?} is not inside it")));
    }
    if target.len() != size.0 as usize * size.1 as usize * 3 {
        return Err(fail(format!("{} bytes are not {}x{} pixels", target.len(), size.0, size.1)));
    }
    match sampling {
        Sampling::Nearest4 => {
            nearest4(picture, crop, target, size);
            Ok(())
        }
        Sampling::Area => area(picture, crop, target, size).map_err(fail),
    }
}

fn area(picture: &RgbImage, crop: Crop, target: &mut [u8], size: (u32, u32)) -> Result<(), String> {
    // The typed calls: the others are compiled for every pixel type there is, which takes minutes.
    let source: TypedImageRef<'_, U8x3> =
        TypedImageRef::from_buffer(picture.width(), picture.height(), picture.as_raw())
            .map_err(|e| e.to_string())?;
    let mut target: TypedImage<'_, U8x3> =
        TypedImage::from_buffer(size.0, size.1, target).map_err(|e| e.to_string())?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
        crop.left.into(),
        crop.top.into(),
        crop.width.into(),
        crop.height.into(),
    );
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| e.to_string())
}

/// Bilinear between pixel centres, edges repeated, rounded once. The resizer above rounds after each of its two
/// passes; that alone moves the liveness model's answer by up to 0.12 on some faces.
fn nearest4(picture: &RgbImage, crop: Crop, target: &mut [u8], (width, height): (u32, u32)) {
    let columns = neighbours(crop.left, crop.width, width);
    let rows = neighbours(crop.top, crop.height, height);
    let (pixels, row_bytes) = (picture.as_raw(), picture.width() as usize * 3);
    for (out, &(above, below, lower_part)) in target.chunks_exact_mut(width as usize * 3).zip(&rows) {
        let (above, below) = (&pixels[above * row_bytes..], &pixels[below * row_bytes..]);
        for (out, &(left, right, right_part)) in out.chunks_exact_mut(3).zip(&columns) {
            for (channel, value) in out.iter_mut().enumerate() {
                let at = |row: &[u8], column: usize| f32::from(row[column * 3 + channel]);
                let mix = |row: &[u8]| at(row, left) + (at(row, right) - at(row, left)) * right_part;
                let (upper, lower) = (mix(above), mix(below));
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a mean of bytes is a byte"
                )]
                let mean = (upper + (lower - upper) * lower_part + 0.5) as u8;
                *value = mean;
            }
        }
    }
}

/// For each of `count` new pixels along one axis: the two old ones around it, and how near it is to the second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cut to 0 and to the side of a picture"
)]
fn neighbours(first: u32, length: u32, count: u32) -> Vec<(usize, usize, f32)> {
    let scale = f64::from(length) / f64::from(count);
    let last = f64::from(length - 1);
    (0..count)
        .map(|n| {
            let at = ((f64::from(n) + 0.5) * scale - 0.5).clamp(0.0, last);
            let before = at.floor();
            let after = (before + 1.0).min(last);
            (first as usize + before as usize, first as usize + after as usize, (at - before) as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest4_mixes_between_centres_and_repeats_edges() {
        let picture = RgbImage::from_raw(2, 1, vec![0, 0, 0, 100, 50, 200]).unwrap();
        let wide = resize(&picture, None, 4, 1, Sampling::Nearest4).unwrap();
        assert_eq!(wide.into_raw(), [0, 0, 0, 25, 13, 50, 75, 38, 150, 100, 50, 200]);
    }

    #[test]
    fn both_agree_where_nothing_is_to_be_averaged() {
        let picture = RgbImage::from_fn(31, 17, |x, y| {
            image::Rgb([(x * 8).to_le_bytes()[0], (y * 15).to_le_bytes()[0], 77])
        });
        let [a, b] = [Sampling::Nearest4, Sampling::Area].map(|s| resize(&picture, None, 57, 33, s).unwrap());
        let far = a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far <= Some(1), "{far:?}");
    }

    #[test]
    fn a_crop_outside_is_an_error() {
        let picture = RgbImage::new(10, 10);
        let crop = Some(Crop { left: 5, top: 0, width: 6, height: 10 });
        for sampling in [Sampling::Nearest4, Sampling::Area] {
            assert!(resize(&picture, crop, 4, 4, sampling).is_err());
        }
    }
}
