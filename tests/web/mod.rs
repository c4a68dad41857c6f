//! The HTTP server of the real daemon: who is let in, and what is answered.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod abuse;
mod access;
mod api;
mod liveness;
mod metrics;
mod pictures;
mod tokens;

use std::net::SocketAddr;
use std::time::Duration;

use facewarden::clock::{Clock, SystemClock};
use facewarden::http::{Scope, TokenFile};
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::daemon::rig::{Daemon, Rig, text};
use crate::support::eventually;

/// Somebody comes every two seconds; at ten frames a second.
pub(crate) const AGAIN_AND_AGAIN: [crate::daemon::rig::Before; 2] =
    [crate::daemon::rig::Before::Barack(10), crate::daemon::rig::Before::Nobody(10)];

/// A daemon that is ready, its HTTP server, and a token for everything.
pub(crate) struct Served {
    pub(crate) daemon: Daemon,
    pub(crate) address: SocketAddr,
    pub(crate) tokens: TokenFile,
    pub(crate) admin: String,
}

impl Served {
    /// `http` are more settings of it, as they stand in braces; `more` are other settings.
    pub(crate) fn start(rig: &Rig, http: &str, more: &str) -> Self {
        Self::of(rig, &settings(rig, http, more))
    }

    /// With all settings beside the camera's.
    pub(crate) fn of(rig: &Rig, settings: &str) -> Self {
        Self::with(rig, "mode: report", settings)
    }

    /// With these settings of liveness, as they stand in braces, and all others beside the camera's.
    pub(crate) fn with(rig: &Rig, liveness: &str, settings: &str) -> Self {
        let tokens = TokenFile::at(&rig.path("tokens.json"));
        let admin = token(&tokens, "admin", Scope::Admin);
        let daemon = rig.watch_with(liveness, settings);
        assert!(daemon.told().starts_with("READY=1"), "{}", daemon.log());
        let mut address = None;
        eventually("an address", || {
            let log = daemon.log();
            let found =
                log.split("HTTP is answered at http").nth(1).and_then(|rest| rest.split("://").nth(1));
            address =
                found.and_then(|rest| rest.split_whitespace().next()).and_then(|text| text.parse().ok());
            address.is_some()
        });
        Self { daemon, address: address.unwrap(), tokens, admin }
    }

    /// Answers whatever the status is.
    pub(crate) fn agent() -> Agent {
        Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .build()
            .new_agent()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = Self::agent().get(self.url(path)).header("Authorization", bearer(&self.admin));
        Answer::of(request.call().unwrap())
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        let request = Self::agent().delete(self.url(path)).header("Authorization", bearer(&self.admin));
        Answer::of(request.call().unwrap())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let request = Self::agent().post(self.url(path)).header("Authorization", bearer(&self.admin));
        let request = request.content_type("application/json");
        Answer::of(request.send(body.to_string()).unwrap())
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Answer {
        let request = Self::agent().patch(self.url(path)).header("Authorization", bearer(&self.admin));
        let request = request.content_type("application/json");
        Answer::of(request.send(body.to_string()).unwrap())
    }
}

/// The settings of a daemon with an HTTP server, in the rig's folder.
pub(crate) fn settings(rig: &Rig, http: &str, more: &str) -> String {
    format!(
        "events: {{ log: \"-\", outbox: {{ folder: \"{}\" }} }}\nhttp: {{ listen: \"127.0.0.1:0\", tokens: \"{}\", \
         {http} }}\n{more}",
        text(&rig.path("outbox")),
        text(&rig.path("tokens.json")),
    )
}

pub(crate) fn token(file: &TokenFile, name: &str, scope: Scope) -> String {
    let clock = SystemClock::new();
    file.create(name, vec![scope], clock.wall(clock.now()), None).unwrap().secret
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) response: Response<()>,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn of(response: Response<Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let bytes = body.read_to_vec().unwrap();
        Self { status: parts.status.as_u16(), response: Response::from_parts(parts, ()), bytes }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// That it was refused so, in the form that all refusals have.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        let body = self.json(status);
        assert_eq!(body["code"], code, "{body}");
        assert!(self.header("cache-control").contains("no-store"));
        body["error"].as_str().unwrap().to_owned()
    }
}
