//! Detector and embedder for the commands that look at photos.

use std::io::Read;
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::exit::{Exit, Failure, OrExit};
use crate::config;
use crate::domain::{Detection, Quality};
use crate::inference::{
    DetectorOptions, InferenceError, LoadError, ModelFolders, OrtDetector, OrtEmbedder, start_runtime,
};
use crate::vision::photo::{self, PhotoError};
use crate::vision::quality::{Gates, assess};

/// The largest photo file that is read, bytes.
pub const MAX_PHOTO_BYTES: u64 = 200_000_000;

/// A second look at a photo without a face is taken at this side: finds faces four times smaller.
const SECOND_LOOK_SIDE_PX: u32 = 1280;

/// Which models to use, for the commands that have no configuration file.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelArgs {
    /// Finds faces: centerface, ultralight, or any detector with a manifest
    #[arg(long, default_value = "centerface", help_heading = "Models")]
    pub detector: String,
    /// Turns a face into numbers: faceplugin512, or any embedder with a manifest
    #[arg(long, default_value = "faceplugin512", help_heading = "Models")]
    pub model: String,
    /// Folder with models and their manifests [default: see the README]
    #[arg(long, value_name = "DIR", help_heading = "Models")]
    pub models_dir: Option<PathBuf>,
    /// Longer side, in pixels, that pictures are scaled down to for the detector [default: the manifest's]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(32..=4096), help_heading = "Models")]
    pub detect_side: Option<u32>,
    /// The ONNX Runtime library [default: see the README]
    #[arg(long, value_name = "FILE", help_heading = "Models")]
    pub runtime_library: Option<PathBuf>,
}

impl ModelArgs {
    /// Where models are looked for.
    #[must_use]
    pub fn folders(&self) -> ModelFolders {
        ModelFolders::or_usual(self.models_dir.clone())
    }
}

/// A detector and an embedder, loaded.
#[derive(Debug)]
pub struct Engine {
    /// Finds faces.
    pub detector: OrtDetector,
    /// Turns faces into numbers.
    pub embedder: OrtEmbedder,
    gates: Gates,
}

/// A face on a photo.
#[derive(Debug, Clone)]
pub struct Face {
    /// Where.
    pub detection: Detection,
    /// How good.
    pub quality: Quality,
}

/// Why a photo could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Larger than [`MAX_PHOTO_BYTES`].
    #[error("{path} is larger than {} MB", MAX_PHOTO_BYTES / 1_000_000)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not a photo.
    #[error("{path}: {source}")]
    Photo {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PhotoError,
    },
    /// A model failed on it.
    #[error("{path}: {source}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: InferenceError,
    },
}

impl LookError {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::TooLarge { path }
            | Self::Photo { path, .. }
            | Self::Model { path, .. } => path,
        }
    }
}

/// Reads and decodes a photo.
///
/// # Errors
/// See [`LookError`]; each names the file.
pub fn read_photo(path: &Path) -> Result<RgbImage, LookError> {
    decode_photo(path, &read_photo_file(path)?)
}

/// Decodes the bytes of the photo at `path`.
///
/// # Errors
/// [`LookError::Photo`], which names the file.
pub fn decode_photo(path: &Path, bytes: &[u8]) -> Result<RgbImage, LookError> {
    photo::decode(bytes).map_err(|source| LookError::Photo { path: path.to_owned(), source })
}

/// The bytes of a photo's file.
///
/// # Errors
/// See [`LookError`]; each names the file.
pub fn read_photo_file(path: &Path) -> Result<Vec<u8>, LookError> {
    let failed = |source| LookError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    let mut bytes = Vec::new();
    file.take(MAX_PHOTO_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_PHOTO_BYTES {
        return Err(LookError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

impl Engine {
    /// Loads both models, side by side.
    ///
    /// # Errors
    /// If ONNX Runtime or a model is missing or wrong.
    pub fn load(args: &ModelArgs) -> Result<Self, Failure> {
        start_runtime(args.runtime_library.as_deref()).or_exit(Exit::Unavailable)?;
        let folders = args.folders();
        let options = DetectorOptions { max_side_px: args.detect_side, min_score: None };
        let (detector, embedder) = std::thread::scope(|scope| {
            let detector = scope.spawn(|| OrtDetector::load(&folders, &args.detector, options));
            let embedder = OrtEmbedder::load(&folders, &args.model);
            (detector.join(), embedder)
        });
        let detector = detector.map_err(|_| Failure::new(Exit::Internal, "loading the detector panicked"))?;
        Ok(Self {
            detector: detector.map_err(model_failure)?,
            embedder: embedder.map_err(model_failure)?,
            gates: gates(&config::Quality::default()),
        })
    }

    /// All faces of a photo, the largest first. A photo without a face is looked at a second time, for small ones.
    ///
    /// # Errors
    /// If the model fails.
    pub fn faces(&mut self, picture: &RgbImage) -> Result<Vec<Face>, InferenceError> {
        let found = self.detections(picture)?;
        let assess = |detection| Face { detection, quality: assess(picture, &detection, &self.gates) };
        Ok(found.into_iter().map(assess).collect())
    }

    /// As [`Engine::faces`], without judging how good they are.
    ///
    /// # Errors
    /// If the model fails.
    pub fn detections(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferenceError> {
        use crate::inference::Detector as _;
        let mut found = self.detector.detect(picture)?;
        let side = picture.width().max(picture.height()).min(SECOND_LOOK_SIDE_PX);
        if found.is_empty() && self.detector.max_side_px().is_some_and(|first| first < side) {
            found = self.detector.detect_at(picture, side)?;
        }
        found.sort_by(|a, b| b.box_in_frame.area().total_cmp(&a.box_in_frame.area()));
        Ok(found)
    }
}

/// The exit code of a model that cannot be loaded.
#[must_use]
pub fn model_failure(error: LoadError) -> Failure {
    let exit = match error {
        LoadError::Manifest(_) | LoadError::NameDiffers { .. } | LoadError::WrongRole { .. } => Exit::Config,
        LoadError::WrongFile { .. } => Exit::Data,
        _ => Exit::Unavailable,
    };
    Failure { exit, error: error.into() }
}

/// The quality gates of the configuration.
#[must_use]
pub fn gates(quality: &config::Quality) -> Gates {
    Gates {
        min_width_px: quality.min_width_px,
        min_sharpness: quality.min_sharpness,
        min_luma: quality.min_luma,
        max_luma: quality.max_luma,
        min_contrast: quality.min_contrast,
        min_frontality: quality.min_frontality,
    }
}
