//! What was decided about a track, and why.

use serde::{Deserialize, Serialize};

use super::challenge::ChallengeFault;
use super::names::{PersonId, TrackId};
use super::observation::QualityFault;
use super::particulars::Barred;
use super::score::{Similarity, Threshold};
use super::view::ViewFault;
use crate::clock::Moment;

/// Why somebody was not verified. The text in events is the snake-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Good looks, and none of them is like anybody enrolled.
    NoMatch,
    /// Nobody is enrolled.
    EmptyGallery,
    /// Somebody stood there, and no picture of them was good enough; `faults` says why.
    PoorQuality,
    /// Resembles an enrolled person, but the liveness model says it is a picture.
    NotLive,
    /// Resembles an enrolled person, but the edge of a screen or of paper moves with the face.
    ScreenEdge,
    /// Resembles an enrolled person, but the face is lit like a screen: too many of its pixels are white.
    Overexposed,
    /// Resembles an enrolled person, who did not do what the challenge asked.
    ChallengeFailed,
    /// Liveness is enforced and could not be judged.
    LivenessUnknown,
    /// Liveness failed here several times just now; nobody is verified until the pause is over.
    LockedOut,
    /// Liveness has to be tested on site before anybody is verified, and was not.
    NoSelfTest,
    /// Two enrolled people are about equally alike.
    Ambiguous,
    /// The looks at this one track name different people.
    Inconsistent,
    /// More than one face was there, and the settings want one at a time.
    SeveralFaces,
    /// Somebody else stood closer, and the settings let only the closest in.
    NotTheLargest,
    /// The track ended, or time ran out, before enough good looks agreed.
    InsufficientEvidence,
    /// The decision came too late for the frame it rests on.
    TooLate,
    /// The camera gave the same picture again and again.
    CameraFrozen,
    /// Something was in front of the lens, or there was no light.
    CameraCovered,
    /// A light shone into the lens.
    CameraBlinded,
    /// The camera shows another place than before.
    CameraMoved,
    /// Recognised, and what was granted to them begins later.
    NotYetValid,
    /// Recognised, and what was granted to them is over.
    Expired,
    /// Recognised, outside the hours of their schedule.
    OffSchedule,
    /// Recognised, and the time zone of their schedule is not known here.
    TimeZoneUnknown,
    /// Recognised, and what they agreed to is over.
    ConsentEnded,
    /// Recognised, and they have not agreed to that, which the settings ask for.
    NoConsent,
}

impl From<Barred> for Reason {
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::NotYetValid => Self::NotYetValid,
            Barred::Expired => Self::Expired,
            Barred::OffSchedule => Self::OffSchedule,
            Barred::TimeZoneUnknown => Self::TimeZoneUnknown,
            Barred::ConsentEnded => Self::ConsentEnded,
            Barred::NoConsent => Self::NoConsent,
        }
    }
}

impl From<ViewFault> for Reason {
    fn from(fault: ViewFault) -> Self {
        match fault {
            ViewFault::Frozen => Self::CameraFrozen,
            ViewFault::Covered => Self::CameraCovered,
            ViewFault::Blinded => Self::CameraBlinded,
            ViewFault::Moved => Self::CameraMoved,
        }
    }
}

impl Reason {
    /// What was wrong with the camera's view, where that is the reason.
    #[must_use]
    pub fn view_fault(self) -> Option<ViewFault> {
        ViewFault::ALL.into_iter().find(|fault| Self::from(*fault) == self)
    }

    /// Why the person was not to be let in then, where that is the reason: they were recognised, and everything else was in
    /// order.
    #[must_use]
    pub fn barred(self) -> Option<Barred> {
        Barred::ALL.into_iter().find(|barred| Self::from(*barred) == self)
    }

