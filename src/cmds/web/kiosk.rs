//! What a kiosk shows beside the picture: what to do, what came of it, and nothing that is not for visitors: no scores, and
//! no names but of those who were let in.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::Web;
use super::cameras::camera_named;
use super::endpoint::Endpoint;
use super::hint::Hint;
use super::take::Named;
use super::tally::code;
use crate::clock::Clock;
use crate::domain::{CameraId, Event, EventKind, PauseCause};
use crate::http::{Problem, Scope};

/// What to do is not said anew before so long: nobody reads faster.
const SAY_NEW: Duration = Duration::from_millis(400);
/// So much waits for a kiosk that is slow; then it is hung up on, and asks again.
const WAITING: usize = 32;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/cameras/{camera}/kiosk", kiosk)
            .about("Cameras", "What a kiosk shows: `hint`, `decision`, `challenge`, `locked_out` and `camera`, as they happen")
            .needs(Scope::Kiosk)
            .gives_other(StatusCode::OK, "Server-sent events", "text/event-stream")
            .refuses(StatusCode::NOT_FOUND, "There is no such camera"),
    ]
}

async fn kiosk(
    State(web): State<Web>,
    Named(name): Named<String>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let camera = camera_named(&name)?;
    // Before anything else, so that nothing is missed.
    let mut events = web.events.subscribe();
    let mut looking = web.look(camera.clone(), false).await?;
    let status = web.errands.ask(|desk, house| desk.status(house)).await?;
    let state = status.cameras.into_iter().find(|one| one.camera == camera).map(|one| one.state);
    let (tell, told) = mpsc::channel(WAITING);
    let clock = Arc::clone(&web.clock);
    tokio::spawn(async move {
        let mut said: Option<Hint> = None;
        if !say(&tell, "camera", &json!({ "state": state })) {
            return;
        }
        let mut pause = tokio::time::interval(SAY_NEW);
        loop {
            let goes_on = tokio::select! {
                () = tell.closed() => false,
                event = events.recv() => match event {
                    Ok(event) => told_of(&event, &camera, clock.as_ref()).is_none_or(|(kind, data)| say(&tell, kind, &data)),
                    // What it missed is old by now.
                    Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => false,
                },
                _ = pause.tick() => {
                    let hint = looking.borrow_and_update().as_ref().map(|look| look.hint);
                    let is_new = hint.is_some() && hint != said;
                    said = hint.or(said);
                    !is_new || say(&tell, "hint", &json!({ "code": hint }))
                }
            };
            if !goes_on {
                return;
            }
        }
    });
    Ok(Sse::new(ReceiverStream::new(told)).keep_alive(KeepAlive::default()))
}

/// Says something; false if whoever listens is gone, or does not listen.
fn say(tell: &mpsc::Sender<Result<sse::Event, Infallible>>, kind: &str, data: &Value) -> bool {
    tell.try_send(Ok(sse::Event::default().event(kind).data(data.to_string()))).is_ok()
}

/// What a kiosk is told of an event; `None` if nothing.
fn told_of(event: &Event, camera: &CameraId, clock: &dyn Clock) -> Option<(&'static str, Value)> {
    if event.kind.camera() != Some(camera) {
        return None;
    }
    let now = clock.wall(clock.now());
    let refused = |reason: Option<String>, decided_at: crate::clock::WallTime| {
        let told = json!({
            "verdict": "refused", "name": null, "reason": reason, "event": event.id, "decided_at": decided_at
        });
        Some(("decision", told))
    };
    match &event.kind {
        EventKind::Verified { person, expires_at, detail, .. } if now < *expires_at => {
            let name = detail.display_name.clone().unwrap_or_else(|| person.to_string());
            let told = json!({
                "verdict": "verified", "name": name, "reason": null, "event": event.id,
                "decided_at": detail.decided_at
            });
            Some(("decision", told))
        }
        // A grant that is over welcomes nobody.
        EventKind::Verified { detail, .. } => refused(Some("too_late".to_owned()), detail.decided_at),
        EventKind::Unknown { reason, detail } => refused(Some(code(*reason)), detail.decided_at),
        EventKind::Rejected { reason, detail, .. } => refused(Some(code(*reason)), detail.decided_at),
        EventKind::Challenge { step, of, prompt, until, .. } => {
            let left = until.0.duration_since(now.0).as_millis();
            Some(("challenge", json!({ "prompt": prompt, "step": step, "of": of, "remaining_ms": left })))
        }
        EventKind::LockedOut { until, .. } => {
            let left = until.0.duration_since(now.0).as_millis();
            Some(("locked_out", json!({ "remaining_ms": left })))
        }
        EventKind::CameraLost { .. } => Some(("camera", json!({ "state": "lost" }))),
        EventKind::CameraPaused { why, .. } => {
            let state = match why {
                PauseCause::Asked => "paused",
                PauseCause::Enrolment => "enrolling",
                PauseCause::LivenessTest => "testing",
            };
            Some(("camera", json!({ "state": state })))
        }
        EventKind::CameraRecovered { .. } | EventKind::CameraResumed { .. } => {
            Some(("camera", json!({ "state": "watching" })))
        }
        _ => None,
    }
}
