//! The pages for visitors and operators. They are in the program, load nothing from elsewhere, and run nothing that is not
//! theirs.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum::{Json, extract::Path};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Web;
use super::endpoint::Endpoint;
use crate::domain::CameraId;
use crate::http::{Problem, Scope};

/// Scripts and styles are files of ours, pictures of ours or made by the page; nobody frames it, no form leaves it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src \
                      'self'; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the pages.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File { name: $name, kind: $kind, text: include_str!(concat!("pages/", $name)) }
    };
}

const FILES: [File; 13] = [
    file!("kiosk.html", HTML),
    file!("admin.html", HTML),
    file!("style.css", "text/css; charset=utf-8"),
    file!("common.js", SCRIPT),
    file!("kiosk.js", SCRIPT),
    file!("admin.js", SCRIPT),
    file!("people.js", SCRIPT),
    file!("photos.js", SCRIPT),
    file!("events.js", SCRIPT),
    file!("health.js", SCRIPT),
    file!("liveness.js", SCRIPT),
    file!("en.json", "application/json"),
    file!("de.json", "application/json"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/kiosk", kiosk)
            .about("Cameras", "What a kiosk has to know")
            .needs(Scope::Kiosk)
            .gives::<Kiosk>(StatusCode::OK, "It", json!({ "cameras": ["door"], "notice": null })),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Kiosk {
    /// The cameras there are.
    cameras: Vec<CameraId>,
    /// The privacy notice; `null` for the page's own.
    notice: Option<String>,
}

async fn kiosk(State(web): State<Web>) -> Result<Json<Kiosk>, Problem> {
    let kiosk = web.errands.ask(|_, house| Kiosk {
        cameras: house.cameras().into_iter().map(|view| view.settings.id).collect(),
        notice: house.config().http.kiosk.notice.clone(),
    });
    kiosk.await.map(Json)
}

/// The addresses of the pages.
pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/", get(async || Redirect::temporary("/admin")))
        .route("/kiosk", get(async |headers: HeaderMap| serve("kiosk.html", &headers)))
        .route("/admin", get(async |headers: HeaderMap| serve("admin.html", &headers)))
        .route(
            "/pages/{file}",
            get(async |headers: HeaderMap, Path(name): Path<String>| serve(&name, &headers)),
        )
}

fn serve(name: &str, asked: &HeaderMap) -> Response {
    let Some(File { kind, text, .. }) = FILES.iter().find(|file| file.name == name) else {
        return Problem::missing("no_such_path", "there is no such page").into_response();
    };
    let hash = Sha256::digest(text.as_bytes());
    let tag = format!("\"{}\"", hash[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let is_known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], *text).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(self), microphone=(), geolocation=()"),
    );
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::cmds::web::hint::Hint;
    use crate::domain::Prompt;

    fn words(name: &str) -> BTreeMap<String, String> {
        serde_json::from_str(FILES.iter().find(|file| file.name == name).unwrap().text).unwrap()
    }

    #[test]
    fn every_language_has_every_word_and_no_other() {
        let (english, german) = (words("en.json"), words("de.json"));
        let keys: BTreeSet<&String> = english.keys().collect();
        assert_eq!(keys, german.keys().collect());
        for (key, text) in &english {
            let names = |text: &str| text.matches('{').count();
            assert!(!text.is_empty() && names(text) == names(&german[key]), "{key}");
        }
        // What the pages ask for is there; what is there is asked for, as it stands or by how it begins.
        let sources: String =
            FILES.iter().filter(|file| !file.name.ends_with(".json")).map(|file| file.text).collect();
        for key in &keys {
            let begins = [
                "hint_", "prompt_", "reason_", "state_", "error_", "column_", "kind_", "filter_", "legend_",
                "test_", "taken_",
            ]
            .iter()
            .any(|start| key.starts_with(start));
            assert!(begins || sources.contains(&format!("\"{key}\"")), "nobody says `{key}`");
        }
        for marker in ["data-t=\"", "data-t-label=\"", "data-title=\"", " t(\"", "(t(\"", "${t(\"", ", t(\""]
        {
            for rest in sources.split(marker).skip(1) {
                let key = rest.split('"').next().unwrap().to_owned();
                assert!(keys.contains(&key), "there are no words for `{key}`");
            }
        }
    }

    #[test]
    fn every_hint_and_prompt_has_words() {
        let english = words("en.json");
        let hints = [
            Hint::Nobody,
            Hint::Wait,
            Hint::ComeCloser,
            Hint::StepBack,
            Hint::MoreLight,
            Hint::LessLight,
            Hint::HoldStill,
            Hint::LookHere,
            Hint::CameraUnfit,
        ];
        let codes = hints.iter().map(|hint| serde_json::to_value(hint).unwrap());
        let prompts = Prompt::ALL.iter().map(|prompt| serde_json::to_value(prompt).unwrap());
        let keys = codes.map(|code| format!("hint_{}", code.as_str().unwrap()));
        let keys = keys.chain(prompts.map(|prompt| format!("prompt_{}", prompt.as_str().unwrap())));
        keys.for_each(|key| assert!(english.contains_key(&key), "{key}"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_nothing_is_inline() {
        for File { name, text, .. } in &FILES {
            let is_other = |at: usize| !text[at..].starts_with("http://www.w3.org/2000/svg");
            assert!(
                !text.match_indices("http").any(|(at, _)| is_other(at)
                    && text[at..].contains("://")
                    && text[at..at + 8].contains("://")),
                "{name}"
            );
            for inline in ["innerHTML", "style=\"", "<style", "onclick=", "javascript:", "eval("] {
                assert!(!text.contains(inline), "{name}: {inline}");
            }
        }
    }
}
