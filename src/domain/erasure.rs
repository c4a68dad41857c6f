//! Which events are about somebody who is to be forgotten.

use std::time::Duration;

use serde_json::Value;

use super::names::PersonId;
use crate::clock::WallTime;

/// Fields of an event in which a name may stand.
const FIELDS: [&str; 2] = ["person", "was"];
/// A daemon notices a change of the gallery, and tells it, about a second after it was made; `reload_every_ms` may say more.
const SLACK: Duration = Duration::from_secs(5);
/// `type` of what stands in the place of an entry that was forgotten; its `was` is no name.
pub const ENTRY_FORGOTTEN: &str = "entry.forgotten";

/// Somebody who is to be forgotten: their record, and every name that they had.
///
/// The name that is given counts for all time. Names that are learnt from events of the record count for as long as
/// the record had them, since somebody else may have been called so before or after. A name is compared as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Erasure {
    record: String,
    name: Option<String>,
    /// Since when the record had which name.
    had: Vec<(WallTime, String)>,
    /// Until when.
    left: Vec<(WallTime, String)>,
    removed: Option<WallTime>,
}

impl Erasure {
    /// Of this record, whose name is the one given, if it is known.
    #[must_use]
    pub fn new(record: &str, name: Option<&PersonId>) -> Self {
        Self {
            record: record.to_owned(),
            name: name.map(|name| name.as_str().to_owned()),
            had: Vec::new(),
            left: Vec::new(),
            removed: None,
        }
    }

    /// The opaque id that is left of them.
    #[must_use]
    pub fn record(&self) -> &str {
        &self.record
    }

    /// Every name that is known of them.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let learnt = self.had.iter().chain(&self.left).map(|(_, name)| name.as_str());
        let mut names: Vec<&str> = self.name.as_deref().into_iter().chain(learnt).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether an event said that the record was removed.
    #[must_use]
    pub fn is_removal_told(&self) -> bool {
        self.removed.is_some()
    }

    /// Takes in what an event in JSON says of the record. In any order.
    pub fn learn(&mut self, event: &Value) {
        if event["record"].as_str() != Some(&self.record) {
            return;
        }
        let (Some(kind), Some(at)) = (event["type"].as_str(), time_of(event)) else { return };
        let name = |field: &str| event[field].as_str().map(str::to_owned);
        match kind {
            "person.enrolled" | "person.changed" => {
                self.had.extend(name("person").map(|name| (at, name)));
                self.left.extend(name("was").map(|name| (at, name)));
            }
            "person.removed" => {
                self.left.extend(name("person").map(|name| (at, name)));
                self.removed = Some(self.removed.map_or(at, |known| known.max(at)));
            }
            _ => (),
        }
    }

    /// Whether an event in JSON names them.
    #[must_use]
    pub fn concerns(&self, event: &Value) -> bool {
        if event["type"].as_str() == Some(ENTRY_FORGOTTEN) {
            return false;
        }
        let is_own = event["record"].as_str() == Some(&self.record);
        let at = time_of(event);
        any_text(event, &mut |field, text| {
            field.is_some_and(|field| FIELDS.contains(&field)) && (is_own || self.is_called(text, at))
        })
    }

    /// Whether a text anywhere in this JSON is a name of theirs at that time; at any time if that is not known.
    #[must_use]
    pub fn is_named_in(&self, value: &Value, at: Option<WallTime>) -> bool {
        any_text(value, &mut |_, text| self.is_called(text, at))
    }

    fn is_called(&self, text: &str, at: Option<WallTime>) -> bool {
        if self.name.as_deref() == Some(text) {
            return true;
        }
        let Some(at) = at else { return self.names().contains(&text) };
        let of = |(_, name): &&(WallTime, String)| name == text;
        // Each time that they were called so ends with the next rename away from it, or with their removal.
        let ends = |since: WallTime| {
            let left = self.left.iter().filter(of).map(|(until, _)| *until).filter(|until| *until >= since);
            left.min().or(self.removed)
        };
        let is_before_end = |until: Option<WallTime>| until.is_none_or(|until| at <= later(until));
        let is_in_known =
            self.had.iter().filter(of).any(|(since, _)| at >= earlier(*since) && is_before_end(ends(*since)));
        // A name that was given up, and nothing tells since when they had it.
        let first_left = self.left.iter().filter(of).map(|(until, _)| *until).min();
        let first_had = self.had.iter().filter(of).map(|(since, _)| *since).min();
        let is_from_before = first_left
            .is_some_and(|until| first_had.is_none_or(|since| since > until) && is_before_end(Some(until)));
        is_in_known || is_from_before
    }
}

fn later(at: WallTime) -> WallTime {
    WallTime(at.0.checked_add(SLACK).unwrap_or(at.0))
}

