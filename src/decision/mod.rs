//! When looks at a face are enough to say who it is: a pure state machine that is handed its time.
//!
//! [`Decider`] is the boundary; [`AgreementDecider`] is the one in use: enough good looks at one track must agree.
//!
//! # When a track is verified
//!
//! With every look, over the window that ends with the newest look of this track:
//!
//! 1. at least `min_agreeing` looks name one person at or above the threshold, each ahead of the second best by
//!    `min_margin` (and never level with them), and
//! 2. no look at or above the threshold names anybody else, with whatever margin, and
//! 3. liveness, if enforced: every look in the window was judged, their mean is at least `min_mean`, and the track
//!    has not used up its attempts, and
//! 4. the newest look is younger than `grant_valid`.
//!
//! Nothing of another track ever counts, and never a maximum. Looks of poor quality, looks already counted (same
//! `seq`) and looks from the future (a defect of whoever stamps them: their age cannot be judged) are ignored.
//!
//! # Few attempts at liveness
//!
//! After every `min_agreeing` looks, whoever they resemble, the mean is checked; [`MAX_LIVENESS_FAILURES`] failed
//! checks bar the track for good. A replay has runs of frames that pass, so trying until one does would let it in.
//!
//! # When a track is not verified
//!
//! When `give_up_after` has passed since the first look was handed in, or when the track ends, over all its looks;
//! the first line that applies. "Strong" is at or above the threshold, "clear" is strong and ahead by the margin.
//!
//! | Looks of the track | Decision |
//! |---|---|
//! | none | none: nothing is said about a face that was never seen well |
//! | nobody was enrolled at any of them | `Unknown(EmptyGallery)` |
//! | none strong, at least `min_agreeing` looks | `Unknown(NoMatch)` |
//! | none strong, fewer looks | `Unknown(InsufficientEvidence)` |
//! | strong ones, but fewer than `min_agreeing` | `Unknown(InsufficientEvidence)` ¹ |
//! | enough agreed at some time, and liveness was too low | `Rejected(NotLive)`; at once when barred |
//! | clear ones name different people | `Rejected(Inconsistent)` |
//! | enough agreed, and liveness was not judged | `Rejected(LivenessUnknown)` |
//! | enough agreed, and the frames were too old | `Rejected(TooLate)` |
//! | too few clear ones, or an unclear one names somebody else (twins) | `Rejected(Ambiguous)` |
//! | enough clear ones, never enough within one window | `Unknown(InsufficientEvidence)` ¹ |
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
//! or not, and each later clear look at a track verified as them. So somebody who stays is announced once, and
//! again only after having been away for the whole cooldown.

mod agreement;
pub mod challenge;
mod looks;
mod policy;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use agreement::{AgreementDecider, MAX_LIVENESS_FAILURES, MAX_TRACKS};
pub use looks::MAX_LOOKS;
pub use policy::{InvalidPolicy, LivenessPolicy, Policy};

use crate::clock::Moment;
use crate::domain::{Decision, ScoredObservation, TrackId};

/// Turns looks into decisions. `now` is the time of the clock that also stamped the frames; where it steps back,
/// the latest time seen so far is used.
pub trait Decider: Send {
    /// Takes in one look; returns the decision about its track if there is one now.
    fn observe(&mut self, observation: &ScoredObservation, now: Moment) -> Option<Decision>;

    /// Takes in that a track is over; returns the decision about it if there was none yet. Looks at it that come
    /// later are ignored.
    fn track_ended(&mut self, track: TrackId, now: Moment) -> Option<Decision>;

    /// Lets time pass: decisions about the tracks that ran out of it. To be called several times a second.
    fn tick(&mut self, now: Moment) -> Vec<Decision>;

    /// Drops half-gathered evidence, because what the looks were compared with has changed (people enrolled or
    /// deleted). Decided tracks stay decided and cooldowns go on.
    fn reset(&mut self);
}
