//! Model files and manifests that are wrong, and one that somebody adds: what the loader says.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use facewarden::inference::{
    DetectorOptions, Embedder, LoadError, ModelFolders, OrtDetector, OrtEmbedder, OrtLiveness, start_runtime,
};
use sha2::{Digest, Sha256};

struct Models {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Models {
    /// A folder with copies of these models, free to be spoilt.
    fn copies(names: &[&str]) -> Self {
        start_runtime(None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let models = Self { path: folder.path().to_owned(), _folder: folder };
        for name in names {
            for file in [format!("{name}.yaml"), format!("{name}.onnx")] {
                let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(&file);
                fs::copy(from, models.path.join(&file)).unwrap();
            }
        }
        models
    }

    fn folders(&self) -> ModelFolders {
        ModelFolders::only(self.path.clone())
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.path.join(format!("{name}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name}.yaml does not contain {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn embedder(&self, name: &str) -> Result<OrtEmbedder, LoadError> {
        OrtEmbedder::load(&self.folders(), name)
    }
}

#[test]
fn a_file_cut_short_is_named_with_both_digests() {
    let models = Models::copies(&["faceplugin512"]);
    let file = models.path.join("faceplugin512.onnx");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let error = models.embedder("faceplugin512").unwrap_err();
    assert!(matches!(error, LoadError::WrongFile { .. }), "{error:?}");
    let message = error.to_string();
    for part in [file.to_str().unwrap(), "cut short", "faceplugin512.yaml", "af148786d6ef"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn one_changed_byte_is_noticed() {
    let models = Models::copies(&["faceplugin512"]);
    let file = models.path.join("faceplugin512.onnx");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(matches!(models.embedder("faceplugin512"), Err(LoadError::WrongFile { .. })));
}

#[test]
fn a_missing_file_and_a_missing_model_are_different_errors() {
    let models = Models::copies(&["faceplugin512", "liveness"]);
    fs::remove_file(models.path.join("faceplugin512.onnx")).unwrap();
    assert!(matches!(models.embedder("faceplugin512"), Err(LoadError::Read { .. })));
    let error = models.embedder("facenet").unwrap_err();
    assert!(matches!(error, LoadError::NoSuchModel { .. }));
    let message = error.to_string();
    assert!(message.starts_with("there is no model facenet; available: liveness (looked in "), "{message}");
    assert!(matches!(models.embedder("../liveness"), Err(LoadError::NoSuchModel { .. })));
}

#[test]
fn a_model_of_another_role_is_refused() {
    let models = Models::copies(&["faceplugin512", "liveness", "centerface"]);
    let message = models.embedder("centerface").unwrap_err().to_string();
    assert_eq!(message, "the model centerface has the role detector, and embedder is needed here");
    let detector = OrtDetector::load(&models.folders(), "liveness", DetectorOptions::default());
    assert!(matches!(detector, Err(LoadError::WrongRole { is: "liveness", wanted: "detector", .. })));
    let liveness = OrtLiveness::load(&models.folders(), "faceplugin512");
    assert!(matches!(liveness, Err(LoadError::WrongRole { is: "embedder", wanted: "liveness", .. })));
}

#[test]
fn tensors_that_are_not_in_the_file_are_named() {
    let models = Models::copies(&["faceplugin512"]);
    models.edit("faceplugin512", "name: input\n", "name: data\n");
    let message = models.embedder("faceplugin512").unwrap_err().to_string();
    assert_eq!(message, "the model faceplugin512 has no input called data; it has: input");
    models.edit("faceplugin512", "name: data\n", "name: input\n");
    models.edit("faceplugin512", "output: output\n", "output: fc1\n");
    let message = models.embedder("faceplugin512").unwrap_err().to_string();
    assert_eq!(message, "the model faceplugin512 has no output called fc1; it has: output");
}

#[test]
fn a_file_that_is_no_model_is_refused_by_the_runtime() {
    let models = Models::copies(&["faceplugin512"]);
    let nonsense = b"This is not a model.";
    fs::write(models.path.join("faceplugin512.onnx"), nonsense).unwrap();
    let digest: String = Sha256::digest(nonsense).iter().map(|byte| format!("{byte:02x}")).collect();
    models.edit("faceplugin512", "af148786d6efbb2720adff4c974de880c081514551f80069d96a07e67497b8f7", &digest);
    assert!(matches!(models.embedder("faceplugin512"), Err(LoadError::Session { .. })));
}

#[test]
fn an_answer_of_another_length_than_promised_is_an_error() {
    let models = Models::copies(&["faceplugin512"]);
    models.edit("faceplugin512", "dimension: 512", "dimension: 128");
    let mut embedder = models.embedder("faceplugin512").unwrap();
    let message = embedder.embed_aligned(&image::RgbImage::new(112, 112)).unwrap_err().to_string();
    assert!(message.contains("512 numbers instead of the 128"), "{message}");
}

#[test]
fn anybody_s_arcface_works_from_a_manifest_alone() {
    let models = Models::copies(&["faceplugin512"]);
    fs::rename(models.path.join("faceplugin512.onnx"), models.path.join("buffalo.onnx")).unwrap();
    fs::write(
        models.path.join("my-arcface.yaml"),
        "schema: 1\n\
         name: my-arcface\n\
         role: embedder\n\
         file: buffalo.onnx\n\
         sha256: af148786d6efbb2720adff4c974de880c081514551f80069d96a07e67497b8f7\n\
         licence: my own\n\
         input:\n\
        \x20 name: input\n\
        \x20 layout: nchw\n\
        \x20 colour: rgb\n\
        \x20 size: [112, 112]\n\
        \x20 mean: 127.5\n\
        \x20 scale: 127.5\n\
         embedder:\n\
        \x20 output: output\n\
        \x20 dimension: 512\n\
        \x20 l2_normalise: true\n\
        \x20 metric: cosine\n\
        \x20 alignment: [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]]\n\
        \x20 threshold: 0.6\n",
    )
    .unwrap();
    let mut embedder = models.embedder("my-arcface").unwrap();
    let mut face = image::RgbImage::from_pixel(112, 112, image::Rgb([90, 120, 150]));
    facewarden::vision::draw::dot(&mut face, facewarden::domain::Point::new(50.0, 60.0), 30, [200, 150, 120]);
    let embedding = embedder.embed_aligned(&face).unwrap();
    assert_eq!((embedder.name(), embedding.values().len()), ("my-arcface", 512));
    let length: f32 = embedding.values().iter().map(|v| v * v).sum();
    assert!((length - 1.0).abs() < 1e-4);
    // Fed differently, the same weights are another model: their embeddings must never be compared.
    let committed = Models::copies(&["faceplugin512"]).embedder("faceplugin512").unwrap();
    assert_ne!(embedder.digest(), committed.digest());
}
