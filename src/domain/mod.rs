//! What flows through Facewarden: frames, detections, tracks, observations, decisions, events.
//!
//! Plain data and the newtypes that make wrong values impossible. No threads, no clock, and no I/O but for the rules of
//! time zones, which their library takes from the system.

mod calibration;
mod challenge;
mod decision;
mod embedding;
mod erasure;
mod event;
mod frame;
mod geometry;
mod names;
mod observation;
mod particulars;
mod pause;
mod pose;
mod schedule;
mod score;
mod view;

pub use calibration::{Calibration, Estimate, InvalidCalibration, RatePoint, Tail};
pub use challenge::ChallengeFault;
pub use decision::{Decision, Evidence, LookEvidence, Needed, Reason, Verdict};
pub use embedding::{Embedding, EmbeddingError, ModelDigest};
pub use erasure::{ENTRY_FORGOTTEN, Erasure};
pub use event::{Event, EventKind, LookDetail, MatchDetail, Obstruction, SCHEMA, Target};
pub use frame::{CapturedFrame, Frame, Original, Payload};
pub use geometry::{Landmarks, Point, Rect};
pub use names::{CameraId, GroupId, InvalidName, PersonId, TrackId};
pub use observation::{
    Detection, LiveScore, Quality, QualityFault, Scene, SceneFace, ScoredObservation, SpoofSigns, Together,
    Track, TrackState,
};
pub use particulars::{
    Admission, Barred, Consent, InvalidParticulars, MAX_CALLED_BYTES, MAX_CONSENT_BYTES, MAX_NOTES_BYTES,
    Particulars, SiteRules,
};
pub use pause::{PauseCause, ResumeCause};
pub use pose::{Pose, Prompt};
pub use schedule::{Hours, InvalidSchedule, MAX_HOLIDAYS, MAX_HOURS, Schedule, parse_date, time_zone_name};
pub use score::{Candidate, NotAScore, Similarity, Threshold};
pub use view::ViewFault;
