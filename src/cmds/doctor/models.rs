//! ONNX Runtime and the models: whether each can be loaded and is the file that its manifest describes.

use super::finding::{Findings, State};
use crate::config::{Config, LivenessMode};
use crate::domain::ModelDigest;
use crate::inference::{
    DetectorOptions, Embedder as _, LoadError, ModelFolders, OrtDetector, OrtEmbedder, OrtLiveness,
    runtime_library, start_runtime,
};

const RUNTIME: &str = "runtime";
const CHECK: &str = "models";

/// Loads the runtime and every model that the settings name. Gives back the embedder's digest, where it can be loaded.
pub(super) fn examine(config: &Config) -> (Findings, Option<ModelDigest>) {
    let mut found = Findings::default();
    let library = config.models.runtime_library.as_deref();
    if let Err(error) = start_runtime(library) {
        found.say(RUNTIME, State::Fail, error);
        found.fail(CHECK, "nothing can be loaded without it", "see above");
        return (found, None);
    }
    found.ok(RUNTIME, format_args!("ONNX Runtime from {}", runtime_library(library).display()));
    let folders = ModelFolders::or_usual(config.models.folder.clone());
    let options =
        DetectorOptions { max_side_px: config.detection.max_side_px, min_score: config.detection.min_score };
    let detector = OrtDetector::load(&folders, &config.models.detector, options);
    say(&mut found, "finds faces", detector.map(|model| (model.name().to_owned(), model.digest())));
    let embedder = OrtEmbedder::load(&folders, &config.models.embedder);
    let embedder = embedder.map(|model| (model.name().to_owned(), model.digest()));
    let digest = embedder.as_ref().ok().map(|(_, digest)| *digest);
    say(&mut found, "turns faces into numbers", embedder);
    if config.liveness.mode != LivenessMode::Off {
        let liveness = OrtLiveness::load(&folders, &config.models.liveness);
        say(
            &mut found,
            "tells faces from pictures",
            liveness.map(|model| (model.name().to_owned(), model.digest())),
        );
    }
    (found, digest)
}

fn say(found: &mut Findings, does: &str, loaded: Result<(String, ModelDigest), LoadError>) {
    match loaded {
        Ok((name, digest)) => found.ok(CHECK, format_args!("{name} {does} ({})", digest.short())),
        Err(error) => found.say(CHECK, State::Fail, error),
    }
}
