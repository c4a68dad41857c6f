//! The decider in use: enough good looks at one track must agree. The rules are in the module's documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Moment;
use crate::domain::{Decision, PersonId, Reason, ScoredObservation, TrackId, Verdict};

use super::Decider;
use super::looks::{Look, Looks, agreed, all_judged, count, evidence, mean_liveness};
use super::policy::{InvalidPolicy, LivenessPolicy, Policy};

/// After so many failed checks of liveness a track is never verified.
pub const MAX_LIVENESS_FAILURES: u32 = 3;

/// The most tracks remembered at once. Past it a decided one is forgotten (and never decided again), or, where
/// there is none, looks at new tracks are ignored.
pub const MAX_TRACKS: usize = 1024;

/// A decided track that was not looked at for so long is forgotten, in case its end was never told.
const SETTLED_KEPT: Duration = Duration::from_secs(60);

/// So many tracks that are over are remembered, lest a belated look should bring one of them back.
const MAX_OVER: usize = 4096;

/// Verifies a track when enough of its good looks agree.
#[derive(Debug)]
pub struct AgreementDecider {
    policy: Policy,
    tracks: BTreeMap<TrackId, Entry>,
    over: Over,
    /// When each person who was verified was last seen; forgotten after the cooldown.
    last_seen: BTreeMap<PersonId, Moment>,
    /// The latest time seen.
    now: Moment,
}

#[derive(Debug)]
struct Entry {
    life: Life,
    last_active: Moment,
}

#[derive(Debug)]
enum Life {
    Gathering(Gathering),
    /// Decided, loudly or silently.
    Settled {
        /// As whom; `None` when not verified, or when a later look spoke against it.
        verified: Option<PersonId>,
        newest: Moment,
    },
}

