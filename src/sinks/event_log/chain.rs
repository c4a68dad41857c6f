//! How a line of the log hangs on the one before it.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use super::forgetting::hash_of_forgotten;
use crate::clock::WallTime;
use crate::domain::{ENTRY_FORGOTTEN, Event};

/// No line is longer: far above what any event needs.
pub(super) const MAX_LINE_BYTES: u64 = 1_000_000;

const FIELD: &str = ",\"chain\":{\"n\":";
const PREV: &str = ",\"prev\":\"";
const END: &str = "\"}}";

/// SHA-256 of a line without its line break; written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// What stands before the first line of all.
    pub const NONE: Self = Self([0; 32]);

    /// Of a line without its line break.
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        Self(Sha256::digest(line).into())
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for LineHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let odd = || "a hash has 64 hexadecimal digits".to_owned();
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(odd());
        }
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte =
                text.get(2 * at..2 * at + 2).and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or_else(odd)?;
        }
        Ok(Self(hash))
    }
}

/// A place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the entry; 0 before the first one.
    pub(super) n: u64,
    /// Hash of its line, as it was written; see `forgetting`.
    pub(super) hash: LineHash,
}

impl Place {
    /// Before the first entry of all.
    pub(super) const START: Self = Self { n: 0, hash: LineHash::NONE };
}

/// The line, with its line break, of the event that follows `after`; and the place that it has.
pub(super) fn line_after(event: &Event, after: Place) -> Result<(Vec<u8>, Place), serde_json::Error> {
    let n = after.n.saturating_add(1);
    let mut line = chained(event, n, after.hash)?;
    let place = Place { n, hash: LineHash::of(&line) };
    line.push(b'\n');
    Ok((line, place))
}

/// The line, without its line break, of an event in this place of the chain.
pub(super) fn chained(event: &Event, n: u64, prev: LineHash) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = Vec::with_capacity(1024);
    serde_json::to_writer(&mut line, event)?;
    // An event is an object and has fields, so that what is cut off is its closing brace.
    line.pop();
    line.extend_from_slice(format!("{FIELD}{n}{PREV}{prev}{END}").as_bytes());
    Ok(line)
}

/// What is looked at of an event in the log, whatever version wrote it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Stamp {
    pub(super) id: Ulid,
    pub(super) at: WallTime,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
}

/// An entry as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// What it says the line before it hashes to.
    pub(super) prev: LineHash,
    pub(super) stamp: Stamp,
    /// So many bytes of the line are the event, without its closing brace.
    pub(super) event_bytes: usize,
}

impl Entry {
    /// Reads a line without its line break; says what is wrong if it is no entry.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is no text".to_owned())?;
        let unchained = || "it has no field `chain` at its end".to_owned();
        let (event, chain) = text.rsplit_once(FIELD).ok_or_else(unchained)?;
        let (n, prev) = chain.strip_suffix(END).and_then(|c| c.split_once(PREV)).ok_or_else(unchained)?;
        let is_written_so =
            |n: &u64| *n > 0 && n.to_string().len() == chain.len() - PREV.len() - 64 - END.len();
        let prev = prev.parse().map_err(|odd| format!("its `chain` cannot be read: {odd}"))?;
        let n: u64 =
            n.parse().ok().filter(is_written_so).ok_or("its `chain` cannot be read: `n` is no number")?;
        let stamp: Stamp = serde_json::from_str(text).map_err(|error| format!("it is no event: {error}"))?;
        if n == 1 && prev != LineHash::NONE {
            return Err("it is the first entry, and names another one before it".to_owned());
        }
        let hash = match stamp.kind == ENTRY_FORGOTTEN {
            true => hash_of_forgotten(text, n, prev)?,
            false => LineHash::of(line),
        };
        let place = Place { n, hash };
        Ok(Self { place, prev, stamp, event_bytes: event.len() })
    }

    /// Whether it stands in the place of an entry that named somebody who was forgotten.
    pub(super) fn is_forgotten(&self) -> bool {
        self.stamp.kind == ENTRY_FORGOTTEN
    }

    /// Whether it comes directly after `place`.
    pub(super) fn follows(&self, place: Place) -> bool {
        place.n.checked_add(1) == Some(self.place.n) && self.prev == place.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventKind, SCHEMA};

    fn event(message: &str) -> Event {
        let kind = EventKind::Degraded { message: message.to_owned() };
        Event { schema: SCHEMA, id: Ulid(7), at: WallTime(jiff::Timestamp::UNIX_EPOCH), kind }
    }

    #[test]
    fn a_line_is_the_event_and_its_place_in_the_chain() {
        let odd = "a \",\"chain\":{\"n\":1,\"prev\":\"x\"}} \u{e9}\n";
        let mut place = Place::START;
        for number in 1..=12 {
            let (line, next) = line_after(&event(odd), place).unwrap();
            let line = line.strip_suffix(b"\n").unwrap();
            assert!(!line.contains(&b'\n'));
            let entry = Entry::read(line).unwrap();
            assert_eq!((entry.place, entry.prev, entry.stamp.id), (next, place.hash, Ulid(7)));
            assert!(entry.follows(place) && next.n == number);
            assert_eq!(serde_json::from_slice::<Event>(line).unwrap(), event(odd));
            let alone = [&line[..entry.event_bytes], b"}"].concat();
            assert_eq!(alone, serde_json::to_vec(&event(odd)).unwrap());
            place = next;
        }
    }

    #[test]
    fn what_is_no_entry_is_said() {
        let (line, _) = line_after(&event("x"), Place { n: 4, hash: LineHash::of(b"y") }).unwrap();
        let line = String::from_utf8(line).unwrap();
        let line = line.trim_end();
        for (odd, why) in [
            (serde_json::to_string(&event("x")).unwrap(), "no field `chain`"),
            (line.replace("\"n\":5", "\"n\":05"), "no number"),
            (line.replace("\"n\":5", "\"n\":0"), "no number"),
            (line.replace("\"n\":5", "\"n\":1"), "first entry"),
            (line.replace("\"prev\":\"a", "\"prev\":\"g"), "64 hexadecimal"),
            (format!("{line}}}"), "no field `chain`"),
            (line.replace("\"prev\":\"", "\"prev\":\"0"), "64 hexadecimal"),
            (line.replace("\"id\":", "\"di\":"), "no event"),
            (format!("{line}{line}"), "no event"),
        ] {
            let error = Entry::read(odd.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{odd}: {error}");
        }
        assert!(Entry::read(b"\xff").is_err());
        assert!("0".repeat(63).parse::<LineHash>().is_err() && "+f".repeat(32).parse::<LineHash>().is_err());
    }
}
