//! When two faces count as one person: metric and threshold, for the commands that look at photos.

use super::engine::Engine;
use super::exit::{Exit, Failure};
use crate::config::{EmbedderSpec, Metric as TrainedWith};
use crate::domain::{Embedding, EmbeddingError};
use crate::matching::{Metric, confidence, convert_threshold, distance};

/// How faces are compared.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct JudgeArgs {
    /// How distance is measured [default: as the model was trained]
    #[arg(long, value_enum, help_heading = "Judging")]
    pub metric: Option<Metric>,
    /// Largest distance, in that metric, at which two faces are one person [default: the model's]
    #[arg(
        long,
        value_name = "DISTANCE",
        value_parser = parse_threshold,
        allow_negative_numbers = true,
        help_heading = "Judging"
    )]
    pub threshold: Option<f32>,
}

fn parse_threshold(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Ok(_) => Err("a distance is a number from 0 up".to_owned()),
        Err(_) => Err("this is not a number".to_owned()),
    }
}

/// A metric and the distance up to which (inclusive) it says "the same person".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judge {
    /// How distance is measured.
    pub metric: Metric,
    /// The largest distance of one person, inclusive.
    pub threshold: f32,
}

impl JudgeArgs {
    /// What the arguments and the embedder's manifest come to.
    ///
    /// # Errors
    /// [`Exit::Usage`] if the metric is one that the model's threshold says nothing about and none is given.
    pub fn judge(&self, engine: &Engine) -> Result<Judge, Failure> {
        self.judge_for(engine.embedder.name(), engine.embedder.spec())
    }

    fn judge_for(&self, model: &str, spec: &EmbedderSpec) -> Result<Judge, Failure> {
        let own = match spec.metric {
            TrainedWith::Cosine => Metric::Cosine,
            TrainedWith::Euclidean => Metric::Euclidean,
        };
        let metric = self.metric.unwrap_or(own);
        let threshold = match self.threshold {
            Some(threshold) => threshold,
            None => convert_threshold(spec.threshold, own, metric, spec.l2_normalise).ok_or_else(|| {
                Failure::new(
                    Exit::Usage,
                    format!(
                        "the threshold of {model} is for {} and cannot be converted to {}, since its embeddings \
                         are not scaled to length 1: give --threshold",
                        own.as_str(),
                        metric.as_str()
                    ),
                )
            })?,
        };
        Ok(Judge { metric, threshold })
    }
}

impl Judge {
    /// How far apart two faces are.
    ///
    /// # Errors
    /// If different models made them.
    pub fn distance(&self, a: &Embedding, b: &Embedding) -> Result<f32, EmbeddingError> {
        distance(self.metric, a, b)
    }

    /// How sure that is, 0 to 100 with two decimals.
    #[must_use]
    pub fn confidence(&self, distance: f32) -> f64 {
        let sure = confidence(distance, self.threshold, self.metric);
        (f64::from(sure) * 100.0).round() / 100.0
    }

    /// Whether that distance is one person's.
    #[must_use]
    pub fn is_same(&self, distance: f32) -> bool {
        distance <= self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(metric: TrainedWith, l2_normalise: bool) -> EmbedderSpec {
        EmbedderSpec {
            output: "y".into(),
            dimension: 2,
            l2_normalise,
            metric,
            alignment: [[0.0; 2]; 5],
            threshold: 0.5,
        }
    }

    #[test]
    fn a_threshold_is_a_finite_distance() {
        assert_eq!(parse_threshold("0"), Ok(0.0));
        assert_eq!(parse_threshold("0.25"), Ok(0.25));
        for text in ["-0.1", "NaN", "inf", "", "0,5"] {
            assert!(parse_threshold(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_threshold_follows_the_metric_where_it_can() {
        let judge =
            |metric, threshold, spec: &EmbedderSpec| JudgeArgs { metric, threshold }.judge_for("m", spec);
        let cosine = spec(TrainedWith::Cosine, true);
        assert_eq!(judge(None, None, &cosine).unwrap(), Judge { metric: Metric::Cosine, threshold: 0.5 });
        assert!((judge(Some(Metric::EuclideanL2), None, &cosine).unwrap().threshold - 1.0).abs() < 1e-6);
        assert_eq!(judge(Some(Metric::Angular), Some(0.0), &cosine).unwrap().threshold, 0.0);
        let raw = spec(TrainedWith::Euclidean, false);
        assert_eq!(judge(None, None, &raw).unwrap(), Judge { metric: Metric::Euclidean, threshold: 0.5 });
        let refused = judge(Some(Metric::Cosine), None, &raw).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.to_string().contains("give --threshold"), "{refused}");
    }
}
