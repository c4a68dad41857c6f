//! Fitting a picture into what a detector takes, and the way back.

use image::RgbImage;

use super::resize::{ResizeError, Sampling, resize, resize_into};
use crate::domain::{Detection, Point, Rect};

/// A picture fitted to a detector's input.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// What the detector sees.
    pub picture: RgbImage,
    /// A point of the original is at `point * scale` in the fitted picture.
    pub scale_x: f32,
    /// The same, down.
    pub scale_y: f32,
}

impl Fitted {
    /// Takes a detection in the fitted picture back to the original's pixels.
    #[must_use]
    pub fn to_original(&self, found: Detection) -> Detection {
        let (sx, sy) = (1.0 / self.scale_x, 1.0 / self.scale_y);
        Detection {
            box_in_frame: found.box_in_frame.scaled(sx, sy),
            landmarks_in_frame: found.landmarks_in_frame.map(|p| Point::new(p.x * sx, p.y * sy)),
            score: found.score,
        }
    }

    /// The same for a box alone.
    #[must_use]
    pub fn box_to_original(&self, found: Rect) -> Rect {
        found.scaled(1.0 / self.scale_x, 1.0 / self.scale_y)
    }
}

/// Scales the longer side down to `max_side`, or up to the next multiple of `multiple_of` where the picture is
/// smaller; keeps the aspect ratio, and pads with black on the right and below until both sides are multiples of
/// `multiple_of`.
///
/// Stretching instead costs accuracy: it bends the landmarks of portrait photos.
///
/// # Errors
/// If the picture is empty.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides of pictures are far below 2^24 and positive"
)]
pub fn letterbox(picture: &RgbImage, max_side: u32, multiple_of: u32) -> Result<Fitted, ResizeError> {
    let (width, height) = picture.dimensions();
    let longer = width.max(height).max(1);
    let scale = longer.next_multiple_of(multiple_of).min(max_side) as f32 / longer as f32;
    let scaled = |side: u32| ((side as f32 * scale).round() as u32).max(1);
    let (inner_width, inner_height) = (scaled(width), scaled(height));
    let (outer_width, outer_height) =
        (inner_width.next_multiple_of(multiple_of), inner_height.next_multiple_of(multiple_of));

    let fitted = if (inner_width, inner_height) == (width, height) {
        padded(picture.as_raw(), (width, height), (outer_width, outer_height))
    } else if inner_width == outer_width {
        // Rows are contiguous: scale straight into the top of the padded picture.
        let mut target = RgbImage::new(outer_width, outer_height);
        let used = inner_width as usize * inner_height as usize * 3;
        let samples = target.as_flat_samples_mut().samples;
        resize_into(picture, None, &mut samples[..used], (inner_width, inner_height), Sampling::Area)?;
        target
    } else {
        let inner = resize(picture, None, inner_width, inner_height, Sampling::Area)?;
        padded(inner.as_raw(), (inner_width, inner_height), (outer_width, outer_height))
    };
    Ok(Fitted {
        picture: fitted,
        scale_x: inner_width as f32 / width as f32,
        scale_y: inner_height as f32 / height as f32,
    })
}

fn padded(pixels: &[u8], inner: (u32, u32), outer: (u32, u32)) -> RgbImage {
    let mut target = RgbImage::new(outer.0, outer.1);
    let (inner_row, outer_row) = (inner.0 as usize * 3, outer.0 as usize * 3);
    let samples = target.as_flat_samples_mut().samples;
    for (to, from) in samples.chunks_exact_mut(outer_row).zip(pixels.chunks_exact(inner_row)) {
        to[..inner_row].copy_from_slice(from);
    }
    target
}

/// Scales to exactly `width` x `height`, whatever the aspect ratio.
///
/// # Errors
/// If the picture is empty.
#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
pub fn stretch(picture: &RgbImage, width: u32, height: u32) -> Result<Fitted, ResizeError> {
    Ok(Fitted {
        picture: resize(picture, None, width, height, Sampling::Nearest4)?,
        scale_x: width as f32 / picture.width() as f32,
        scale_y: height as f32 / picture.height() as f32,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_box_survives_the_way_there_and_back(
            width in 1_u32..700, height in 1_u32..700, max_side in 32_u32..400,
            x in 0.0_f32..1.0, y in 0.0_f32..1.0,
        ) {
            let fitted = letterbox(&RgbImage::new(width, height), max_side, 32).unwrap();
            prop_assert_eq!(fitted.picture.width() % 32, 0);
            prop_assert_eq!(fitted.picture.height() % 32, 0);
            prop_assert!(fitted.picture.width().max(fitted.picture.height()) <= max_side.next_multiple_of(32));
            let (px, py) = (x * width as f32, y * height as f32);
            let inside = Rect::new(0.0, 0.0, px * fitted.scale_x, py * fitted.scale_y);
            prop_assert!(inside.x2 <= fitted.picture.width() as f32 + 0.01);
            let back = fitted.box_to_original(inside);
            prop_assert!((back.x2 - px).abs() < 0.01 && (back.y2 - py).abs() < 0.01);
        }
    }

    #[test]
    fn a_picture_that_fits_is_only_padded() {
        let mut picture = RgbImage::new(64, 33);
        picture.put_pixel(63, 32, image::Rgb([1, 2, 3]));
        let fitted = letterbox(&picture, 320, 32).unwrap();
        assert_eq!(fitted.picture.dimensions(), (64, 64));
        assert_eq!(fitted.picture.get_pixel(63, 32).0, [1, 2, 3]);
        assert_eq!(fitted.picture.get_pixel(63, 63).0, [0, 0, 0]);
        assert!((fitted.scale_x - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn a_small_picture_grows_to_the_next_multiple_at_most() {
        let fitted = letterbox(&RgbImage::new(250, 125), 320, 32).unwrap();
        assert_eq!(fitted.picture.dimensions(), (256, 128));
        assert!((fitted.scale_x - 1.024).abs() < 1e-6 && (fitted.scale_y - 1.024).abs() < 1e-6);
    }

    #[test]
    fn an_empty_picture_is_an_error() {
        assert!(letterbox(&RgbImage::new(0, 10), 320, 32).is_err());
        assert!(stretch(&RgbImage::new(10, 0), 320, 240).is_err());
    }
}
