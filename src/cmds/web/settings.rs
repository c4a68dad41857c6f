//! The settings: shown, and a text of them checked. They are changed in their file alone.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Web;
use super::endpoint::Endpoint;
use super::take::Sent;
use crate::camera::shown_source;
use crate::config::{Config, ConfigError, Diagnostic, MAX_FILE_BYTES, Severity};
use crate::http::{Problem, Scope};

const GROUP: &str = "Settings";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/settings", show)
            .about(GROUP, "The settings in force, without passwords")
            .needs(Scope::Admin)
            .gives::<Shown>(StatusCode::OK, "The settings", json!({ "settings": { "schema": 1 } })),
        Endpoint::post("/v1/config/check", check)
            .about(GROUP, "What is wrong with a configuration file, and where; changes nothing")
            .needs(Scope::Admin)
            .takes::<Text>(json!({ "yaml": "schema: 1\ncameras:\n  - id: door\n    source: /dev/video0\n" }))
            .up_to(2 * MAX_FILE_BYTES)
            .gives::<Checked>(
                StatusCode::OK,
                "What is to be said",
                json!({ "usable": true, "findings": [] }),
            ),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Shown {
    /// As in the file; keys that are left out there have their defaults.
    settings: Value,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// The whole file.
    yaml: String,
}

#[derive(Serialize, JsonSchema)]
struct Checked {
    /// Whether it could be used.
    usable: bool,
    findings: Vec<Finding>,
}

#[derive(Serialize, JsonSchema)]
struct Finding {
    /// `error` or `warning`.
    severity: &'static str,
    /// From 1; `null` if it concerns the file as a whole.
    line: Option<usize>,
    /// In characters, from 1.
    column: Option<usize>,
    /// What is wrong.
    message: String,
    /// What would be right.
    help: String,
}

async fn show(State(web): State<Web>) -> Result<Json<Shown>, Problem> {
    let config = web.errands.ask(|_, house| house.config().clone()).await?;
    without_passwords(config).map(|settings| Json(Shown { settings }))
}

/// The settings; addresses may have passwords in them, and those of webhooks secrets in their paths.
fn without_passwords(mut config: Config) -> Result<Value, Problem> {
    for camera in &mut config.cameras {
        camera.source = shown_source(&camera.source);
    }
    for webhook in &mut config.events.webhooks {
        let end = webhook.url.match_indices('/').nth(2).map_or(webhook.url.len(), |(at, _)| at);
        let place = &webhook.url[..end];
        let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
        webhook.url = format!("{host}/…");
    }
    serde_json::to_value(config).map_err(Problem::internal)
}

async fn check(State(web): State<Web>, Sent(Text { yaml }): Sent<Text>) -> Result<Json<Checked>, Problem> {
    web.aside(move || {
        let (usable, said) = match Config::from_yaml_with_warnings(&yaml, "yaml") {
            Ok((_, warnings)) => (true, warnings),
            Err(ConfigError::Faults(faults)) => (false, faults),
            Err(error) => return Err(Problem::bad("bad_config", error)),
        };
        Ok(Json(Checked { usable, findings: said.into_iter().map(finding).collect() }))
    })
    .await
}

fn finding(said: Diagnostic) -> Finding {
    let severity = match said.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let Diagnostic { place, message, help, .. } = said;
    Finding { severity, line: place.map(|at| at.line), column: place.map(|at| at.column), message, help }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Camera, Webhook};
    use crate::domain::CameraId;

    #[test]
    fn no_password_is_shown() {
        let camera = Camera::new(CameraId::new("door").unwrap(), "rtsp://ada:s3cret@10.0.0.7/stream".into());
        let mut config = Config::new(camera);
        let webhook = json!({
            "name": "chat", "url": "https://u:s3cret@hooks.example/services/s3cret?t=s3cret", "secret_file": "x"
        });
        config.events.webhooks.push(serde_json::from_value::<Webhook>(webhook).unwrap());
        let shown = without_passwords(config).unwrap().to_string();
        assert!(!shown.contains("s3cret") && shown.contains("10.0.0.7"), "{shown}");
        assert!(shown.contains("hooks.example/…"), "{shown}");
    }
}
