//! The decider in use: the looks at one track together must be alike enough. The rules are in the module's
//! documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::clock::Moment;
use crate::domain::{
    Decision, Needed, PersonId, Reason, Scene, ScoredObservation, TrackId, Verdict, ViewFault,
};

use super::challenge::{Challenge, Plan, Progress};
use super::company::Company;
use super::gathering::{Gathering, Next, Trial, is_spoof};
use super::lockout::Lockout;
use super::looks::{Look, only_strong};
use super::policy::{InvalidPolicy, LivenessPolicy, Policy};
use super::{Ask, Decider, Said};

/// The most tracks remembered at once. Past it a decided one is forgotten (and never decided again), or, where
/// there is none, looks at new tracks are ignored.
pub const MAX_TRACKS: usize = 1024;

/// A decided track that was not looked at for so long is forgotten, in case its end was never told.
const SETTLED_KEPT: Duration = Duration::from_secs(60);

/// So many tracks that are over are remembered, lest a belated look should bring one of them back.
const MAX_OVER: usize = 4096;

/// Gives 64 bits at each call that nobody can foretell.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// Verifies a track when its good looks together are alike enough.
pub struct EvidenceDecider {
    policy: Policy,
    random: Random,
    tracks: BTreeMap<TrackId, Entry>,
    over: Over,
    company: Company,
    lockout: Lockout,
    /// What is wrong with the camera's view, where nobody is verified because of it.
    unfit: Option<ViewFault>,
    /// When each person who was verified was last seen; forgotten after the cooldown.
    last_seen: BTreeMap<PersonId, Moment>,
    /// What is needed for the number of people last seen.
    needed: Option<(usize, Option<Needed>)>,
    /// The latest time seen.
    now: Moment,
}

impl fmt::Debug for EvidenceDecider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvidenceDecider").field("tracks", &self.tracks).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Entry {
    life: Life,
    last_active: Moment,
}

#[derive(Debug)]
enum Life {
    Gathering(Box<Gathering>),
    /// Decided, loudly or silently.
    Settled {
        /// As whom; `None` when not verified, or when a later look spoke against it.
        verified: Option<PersonId>,
        newest: Moment,
    },
}

/// Tracks that are over.
#[derive(Debug, Default)]
struct Over {
    ids: BTreeSet<TrackId>,
    /// Ids up to this are over unless they are still followed: ids only count up.
    up_to: Option<TrackId>,
}

impl Over {
    fn insert(&mut self, id: TrackId) {
        self.ids.insert(id);
        if self.ids.len() > MAX_OVER {
            self.up_to = self.up_to.max(self.ids.pop_first());
        }
    }

    fn contains(&self, id: TrackId) -> bool {
        self.ids.contains(&id) || self.up_to.is_some_and(|limit| id <= limit)
    }
}

impl EvidenceDecider {
    /// A decider that has seen nobody yet. `random` is asked when a challenge is put.
    ///
    /// # Errors
    /// If the policy makes no sense.
    pub fn new(policy: Policy, random: Random) -> Result<Self, InvalidPolicy> {
        policy.check()?;
        Ok(Self {
            policy,
            random,
            tracks: BTreeMap::new(),
            over: Over::default(),
            company: Company::default(),
            lockout: Lockout::default(),
            unfit: None,
            last_seen: BTreeMap::new(),
            needed: None,
            now: Moment::default(),
        })
    }

    fn advance(&mut self, now: Moment) -> Moment {
        self.now = self.now.max(now);
        self.now
    }

    fn is_cooling_down(&self, person: &PersonId) -> bool {
        self.last_seen.get(person).is_some_and(|seen| self.now.since(*seen) < self.policy.cooldown)
    }

    fn needed(&mut self, people: usize) -> Option<Needed> {
        match self.needed {
            Some((known, needed)) if known == people => needed,
            _ => {
                let needed = self.policy.acceptance.needed(people);
                self.needed = Some((people, needed));
                needed
            }
        }
    }

    /// The entry of a track, made if it is new; false if there is no room or it is over.
    fn admit(&mut self, track: TrackId) -> bool {
        if self.tracks.contains_key(&track) {
            return true;
        }
        if self.over.contains(track) || !self.make_room() {
            return false;
        }
        let life = Life::Gathering(Box::new(Gathering::new(self.now)));
        self.tracks.insert(track, Entry { life, last_active: self.now });
        true
    }

    /// Makes room for a new track; false if there is none.
    fn make_room(&mut self) -> bool {
        if self.tracks.len() < MAX_TRACKS {
            return true;
        }
        let settled = self.tracks.iter().filter(|(_, entry)| matches!(entry.life, Life::Settled { .. }));
        let Some(oldest) = settled.min_by_key(|(_, entry)| entry.last_active).map(|(id, _)| *id) else {
            return false;
        };
        self.tracks.remove(&oldest);
        self.over.insert(oldest);
        true
    }

