//! A part of the gallery's matrix: the templates of some people who follow each other in the order of names.
//!
//! A block is never changed: a gallery in which somebody changes shares all blocks but one with the gallery before.

use std::ops::{Deref, Range};
use std::sync::Arc;

use super::gallery::GalleryMetric;
use super::kernels::{OFFSET, sum_of};
use crate::domain::PersonId;

/// Templates of a block. At 512 numbers each it has 2.6 MB, which are copied in about a millisecond when somebody in it
/// changes. Somebody who has more has a block of their own: nobody's templates are in two.
pub(super) const TEMPLATES: usize = 1024;

/// The people from one name to another, with their templates.
#[derive(Debug)]
pub(super) struct Block {
    dimension: usize,
    /// Sorted.
    people: Vec<PersonId>,
    /// For each row, an index into `people`; ascending.
    owners: Vec<u32>,
    /// Row after row; of length 1 where the metric is cosine.
    rows: Aligned<f32>,
    /// The same rows rounded, row after row: how many steps, with [`OFFSET`] added.
    small: Aligned<u8>,
    /// For each row, how long a step is.
    steps: Vec<f32>,
    /// For each row, at least the length of what rounding took off.
    losses: Vec<f32>,
    /// For each row, what is to be added to its dot product with a probe: half the square of its length, negative, where
    /// the metric is euclidean, else 0.
    shifts: Vec<f32>,
    /// At least the length of the longest row, rounded or not.
    longest: f32,
}

impl Block {
    /// How many templates.
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Who is in it, sorted.
    pub(super) fn people(&self) -> &[PersonId] {
        &self.people
    }

    /// For each row, an index into [`Block::people`].
    pub(super) fn owners(&self) -> &[u32] {
        &self.owners
    }

    /// All rows, one after the other.
    pub(super) fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// One row; nothing if there is none.
    pub(super) fn row(&self, n: usize) -> &[f32] {
        self.rows.get(self.span(n..n + 1)).unwrap_or_default()
    }

    /// The rounded rows, one after the other.
    pub(super) fn small(&self) -> &[u8] {
        &self.small
    }

    /// For each row how long a step is, at least what rounding took off, and what is to be added.
    pub(super) fn rounding(&self) -> (&[f32], &[f32], &[f32]) {
        (&self.steps, &self.losses, &self.shifts)
    }

    /// At least the length of the longest row, rounded or not.
    pub(super) fn longest(&self) -> f32 {
        self.longest
    }

    /// Memory that it takes, in bytes, without the names.
    pub(super) fn bytes(&self) -> usize {
        let per_row = 4 * size_of::<u32>() + self.dimension * (size_of::<f32>() + size_of::<u8>());
        self.len() * per_row + size_of_val(self.people.as_slice()) + size_of::<Self>()
    }

    /// The rows of the person at `index` of [`Block::people`].
    fn rows_of(&self, index: usize) -> Range<usize> {
        let before = |other: usize| self.owners.partition_point(|owner| (*owner as usize) < other);
        before(index)..before(index + 1)
    }

    fn span(&self, rows: Range<usize>) -> Range<usize> {
        rows.start * self.dimension..rows.end * self.dimension
    }
}

