//! What it takes to be verified.

use std::time::Duration;

use crate::domain::Threshold;

use super::looks::MAX_LOOKS;

/// What liveness counts for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LivenessPolicy {
    /// Nobody is verified without it.
    Enforce {
        /// The mean over a track's window that counts as live, 0..=1 (inclusive).
        min_mean: f32,
    },
    /// Shown in the evidence; decides nothing.
    Report,
    /// Not judged, and not shown.
    Off,
}

/// What it takes to be verified.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The similarity needed (inclusive).
    pub threshold: Threshold,
    /// The best person must be ahead of the second best by this (inclusive), 0..=2. Being level never suffices.
    pub min_margin: f32,
    /// So many good looks of one track must agree, 1..=[`MAX_LOOKS`].
    pub min_agreeing: u32,
    /// Only looks taken within this before the newest look of the track count.
    pub window: Duration,
    /// A track not verified after so long, from when its first good look was handed in, is given up.
    pub give_up_after: Duration,
    /// A person is not announced again for so long after they were last seen. Zero announces every track.
    pub cooldown: Duration,
    /// The newest look must be younger than this when the decision is made.
    pub grant_valid: Duration,
    /// What liveness counts for.
    pub liveness: LivenessPolicy,
}

/// A policy that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidPolicy {
    /// Not a number, or outside 0..=2.
    #[error("the margin must be between 0 and 2, not {0}")]
    Margin(f32),
    /// Zero looks prove nothing, and no more are kept than [`MAX_LOOKS`].
    #[error("the number of agreeing looks must be between 1 and {MAX_LOOKS}, not {0}")]
    Agreeing(u32),
    /// A time that must be above zero is zero.
    #[error("{0} must be longer than zero")]
    NoTime(&'static str),
    /// Not a number, or outside 0..=1.
    #[error("the mean liveness must be between 0 and 1, not {0}")]
    MinMean(f32),
}

impl Policy {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        if !(0.0..=2.0).contains(&self.min_margin) {
            return Err(InvalidPolicy::Margin(self.min_margin));
        }
        if !(1..=MAX_LOOKS).contains(&usize::try_from(self.min_agreeing).unwrap_or(usize::MAX)) {
            return Err(InvalidPolicy::Agreeing(self.min_agreeing));
        }
        for (name, time) in [
            ("the window", self.window),
            ("the time to give up", self.give_up_after),
            ("the validity of a grant", self.grant_valid),
        ] {
            if time.is_zero() {
                return Err(InvalidPolicy::NoTime(name));
            }
        }
        match self.liveness {
            LivenessPolicy::Enforce { min_mean } if !(0.0..=1.0).contains(&min_mean) => {
                Err(InvalidPolicy::MinMean(min_mean))
            }
            _ => Ok(()),
        }
    }
}
