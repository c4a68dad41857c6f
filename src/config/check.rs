//! What a configuration says that cannot be, or should be thought about twice. All of it at once, by the keys
//! it concerns; where they stand in a file is added by the caller.

use std::collections::HashSet;
use std::fmt::{self, Display};

use super::check_camera;
use super::check_debug::debug;
use super::check_decision::{decision, liveness, looks_fit_into_window};
use super::check_events::events;
use super::check_watch::watch;
use super::control::control;
use super::diagnostic::Severity;
use super::enrolment::enrolment;
use super::http::http;
use super::people::people;
use super::speed::Speed;
use super::types::{CONFIG_SCHEMA, Camera, Config, Detection, Quality, Tracking};

/// The cameras of one daemon share one detector, which does some 80 pictures a second on one core: with more cameras
/// than this each would be looked at less than five times a second.
const MAX_CAMERAS: usize = 16;

/// One thing to say about a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the configuration can be used in spite of it.
    pub severity: Severity,
    /// The key it concerns: `decision.min_margin`, `cameras[0].fps`.
    pub key: String,
    /// The other key of a pair that does not go together.
    pub other_key: Option<String>,
    /// What is wrong: one line, names the key.
    pub message: String,
    /// What would be right: one line.
    pub help: String,
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.help)
    }
}

/// Findings as they come up.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.0
    }

    pub(super) fn error(&mut self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, (key, None), message, help);
    }

    /// An error of two settings that do not go together.
    pub(super) fn pair(
        &mut self,
        (key, other): (&str, &str),
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, (key, Some(other.to_owned())), message, help);
    }

    fn add(
        &mut self,
        severity: Severity,
        (key, other_key): (&str, Option<String>),
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (key, message, help) = (key.to_owned(), message.into(), help.into());
        self.0.push(Finding { severity, key, other_key, message, help });
    }

    pub(super) fn warning(&mut self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, (key, None), message, help);
    }

    /// An error unless `value` is from `least` to `most`; NaN is not. True if it is.
    pub(super) fn range<T: PartialOrd + Display>(
        &mut self,
        key: &str,
        value: T,
        (least, most): (T, T),
    ) -> bool {
        let fits = value >= least && value <= most;
        if !fits {
            self.error(
                key,
                format!("`{key}` cannot be {value}"),
                format!("write a number from {least} to {most}"),
            );
        }
        fits
    }
}

/// The longest time that any setting can name: a day.
pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// All that is to be said about `config`. To be asked again after settings were changed from elsewhere, such as
/// the command line. Without [`Severity::Error`] among the answers it can be used.
#[must_use]
pub fn check(config: &Config) -> Vec<Finding> {
    let mut found = Findings::default();
    if config.schema != CONFIG_SCHEMA {
        found.error(
            "schema",
            format!("`schema` cannot be {}", config.schema),
            format!("this version of Facewarden reads files with `schema: {CONFIG_SCHEMA}`"),
        );
    }
    cameras(&config.cameras, &mut found);
    for (at, camera) in config.cameras.iter().enumerate() {
        check_camera::camera(config, at, camera, &mut found);
    }
    models(config, &mut found);
    detection(&config.detection, &mut found);
    tracking(&config.tracking, &mut found);
    quality(&config.quality, &mut found);
    liveness(config, &mut found);
    decision(&config.decision, &mut found);
    looks_fit_into_window(config, &mut found);
    if config.gallery.folder.as_os_str().is_empty() {
        found.error(
            "gallery.folder",
            "`gallery.folder` is empty",
            "name a folder, such as /var/lib/facewarden/enrolled",
        );
    }
    found.range("gallery.reload_every_ms", config.gallery.reload_every_ms, (100, DAY_MS));
    enrolment(config, &mut found);
    people(&config.people, &mut found);
    events(&config.events, &mut found);
    debug(config, &mut found);
    control(&config.control, &mut found);
    http(&config.http, &mut found);
    found.into_vec()
}

fn cameras(cameras: &[Camera], found: &mut Findings) {
    if cameras.is_empty() {
        found.error("cameras", "`cameras` is empty", "add one camera with `id` and `source`");
    }
    if cameras.len() > MAX_CAMERAS {
        found.error(
            "cameras",
            format!("{} cameras are given, and one daemon watches at most {MAX_CAMERAS}", cameras.len()),
            "run another instance with a file of its own for the others",
        );
    }
    let (mut ids, mut sources) = (HashSet::new(), HashSet::new());
    for (at, one) in cameras.iter().enumerate() {
        if !ids.insert(&one.id) {
            found.error(
                &format!("cameras[{at}].id"),
                format!("two cameras are called `{}`", one.id),
                "events name the camera: give each an `id` of its own",
            );
        }
        // A file can be read twice, a device cannot.
        if one.source.starts_with("/dev/") && !sources.insert(&one.source) {
            found.error(
                &format!("cameras[{at}].source"),
                format!("two cameras are at `{}`", one.source),
                "a device gives its pictures to one: write each device once",
            );
        }
        camera(at, one, found);
    }
}