/// Evidence that does not suffice yet.
#[derive(Debug)]
struct Gathering {
    looks: Looks,
    /// When the first look was handed in.
    since: Moment,
    looks_since_check: u32,
    failed_checks: u32,
    /// What stood in the way when enough looks agreed.
    obstacle: Option<Reason>,
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

impl AgreementDecider {
    /// A decider that has seen nobody yet.
    ///
    /// # Errors
    /// If the policy makes no sense.
    pub fn new(policy: Policy) -> Result<Self, InvalidPolicy> {
        policy.check()?;
        Ok(Self {
            policy,
            tracks: BTreeMap::new(),
            over: Over::default(),
            last_seen: BTreeMap::new(),
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

    /// A look at a track that was decided: it can only keep the cooldown going.
    fn look_again(&mut self, track: TrackId, look: &Look) {
        let now = self.now;
        let Some(Entry { life: Life::Settled { verified, newest }, .. }) = self.tracks.get_mut(&track) else {
            return;
        };
        let Some(person) = verified else { return };
        if look.speaks_against(person) {
            *verified = None;
        } else if look.agrees_with(person) && look.captured_at > *newest {
            *newest = look.captured_at;
            self.last_seen.insert(person.clone(), now);
        }
    }

    /// Ends the gathering of a track's evidence with this verdict; `None` if there is nothing to tell.
    fn settle(&mut self, track: TrackId, verdict: Verdict) -> Option<Decision> {
        let entry = self.tracks.get_mut(&track)?;
        let Life::Gathering(gathering) = &entry.life else { return None };
        let captured_at = gathering.looks.newest()?;
        let (all, window) = (gathering.looks.all(), gathering.looks.within(self.policy.window));
        let verified = match &verdict {
            Verdict::Verified(person) => Some(person.clone()),
            Verdict::Unknown(_) | Verdict::Rejected(_) => None,
        };
        let counted = if verified.is_some() { &window } else { &all };
        let evidence = evidence(counted, &window, verified.as_ref(), &self.policy);
        let only_named = only_strong(&all).cloned();
        entry.life = Life::Settled { verified: verified.clone(), newest: captured_at };

        let about = match &verdict {
            Verdict::Verified(person) => Some(person.clone()),
            Verdict::Unknown(Reason::InsufficientEvidence) => only_named,
            Verdict::Unknown(_) | Verdict::Rejected(_) => None,
        };
        let is_silent = about.is_some_and(|person| self.is_cooling_down(&person));
        if let Some(person) = verified {
            self.last_seen.insert(person, self.now);
        }
        (!is_silent).then_some(Decision { track, verdict, evidence, captured_at, decided_at: self.now })
    }

    /// The decision about a track that was not verified in time.
    fn give_up(&mut self, track: TrackId) -> Option<Decision> {
        let Life::Gathering(gathering) = &self.tracks.get(&track)?.life else { return None };
        let verdict = gathering.conclusion(&self.policy)?;
        self.settle(track, verdict)
    }
}

impl Decider for AgreementDecider {
    fn observe(&mut self, observation: &ScoredObservation, now: Moment) -> Option<Decision> {
        let now = self.advance(now);
        let track = observation.track;
        if !observation.quality.is_usable() || observation.captured_at > now {
            return None;
        }
        if !self.tracks.contains_key(&track) && (self.over.contains(track) || !self.make_room()) {
            return None;
        }
        let entry = self
            .tracks
            .entry(track)
            .or_insert_with(|| Entry { life: Life::Gathering(Gathering::new(now)), last_active: now });
        entry.last_active = now;
        let look = Look::new(observation, &self.policy);
        let Life::Gathering(gathering) = &mut entry.life else {
            self.look_again(track, &look);
            return None;
        };
        if now.since(gathering.since) >= self.policy.give_up_after {
            // Nobody ticked in time. What a track is must not depend on how often somebody does.
            return self.give_up(track);
        }
        let verdict = gathering.look(look, now, &self.policy)?;
        self.settle(track, verdict)
    }

    fn track_ended(&mut self, track: TrackId, now: Moment) -> Option<Decision> {
        self.advance(now);
        let decision = self.give_up(track);
        self.tracks.remove(&track);
        self.over.insert(track);
        decision
    }

    fn tick(&mut self, now: Moment) -> Vec<Decision> {
        let now = self.advance(now);
        let is_due = |entry: &Entry| match &entry.life {
            Life::Gathering(gathering) => now.since(gathering.since) >= self.policy.give_up_after,
            Life::Settled { .. } => false,
        };
        let due: Vec<TrackId> =
            self.tracks.iter().filter(|(_, entry)| is_due(entry)).map(|(id, _)| *id).collect();
        let decisions = due.into_iter().filter_map(|track| self.give_up(track)).collect();

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
        decisions
    }

    fn reset(&mut self) {
        self.tracks.retain(|_, entry| matches!(entry.life, Life::Settled { .. }));
    }
}

impl Gathering {
    fn new(since: Moment) -> Self {
        Self { looks: Looks::default(), since, looks_since_check: 0, failed_checks: 0, obstacle: None }
    }

    /// Takes a look in; the verdict, if there is one now.
    fn look(&mut self, look: Look, now: Moment, policy: &Policy) -> Option<Verdict> {
        if !self.looks.add(look) {
            return None;
        }
        let window = self.looks.within(policy.window);
        let mut liveness = None;
        if let LivenessPolicy::Enforce { min_mean } = policy.liveness {
            let is_low = mean_liveness(&window).is_some_and(|mean| mean < f64::from(min_mean));
            let is_judged = all_judged(&window);
            self.looks_since_check += 1;
            // Whoever the looks resemble: else somebody could be let in for resembling another a little.
            if self.looks_since_check >= policy.min_agreeing {
                self.looks_since_check = 0;
                self.failed_checks += u32::from(is_judged && is_low);
            }
            liveness = if self.failed_checks >= MAX_LIVENESS_FAILURES || (is_judged && is_low) {
                Some(Reason::NotLive)
            } else if is_judged {
                None
            } else {
                Some(Reason::LivenessUnknown)
            };
        }
        let person = agreed(&window, policy.min_agreeing)?;
        let is_late = self.looks.newest().is_none_or(|newest| now.since(newest) >= policy.grant_valid);
        let obstacle = liveness.or(is_late.then_some(Reason::TooLate));
        if obstacle == Some(Reason::NotLive) && self.failed_checks >= MAX_LIVENESS_FAILURES {
            return Some(Verdict::Rejected(Reason::NotLive));
        }
        if let Some(obstacle) = obstacle {
            if self.obstacle != Some(Reason::NotLive) {
                self.obstacle = Some(obstacle);
            }
            return None;
        }
        Some(Verdict::Verified(person))
    }

    /// What to say when nobody was verified; the table in the module's documentation, line by line.
    fn conclusion(&self, policy: &Policy) -> Option<Verdict> {
        let looks = self.looks.all();
        let strong = count(looks.iter().filter(|look| look.is_strong).count());
        let clear: Vec<&Look> = looks.iter().copied().filter(|look| look.is_clear).collect();
        let unclear_against = only_strong(&looks).is_none();
        Some(if looks.is_empty() {
            return None;
        } else if looks.iter().all(|look| look.best.is_none()) {
            Verdict::Unknown(Reason::EmptyGallery)
        } else if strong == 0 && count(looks.len()) >= policy.min_agreeing {
            Verdict::Unknown(Reason::NoMatch)
        } else if strong < policy.min_agreeing {
            Verdict::Unknown(Reason::InsufficientEvidence)
        } else if self.obstacle == Some(Reason::NotLive) {
            Verdict::Rejected(Reason::NotLive)
        } else if !clear.is_empty() && only_strong(&clear).is_none() {
            Verdict::Rejected(Reason::Inconsistent)
        } else if let Some(obstacle) = self.obstacle {
            Verdict::Rejected(obstacle)
        } else if count(clear.len()) < policy.min_agreeing || unclear_against {
            Verdict::Rejected(Reason::Ambiguous)
        } else {
            Verdict::Unknown(Reason::InsufficientEvidence)
        })
    }
}

/// The one person that all strong looks name; `None` if there is none, or more than one.
fn only_strong<'a>(looks: &[&'a Look]) -> Option<&'a PersonId> {
    let person = looks.iter().find(|look| look.is_strong)?.best.as_ref().map(|best| &best.person)?;
    (!looks.iter().any(|look| look.speaks_against(person))).then_some(person)
}
