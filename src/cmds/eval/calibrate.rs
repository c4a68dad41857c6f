//! From scores to the error curves of a manifest.

use crate::domain::{RatePoint, Tail};
use crate::matching::error_rates::{BINS, Curves, Scores, edge};
use crate::matching::statistics::{
    Interval, Random, bootstrap_interval, clopper_pearson, quantile, real, share,
};

/// Between two points of a curve: 0.02.
const STEP: usize = BINS / 100;

/// A false match rate is only told where it means so many false matches, each pair of people counted once in all, ...
const MIN_MATCHES: f64 = 30.0;

/// ... and where so many different pairs of people have one. People whose pictures lie in two folders under two
/// spellings of their name are in every large set of pictures; beyond these limits a curve shows little else.
const MIN_PAIRS_OF_PEOPLE: usize = 10;

/// How much wider than that of the mean is the interval for another sample of as many people: both samples vary, so
/// the variances add. For rates this is done in their logarithm.
const ANOTHER_SAMPLE: f64 = std::f64::consts::SQRT_2;

/// The tail is fitted over the points whose rate is within so many powers of ten of the last one.
const TAIL_DECADES: f64 = 2.0;

/// The curves of a calibration.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ErrorCurves {
    pub(super) false_match: Vec<RatePoint>,
    pub(super) tail: Tail,
    pub(super) false_non_match: Vec<RatePoint>,
}

/// Fits the curves. Each person and each pair of people counts alike. Intervals are prediction intervals: with 95 %
/// probability they hold the rate that another sample of as many people would give. They are stretched so that they
/// also hold the rate of these pictures with each pair of pictures counted alike: which way of counting suits a place
/// is not known, and the two differ by more than chance.
pub(super) fn fit(scores: &Scores, exact: &Curves, samples: &[Curves]) -> Result<ErrorCurves, String> {
    let bins = false_match_bins(scores, exact)?;
    let mut by_picture = scores.impostor_counts.clone();
    let mut above = 0;
    for count in by_picture.iter_mut().rev() {
        above += *count;
        *count = above;
    }
    let point = |bin: &usize| {
        let point = false_match_point(*bin, exact, samples);
        stretched(point, share(by_picture[*bin], scores.impostor_pairs()))
    };
    let false_match = bins.iter().map(point).collect();
    let tail = tail(&bins, exact, samples)?;
    Ok(ErrorCurves { false_match, tail, false_non_match: false_non_match(scores)? })
}

/// From where nearly all impostors match up to where too few do.
fn false_match_bins(scores: &Scores, exact: &Curves) -> Result<Vec<usize>, String> {
    let rate = |bin: &usize| exact.false_match[*bin];
    let first = (0..BINS).step_by(STEP).rev().find(|bin| rate(bin) >= 0.999).unwrap_or(0);
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut listed: Vec<_> = scores.listed.iter().collect();
    listed.sort_unstable_by_key(|pair| std::cmp::Reverse(pair.bin));
    let mut highest = None;
    for pair in listed {
        let people = (pair.a.min(pair.b), pair.a.max(pair.b));
        if !pairs.contains(&people) {
            pairs.push(people);
        }
        if pairs.len() >= MIN_PAIRS_OF_PEOPLE {
            highest = Some(usize::from(pair.bin));
            break;
        }
    }
    let few = || {
        format!(
            "a false match rate needs at least {MIN_MATCHES} false matches, of {MIN_PAIRS_OF_PEOPLE} different pairs \
             of people"
        )
    };
    let units = scores.impostor_units();
    let last =
        (0..=highest.ok_or_else(few)?).rev().find(|bin| rate(bin) * units >= MIN_MATCHES).ok_or_else(few)?;
    let bins: Vec<usize> = (first..=last).step_by(STEP).collect();
    if bins.len() < 3 { Err(few()) } else { Ok(bins) }
}

