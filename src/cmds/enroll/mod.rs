//! `facewarden enroll`: adds somebody to the gallery, from pictures or in front of a camera.
//!
//! Nothing is written unless all that was taken shows one person, and nobody who is enrolled under another name.
//! Pictures that are no use are left out and named; the good ones are enrolled, and the exit code says 1.

mod from_camera;
mod likeness;
mod picture;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

pub use from_camera::{CollectError, Collection, Eyes, Plan, Taken, Tally, collect_from_camera};
pub use likeness::{Conflict, Findings, Rule};
pub use picture::{Place, Portrait, Refusal};

use super::engine::{Engine, ModelArgs};
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::gallery::{GalleryArgs, store_failure, warn_of_refused};
use crate::camera::{self, FrameSource, SourceError};
use crate::clock::{Clock, SystemClock, WallTime};
use crate::config;
use crate::domain::{CameraId, EmbeddingError, PersonId};
use crate::matching::Metric;
use crate::store::{Loaded, Store, Template};
use crate::vision::decode::decode;

/// Arguments of `enroll`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Who it is
    pub name: PersonId,
    /// Pictures of the person, one face on each
    #[arg(value_name = "IMAGE", required_unless_present = "camera", conflicts_with = "camera")]
    pub images: Vec<PathBuf>,
    /// Look through a camera instead (one that no daemon uses; for that there is `ctl enroll --live`): a device, or anything `run --source` takes
    #[arg(long, value_name = "SOURCE")]
    pub camera: Option<String>,
    /// With --camera: how long to look at most
    #[arg(long, value_name = "SECONDS", default_value_t = 15, conflicts_with = "images",
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// With --camera: how many differing looks are enough
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "images",
          value_parser = clap::value_parser!(u8).range(1..=50))]
    pub looks: u8,
    /// Of several faces on a picture take this one, counted from the left beginning with 1
    #[arg(long, value_name = "N", conflicts_with = "camera")]
    pub face: Option<usize>,
    /// Take blurred, dark, small or turned faces too, and pictures that look like somebody else
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object instead of words
    #[arg(long)]
    pub json: bool,
    /// Where to.
    #[command(flatten)]
    pub gallery: GalleryArgs,
    /// With what.
    #[command(flatten)]
    pub models: ModelArgs,
}

const AFTER_HELP: &str = "\
Exit codes: 0 all pictures are enrolled; 1 some were left out, or nothing was enrolled because the pictures show
different people or somebody who is enrolled under another name; 2 no picture could be used; others as in
`facewarden --help`.";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    person: String,
    enrolled: bool,
    templates_added: usize,
    templates: usize,
    gallery: PathBuf,
    model: String,
    model_digest: String,
    pictures: Vec<PictureReport>,
    conflicts: Vec<String>,
}

/// One picture of [`Report`].
#[derive(Debug, Serialize)]
struct PictureReport {
    source: String,
    taken: bool,
    /// `null` if it was taken; else `unreadable`, `no_face`, `several_faces`, `no_such_face`, `quality`,
    /// `repeated` or `conflict`.
    reason: Option<&'static str>,
    message: Option<String>,
    /// To choose from with `--face`.
    faces: Vec<Place>,
}

/// Pictures as they were looked at.
#[derive(Default)]
struct Looked {
    portraits: Vec<Portrait>,
    pictures: Vec<PictureReport>,
    refused: usize,
    missing: usize,
}

/// Runs `enroll`.
///
/// # Errors
/// If nothing was enrolled; see the exit codes of the command.
pub fn run(args: &Args) -> Outcome {
    // First whether there is somewhere to put it, then the models, which take longest to load.
    let store = args.gallery.open_to_enrol()?;
    let mut engine = Engine::load(&args.models)?;
    let clock = Arc::new(SystemClock::new());
    let looked = match &args.camera {
        Some(source) => look_through_camera(args, source, &mut engine, &clock)?,
        None => look_at_pictures(args, &mut engine)?,
    };
    enrol(args, &store, &engine, looked, &clock)
}

fn look_at_pictures(args: &Args, engine: &mut Engine) -> Result<Looked, Failure> {
    let mut looked = Looked::default();
    for path in &args.images {
        match picture::look(engine, path, args.face, args.force).or_exit(Exit::Internal)? {
            Ok(portrait) => {
                // The folder too: two folders may hold pictures of one name.
                looked.pictures.push(PictureReport::of(path.display().to_string()));
                looked.portraits.push(portrait);
            }
            Err(refusal) => {
                looked.refused += 1;
                looked.missing += usize::from(refusal.is_missing_file());
                let message = refusal.to_string();
                if !args.json {
                    let named = matches!(refusal, Refusal::Unreadable(_));
                    let file = if named { String::new() } else { format!("{}: ", path.display()) };
                    eprintln!("facewarden: not taken: {file}{message}");
                }
                looked.pictures.push(PictureReport {
                    taken: false,
                    reason: Some(refusal.code()),
                    message: Some(message),
                    faces: refusal.faces().to_vec(),
                    ..PictureReport::of(path.display().to_string())
                });
            }
        }
    }
    if looked.portraits.is_empty() {
        let exit = if looked.missing == looked.refused { Exit::NoInput } else { Exit::CannotTell };
        if args.json {
            say_json(&report(args, engine, &looked, Vec::new()))?;
        }
        let what = if looked.refused == 1 {
            "the picture".to_owned()
        } else {
            format!("all {} pictures", looked.refused)
        };
        return Err(Failure::new(exit, format!("{} was not enrolled: {what} cannot be used", args.name)));
    }
    Ok(looked)
}

