//! Error rates of many comparisons, and how far they might be off for other people: what `eval` computes from scores.
//!
//! Similarities are counted in bins of 1/20000, so that any number of pairs fits. How sure a rate is depends on how
//! many different people there are, not on how many pairs: intervals come from a bootstrap over people. A person who
//! is drawn w times counts w-fold in their genuine pairs, and a pair of people with the product of both weights in
//! its impostor pairs.
//!
//! Where every picture is compared with every other one, each person and each pair of people counts alike, however many
//! pictures there are of them: the rates are those for people picked at random. Counted by pictures, a few people would
//! decide them: in one half of Labeled Faces in the Wild 70 % of all genuine pairs show one president, and two thirds of
//! the most alike impostors are he and his brother.

use super::statistics::{Interval, Random, bootstrap_interval, clopper_pearson, real};

/// Bins of similarity, -1..=1.
pub const BINS: usize = 40_000;

/// Bins per unit of similarity.
const PER_UNIT: f64 = 20_000.0;

/// Every so many bins is a threshold of the bootstrap, where single impostor pairs are known: 0.001.
const FINE: usize = 20;

/// The same where only counts by person are known: 0.005.
pub const COARSE: usize = 100;

/// How many counts a person has.
pub const COARSE_BINS: usize = BINS / COARSE;

/// Samples of the bootstrap. The ends of a 95 % interval then have a dozen samples beyond them.
const SAMPLES: usize = 500;

/// Where the random numbers of the bootstrap begin; fixed, so that a result can be repeated.
const SEED: u64 = 0x05ee_d0ff_ace5;

/// The bin of a similarity; the ends take whatever lies beyond them.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the number of bins")]
pub fn bin_of(similarity: f32) -> u16 {
    // In f32: this runs for every pair. The conversion to an integer cuts at 0 and takes NaN for 0.
    let at = (similarity + 1.0) * PER_UNIT as f32;
    if at >= (BINS - 1) as f32 { (BINS - 1) as u16 } else { at as u16 }
}

/// The lowest similarity of a bin, which is the threshold that lets this bin and all above it match.
#[must_use]
pub fn edge(bin: usize) -> f64 {
    real(bin as u64) / PER_UNIT - 1.0
}

/// The bin that begins at a similarity, rounded to the nearest one.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the number of bins")]
pub fn bin_at(similarity: f64) -> usize {
    ((similarity + 1.0) * PER_UNIT).round().clamp(0.0, real(BINS as u64)) as usize
}

/// Two people who were compared once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Impostor {
    /// Bin of the similarity.
    pub bin: u16,
    /// One person, by index.
    pub a: u32,
    /// The other.
    pub b: u32,
}

/// One person compared with themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Genuine {
    /// Bin of the similarity; `None` if there was nothing to compare, which counts as a non-match.
    pub bin: Option<u16>,
    /// Who, by index.
    pub person: u32,
}

/// All scores of an evaluation.
#[derive(Debug, Clone)]
pub struct Scores {
    /// How many people.
    pub people: usize,
    /// Every genuine pair.
    pub genuine: Vec<Genuine>,
    /// How many impostor pairs fell into each bin.
    pub impostor_counts: Vec<u64>,
    /// How much of them fell into each bin, each pair counted with both people's picture's share, see [`Weights`].
    pub impostors: Vec<f64>,
    /// The impostor pairs from bin `listed_from` on, each by itself.
    pub listed: Vec<Impostor>,
    /// A multiple of [`COARSE`].
    pub listed_from: usize,
    /// For each person [`COARSE_BINS`] sums over the impostor pairs that they are one half of, counted as in
    /// `impostors`; empty if all are listed.
    pub by_person: Vec<f64>,
    /// How much counts for how much.
    pub weights: Weights,
}

