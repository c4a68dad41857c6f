//! A decider that outlives the stage which asks it, so that a stage that is started anew goes on with the lock-out and
//! the cooldowns there were.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::policy::{InvalidPolicy, Policy};
use super::{Decider, EvidenceDecider, Random, Said};
use crate::clock::Moment;
use crate::domain::{Scene, ScoredObservation, TrackId};

/// A decider that is shared. Clones share it.
#[derive(Debug, Clone)]
pub struct SharedDecider(Arc<Mutex<EvidenceDecider>>);

impl SharedDecider {
    /// As [`EvidenceDecider::new`].
    ///
    /// # Errors
    /// If the policy makes no sense.
    pub fn new(policy: Policy, random: Random) -> Result<Self, InvalidPolicy> {
        Ok(Self(Arc::new(Mutex::new(EvidenceDecider::new(policy, random)?))))
    }

    /// True if a panic has interrupted it: what it remembers may be half a truth, and it must not be used again.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.is_poisoned()
    }

    fn inner(&self) -> MutexGuard<'_, EvidenceDecider> {
        // Reached only by the stage that just panicked in it, on its way out.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decider for SharedDecider {
    fn observe(&mut self, observation: &ScoredObservation, now: Moment) -> Vec<Said> {
        self.inner().observe(observation, now)
    }

    fn scene(&mut self, scene: &Scene, now: Moment) -> Vec<Said> {
        self.inner().scene(scene, now)
    }

    fn track_ended(&mut self, track: TrackId, now: Moment) -> Vec<Said> {
        self.inner().track_ended(track, now)
    }

    fn tick(&mut self, now: Moment) -> Vec<Said> {
        self.inner().tick(now)
    }

    fn reset(&mut self) {
        self.inner().reset();
    }

    fn adopt(&mut self, policy: Policy) -> Result<(), InvalidPolicy> {
        self.inner().adopt(policy)
    }
}