    /// The reason in a sentence, for people.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::NoMatch => "the face is like nobody enrolled",
            Self::EmptyGallery => "nobody is enrolled",
            Self::PoorQuality => "no picture of the face was good enough",
            Self::NotLive => "the liveness model takes it for a picture of a face",
            Self::ScreenEdge => "the edge of a screen or of paper moved with the face",
            Self::Overexposed => "too much of the face was white, as on a bright screen",
            Self::ChallengeFailed => "the challenge was not followed",
            Self::LivenessUnknown => "liveness could not be judged",
            Self::LockedOut => {
                "liveness had failed several times just before, and nobody is let in for a while"
            }
            Self::NoSelfTest => "liveness was not tested at this camera, and the settings ask for that",
            Self::Ambiguous => "two enrolled people are about equally alike",
            Self::Inconsistent => "the looks at this one face name different people",
            Self::SeveralFaces => "more than one face was in view",
            Self::NotTheLargest => "somebody else stood closer to the camera",
            Self::InsufficientEvidence => "there was not enough to go by",
            Self::TooLate => "the decision came too late for the picture it rests on",
            Self::CameraFrozen => "the camera gave the same picture again and again",
            Self::CameraCovered => "the camera was covered, or there was no light",
            Self::CameraBlinded => "a light shone into the camera",
            Self::CameraMoved => "the camera shows another place than before",
            Self::NotYetValid => "what is granted to them begins later",
            Self::Expired => "what was granted to them is over",
            Self::OffSchedule => "it was outside the hours of their schedule",
            Self::TimeZoneUnknown => "the time zone of their schedule is not known on this machine",
            Self::ConsentEnded => "what they had agreed to is over",
            Self::NoConsent => "no consent of theirs is recorded, and the settings ask for one",
        }
    }
}

/// What a track turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enough good looks agree that this is that person.
    Verified(PersonId),
    /// Not anybody enrolled.
    Unknown(Reason),
    /// Resembles somebody enrolled, and something speaks against it.
    Rejected(Reason),
}

/// The similarity that was needed, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needed {
    /// The similarity that all looks together had to reach.
    pub threshold: Threshold,
    /// The target it follows from: the share of strangers' visits that may be granted. `None` where the similarity
    /// itself was set.
    pub false_match_rate: Option<f64>,
    /// For so many people enrolled.
    pub people: usize,
    /// True where the calibration was drawn on beyond what was measured.
    pub is_extrapolated: bool,
}

/// One look, as evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct LookEvidence {
    /// Number of the frame.
    pub seq: u64,
    /// When it was taken.
    pub captured_at: Moment,
    /// How alike the most alike person is to this look alone.
    pub similarity: Option<Similarity>,
    /// Whether that is the person whom the decision is about.
    pub agrees: bool,
    /// How good the picture is, 0..=1.
    pub quality: f32,
    /// What the liveness model says, 0..=1.
    pub liveness: Option<f32>,
}

/// What a decision rests on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    /// Good looks that were counted.
    pub observations: u32,
    /// Those of them that on their own resemble nobody more than the verdict's person.
    pub agreeing: u32,
    /// How alike the counted looks together are to the most alike person.
    pub similarity: Option<Similarity>,
    /// The same for the second most alike.
    pub second: Option<Similarity>,
    /// The most alike person, verified or not.
    pub best: Option<PersonId>,
    /// Mean liveness over the window of this very track; `None` when liveness is off or was never judged.
    pub liveness: Option<f32>,
    /// What was needed; `None` when nobody was compared.
    pub needed: Option<Needed>,
    /// The newest looks, oldest first.
    pub looks: Vec<LookEvidence>,
    /// What was wrong with pictures that were passed over, the most frequent first.
    pub faults: Vec<QualityFault>,
    /// What went wrong in the challenge, where one was put and failed.
    pub challenge: Option<ChallengeFault>,
}

/// One decision about one track.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Which track.
    pub track: TrackId,
    /// What it turned out to be.
    pub verdict: Verdict,
    /// What that rests on.
    pub evidence: Evidence,
    /// When the newest frame it rests on was taken.
    pub captured_at: Moment,
    /// When it was made.
    pub decided_at: Moment,
}
