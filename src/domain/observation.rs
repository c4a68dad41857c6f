//! What is seen of a face, and when.

use serde::{Deserialize, Serialize};

use super::geometry::{Landmarks, Rect};
use super::names::TrackId;
use super::particulars::Barred;
use super::pose::Pose;
use super::score::Candidate;
use super::view::ViewFault;
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
    /// Hardly any difference between its light and dark parts: fog, glare, or light from behind.
    FlatLight,
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
            Self::FlatLight => "washed out",
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
    /// Contrast of the aligned face: standard deviation of luma over its mean, from 0.
    pub contrast: f32,
    /// 1 facing the camera, 0 in profile or beyond.
    pub frontality: f32,
    /// What is wrong with it; empty if it may be used.
    pub faults: Vec<QualityFault>,
}

impl QualityFault {
    /// What the person can do about it, for people.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::TooSmall => "come closer",
            Self::Blurred => "hold still",
            Self::TooDark => "more light on the face is needed",
            Self::TooBright => "less light on the face is needed",
            Self::TurnedAway => "look at the camera",
            Self::CutOff => "step into the middle of the picture",
            Self::ImplausibleLandmarks => "uncover the face",
            Self::FlatLight => "the face is washed out: less light from behind it, or a clean lens",
        }
    }
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

/// What the looks of a track resemble together: their weighted mean, within the window that ends with the newest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Together {
    /// The most alike person; `None` when nobody is enrolled.
    pub best: Option<Candidate>,
    /// The most alike other person; `None` when fewer than two are enrolled.
    pub second: Option<Candidate>,
    /// Why the most alike person may not be let in now, whatever the looks say.
    pub barred: Option<Barred>,
    /// How many looks it is the mean of, from 1.
    pub looks: u32,
    /// True if the newest look did not resemble those before it: they are left out, and nothing gathered before
    /// counts any more.
    pub is_restarted: bool,
}

/// Signs, beside the liveness model, that a face is a picture of one: what the recent looks at the track show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoofSigns {
    /// Whether there were looks enough to judge by all signs that are looked for.
    pub is_judged: bool,
    /// Too much of the face is white too often, as on a bright screen.
    pub is_overexposed: bool,
    /// Straight edges around the face move with it.
    pub has_edges: bool,
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
    /// Other signs of a picture.
    pub signs: SpoofSigns,
    /// The person most alike to this look alone; `None` when nobody is enrolled.
    pub best: Option<Candidate>,
    /// The most alike other person; `None` when fewer than two are enrolled.
    pub second: Option<Candidate>,
    /// The same for all recent looks at this track.
    pub together: Together,
    /// How many people it was compared with.
    pub people: usize,
}

/// All faces that are followed in one frame, whether they were looked at or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// When the frame was taken.
    pub captured_at: Moment,
    /// What is wrong with the camera's view, where nobody may be verified because of it.
    pub unfit: Option<ViewFault>,
    /// The faces.
    pub faces: Vec<SceneFace>,
}

/// One face of a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneFace {
    /// Which.
    pub track: TrackId,
    /// Width of its box, pixels.
    pub width_px: f32,
    /// How the head is held; `None` if its points form no face.
    pub pose: Option<Pose>,
    /// What is wrong with it, where it was to be looked at and is not good enough; else empty.
    pub faults: Vec<QualityFault>,
}
