//! What the service manager hears: whether all stages are alive, and in a line how it goes.

use std::fmt::Write as _;
use std::time::Duration;

use super::site::Site;
use crate::clock::{Clock, Moment};
use crate::domain::EventKind;
use crate::pipeline::{Announcer, CameraState, Stats};
use crate::sys::notify;

/// How often the line is told anew, where it has changed.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Tells the service manager.
pub(super) struct Health {
    /// How often it wants to hear that all is well; `None` if it does not.
    pet_every: Option<Duration>,
    petted: Option<Moment>,
    told: Option<Moment>,
    line: String,
    /// What each camera had counted when the line was last told.
    counted: Vec<u64>,
    /// A stage hangs, and that was said.
    is_silent: bool,
    /// The notify socket does not work, and that was said.
    is_failing: bool,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            // Systemd asks for half of it at least; with a third one that comes late is no death.
            pet_every: notify::watchdog_interval().map(|interval| interval / 3),
            petted: None,
            told: None,
            line: String::new(),
            counted: Vec::new(),
            is_silent: false,
            is_failing: false,
        }
    }

    /// To be called several times a second. The watchdog hears nothing while a stage hangs.
    pub(super) fn look(&mut self, site: &Site, people: usize, clock: &dyn Clock, announcer: &Announcer) {
        let now = clock.now();
        let silent = site.silent().map(|(camera, stage)| {
            format!("a defect: the {stage} stage of camera {camera} hangs; the watchdog is no longer told that all is well")
        });
        match (silent, self.is_silent) {
            (Some(message), false) => {
                tracing::error!("{message}");
                announcer.announce(EventKind::Degraded { message });
                self.is_silent = true;
            }
            (None, true) => {
                tracing::info!("no stage hangs any more");
                self.is_silent = false;
            }
            _ => (),
        }
        if let Some(every) = self.pet_every
            && !self.is_silent
            && self.petted.is_none_or(|last| now.since(last) >= every)
        {
            self.petted = Some(now);
            self.note(notify::watchdog());
        }
        let since = self.told.map_or(TELL_EVERY, |told| now.since(told));
        if since >= TELL_EVERY {
            let line = self.line(site, people, since, now);
            self.told = Some(now);
            if line != self.line {
                self.note(notify::status(&line));
                self.line = line;
            }
        }
    }

    /// "door: watching, 30 fps; gate: lost for 12 s (it is not plugged in); 3 people".
    fn line(&mut self, site: &Site, people: usize, since: Duration, now: Moment) -> String {
        let mut line = String::new();
        let counts: Vec<u64> = site.posts().iter().map(|post| looked_at(post.stats())).collect();
        for (at, post) in site.posts().iter().enumerate() {
            let condition = post.condition();
            let says = match (&condition.state, post.is_over()) {
                (_, true) => "ended".to_owned(),
                (CameraState::Opening, _) => "opening".to_owned(),
                (CameraState::Resting, _) => "paused".to_owned(),
                (CameraState::Watching, _) => {
                    let new = counts[at].saturating_sub(self.counted.get(at).copied().unwrap_or(0));
                    #[expect(clippy::cast_precision_loss, reason = "frames of two seconds")]
                    let fps = new as f64 / since.as_secs_f64();
                    format!("watching, {fps:.0} fps")
                }
                (CameraState::Lost { message }, _) => {
                    format!("lost for {} s ({message})", now.since(condition.since).as_secs())
                }
            };
            // Writing to a string cannot fail.
            write!(line, "{}: {says}; ", post.camera()).ok();
        }
        self.counted = counts;
        let plural = if people == 1 { "person" } else { "people" };
        write!(line, "{people} {plural}").ok();
        line
    }

    fn note(&mut self, told: std::io::Result<()>) {
        match told {
            Ok(()) => self.is_failing = false,
            Err(error) if !std::mem::replace(&mut self.is_failing, true) => {
                tracing::warn!("the service manager cannot be told: {error}");
            }
            Err(_said_already) => (),
        }
    }
}

/// Frames that were captured.
fn looked_at(stats: &Stats) -> u64 {
    stats.captured.get()
}
