//! Times as people write them on a command line.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::WallTime;
use crate::domain::parse_date;

/// What a plain date means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    /// From its first moment on.
    Begins,
    /// Until its last moment: the first of the next day, which is not part of it any more.
    Ends,
}

/// Reads a time: RFC 3339, or a date or a date and time of day as a clock on the wall in `zone` shows it. Cut to
/// milliseconds, which is what is kept.
///
/// # Errors
/// A sentence for whoever wrote it.
pub(super) fn parse_time(text: &str, zone: &TimeZone, day: Day) -> Result<WallTime, String> {
    let wrong = || {
        format!(
            "`{text}` is no time: write a date (2026-12-31), a date and time (2026-12-31T18:00), or RFC 3339 \
             (2026-12-31T18:00:00+01:00)"
        )
    };
    let text = text.trim();
    let time = if let Ok(date) = parse_date(text) {
        let date = match day {
            Day::Begins => date,
            Day::Ends => date.tomorrow().map_err(|_| wrong())?,
        };
        // Where the clock skips midnight a day begins later.
        date.to_zoned(zone.clone()).map_err(|_| wrong())?.timestamp()
    } else if let Ok(time) = text.parse::<jiff::Timestamp>() {
        time
    } else {
        // A zone in brackets would be passed over.
        let local: DateTime = Some(text)
            .filter(|text| !text.contains('['))
            .and_then(|text| text.parse().ok())
            .ok_or_else(wrong)?;
        zone.to_ambiguous_zoned(local).unambiguous().map_err(|_| {
            format!(
                "on that day the clock shows `{text}` twice or never: write the time with its distance from UTC, such \
                 as 2026-10-25T02:30:00+01:00"
            )
        })?
        .timestamp()
    };
    let whole = jiff::Timestamp::from_millisecond(time.as_millisecond()).map_err(|_| wrong())?;
    Ok(WallTime(whole))
}

/// A time as it is shown: by the clock of `zone`, with the distance from UTC.
pub(super) fn show_time(time: WallTime, zone: &TimeZone) -> String {
    time.0.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    #[test]
    fn times_are_read_by_the_clock_of_the_zone() {
        for (text, begins, ends) in [
            ("2026-12-31", "2026-12-30T23:00:00Z", "2026-12-31T23:00:00Z"),
            ("2026-07-01", "2026-06-30T22:00:00Z", "2026-07-01T22:00:00Z"),
            ("2026-12-31T18:00", "2026-12-31T17:00:00Z", "2026-12-31T17:00:00Z"),
            ("2026-12-31 18:00:30", "2026-12-31T17:00:30Z", "2026-12-31T17:00:30Z"),
            ("2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"),
            ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z"),
            ("2026-12-31T18:00:00.1239Z", "2026-12-31T18:00:00.123Z", "2026-12-31T18:00:00.123Z"),
        ] {
            for (day, expected) in [(Day::Begins, begins), (Day::Ends, ends)] {
                let expected = WallTime(expected.parse().unwrap());
                assert_eq!(parse_time(text, &berlin(), day), Ok(expected), "{text} {day:?}");
            }
        }
        let shown = show_time(WallTime("2026-12-31T17:00:00Z".parse().unwrap()), &berlin());
        assert_eq!(shown, "2026-12-31T18:00:00+01:00");
    }

    #[test]
    fn what_is_no_time_or_two_is_refused() {
        for text in [
            "",
            "tomorrow",
            "31.12.2026",
            "2026-13-01",
            "18:00",
            "2026-12-31T18:00[Asia/Tokyo]",
            "9999-12-31",
        ] {
            let said = parse_time(text, &berlin(), Day::Ends);
            assert!(said.as_ref().is_err_and(|said| said.contains("is no time")), "{text} {said:?}");
        }
        for text in ["2026-03-29T02:30", "2026-10-25T02:30"] {
            assert!(
                parse_time(text, &berlin(), Day::Begins).unwrap_err().contains("twice or never"),
                "{text}"
            );
        }
    }
}
