//! Finding one event in a log.

use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::str::FromStr;

use crate::domain::{Event, SCHEMA};

/// No line of an event log is longer.
const MAX_LINE_BYTES: u64 = 1_000_000;

/// So many ids are shown where several fit.
const MAX_SHOWN: usize = 5;

/// Which event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The newest decision.
    Last,
    /// The one whose id begins like this; in capitals, as ids are written.
    Id(String),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("last") {
            return Ok(Self::Last);
        }
        if text.is_empty() || text.len() > ulid::ULID_LEN || !text.chars().all(|c| c.is_ascii_alphanumeric())
        {
            return Err(
                "an id has up to 26 digits and letters, as `id` in the event; or write `last`".to_owned()
            );
        }
        Ok(Self::Id(text.to_ascii_uppercase()))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("decision"),
            Self::Id(id) => write!(f, "event {id}"),
        }
    }
}

/// An event, and the line that it stands on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) event: Event,
    pub(super) line: String,
}

/// What a log holds.
#[derive(Debug, PartialEq)]
pub(super) struct Search {
    /// The event; `None` if there is none. An error are the ids of several that fit.
    pub(super) found: Result<Option<Found>, Vec<String>>,
    /// Numbers of lines that are no events, and what is wrong with the first.
    damaged_lines: Vec<usize>,
    first_problem: String,
}

impl Search {
    /// The damage in words; `None` if there is none.
    pub(super) fn damaged(&self) -> Option<String> {
        let (first, rest) = self.damaged_lines.split_first()?;
        let more = match rest.len() {
            0 => String::new(),
            1 => " and another one".to_owned(),
            more => format!(" and {more} others"),
        };
        Some(format!("line {first}{more} cannot be read as an event ({})", self.first_problem))
    }
}

/// Looks through a whole log. The same event twice is one event.
///
/// # Errors
/// If the log cannot be read.
pub(super) fn search(mut log: impl BufRead, wanted: &Wanted) -> io::Result<Search> {
    let mut found: Vec<Found> = Vec::new();
    let (mut damaged_lines, mut first_problem) = (Vec::new(), String::new());
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if log.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if bytes.len() as u64 == MAX_LINE_BYTES && !bytes.ends_with(b"\n") {
            log.skip_until(b'\n')?;
        }
        let text = bytes.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match read(text) {
            Ok(event) => keep(&mut found, event, wanted),
            Err(problem) => {
                if damaged_lines.is_empty() {
                    first_problem = problem;
                }
                damaged_lines.push(number);
                // What came before is not the last any more, if this was one.
                if *wanted == Wanted::Last {
                    found.clear();
                }
            }
        }
    }
    let found = match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(found.iter().take(MAX_SHOWN).map(|found| found.event.id.to_string()).collect()),
    };
    Ok(Search { found, damaged_lines, first_problem })
}

fn read(line: &[u8]) -> Result<Found, String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let event: Event = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if event.schema != SCHEMA {
        return Err(format!("its format is {}, and this version reads {SCHEMA}", event.schema));
    }
    Ok(Found { event, line: text.to_owned() })
}

fn keep(found: &mut Vec<Found>, new: Found, wanted: &Wanted) {
    match wanted {
        Wanted::Last if new.event.kind.detail().is_some() => *found = vec![new],
        Wanted::Last => (),
        Wanted::Id(id) => {
            let is_known = found.iter().any(|known| known.event.id == new.event.id);
            if new.event.id.to_string().starts_with(id) && !is_known {
                found.push(new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOPPING: &str = r#"{"schema":1,"id":"01M84XQ0000000000000000003","at":"2026-11-23T19:25:23.378Z","type":"service.stopping","message":"SIGTERM"}"#;
    const UNKNOWN: &str = r#"{"schema":1,"id":"01M84XQ0000000000000000002","at":"2026-11-23T19:25:23.378Z","type":"match.unknown","reason":"no_match","camera":"door","track":1,"captured_at":"2026-11-23T19:25:23.341Z","decided_at":"2026-11-23T19:25:23.378Z","observations":3,"agreeing":3,"liveness_mode":"off","model":"31"}"#;

    fn look(log: &str, wanted: &str) -> Search {
        search(log.as_bytes(), &wanted.parse().unwrap()).unwrap()
    }

    fn id(search: &Search) -> String {
        search.found.as_ref().unwrap().as_ref().unwrap().event.id.to_string()
    }

    #[test]
    fn an_event_is_found_by_its_id_a_beginning_of_it_or_as_the_last_decision() {
        let log = format!("{UNKNOWN}\n\n{STOPPING}\n{STOPPING}");
        assert_eq!(id(&look(&log, "01M84XQ0000000000000000002")), "01M84XQ0000000000000000002");
        assert_eq!(id(&look(&log, "01m84xq0000000000000000003")), "01M84XQ0000000000000000003");
        let last = look(&log, "last");
        assert_eq!(id(&last), "01M84XQ0000000000000000002");
        assert_eq!(last.found.unwrap().unwrap().line, UNKNOWN);
        let both = vec!["01M84XQ0000000000000000002".to_owned(), "01M84XQ0000000000000000003".to_owned()];
        assert_eq!(look(&log, "01M8").found, Err(both));
        assert_eq!(look(&log, "01M9").found, Ok(None));
        assert_eq!(look(STOPPING, "last").found, Ok(None));
    }

    #[test]
    fn damaged_lines_are_told_of_and_never_skipped_over_to_an_older_last() {
        let log =
            format!("{UNKNOWN}\n{{\"schema\":1,\n{}\n", STOPPING.replace("\"schema\":1", "\"schema\":2"));
        let search = look(&log, "01M84XQ0000000000000000002");
        assert!(search.found.as_ref().unwrap().is_some());
        let damaged = search.damaged().unwrap();
        assert!(damaged.starts_with("line 2 and another one cannot be read as an event (EOF"), "{damaged}");
        assert_eq!(look(&log, "last").found, Ok(None));
        assert_eq!(look(UNKNOWN, "last").damaged(), None);
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        for text in ["", "01M8-", "01M84XQ00000000000000000020"] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }
}
