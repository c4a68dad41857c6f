//! Agreement with the reference implementation on 24 faces.

use std::path::Path;

use serde::Deserialize;

use super::super::engine::{Engine, ModelArgs, model_failure, read_photo};
use super::super::exit::{Exit, Failure, OrExit};
use super::{Row, read};
use crate::domain::{Detection, Embedding, LiveScore, Point, Rect};
use crate::inference::{Embedder, LivenessModel, OrtLiveness};

#[derive(Deserialize)]
struct Golden {
    image: String,
    #[serde(rename = "box")]
    area: [f32; 4],
    score: f32,
    landmarks: [[f32; 2]; 5],
    p_live: f32,
    embedding: Vec<f32>,
}

pub(super) fn measure(models: &ModelArgs, data: &Path) -> Result<Vec<Row>, Failure> {
    let golden: Vec<Golden> =
        serde_json::from_slice(&read(&data.join("golden.json"))?).or_exit(Exit::Data)?;
    let mut engine = Engine::load(models)?;
    let mut liveness = OrtLiveness::load(&models.folders(), "liveness").map_err(model_failure)?;
    let (mut landmarks, mut live, mut live_given) = (0.0_f32, 0.0_f32, 0.0_f32);
    let (mut own, mut given) = (Vec::new(), Vec::new());
    for expected in &golden {
        let picture =
            read_photo(&data.join("lfw-dev/images").join(&expected.image)).or_exit(Exit::NoInput)?;
        let faces = engine.faces(&picture).or_exit(Exit::Internal)?;
        let Some(face) = faces.first() else {
            return Err(Failure::new(Exit::CannotTell, format!("no face on {}", expected.image)));
        };
        let points = expected.landmarks.map(|[x, y]| Point::new(x, y));
        let distances = face.detection.landmarks_in_frame.iter().zip(points).map(|(a, b)| a.distance(b));
        landmarks = distances.fold(landmarks, f32::max);
        let LiveScore(p_live) = liveness.judge(&picture, &face.detection).or_exit(Exit::Internal)?;
        live = live.max((p_live - expected.p_live).abs());

        let [x1, y1, x2, y2] = expected.area;
        let theirs = Detection {
            box_in_frame: Rect::new(x1, y1, x2, y2),
            landmarks_in_frame: points,
            score: expected.score,
        };
        let LiveScore(p_live) = liveness.judge(&picture, &theirs).or_exit(Exit::Internal)?;
        live_given = live_given.max((p_live - expected.p_live).abs());
        let reference =
            Embedding::new(engine.embedder.digest(), expected.embedding.clone()).or_exit(Exit::Data)?;
        for (detection, list) in [(&face.detection, &mut own), (&theirs, &mut given)] {
            let embedding = engine.embedder.embed(&picture, detection).or_exit(Exit::Internal)?;
            list.push(embedding.cosine(&reference).or_exit(Exit::Data)?.value());
        }
    }
    let least = |list: &[f32]| list.iter().copied().fold(1.0, f32::min);
    let count = golden.len();
    Ok(vec![
        Row::new(
            &format!("parity, {count} faces: landmarks, largest distance"),
            format!("{landmarks:.2} px"),
            "1.5 px",
        ),
        Row::new(
            "parity: p(live) given the reference's box, largest difference",
            format!("{live_given:.4}"),
            "0.03",
        ),
        // The crop is cut at whole pixels: a box that differs by a tenth of a pixel can move it by one.
        Row::new("parity: p(live) with the own box, largest difference", format!("{live:.4}"), ""),
        Row::new("parity: embedding, least cosine", format!("{:.5}", least(&own)), "0.995"),
        Row::new(
            "parity: the same, given the reference's landmarks",
            format!("{:.5}", least(&given)),
            "0.999",
        ),
    ])
}
