//! From a box to five points, for detectors that find only boxes; and the wider crop that liveness wants.

use super::resize::Crop;
use crate::domain::{Landmarks, Point, Rect};

/// The part of a picture of `width` x `height` that `face` covers when scaled by `scale` about its centre: moved
/// inside the picture where it sticks out, cut where it is larger than the picture. `None` if nothing is left.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "all values are cut to the picture's sides first"
)]
pub fn crop_around(face: Rect, scale: f32, width: u32, height: u32) -> Option<Crop> {
    if !face.is_sound() || width < 2 || height < 2 {
        return None;
    }
    // A box that just fits must come out at the last pixel, not a rounding error before it.
    const ROUNDING: f64 = 1e-6;
    let (right_most, lowest) = (f64::from(width - 1), f64::from(height - 1));
    let (face_wide, face_high) =
        (f64::from(face.x2) - f64::from(face.x1), f64::from(face.y2) - f64::from(face.y1));
    let scale = f64::from(scale).min(right_most / face_wide).min(lowest / face_high);
    let (wide, high) = (face_wide * scale, face_high * scale);
    let (centre_x, centre_y) = (f64::from(face.x1) + face_wide / 2.0, f64::from(face.y1) + face_high / 2.0);
    let left = (centre_x - wide / 2.0).clamp(0.0, (right_most - wide).max(0.0));
    let top = (centre_y - high / 2.0).clamp(0.0, (lowest - high).max(0.0));
    let pixel = |v: f64| (v + ROUNDING) as u32;
    let (right, bottom) = (pixel(left + wide), pixel(top + high));
    let (left, top) = (pixel(left), pixel(top));
    let crop = Crop {
        left,
        top,
        width: right.min(width - 1).checked_sub(left)? + 1,
        height: bottom.min(height - 1).checked_sub(top)? + 1,
    };
    (crop.width >= 2 && crop.height >= 2).then_some(crop)
}

/// The five points from a landmark model's answer: `points` are x, y pairs relative to `crop` (0..=1), and
/// each of the five is the mean of the ones that `groups` names. `None` if an index is out of range.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "sides of crops and group sizes are small")]
pub fn five_points(points: &[f32], crop: Crop, groups: &[Vec<usize>; 5]) -> Option<Landmarks> {
    let mut five = [Point::default(); 5];
    for (point, group) in five.iter_mut().zip(groups) {
        for &index in group {
            let pair = points.get(index * 2..index * 2 + 2)?;
            point.x += pair[0] / group.len() as f32;
            point.y += pair[1] / group.len() as f32;
        }
        point.x = point.x * crop.width as f32 + crop.left as f32;
        point.y = point.y * crop.height as f32 + crop.top as f32;
    }
    five.iter().all(|p| p.x.is_finite() && p.y.is_finite()).then_some(five)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_crop_is_always_inside(
            x in -500.0_f32..1500.0, y in -500.0_f32..1500.0, w in 0.1_f32..2000.0, h in 0.1_f32..2000.0,
            scale in 0.1_f32..6.0, width in 0_u32..1000, height in 0_u32..1000,
        ) {
            if let Some(crop) = crop_around(Rect::new(x, y, x + w, y + h), scale, width, height) {
                prop_assert!(crop.left + crop.width <= width && crop.top + crop.height <= height);
            }
        }
    }

    #[test]
    fn moved_inside_at_the_edge() {
        let crop = crop_around(Rect::new(0.0, 0.0, 100.0, 100.0), 2.0, 1000, 1000).unwrap();
        assert_eq!(crop, Crop { left: 0, top: 0, width: 201, height: 201 });
    }

    #[test]
    fn a_crop_as_high_as_the_picture_reaches_its_last_row() {
        for tenth in 0_u16..1500 {
            let high = 100.0 + f32::from(tenth) / 10.0;
            let face = Rect::new(84.032, 20.0, 178.184, 20.0 + high);
            let crop = crop_around(face, 2.7, 250, 250).unwrap();
            assert!(crop.height >= 249, "{high}: {crop:?}");
            assert!(
                crop.height == 250
                    || f64::from(face.y2 - face.y1) * 249.0 / f64::from(face.y2 - face.y1) < 249.0
            );
        }
    }

    #[test]
    fn means_of_groups() {
        let groups = [vec![0, 1], vec![1], vec![1], vec![1], vec![1]];
        let crop = Crop { left: 10, top: 20, width: 100, height: 200 };
        let five = five_points(&[0.0, 0.0, 0.5, 0.5], crop, &groups).unwrap();
        assert_eq!(five[0], Point::new(35.0, 70.0));
        assert_eq!(five[1], Point::new(60.0, 120.0));
        assert_eq!(five_points(&[0.0], crop, &groups), None);
    }
}
