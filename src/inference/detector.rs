//! Detectors: CenterFace, the ultra light one and SCRFD, on ONNX Runtime.

use image::RgbImage;
use sha2::{Digest, Sha256};

use super::folders::ModelFolders;
use super::model::{LoadError, Model};
use super::{Detector, InferenceError};
use crate::config::{Decoder, DetectorSpec, Fit, LandmarksSpec, Manifest, Role};
use crate::domain::{Detection, Landmarks, ModelDigest, Rect};
use crate::vision::decoders::{self, Limits, Output};
use crate::vision::landmarks::{crop_around, five_points};
use crate::vision::letterbox::{Fitted, letterbox, stretch};
use crate::vision::resize::{Crop, Sampling, resize};

/// What may differ from a detector's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DetectorOptions {
    /// The longer side that pictures are scaled down to, pixels.
    pub max_side_px: Option<u32>,
    /// The least score of a face, 0..=1.
    pub min_score: Option<f32>,
}

/// A detector and, where it finds only boxes, the landmark model that follows it.
#[derive(Debug)]
pub struct OrtDetector {
    model: Model,
    spec: DetectorSpec,
    size: Option<[u32; 2]>,
    limits: Limits,
    max_side: u32,
    landmarks: Option<LandmarkFinder>,
}

#[derive(Debug)]
pub(super) struct LandmarkFinder {
    model: Model,
    spec: LandmarksSpec,
    size: [u32; 2],
}

impl OrtDetector {
    /// Loads a detector by the name of its manifest.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(folders: &ModelFolders, name: &str, options: DetectorOptions) -> Result<Self, LoadError> {
        let (folder, manifest) = folders.manifest(name)?;
        let Role::Detector(spec) = &manifest.role else { return Err(wrong_role(&manifest, "detector")) };
        let model = Model::load(&folder, &manifest, &spec.outputs)?;
        let landmarks =
            spec.landmarks.as_deref().map(|name| LandmarkFinder::load(folders, name)).transpose()?;
        Ok(Self {
            limits: Limits {
                min_score: options.min_score.unwrap_or(spec.score_threshold),
                max_iou: spec.nms_iou,
            },
            max_side: options.max_side_px.or(spec.max_side).unwrap_or(0),
            size: manifest.input.size,
            spec: spec.clone(),
            model,
            landmarks,
        })
    }

    /// The manifest's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.model.name()
    }

    /// Digest of the model, of the landmark model that follows it, and of how they are fed.
    #[must_use]
    pub fn digest(&self) -> ModelDigest {
        let Some(landmarks) = &self.landmarks else { return self.model.digest() };
        let both = Sha256::new().chain_update(self.model.digest().0).chain_update(landmarks.model.digest().0);
        ModelDigest(both.finalize().into())
    }

    /// The longer side that pictures are scaled down to; `None` for a detector with one fixed input size.
    #[must_use]
    pub fn max_side_px(&self) -> Option<u32> {
        (self.spec.fit == Fit::Letterbox).then_some(self.max_side)
    }

    /// All faces of a picture, looked at with another longer side than usual: larger finds smaller faces.
    ///
    /// # Errors
    /// If the model fails.
    pub fn detect_at(
        &mut self,
        picture: &RgbImage,
        max_side_px: u32,
    ) -> Result<Vec<Detection>, InferenceError> {
        let answer = |message: String, model: &Model| InferenceError::Answer {
            model: model.name().to_owned(),
            message,
        };
        let fitted = match (self.spec.fit, self.size) {
            (Fit::Stretch, Some([width, height])) => stretch(picture, width, height),
            _ => letterbox(picture, max_side_px, self.spec.multiple_of.unwrap_or(32)),
        }
        .map_err(|e| answer(e.to_string(), &self.model))?;
        let found = self.run(&fitted)?;
        let mut faces = Vec::with_capacity(found.len());
        for face in found {
            match (face, &mut self.landmarks) {
                (Found::Face(face), _) => faces.push(fitted.to_original(face)),
                (Found::Box(area, score), Some(finder)) => {
                    let area = fitted.box_to_original(area);
                    if let Some(points) = finder.find(picture, area)? {
                        faces.push(Detection { box_in_frame: area, landmarks_in_frame: points, score });
                    }
                }
                (Found::Box(..), None) => {
                    return Err(answer(
                        "it gives no landmarks and its manifest names no landmark model".into(),
                        &self.model,
                    ));
                }
            }
        }
        Ok(faces)
    }

    fn run(&mut self, fitted: &Fitted) -> Result<Vec<Found>, InferenceError> {
        let (spec, limits, size) = (&self.spec, self.limits, fitted.picture.dimensions());
        self.model.run(&fitted.picture, |answer| {
            let outputs: Vec<Output<'_>> =
                spec.outputs.iter().map(|n| answer.output(n)).collect::<Result<_, _>>()?;
            let count = outputs.len();
            let wrong =
                |_| format!("its manifest names {count} outputs, which is not what the decoder takes");
            let faces = |found: Vec<Detection>| found.into_iter().map(Found::Face).collect();
            Ok(match spec.decoder {
                Decoder::Centerface => faces(
                    decoders::centerface(outputs.try_into().map_err(wrong)?, size, limits)
                        .map_err(|e| e.to_string())?,
                ),
                Decoder::Scrfd => faces(
                    decoders::scrfd(outputs.try_into().map_err(wrong)?, size, limits)
                        .map_err(|e| e.to_string())?,
                ),
                Decoder::Ultralight => decoders::ultralight(outputs.try_into().map_err(wrong)?, size, limits)
                    .map_err(|e| e.to_string())?
                    .into_iter()
                    .map(|(area, score)| Found::Box(area, score))
                    .collect(),
            })
        })
    }
}

