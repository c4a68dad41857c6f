//! The daemon: everything opened, started, waited for, and ended in order. Used by `run` and `demo`.

mod health;
mod post;
mod refresh;
#[cfg(test)]
mod refresh_tests;
mod settings;
mod site;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::assembly::{self, Models, SharedModels};
use super::desk::{Desk, House, View};
use super::enroll::{MOST, Standard};
use super::exit::{Exit, Failure, OrExit};
use super::forget::Places;
use super::gallery::open_configured;
use super::people::PeopleWatch;
use super::telling::{SinkCounts, Telling};
use super::web::OpenWeb;
use crate::camera::{SourceError, opener};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::control::ReloadReport;
use crate::domain::{CameraId, EventKind};
use crate::inference::Embedder;
use crate::matching::SharedGallery;
use crate::pipeline::{Announcer, PipelineError, Seen, Stats, Verdicts};
use crate::sinks::{Fate, Sink, SinkError};
use crate::sys::signals::{Shutdown, Wake};
use crate::sys::{notify, process};
use health::Health;
use post::Common;
use refresh::Refresher;
pub use settings::Reread;
use settings::Settings;
use site::Site;

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
    /// Draws what the first camera sees.
    pub view: Option<StartView>,
    /// Reads the settings again when that is asked for.
    pub reread: Option<Reread>,
}

/// Watches until all sources have ended or `shutdown` is requested, and gives back what was counted at each camera.
///
/// # Errors
/// If anything cannot be opened, with the exit code for it, or a stage keeps failing.
pub fn watch(
    config: &Config,
    extras: Extras,
    shutdown: &Shutdown,
) -> Result<Vec<(CameraId, Arc<Stats>)>, Failure> {
    process::forbid_core_dumps().or_exit(Exit::Internal)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    if let [camera] = config.cameras.as_slice() {
        // A wrong path is said before anything is loaded. Where there are several, the others are watched.
        drop(opener(camera, Arc::clone(&clock)).map_err(source_failure)?);
    }
    let models = Models::load(config)?;
    let (model, identity) = (models.embedder.digest(), models.identity());
    let settings = Settings::new(config, extras.reread, &models);
    let outlook = settings.outlook(config)?;
    let people = PeopleWatch::open(&config.gallery, &models.embedder, outlook.terms, config.people.rules())?;
    let cameras: Vec<CameraId> = config.cameras.iter().map(|camera| camera.id.clone()).collect();
    let telling =
        Arc::new(Telling::open((&config.events, config.needs_outbox()), &cameras, extras.sinks, &clock)?);
    let wake = shutdown.clone();
    let mut desk = Desk::new(Arc::clone(&clock), Arc::new(move || wake.knock()));
    desk.open(&config.control)?;
    let web = OpenWeb::open(config, &desk, telling.backlog(), &clock)?;
    let (out, recent, shown) = (Arc::clone(&telling), desk.recent(), web.as_ref().map(OpenWeb::teller));
    let tell = move |event| {
        recent.note(&event);
        shown.iter().for_each(|show| show(&event));
        out.send(event);
    };
    let announcer = Announcer::new(Arc::clone(&clock), Arc::new(tell));
    people.report(&announcer);
    for message in outlook.untested {
        tracing::warn!("{message}");
        announcer.announce(EventKind::Degraded { message });
    }

    let standard = Standard::of(&models.embedder, MOST).for_frames();
    let models = SharedModels::new(models);
    let (eyes, shared) = (Arc::clone(&clock), models.clone());
    let common = Common {
        opener: Box::new(move |camera| opener(camera, Arc::clone(&eyes))),
        minds: Box::new(move |decider| shared.minds(decider)),
        recording: Box::new(move |config| assembly::recording(config, identity.clone())),
        gallery: people.gallery(),
        announcer: announcer.clone(),
        clock: Arc::clone(&clock),
    };
    let mut site = Site::new(config, outlook.policies, common)?;
    // Joined before the first frame comes.
    let seen = extras.view.is_some().then(|| site.posts().first().map(|post| post.tap().join_for_all(4)));
    site.start()?;
    if let (Some(start_view), Some(seen), Some(first)) = (extras.view, seen.flatten(), site.first()) {
        start_view(seen, first.verdicts.clone())?;
    }

    if site.is_ready(shutdown) {
        let started =
            EventKind::Started { version: env!("CARGO_PKG_VERSION").to_owned(), people: people.count() };
        announcer.announce(started);
        tracing::info!(cameras = cameras.len(), people = people.count(), model = model.short(), "watching");
        notify::ready("watching").or_exit(Exit::Internal)?;
    }

    let refresher = Refresher::default();
    let mut keeper =
        Keeper { settings, site, people, announcer, telling, models, standard, refresher, clock };
    let end = keeper.keep(shutdown, &mut desk);
    let Keeper { site, announcer, telling, refresher, .. } = keeper;
    let (reason, defect) = match end {
        End::Asked(reason) => (reason, None),
        End::Failed(failure) => (failure.to_string(), Some(failure)),
    };

    tracing::info!("stopping: {reason}");
    if let Err(error) = notify::stopping(&reason) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
    if !desk.close(SHUTDOWN_WITHIN / 6) {
        tracing::warn!("somebody was still being served at the control socket");
    }
    if !web.is_none_or(|web| web.close(SHUTDOWN_WITHIN / 6)) {
        tracing::warn!("somebody was still being answered over HTTP");
    }
    let ended = site.end(SHUTDOWN_WITHIN / 2);
    let ended = if shutdown.is_requested() { ended } else { ended.and_then(something_seen_at_each) };
    let message = ended.as_ref().map_or_else(ToString::to_string, |_| reason);
    announcer.announce(EventKind::Stopping { message });
    drop(announcer);
    for late in Arc::into_inner(telling).map(|telling| telling.close(SHUTDOWN_WITHIN / 3)).unwrap_or_default()
    {
        tracing::warn!(
            "{late} did not end in time; what it is told from the outbox goes on at the next start"
        );
    }
    refresher.end();
    defect.map_or(Ok(()), Err)?;
    let counted = ended?;
    counted.iter().for_each(|(camera, stats)| log_summary(camera, stats));
    Ok(counted)
}