impl PictureReport {
    fn of(source: String) -> Self {
        Self { source, taken: true, reason: None, message: None, faces: Vec::new() }
    }
}

fn look_through_camera(
    args: &Args,
    source: &str,
    engine: &mut Engine,
    clock: &Arc<SystemClock>,
) -> Result<Looked, Failure> {
    let mut source = open_camera(source, Arc::clone(clock))?;
    if !args.json {
        eprintln!("Look into the camera and turn your head a little, for up to {} seconds.", args.seconds);
    }
    let mut eyes = Eyes {
        detector: &mut engine.detector,
        embedder: &mut engine.embedder,
        gates: super::engine::gates(&config::Quality::default()),
        decode: &mut |payload| decode(payload).map_err(|error| error.to_string()),
    };
    let at_most = Duration::from_secs(args.seconds);
    let plan = Plan { wanted: args.looks.into(), at_most, at_least: at_most.min(Duration::from_secs(3)) };
    let (portraits, tally) =
        collect_from_camera(&mut *source, &mut eyes, &**clock, plan).map_err(|error| {
            let exit = match &error {
                CollectError::Source(_) => Exit::Unavailable,
                CollectError::Model(_) | CollectError::Embedding(_) => Exit::Internal,
            };
            Failure { exit, error: error.into() }
        })?;
    if portraits.is_empty() {
        let message =
            format!("{} was not enrolled: no good look in {} seconds ({tally})", args.name, args.seconds);
        return Err(Failure::new(Exit::CannotTell, message));
    }
    let pictures = portraits.iter().map(|p| PictureReport::of(p.source.clone())).collect();
    Ok(Looked { portraits, pictures, ..Looked::default() })
}

fn open_camera(source: &str, clock: Arc<SystemClock>) -> Result<Box<dyn FrameSource>, Failure> {
    let name = CameraId::new("camera").or_exit(Exit::Internal)?;
    let settings = config::Camera::new(name, source.to_owned());
    let mut open = camera::opener(&settings, clock).map_err(camera_failure)?;
    open().map_err(camera_failure)
}

fn camera_failure(error: SourceError) -> Failure {
    let exit = match error {
        SourceError::Unusable(_) => Exit::NoInput,
        _ => Exit::Unavailable,
    };
    Failure { exit, error: error.into() }
}

/// Checks all that was taken against each other and the gallery, and writes it.
fn enrol(args: &Args, store: &Store, engine: &Engine, mut looked: Looked, clock: &SystemClock) -> Outcome {
    let loaded = store.load().map_err(store_failure)?;
    warn_of_refused(&loaded);
    let findings = compare(args, engine, &looked, &loaded)?;
    if findings.other_models > 0 {
        eprintln!(
            "facewarden: {} templates of {} were made by another model and are not recognised by this one",
            findings.other_models, args.name
        );
    }
    let conflicts: Vec<String> = findings.conflicts.iter().map(ToString::to_string).collect();
    if !conflicts.is_empty() && !args.force {
        return refuse_conflicts(args, engine, &mut looked, &findings.conflicts, conflicts);
    }
    if !args.json {
        conflicts.iter().for_each(|conflict| eprintln!("facewarden: taken all the same: {conflict}"));
    }

    let now = clock.wall(clock.now());
    let templates = templates(&looked.portraits, &findings, now);
    let taken = looked.pictures.iter_mut().filter(|picture| picture.taken);
    for (picture, repeats) in taken.zip(&findings.repeats) {
        if let Some(of) = repeats {
            picture.taken = false;
            picture.reason = Some("repeated");
            picture.message = Some(format!("the same picture as {of}"));
        }
    }
    let added = templates.len();
    let mut total = loaded.people.iter().find(|p| p.name == args.name).map_or(0, |p| p.templates.len());
    if added > 0 {
        total = store.enrol(&args.name, templates, now).map_err(store_failure)?.templates.len();
    }
    let exit = if looked.refused == 0 { Exit::Ok } else { Exit::No };
    if args.json {
        let mut report = report(args, engine, &looked, conflicts);
        (report.enrolled, report.templates_added, report.templates) = (added > 0, added, total);
        say_json(&report)?;
        return Ok(exit);
    }
    say_taken(args, &looked, added, total)?;
    Ok(exit)
}

