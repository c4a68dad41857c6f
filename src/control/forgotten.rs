//! What came of forgetting somebody.

use serde::{Deserialize, Serialize};

/// What was taken away, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Events in the outbox that are told to nobody any more.
    pub outbox_events: u64,
    /// Events that a sink had refused for good.
    pub refused_events: u64,
    /// Recorded decisions.
    pub recordings: u64,
    /// Entries of the event log of which only the hash is left.
    pub log_entries: u64,
    /// What could not be done, and why; for people. It can be done again.
    #[serde(default)]
    pub left: Vec<String>,
    /// Files that may name them and cannot be looked into: compressed or damaged ones.
    #[serde(default)]
    pub not_looked_into: Vec<String>,
}
