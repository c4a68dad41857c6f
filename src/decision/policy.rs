//! What it takes to be verified.

use std::time::Duration;

use super::acceptance::Acceptance;
use super::challenge::{ChallengeSettings, InvalidChallenge};
use super::looks::MAX_LOOKS;

/// What liveness counts for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LivenessPolicy {
    /// Nobody is verified without it.
    Enforce(LivenessChecks),
    /// Nobody is verified without having followed an active challenge.
    Challenge {
        /// How it is put.
        settings: ChallengeSettings,
        /// The passive checks that are to be passed as well.
        checks: LivenessChecks,
    },
    /// Shown in the evidence; decides nothing.
    Report,
    /// Not judged, and not shown.
    Off,
}

/// What passive liveness needs, and what happens when it fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LivenessChecks {
    /// The mean of the model over a track's window that counts as live, 0..=1 (inclusive); `None` to go without the
    /// model.
    pub min_mean: Option<f32>,
    /// The mean is taken over at least so many looks, 1..=[`MAX_LOOKS`]...
    pub min_looks: u32,
    /// ... that span at least so long.
    pub min_span: Duration,
    /// Whether a face lit like a screen is refused.
    pub refuses_overexposed: bool,
    /// Whether a face with a screen's or paper's edge moving along is refused.
    pub refuses_edges: bool,
    /// After so many tracks that failed, nobody is verified for [`LivenessChecks::lockout`].
    pub max_failed_tracks: u32,
    /// How long that lasts, and how far apart the failures may lie to be counted together.
    pub lockout: Duration,
    /// False as long as a self-test is asked for and was not passed: nobody is verified.
    pub is_tested: bool,
}

/// What to do when several faces are in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeveralFaces {
    /// Each is decided about on its own.
    #[default]
    Each,
    /// Only the largest may be verified.
    Largest,
    /// Nobody is, as long as another face that counts is there.
    Refuse,
}

/// What it takes to be verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How alike (inclusive).
    pub acceptance: Acceptance,
    /// The best person must be ahead of the second best by this (inclusive), 0..=2. Being level never suffices.
    pub min_margin: f32,
    /// At least so many good looks of one track, 1..=[`MAX_LOOKS`].
    pub min_looks: u32,
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
    /// What to do when several faces are in view.
    pub several_faces: SeveralFaces,
}

/// A policy that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidPolicy {
    /// Not above 0 and below 1.
    #[error("the false match rate must be above 0 and below 1, not {0}")]
    Rate(f64),
    /// Not a number, or outside 0..=2.
    #[error("the margin must be between 0 and 2, not {0}")]
    Margin(f32),
    /// Zero looks prove nothing, and no more are kept than [`MAX_LOOKS`].
    #[error("the number of looks must be between 1 and {MAX_LOOKS}, not {0}")]
    Looks(u32),
    /// A time that must be above zero is zero.
    #[error("{0} must be longer than zero")]
    NoTime(&'static str),
    /// Not a number, or outside 0..=1.
    #[error("the mean liveness must be between 0 and 1, not {0}")]
    MinMean(f32),
    /// Nobody could ever pass.
    #[error("at least one track must be allowed to fail before nobody is verified for a while")]
    NoFailures,
    /// The challenge makes no sense.
    #[error(transparent)]
    Challenge(#[from] InvalidChallenge),
}

impl Policy {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        if let Acceptance::FalseMatchRate { per_visit, .. } = &self.acceptance
            && !(*per_visit > 0.0 && *per_visit < 1.0)
        {
            return Err(InvalidPolicy::Rate(*per_visit));
        }
        if !(0.0..=2.0).contains(&self.min_margin) {
            return Err(InvalidPolicy::Margin(self.min_margin));
        }
        if !(1..=MAX_LOOKS).contains(&usize::try_from(self.min_looks).unwrap_or(usize::MAX)) {
            return Err(InvalidPolicy::Looks(self.min_looks));
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
        if let LivenessPolicy::Challenge { settings, .. } = &self.liveness {
            settings.check()?;
        }
        let Some(checks) = self.liveness.checks() else { return Ok(()) };
        if !(1..=MAX_LOOKS).contains(&usize::try_from(checks.min_looks).unwrap_or(usize::MAX)) {
            return Err(InvalidPolicy::Looks(checks.min_looks));
        }
        if checks.max_failed_tracks == 0 {
            return Err(InvalidPolicy::NoFailures);
        }
        match checks.min_mean {
            Some(mean) if !(0.0..=1.0).contains(&mean) => Err(InvalidPolicy::MinMean(mean)),
            _ => Ok(()),
        }
    }
}

impl LivenessPolicy {
    /// What has to be passed; `None` where liveness decides nothing.
    #[must_use]
    pub fn checks(&self) -> Option<&LivenessChecks> {
        match self {
            Self::Enforce(checks) | Self::Challenge { checks, .. } => Some(checks),
            Self::Report | Self::Off => None,
        }
    }
}
