//! One person: the pictures or looks of the one who was named.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Args;
use super::choose::Fate;
use super::from_camera::{CollectError, Eyes, Plan, collect_from_camera};
use super::likeness::Conflict;
use super::picture::{self, Place, Portrait, Refusal};
use super::standard::Standard;
use super::writing::{Written, write};
use crate::camera::{self, FrameSource, SourceError};
use crate::clock::{Clock, SystemClock};
use crate::cmds::engine::{Engine, gates};
use crate::cmds::exit::{Exit, Failure, OrExit, Outcome};
use crate::cmds::gallery::{store_failure, warn_of};
use crate::config;
use crate::domain::{CameraId, PersonId};
use crate::store::Store;
use crate::vision::decode::decode;

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
#[derive(Debug, Clone, Serialize)]
struct PictureReport {
    source: String,
    taken: bool,
    /// `null` if it was taken; else `unreadable`, `no_face`, `several_faces`, `no_such_face`, `quality`,
    /// `repeated`, `alike`, `enough` or `conflict`.
    reason: Option<&'static str>,
    message: Option<String>,
    /// To choose from with `--face`.
    faces: Vec<Place>,
}

/// Pictures as they were looked at.
#[derive(Default)]
pub(super) struct Looked {
    portraits: Vec<Portrait>,
    pictures: Vec<PictureReport>,
    refused: usize,
    missing: usize,
}

/// One person, and how they are to be enrolled.
pub(super) struct One<'a> {
    pub(super) args: &'a Args,
    pub(super) name: &'a PersonId,
}