/// How much a comparison counts.
#[derive(Debug, Clone)]
pub enum Weights {
    /// Each pair alike. For lists of pairs.
    Pairs,
    /// Each person alike: for each the part of the whole that one picture is among the impostors, and that one genuine
    /// pair is. 0 for people without. For all pairs.
    People {
        /// 1 by the number of pictures with a face.
        picture: Vec<f64>,
        /// 1 by the number of genuine pairs.
        pair: Vec<f64>,
    },
}

impl Weights {
    fn picture(&self, person: usize) -> f64 {
        match self {
            Self::Pairs => 1.0,
            Self::People { picture, .. } => picture[person],
        }
    }

    fn pair(&self, person: usize) -> f64 {
        match self {
            Self::Pairs => 1.0,
            Self::People { pair, .. } => pair[person],
        }
    }
}

/// Rates by threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// Thresholds: as bins, rising.
    pub bins: Vec<usize>,
    /// Share of impostor pairs at or above each of them; falling.
    pub false_match: Vec<f64>,
    /// Share of genuine pairs at or above; falling.
    pub true_match: Vec<f64>,
}

/// How many genuine pairs are recognised if at most a given share of impostor pairs may match.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct TarAtFar {
    /// The false match rate asked for.
    pub far: f64,
    /// Share of genuine pairs at or above the threshold.
    pub tar: f64,
    /// Lower end of the 95 % interval of `tar`.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The lowest threshold that keeps to `far`, as a similarity.
    pub threshold: f64,
    /// Whether there were enough impostor pairs to say: at least ten false matches expected.
    pub supported: bool,
}

/// A rate with its interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct RateWithInterval {
    /// The rate, 0..=1.
    pub rate: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Fewer expected false matches than this say nothing about a rate.
const MIN_FALSE_MATCHES: f64 = 10.0;

impl Scores {
    /// Of pairs that are listed one by one.
    #[must_use]
    pub fn of_list(people: usize, genuine: Vec<Genuine>, listed: Vec<Impostor>) -> Self {
        let mut impostor_counts = vec![0; BINS];
        for pair in &listed {
            impostor_counts[usize::from(pair.bin)] += 1;
        }
        let impostors = impostor_counts.iter().map(|count| real(*count)).collect();
        Self {
            people,
            genuine,
            impostor_counts,
            impostors,
            listed,
            listed_from: 0,
            by_person: Vec::new(),
            weights: Weights::Pairs,
        }
    }

    /// How many impostor pairs were compared.
    #[must_use]
    pub fn impostor_pairs(&self) -> u64 {
        self.impostor_counts.iter().sum()
    }

    /// How many independent things a false match rate is a share of: impostor pairs, or pairs of people where each of
    /// those counts alike.
    #[must_use]
    pub fn impostor_units(&self) -> f64 {
        self.impostors.iter().sum()
    }

    /// How many different people have genuine pairs.
    #[must_use]
    pub fn people_with_genuine(&self) -> u64 {
        let mut seen = vec![false; self.people];
        self.genuine.iter().for_each(|pair| seen[pair.person as usize] = true);
        seen.iter().filter(|seen| **seen).count() as u64
    }

    /// How much of the genuine pairs fell into each bin, counted with each person's share, see [`Weights`]; those that could not
    /// be compared are in none.
    #[must_use]
    pub fn genuine_by_bin(&self) -> Vec<f64> {
        let mut genuine = vec![0.0; BINS];
        for pair in &self.genuine {
            if let Some(bin) = pair.bin {
                genuine[usize::from(bin)] += self.weights.pair(pair.person as usize);
            }
        }
        genuine
    }

    /// The rates of these very pairs, at every bin.
    #[must_use]
    pub fn exact(&self) -> Curves {
        let genuine = self.genuine_by_bin();
        let all_genuine = self.genuine.iter().map(|pair| self.weights.pair(pair.person as usize)).sum();
        let shares = |counts: &[f64], all: f64| {
            let mut shares = counts.to_vec();
            sum_from_top(&mut shares);
            // Rounding must not make more than all of it.
            shares.iter_mut().for_each(|share| *share = ratio(*share, all).min(1.0));
            shares
        };
        Curves {
            bins: (0..BINS).collect(),
            false_match: shares(&self.impostors, self.impostor_units()),
            true_match: shares(&genuine, all_genuine),
        }
    }

