//! Whether the lens is covered, or a light shines into it.
//!
//! Both are judged beside what the place had before: how much structure there is for its brightness, and how much of the
//! picture is white anyway.

use std::time::Duration;

use super::glance::{CELLS, Glance};
use super::smooth::Smooth;
use super::{step_share, toward_one};

/// Darker than this (mean luma) with less structure than [`NO_STRUCTURE`] is covered, whatever was there before.
const DARK: f32 = 16.0;
/// Structure, in luma, that noise alone can seem to make: a standard deviation of 8 in each pixel leaves 0.1 to 0.2
/// (measured by the tests of `smooth`).
const NO_STRUCTURE: f32 = 0.3;
/// A covered picture may still have a little: light that comes past a hand.
const LITTLE_STRUCTURE: f32 = 2.0;
/// ... and less than this part of the contrast that the place had.
const LOST_CONTRAST: f32 = 0.2;
/// A place with less contrast than this (a bare wall) shows nothing that could be lost.
const BARE: f32 = 0.01;
/// Keeps the contrast of a black picture from being a division of nothing by nothing. Luma.
const FLOOR: f32 = 8.0;

/// So much of the picture is white, and so much more than before: blinded.
const WHITE: (f32, f32) = (0.5, 0.3);
/// Less is enough where the place is not to be recognised besides: cameras that dim the picture for a lamp keep its
/// white small and lose the rest.
const WHITE_AND_LOST: (f32, f32) = (0.2, 0.15);
/// So much is blinded whatever was there before.
const ALL_WHITE: f32 = 0.9;

/// How long it takes to learn that a place has more contrast, and less: what is covered must not become usual soon.
const LEARN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// What the place usually has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usual {
    contrast: f32,
    white: f32,
}

/// What one moment has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Light {
    mean: f32,
    /// How much neighbouring cells differ, luma.
    structure: f32,
    white: f32,
}

impl Light {
    /// `people`: cells that are left out for white.
    pub(super) fn of(smooth: &Smooth, glance: &Glance, people: &[bool; CELLS]) -> Self {
        let mean = smooth.cells().iter().sum::<f32>() / CELLS as f32;
        Self { mean, structure: smooth.structure(), white: glance.white_share(people) }
    }

    /// Structure for its brightness: half the light leaves it the same.
    fn contrast(&self) -> f32 {
        self.structure / (self.mean + FLOOR)
    }

    /// `usual`: `None` as long as nothing is learned.
    pub(super) fn is_covered(&self, usual: Option<&Usual>) -> bool {
        let is_black = self.mean < DARK && self.structure < NO_STRUCTURE;
        let is_flat = usual.is_some_and(|usual| {
            usual.contrast >= BARE
                && self.structure < LITTLE_STRUCTURE
                && self.contrast() < LOST_CONTRAST * usual.contrast
        });
        // White without structure is light, not a hand.
        (is_black || is_flat) && self.white < WHITE.0
    }

    /// `is_lost`: most parts of the place are not recognised.
    pub(super) fn is_blinded(&self, usual: Option<&Usual>, is_lost: bool) -> bool {
        let exceeds = |(share, more): (f32, f32)| {
            usual.is_some_and(|usual| self.white >= share && self.white >= usual.white + more)
        };
        self.white >= ALL_WHITE || exceeds(WHITE) || (is_lost && exceeds(WHITE_AND_LOST))
    }
}

impl Usual {
    pub(super) fn first(light: &Light) -> Self {
        Self { contrast: light.contrast(), white: light.white }
    }

    pub(super) fn learn(&mut self, light: &Light, step: Duration) {
        let contrast = light.contrast();
        let pace = if contrast > self.contrast { LEARN.0 } else { LEARN.1 };
        toward_one(&mut self.contrast, contrast, step_share(step, pace));
        toward_one(&mut self.white, light.white, step_share(step, LEARN.1));
    }
}
