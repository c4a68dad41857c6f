//! What is done when something is wrong with a camera's view.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ViewFault;

/// What is done when something is wrong with a camera's view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// The same picture again and again.
    pub frozen: OnFault,
    /// Something is in front of the lens, or there is no light.
    pub covered: OnFault,
    /// A light shines into the lens.
    pub blinded: OnFault,
    /// The camera shows another place than before.
    pub moved: OnFault,
    /// The same picture for so long is a frozen one. Network cameras may repeat one until their next key frame.
    pub frozen_after_ms: u64,
    /// Covered or blinded for so long is told.
    pub obstructed_after_ms: u64,
    /// Another place for so long is told.
    pub moved_after_ms: u64,
    /// What is wrong is over once it was right for so long.
    pub clear_after_ms: u64,
    /// Another place that stays the same for so long is taken for the camera's own; `null`: only a reload or a restart
    /// makes it that.
    pub moved_confirm_after_ms: Option<u64>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            frozen: OnFault::Refuse,
            covered: OnFault::Refuse,
            blinded: OnFault::Refuse,
            moved: OnFault::Report,
            frozen_after_ms: 3000,
            obstructed_after_ms: 3000,
            moved_after_ms: 10_000,
            clear_after_ms: 1000,
            moved_confirm_after_ms: Some(600_000),
        }
    }
}

impl Watch {
    /// What is done about this fault.
    #[must_use]
    pub fn on(&self, fault: ViewFault) -> OnFault {
        match fault {
            ViewFault::Frozen => self.frozen,
            ViewFault::Covered => self.covered,
            ViewFault::Blinded => self.blinded,
            ViewFault::Moved => self.moved,
        }
    }
}

/// What is done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFault {
    /// It is told, and nobody is verified while it lasts.
    Refuse,
    /// It is told.
    Report,
    /// It is not looked for.
    Off,
}
