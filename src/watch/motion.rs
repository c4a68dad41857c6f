//! Whether anything moves: enough to decide whether it is worth looking for faces.

use std::time::Duration;

use super::glance::{Cells, Glance};
use super::{step_share, toward};

/// A cell has changed if it differs from what it was lately by this much luma, ...
const CHANGED: f32 = 4.0;
/// ... and by so many times the mean difference of all cells: noise, flicker and clouds change them all.
const ABOVE_OTHERS: f32 = 4.0;
/// So many changed cells are motion. A face 40 pixels wide in a frame of 1280 covers one, with its hair and shoulders
/// some more.
const MOVED_CELLS: usize = 2;
/// What a cell was lately: mean over about so long. Whoever stops is part of the picture after some of it.
const MEMORY: Duration = Duration::from_secs(1);

/// Remembers how the picture was lately.
#[derive(Debug, Default)]
pub struct Motion {
    lately: Option<Box<Cells>>,
}

impl Motion {
    /// Whether something differs from how it was lately. Nothing does on the first frame. `step`: since the frame
    /// before.
    pub fn see(&mut self, glance: &Glance, step: Duration) -> bool {
        let Some(lately) = &mut self.lately else {
            self.lately = Some(Box::new(glance.cells));
            return false;
        };
        let differences = || glance.cells.iter().zip(lately.iter()).map(|(now, then)| (now - then).abs());
        let mean = differences().sum::<f32>() / glance.cells.len() as f32;
        let limit = CHANGED.max(ABOVE_OTHERS * mean);
        let is_motion = differences().filter(|difference| *difference > limit).count() >= MOVED_CELLS;
        toward(lately, &glance.cells, step_share(step, MEMORY));
        is_motion
    }
}