    /// The thresholds of the bootstrap.
    fn thresholds(&self) -> Vec<usize> {
        let coarse = (0..self.listed_from).step_by(COARSE);
        coarse.chain((self.listed_from..BINS).step_by(FINE)).collect()
    }

    /// The rates that these people would give if each of them counted as often as `weights` says.
    fn weighted(&self, weights: &[f64], thresholds: &[usize]) -> Curves {
        let weight = |person: u32| weights[person as usize] * self.weights.pair(person as usize);
        let false_match = self.impostors_weighted(weights, thresholds);
        let mut true_match = vec![0.0; thresholds.len()];
        let mut genuine = 0.0;
        let place = Places::new(thresholds);
        for pair in &self.genuine {
            genuine += weight(pair.person);
            if let Some(at) = pair.bin.and_then(|bin| place.of(bin)) {
                true_match[at] += weight(pair.person);
            }
        }
        sum_from_top(&mut true_match);
        true_match.iter_mut().for_each(|rate| *rate = ratio(*rate, genuine));
        Curves { bins: thresholds.to_vec(), false_match, true_match }
    }

    /// The weighted share of impostor pairs at or above each threshold.
    fn impostors_weighted(&self, weights: &[f64], thresholds: &[usize]) -> Vec<f64> {
        let mut counts = vec![0.0; thresholds.len()];
        let place = Places::new(thresholds);
        let of_picture: Vec<f64> = weights
            .iter()
            .enumerate()
            .map(|(person, weight)| weight * self.weights.picture(person))
            .collect();
        for pair in &self.listed {
            if let Some(at) = place.of(pair.bin) {
                counts[at] += of_picture[pair.a as usize] * of_picture[pair.b as usize];
            }
        }
        sum_from_top(&mut counts);
        let all = match &self.weights {
            Weights::Pairs => counts.first().copied().unwrap_or(0.0),
            Weights::People { picture, .. } => {
                let of = |power: i32| {
                    let seen = picture.iter().zip(weights).filter(|(picture, _)| **picture > 0.0);
                    seen.map(|(_, weight)| weight.powi(power)).sum::<f64>()
                };
                (of(1).powi(2) - of(2)) / 2.0
            }
        };
        counts.iter_mut().for_each(|count| *count = ratio(*count, all));
        if self.by_person.is_empty() {
            return counts;
        }
        // With weights 1 + d the product is 1 + d_a + d_b + d_a d_b. Where there are so many pairs that they are not
        // listed, the last term vanishes beside the others, and counts by person give the rest.
        let mut above = vec![0.0; COARSE_BINS];
        for (person, weight) in weights.iter().enumerate() {
            let of_person = &self.by_person[person * COARSE_BINS..(person + 1) * COARSE_BINS];
            // Half of the 1 from each of the two.
            let half = weight - 0.5;
            above.iter_mut().zip(of_person).for_each(|(sum, count)| *sum += half * count);
        }
        sum_from_top(&mut above);
        for (count, bin) in counts.iter_mut().zip(thresholds).filter(|(_, bin)| **bin < self.listed_from) {
            *count = ratio(above[bin / COARSE], above[0]);
        }
        counts
    }

    /// Rates for samples of people drawn from these with replacement: always the same samples.
    #[must_use]
    pub fn bootstrap(&self) -> Vec<Curves> {
        let thresholds = self.thresholds();
        let mut random = Random::new(SEED);
        (0..SAMPLES).map(|_| self.weighted(&random.resample(self.people), &thresholds)).collect()
    }

