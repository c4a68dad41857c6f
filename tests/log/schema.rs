//! The published schema of an event: it is what the code gives, and events are what it says.

use std::fs;
use std::path::Path;
use std::process::Command;

use facewarden::cmds::log::event_schema;
use facewarden::domain::{
    ChallengeFault, Event, EventKind, LookDetail, PauseCause, Prompt, QualityFault, Reason, ResumeCause,
    Target, ViewFault,
};
use serde_json::{Value, json};

use crate::sinks::detail;
use crate::support::Ran;

#[test]
fn the_published_schema_is_what_the_code_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/event.schema.json");
    let published = fs::read_to_string(&path).unwrap_or_default();
    let printed = Ran::of(Command::new(env!("CARGO_BIN_EXE_facewarden")).args(["log", "schema"])).code(0).out;
    assert_eq!(printed, event_schema());
    assert!(published == printed, "facewarden log schema > docs/event.schema.json");
    let schema: Value = serde_json::from_str(&published).unwrap();
    for key in ["$schema", "title", "description"] {
        assert!(schema[key].is_string(), "no {key}");
    }
}

/// One event of each kind, with everything in it that can be.
fn events() -> Vec<Event> {
    let full = || {
        let mut detail = detail();
        detail.target = Some(Target { false_match_rate: 0.001, people: 3, extrapolated: true });
        detail.second = detail.similarity;
        detail.challenge = Some(ChallengeFault::Jump);
        detail.faults = vec![QualityFault::Blurred];
        let similarity = detail.similarity;
        let look =
            LookDetail { seq: 1, before_ms: 2, similarity, agrees: true, quality: 0.5, liveness: Some(0.5) };
        detail.looks = vec![look];
        detail
    };
    let at = super::notice(1).at;
    let camera = || "door".parse().unwrap();
    let person = || "Zoë".parse().unwrap();
    let text = || "text".to_owned();
    let kinds = vec![
        EventKind::Verified { person: person(), expires_at: at, expired: true, detail: full() },
        EventKind::Unknown { reason: Reason::PoorQuality, detail: detail() },
        EventKind::Rejected { person: None, reason: Reason::NotLive, detail: full() },
        EventKind::Shadow { person: person(), detail: detail() },
        EventKind::Challenge {
            camera: camera(),
            track: full().track,
            step: 1,
            of: 2,
            prompt: Prompt::LookLeft,
            text: text(),
            until: at,
        },
        EventKind::LockedOut { camera: camera(), until: at },
        EventKind::CameraLost { camera: camera(), message: text() },
        EventKind::CameraRecovered { camera: camera() },
        EventKind::view_fault(camera(), ViewFault::Frozen, true, text()),
        EventKind::view_fault(camera(), ViewFault::Covered, true, text()),
        EventKind::view_fault(camera(), ViewFault::Moved, false, text()),
        EventKind::CameraClear { camera: camera(), over: ViewFault::Blinded, message: text() },
        EventKind::CameraPaused { camera: camera(), why: PauseCause::Asked, by: text(), until: Some(at) },
        EventKind::CameraResumed { camera: camera(), why: ResumeCause::TimeIsOver, by: Some(text()) },
        EventKind::CameraSnapshot { camera: camera(), by: text() },
        EventKind::PersonEnrolled {
            person: person(),
            record: text(),
            templates: 3,
            groups: vec!["staff".parse().unwrap()],
        },
        EventKind::PersonChanged {
            person: person(),
            record: text(),
            was: Some(person()),
            templates: 3,
            groups: vec![],
        },
        EventKind::PersonRemoved { record: text(), groups: vec![] },
        EventKind::EntryForgotten { record: text(), was: text(), sha256: text() },
        EventKind::Degraded { message: text() },
        EventKind::Started { version: text(), people: 1 },
        EventKind::Stopping { message: text() },
    ];
    kinds.into_iter().map(|kind| Event { kind, ..super::notice(1) }).collect()
}

#[test]
fn events_of_every_kind_fit_the_schema_and_others_do_not() {
    let schema: Value = serde_json::from_str(&event_schema()).unwrap();
    let mut names: Vec<&str> = Vec::new();
    for event in &events() {
        names.push(event.kind.name());
        let value = serde_json::to_value(event).unwrap();
        assert_eq!(check(&schema, &schema, &value), Ok(()), "{value}");
        let fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        for field in fields {
            let mut odd = value.clone();
            odd[&field] = json!([[1]]);
            assert!(check(&schema, &schema, &odd).is_err(), "{field} may be anything in {odd}");
        }
        for field in ["schema", "id", "at", "type"] {
            let mut without = value.clone();
            without.as_object_mut().unwrap().remove(field);
            assert!(check(&schema, &schema, &without).is_err(), "{field} may be missing");
        }
    }
    assert_eq!(names, EventKind::NAMES);
}

/// As much of JSON Schema as the schema of an event uses; a keyword that is not known here is an error.
fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return if *schema == Value::Bool(true) { Ok(()) } else { Err(format!("{schema}")) };
    };
    for (keyword, rule) in keywords {
        let fits = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" => true,
            "$ref" => {
                let pointer = rule.as_str().and_then(|rule| rule.strip_prefix('#')).unwrap();
                check(root, root.pointer(pointer).unwrap(), value)?;
                true
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is_a(name, value)),
                name => is_a(name, value),
            },
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "required" => {
                rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(root, rule, value).map_err(|error| format!("{key}: {error}"))?;
                    }
                }
                true
            }
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|value| check(root, rule, value))?;
                true
            }
            "oneOf" => count(root, rule, value) == 1,
            "anyOf" => count(root, rule, value) > 0,
            "allOf" => count(root, rule, value) == rule.as_array().unwrap().len(),
            other => return Err(format!("the keyword {other} is not known here")),
        };
        if !fits {
            return Err(format!("{value} does not fit {keyword}: {rule}"));
        }
    }
    Ok(())
}

fn count(root: &Value, rules: &Value, value: &Value) -> usize {
    rules.as_array().unwrap().iter().filter(|rule| check(root, rule, value).is_ok()).count()
}

fn is_a(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    }
}
