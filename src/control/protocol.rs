//! What is said over the socket: types, and one line of JSON for each.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ulid::Ulid;

use super::forgotten::Forgotten;
use crate::clock::WallTime;
use crate::domain::{CameraId, PersonId};

/// The version of the protocol. Answers may get further fields within a version; requests are exact.
pub const PROTOCOL: u32 = 1;
/// No request is longer, without the line break at its end.
pub const MAX_REQUEST_BYTES: usize = 4096;
/// No answer is longer, without the line break at its end: a picture of a camera of 8192 by 8192 pixels.
pub const MAX_ANSWER_BYTES: usize = 64_000_000;
/// The longest pause that ends by itself: a week.
const MAX_PAUSE_SECONDS: u32 = 7 * 24 * 3600;
/// Enrolling takes at most so long.
const MAX_ENROL_SECONDS: u32 = 600;
/// At most so many pictures are taken of somebody.
const MAX_PICTURES: u8 = 50;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How it goes.
    Status {},
    /// Close a camera, and look at nothing.
    Pause {
        /// Which; all if that is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<CameraId>,
        /// For so long, 1 to 604,800; until it is resumed if that is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
    },
    /// Watch again.
    Resume {
        /// Which camera; all if that is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<CameraId>,
    },
    /// Read the settings and the gallery again.
    Reload {},
    /// The newest frame as a picture.
    Snapshot {
        /// Of which camera; may be left out where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<CameraId>,
        /// With boxes and names drawn on it.
        #[serde(default)]
        boxes: bool,
    },
    /// Enrol whoever stands in front of a camera.
    Enroll {
        /// Who it is.
        person: PersonId,
        /// At which camera; may be left out where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<CameraId>,
        /// It takes at most so long, 1 to 600.
        seconds: u32,
        /// So many differing pictures are enough, 1 to 50.
        pictures: u8,
    },
    /// Forget somebody who is not enrolled any more, in all that the daemon keeps.
    Forget {
        /// The opaque id of their record.
        record: String,
        /// Their name, as far as it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<PersonId>,
        /// The folder that they were enrolled in: it must be the daemon's.
        gallery: PathBuf,
        /// Only say whether it would be done.
        #[serde(default)]
        only_check: bool,
    },
}

impl Request {
    /// Its name, as on the command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status {} => "status",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Reload {} => "reload",
            Self::Snapshot { .. } => "snapshot",
            Self::Enroll { .. } => "enroll",
            Self::Forget { .. } => "forget",
        }
    }

    /// Whether it takes more than the right to open the socket.
    #[must_use]
    pub fn is_for_operators(&self) -> bool {
        !matches!(self, Self::Status {})
    }

    /// Whether its numbers and names are ones that can be.
    ///
    /// # Errors
    /// [`InvalidRequest::Form`].
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let range = |name, value: u32, most: u32| match value {
            value if (1..=most).contains(&value) => Ok(()),
            value => Err(InvalidRequest::Form(format!("`{name}` cannot be {value}: 1 to {most}"))),
        };
        match self {
            Self::Pause { seconds: Some(seconds), .. } => range("seconds", *seconds, MAX_PAUSE_SECONDS),
            Self::Enroll { seconds, pictures, .. } => {
                range("seconds", *seconds, MAX_ENROL_SECONDS)?;
                range("pictures", (*pictures).into(), MAX_PICTURES.into())
            }
            Self::Forget { record, .. } => match Ulid::from_string(record) {
                Ok(id) if id.to_string() == *record => Ok(()),
                _ => Err(InvalidRequest::Form("`record` is no id of a record".to_owned())),
            },
            _ => Ok(()),
        }
    }
}

/// Why a line is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// Too long.
    #[error("a request has at most {MAX_REQUEST_BYTES} bytes")]
    TooLong,
    /// Of another version of the program.
    #[error(
        "this daemon speaks version {PROTOCOL} of the protocol, not {0}: use the program of the same version"
    )]
    Version(u64),
    /// Anything else.
    #[error("that is no request ({0}): {{\"version\":{PROTOCOL},\"request\":{{\"command\":\"status\"}}}}")]
    Form(String),
}

