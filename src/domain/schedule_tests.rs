use std::time::Duration;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> WallTime {
    WallTime(text.parse().unwrap())
}

fn berlin(hours: &str) -> Schedule {
    format!("{hours}; Europe/Berlin").parse().unwrap()
}

fn covers(schedule: &Schedule, time: &str) -> bool {
    schedule.covers(at(time), &[]).unwrap()
}

/// How many quarters of an hour from `from` up to `until` are covered.
fn quarters(schedule: &Schedule, from: &str, until: &str) -> usize {
    let (mut now, until, mut found) = (at(from), at(until), 0);
    while now < until {
        found += usize::from(schedule.covers(now, &[]).unwrap());
        now = now + Duration::from_secs(900);
    }
    found
}

#[test]
fn hours_are_by_the_clock_on_the_wall_there() {
    let office = berlin("Mon-Fri 07:00-19:00, Sat 09:00-12:00");
    // In winter an hour ahead of UTC, in summer two.
    for (time, is_open) in [
        ("2026-11-26T05:59:59Z", false),
        ("2026-11-26T06:00:00Z", true),
        ("2026-11-26T17:59:59Z", true),
        ("2026-11-26T18:00:00Z", false),
        ("2026-07-01T05:00:00Z", true),
        ("2026-07-01T17:00:00Z", false),
        ("2026-11-28T08:00:00Z", true),
        ("2026-11-28T11:00:00Z", false),
        ("2026-11-29T10:00:00Z", false),
    ] {
        assert_eq!(covers(&office, time), is_open, "{time}");
    }
}

#[test]
fn hours_past_midnight_belong_to_the_day_they_begin_on() {
    let night = berlin("Fri 22:00-06:00");
    assert!(!covers(&night, "2026-11-27T20:59:00Z"));
    assert!(covers(&night, "2026-11-27T21:00:00Z"), "Friday, 22:00");
    assert!(covers(&night, "2026-11-28T04:59:00Z"), "Saturday, 05:59");
    assert!(!covers(&night, "2026-11-28T05:00:00Z"));
    assert!(!covers(&night, "2026-11-27T04:00:00Z"), "Friday morning belongs to Thursday");
    let all_around = berlin("Sun 07:00-07:00");
    assert!(!covers(&all_around, "2026-11-29T05:59:00Z"));
    assert!(covers(&all_around, "2026-11-29T06:00:00Z") && covers(&all_around, "2026-11-30T05:59:00Z"));
    assert!(!covers(&all_around, "2026-11-30T06:00:00Z"));
    let until_midnight = berlin("Fri 22:00-24:00");
    assert!(
        covers(&until_midnight, "2026-11-27T22:59:59Z") && !covers(&until_midnight, "2026-11-27T23:00:00Z")
    );
}

#[test]
fn on_a_holiday_no_hours_begin() {
    let mut night = berlin("Mon-Sun 22:00-06:00");
    night.holidays = vec![date(2026, 12, 25)];
    assert!(covers(&night, "2026-12-25T04:00:00Z"), "began on the 24th");
    assert!(!covers(&night, "2026-12-25T22:00:00Z"), "the holiday's own evening");
    assert!(!covers(&night, "2026-12-26T04:00:00Z"), "would have begun on the holiday");
    assert!(covers(&night, "2026-12-26T22:00:00Z"));
    let site = [date(2026, 12, 26)];
    assert!(!night.covers(at("2026-12-26T22:00:00Z"), &site).unwrap());
    // It begins at midnight there, not in Greenwich.
    let mut day = berlin("Mon-Sun 00:00-24:00");
    day.holidays = vec![date(2026, 12, 25)];
    assert!(covers(&day, "2026-12-24T22:59:59Z") && !covers(&day, "2026-12-24T23:00:00Z"));
    assert!(!covers(&day, "2026-12-25T22:59:59Z") && covers(&day, "2026-12-25T23:00:00Z"));
}

#[test]
fn an_hour_that_is_skipped_is_never_and_one_shown_twice_counts_twice() {
    // 2026-03-29: 01:59:59 is followed by 03:00:00. 2026-10-25: 02:00 to 03:00 comes twice.
    let early = berlin("Sun 02:15-03:15");
    let sunday = |day: &str| (format!("{day}T00:00:00Z"), format!("{day}T12:00:00Z"));
    let (from, until) = sunday("2026-03-29");
    assert_eq!(quarters(&early, &from, &until), 1, "03:00 to 03:15 is left");
    assert!(covers(&early, "2026-03-29T01:00:00Z") && !covers(&early, "2026-03-29T00:59:59Z"));
    let (from, until) = sunday("2026-10-25");
    assert_eq!(quarters(&early, &from, &until), 3 + 3 + 1);
    let gone = berlin("Sun 02:00-03:00");
    let (from, until) = sunday("2026-03-29");
    assert_eq!(quarters(&gone, &from, &until), 0);
    // A night's shift is an hour shorter, and an hour longer.
    let night = berlin("Sat 22:00-06:00");
    assert_eq!(quarters(&night, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), 7 * 4);
    assert_eq!(quarters(&night, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), 9 * 4);
}

