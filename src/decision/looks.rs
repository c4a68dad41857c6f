//! The looks of one track, and what can be read off them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;
use crate::domain::{Candidate, Evidence, LiveScore, PersonId, ScoredObservation, Similarity};

use super::policy::{LivenessPolicy, Policy};

/// The most looks kept of one track; the oldest go first.
pub const MAX_LOOKS: usize = 256;

/// One look, judged by the policy.
#[derive(Debug, Clone)]
pub(super) struct Look {
    seq: u64,
    pub captured_at: Moment,
    /// `None` where it was not judged, or is no number between 0 and 1.
    liveness: Option<f32>,
    /// The most alike person.
    pub best: Option<Candidate>,
    /// At or above the threshold.
    pub is_strong: bool,
    /// Strong, and ahead of the second best.
    pub is_clear: bool,
}

impl Look {
    pub(super) fn new(observation: &ScoredObservation, policy: &Policy) -> Self {
        let best = observation.best.clone();
        let similarity = best.as_ref().map(|best| best.similarity);
        let is_strong = similarity.is_some_and(|similarity| similarity.reaches(policy.threshold));
        // One person alone in the gallery has nobody to be mistaken for.
        let is_ahead = match (similarity, &observation.second) {
            (Some(best), Some(second)) => {
                best > second.similarity && best.value() - second.similarity.value() >= policy.min_margin
            }
            (best, None) => best.is_some(),
            (None, Some(_)) => false,
        };
        let liveness = observation.liveness.map(|LiveScore(score)| score);
        Self {
            seq: observation.seq,
            captured_at: observation.captured_at,
            liveness: liveness.filter(|score| (0.0..=1.0).contains(score)),
            best,
            is_strong,
            is_clear: is_strong && is_ahead,
        }
    }

    fn person(&self) -> Option<&PersonId> {
        self.best.as_ref().map(|best| &best.person)
    }

    /// Whether it is a clear look at `person`.
    pub(super) fn agrees_with(&self, person: &PersonId) -> bool {
        self.is_clear && self.person() == Some(person)
    }

    /// Whether it is strong and names somebody other than `person`.
    pub(super) fn speaks_against(&self, person: &PersonId) -> bool {
        self.is_strong && self.person() != Some(person)
    }
}

/// All looks of one track, by the time they were taken. At most [`MAX_LOOKS`].
#[derive(Debug, Default)]
pub(super) struct Looks {
    kept: VecDeque<Look>,
    /// When the newest look that is no longer kept was taken: nothing up to then is taken in any more, so that
    /// no look can count twice.
    forgotten_up_to: Option<Moment>,
}

impl Looks {
    /// Takes a look in; false if it was here before, or is older than what is still kept.
    pub(super) fn add(&mut self, look: Look) -> bool {
        let is_known = self.kept.iter().any(|kept| kept.seq == look.seq);
        if is_known || self.forgotten_up_to.is_some_and(|limit| look.captured_at <= limit) {
            return false;
        }
        let at = self.kept.partition_point(|kept| kept.captured_at <= look.captured_at);
        self.kept.insert(at, look);
        if self.kept.len() > MAX_LOOKS {
            self.forgotten_up_to = self.kept.pop_front().map(|look| look.captured_at);
        }
        true
    }

    /// When the newest look was taken.
    pub(super) fn newest(&self) -> Option<Moment> {
        self.kept.back().map(|look| look.captured_at)
    }

    /// All that are kept.
    pub(super) fn all(&self) -> Vec<&Look> {
        self.kept.iter().collect()
    }

    /// Those taken within `window` before the newest.
    pub(super) fn within(&self, window: Duration) -> Vec<&Look> {
        let Some(newest) = self.newest() else { return Vec::new() };
        self.kept.iter().filter(|look| newest.since(look.captured_at) <= window).collect()
    }
}

/// Whom the looks agree on: enough clear ones, and no strong one against it.
pub(super) fn agreed(looks: &[&Look], min_agreeing: u32) -> Option<PersonId> {
    let person = looks.iter().find(|look| look.is_clear)?.person()?;
    let agreeing = looks.iter().filter(|look| look.agrees_with(person)).count();
    let is_enough = agreeing >= 1 && count(agreeing) >= min_agreeing;
    (is_enough && !looks.iter().any(|look| look.speaks_against(person))).then(|| person.clone())
}

/// Mean liveness of those looks that were judged.
pub(super) fn mean_liveness(looks: &[&Look]) -> Option<f64> {
    mean(looks.iter().filter_map(|look| look.liveness).map(f64::from))
}

/// Whether liveness was judged at every look.
pub(super) fn all_judged(looks: &[&Look]) -> bool {
    looks.iter().all(|look| look.liveness.is_some())
}

/// What a decision about `person`, or about nobody, rests on.
pub(super) fn evidence(
    counted: &[&Look],
    window: &[&Look],
    person: Option<&PersonId>,
    policy: &Policy,
) -> Evidence {
    let best = person.or_else(|| likeliest(counted)).cloned();
    let naming = |look: &&&Look| best.is_some() && look.person() == best.as_ref();
    let similarities = |looks: &mut dyn Iterator<Item = &&Look>| {
        mean(looks.filter_map(|look| look.best.as_ref()).map(|best| f64::from(best.similarity.value())))
    };
    let similarity = if person.is_some() {
        similarities(&mut counted.iter().filter(naming).filter(|look| look.is_clear))
    } else {
        similarities(&mut counted.iter().filter(naming))
    };
    Evidence {
        observations: count(counted.len()),
        agreeing: count(counted.iter().filter(naming).filter(|look| look.is_clear).count()),
        similarity: similarity.and_then(|mean| Similarity::new(to_f32(mean)).ok()),
        best,
        liveness: match policy.liveness {
            LivenessPolicy::Off => None,
            LivenessPolicy::Enforce { .. } | LivenessPolicy::Report => mean_liveness(window).map(to_f32),
        },
    }
}

/// The person with the most clear looks, then the most looks, then the highest similarity.
fn likeliest<'a>(looks: &[&'a Look]) -> Option<&'a PersonId> {
    let mut people: BTreeMap<&PersonId, (u32, u32, Option<Similarity>)> = BTreeMap::new();
    for look in looks {
        if let Some(best) = &look.best {
            let (clear, named, highest) = people.entry(&best.person).or_default();
            *clear += u32::from(look.is_clear);
            *named += 1;
            *highest = (*highest).max(Some(best.similarity));
        }
    }
    people.into_iter().max_by_key(|(_, merits)| *merits).map(|(person, _)| person)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// A number of looks; there are never more than [`MAX_LOOKS`].
pub(super) fn count(looks: usize) -> u32 {
    u32::try_from(looks).unwrap_or(u32::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a mean of f32 numbers needs no more than their precision"
)]
fn to_f32(mean: f64) -> f32 {
    mean as f32
}
