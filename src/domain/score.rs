//! Scores that cannot be nonsense.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::PersonId;

/// A number that is not a similarity: NaN, infinite, or outside -1..=1.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not between -1 and 1")]
pub struct NotAScore(pub f32);

macro_rules! score {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "f32", into = "f32")]
        pub struct $type(#[schemars(range(min = -1.0, max = 1.0))] f32);

        impl $type {
            /// Takes a number from -1 to 1; up to 1e-3 beyond either end counts as rounding and is cut.
            ///
            /// # Errors
            /// [`NotAScore`] for anything else, NaN included.
            pub fn new(value: f32) -> Result<Self, NotAScore> {
                if (-1.001..=1.001).contains(&value) { Ok(Self(value.clamp(-1.0, 1.0))) } else { Err(NotAScore(value)) }
            }

            /// The number, -1..=1.
            #[must_use]
            pub fn value(self) -> f32 {
                self.0
            }
        }

        impl TryFrom<f32> for $type {
            type Error = NotAScore;

            fn try_from(value: f32) -> Result<Self, NotAScore> {
                Self::new(value)
            }
        }

        impl From<$type> for f32 {
            fn from(score: $type) -> Self {
                score.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:.3}", self.0)
            }
        }
    };
}

score! {
    /// How alike two faces are: 1 is the same picture, 0 is unrelated. Cosine similarity for models that were
    /// trained with it; `1 - distance² / 2` for models trained with Euclidean distance (the same thing for
    /// vectors of length 1). Always a finite number.
    Similarity
}

score! {
    /// The similarity from which on two faces count as one person (inclusive).
    Threshold
}

impl Eq for Similarity {}

impl PartialOrd for Similarity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Similarity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Similarity {
    /// True at or above the threshold.
    #[must_use]
    pub fn reaches(self, threshold: Threshold) -> bool {
        self.0 >= threshold.0
    }
}

/// An enrolled person and how alike the probe is to the best of their templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who.
    pub person: PersonId,
    /// How alike.
    pub similarity: Similarity,
}
