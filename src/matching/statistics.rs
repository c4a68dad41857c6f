//! Statistics of right and wrong verdicts: intervals, error rates, cross-validation, and a small random generator whose
//! results can be repeated. Pure.

/// A 95 % interval of a rate, 0 <= low <= high <= 1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What is left out at each end of an interval.
const ONE_SIDED: f64 = 0.025;

/// How finely an end of an interval is searched: halvings of 0..1.
const HALVINGS: u32 = 100;

/// The Clopper-Pearson ("exact") 95 % interval of a rate, of which `count` of `trials` independent trials were seen.
/// Never too narrow. All of 0..=1 where there were no trials; a `count` above `trials` is taken as `trials`.
#[must_use]
pub fn clopper_pearson(count: u64, trials: u64) -> Interval {
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let count = count.min(trials);
    let (seen, missed) = (real(count), real(trials - count));
    // P(at least `count` | rate) = I_rate(count, missed + 1); the interval ends where a tail holds 2.5 %.
    let low = if count == 0 { 0.0 } else { where_reached(|p| beta_cdf(p, seen, missed + 1.0), ONE_SIDED) };
    let high = if count == trials {
        1.0
    } else {
        where_reached(|p| beta_cdf(p, seen + 1.0, missed), 1.0 - ONE_SIDED)
    };
    Interval { low, high }
}

/// Where a function that rises from 0 to 1 over 0..=1 reaches `wanted`.
fn where_reached(rises: impl Fn(f64) -> f64, wanted: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if rises(middle) < wanted { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function I_x(a, b), for a and b above 0: by its continued fraction, with the
/// modified method of Lentz (DLMF 8.17.22 and 8.17.4).
#[must_use]
pub fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast on one side of the mean; on the other the mirror image is used.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_cdf(1.0 - x, b, a);
    }
    let front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    let tiny = 1e-300;
    let not_zero = |v: f64| if v.abs() < tiny { tiny } else { v };
    let (mut c, mut d) = (1.0, 1.0 / not_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..10_000_u32 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut factor = 1.0;
        for term in [even, odd] {
            d = 1.0 / not_zero(1.0 + term * d);
            c = not_zero(1.0 + term / c);
            factor = d * c;
            fraction *= factor;
        }
        if (factor - 1.0).abs() < 1e-14 {
            break;
        }
    }
    (front.exp() * fraction / a).clamp(0.0, 1.0)
}

/// The logarithm of the gamma function for x above 0: shifted up to 15 and more, then Stirling's series
/// (DLMF 5.11.1), good to 1e-14.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 15.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0
            - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0))));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

/// A count as a number. Exact up to 2^53.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of pairs stay far below 2^53")]
pub fn real(count: u64) -> f64 {
    count as f64
}

/// `part` of `whole`; 0 where there is no whole.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { real(part) / real(whole) }
}

/// Random numbers that are the same on every run: splitmix64 (Steele, Lea and Flood, 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if `end` is 0. The bias of this way is below `end` / 2^64.
    #[expect(clippy::cast_possible_truncation, reason = "the result is below `end`, which is a usize")]
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// How often each of `count` is drawn in `count` draws with replacement: the weights of one bootstrap sample.
    pub fn resample(&mut self, count: usize) -> Vec<f64> {
        let mut weights = vec![0.0; count];
        for _ in 0..count {
            weights[self.below(count)] += 1.0;
        }
        weights
    }

    /// Deals `count` things to `parts` parts whose sizes differ by one at most, in random order.
    pub fn deal(&mut self, count: usize, parts: usize) -> Vec<usize> {
        let mut dealt: Vec<usize> = (0..count).map(|at| at % parts.max(1)).collect();
        for at in (1..count).rev() {
            dealt.swap(at, self.below(at + 1));
        }
        dealt
    }
}

/// The value below which `part` (0..=1) of the samples lie, interpolated; NaN without samples.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index into the samples"
)]
pub fn quantile(samples: &mut [f64], part: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let Some(last) = samples.len().checked_sub(1) else { return f64::NAN };
    let at = part.clamp(0.0, 1.0) * last as f64;
    let (before, after) = (at.floor() as usize, at.ceil() as usize);
    samples[before] + (samples[after] - samples[before]) * (at - at.floor())
}

/// The middle 95 % of bootstrap samples, stretched where need be so that it holds the estimate itself.
#[must_use]
pub fn bootstrap_interval(samples: &mut [f64], estimate: f64) -> Interval {
    let low = quantile(samples, ONE_SIDED);
    let high = quantile(samples, 1.0 - ONE_SIDED);
    // NaN (no samples) loses against any number.
    Interval { low: low.min(estimate), high: high.max(estimate) }
}

