//! Distances between two embeddings, as face comparison programs name them.

use serde::{Deserialize, Serialize};

use crate::domain::{Embedding, EmbeddingError};

/// How far apart two embeddings are. Smaller is more alike; 0 is the same picture.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Metric {
    /// `1 - cosine similarity`: 0..=2.
    Cosine,
    /// Straight-line distance of the embeddings as the model gives them.
    Euclidean,
    /// Straight-line distance of the embeddings scaled to length 1: 0..=2.
    EuclideanL2,
    /// The angle between them over pi: 0..=1.
    Angular,
}

impl Metric {
    /// The name as in JSON and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::EuclideanL2 => "euclidean_l2",
            Self::Angular => "angular",
        }
    }

    /// The largest distance there can be; `None` where there is no end.
    #[must_use]
    pub fn maximum(self) -> Option<f32> {
        match self {
            Self::Cosine | Self::EuclideanL2 => Some(2.0),
            Self::Angular => Some(1.0),
            Self::Euclidean => None,
        }
    }
}

/// The distance between two embeddings.
///
/// # Errors
/// If they were made by different models.
pub fn distance(metric: Metric, a: &Embedding, b: &Embedding) -> Result<f32, EmbeddingError> {
    Ok(match metric {
        Metric::Euclidean => a.euclidean(b)?,
        _ => from_cosine(metric, a.cosine(b)?.value()),
    })
}

/// The distance that belongs to a cosine similarity. For `Euclidean` this holds for embeddings of length 1.
fn from_cosine(metric: Metric, cosine: f32) -> f32 {
    match metric {
        Metric::Cosine => 1.0 - cosine,
        // |a - b|² = 2 - 2 a·b for vectors of length 1.
        Metric::EuclideanL2 | Metric::Euclidean => (2.0 - 2.0 * cosine).max(0.0).sqrt(),
        Metric::Angular => cosine.clamp(-1.0, 1.0).acos() / std::f32::consts::PI,
    }
}

/// The threshold in `to` that decides just as `threshold` does in `from`. `None` if the two metrics do not order
/// pairs alike: `Euclidean` for a model whose embeddings are not scaled to length 1 (`unit_length` false).
#[must_use]
pub fn convert_threshold(threshold: f32, from: Metric, to: Metric, unit_length: bool) -> Option<f32> {
    if from == to {
        return Some(threshold);
    }
    if !unit_length && (from == Metric::Euclidean || to == Metric::Euclidean) {
        return None;
    }
    let cosine = match from {
        Metric::Cosine => 1.0 - threshold,
        Metric::EuclideanL2 | Metric::Euclidean => 1.0 - threshold * threshold / 2.0,
        Metric::Angular => (threshold * std::f32::consts::PI).cos(),
    };
    Some(from_cosine(to, cosine))
}

/// How sure the verdict is, as DeepFace reports it: 51 to 100 if the two are one person, 0 to 49 if not. Linear in
/// the distance to the threshold that was used, on each side of it.
#[must_use]
pub fn confidence(distance: f32, threshold: f32, metric: Metric) -> f32 {
    if distance <= threshold {
        let nearness = if threshold > 0.0 { 1.0 - distance / threshold } else { 1.0 };
        return 51.0 + 49.0 * nearness.clamp(0.0, 1.0);
    }
    // Beyond twice the threshold (or the end of the scale) there is nothing more to be sure of.
    let end = metric.maximum().unwrap_or(threshold * 2.0).min((threshold * 2.0).max(threshold + 1e-3));
    let span = (end - threshold).max(1e-6);
    49.0 * (1.0 - ((distance - threshold) / span).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ModelDigest;

    fn unit(values: Vec<f32>) -> Embedding {
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        Embedding::new(ModelDigest([7; 32]), values.iter().map(|v| v / length).collect()).unwrap()
    }

    fn vector() -> impl Strategy<Value = Embedding> {
        prop::collection::vec(-1.0_f32..1.0, 16)
            .prop_filter("a direction", |v| v.iter().map(|x| x * x).sum::<f32>() > 0.01)
            .prop_map(unit)
    }

    const ALL: [Metric; 4] = [Metric::Cosine, Metric::Euclidean, Metric::EuclideanL2, Metric::Angular];

    proptest! {
        #[test]
        fn all_metrics_decide_alike(a in vector(), b in vector(), threshold in 0.05_f32..1.9) {
            let by_cosine = distance(Metric::Cosine, &a, &b).unwrap();
            prop_assume!((by_cosine - threshold).abs() > 1e-4);
            for metric in ALL {
                let limit = convert_threshold(threshold, Metric::Cosine, metric, true).unwrap();
                prop_assert_eq!(distance(metric, &a, &b).unwrap() <= limit, by_cosine <= threshold);
                let back = convert_threshold(limit, metric, Metric::Cosine, true).unwrap();
                prop_assert!((back - threshold).abs() < 1e-3);
            }
        }

        #[test]
        fn a_distance_is_symmetric_and_zero_to_itself(a in vector(), b in vector()) {
            for metric in ALL {
                prop_assert!((distance(metric, &a, &b).unwrap() - distance(metric, &b, &a).unwrap()).abs() < 1e-5);
                prop_assert!(distance(metric, &a, &a).unwrap() < 2e-3);
            }
        }

        #[test]
        fn confidence_agrees_with_the_verdict(d in 0.0_f32..2.0, threshold in 0.01_f32..2.0) {
            let sure = confidence(d, threshold, Metric::Cosine);
            let right = if d <= threshold { 51.0..=100.0 } else { 0.0..=49.0 };
            prop_assert!(right.contains(&sure));
        }
    }

    #[test]
    fn raw_euclidean_thresholds_cannot_be_converted() {
        assert_eq!(convert_threshold(0.5, Metric::Euclidean, Metric::Cosine, false), None);
        assert_eq!(convert_threshold(0.5, Metric::Euclidean, Metric::Euclidean, false), Some(0.5));
    }
}
