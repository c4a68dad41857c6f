//! Verification accuracy on pairs of photos: the lists and the rules of `eval`, for several detectors.

use std::path::{Path, PathBuf};

use image::{RgbImage, imageops};

use super::super::engine::{Engine, ModelArgs, read_photo};
use super::super::eval::{ListScores, Options, PairList, embed_all, embedder_manifest, read_pairs, score};
use super::super::exit::{Exit, Failure, OrExit};
use super::Row;
use crate::inference::Detector;
use crate::matching::statistics::best_accuracy;
use crate::vision::quality::assess;

/// The detectors that the table has a row for, beside the one that was asked for.
const DETECTORS: [&str; 2] = ["centerface", "ultralight"];

pub(super) fn measure(models: &ModelArgs, data: &Path) -> Result<Vec<Row>, Failure> {
    let pairs = read_pairs(&data.join("lfw-dev/pairs.csv"))?;
    let images = data.join("lfw-dev/images");
    let mut detectors: Vec<&str> = DETECTORS.to_vec();
    if !detectors.contains(&models.detector.as_str()) {
        detectors.push(&models.detector);
    }
    let mut rows = Vec::new();
    for detector in detectors {
        let models = ModelArgs { detector: detector.to_owned(), ..models.clone() };
        rows.extend(accuracy(&models, &images, &pairs)?);
    }
    rows.push(gates(models, &images, &pairs)?);
    Ok(rows)
}

/// Makes a photo worse.
type Change = fn(&RgbImage) -> RgbImage;

/// How many faces pass the default quality gates: as they are, blurred, and darkened. Each 20th pair's first photo.
fn gates(models: &ModelArgs, images: &Path, list: &PairList) -> Result<Row, Failure> {
    let mut engine = Engine::load(models)?;
    let kinds: [(&str, Change); 5] = [
        ("as they are", RgbImage::clone),
        ("blur 2.5 px", |picture| imageops::blur(picture, 2.5)),
        ("blur 4 px", |picture| imageops::blur(picture, 4.0)),
        ("light x0.25", |picture| darkened(picture, 0.25)),
        ("light x0.08", |picture| darkened(picture, 0.08)),
    ];
    let (mut usable, mut seen) = ([0_usize; 5], 0_usize);
    let mut sharpness: [Vec<f64>; 5] = Default::default();
    for pair in list.pairs.iter().step_by(20) {
        let picture = read_photo(&images.join(&list.files[pair.a])).or_exit(Exit::NoInput)?;
        let faces = engine.detector.detect(&picture).or_exit(Exit::Internal)?;
        let Some(face) = faces.first() else { continue };
        seen += 1;
        for (kind, (_, change)) in kinds.iter().enumerate() {
            let gates = super::super::engine::gates(&crate::config::Quality::default());
            let quality = assess(&change(&picture), face, &gates);
            usable[kind] += usize::from(quality.is_usable());
            sharpness[kind].push(quality.sharpness.into());
        }
    }
    let shares: Vec<String> = kinds
        .iter()
        .zip(usable)
        .zip(sharpness)
        .map(|(((name, _), count), mut sharpness)| {
            sharpness.sort_by(f64::total_cmp);
            let at = |percent: usize| sharpness.get(sharpness.len() * percent / 100).copied().unwrap_or(0.0);
            format!("{name} {count} (sharpness p2 {:.4}, p50 {:.4}, p98 {:.4})", at(2), at(50), at(98))
        })
        .collect();
    Ok(Row::new(&format!("faces of {seen} that pass the quality gates"), shares.join(", "), ""))
}

fn darkened(picture: &RgbImage, factor: f32) -> RgbImage {
    let mut picture = picture.clone();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a byte is a byte"
    )]
    picture.iter_mut().for_each(|value| *value = (f32::from(*value) * factor) as u8);
    picture
}

fn accuracy(models: &ModelArgs, images: &Path, list: &PairList) -> Result<Vec<Row>, Failure> {
    let files: Vec<PathBuf> = list.files.iter().map(|file| images.join(file)).collect();
    // Without a cache: the time is measured too.
    let embedded = embed_all(models, &files, Options::default())?;
    let metric = embedder_manifest(models)?.spec.metric;
    let ListScores { accuracy: (mean, deviation), pairs, .. } = score(list, &embedded.faces, metric)?;
    let (best, threshold) = best_accuracy(&pairs);
    let missing = embedded.faces.iter().filter(|face| face.is_none()).count();
    let name = format!("{} pairs, {} + {}", list.pairs.len(), models.detector, models.model);
    Ok(vec![
        Row::new(
            &format!("{name}: accuracy at the best threshold"),
            format!("{:.2} % (similarity {threshold:.3})", best * 100.0),
            "99.0 %",
        ),
        Row::new(
            &format!("{name}: 10-fold accuracy"),
            format!("{:.2} ± {:.2} %", mean * 100.0, deviation * 100.0),
            "reference 99.3 %",
        ),
        Row::new(&format!("{name}: images without a face"), format!("{missing} of {}", files.len()), "0"),
        Row::new(
            &format!("{name}: decode, detect, embed"),
            format!("{:.1} ms an image and thread", embedded.ms_each),
            "",
        ),
    ])
}
