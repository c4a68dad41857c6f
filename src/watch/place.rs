//! Whether the camera still shows the place that was learned.
//!
//! The grid is cut into blocks. In each the steps from cell to cell, of the logarithm of brightness, are held against
//! those that were learned. More or less light changes a logarithm everywhere alike, and so leaves the steps as they
//! are; a person changes the blocks they cover; a camera that was turned changes nearly all.

use std::time::Duration;

use super::glance::{CELLS, COLUMNS, Cells, ROWS};
use super::{step_share, toward};

/// Cells of a block, across and down: 4 x 3 blocks.
const BLOCK: (usize, usize) = (8, 6);
const BLOCKS: (usize, usize) = (COLUMNS / BLOCK.0, ROWS / BLOCK.1);

/// A block whose steps correlate this well is the same.
const SAME: f32 = 0.5;
/// A block with smaller steps than this on average (root mean square, natural logarithm: 3 %) shows nothing to
/// recognise it by, ...
const PLAIN: f32 = 0.03;
/// ... and in the present picture this is too little to say that it shows something else.
const FAINT: f32 = 0.02;
/// Keeps noise in black parts from having a logarithm to speak of. Luma.
const FLOOR: f32 = 8.0;
/// With fewer blocks that can be judged nothing is said.
const MIN_BLOCKS: usize = 4;
/// Up to this part of the judged blocks is the same: it is another place.
const MOVED: f32 = 0.25;
/// From this part on it is the learned place.
const STILL: f32 = 0.5;
/// How fast the learned place follows light, seasons and furniture.
const LEARN: Duration = Duration::from_secs(300);

/// What a picture says about the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// Mostly the same.
    Same,
    /// Hardly any part is the same.
    Other,
    /// Neither, or there is too little to judge by.
    Unclear,
}

/// The learned place: logarithms of brightness.
#[derive(Debug, Clone)]
pub(super) struct Place(Box<Cells>);

impl Place {
    pub(super) fn of(smooth: &Cells) -> Self {
        Self(Box::new(smooth.map(|luma| (luma + FLOOR).ln())))
    }

    /// Follows what is there now, but for the people in front of it.
    pub(super) fn learn(&mut self, now: &Self, people: &[bool; CELLS], step: Duration) {
        let mut unhidden = *now.0;
        for (cell, learned) in unhidden
            .iter_mut()
            .zip(self.0.iter())
            .zip(people)
            .filter_map(|(pair, hidden)| hidden.then_some(pair))
        {
            *cell = *learned;
        }
        toward(&mut self.0, &unhidden, step_share(step, LEARN));
    }

    /// Holds a picture against the place, without the people in it.
    pub(super) fn likeness(&self, now: &Self, people: &[bool; CELLS]) -> Likeness {
        let (mut known, mut judged, mut same) = (0_usize, 0_usize, 0_usize);
        for block in 0..BLOCKS.0 * BLOCKS.1 {
            let corner = block / BLOCKS.0 * BLOCK.1 * COLUMNS + block % BLOCKS.0 * BLOCK.0;
            let steps = Steps::between(&self.0, &now.0, corner, people);
            let Some(steps) = steps else { continue };
            if steps.learned < PLAIN {
                continue;
            }
            known += 1;
            if steps.now >= FAINT {
                judged += 1;
                same += usize::from(steps.correlation >= SAME);
            }
        }
        if judged < MIN_BLOCKS || judged * 2 < known {
            return Likeness::Unclear;
        }
        match same as f32 / judged as f32 {
            share if share <= MOVED => Likeness::Other,
            share if share >= STILL => Likeness::Same,
            _ => Likeness::Unclear,
        }
    }
}

/// The steps of one block, learned and now.
struct Steps {
    /// Root mean square.
    learned: f32,
    now: f32,
    /// -1..=1.
    correlation: f32,
}

impl Steps {
    /// `None` if people hide half of the block.
    fn between(learned: &Cells, now: &Cells, corner: usize, people: &[bool; CELLS]) -> Option<Self> {
        let (mut both, mut of_learned, mut of_now, mut count) = (0.0, 0.0, 0.0, 0);
        for cell in (0..BLOCK.1).flat_map(|y| (0..BLOCK.0).map(move |x| corner + y * COLUMNS + x)) {
            let is_last =
                ((cell - corner) % COLUMNS + 1 == BLOCK.0, (cell - corner) / COLUMNS + 1 == BLOCK.1);
            for (next, exists) in [(cell + 1, !is_last.0), (cell + COLUMNS, !is_last.1)] {
                if !exists || people[cell] || people[next] {
                    continue;
                }
                let (a, b) = (learned[next] - learned[cell], now[next] - now[cell]);
                both += a * b;
                of_learned += a * a;
                of_now += b * b;
                count += 1;
            }
        }
        let all = (BLOCK.0 - 1) * BLOCK.1 + BLOCK.0 * (BLOCK.1 - 1);
        (count * 2 >= all).then(|| {
            let root_mean = |sum: f32| (sum / count as f32).sqrt();
            let scale = (of_learned * of_now).sqrt();
            Self {
                learned: root_mean(of_learned),
                now: root_mean(of_now),
                correlation: if scale > 0.0 { both / scale } else { 0.0 },
            }
        })
    }
}
