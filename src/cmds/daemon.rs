//! The daemon: everything opened, started, waited for, and ended in order. Used by `run` and `demo`.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::assembly::{self, Minds, Models, Surroundings};
use super::exit::{Exit, Failure, OrExit};
use super::liveness_test::untested;
use super::people::PeopleWatch;
use super::telling::Telling;
use crate::camera::{SourceError, opener};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Speed};
use crate::decision::EvidenceDecider;
use crate::domain::EventKind;
use crate::inference::Embedder as _;
use crate::pipeline::{self, Announcer, PipelineError, Running, Seen, Stats, Verdicts};
use crate::sinks::{Fate, Sink, SinkError};
use crate::sys::signals::{Shutdown, Wake};
use crate::sys::{notify, process};

/// All of the shutdown takes less than this, so that systemd never has to kill.
const SHUTDOWN_WITHIN: Duration = Duration::from_millis(2500);

/// How often the main thread looks around, milliseconds.
pub(super) const GLANCE_MS: u64 = 100;

/// Draws what the daemon sees; gets frames and the verdicts on their tracks.
pub type StartView = Box<dyn FnOnce(crossbeam_channel::Receiver<Seen>, Verdicts) -> Result<(), Failure>>;

/// What `run` and `demo` add to the configuration.
#[derive(Default)]
pub struct Extras {
    /// More takers of events.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Draws what is seen.
    pub view: Option<StartView>,
}

/// Watches until the source ends or `shutdown` is requested.
///
/// # Errors
/// If anything cannot be opened, with the exit code for it, or a stage failed.
pub fn watch(config: &Config, extras: Extras, shutdown: &Shutdown) -> Result<Arc<Stats>, Failure> {
    process::forbid_core_dumps().or_exit(Exit::Internal)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let camera =
        config.cameras.first().ok_or_else(|| Failure::new(Exit::Config, "no camera is configured"))?;

    let open = opener(camera, Arc::clone(&clock)).map_err(source_failure)?;
    let models = Models::load(config)?;
    let model = models.embedder.digest();
    let untested = untested(config)?;
    let terms = models.terms(config, untested.is_none())?;
    let random = Box::new(rand::random::<u64>);
    let decider = EvidenceDecider::new(terms.policy.clone(), random).or_exit(Exit::Config)?;
    let mut people = PeopleWatch::open(&config.gallery, &models.embedder, terms)?;
    let cameras = [camera.id.clone()];
    let telling = Arc::new(Telling::open(&config.events, &cameras, extras.sinks, &clock)?);
    let out = Arc::clone(&telling);
    let announcer = Announcer::new(Arc::clone(&clock), Arc::new(move |event| out.send(event)));
    people.report(&announcer);
    if let Some(message) = untested {
        tracing::warn!("{message}");
        announcer.announce(EventKind::Degraded { message });
    }

    let (view, seen) = bounded(4);
    let surroundings = Surroundings {
        open,
        keep_all: camera.speed == Speed::Max,
        gallery: people.gallery(),
        announcer: announcer.clone(),
        view: extras.view.is_some().then_some(view),
        recording: assembly::recording(config, &models),
        clock: Arc::clone(&clock),
    };
    let parts = assembly::parts((config, camera), Minds::new(models, decider), surroundings);
    let mut running = pipeline::spawn(parts).or_exit(Exit::Unavailable)?;
    if let Some(start_view) = extras.view {
        start_view(seen, running.verdicts.clone())?;
    }

    if is_ready(&running, shutdown) {
        let started =
            EventKind::Started { version: env!("CARGO_PKG_VERSION").to_owned(), people: people.count() };
        announcer.announce(started);
        tracing::info!(camera = %camera.id, people = people.count(), model = model.short(), "watching");
        notify::ready("watching").or_exit(Exit::Internal)?;
    }

    let end = wait_for_end(&running, shutdown, &mut people, &announcer, &telling);
    let (reason, defect) = match end {
        End::Asked(reason) => (reason, None),
        End::Defect(error) => (error.to_string(), Some(error)),
    };

    tracing::info!("stopping: {reason}");
    if let Err(error) = notify::stopping(&reason) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
    running.stop();
    let ended = running.join(SHUTDOWN_WITHIN / 3 * 2).map_err(pipeline_failure);
    let ended = if shutdown.is_requested() { ended } else { ended.and_then(something_seen) };
    let message = ended.as_ref().map_or_else(ToString::to_string, |_| reason);
    announcer.announce(EventKind::Stopping { message });
    drop(announcer);
    for late in Arc::into_inner(telling).map(|telling| telling.close(SHUTDOWN_WITHIN / 3)).unwrap_or_default()
    {
        tracing::warn!(
            "{late} did not end in time; what it is told from the outbox goes on at the next start"
        );
    }
    let stats = ended?;
    defect.map_or(Ok(()), |error| Err(error).or_exit(Exit::Internal))?;
    log_summary(&stats);
    Ok(stats)
}

