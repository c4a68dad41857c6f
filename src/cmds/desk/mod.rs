//! The daemon's side of `facewarden ctl`: answers what is asked over the control socket, on the main thread, or has it
//! done on the thread of whoever asked.
//!
//! What is on those threads holds nothing that the daemon waits for when it ends; what they have to say to the main
//! thread comes back as a [`Note`].

mod hold;
mod live;
mod pauses;
mod recent;
mod snapshot;
mod status;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::enroll::Standard;
use super::exit::{Exit, Failure};
use super::forget::{self, Places, is_same};
use super::telling::{SinkCounts, socket_failure};
use super::web::{Errand, Errands};
use crate::clock::{Clock, Moment};
use crate::config::{Camera, Config, Control};
use crate::control::{Answer, Asked, ControlServer, MAX_CLIENTS, Refusal, ReloadReport, Reply, Request};
use crate::domain::{CameraId, Erasure, EventKind};
use crate::inference::Embedder;
use crate::matching::SharedGallery;
use crate::pipeline::{CameraState, Condition, Orders, Stats, Tap, Verdicts};
use pauses::{Occupied, Pauses, Purpose};
use status::Rates;

pub(crate) use hold::Hold;
pub(crate) use recent::Recent;

/// What systemd says of the service's folders in /run.
const RUNTIME_DIRECTORY: &str = "RUNTIME_DIRECTORY";

/// So many errands wait for the main thread, which takes them at each glance.
const ERRANDS: usize = 64;

/// A liveness self-test in which nothing is presented for so long is called off: the door was shut for long enough.
const TEST_IDLE: Duration = Duration::from_secs(180);

/// What the desk knows of the daemon around it, and may ask of it.
pub(crate) trait House {
    /// The settings in force.
    fn config(&self) -> &Config;
    /// The cameras that are watched.
    fn cameras(&self) -> Vec<View>;
    /// People enrolled who can be recognised.
    fn people(&self) -> usize;
    /// Their templates.
    fn gallery(&self) -> SharedGallery;
    /// What is wrong with the gallery.
    fn gallery_trouble(&self) -> Vec<String>;
    /// How many events wait for each sink.
    fn waiting(&self) -> Vec<(String, u64)>;
    /// How it goes with each sink.
    fn sinks(&self) -> Vec<SinkCounts>;
    /// Where names of people are kept.
    fn places(&self) -> Places;
    /// Turns faces into numbers, in turn with the pipelines; and what those who are enrolled are judged by.
    fn embedder(&self) -> (Box<dyn Embedder>, Standard);
    /// Tells an event.
    fn announce(&self, kind: EventKind);
    /// Looks at the gallery's folder now.
    fn refresh_people(&mut self);
    /// Reads settings and gallery again.
    fn reload(&mut self) -> Result<ReloadReport, Failure>;
}

/// One camera that is watched.
pub(crate) struct View {
    /// Its settings.
    pub(super) settings: Camera,
    /// How it goes with it.
    pub(super) condition: Condition,
    /// What its pipeline counts.
    pub(super) stats: Arc<Stats>,
    /// What became of those who are in view.
    pub(super) verdicts: Verdicts,
    /// Shows what it sees.
    pub(super) tap: Tap,
    /// Gives its pipelines orders.
    pub(super) orders: Orders,
    /// It was a recording, and has ended.
    pub(super) is_over: bool,
}

/// A camera that is taken for a liveness self-test.
pub(crate) struct UnderTest {
    /// Nobody is verified there as long as there is this.
    pub(crate) hold: Hold,
    /// Shows what it sees.
    pub(crate) tap: Tap,
    /// The settings in force, with this camera alone.
    pub(crate) config: Config,
}

/// Something for the main thread.
enum Note {
    /// Somebody was enrolled: the gallery is to be looked at.
    GalleryChanged,
    /// What a camera was used for has ended, whatever came of it.
    Vacated(CameraId, Arc<AtomicBool>),
}

/// Sends notes, and wakes the main thread.
#[derive(Clone)]
struct Notes {
    notes: Sender<Note>,
    knock: Arc<dyn Fn() + Send + Sync>,
}

impl Notes {
    fn send(&self, note: Note) {
        // The main thread takes them within a moment, unless the daemon ends: then nobody needs them.
        let _or_ending = self.notes.send_timeout(note, Duration::from_secs(2));
        (self.knock)();
    }
}

