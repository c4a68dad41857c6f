//! Every picture compared with every other one: a matrix product in blocks, of which only counts are kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::super::exit::{Exit, Failure, OrExit};
use super::embed::threads;
use crate::config::Metric;
use crate::domain::Embedding;
use crate::matching::error_rates::{BINS, COARSE, COARSE_BINS, Genuine, Impostor, Scores, Weights, bin_of};
use crate::matching::statistics::{Random, mean_and_deviation, real};

/// Rows and columns of a block: two blocks of 512 numbers a row and their product fit into 1.3 MB.
const BLOCK: usize = 256;

/// So many of the most alike impostor pairs are listed one by one, for the bootstrap.
const LISTED: usize = 500_000;

/// More genuine pairs than these would take more than 160 MB.
const MAX_GENUINE: u64 = 20_000_000;

/// Parts that people are dealt to.
pub(super) const FOLDS: usize = 10;

/// Where the dealing begins; fixed, so that a result can be repeated.
const SEED: u64 = 0xf01d;

/// The pictures of one person: an embedding for each, `None` where no face was found.
pub(super) type Pictures<'a> = Vec<Option<&'a Embedding>>;

/// What came of comparing all with all.
pub(super) struct AllPairs {
    /// All scores; each person counts alike.
    pub(super) scores: Scores,
    /// Mean and deviation of the balanced accuracy (the mean of both shares of right verdicts) over ten folds: people
    /// are dealt to the folds at random, pairs within a fold are judged, with the threshold that is best for the pairs
    /// within the other folds. No person is in both. `None` if a fold is without pairs of either kind.
    pub(super) balanced_accuracy: Option<(f64, f64)>,
}

/// All pictures with a face, by person, as rows.
struct Rows {
    values: Vec<f32>,
    dimension: usize,
    /// Added for both rows of a pair: similarity = product + offset + offset.
    offsets: Vec<f32>,
    people: Vec<u32>,
    /// For each row 1 by the number of rows of that person.
    shares: Vec<f64>,
}

impl Rows {
    fn new(people: &[Pictures<'_>], metric: Metric) -> Result<Self, Failure> {
        let faces: Vec<(u32, &Embedding)> = (0_u32..)
            .zip(people)
            .flat_map(|(person, pictures)| pictures.iter().flatten().map(move |face| (person, *face)))
            .collect();
        let dimension = faces.first().map_or(0, |(_, face)| face.values().len());
        let mut rows = Self {
            values: Vec::new(),
            dimension,
            offsets: Vec::new(),
            people: Vec::new(),
            shares: Vec::new(),
        };
        let shares: Vec<f64> =
            people.iter().map(|pictures| share_of_one(pictures.iter().flatten().count())).collect();
        for (person, face) in &faces {
            face.check_comparable(faces[0].1).or_exit(Exit::Internal)?;
            let squared: f32 = face.values().iter().map(|v| v * v).sum();
            // Cosine: rows of length 1. Euclidean: 1 - |a - b|²/2 = a·b + (1 - |a|²)/2 + (1 - |b|²)/2.
            let (length, offset) = match metric {
                Metric::Cosine => (squared.sqrt(), 0.0),
                Metric::Euclidean => (1.0, (1.0 - squared) / 2.0),
            };
            rows.values.extend(face.values().iter().map(|v| v / length));
            rows.offsets.push(offset);
            rows.people.push(*person);
            rows.shares.push(shares[*person as usize]);
        }
        Ok(rows)
    }

    fn block(&self, from: usize, to: usize) -> Result<ArrayView2<'_, f32>, Failure> {
        let values = &self.values[from * self.dimension..to * self.dimension];
        ArrayView2::from_shape((to - from, self.dimension), values).or_exit(Exit::Internal)
    }
}

/// 1 by `count`, 0 for none.
fn share_of_one(count: usize) -> f64 {
    if count == 0 { 0.0 } else { 1.0 / real(count as u64) }
}

/// What one thread counts.
struct Counts {
    impostor_counts: Vec<u64>,
    /// By fold if both people are in it, and last all others.
    impostors: Vec<Vec<f64>>,
    by_person: Vec<f64>,
    listed: Vec<Impostor>,
    listed_from: usize,
    genuine: Vec<Genuine>,
}

