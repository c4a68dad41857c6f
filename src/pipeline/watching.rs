//! The watch over the camera's view, as a part of the detect stage: what is wrong is told once, and refuses where the
//! settings say so.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::announce::Announcer;
use super::condition::SharedCondition;
use crate::clock::Moment;
use crate::domain::{CameraId, Detection, EventKind, Rect, ViewFault};
use crate::watch::{Change, Glance, SceneWatch, Sight, WatchSettings};

/// How the view of a camera is watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Watching {
    /// Not at all.
    #[default]
    Off,
    /// As these settings say.
    On {
        /// What is looked for.
        settings: WatchSettings,
        /// While this is wrong nobody is verified.
        refuses: BTreeSet<ViewFault>,
        /// Whether recordings are watched too.
        recordings: bool,
    },
    /// It is taken to be wrong in this way all the time: a decision made then is replayed.
    Said(ViewFault),
}

/// What is known of a camera's view. It outlives the pipeline: a stage that is started anew must not take whatever is
/// there then for the camera's place. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SharedView(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    watch: Option<SceneWatch>,
    /// It is another camera, or another place.
    learn_anew: bool,
    /// Somebody has seen to the camera: if it was moved, it is to be as it is.
    confirm: bool,
}

impl SharedView {
    /// What is seen from now on is taken for the camera's own place: it was opened by other settings.
    pub fn learn_anew(&self) {
        self.lock().learn_anew = true;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct ViewWatch {
    camera: CameraId,
    watching: Watching,
    view: SharedView,
    condition: SharedCondition,
    announcer: Announcer,
    /// What was wrong with the newest frame, of what is refused.
    unfit: Option<ViewFault>,
    /// The newest frame may be the first of a frozen picture.
    is_stale: bool,
}

impl ViewWatch {
    pub(super) fn new(
        camera: CameraId,
        watching: Watching,
        view: SharedView,
        condition: SharedCondition,
        announcer: Announcer,
    ) -> Self {
        let unfit = match &watching {
            Watching::Off => None,
            Watching::Said(fault) => Some(*fault),
            // What an earlier pipeline left.
            Watching::On { refuses, .. } => {
                let known = view.lock();
                refuses.iter().copied().find(|fault| known.watch.as_ref().is_some_and(|w| w.is_on(*fault)))
            }
        };
        Self { camera, watching, view, condition, announcer, unfit, is_stale: false }
    }

    /// Goes on by other settings. Whoever makes them count says that the camera is as it should be, if it was moved.
    pub(super) fn adopt(&mut self, watching: Watching) {
        self.watching = watching;
        self.view.lock().confirm = true;
    }

    /// Whether what comes now is watched.
    pub(super) fn needs_glances(&self) -> bool {
        match &self.watching {
            Watching::On { recordings, .. } => *recordings || !self.condition.is_finite(),
            Watching::Off | Watching::Said(_) => false,
        }
    }

    /// Takes in a frame and the faces found on it, and tells what has changed.
    pub(super) fn see(&mut self, at: Moment, glance: &Glance, payload: Option<u64>, found: &[Detection]) {
        let Watching::On { settings, refuses, .. } = &self.watching else { return };
        let mut known = self.view.lock();
        let (learn_anew, confirm) =
            (std::mem::take(&mut known.learn_anew), std::mem::take(&mut known.confirm));
        let watch = known.watch.get_or_insert_with(|| SceneWatch::new(*settings));
        let mut changes = watch.adopt(*settings);
        if learn_anew || (confirm && watch.is_on(ViewFault::Moved)) {
            changes.extend(watch.learn_anew());
        }
        let faces: Vec<Rect> = found.iter().map(|face| face.box_in_frame).collect();
        changes.extend(watch.see(&Sight { at, glance, payload, faces: &faces }));
        self.unfit = refuses.iter().copied().find(|fault| watch.is_on(*fault));
        self.is_stale =
            refuses.contains(&ViewFault::Frozen) && watch.is_repeat() && !watch.is_on(ViewFault::Frozen);
        drop(known);
        changes.into_iter().for_each(|change| self.tell(change, at));
    }

    /// What is wrong with the view just now, where nobody may be verified because of it.
    pub(super) fn unfit(&self) -> Option<ViewFault> {
        self.unfit
    }

    /// Whether the newest frame only repeats the one before, and may be the first of a frozen picture: nothing may rest
    /// on it. Once the picture is known to be frozen the decision layer refuses, and says so.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    fn refuses(&self, fault: ViewFault) -> bool {
        matches!(&self.watching, Watching::On { refuses, .. } if refuses.contains(&fault))
    }

    fn tell(&self, change: Change, at: Moment) {
        let camera = self.camera.clone();
        let event = match change {
            Change::Began(fault) => {
                let refuses = self.refuses(fault);
                let consequence = if refuses { "; nobody is verified meanwhile" } else { "" };
                let message = format!("{}{consequence}", what_to_do(fault));
                tracing::warn!(%camera, "camera {fault}: {message}");
                EventKind::view_fault(camera, fault, refuses, message)
            }
            Change::Ended(over) => {
                let message = how_it_ended(over).to_owned();
                tracing::info!(%camera, "camera {over} no more: {message}");
                EventKind::CameraClear { camera, over, message }
            }
            Change::Confirmed => {
                let message = "what it shows now is taken for its place from now on".to_owned();
                tracing::warn!(%camera, "camera moved: {message}");
                EventKind::CameraClear { camera, over: ViewFault::Moved, message }
            }
        };
        self.announcer.announce_at(event, at);
    }
}

fn what_to_do(fault: ViewFault) -> &'static str {
    match fault {
        ViewFault::Frozen => "it gives the same picture again and again: unplug it and plug it in again",
        ViewFault::Covered => {
            "it shows nothing but darkness or an even surface: uncover and clean the lens, or switch on a light"
        }
        ViewFault::Blinded => {
            "much of its picture is white: keep the sun and lamps from shining into the lens"
        }
        ViewFault::Moved => {
            "it shows another place than before: turn it back, or reload the service if it is meant to be like this"
        }
    }
}

fn how_it_ended(fault: ViewFault) -> &'static str {
    match fault {
        ViewFault::Frozen => "its picture changes again",
        ViewFault::Covered => "there is something to be seen again",
        ViewFault::Blinded => "its picture is no longer white",
        ViewFault::Moved => "it shows the same place as before",
    }
}
