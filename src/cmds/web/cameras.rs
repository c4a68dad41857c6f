//! The cameras: how it goes with them, what they see, and enrolling somebody in front of one.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::Web;
use super::endpoint::Endpoint;
use super::take::{AskedFor, Named, Sent};
use crate::control::{Answer, CameraStatus, Reply, Request};
use crate::domain::{CameraId, PersonId};
use crate::http::{Caller, Problem, Scope};

const GROUP: &str = "Cameras";
/// Says when a picture was taken.
const CAPTURED_AT: HeaderName = HeaderName::from_static("x-captured-at");
/// So many words of how it goes wait for a reader who is slow.
const PROGRESS: usize = 16;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let camera = || {
        json!({
            "camera": "door", "state": "watching", "since": "2026-11-26T08:00:00.000Z", "source": "/dev/video0",
            "captured_fps": 30.0, "detected_fps": 10.0, "frame_lag_p50_ms": 30, "frame_lag_p99_ms": 60,
            "tracks_now": 0, "counts": {
                "captured": 300, "detected": 100, "replaced": 0, "skipped": 200, "bad_frames": 0,
                "model_failures": 0, "tracks": 1, "decisions": 1
            }
        })
    };
    let not_found = "There is no such camera";
    vec![
        Endpoint::get("/v1/cameras", list)
            .about(GROUP, "All cameras and how it goes with them")
            .needs(Scope::Read)
            .gives::<Cameras>(StatusCode::OK, "The cameras", json!({ "cameras": [camera()] })),
        Endpoint::get("/v1/cameras/{camera}", one)
            .about(GROUP, "How it goes with one camera")
            .needs(Scope::Read)
            .gives::<CameraStatus>(StatusCode::OK, "The camera", camera())
            .refuses(StatusCode::NOT_FOUND, not_found),
        Endpoint::post("/v1/cameras/{camera}/pause", pause)
            .about(GROUP, "Close a camera: nobody is looked at or verified there")
            .needs(Scope::Admin)
            .takes::<Pause>(json!({ "seconds": 600 }))
            .gives::<Done>(StatusCode::OK, "It is closed", json!({ "message": "door: paused until …" }))
            .refuses(StatusCode::NOT_FOUND, not_found),
        Endpoint::post("/v1/cameras/{camera}/resume", resume)
            .about(GROUP, "Open a camera that was paused")
            .needs(Scope::Admin)
            .gives::<Done>(StatusCode::OK, "It is watched", json!({ "message": "door: watched again" }))
            .refuses(StatusCode::NOT_FOUND, not_found),
        Endpoint::get("/v1/cameras/{camera}/snapshot", snapshot)
            .about(GROUP, "The newest frame; an event says that it was taken, and by whom")
            .needs(Scope::Read)
            .query::<Drawn>()
            .gives_other(StatusCode::OK, "The frame", "image/jpeg")
            .refuses(StatusCode::NOT_FOUND, not_found)
            .refuses(StatusCode::CONFLICT, "The camera is paused")
            .refuses(StatusCode::SERVICE_UNAVAILABLE, "The camera gives no frames"),
        Endpoint::post("/v1/cameras/{camera}/enrol", enrol)
            .about(GROUP, "Enrol somebody in front of the camera; how it goes is told line by line")
            .needs(Scope::Enrol)
            .takes::<Enrol>(json!({ "person": "Ada", "seconds": 30, "pictures": 8 }))
            .gives_other(
                StatusCode::OK,
                "JSON objects, one a line: `progress` while it goes on, then `done` or `refused`",
                "application/x-ndjson",
            )
            .refuses(StatusCode::NOT_FOUND, not_found)
            .refuses(StatusCode::CONFLICT, "The camera is paused, or used for something else")
            .refuses(StatusCode::SERVICE_UNAVAILABLE, "The camera gives no frames"),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Cameras {
    cameras: Vec<CameraStatus>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pause {
    /// For so long, 1 to 604,800; left out: until it is resumed.
    #[serde(default)]
    #[schemars(range(min = 1, max = 604_800))]
    seconds: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
struct Done {
    /// What was done, for people.
    message: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drawn {
    /// True to draw boxes, names and what became of those in view.
    #[serde(default)]
    pub(super) boxes: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Enrol {
    /// Who stands there.
    person: PersonId,
    /// At most so long.
    #[serde(default = "usual_seconds")]
    #[schemars(range(min = 1, max = 600))]
    seconds: u32,
    /// So many pictures are taken.
    #[serde(default = "usual_pictures")]
    #[schemars(range(min = 1, max = 50))]
    pictures: u8,
}

fn usual_seconds() -> u32 {
    30
}

fn usual_pictures() -> u8 {
    8
}

/// There is no camera of that name.
pub(super) fn no_such_camera() -> Problem {
    Problem::missing("no_such_camera", "there is no such camera; GET /v1/cameras lists them")
}

/// The camera of a path.
pub(super) fn camera_named(name: &str) -> Result<CameraId, Problem> {
    CameraId::new(name).map_err(|error| Problem::missing("no_such_camera", error))
}

async fn list(State(web): State<Web>) -> Result<Json<Cameras>, Problem> {
    let status = web.errands.ask(|desk, house| desk.status(house)).await?;
    Ok(Json(Cameras { cameras: status.cameras }))
}

async fn one(State(web): State<Web>, Named(name): Named<String>) -> Result<Json<CameraStatus>, Problem> {
    let status = web.errands.ask(|desk, house| desk.status(house)).await?;
    let found = status.cameras.into_iter().find(|camera| camera.camera.as_str() == name);
    found.map(Json).ok_or_else(no_such_camera)
}

async fn pause(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
    Sent(Pause { seconds }): Sent<Pause>,
) -> Result<Json<Done>, Problem> {
    let request = Request::Pause { camera: Some(camera_named(&name)?), seconds };
    done(web.order(request, &caller).await?)
}

async fn resume(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
) -> Result<Json<Done>, Problem> {
    let request = Request::Resume { camera: Some(camera_named(&name)?) };
    done(web.order(request, &caller).await?)
}

fn done(answer: Answer) -> Result<Json<Done>, Problem> {
    match answer {
        Answer::Done { message } => Ok(Json(Done { message })),
        _ => Err(odd()),
    }
}

fn odd() -> Problem {
    Problem::internal("an order was answered by something else than was asked for")
}

async fn snapshot(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
    AskedFor(Drawn { boxes }): AskedFor<Drawn>,
) -> Result<Response, Problem> {
    let request = Request::Snapshot { camera: Some(camera_named(&name)?), boxes };
    let Answer::Snapshot { captured_at, jpeg, .. } = web.order(request, &caller).await? else {
        return Err(odd());
    };
    let jpeg = STANDARD.decode(jpeg).map_err(Problem::internal)?;
    let captured_at = HeaderValue::from_str(&captured_at.to_string()).map_err(Problem::internal)?;
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")), (CAPTURED_AT, captured_at)];
    Ok((headers, jpeg).into_response())
}

async fn enrol(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
    Sent(Enrol { person, seconds, pictures }): Sent<Enrol>,
) -> Result<Response, Problem> {
    let request = Request::Enroll { person, camera: Some(camera_named(&name)?), seconds, pictures };
    let work = match web.begin(request, &caller).await? {
        Reply::Work(work) => work,
        Reply::Answer(answer) => {
            super::orders::refused(answer)?;
            return Err(odd());
        }
    };
    let (tell, told) = mpsc::channel(PROGRESS);
    tokio::spawn(async move {
        let last = match web.work(work, Some(tell.clone())).await {
            Ok(answer) => answer,
            Err(problem) => Answer::refused(crate::control::Refusal::CannotTell, problem.message),
        };
        // Whoever asked may have gone.
        let _or_gone = tell.send(last).await;
    });
    let lines = ReceiverStream::new(told).map(|answer| {
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(line))
    });
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    Ok((kind, Body::from_stream(lines)).into_response())
}
