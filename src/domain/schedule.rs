//! Hours of the week in a time zone: when they are, and how people write them.
//!
//! It is decided by what a clock on the wall shows there. An hour that such a clock skips in spring is never, and one that
//! it shows twice in autumn counts both times.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::WallTime;

/// The most [`Hours`] of a schedule.
pub const MAX_HOURS: usize = 64;

/// The most holidays, of a schedule and of a site.
pub const MAX_HOLIDAYS: usize = 366;

const DAY_MINUTES: u16 = 24 * 60;
const ALL_DAYS: u8 = 0b111_1111;
const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Hours of the week in a time zone, but for holidays.
///
/// As text: `Mon-Fri 07:00-19:00, Sat 09:00-12:00; Europe/Berlin; not 2026-12-25, 2026-12-26`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The IANA name ("Europe/Berlin"), in just that spelling.
    pub time_zone: String,
    /// At least one, at most [`MAX_HOURS`]; in the order given.
    pub hours: Vec<Hours>,
    /// Days on which none of the hours begin: in order, none twice, at most [`MAX_HOLIDAYS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub holidays: Vec<Date>,
}

/// Hours on some days of the week.
///
/// As text: `Mon-Fri 07:00-19:00`. Days are listed one after the other (`Mon Wed-Fri`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The days on which they begin: bit 0 is Monday, bit 6 Sunday; 1..=127.
    pub days: u8,
    /// From this minute of the day (inclusive), 0..=1439.
    pub from_minute: u16,
    /// Until this minute of the day (exclusive), 1..=1440. At or before `from_minute`: until then on the next day.
    pub until_minute: u16,
}

/// What makes a schedule, or a text of one, no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// No hours at all.
    #[error("a schedule has at least one span of hours, such as `Mon-Fri 07:00-19:00`")]
    NoHours,
    /// Too many.
    #[error("a schedule has at most {MAX_HOURS} spans of hours, this one has {0}")]
    TooManyHours(usize),
    /// No day, or an eighth.
    #[error("hours are on days of the week: {0} is no set of them (1 to 127)")]
    Days(u8),
    /// Not within a day.
    #[error(
        "hours begin at a minute from 0 to 1439 and end at one from 1 to 1440: {from} and {until} do not"
    )]
    Minutes {
        /// The first.
        from: u16,
        /// The last.
        until: u16,
    },
    /// Holidays out of order, or one twice.
    #[error("holidays are in order, and none is there twice")]
    HolidayOrder,
    /// Too many.
    #[error("at most {MAX_HOLIDAYS} holidays are kept, these are {0}")]
    TooManyHolidays(usize),
    /// No such zone.
    #[error("`{0}` is no time zone that is known here: write its IANA name, such as Europe/Berlin")]
    TimeZone(String),
    /// Text that says no hours.
    #[error("`{0}` are no hours: write days and times, such as `Mon-Fri 07:00-19:00`")]
    Hours(String),
    /// Text that is no day of the week.
    #[error("`{0}` is no day of the week: Mon, Tue, Wed, Thu, Fri, Sat, Sun, or a span such as Mon-Fri")]
    Day(String),
    /// Text that is no span of time.
    #[error("`{0}` is no span of time: write it such as 07:00-19:00, from 00:00 to 24:00")]
    Times(String),
    /// Text that is no date.
    #[error("`{0}` is no date: write it such as 2026-12-25")]
    Date(String),
    /// Text whose parts are not those of a schedule.
    #[error("a schedule is written as hours; time zone; not dates")]
    Parts,
}

/// The zone of exactly this IANA name.
fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown() && zone.iana_name() == Some(name))
}

/// The time zone of this name, in any case, in the spelling that schedules keep.
///
/// # Errors
/// If none is known.
pub fn time_zone_name(text: &str) -> Result<String, InvalidSchedule> {
    let unknown = || InvalidSchedule::TimeZone(text.to_owned());
    let zone = TimeZone::get(text.trim()).map_err(|_| unknown())?;
    zone.iana_name().filter(|_| !zone.is_unknown()).map(str::to_owned).ok_or_else(unknown)
}

