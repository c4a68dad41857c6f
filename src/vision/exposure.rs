//! Over-exposed faces: a bright screen in front of a camera that has set itself for the room.
//!
//! Measured elsewhere, on clips that may not be redistributed: more than [`SUSPICIOUS_SHARE`] of the face's pixels
//! above [`BRIGHT`] on 28 to 87 % of the frames of phone and laptop replays, and on at most 3 % of live ones. A print
//! is not seen by this, nor a dimmed screen; somebody with the sun in their face may well be.

use image::RgbImage;

use super::tensor::luma;
use crate::domain::Rect;

/// Luma above which a pixel counts as over-exposed, 0..=255.
pub const BRIGHT: f32 = 250.0;

/// A frame is suspicious from this share of over-exposed pixels on.
pub const SUSPICIOUS_SHARE: f32 = 0.20;

/// So many points along each side of the box are looked at, at most: a share needs no more than these 4,096.
const POINTS: u16 = 64;

/// The share of the pixels in a face's box (as far as it is on the picture) whose luma is above [`BRIGHT`], 0..=1.
/// `None` if the box is no box or not on the picture.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "coordinates are cut to the picture's sides, and a count of 4,096 points is exact"
)]
pub fn overexposed(picture: &RgbImage, face: Rect) -> Option<f32> {
    if !face.is_sound() {
        return None;
    }
    let (left, top) = (face.x1.max(0.0), face.y1.max(0.0));
    let (right, bottom) = (face.x2.min(picture.width() as f32), face.y2.min(picture.height() as f32));
    if right - left < 1.0 || bottom - top < 1.0 {
        return None;
    }
    let place = |from: f32, to: f32, n: u16| from + (to - from) * (f32::from(n) + 0.5) / f32::from(POINTS);
    let mut bright = 0_u16;
    for row in 0..POINTS {
        let y = (place(top, bottom, row) as u32).min(picture.height() - 1);
        for column in 0..POINTS {
            let x = (place(left, right, column) as u32).min(picture.width() - 1);
            bright += u16::from(luma(&picture.get_pixel(x, y).0) > BRIGHT);
        }
    }
    Some(f32::from(bright) / f32::from(POINTS * POINTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_bright_pixels_in_the_box() {
        // A face of 40 x 40 whose lower quarter is burnt out, in front of a burnt-out window.
        let picture = RgbImage::from_fn(100, 100, |x, y| {
            let in_face = (30..70).contains(&x) && (30..70).contains(&y);
            image::Rgb([if !in_face || y >= 60 { 255 } else { 120 }; 3])
        });
        let share = |x1, y1, x2, y2| overexposed(&picture, Rect::new(x1, y1, x2, y2));
        assert!((share(30.0, 30.0, 70.0, 70.0).unwrap() - 0.25).abs() < 0.02);
        assert_eq!(share(30.0, 30.0, 70.0, 59.9), Some(0.0));
        assert_eq!(share(-50.0, -50.0, 20.0, 20.0), Some(1.0), "only what is on the picture counts");
        assert_eq!(share(120.0, 0.0, 150.0, 50.0), None);
        assert_eq!(share(50.0, 50.0, 40.0, 40.0), None);
        assert_eq!(share(f32::NAN, 0.0, 10.0, 10.0), None);
    }

    #[test]
    fn white_skin_and_a_grey_level_below_the_limit_do_not_count() {
        let flat = |v| {
            overexposed(&RgbImage::from_pixel(50, 50, image::Rgb([v; 3])), Rect::new(5.0, 5.0, 40.0, 40.0))
        };
        assert_eq!((flat(249), flat(250), flat(252)), (Some(0.0), Some(0.0), Some(1.0)));
    }
}