/// Mean and standard deviation (of the population); NaN without values.
#[must_use]
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = real(values.len() as u64);
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// A scored pair: how alike, and whether it is one person. A similarity of minus infinity stands for a pair that
/// could not be compared; no threshold calls it the same person.
pub type ScoredPair = (f32, bool);

/// The best share of right verdicts that one threshold can reach, and that threshold. Infinity as the threshold means
/// that it is best to call every pair different.
#[must_use]
pub fn best_accuracy(pairs: &[ScoredPair]) -> (f64, f32) {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Threshold above all: every pair counts as different.
    let mut right = sorted.iter().filter(|pair| !pair.1).count() as u64;
    let mut best = (right, f32::INFINITY);
    for (at, &(score, same)) in sorted.iter().enumerate() {
        if score == f32::NEG_INFINITY {
            break;
        }
        if same {
            right += 1
        } else {
            right -= 1
        }
        // A threshold cannot come between two pairs that are equally alike.
        let is_last_of_equals = sorted.get(at + 1).is_none_or(|next| next.0 != score);
        if is_last_of_equals && right > best.0 {
            best = (right, score);
        }
    }
    (share(best.0, pairs.len() as u64), best.1)
}

/// Deals pairs to `folds` parts in turn, genuine and impostor pairs each for themselves.
#[must_use]
pub fn deal_in_turn(pairs: &[ScoredPair], folds: usize) -> Vec<usize> {
    let mut dealt = [0_usize; 2];
    let deal = |pair: &ScoredPair| {
        let count = &mut dealt[usize::from(pair.1)];
        *count += 1;
        (*count - 1) % folds.max(1)
    };
    pairs.iter().map(deal).collect()
}

