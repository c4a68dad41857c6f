//! What was measured about an embedder: how often strangers, and how seldom the same person, reach a similarity.

use serde::{Deserialize, Serialize};

use super::score::Threshold;

/// One measured point of an error curve, written as `[similarity, rate, low, high]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct RatePoint {
    /// The similarity that is taken as the threshold, -1..=1.
    pub similarity: f64,
    /// Share of pairs that are judged wrongly with it, 0..=1.
    pub rate: f64,
    /// Lower end of the 95 % interval, over people.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl From<[f64; 4]> for RatePoint {
    fn from([similarity, rate, low, high]: [f64; 4]) -> Self {
        Self { similarity, rate, low, high }
    }
}

impl From<RatePoint> for [f64; 4] {
    fn from(point: RatePoint) -> Self {
        [point.similarity, point.rate, point.low, point.high]
    }
}

/// How the false match rate goes on beyond what was measured: `log10(rate)` falls in a straight line. The true tail
/// of similarities falls faster, so that this errs towards more false matches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// Powers of ten by which the rate falls for one whole unit of similarity, above 0.
    pub decades_per_unit: f64,
    /// The same at the upper end of the 95 % interval: how slowly it may fall.
    pub at_least: f64,
}

/// The error rates of an embedder, as measured on one set of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// What it was measured on, for people.
    pub data: String,
    /// When, `2026-11-23`.
    pub date: String,
    /// With which detector.
    pub detector: String,
    /// Pictures with a face.
    pub images: u64,
    /// Different people on them.
    pub people: u64,
    /// Pairs of pictures of one person.
    pub genuine_pairs: u64,
    /// Pairs of pictures of two people.
    pub impostor_pairs: u64,
    /// Share of impostor pairs at or above a similarity; similarity rising, rate falling, never 0.
    pub false_match: Vec<RatePoint>,
    /// Beyond the last of these points.
    pub tail: Tail,
    /// Share of genuine pairs below a similarity; both rising.
    pub false_non_match: Vec<RatePoint>,
}

/// A rate read off a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The most likely value, 0..=1.
    pub rate: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// True beyond the last measured point: nothing was seen there, the curve was drawn on.
    pub is_extrapolated: bool,
}