fn earlier(at: WallTime) -> WallTime {
    WallTime(at.0.checked_sub(SLACK).unwrap_or(at.0))
}

/// When an event in JSON happened.
fn time_of(event: &Value) -> Option<WallTime> {
    event["at"].as_str()?.parse().ok().map(WallTime)
}

/// Whether `is_it` holds for any text in the value, with the field that it stands in. Names of fields count as texts
/// without a field.
fn any_text(value: &Value, is_it: &mut dyn FnMut(Option<&str>, &str) -> bool) -> bool {
    fn look(field: Option<&str>, value: &Value, is_it: &mut dyn FnMut(Option<&str>, &str) -> bool) -> bool {
        match value {
            Value::String(text) => is_it(field, text),
            Value::Array(values) => values.iter().any(|value| look(field, value, is_it)),
            Value::Object(fields) => {
                fields.iter().any(|(field, value)| is_it(None, field) || look(Some(field), value, is_it))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    look(None, value, is_it)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RECORD: &str = "01M84XQ0000000000000000003";

    fn at(minute: u32) -> String {
        format!("2026-11-26T10:{minute:02}:00.000Z")
    }

    fn seen(who: &str, minute: u32) -> Value {
        json!({ "type": "match.verified", "at": at(minute), "person": who })
    }

    fn ada() -> Erasure {
        Erasure::new(RECORD, Some(&PersonId::new("Ada").unwrap()))
    }

    #[test]
    fn a_name_is_compared_as_a_whole_and_where_names_stand() {
        let ada = ada();
        assert!(ada.concerns(&seen("Ada", 1)));
        for other in [
            seen("Adam", 1),
            seen("ada", 1),
            json!({ "type": "service.degraded", "at": at(1), "message": "Ada" }),
            json!({ "type": "camera.lost", "at": at(1), "camera": "Ada" }),
            json!({ "type": ENTRY_FORGOTTEN, "at": at(1), "record": RECORD, "was": "Ada" }),
            json!({ "type": "person.removed", "at": at(1), "record": RECORD }),
        ] {
            assert!(!ada.concerns(&other), "{other}");
        }
        // As older versions wrote it, and whatever the name was.
        assert!(ada.concerns(&json!({ "type": "person.removed", "record": RECORD, "person": "X" })));
        assert!(ada.concerns(&json!({ "type": "x", "looks": [{ "person": "Ada" }] })));
        assert!(ada.is_named_in(&json!({ "only": { "people": ["Bert", "Ada"] } }), None));
        assert!(!ada.is_named_in(&json!({ "only": { "people": ["Bert", "Adam"] } }), None));
    }

    #[test]
    fn former_names_count_while_they_had_them() {
        let mut ada = ada();
        ada.learn(&json!({ "type": "person.changed", "record": RECORD, "at": at(20), "person": "Ada", "was": "Eve" }));
        ada.learn(&json!({ "type": "person.enrolled", "record": RECORD, "at": at(10), "person": "Eve" }));
        ada.learn(&json!({ "type": "person.enrolled", "record": "other", "at": at(10), "person": "Bert" }));
        assert_eq!(ada.names(), ["Ada", "Eve"]);
        assert!(!ada.concerns(&seen("Eve", 5)), "somebody else, who was called so before");
        assert!(ada.concerns(&seen("Eve", 15)));
        assert!(!ada.concerns(&seen("Eve", 25)), "somebody else, who is called so since");
        assert!(!ada.concerns(&seen("Bert", 15)));
        assert!(ada.concerns(&seen("Ada", 5)), "the name that was given counts for all time");
    }

    #[test]
    fn what_was_before_the_log_began_counts_up_to_the_rename() {
        let mut ada = ada();
        ada.learn(&json!({ "type": "person.changed", "record": RECORD, "at": at(20), "person": "Ada", "was": "Eve" }));
        assert!(ada.concerns(&seen("Eve", 1)) && !ada.concerns(&seen("Eve", 25)));
    }

    #[test]
    fn by_the_record_alone_names_count_until_the_removal() {
        let mut gone = Erasure::new(RECORD, None);
        assert!(!gone.concerns(&seen("Ada", 15)));
        gone.learn(&json!({ "type": "person.enrolled", "record": RECORD, "at": at(10), "person": "Ada" }));
        assert!(gone.concerns(&seen("Ada", 50)) && !gone.is_removal_told());
        gone.learn(&json!({ "type": "person.removed", "record": RECORD, "at": at(20) }));
        assert!(gone.concerns(&seen("Ada", 15)) && gone.is_removal_told());
        assert!(!gone.concerns(&seen("Ada", 30)), "enrolled anew, with another record");
    }
}
