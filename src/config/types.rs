//! The settings as types. Field docs become the documentation and the JSON Schema; defaults are written once,
//! here. Units are in the names. Numbers are only plausible after [`check()`](crate::config::check()) has seen them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::enrolment::Enrolment;
use super::events::Events;
use super::http::Http;
use super::people::People;
use super::speed::Speed;
use super::watch::Watch;
use crate::domain::{CameraId, Threshold};

/// The version of the configuration file's format that this program reads.
pub const CONFIG_SCHEMA: u32 = 1;

/// The whole configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this file's format: 1.
    pub schema: u32,
    /// What to watch, 1 to 16 cameras. Each decides on its own; all share the models and the gallery.
    pub cameras: Vec<Camera>,
    /// Which models to use.
    #[serde(default)]
    pub models: Models,
    /// How faces are found.
    #[serde(default)]
    pub detection: Detection,
    /// How faces are followed from frame to frame.
    #[serde(default)]
    pub tracking: Tracking,
    /// Which pictures of a face are good enough to be looked at.
    #[serde(default)]
    pub quality: Quality,
    /// Photo or face.
    #[serde(default)]
    pub liveness: Liveness,
    /// When somebody counts as verified.
    #[serde(default)]
    pub decision: Decision,
    /// Where enrolled people are kept.
    #[serde(default)]
    pub gallery: Gallery,
    /// What is kept of whoever is enrolled at the daemon.
    #[serde(default)]
    pub enrolment: Enrolment,
    /// What holds for everybody who is enrolled.
    #[serde(default)]
    pub people: People,
    /// Who is told.
    #[serde(default)]
    pub events: Events,
    /// What is kept to look into decisions afterwards.
    #[serde(default)]
    pub debug: Debug,
    /// Who may ask the running daemon something.
    #[serde(default)]
    pub control: Control,
    /// The HTTP server.
    #[serde(default)]
    pub http: Http,
}

impl Config {
    /// The same settings once for each camera, with that camera alone.
    pub fn one_by_one(&self) -> impl Iterator<Item = Self> + '_ {
        self.cameras.iter().map(|camera| self.alone(camera))
    }

    /// The same settings with that camera alone; `None` if there is none of that name.
    #[must_use]
    pub fn of_camera(&self, camera: &CameraId) -> Option<Self> {
        self.cameras.iter().find(|own| own.id == *camera).map(|own| self.alone(own))
    }

    fn alone(&self, camera: &Camera) -> Self {
        Self { cameras: vec![camera.clone()], ..self.clone() }
    }

    /// Whether events are kept on disk: for a sink that must miss none, or for those who read them over HTTP.
    #[must_use]
    pub fn needs_outbox(&self) -> bool {
        self.events.needs_outbox() || self.http.listen.is_some()
    }

    /// One camera, and every other setting at its default.
    #[must_use]
    pub fn new(camera: Camera) -> Self {
        Self {
            schema: CONFIG_SCHEMA,
            cameras: vec![camera],
            models: Models::default(),
            detection: Detection::default(),
            tracking: Tracking::default(),
            quality: Quality::default(),
            liveness: Liveness::default(),
            decision: Decision::default(),
            gallery: Gallery::default(),
            enrolment: Enrolment::default(),
            people: People::default(),
            events: Events::default(),
            debug: Debug::default(),
            control: Control::default(),
            http: Http::default(),
        }
    }
}

