//! How the embedding of a picture comes about: which models, fed how, and which face.

use std::path::Path;

use image::RgbImage;
use sha2::{Digest, Sha256};

use super::super::engine::{Engine, LookError, ModelArgs, model_failure};
use super::super::exit::{Exit, Failure};
use crate::config::{EmbedderSpec, Manifest, Role};
use crate::domain::{Calibration, Detection, Embedding, ModelDigest, Point};
use crate::inference::Embedder;

/// Changes with the rule for choosing the face, and with anything else between a picture and its embedding that no
/// manifest says: cached embeddings are then made anew.
const VERSION: u32 = 1;

/// Names exactly how embeddings are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    /// SHA-256 over all of it.
    pub(super) digest: [u8; 32],
    /// The embedder.
    pub(super) model: ModelDigest,
    /// How many numbers it gives.
    pub(super) dimension: u32,
}

/// The embedder's manifest, without loading the model.
#[derive(Debug, Clone)]
pub(crate) struct EmbedderManifest {
    /// The folder it is in.
    pub(crate) folder: std::path::PathBuf,
    /// What is special to it.
    pub(crate) spec: EmbedderSpec,
    /// Its digest.
    pub(crate) digest: ModelDigest,
    /// How often it errs, if that was measured.
    pub(crate) calibration: Option<Calibration>,
}

/// Reads the manifest of an embedder.
pub(crate) fn embedder_manifest(models: &ModelArgs) -> Result<EmbedderManifest, Failure> {
    let (folder, manifest) = models.folders().manifest(&models.model).map_err(model_failure)?;
    let digest = ModelDigest(Sha256::digest(manifest.digest_input()).into());
    let Role::Embedder(spec) = manifest.role else {
        return Err(Failure::new(Exit::Config, format!("{} is no embedder", models.model)));
    };
    Ok(EmbedderManifest { folder, spec, digest, calibration: manifest.calibration })
}

impl Recipe {
    /// The one that these arguments ask for.
    pub(super) fn of(models: &ModelArgs) -> Result<Self, Failure> {
        let folders = models.folders();
        let embedder = embedder_manifest(models)?;
        let mut hash = Sha256::new();
        hash.update(format!("facewarden-eval {VERSION} {}\n", env!("CARGO_PKG_VERSION")));
        hash.update(embedder.digest.0);
        hash.update(format!("{:?}\n", models.detect_side));
        let mut add = |manifest: &Manifest| {
            hash.update(manifest.digest_input());
            // The digest's input leaves out what is special to a detector, since it changes no embedder. All of its
            // settings are in here, in a form that no one needs to read again.
            hash.update(format!("{:?}\n", manifest.role));
        };
        let (_, detector) = folders.manifest(&models.detector).map_err(model_failure)?;
        add(&detector);
        if let Role::Detector(spec) = &detector.role
            && let Some(landmarks) = &spec.landmarks
        {
            add(&folders.manifest(landmarks).map_err(model_failure)?.1);
        }
        let dimension = u32::try_from(embedder.spec.dimension)
            .map_err(|_| Failure::new(Exit::Config, "the embedder gives too many numbers"))?;
        Ok(Self { digest: hash.finalize().into(), model: embedder.digest, dimension })
    }
}

/// The embedding of the face that counts; `None` if there is no face. `path` is for the error's text.
pub(super) fn embed(
    engine: &mut Engine,
    path: &Path,
    picture: &RgbImage,
) -> Result<Option<Embedding>, LookError> {
    let failed = |source| LookError::Model { path: path.to_owned(), source };
    let faces = engine.detections(picture).map_err(failed)?;
    let Some(face) = main_face(&faces, picture.dimensions()) else { return Ok(None) };
    engine.embedder.embed(picture, face).map(Some).map_err(failed)
}

/// By the custom of the data sets, the face that counts is large and near the middle: its area, less twice the square
/// of its distance from there.
#[expect(clippy::cast_precision_loss, reason = "sides of pictures are small numbers")]
pub(crate) fn main_face(faces: &[Detection], (width, height): (u32, u32)) -> Option<&Detection> {
    let middle = Point::new(width as f32 / 2.0, height as f32 / 2.0);
    let weight =
        |d: &Detection| d.box_in_frame.area() - 2.0 * d.box_in_frame.centre().distance(middle).powi(2);
    faces.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Rect;

    #[test]
    fn the_face_in_the_middle_counts_before_a_larger_one_at_the_edge() {
        let face = |x1: f32, y1: f32, side: f32| {
            let box_in_frame = Rect { x1, y1, x2: x1 + side, y2: y1 + side };
            Detection { box_in_frame, landmarks_in_frame: [box_in_frame.centre(); 5], score: 0.9 }
        };
        let faces = [face(0.0, 0.0, 60.0), face(100.0, 100.0, 50.0)];
        assert_eq!(main_face(&faces, (250, 250)), Some(&faces[1]));
        assert_eq!(main_face(&faces, (60, 60)), Some(&faces[0]));
        assert_eq!(main_face(&[], (60, 60)), None);
    }
}