fn camera(at: usize, camera: &Camera, found: &mut Findings) {
    let key = |name: &str| format!("cameras[{at}].{name}");
    let source = key("source");
    if camera.source.trim().is_empty() {
        found.error(
            &source,
            format!("`{source}` is empty"),
            "name a device such as /dev/video0, a folder, a file or a URL",
        );
    } else if camera.source.contains('\0') {
        found.error(&source, format!("`{source}` has a zero byte in it"), "no path or URL has one");
    }
    found.range(&key("width"), camera.width, (64, 8192));
    found.range(&key("height"), camera.height, (64, 8192));
    found.range(&key("fps"), camera.fps, (0.1, 240.0));
    found.range(&key("read_timeout_ms"), camera.read_timeout_ms, (100, 600_000));
    if let Some(rate) = camera.false_match_rate {
        super::check_decision::rate(&key("false_match_rate"), rate, found);
    }
    if let Speed::Times(times) = camera.speed {
        found.range(&key("speed"), times, (0.1, 100.0));
    }
    if let Some(settings) = &camera.watch {
        watch(settings, |name| key(&format!("watch.{name}")), found);
    }
    if camera.loops == 0 {
        found.error(&key("loops"), format!("`{}` cannot be 0", key("loops")), "1 plays the source once");
    }
}

fn models(config: &Config, found: &mut Findings) {
    let models = &config.models;
    for (key, name) in [
        ("models.detector", &models.detector),
        ("models.embedder", &models.embedder),
        ("models.liveness", &models.liveness),
    ] {
        if name.trim().is_empty() {
            found.error(
                key,
                format!("`{key}` is empty"),
                "name a model, or leave the line out for the default",
            );
        } else if name.contains(['/', '\\', '\0']) {
            let help = "write the model's name alone, as in its manifest, and its folder as `models.folder`";
            found.error(key, format!("`{key}` cannot be a path"), help);
        } else if let Some((name, _)) = [".onnx", ".yaml"].iter().find_map(|end| name.split_once(end)) {
            found.error(key, format!("`{key}` is a name, not a file"), format!("write `{name}`"));
        }
    }
    for (key, path) in
        [("models.folder", &models.folder), ("models.runtime_library", &models.runtime_library)]
    {
        if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            found.error(key, format!("`{key}` is empty"), "write a path, or leave the line out");
        }
    }
}

fn detection(detection: &Detection, found: &mut Findings) {
    if let Some(side) = detection.max_side_px {
        found.range("detection.max_side_px", side, (32, 2048));
    }
    if let Some(score) = detection.min_score
        && found.range("detection.min_score", score, (0.0, 1.0))
        && score < 0.2
    {
        found.warning(
            "detection.min_score",
            format!("`detection.min_score` of {score} takes many things for faces"),
            "0.5 is usual",
        );
    }
    found.range("detection.max_fps", detection.max_fps, (0.1, 240.0));
    found.range("detection.idle_fps", detection.idle_fps, (0.1, 240.0));
    // Shorter than somebody may be missed for, it would rest while they are there.
    found.range("detection.idle_after_ms", detection.idle_after_ms, (500, DAY_MS));
}

fn tracking(tracking: &Tracking, found: &mut Findings) {
    found.range("tracking.confirm_after", tracking.confirm_after, (1, 100));
    found.range("tracking.max_missed_ms", tracking.max_missed_ms, (1, 60_000));
    found.range("tracking.min_iou", tracking.min_iou, (0.01, 1.0));
}

fn quality(quality: &Quality, found: &mut Findings) {
    if found.range("quality.min_width_px", quality.min_width_px, (0.0, 4096.0)) && quality.min_width_px < 24.0
    {
        found.warning(
            "quality.min_width_px",
            format!(
                "`quality.min_width_px` of {} lets in faces too small to tell apart",
                quality.min_width_px
            ),
            "24 pixels is the least that works, 40 is the default",
        );
    }
    found.range("quality.min_sharpness", quality.min_sharpness, (0.0, 1000.0));
    let luma = found.range("quality.min_luma", quality.min_luma, (0.0, 255.0));
    if found.range("quality.max_luma", quality.max_luma, (0.0, 255.0))
        && luma
        && quality.min_luma >= quality.max_luma
    {
        found.pair(
            ("quality.max_luma", "quality.min_luma"),
            format!(
                "no face is lighter than `quality.min_luma` {} and darker than `quality.max_luma` {}",
                quality.min_luma, quality.max_luma
            ),
            "make max_luma the larger of the two",
        );
    }
    found.range("quality.min_contrast", quality.min_contrast, (0.0, 10.0));
    found.range("quality.min_frontality", quality.min_frontality, (0.0, 1.0));
}
