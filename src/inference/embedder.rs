//! Embedders on ONNX Runtime: any model that takes an aligned face and gives a vector.

use image::RgbImage;

use super::detector::{fixed_size, wrong_role};
use super::folders::ModelFolders;
use super::model::{LoadError, Model};
use super::{Embedder, InferenceError};
use crate::config::{EmbedderSpec, Role};
use crate::domain::{Calibration, Detection, Embedding, Landmarks, ModelDigest};
use crate::vision::align::{SimilarityTransform, warp};
use crate::vision::relight::relight;

/// An embedder, fed as its manifest says.
#[derive(Debug)]
pub struct OrtEmbedder {
    model: Model,
    spec: EmbedderSpec,
    size: [u32; 2],
    template: Landmarks,
    calibration: Option<Calibration>,
}

impl OrtEmbedder {
    /// Loads an embedder by the name of its manifest.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(folders: &ModelFolders, name: &str) -> Result<Self, LoadError> {
        let (folder, manifest) = folders.manifest(name)?;
        let Role::Embedder(spec) = &manifest.role else { return Err(wrong_role(&manifest, "embedder")) };
        let model = Model::load(&folder, &manifest, std::slice::from_ref(&spec.output))?;
        Ok(Self {
            model,
            spec: spec.clone(),
            size: fixed_size(&manifest)?,
            template: spec.template(),
            calibration: manifest.calibration.clone(),
        })
    }

    /// The manifest's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.model.name()
    }

    /// What the manifest says of it.
    #[must_use]
    pub fn spec(&self) -> &EmbedderSpec {
        &self.spec
    }

    /// How often it errs, as measured; `None` if that was not.
    #[must_use]
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// The embedding of a face that is aligned already, as it is: a picture of the model's input size.
    ///
    /// # Errors
    /// If the model fails or its answer is not what the manifest promises.
    pub fn embed_aligned(&mut self, face: &RgbImage) -> Result<Embedding, InferenceError> {
        let (spec, digest) = (&self.spec, self.model.digest());
        let values = self.model.run(face, |answer| {
            let output = answer.output(&spec.output)?;
            if output.values.len() == spec.dimension {
                return Ok(output.values.to_vec());
            }
            Err(format!(
                "{} numbers instead of the {} that its manifest promises",
                output.values.len(),
                spec.dimension
            ))
        })?;
        let embedding = if spec.l2_normalise { Embedding::scaled } else { Embedding::new };
        Ok(embedding(digest, values)?)
    }
}

impl Embedder for OrtEmbedder {
    fn embed(&mut self, picture: &RgbImage, detection: &Detection) -> Result<Embedding, InferenceError> {
        let Some(crop_from_frame) = SimilarityTransform::fit(&detection.landmarks_in_frame, &self.template)
        else {
            return Err(InferenceError::Answer {
                model: self.model.name().to_owned(),
                message: "the face's points coincide, so it cannot be aligned".to_owned(),
            });
        };
        let [width, height] = self.size;
        let mut face = warp(picture, &crop_from_frame, width, height);
        relight(&mut face);
        self.embed_aligned(&face)
    }

    fn digest(&self) -> ModelDigest {
        self.model.digest()
    }
}