/// A calibration that cannot be one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidCalibration {
    /// Fewer than two points.
    #[error("`{0}` needs at least two points")]
    TooFew(&'static str),
    /// A point that is out of range or out of order.
    #[error("point {at} of `{curve}` {fault}")]
    Point {
        /// Which curve.
        curve: &'static str,
        /// Which of its points, from 1.
        at: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Not above zero, or the interval is the wrong way round.
    #[error("`tail` must fall: 0 < at_least <= decades_per_unit")]
    Tail,
}

impl Calibration {
    /// Whether the curves are curves.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), InvalidCalibration> {
        check_curve("false_match", &self.false_match, true)?;
        check_curve("false_non_match", &self.false_non_match, false)?;
        let Tail { decades_per_unit, at_least } = self.tail;
        let falls = at_least > 0.0 && at_least <= decades_per_unit && decades_per_unit.is_finite();
        if falls { Ok(()) } else { Err(InvalidCalibration::Tail) }
    }

    /// The lowest false match rate that was measured; below it the curve is drawn on.
    #[must_use]
    pub fn measured_down_to(&self) -> f64 {
        self.false_match.last().map_or(1.0, |point| point.rate)
    }

    /// How often one comparison of two different people reaches `similarity`. Between points the logarithm is
    /// interpolated.
    #[must_use]
    pub fn false_match_rate(&self, similarity: f64) -> Estimate {
        let (Some(first), Some(last)) = (self.false_match.first(), self.false_match.last()) else {
            return Estimate { rate: 1.0, low: 1.0, high: 1.0, is_extrapolated: true };
        };
        if similarity.is_nan() || similarity < first.similarity {
            return Estimate { rate: 1.0, low: first.low, high: 1.0, is_extrapolated: false };
        }
        if similarity > last.similarity {
            let beyond = similarity - last.similarity;
            let fall = |rate: f64, slope: f64| rate * 10_f64.powf(-slope * beyond);
            return Estimate {
                rate: fall(last.rate, self.tail.decades_per_unit),
                // How fast it may fall was not bounded: from below nothing is known.
                low: 0.0,
                high: fall(last.high, self.tail.at_least),
                is_extrapolated: true,
            };
        }
        let (before, after, part) = segment(&self.false_match, similarity);
        let between = |a: f64, b: f64| {
            if a > 0.0 && b > 0.0 {
                (a.ln() * (1.0 - part) + b.ln() * part).exp()
            } else {
                a * (1.0 - part) + b * part
            }
        };
        measured(before, after, between)
    }

    /// How often one comparison of two pictures of one person stays below `similarity`; linear between points.
    #[must_use]
    pub fn false_non_match_rate(&self, similarity: f64) -> Estimate {
        let curve = &self.false_non_match;
        let (Some(first), Some(last)) = (curve.first(), curve.last()) else {
            return Estimate { rate: 1.0, low: 0.0, high: 1.0, is_extrapolated: true };
        };
        if similarity < first.similarity || similarity > last.similarity || similarity.is_nan() {
            let end = if similarity < first.similarity { first } else { last };
            return Estimate { rate: end.rate, low: end.low, high: end.high, is_extrapolated: true };
        }
        let (before, after, part) = segment(curve, similarity);
        let between = |a: f64, b: f64| a * (1.0 - part) + b * part;
        measured(before, after, between)
    }

    /// The lowest similarity at which the false match rate of one comparison is no more than `rate`; `None` if even
    /// the highest possible similarity does not keep to it, or `rate` is not above 0.
    #[must_use]
    pub fn threshold_for(&self, rate: f64) -> Option<Threshold> {
        if rate.is_nan() || rate <= 0.0 {
            return None;
        }
        let fits = |similarity: f64| self.false_match_rate(similarity).rate <= rate;
        let (mut too_low, mut enough) = (-1.0_f64, 1.0_f64);
        if !fits(enough) {
            return None;
        }
        // The rate falls with similarity: halve the interval until it is finer than an f32 can tell.
        for _ in 0..48 {
            let middle = f64::midpoint(too_low, enough);
            if fits(middle) { enough = middle } else { too_low = middle }
        }
        #[expect(clippy::cast_possible_truncation, reason = "-1..=1, and rounded up just below")]
        let threshold = enough as f32;
        Threshold::new(if f64::from(threshold) < enough { threshold.next_up() } else { threshold }.min(1.0))
            .ok()
    }
}

/// What lies between two measured points, with its interval.
fn measured(before: RatePoint, after: RatePoint, between: impl Fn(f64, f64) -> f64) -> Estimate {
    Estimate {
        rate: between(before.rate, after.rate),
        low: between(before.low, after.low),
        high: between(before.high, after.high),
        is_extrapolated: false,
    }
}

/// The points around `similarity`, which is within the curve, and how far it is from the first to the second, 0..=1.
fn segment(curve: &[RatePoint], similarity: f64) -> (RatePoint, RatePoint, f64) {
    let after = curve.partition_point(|point| point.similarity < similarity).clamp(1, curve.len() - 1);
    let (before, after) = (curve[after - 1], curve[after]);
    (before, after, (similarity - before.similarity) / (after.similarity - before.similarity))
}

