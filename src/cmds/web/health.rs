//! Whether the daemon is alive, and whether it can recognise anybody.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::Web;
use super::endpoint::Endpoint;
use crate::clock::Moment;
use crate::control::{CameraState, Status};
use crate::http::Problem;

const GROUP: &str = "How it goes";
/// What was told of being ready is told again for so long.
const GOOD_FOR: Duration = Duration::from_millis(500);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/healthz", healthz)
            .about(GROUP, "Whether the daemon is alive")
            .open()
            .gives::<Alive>(StatusCode::OK, "It is", json!({ "status": "ok" }))
            .refuses(StatusCode::SERVICE_UNAVAILABLE, "It hangs"),
        Endpoint::get("/readyz", readyz)
            .about(GROUP, "Whether frames flow and somebody could be recognised")
            .open()
            .gives::<Ready>(StatusCode::OK, "They do", json!({ "ready": true, "reasons": [] }))
            .gives::<Ready>(
                StatusCode::SERVICE_UNAVAILABLE,
                "They do not, and why",
                json!({ "ready": false, "reasons": ["a camera is lost"] }),
            ),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Alive {
    /// `ok`.
    status: &'static str,
}

#[derive(Clone, Serialize, JsonSchema)]
struct Ready {
    /// True if frames of every camera flow and the gallery can be read.
    ready: bool,
    /// Why not. It names no camera and nobody, since everybody may ask.
    reasons: Vec<&'static str>,
}

/// Asks nobody, so that it can be asked as often as one likes.
async fn healthz(State(web): State<Web>) -> Result<Json<Alive>, Problem> {
    if web.errands.is_alive(web.clock.as_ref()) {
        return Ok(Json(Alive { status: "ok" }));
    }
    Err(Problem::unavailable("hangs", "the daemon has not looked after its cameras for 30 seconds"))
}

/// What was last told of being ready. Everybody may ask, and as often as they like; the main thread is asked by one of them
/// at a time, and once in a while.
#[derive(Default)]
pub(super) struct Readiness(tokio::sync::Mutex<Option<(Moment, Ready)>>);

async fn readyz(State(web): State<Web>) -> Result<Response, Problem> {
    let mut told = web.readiness.0.lock().await;
    let ready = match &*told {
        Some((when, ready)) if web.clock.now().since(*when) < GOOD_FOR => ready.clone(),
        _ => {
            let ready = Ready::of(&web.errands.ask(|desk, house| desk.status(house)).await?);
            *told = Some((web.clock.now(), ready.clone()));
            ready
        }
    };
    let code = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((code, Json(ready)).into_response())
}

impl Ready {
    fn of(status: &Status) -> Self {
        let mut reasons = Vec::new();
        let mut add = |reason: &'static str| {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        };
        for camera in &status.cameras {
            match camera.state {
                CameraState::Watching => (),
                CameraState::Starting => add("a camera gave no frame yet"),
                CameraState::Lost => add("a camera is lost"),
                CameraState::Paused => add("a camera is paused"),
                CameraState::Enrolling => add("somebody is being enrolled at a camera"),
                CameraState::Testing => add("a liveness self-test goes on at a camera"),
            }
        }
        if !status.gallery_trouble.is_empty() {
            add("something is wrong with the gallery");
        }
        Self { ready: reasons.is_empty(), reasons }
    }
}
