//! Whether two pictures show one person, as DeepFace's `verify` tells it: `compare --json` and `POST /verify` alike.

use schemars::JsonSchema;
use serde::Serialize;

use super::exit::Failure;
use super::judge::Judge;
use super::pictures::{FacialArea, Seen};

/// The fields of DeepFace's `verify`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Verified {
    /// True if it is one person: `distance <= threshold`.
    verified: bool,
    /// Of the most alike faces, in `similarity_metric`.
    distance: f32,
    /// The largest distance of one person.
    threshold: f32,
    /// How sure that is: 51 to 100 if it is one person, 0 to 49 if not.
    confidence: f64,
    /// Name of the embedder.
    model: String,
    /// Name of the detector.
    detector_backend: String,
    /// How distance is measured.
    similarity_metric: &'static str,
    /// The faces that were compared.
    facial_areas: Areas,
    /// Seconds that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Areas {
    img1: FacialArea,
    img2: FacialArea,
}

impl Verified {
    /// Of two faces of that distance, in pictures at which `model` and `detector` looked.
    pub(super) fn new(
        judge: &Judge,
        (model, detector): (&str, &str),
        distance: f32,
        [img1, img2]: [FacialArea; 2],
        time: Option<f64>,
    ) -> Self {
        Self {
            verified: judge.is_same(distance),
            distance,
            threshold: judge.threshold,
            confidence: judge.confidence(distance),
            model: model.to_owned(),
            detector_backend: detector.to_owned(),
            similarity_metric: judge.metric.as_str(),
            facial_areas: Areas { img1, img2 },
            time,
        }
    }
}

/// The most alike faces of two pictures: how far apart, and which. `None` if one of them has no face.
///
/// # Errors
/// If different models made them.
pub(super) fn most_alike(
    judge: &Judge,
    [first, second]: [&[Seen]; 2],
) -> Result<Option<(f32, [usize; 2])>, Failure> {
    use super::exit::{Exit, OrExit as _};
    let mut best: Option<(f32, [usize; 2])> = None;
    for (i, a) in first.iter().enumerate() {
        for (j, b) in second.iter().enumerate() {
            let distance = judge.distance(&a.embedding, &b.embedding).or_exit(Exit::Internal)?;
            if best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, [i, j]));
            }
        }
    }
    Ok(best)
}
