//! All that is answered, in one list.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};

use super::endpoint::Endpoint;
use super::upload::Limits;
use super::{
    Web, cameras, error_rates, events, health, kiosk, liveness, looks, metrics, openapi, pages, persons,
    preview, session, settings, status, verify,
};
use crate::http::Problem;

/// Every endpoint of the API.
pub(super) fn endpoints(limits: Limits) -> Vec<Endpoint> {
    let all = [
        health::endpoints(),
        session::endpoints(),
        status::endpoints(),
        cameras::endpoints(),
        liveness::endpoints(),
        persons::endpoints(),
        events::endpoints(),
        settings::endpoints(),
        error_rates::endpoints(),
        metrics::endpoints(),
        pages::endpoints(),
        kiosk::endpoints(),
        preview::endpoints(),
        looks::endpoints(limits),
        verify::endpoints(limits),
    ];
    all.into_iter().flatten().collect()
}

/// What answers requests.
pub(super) fn router(web: &Web) -> Router {
    let all = endpoints(web.limits);
    let document = openapi::document(&all);
    let mut router = Router::new();
    for endpoint in all {
        router = router.route(endpoint.path, endpoint.into_handler(web));
    }
    let gate = Arc::clone(&web.gate);
    router
        .merge(openapi::router(&document))
        .merge(pages::router())
        .fallback(nothing_there)
        .method_not_allowed_fallback(not_done_here)
        .layer(from_fn(move |request: Request, next: Next| Arc::clone(&gate).around(request, next)))
        .with_state(web.clone())
}

async fn nothing_there() -> Problem {
    Problem::missing("no_such_path", "there is nothing at this path; GET /openapi.json says what there is")
}

async fn not_done_here() -> Problem {
    let message = "this path has other methods; GET /openapi.json says which";
    Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "no_such_method", message)
}