    /// The equal error rate, with the threshold where it is. Without `samples` (people unknown) the interval is that
    /// of the genuine pairs alone, as if each were independent.
    #[must_use]
    pub fn equal_error_rate(&self, exact: &Curves, samples: Option<&[Curves]>) -> (RateWithInterval, f64) {
        let (rate, threshold) = exact.equal_error_rate();
        let interval = match samples {
            Some(samples) => {
                let mut rates: Vec<f64> = samples.iter().map(|curves| curves.equal_error_rate().0).collect();
                bootstrap_interval(&mut rates, rate)
            }
            None => self.of_genuine(rate),
        };
        (RateWithInterval { rate, low: interval.low, high: interval.high }, threshold)
    }

    /// The true accept rate at a false accept rate; `None` without genuine or impostor pairs.
    #[must_use]
    pub fn tar_at_far(&self, far: f64, exact: &Curves, samples: Option<&[Curves]>) -> Option<TarAtFar> {
        if self.genuine.is_empty() || self.impostor_pairs() == 0 {
            return None;
        }
        let (tar, threshold) = exact.tar_at_far(far);
        let interval = match samples {
            // Where no pair is ever missed, drawing the same pairs again tells nothing: count people instead.
            Some(_) if tar >= 1.0 => {
                let people = self.people_with_genuine();
                clopper_pearson(people, people)
            }
            Some(samples) => {
                let mut tars: Vec<f64> = samples.iter().map(|curves| curves.tar_between(far)).collect();
                bootstrap_interval(&mut tars, tar)
            }
            None => self.of_genuine(tar),
        };
        let supported = far * self.impostor_units() >= MIN_FALSE_MATCHES;
        Some(TarAtFar { far, tar, low: interval.low, high: interval.high, threshold, supported })
    }

    /// The interval of a share of the genuine pairs, taken as independent.
    fn of_genuine(&self, rate: f64) -> Interval {
        let pairs = self.genuine.len() as u64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the pairs")]
        let count = (rate.clamp(0.0, 1.0) * real(pairs)).round() as u64;
        let interval = clopper_pearson(count, pairs);
        Interval { low: interval.low.min(rate), high: interval.high.max(rate) }
    }
}

impl Curves {
    /// Where as many impostors match as genuine pairs do not: that rate, and the threshold.
    #[must_use]
    pub fn equal_error_rate(&self) -> (f64, f64) {
        let missed = |at: usize| 1.0 - self.true_match[at];
        let difference = |at: usize| self.false_match[at] - missed(at);
        let Some(after) = (0..self.bins.len()).find(|at| difference(*at) <= 0.0) else {
            return (self.false_match.last().copied().unwrap_or(f64::NAN), 1.0);
        };
        let Some(before) = after.checked_sub(1) else { return (missed(after), edge(self.bins[after])) };
        let part = difference(before) / (difference(before) - difference(after));
        let between = |a: f64, b: f64| a + (b - a) * part;
        let rate = between(missed(before), missed(after));
        (rate, between(edge(self.bins[before]), edge(self.bins[after])))
    }

    /// The share of genuine pairs at the lowest threshold at which at most `far` of the impostors match, and that
    /// threshold.
    #[must_use]
    pub fn tar_at_far(&self, far: f64) -> (f64, f64) {
        let at = self.false_match.partition_point(|rate| *rate > far);
        match self.bins.get(at) {
            Some(bin) => (self.true_match[at], edge(*bin)),
            // Even similarity 1 lets more of them match.
            None => (0.0, 1.0),
        }
    }

    /// As [`Curves::tar_at_far`] for a curve of few thresholds: with the threshold between two of them.
    fn tar_between(&self, far: f64) -> f64 {
        let at = self.false_match.partition_point(|rate| *rate > far);
        let (Some(after), Some(before)) = (self.false_match.get(at), at.checked_sub(1)) else {
            return self.tar_at_far(far).0;
        };
        let above = self.false_match[before];
        // The logarithm of the rate falls about linearly.
        let part = if *after > 0.0 {
            (above.ln() - far.ln()) / (above.ln() - after.ln())
        } else {
            (above - far) / above
        };
        self.true_match[before] + (self.true_match[at] - self.true_match[before]) * part
    }

