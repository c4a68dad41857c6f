//! How good a picture of a face is, from its box, its five points and the aligned crop.
//!
//! Used to choose between pictures of one face and to say what is wrong with one; never to choose by likeness.

use image::RgbImage;

use super::align::{ARCFACE_112, SimilarityTransform, warp};
use super::pose::{NOSE_ALONG, face_shape};
use super::tensor::luma;
use crate::domain::{Detection, Landmarks, Quality, QualityFault};

/// Side of the square that sharpness and light are measured on. Small enough that a face 40 pixels wide is not
/// enlarged much, so that size and sharpness stay two things.
const MEASURE_SIDE: u32 = 56;

/// What a face needs at least. A value outside is a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gates {
    /// Width of the box, pixels.
    pub min_width_px: f32,
    /// Sharpness, see [`assess`].
    pub min_sharpness: f32,
    /// Mean luma, 0..=255.
    pub min_luma: f32,
    /// Mean luma, 0..=255.
    pub max_luma: f32,
    /// Standard deviation of luma over its mean, from 0.
    pub min_contrast: f32,
    /// Frontality, 0..=1.
    pub min_frontality: f32,
}

/// Judges one face.
///
/// Sharpness is the mean squared difference of neighbouring pixels over the variance of luma, on the aligned face
/// at 56 x 56: independent of brightness and contrast. 0.10 to 0.54 on press photos with faces about 100 pixels wide,
/// 0.02 to 0.11 once they are blurred by 4 pixels (`facewarden bench --only lfw`).
#[must_use]
pub fn assess(picture: &RgbImage, detection: &Detection, gates: &Gates) -> Quality {
    let width_px = detection.box_in_frame.width();
    let frontality = frontality(&detection.landmarks_in_frame);
    let mut quality = Quality {
        score: 0.0,
        width_px,
        sharpness: 0.0,
        luma: 0.0,
        contrast: 0.0,
        frontality,
        faults: Vec::new(),
    };

    let scale = MEASURE_SIDE as f32 / 112.0;
    let template = ARCFACE_112.map(|p| crate::domain::Point::new(p.x * scale, p.y * scale));
    let Some(crop_from_frame) = SimilarityTransform::fit(&detection.landmarks_in_frame, &template) else {
        quality.faults.push(QualityFault::ImplausibleLandmarks);
        return quality;
    };
    let crop = warp(picture, &crop_from_frame, MEASURE_SIDE, MEASURE_SIDE);
    let light = Light::of(&crop);
    (quality.sharpness, quality.luma, quality.contrast) = (light.sharpness, light.mean, light.contrast);

    let residual = template
        .iter()
        .zip(detection.landmarks_in_frame)
        .map(|(to, from)| crop_from_frame.apply(from).distance(*to))
        .fold(0.0, f32::max);
    let mut fault = |is: bool, fault| {
        if is {
            quality.faults.push(fault);
        }
    };
    // A quarter of the crop's side is beyond any pose an embedder can use: the points are not a face's.
    fault(residual > MEASURE_SIDE as f32 / 4.0, QualityFault::ImplausibleLandmarks);
    fault(width_px < gates.min_width_px, QualityFault::TooSmall);
    fault(quality.sharpness < gates.min_sharpness, QualityFault::Blurred);
    fault(quality.luma < gates.min_luma, QualityFault::TooDark);
    fault(quality.luma > gates.max_luma, QualityFault::TooBright);
    fault(quality.contrast < gates.min_contrast, QualityFault::FlatLight);
    fault(frontality < gates.min_frontality, QualityFault::TurnedAway);
    fault(is_cut_off(picture, detection), QualityFault::CutOff);

    // Each factor saturates at 1 where more of it no longer helps the embedder.
    let size = (width_px / 112.0).clamp(0.0, 1.0).sqrt();
    let sharp = quality.sharpness / (quality.sharpness + 0.02);
    let light = (1.0 - (quality.luma - 128.0).abs() / 128.0).clamp(0.0, 1.0).sqrt();
    quality.score = size * sharp * light * frontality * detection.score.clamp(0.0, 1.0);
    quality
}

/// 1 for a face that looks at the camera, 0 in profile: how far the nose is from the middle between the eyes and
/// mouth corners, across and along the face, against the distances of a frontal face.
#[must_use]
pub fn frontality(landmarks: &Landmarks) -> f32 {
    let Some(shape) = face_shape(landmarks) else { return 0.0 };
    let yaw_part = 1.0 - (shape.nose_across.abs() / 0.5).min(1.0);
    let pitch_part = 1.0 - ((shape.nose_along - NOSE_ALONG).abs() / NOSE_ALONG).min(1.0);
    // In profile the eyes come close together: the face becomes narrow for its height (0.87 when frontal).
    let narrow_part = (shape.across_over_down / 0.6).min(1.0);
    (yaw_part * pitch_part.sqrt() * narrow_part).clamp(0.0, 1.0)
}