/// What the main thread looks after.
struct Keeper {
    settings: Settings,
    site: Site,
    people: PeopleWatch,
    announcer: Announcer,
    telling: Arc<Telling>,
    models: SharedModels,
    standard: Standard,
    refresher: Refresher,
    clock: Arc<dyn Clock>,
}

/// Why the daemon ends.
enum End {
    /// Somebody asked for it, or there is nothing more to do.
    Asked(String),
    /// A part of it is broken.
    Failed(Failure),
}

impl Keeper {
    /// Looks after everything until the sources have ended, the program is to end, or something is beyond mending.
    fn keep(&mut self, shutdown: &Shutdown, desk: &mut Desk) -> End {
        let mut health = Health::new();
        loop {
            match shutdown.wait(Duration::from_millis(GLANCE_MS)) {
                Wake::Shutdown => {
                    return End::Asked(shutdown.reason().unwrap_or_else(|| "asked to stop".to_owned()));
                }
                // What came of it was said where it is done.
                Wake::Reload => drop(self.reload()),
                Wake::TimedOut => self.people.refresh(false, &self.announcer),
                Wake::Knock => (),
            }
            desk.attend(self);
            for message in self.telling.notices().try_iter() {
                self.announcer.announce(EventKind::Degraded { message });
            }
            match self.telling.gone().try_recv() {
                Ok(error) if error.fate == Fate::Defect => return End::Failed(defect(error)),
                Ok(error) => return End::Asked(format!("nobody takes the events any more: {error}")),
                Err(_nobody_is_gone) => (),
            }
            if let Err(failure) = self.site.tend() {
                return End::Failed(failure);
            }
            if self.site.is_over() {
                return End::Asked("the source has ended".to_owned());
            }
            self.keep_what_was_offered();
            health.look(&self.site, self.people.count(), self.clock.as_ref(), &self.announcer);
        }
    }