enum Found {
    Face(Detection),
    Box(Rect, f32),
}

impl Detector for OrtDetector {
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferenceError> {
        self.detect_at(picture, self.max_side)
    }
}

impl LandmarkFinder {
    pub(super) fn load(folders: &ModelFolders, name: &str) -> Result<Self, LoadError> {
        let (folder, manifest) = folders.manifest(name)?;
        let Role::Landmarks(spec) = &manifest.role else { return Err(wrong_role(&manifest, "landmarks")) };
        let model = Model::load(&folder, &manifest, std::slice::from_ref(&spec.output))?;
        let size = fixed_size(&manifest)?;
        Ok(Self { model, spec: spec.clone(), size })
    }

    /// The five points of the face in a box; `None` where the box is not on the picture.
    pub(super) fn find(
        &mut self,
        picture: &RgbImage,
        area: Rect,
    ) -> Result<Option<Landmarks>, InferenceError> {
        let Some(crop) = crop_around(area, 1.0, picture.width(), picture.height()) else { return Ok(None) };
        // This model was made for crops without the last row and column; liveness models for crops with them.
        let crop = Crop { width: crop.width - 1, height: crop.height - 1, ..crop };
        let [width, height] = self.size;
        let scaled = resize(picture, Some(crop), width, height, Sampling::Nearest4).map_err(|e| {
            InferenceError::Answer { model: self.model.name().to_owned(), message: e.to_string() }
        })?;
        let spec = &self.spec;
        self.model.run(&scaled, |answer| {
            Ok(five_points(answer.output(&spec.output)?.values, crop, &spec.five_points))
        })
    }
}

pub(super) fn wrong_role(manifest: &Manifest, wanted: &'static str) -> LoadError {
    LoadError::WrongRole { name: manifest.name.clone(), is: manifest.role.name(), wanted }
}

/// The input size of a model that takes just one. The manifest's checks see to it that there is one.
pub(super) fn fixed_size(manifest: &Manifest) -> Result<[u32; 2], LoadError> {
    manifest.input.size.ok_or_else(|| {
        LoadError::Trial(InferenceError::Answer {
            model: manifest.name.clone(),
            message: "its manifest gives no input.size".to_owned(),
        })
    })
}