    /// The rates at a threshold of the curve, or at the next one above: false match, true match.
    #[must_use]
    pub fn at(&self, bin: usize) -> (f64, f64) {
        let at = self.bins.partition_point(|threshold| *threshold < bin);
        let of = |rates: &[f64]| rates.get(at).copied().unwrap_or(0.0);
        (of(&self.false_match), of(&self.true_match))
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Turns counts into the sum of each and all above it.
fn sum_from_top(counts: &mut [f64]) {
    let mut sum = 0.0;
    for count in counts.iter_mut().rev() {
        sum += *count;
        *count = sum;
    }
}

/// Finds the highest threshold at or below a bin.
struct Places(Vec<u32>);

impl Places {
    fn new(thresholds: &[usize]) -> Self {
        let mut places = vec![u32::MAX; BINS];
        let ends = thresholds.iter().skip(1).copied().chain([BINS]);
        for (at, (from, to)) in (0_u32..).zip(thresholds.iter().zip(ends)) {
            places[*from..to].fill(at);
        }
        Self(places)
    }

    fn of(&self, bin: u16) -> Option<usize> {
        match self.0[usize::from(bin)] {
            u32::MAX => None,
            at => Some(at as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `people` people with two genuine pairs each around 0.6, and impostors around 0.1, spread by a fixed pattern.
    fn sample(people: u32) -> Scores {
        let spread = |a: u32, b: u32| f32::from(u8::try_from((a * 37 + b * 91) % 101).unwrap()) / 101.0 - 0.5;
        let genuine = (0..people).flat_map(|p| [(p, 0), (p, 1)]);
        let genuine = genuine
            .map(|(p, k)| Genuine { bin: Some(bin_of(0.6 + 0.5 * spread(p, k))), person: p })
            .collect();
        let pairs = (0..people).flat_map(|a| (a + 1..people).map(move |b| (a, b)));
        let listed = pairs.map(|(a, b)| Impostor { bin: bin_of(0.1 + 0.7 * spread(a, b)), a, b }).collect();
        Scores::of_list(people as usize, genuine, listed)
    }

    #[test]
    fn bins_and_their_edges_agree() {
        assert_eq!([-1.0, 0.0, 1.0].map(bin_of), [0, 20_000, 39_999]);
        assert_eq!((bin_of(f32::NAN), bin_of(7.0), bin_of(-7.0)), (0, 39_999, 0));
        for similarity in [-0.98, -0.02, 0.0, 0.412, 0.5] {
            assert!((edge(bin_at(similarity)) - similarity).abs() < 1e-12);
        }
    }

    #[test]
    fn rates_are_those_of_a_count_by_hand() {
        let pair = |similarity: f32| Impostor { bin: bin_of(similarity), a: 0, b: 1 };
        let own = |similarity: Option<f32>| Genuine { bin: similarity.map(bin_of), person: 0 };
        let scores = Scores::of_list(
            2,
            vec![own(Some(0.9)), own(Some(0.5)), own(Some(0.2)), own(None)],
            vec![pair(0.1), pair(0.2), pair(0.3), pair(0.4)],
        );
        let exact = scores.exact();
        assert_eq!(exact.at(bin_at(0.25)), (0.5, 0.5));
        assert_eq!(exact.at(bin_at(0.95)), (0.0, 0.0));
        let (tar, threshold) = exact.tar_at_far(0.25);
        assert_eq!(tar, 0.5);
        assert!((0.3..0.4001).contains(&threshold), "{threshold}");
        let (eer, at) = exact.equal_error_rate();
        assert_eq!(eer, 0.5);
        assert!((0.2..=0.31).contains(&at), "{at}");
        let level = scores.tar_at_far(0.25, &exact, None).unwrap();
        assert!(!level.supported && level.low < 0.1 && level.high > 0.9, "{level:?}");
        assert!(Scores::of_list(2, Vec::new(), Vec::new()).tar_at_far(0.1, &exact, None).is_none());
    }

    #[test]
    fn each_person_counts_alike_where_that_is_wanted() {
        // Person 0 has three pairs and is missed once, person 1 has one and is never missed.
        let own = |similarity: f32, person| Genuine { bin: Some(bin_of(similarity)), person };
        let genuine = vec![own(0.9, 0), own(0.9, 0), own(0.1, 0), own(0.9, 1)];
        let mut scores = Scores::of_list(2, genuine, vec![Impostor { bin: bin_of(0.0), a: 0, b: 1 }]);
        assert_eq!(scores.exact().at(bin_at(0.5)).1, 0.75);
        scores.weights = Weights::People { picture: vec![1.0; 2], pair: vec![1.0 / 3.0, 1.0] };
        let (_, true_match) = scores.exact().at(bin_at(0.5));
        assert!((true_match - 5.0 / 6.0).abs() < 1e-12, "{true_match}");
    }

    #[test]
    fn counts_by_person_do_for_pairs_that_are_not_listed() {
        let all = sample(60);
        let mut short = all.clone();
        short.weights = Weights::People { picture: vec![1.0; 60], pair: vec![0.5; 60] };
        let full = Scores { weights: short.weights.clone(), ..all };
        short.by_person = vec![0.0; 60 * COARSE_BINS];
        for pair in &short.listed {
            for person in [pair.a, pair.b] {
                short.by_person[person as usize * COARSE_BINS + usize::from(pair.bin) / COARSE] += 1.0;
            }
        }
        short.listed_from = bin_at(0.2);
        short.listed.retain(|pair| usize::from(pair.bin) >= bin_at(0.2));
        let (a, b) = (full.bootstrap(), short.bootstrap());
        for (a, b) in a.iter().zip(&b) {
            for similarity in [-0.2, 0.0, 0.1, 0.3, 0.4] {
                let (a, b) = (a.at(bin_at(similarity)).0, b.at(bin_at(similarity)).0);
                assert!((a - b).abs() < 0.06, "{similarity}: {a} {b}");
            }
        }
    }

    #[test]
    fn intervals_hold_the_rate_and_repeat() {
        let scores = sample(40);
        let exact = scores.exact();
        let samples = scores.bootstrap();
        let level = scores.tar_at_far(0.1, &exact, Some(&samples)).unwrap();
        assert!(level.supported && level.low < level.tar && level.tar < level.high, "{level:?}");
        let (eer, _) = scores.equal_error_rate(&exact, Some(&samples));
        assert!(eer.low < eer.rate && eer.rate < eer.high, "{eer:?}");
        assert_eq!(scores.bootstrap(), samples);
        // Nobody missed: drawing the same people again says nothing, their number does.
        let sure = scores.tar_at_far(0.99, &exact, Some(&samples)).unwrap();
        assert!(sure.tar == 1.0 && sure.low > 0.9 && sure.low < 0.95, "{sure:?}");
    }

    proptest! {
        #[test]
        fn curves_fall(pairs in prop::collection::vec((-1.0_f32..1.0, any::<bool>()), 2..60)) {
            let genuine = pairs.iter().filter(|p| p.1).map(|p| Genuine { bin: Some(bin_of(p.0)), person: 0 });
            let listed = pairs.iter().filter(|p| !p.1).map(|p| Impostor { bin: bin_of(p.0), a: 0, b: 1 });
            let curves = Scores::of_list(2, genuine.collect(), listed.collect()).exact();
            for rates in [&curves.false_match, &curves.true_match] {
                prop_assert!(rates.windows(2).all(|pair| pair[0] >= pair[1]));
                prop_assert!(rates.iter().all(|rate| (0.0..=1.0).contains(rate)));
            }
            let (tar, threshold) = curves.tar_at_far(0.1);
            prop_assert!((0.0..=1.0).contains(&tar) && (-1.0..=1.0).contains(&threshold));
        }
    }
}
