//! What is looked at while nobody is there: few frames are decoded, and on fewer a face is looked for.

use std::time::Duration;

use crate::clock::Moment;
use crate::watch::{Glance, Motion};

/// While idle a frame is decoded at most this often, to see whether anything moves. A little less than an eighth of a
/// second, so that a camera's jitter does not make it a tenth.
const GLANCE_EVERY: Duration = Duration::from_millis(120);

/// When the detector rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleSettings {
    /// Once nobody was there for so long, ...
    pub after: Duration,
    /// ... it runs at most this often, unless something moves.
    pub detect_every: Duration,
}

/// Says which frames are worth what.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// `None`: every frame is worth all of it.
    settings: Option<IdleSettings>,
    /// When somebody was last there; at first, when the first frame was taken.
    last_busy: Option<Moment>,
    last_glance: Option<Moment>,
    last_search: Option<Moment>,
    motion: Motion,
}

impl Idle {
    /// `keep_all`: every frame counts.
    pub(super) fn new(settings: IdleSettings, keep_all: bool) -> Self {
        Self { settings: (!keep_all).then_some(settings), ..Self::default() }
    }

    /// Goes on by other settings.
    pub(super) fn adopt(&mut self, settings: IdleSettings, keep_all: bool) {
        self.settings = (!keep_all).then_some(settings);
    }

    pub(super) fn needs_glances(&self) -> bool {
        self.settings.is_some()
    }

    fn resting(&self, at: Moment) -> Option<IdleSettings> {
        let settings = self.settings?;
        (at.since(self.last_busy?) >= settings.after).then_some(settings)
    }

    /// Whether a frame is worth decoding.
    pub(super) fn is_worth_a_glance(&self, at: Moment) -> bool {
        let Some(settings) = self.resting(at) else { return true };
        // Where faces are to be looked for more often, frames are decoded as often.
        let every = GLANCE_EVERY.min(settings.detect_every);
        self.last_glance.is_none_or(|last| at.since(last) >= every)
    }

    /// Whether faces are worth looking for on a frame that was decoded.
    pub(super) fn is_worth_a_search(&mut self, at: Moment, glance: Option<&Glance>) -> bool {
        let step = self.last_glance.map_or(Duration::ZERO, |last| at.since(last));
        let is_motion = glance.is_some_and(|glance| self.motion.see(glance, step));
        self.last_glance = Some(at);
        self.last_busy.get_or_insert(at);
        let is_due = match self.resting(at) {
            None => true,
            Some(settings) => {
                is_motion || self.last_search.is_none_or(|last| at.since(last) >= settings.detect_every)
            }
        };
        if is_due {
            self.last_search = Some(at);
        }
        is_due
    }

    /// Somebody is there.
    pub(super) fn is_busy(&mut self, at: Moment) {
        self.last_busy = Some(at);
    }
}
