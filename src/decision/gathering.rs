//! The evidence about one track that is not decided yet, and what it comes to.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::domain::{
    ChallengeFault, Evidence, Needed, PersonId, Pose, QualityFault, Reason, Similarity, Together, Verdict,
};

use super::challenge::{Challenge, Progress};
use super::looks::{Look, Looks, all_judged, count, likeliest, mean_liveness, only_strong, shown};
use super::policy::{LivenessChecks, LivenessPolicy, Policy};

/// After so many failed checks of liveness a track is never verified.
pub const MAX_LIVENESS_FAILURES: u32 = 3;

/// Evidence that does not suffice yet.
#[derive(Debug)]
pub(super) struct Gathering {
    pub looks: Looks,
    /// It is given up then; `None` while a challenge, which has its own times, is under way.
    pub deadline: Option<Moment>,
    /// When the track was first seen at all.
    first_seen: Moment,
    last_seen: Moment,
    looks_since_check: u32,
    failed_checks: u32,
    /// What stood in the way when enough looks agreed.
    obstacle: Option<Reason>,
    /// True once the looks together reached what was needed.
    reached: bool,
    /// What was needed at the newest look.
    needed: Option<Needed>,
    faults: BTreeMap<QualityFault, u32>,
    pub trial: Trial,
}

/// How it stands with the active challenge.
#[derive(Debug, Default)]
pub(super) enum Trial {
    /// Not put yet, or none is asked for.
    #[default]
    None,
    /// Under way, by whom it looked like when it began.
    Underway {
        person: PersonId,
        /// Since when a good look is wanted: the newest prompt.
        unseen_since: Moment,
        challenge: Box<Challenge>,
    },
    /// Followed to the end. Only looks after that count from then on.
    Passed { person: PersonId, at: Moment },
    /// Failed, for good.
    Failed(ChallengeFault),
}

/// What is to be done about a track after a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for more.
    Wait,
    /// Everything passive is in order for this person: put the challenge.
    Challenge(PersonId),
    /// Decide.
    Settle(Verdict),
}