/// Where the templates of a person come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Somebody new, with one or more templates.
    New(&'a PersonId, &'a [&'a [f32]]),
    /// The person at this index of a block that there is already.
    Kept(&'a Block, usize),
}

impl<'a> Source<'a> {
    /// Everybody in a block.
    pub(super) fn all(block: &'a Block) -> impl Iterator<Item = Self> {
        (0..block.people.len()).map(move |index| Self::Kept(block, index))
    }

    /// How many templates the person has.
    pub(super) fn templates(&self) -> usize {
        match self {
            Self::New(_, templates) => templates.len(),
            Self::Kept(block, index) => block.rows_of(*index).len(),
        }
    }
}

/// Puts people, sorted, into as few blocks as can be, all equally full.
pub(super) fn blocks(dimension: usize, metric: GalleryMetric, sources: &[Source<'_>]) -> Vec<Arc<Block>> {
    let sizes: Vec<usize> = sources.iter().map(Source::templates).collect();
    let total: usize = sizes.iter().sum();
    let target = total.div_ceil(total.div_ceil(TEMPLATES).max(1));
    let (mut blocks, mut from, mut size) = (Vec::new(), 0, 0);
    for (n, more) in sizes.iter().enumerate() {
        if size >= target || size > 0 && size + more > TEMPLATES {
            blocks.push((from..n, size));
            (from, size) = (n, 0);
        }
        size += more;
    }
    if size > 0 {
        blocks.push((from..sources.len(), size));
    }
    let block = |(people, templates): (Range<usize>, usize)| {
        let mut block = Builder::with_room(dimension, metric, templates);
        sources.get(people).unwrap_or_default().iter().for_each(|source| block.add(*source));
        Arc::new(block.0)
    };
    blocks.into_iter().map(block).collect()
}

struct Builder(Block, GalleryMetric);

impl Builder {
    fn with_room(dimension: usize, metric: GalleryMetric, templates: usize) -> Self {
        let block = Block {
            dimension,
            people: Vec::new(),
            owners: Vec::with_capacity(templates),
            rows: Aligned::with_room(templates * dimension),
            small: Aligned::with_room(templates * dimension),
            steps: Vec::with_capacity(templates),
            losses: Vec::with_capacity(templates),
            shifts: Vec::with_capacity(templates),
            longest: 0.0,
        };
        Self(block, metric)
    }

    #[expect(clippy::cast_possible_truncation, reason = "nobody has so many people in memory")]
    fn add(&mut self, source: Source<'_>) {
        let owner = self.0.people.len() as u32;
        match source {
            Source::New(person, templates) => {
                self.0.people.push(person.clone());
                templates.iter().for_each(|template| self.add_row(template));
                self.0.owners.extend(templates.iter().map(|_| owner));
            }
            Source::Kept(block, index) => {
                self.0.people.extend(block.people.get(index).cloned());
                let rows = block.rows_of(index);
                let span = block.span(rows.clone());
                self.0.rows.0.extend_from_slice(block.rows.get(span.clone()).unwrap_or_default());
                self.0.small.0.extend_from_slice(block.small.get(span).unwrap_or_default());
                let (ours, theirs) = (&mut self.0, block);
                for (to, from) in [
                    (&mut ours.steps, &theirs.steps),
                    (&mut ours.losses, &theirs.losses),
                    (&mut ours.shifts, &theirs.shifts),
                ] {
                    to.extend_from_slice(from.get(rows.clone()).unwrap_or_default());
                }
                ours.longest = ours.longest.max(theirs.longest);
                ours.owners.extend(rows.map(|_| owner));
            }
        }
    }

    /// Scales a template, and rounds it as well.
    fn add_row(&mut self, template: &[f32]) {
        let Self(block, metric) = self;
        let from = block.rows.len();
        match metric {
            GalleryMetric::Cosine => append_unit(&mut block.rows.0, template),
            GalleryMetric::Euclidean => block.rows.0.extend_from_slice(template),
        }
        let row = block.rows.get(from..).unwrap_or_default();
        let Steps { step, loss, squared, extent } = Steps::of(row, &mut block.small.0);
        block.steps.push(step);
        block.losses.push(loss);
        block.longest = block.longest.max(extent);
        block.shifts.push(match metric {
            GalleryMetric::Cosine => 0.0,
            GalleryMetric::Euclidean => -squared / 2.0,
        });
    }
}

/// Appends `values` scaled to length 1.
pub(super) fn append_unit(to: &mut Vec<f32>, values: &[f32]) {
    let squared = length_squared(values);
    if (1e-20..1e20).contains(&squared) {
        let length = squared.sqrt();
        to.extend(values.iter().map(|v| v / length));
    } else {
        let length = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "at most 1")]
        to.extend(values.iter().map(|v| (f64::from(*v) / length) as f32));
    }
}

/// How a vector was rounded to at most 127 steps up or down.
pub(super) struct Steps {
    /// How long a step is.
    pub(super) step: f32,
    /// At least the length of what rounding took off.
    pub(super) loss: f32,
    /// Square of the length of the vector before.
    pub(super) squared: f32,
    /// At least the length of the vector, before and after rounding.
    pub(super) extent: f32,
}

impl Steps {
    /// Rounds, and appends for each number how many steps it has, with [`OFFSET`] added.
    pub(super) fn of(values: &[f32], small: &mut Vec<u8>) -> Self {
        // Added to this, a small number is rounded to a whole one, which then stands in the last bits.
        const WHOLE: f32 = 1.5 * (1 << 23) as f32;
        let step = largest(values) / 127.0;
        let per_step = if step > 0.0 { 1.0 / step } else { 0.0 };
        let from = small.len();
        #[expect(clippy::cast_possible_truncation, reason = "the last byte is what is wanted")]
        small.extend(values.iter().map(|v| ((v * per_step + WHOLE).to_bits() as u8).wrapping_add(OFFSET)));
        // The loss is that of the very numbers appended, whatever happened on the way to them.
        let small = small.get(from..).unwrap_or_default();
        let lost = sum_of(values, small, |v, steps| {
            let lost = v - step * (f32::from(steps) - f32::from(OFFSET));
            lost * lost
        });
        let squared = length_squared(values);
        // Adding up `n` squares is wrong by at most `n` units, a product by one of the vector's own length.
        let units = values.len() as f32 * f32::EPSILON;
        let length = squared.sqrt() * (1.0 + units);
        let loss = lost.sqrt() * (1.0 + units) + length * 2.0 * f32::EPSILON;
        Self { step, loss, squared, extent: (length + loss).next_up() }
    }
}

/// The largest of the numbers, whatever their signs. In several lanes, as the sums are.
fn largest(values: &[f32]) -> f32 {
    const LANES: usize = 16;
    let larger = |a: f32, b: &f32| if b.abs() > a { b.abs() } else { a };
    let mut found = [0.0_f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(0.0, larger);
    for chunk in chunks {
        for lane in 0..LANES {
            found[lane] = larger(found[lane], &chunk[lane]);
        }
    }
    found.iter().fold(rest, larger)
}

fn length_squared(values: &[f32]) -> f32 {
    sum_of(values, values, |x, y| x * y)
}

/// Numbers that begin where a line of the processor's cache begins: so no register is loaded from two lines.
#[derive(Debug)]
struct Aligned<T>(Vec<T>, usize);

const LINE_BYTES: usize = 64;

impl<T: Copy + Default> Aligned<T> {
    /// No numbers yet; with more than `numbers` the beginning would move.
    fn with_room(numbers: usize) -> Self {
        let spare = LINE_BYTES / size_of::<T>();
        let mut room = Vec::<T>::with_capacity(numbers + spare);
        let first = room.as_ptr().align_offset(LINE_BYTES).min(spare);
        room.resize(first, T::default());
        Self(room, first)
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.get(self.1..).unwrap_or_default()
    }
}