impl Counts {
    fn new(people: usize) -> Self {
        Self {
            impostor_counts: vec![0; BINS],
            impostors: vec![vec![0.0; BINS]; FOLDS + 1],
            by_person: vec![0.0; people * COARSE_BINS],
            listed: Vec::new(),
            listed_from: 0,
            genuine: Vec::new(),
        }
    }

    fn add(&mut self, [a, b]: [u32; 2], weight: f64, folds: &[usize], similarity: f32) {
        let bin = bin_of(similarity);
        if a == b {
            self.genuine.push(Genuine { bin: Some(bin), person: a });
            return;
        }
        let at = usize::from(bin);
        let [i, j] = [a as usize, b as usize];
        let fold = if folds[i] == folds[j] { folds[i] } else { FOLDS };
        self.impostor_counts[at] += 1;
        self.impostors[fold][at] += weight;
        self.by_person[i * COARSE_BINS + at / COARSE] += weight;
        self.by_person[j * COARSE_BINS + at / COARSE] += weight;
        if at >= self.listed_from {
            self.listed.push(Impostor { bin, a, b });
        }
    }

    /// Forgets the least alike of the listed pairs if there are far too many. What is kept is complete from
    /// `listed_from` on, and no more is forgotten than the sum over all threads would make necessary.
    fn trim(&mut self) {
        if self.listed.len() > 2 * LISTED {
            let from = cut(&mut self.listed);
            self.listed_from = self.listed_from.max(from);
        }
    }

    fn merge(&mut self, other: Self) {
        self.impostor_counts.iter_mut().zip(other.impostor_counts).for_each(|(a, b)| *a += b);
        for (mine, theirs) in self.impostors.iter_mut().zip(other.impostors) {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
        self.by_person.iter_mut().zip(other.by_person).for_each(|(a, b)| *a += b);
        self.listed.extend(other.listed);
        self.listed_from = self.listed_from.max(other.listed_from);
        self.genuine.extend(other.genuine);
    }
}

/// Keeps the most alike pairs: at most [`LISTED`], and all from a bin on that is returned.
fn cut(listed: &mut Vec<Impostor>) -> usize {
    let mut counts = vec![0_usize; COARSE_BINS];
    listed.iter().for_each(|pair| counts[usize::from(pair.bin) / COARSE] += 1);
    let mut from = COARSE_BINS;
    let mut kept = 0;
    while let Some(below) = from.checked_sub(1)
        && kept + counts[below] <= LISTED
    {
        kept += counts[below];
        from = below;
    }
    listed.retain(|pair| usize::from(pair.bin) >= from * COARSE);
    from * COARSE
}

/// Compares all pictures of all people with each other.
pub(super) fn compare(people: &[Pictures<'_>], metric: Metric) -> Result<AllPairs, Failure> {
    let pairs_of = |count: usize| count as u64 * (count as u64).saturating_sub(1) / 2;
    let genuine: u64 = people.iter().map(|pictures| pairs_of(pictures.len())).sum();
    if genuine > MAX_GENUINE {
        let message = format!(
            "{genuine} pairs of pictures of one person are more than the {MAX_GENUINE} that can be counted: leave \
             out pictures of the people who have most"
        );
        return Err(Failure::new(Exit::Data, message));
    }
    let rows = Rows::new(people, metric)?;
    let folds = Random::new(SEED).deal(people.len(), FOLDS);
    let blocks = rows.people.len().div_ceil(BLOCK);
    let tasks: Vec<(usize, usize)> = (0..blocks).flat_map(|i| (i..blocks).map(move |j| (i, j))).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<Counts, Failure> {
        let mut counts = Counts::new(people.len());
        let mut product = vec![0.0_f32; BLOCK * BLOCK];
        while let Some(&task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            compare_blocks(&rows, task, &folds, &mut product, &mut counts)?;
            counts.trim();
        }
        Ok(counts)
    };
    let mut all = Counts::new(people.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads()).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let panicked = |_| Err(Failure::new(Exit::Internal, "comparing pictures panicked"));
            all.merge(worker.join().unwrap_or_else(panicked)?);
        }
        Ok(())
    })?;
    // The threads forgot different pairs; from here on it does not depend on which thread did what.
    let from = all.listed_from;
    all.listed.retain(|pair| usize::from(pair.bin) >= from);
    if all.listed.len() > LISTED {
        all.listed_from = cut(&mut all.listed).max(from);
    }
    all.listed.sort_unstable();
    let pairs: Vec<f64> = people
        .iter()
        .map(|pictures| share_of_one(pictures.len() * pictures.len().saturating_sub(1) / 2))
        .collect();
    let balanced_accuracy = balanced_accuracy(&all, &folds, &pairs);

    // A picture without a face is not recognised with any other of the same person.
    for (person, pictures) in (0_u32..).zip(people) {
        let missed = pairs_of(pictures.len()) - pairs_of(pictures.iter().flatten().count());
        all.genuine.extend((0..missed).map(|_| Genuine { bin: None, person }));
    }
    let mut impostors = vec![0.0; BINS];
    for counts in &all.impostors {
        impostors.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let picture = people.iter().map(|pictures| share_of_one(pictures.iter().flatten().count())).collect();
    let scores = Scores {
        people: people.len(),
        genuine: all.genuine,
        impostor_counts: all.impostor_counts,
        impostors,
        listed: all.listed,
        listed_from: all.listed_from,
        by_person: all.by_person,
        weights: Weights::People { picture, pair: pairs },
    };
    Ok(AllPairs { scores, balanced_accuracy })
}

