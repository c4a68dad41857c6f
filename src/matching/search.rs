//! Finds the two people most alike to a probe: by comparing it with every row, or faster, with the same result.
//!
//! Comparing takes as long as reading the matrix does, so the fast way reads a matrix of rounded rows, a quarter as
//! large. What a rounded score can be wrong by is known for each row:
//!
//! - A row `r` was rounded to `r'`, the probe `p` to `p'`, and `r·p - r'·p' = (r - r')·p + r'·(p - p')`, which is at
//!   most `|r - r'| |p| + |r'| |p - p'|`. The lengths of what rounding took off are kept with the rows.
//! - Adding up `n` products in `f32`, in whatever order, is wrong by at most `n` units of rounding times the lengths of
//!   both vectors; [`slack`] allows for that, and for the rest of the arithmetic, in the full score and the rounded one.
//!
//! So each row has a least and a most that its full score can be, and each person the most of both. Whoever is the
//! second best scores at least the second most of the leasts. Rows that cannot come up to that are neither the best row
//! nor that of the second best person, and not even equal to them; all others are compared in full. What comes out is
//! what comparing every row gives, bit by bit.

use std::sync::Arc;

use super::block::{Block, Steps, append_unit};
use super::gallery::GalleryMetric;
use super::kernels::{Kernel, OFFSET};

/// How the rows are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Every row is compared in full.
    Full,
    /// Every row is compared rounded, and in full where that leaves open who is meant. The result is the same.
    Rounded,
}

/// Rows that are gone through at a time. Where there are several probes, fewer: these stay in the processor's cache until
/// all probes have been compared with them.
const TILE: usize = 256;
const SHARED_TILE: usize = 64;
/// Vectors longer than this are compared in full: their scores would drown in what rounding may be wrong by. Models
/// give lengths of about 1.
const LONGEST: f32 = 1e4;
/// Longer rows are compared in full, lest sums of small numbers overflow.
const MOST_NUMBERS: usize = 65_536;

/// Somebody, by the numbers of the block and of the person in it.
pub(super) type Who = (usize, u32);

/// The best two people so far. Of equals the first is the better.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Top {
    pub(super) best: Option<(Who, f32)>,
    pub(super) second: Option<(Who, f32)>,
}

impl Top {
    /// Takes the score of one template.
    fn offer(&mut self, who: Who, score: f32) {
        match (self.best, self.second) {
            (None, _) => self.best = Some((who, score)),
            (Some((best, top)), _) if best == who => self.best = Some((who, top.max(score))),
            (Some((_, top)), _) if score > top => {
                self.second = self.best;
                self.best = Some((who, score));
            }
            (_, Some((second, top))) if second == who => self.second = Some((who, top.max(score))),
            (_, Some((_, top))) if score <= top => {}
            (_, _) => self.second = Some((who, score)),
        }
    }

    /// What somebody has to score at least to change anything.
    fn floor(&self) -> f32 {
        self.second.map_or(f32::NEG_INFINITY, |(_, score)| score)
    }
}

/// What a search has come to.
pub(super) struct Found {
    pub(super) top: Top,
    /// How many rows were compared in full.
    pub(super) compared: usize,
}

/// What is searched for.
pub(super) struct Probe {
    metric: GalleryMetric,
    /// Of length 1 where the metric is cosine.
    values: Vec<f32>,
    /// The same rounded.
    small: Vec<i8>,
    /// Its rounding.
    steps: Steps,
    /// What the offset in the rounded rows adds to their dot products.
    offset: i32,
    /// What all scores begin with.
    base: f32,
}

impl Probe {
    pub(super) fn new(metric: GalleryMetric, values: &[f32]) -> Self {
        let mut taken = Vec::with_capacity(values.len());
        match metric {
            GalleryMetric::Cosine => append_unit(&mut taken, values),
            GalleryMetric::Euclidean => taken.extend_from_slice(values),
        }
        let mut small = Vec::with_capacity(values.len());
        let steps = Steps::of(&taken, &mut small);
        let small: Vec<i8> =
            small.into_iter().map(|steps| steps.wrapping_sub(OFFSET).cast_signed()).collect();
        let offset = small
            .iter()
            .fold(0_i32, |sum, v| sum.wrapping_add(i32::from(*v)))
            .wrapping_mul(i32::from(OFFSET));
        let base = match metric {
            GalleryMetric::Cosine => 0.0,
            GalleryMetric::Euclidean => 1.0 - steps.squared / 2.0,
        };
        Self { metric, values: taken, small, steps, offset, base }
    }

    /// The scores of rows that lie one after the other, compared in full.
    fn scores(&self, kernel: &Kernel, rows: &[f32], scores: &mut [f32]) {
        match self.metric {
            GalleryMetric::Cosine => kernel.products(rows, &self.values, scores),
            GalleryMetric::Euclidean => {
                kernel.squared_distances(rows, &self.values, scores);
                scores.iter_mut().for_each(|score| *score = (1.0 - *score / 2.0).max(f32::MIN));
            }
        }
    }

    /// Whether what rounding takes off is small beside the scores, with rows of at most this length.
    fn can_be_rounded(&self, longest: f32) -> bool {
        self.values.len() <= MOST_NUMBERS && self.steps.extent <= LONGEST && longest <= LONGEST
    }
}

