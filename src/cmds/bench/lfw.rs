//! Verification accuracy on pairs of photos: `file_a,file_b,same` lines in `lfw-dev/pairs.csv`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use image::{RgbImage, imageops};

use super::super::engine::{Engine, ModelArgs, read_photo};
use super::super::exit::{Exit, Failure, OrExit};
use super::{Row, read};
use crate::clock::{Clock, SystemClock};
use crate::domain::{Detection, Embedding};
use crate::inference::{Detector, Embedder};
use crate::vision::quality::assess;

/// Folds of the customary evaluation.
const FOLDS: usize = 10;

/// The detectors that the table has a row for, beside the one that was asked for.
const DETECTORS: [&str; 2] = ["centerface", "ultralight"];

pub(super) fn measure(models: &ModelArgs, data: &Path) -> Result<Vec<Row>, Failure> {
    let text = String::from_utf8(read(&data.join("lfw-dev/pairs.csv"))?).or_exit(Exit::Data)?;
    let pairs: Vec<(&str, &str, bool)> = text.lines().skip(1).filter_map(pair).collect();
    let mut detectors: Vec<&str> = DETECTORS.to_vec();
    if !detectors.contains(&models.detector.as_str()) {
        detectors.push(&models.detector);
    }
    let mut rows = Vec::new();
    for detector in detectors {
        let models = ModelArgs { detector: detector.to_owned(), ..models.clone() };
        rows.extend(accuracy(&models, &data.join("lfw-dev/images"), &pairs)?);
    }
    rows.push(gates(models, &data.join("lfw-dev/images"), &pairs)?);
    Ok(rows)
}

/// Makes a photo worse.
type Change = fn(&RgbImage) -> RgbImage;

