//! One model file at work: checked against its manifest, fed, and asked.

use std::path::{Path, PathBuf};

use image::RgbImage;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionOutputs};
use ort::value::TensorRef;
use sha2::{Digest, Sha256};

use super::InferenceError;
use super::runtime::{RuntimeError, environment};
use crate::config::{self, ConfigError, Input, Manifest};
use crate::domain::ModelDigest;
use crate::vision::decoders::Output;
use crate::vision::tensor::{Colour, Feed, Layout};

/// Why a model could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No manifest of that name.
    #[error("there is no model {name}; available: {available} (looked in {folders})")]
    NoSuchModel {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        folders: String,
        /// What there is.
        available: String,
    },
    /// The manifest's name is not its file's.
    #[error("{path} names its model {name}: the file must be called {name}.yaml")]
    NameDiffers {
        /// The manifest.
        path: PathBuf,
        /// The name in it.
        name: String,
    },
    /// The manifest is faulty.
    #[error(transparent)]
    Manifest(#[from] ConfigError),
    /// The model does something else than what it is wanted for.
    #[error("the model {name} has the role {is}, and {wanted} is needed here")]
    WrongRole {
        /// The model.
        name: String,
        /// Its role.
        is: &'static str,
        /// The role that was needed.
        wanted: &'static str,
    },
    /// The model file cannot be read.
    #[error("cannot read the model file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The model file is not the one that the manifest describes.
    #[error(
        "the model file {path} is damaged, cut short or another one: its SHA-256 is {is} and {manifest} says \
         {should}; restore it from the package (or run models/prepare.py)"
    )]
    WrongFile {
        /// The file.
        path: PathBuf,
        /// Its digest.
        is: String,
        /// The manifest's name.
        manifest: String,
        /// The digest that the manifest promises.
        should: String,
    },
    /// ONNX Runtime is not there.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// ONNX Runtime refused the file.
    #[error("ONNX Runtime cannot load {path}: {message}")]
    Session {
        /// The file.
        path: PathBuf,
        /// What it said.
        message: String,
    },
    /// The file has no such input or output.
    #[error("the model {name} has no {what} called {wanted}; it has: {available}")]
    NoSuchTensor {
        /// The model.
        name: String,
        /// `input` or `output`.
        what: &'static str,
        /// The name in the manifest.
        wanted: String,
        /// The names in the file.
        available: String,
    },
    /// The model was loaded and does not work.
    #[error(transparent)]
    Trial(#[from] InferenceError),
}

/// A loaded model.
pub(super) struct Model {
    name: String,
    session: Session,
    input: String,
    feed: Feed,
    tensor: Vec<f32>,
    digest: ModelDigest,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({})", self.name)
    }
}

impl Model {
    /// Reads the file, checks its digest against the manifest, and makes a session of it. One thread, no spinning:
    /// a second thread makes small models slower and costs 60 % more processor time.
    pub(super) fn load(folder: &Path, manifest: &Manifest, outputs: &[String]) -> Result<Self, LoadError> {
        let path = folder.join(&manifest.file);
        let bytes = std::fs::read(&path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
        let is = hex(&Sha256::digest(&bytes));
        if is != manifest.sha256 {
            return Err(LoadError::WrongFile {
                path,
                is,
                manifest: format!("{}.yaml", manifest.name),
                should: manifest.sha256.clone(),
            });
        }
        let failed = |message: String| LoadError::Session { path: path.clone(), message };
        let session = Session::builder(environment(None)?)
            .and_then(|b| Ok(b.with_optimization_level(GraphOptimizationLevel::All)?))
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|b| Ok(b.with_intra_op_spinning(false)?))
            .and_then(|b| Ok(b.with_memory_pattern(false)?))
            .and_then(|mut b| b.commit_from_memory(&bytes))
            .map_err(|e| failed(e.to_string()))?;
        let names = |outlets: &[ort::value::Outlet]| -> Vec<String> {
            outlets.iter().map(|outlet| outlet.name().to_owned()).collect()
        };
        let (inputs, given) = (names(session.inputs()), names(session.outputs()));
        let missing = |what, wanted: &String, there: &[String]| LoadError::NoSuchTensor {
            name: manifest.name.clone(),
            what,
            wanted: wanted.clone(),
            available: there.join(", "),
        };
        if !inputs.contains(&manifest.input.name) {
            return Err(missing("input", &manifest.input.name, &inputs));
        }
        if let Some(wanted) = outputs.iter().find(|name| !given.contains(name)) {
            return Err(missing("output", wanted, &given));
        }
        Ok(Self {
            name: manifest.name.clone(),
            session,
            input: manifest.input.name.clone(),
            feed: feed_of(&manifest.input),
            tensor: Vec::new(),
            digest: ModelDigest(Sha256::digest(manifest.digest_input()).into()),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn digest(&self) -> ModelDigest {
        self.digest
    }

    /// Feeds a picture, and hands what comes out to `read`.
    pub(super) fn run<T>(
        &mut self,
        picture: &RgbImage,
        read: impl FnOnce(&Answer<'_>) -> Result<T, String>,
    ) -> Result<T, InferenceError> {
        self.feed.fill(picture, &mut self.tensor);
        let shape = self.feed.shape(picture.width(), picture.height());
        let failed = |message: String| InferenceError::Run { model: self.name.clone(), message };
        let tensor =
            TensorRef::from_array_view((shape, self.tensor.as_slice())).map_err(|e| failed(e.to_string()))?;
        let outputs = self
            .session
            .run(ort::inputs![self.input.as_str() => tensor])
            .map_err(|e| failed(e.to_string()))?;
        read(&Answer(outputs)).map_err(|message| InferenceError::Answer { model: self.name.clone(), message })
    }
}

/// What a model gave.
pub(super) struct Answer<'s>(SessionOutputs<'s>);

impl Answer<'_> {
    /// One output by name.
    pub(super) fn output(&self, name: &str) -> Result<Output<'_>, String> {
        let value = self.0.get(name).ok_or_else(|| format!("there is no output {name}"))?;
        let (shape, values) = value.try_extract_tensor::<f32>().map_err(|e| e.to_string())?;
        Ok(Output { shape, values })
    }
}

fn feed_of(input: &Input) -> Feed {
    Feed {
        layout: match input.layout {
            config::Layout::Nchw => Layout::Nchw,
            config::Layout::Nhwc => Layout::Nhwc,
        },
        colour: match input.colour {
            config::Colour::Rgb => Colour::Rgb,
            config::Colour::Bgr => Colour::Bgr,
            config::Colour::Grey => Colour::Grey,
        },
        mean: input.mean.0,
        scale: input.scale.0,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