impl One<'_> {
    pub(super) fn look_at_pictures(&self, engine: &mut Engine) -> Result<Looked, Failure> {
        let args = self.args;
        let mut looked = Looked::default();
        for path in &args.images {
            match picture::look(engine, path, args.face, (args.force, args.keep_photos))
                .or_exit(Exit::Internal)?
            {
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
                say_json(&self.report(engine, &looked, Vec::new()))?;
            }
            let what = if looked.refused == 1 {
                "the picture".to_owned()
            } else {
                format!("all {} pictures", looked.refused)
            };
            return Err(Failure::new(exit, format!("{} was not enrolled: {what} cannot be used", self.name)));
        }
        Ok(looked)
    }

    pub(super) fn look_through_camera(
        &self,
        source: &str,
        engine: &mut Engine,
        clock: &Arc<SystemClock>,
    ) -> Result<Looked, Failure> {
        let args = self.args;
        let mut source = open_camera(source, Arc::clone(clock))?;
        if !args.json {
            eprintln!(
                "Look into the camera and turn your head a little, for up to {} seconds.",
                args.seconds
            );
        }
        let mut eyes = Eyes {
            detector: &mut engine.detector,
            embedder: &mut engine.embedder,
            gates: gates(&config::Quality::default()),
            decode: &mut |payload| decode(payload).map_err(|error| error.to_string()),
            say: &mut |message, kept| {
                if !args.json {
                    eprintln!("{kept} of {}: {message}", args.looks);
                }
            },
        };
        let at_most = Duration::from_secs(args.seconds);
        let at_least = at_most.min(Duration::from_secs(3));
        let plan = Plan { wanted: args.looks.into(), at_most, at_least, keeps_photos: args.keep_photos };
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
                format!("{} was not enrolled: no good look in {} seconds ({tally})", self.name, args.seconds);
            return Err(Failure::new(Exit::CannotTell, message));
        }
        let pictures = portraits.iter().map(|p| PictureReport::of(p.source.clone())).collect();
        Ok(Looked { portraits, pictures, ..Looked::default() })
    }

    /// Judges all that was taken, and writes it.
    pub(super) fn enrol(
        &self,
        store: &Store,
        engine: &Engine,
        mut looked: Looked,
        clock: &SystemClock,
    ) -> Outcome {
        let (args, name) = (self.args, self.name);
        let standard = Standard::of(&engine.embedder, args.most);
        let standard = if args.camera.is_some() { standard.for_frames() } else { standard };
        let mut changes = store.begin().map_err(store_failure)?;
        warn_of(changes.refused());
        let before = changes.get(name).map_or(0, |person| person.templates.len());
        let now = clock.wall(clock.now());
        let taken = (name, looked.portraits.as_slice());
        let (judged, now_there) = match write(&mut changes, &standard, taken, args.force, now)? {
            Written::Refused(judged) => {
                return self.refuse_conflicts(engine, &mut looked, judged.conflicts());
            }
            Written::Done(judged, now_there) => (judged, now_there),
        };
        drop(changes);
        let other_models = judged.findings.other_models;
        if other_models > 0 {
            eprintln!(
                "facewarden: {other_models} templates of {name} were made by another model and are not recognised by this one"
            );
        }
        let conflicts: Vec<String> = judged.conflicts().iter().map(ToString::to_string).collect();
        if !args.json {
            conflicts.iter().for_each(|conflict| eprintln!("facewarden: taken all the same: {conflict}"));
        }
        for (picture, fate) in looked.pictures.iter_mut().filter(|picture| picture.taken).zip(&judged.fates) {
            if let Some(code) = fate.code() {
                picture.taken = false;
                picture.reason = Some(code);
                picture.message = Some(fate.to_string());
            }
        }
        let added = judged.fates.iter().filter(|fate| **fate == Fate::Kept).count();
        let total = now_there.unwrap_or(before);
        let exit = if looked.refused == 0 { Exit::Ok } else { Exit::No };
        if args.json {
            let mut report = self.report(engine, &looked, conflicts);
            (report.enrolled, report.templates_added, report.templates) = (added > 0, added, total);
            say_json(&report)?;
            return Ok(exit);
        }
        self.say_taken(&looked, added, total)?;
        Ok(exit)
    }

    /// Nothing is written: which of the pictures is the mistake is for a person to say.
    fn refuse_conflicts(&self, engine: &Engine, looked: &mut Looked, conflicts: &[Conflict]) -> Outcome {
        let texts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
        if self.args.json {
            let taken = looked.pictures.iter_mut().filter(|picture| picture.taken);
            for (picture, portrait) in taken.zip(&looked.portraits) {
                picture.taken = false;
                picture.reason = Some("conflict");
                let about = conflicts.iter().find(|conflict| conflict.source_name() == portrait.source);
                picture.message = about.map(ToString::to_string);
            }
            say_json(&self.report(engine, looked, texts))?;
        } else {
            texts.iter().for_each(|conflict| eprintln!("facewarden: {conflict}"));
        }
        let hint = "nothing was changed; leave the picture out, or say --force if you are sure";
        Err(Failure::new(Exit::No, format!("{} was not enrolled: {hint}", self.name)))
    }

    fn say_taken(&self, looked: &Looked, added: usize, total: usize) -> Outcome {
        let mut text = String::new();
        for picture in &looked.pictures {
            match (picture.reason, &picture.message) {
                (None, _) => text.push_str(&format!("{}: taken\n", picture.source)),
                (Some("repeated" | "alike" | "enough"), Some(message)) => {
                    text.push_str(&format!("{}: {message}\n", picture.source));
                }
                // Refused, and said already.
                _ => {}
            }
        }
        let noun = if added == 1 { "template" } else { "templates" };
        text.push_str(&format!("{}: {added} {noun} added, {total} in all", self.name));
        if looked.refused > 0 {
            text.push_str(&format!(", {} of {} pictures left out", looked.refused, looked.pictures.len()));
        }
        text.push('\n');
        crate::cmds::say(&text)
    }

    fn report(&self, engine: &Engine, looked: &Looked, conflicts: Vec<String>) -> Report {
        use crate::inference::Embedder as _;
        Report {
            person: self.name.to_string(),
            enrolled: false,
            templates_added: 0,
            templates: 0,
            gallery: self.args.gallery.folder(),
            model: engine.embedder.name().to_owned(),
            model_digest: engine.embedder.digest().to_string(),
            pictures: looked.pictures.clone(),
            conflicts,
        }
    }
}

impl PictureReport {
    fn of(source: String) -> Self {
        Self { source, taken: true, reason: None, message: None, faces: Vec::new() }
    }
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

fn say_json(report: &Report) -> Outcome {
    let text = serde_json::to_string_pretty(report).or_exit(Exit::Internal)?;
    crate::cmds::say(&format!("{text}\n"))
}
