//! What a threshold costs: how often strangers and the enrolled are taken wrongly, by the model's data and in this gallery.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::Web;
use super::endpoint::Endpoint;
use crate::cmds::calibrate_site::templates;
use crate::cmds::engine::ModelArgs;
use crate::cmds::eval::{embedder_manifest, similarity};
use crate::cmds::exit::Failure;
use crate::cmds::terms::Terms;
use crate::config::{Config, Metric};
use crate::domain::Embedding;
use crate::http::{Problem, Scope};

/// With more templates, pairs in the gallery are not looked at: there would be too many.
const MOST_TEMPLATES: usize = 2000;
/// Points of a curve: similarities from -0.2 to 1 in steps of 0.01.
const FROM: i16 = -20;
const TO: i16 = 100;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example = json!({
        "model": "faceplugin512", "people": 2, "needed_similarity": 0.52, "is_extrapolated": false,
        "false_match_rate_asked": 1e-5,
        "points": [{
            "similarity": 0.5, "false_match_rate": 1e-6, "is_extrapolated": true, "gallery_false_match_rate": 0.0,
            "gallery_false_non_match_rate": null
        }],
        "impostor_pairs": 4, "genuine_pairs": 0, "most_alike_strangers": 0.21, "least_alike_of_one_person": null
    });
    vec![
        Endpoint::get("/v1/error-rates", rates)
            .about("Settings", "Thresholds against error rates, by the model's data and in this gallery")
            .needs(Scope::Read)
            .gives::<Rates>(StatusCode::OK, "The rates", example),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Rates {
    /// Name of the embedder.
    model: String,
    /// People enrolled who can be recognised.
    people: usize,
    /// Somebody is accepted from this similarity on, with so many people enrolled; `null` if nobody can be.
    needed_similarity: Option<f64>,
    /// Whether that is beyond what was measured.
    is_extrapolated: bool,
    /// How often a stranger's visit may end in a false match, by the settings; `null` where they name a similarity instead.
    false_match_rate_asked: Option<f64>,
    points: Vec<Point>,
    /// Pairs of templates of different people in the gallery.
    impostor_pairs: usize,
    /// Pairs of templates of one person in the gallery.
    genuine_pairs: usize,
    /// Of all pairs of different people in the gallery.
    most_alike_strangers: Option<f32>,
    /// Of all pairs of one person in the gallery.
    least_alike_of_one_person: Option<f32>,
}

#[derive(Serialize, JsonSchema)]
struct Point {
    similarity: f64,
    /// How often two different people reach it in one comparison, by the model's data; `null` if it was not measured.
    false_match_rate: Option<f64>,
    /// Whether that is beyond what was measured.
    is_extrapolated: bool,
    /// Share of the pairs of different people in this gallery that reach it; `null` without such pairs.
    gallery_false_match_rate: Option<f64>,
    /// Share of the pairs of one person in this gallery that do not reach it; `null` without such pairs.
    gallery_false_non_match_rate: Option<f64>,
}

async fn rates(State(web): State<Web>) -> Result<Json<Rates>, Problem> {
    web.with_register(move |register, _| {
        let config = &register.config;
        let manifest = embedder_manifest(&models(config)).map_err(Problem::internal)?;
        let calibration = manifest.calibration.as_ref();
        let model = config.models.embedder.clone();
        let terms = Terms::new(config, &model, calibration, true).map_err(Problem::internal)?;
        let loaded = register.store.load().map_err(super::persons::store_problem)?;
        let enrolled = templates(&loaded, manifest.digest);
        let people = enrolled.len();
        let enrolled: Vec<Vec<&Embedding>> = enrolled.into_iter().map(|(_, templates)| templates).collect();
        let Pairs { impostors, genuine } =
            pairs(&enrolled, manifest.spec.metric).map_err(Problem::internal)?;
        let needed = terms.policy.acceptance.needed(people.max(1));
        let point = |hundredths: i16| {
            let similarity = f64::from(hundredths) / 100.0;
            let estimate = calibration.map(|curve| curve.false_match_rate(similarity));
            Point {
                similarity,
                false_match_rate: estimate.map(|estimate| estimate.rate),
                is_extrapolated: estimate.is_some_and(|estimate| estimate.is_extrapolated),
                gallery_false_match_rate: share_from(&impostors, similarity),
                gallery_false_non_match_rate: share_from(&genuine, similarity).map(|share| 1.0 - share),
            }
        };
        Ok(Json(Rates {
            model,
            people,
            needed_similarity: needed.map(|needed| f64::from(needed.threshold.value())),
            is_extrapolated: needed.is_some_and(|needed| needed.is_extrapolated),
            false_match_rate_asked: config
                .decision
                .min_similarity
                .is_none()
                .then_some(config.decision.false_match_rate),
            points: (FROM..=TO).map(point).collect(),
            impostor_pairs: impostors.len(),
            genuine_pairs: genuine.len(),
            most_alike_strangers: impostors.last().copied(),
            least_alike_of_one_person: genuine.first().copied(),
        }))
    })
    .await
}

/// How alike the pairs of templates in a gallery are, sorted.
#[derive(Default)]
struct Pairs {
    /// Of different people.
    impostors: Vec<f32>,
    /// Of one person.
    genuine: Vec<f32>,
}

/// Every pair of templates; none where there are too many.
fn pairs(people: &[Vec<&Embedding>], metric: Metric) -> Result<Pairs, Failure> {
    let mut found = Pairs::default();
    if people.iter().map(Vec::len).sum::<usize>() > MOST_TEMPLATES {
        return Ok(found);
    }
    for (at, own) in people.iter().enumerate() {
        for (nth, a) in own.iter().enumerate() {
            for b in &own[nth + 1..] {
                found.genuine.push(similarity(a, b, metric)?);
            }
            for b in people[at + 1..].iter().flatten() {
                found.impostors.push(similarity(a, b, metric)?);
            }
        }
    }
    found.genuine.sort_by(f32::total_cmp);
    found.impostors.sort_by(f32::total_cmp);
    Ok(found)
}

fn models(config: &Config) -> ModelArgs {
    ModelArgs {
        detector: config.models.detector.clone(),
        model: config.models.embedder.clone(),
        models_dir: config.models.folder.clone(),
        detect_side: None,
        runtime_library: None,
    }
}

/// Share of sorted similarities that are at least so high; `None` if there are none.
#[expect(clippy::cast_precision_loss, reason = "pairs of one gallery are below 2^52")]
fn share_from(sorted: &[f32], similarity: f64) -> Option<f64> {
    let below = sorted.partition_point(|one| f64::from(*one) < similarity);
    (!sorted.is_empty()).then(|| (sorted.len() - below) as f64 / sorted.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_those_that_reach_it() {
        let sorted = [0.1, 0.3, 0.3, 0.9];
        assert_eq!(share_from(&sorted, 0.0), Some(1.0));
        assert_eq!(share_from(&sorted, 0.2), Some(0.75));
        assert_eq!(share_from(&sorted, 0.95), Some(0.0));
        assert_eq!(share_from(&[], 0.5), None);
    }
}
