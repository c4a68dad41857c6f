//! Bringing up the light of a dark face before it is turned into numbers.
//!
//! Embedders hardly know faces darker than those they were trained with. Multiplying all values so that the mean is
//! ordinary again gives most of the recognition back, also with sensor noise; a gamma curve and histogram
//! equalisation gave back less (`facewarden bench --only light`, docs/benchmarks.md). Faces with enough light are
//! left as they are, bit for bit.

use image::RgbImage;

use super::tensor::luma;

/// A face with a mean luma below this is brightened, 0..=255.
pub const DARK_BELOW: f32 = 60.0;

/// The mean luma it is brought to: about that of ordinary photos of faces.
pub const LIT_LUMA: f32 = 100.0;

/// Brightens an aligned face that is dark. Nothing can be had from one that is black.
pub fn relight(face: &mut RgbImage) {
    let mean = mean_luma(face);
    if (0.5..DARK_BELOW).contains(&mean) {
        multiply(face, LIT_LUMA / mean);
    }
}

/// Multiplies all values; what goes beyond 255 is cut.
pub fn multiply(picture: &mut RgbImage, factor: f32) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, and cut to the range of a byte"
    )]
    let table: [u8; 256] =
        std::array::from_fn(|value| (value as f32 * factor).round().clamp(0.0, 255.0) as u8);
    picture.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Mean luma, 0..=255.
#[must_use]
pub fn mean_luma(picture: &RgbImage) -> f32 {
    let pixels = picture.as_raw().chunks_exact(3);
    #[expect(clippy::cast_precision_loss, reason = "a count of pixels, for a mean")]
    let count = pixels.len().max(1) as f32;
    pixels.map(luma).sum::<f32>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(brightest: u8) -> RgbImage {
        RgbImage::from_fn(16, 16, |x, y| {
            let value = u8::try_from((x * 16 + y) * u32::from(brightest) / 255).unwrap();
            image::Rgb([value, value, value / 2])
        })
    }

    #[test]
    fn a_dark_face_becomes_ordinary_and_keeps_its_order() {
        let (dark, mut lit) = (face(20), face(20));
        relight(&mut lit);
        assert!((mean_luma(&lit) - LIT_LUMA).abs() < 5.0, "{}", mean_luma(&lit));
        for (a, b) in dark
            .iter()
            .zip(dark.iter().skip(1))
            .zip(lit.iter().zip(lit.iter().skip(1)))
            .map(|((a, b), (lit_a, lit_b))| (a.cmp(b), lit_a.cmp(lit_b)))
        {
            assert!(a == b || b.is_eq(), "brighter became darker");
        }
    }

    #[test]
    fn a_lit_face_and_a_black_one_stay_as_they_are() {
        for brightest in [0, 160, 255] {
            let mut picture = face(brightest);
            relight(&mut picture);
            assert_eq!(picture, face(brightest), "{brightest}");
        }
    }
}
