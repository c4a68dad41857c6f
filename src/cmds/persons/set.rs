//! `persons set`: what is known of somebody beside their face.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::exit::{Exit, Failure};
use super::super::gallery::store_failure;
use super::times::{Day, parse_time};
use crate::clock::WallTime;
use crate::config::People;
use crate::domain::{Consent, Particulars, PersonId, Schedule, parse_date, time_zone_name};
use crate::store::{Person, Store};

/// What to change; what is not named stays as it is. Times without a zone are of `time_zone`.
#[derive(Debug, Clone, PartialEq, Default, clap::Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::cmds) struct Change {
    /// How they are called on a display, where that is not their name
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// What another system calls them
    #[arg(long, value_name = "TEXT")]
    external_id: Option<String>,
    /// For those who administrate
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Not let in before: RFC 3339, or a date or a date and time by the clock of the time zone
    #[arg(long, value_name = "TIME")]
    valid_from: Option<String>,
    /// Not let in from then on; with a date: after that day
    #[arg(long, value_name = "TIME")]
    valid_until: Option<String>,
    /// Let in at these hours only: "Mon-Fri 07:00-19:00, Sat 09:00-12:00"; hours may pass midnight
    #[arg(long, value_name = "HOURS")]
    schedule: Option<String>,
    /// The time zone of a --schedule and of times without one [default: `people.time_zone` of the configuration, or the machine's]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A day on which none of the hours of the schedule begin; can be given several times
    #[arg(long, value_name = "DATE", value_parser = |text: &str| parse_date(text))]
    #[schemars(with = "Vec<String>")]
    holiday: Vec<Date>,
    /// Who agreed to their being recognised: they themselves, or who may speak for them
    #[arg(long, value_name = "TEXT", requires = "consent_for")]
    consent_by: Option<String>,
    /// To what: "door access"
    #[arg(long, value_name = "TEXT", requires = "consent_by")]
    consent_for: Option<String>,
    /// When they agreed [default: now]
    #[arg(long, value_name = "TIME")]
    consent_given: Option<String>,
    /// When that ends; with a date: after that day
    #[arg(long, value_name = "TIME")]
    consent_until: Option<String>,
    /// Forget this, before anything else is set; can be given several times
    #[arg(long, value_name = "FIELD")]
    clear: Vec<Field>,
}

/// What can be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Field {
    DisplayName,
    ExternalId,
    Notes,
    ValidFrom,
    ValidUntil,
    /// With its holidays.
    Schedule,
    Holidays,
    Consent,
}

fn misused(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, message.to_string())
}

/// The zone of a name, and the name in the spelling that is kept.
fn zone(name: &str) -> Result<(TimeZone, String), Failure> {
    let name = time_zone_name(name).map_err(misused)?;
    let zone = TimeZone::get(&name).map_err(misused)?;
    Ok((zone, name))
}

/// The zone that times are written and shown in: the one asked for, that of the settings, or the machine's.
pub(super) fn local_zone(asked: Option<&str>, settings: &People) -> Result<TimeZone, Failure> {
    match asked.or(settings.time_zone.as_deref()) {
        Some(name) => Ok(zone(name)?.0),
        None => Ok(TimeZone::system()),
    }
}

