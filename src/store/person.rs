//! What is kept of a person.

use std::ffi::OsStr;
use std::fmt;

use ulid::Ulid;

use crate::clock::WallTime;
use crate::domain::{Embedding, GroupId, Particulars, PersonId};

/// Names one person's file. Chosen when the person is enrolled, never changed, and made of nothing that
/// somebody typed, so that no name can reach outside the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub Ulid);

/// What person files end in, with the dot.
pub(super) const EXTENSION: &str = ".fwp";
/// What kept photos end in.
pub(super) const PHOTO_EXTENSION: &str = ".fwi";

impl RecordId {
    /// A new one: the time in milliseconds and 80 random bits.
    pub(super) fn new(now: WallTime) -> Self {
        let since_1970_ms = u64::try_from(now.0.as_millisecond()).unwrap_or(0);
        Self(Ulid::from_parts(since_1970_ms, Ulid::generate().random()))
    }

    /// Reads the 26 characters that [`fmt::Display`] writes; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Also rejects the other spellings that the alphabet allows (lower case, I for 1): one file, one name.
        Ulid::from_string(text).ok().map(Self).filter(|id| id.to_string() == text)
    }

    /// The file's name inside the folder.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{self}{EXTENSION}")
    }

    /// The name of the photo that is called so.
    #[must_use]
    pub fn photo_name(self) -> String {
        format!("{self}{PHOTO_EXTENSION}")
    }

    /// The opposite of [`RecordId::file_name`].
    #[must_use]
    pub fn from_file_name(name: &OsStr) -> Option<Self> {
        Self::parse(name.to_str()?.strip_suffix(EXTENSION)?)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What the picture of a template was like, so that it can be said what is missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Turned to the person's own left when above 0; degrees, within -90..=90.
    pub yaw_deg: f32,
    /// Turned up when above 0; degrees, within -90..=90.
    pub pitch_deg: f32,
    /// Mean luma of the aligned face, 0..=255.
    pub luma: f32,
    /// Sharpness as [`Quality`](crate::domain::Quality) has it.
    pub sharpness: f32,
    /// Width of the face's box, pixels.
    pub face_px: f32,
}

impl Look {
    pub(super) const NUMBERS: usize = 5;

    pub(super) fn numbers(self) -> [f32; Self::NUMBERS] {
        [self.yaw_deg, self.pitch_deg, self.luma, self.sharpness, self.face_px]
    }

    pub(super) fn of([yaw_deg, pitch_deg, luma, sharpness, face_px]: [f32; Self::NUMBERS]) -> Self {
        Self { yaw_deg, pitch_deg, luma, sharpness, face_px }
    }
}

/// One enrolled picture of a face.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The face as a vector.
    pub embedding: Embedding,
    /// Where it came from, for people ("passport.jpg", "camera door"); at most 1024 bytes.
    pub source: Option<String>,
    /// How good the picture was, 0 (useless) to 1 (a passport photo).
    pub quality: f32,
    /// What the picture was like; `None` where that was not measured.
    pub look: Option<Look>,
    /// The photo it was made of, where that was kept ([`Store::photo`](super::Store::photo)).
    pub photo: Option<RecordId>,
    /// Added by itself after a very sure match, and not by whoever enrolled the person.
    pub is_refreshed: bool,
    /// When it was added. Kept to the millisecond.
    pub added: WallTime,
}

impl Template {
    /// One of which nothing else is known.
    #[must_use]
    pub fn new(embedding: Embedding, quality: f32, added: WallTime) -> Self {
        Self { embedding, source: None, quality, look: None, photo: None, is_refreshed: false, added }
    }
}

/// Somebody enrolled.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// Names the file; stays when the person is renamed.
    pub id: RecordId,
    /// Who.
    pub name: PersonId,
    /// The groups that they belong to, in alphabetical order, none twice; at most [`MAX_GROUPS`](super::MAX_GROUPS).
    pub groups: Vec<GroupId>,
    /// What else is known of them, and when they may be let in.
    pub particulars: Particulars,
    /// When they were first enrolled. Kept to the millisecond.
    pub created: WallTime,
    /// When anything about them last changed. Kept to the millisecond.
    pub changed: WallTime,
    /// At least one, in the order they were added. They may come from several models; those of one model have
    /// one length.
    pub templates: Vec<Template>,
}

impl Person {
    /// The photos that are kept of them; one that templates of several models were made of is there as often.
    pub fn photos(&self) -> impl Iterator<Item = RecordId> + '_ {
        self.templates.iter().filter_map(|template| template.photo)
    }
}

/// Cuts a time to the milliseconds that a file keeps, so that what was stored equals what is loaded.
pub(super) fn to_millisecond(time: WallTime) -> WallTime {
    jiff::Timestamp::from_millisecond(time.0.as_millisecond()).map_or(time, WallTime)
}