impl Gathering {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            looks: Looks::default(),
            deadline: None,
            first_seen: now,
            last_seen: now,
            looks_since_check: 0,
            failed_checks: 0,
            obstacle: None,
            reached: false,
            needed: None,
            faults: BTreeMap::new(),
            trial: Trial::None,
        }
    }

    /// Takes in that the face was there and, if it was to be looked at, what was wrong with it.
    pub(super) fn passed_over(&mut self, faults: &[QualityFault], now: Moment) {
        self.last_seen = self.last_seen.max(now);
        for fault in faults {
            *self.faults.entry(*fault).or_default() += 1;
        }
    }

    /// Takes a look in. `objection` is what speaks against a grant now, apart from the looks.
    pub(super) fn look(
        &mut self,
        look: Look,
        together: &Together,
        needed: Option<Needed>,
        objection: Option<Reason>,
        now: Moment,
        policy: &Policy,
    ) -> Next {
        if !self.looks.add(look, together) {
            return Next::Wait;
        }
        if self.deadline.is_none() && matches!(self.trial, Trial::None) {
            self.deadline = Some(Moment(now.0.saturating_add(policy.give_up_after)));
        }
        self.last_seen = self.last_seen.max(now);
        self.needed = needed;
        let window = self.looks.within(policy.window);
        let mut liveness = Ok(());
        if let Some(checks) = policy.liveness.checks() {
            count_checks(&mut self.looks_since_check, &mut self.failed_checks, &window, checks);
            liveness = live(&window, self.failed_checks, checks);
        }
        if let Some(fault) = self.broken_trial() {
            return self.fail_trial(fault);
        }
        let Some(person) = self.agreed(policy) else { return Next::Wait };
        self.reached = true;
        if self.failed_checks >= MAX_LIVENESS_FAILURES {
            return Next::Settle(Verdict::Rejected(Reason::NotLive));
        }
        let is_late = self.looks.newest().is_none_or(|newest| now.since(newest) >= policy.grant_valid);
        let obstacle = objection.or(liveness.err().flatten()).or(is_late.then_some(Reason::TooLate));
        if let Some(obstacle) = obstacle {
            // What speaks for a picture is not forgotten for what passes by.
            if !self.obstacle.is_some_and(is_spoof) {
                self.obstacle = Some(obstacle);
            }
            return Next::Wait;
        }
        if liveness.is_err() {
            return Next::Wait;
        }
        match (&policy.liveness, &self.trial) {
            (LivenessPolicy::Challenge { .. }, Trial::None) => Next::Challenge(person),
            (LivenessPolicy::Challenge { .. }, Trial::Underway { .. } | Trial::Failed(_)) => Next::Wait,
            (LivenessPolicy::Challenge { .. }, Trial::Passed { person: challenged, at }) => {
                let after = self
                    .looks
                    .all()
                    .iter()
                    .filter(|look| look.captured_at >= *at && look.names(&person))
                    .count();
                let is_same = *challenged == person && count(after) >= policy.min_looks;
                if is_same { Next::Settle(Verdict::Verified(person)) } else { Next::Wait }
            }
            _ => Next::Settle(Verdict::Verified(person)),
        }
    }

    /// Whom the looks together agree on: alike enough, ahead of the second best, and no look on its own strong for
    /// anybody else.
    fn agreed(&self, policy: &Policy) -> Option<PersonId> {
        let (together, needed) = (self.looks.together(), self.needed?);
        let best = together.best.as_ref()?;
        let window = self.looks.within(policy.window);
        let enough = together.looks >= policy.min_looks && count(window.len()) >= policy.min_looks;
        let is_contrary = window.iter().any(|look| look.speaks_against(&best.person));
        (enough && self.is_ahead(policy) && best.similarity.reaches(needed.threshold) && !is_contrary)
            .then(|| best.person.clone())
    }

    /// A verdict as it stands, by whether the person whom the newest looks name may be let in now. All verdicts go through
    /// here.
    pub(super) fn unless_barred(&self, verdict: Verdict) -> Verdict {
        match (&verdict, self.looks.together().barred) {
            (Verdict::Verified(_), Some(barred)) => Verdict::Rejected(barred.into()),
            _ => verdict,
        }
    }

    /// During and after a challenge it must be the same face all along.
    fn broken_trial(&self) -> Option<ChallengeFault> {
        let (Trial::Underway { person, .. } | Trial::Passed { person, .. }) = &self.trial else {
            return None;
        };
        let newest = self.looks.all().last().is_some_and(|look| look.speaks_against(person));
        (self.looks.together().is_restarted || newest).then_some(ChallengeFault::OtherFace)
    }

    fn fail_trial(&mut self, fault: ChallengeFault) -> Next {
        self.trial = Trial::Failed(fault);
        Next::Settle(Verdict::Rejected(Reason::ChallengeFailed))
    }

    /// Takes in how the head was held; what the challenge has to say.
    pub(super) fn pose(
        &mut self,
        pose: &Pose,
        captured_at: Moment,
        now: Moment,
        policy: &Policy,
    ) -> (Progress, Next) {
        self.advance_trial(now, policy, |challenge| challenge.observe(pose, captured_at, now))
    }

    /// Nobody may be verified from now on because of the camera's view. A challenge cannot go on unseen.
    pub(super) fn view_is_unfit(&mut self) -> Next {
        match &self.trial {
            Trial::Underway { .. } | Trial::Passed { .. } => self.fail_trial(ChallengeFault::Lost),
            Trial::None | Trial::Failed(_) => Next::Wait,
        }
    }

    /// The camera's view is fit again as of `at`: what was seen up to then counts for nothing.
    pub(super) fn view_is_fit_again(&mut self, at: Moment) {
        self.looks.forget_up_to(at);
        self.looks_since_check = 0;
        if matches!(self.trial, Trial::None) {
            self.deadline = None;
        }
    }

    /// Lets time pass in the challenge.
    pub(super) fn tick_trial(&mut self, now: Moment, policy: &Policy) -> (Progress, Next) {
        self.advance_trial(now, policy, |challenge| challenge.tick(now))
    }

    fn advance_trial(
        &mut self,
        now: Moment,
        policy: &Policy,
        step: impl FnOnce(&mut Challenge) -> Progress,
    ) -> (Progress, Next) {
        let Trial::Underway { person, unseen_since, challenge } = &mut self.trial else {
            return (Progress::Waiting, Next::Wait);
        };
        let progress = step(challenge);
        let next = match progress {
            Progress::Waiting => Next::Wait,
            // Whoever moves must be seen well between the prompts: else a head that is never seen from the front could
            // answer, and a photo be shown before and after.
            Progress::Prompt { .. } => {
                let (person, since) = (person.clone(), std::mem::replace(unseen_since, now));
                let looks = self.looks.all();
                if !looks.iter().any(|look| look.captured_at > since && look.names(&person)) {
                    return (Progress::Waiting, self.fail_trial(ChallengeFault::Lost));
                }
                Next::Wait
            }
            Progress::Passed => {
                self.trial = Trial::Passed { person: person.clone(), at: now };
                self.deadline = Some(Moment(now.0.saturating_add(policy.give_up_after)));
                Next::Wait
            }
            Progress::Failed(fault) => self.fail_trial(fault),
        };
        (progress, next)
    }

    /// What to say when nobody was verified; the table in the module's documentation, line by line.
    pub(super) fn conclusion(&self, policy: &Policy) -> Option<Verdict> {
        let looks = self.looks.all();
        let strong = looks.iter().any(|look| look.is_strong);
        Some(if looks.is_empty() {
            // All of them were taken while the camera's view was unfit.
            if let Some(obstacle) = self.obstacle {
                return Some(Verdict::Rejected(obstacle));
            }
            // A face that was only ever too small was somebody passing by.
            let is_far = self.faults.is_empty() || self.faults.contains_key(&QualityFault::TooSmall);
            let stayed = self.last_seen.since(self.first_seen) >= policy.give_up_after;
            return (stayed && !is_far).then_some(Verdict::Unknown(Reason::PoorQuality));
        } else if looks.iter().all(|look| look.best.is_none()) {
            Verdict::Unknown(Reason::EmptyGallery)
        } else if let Some(obstacle) = self.obstacle.filter(|reason| is_spoof(*reason)) {
            Verdict::Rejected(obstacle)
        } else if strong && only_strong(&looks).is_none() {
            Verdict::Rejected(Reason::Inconsistent)
        } else if let Some(obstacle) = self.obstacle {
            Verdict::Rejected(obstacle)
        } else if self.is_ambiguous(policy) {
            Verdict::Rejected(Reason::Ambiguous)
        } else if strong || self.reached || count(looks.len()) < policy.min_looks {
            Verdict::Unknown(Reason::InsufficientEvidence)
        } else {
            Verdict::Unknown(Reason::NoMatch)
        })
    }

    /// Whether the most alike person is ahead of the second. One alone in the gallery has nobody to be mistaken for.
    fn is_ahead(&self, policy: &Policy) -> bool {
        let Together { best: Some(best), second, .. } = self.looks.together() else { return false };
        second.as_ref().is_none_or(|second| {
            best.similarity > second.similarity
                && best.similarity.value() - second.similarity.value() >= policy.min_margin
        })
    }

    /// Alike enough together, and two people about equally so.
    fn is_ambiguous(&self, policy: &Policy) -> bool {
        let best = self.looks.together().best.as_ref();
        let is_alike =
            best.zip(self.needed).is_some_and(|(best, needed)| best.similarity.reaches(needed.threshold));
        is_alike && count(self.looks.all().len()) >= policy.min_looks && !self.is_ahead(policy)
    }

    /// What a decision about `person`, or about nobody, rests on.
    pub(super) fn evidence(&self, verified: Option<&PersonId>, policy: &Policy) -> Evidence {
        let window = self.looks.within(policy.window);
        let counted = if verified.is_some() { window.clone() } else { self.looks.all() };
        let together = self.looks.together();
        let best = verified
            .cloned()
            .or_else(|| together.best.as_ref().map(|best| best.person.clone()))
            .or_else(|| likeliest(&counted));
        let similarity = |candidate: &Option<crate::domain::Candidate>| -> Option<Similarity> {
            candidate.as_ref().map(|candidate| candidate.similarity)
        };
        let mut faults: Vec<(QualityFault, u32)> =
            self.faults.iter().map(|(fault, n)| (*fault, *n)).collect();
        faults.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        Evidence {
            observations: count(counted.len()),
            agreeing: count(
                counted.iter().filter(|look| best.as_ref().is_some_and(|best| look.names(best))).count(),
            ),
            similarity: similarity(&together.best),
            second: similarity(&together.second),
            liveness: match policy.liveness {
                LivenessPolicy::Off => None,
                _ => mean_liveness(&window).map(to_f32),
            },
            needed: self.needed.filter(|_| best.is_some()),
            looks: shown(&counted, best.as_ref()),
            faults: faults.into_iter().map(|(fault, _)| fault).collect(),
            challenge: match self.trial {
                Trial::Failed(fault) => Some(fault),
                _ => None,
            },
            best,
        }
    }
}