fn compare(args: &Args, engine: &Engine, looked: &Looked, loaded: &Loaded) -> Result<Findings, Failure> {
    judge(&args.name, &looked.portraits, loaded, engine.embedder.spec()).or_exit(Exit::Data)
}

/// Whether what was taken shows one person, the right one, and nobody who is enrolled under another name.
///
/// # Errors
/// If a template of the gallery is damaged.
pub(super) fn judge(
    name: &PersonId,
    portraits: &[Portrait],
    loaded: &Loaded,
    spec: &config::EmbedderSpec,
) -> Result<Findings, EmbeddingError> {
    let rule = Rule {
        metric: match spec.metric {
            config::Metric::Cosine => Metric::Cosine,
            config::Metric::Euclidean => Metric::Euclidean,
        },
        threshold: spec.threshold,
    };
    let new: Vec<_> = portraits.iter().map(|p| (p.source.as_str(), &p.embedding)).collect();
    likeness::check(name, &new, &loaded.people, rule)
}

/// What is written of what was taken: all that is not there already.
pub(super) fn templates(portraits: &[Portrait], findings: &Findings, now: WallTime) -> Vec<Template> {
    let template = |portrait: &Portrait| Template {
        source: Some(short(&portrait.source)),
        ..Template::new(portrait.embedding.clone(), portrait.quality.score, now)
    };
    let repeats = portraits.iter().zip(&findings.repeats);
    repeats.filter(|(_, repeats)| repeats.is_none()).map(|(portrait, _)| template(portrait)).collect()
}

/// Nothing is written: which of the pictures is the mistake is for a person to say.
fn refuse_conflicts(
    args: &Args,
    engine: &Engine,
    looked: &mut Looked,
    conflicts: &[Conflict],
    texts: Vec<String>,
) -> Outcome {
    if args.json {
        let mut taken = looked.pictures.iter_mut().filter(|picture| picture.taken);
        for portrait in &looked.portraits {
            let Some(picture) = taken.next() else { break };
            let about = |c: &&Conflict| match c {
                Conflict::Unlike { source_name, .. } | Conflict::SomebodyElse { source_name, .. } => {
                    *source_name == portrait.source
                }
            };
            picture.taken = false;
            picture.reason = Some("conflict");
            picture.message = conflicts.iter().find(about).map(ToString::to_string);
        }
        say_json(&report(args, engine, looked, texts))?;
    } else {
        texts.iter().for_each(|conflict| eprintln!("facewarden: {conflict}"));
    }
    let hint = "nothing was changed; leave the picture out, or say --force if you are sure";
    Err(Failure::new(Exit::No, format!("{} was not enrolled: {hint}", args.name)))
}

fn say_taken(args: &Args, looked: &Looked, added: usize, total: usize) -> Outcome {
    let mut text = String::new();
    for picture in &looked.pictures {
        match (&picture.reason, &picture.message) {
            (None, _) => text.push_str(&format!("{}: taken\n", picture.source)),
            (Some("repeated"), Some(message)) => {
                text.push_str(&format!("{}: {message}, not added again\n", picture.source));
            }
            _ => {}
        }
    }
    let plural = |count: usize| if count == 1 { "template" } else { "templates" };
    text.push_str(&format!("{}: {added} {} added, {total} in all", args.name, plural(added)));
    if looked.refused > 0 {
        text.push_str(&format!(", {} of {} pictures left out", looked.refused, looked.pictures.len()));
    }
    text.push('\n');
    super::say(&text)
}

fn report(args: &Args, engine: &Engine, looked: &Looked, conflicts: Vec<String>) -> Report {
    use crate::inference::Embedder as _;
    let copied = |p: &PictureReport| PictureReport {
        source: p.source.clone(),
        taken: p.taken,
        reason: p.reason,
        message: p.message.clone(),
        faces: p.faces.clone(),
    };
    Report {
        person: args.name.to_string(),
        enrolled: false,
        templates_added: 0,
        templates: 0,
        gallery: args.gallery.folder(),
        model: engine.embedder.name().to_owned(),
        model_digest: engine.embedder.digest().to_string(),
        pictures: looked.pictures.iter().map(copied).collect(),
        conflicts,
    }
}

fn say_json(report: &Report) -> Outcome {
    let text = serde_json::to_string_pretty(report).or_exit(Exit::Internal)?;
    super::say(&format!("{text}\n"))
}

/// What a gallery file keeps of a source's name.
fn short(source: &str) -> String {
    let mut end = source.len().min(crate::store::MAX_SOURCE_BYTES);
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    source[..end].to_owned()
}