impl Hours {
    fn are_on(self, day: Date) -> bool {
        let bit = u8::try_from(day.weekday().to_monday_zero_offset()).unwrap_or(7);
        self.days.checked_shr(bit.into()).is_some_and(|days| days & 1 == 1)
    }

    /// Whether they pass midnight.
    fn are_overnight(self) -> bool {
        self.until_minute <= self.from_minute
    }

    fn check(self) -> Result<(), InvalidSchedule> {
        let (from, until) = (self.from_minute, self.until_minute);
        if !(1..=ALL_DAYS).contains(&self.days) {
            return Err(InvalidSchedule::Days(self.days));
        }
        if from >= DAY_MINUTES || !(1..=DAY_MINUTES).contains(&until) {
            return Err(InvalidSchedule::Minutes { from, until });
        }
        Ok(())
    }
}

impl Schedule {
    /// Whether `now` is within the hours, which do not begin on `more_holidays` either. Hours that pass midnight belong to
    /// the day on which they begin; that day decides about holidays, too.
    ///
    /// # Errors
    /// If the time zone is not known here.
    pub fn covers(&self, now: WallTime, more_holidays: &[Date]) -> Result<bool, InvalidSchedule> {
        let unknown = || InvalidSchedule::TimeZone(self.time_zone.clone());
        let local = now.0.to_zoned(zone(&self.time_zone).ok_or_else(unknown)?).datetime();
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let counts = |day: &Date| !self.holidays.contains(day) && !more_holidays.contains(day);
        let today = Some(local.date()).filter(counts);
        let yesterday = local.date().yesterday().ok().filter(counts);
        Ok(self.hours.iter().any(|hours| {
            let began_today = today.is_some_and(|day| hours.are_on(day)) && minute >= hours.from_minute;
            let began_yesterday = yesterday.is_some_and(|day| hours.are_on(day)) && hours.are_overnight();
            let is_before_end = minute < hours.until_minute;
            (began_today && (is_before_end || hours.are_overnight())) || (began_yesterday && is_before_end)
        }))
    }

    /// Whether it is one.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), InvalidSchedule> {
        match self.hours.len() {
            0 => return Err(InvalidSchedule::NoHours),
            1..=MAX_HOURS => (),
            many => return Err(InvalidSchedule::TooManyHours(many)),
        }
        self.hours.iter().try_for_each(|hours| hours.check())?;
        if self.holidays.len() > MAX_HOLIDAYS {
            return Err(InvalidSchedule::TooManyHolidays(self.holidays.len()));
        }
        if !self.holidays.is_sorted_by(|a, b| a < b) {
            return Err(InvalidSchedule::HolidayOrder);
        }
        zone(&self.time_zone).map(drop).ok_or_else(|| InvalidSchedule::TimeZone(self.time_zone.clone()))
    }

    /// Reads hours: days and times, `Mon-Fri 07:00-12:00 13:00-19:00, Sat 09:00-12:00`. Days may be written out, and in
    /// any case; `24:00` and, at the end of a span, `00:00` are midnight.
    ///
    /// # Errors
    /// If the text says none.
    pub fn parse_hours(text: &str) -> Result<Vec<Hours>, InvalidSchedule> {
        let parts: Vec<Vec<Hours>> = text.split(',').map(hours_of).collect::<Result<_, _>>()?;
        let hours = parts.concat();
        if hours.len() > MAX_HOURS { Err(InvalidSchedule::TooManyHours(hours.len())) } else { Ok(hours) }
    }

    /// The hours alone, as [`Schedule::parse_hours`] reads them.
    #[must_use]
    pub fn hours_text(&self) -> String {
        self.hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// One part of a list of hours: days, then times.
fn hours_of(part: &str) -> Result<Vec<Hours>, InvalidSchedule> {
    let nothing = || InvalidSchedule::Hours(part.trim().to_owned());
    let (mut days, mut hours) = (0, Vec::new());
    for word in part.split_whitespace() {
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            let (from_minute, until_minute) = times(word)?;
            hours.push(Hours { days, from_minute, until_minute });
        } else if hours.is_empty() {
            days |= days_of(word)?;
        } else {
            return Err(nothing());
        }
    }
    if days == 0 || hours.is_empty() { Err(nothing()) } else { Ok(hours) }
}

