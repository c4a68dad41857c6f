//! What a hook is told in environment variables.

use std::fmt::Display;

use crate::domain::{Event, EventKind};

/// The only variables a hook gets beside those about the event: nothing of the daemon's own environment, which
/// may hold secrets, reaches it.
const FIXED: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8")];

/// All variables for an event. Those that do not apply are left out. Times are RFC 3339, UTC, milliseconds;
/// scores are decimal numbers.
///
/// `FACEWARDEN_PERSON` is set for `match.verified` alone, so that a script which looks at nothing else cannot
/// open a door for somebody who was rejected; whom they resemble is in `FACEWARDEN_RESEMBLES`.
pub(super) fn variables(event: &Event) -> Vec<(&'static str, String)> {
    let mut list: Vec<_> = FIXED.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let mut set = |name: &'static str, value: &dyn Display| {
        // A NUL byte would cut the variable short, so the system refuses it.
        list.push((name, value.to_string().replace('\0', " ")));
    };
    set("FACEWARDEN_EVENT_TYPE", &event.kind.name());
    set("FACEWARDEN_EVENT_ID", &event.id);
    set("FACEWARDEN_AT", &event.at);
    match &event.kind {
        EventKind::Verified { person, expires_at, expired: false, detail } => {
            set("FACEWARDEN_PERSON", person);
            if let Some(name) = &detail.display_name {
                set("FACEWARDEN_DISPLAY_NAME", name);
            }
            set("FACEWARDEN_EXPIRES_AT", expires_at);
        }
        // Nor here: the time of the grant is over.
        EventKind::Verified { person, expires_at, expired: true, .. } => {
            set("FACEWARDEN_SUBJECT", person);
            set("FACEWARDEN_EXPIRES_AT", expires_at);
        }
        EventKind::Unknown { reason, .. } => set("FACEWARDEN_REASON", &name_in_json(reason)),
        EventKind::Rejected { person, reason, .. } => {
            set("FACEWARDEN_REASON", &name_in_json(reason));
            if let Some(person) = person {
                set("FACEWARDEN_RESEMBLES", person);
            }
        }
        // Not `FACEWARDEN_PERSON`: it grants nothing.
        EventKind::Shadow { person, .. } => set("FACEWARDEN_RESEMBLES", person),
        EventKind::Challenge { camera, track, step, of, prompt, text, until } => {
            set("FACEWARDEN_CAMERA", camera);
            set("FACEWARDEN_TRACK", track);
            set("FACEWARDEN_STEP", step);
            set("FACEWARDEN_STEPS", of);
            set("FACEWARDEN_PROMPT", &name_in_json(prompt));
            set("FACEWARDEN_MESSAGE", text);
            set("FACEWARDEN_UNTIL", until);
        }
        EventKind::LockedOut { camera, until } => {
            set("FACEWARDEN_CAMERA", camera);
            set("FACEWARDEN_UNTIL", until);
        }
        EventKind::CameraLost { camera, message } => {
            set("FACEWARDEN_CAMERA", camera);
            set("FACEWARDEN_MESSAGE", message);
        }
        EventKind::CameraRecovered { camera } => set("FACEWARDEN_CAMERA", camera),
        EventKind::CameraFrozen { camera, message, .. }
        | EventKind::CameraObstructed { camera, message, .. }
        | EventKind::CameraMoved { camera, message, .. }
        | EventKind::CameraClear { camera, message, .. } => {
            set("FACEWARDEN_CAMERA", camera);
            set("FACEWARDEN_MESSAGE", message);
            if let Some((fault, _)) = event.kind.view() {
                set("FACEWARDEN_VIEW", &fault);
            }
        }
        EventKind::CameraPaused { camera, why, by, until } => {
            set("FACEWARDEN_CAMERA", camera);
            set("FACEWARDEN_REASON", &name_in_json(why));
            set("FACEWARDEN_BY", by);
            if let Some(until) = until {
                set("FACEWARDEN_UNTIL", until);
            }
        }
        EventKind::CameraResumed { camera, why, by } => {
            set("FACEWARDEN_CAMERA", camera);
            set("FACEWARDEN_REASON", &name_in_json(why));
            if let Some(by) = by {
                set("FACEWARDEN_BY", by);
            }
        }
        EventKind::CameraSnapshot { camera, by } => {
            set("FACEWARDEN_CAMERA", camera);
            set("FACEWARDEN_BY", by);
        }
        // Not `FACEWARDEN_PERSON`: it grants nothing.
        EventKind::PersonEnrolled { person, record, .. }
        | EventKind::PersonChanged { person, record, .. } => {
            set("FACEWARDEN_SUBJECT", person);
            set("FACEWARDEN_RECORD", record);
        }
        EventKind::PersonRemoved { record, .. } | EventKind::EntryForgotten { record, .. } => {
            set("FACEWARDEN_RECORD", record);
        }
        EventKind::Degraded { message } | EventKind::Stopping { message } => {
            set("FACEWARDEN_MESSAGE", message);
        }
        EventKind::Started { version, people } => {
            set("FACEWARDEN_VERSION", version);
            set("FACEWARDEN_PEOPLE", people);
        }
    }
    if let Some(detail) = event.kind.detail() {
        set("FACEWARDEN_CAMERA", &detail.camera);
        set("FACEWARDEN_TRACK", &detail.track);
        set("FACEWARDEN_CAPTURED_AT", &detail.captured_at);
        if let Some(threshold) = &detail.threshold {
            set("FACEWARDEN_THRESHOLD", threshold);
        }
        set("FACEWARDEN_LIVENESS_MODE", &detail.liveness_mode);
        if let Some(similarity) = &detail.similarity {
            set("FACEWARDEN_SIMILARITY", similarity);
        }
        if let Some(liveness) = &detail.liveness {
            set("FACEWARDEN_LIVENESS", liveness);
        }
    }
    list
}

/// The name that the JSON has.
fn name_in_json(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
