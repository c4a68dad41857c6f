//! When looks at a face are enough to say who it is: a pure state machine that is handed its time.
//!
//! [`Decider`] is the boundary; [`EvidenceDecider`] is the one in use: what the looks at one track resemble together
//! is held against a threshold that follows from how often a stranger may be let in.
//!
//! # When a track is verified
//!
//! With every look, over the window that ends with the newest look of this track:
//!
//! 1. the mean of the looks (each weighted by how sure the embedder is of it, see `matching::Pool`), at least
//!    `min_looks` of them, resembles one person at or above the threshold for the number of people enrolled
//!    ([`Acceptance`]), and
//! 2. it is ahead of the second best by `min_margin` (and never level with them), and
//! 3. no look that is at or above the threshold on its own names anybody else, and
//! 4. no look broke with those before it: one that does not resemble them drops them all, and
//! 5. liveness, if it decides: over at least its own number of looks and time, every look was judged, their mean is
//!    high enough, there is no other sign of a picture, the track has not used up its
//!    attempts, the camera is not locked out, and the challenge, where there is one, was followed, and
//! 6. the camera's view is fit ([`Scene::unfit`]), and nobody else in view speaks against it ([`SeveralFaces`]), and
//! 7. the newest look is younger than `grant_valid`, and
//! 8. that person may be let in now ([`Together::barred`](crate::domain::Together::barred)).
//!
//! It is a sequential test: a clear face passes with the second look, a poor one takes more, and the chance of a
//! stranger to pass at *some* look is what the threshold is made for ([`tries`]). Why this rule and no other was
//! measured: docs/evidence.md.
//!
//! Nothing of another track ever counts, and never a maximum. Looks of poor quality, looks already counted (same
//! `seq`) and looks from the future (a defect of whoever stamps them: their age cannot be judged) are ignored.
//!
//! # Few attempts at liveness
//!
//! After every full window of looks, whoever they resemble, the mean is checked; [`MAX_LIVENESS_FAILURES`] failed
//! checks bar the track for good. A replay has runs of frames that pass, so trying until one does would let it in.
//! When `max_failed_tracks` tracks were rejected as pictures within the time of the lock-out, nobody is verified
//! until it is over.
//!
//! # An unfit view
//!
//! While the camera's view is unfit (frozen, covered, blinded, moved: `watch`) nobody is verified, and a challenge under
//! way fails. When it is fit again all looks up to then are forgotten: only what is seen afterwards counts.
//!
//! # The active challenge
//!
//! It is put once everything else is in order, to one track at a time. A look that breaks with the others, or is
//! strong for somebody else, fails it, and so does not being seen well between two prompts. Once it is followed, `min_looks` further looks at the same person are needed,
//! so that the grant rests on the face that is there then. A track gets one challenge.
//!
//! # When a track is not verified
//!
//! When `give_up_after` has passed since the first look was handed in (or since the challenge was followed), or when
//! the track ends, over all its looks; the first line that applies. "Strong" is at or above the threshold alone.
//!
//! | Looks of the track | Decision |
//! |---|---|
//! | none, and somebody stood there, near enough, for `give_up_after` | `Unknown(PoorQuality)` |
//! | none | none: nothing is said about a face that was never seen well |
//! | nobody was enrolled at any of them | `Unknown(EmptyGallery)` |
//! | alike enough at some time, and it looked like a picture | `Rejected(NotLive, ScreenEdge, Overexposed)`; at once when barred |
//! | the challenge was put and failed | `Rejected(ChallengeFailed)`, at once |
//! | all was in order, but the person may not be let in now | `Rejected` with why: `NotYetValid`, `Expired`, `OffSchedule`..., at once |
//! | strong ones name different people | `Rejected(Inconsistent)` |
//! | alike enough at some time, and something else stood in the way | `Rejected` with that |
//! | alike enough, and two people about equally so (twins) | `Rejected(Ambiguous)` |
//! | a strong one, or alike enough before, or fewer than `min_looks` | `Unknown(InsufficientEvidence)` ¹ |
//! | otherwise | `Unknown(NoMatch)` |
//!
//! ¹ Silent if all strong looks name one person who is within their cooldown: a door that has just opened for
//! somebody does not report them as unknown when they look away.
//!
//! An obstacle (too late, not live, not judged, a contrary look) does not end a track at once: a camera that
//! catches up, or a passing wrong look that leaves the window, must not lock an enrolled person out.
//!
//! # After the decision
//!
//! A track gets at most one decision, ever; then it is silent until it ends. If the looks after a verification
//! name somebody else, nothing is inherited: they are not verified by that track, and it no longer counts as the
//! first person being there.
//!
//! A person who is verified (on whatever track) within `cooldown` after they were last seen is not announced
//! again; that track is settled without a decision. "Last seen" is the newest of: their verification, announced
//! or not, and each later strong look at a track verified as them. So somebody who stays is announced once, and
//! again only after having been away for the whole cooldown.

mod acceptance;
#[cfg(test)]
mod admission_tests;
pub mod challenge;
mod company;
mod decider;
mod gathering;
#[cfg(test)]
mod liveness_tests;
mod lockout;
mod looks;
mod policy;
#[cfg(test)]
mod properties;
mod shared;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial_tests;
#[cfg(test)]
mod view_tests;

pub use acceptance::{Acceptance, per_comparison, tries};
pub use decider::{EvidenceDecider, MAX_TRACKS, Random};
pub use gathering::MAX_LIVENESS_FAILURES;
pub use looks::MAX_LOOKS;
pub use policy::{InvalidPolicy, LivenessChecks, LivenessPolicy, Policy, SeveralFaces};
pub use shared::SharedDecider;

use crate::clock::Moment;
use crate::domain::{Decision, Prompt, Scene, ScoredObservation, TrackId};

/// What a decider has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A decision about a track.
    Decided(Box<Decision>),
    /// Somebody is asked to do something, at once.
    Asked(Ask),
    /// Liveness failed too often: nobody is verified until then.
    LockedOut {
        /// The end of it.
        until: Moment,
    },
}

/// A prompt of an active challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Who is asked.
    pub track: TrackId,
    /// Which prompt, from 1.
    pub step: u32,
    /// Of how many.
    pub of: u32,
    /// What to do.
    pub prompt: Prompt,
    /// By when.
    pub until: Moment,
}

/// Turns looks into decisions. `now` is the time of the clock that also stamped the frames; where it steps back,
/// the latest time seen so far is used.
pub trait Decider: Send {
    /// Takes in one look; says what follows from it.
    fn observe(&mut self, observation: &ScoredObservation, now: Moment) -> Vec<Said>;

    /// Takes in all the faces of a frame, looked at or not.
    fn scene(&mut self, scene: &Scene, now: Moment) -> Vec<Said>;

    /// Takes in that a track is over; says the decision about it if there was none yet. Looks at it that come later
    /// are ignored.
    fn track_ended(&mut self, track: TrackId, now: Moment) -> Vec<Said>;

    /// Lets time pass: decisions about the tracks that ran out of it. To be called several times a second.
    fn tick(&mut self, now: Moment) -> Vec<Said>;

    /// Drops half-gathered evidence, because what the looks were compared with has changed (people enrolled or
    /// deleted). Decided tracks stay decided, cooldowns and a lock-out go on.
    fn reset(&mut self);

    /// Decides by `policy` from now on. Where it differs from the one before, half-gathered evidence is dropped as in
    /// [`Decider::reset`]: it was weighed by other rules.
    ///
    /// # Errors
    /// If the policy makes no sense; the old one stays.
    fn adopt(&mut self, policy: Policy) -> Result<(), InvalidPolicy>;
}
