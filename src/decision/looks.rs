//! The looks of one track, and what can be read off them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;
use crate::domain::{
    Candidate, LiveScore, LookEvidence, PersonId, ScoredObservation, SpoofSigns, Threshold, Together,
};

/// The most looks kept of one track; the oldest go first.
pub const MAX_LOOKS: usize = 256;

/// The most looks that are shown as evidence; the newest.
const MAX_SHOWN: usize = 32;

/// One look, judged by what was needed when it was taken.
#[derive(Debug, Clone)]
pub(super) struct Look {
    seq: u64,
    pub captured_at: Moment,
    quality: f32,
    /// `None` where it was not judged, or is no number between 0 and 1.
    pub liveness: Option<f32>,
    pub signs: SpoofSigns,
    /// The most alike person to this look alone.
    pub best: Option<Candidate>,
    /// At or above the threshold on its own.
    pub is_strong: bool,
}

impl Look {
    /// `needed`: the threshold; `None` if no similarity suffices.
    pub(super) fn new(observation: &ScoredObservation, needed: Option<Threshold>) -> Self {
        let best = observation.best.clone();
        let similarity = best.as_ref().map(|best| best.similarity);
        let is_strong = similarity.zip(needed).is_some_and(|(similarity, needed)| similarity.reaches(needed));
        let liveness = observation.liveness.map(|LiveScore(score)| score);
        Self {
            seq: observation.seq,
            captured_at: observation.captured_at,
            quality: observation.quality.score,
            liveness: liveness.filter(|score| (0.0..=1.0).contains(score)),
            signs: observation.signs,
            best,
            is_strong,
        }
    }

    pub(super) fn names(&self, person: &PersonId) -> bool {
        self.best.as_ref().is_some_and(|best| best.person == *person)
    }

    /// Whether it is strong and names somebody other than `person`.
    pub(super) fn speaks_against(&self, person: &PersonId) -> bool {
        self.is_strong && !self.names(person)
    }

    fn evidence(&self, about: Option<&PersonId>) -> LookEvidence {
        LookEvidence {
            seq: self.seq,
            captured_at: self.captured_at,
            similarity: self.best.as_ref().map(|best| best.similarity),
            agrees: about.is_some_and(|person| self.names(person)),
            quality: self.quality,
            liveness: self.liveness,
        }
    }
}

/// All looks of one track, by the time they were taken. At most [`MAX_LOOKS`].
#[derive(Debug, Default)]
pub(super) struct Looks {
    kept: VecDeque<Look>,
    /// When the newest look that is no longer kept was taken: nothing up to then is taken in any more, so that
    /// no look can count twice.
    forgotten_up_to: Option<Moment>,
    /// What they resemble together, as told with the newest.
    together: Together,
}

impl Looks {
    /// Takes a look in; false if it was here before, or is older than what is still kept. Where it restarted what
    /// the track resembles, all before it is dropped.
    pub(super) fn add(&mut self, look: Look, together: &Together) -> bool {
        let is_known = self.kept.iter().any(|kept| kept.seq == look.seq);
        if is_known || self.forgotten_up_to.is_some_and(|limit| look.captured_at <= limit) {
            return false;
        }
        if together.is_restarted {
            self.forgotten_up_to = self.newest().or(self.forgotten_up_to);
            self.kept.clear();
        }
        if self.newest().is_none_or(|newest| look.captured_at >= newest) {
            self.together = together.clone();
        }
        let at = self.kept.partition_point(|kept| kept.captured_at <= look.captured_at);
        self.kept.insert(at, look);
        if self.kept.len() > MAX_LOOKS {
            self.forgotten_up_to = self.kept.pop_front().map(|look| look.captured_at);
        }
        true
    }

    /// Forgets all looks, and takes in none any more that was taken up to `at`. What they resembled together is still
    /// known, but without looks nothing follows from it.
    pub(super) fn forget_up_to(&mut self, at: Moment) {
        self.forgotten_up_to = self.forgotten_up_to.max(self.newest()).max(Some(at));
        self.kept.clear();
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

    /// What the newest looks resemble together.
    pub(super) fn together(&self) -> &Together {
        &self.together
    }
}

/// Mean liveness of those looks that were judged.
pub(super) fn mean_liveness(looks: &[&Look]) -> Option<f64> {
    let judged = looks.iter().filter_map(|look| look.liveness).map(f64::from);
    let (sum, n) = judged.fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// Whether liveness was judged at every look.
pub(super) fn all_judged(looks: &[&Look]) -> bool {
    looks.iter().all(|look| look.liveness.is_some())
}

/// The one person that all strong looks name; `None` if there is none, or more than one.
pub(super) fn only_strong<'a>(looks: &[&'a Look]) -> Option<&'a PersonId> {
    let person = looks.iter().find(|look| look.is_strong)?.best.as_ref().map(|best| &best.person)?;
    (!looks.iter().any(|look| look.speaks_against(person))).then_some(person)
}

/// The person that most looks name, then with the highest similarity.
pub(super) fn likeliest(looks: &[&Look]) -> Option<PersonId> {
    let mut people: BTreeMap<&PersonId, (u32, Option<crate::domain::Similarity>)> = BTreeMap::new();
    for best in looks.iter().filter_map(|look| look.best.as_ref()) {
        let (named, highest) = people.entry(&best.person).or_default();
        *named += 1;
        *highest = (*highest).max(Some(best.similarity));
    }
    people.into_iter().max_by_key(|(_, merits)| *merits).map(|(person, _)| person.clone())
}

/// The newest looks as evidence about `person`.
pub(super) fn shown(looks: &[&Look], person: Option<&PersonId>) -> Vec<LookEvidence> {
    looks.iter().skip(looks.len().saturating_sub(MAX_SHOWN)).map(|look| look.evidence(person)).collect()
}

/// A number of looks; there are never more than [`MAX_LOOKS`].
pub(super) fn count(looks: usize) -> u32 {
    u32::try_from(looks).unwrap_or(u32::MAX)
}