    fn gathering(&mut self, track: TrackId) -> Option<&mut Gathering> {
        match &mut self.tracks.get_mut(&track)?.life {
            Life::Gathering(gathering) => Some(gathering),
            Life::Settled { .. } => None,
        }
    }

    /// A look at a track that was decided: it can only keep the cooldown going.
    fn look_again(&mut self, track: TrackId, look: &Look) {
        let now = self.now;
        let Some(Entry { life: Life::Settled { verified, newest }, .. }) = self.tracks.get_mut(&track) else {
            return;
        };
        let Some(person) = verified else { return };
        if look.speaks_against(person) {
            *verified = None;
        } else if look.is_strong && look.names(person) && look.captured_at > *newest {
            *newest = look.captured_at;
            self.last_seen.insert(person.clone(), now);
        }
    }

    fn follow(&mut self, track: TrackId, next: Next) -> Vec<Said> {
        match next {
            Next::Wait => Vec::new(),
            Next::Settle(verdict) => self.settle(track, verdict),
            Next::Challenge(person) => {
                self.put_challenge(track, person);
                Vec::new()
            }
        }
    }

    /// Puts the challenge, unless another track is being challenged: prompts are for one person at a time.
    fn put_challenge(&mut self, track: TrackId, person: PersonId) {
        let is_underway = |entry: &Entry| match &entry.life {
            Life::Gathering(gathering) => matches!(gathering.trial, Trial::Underway { .. }),
            Life::Settled { .. } => false,
        };
        if self.tracks.values().any(is_underway) {
            return;
        }
        let LivenessPolicy::Challenge { settings, .. } = &self.policy.liveness else { return };
        // The settings were checked: there is a plan.
        let Ok(plan) = Plan::random(settings, &mut self.random) else { return };
        let now = self.now;
        if let Some(gathering) = self.gathering(track) {
            gathering.trial =
                Trial::Underway { person, unseen_since: now, challenge: Box::new(Challenge::new(plan, now)) };
            gathering.deadline = None;
        }
    }

    fn progress(&mut self, track: TrackId, (progress, next): (Progress, Next)) -> Vec<Said> {
        let mut said = self.follow(track, next);
        if let Progress::Prompt { step, of, prompt, until } = progress {
            said.push(Said::Asked(Ask { track, step, of, prompt, until }));
        }
        said
    }

    /// Ends the gathering of a track's evidence with this verdict; says nothing where there is nothing to tell.
    fn settle(&mut self, track: TrackId, verdict: Verdict) -> Vec<Said> {
        let now = self.now;
        let Some(entry) = self.tracks.get_mut(&track) else { return Vec::new() };
        let Life::Gathering(gathering) = &entry.life else { return Vec::new() };
        let captured_at = gathering.looks.newest().unwrap_or(now);
        let person_of = |verdict: &Verdict| match verdict {
            Verdict::Verified(person) => Some(person.clone()),
            Verdict::Unknown(_) | Verdict::Rejected(_) => None,
        };
        // What there is to see of somebody barred is what they would have been verified by.
        let evidence = gathering.evidence(person_of(&verdict).as_ref(), &self.policy);
        let verdict = gathering.unless_barred(verdict);
        let verified = person_of(&verdict);
        let only_named = only_strong(&gathering.looks.all()).cloned();
        entry.life = Life::Settled { verified: verified.clone(), newest: captured_at };

        let about = match &verdict {
            Verdict::Verified(person) => Some(person.clone()),
            Verdict::Unknown(Reason::InsufficientEvidence) => only_named,
            Verdict::Unknown(_) | Verdict::Rejected(_) => None,
        };
        let is_silent = about.is_some_and(|person| self.is_cooling_down(&person));
        if let Some(person) = verified {
            self.last_seen.insert(person, now);
        }
        let mut said = Vec::new();
        if let Verdict::Rejected(reason) = verdict
            && is_spoof(reason)
            && let Some(checks) = self.policy.liveness.checks()
            && let Some(until) = self.lockout.failed(now, checks.max_failed_tracks, checks.lockout)
        {
            said.push(Said::LockedOut { until });
        }
        if !is_silent {
            let decision = Decision { track, verdict, evidence, captured_at, decided_at: now };
            said.insert(0, Said::Decided(Box::new(decision)));
        }
        said
    }

    /// The decision about a track that was not verified in time.
    fn give_up(&mut self, track: TrackId) -> Vec<Said> {
        let Some(Entry { life: Life::Gathering(gathering), .. }) = self.tracks.get(&track) else {
            return Vec::new();
        };
        match gathering.conclusion(&self.policy) {
            Some(verdict) => self.settle(track, verdict),
            None => Vec::new(),
        }
    }