/// How many faces pass the default quality gates: as they are, blurred, and darkened. Each 20th pair's first photo.
fn gates(models: &ModelArgs, images: &Path, pairs: &[(&str, &str, bool)]) -> Result<Row, Failure> {
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
    for (file, ..) in pairs.iter().step_by(20) {
        let picture = read_photo(&images.join(file)).or_exit(Exit::NoInput)?;
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

fn pair(line: &str) -> Option<(&str, &str, bool)> {
    let mut fields = line.split(',');
    Some((fields.next()?, fields.next()?, fields.next()? == "1"))
}

fn accuracy(models: &ModelArgs, images: &Path, pairs: &[(&str, &str, bool)]) -> Result<Vec<Row>, Failure> {
    let clock = SystemClock::new();
    let files: Vec<&str> =
        pairs.iter().flat_map(|p| [p.0, p.1]).collect::<BTreeSet<_>>().into_iter().collect();
    let started = clock.now();
    let embedded = embed_all(models, images, &files)?;
    let seconds = clock.now().since(started).as_secs_f64();
    let missing = files.iter().filter(|file| !embedded.contains_key(**file)).count();

    let mut scores = Vec::with_capacity(pairs.len());
    for (a, b, same) in pairs {
        if let (Some(a), Some(b)) = (embedded.get(*a), embedded.get(*b)) {
            scores.push((a.cosine(b).or_exit(Exit::Internal)?.value(), *same));
        }
    }
    let (mean, deviation) = ten_fold(&scores);
    let (best, threshold) = best_accuracy(&scores);
    let name = format!("{} pairs, {} + {}", pairs.len(), models.detector, models.model);
    let threads = threads();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand files")]
    let each = seconds * 1000.0 * threads as f64 / files.len() as f64;
    Ok(vec![
        Row::new(
            &format!("{name}: accuracy at the best threshold"),
            format!("{:.2} % (similarity {threshold:.3})", best * 100.0),
            "99.0 %",
        ),
        Row::new(
            &format!("{name}: {FOLDS}-fold accuracy"),
            format!("{:.2} ± {:.2} %", mean * 100.0, deviation * 100.0),
            "reference 99.3 %",
        ),
        Row::new(&format!("{name}: images without a face"), format!("{missing} of {}", files.len()), "0"),
        Row::new(&format!("{name}: decode, detect, embed"), format!("{each:.1} ms an image and thread"), ""),
    ])
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The embedding of the main face of each file, on all cores; files without a face are left out.
fn embed_all<'f>(
    models: &ModelArgs,
    images: &Path,
    files: &[&'f str],
) -> Result<BTreeMap<&'f str, Embedding>, Failure> {
    let parts: Vec<&[&'f str]> = files.chunks(files.len().div_ceil(threads()).max(1)).collect();
    let results: Vec<Result<Vec<(&str, Embedding)>, Failure>> = std::thread::scope(|scope| {
        let workers: Vec<_> = parts
            .into_iter()
            .map(|part| {
                scope.spawn(move || {
                    let mut engine = Engine::load(models)?;
                    let mut embedded = Vec::new();
                    for file in part {
                        if let Some(embedding) = embed(&mut engine, &images.join(file))? {
                            embedded.push((*file, embedding));
                        }
                    }
                    Ok(embedded)
                })
            })
            .collect();
        let panicked = |_| Err(Failure::new(Exit::Internal, "a worker panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    let mut all = BTreeMap::new();
    for result in results {
        all.extend(result?);
    }
    Ok(all)
}

/// By the custom of this data set, the face that counts is large and near the middle.
fn embed(engine: &mut Engine, path: &Path) -> Result<Option<Embedding>, Failure> {
    let picture = read_photo(path).or_exit(Exit::NoInput)?;
    let faces = engine.detector.detect(&picture).or_exit(Exit::Internal)?;
    #[expect(clippy::cast_precision_loss, reason = "sides of pictures are small numbers")]
    let middle = crate::domain::Point::new(picture.width() as f32 / 2.0, picture.height() as f32 / 2.0);
    let weight =
        |d: &Detection| d.box_in_frame.area() - 2.0 * d.box_in_frame.centre().distance(middle).powi(2);
    let Some(face) = faces.iter().max_by(|a, b| weight(a).total_cmp(&weight(b))) else { return Ok(None) };
    engine.embedder.embed(&picture, face).map(Some).or_exit(Exit::Internal)
}

/// The best share of right verdicts that one threshold can reach, and that threshold.
#[expect(clippy::cast_precision_loss, reason = "a few thousand pairs")]
fn best_accuracy(scores: &[(f32, bool)]) -> (f64, f32) {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Threshold above all: every pair counts as different.
    let mut right = sorted.iter().filter(|s| !s.1).count();
    let mut best = (right, f32::MAX);
    for (score, same) in &sorted {
        if *same {
            right += 1
        } else {
            right -= 1
        }
        if right > best.0 {
            best = (right, *score);
        }
    }
    (best.0 as f64 / scores.len().max(1) as f64, best.1)
}

/// Mean and deviation over ten parts, each judged with the threshold that is best for the other nine. Pairs of both
/// kinds are dealt to the parts in turn.
#[expect(clippy::cast_precision_loss, reason = "a few thousand pairs")]
fn ten_fold(scores: &[(f32, bool)]) -> (f64, f64) {
    let mut dealt = [0_usize; 2];
    let folds: Vec<usize> = scores
        .iter()
        .map(|(_, same)| {
            let count = &mut dealt[usize::from(*same)];
            *count += 1;
            *count % FOLDS
        })
        .collect();
    let of = |wanted: usize, inside: bool| -> Vec<(f32, bool)> {
        scores.iter().zip(&folds).filter(|(_, f)| (**f == wanted) == inside).map(|(s, _)| *s).collect()
    };
    let accuracies: Vec<f64> = (0..FOLDS)
        .map(|fold| {
            let (_, threshold) = best_accuracy(&of(fold, false));
            let part = of(fold, true);
            let right = part.iter().filter(|(score, same)| (*score >= threshold) == *same).count();
            right as f64 / part.len().max(1) as f64
        })
        .collect();
    let mean = accuracies.iter().sum::<f64>() / FOLDS as f64;
    let variance = accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / FOLDS as f64;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_separates_what_can_be_separated() {
        let scores = [(0.9, true), (0.8, true), (0.5, false), (0.4, true), (0.1, false)];
        assert_eq!(best_accuracy(&scores), (0.8, 0.8));
        assert_eq!(best_accuracy(&[(0.3, false)]), (1.0, f32::MAX));
    }
}
