//! What the result of a self-test holds for. If any of it changes, the test is to be made again.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::super::engine::model_failure;
use super::super::exit::{Exit, Failure, OrExit};
use super::super::terms::passive_checks;
use crate::config::{self, Config, Manifest, Role};
use crate::inference::ModelFolders;

/// Raised whenever the rules of liveness change in a way that makes older tests worthless.
const RULES: u32 = 1;

/// All that decides whether a face is taken for live. The limits that a test has to keep are no part of it: they are
/// held against the numbers anew each time.
#[derive(Debug, Serialize)]
struct Subject<'a> {
    rules: u32,
    camera: &'a str,
    source: &'a str,
    driver: config::Driver,
    width: u32,
    height: u32,
    fps: f64,
    format: config::PixelFormat,
    detector: String,
    /// What gives the detector its points, if it gives none itself.
    landmarks: Option<String>,
    liveness_model: String,
    detection: &'a config::Detection,
    tracking: &'a config::Tracking,
    quality: &'a config::Quality,
    window_ms: u64,
    give_up_after_ms: u64,
    decision_min_looks: u32,
    /// `None` where the model is not asked.
    min_mean: Option<f32>,
    min_looks: u32,
    min_span_ms: u64,
    screen_edges: bool,
    overexposure: bool,
    max_overexposed: f32,
}

/// SHA-256 over camera, models and settings, as 64 lower-case hexadecimal digits.
///
/// # Errors
/// If a manifest cannot be read.
pub(super) fn fingerprint(config: &Config) -> Result<String, Failure> {
    let camera =
        config.cameras.first().ok_or_else(|| Failure::new(Exit::Config, "no camera is configured"))?;
    let folders = ModelFolders::or_usual(config.models.folder.clone());
    let manifest = |name: &str| -> Result<Manifest, Failure> {
        folders.manifest(name).map(|(_, manifest)| manifest).map_err(model_failure)
    };
    let detector = manifest(&config.models.detector)?;
    let landmarks = match &detector.role {
        Role::Detector(spec) => spec.landmarks.as_deref().map(manifest).transpose()?,
        _ => None,
    };
    let checks = passive_checks(&config.liveness, true);
    let subject = Subject {
        rules: RULES,
        camera: camera.id.as_str(),
        source: &camera.source,
        driver: camera.driver,
        width: camera.width,
        height: camera.height,
        fps: camera.fps,
        format: camera.format,
        detector: digest(&detector),
        landmarks: landmarks.as_ref().map(digest),
        liveness_model: digest(&manifest(&config.models.liveness)?),
        detection: &config.detection,
        tracking: &config.tracking,
        quality: &config.quality,
        window_ms: config.decision.window_ms,
        give_up_after_ms: config.decision.give_up_after_ms,
        decision_min_looks: config.decision.min_looks,
        min_mean: checks.min_mean,
        min_looks: checks.min_looks,
        min_span_ms: config.liveness.min_span_ms,
        screen_edges: checks.refuses_edges,
        overexposure: checks.refuses_overexposed,
        max_overexposed: config.liveness.max_overexposed,
    };
    let bytes = serde_json::to_vec(&subject).or_exit(Exit::Internal)?;
    Ok(hex(&bytes))
}

/// Digest of a model file, of how it is fed, and of how its answer is read.
fn digest(manifest: &Manifest) -> String {
    let mut bytes = manifest.digest_input();
    bytes.extend(format!("{:?}", manifest.role).into_bytes());
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Camera, Driver, LivenessMode, PixelFormat, Speed};
    use crate::domain::CameraId;
    use std::collections::BTreeSet;

    fn door() -> Config {
        Config::new(Camera::new(CameraId::new("door").unwrap(), "/dev/video0".to_owned()))
    }

    fn after(change: impl FnOnce(&mut Config)) -> String {
        let mut config = door();
        change(&mut config);
        fingerprint(&config).unwrap()
    }

    #[test]
    fn it_changes_with_everything_that_decides() {
        let changed = [
            after(|_| ()),
            after(|c| c.cameras[0].id = CameraId::new("gate").unwrap()),
            after(|c| c.cameras[0].source = "/dev/video1".to_owned()),
            after(|c| c.cameras[0].driver = Driver::Nokhwa),
            after(|c| c.cameras[0].width = 640),
            after(|c| c.cameras[0].height = 480),
            after(|c| c.cameras[0].fps = 15.0),
            after(|c| c.cameras[0].format = PixelFormat::Yuyv),
            after(|c| c.models.detector = "ultralight".to_owned()),
            after(|c| c.detection.max_side_px = Some(320)),
            after(|c| c.detection.min_score = Some(0.9)),
            after(|c| c.detection.max_fps = 10.0),
            after(|c| c.tracking.confirm_after = 3),
            after(|c| c.tracking.max_missed_ms = 100),
            after(|c| c.tracking.min_iou = 0.3),
            after(|c| c.quality.min_width_px = 80.0),
            after(|c| c.quality.min_sharpness = 0.1),
            after(|c| c.decision.window_ms += 1),
            after(|c| c.decision.give_up_after_ms += 1),
            after(|c| c.decision.min_looks += 1),
            after(|c| c.liveness.min_mean = 0.6),
            after(|c| c.liveness.min_looks = 9),
            after(|c| c.liveness.min_span_ms = 800),
            after(|c| c.liveness.screen_edges = false),
            after(|c| c.liveness.overexposure = false),
            after(|c| c.liveness.max_overexposed = 0.3),
            after(|c| {
                c.liveness.mode = LivenessMode::Challenge;
                c.liveness.challenge.with_passive = false;
            }),
        ];
        assert_eq!(changed.iter().collect::<BTreeSet<_>>().len(), changed.len());
        assert!(changed.iter().all(|f| f.len() == 64 && f.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn it_stays_where_liveness_does_not_depend_on_it() {
        let same = after(|_| ());
        for other in [
            after(|c| c.liveness.mode = LivenessMode::Report),
            after(|c| c.liveness.mode = LivenessMode::Challenge),
            after(|c| c.liveness.max_apcer = 0.01),
            after(|c| c.liveness.max_failed = 1),
            after(|c| c.decision.false_match_rate = 1e-5),
            after(|c| c.cameras[0].speed = Speed::Max),
            after(|c| c.gallery.folder = "/elsewhere".into()),
        ] {
            assert_eq!(other, same);
        }
    }

    #[test]
    fn another_model_or_another_reading_of_it_is_another_subject() {
        let folders = ModelFolders::usual();
        let (_, manifest) = folders.manifest("centerface").unwrap();
        let mut other = manifest.clone();
        other.sha256 = "0".repeat(64);
        assert_ne!(digest(&other), digest(&manifest));
        let mut other = manifest.clone();
        let Role::Detector(spec) = &mut other.role else { panic!() };
        spec.score_threshold += 0.1;
        assert_ne!(digest(&other), digest(&manifest));
        let noted = Manifest { notes: Some("x".to_owned()), ..manifest.clone() };
        assert_eq!(digest(&noted), digest(&manifest));
    }
}