/// Mean and standard deviation of the accuracy over the folds, each judged with the threshold that is best for all
/// the others. `folds` says for each pair which fold it belongs to. Folds without pairs do not count; NaN if there
/// are fewer than two with pairs.
#[must_use]
pub fn cross_validate(pairs: &[ScoredPair], folds: &[usize]) -> (f64, f64) {
    let count = folds.iter().max().map_or(0, |last| last + 1);
    let of = |wanted: usize, inside: bool| -> Vec<ScoredPair> {
        pairs.iter().zip(folds).filter(|(_, fold)| (**fold == wanted) == inside).map(|(p, _)| *p).collect()
    };
    let accuracies: Vec<f64> = (0..count)
        .filter_map(|fold| {
            let (test, training) = (of(fold, true), of(fold, false));
            if test.is_empty() || training.is_empty() {
                return None;
            }
            let (_, threshold) = best_accuracy(&training);
            let right = test.iter().filter(|(score, same)| (*score >= threshold) == *same).count();
            Some(share(right as u64, test.len() as u64))
        })
        .collect();
    mean_and_deviation(&accuracies)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn gamma_has_its_known_values() {
        near(ln_gamma(1.0), 0.0, 1e-13);
        near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln(), 1e-13);
        near(ln_gamma(11.0), 3_628_800_f64.ln(), 1e-12);
        near(ln_gamma(171.0), (1..=170).map(|n| f64::from(n).ln()).sum(), 1e-10);
    }

    #[test]
    fn beta_has_its_known_values() {
        near(beta_cdf(0.3, 1.0, 1.0), 0.3, 1e-14);
        near(beta_cdf(0.2, 3.0, 1.0), 0.008, 1e-14);
        near(beta_cdf(0.5, 7.5, 7.5), 0.5, 1e-12);
        // The binomial distribution, summed by hand: P(X >= 3 | n = 5, p = 0.4).
        near(beta_cdf(0.4, 3.0, 3.0), 10.0 * 0.064 * 0.36 + 5.0 * 0.0256 * 0.6 + 0.01024, 1e-12);
    }

    #[test]
    fn clopper_pearson_has_its_known_values() {
        // Closed forms: none seen, and all seen.
        let none = clopper_pearson(0, 20);
        assert_eq!(none.low, 0.0);
        near(none.high, 1.0 - 0.025_f64.powf(1.0 / 20.0), 1e-12);
        let all = clopper_pearson(10, 10);
        near(all.low, 0.025_f64.powf(0.1), 1e-12);
        assert_eq!(all.high, 1.0);
        // As tabulated: 5 of 10 and 1 of 100.
        let half = clopper_pearson(5, 10);
        near(half.low, 0.187_086, 1e-6);
        near(half.high, 0.812_914, 1e-6);
        let few = clopper_pearson(1, 100);
        near(few.low, 0.000_253, 1e-6);
        near(few.high, 0.054_459, 1e-6);
        // The rule of three, with 2.5 % instead of 5 % at the end: -ln(0.025) / n.
        near(clopper_pearson(0, 100_000_000).high, 3.6889e-8, 1e-11);
        assert_eq!(clopper_pearson(0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn the_best_threshold_separates_what_can_be_separated() {
        let scores = [(0.9, true), (0.8, true), (0.5, false), (0.4, true), (0.1, false)];
        assert_eq!(best_accuracy(&scores), (0.8, 0.8));
        assert_eq!(best_accuracy(&[(0.3, false)]), (1.0, f32::INFINITY));
        // No threshold comes between equals, whatever their order.
        assert_eq!(best_accuracy(&[(0.5, true), (0.5, false), (0.5, false)]), (2.0 / 3.0, f32::INFINITY));
        // A pair that could not be compared is different by any threshold.
        assert_eq!(best_accuracy(&[(f32::NEG_INFINITY, true), (0.5, true)]), (0.5, 0.5));
    }

    #[test]
    fn folds_are_judged_with_the_threshold_of_the_others() {
        // Fold 0 is all above 0.5 and fold 1 all below: neither threshold suits the other.
        let pairs = [(0.9, true), (0.7, false), (0.3, true), (0.1, false)];
        let (mean, deviation) = cross_validate(&pairs, &[0, 0, 1, 1]);
        assert_eq!((mean, deviation), (0.5, 0.0));
        let (mean, _) = cross_validate(&pairs, &[0, 1, 0, 1]);
        assert!(mean < 1.0);
        let easy = [(0.9, true), (0.9, true), (0.2, false), (0.1, false)];
        assert_eq!(cross_validate(&easy, &deal_in_turn(&easy, 2)), (1.0, 0.0));
        assert!(cross_validate(&easy, &[0; 4]).0.is_nan());
    }

    #[test]
    fn random_numbers_repeat_and_are_spread_out() {
        // The first number of splitmix64 from seed 0, as its authors publish it.
        assert_eq!(Random::new(0).bits(), 0xe220_a839_7b1d_cdaf);
        let weights = Random::new(1).resample(10_000);
        assert_eq!(weights, Random::new(1).resample(10_000));
        near(weights.iter().sum(), 10_000.0, 0.0);
        // With replacement a share of 1/e is never drawn.
        let never = weights.iter().filter(|w| **w == 0.0).count();
        assert!((3500..3860).contains(&never), "{never}");
        let dealt = Random::new(1).deal(103, 10);
        let sizes: Vec<usize> = (0..10).map(|part| dealt.iter().filter(|p| **p == part).count()).collect();
        assert_eq!(sizes, [11, 11, 11, 10, 10, 10, 10, 10, 10, 10]);
        assert_eq!(Random::new(1).below(0), 0);
    }

    #[test]
    fn quantiles_are_interpolated() {
        let mut samples = [4.0, 1.0, 3.0, 2.0, 5.0];
        assert_eq!(quantile(&mut samples, 0.5), 3.0);
        near(quantile(&mut samples, 0.025), 1.1, 1e-12);
        assert!(quantile(&mut [], 0.5).is_nan());
        assert_eq!(bootstrap_interval(&mut [], 0.3), Interval { low: 0.3, high: 0.3 });
    }

    proptest! {
        #[test]
        fn an_interval_holds_the_rate_and_its_ends_are_5_percent_apart(trials in 1_u64..5000, part in 0.0_f64..=1.0) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 5000")]
            let count = (real(trials) * part).round() as u64;
            let Interval { low, high } = clopper_pearson(count, trials);
            let rate = share(count, trials);
            prop_assert!(low <= rate && rate <= high, "{low} {rate} {high}");
            if count > 0 {
                let tail = beta_cdf(low, real(count), real(trials - count) + 1.0);
                prop_assert!((tail - 0.025).abs() < 1e-9, "{tail}");
            }
            // More of the same narrows it.
            let more = clopper_pearson(count * 4, trials * 4);
            prop_assert!(more.high - more.low <= high - low);
        }

        #[test]
        fn beta_rises(x in 0.0_f64..1.0, y in 0.0_f64..1.0, a in 0.1_f64..500.0, b in 0.1_f64..500.0) {
            prop_assert!(beta_cdf(x.min(y), a, b) <= beta_cdf(x.max(y), a, b) + 1e-12);
            prop_assert!((beta_cdf(x, a, b) + beta_cdf(1.0 - x, b, a) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn no_threshold_is_better_than_the_best(
            pairs in prop::collection::vec((-1.0_f32..1.0, any::<bool>()), 1..40),
            other in -1.0_f32..1.0,
        ) {
            let (best, threshold) = best_accuracy(&pairs);
            let of = |t: f32| share(pairs.iter().filter(|p| (p.0 >= t) == p.1).count() as u64, pairs.len() as u64);
            prop_assert!(of(other) <= best);
            prop_assert_eq!(of(threshold), best);
        }
    }
}
