//! What watching the view costs and how often it is wrong, and what is saved while nobody is there.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::super::assembly::{self, Lasting, Minds, Models, Surroundings};
use super::super::clip::{ClipOptions, Scene, demo_scenes, jpeg, render_demo};
use super::super::engine::{Engine, ModelArgs};
use super::super::exit::{Exit, Failure, OrExit};
use super::super::gallery::store_failure;
use super::super::people;
use super::speed::{camera_frame, milliseconds};
use super::{Row, median};
use crate::camera::avi_write::AviWriter;
use crate::camera::opener;
use crate::clock::{Clock, Moment, SystemClock};
use crate::config::{Camera, Config, Speed};
use crate::decision::EvidenceDecider;
use crate::domain::{CameraId, Payload};
use crate::inference::Detector;
use crate::matching::SharedGallery;
use crate::pipeline::{self, Announcer, Seen};
use crate::store::Store;
use crate::sys::process::{cpu_time, thread_cpu_time};
use crate::sys::thread;
use crate::vision::decode::decode;
use crate::watch::{Glance, Motion, SceneWatch, Sight, WatchSettings, payload_digest};

const RUNS: usize = 50;
/// The clip of the demonstration takes 12 s; so often it is watched in a row.
const ROUNDS: usize = 10;
/// Nobody is there for so long, of which the processor's time is taken over the last part.
const EMPTY: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
const FPS: f32 = 30.0;

pub(super) fn measure(models: &ModelArgs, pictures: &Path, data: Option<&Path>) -> Result<Vec<Row>, Failure> {
    let mut rows = cost(pictures)?;
    let mut engine = Engine::load(models)?;
    rows.push(clip_alarms(&mut engine)?);
    if let Some(data) = data {
        rows.push(street_alarms(&mut engine, data)?);
    }
    drop(engine);
    rows.extend(idle(models)?);
    Ok(rows)
}

fn settings() -> WatchSettings {
    let ms = Duration::from_millis;
    WatchSettings {
        frozen: Some(ms(3000)),
        covered: Some(ms(3000)),
        blinded: Some(ms(3000)),
        moved: Some(ms(10_000)),
        clear_after: ms(1000),
        confirm_after: None,
    }
}

/// What a frame of 720p costs beside its decoding.
fn cost(pictures: &Path) -> Result<Vec<Row>, Failure> {
    let jpeg = camera_frame(&pictures.join("obama2.jpg"))?;
    let picture = decode(Payload::Jpeg(jpeg.clone())).or_exit(Exit::Internal)?;
    let payload = Payload::Jpeg(jpeg);
    let (mut watch, mut motion) = (SceneWatch::new(settings()), Motion::default());
    let (mut glances, mut digests, mut seen, mut moved) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..RUNS {
        let at = Moment(Duration::from_millis(33) * u32::try_from(n).unwrap_or(0));
        let started = thread_cpu_time();
        let glance = Glance::of(&picture);
        let after_glance = thread_cpu_time();
        let digest = std::hint::black_box(payload_digest(&payload));
        let after_digest = thread_cpu_time();
        std::hint::black_box(watch.see(&Sight { at, glance: &glance, payload: digest, faces: &[] }));
        let after_watch = thread_cpu_time();
        std::hint::black_box(motion.see(&glance, Duration::from_millis(33)));
        moved.push(milliseconds(thread_cpu_time().saturating_sub(after_watch)));
        seen.push(milliseconds(after_watch.saturating_sub(after_digest)));
        digests.push(milliseconds(after_digest.saturating_sub(after_glance)));
        glances.push(milliseconds(after_glance.saturating_sub(started)));
    }
    let figures = [glances, digests, seen, moved].map(|figures| format!("{:.3}", median(figures)));
    let [glance, digest, seen, moved] = figures;
    Ok(vec![Row::new(
        "720p frame, watching the view: glance + digest of the JPEG + watch + motion",
        format!("{glance} + {digest} + {seen} + {moved} ms CPU"),
        "",
    )])
}