#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
fn is_cut_off(picture: &RgbImage, detection: &Detection) -> bool {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    detection.landmarks_in_frame.iter().any(|p| p.x < 0.0 || p.y < 0.0 || p.x >= width || p.y >= height)
}

/// How a crop is lit.
struct Light {
    sharpness: f32,
    mean: f32,
    contrast: f32,
}

impl Light {
    #[expect(clippy::cast_precision_loss, reason = "a count of 3,136 pixels")]
    fn of(crop: &RgbImage) -> Self {
        let side = crop.width() as usize;
        let grey: Vec<f32> = crop.as_raw().chunks_exact(3).map(luma).collect();
        let count = grey.len() as f32;
        let mean = grey.iter().sum::<f32>() / count;
        let variance = grey.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count;
        let mut difference = 0.0;
        for (at, &value) in grey.iter().enumerate() {
            let right = if at % side + 1 < side { grey[at + 1] } else { value };
            let below = grey.get(at + side).copied().unwrap_or(value);
            difference += (right - value).powi(2) + (below - value).powi(2);
        }
        Self {
            // Below a variance of one grey level there is nothing to be sharp.
            sharpness: difference / count / variance.max(1.0),
            mean,
            // Below a mean of one grey level there is nothing to differ.
            contrast: variance.sqrt() / mean.max(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Point, Rect};

    const OPEN: Gates = Gates {
        min_width_px: 0.0,
        min_sharpness: 0.0,
        min_luma: 0.0,
        max_luma: 255.0,
        min_contrast: 0.0,
        min_frontality: 0.0,
    };

    fn face() -> Detection {
        Detection {
            box_in_frame: Rect::new(20.0, 20.0, 92.0, 110.0),
            landmarks_in_frame: ARCFACE_112,
            score: 1.0,
        }
    }

    fn checkered(dark: u8, bright: u8) -> RgbImage {
        RgbImage::from_fn(112, 112, |x, y| {
            let v = if (x / 8 + y / 8) % 2 == 0 { dark } else { bright };
            image::Rgb([v, v, v])
        })
    }

    #[test]
    fn the_template_is_frontal_and_a_moved_nose_is_not() {
        assert!(frontality(&ARCFACE_112) > 0.9);
        let mut turned = ARCFACE_112;
        turned[2].x += 15.0;
        assert!(frontality(&turned) < 0.3);
        let mut mirrored = ARCFACE_112;
        mirrored[2].x -= 15.0;
        assert!((frontality(&mirrored) - frontality(&turned)).abs() < 0.1);
        assert_eq!(frontality(&[Point::new(1.0, 1.0); 5]), 0.0);
    }

    #[test]
    fn rolling_the_head_changes_nothing() {
        let turn = SimilarityTransform { a: 0.6, b: 0.8, tx: 100.0, ty: 50.0 };
        let rolled = ARCFACE_112.map(|p| turn.apply(p));
        assert!((frontality(&rolled) - frontality(&ARCFACE_112)).abs() < 1e-4);
    }

    #[test]
    fn blur_lowers_sharpness_and_light_does_not() {
        let sharp = assess(&checkered(40, 200), &face(), &OPEN);
        let dim = assess(&checkered(20, 100), &face(), &OPEN);
        let blurred = image::imageops::blur(&checkered(40, 200), 4.0);
        let soft = assess(&blurred, &face(), &OPEN);
        assert!((sharp.sharpness - dim.sharpness).abs() < 0.02 * sharp.sharpness);
        assert!(soft.sharpness < 0.5 * sharp.sharpness);
        assert!(soft.score < sharp.score);
    }

    #[test]
    fn each_fault_is_named() {
        let gates = Gates { min_width_px: 100.0, min_luma: 60.0, ..OPEN };
        let quality = assess(&checkered(0, 40), &face(), &gates);
        assert_eq!(quality.faults, [QualityFault::TooSmall, QualityFault::TooDark]);
        let outside =
            Detection { landmarks_in_frame: ARCFACE_112.map(|p| Point::new(p.x - 50.0, p.y)), ..face() };
        assert!(assess(&checkered(40, 200), &outside, &OPEN).faults.contains(&QualityFault::CutOff));
        let collapsed = Detection { landmarks_in_frame: [Point::new(5.0, 5.0); 5], ..face() };
        assert_eq!(
            assess(&checkered(40, 200), &collapsed, &OPEN).faults,
            [QualityFault::ImplausibleLandmarks]
        );
    }
}
