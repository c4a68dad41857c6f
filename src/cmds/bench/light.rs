//! What little light does to recognition, and what brightening the face gives back.

use std::path::Path;

use image::RgbImage;

use super::super::engine::{Engine, ModelArgs, read_photo};
use super::super::exit::{Exit, Failure, OrExit};
use super::visits::dice::Dice;
use super::{Row, read};
use crate::domain::{Detection, Similarity};
use crate::inference::{Detector, Embedder};
use crate::vision::align::{SimilarityTransform, warp};
use crate::vision::relight::{LIT_LUMA, mean_luma, relight};
use crate::vision::tensor::luma;

/// What is done to the aligned face before it is embedded.
type Treatment = fn(&mut RgbImage);

/// What was tried.
const TREATMENTS: [(&str, Treatment); 4] =
    [("as it is", |_| ()), ("multiplied (in use)", relight), ("gamma", gamma), ("equalised", equalise)];

/// The light that is left, and the noise of the sensor, grey levels.
const LIGHTS: [(f32, f32); 5] = [(1.0, 0.0), (0.25, 0.0), (0.08, 0.0), (0.08, 1.5), (0.04, 0.0)];

/// Each tenth pair: the first photo as it is, the second darkened.
pub(super) fn measure(models: &ModelArgs, data: &Path) -> Result<Vec<Row>, Failure> {
    let text = String::from_utf8(read(&data.join("lfw-dev/pairs.csv"))?).or_exit(Exit::Data)?;
    let images = data.join("lfw-dev/images");
    let mut engine = Engine::load(models)?;
    let needed = engine.embedder.spec().min_similarity().or_exit(Exit::Config)?;
    let mut scores: Vec<[Vec<(Similarity, bool)>; 4]> = vec![Default::default(); LIGHTS.len()];
    let mut dice = Dice::new(1);
    for line in text.lines().skip(1).step_by(10) {
        let mut fields = line.split(',');
        let (Some(a), Some(b), Some(same)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let a = read_photo(&images.join(a)).or_exit(Exit::NoInput)?;
        let b = read_photo(&images.join(b)).or_exit(Exit::NoInput)?;
        let Some(face) = largest(&mut engine, &a)? else { continue };
        let reference = engine.embedder.embed(&a, &face).or_exit(Exit::Internal)?;
        for (light, scores) in LIGHTS.into_iter().zip(&mut scores) {
            let dark = darkened(&b, light, &mut dice);
            let Some(face) = largest(&mut engine, &dark)? else { continue };
            let template = engine.embedder.spec().template();
            let Some(crop_from_frame) = SimilarityTransform::fit(&face.landmarks_in_frame, &template) else {
                continue;
            };
            let crop = warp(&dark, &crop_from_frame, 112, 112);
            for ((_, treat), scores) in TREATMENTS.iter().zip(scores) {
                let mut face = crop.clone();
                treat(&mut face);
                let probe = engine.embedder.embed_aligned(&face).or_exit(Exit::Internal)?;
                scores.push((reference.cosine(&probe).or_exit(Exit::Internal)?, same == "1"));
            }
        }
    }
    Ok(LIGHTS
        .into_iter()
        .zip(scores)
        .map(|((light, noise), scores)| {
            let says: Vec<String> = TREATMENTS
                .iter()
                .zip(&scores)
                .map(|((name, _), scores)| {
                    let share = |same: bool| {
                        let of: Vec<bool> =
                            scores.iter().filter(|s| s.1 == same).map(|s| s.0.reaches(needed)).collect();
                        #[expect(clippy::cast_precision_loss, reason = "a few hundred pairs")]
                        let share = of.iter().filter(|is| **is).count() as f64 / of.len().max(1) as f64;
                        share
                    };
                    format!("{name} {:.3} (false {:.3})", share(true), share(false))
                })
                .collect();
            Row::new(
                &format!("same person recognised at {needed}, light x{light}, noise {noise}"),
                says.join(", "),
                if light == 0.08 { "reference .228 as it is" } else { "" },
            )
        })
        .collect())
}

fn largest(engine: &mut Engine, picture: &RgbImage) -> Result<Option<Detection>, Failure> {
    let faces = engine.detector.detect(picture).or_exit(Exit::Internal)?;
    Ok(faces.into_iter().max_by(|a, b| a.box_in_frame.area().total_cmp(&b.box_in_frame.area())))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the range of a byte")]
fn darkened(picture: &RgbImage, (light, noise): (f32, f32), dice: &mut Dice) -> RgbImage {
    let mut picture = picture.clone();
    for value in picture.iter_mut() {
        let noise = if noise > 0.0 { noise * dice.bell() } else { 0.0 };
        *value = (f32::from(*value) * light + noise).clamp(0.0, 255.0) as u8;
    }
    picture
}

/// The power curve that brings the mean to the same light.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the range of a byte")]
fn gamma(face: &mut RgbImage) {
    let power = (LIT_LUMA / 255.0).ln() / (mean_luma(face).clamp(0.5, 254.0) / 255.0).ln();
    for value in face.iter_mut() {
        *value = ((f32::from(*value) / 255.0).powf(power) * 255.0).clamp(0.0, 255.0) as u8;
    }
}

/// Histogram equalisation of luma; colours keep their proportions.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "grey levels and counts of 12,544 pixels"
)]
fn equalise(face: &mut RgbImage) {
    let mut counts = [0_u32; 256];
    face.pixels().for_each(|pixel| counts[luma(&pixel.0) as usize] += 1);
    let total = counts.iter().sum::<u32>().max(1) as f32;
    let mut below = 0.0;
    let levels = counts.map(|count| {
        let level = (below + count as f32 / 2.0) / total * 255.0;
        below += count as f32;
        level
    });
    for pixel in face.pixels_mut() {
        let grey = luma(&pixel.0);
        let factor = levels[grey as usize] / grey.max(0.5);
        pixel.0 = pixel.0.map(|value| (f32::from(value) * factor).clamp(0.0, 255.0) as u8);
    }
}
