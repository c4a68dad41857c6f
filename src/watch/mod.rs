//! Whether a camera's view can be relied on: a pure state machine that is handed what each frame shows, and its time.
//!
//! | fault | when it begins |
//! |---|---|
//! | frozen | frames keep coming and all show the very same picture: a sensor has noise |
//! | covered | hardly any light and structure, beside what the place had |
//! | blinded | much of the picture is white, and was not before |
//! | moved | hardly any part of the place that was learned is recognised |
//!
//! Each has to last for its time before it is told, and to be over for [`WatchSettings::clear_after`] before that is.
//! What the constants rest on, and what cannot be told apart: docs/camera-watch.md.

mod debounce;
mod glance;
mod light;
mod motion;
mod place;
mod smooth;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use glance::{Glance, payload_digest};
pub use motion::Motion;

use self::debounce::Debounce;
use self::glance::{CELLS, Cells};
use self::light::{Light, Usual};
use self::place::{Likeness, Place};
use self::smooth::Smooth;
use crate::clock::Moment;
use crate::domain::{Rect, ViewFault};

/// A place is learned over so long before anything is held against it.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// Time between two frames counts up to this: what was while none came is not known.
const MAX_STEP: Duration = Duration::from_secs(1);
/// A picture that changes at least so often is not frozen any more. Cameras repeat a picture once or twice where the
/// light asks for a longer exposure than the frame rate leaves.
const STALL: Duration = Duration::from_millis(500);
/// With more of the picture than this at the ends of the scale there is no noise to be seen, and the same picture twice
/// means nothing.
const CLIPPED: f32 = 0.95;

/// What is looked for, and for how long it has to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchSettings {
    /// The same picture for so long; `None`: not looked for, as with the others.
    pub frozen: Option<Duration>,
    /// Covered for so long.
    pub covered: Option<Duration>,
    /// Blinded for so long.
    pub blinded: Option<Duration>,
    /// Another place for so long.
    pub moved: Option<Duration>,
    /// What is wrong is over once it was right for so long.
    pub clear_after: Duration,
    /// Another place that stays the same for so long is taken for the camera's own; `None`: only when somebody says so
    /// ([`SceneWatch::learn_anew`]).
    pub confirm_after: Option<Duration>,
}

impl WatchSettings {
    fn time_in(&self, fault: ViewFault) -> Option<Duration> {
        match fault {
            ViewFault::Frozen => self.frozen,
            ViewFault::Covered => self.covered,
            ViewFault::Blinded => self.blinded,
            ViewFault::Moved => self.moved,
        }
    }
}

/// What one frame shows.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// When it was taken.
    pub at: Moment,
    /// In brief.
    pub glance: &'a Glance,
    /// Digest of its bytes, where it came as a file: [`payload_digest`].
    pub payload: Option<u64>,
    /// The faces on it, in pixels.
    pub faces: &'a [Rect],
}

/// Something about the view has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is wrong.
    Began(ViewFault),
    /// It is right again.
    Ended(ViewFault),
    /// The other place is taken for the camera's own from now on.
    Confirmed,
}

/// Watches the view of one camera.
#[derive(Debug)]
pub struct SceneWatch {
    settings: WatchSettings,
    newest: Option<Moment>,
    /// Digests of the picture before, and how long it has stood.
    picture: (Option<u64>, u64),
    stood: Duration,
    is_repeat: bool,
    smooth: Smooth,
    usual: Option<Usual>,
    place: Option<Place>,
    /// How long the first look at the place has taken.
    learning: Duration,
    /// The other place, and how long it has stayed the same.
    other: Option<(Place, Duration)>,
    /// In the order of [`ViewFault::ALL`].
    states: [Debounce; ViewFault::ALL.len()],
}

impl SceneWatch {
    /// Knows nothing of the place yet.
    #[must_use]
    pub fn new(settings: WatchSettings) -> Self {
        Self {
            settings,
            newest: None,
            picture: (None, 0),
            stood: Duration::ZERO,
            is_repeat: false,
            smooth: Smooth::default(),
            usual: None,
            place: None,
            learning: Duration::ZERO,
            other: None,
            states: Default::default(),
        }
    }

    /// Goes on by other settings; what is not looked for any more is over.
    pub fn adopt(&mut self, settings: WatchSettings) -> Vec<Change> {
        self.settings = settings;
        let mut changes = Vec::new();
        for fault in ViewFault::ALL {
            let state = &mut self.states[fault as usize];
            if state.is_on() && settings.time_in(fault).is_none() {
                state.set(false);
                changes.push(Change::Ended(fault));
            }
        }
        changes
    }

    /// Whether this is wrong just now.
    #[must_use]
    pub fn is_on(&self, fault: ViewFault) -> bool {
        self.states[fault as usize].is_on()
    }

    /// Whether the newest frame shows the very picture of the one before: it says nothing new.
    #[must_use]
    pub fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    /// Takes what is seen from now on for the camera's own place. To be called when somebody has seen to the camera.
    pub fn learn_anew(&mut self) -> Option<Change> {
        (self.usual, self.place, self.other, self.learning) = (None, None, None, Duration::ZERO);
        let moved = &mut self.states[ViewFault::Moved as usize];
        let was_moved = moved.is_on();
        moved.set(false);
        was_moved.then_some(Change::Confirmed)
    }

