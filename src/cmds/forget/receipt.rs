//! What is left in writing when somebody was forgotten, without their name.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::clock::WallTime;
use crate::cmds::exit::{Exit, Failure, OrExit};
use crate::control::Forgotten;

const SCHEMA: &str = "facewarden.forget/1";

/// What no program of this machine can take back.
const NOT_REACHED: [&str; 7] = [
    "backups of the gallery, of the event log and of whole disks",
    "archives that `facewarden export` wrote, reports of `facewarden enroll`, and photos that people were enrolled from",
    "events that were delivered before: to webhooks, to the broker (also retained there), to hooks, to readers of the socket",
    "the journal and logs of other programs",
    "recordings of faces that were not taken for this person: they name nobody, and are deleted by age",
    "names in the configuration",
    "blocks that the file system gave free and did not overwrite: the gallery's were encrypted, the others were not",
];

/// A receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::cmds) struct Receipt {
    schema: String,
    at: WallTime,
    version: String,
    /// The opaque id of whom was forgotten.
    pub(super) record: String,
    /// Hash of the record as it was on disk, encrypted; `null` where it was gone before.
    record_sha256: Option<String>,
    removed: Removed,
    /// What could not be done.
    pub(super) left: Vec<String>,
    not_looked_into: Vec<String>,
    not_reached: Vec<String>,
    /// Of all of the above; see [`seal`].
    sha256: String,
}

/// So many of each are gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cmds) struct Removed {
    pub(super) templates: usize,
    pub(super) photos: usize,
    /// Damaged files of the record that had been moved aside.
    pub(super) quarantined: usize,
    pub(super) outbox_events: u64,
    pub(super) refused_events: u64,
    pub(super) recordings: u64,
    pub(super) log_entries: u64,
}

impl Receipt {
    pub(super) fn new(
        (record, record_sha256): (String, Option<String>),
        removed: Removed,
        done: Forgotten,
        at: WallTime,
    ) -> Result<Self, Failure> {
        let removed = Removed {
            outbox_events: done.outbox_events,
            refused_events: done.refused_events,
            recordings: done.recordings,
            log_entries: done.log_entries,
            ..removed
        };
        let mut receipt = Self {
            schema: SCHEMA.to_owned(),
            at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            record,
            record_sha256,
            removed,
            left: done.left,
            not_looked_into: done.not_looked_into,
            not_reached: NOT_REACHED.map(str::to_owned).to_vec(),
            sha256: String::new(),
        };
        receipt.sha256 = seal(&serde_json::to_value(&receipt).or_exit(Exit::Internal)?);
        Ok(receipt)
    }

    /// Reads a receipt, and refuses one that was changed.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read(path).map_err(|error| {
            Failure::new(Exit::NoInput, format!("{} cannot be read: {error}", path.display()))
        })?;
        let odd = |why: String| Failure::new(Exit::Data, format!("{} is no receipt: {why}", path.display()));
        let value: Value = serde_json::from_slice(&text).map_err(|error| odd(error.to_string()))?;
        let receipt: Self = serde_json::from_value(value.clone()).map_err(|error| odd(error.to_string()))?;
        if receipt.schema != SCHEMA {
            return Err(odd(format!("its schema is {}, and this version knows {SCHEMA}", receipt.schema)));
        }
        if seal(&value) != receipt.sha256 {
            let message = format!("{} was changed: its hash is not the one in it", path.display());
            return Err(Failure::new(Exit::Data, message));
        }
        Ok(receipt)
    }

    pub(super) fn json(&self) -> Result<String, Failure> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self).or_exit(Exit::Internal)?))
    }

    pub(super) fn write(&self, file: &mut File) -> Result<(), Failure> {
        let text = self.json()?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).or_exit(Exit::CannotWrite)
    }

    /// In words, without the name.
    pub(super) fn words(&self) -> String {
        let Removed {
            templates,
            photos,
            quarantined,
            outbox_events,
            refused_events,
            recordings,
            log_entries,
        } = self.removed;
        let mut text = format!(
            "record {}\n  gallery    {templates} templates, {photos} photos, {quarantined} damaged files\n  outbox     \
             {outbox_events} events, {refused_events} refused events\n  recordings {recordings}\n  event log  {log_entries} \
             entries\n",
            self.record
        );
        self.left.iter().for_each(|left| text.push_str(&format!("NOT DONE     {left}\n")));
        for file in &self.not_looked_into {
            text.push_str(&format!("not looked into: {file}\n"));
        }
        text
    }
}

/// SHA-256 of the canonical JSON of a receipt without its field `sha256`: fields sorted by name, no white space, in UTF-8,
/// numbers in decimal digits. 64 hexadecimal digits.
fn seal(receipt: &Value) -> String {
    let mut receipt = receipt.clone();
    if let Some(fields) = receipt.as_object_mut() {
        fields.remove("sha256");
    }
    let mut text = String::new();
    canonical(&receipt, &mut text);
    hex(&Sha256::digest(text))
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(values) => {
            text.push('[');
            for (at, value) in values.iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                canonical(value, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                canonical(&Value::from(name.as_str()), text);
                text.push(':');
                canonical(value, text);
            }
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> Receipt {
        let record = "01M84XQ0000000000000000003".to_owned();
        let done = Forgotten { log_entries: 3, left: vec!["\u{e9}\n\"".to_owned()], ..Forgotten::default() };
        let removed = Removed { templates: 2, ..Removed::default() };
        Receipt::new((record, Some("ab".repeat(32))), removed, done, WallTime(jiff::Timestamp::UNIX_EPOCH))
            .unwrap()
    }

    #[test]
    fn a_receipt_is_read_as_written_and_every_change_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipt.json");
        let text = receipt().json().unwrap();
        std::fs::write(&path, &text).unwrap();
        assert_eq!(Receipt::read(&path).unwrap(), receipt());
        for (from, to) in [
            ("\"templates\": 2", "\"templates\": 1"),
            ("0003\"", "0004\""),
            ("\"left\": [", "\"left\": [\"x\","),
            ("\"at\": \"1970", "\"at\": \"1971"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            std::fs::write(&path, changed).unwrap();
            assert_eq!(Receipt::read(&path).unwrap_err().exit, Exit::Data, "{from}");
        }
        // White space and the order of the fields are nobody's business.
        std::fs::write(&path, serde_json::to_string(&receipt()).unwrap()).unwrap();
        assert_eq!(Receipt::read(&path).unwrap(), receipt());
    }

    #[test]
    fn the_canonical_form_is_sorted_and_without_space() {
        let mut text = String::new();
        canonical(&serde_json::json!({ "b": [1, null, { "y": "\"", "x": true }], "a": "\u{e9}" }), &mut text);
        assert_eq!(text, "{\"a\":\"\u{e9}\",\"b\":[1,null,{\"x\":true,\"y\":\"\\\"\"}]}");
    }
}
