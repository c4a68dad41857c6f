//! What flows through Facewarden: frames, detections, tracks, observations, decisions, events.
//!
//! Plain data and the newtypes that make wrong values impossible. No I/O, no threads, no clock.

mod calibration;
mod challenge;
mod decision;
mod embedding;
mod event;
mod frame;
mod geometry;
mod names;
mod observation;
mod particulars;
mod pose;
mod score;
mod view;

pub use calibration::{Calibration, Estimate, InvalidCalibration, RatePoint, Tail};
pub use challenge::ChallengeFault;
pub use decision::{Decision, Evidence, LookEvidence, Needed, Reason, Verdict};
pub use embedding::{Embedding, EmbeddingError, ModelDigest};
pub use event::{
    Event, EventKind, LookDetail, MatchDetail, Obstruction, PauseCause, ResumeCause, SCHEMA, Target,
};
pub use frame::{CapturedFrame, Frame, Original, Payload};
pub use geometry::{Landmarks, Point, Rect};
pub use names::{CameraId, GroupId, InvalidName, PersonId, TrackId};
pub use observation::{
    Detection, LiveScore, Quality, QualityFault, Scene, SceneFace, ScoredObservation, SpoofSigns, Together,
    Track, TrackState,
};
pub use particulars::{Admission, Consent, Hours, Particulars, Schedule};
pub use pose::{Pose, Prompt};
pub use score::{Candidate, NotAScore, Similarity, Threshold};
pub use view::ViewFault;