/// What is said back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// How it goes.
    Status {
        /// All of it.
        status: Box<Status>,
    },
    /// It was done.
    Done {
        /// What, for people.
        message: String,
    },
    /// Settings and gallery were read again.
    Reloaded {
        /// What came of it.
        report: ReloadReport,
    },
    /// It goes on; more lines follow.
    Progress {
        /// What to do, for people.
        message: String,
        /// So many pictures are taken.
        taken: usize,
        /// Of so many.
        wanted: usize,
    },
    /// Somebody was forgotten, or as much of them as could be.
    Forgotten {
        /// What came of it.
        report: Forgotten,
    },
    /// A picture.
    Snapshot {
        /// Which camera took it.
        camera: CameraId,
        /// When.
        captured_at: WallTime,
        /// A JPEG file, in base64.
        jpeg: String,
    },
    /// It was not done.
    Refused {
        /// Why, for programs.
        reason: Refusal,
        /// Why and what to do, for people.
        message: String,
    },
}

impl Answer {
    /// It was not done.
    pub fn refused(reason: Refusal, message: impl std::fmt::Display) -> Self {
        Self::Refused { reason, message: message.to_string() }
    }

    /// Whether more lines follow.
    #[must_use]
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Progress { .. })
    }
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Not an operator, or the gallery may not be written.
    NotAllowed,
    /// No request of this version.
    NoRequest,
    /// Too many ask.
    Busy,
    /// The camera is paused.
    Paused,
    /// Somebody is being enrolled at the camera, or it is being tested.
    InUse,
    /// No camera of that name.
    NoCamera,
    /// The camera gives no frames, or the daemon did not answer in time.
    Unavailable,
    /// The new configuration is faulty.
    Config,
    /// The pictures speak against it: different people, or somebody who is enrolled under another name. Or the gallery
    /// is not the daemon's.
    Conflict,
    /// There was nothing to enrol from.
    CannotTell,
    /// The gallery cannot be written.
    CannotWrite,
    /// Data is damaged.
    Data,
    /// A defect of the program.
    Internal,
}

/// What came of reading settings and gallery again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Settings that changed and are in force, by their keys.
    pub changed: Vec<String>,
    /// Settings that changed and take a restart.
    pub after_restart: Vec<String>,
    /// People enrolled now.
    pub people: usize,
}

/// How it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// When it started.
    pub since: WallTime,
    /// When this was said.
    pub at: WallTime,
    /// Each camera.
    pub cameras: Vec<CameraStatus>,
    /// People enrolled who can be recognised.
    pub people: usize,
    /// What is wrong with the gallery, for people.
    pub gallery_trouble: Vec<String>,
    /// Sinks that are told from the outbox, with what waits for them.
    pub waiting: Vec<Waiting>,
    /// The newest event.
    pub last_event: Option<LastEvent>,
    /// The service manager expects a sign of life so often, milliseconds; `None` if it expects none.
    pub watchdog_ms: Option<u64>,
    /// The newest `service.degraded` events, oldest first.
    pub degraded: Vec<Trouble>,
}

/// How one camera is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CameraStatus {
    /// Which.
    pub camera: CameraId,
    /// What it does.
    pub state: CameraState,
    /// Since when.
    pub since: WallTime,
    /// When that ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<WallTime>,
    /// What is wrong, or who wanted it so; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is watched, without passwords.
    pub source: String,
    /// Frames a second that it gave lately; `None` before that is known.
    pub captured_fps: Option<f64>,
    /// Frames a second that were looked at lately.
    pub detected_fps: Option<f64>,
    /// From the capture of a frame to the end of its detection, milliseconds: the median since the start.
    pub frame_lag_p50_ms: Option<u64>,
    /// The same, that 99 of 100 are not above.
    pub frame_lag_p99_ms: Option<u64>,
    /// Faces followed at this moment.
    pub tracks_now: u64,
    /// Counts since the start.
    pub counts: Counts,
}