/// The watch with a detector beside it, as in the daemon.
struct Watched {
    watch: SceneWatch,
    frames: u32,
    changes: Vec<String>,
}

impl Watched {
    fn new() -> Self {
        Self { watch: SceneWatch::new(settings()), frames: 0, changes: Vec::new() }
    }

    fn see(&mut self, engine: &mut Engine, picture: &image::RgbImage, at: Moment) -> Result<(), Failure> {
        let found = engine.detector.detect(picture).or_exit(Exit::Internal)?;
        let faces: Vec<_> = found.iter().map(|face| face.box_in_frame).collect();
        let glance = Glance::of(picture);
        let changes = self.watch.see(&Sight { at, glance: &glance, payload: None, faces: &faces });
        self.frames += 1;
        self.changes
            .extend(changes.iter().map(|change| format!("{change:?} at {:.1} s", at.0.as_secs_f64())));
        Ok(())
    }

    fn row(&self, what: &str) -> Row {
        let told = if self.changes.is_empty() { "none".to_owned() } else { self.changes.join(", ") };
        Row::new(
            &format!("false alarms of the watch, {what}"),
            format!("{told} ({} frames)", self.frames),
            "none",
        )
    }
}

fn clip_alarms(engine: &mut Engine) -> Result<Row, Failure> {
    let story = demo_scenes(|photo| engine.detector.detect(photo)).or_exit(Exit::Internal)?;
    let scenes: Vec<Scene> = std::iter::repeat_n(story.scenes, ROUNDS).flatten().collect();
    let options = ClipOptions::default();
    let mut watched = Watched::new();
    for (n, frame) in (0_u32..).zip(render_demo(&scenes, options)) {
        watched.see(engine, &frame, Moment(Duration::from_secs_f32(n as f32 / options.fps)))?;
    }
    Ok(watched.row(&format!("the clip of the demonstration {ROUNDS} times in a row")))
}

fn street_alarms(engine: &mut Engine, data: &Path) -> Result<Row, Failure> {
    let source = data.join("video-group.mp4").display().to_string();
    let camera = Camera {
        speed: Speed::Max,
        loops: 10,
        ..Camera::new(CameraId::new("street").or_exit(Exit::Internal)?, source)
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut open = opener(&camera, clock).or_exit(Exit::NoInput)?;
    let mut film = open().or_exit(Exit::NoInput)?;
    let mut watched = Watched::new();
    loop {
        match film.next_frame(Duration::from_secs(5)) {
            Ok(frame) => {
                let picture = decode(frame.payload).or_exit(Exit::Data)?;
                watched.see(engine, &picture, frame.captured_at)?;
            }
            Err(crate::camera::SourceError::Ended) => break,
            Err(error) => return Err(error).or_exit(Exit::NoInput),
        }
    }
    Ok(watched.row("the street scene 10 times over"))
}

/// The real pipeline on a film of 720p in which nobody is there, and then somebody.
fn idle(models: &ModelArgs) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir().or_exit(Exit::CannotWrite)?;
    let mut engine = Engine::load(models)?;
    let story = demo_scenes(|photo| engine.detector.detect(photo)).or_exit(Exit::Internal)?;
    drop(engine);
    let somebody = story.scenes.into_iter().find(|scene| matches!(scene, Scene::WalkUp(_)));
    let scenes: Vec<Scene> = [Some(Scene::Empty(EMPTY.0)), somebody].into_iter().flatten().collect();
    let film = folder.path().join("nobody.avi");
    let mut writer = AviWriter::create(&film, f64::from(FPS)).or_exit(Exit::CannotWrite)?;
    for frame in render_demo(&scenes, ClipOptions { fps: FPS, ..ClipOptions::default() }) {
        writer.write_jpeg(&jpeg(&frame).or_exit(Exit::Internal)?).or_exit(Exit::CannotWrite)?;
    }
    writer.finish().or_exit(Exit::CannotWrite)?;
    let resting = Visit::play(&film, folder.path(), |_| ())?;
    let busy =
        Visit::play(&film, folder.path(), |config| config.detection.idle_fps = config.detection.max_fps)?;
    Ok(vec![
        Row::new(
            "nobody in view, 720p at 30 fps: processor time of a second, idle / never idle",
            format!("{:.0} / {:.0} ms CPU", resting.cpu_ms, busy.cpu_ms),
            "",
        ),
        Row::new(
            "frames from the first that shows somebody to the first on which a face is found, idle / never idle; from that \
             to the next that is searched, idle",
            format!("{} / {}; {}", resting.found_after, busy.found_after, resting.then_after),
            "then 1",
        ),
    ])
}