/// `Mon`, or a span of days: `Mon-Fri`; one that ends before it begins goes over the week's end.
fn days_of(word: &str) -> Result<u8, InvalidSchedule> {
    let day = |name: &str| {
        let name = name.to_ascii_lowercase();
        let is_it = |at: &usize| NAMES[*at].eq_ignore_ascii_case(&name) || LONG_NAMES[*at] == name;
        (0..7).find(is_it).ok_or_else(|| InvalidSchedule::Day(word.to_owned()))
    };
    let (first, last) = match word.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(word)?, day(word)?),
    };
    let length = (last + 7 - first) % 7;
    Ok((0..=length).fold(0, |days, n| days | 1 << ((first + n) % 7)))
}

fn times(word: &str) -> Result<(u16, u16), InvalidSchedule> {
    let wrong = || InvalidSchedule::Times(word.to_owned());
    let minute = |text: &str| -> Option<u16> {
        let (hour, minute) = text.split_once(':')?;
        let number = |digits: &str, lengths: std::ops::RangeInclusive<usize>| -> Option<u16> {
            let are_digits = lengths.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            are_digits.then(|| digits.parse().ok())?
        };
        let (hour, minute) = (number(hour, 1..=2)?, number(minute, 2..=2)?);
        (minute < 60).then_some(hour * 60 + minute).filter(|minute| *minute <= DAY_MINUTES)
    };
    let (from, until) = word.split_once('-').ok_or_else(wrong)?;
    let from = minute(from).filter(|minute| *minute < DAY_MINUTES).ok_or_else(wrong)?;
    let until = minute(until).map(|minute| if minute == 0 { DAY_MINUTES } else { minute });
    Ok((from, until.ok_or_else(wrong)?))
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_on = |day: usize| self.days >> day & 1 == 1;
        let mut day = 0;
        while day < 7 {
            if !is_on(day) {
                day += 1;
                continue;
            }
            let last = (day..7).take_while(|day| is_on(*day)).last().unwrap_or(day);
            match last - day {
                0 => write!(f, "{} ", NAMES[day])?,
                _ => write!(f, "{}-{} ", NAMES[day], NAMES[last])?,
            }
            day = last + 1;
        }
        let (from, until) = (self.from_minute, self.until_minute);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.hours_text(), self.time_zone)?;
        for (at, day) in self.holidays.iter().enumerate() {
            write!(f, "{}{day}", if at == 0 { "; not " } else { ", " })?;
        }
        Ok(())
    }
}

/// Reads a date.
///
/// # Errors
/// If the text is none.
pub fn parse_date(text: &str) -> Result<Date, InvalidSchedule> {
    let wrong = || InvalidSchedule::Date(text.trim().to_owned());
    // The library would take the date of a whole time, too.
    if text.trim().len() > 10 { Err(wrong()) } else { text.trim().parse().map_err(|_| wrong()) }
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    /// Reads what [`fmt::Display`] writes; holidays may be in any order.
    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let parts: Vec<&str> = text.split(';').map(str::trim).collect();
        let (hours, time_zone, holidays) = match parts[..] {
            [hours, zone] => (hours, zone, None),
            [hours, zone, holidays] => {
                (hours, zone, Some(holidays.strip_prefix("not ").ok_or(InvalidSchedule::Parts)?))
            }
            _ => return Err(InvalidSchedule::Parts),
        };
        let days = holidays.into_iter().flat_map(|days| days.split(','));
        let mut holidays: Vec<Date> = days.map(parse_date).collect::<Result<_, _>>()?;
        holidays.sort_unstable();
        holidays.dedup();
        let schedule =
            Self { time_zone: time_zone_name(time_zone)?, hours: Self::parse_hours(hours)?, holidays };
        schedule.check().map(|()| schedule)
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
