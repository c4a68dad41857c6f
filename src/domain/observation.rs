//! What is seen of a face, and when.

use serde::{Deserialize, Serialize};

use super::embedding::Embedding;
use super::geometry::{Landmarks, Rect};
use super::names::TrackId;
use super::score::Candidate;
use crate::clock::Moment;

/// A face found in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where the face is, in pixels of the full frame.
    pub box_in_frame: Rect,
    /// Eyes, nose and mouth corners, in pixels of the full frame.
    pub landmarks_in_frame: Landmarks,
    /// How sure the detector is, 0..=1.
    pub score: f32,
}

/// How far a track is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackState {
    /// Seen too few times to be sure that it is a face at all.
    Tentative,
    /// A face that is being followed, and was seen in the newest frame.
    Confirmed,
    /// Not seen in the newest frames; its place is predicted.
    Missed,
}

/// A face followed over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Track {
    /// Which one.
    pub id: TrackId,
    /// How far in its life.
    pub state: TrackState,
    /// The newest detection; in state `Missed` its box is the predicted place.
    pub detection: Detection,
    /// When it was first seen.
    pub first_seen: Moment,
    /// When it was last seen.
    pub last_seen: Moment,
}

/// What can be wrong with a picture of a face.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum QualityFault {
    /// Too few pixels across.
    TooSmall,
    /// Out of focus or moving.
    Blurred,
    /// Too little light on the face.
    TooDark,
    /// Too much light on the face.
    TooBright,
    /// Seen from the side, from above or from below.
    TurnedAway,
    /// Part of the face is outside the picture.
    CutOff,
    /// The five points do not form a face.
    ImplausibleLandmarks,
}

impl std::fmt::Display for QualityFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooSmall => "too small",
            Self::Blurred => "blurred",
            Self::TooDark => "too dark",
            Self::TooBright => "too bright",
            Self::TurnedAway => "turned away",
            Self::CutOff => "cut off by the edge of the picture",
            Self::ImplausibleLandmarks => "its points do not form a face",
        })
    }
}

/// How good a picture of a face is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quality {
    /// All of it in one number, 0 (useless) to 1 (a passport photo). Only for choosing between pictures.
    pub score: f32,
    /// Width of the face's box in pixels.
    pub width_px: f32,
    /// Sharpness: mean squared gradient over mean squared luma of the aligned crop, scaled; see `vision::quality`.
    pub sharpness: f32,
    /// Mean luma of the aligned face, 0..=255.
    pub luma: f32,
    /// 1 facing the camera, 0 in profile or beyond.
    pub frontality: f32,
    /// What is wrong with it; empty if it may be used.
    pub faults: Vec<QualityFault>,
}

impl Quality {
    /// True if nothing is wrong with it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What the liveness model says: 0 is a picture of a face, 1 a face.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct LiveScore(#[schemars(range(min = 0.0, max = 1.0))] pub f32);

/// One good look at one track.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Whose.
    pub track: TrackId,
    /// In which frame.
    pub seq: u64,
    /// When that frame was taken.
    pub captured_at: Moment,
    /// How good the picture is.
    pub quality: Quality,
    /// What the liveness model says; `None` when it is off.
    pub liveness: Option<LiveScore>,
    /// The face as a vector.
    pub embedding: Embedding,
}

/// An observation after the gallery has been asked who it resembles. It no longer holds the embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredObservation {
    /// Whose.
    pub track: TrackId,
    /// In which frame.
    pub seq: u64,
    /// When that frame was taken.
    pub captured_at: Moment,
    /// How good the picture is.
    pub quality: Quality,
    /// What the liveness model says; `None` when it is off.
    pub liveness: Option<LiveScore>,
    /// The most alike person; `None` when nobody is enrolled.
    pub best: Option<Candidate>,
    /// The most alike other person; `None` when fewer than two are enrolled.
    pub second: Option<Candidate>,
}
