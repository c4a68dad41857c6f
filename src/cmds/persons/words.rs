//! What is known of somebody beside their face, for people.

use jiff::tz::TimeZone;

use super::times::show_time;
use crate::domain::{Barred, Particulars, Reason};

/// Lines for what is known, each with its label; nothing for nothing. Times are by the clock of their schedule's zone, and
/// where there is none by that of `zone`.
pub(super) fn lines(particulars: &Particulars, zone: &TimeZone) -> String {
    let Particulars { display_name, external_id, notes, admission, consent } = particulars;
    let mut text = String::new();
    let mut line = |label: &str, says: &str| text.push_str(&format!("  {label:<10}{says}\n"));
    for (label, given) in [("display", display_name), ("external", external_id)] {
        given.iter().for_each(|given| line(label, given));
    }
    let own = admission.schedule.as_ref().and_then(|schedule| TimeZone::get(&schedule.time_zone).ok());
    let time = |time| show_time(time, own.as_ref().unwrap_or(zone));
    match (admission.valid_from, admission.valid_until) {
        (Some(from), Some(until)) => line("valid", &format!("from {} until {}", time(from), time(until))),
        (Some(from), None) => line("valid", &format!("from {}", time(from))),
        (None, Some(until)) => line("valid", &format!("until {}", time(until))),
        (None, None) => (),
    }
    if let Some(schedule) = &admission.schedule {
        line("schedule", &format!("{} ({})", schedule.hours_text(), schedule.time_zone));
        let days: Vec<String> = schedule.holidays.iter().map(ToString::to_string).collect();
        if !days.is_empty() {
            line("holidays", &days.join(", "));
        }
    }
    if let Some(consent) = consent {
        let until = consent.until.map_or_else(String::new, |until| format!(", until {}", time(until)));
        line(
            "consent",
            &format!("by {} for {}, given {}{until}", consent.by, consent.purpose, time(consent.given)),
        );
    }
    for (nth, part) in notes.iter().flat_map(|notes| notes.lines()).enumerate() {
        line(if nth == 0 { "notes" } else { "" }, part);
    }
    text
}

/// Whether they may be let in, in a sentence.
pub(super) fn now(barred: Option<Barred>) -> String {
    match barred {
        None => "may be let in".to_owned(),
        Some(barred) => format!("not let in: {}", Reason::from(barred).in_words()),
    }
}

/// The same in a word, as events name it.
pub(super) fn in_short(barred: Option<Barred>) -> String {
    let name = barred.and_then(|barred| serde_json::to_value(Reason::from(barred)).ok());
    name.as_ref()
        .and_then(|name| name.as_str())
        .map_or_else(|| "yes".to_owned(), |name| format!("no: {name}"))
}