impl Change {
    /// What the particulars come to with the change.
    ///
    /// # Errors
    /// [`Exit::Usage`] for what cannot be.
    pub(in crate::cmds) fn apply(
        &self,
        before: &Particulars,
        settings: &People,
        now: WallTime,
    ) -> Result<Particulars, Failure> {
        if self.consent_by.is_some() != self.consent_for.is_some() {
            return Err(misused("a consent has both: who gave it, and what for"));
        }
        let local = local_zone(self.time_zone.as_deref(), settings)?;
        let time = |text: &String, day| parse_time(text, &local, day).map_err(misused);
        let begin = |text: &Option<String>| text.as_ref().map(|text| time(text, Day::Begins)).transpose();
        let end = |text: &Option<String>| text.as_ref().map(|text| time(text, Day::Ends)).transpose();
        let mut person = before.clone();
        self.clear.iter().for_each(|field| forget(&mut person, *field));
        for (given, kept) in [
            (&self.display_name, &mut person.display_name),
            (&self.external_id, &mut person.external_id),
            (&self.notes, &mut person.notes),
        ] {
            if given.is_some() {
                *kept = given.as_ref().map(|text| text.trim().to_owned());
            }
        }
        let admission = &mut person.admission;
        admission.valid_from = begin(&self.valid_from)?.or(admission.valid_from);
        admission.valid_until = end(&self.valid_until)?.or(admission.valid_until);
        admission.schedule = self.schedule(admission.schedule.take(), settings)?;
        person.consent = match (&self.consent_by, &self.consent_for, person.consent.take()) {
            (Some(by), Some(purpose), _) => {
                let (by, purpose) = (by.trim().to_owned(), purpose.trim().to_owned());
                let given = begin(&self.consent_given)?.unwrap_or(now);
                Some(Consent { by, purpose, given, until: end(&self.consent_until)? })
            }
            (_, _, Some(kept)) => Some(Consent {
                given: begin(&self.consent_given)?.unwrap_or(kept.given),
                until: end(&self.consent_until)?.or(kept.until),
                ..kept
            }),
            (_, _, None) if self.consent_given.is_some() || self.consent_until.is_some() => {
                return Err(misused("no consent is recorded: say --consent-by WHO --consent-for WHAT"));
            }
            (_, _, None) => None,
        };
        let person = person.to_milliseconds();
        person.check().map_err(misused)?;
        Ok(person)
    }

    /// Makes the change to somebody, from what is known of them by then: somebody else may have changed something
    /// meanwhile. With an error nothing was changed.
    ///
    /// # Errors
    /// As [`Change::apply`], or if the gallery cannot be changed.
    pub(in crate::cmds) fn write(
        &self,
        (store, name): (&Store, &PersonId),
        settings: &People,
        now: WallTime,
    ) -> Result<Person, Failure> {
        let mut applied = Ok(());
        let describe = |particulars: &mut Particulars| match self.apply(particulars, settings, now) {
            Ok(after) => *particulars = after,
            Err(failure) => applied = Err(failure),
        };
        let person = store.describe(name, describe, now).map_err(store_failure)?;
        applied.map(|()| person)
    }

    fn schedule(&self, before: Option<Schedule>, settings: &People) -> Result<Option<Schedule>, Failure> {
        let mut schedule = match (&self.schedule, before) {
            (Some(hours), before) => {
                let hours = Schedule::parse_hours(hours).map_err(misused)?;
                let kept = before.as_ref().map(|before| before.time_zone.as_str());
                let asked = self.time_zone.as_deref().or(kept).or(settings.time_zone.as_deref());
                let time_zone = match asked {
                    Some(name) => zone(name)?.1,
                    None => TimeZone::system().iana_name().map(str::to_owned).ok_or_else(|| {
                        misused("the machine's time zone has no name here: say --time-zone, such as Europe/Berlin")
                    })?,
                };
                Schedule {
                    time_zone,
                    hours,
                    holidays: before.map(|before| before.holidays).unwrap_or_default(),
                }
            }
            (None, Some(before)) => before,
            (None, None) if self.holiday.is_empty() => return Ok(None),
            (None, None) => {
                return Err(misused(
                    "holidays belong to a schedule, and there is none: say --schedule HOURS",
                ));
            }
        };
        schedule.holidays.extend(&self.holiday);
        schedule.holidays.sort_unstable();
        schedule.holidays.dedup();
        Ok(Some(schedule))
    }
}

