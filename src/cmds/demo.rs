//! `facewarden demo`: the whole product on sample people, in half a minute, without a camera.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clip::{ClipOptions, DemoStory, demo_scenes, frame_count, jpeg, render_demo};
use super::daemon::{self, Extras};
use super::engine::{Engine, ModelArgs};
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::gallery::store_failure;
use crate::camera::avi_write::AviWriter;
use crate::camera::devices;
use crate::clock::{Clock, SystemClock, WallTime};
use crate::config::{Camera, Config, LivenessMode};
use crate::domain::{CameraId, Event, EventKind, PersonId};
use crate::inference::{Detector, Embedder};
use crate::sinks::{Sink, SinkError};
use crate::store::{Store, Template};
use crate::sys::signals::{self, Shutdown};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Watch this camera (with the sample people enrolled) instead of the clip, until Ctrl-C
    #[arg(long, value_name = "DEVICE")]
    camera: Option<String>,
    /// Do not ask whether to use a camera
    #[arg(long)]
    clip: bool,
    #[command(flatten)]
    models: ModelArgs,
}

/// Enrols the sample people, plays the clip or watches the camera, and says whether all was as it should be.
///
/// # Errors
/// If anything cannot be opened; [`Exit::No`] if the wrong people were let in.
pub fn run(args: &Args) -> Outcome {
    let folder = tempfile::tempdir().or_exit(Exit::CannotWrite)?;
    let gallery = folder.path().join("enrolled");
    tell("Facewarden demonstration. Liveness is reported and not enforced here: the people are photos.\n");

    let mut engine = Engine::load(&args.models)?;
    let story = demo_scenes(|photo| engine.detector.detect(photo)).or_exit(Exit::Internal)?;
    enrol(&mut engine, &story, &gallery)?;
    story.enrol.iter().for_each(|(name, _)| tell(&format!("enrolled  {name}\n")));
    drop(engine);

    let camera = match &args.camera {
        Some(camera) => Some(camera.clone()),
        None if args.clip => None,
        None => offered_camera(),
    };
    let source = match &camera {
        Some(camera) => camera.clone(),
        None => {
            let path = clip(&story, folder.path())?;
            tell(&format!(
                "drew a clip of {} frames: {} walks up, then a stranger, {} (generated from photos, not recorded)\n",
                frame_count(&story.scenes, ClipOptions::default()),
                story.expected,
                story.stranger
            ));
            path
        }
    };
    let shutdown = Shutdown::new();
    let _signals = signals::watch(shutdown.clone()).or_exit(Exit::Internal)?;
    let seen = Seen::default();
    let config = settings(&source, &gallery, &args.models)?;
    let extras = Extras { sinks: vec![Box::new(seen.clone())], ..Extras::default() };
    tell(if camera.is_some() {
        "\nwatching the camera; Ctrl-C ends it\n"
    } else {
        "\nplaying the clip in real time\n"
    });
    let watched = daemon::watch(&config, extras, &shutdown)?;
    let (_, stats) = watched.first().ok_or_else(|| Failure::new(Exit::Internal, "nothing was watched"))?;

    let events = seen.events();
    tell(&format!(
        "\n{} frames, {} tracks, {} embeddings; newest-frame lag p50 {} ms, p99 {} ms\n",
        stats.captured.get(),
        stats.tracks.get(),
        stats.embeddings.get(),
        stats.frame_lag.percentile_ms(50).unwrap_or(0),
        stats.frame_lag.percentile_ms(99).unwrap_or(0),
    ));
    if camera.is_some() || shutdown.is_requested() {
        return Ok(Exit::Ok);
    }
    Ok(judge(&events, &story))
}

fn tell(text: &str) {
    // A demonstration whose reader has gone is over anyway.
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Enrols the people of the story.
pub(super) fn enrol(engine: &mut Engine, story: &DemoStory, folder: &Path) -> Result<(), Failure> {
    let store = Store::open_or_create(folder).map_err(store_failure)?;
    let clock = SystemClock::new();
    for (name, photo) in &story.enrol {
        let faces = engine.faces(photo).or_exit(Exit::Internal)?;
        let face = faces.first().ok_or_else(|| Failure::new(Exit::Internal, "a sample photo has no face"))?;
        let now = clock.wall(clock.now());
        let embedding = engine.embedder.embed(photo, &face.detection).or_exit(Exit::Internal)?;
        let template = Template {
            source: Some("sample photo".to_owned()),
            ..Template::new(embedding, face.quality.score, now)
        };
        store.enrol(name, vec![template], now).map_err(store_failure)?;
    }
    Ok(())
}

/// Asks whether to use the first camera, if there is one and somebody to ask.
fn offered_camera() -> Option<String> {
    let camera = devices::list(false).ok()?.into_iter().find(|device| device.problem.is_none())?;
    let path = camera.by_id.first().unwrap_or(&camera.path).display().to_string();
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        tell(&format!(
            "there is a camera; `facewarden demo --camera {path}` watches it instead of the clip\n"
        ));
        return None;
    }
    tell(&format!("use the camera {path} instead of the clip? [y/N] "));
    drop(std::io::stdout().flush());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    answer.trim().eq_ignore_ascii_case("y").then_some(path)
}