/// What full and rounded score together can be wrong by beside what rounding the vectors took off. A unit of rounding is
/// half of `EPSILON`. The full score takes `numbers` units and a few of what is added up, at most a half of the square of
/// both lengths together; the rounded one as many where the lengths of the vectors go into it, and else a dozen.
fn slack(numbers: usize, row: f32, probe: f32) -> f32 {
    (numbers + 16) as f32 * f32::EPSILON * (1.0 + (row + probe) * (row + probe))
}

/// The best two people for each of the probes.
pub(super) fn search(kernel: &Kernel, blocks: &[Arc<Block>], probes: &[Probe], scan: Scan) -> Vec<Found> {
    let longest = blocks.iter().fold(0.0_f32, |longest, block| longest.max(block.longest()));
    let mut searches: Vec<Search<'_>> = probes
        .iter()
        .map(|probe| match scan {
            Scan::Rounded if probe.can_be_rounded(longest) => Search::Rounded(probe, Rounded::default()),
            Scan::Full | Scan::Rounded => Search::Full(probe, Top::default()),
        })
        .collect();
    let rows = if probes.len() == 1 { TILE } else { SHARED_TILE };
    for (number, block) in blocks.iter().enumerate() {
        for from in (0..block.len()).step_by(rows) {
            let tile = Tile { block, number, from, to: block.len().min(from + rows) };
            searches.iter_mut().for_each(|search| search.take(kernel, &tile));
        }
    }
    searches.into_iter().map(|search| search.finish(kernel, blocks)).collect()
}

/// Some rows of a block.
struct Tile<'a> {
    block: &'a Block,
    number: usize,
    from: usize,
    to: usize,
}

impl Tile<'_> {
    fn of<'b, T>(&self, all: &'b [T], each: usize) -> &'b [T] {
        all.get(self.from * each..self.to * each).unwrap_or_default()
    }

    /// Whose a row is, counted from the tile's first.
    fn who(&self, row: usize) -> Who {
        (self.number, self.block.owners().get(self.from + row).copied().unwrap_or(u32::MAX))
    }
}

enum Search<'a> {
    Full(&'a Probe, Top),
    Rounded(&'a Probe, Rounded),
}

/// What comparing rounded rows has found so far.
#[derive(Default)]
struct Rounded {
    /// By the least that their scores can be.
    leasts: Top,
    /// Rows that could come up to that, with the most that their scores can be: block, row, most.
    open: Vec<(usize, usize, f32)>,
}

impl Search<'_> {
    fn take(&mut self, kernel: &Kernel, tile: &Tile<'_>) {
        match self {
            Self::Full(probe, top) => {
                let mut room = [0.0; TILE];
                let scores = &mut room[..tile.to - tile.from];
                probe.scores(kernel, tile.of(tile.block.rows(), probe.values.len()), scores);
                for (row, score) in scores.iter().enumerate() {
                    // Of somebody who is in already, what is less changes nothing either.
                    if *score > top.floor() {
                        top.offer(tile.who(row), *score);
                    }
                }
            }
            Self::Rounded(probe, found) => found.take(kernel, tile, probe),
        }
    }

    fn finish(self, kernel: &Kernel, blocks: &[Arc<Block>]) -> Found {
        let (probe, found) = match self {
            Self::Full(_, top) => {
                return Found { top, compared: blocks.iter().map(|block| block.len()).sum() };
            }
            Self::Rounded(probe, found) => (probe, found),
        };
        let (floor, mut top, mut compared) = (found.leasts.floor(), Top::default(), 0);
        for (number, row, _) in found.open.into_iter().filter(|(_, _, most)| *most >= floor) {
            let Some(block) = blocks.get(number) else { continue };
            let mut score = [0.0];
            compared += 1;
            probe.scores(kernel, block.row(row), &mut score);
            let who = block.owners().get(row).copied().unwrap_or(u32::MAX);
            if score[0] > top.floor() {
                top.offer((number, who), score[0]);
            }
        }
        Found { top, compared }
    }
}

impl Rounded {
    fn take(&mut self, kernel: &Kernel, tile: &Tile<'_>, probe: &Probe) {
        let count = tile.to - tile.from;
        let (mut sums, mut mosts) = ([0; TILE], [0.0; TILE]);
        let (sums, mosts) = (&mut sums[..count], &mut mosts[..count]);
        kernel.small_products(tile.of(tile.block.small(), probe.small.len()), &probe.small, sums);
        let (steps, losses, shifts) = tile.block.rounding();
        let (steps, losses, shifts) = (tile.of(steps, 1), tile.of(losses, 1), tile.of(shifts, 1));
        let (longest, extent) = (tile.block.longest(), probe.steps.extent);
        let slack = longest * probe.steps.loss + slack(probe.values.len(), longest, extent);
        let most_over = probe.base + slack;
        for (n, most) in mosts.iter_mut().enumerate() {
            let product = sums[n].wrapping_sub(probe.offset) as f32 * (steps[n] * probe.steps.step);
            *most = product + shifts[n] + losses[n] * extent + most_over;
        }
        let mut floor = self.leasts.floor();
        for (part, mosts) in mosts.chunks(16).enumerate() {
            // One question for sixteen rows, of which hardly ever one comes near.
            if mosts.iter().fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a }) < floor {
                continue;
            }
            for (n, most) in (part * 16..).zip(mosts) {
                if *most >= floor {
                    let least = most - 2.0 * (losses[n] * extent + slack);
                    self.leasts.offer(tile.who(n), least);
                    self.open.push((tile.number, tile.from + n, *most));
                    floor = self.leasts.floor();
                }
            }
        }
    }
}