fn false_match_point(bin: usize, exact: &Curves, samples: &[Curves]) -> RatePoint {
    let rate = exact.false_match[bin];
    let mut rates: Vec<f64> = samples.iter().map(|curves| curves.at(bin).0).collect();
    let Interval { low, high } = bootstrap_interval(&mut rates, rate);
    let widened = |end: f64| if end > 0.0 { rate * (end / rate).powf(ANOTHER_SAMPLE) } else { 0.0 };
    RatePoint { similarity: edge(bin), rate, low: widened(low), high: widened(high).min(1.0) }
}

/// The same point with an interval that holds `other` too.
fn stretched(point: RatePoint, other: f64) -> RatePoint {
    RatePoint { low: point.low.min(other), high: point.high.max(other), ..point }
}

/// A straight line through `log10(rate)` by least squares: powers of ten by which it falls per unit of similarity.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = real(points.len() as u64);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    -covariance / variance
}

fn tail(bins: &[usize], exact: &Curves, samples: &[Curves]) -> Result<Tail, String> {
    let lowest = bins.last().map_or(1.0, |bin| exact.false_match[*bin]);
    let mut fitted: Vec<usize> = bins
        .iter()
        .copied()
        .filter(|bin| exact.false_match[*bin] <= lowest * 10_f64.powf(TAIL_DECADES))
        .collect();
    if fitted.len() < 3 {
        fitted = bins[bins.len().saturating_sub(3)..].to_vec();
    }
    let of = |curves: &Curves, at: fn(&Curves, usize) -> f64| {
        let points = fitted.iter().map(|bin| (edge(*bin), at(curves, *bin).log10()));
        slope(&points.filter(|point| point.1.is_finite()).collect::<Vec<_>>())
    };
    let decades_per_unit = of(exact, |curves, bin| curves.false_match[bin]);
    let mut slopes: Vec<f64> = samples
        .iter()
        .map(|curves| of(curves, |curves, bin| curves.at(bin).0))
        .filter(|slope| slope.is_finite())
        .collect();
    let slow = quantile(&mut slopes, 0.025).min(decades_per_unit);
    let at_least = decades_per_unit - (decades_per_unit - slow) * ANOTHER_SAMPLE;
    if at_least > 0.0 {
        Ok(Tail { decades_per_unit, at_least })
    } else {
        Err("there are too few people to say how the false match rate goes on beyond what was measured"
            .into())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of the people, and whole"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

/// Each person counts alike, however many pictures there are of them: the rate is the mean over people of the share of
/// their pairs. Counted by pairs, one person with hundreds of pictures decides alone what the rate of everybody is.
fn false_non_match(scores: &Scores) -> Result<Vec<RatePoint>, String> {
    let steps = BINS / STEP;
    // For each person how many of their pairs lie in each step; pictures without a face are no comparisons.
    let mut counts = vec![vec![0_u64; steps]; scores.people];
    for pair in &scores.genuine {
        if let Some(bin) = pair.bin {
            counts[pair.person as usize][usize::from(bin) / STEP] += 1;
        }
    }
    // The share of each person's pairs below each threshold.
    let shares: Vec<Vec<f64>> = counts
        .iter()
        .filter(|counts| counts.iter().any(|count| *count > 0))
        .map(|counts| {
            let all = real(counts.iter().sum());
            let below = counts.iter().scan(0, |sum, count| {
                let below = *sum;
                *sum += count;
                Some(real(below) / all)
            });
            below.collect()
        })
        .collect();
    let people = shares.len();
    let all_pairs: u64 = counts.iter().flatten().sum();
    if people < MIN_PAIRS_OF_PEOPLE {
        return Err(format!(
            "only {people} people have two pictures with a face: at least {MIN_PAIRS_OF_PEOPLE} are needed"
        ));
    }
    let mean = |weights: &[f64]| {
        let mut sums = vec![0.0; steps];
        for (share, weight) in shares.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
            sums.iter_mut().zip(share).for_each(|(sum, share)| *sum += share * weight);
        }
        sums.iter_mut().for_each(|sum| *sum /= real(people as u64));
        sums
    };
    let rates = mean(&vec![1.0; people]);
    let mut random = Random::new(0x0f4a_15e5);
    let samples: Vec<Vec<f64>> = (0..500).map(|_| mean(&random.resample(people))).collect();
    let points: Vec<RatePoint> = (0..steps)
        .map(|step| {
            let rate = rates[step].clamp(0.0, 1.0);
            let mut of_samples: Vec<f64> = samples.iter().map(|rates| rates[step]).collect();
            let Interval { low, high } = bootstrap_interval(&mut of_samples, rate);
            let (low, high) = (rate - (rate - low) * ANOTHER_SAMPLE, rate + (high - rate) * ANOTHER_SAMPLE);
            // Where hardly anybody (or nearly everybody) was missed, drawing the same people again tells too little:
            // the number of people says how little.
            let of_people = clopper_pearson(whole(rate * real(people as u64)), people as u64);
            let (low, high) = (low.min(of_people.low), high.max(of_people.high));
            let (low, high) = (low.clamp(0.0, rate), high.clamp(rate, 1.0));
            let below = |counts: &Vec<u64>| counts[..step].iter().sum::<u64>();
            let by_pair = share(counts.iter().map(below).sum(), all_pairs);
            stretched(RatePoint { similarity: edge(step * STEP), rate, low, high }, by_pair)
        })
        .collect();
    // From the last threshold that misses nobody to the first that misses everybody.
    let first = points.iter().rposition(|point| point.rate <= 0.0).unwrap_or(0);
    let last = points.iter().position(|point| point.rate >= 1.0).unwrap_or(steps - 1);
    Ok(points[first.min(last)..=last.max(first)].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Calibration;
    use crate::matching::error_rates::{Genuine, Impostor, bin_of};

    /// Impostors around 0 and genuine pairs around 0.6, each the sum of four random numbers.
    fn sample(people: u32) -> Scores {
        let mut random = Random::new(3);
        let mut around = |middle: f32| {
            let sum: f64 = (0..4).map(|_| real(random.bits() >> 11) / real(1 << 53) - 0.5).sum();
            #[expect(clippy::cast_possible_truncation, reason = "a small number")]
            let noise = sum as f32 * 0.2;
            bin_of(middle + noise)
        };
        let genuine =
            (0..3 * people).map(|at| Genuine { bin: Some(around(0.6)), person: at % people }).collect();
        let pairs = (0..people).flat_map(|a| (a + 1..people).map(move |b| (a, b)));
        let listed = pairs.map(|(a, b)| Impostor { bin: around(0.0), a, b }).collect();
        Scores::of_list(people as usize, genuine, listed)
    }

    #[test]
    fn the_curves_are_curves_and_end_where_the_data_do() {
        let scores = sample(80);
        let curves = fit(&scores, &scores.exact(), &scores.bootstrap()).unwrap();
        let last = curves.false_match.last().unwrap();
        assert!(last.rate * real(scores.impostor_pairs()) >= MIN_MATCHES, "{last:?}");
        assert!(curves.tail.at_least < curves.tail.decades_per_unit);
        let calibration = Calibration {
            data: "made up".into(),
            date: "2026-11-23".into(),
            detector: "none".into(),
            images: 240,
            people: 80,
            genuine_pairs: 240,
            impostor_pairs: scores.impostor_pairs(),
            false_match: curves.false_match,
            tail: curves.tail,
            false_non_match: curves.false_non_match,
        };
        assert_eq!(calibration.check(), Ok(()));
        assert!(calibration.false_match_rate(-0.5).rate >= 0.999);
        assert_eq!(calibration.false_non_match_rate(1.0).rate, 1.0);
        // Noise of either sign is as likely: half of the impostors lie above 0.
        let half = calibration.false_match_rate(0.0);
        assert!(
            (0.45..0.55).contains(&half.rate) && half.low < half.rate && half.rate < half.high,
            "{half:?}"
        );
    }

    #[test]
    fn too_few_people_make_no_curve() {
        let scores = sample(4);
        let problem = fit(&scores, &scores.exact(), &scores.bootstrap()).unwrap_err();
        assert!(problem.contains("30 false matches"), "{problem}");
    }

    #[test]
    fn a_straight_line_has_its_slope() {
        assert!((slope(&[(0.1, -1.0), (0.2, -2.0), (0.4, -4.0)]) - 10.0).abs() < 1e-9);
    }
}