/// What was measured on one playing of the film.
struct Visit {
    cpu_ms: f64,
    found_after: u64,
    then_after: u64,
}

impl Visit {
    fn play(film: &Path, folder: &Path, change: impl Fn(&mut Config)) -> Result<Self, Failure> {
        let camera = Camera::new(CameraId::new("bench").or_exit(Exit::Internal)?, film.display().to_string());
        let mut config = Config::new(camera.clone());
        change(&mut config);
        let models = Models::load(&config)?;
        let terms = models.terms(&config, true)?;
        let store = Store::open_or_create(folder.join("enrolled")).map_err(store_failure)?;
        let gallery =
            people::searched(&store.load().map_err(store_failure)?, &models.embedder, config.people.rules());
        let decider = EvidenceDecider::new(terms.policy, Box::new(|| 0)).or_exit(Exit::Config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        // A frame for which there is no room would look like one that was not decoded; its taker does next to nothing.
        let lasting = Lasting::default();
        let seen = lasting.tap.join(64);
        let surroundings = Surroundings {
            open: opener(&camera, Arc::clone(&clock)).or_exit(Exit::Internal)?,
            keep_all: false,
            own_time: false,
            gallery: SharedGallery::new(gallery),
            announcer: Announcer::new(Arc::clone(&clock), Arc::new(|_| ())),
            recording: None,
            lasting,
            clock: Arc::clone(&clock),
        };
        let parts = assembly::parts((&config, &camera), Minds::new(models, decider), surroundings);
        let running = pipeline::spawn(parts).or_exit(Exit::Unavailable)?;
        let follower = thread::spawn("follow", move || follow(&seen)).or_exit(Exit::Unavailable)?;
        let begins = EMPTY.0.saturating_sub(EMPTY.1);
        clock.sleep(begins);
        let before = cpu_time();
        clock.sleep(EMPTY.1.saturating_sub(Duration::from_secs(1)));
        let cpu = cpu_time().saturating_sub(before);
        running.join(EMPTY.0 * 10).or_exit(Exit::Internal)?;
        let searched = follower.join().or_exit(Exit::Internal)?;
        let first_shown = (EMPTY.0.as_secs_f32() * FPS).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred frames")]
        let first_shown = first_shown as u64;
        let found = searched.iter().position(|(seq, is_found)| *is_found && *seq >= first_shown);
        let found = found.ok_or_else(|| Failure::new(Exit::Internal, "nobody was found on the film"))?;
        let at = |place: usize| searched.get(place).map_or(0, |(seq, _)| *seq);
        Ok(Self {
            cpu_ms: milliseconds(cpu) / EMPTY.1.saturating_sub(Duration::from_secs(1)).as_secs_f64(),
            found_after: at(found).saturating_sub(first_shown),
            then_after: at(found + 1).saturating_sub(at(found)),
        })
    }
}

/// Which frames were decoded, and whether a face was found.
fn follow(seen: &Receiver<Seen>) -> Vec<(u64, bool)> {
    seen.iter().map(|seen| (seen.frame.seq, !seen.tracks.is_empty())).collect()
}
