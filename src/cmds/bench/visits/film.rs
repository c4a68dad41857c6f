//! Visits at a door, made from photos: a person's pictures as a bad camera would show them.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};

use super::super::super::engine::{Engine, ModelArgs, read_photo};
use super::super::super::eval::{main_face, threads};
use super::super::super::exit::{Exit, Failure, OrExit};
use super::dice::Dice;
use crate::domain::{Calibration, Detection, Embedding, Quality};
use crate::inference::{Detector, Embedder};
use crate::vision::photo;
use crate::vision::quality::{Gates, assess};

/// Frames of one visit.
pub(super) const FRAMES: usize = 8;

/// A person and their photos; the first is for enrolment, the others (or it, where it is the only one) for visits.
#[derive(Debug)]
pub(super) struct Subject {
    pub photos: Vec<PathBuf>,
}

/// One good look of a visit.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub quality: Quality,
    pub embedding: Embedding,
}

/// A person in front of the camera.
#[derive(Debug)]
pub(super) struct Visit {
    /// Index of the subject.
    pub subject: usize,
    /// True if the frames come from several photos, taken at different times; else from one, degraded anew.
    pub several: bool,
    pub looks: Vec<Look>,
}

/// What the subjects come to: one clean template each (`None` without a face), and all visits.
#[derive(Debug, Default)]
pub(super) struct Filmed {
    pub templates: Vec<(usize, Embedding)>,
    pub visits: Vec<Visit>,
}

/// What is wrong with the picture for a whole visit: how far away, how dark, how restless.
#[derive(Debug, Clone, Copy)]
struct Conditions {
    scale: f32,
    light: f32,
    blur_px: f32,
    noise: f32,
    jpeg: u8,
}

impl Conditions {
    /// A third of the visits are dim; faces are 36 to 110 pixels wide (they fill about 100 of the photos).
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "25..=85")]
    fn roll(dice: &mut Dice) -> Self {
        let is_dim = dice.unit() < 0.35;
        Self {
            scale: 0.36 * (1.1_f32 / 0.36).powf(dice.unit()),
            light: if is_dim { 0.12 * (1.0_f32 / 0.12).powf(dice.unit()) } else { 1.0 },
            blur_px: 2.5 * dice.unit(),
            noise: 8.0 * dice.unit(),
            jpeg: (25.0 + 60.0 * dice.unit()) as u8,
        }
    }

    /// The photo as the camera shows it in one frame.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides of pictures, and bytes"
    )]
    fn degrade(self, photo: &RgbImage, dice: &mut Dice) -> Result<RgbImage, Failure> {
        let blur = self.blur_px * dice.bell().abs() * self.scale;
        let side = |px: u32| ((px as f32 * self.scale).round() as u32).max(32);
        let small = imageops::resize(
            photo,
            side(photo.width()),
            side(photo.height()),
            imageops::FilterType::Triangle,
        );
        let mut picture = if blur > 0.3 { imageops::blur(&small, blur) } else { small };
        let light = self.light * (1.0 + 0.1 * dice.bell());
        for value in picture.iter_mut() {
            *value =
                (f32::from(*value) * light + self.noise * light.sqrt() * dice.bell()).clamp(0.0, 255.0) as u8;
        }
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(Cursor::new(&mut bytes), self.jpeg)
            .encode_image(&picture)
            .or_exit(Exit::Internal)?;
        photo::decode(&bytes).or_exit(Exit::Internal)
    }
}

/// Films all subjects, on all cores; also gives the embedder's calibration.
pub(super) fn film(
    models: &ModelArgs,
    gates: &Gates,
    subjects: &[Subject],
) -> Result<(Filmed, Option<Calibration>), Failure> {
    let threads = threads();
    let parts: Vec<Result<(Filmed, Option<Calibration>), Failure>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let mut studio = Studio { engine: Engine::load(models)?, gates: *gates };
                    let mut filmed = Filmed::default();
                    for (index, subject) in subjects.iter().enumerate().skip(worker).step_by(threads) {
                        studio.film(index, subject, &mut filmed)?;
                    }
                    Ok((filmed, studio.engine.embedder.calibration().cloned()))
                })
            })
            .collect();
        let panicked = |_| Err(Failure::new(Exit::Internal, "a worker panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    let mut all = Filmed::default();
    let mut calibration = None;
    for part in parts {
        let (part, known) = part?;
        calibration = known;
        all.templates.extend(part.templates);
        all.visits.extend(part.visits);
    }
    // The same whatever the number of cores.
    all.templates.sort_by_key(|(subject, _)| *subject);
    all.visits.sort_by_key(|visit| visit.subject);
    Ok((all, calibration))
}

struct Studio {
    engine: Engine,
    gates: Gates,
}

impl Studio {
    fn film(&mut self, index: usize, subject: &Subject, filmed: &mut Filmed) -> Result<(), Failure> {
        let mut dice = Dice::new(index as u64 + 1);
        let photos: Vec<RgbImage> = subject
            .photos
            .iter()
            .take(12)
            .map(|path| read_photo(path).or_exit(Exit::NoInput))
            .collect::<Result<_, _>>()?;
        let Some(first) = photos.first() else { return Ok(()) };
        if let Some(face) = self.face(first)? {
            let template = self.engine.embedder.embed(first, &face).or_exit(Exit::Internal)?;
            filmed.templates.push((index, template));
        }
        let others = if photos.len() > 1 { &photos[1..] } else { &photos[..] };
        let kinds: &[bool] = if photos.len() > 1 { &[true, true, false] } else { &[false] };
        for &several in kinds {
            let conditions = Conditions::roll(&mut dice);
            let start = dice.below(others.len());
            let mut looks = Vec::new();
            for frame in 0..FRAMES {
                let photo = &others[if several { (start + frame) % others.len() } else { start }];
                let picture = conditions.degrade(photo, &mut dice)?;
                let Some(face) = self.face(&picture)? else { continue };
                let quality = assess(&picture, &face, &self.gates);
                if quality.is_usable() {
                    let embedding = self.engine.embedder.embed(&picture, &face).or_exit(Exit::Internal)?;
                    looks.push(Look { quality, embedding });
                }
            }
            filmed.visits.push(Visit { subject: index, several, looks });
        }
        Ok(())
    }

    fn face(&mut self, picture: &RgbImage) -> Result<Option<Detection>, Failure> {
        let faces = self.engine.detector.detect(picture).or_exit(Exit::Internal)?;
        Ok(main_face(&faces, picture.dimensions()).copied())
    }
}

/// Subjects from a folder with one sub-folder a person, by name.
pub(super) fn subjects(folder: &Path) -> Result<Vec<Subject>, Failure> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>, Failure> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(|e| anyhow::anyhow!("cannot read {}: {e}", folder.display()))
            .or_exit(Exit::NoInput)?;
        paths.sort();
        Ok(paths)
    };
    let mut subjects = Vec::new();
    for path in list(folder)?.into_iter().filter(|path| path.is_dir()) {
        subjects.push(Subject { photos: list(&path)? });
    }
    Ok(subjects)
}
