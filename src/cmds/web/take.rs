//! What a request carries, with errors as JSON.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use crate::http::Problem;

/// The JSON that was sent.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // Not only for order: a page of somebody else cannot send this type without asking first.
        if !kind.is_some_and(|kind| kind.split(';').next().is_some_and(|kind| is_json(kind.trim()))) {
            let message = "send JSON, with `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
        }
        let bytes = body(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::bad("bad_json", error))
    }
}

fn is_json(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("application/json")
}

/// The whole body, up to the endpoint's limit.
pub(super) async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "what was sent is too large")
        }
        _ => Problem::bad("bad_body", "what was sent could not be read to its end"),
    })
}

/// What stands behind the `?`.
pub(super) struct AskedFor<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for AskedFor<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(query)| Self(query)).map_err(|error| Problem::bad("bad_query", error.body_text()))
    }
}

/// The names in the path: one, or a tuple of them.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|error| Problem::bad("bad_path", error.body_text()))
    }
}
