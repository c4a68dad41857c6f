//! An event as a CloudEvent: version 1.0 of that specification, JSON format, structured mode.

use serde::Serialize;

use crate::domain::{CameraId, Event, EventKind};

/// The media type of the body.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// What is posted. There is no `subject`: attributes are what goes into the logs and routing rules of everything in
/// between, and the specification asks to keep personal data out of them; also, somebody who was merely resembled
/// must not look like the subject of a grant. Who it is about is in `data`.
#[derive(Debug, Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    r#type: String,
    time: String,
    datacontenttype: &'static str,
    data: &'a Event,
}

/// The body of the request. The same event gives the same bytes each time, except that once its grant is over it says
/// so in `type` and in `data`.
///
/// # Errors
/// If the event cannot be written as JSON.
pub(super) fn body(event: &Event, site: &str) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&CloudEvent {
        specversion: "1.0",
        id: event.id.to_string(),
        source: &source(site, event.kind.camera()),
        r#type: kind(&event.kind),
        time: event.at.to_string(),
        datacontenttype: "application/json",
        data: event,
    })
}

/// `facewarden.` and the kind. A grant that is over has a type of its own, so that whoever looks at nothing but the
/// type does not open a door for it.
fn kind(kind: &EventKind) -> String {
    let expired = matches!(kind, EventKind::Verified { expired: true, .. });
    format!("facewarden.{}{}", kind.name(), if expired { ".expired" } else { "" })
}

/// Where it happened: `/facewarden/SITE`, or `/facewarden/SITE/CAMERA`, as a URI-reference (RFC 3986).
fn source(site: &str, camera: Option<&CameraId>) -> String {
    let mut source = format!("/facewarden/{}", segment(site));
    if let Some(camera) = camera {
        source.push('/');
        source.push_str(&segment(camera.as_str()));
    }
    source
}

/// Text as one segment of a path: everything but unreserved characters is percent-encoded. So are full stops where
/// there is nothing else, because `.` and `..` are not names in a path.
fn segment(text: &str) -> String {
    let only_stops = text.bytes().all(|byte| byte == b'.');
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'.' if only_stops => out.push_str("%2E"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sources_are_paths() {
        let source = |site: &str, camera: &str| source(site, Some(&camera.parse().unwrap()));
        assert_eq!(super::source("main", None), "/facewarden/main");
        assert_eq!(source("main", "front door"), "/facewarden/main/front%20door");
        assert_eq!(source("a.b-c_d", "Tür/1?x#y%"), "/facewarden/a.b-c_d/T%C3%BCr%2F1%3Fx%23y%25");
        assert_eq!(source("..", "."), "/facewarden/%2E%2E/%2E");
    }

    fn decoded(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, others)) = rest.split_first() {
            rest = others;
            if *first == b'%' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                rest = &rest[2..];
            } else {
                bytes.push(*first);
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn a_segment_is_one_segment_and_can_be_read_back(text in "\\PC{1,40}|[.]{1,3}|[ -~]{1,40}") {
            let encoded = segment(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{encoded}");
            prop_assert!(encoded.bytes().any(|b| b != b'.'));
            prop_assert_eq!(decoded(&encoded), text);
        }
    }
}
