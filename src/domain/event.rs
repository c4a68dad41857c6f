//! What other programs are told. Serialised as one JSON object a line; never holds a picture or an embedding.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::challenge::ChallengeFault;
use super::decision::Reason;
use super::erasure::ENTRY_FORGOTTEN;
use super::names::{CameraId, GroupId, PersonId, TrackId};
use super::observation::QualityFault;
use super::pause::{PauseCause, ResumeCause};
use super::pose::Prompt;
use super::score::{Similarity, Threshold};
use super::view::ViewFault;
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
        /// True where it is delivered after that moment: it tells what happened, and grants nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        expired: bool,
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
    /// Only with `decision.shadow`: what would have been `match.verified`. Grants nothing.
    #[serde(rename = "match.shadow")]
    Shadow {
        /// Who would have been verified.
        person: PersonId,
        /// The facts.
        #[serde(flatten)]
        detail: MatchDetail,
    },
    /// Somebody is to be asked to do something, at once, on a screen or by voice.
    #[serde(rename = "liveness.challenge")]
    Challenge {
        /// At which camera.
        camera: CameraId,
        /// Which track is asked.
        track: TrackId,
        /// Which prompt, from 1.
        step: u32,
        /// Of how many.
        of: u32,
        /// What to do.
        prompt: Prompt,
        /// The same in words.
        text: String,
        /// By when it must be done.
        until: WallTime,
    },
    /// Liveness failed too often: nobody is verified at this camera for a while.
    #[serde(rename = "liveness.locked_out")]
    LockedOut {
        /// At which camera.
        camera: CameraId,
        /// Until then.
        until: WallTime,
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
    /// A camera gives the same picture again and again.
    #[serde(rename = "camera.frozen")]
    CameraFrozen {
        /// Which.
        camera: CameraId,
        /// True if nobody is verified while it lasts.
        refuses: bool,
        /// What is wrong and what to do, for people.
        message: String,
    },
    /// A camera sees nothing: something is in front of it, or a light shines into it.
    #[serde(rename = "camera.obstructed")]
    CameraObstructed {
        /// Which.
        camera: CameraId,
        /// How.
        how: Obstruction,
        /// True if nobody is verified while it lasts.
        refuses: bool,
        /// What is wrong and what to do, for people.
        message: String,
    },
    /// A camera shows another place than the one it showed before.
    #[serde(rename = "camera.moved")]
    CameraMoved {
        /// Which.
        camera: CameraId,
        /// True if nobody is verified while it lasts.
        refuses: bool,
        /// What is wrong and what to do, for people.
        message: String,
    },
    /// What was wrong with a camera's view is over.
    #[serde(rename = "camera.clear")]
    CameraClear {
        /// Which.
        camera: CameraId,
        /// What is over.
        over: ViewFault,
        /// How it ended, for people.
        message: String,
    },
    /// Nobody is verified at a camera for a while, because somebody wanted it so.
    #[serde(rename = "camera.paused")]
    CameraPaused {
        /// Which.
        camera: CameraId,
        /// What for.
        why: PauseCause,
        /// Who asked for it: a user of this machine.
        by: String,
        /// When it ends by itself at the latest; absent where somebody has to resume it.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<WallTime>,
    },
    /// A camera that was paused watches again.
    #[serde(rename = "camera.resumed")]
    CameraResumed {
        /// Which.
        camera: CameraId,
        /// Why now.
        why: ResumeCause,
        /// Who asked for it, where somebody did.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// Somebody asked for a picture of what a camera sees.
    #[serde(rename = "camera.snapshot")]
    CameraSnapshot {
        /// Which.
        camera: CameraId,
        /// Who asked for it: a user of this machine.
        by: String,
    },
    /// Somebody was added to the gallery.
    #[serde(rename = "person.enrolled")]
    PersonEnrolled {
        /// Who.
        person: PersonId,
        /// Names their record whatever they are called.
        record: String,
        /// Pictures of them that are compared with.
        templates: usize,
        /// The groups that they belong to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        groups: Vec<GroupId>,
    },
    /// Something about somebody enrolled was changed.
    #[serde(rename = "person.changed")]
    PersonChanged {
        /// Who, as they are called now.
        person: PersonId,
        /// Names their record whatever they are called.
        record: String,
        /// What they were called before, if that changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        was: Option<PersonId>,
        /// Pictures of them that are compared with.
        templates: usize,
        /// The groups that they belong to now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        groups: Vec<GroupId>,
    },
    /// Somebody was removed from the gallery, or their record cannot be used any more. Says not who: a name that is to
    /// be forgotten must not be told once more.
    #[serde(rename = "person.removed")]
    PersonRemoved {
        /// Names their record whatever they were called, as when they were enrolled.
        record: String,
        /// The groups that they belonged to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        groups: Vec<GroupId>,
    },
    /// Stands in the place of an entry that named somebody who was forgotten, with its id and its time. Never told.
    #[serde(rename = "entry.forgotten")]
    EntryForgotten {
        /// Names the record that they had.
        record: String,
        /// `type` of the entry.
        was: String,
        /// Hash of the line that the entry was, 64 hexadecimal digits.
        sha256: String,
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

/// How a camera sees nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Obstruction {
    /// Something is in front of the lens, or there is no light at all.
    Covered,
    /// A light shines into the lens.
    Blinded,
}

/// The facts about one decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MatchDetail {
    /// Which camera saw it.
    pub camera: CameraId,
    /// Which track. Unique only together with the camera and the run of the daemon.
    pub track: TrackId,
    /// The groups of the person whom it is about, also where they are only resembled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupId>,
    /// How they are called on a display, where that is not their name; only where they are, or would be, verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// When the newest frame of the evidence was taken.
    pub captured_at: WallTime,
    /// When it was decided.
    pub decided_at: WallTime,
    /// How alike the looks together are to the most alike person; absent when nobody is enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<Similarity>,
    /// The same for the second most alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<Similarity>,
    /// The similarity that was needed; absent when nobody was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// Where that comes from; absent where the similarity itself was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Good looks that were counted.
    pub observations: u32,
    /// Those that on their own resemble nobody more than that person.
    pub agreeing: u32,
    /// Mean liveness of this track, 0..=1; absent when it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<f32>,
    /// What liveness counted for: `enforce`, `challenge`, `report` or `off`.
    pub liveness_mode: String,
    /// What went wrong in the challenge, where one was put and failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<ChallengeFault>,
    /// What was wrong with pictures of this face that were passed over, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<QualityFault>,
    /// The newest of the looks, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<LookDetail>,
    /// Digest of the embedding model, 64 hexadecimal digits.
    pub model: String,
}

/// What the threshold was made for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Share of strangers' visits that may end in a grant.
    pub false_match_rate: f64,
    /// For so many people enrolled.
    pub people: usize,
    /// True where the model's calibration does not reach so far, and was drawn on.
    pub extrapolated: bool,
}

