//! `POST /verify` and `POST /represent` as DeepFace has them, for programs that call it today.
//!
//! What a request asks for is done, or refused: nothing is ignored. So an option is taken only with the value that says
//! what is done here anyway (`align: true`), and a picture without a face is never taken for a face.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Web;
use super::endpoint::Endpoint;
use super::upload::{Fields, Limits};
use crate::clock::Moment;
use crate::cmds::engine::Engine;
use crate::cmds::exit::Exit;
use crate::cmds::judge::JudgeArgs;
use crate::cmds::pictures::{FacialArea, Seen, look_at};
use crate::cmds::verified::{Verified, most_alike};
use crate::http::{Problem, Scope};
use crate::matching::Metric;

const GROUP: &str = "DeepFace's contract";
const IMG1: [&str; 2] = ["img1", "img1_path"];
const IMG2: [&str; 2] = ["img2", "img2_path"];
const IMG: [&str; 2] = ["img", "img_path"];

pub(super) fn endpoints(limits: Limits) -> Vec<Endpoint> {
    let picture = "data:image/jpeg;base64,/9j/4AAQ…";
    let area = json!({ "x": 10, "y": 12, "w": 80, "h": 96, "left_eye": [66, 50], "right_eye": [34, 50] });
    let bad = "A field is missing, unknown or no picture, or there is no face";
    vec![
        Endpoint::post("/verify", verify)
            .about(GROUP, "Whether two pictures show one person")
            .needs(Scope::Verify)
            .takes::<VerifyFields>(json!({ "img1": picture, "img2": picture }))
            .or_form()
            .up_to(limits.body(2))
            .gives::<Verified>(
                StatusCode::OK,
                "Whether they do",
                json!({
                    "verified": true, "distance": 0.21, "threshold": 0.55, "confidence": 81.2,
                    "model": "faceplugin512", "detector_backend": "centerface", "similarity_metric": "cosine",
                    "facial_areas": { "img1": area, "img2": area }, "time": 0.05
                }),
            )
            .refuses(StatusCode::BAD_REQUEST, bad)
            .refuses(StatusCode::PAYLOAD_TOO_LARGE, "A picture is too large"),
        Endpoint::post("/represent", represent)
            .about(GROUP, "The faces of a picture as numbers")
            .needs(Scope::Verify)
            .takes::<RepresentFields>(json!({ "img": picture }))
            .or_form()
            .up_to(limits.body(1))
            .gives::<Represented>(
                StatusCode::OK,
                "The faces, the largest first",
                json!({ "results": [{ "embedding": [0.01, -0.03], "facial_area": area, "face_confidence": 0.99 }] }),
            )
            .refuses(StatusCode::BAD_REQUEST, bad)
            .refuses(StatusCode::PAYLOAD_TOO_LARGE, "The picture is too large"),
    ]
}

/// What `POST /verify` takes, for its description; pictures are read by [`Fields`].
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a description")]
struct VerifyFields {
    /// A picture, in base64 or as a data URI; also called `img1_path`. In a form it may be a file.
    img1: String,
    /// The other picture; also called `img2_path`.
    img2: String,
    #[schemars(flatten)]
    options: VerifyOptions,
}

