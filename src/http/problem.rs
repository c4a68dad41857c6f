//! What a caller is told when something was not done.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

/// Why a request was not done: a status, a code for programs, and what to do for people. Never a trace of the program's
/// inside.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// 4xx where the caller can mend it, 5xx where not.
    pub status: StatusCode,
    /// For programs: small letters, digits and `_`.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
    /// More for programs; its keys stand beside `error` and `code`.
    pub more: Map<String, Value>,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// One with that status.
    pub fn new(status: StatusCode, code: &'static str, message: impl std::fmt::Display) -> Self {
        Self { status, code, message: message.to_string(), more: Map::new(), retry_after: None }
    }

    /// 400: the request is not one that can be answered.
    pub fn bad(code: &'static str, message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: who asks did not show that they may.
    pub fn unknown_caller(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_signed_in", message)
    }

    /// 403: who asks may not.
    pub fn forbidden(code: &'static str, message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404: there is no such thing.
    pub fn missing(code: &'static str, message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 409: what there is speaks against it.
    pub fn conflict(code: &'static str, message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 422: what was sent cannot be used for this.
    pub fn unusable(code: &'static str, message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 503: too much is going on; come again.
    pub fn busy(message: impl std::fmt::Display) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
        Self { retry_after: Some(1), ..problem }
    }

    /// 503: what is needed is not there at the moment.
    pub fn unavailable(code: &'static str, message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// 500: a defect of the program, or a disk that fails. The reason goes to the log, since it may tell of its inside.
    pub fn internal(reason: impl std::fmt::Display) -> Self {
        tracing::error!("a request was not answered: {reason}");
        let message = "this could not be done; the daemon's log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// With one more thing for programs.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.more;
        body.insert("error".to_owned(), self.message.into());
        body.insert("code".to_owned(), self.code.into());
        let mut response = (self.status, axum::Json(Value::Object(body))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
