//! What holds for everybody who is enrolled; and the checks of it.

use std::collections::HashSet;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Findings;
use crate::domain::{MAX_HOLIDAYS, SiteRules, time_zone_name};

/// What holds for everybody who is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct People {
    /// True: whoever has no consent recorded is recognised and rejected, as `no_consent`.
    pub require_consent: bool,
    /// Days (`2026-12-25`) on which nobody's scheduled hours begin, beside the holidays of each schedule. Whoever has no
    /// schedule is not concerned.
    #[schemars(with = "Vec<String>")]
    pub holidays: Vec<Date>,
    /// The time zone of schedules and times that are given on the command line, by its IANA name. Left out: the
    /// machine's.
    pub time_zone: Option<String>,
}

impl People {
    /// What of it decides who may be let in.
    #[must_use]
    pub fn rules(&self) -> SiteRules {
        SiteRules { requires_consent: self.require_consent, holidays: self.holidays.clone() }
    }
}

pub(super) fn people(people: &People, found: &mut Findings) {
    if people.holidays.len() > MAX_HOLIDAYS {
        found.error(
            "people.holidays",
            format!("`people.holidays` has {} days", people.holidays.len()),
            format!("at most {MAX_HOLIDAYS} are kept: leave those out that are past"),
        );
    }
    let mut days = HashSet::new();
    for (at, day) in people.holidays.iter().enumerate() {
        if !days.insert(day) {
            found.warning(
                &format!("people.holidays[{at}]"),
                format!("`people.holidays` names {day} twice"),
                "is another day meant?",
            );
        }
    }
    let Some(zone) = &people.time_zone else { return };
    match time_zone_name(zone) {
        Ok(name) if name == *zone => (),
        Ok(name) => found.error(
            "people.time_zone",
            format!("`people.time_zone` cannot be `{}`", zone.escape_debug()),
            format!("write `{name}`"),
        ),
        Err(_unknown) => found.error(
            "people.time_zone",
            format!("`people.time_zone` cannot be `{}`", zone.escape_debug()),
            "no such time zone is known here: write its IANA name, such as Europe/Berlin",
        ),
    }
}
