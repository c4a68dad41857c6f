//! Who may come in, and what holds for every answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use super::rate::Rate;
use super::rest::Patient;
use super::session::{COOKIE, CSRF_HEADER, Session, Sessions};
use super::stats::HttpStats;
use super::token::{Scope, TokenWatch, covers};
use crate::clock::Clock;
use crate::config::Http;

/// A request, its body and the work on it take at most so long, until the answer begins.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Somebody who shows tokens that are none, so often...
const WRONG_TOKENS_PER_SECOND: f64 = 0.2;
/// ... and so often at once, waits.
const WRONG_TOKENS_AT_ONCE: u32 = 20;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token; `None` for somebody without one.
    pub name: Option<String>,
    /// The session of a browser that has signed in; `None` for whoever shows a token, or nothing.
    session: Option<Session>,
    /// What they may do.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// Whether they may do what takes `wanted`.
    #[must_use]
    pub fn may(&self, wanted: Scope) -> bool {
        covers(&self.scopes, wanted)
    }

    /// As events name whoever did something: `the token ada`.
    #[must_use]
    pub fn as_doer(&self) -> String {
        match &self.name {
            Some(name) => format!("the token {name}"),
            None => "somebody without a token".to_owned(),
        }
    }
}

/// Lets in who may, and nobody else.
pub struct Gate {
    /// The tokens there are.
    pub tokens: TokenWatch,
    /// The browsers that have signed in.
    pub sessions: Sessions,
    /// What is counted.
    pub stats: Arc<HttpStats>,
    /// Whether TLS is spoken, so that cookies are for it alone.
    pub is_tls: bool,
    clock: Arc<dyn Clock>,
    names: Vec<String>,
    free: Option<Scope>,
    by_caller: Rate<String>,
    wrong: Rate<IpAddr>,
}

impl Gate {
    /// By these settings.
    #[must_use]
    pub fn new(settings: &Http, tokens: TokenWatch, clock: Arc<dyn Clock>) -> Self {
        Self {
            tokens,
            sessions: Sessions::new(Arc::clone(&clock)),
            stats: Arc::default(),
            is_tls: settings.tls.is_some(),
            clock,
            names: settings.names.clone(),
            free: settings.verify.without_token.then_some(Scope::Verify),
            by_caller: Rate::new(
                settings.requests_per_second.into(),
                settings.requests_per_second.saturating_mul(2),
            ),
            wrong: Rate::new(WRONG_TOKENS_PER_SECOND, WRONG_TOKENS_AT_ONCE),
        }
    }

    /// What holds for every request and every answer.
    pub async fn around(self: Arc<Self>, request: Request, next: Next) -> Response {
        let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let method = request.method().clone();
        let request = Patient::with(request);
        let mut response = match self.check_place(request.headers()) {
            Err(problem) => problem.into_response(),
            Ok(()) => match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
                Ok(response) => response,
                Err(_elapsed) => {
                    let message = "the request was not complete within 60 seconds";
                    Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message).into_response()
                }
            },
        };
        let route = route.unwrap_or_else(|| "elsewhere".to_owned());
        self.stats.answer(&route, response.status().as_u16());
        tracing::debug!(%method, route, status = response.status().as_u16(), "answered");
        protect(response.headers_mut(), self.is_tls);
        response
    }

    /// Refuses what a page of somebody else, or a name that was made to point here, sends by a browser of ours.
    fn check_place(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(host) = headers.get(header::HOST) else { return Ok(()) };
        let host = host.to_str().map_err(|_| Problem::bad("bad_host", "the Host header is no text"))?;
        if !self.is_own_name(host) {
            let message =
                "this server does not go by that name; `http.names` in its settings lists its names";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", message));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let own = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, place)| place);
        if own.is_some_and(|place| place.eq_ignore_ascii_case(host)) {
            return Ok(());
        }
        Err(Problem::forbidden("foreign_origin", "pages of other servers may not ask here"))
    }

    fn is_own_name(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Who asks, if they may do what takes `wanted`.
    ///
    /// # Errors
    /// 401 where it is not known who asks, 403 where they may not, 429 where they ask too often.
    pub fn admit(&self, request: &Request, wanted: Scope) -> Result<Caller, Problem> {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        let caller = match self.identify(request.headers(), peer)? {
            Some(known) => known,
            None if self.free == Some(wanted) => Caller { name: None, session: None, scopes: vec![wanted] },
            None => {
                let message = "this takes a token: send `Authorization: Bearer TOKEN` (`facewarden token create` makes one)";
                return Err(Problem::unknown_caller(message));
            }
        };
        let key = caller.name.clone().unwrap_or_else(|| peer.map(|ip| ip.to_string()).unwrap_or_default());
        if let Err(wait) = self.by_caller.take(key, self.clock.now()) {
            return Err(too_often(wait));
        }
        if !caller.may(wanted) {
            let message = format!("this takes a token with the scope `{}`", wanted.as_str());
            return Err(Problem::forbidden("scope", message));
        }
        if let Some(session) = &caller.session {
            check_csrf(request.method(), request.headers(), session)?;
        }
        Ok(caller)
    }

    /// Who asks; `None` for somebody who shows nothing.
    fn identify(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Option<Caller>, Problem> {
        if let Some(shown) = headers.get(header::AUTHORIZATION) {
            let shown = shown.to_str().ok().and_then(|text| {
                let (scheme, secret) = text.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
            });
            let token = self.check_token(shown.unwrap_or_default(), peer)?;
            return Ok(Some(Caller { name: Some(token.name), session: None, scopes: token.scopes }));
        }
        Ok(self.session(headers).map(|session| Caller {
            name: Some(session.name.clone()),
            scopes: session.scopes.clone(),
            session: Some(session),
        }))
    }

    /// The token that this is.
    ///
    /// # Errors
    /// 401 if it is none, 429 if somebody there showed too many that are none.
    pub fn check_token(&self, secret: &str, peer: Option<IpAddr>) -> Result<super::Token, Problem> {
        let now = self.clock.now();
        if let Some(peer) = peer
            && !self.wrong.has_room(&peer, now)
        {
            return Err(too_often(Duration::from_secs(5)));
        }
        self.tokens.find(secret).ok_or_else(|| {
            let _or_full = peer.map(|peer| self.wrong.take(peer, now));
            Problem::unknown_caller("this token is none, was revoked, or has expired")
        })
    }

    /// The session of whoever asks, if they have one.
    #[must_use]
    pub fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let session = self.sessions.find(cookie(headers)?)?;
        self.tokens.still_has(&session.token).then_some(session)
    }

    /// Ends the session of whoever asks, if they show that it is theirs.
    ///
    /// # Errors
    /// 403 without the session's `csrf`.
    pub fn sign_out(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        if let (Some(cookie), Some(session)) = (cookie(headers), self.session(headers)) {
            check_csrf(method, headers, &session)?;
            self.sessions.close(cookie);
        }
        Ok(())
    }
}

fn too_often(wait: Duration) -> Problem {
    let message = "too many requests: wait a moment";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_often", message);
    let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
    Problem { retry_after: Some(seconds), ..problem }
}

fn check_csrf(method: &Method, headers: &HeaderMap, session: &Session) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let shown = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if session.is_csrf(shown) {
        return Ok(());
    }
    let message = format!("the header {CSRF_HEADER} does not say what `GET /v1/session` told");
    Err(Problem::forbidden("csrf", message))
}

/// The value of the session's cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// No answer is to be read as something else, framed, sniffed or kept, unless it says so itself.
fn protect(headers: &mut HeaderMap, is_tls: bool) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let unless_said = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in unless_said {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}
