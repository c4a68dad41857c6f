//! `facewarden replay`: a recorded decision, decided again.

mod compare;
mod source;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::assembly::{self, Lasting, Minds, Models, Surroundings};
use super::daemon::pipeline_failure;
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::gallery::{open_configured, store_failure, warn_of_refused};
use super::{config_failure, people};
use crate::bundles::{Bundle, BundleError, GalleryIdentity, Manifest};
use crate::clock::{Clock, SimulatedClock};
use crate::config::{self, Config, LivenessMode, Severity};
use crate::decision::EvidenceDecider;
use crate::domain::{Event, EventKind, Reason, ViewFault};
use crate::matching::{Gallery, SharedGallery};
use crate::pipeline::{self, Announcer, Seen, Tap, Watching};
use crate::sys::{process, thread};
use compare::{Comparison, Followed, same_track};

/// Longer than any bundle takes on the slowest machine.
const REPLAY_WITHIN: Duration = Duration::from_secs(3600);

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of a recorded decision, in `debug.folder`
    bundle: PathBuf,
    /// Folder with the enrolled people [default: that of the settings]
    #[arg(long, value_name = "DIR")]
    gallery: Option<PathBuf>,
    /// Decide by this configuration file instead of the recorded settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
}

/// Takes the frames of a bundle through the pipeline again, and shows both decisions side by side.
///
/// # Errors
/// [`Exit::NoInput`] if there is no such bundle, [`Exit::Data`] if it is damaged, [`Exit::CannotTell`] if the models are
/// others than those it was made with; a verdict that differs is [`Exit::No`], and no error.
pub fn run(args: &Args) -> Outcome {
    process::forbid_core_dumps().or_exit(Exit::Internal)?;
    let bundle = Arc::new(Bundle::open(&args.bundle).map_err(bundle_failure)?);
    let manifest = &bundle.manifest;
    let mut notes = caveats(manifest);
    let config = settings(args, manifest, &mut notes)?;
    let models = Models::load(&config)?;
    let is_with_own = args.config.is_none();
    if let Some(difference) = difference(manifest, &models) {
        if is_with_own {
            return Err(Failure::new(
                Exit::CannotTell,
                format!(
                    "{difference}: what another model says shows nothing about this decision. To see it all the same, \
                     name a configuration with --config FILE"
                ),
            ));
        }
        notes.push(difference);
    }
    let gallery = gallery(&config, &models, &manifest.gallery, &mut notes)?;
    let replayed = decide_again(&bundle, &config, models, gallery)?;
    if !manifest.is_cut && replayed.as_ref().is_some_and(|replayed| looks(replayed) != looks(&manifest.event))
    {
        notes.push("other looks were counted than then; a machine that is behind drops some".to_owned());
    }
    let comparison = Comparison { recorded: &manifest.event, replayed: replayed.as_ref(), notes };
    super::say(&if args.json { comparison.json() } else { comparison.text() })?;
    Ok(if comparison.is_same() { Exit::Ok } else { Exit::No })
}

/// On which frames the looks were that an event names.
fn looks(event: &Event) -> Vec<u64> {
    event.kind.detail().into_iter().flat_map(|detail| &detail.looks).map(|look| look.seq).collect()
}

fn bundle_failure(error: BundleError) -> Failure {
    let exit = match &error {
        BundleError::Missing(_) => Exit::NoInput,
        BundleError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        _ => Exit::Data,
    };
    Failure { exit, error: error.into() }
}

/// What was wrong with the camera's view, where that was the reason.
fn view_fault(manifest: &Manifest) -> Option<ViewFault> {
    match &manifest.event.kind {
        EventKind::Rejected { reason, .. } => reason.view_fault(),
        _ => None,
    }
}

/// What of the recorded decision cannot be repeated.
fn caveats(manifest: &Manifest) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(text);
    if manifest.version != env!("CARGO_PKG_VERSION") {
        note(format!(
            "recorded by Facewarden {}, and this is {}",
            manifest.version,
            env!("CARGO_PKG_VERSION")
        ));
    }
    if manifest.is_cut {
        note("the face was there before the first frame that was kept".to_owned());
    }
    if manifest.missing > 0 {
        note(format!(
            "{} frames or decisions in between were not kept: recording was behind",
            manifest.missing
        ));
    }
    if manifest.config.liveness.mode == LivenessMode::Challenge {
        note(
            "a challenge cannot be put again: it is left out, and only the identity and the passive checks are compared"
                .to_owned(),
        );
    }
    match &manifest.event.kind {
        EventKind::Rejected { reason: Reason::LockedOut, .. } => {
            note("the failures that led to the lock-out are not part of the recording".to_owned());
        }
        EventKind::Rejected { reason, .. } if reason.view_fault().is_some() => {
            note("the watch over the camera's view is not repeated: it is taken to have been unfit all the time".to_owned());
        }
        EventKind::Rejected { reason: Reason::TooLate, .. } => {
            note("a replay takes its time from the frames: no decision is late in it".to_owned());
        }
        _ => (),
    }
    notes
}