    /// Takes in whether the camera's view is fit.
    fn see_view(&mut self, scene: &Scene) -> Vec<Said> {
        let was = std::mem::replace(&mut self.unfit, scene.unfit).is_some();
        let is = self.unfit.is_some();
        let mut said = Vec::new();
        if was == is {
            return said;
        }
        let tracks: Vec<TrackId> = self.tracks.keys().copied().collect();
        for track in tracks {
            let Some(gathering) = self.gathering(track) else { continue };
            if is {
                let next = gathering.view_is_unfit();
                said.extend(self.follow(track, next));
            } else {
                gathering.view_is_fit_again(scene.captured_at);
            }
        }
        said
    }

    /// What speaks against a grant to a track now, apart from its looks.
    fn objection(&self, track: TrackId, captured_at: Moment) -> Option<Reason> {
        if let Some(fault) = self.unfit {
            return Some(fault.into());
        }
        if self.lockout.is_on(self.now) {
            return Some(Reason::LockedOut);
        }
        self.company.objection(self.policy.several_faces, track, captured_at)
    }
}

impl Decider for EvidenceDecider {
    fn observe(&mut self, observation: &ScoredObservation, now: Moment) -> Vec<Said> {
        let now = self.advance(now);
        let track = observation.track;
        if !observation.quality.is_usable() || observation.captured_at > now || !self.admit(track) {
            return Vec::new();
        }
        let needed = self.needed(observation.people);
        let look = Look::new(observation, needed.map(|needed| needed.threshold));
        let objection = self.objection(track, observation.captured_at);
        let Some(entry) = self.tracks.get_mut(&track) else { return Vec::new() };
        entry.last_active = now;
        let Life::Gathering(gathering) = &mut entry.life else {
            self.look_again(track, &look);
            return Vec::new();
        };
        if gathering.deadline.is_some_and(|deadline| now >= deadline) {
            return self.give_up(track);
        }
        let next = gathering.look(look, &observation.together, needed, objection, now, &self.policy);
        self.follow(track, next)
    }

    fn scene(&mut self, scene: &Scene, now: Moment) -> Vec<Said> {
        let now = self.advance(now);
        if scene.captured_at > now {
            return Vec::new();
        }
        self.company.see(scene);
        let mut said = self.see_view(scene);
        for face in &scene.faces {
            if !self.admit(face.track) {
                continue;
            }
            let Some(Entry { life: Life::Gathering(gathering), .. }) = self.tracks.get_mut(&face.track)
            else {
                continue;
            };
            gathering.passed_over(&face.faults, now);
            if let Some(pose) = &face.pose {
                let happened = gathering.pose(pose, scene.captured_at, now, &self.policy);
                said.extend(self.progress(face.track, happened));
            }
        }
        said
    }

    fn track_ended(&mut self, track: TrackId, now: Moment) -> Vec<Said> {
        self.advance(now);
        let said = self.give_up(track);
        self.tracks.remove(&track);
        self.over.insert(track);
        said
    }

    fn tick(&mut self, now: Moment) -> Vec<Said> {
        let now = self.advance(now);
        let mut said = Vec::new();
        let tracks: Vec<TrackId> = self.tracks.keys().copied().collect();
        for track in tracks {
            let Some(gathering) = self.tracks.get_mut(&track).and_then(|entry| match &mut entry.life {
                Life::Gathering(gathering) => Some(gathering),
                Life::Settled { .. } => None,
            }) else {
                continue;
            };
            let happened = gathering.tick_trial(now, &self.policy);
            let is_due = gathering.deadline.is_some_and(|deadline| now >= deadline);
            said.extend(self.progress(track, happened));
            if is_due {
                said.extend(self.give_up(track));
            }
        }
        let is_stale = |entry: &Entry| {
            matches!(entry.life, Life::Settled { .. }) && now.since(entry.last_active) > SETTLED_KEPT
        };
        let over = &mut self.over;
        self.tracks.retain(|id, entry| {
            let stale = is_stale(entry);
            if stale {
                over.insert(*id);
            }
            !stale
        });
        self.last_seen.retain(|_, seen| now.since(*seen) < self.policy.cooldown);
        said
    }

    fn reset(&mut self) {
        self.tracks.retain(|_, entry| matches!(entry.life, Life::Settled { .. }));
    }

    fn adopt(&mut self, policy: Policy) -> Result<(), InvalidPolicy> {
        policy.check()?;
        if policy != self.policy {
            self.policy = policy;
            self.needed = None;
            self.reset();
        }
        Ok(())
    }
}