/// Answers what is asked.
pub(crate) struct Desk {
    clock: Arc<dyn Clock>,
    started: Moment,
    pauses: Pauses,
    recent: Recent,
    rates: Rates,
    notes: Notes,
    noted: Receiver<Note>,
    errands: (Sender<Errand>, Receiver<Errand>),
    /// When it was last attended to, milliseconds of the clock.
    looked_up: Arc<AtomicU64>,
    open: Option<(ControlServer, Receiver<Asked>)>,
}

impl Desk {
    /// A desk at which nobody can ask anything yet. `knock` wakes the main thread, and must not wait.
    pub(super) fn new(clock: Arc<dyn Clock>, knock: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (notes, noted) = bounded(2 * MAX_CLIENTS);
        let started = clock.now();
        let (pauses, recent, rates) = (Pauses::default(), Recent::default(), Rates::default());
        Self {
            looked_up: Arc::new(AtomicU64::new(millis(started))),
            clock,
            started,
            pauses,
            recent,
            rates,
            notes: Notes { notes, knock },
            noted,
            errands: bounded(ERRANDS),
            open: None,
        }
    }

    /// Is to be told of every event that is sent.
    pub(super) fn recent(&self) -> Recent {
        self.recent.clone()
    }

    /// The way here for those who ask over HTTP.
    pub(super) fn errands(&self) -> Errands {
        Errands::new(self.errands.0.clone(), Arc::clone(&self.notes.knock), Arc::clone(&self.looked_up))
    }

    /// Opens the socket, if the settings want one.
    ///
    /// # Errors
    /// If it cannot be opened, with the exit code for it.
    pub(super) fn open(&mut self, settings: &Control) -> Result<(), Failure> {
        let runtime = std::env::var_os(RUNTIME_DIRECTORY);
        let Some(path) = settings.effective_path(runtime.as_deref()) else { return Ok(()) };
        let (clock, knock) = (Arc::clone(&self.clock), Arc::clone(&self.notes.knock));
        self.open = Some(ControlServer::open(&path, settings, clock, knock).map_err(socket_failure)?);
        Ok(())
    }

    /// Does what has come up since the last time. To be called several times a second, and at each knock.
    pub(super) fn attend(&mut self, house: &mut dyn House) {
        let now = self.clock.now();
        self.looked_up.store(millis(now), Ordering::Relaxed);
        let views = house.cameras();
        views.iter().for_each(|view| self.pauses.meet(&view.settings.id, &view.orders));
        self.pauses.resume_in_time(now).into_iter().for_each(|event| house.announce(event));
        self.rates.read(views.iter().map(|view| (&view.settings.id, &*view.stats)), now);
        for note in self.noted.try_iter() {
            match note {
                Note::GalleryChanged => house.refresh_people(),
                Note::Vacated(camera, flag) => {
                    self.pauses.vacated(&camera, &flag).into_iter().for_each(|event| house.announce(event));
                }
            }
        }
        let asked: Vec<Asked> =
            self.open.as_ref().map(|(_, asked)| asked.try_iter().collect()).unwrap_or_default();
        for asked in asked {
            let reply = self.reply(&asked.request, &asked.caller.to_string(), house);
            if asked.request.is_for_operators() {
                let uid = asked.caller.uid;
                tracing::info!(
                    uid,
                    "{} asked for `{}`: {}",
                    asked.caller,
                    asked.request.name(),
                    said(&reply)
                );
            }
            asked.answer(reply);
        }
        let errands: Vec<Errand> = self.errands.1.try_iter().collect();
        errands.into_iter().for_each(|errand| errand(self, house));
    }

    /// Hangs up on everybody and removes the socket. False if somebody was still being served after that time.
    #[must_use]
    pub(super) fn close(&mut self, within: Duration) -> bool {
        self.open.take().is_none_or(|(server, _)| server.close(within))
    }

    /// Answers a request of whom `by` names, who may make it.
    pub(crate) fn reply(&mut self, request: &Request, by: &str, house: &mut dyn House) -> Reply {
        let done = match request {
            Request::Status {} => Ok(Reply::Answer(Answer::Status { status: Box::new(self.status(house)) })),
            Request::Pause { camera, seconds } => self.pause(camera.as_ref(), *seconds, by, house),
            Request::Resume { camera } => self.resume(camera.as_ref(), by, house),
            Request::Reload {} => reload(house),
            Request::Snapshot { camera, boxes } => self.snapshot(camera.as_ref(), *boxes, by, house),
            Request::Enroll { person, camera, seconds, pictures } => {
                self.enrol((person, *seconds, *pictures), camera.as_ref(), by, house)
            }
            Request::Forget { record, person, gallery, only_check } => {
                self.forget(&Erasure::new(record, person.as_ref()), gallery, *only_check, house)
            }
        };
        done.unwrap_or_else(Reply::Answer)
    }