/// The facts about one look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LookDetail {
    /// Number of the frame.
    pub seq: u64,
    /// How long before `captured_at` it was taken, milliseconds.
    pub before_ms: u64,
    /// How alike the most alike person is to this look alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<Similarity>,
    /// Whether that is the person whom the decision is about.
    pub agrees: bool,
    /// How good the picture is, 0..=1.
    pub quality: f32,
    /// What the liveness model says, 0..=1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<f32>,
}

impl EventKind {
    /// Every value that `type` can have, in the order of the documentation.
    pub const NAMES: [&str; 22] = [
        "match.verified",
        "match.unknown",
        "match.rejected",
        "match.shadow",
        "liveness.challenge",
        "liveness.locked_out",
        "camera.lost",
        "camera.recovered",
        "camera.frozen",
        "camera.obstructed",
        "camera.moved",
        "camera.clear",
        "camera.paused",
        "camera.resumed",
        "camera.snapshot",
        "person.enrolled",
        "person.changed",
        "person.removed",
        ENTRY_FORGOTTEN,
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
            Self::Shadow { .. } => "match.shadow",
            Self::Challenge { .. } => "liveness.challenge",
            Self::LockedOut { .. } => "liveness.locked_out",
            Self::CameraLost { .. } => "camera.lost",
            Self::CameraRecovered { .. } => "camera.recovered",
            Self::CameraFrozen { .. } => "camera.frozen",
            Self::CameraObstructed { .. } => "camera.obstructed",
            Self::CameraMoved { .. } => "camera.moved",
            Self::CameraClear { .. } => "camera.clear",
            Self::CameraPaused { .. } => "camera.paused",
            Self::CameraResumed { .. } => "camera.resumed",
            Self::CameraSnapshot { .. } => "camera.snapshot",
            Self::PersonEnrolled { .. } => "person.enrolled",
            Self::PersonChanged { .. } => "person.changed",
            Self::PersonRemoved { .. } => "person.removed",
            Self::EntryForgotten { .. } => ENTRY_FORGOTTEN,
            Self::Degraded { .. } => "service.degraded",
            Self::Started { .. } => "service.started",
            Self::Stopping { .. } => "service.stopping",
        }
    }

    /// The facts of the decision, for the kinds that are decisions.
    #[must_use]
    pub fn detail(&self) -> Option<&MatchDetail> {
        match self {
            Self::Verified { detail, .. }
            | Self::Unknown { detail, .. }
            | Self::Rejected { detail, .. }
            | Self::Shadow { detail, .. } => Some(detail),
            _ => None,
        }
    }

    /// At which camera it happened; `None` for what belongs to no camera.
    #[must_use]
    pub fn camera(&self) -> Option<&CameraId> {
        match self {
            Self::Challenge { camera, .. }
            | Self::LockedOut { camera, .. }
            | Self::CameraLost { camera, .. }
            | Self::CameraRecovered { camera }
            | Self::CameraFrozen { camera, .. }
            | Self::CameraObstructed { camera, .. }
            | Self::CameraMoved { camera, .. }
            | Self::CameraClear { camera, .. }
            | Self::CameraPaused { camera, .. }
            | Self::CameraResumed { camera, .. }
            | Self::CameraSnapshot { camera, .. } => Some(camera),
            _ => self.detail().map(|detail| &detail.camera),
        }
    }

    /// Whom it is about, also where they are only resembled; `None` for what is about nobody in particular, and for
    /// somebody who is not named any more.
    #[must_use]
    pub fn person(&self) -> Option<&PersonId> {
        match self {
            Self::Verified { person, .. }
            | Self::Shadow { person, .. }
            | Self::PersonEnrolled { person, .. }
            | Self::PersonChanged { person, .. } => Some(person),
            Self::Rejected { person, .. } => person.as_ref(),
            _ => None,
        }
    }

    /// Whether it is about somebody enrolled, named or not.
    #[must_use]
    pub fn is_about_somebody(&self) -> bool {
        self.person().is_some() || matches!(self, Self::PersonRemoved { .. })
    }

    /// Whether it is told to anybody: all but what stands in the place of an event that was forgotten.
    #[must_use]
    pub fn is_told(&self) -> bool {
        !matches!(self, Self::EntryForgotten { .. })
    }

    /// The groups of whom it is about; none for what is about nobody in particular.
    #[must_use]
    pub fn groups(&self) -> &[GroupId] {
        match self {
            Self::PersonEnrolled { groups, .. }
            | Self::PersonChanged { groups, .. }
            | Self::PersonRemoved { groups, .. } => groups,
            _ => self.detail().map_or(&[], |detail| &detail.groups),
        }
    }
}

