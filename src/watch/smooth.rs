//! The last frames, smoothed: twice, from every other frame, so that noise can be told from what is there.

use std::time::Duration;

use super::glance::{CELLS, COLUMNS, Cells};
use super::{step_share, toward};

/// Each mean is over about so long ...
const MEMORY: Duration = Duration::from_secs(1);
/// ... unless the whole picture changes by this much on average (luma), as when a hand comes: then it begins anew.
const CUT: f32 = 8.0;

/// Two means of the cells, over the even and over the odd frames.
#[derive(Debug)]
pub(super) struct Smooth {
    means: [Box<Cells>; 2],
    /// How long ago each was fed; `None` where it begins anew with its next frame.
    since: [Option<Duration>; 2],
    /// Which one is next.
    next: usize,
}

impl Default for Smooth {
    fn default() -> Self {
        Self { means: [Box::new([0.0; CELLS]), Box::new([0.0; CELLS])], since: [None; 2], next: 0 }
    }
}

impl Smooth {
    /// Takes in a frame, `step` after the one before.
    pub(super) fn see(&mut self, cells: &Cells, step: Duration) {
        for since in self.since.iter_mut().flatten() {
            *since = since.saturating_add(step);
        }
        let mean = &mut self.means[self.next];
        let change = mean.iter().zip(cells).map(|(then, now)| (now - then).abs()).sum::<f32>() / CELLS as f32;
        if change > CUT {
            self.since = [None; 2];
        }
        let share = self.since[self.next].map_or(1.0, |since| step_share(since, MEMORY));
        toward(mean, cells, share);
        let other = 1 - self.next;
        if self.since[other].is_none() {
            // Until its own first frame comes.
            *self.means[other] = *self.means[self.next];
        }
        self.since[self.next] = Some(Duration::ZERO);
        self.next = other;
    }

    /// Mean luma of each cell.
    pub(super) fn cells(&self) -> Cells {
        std::array::from_fn(|cell| (self.means[0][cell] + self.means[1][cell]) / 2.0)
    }

    /// How much neighbouring cells differ: root mean square, luma. Noise differs from frame to frame, so that the product
    /// of a difference in both means has none of it on average.
    pub(super) fn structure(&self) -> f32 {
        let beside = (0..CELLS).filter(|cell| cell % COLUMNS + 1 < COLUMNS).map(|cell| (cell, cell + 1));
        let below = (0..CELLS - COLUMNS).map(|cell| (cell, cell + COLUMNS));
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (one, other) in beside.chain(below) {
            let [even, odd] = [0, 1].map(|at| self.means[at][other] - self.means[at][one]);
            sum += even * odd;
            pairs += 1.0;
        }
        (sum / pairs).max(0.0_f32).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise of a standard deviation of 2 in each cell, about what 8 in each pixel come to.
    fn noise(seed: u64) -> Cells {
        std::array::from_fn(|cell| {
            let mixed = (seed << 32 | cell as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            50.0 + 6.93 * ((mixed >> 40) as f32 / (1_u64 << 24) as f32 - 0.5)
        })
    }

    #[test]
    fn noise_is_no_structure_and_steps_are() {
        let (mut even, mut stepped) = (Smooth::default(), Smooth::default());
        for frame in 0..30 {
            let noise = noise(frame);
            even.see(&noise, Duration::from_millis(100));
            let steps = std::array::from_fn(|cell| noise[cell] + if cell % 2 == 0 { 1.0 } else { 0.0 });
            stepped.see(&steps, Duration::from_millis(100));
        }
        assert!(even.structure() < 0.2, "{}", even.structure());
        // Steps of 1 in each row, none from row to row.
        assert!((stepped.structure() - 0.71).abs() < 0.2, "{}", stepped.structure());
        assert!(even.cells().iter().all(|cell| (cell - 50.0).abs() < 2.5));
    }

    #[test]
    fn another_picture_is_seen_at_once() {
        let mut smooth = Smooth::default();
        (0..30).for_each(|_| smooth.see(&[100.0; CELLS], Duration::from_millis(100)));
        smooth.see(&[20.0; CELLS], Duration::from_millis(100));
        assert_eq!(smooth.cells(), [20.0; CELLS]);
    }
}