    /// Takes in a frame; what has changed with it.
    pub fn see(&mut self, sight: &Sight<'_>) -> Vec<Change> {
        let step = self.newest.map_or(Duration::ZERO, |newest| sight.at.since(newest).min(MAX_STEP));
        let is_first = self.newest.is_none();
        self.newest = self.newest.max(Some(sight.at));
        let frozen = self.is_frozen(sight, step, is_first);
        self.smooth.see(&sight.glance.cells, step);

        let people = sight.glance.people(sight.faces);
        let light = Light::of(&self.smooth, sight.glance, &people);
        let now = Place::of(&self.smooth.cells());
        let likeness = self.place.as_ref().map(|place| place.likeness(&now, &people));
        let is_lost = matches!(likeness, Some(Likeness::Other | Likeness::Unclear));
        // A face that is seen is seen through no hand.
        let is_covered = sight.faces.is_empty() && light.is_covered(self.usual.as_ref());
        let is_blinded = light.is_blinded(self.usual.as_ref(), is_lost);
        let is_obstructed = is_covered || is_blinded;
        let moved = match likeness {
            _ if is_obstructed => None,
            Some(Likeness::Other) => Some(true),
            Some(Likeness::Same) => Some(false),
            Some(Likeness::Unclear) | None => None,
        };

        let mut changes = Vec::new();
        let seen = [frozen, Some(is_covered), Some(is_blinded), moved];
        for (fault, wrong) in ViewFault::ALL.into_iter().zip(seen) {
            let Some(time_in) = self.settings.time_in(fault) else { continue };
            let state = &mut self.states[fault as usize];
            if state.see(wrong, step, (time_in, self.settings.clear_after)) {
                changes.push(if state.is_on() { Change::Began(fault) } else { Change::Ended(fault) });
            }
        }
        if !is_obstructed {
            self.learn(&light, &now, likeness, &people, step);
            changes.extend(self.get_used_to(&now, &people, step));
        }
        changes
    }

    /// Whether the picture is the one before; once that was told, whether it still hardly ever changes.
    fn is_frozen(&mut self, sight: &Sight<'_>, step: Duration, is_first: bool) -> Option<bool> {
        let picture = (sight.payload, sight.glance.digest);
        let is_same_file = picture.0.is_some() && picture.0 == self.picture.0;
        self.is_repeat = !is_first && (is_same_file || picture.1 == self.picture.1);
        self.picture = picture;
        self.stood = if self.is_repeat { self.stood.saturating_add(step) } else { Duration::ZERO };
        let is_on = self.is_on(ViewFault::Frozen);
        let is_blank = sight.glance.clipped > CLIPPED;
        (!is_blank).then_some(if is_on { self.stood >= STALL } else { self.is_repeat })
    }

    /// Learns the place, as long as nothing speaks against its being the place.
    fn learn(
        &mut self,
        light: &Light,
        now: &Place,
        likeness: Option<Likeness>,
        people: &[bool; CELLS],
        step: Duration,
    ) {
        let (Some(usual), Some(place)) = (&mut self.usual, &mut self.place) else {
            self.learning = self.learning.saturating_add(step);
            if self.learning >= FIRST_LOOK {
                (self.usual, self.place) = (Some(Usual::first(light)), Some(now.clone()));
            }
            return;
        };
        if likeness == Some(Likeness::Other) || self.states[ViewFault::Moved as usize].is_on() {
            return;
        }
        usual.learn(light, step);
        place.learn(now, people, step);
    }

    /// While the camera is moved: gets used to the new place, if that is wanted and the place stays the same.
    fn get_used_to(&mut self, now: &Place, people: &[bool; CELLS], step: Duration) -> Option<Change> {
        if !self.is_on(ViewFault::Moved) {
            self.other = None;
            return None;
        }
        let Some((other, stayed)) = &mut self.other else {
            self.other = Some((now.clone(), Duration::ZERO));
            return None;
        };
        match other.likeness(now, people) {
            Likeness::Same => {
                *stayed = stayed.saturating_add(step);
                other.learn(now, people, step);
            }
            Likeness::Other => self.other = None,
            Likeness::Unclear => (),
        }
        let is_long = |stayed: Duration| self.settings.confirm_after.is_some_and(|after| stayed >= after);
        let (other, _) = self.other.take_if(|(_, stayed)| is_long(*stayed))?;
        (self.place, self.usual, self.learning) = (Some(other), None, Duration::ZERO);
        // The light of the new place is learned anew, as at the start; the place itself is known.
        self.states[ViewFault::Moved as usize].set(false);
        Some(Change::Confirmed)
    }
}

/// How far a mean over about `memory` goes towards what was seen `step` after the frame before, 0..=1.
fn step_share(step: Duration, memory: Duration) -> f32 {
    1.0 - (-step.as_secs_f32() / memory.as_secs_f32()).exp()
}

fn toward_one(mean: &mut f32, value: f32, share: f32) {
    *mean += (value - *mean) * share;
}

fn toward(mean: &mut Cells, values: &Cells, share: f32) {
    for (mean, value) in mean.iter_mut().zip(values) {
        toward_one(mean, *value, share);
    }
}
