//! What was decided about a track, and why.

use serde::{Deserialize, Serialize};

use super::names::{PersonId, TrackId};
use super::score::Similarity;
use crate::clock::Moment;

/// Why somebody was not verified. The text in events is the snake-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Good looks, and none of them is like anybody enrolled.
    NoMatch,
    /// Nobody is enrolled.
    EmptyGallery,
    /// Resembles an enrolled person, but the liveness model says it is a picture.
    NotLive,
    /// Liveness is enforced and could not be judged.
    LivenessUnknown,
    /// Two enrolled people are about equally alike.
    Ambiguous,
    /// The looks at this one track name different people.
    Inconsistent,
    /// The track ended, or time ran out, before enough good looks agreed.
    InsufficientEvidence,
    /// The decision came too late for the frame it rests on.
    TooLate,
}

/// What a track turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enough good looks agree that this is that person.
    Verified(PersonId),
    /// Not anybody enrolled.
    Unknown(Reason),
    /// Resembles somebody enrolled, and something speaks against it.
    Rejected(Reason),
}

/// What a decision rests on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    /// Good looks that were counted.
    pub observations: u32,
    /// Those of them that agree with the verdict's person.
    pub agreeing: u32,
    /// Mean similarity of the agreeing looks; of the best candidate where nobody was verified.
    pub similarity: Option<Similarity>,
    /// The most alike person, verified or not.
    pub best: Option<PersonId>,
    /// Mean liveness over the window of this very track; `None` when liveness is off or was never judged.
    pub liveness: Option<f32>,
}

/// One decision about one track.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Which track.
    pub track: TrackId,
    /// What it turned out to be.
    pub verdict: Verdict,
    /// What that rests on.
    pub evidence: Evidence,
    /// When the newest frame it rests on was taken.
    pub captured_at: Moment,
    /// When it was made.
    pub decided_at: Moment,
}