fn forget(person: &mut Particulars, field: Field) {
    match field {
        Field::DisplayName => person.display_name = None,
        Field::ExternalId => person.external_id = None,
        Field::Notes => person.notes = None,
        Field::ValidFrom => person.admission.valid_from = None,
        Field::ValidUntil => person.admission.valid_until = None,
        Field::Schedule => person.admission.schedule = None,
        Field::Holidays => {
            if let Some(schedule) = &mut person.admission.schedule {
                schedule.holidays.clear();
            }
        }
        Field::Consent => person.consent = None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        change: Change,
    }

    fn now() -> WallTime {
        WallTime("2026-11-26T10:00:00.5Z".parse().unwrap())
    }

    fn at(text: &str) -> Option<WallTime> {
        Some(WallTime(text.parse().unwrap()))
    }

    fn berlin() -> People {
        People { time_zone: Some("Europe/Berlin".into()), ..People::default() }
    }

    fn set(before: &Particulars, args: &[&str]) -> Result<Particulars, String> {
        let line = Line::try_parse_from([&["set"], args].concat()).map_err(|error| error.to_string())?;
        line.change.apply(before, &berlin(), now()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn fields_are_set_kept_and_cleared() {
        let first = set(
            &Particulars::default(),
            &[
                "--display-name",
                " Dr. Ann ",
                "--external-id",
                "4711",
                "--notes",
                "two\nlines",
                "--valid-from",
                "2026-12-01",
                "--valid-until",
                "2026-12-31",
                "--schedule",
                "Mon-Fri 07:00-19:00",
                "--holiday",
                "2026-12-26",
                "--holiday",
                "2026-12-25",
                "--consent-by",
                "Ann",
                "--consent-for",
                "door access",
            ],
        )
        .unwrap();
        assert_eq!(first.display_name.as_deref(), Some("Dr. Ann"));
        assert_eq!(first.admission.valid_from, at("2026-11-30T23:00:00Z"));
        assert_eq!(first.admission.valid_until, at("2026-12-31T23:00:00Z"), "the end of that day");
        let schedule = "Mon-Fri 07:00-19:00; Europe/Berlin; not 2026-12-25, 2026-12-26";
        assert_eq!(first.admission.schedule.as_ref().unwrap().to_string(), schedule);
        let consent = first.consent.clone().unwrap();
        assert_eq!((consent.by.as_str(), consent.given, consent.until), ("Ann", now(), None));

        let hours = set(&first, &["--schedule", "Sat 09:00-12:00", "--consent-until", "2027-01-01"]).unwrap();
        let schedule = "Sat 09:00-12:00; Europe/Berlin; not 2026-12-25, 2026-12-26";
        assert_eq!(hours.admission.schedule.as_ref().unwrap().to_string(), schedule);
        assert_eq!(hours.consent.as_ref().unwrap().until, at("2027-01-01T23:00:00Z"));
        assert_eq!(hours.consent.as_ref().unwrap().given, now());
        let zone =
            set(&hours, &["--schedule", "Sat 09:00-12:00", "--time-zone", "utc", "--clear", "holidays"]);
        assert_eq!(zone.unwrap().admission.schedule.unwrap().to_string(), "Sat 09:00-12:00; UTC");

        let fields =
            ["display-name", "external-id", "notes", "valid-from", "valid-until", "schedule", "consent"];
        let all: Vec<&str> = fields.iter().flat_map(|field| ["--clear", field]).collect();
        assert_eq!(set(&hours, &all), Ok(Particulars::default()));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let nothing = Particulars::default();
        for (args, says) in [
            (&["--holiday", "2026-12-25"][..], "say --schedule"),
            (&["--holiday", "25.12."], "is no date"),
            (&["--consent-until", "2027-01-01"], "say --consent-by"),
            (&["--consent-by", "Ann"], "--consent-for"),
            (&["--valid-until", "soon"], "is no time"),
            (&["--valid-from", "2026-12-31", "--valid-until", "2026-12-30"], "must be before"),
            (&["--schedule", "always"], "is no day of the week"),
            (&["--schedule", "Mon 07:00-08:00", "--time-zone", "Berlin"], "is no time zone"),
            (&["--display-name", ""], "cannot be empty"),
            (&["--clear", "name"], "invalid value"),
        ] {
            let said = set(&nothing, args).unwrap_err();
            assert!(said.contains(says), "{args:?}: {said}");
        }
        // Of one day: valid from its first to its last moment.
        assert!(set(&nothing, &["--valid-from", "2026-12-31", "--valid-until", "2026-12-31"]).is_ok());
    }
}
