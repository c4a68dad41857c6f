//! How it goes, as `facewarden ctl status` tells it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;

use super::Web;
use super::endpoint::Endpoint;
use crate::control::Status;
use crate::http::{Problem, Scope};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example = json!({
        "version": "0.1.0", "since": "2026-11-26T08:00:00.000Z", "at": "2026-11-26T08:00:10.000Z", "cameras": [],
        "people": 2, "gallery_trouble": [], "waiting": [], "last_event": null, "watchdog_ms": null, "degraded": []
    });
    vec![
        Endpoint::get("/v1/status", status)
            .about("How it goes", "Cameras, gallery and sinks, and what did not work lately")
            .needs(Scope::Read)
            .gives::<Status>(StatusCode::OK, "How it goes", example),
    ]
}

async fn status(State(web): State<Web>) -> Result<Json<Status>, Problem> {
    web.errands.ask(|desk, house| desk.status(house)).await.map(Json)
}