fn check_curve(name: &'static str, points: &[RatePoint], falls: bool) -> Result<(), InvalidCalibration> {
    if points.len() < 2 {
        return Err(InvalidCalibration::TooFew(name));
    }
    for (at, point) in points.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| points[before]);
        let RatePoint { similarity, rate, low, high } = *point;
        let fault = if !(-1.0..=1.0).contains(&similarity) {
            "has a similarity outside -1..=1"
        } else if !(0.0..=1.0).contains(&rate) || (falls && rate == 0.0) {
            "has a rate that is none"
        } else if !(0.0..=rate).contains(&low) || !(rate..=1.0).contains(&high) {
            "has a rate outside its own interval"
        } else if before.is_some_and(|before| before.similarity >= similarity) {
            "does not have a higher similarity than the one before"
        } else if before.is_some_and(|before| if falls { before.rate < rate } else { before.rate > rate }) {
            "goes the wrong way"
        } else {
            continue;
        };
        return Err(InvalidCalibration::Point { curve: name, at: at + 1, fault });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(similarity: f64, rate: f64) -> RatePoint {
        RatePoint { similarity, rate, low: rate / 2.0, high: (rate * 2.0).min(1.0) }
    }

    fn sample() -> Calibration {
        Calibration {
            data: "made up".into(),
            date: "2026-11-23".into(),
            detector: "none".into(),
            images: 100,
            people: 50,
            genuine_pairs: 50,
            impostor_pairs: 4900,
            false_match: vec![point(-0.2, 1.0), point(0.2, 1e-2), point(0.4, 1e-4)],
            tail: Tail { decades_per_unit: 10.0, at_least: 5.0 },
            false_non_match: vec![point(0.0, 0.0), point(0.4, 0.04), point(0.8, 0.9)],
        }
    }

    #[test]
    fn reads_between_and_beyond_the_points() {
        let sample = sample();
        assert_eq!(sample.check(), Ok(()));
        let measured = sample.false_match_rate(0.3);
        assert!((measured.rate - 1e-3).abs() < 1e-9 && !measured.is_extrapolated, "{measured:?}");
        let beyond = sample.false_match_rate(0.5);
        assert!((beyond.rate - 1e-5).abs() < 1e-12 && beyond.is_extrapolated, "{beyond:?}");
        assert!((beyond.high - 2e-4 * 10_f64.powf(-0.5)).abs() < 1e-9 && beyond.low == 0.0, "{beyond:?}");
        assert_eq!(sample.false_match_rate(-0.9).rate, 1.0);
        assert_eq!(sample.false_match_rate(f64::NAN).rate, 1.0);
        assert!((sample.false_non_match_rate(0.2).rate - 0.02).abs() < 1e-12);
        assert_eq!(sample.false_non_match_rate(f64::NAN).rate, 0.9);
        assert_eq!(sample.measured_down_to(), 1e-4);
    }

    #[test]
    fn a_rate_out_of_reach_has_no_threshold() {
        for rate in [0.0, -1.0, f64::NAN, 1e-12] {
            assert_eq!(sample().threshold_for(rate), None, "{rate}");
        }
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        let faulty = |change: &dyn Fn(&mut Calibration)| {
            let mut calibration = sample();
            change(&mut calibration);
            calibration.check().expect_err("no curve")
        };
        assert_eq!(faulty(&|c| c.false_match.truncate(1)), InvalidCalibration::TooFew("false_match"));
        assert_eq!(faulty(&|c| c.tail.at_least = 0.0), InvalidCalibration::Tail);
        assert_eq!(faulty(&|c| c.tail.at_least = f64::NAN), InvalidCalibration::Tail);
        for change in [
            (|c: &mut Calibration| c.false_match[1].rate = 0.0) as fn(&mut Calibration),
            |c| c.false_match[1].rate = f64::NAN,
            |c| c.false_match[1].similarity = -0.2,
            |c| c.false_match[1].low = 0.5,
            |c| c.false_match[2] = point(0.4, 0.5),
            |c| c.false_non_match[2] = point(0.8, 0.01),
            |c| c.false_non_match[2].similarity = 1.5,
        ] {
            assert!(matches!(faulty(&change), InvalidCalibration::Point { .. }));
        }
    }

    proptest! {
        #[test]
        fn more_alike_is_never_more_often_false(a in -1.0_f64..1.0, b in -1.0_f64..1.0) {
            let (low, high) = (a.min(b), a.max(b));
            let sample = sample();
            prop_assert!(sample.false_match_rate(low).rate >= sample.false_match_rate(high).rate);
            prop_assert!(sample.false_non_match_rate(low).rate <= sample.false_non_match_rate(high).rate);
        }

        #[test]
        fn a_threshold_keeps_to_its_rate_and_is_no_higher_than_needed(exponent in -9.0_f64..-0.01) {
            let (rate, sample) = (10_f64.powf(exponent), sample());
            let threshold = f64::from(sample.threshold_for(rate).expect("in reach").value());
            prop_assert!(sample.false_match_rate(threshold).rate <= rate);
            prop_assert!(sample.false_match_rate(threshold - 1e-4).rate > rate);
        }
    }
}
