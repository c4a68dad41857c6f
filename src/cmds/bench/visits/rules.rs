//! Rules that make one number of several looks, and how well each tells people apart.

use crate::domain::{Calibration, Embedding};

use super::film::Look;

/// A visit as a rule sees it: how alike each look is to one person's template, and what does not depend on them.
pub(super) struct Seen<'v> {
    /// Similarity of each look to the template.
    pub similarities: &'v [f32],
    pub visit: &'v Prepared,
}

/// What can be said of a visit's looks before anybody is compared.
pub(super) struct Prepared {
    /// Quality of each look.
    quality: Vec<f32>,
    /// Weight of each look in the weighted mean: strength squared.
    weights: Vec<f32>,
    /// Lengths of the plain and of the weighted sums of the looks up to each.
    plain_lengths: Vec<f32>,
    weighted_lengths: Vec<f32>,
}

impl Prepared {
    pub(super) fn new(looks: &[Look]) -> Self {
        let weights: Vec<f32> = looks.iter().map(|look| look.embedding.strength().powi(2)).collect();
        let embeddings: Vec<&Embedding> = looks.iter().map(|look| &look.embedding).collect();
        let ones = vec![1.0; looks.len()];
        Self {
            quality: looks.iter().map(|look| look.quality.score).collect(),
            plain_lengths: lengths(&embeddings, &ones),
            weighted_lengths: lengths(&embeddings, &weights),
            weights,
        }
    }
}

fn lengths(embeddings: &[&Embedding], weights: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; embeddings.first().map_or(0, |e| e.values().len())];
    embeddings
        .iter()
        .zip(weights)
        .map(|(embedding, weight)| {
            sum.iter_mut().zip(embedding.values()).for_each(|(sum, v)| *sum += weight * v);
            sum.iter().map(|v| v * v).sum::<f32>().sqrt()
        })
        .collect()
}

/// A rule: its name, and the number it makes; higher is more alike.
pub(super) type Rule = (&'static str, fn(&Seen, &Calibration) -> f32);

/// All that were tried. The first is what everything is held against, the last is in use.
pub(super) const RULES: [Rule; 9] = [
    ("single best frame, by quality", |seen, _| {
        let best = seen.visit.quality.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(-1.0, |(at, _)| seen.similarities[at])
    }),
    ("highest similarity", |seen, _| nth_highest(seen.similarities, 1)),
    ("2 looks agree", |seen, _| nth_highest(seen.similarities, 2)),
    ("3 looks agree", |seen, _| nth_highest(seen.similarities, 3)),
    ("mean of similarities", |seen, _| mean(seen.similarities)),
    ("log-likelihood ratios, summed", likelihood),
    ("mean of embeddings", |seen, _| {
        let ones = vec![1.0; seen.similarities.len()];
        pooled(seen.similarities, &ones, &seen.visit.plain_lengths).pop().unwrap_or(-1.0)
    }),
    ("weighted mean of embeddings", |seen, _| weighted(seen).pop().unwrap_or(-1.0)),
    ("the same, from the 2nd look on (in use)", |seen, _| sequential(seen)),
];

/// The highest that the weighted mean reaches from the second look on: what a sequential test goes by.
pub(super) fn sequential(seen: &Seen) -> f32 {
    weighted(seen).into_iter().skip(1).fold(-1.0, f32::max)
}

/// Similarity of the weighted mean of the looks up to each.
pub(super) fn weighted(seen: &Seen) -> Vec<f32> {
    pooled(seen.similarities, &seen.visit.weights, &seen.visit.weighted_lengths)
}

/// Similarity of the mean of the looks up to each: a mean of unit vectors is compared by its direction, so that only
/// its length is needed beside the looks' own similarities.
fn pooled(similarities: &[f32], weights: &[f32], lengths: &[f32]) -> Vec<f32> {
    let mut sum = 0.0;
    let terms = similarities.iter().zip(weights).zip(lengths);
    terms
        .map(|((similarity, weight), length)| {
            sum += similarity * weight;
            sum / length
        })
        .collect()
}

/// Sum of the looks' log-likelihood ratios by the calibrated curves, discounted for looks that resemble each other:
/// the looks count for as many as `n / (1 + (n - 1) r)` with a correlation `r` of one half.
fn likelihood(seen: &Seen, calibration: &Calibration) -> f32 {
    let ratios: Vec<f32> = seen.similarities.iter().map(|s| ratio(*s, calibration)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of looks")]
    let n = ratios.len() as f32;
    mean(&ratios) * n / (1.0 + (n - 1.0) * 0.5)
}

/// How much likelier a similarity near this is for the same person than for two, as a natural logarithm.
fn ratio(similarity: f32, calibration: &Calibration) -> f32 {
    const HALF: f64 = 0.03;
    let (low, high) = (f64::from(similarity) - HALF, f64::from(similarity) + HALF);
    let genuine = calibration.false_non_match_rate(high).rate - calibration.false_non_match_rate(low).rate;
    let impostor = calibration.false_match_rate(low).rate - calibration.false_match_rate(high).rate;
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm")]
    let ratio = (genuine.max(1e-6) / impostor.max(1e-15)).ln() as f32;
    ratio
}

fn nth_highest(values: &[f32], n: usize) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.get(n - 1).copied().unwrap_or(-1.0)
}

fn mean(values: &[f32]) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a handful of looks")]
    let n = values.len().max(1) as f32;
    values.iter().sum::<f32>() / n
}
