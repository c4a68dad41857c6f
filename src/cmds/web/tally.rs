//! How many events there were of each kind, for `/metrics`. Names of people are not kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::domain::{Event, EventKind, Reason};

/// Of what kind an event is: its type, its camera, and the reason of a refusal. All come from lists with an end.
pub(super) type Kind = (&'static str, String, String);

/// How many events there were of each kind since the start.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<Kind, u64>>);

impl Tally {
    pub(super) fn note(&self, event: &Event) {
        let camera = event.kind.camera().map(ToString::to_string).unwrap_or_default();
        let kind = (event.kind.name(), camera, reason(&event.kind).map(code).unwrap_or_default());
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind).or_default() += 1;
    }

    pub(super) fn counts(&self) -> Vec<(Kind, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(kind, count)| (kind.clone(), *count)).collect()
    }
}

fn reason(kind: &EventKind) -> Option<Reason> {
    match kind {
        EventKind::Unknown { reason, .. } | EventKind::Rejected { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// As events name it.
pub(super) fn code(reason: Reason) -> String {
    match serde_json::to_value(reason) {
        Ok(Value::String(code)) => code,
        _ => String::new(),
    }
}
