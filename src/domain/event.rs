//! What other programs are told. Serialised as one JSON object a line; never holds a picture or an embedding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::decision::Reason;
use super::names::{CameraId, PersonId, TrackId};
use super::score::{Similarity, Threshold};
use crate::clock::WallTime;

/// The version of the event format. Fields may be added within a version; none is removed or changes meaning.
pub const SCHEMA: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Version of this format.
    pub schema: u32,
    /// Unique, and sorts by time (a ULID). The same event delivered twice keeps its id.
    #[schemars(with = "String")]
    pub id: Ulid,
    /// When it was emitted.
    pub at: WallTime,
    /// What it is.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum EventKind {
    /// Somebody enrolled was verified: the one event that may open a door.
    #[serde(rename = "match.verified")]
    Verified {
        /// Who.
        person: PersonId,
        /// After this moment the event must not open anything.
        expires_at: WallTime,
        /// The facts.
        #[serde(flatten)]
        detail: MatchDetail,
    },
    /// Somebody was there who is not enrolled.
    #[serde(rename = "match.unknown")]
    Unknown {
        /// Why.
        reason: Reason,
        /// The facts.
        #[serde(flatten)]
        detail: MatchDetail,
    },
    /// Somebody resembles an enrolled person, and something speaks against it.
    #[serde(rename = "match.rejected")]
    Rejected {
        /// Whom they resemble, where that is clear.
        #[serde(skip_serializing_if = "Option::is_none")]
        person: Option<PersonId>,
        /// Why.
        reason: Reason,
        /// The facts.
        #[serde(flatten)]
        detail: MatchDetail,
    },
    /// A camera gives no frames.
    #[serde(rename = "camera.lost")]
    CameraLost {
        /// Which.
        camera: CameraId,
        /// What is wrong, for people.
        message: String,
    },
    /// A camera that was lost gives frames again.
    #[serde(rename = "camera.recovered")]
    CameraRecovered {
        /// Which.
        camera: CameraId,
    },
    /// Something does not work and the daemon goes on without it.
    #[serde(rename = "service.degraded")]
    Degraded {
        /// What is wrong and what to do, for people.
        message: String,
    },
    /// The daemon watches.
    #[serde(rename = "service.started")]
    Started {
        /// Version of the program.
        version: String,
        /// People enrolled.
        people: usize,
    },
    /// The daemon ends.
    #[serde(rename = "service.stopping")]
    Stopping {
        /// Why, for people.
        message: String,
    },
}

/// The facts about one decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MatchDetail {
    /// Which camera saw it.
    pub camera: CameraId,
    /// Which track. Unique only together with the camera and the run of the daemon.
    pub track: TrackId,
    /// When the newest frame of the evidence was taken.
    pub captured_at: WallTime,
    /// When it was decided.
    pub decided_at: WallTime,
    /// Mean similarity of the looks that agree; absent when nobody is enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<Similarity>,
    /// The similarity that was needed.
    pub threshold: Threshold,
    /// Good looks that were counted.
    pub observations: u32,
    /// Those that agree on the person.
    pub agreeing: u32,
    /// Mean liveness of this track, 0..=1; absent when it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<f32>,
    /// What liveness counted for: `enforce`, `report` or `off`.
    pub liveness_mode: String,
    /// Digest of the embedding model, 64 hexadecimal digits.
    pub model: String,
}

impl EventKind {
    /// Every value that `type` can have, in the order of the documentation.
    pub const NAMES: [&str; 8] = [
        "match.verified",
        "match.unknown",
        "match.rejected",
        "camera.lost",
        "camera.recovered",
        "service.degraded",
        "service.started",
        "service.stopping",
    ];

    /// The value of `type` in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verified { .. } => "match.verified",
            Self::Unknown { .. } => "match.unknown",
            Self::Rejected { .. } => "match.rejected",
            Self::CameraLost { .. } => "camera.lost",
            Self::CameraRecovered { .. } => "camera.recovered",
            Self::Degraded { .. } => "service.degraded",
            Self::Started { .. } => "service.started",
            Self::Stopping { .. } => "service.stopping",
        }
    }

    /// The facts of the decision, for the three kinds that are decisions.
    #[must_use]
    pub fn detail(&self) -> Option<&MatchDetail> {
        match self {
            Self::Verified { detail, .. } | Self::Unknown { detail, .. } | Self::Rejected { detail, .. } => {
                Some(detail)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json_format() {
        let schema = schemars::schema_for!(EventKind).to_value();
        let mut in_format: Vec<&str> = schema["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| kind["properties"]["type"]["const"].as_str().unwrap())
            .collect();
        let mut names = EventKind::NAMES;
        in_format.sort_unstable();
        names.sort_unstable();
        assert_eq!(in_format, names);
    }
}