/// One camera, or something that stands in for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// The name that events carry.
    pub id: CameraId,
    /// A device (`/dev/video0`, better its `/dev/v4l/by-id/...` link), a folder of pictures, an MJPEG `.avi`
    /// file, or any file or URL that the `ffmpeg` command can read.
    pub source: String,
    /// How to read it. `auto` goes by what `source` is.
    #[serde(default)]
    pub driver: Driver,
    /// Pixels across to ask a device for.
    #[serde(default = "Camera::default_width")]
    pub width: u32,
    /// Pixels down to ask a device for.
    #[serde(default = "Camera::default_height")]
    pub height: u32,
    /// Frames a second to ask a device for; the rate at which a folder of pictures is played.
    #[serde(default = "Camera::default_fps")]
    pub fps: f64,
    /// Pixel format to ask a device for; `auto` takes the first it has of mjpg, nv12, yuyv, grey.
    #[serde(default)]
    pub format: PixelFormat,
    /// A device that gives no frame for so long counts as lost, and is opened again. For its first frame it has 5
    /// seconds before that, or this if it is longer; a stream from the network has 15 seconds.
    #[serde(default = "Camera::default_read_timeout_ms")]
    pub read_timeout_ms: u64,
    /// `real`: a file is played at its own rate and late frames are skipped, as with a camera. `max`: every
    /// frame is processed, as fast as possible. A number: so many times as fast, and late frames are skipped.
    #[serde(default)]
    pub speed: Speed,
    /// How many times a file or folder is played.
    #[serde(default = "Camera::default_loops")]
    pub loops: u32,
    /// `decision.false_match_rate` for this camera alone. Left out: that.
    #[serde(default)]
    pub false_match_rate: Option<f64>,
    /// What is done when the camera is frozen, covered, blinded or moved. Left out: the defaults below for a camera,
    /// and nothing for recordings, which may show the same picture for as long as they like.
    #[serde(default)]
    pub watch: Option<Watch>,
    /// Controls of a device that are set whenever it is opened, by the names and values that
    /// `facewarden devices --controls` shows. One that it does not have is reported, and the camera works without.
    #[serde(default)]
    pub controls: BTreeMap<String, ControlValue>,
}

impl Camera {
    fn default_width() -> u32 {
        1280
    }
    fn default_height() -> u32 {
        720
    }
    fn default_fps() -> f64 {
        30.0
    }
    fn default_read_timeout_ms() -> u64 {
        1500
    }
    fn default_loops() -> u32 {
        1
    }

    /// A camera with every setting at its default.
    #[must_use]
    pub fn new(id: CameraId, source: String) -> Self {
        Self {
            id,
            source,
            driver: Driver::Auto,
            width: Self::default_width(),
            height: Self::default_height(),
            fps: Self::default_fps(),
            format: PixelFormat::Auto,
            read_timeout_ms: Self::default_read_timeout_ms(),
            speed: Speed::Real,
            loops: Self::default_loops(),
            false_match_rate: None,
            watch: None,
            controls: BTreeMap::new(),
        }
    }
}

/// What a control of a camera is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ControlValue {
    /// On or off.
    Switch(bool),
    /// A number, or the number of a choice.
    Number(i64),
    /// A choice by its name: `50_hz`.
    Choice(String),
}

impl fmt::Display for ControlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(is_on) => is_on.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Choice(name) => name.fmt(f),
        }
    }
}

/// How a camera's source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// By what the source is: a device, a folder, an `.avi` with MJPEG, else ffmpeg.
    #[default]
    Auto,
    /// A Linux camera.
    V4l2,
    /// A camera by the portable nokhwa library. For laptops and trials; never for a door.
    Nokhwa,
    /// A folder of pictures in the order of their names.
    Folder,
    /// An AVI file with MJPEG video.
    Avi,
    /// Whatever the `ffmpeg` command reads: files, RTSP, HTTP.
    Ffmpeg,
}

/// How a device packs its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PixelFormat {
    /// The first that the device has of mjpg, nv12, yuyv, grey.
    #[default]
    Auto,
    /// JPEG frames.
    Mjpg,
    /// 4:2:2, packed.
    Yuyv,
    /// 4:2:0, two planes.
    Nv12,
    /// 8-bit luma.
    Grey,
}

/// Which models to use, and where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// Folder with model files and their manifests. Left out: the `FACEWARDEN_MODELS` variable, `models/` beside
    /// the program, `/usr/lib/facewarden/models`, or the `models/` folder of a checkout, whichever comes first.
    pub folder: Option<PathBuf>,
    /// Finds faces: `centerface`, `ultralight`, or any detector with a manifest.
    pub detector: String,
    /// Turns a face into numbers: `faceplugin512` or any embedder with a manifest.
    pub embedder: String,
    /// Tells a face from a picture of one.
    pub liveness: String,
    /// The ONNX Runtime library. Left out: searched for as the README says.
    pub runtime_library: Option<PathBuf>,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            folder: None,
            detector: "centerface".into(),
            embedder: "faceplugin512".into(),
            liveness: "liveness".into(),
            runtime_library: None,
        }
    }
}