    fn pause(
        &mut self,
        camera: Option<&CameraId>,
        seconds: Option<u32>,
        by: &str,
        house: &dyn House,
    ) -> Result<Reply, Answer> {
        let until = seconds.map(|seconds| self.clock.now() + Duration::from_secs(seconds.into()));
        let cameras = cameras(house, camera)?;
        for camera in &cameras {
            let event = self.pauses.pause(camera, by, until, self.clock.as_ref());
            house.announce(event);
        }
        let until = match until {
            Some(until) => format!("until {}", self.clock.wall(until)),
            None => "until it is resumed".to_owned(),
        };
        let message = format!("{}: paused {until}; nobody is looked at or verified", listed(&cameras));
        Ok(Reply::Answer(Answer::Done { message }))
    }

    fn resume(&mut self, camera: Option<&CameraId>, by: &str, house: &dyn House) -> Result<Reply, Answer> {
        let mut resumed = Vec::new();
        let cameras = cameras(house, camera)?;
        for camera in &cameras {
            if let Some(event) = self.pauses.resume(camera, by) {
                house.announce(event);
                resumed.push(camera.clone());
            }
        }
        let message = match resumed[..] {
            [] => format!("{}: not paused", listed(&cameras)),
            _ => format!("{}: watched again", listed(&resumed)),
        };
        Ok(Reply::Answer(Answer::Done { message }))
    }

    /// The camera to look through now, and what is known of it.
    fn open_camera(&self, camera: Option<&CameraId>, house: &dyn House) -> Result<View, Answer> {
        let mut views = house.cameras();
        let at = match (camera, views.len()) {
            (Some(camera), _) => {
                cameras(house, Some(camera))?;
                views.iter().position(|view| view.settings.id == *camera)
            }
            (None, 1) => Some(0),
            (None, _) => {
                let ids: Vec<CameraId> = views.into_iter().map(|view| view.settings.id).collect();
                let message = format!("there are several cameras, name one: {}", listed(&ids));
                return Err(Answer::refused(Refusal::NoCamera, message));
            }
        };
        let Some(at) = at else {
            return Err(Answer::refused(Refusal::NoCamera, "that camera is not watched"));
        };
        let view = views.swap_remove(at);
        let id = &view.settings.id;
        if self.pauses.is_paused(id) {
            let message = format!("{id} is paused: `facewarden ctl resume` first");
            return Err(Answer::refused(Refusal::Paused, message));
        }
        match &view.condition.state {
            CameraState::Lost { message } => {
                let message = format!("{id} gives no frames: {message}");
                Err(Answer::refused(Refusal::Unavailable, message))
            }
            _ if view.is_over => {
                let message = format!("{id} was a recording, and has ended");
                Err(Answer::refused(Refusal::Unavailable, message))
            }
            _ => Ok(view),
        }
    }

    fn snapshot(
        &mut self,
        camera: Option<&CameraId>,
        boxes: bool,
        by: &str,
        house: &dyn House,
    ) -> Result<Reply, Answer> {
        let view = self.open_camera(camera, house)?;
        // Before the picture leaves, so that none does without a trace.
        let (camera, by) = (view.settings.id.clone(), by.to_owned());
        house.announce(EventKind::CameraSnapshot { camera, by });
        Ok(Reply::Work(snapshot::work(view, boxes, Arc::clone(&self.clock))))
    }

    fn forget(
        &self,
        erasure: &Erasure,
        gallery: &Path,
        only_check: bool,
        house: &mut dyn House,
    ) -> Result<Reply, Answer> {
        let own = &house.config().gallery.folder;
        if !is_same(own, gallery) {
            let message = format!("the daemon serves the gallery {}, and not that one", own.display());
            return Err(Answer::refused(Refusal::Conflict, message));
        }
        if only_check {
            return Ok(Reply::Answer(Answer::Done { message: "that can be done".to_owned() }));
        }
        // From here on nobody is taken for them any more.
        house.refresh_people();
        Ok(Reply::Work(forget::work(house.places(), erasure.clone(), Arc::clone(&self.clock))))
    }

