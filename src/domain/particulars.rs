//! What is kept of a person beside their face: how they are called, and when and on what grounds they may be let in.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::{InvalidSchedule, Schedule};
use crate::clock::WallTime;

/// The longest display name and external id, bytes.
pub const MAX_CALLED_BYTES: usize = 128;

/// The longest notes, bytes.
pub const MAX_NOTES_BYTES: usize = 4096;

/// The longest texts of a [`Consent`], bytes.
pub const MAX_CONSENT_BYTES: usize = 256;

/// What is known of a person beside name, groups and templates. Everything is optional; nothing of it means "always".
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Particulars {
    /// How they are called on a display, where that is not their name. At most [`MAX_CALLED_BYTES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What another system calls them. At most [`MAX_CALLED_BYTES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// For those who administrate. At most [`MAX_NOTES_BYTES`].
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
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

/// Who agreed to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Who gave it: the person, or who may speak for them. At most [`MAX_CONSENT_BYTES`].
    pub by: String,
    /// What for. At most [`MAX_CONSENT_BYTES`].
    pub purpose: String,
    /// When.
    pub given: WallTime,
    /// Until when it holds (exclusive); `None`: until it is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<WallTime>,
}

/// What holds for everybody at a site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SiteRules {
    /// Whoever has not agreed is not let in.
    pub requires_consent: bool,
    /// Days on which the hours of no schedule begin.
    pub holidays: Vec<Date>,
}

/// Why somebody who is enrolled may not be let in at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Barred {
    /// Before `valid_from`.
    NotYetValid,
    /// At `valid_until` or later.
    Expired,
    /// Outside the hours of their schedule.
    OffSchedule,
    /// The zone of their schedule is not known here, so nobody can tell.
    TimeZoneUnknown,
    /// What they agreed to is over.
    ConsentEnded,
    /// They have not agreed (yet), and the site asks for that.
    NoConsent,
}

impl Barred {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NotYetValid,
        Self::Expired,
        Self::OffSchedule,
        Self::TimeZoneUnknown,
        Self::ConsentEnded,
        Self::NoConsent,
    ];
}

/// What is wrong with particulars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidParticulars {
    /// Nothing but white space, or white space around it.
    #[error("the {0} cannot be empty, nor begin or end with white space")]
    Blank(&'static str),
    /// Too long.
    #[error("the {what} has at most {most} bytes, this one has {bytes}")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// The most.
        most: usize,
        /// Its length.
        bytes: usize,
    },
    /// It would break logs and line-based output.
    #[error("the {0} cannot contain control characters (escape, tab...)")]
    ControlCharacter(&'static str),
    /// It is over before it begins.
    #[error("{from} must be before {until}")]
    Order {
        /// The earlier.
        from: &'static str,
        /// The later.
        until: &'static str,
    },
    /// The schedule is none.
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
}

impl Particulars {
    /// Whether they can be kept.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), InvalidParticulars> {
        let is_control = |c: char| c.is_control();
        // Notes may have several lines.
        let breaks_notes = |c: char| c.is_control() && c != '\n';
        text("display name", self.display_name.as_deref(), MAX_CALLED_BYTES, is_control)?;
        text("external id", self.external_id.as_deref(), MAX_CALLED_BYTES, is_control)?;
        text("notes", self.notes.as_deref(), MAX_NOTES_BYTES, breaks_notes)?;
        let Admission { valid_from, valid_until, schedule } = &self.admission;
        ordered(("valid-from", *valid_from), ("valid-until", *valid_until))?;
        schedule.as_ref().map_or(Ok(()), Schedule::check)?;
        let Some(consent) = &self.consent else { return Ok(()) };
        text("name of whoever consented", Some(&consent.by), MAX_CONSENT_BYTES, is_control)?;
        text("purpose of the consent", Some(&consent.purpose), MAX_CONSENT_BYTES, is_control)?;
        ordered(("the time the consent was given", Some(consent.given)), ("its end", consent.until))
    }

    /// Why they may not be let in at `now`; `None` if they may. Of several reasons the first in this order: not valid yet,
    /// expired, consent, schedule.
    #[must_use]
    pub fn barred_at(&self, now: WallTime, site: &SiteRules) -> Option<Barred> {
        let Admission { valid_from, valid_until, schedule } = &self.admission;
        if valid_from.is_some_and(|from| now < from) {
            return Some(Barred::NotYetValid);
        }
        if valid_until.is_some_and(|until| now >= until) {
            return Some(Barred::Expired);
        }
        match &self.consent {
            Some(consent) if consent.until.is_some_and(|until| now >= until) => {
                return Some(Barred::ConsentEnded);
            }
            Some(consent) if now < consent.given && site.requires_consent => return Some(Barred::NoConsent),
            None if site.requires_consent => return Some(Barred::NoConsent),
            _ => (),
        }
        match schedule.as_ref()?.covers(now, &site.holidays) {
            Ok(true) => None,
            Ok(false) => Some(Barred::OffSchedule),
            Err(_unknown) => Some(Barred::TimeZoneUnknown),
        }
    }

    /// The same with all times cut to the milliseconds that a file keeps.
    #[must_use]
    pub fn to_milliseconds(mut self) -> Self {
        let cut = |time: &mut WallTime| {
            if let Ok(whole) = jiff::Timestamp::from_millisecond(time.0.as_millisecond()) {
                time.0 = whole;
            }
        };
        let Admission { valid_from, valid_until, .. } = &mut self.admission;
        valid_from.iter_mut().chain(valid_until).for_each(cut);
        if let Some(Consent { given, until, .. }) = &mut self.consent {
            std::iter::once(given).chain(until).for_each(cut);
        }
        self
    }
}

fn text(
    what: &'static str,
    text: Option<&str>,
    most: usize,
    is_wrong: impl Fn(char) -> bool,
) -> Result<(), InvalidParticulars> {
    let Some(text) = text else { return Ok(()) };
    if text.trim().is_empty() || text.trim() != text {
        return Err(InvalidParticulars::Blank(what));
    }
    if text.len() > most {
        return Err(InvalidParticulars::TooLong { what, most, bytes: text.len() });
    }
    if text.chars().any(is_wrong) { Err(InvalidParticulars::ControlCharacter(what)) } else { Ok(()) }
}

fn ordered(
    (from, start): (&'static str, Option<WallTime>),
    (until, end): (&'static str, Option<WallTime>),
) -> Result<(), InvalidParticulars> {
    match start.zip(end) {
        Some((start, end)) if start >= end => Err(InvalidParticulars::Order { from, until }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "particulars_tests.rs"]
mod tests;