/// The settings to decide by: the recorded ones, or those of a file.
fn settings(args: &Args, manifest: &Manifest, notes: &mut Vec<String>) -> Result<Config, Failure> {
    let mut config = match &args.config {
        None => {
            let config = manifest.config.clone();
            let fault = config::check(&config).into_iter().find(|found| found.severity == Severity::Error);
            // A camera's address of which nothing may be shown was left out.
            if let Some(fault) = fault.filter(|fault| fault.key != "cameras[0].source") {
                return Err(Failure::new(
                    Exit::Data,
                    format!("the recorded settings cannot be used: {fault}"),
                ));
            }
            config
        }
        Some(path) => {
            notes.push(format!("decided by the settings of {}, not the recorded ones", path.display()));
            Config::read(path).map_err(config_failure)?
        }
    };
    if let Some(folder) = &args.gallery {
        config.gallery.folder.clone_from(folder);
        // The key of the settings is that of their folder.
        config.gallery.key = None;
    }
    if config.liveness.mode == LivenessMode::Challenge {
        // The same passive checks, without the challenge.
        config.liveness.mode = LivenessMode::Enforce;
        if !config.liveness.challenge.with_passive {
            config.liveness.min_mean = 0.0;
        }
    }
    Ok(config)
}

/// Which models are others than those of the recording, in words.
fn difference(manifest: &Manifest, models: &Models) -> Option<String> {
    let (then, now) = (&manifest.models, models.identity());
    let mut pairs = vec![
        ("detector", Some(&then.detector), Some(&now.detector)),
        ("embedder", Some(&then.embedder), Some(&now.embedder)),
    ];
    if then.liveness.is_some() && now.liveness.is_some() {
        pairs.push(("liveness model", then.liveness.as_ref(), now.liveness.as_ref()));
    }
    let differing = pairs.into_iter().filter(|(_, then, now)| then != now);
    let named = differing.filter_map(|(role, then, now)| {
        let shown = |model: &crate::bundles::ModelIdentity| {
            format!("{} {}", model.name, model.digest.get(..12).unwrap_or(&model.digest))
        };
        Some(format!("the {role} was {}, and is {}", shown(then?), shown(now?)))
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| named.join("; "))
}

/// Today's gallery: who may be let in is asked for the time of the recording. Nothing is changed in its folder.
fn gallery(
    config: &Config,
    models: &Models,
    then: &GalleryIdentity,
    notes: &mut Vec<String>,
) -> Result<Gallery, Failure> {
    let loaded = open_configured(&config.gallery).and_then(|store| store.load()).map_err(store_failure)?;
    warn_of_refused(&loaded);
    let gallery = people::searched(&loaded, &models.embedder, config.people.rules());
    let now = crate::domain::ModelDigest(gallery.digest()).to_string();
    if now != then.digest {
        notes.push(format!(
            "the gallery, or when its people may be let in, has changed since: {} could be recognised then, {} can be now",
            then.people,
            gallery.people()
        ));
    }
    Ok(gallery)
}

/// Takes the frames through the pipeline; what is decided about the same face.
fn decide_again(
    bundle: &Arc<Bundle>,
    config: &Config,
    models: Models,
    gallery: Gallery,
) -> Result<Option<Event>, Failure> {
    let manifest = &bundle.manifest;
    let camera =
        config.cameras.first().ok_or_else(|| Failure::new(Exit::Config, "no camera is configured"))?;
    let camera = config::Camera { id: manifest.camera.clone(), ..camera.clone() };
    // Whether the liveness test had been passed is not recorded; its lack is a reason of its own.
    let is_untested = matches!(
        &manifest.event.kind,
        EventKind::Rejected { reason: Reason::NoSelfTest, .. }
            | EventKind::Unknown { reason: Reason::NoSelfTest, .. }
    );
    let terms = models.terms(config, !is_untested)?;
    // Only challenges are random, and none is put.
    let decider = EvidenceDecider::new(terms.policy, Box::new(|| 0)).or_exit(Exit::Config)?;
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(manifest.first_frame_at.0));
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let heard = Arc::clone(&events);
    let out = move |event| heard.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    let tap = Tap::default();
    let seen = tap.join_for_all(4);
    let surroundings = Surroundings {
        open: source::opener(Arc::clone(bundle)),
        keep_all: true,
        own_time: true,
        gallery: SharedGallery::new(gallery),
        announcer: Announcer::new(Arc::clone(&clock), Arc::new(out)),
        recording: None,
        lasting: Lasting { tap, ..Lasting::default() },
        clock,
    };
    let mut parts = assembly::parts((config, &camera), Minds::new(models, decider), surroundings);
    // How the view was is not recorded; that it was unfit is a reason of its own.
    parts.watching = view_fault(manifest).map_or(Watching::Off, Watching::Said);
    let follower = thread::spawn("follow", move || follow(&seen)).or_exit(Exit::Unavailable)?;
    let running = pipeline::spawn(parts).or_exit(Exit::Unavailable)?;
    running.join(REPLAY_WITHIN).map_err(pipeline_failure)?;
    let followed = follower.join().or_exit(Exit::Internal)?;
    let events = std::mem::take(&mut *events.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(EventKind::Degraded { message }) =
        events.iter().map(|event| &event.kind).find(|kind| matches!(kind, EventKind::Degraded { .. }))
    {
        return Err(Failure::new(Exit::Unavailable, message));
    }
    let Some(track) = same_track(manifest, &followed) else { return Ok(None) };
    Ok(events.into_iter().find(|event| event.kind.detail().is_some_and(|detail| detail.track == track)))
}

/// Where each track was on each frame.
fn follow(seen: &Receiver<Seen>) -> Vec<Followed> {
    let faces = |seen: Seen| {
        let faces = seen.tracks.iter().map(|track| (track.id, track.detection.box_in_frame)).collect();
        Followed { seq: seen.frame.seq, faces }
    };
    seen.iter().map(faces).collect()
}