#[test]
fn a_year_has_as_many_hours_as_its_calendar_says() {
    let (from, until) = ("2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z");
    let mut office = berlin("Mon-Fri 07:00-12:00 13:00-19:00, Sat 09:00-12:00");
    // 261 weekdays and 52 Saturdays.
    assert_eq!(quarters(&office, from, until), 261 * 11 * 4 + 52 * 3 * 4);
    // A Thursday, a Friday, a Saturday, and a Sunday on which nothing is missed.
    office.holidays = [(1, 1), (12, 25), (12, 26), (12, 27)].map(|(m, d)| date(2026, m, d)).to_vec();
    assert_eq!(quarters(&office, from, until), 259 * 11 * 4 + 51 * 3 * 4);
    let always = berlin("Mon-Sun 00:00-24:00");
    assert_eq!(quarters(&always, from, until), 365 * 24 * 4);
    // One night is an hour short, another an hour long; the last Thursday's goes on into the next year.
    let nights = berlin("Mon-Sun 22:00-06:00");
    assert_eq!(quarters(&nights, from, until), 365 * 8 * 4);
}

#[test]
fn an_unknown_zone_is_no_zone() {
    for name in ["", "Nowhere/Land", "europe/berlin", "Etc/Unknown", "+01:00"] {
        let schedule = Schedule { time_zone: name.to_owned(), ..berlin("Mon 07:00-08:00") };
        let unknown = InvalidSchedule::TimeZone(name.to_owned());
        assert_eq!(schedule.covers(at("2026-11-26T10:00:00Z"), &[]), Err(unknown.clone()), "{name}");
        assert_eq!(schedule.check(), Err(unknown), "{name}");
    }
    assert_eq!(time_zone_name(" europe/BERLIN ").as_deref(), Ok("Europe/Berlin"));
    assert_eq!(time_zone_name("utc").as_deref(), Ok("UTC"));
    assert!(time_zone_name("Etc/Unknown").is_err() && time_zone_name("Berlin").is_err());
}

#[test]
fn what_is_no_schedule_is_said() {
    let good = berlin("Mon-Fri 07:00-19:00");
    assert_eq!(good.check(), Ok(()));
    let with = |change: &dyn Fn(&mut Schedule)| {
        let mut schedule = good.clone();
        change(&mut schedule);
        schedule.check()
    };
    let hours = good.hours[0];
    assert_eq!(with(&|s| s.hours.clear()), Err(InvalidSchedule::NoHours));
    assert_eq!(with(&|s| s.hours = vec![hours; 64]), Ok(()));
    assert_eq!(with(&|s| s.hours = vec![hours; 65]), Err(InvalidSchedule::TooManyHours(65)));
    assert_eq!(with(&|s| s.hours[0].days = 0), Err(InvalidSchedule::Days(0)));
    assert_eq!(with(&|s| s.hours[0].days = 128), Err(InvalidSchedule::Days(128)));
    for (from, until) in [(1440, 1440), (0, 0), (0, 1441)] {
        let wrong = with(&|s| (s.hours[0].from_minute, s.hours[0].until_minute) = (from, until));
        assert_eq!(wrong, Err(InvalidSchedule::Minutes { from, until }));
    }
    let (a, b) = (date(2026, 1, 1), date(2026, 1, 2));
    assert_eq!(with(&|s| s.holidays = vec![a, b]), Ok(()));
    assert_eq!(with(&|s| s.holidays = vec![b, a]), Err(InvalidSchedule::HolidayOrder));
    assert_eq!(with(&|s| s.holidays = vec![a, a]), Err(InvalidSchedule::HolidayOrder));
    let year = |days: i64| (0..days).map(|n| a.checked_add(jiff::Span::new().days(n)).unwrap()).collect();
    assert_eq!(with(&|s| s.holidays = year(366)), Ok(()));
    assert_eq!(with(&|s| s.holidays = year(367)), Err(InvalidSchedule::TooManyHolidays(367)));
    // Even unchecked, none of it lets anybody in by accident.
    let none = Schedule { hours: vec![], ..good };
    assert!(!covers(&none, "2026-11-26T10:00:00Z"));
}

