//! Signing in and out: a browser shows a token once and goes on with a cookie.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Web;
use super::endpoint::Endpoint;
use super::take::Sent;
use crate::clock::WallTime;
use crate::http::{COOKIE, Peer, Problem, Scope, Session};

const GROUP: &str = "Sessions of browsers";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let shown = || {
        json!({
            "name": "front-desk", "scopes": ["enrol"], "csrf": "kS0…", "expires_at": "2026-11-26T20:00:00.000Z"
        })
    };
    vec![
        Endpoint::post("/v1/session", sign_in)
            .about(GROUP, "Sign in with a token; a cookie comes back")
            .open()
            .takes::<SignIn>(json!({ "token": "fwt_…" }))
            .gives::<Signed>(StatusCode::OK, "Signed in", shown())
            .refuses(StatusCode::UNAUTHORIZED, "The token is none"),
        Endpoint::get("/v1/session", who)
            .about(GROUP, "Who has signed in")
            .open()
            .gives::<Signed>(StatusCode::OK, "Somebody has", shown())
            .refuses(StatusCode::UNAUTHORIZED, "Nobody has"),
        Endpoint::delete("/v1/session", sign_out)
            .about(GROUP, "Sign out")
            .open()
            .gives_other(StatusCode::NO_CONTENT, "Signed out", "")
            .refuses(StatusCode::FORBIDDEN, "Asked by somebody else's page"),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// A token that `facewarden token create` made.
    token: String,
}

#[derive(Serialize, JsonSchema)]
struct Signed {
    /// Name of the token.
    name: String,
    /// What may be done with it.
    scopes: Vec<Scope>,
    /// To be sent as `X-Facewarden-CSRF` with everything that changes something.
    csrf: String,
    /// When the session ends.
    expires_at: WallTime,
}

async fn sign_in(
    State(web): State<Web>,
    Extension(peer): Extension<Peer>,
    Sent(SignIn { token }): Sent<SignIn>,
) -> Result<Response, Problem> {
    let token = web.gate.check_token(token.trim(), Some(peer.0.ip()))?;
    let granted = web.gate.sessions.open(&token).map_err(Problem::internal)?;
    let lasts = granted.session.ends.since(web.clock.now());
    let mut response = Json(signed(&web, granted.session)).into_response();
    set_cookie(&web, response.headers_mut(), &granted.cookie, lasts)?;
    Ok(response)
}

async fn who(State(web): State<Web>, headers: HeaderMap) -> Result<Json<Signed>, Problem> {
    let session = web.gate.session(&headers);
    session
        .map(|session| Json(signed(&web, session)))
        .ok_or_else(|| Problem::unknown_caller("nobody has signed in"))
}

async fn sign_out(State(web): State<Web>, method: Method, headers: HeaderMap) -> Result<Response, Problem> {
    web.gate.sign_out(&method, &headers)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&web, response.headers_mut(), "", Duration::ZERO)?;
    Ok(response)
}

fn signed(web: &Web, session: Session) -> Signed {
    let Session { name, scopes, csrf, ends, .. } = session;
    Signed { name, scopes, csrf, expires_at: web.clock.wall(ends) }
}

fn set_cookie(web: &Web, headers: &mut HeaderMap, value: &str, lasts: Duration) -> Result<(), Problem> {
    let secure = if web.gate.is_tls { "; Secure" } else { "" };
    let lasts = lasts.as_secs();
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts}{secure}");
    headers.insert(header::SET_COOKIE, HeaderValue::from_str(&cookie).map_err(Problem::internal)?);
    Ok(())
}