fn compare_blocks(
    rows: &Rows,
    (i, j): (usize, usize),
    folds: &[usize],
    product: &mut [f32],
    counts: &mut Counts,
) -> Result<(), Failure> {
    let range = |block: usize| (block * BLOCK, ((block + 1) * BLOCK).min(rows.people.len()));
    let ((top, bottom), (left, right)) = (range(i), range(j));
    let (a, b) = (rows.block(top, bottom)?, rows.block(left, right)?);
    let shape = (bottom - top, right - left);
    let product = &mut product[..shape.0 * shape.1];
    let mut view = ArrayViewMut2::from_shape(shape, product).or_exit(Exit::Internal)?;
    general_mat_mul(1.0, &a, &b.t(), 0.0, &mut view);
    for (row, similarities) in (top..).zip(product.chunks_exact(shape.1)) {
        // On the diagonal each pair once, and no picture with itself.
        let first = if i == j { row + 1 - left } else { 0 };
        for (column, similarity) in (left..).zip(similarities).skip(first) {
            let similarity = similarity + rows.offsets[row] + rows.offsets[column];
            let weight = rows.shares[row] * rows.shares[column];
            counts.add([rows.people[row], rows.people[column]], weight, folds, similarity);
        }
    }
    Ok(())
}

fn balanced_accuracy(counts: &Counts, folds: &[usize], share_of_pair: &[f64]) -> Option<(f64, f64)> {
    let mut genuine = vec![vec![0.0; BINS]; FOLDS];
    for pair in &counts.genuine {
        if let Some(bin) = pair.bin {
            let person = pair.person as usize;
            genuine[folds[person]][usize::from(bin)] += share_of_pair[person];
        }
    }
    let total = |counts: &[f64]| counts.iter().sum::<f64>();
    let impostors = &counts.impostors[..FOLDS];
    if genuine.iter().chain(impostors).any(|counts| total(counts) <= 0.0) {
        return None;
    }
    let others = |by_fold: &[Vec<f64>], fold: usize| {
        let mut sum = vec![0.0; BINS];
        for counts in by_fold.iter().enumerate().filter(|(at, _)| *at != fold).map(|(_, counts)| counts) {
            sum.iter_mut().zip(counts).for_each(|(a, b)| *a += b);
        }
        sum
    };
    let accuracies: Vec<f64> = (0..FOLDS)
        .map(|fold| {
            let (same, other) = (others(&genuine, fold), others(impostors, fold));
            let (sames, all_others) = (total(&same), total(&other));
            let (mut accepted, mut wrong, mut best) = (0.0, 0.0, (0.5, BINS));
            for bin in (0..BINS).rev() {
                accepted += same[bin];
                wrong += other[bin];
                let accuracy = (accepted / sames + 1.0 - wrong / all_others) / 2.0;
                if accuracy > best.0 {
                    best = (accuracy, bin);
                }
            }
            let part = |counts: &[f64]| total(&counts[best.1..]) / total(counts);
            (part(&genuine[fold]) + 1.0 - part(&impostors[fold])) / 2.0
        })
        .collect();
    Some(mean_and_deviation(&accuracies))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ModelDigest;
    use crate::matching::error_rates::edge;

    /// `people` people with `pictures` pictures each: their own direction with some noise.
    fn sample(people: usize, pictures: usize) -> Vec<Vec<Embedding>> {
        let mut random = Random::new(5);
        let mut number = || real(random.bits() >> 11) / real(1 << 53) - 0.5;
        let mut out = Vec::new();
        for _ in 0..people {
            let own: Vec<f64> = (0..16).map(|_| number()).collect();
            let mut picture = || {
                #[expect(clippy::cast_possible_truncation, reason = "numbers of a test")]
                let values = own.iter().map(|v| (v + 0.6 * number()) as f32).collect();
                Embedding::new(ModelDigest([1; 32]), values).unwrap()
            };
            out.push((0..pictures).map(|_| picture()).collect());
        }
        out
    }

    fn borrowed(people: &[Vec<Embedding>]) -> Vec<Pictures<'_>> {
        people.iter().map(|pictures| pictures.iter().map(Some).collect()).collect()
    }

    #[test]
    fn counts_what_a_plain_loop_counts() {
        let people = sample(130, 3);
        let all = compare(&borrowed(&people), Metric::Cosine).unwrap();
        let scores = &all.scores;
        assert_eq!(scores.genuine.len(), 130 * 3);
        assert_eq!(scores.impostor_pairs(), 390 * 389 / 2 - 390);
        assert_eq!(scores.listed.len() as u64, scores.impostor_pairs());
        // Each pair of people counts 1, so each of its nine pairs of pictures a ninth.
        assert!((scores.impostor_units() - f64::from(130 * 129 / 2)).abs() < 1e-6);
        let flat: Vec<(usize, &Embedding)> =
            people.iter().enumerate().flat_map(|(p, faces)| faces.iter().map(move |f| (p, f))).collect();
        for threshold in [-0.2_f32, 0.1, 0.5] {
            let (mut matches, mut of_first) = (0_u64, 0_u64);
            for (at, (a, x)) in flat.iter().enumerate() {
                for (b, y) in &flat[at + 1..] {
                    let is_match = a != b && x.cosine(y).unwrap().value() >= threshold;
                    matches += u64::from(is_match);
                    of_first += u64::from(is_match && (*a == 0 || *b == 0));
                }
            }
            let bin = usize::from(bin_of(threshold));
            let counted = 9.0 * scores.impostors[bin..].iter().sum::<f64>();
            assert!((real(matches) - counted).abs() < 1.5, "{matches} {counted}");
            let own = 9.0 * scores.by_person[bin / COARSE..COARSE_BINS].iter().sum::<f64>();
            assert!((real(of_first) - own).abs() < 1.5, "{of_first} {own}");
        }
        let (accuracy, _) = all.balanced_accuracy.unwrap();
        assert!((0.9..=1.0).contains(&accuracy), "{accuracy}");
    }

    #[test]
    fn euclidean_similarity_is_that_of_the_gallery() {
        let model = ModelDigest([1; 32]);
        let a = Embedding::new(model, vec![0.3, 0.4, 0.1]).unwrap();
        let b = Embedding::new(model, vec![0.2, -0.4, 0.5]).unwrap();
        let all = compare(&[vec![Some(&a)], vec![Some(&b)]], Metric::Euclidean).unwrap();
        let expected = 1.0 - f64::from(a.euclidean(&b).unwrap()).powi(2) / 2.0;
        let bin = all.scores.impostors.iter().position(|count| *count > 0.0).unwrap();
        assert!((edge(bin) - expected).abs() < 1e-4, "{} {expected}", edge(bin));
        assert_eq!(all.balanced_accuracy, None);
    }

    #[test]
    fn a_picture_without_a_face_is_recognised_with_nothing() {
        let people = sample(2, 3);
        let mut pictures = borrowed(&people);
        pictures[0][1] = None;
        let scores = compare(&pictures, Metric::Cosine).unwrap().scores;
        assert_eq!(scores.genuine.iter().filter(|pair| pair.bin.is_none()).count(), 2);
        assert_eq!(scores.genuine.len(), 6);
        assert_eq!(scores.impostor_pairs(), 6);
        assert!((scores.impostor_units() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_most_alike_are_kept() {
        let pair = |bin: usize| Impostor { bin: u16::try_from(bin).unwrap(), a: 0, b: 1 };
        let mut listed: Vec<Impostor> = (0..3 * LISTED).map(|at| pair(at % BINS)).collect();
        let from = cut(&mut listed);
        assert!(from.is_multiple_of(COARSE) && listed.len() <= LISTED && listed.len() > LISTED * 9 / 10);
        assert!(listed.iter().all(|pair| usize::from(pair.bin) >= from));
    }
}
