//! Passive liveness on ONNX Runtime: one wider crop, one softmax.

use image::RgbImage;

use super::detector::{fixed_size, wrong_role};
use super::folders::ModelFolders;
use super::model::{LoadError, Model};
use super::{InferenceError, LivenessModel};
use crate::config::{LivenessSpec, Role};
use crate::domain::{Detection, LiveScore, ModelDigest};
use crate::vision::landmarks::crop_around;
use crate::vision::resize::{Sampling, resize};

/// A liveness model, fed as its manifest says.
#[derive(Debug)]
pub struct OrtLiveness {
    model: Model,
    spec: LivenessSpec,
    size: [u32; 2],
}

impl OrtLiveness {
    /// Loads a liveness model by the name of its manifest.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(folders: &ModelFolders, name: &str) -> Result<Self, LoadError> {
        let (folder, manifest) = folders.manifest(name)?;
        let Role::Liveness(spec) = &manifest.role else { return Err(wrong_role(&manifest, "liveness")) };
        let model = Model::load(&folder, &manifest, std::slice::from_ref(&spec.output))?;
        Ok(Self { model, spec: spec.clone(), size: fixed_size(&manifest)? })
    }

    /// The manifest's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.model.name()
    }

    /// Digest of the model and of how it is fed.
    #[must_use]
    pub fn digest(&self) -> ModelDigest {
        self.model.digest()
    }

    /// The model's raw numbers for a picture of its input size.
    ///
    /// # Errors
    /// If the model fails.
    pub fn logits(&mut self, crop: &RgbImage) -> Result<Vec<f32>, InferenceError> {
        let spec = &self.spec;
        self.model.run(crop, |answer| Ok(answer.output(&spec.output)?.values.to_vec()))
    }
}

impl LivenessModel for OrtLiveness {
    fn judge(&mut self, picture: &RgbImage, detection: &Detection) -> Result<LiveScore, InferenceError> {
        let fail = |message: String, model: &Model| InferenceError::Answer {
            model: model.name().to_owned(),
            message,
        };
        let crop =
            crop_around(detection.box_in_frame, self.spec.crop_scale, picture.width(), picture.height())
                .ok_or_else(|| fail("the face is not on the picture".to_owned(), &self.model))?;
        let [width, height] = self.size;
        let crop = resize(picture, Some(crop), width, height, Sampling::Nearest4)
            .map_err(|e| fail(e.to_string(), &self.model))?;
        let logits = self.logits(&crop)?;
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let total: f32 = logits.iter().map(|v| (v - largest).exp()).sum();
        match logits.get(self.spec.live_index).map(|v| (v - largest).exp() / total) {
            Some(p) if p.is_finite() => Ok(LiveScore(p)),
            _ => {
                Err(fail(format!("{} numbers, none of which says how live it is", logits.len()), &self.model))
            }
        }
    }
}