#[test]
fn people_may_write_it_in_several_ways() {
    let text = |text: &str| {
        let hours = Schedule::parse_hours(text)?;
        Ok::<_, InvalidSchedule>(hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    for (written, read) in [
        ("monday-FRIDAY 7:00-19:00", "Mon-Fri 07:00-19:00"),
        ("Mon Wed Fri 07:00-12:00 13:00-24:00", "Mon Wed Fri 07:00-12:00, Mon Wed Fri 13:00-24:00"),
        ("Sat-Mon 22:00-00:00", "Mon Sat-Sun 22:00-24:00"),
        ("Mon-Sun 00:00-24:00,Sun 22:00-06:00", "Mon-Sun 00:00-24:00, Sun 22:00-06:00"),
    ] {
        assert_eq!(text(written).as_deref(), Ok(read));
    }
    for wrong in [
        "",
        "Mon",
        "07:00-19:00",
        "Mon 07:00-19:00,",
        "Mon 07:00",
        "Mon 7-19",
        "Mon 24:00-25:00",
        "Mon 07:60-08:00",
        "Mon 24:00-06:00",
        "Moon 07:00-19:00",
        "Mon-Fri-Sun 07:00-19:00",
        "Mon 07:00-19:00 Tue",
        "Mon 007:00-19:00",
        "Mon 07:00 - 19:00",
        "Mon 07:0-19:00",
        "Mon 07:00-+9:00",
    ] {
        assert!(text(wrong).is_err(), "{wrong}");
    }
    let whole =
        "Mon 07:00-08:00; europe/berlin; not 2026-12-26, 2026-12-25,2026-12-26".parse::<Schedule>().unwrap();
    assert_eq!(whole.to_string(), "Mon 07:00-08:00; Europe/Berlin; not 2026-12-25, 2026-12-26");
    for wrong in [
        "Mon 07:00-08:00",
        "Mon 07:00-08:00; UTC; 2026-12-25",
        "Mon 07:00-08:00; UTC; not 2026-12-25T10:00",
        "Mon 07:00-08:00; UTC; not ",
        "Mon 07:00-08:00; UTC; not 2026-12-25; x",
        "Mon 07:00-08:00; UTC; not 2026-02-30",
    ] {
        assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
    }
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let hours = (1_u8..=127, 0_u16..1440, 1_u16..=1440).prop_map(|(days, from_minute, until_minute)| Hours {
        days,
        from_minute,
        until_minute,
    });
    let day = (2020_i16..2100, 1_i8..=12, 1_i8..=28).prop_map(|(year, month, day)| date(year, month, day));
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];
    let parts = (
        prop::collection::vec(hours, 1..8),
        prop::sample::select(zones.to_vec()),
        prop::collection::btree_set(day, 0..5),
    );
    parts.prop_map(|(hours, zone, holidays)| Schedule {
        time_zone: zone.to_owned(),
        hours,
        holidays: holidays.into_iter().collect(),
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(schedule in any_schedule()) {
        prop_assert_eq!(schedule.check(), Ok(()));
        prop_assert_eq!(schedule.to_string().parse::<Schedule>(), Ok(schedule.clone()));
        prop_assert_eq!(Schedule::parse_hours(&schedule.hours_text()), Ok(schedule.hours.clone()));
        let json = serde_json::to_string(&schedule).unwrap();
        prop_assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
    }

    #[test]
    fn it_is_within_hours_where_the_calendar_says_so(
        schedule in any_schedule(), second in 1_577_836_800_i64..4_102_444_800,
    ) {
        let now = jiff::Timestamp::from_second(second).unwrap();
        let local = now.to_zoned(TimeZone::get(&schedule.time_zone).unwrap()).datetime();
        // Every span that begins within the two days around it, on a calendar without a clock.
        let spans = [local.date().yesterday().unwrap(), local.date()].into_iter().flat_map(|day| {
            let is_workday = !schedule.holidays.contains(&day);
            let midnight = day.at(0, 0, 0, 0);
            schedule.hours.iter().filter_map(move |hours| {
                let bit = 1_u8 << day.weekday().to_monday_zero_offset();
                let minutes = |m: u16| jiff::Span::new().minutes(i64::from(m));
                let next_day = if hours.until_minute > hours.from_minute { 0 } else { 1440 };
                let begin = midnight + minutes(hours.from_minute);
                let end = midnight + minutes(hours.until_minute + next_day);
                (is_workday && hours.days & bit != 0).then_some(begin..end)
            })
        });
        let expected = spans.into_iter().any(|span| span.contains(&local));
        prop_assert_eq!(schedule.covers(WallTime(now), &[]), Ok(expected));
    }

    #[test]
    fn no_text_is_read_by_accident(text in "[A-Za-z0-9:,; -]{0,40}") {
        if let Ok(schedule) = text.parse::<Schedule>() {
            prop_assert_eq!(schedule.check(), Ok(()));
        }
    }
}
