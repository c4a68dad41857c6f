//! Models that answer from a script: the pipeline's logic is tested with them, without ONNX Runtime.
//!
//! A scripted frame is a black picture on which each face is a filled rectangle; its colour says who it is.

use std::collections::BTreeMap;

use image::RgbImage;

use super::{Detector, Embedder, InferenceError, LivenessModel};
use crate::domain::{Detection, Embedding, LiveScore, ModelDigest, Point, Rect};

/// Finds the filled rectangles of a picture: all pixels of one colour that is not black are one face.
#[derive(Debug, Default)]
pub struct ScriptedDetector {
    /// Answers before the script: each is given once instead of looking at the picture.
    pub failures: Vec<InferenceError>,
}

impl Detector for ScriptedDetector {
    #[expect(clippy::cast_precision_loss, reason = "sides of test pictures are small numbers")]
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferenceError> {
        if let Some(failure) = self.failures.pop() {
            return Err(failure);
        }
        let mut areas: BTreeMap<[u8; 3], Rect> = BTreeMap::new();
        for (x, y, pixel) in picture.enumerate_pixels().filter(|(.., p)| p.0 != [0, 0, 0]) {
            let (x, y) = (x as f32, y as f32);
            let area = areas.entry(pixel.0).or_insert(Rect::new(x, y, x, y));
            *area = Rect::new(area.x1.min(x), area.y1.min(y), area.x2.max(x + 1.0), area.y2.max(y + 1.0));
        }
        Ok(areas.into_values().map(face_in).collect())
    }
}

/// A frontal face that fills `area`.
fn face_in(area: Rect) -> Detection {
    let at = |x: f32, y: f32| Point::new(area.x1 + x * area.width(), area.y1 + y * area.height());
    Detection {
        box_in_frame: area,
        landmarks_in_frame: [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.57), at(0.34, 0.75), at(0.66, 0.75)],
        score: 0.99,
    }
}

/// Gives each colour the vector that the script says: by default the colour itself.
#[derive(Debug, Default)]
pub struct ScriptedEmbedder {
    /// What to answer for a face whose middle has this colour.
    pub vectors: BTreeMap<[u8; 3], Vec<f32>>,
}

impl ScriptedEmbedder {
    /// The digest of every scripted embedder.
    pub const DIGEST: ModelDigest = ModelDigest([0x5C; 32]);
}

impl Embedder for ScriptedEmbedder {
    fn embed(&mut self, picture: &RgbImage, detection: &Detection) -> Result<Embedding, InferenceError> {
        let colour = colour_of(picture, detection);
        let vector = self.vectors.get(&colour).cloned().unwrap_or_else(|| colour.map(f32::from).to_vec());
        Ok(Embedding::new(Self::DIGEST, vector)?)
    }

    fn digest(&self) -> ModelDigest {
        Self::DIGEST
    }
}

/// Gives each colour the score that the script says: by default 1.
#[derive(Debug, Default)]
pub struct ScriptedLiveness {
    /// What to answer for a face whose middle has this colour, 0..=1.
    pub scores: BTreeMap<[u8; 3], f32>,
}

impl LivenessModel for ScriptedLiveness {
    fn judge(&mut self, picture: &RgbImage, detection: &Detection) -> Result<LiveScore, InferenceError> {
        Ok(LiveScore(self.scores.get(&colour_of(picture, detection)).copied().unwrap_or(1.0)))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside a small test picture")]
fn colour_of(picture: &RgbImage, detection: &Detection) -> [u8; 3] {
    let middle = detection.box_in_frame.centre();
    picture.get_pixel_checked(middle.x as u32, middle.y as u32).map_or([0, 0, 0], |pixel| pixel.0)
}