    fn enrol(
        &mut self,
        (person, seconds, pictures): (&crate::domain::PersonId, u32, u8),
        camera: Option<&CameraId>,
        by: &str,
        house: &dyn House,
    ) -> Result<Reply, Answer> {
        let view = self.open_camera(camera, house)?;
        let at_most = Duration::from_secs(seconds.into());
        let hold = self.occupy(&view, (Purpose::Enrolment, at_most + live::GETTING_READY), by, house)?;
        let sitting = live::Sitting {
            person: person.clone(),
            hold,
            at_most,
            pictures: pictures.into(),
            tap: view.tap,
            clock: Arc::clone(&self.clock),
            notes: self.notes.clone(),
        };
        Ok(Reply::Work(live::work(sitting, house.config(), house.embedder())))
    }

    /// Takes a camera for a liveness self-test: nobody is verified there until the hold is dropped, or for
    /// [`TEST_IDLE`], which [`Desk::go_on_testing`] begins anew.
    pub(crate) fn begin_liveness_test(
        &mut self,
        camera: &CameraId,
        by: &str,
        house: &dyn House,
    ) -> Result<UnderTest, Answer> {
        let view = self.open_camera(Some(camera), house)?;
        let config = house.config().of_camera(camera);
        let config =
            config.ok_or_else(|| Answer::refused(Refusal::NoCamera, "that camera is not in the settings"))?;
        let hold = self.occupy(&view, (Purpose::LivenessTest, TEST_IDLE), by, house)?;
        Ok(UnderTest { hold, tap: view.tap, config })
    }

    /// Something is presented in a test: it may go on for as long again. False if it is over.
    pub(crate) fn go_on_testing(&mut self, camera: &CameraId, flag: &Arc<AtomicBool>) -> bool {
        self.pauses.extend(camera, flag, self.clock.now() + TEST_IDLE)
    }

    /// Takes a camera for something else than watching.
    fn occupy(
        &mut self,
        view: &View,
        (purpose, at_most): (Purpose, Duration),
        by: &str,
        house: &dyn House,
    ) -> Result<Hold, Answer> {
        let id = &view.settings.id;
        let until = self.clock.now() + at_most;
        let begun = self.pauses.occupy((id, purpose), by, until, self.clock.as_ref());
        let (event, is_called_off) = begun.map_err(|occupied| match occupied {
            Occupied::InUse(Purpose::Enrolment) => {
                Answer::refused(Refusal::InUse, format!("somebody is being enrolled at {id} already"))
            }
            Occupied::InUse(Purpose::LivenessTest) => {
                Answer::refused(Refusal::InUse, format!("a liveness self-test goes on at {id}"))
            }
            Occupied::Paused => Answer::refused(Refusal::Paused, format!("{id} is paused")),
        })?;
        house.announce(event);
        Ok(Hold::new(id.clone(), is_called_off, self.notes.clone()))
    }
}

/// Milliseconds of the clock.
pub(super) fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.0.as_millis()).unwrap_or(u64::MAX)
}

fn reload(house: &mut dyn House) -> Result<Reply, Answer> {
    let report = house.reload().map_err(|failure| Answer::refused(refusal(failure.exit), failure))?;
    Ok(Reply::Answer(Answer::Reloaded { report }))
}

/// The reason for programs that a failure comes to.
fn refusal(exit: Exit) -> Refusal {
    match exit {
        Exit::Config | Exit::NoInput => Refusal::Config,
        Exit::Permission => Refusal::NotAllowed,
        Exit::Busy => Refusal::Busy,
        Exit::No => Refusal::Conflict,
        Exit::CannotTell => Refusal::CannotTell,
        Exit::Data => Refusal::Data,
        Exit::CannotWrite => Refusal::CannotWrite,
        Exit::Unavailable => Refusal::Unavailable,
        Exit::Ok | Exit::Usage | Exit::Internal => Refusal::Internal,
    }
}

/// The camera that was named, or all.
fn cameras(house: &dyn House, named: Option<&CameraId>) -> Result<Vec<CameraId>, Answer> {
    let all: Vec<CameraId> = house.cameras().into_iter().map(|view| view.settings.id).collect();
    match named {
        None => Ok(all),
        Some(named) if all.contains(named) => Ok(vec![named.clone()]),
        Some(named) => {
            let message = format!("there is no camera `{named}`, only: {}", listed(&all));
            Err(Answer::refused(Refusal::NoCamera, message))
        }
    }
}

fn listed(cameras: &[CameraId]) -> String {
    cameras.iter().map(CameraId::as_str).collect::<Vec<_>>().join(", ")
}

/// What is logged of a reply.
fn said(reply: &Reply) -> &str {
    match reply {
        Reply::Work(_) => "begun",
        Reply::Answer(Answer::Refused { message, .. } | Answer::Done { message }) => message,
        Reply::Answer(_) => "done",
    }
}