/// What a camera does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CameraState {
    /// Gave no frame yet.
    Starting,
    /// Gives frames, and people are verified.
    Watching,
    /// Gives none, or none that can be relied on.
    Lost,
    /// Closed for as long as somebody wants it so.
    Paused,
    /// Somebody is being enrolled, and nobody verified.
    Enrolling,
    /// A liveness self-test goes on, and nobody is verified.
    Testing,
}

/// Counts of one camera since the daemon started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Frames that it gave.
    pub captured: u64,
    /// Frames looked at.
    pub detected: u64,
    /// Frames that a newer one replaced.
    pub replaced: u64,
    /// Frames not looked at because the rate is limited.
    pub skipped: u64,
    /// Frames that were damaged.
    pub bad_frames: u64,
    /// Runs of a model that failed.
    pub model_failures: u64,
    /// Faces that were followed.
    pub tracks: u64,
    /// Decisions.
    pub decisions: u64,
}

/// Events that wait for one sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// Its name.
    pub sink: String,
    /// So many.
    pub events: u64,
}

/// The newest event: what and when, and not who.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastEvent {
    /// Its type.
    pub kind: String,
    /// When.
    pub at: WallTime,
    /// At which camera, if at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraId>,
}

/// Something that did not work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trouble {
    /// When that was noticed.
    pub at: WallTime,
    /// What, for people.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedLine {
    version: u64,
    request: Value,
}

#[derive(Serialize, Deserialize)]
struct Line<A> {
    version: u64,
    answer: A,
}

/// Reads a request, without the line break at its end.
///
/// # Errors
/// [`InvalidRequest`].
pub fn read_request(line: &[u8]) -> Result<Request, InvalidRequest> {
    if line.len() > MAX_REQUEST_BYTES {
        return Err(InvalidRequest::TooLong);
    }
    let form = |error: serde_json::Error| InvalidRequest::Form(error.to_string());
    let line: AskedLine = serde_json::from_slice(line).map_err(form)?;
    if line.version != u64::from(PROTOCOL) {
        return Err(InvalidRequest::Version(line.version));
    }
    let request: Request = serde_json::from_value(line.request).map_err(form)?;
    request.check()?;
    Ok(request)
}

/// A request as one line, with the line break.
#[must_use]
pub fn write_request(request: &Request) -> Vec<u8> {
    line(&serde_json::json!({ "version": PROTOCOL, "request": request }))
}

/// An answer as one line, with the line break.
#[must_use]
pub fn write_answer(answer: &Answer) -> Vec<u8> {
    line(&Line { version: PROTOCOL.into(), answer })
}

/// Reads an answer; the error says why it is none.
///
/// # Errors
/// If it is no answer of this version.
pub fn read_answer(line: &[u8]) -> Result<Answer, String> {
    let line: Line<Value> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if line.version != u64::from(PROTOCOL) {
        return Err(format!("it speaks version {} of the protocol, not {PROTOCOL}", line.version));
    }
    serde_json::from_value(line.answer).map_err(|error| error.to_string())
}

