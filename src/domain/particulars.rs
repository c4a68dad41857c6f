//! What is kept of a person beside their face: how they are called, and when and on what grounds they may be let in.

use serde::{Deserialize, Serialize};

use crate::clock::WallTime;

/// What is known of a person beside name, groups and templates. Everything is optional; nothing of it means "always".
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Particulars {
    /// How they are called on a display, where that is not their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What another system calls them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// For those who administrate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When they may be let in.
    #[serde(skip_serializing_if = "Admission::is_always")]
    pub admission: Admission,
    /// That they agreed to being recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
}

/// When somebody may be let in: from, until, and at which hours of which days.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admission {
    /// Not before this (inclusive).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<WallTime>,
    /// Not at this or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<WallTime>,
    /// Only at these times of the week; `None`: at any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

impl Admission {
    /// Whether nothing limits it.
    #[must_use]
    pub fn is_always(&self) -> bool {
        *self == Self::default()
    }
}

/// Hours of the week in a time zone, but for holidays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The IANA name ("Europe/Berlin").
    pub time_zone: String,
    /// At least one; in the order given.
    pub hours: Vec<Hours>,
    /// Days on which none of the hours count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<jiff::civil::Date>,
}

/// Hours on some days of the week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The days: bit 0 is Monday, bit 6 Sunday; 1..=127.
    pub days: u8,
    /// From this minute of the day (inclusive), 0..=1439.
    pub from_minute: u16,
    /// Until this minute of the day (exclusive), 1..=1440. At or before `from_minute`: until then on the next day.
    pub until_minute: u16,
}

/// Who agreed to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Who gave it: the person, or who may speak for them.
    pub by: String,
    /// What for.
    pub purpose: String,
    /// When.
    pub given: WallTime,
    /// Until when it holds (exclusive); `None`: until it is withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<WallTime>,
}