impl EventKind {
    /// That something is wrong with a camera's view. `refuses`: nobody is verified while it lasts.
    #[must_use]
    pub fn view_fault(camera: CameraId, fault: ViewFault, refuses: bool, message: String) -> Self {
        match fault {
            ViewFault::Frozen => Self::CameraFrozen { camera, refuses, message },
            ViewFault::Covered => {
                Self::CameraObstructed { camera, how: Obstruction::Covered, refuses, message }
            }
            ViewFault::Blinded => {
                Self::CameraObstructed { camera, how: Obstruction::Blinded, refuses, message }
            }
            ViewFault::Moved => Self::CameraMoved { camera, refuses, message },
        }
    }

    /// What is wrong with a camera's view (true), or is so no more (false); `None` for what is about something else.
    #[must_use]
    pub fn view(&self) -> Option<(ViewFault, bool)> {
        match self {
            Self::CameraFrozen { .. } => Some((ViewFault::Frozen, true)),
            Self::CameraObstructed { how: Obstruction::Covered, .. } => Some((ViewFault::Covered, true)),
            Self::CameraObstructed { how: Obstruction::Blinded, .. } => Some((ViewFault::Blinded, true)),
            Self::CameraMoved { .. } => Some((ViewFault::Moved, true)),
            Self::CameraClear { over, .. } => Some((*over, false)),
            _ => None,
        }
    }
}

impl Event {
    /// The event as it is to be told at `now`: a grant whose time is over says so.
    #[must_use]
    pub fn as_of(&self, now: WallTime) -> Cow<'_, Self> {
        match &self.kind {
            EventKind::Verified { expires_at, expired: false, .. } if now >= *expires_at => {
                let mut late = self.clone();
                if let EventKind::Verified { expired, .. } = &mut late.kind {
                    *expired = true;
                }
                Cow::Owned(late)
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// The event without how alike anybody is to anybody, how live they are, and how good their pictures were: whoever can
    /// watch such numbers while they stand at the camera can work their way up to somebody's face.
    #[must_use]
    pub fn without_scores(&self) -> Cow<'_, Self> {
        let mut event = self.clone();
        match &mut event.kind {
            EventKind::Verified { detail, .. }
            | EventKind::Unknown { detail, .. }
            | EventKind::Rejected { detail, .. }
            | EventKind::Shadow { detail, .. } => {
                (detail.similarity, detail.second, detail.liveness) = (None, None, None);
                detail.looks.clear();
                Cow::Owned(event)
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// Whether it may open something, at the moment that [`Event::as_of`] was asked about.
    #[must_use]
    pub fn is_grant(&self) -> bool {
        matches!(self.kind, EventKind::Verified { expired: false, .. })
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