/// How faces are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Detection {
    /// The longer side, in pixels, that a frame is scaled down to for the detector. Larger finds smaller faces
    /// and costs more: twice the side is four times the time. Left out: what the model's manifest says.
    pub max_side_px: Option<u32>,
    /// Detector scores below this are not faces, 0..=1. Left out: what the model's manifest says.
    pub min_score: Option<f32>,
    /// The detector runs at most so often a second.
    pub max_fps: f64,
    /// While nobody is there and nothing moves it runs only so often a second. As high as `max_fps`: never less.
    pub idle_fps: f64,
    /// That is so once nobody was there for so long.
    pub idle_after_ms: u64,
}

impl Default for Detection {
    fn default() -> Self {
        Self { max_side_px: None, min_score: None, max_fps: 30.0, idle_fps: 3.0, idle_after_ms: 5000 }
    }
}

/// How faces are followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tracking {
    /// A face counts from so many detections on.
    pub confirm_after: u32,
    /// A face not seen for so long has left.
    pub max_missed_ms: u64,
    /// Two boxes belong to one face from this overlap (intersection over union) on, 0..=1.
    pub min_iou: f32,
}

impl Default for Tracking {
    fn default() -> Self {
        Self { confirm_after: 2, max_missed_ms: 700, min_iou: 0.25 }
    }
}

/// Which pictures of a face are good enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// Narrower faces are not looked at. Below 24 pixels recognition falls apart.
    pub min_width_px: f32,
    /// Less sharp faces are not looked at; 0 switches the gate off. See `facewarden compare --json`.
    pub min_sharpness: f32,
    /// Darker faces are not looked at: mean luma, 0..=255.
    pub min_luma: f32,
    /// Brighter faces are not looked at: mean luma, 0..=255.
    pub max_luma: f32,
    /// Faces more washed out are not looked at: standard deviation of luma over its mean.
    pub min_contrast: f32,
    /// Faces turned further away are not looked at: 1 is facing the camera, 0 is profile.
    pub min_frontality: f32,
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            min_width_px: 40.0,
            min_sharpness: 0.05,
            min_luma: 6.0,
            max_luma: 235.0,
            min_contrast: 0.1,
            min_frontality: 0.35,
        }
    }
}

/// Photo or face. A deterrent: what it stops and what it does not is in docs/liveness.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Liveness {
    /// `enforce`: nobody is verified without passing the passive checks. `challenge`: nobody is without also doing
    /// what they are asked. `report`: judged and shown, decides nothing. `off`: not judged.
    pub mode: LivenessMode,
    /// The mean over a track's window that counts as live, 0..=1 (inclusive).
    pub min_mean: f32,
    /// The mean is taken over at least so many looks...
    pub min_looks: u32,
    /// ... that span at least so long: a replay has runs of frames that pass.
    pub min_span_ms: u64,
    /// Whether a face with a screen's or paper's edge moving along is refused.
    pub screen_edges: bool,
    /// Whether a face lit like a bright screen is refused.
    pub overexposure: bool,
    /// A face of which more than this part is white counts as lit like a screen, 0..=1.
    pub max_overexposed: f32,
    /// After so many visitors in a row were taken for pictures, nobody is verified for a while.
    pub max_failed: u32,
    /// How long that lasts, and how far apart the failures may lie.
    pub lockout_ms: u64,
    /// True if nobody may be verified before `facewarden liveness-test` was passed at this camera.
    pub require_self_test: bool,
    /// Where its result is kept.
    pub self_test_file: PathBuf,
    /// The self-test is passed only if at most this share of attacks of the worst kind was taken for live, 0..=1.
    pub max_apcer: f64,
    /// The self-test is passed only if at most this share of live people was not taken for live, 0..=1.
    pub max_bpcer: f64,
    /// How the active challenge is put.
    pub challenge: Challenge,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            mode: LivenessMode::Enforce,
            min_mean: 0.5,
            min_looks: 8,
            min_span_ms: 700,
            screen_edges: true,
            overexposure: true,
            max_overexposed: 0.2,
            max_failed: 3,
            lockout_ms: 30_000,
            require_self_test: false,
            self_test_file: "/var/lib/facewarden/liveness-test.json".into(),
            max_apcer: 0.2,
            max_bpcer: 0.4,
            challenge: Challenge::default(),
        }
    }
}

/// How the active challenge is put.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Challenge {
    /// So many movements are asked for.
    pub steps: u32,
    /// Each must be complete within this.
    pub step_timeout_ms: u64,
    /// The shortest pause before each...
    pub pause_min_ms: u64,
    /// ... and the longest.
    pub pause_max_ms: u64,
    /// Whether looking up may be asked for. The five points of centerface hardly follow it; ultralight's do.
    pub look_up: bool,
    /// Whether the passive model must be passed as well.
    pub with_passive: bool,
}

