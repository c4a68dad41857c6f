//! Why a camera is taken from watching, and given back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a camera is paused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// Somebody asked for just that: the camera is closed.
    Asked,
    /// Somebody is being enrolled in front of it.
    Enrolment,
    /// It is tried whether live people are told from pictures there.
    LivenessTest,
}

/// Why a camera watches again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResumeCause {
    /// Somebody asked for it.
    Asked,
    /// The time of the pause is over.
    TimeIsOver,
    /// The enrolment has ended, whatever came of it.
    EnrolmentEnded,
    /// The liveness self-test has ended, whatever came of it.
    TestEnded,
}
