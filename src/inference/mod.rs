//! Models at work: what the pipeline needs of them, the ONNX Runtime adapters, and scripted ones for tests.

mod detector;
mod embedder;
mod folders;
mod liveness;
mod model;
mod runtime;
mod scripted;
#[cfg(test)]
mod tests;
mod turns;

use image::RgbImage;

pub use detector::{DetectorOptions, OrtDetector};
pub use embedder::OrtEmbedder;
pub use folders::ModelFolders;
pub use liveness::OrtLiveness;
pub use model::LoadError;
pub use runtime::{NO_TELEMETRY, RuntimeError, runtime_library, start_runtime};
pub use scripted::{ScriptedDetector, ScriptedEmbedder, ScriptedLiveness};
pub use turns::Turns;

use crate::domain::{Detection, Embedding, EmbeddingError, LiveScore, ModelDigest};

/// Why a model gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The runtime refused or failed.
    #[error("the model {model} failed: {message}")]
    Run {
        /// Name of the model.
        model: String,
        /// What the runtime said.
        message: String,
    },
    /// The model answered in a form that its manifest does not promise.
    #[error("the model {model} gave an unexpected answer: {message}")]
    Answer {
        /// Name of the model.
        model: String,
        /// What was wrong.
        message: String,
    },
    /// The numbers are no embedding.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
}

/// Finds faces.
pub trait Detector: Send {
    /// All faces of a picture, in its own pixels, most certain first.
    ///
    /// # Errors
    /// If the model fails.
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferenceError>;
}

/// Turns a face into numbers.
pub trait Embedder: Send {
    /// The embedding of the face at `detection`.
    ///
    /// # Errors
    /// If the model fails.
    fn embed(&mut self, picture: &RgbImage, detection: &Detection) -> Result<Embedding, InferenceError>;

    /// Digest of the model and of how it is fed.
    fn digest(&self) -> ModelDigest;
}

/// Tells a face from a picture of one.
pub trait LivenessModel: Send {
    /// 0 is a picture of a face, 1 a face.
    ///
    /// # Errors
    /// If the model fails.
    fn judge(&mut self, picture: &RgbImage, detection: &Detection) -> Result<LiveScore, InferenceError>;
}