impl Default for Challenge {
    fn default() -> Self {
        Self {
            steps: 3,
            step_timeout_ms: 3000,
            pause_min_ms: 500,
            pause_max_ms: 3500,
            look_up: false,
            with_passive: true,
        }
    }
}

/// What liveness counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LivenessMode {
    /// Nobody is verified without it.
    #[default]
    Enforce,
    /// Nobody is verified without doing what they are asked, beside it.
    Challenge,
    /// Judged and shown; decides nothing.
    Report,
    /// Not judged.
    Off,
}

impl LivenessMode {
    /// The name as in the file and in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Challenge => "challenge",
            Self::Report => "report",
            Self::Off => "off",
        }
    }
}

/// When somebody counts as verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decision {
    /// Of all visits by strangers, the share that may end with one being taken for somebody enrolled, above 0 and
    /// below 1. The similarity needed follows from it, from the model's calibration, and from how many people are
    /// enrolled.
    pub false_match_rate: f64,
    /// Whether a rate is accepted that the calibration's data cannot support by itself.
    pub allow_extrapolation: bool,
    /// How many visits by strangers there are on a day, to say how many false grants a month are to be expected.
    pub stranger_visits_per_day: f64,
    /// Similarity needed, -1..=1, instead of what follows from `false_match_rate`.
    pub min_similarity: Option<Threshold>,
    /// The best person must be ahead of the second best by this much.
    pub min_margin: f32,
    /// At least so many good looks of one track.
    pub min_looks: u32,
    /// Only looks of the last so many milliseconds count.
    pub window_ms: u64,
    /// A track that has not been verified after so long (from its first good look) is unknown or rejected.
    pub give_up_after_ms: u64,
    /// A verified person is not announced again for so long after they were last seen.
    pub cooldown_ms: u64,
    /// An event is good for so long after the frame it rests on was taken; a later decision is not a grant.
    pub grant_valid_ms: u64,
    /// What to do when several faces are in view.
    pub several_faces: SeveralFaces,
    /// True to grant nothing and only tell what would have been granted, as `match.shadow`.
    pub shadow: bool,
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            false_match_rate: 1e-4,
            allow_extrapolation: false,
            stranger_visits_per_day: 20.0,
            min_similarity: None,
            min_margin: 0.05,
            min_looks: 2,
            window_ms: 2000,
            give_up_after_ms: 4000,
            cooldown_ms: 10_000,
            grant_valid_ms: 2000,
            several_faces: SeveralFaces::Each,
            shadow: false,
        }
    }
}

/// What to do when several faces are in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeveralFaces {
    /// Each is decided about on its own.
    #[default]
    Each,
    /// Only the largest face may be verified.
    Largest,
    /// Nobody is verified while another face of about the same size is there (tailgating).
    Refuse,
}

/// Where enrolled people are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gallery {
    /// One file a person is in there.
    pub folder: PathBuf,
    /// The file with the key that they are encrypted with; without it nobody can be read. `null`: beside the folder, called
    /// as it with `.key` at its end. A name without a folder is a credential of the service.
    pub key: Option<PathBuf>,
    /// How often the folder is checked for changes.
    pub reload_every_ms: u64,
}

impl Default for Gallery {
    fn default() -> Self {
        Self { folder: "/var/lib/facewarden/enrolled".into(), key: None, reload_every_ms: 1000 }
    }
}

/// What is kept to look into decisions afterwards. Off by default: it is pictures of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Debug {
    /// True to keep the frames that led up to each decision, for `facewarden replay`.
    pub record: bool,
    /// One folder a decision is in there.
    pub folder: PathBuf,
    /// They are deleted after so long...
    pub keep_hours: u32,
    /// ... or earlier, the oldest first, when all of them together take more than this (millions of bytes).
    pub max_mb: u32,
    /// Frames taken up to so long before a decision are kept with it.
    pub seconds_before: u32,
}

impl Default for Debug {
    fn default() -> Self {
        Self {
            record: false,
            folder: "/var/lib/facewarden/debug".into(),
            keep_hours: 24,
            max_mb: 500,
            seconds_before: 10,
        }
    }
}
