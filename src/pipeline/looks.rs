//! Which of a track's many pictures are worth an embedding. By quality and time; never by likeness.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::domain::{Quality, TrackId};

/// A track is looked at so often at first...
const EAGER: Duration = Duration::from_millis(80);
/// ... for so long, ...
const EAGER_FOR: Duration = Duration::from_secs(4);
/// ... then so often until it is settled, ...
const PATIENT: Duration = Duration::from_millis(500);
/// ... and so often afterwards, to see that it is still the same person.
const SETTLED: Duration = Duration::from_secs(2);
/// A picture much worse than the best of its track waits for a better one, at most so long.
const WAIT_FOR_BETTER: Duration = Duration::from_millis(400);
/// "Much worse": below this part of the best score.
const MUCH_WORSE: f32 = 0.6;

/// How many looks a track gets at most in its first `time`, with at most `max_fps` frames a second.
#[must_use]
pub fn most_looks(time: Duration, max_fps: f64) -> u32 {
    let in_time = |time: Duration, interval: Duration| {
        let interval = interval.as_secs_f64().max(1.0 / max_fps.max(0.1));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a conversion that cuts at the ends of the range is right for a bound"
        )]
        let looks = (time.as_secs_f64() / interval).ceil() as u32;
        looks
    };
    let eager = in_time(time.min(EAGER_FOR), EAGER);
    eager.saturating_add(in_time(time.saturating_sub(EAGER_FOR), PATIENT)).max(1)
}

/// What the decisions mean for how often a track is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attention {
    /// It is decided.
    Settled(TrackId),
    /// It is being challenged.
    Watched(TrackId),
}

/// Remembers when each track was last looked at, and how good it was at best.
#[derive(Debug, Default)]
pub(super) struct LookPicker(HashMap<TrackId, State>);

#[derive(Debug, Default)]
struct State {
    first: Option<Moment>,
    last: Option<Moment>,
    best_score: f32,
    is_settled: bool,
    is_watched: bool,
}

impl LookPicker {
    /// True the first time a track is asked about.
    pub(super) fn is_new(&mut self, track: TrackId) -> bool {
        let is_new = !self.0.contains_key(&track);
        self.0.entry(track).or_default();
        is_new
    }

    /// True if it is time for another look at this track.
    pub(super) fn is_due(&self, track: TrackId, now: Moment) -> bool {
        let Some(state) = self.0.get(&track) else { return true };
        let Some(last) = state.last else { return true };
        let interval = match state.first {
            _ if state.is_settled => SETTLED,
            _ if state.is_watched => EAGER,
            Some(first) if now.since(first) > EAGER_FOR => PATIENT,
            _ => EAGER,
        };
        now.since(last) >= interval
    }

    /// Takes in a picture's quality; true if it is to be embedded.
    pub(super) fn take(&mut self, track: TrackId, now: Moment, quality: &Quality) -> bool {
        if !quality.is_usable() {
            return false;
        }
        let state = self.0.entry(track).or_default();
        let first = *state.first.get_or_insert(now);
        let waited = now.since(state.last.unwrap_or(first));
        if quality.score < MUCH_WORSE * state.best_score && waited < WAIT_FOR_BETTER {
            return false;
        }
        state.best_score = state.best_score.max(quality.score);
        state.last = Some(now);
        true
    }

    /// The track is decided: fewer looks from now on.
    pub(super) fn settle(&mut self, track: TrackId) {
        if let Some(state) = self.0.get_mut(&track) {
            state.is_settled = true;
        }
    }

    /// The track is being challenged: it is looked at as often as at first, lest somebody else should answer.
    pub(super) fn watch(&mut self, track: TrackId) {
        if let Some(state) = self.0.get_mut(&track) {
            state.is_watched = true;
        }
    }

    /// The track is over.
    pub(super) fn forget(&mut self, track: TrackId) {
        self.0.remove(&track);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::QualityFault;

    const TRACK: TrackId = TrackId(1);

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn quality(score: f32) -> Quality {
        Quality {
            score,
            width_px: 100.0,
            sharpness: 0.1,
            luma: 128.0,
            contrast: 0.4,
            frontality: 1.0,
            faults: Vec::new(),
        }
    }

    /// How many looks are taken within `span_ms` at 30 frames a second.
    fn looks(picker: &mut LookPicker, from_ms: u64, span_ms: u64) -> usize {
        (0..span_ms * 30 / 1000)
            .map(|n| at(from_ms + n * 1000 / 30))
            .filter(|&now| picker.is_due(TRACK, now) && picker.take(TRACK, now, &quality(0.5)))
            .count()
    }

    #[test]
    fn eager_then_patient_then_settled() {
        let mut picker = LookPicker::default();
        assert_eq!(looks(&mut picker, 0, 1000), 10);
        looks(&mut picker, 1000, 3000);
        assert_eq!(looks(&mut picker, 5000, 2000), 4);
        picker.watch(TRACK);
        assert_eq!(looks(&mut picker, 8000, 1000), 10, "as at first");
        picker.settle(TRACK);
        assert_eq!(looks(&mut picker, 10_000, 6000), 3);
    }

    #[test]
    fn the_most_looks_are_never_exceeded() {
        assert_eq!(most_looks(Duration::from_secs(4), 30.0), 50);
        assert_eq!(most_looks(Duration::from_secs(6), 30.0), 54);
        assert_eq!(most_looks(Duration::from_secs(4), 2.0), 8);
        assert_eq!(most_looks(Duration::ZERO, 30.0), 1);
        let mut picker = LookPicker::default();
        assert!(looks(&mut picker, 0, 6000) <= 54);
    }

    #[test]
    fn a_much_worse_picture_waits_and_a_faulty_one_is_never_taken() {
        let mut picker = LookPicker::default();
        assert!(picker.take(TRACK, at(0), &quality(0.9)));
        assert!(!picker.take(TRACK, at(100), &quality(0.2)));
        assert!(picker.take(TRACK, at(450), &quality(0.2)));
        let faulty = Quality { faults: vec![QualityFault::Blurred], ..quality(0.9) };
        assert!(!picker.take(TRACK, at(5000), &faulty));
    }
}