/// What `POST /represent` takes.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a description")]
struct RepresentFields {
    /// A picture, in base64 or as a data URI; also called `img_path`. In a form it may be a file.
    img: String,
    #[schemars(flatten)]
    options: RepresentOptions,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct VerifyOptions {
    /// Turns faces into numbers; left out: the daemon's.
    model_name: Option<String>,
    /// Finds faces; left out: the daemon's.
    detector_backend: Option<String>,
    /// `cosine`, `euclidean`, `euclidean_l2` or `angular`; left out: as the model was trained.
    distance_metric: Option<String>,
    /// The largest distance of one person; left out: the model's.
    #[schemars(range(min = 0.0))]
    threshold: Option<f32>,
    /// Faces are always aligned: only `true`.
    align: Option<bool>,
    /// A picture without a face is refused either way.
    enforce_detection: Option<bool>,
    /// Only `false`: whether somebody is alive is judged at a camera, not on a picture.
    anti_spoofing: Option<bool>,
    /// Only 0.
    expand_percentage: Option<u32>,
    /// Only `base`.
    normalization: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RepresentOptions {
    /// As for `/verify`.
    model_name: Option<String>,
    /// As for `/verify`.
    detector_backend: Option<String>,
    /// At most so many faces, the largest first.
    #[schemars(range(min = 1))]
    max_faces: Option<usize>,
    /// As for `/verify`.
    align: Option<bool>,
    /// As for `/verify`.
    enforce_detection: Option<bool>,
    /// As for `/verify`.
    anti_spoofing: Option<bool>,
    /// As for `/verify`.
    expand_percentage: Option<u32>,
    /// As for `/verify`.
    normalization: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Represented {
    results: Vec<Representation>,
}

#[derive(Serialize, JsonSchema)]
struct Representation {
    embedding: Vec<f32>,
    facial_area: FacialArea,
    /// How sure the detector is, 0 to 1.
    face_confidence: f32,
}

async fn verify(State(web): State<Web>, request: Request) -> Result<Json<Verified>, Problem> {
    let began = web.clock.now();
    let mut fields = Fields::read(request, |name| IMG1.contains(&name) || IMG2.contains(&name)).await?;
    let pictures = [fields.picture(&IMG1)?, fields.picture(&IMG2)?];
    let options: VerifyOptions = fields.options()?;
    only_what_is_done(&options.asks())?;
    let metric = options.distance_metric.as_deref().map(metric).transpose()?;
    if options.threshold.is_some_and(|threshold| !threshold.is_finite() || threshold < 0.0) {
        return Err(Problem::bad("bad_field", "`threshold` is a distance, from 0 up"));
    }
    let judging = JudgeArgs { metric, threshold: options.threshold };
    let models = web.pool.models(options.detector_backend, options.model_name)?;
    let (limits, clock) = (web.limits, std::sync::Arc::clone(&web.clock));
    let told = web.pool.run(models, move |engine| {
        let judge = judging.judge(engine).map_err(|failure| match failure.exit {
            Exit::Usage => Problem::bad("no_threshold", failure),
            _ => Problem::internal(failure),
        })?;
        let [img1, img2] = [("img1", &pictures[0]), ("img2", &pictures[1])];
        let faces = [faces(engine, img1, limits)?, faces(engine, img2, limits)?];
        let [a, b] = &faces;
        let best = most_alike(&judge, [a, b]).map_err(Problem::internal)?;
        let (distance, [i, j]) = best.ok_or_else(|| Problem::internal("no pair of faces"))?;
        let models = (engine.embedder.name(), engine.detector.name());
        let time = seconds(clock.now(), began);
        Ok(Verified::new(&judge, models, distance, [a[i].area, b[j].area], Some(time)))
    });
    told.await.map(Json)
}

async fn represent(State(web): State<Web>, request: Request) -> Result<Json<Represented>, Problem> {
    let mut fields = Fields::read(request, |name| IMG.contains(&name)).await?;
    let picture = fields.picture(&IMG)?;
    let options: RepresentOptions = fields.options()?;
    only_what_is_done(&options.asks())?;
    let most = options.max_faces.unwrap_or(usize::MAX);
    if most == 0 {
        return Err(Problem::bad("bad_field", "`max_faces` is a number from 1 up"));
    }
    let models = web.pool.models(options.detector_backend, options.model_name)?;
    let limits = web.limits;
    let told = web.pool.run(models, move |engine| {
        let faces = faces(engine, ("img", &picture), limits)?;
        let results = faces.into_iter().take(most).map(|seen| Representation {
            embedding: seen.embedding.values().to_vec(),
            facial_area: seen.area,
            face_confidence: seen.face.detection.score,
        });
        Ok(Represented { results: results.collect() })
    });
    told.await.map(Json)
}

/// All faces of a picture, the largest first; at least one.
fn faces(
    engine: &mut Engine,
    (what, picture): (&str, &super::upload::Picture),
    limits: Limits,
) -> Result<Vec<Seen>, Problem> {
    let picture = picture.decode(what, limits)?;
    let seen = look_at(engine, std::path::Path::new(what), &picture).map_err(Problem::internal)?;
    if seen.is_empty() {
        let message = format!("no face was found in `{what}`; a whole picture is never taken for a face");
        return Err(Problem::bad("no_face", message));
    }
    Ok(seen)
}

fn seconds(now: Moment, began: Moment) -> f64 {
    (now.since(began).as_secs_f64() * 1e3).round() / 1e3
}

fn metric(name: &str) -> Result<Metric, Problem> {
    let all = [Metric::Cosine, Metric::Euclidean, Metric::EuclideanL2, Metric::Angular];
    all.into_iter().find(|metric| metric.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|metric| metric.as_str()).collect();
        let message =
            format!("`distance_metric`: there is no `{}`, only: {}", name.escape_debug(), names.join(", "));
        Problem::bad("no_such_metric", message)
    })
}

/// Options that both have, and that can say but one thing.
struct Asks<'o> {
    align: Option<bool>,
    anti_spoofing: Option<bool>,
    expand_percentage: Option<u32>,
    normalization: Option<&'o str>,
}

impl VerifyOptions {
    fn asks(&self) -> Asks<'_> {
        let (normalization, expand_percentage) = (self.normalization.as_deref(), self.expand_percentage);
        Asks { align: self.align, anti_spoofing: self.anti_spoofing, expand_percentage, normalization }
    }
}

impl RepresentOptions {
    fn asks(&self) -> Asks<'_> {
        let (normalization, expand_percentage) = (self.normalization.as_deref(), self.expand_percentage);
        Asks { align: self.align, anti_spoofing: self.anti_spoofing, expand_percentage, normalization }
    }
}

fn only_what_is_done(asks: &Asks<'_>) -> Result<(), Problem> {
    let not_done = |message: &str| Err(Problem::bad("not_done", message));
    if asks.align == Some(false) {
        return not_done("`align`: faces are always aligned, since the models were trained so; leave it out");
    }
    if asks.anti_spoofing == Some(true) {
        return not_done(
            "`anti_spoofing`: whether somebody is alive is judged at a camera, not on a picture; leave it out",
        );
    }
    if asks.expand_percentage.is_some_and(|percent| percent != 0) {
        return not_done("`expand_percentage`: faces are cut out as the model was trained; leave it out");
    }
    if asks.normalization.is_some_and(|name| name != "base") {
        return not_done("`normalization`: pictures are normalised as the model was trained; leave it out");
    }
    Ok(())
}