/// Draws the clip into a file and returns its name.
pub(super) fn clip(story: &DemoStory, folder: &Path) -> Result<String, Failure> {
    let options = ClipOptions::default();
    let path = folder.join("walk-up.avi");
    let mut writer = AviWriter::create(&path, f64::from(options.fps)).or_exit(Exit::CannotWrite)?;
    for frame in render_demo(&story.scenes, options) {
        writer.write_jpeg(&jpeg(&frame).or_exit(Exit::Internal)?).or_exit(Exit::CannotWrite)?;
    }
    writer.finish().or_exit(Exit::CannotWrite)?;
    Ok(path.display().to_string())
}

fn settings(source: &str, gallery: &Path, models: &ModelArgs) -> Result<Config, Failure> {
    let mut config =
        Config::new(Camera::new(CameraId::new("demo").or_exit(Exit::Internal)?, source.to_owned()));
    config.gallery.folder = gallery.to_owned();
    config.liveness.mode = LivenessMode::Report;
    config.events.log = None;
    config.models.folder.clone_from(&models.models_dir);
    config.models.detector.clone_from(&models.detector);
    config.models.embedder.clone_from(&models.model);
    config.models.runtime_library.clone_from(&models.runtime_library);
    config.detection.max_side_px = models.detect_side;
    Ok(config)
}

/// True to the promise: the enrolled person was verified, nobody else was, and the stranger was noticed.
fn judge(events: &[Event], story: &DemoStory) -> Exit {
    let verified: Vec<(&PersonId, WallTime)> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Verified { person, detail, .. } => Some((person, detail.captured_at)),
            _ => None,
        })
        .collect();
    let refused: Vec<WallTime> = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Unknown { .. } | EventKind::Rejected { .. }))
        .filter_map(|event| event.kind.detail().map(|detail| detail.captured_at))
        .collect();
    let greeted = verified.iter().find(|(person, _)| **person == story.expected).map(|(_, at)| *at);
    let only_them = verified.iter().all(|(person, _)| **person == story.expected);
    // The stranger comes second: whoever is refused after the greeting is them.
    let stranger_noticed = greeted.is_some_and(|greeted| refused.iter().any(|at| *at > greeted));
    let mark = |good: bool| if good { "ok    " } else { "FAILED" };
    tell(&format!(
        "\n{} {} was verified\n{} nobody else was verified\n{} {} was noticed and not let in\n",
        mark(greeted.is_some()),
        story.expected,
        mark(only_them),
        mark(stranger_noticed),
        story.stranger
    ));
    if greeted.is_some() && only_them && stranger_noticed { Exit::Ok } else { Exit::No }
}

/// Prints events as they happen and keeps them for the summary.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Event>>>);

impl Seen {
    fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for Seen {
    fn name(&self) -> String {
        "demonstration".to_owned()
    }

    fn wants(&self, _event: &Event) -> bool {
        true
    }

    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        tell(&format!("{}  {}\n", event.at, in_words(&event.kind)));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        Ok(())
    }

    fn close(&mut self, _within: Duration) {}
}

fn in_words(kind: &EventKind) -> String {
    let name = kind.name();
    let scores = kind.detail().map_or_else(String::new, |detail| {
        let similarity = detail.similarity.map_or_else(|| "none".to_owned(), |s| s.to_string());
        let needed = detail.threshold.map_or_else(|| "nothing".to_owned(), |needed| needed.to_string());
        let liveness =
            detail.liveness.map_or_else(|| "not judged".to_owned(), |l| format!("{l:.2}, not enforced"));
        format!(
            "similarity {similarity} (needed {needed}), {} of {} looks agree, liveness {liveness}",
            detail.agreeing, detail.observations
        )
    });
    match kind {
        EventKind::Verified { person, .. } => format!("{name}  {person}: {scores}"),
        EventKind::Shadow { person, .. } => format!("{name}  {person}: {scores}"),
        EventKind::Unknown { reason, .. } | EventKind::Rejected { reason, .. } => {
            format!("{name}  {reason:?}: {scores}")
        }
        EventKind::Challenge { text, .. } => format!("{name}  {text}"),
        EventKind::LockedOut { until, .. } => format!("{name}  until {until}"),
        EventKind::CameraLost { message, .. }
        | EventKind::CameraFrozen { message, .. }
        | EventKind::CameraObstructed { message, .. }
        | EventKind::CameraMoved { message, .. }
        | EventKind::CameraClear { message, .. }
        | EventKind::Degraded { message }
        | EventKind::Stopping { message } => format!("{name}  {message}"),
        EventKind::Started { people, .. } => format!("{name}  {people} people enrolled"),
        EventKind::PersonEnrolled { person, .. } | EventKind::PersonChanged { person, .. } => {
            format!("{name}  {person}")
        }
        EventKind::PersonRemoved { record, .. } | EventKind::EntryForgotten { record, .. } => {
            format!("{name}  {record}")
        }
        EventKind::CameraPaused { camera, by, .. } | EventKind::CameraSnapshot { camera, by } => {
            format!("{name}  {camera}, by {by}")
        }
        EventKind::CameraRecovered { camera } | EventKind::CameraResumed { camera, .. } => {
            format!("{name}  {camera}")
        }
    }
}