/// After every full window of looks the mean is checked, whoever they resemble: else somebody could be let in for
/// resembling another a little.
fn count_checks(since: &mut u32, failed: &mut u32, window: &[&Look], checks: &LivenessChecks) {
    *since += 1;
    if *since >= checks.min_looks {
        *since = 0;
        *failed += u32::from(is_full(window, checks) && all_judged(window) && is_low(window, checks));
    }
}

/// Whether there are looks enough, over time enough, to judge by their mean: a replay has runs of frames that pass.
fn is_full(window: &[&Look], checks: &LivenessChecks) -> bool {
    let (Some(first), Some(last)) = (window.first(), window.last()) else { return false };
    count(window.len()) >= checks.min_looks && last.captured_at.since(first.captured_at) >= checks.min_span
}

fn is_low(window: &[&Look], checks: &LivenessChecks) -> bool {
    let low = |min_mean: f32| mean_liveness(window).is_some_and(|mean| mean < f64::from(min_mean));
    checks.min_mean.is_some_and(low)
}

/// What speaks against a live face: `Err(None)` as long as there is too little to judge by.
fn live(window: &[&Look], failed_checks: u32, checks: &LivenessChecks) -> Result<(), Option<Reason>> {
    // What the recent looks at the track show together, as of the newest.
    let signs = window.last().map(|look| look.signs).unwrap_or_default();
    let looks_for_signs = checks.refuses_edges || checks.refuses_overexposed;
    Err(Some(if !checks.is_tested {
        Reason::NoSelfTest
    } else if failed_checks >= MAX_LIVENESS_FAILURES {
        Reason::NotLive
    } else if checks.min_mean.is_some() && !all_judged(window) {
        Reason::LivenessUnknown
    } else if !is_full(window, checks) || (looks_for_signs && !signs.is_judged) {
        return Err(None);
    } else if is_low(window, checks) {
        Reason::NotLive
    } else if checks.refuses_edges && signs.has_edges {
        Reason::ScreenEdge
    } else if checks.refuses_overexposed && signs.is_overexposed {
        Reason::Overexposed
    } else {
        return Ok(());
    }))
}

/// Whether a reason says that the face is a picture of one.
pub(super) fn is_spoof(reason: Reason) -> bool {
    matches!(reason, Reason::NotLive | Reason::ScreenEdge | Reason::Overexposed | Reason::ChallengeFailed)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a mean of f32 numbers needs no more than their precision"
)]
fn to_f32(mean: f64) -> f32 {
    mean as f32
}
