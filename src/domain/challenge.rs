//! Why an active challenge was not met.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an active challenge was not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeFault {
    /// The head never came to rest, facing about the camera: at the start, or again after an answer.
    NotSettled,
    /// The head kept moving, a little, while nothing was asked.
    Restless,
    /// A whole movement was made that nobody had asked for.
    Unprompted,
    /// The answer began before a person could have reacted to the prompt.
    TooEarly,
    /// The answer was another movement than the one asked for.
    WrongMovement,
    /// There was no answer in time.
    TooLate,
    /// The face jumped from one pose to another, as at a cut in a recording.
    Jump,
    /// The face was not seen for too long.
    Lost,
    /// Another face took the place of the one that was asked.
    OtherFace,
}

impl std::fmt::Display for ChallengeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotSettled => "the head did not come to rest",
            Self::Restless => "the head kept moving while nothing was asked",
            Self::Unprompted => "a movement was made that was not asked for",
            Self::TooEarly => "the answer began before anybody could have reacted",
            Self::WrongMovement => "the answer was another movement than asked for",
            Self::TooLate => "there was no answer in time",
            Self::Jump => "the face jumped from one pose to another",
            Self::Lost => "the face was not seen for too long",
            Self::OtherFace => "another face took the place of the one that was asked",
        })
    }
}
