//! What can be wrong with a camera's view.

use serde::{Deserialize, Serialize};

/// Something that is wrong with what a camera shows, though it gives frames.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ViewFault {
    /// The same picture again and again.
    Frozen,
    /// Dark, or without any structure: something is in front of the lens, or there is no light at all.
    Covered,
    /// Much of the picture is white: a lamp or the sun shines into the lens.
    Blinded,
    /// It shows another place than the one that was learned.
    Moved,
}

impl ViewFault {
    /// All of them, the one that says most first.
    pub const ALL: [Self; 4] = [Self::Frozen, Self::Covered, Self::Blinded, Self::Moved];

    /// The name as in the settings and in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Covered => "covered",
            Self::Blinded => "blinded",
            Self::Moved => "moved",
        }
    }
}

impl std::fmt::Display for ViewFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