fn line(value: &impl Serialize) -> Vec<u8> {
    // Text and numbers can always be written.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> impl Strategy<Value = Request> {
        let camera =
            || proptest::option::of("[a-zé \"\\\\]{1,20}[a-z]".prop_map(|id| CameraId::new(&id).unwrap()));
        prop_oneof![
            Just(Request::Status {}),
            Just(Request::Reload {}),
            (camera(), proptest::option::of(1..=MAX_PAUSE_SECONDS))
                .prop_map(|(camera, seconds)| Request::Pause { camera, seconds }),
            camera().prop_map(|camera| Request::Resume { camera }),
            (camera(), any::<bool>()).prop_map(|(camera, boxes)| Request::Snapshot { camera, boxes }),
            (proptest::option::of("[a-z]{1,9}"), any::<u128>(), any::<bool>()).prop_map(
                |(name, id, only_check)| {
                    let person = name.map(|name| PersonId::new(&name).unwrap());
                    Request::Forget {
                        record: Ulid(id).to_string(),
                        person,
                        gallery: "/x y".into(),
                        only_check,
                    }
                }
            ),
            ("\\PC{0,30}[a-z]", camera(), 1..=MAX_ENROL_SECONDS, 1..=MAX_PICTURES).prop_filter_map(
                "a name",
                |(person, camera, seconds, pictures)| {
                    let person = PersonId::new(&person).ok()?;
                    Some(Request::Enroll { person, camera, seconds, pictures })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(request in request()) {
            let line = write_request(&request);
            let (end, line) = line.split_last().unwrap();
            prop_assert_eq!(*end, b'\n');
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(read_request(line), Ok(request));
        }

        #[test]
        fn no_bytes_are_taken_for_more_than_they_say(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(request) = read_request(&bytes) {
                prop_assert_eq!(read_request(write_request(&request).trim_ascii_end()), Ok(request));
            }
        }

        #[test]
        fn a_changed_request_is_refused_or_is_another_valid_one(
            request in request(), at in any::<proptest::sample::Index>(), byte in any::<u8>()
        ) {
            let mut line = write_request(&request);
            line.pop();
            let at = at.index(line.len());
            line[at] = byte;
            if let Ok(read) = read_request(&line) {
                prop_assert_eq!(read.check(), Ok(()));
            }
        }
    }

    #[test]
    fn what_is_not_exactly_a_request_is_refused() {
        let read = |text: &str| read_request(text.as_bytes());
        assert_eq!(read(r#"{"version":1,"request":{"command":"status"}}"#), Ok(Request::Status {}));
        assert_eq!(read(r#"{"version":2,"request":{"command":"fly"}}"#), Err(InvalidRequest::Version(2)));
        for odd in [
            "",
            "status",
            "[]",
            r#"{"version":1}"#,
            r#"{"request":{"command":"status"}}"#,
            r#"{"version":1,"request":{"command":"status"},"more":1}"#,
            r#"{"version":1,"request":{"command":"status","more":1}}"#,
            r#"{"version":1,"request":{"command":"fly"}}"#,
            r#"{"version":1,"request":{"command":"pause","camera":""}}"#,
            r#"{"version":1,"request":{"command":"pause","seconds":0}}"#,
            r#"{"version":1,"request":{"command":"pause","seconds":604801}}"#,
            r#"{"version":1,"request":{"command":"pause","seconds":-1}}"#,
            r#"{"version":1,"request":{"command":"enroll","person":"Ada","seconds":601,"pictures":1}}"#,
            r#"{"version":1,"request":{"command":"enroll","person":"Ada","seconds":1,"pictures":0}}"#,
            r#"{"version":1,"request":{"command":"enroll","person":"A\nda","seconds":1,"pictures":1}}"#,
            r#"{"version":1,"request":{"command":"forget","record":"Ada","gallery":"/x"}}"#,
            r#"{"version":1,"request":{"command":"enroll","seconds":1,"pictures":1}}"#,
            "{\"version\":1,\"request\":{\"command\":\"status\"}} {}",
        ] {
            assert!(matches!(read(odd), Err(InvalidRequest::Form(_))), "{odd}");
        }
        assert_eq!(read_request(&[b' '; MAX_REQUEST_BYTES + 1]), Err(InvalidRequest::TooLong));
    }

    #[test]
    fn answers_are_read_as_written_also_with_more_fields() {
        for answer in [
            Answer::Done { message: "a\nb".into() },
            Answer::Reloaded { report: ReloadReport { changed: vec!["a".into()], ..Default::default() } },
            Answer::Progress { message: String::new(), taken: 1, wanted: 2 },
            Answer::refused(Refusal::NoCamera, "why"),
        ] {
            let line = write_answer(&answer);
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(read_answer(&line), Ok(answer));
        }
        let more = br#"{"version":1,"answer":{"type":"done","message":"m","more":1},"more":2}"#;
        assert_eq!(read_answer(more), Ok(Answer::Done { message: "m".into() }));
        for odd in [
            "",
            "{}",
            r#"{"version":2,"answer":{"type":"done","message":"m"}}"#,
            r#"{"version":1,"answer":{}}"#,
        ] {
            assert!(read_answer(odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