/// Waits until the first frame has come or the camera is known to be missing: before that nothing is watched.
/// False if that is not to be: the pipeline has ended, or the program is to end.
fn is_ready(running: &Running, shutdown: &Shutdown) -> bool {
    crossbeam_channel::select! {
        recv(running.ready) -> ready => ready.is_ok(),
        recv(shutdown.requested()) -> _ => false,
    }
}

/// A recording in which every frame is damaged was not watched, and must not look as if it had been.
pub(super) fn something_seen(stats: Arc<Stats>) -> Result<Arc<Stats>, Failure> {
    let sound = stats.detected.get() + stats.skipped.get() + stats.model_failures.get();
    match (stats.bad_frames.get(), sound) {
        (bad @ 1.., 0) => {
            let message = format!("no picture could be read: all {bad} frames that came are damaged");
            Err(Failure::new(Exit::Data, message))
        }
        _ => Ok(stats),
    }
}

/// Why the daemon ends.
enum End {
    /// Somebody asked for it, or there is nothing more to do.
    Asked(String),
    /// A part of it is broken.
    Defect(SinkError),
}

/// Waits for the end of the source or a request to stop, and meanwhile follows changes in the gallery and announces
/// what the sinks have to say.
fn wait_for_end(
    running: &Running,
    shutdown: &Shutdown,
    people: &mut PeopleWatch,
    announcer: &Announcer,
    telling: &Telling,
) -> End {
    loop {
        match shutdown.wait(Duration::from_millis(GLANCE_MS)) {
            Wake::Shutdown => {
                return End::Asked(shutdown.reason().unwrap_or_else(|| "asked to stop".to_owned()));
            }
            Wake::Reload => people.refresh(true, announcer),
            Wake::TimedOut => people.refresh(false, announcer),
        }
        for message in telling.notices().try_iter() {
            announcer.announce(EventKind::Degraded { message });
        }
        match telling.gone().try_recv() {
            Ok(error) if error.fate == Fate::Defect => return End::Defect(error),
            Ok(error) => return End::Asked(format!("nobody takes the events any more: {error}")),
            Err(_nobody_is_gone) => (),
        }
        if running.is_over() {
            return End::Asked("the source has ended".to_owned());
        }
    }
}

/// The exit code of a source that cannot be used.
pub(super) fn source_failure(error: SourceError) -> Failure {
    Failure { exit: Exit::Unavailable, error: error.into() }
}

/// The exit code of a pipeline that did not end well.
pub(super) fn pipeline_failure(error: PipelineError) -> Failure {
    match error {
        PipelineError::Source(error) => source_failure(error),
        PipelineError::Stage(error) => Failure { exit: Exit::Internal, error: error.into() },
    }
}

fn log_summary(stats: &Stats) {
    tracing::info!(
        captured = stats.captured.get(),
        replaced = stats.replaced.get(),
        skipped = stats.skipped.get(),
        bad = stats.bad_frames.get(),
        detected = stats.detected.get(),
        tracks = stats.tracks.get(),
        embeddings = stats.embeddings.get(),
        looks_dropped = stats.looks_dropped.get(),
        decisions = stats.decisions.get(),
        recorded = stats.recorded.get(),
        record_dropped = stats.record_dropped.get(),
        frame_lag_p50_ms = stats.frame_lag.percentile_ms(50),
        frame_lag_p99_ms = stats.frame_lag.percentile_ms(99),
        "done"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::thread::ThreadError;

    #[test]
    fn a_stage_that_panics_is_a_defect_and_a_wrong_source_is_not() {
        let panic = ThreadError::Panicked { name: "detect".to_owned(), message: "why".to_owned() };
        let failure = pipeline_failure(panic.into());
        assert_eq!(
            (failure.exit, failure.to_string().as_str()),
            (Exit::Internal, "the thread detect panicked: why")
        );
        let failure = pipeline_failure(SourceError::Unusable("no such file".to_owned()).into());
        assert_eq!((failure.exit, failure.to_string().as_str()), (Exit::Unavailable, "no such file"));
    }
}