    /// Adds templates to people who were verified, where the settings say so.
    fn keep_what_was_offered(&mut self) {
        let (config, generation) = (&self.settings.config, self.people.gallery().generation());
        // Each is taken, also where it is not wanted any more.
        for offer in self.site.posts().iter().filter_map(post::Post::offer) {
            if config.refreshes() && offer.generation == generation {
                let gallery = config.gallery.clone();
                let open = move || open_configured(&gallery);
                let (rules, clock) = (&config.enrolment.refresh, self.clock.as_ref());
                self.refresher.take(open, &self.standard, offer, rules, clock);
            }
        }
        if let Err(message) = self.refresher.outcome() {
            self.announcer.announce(EventKind::Degraded { message });
        }
    }

    fn tell_manager(&self, told: std::io::Result<()>) {
        if let Err(error) = told {
            tracing::warn!("the service manager cannot be told: {error}");
        }
    }
}

impl House for Keeper {
    fn config(&self) -> &Config {
        &self.settings.config
    }

    fn cameras(&self) -> Vec<View> {
        self.site.posts().iter().map(post::Post::view).collect()
    }

    fn people(&self) -> usize {
        self.people.count()
    }

    fn gallery(&self) -> SharedGallery {
        self.people.gallery()
    }

    fn gallery_trouble(&self) -> Vec<String> {
        self.people.trouble().to_vec()
    }

    fn waiting(&self) -> Vec<(String, u64)> {
        self.telling.waiting()
    }

    fn sinks(&self) -> Vec<SinkCounts> {
        self.telling.counts()
    }

    fn places(&self) -> Places {
        self.telling.places(&self.settings.config, &self.clock)
    }

    fn embedder(&self) -> (Box<dyn Embedder>, Standard) {
        (self.models.embedder(), self.standard.clone())
    }

    fn announce(&self, kind: EventKind) {
        self.announcer.announce(kind);
    }

    fn refresh_people(&mut self) {
        self.people.refresh(true, &self.announcer);
    }

    /// Settings that cannot be used are refused as a whole.
    fn reload(&mut self) -> Result<ReloadReport, Failure> {
        self.tell_manager(notify::reloading());
        let (site, people) = (&mut self.site, &mut self.people);
        let reloaded = self.settings.read_again(|config, outlook| {
            site.change(config, outlook.policies);
            people.adopt(outlook.terms, config.people.rules());
        });
        match &reloaded {
            Ok(reloaded) => {
                tracing::info!(changed = reloaded.taken.join(", "), "settings read again");
                if !reloaded.at_next_start.is_empty() {
                    let keys = reloaded.at_next_start.join(", ");
                    tracing::warn!("these settings take effect only when the daemon is started anew: {keys}");
                }
            }
            Err(failure) => {
                let message = format!("the settings were not taken over, and the old ones stay: {failure}");
                tracing::warn!("{message}");
                self.announcer.announce(EventKind::Degraded { message });
            }
        }
        self.people.refresh(true, &self.announcer);
        self.tell_manager(notify::ready("watching"));
        let people = self.people.count();
        reloaded.map(|reloaded| ReloadReport {
            changed: reloaded.taken,
            after_restart: reloaded.at_next_start,
            people,
        })
    }
}

fn defect(error: SinkError) -> Failure {
    Failure { exit: Exit::Internal, error: error.into() }
}

fn something_seen_at_each(
    counted: Vec<(CameraId, Arc<Stats>)>,
) -> Result<Vec<(CameraId, Arc<Stats>)>, Failure> {
    counted.iter().try_for_each(|(_, stats)| something_seen(Arc::clone(stats)).map(drop))?;
    Ok(counted)
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

fn log_summary(camera: &CameraId, stats: &Stats) {
    tracing::info!(
        %camera,
        captured = stats.captured.get(),
        replaced = stats.replaced.get(),
        skipped = stats.skipped.get(),
        quiet = stats.quiet.get(),
        bad = stats.bad_frames.get(),
        flagged = stats.flagged.get(),
        empty = stats.empty.get(),
        truncated = stats.truncated.get(),
        corrupt = stats.corrupt.get(),
        missing = stats.missing.get(),
        overtaken = stats.overtaken.get(),
        lost = stats.lost.get(),
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
