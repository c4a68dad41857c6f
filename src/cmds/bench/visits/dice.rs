//! Chance that comes out the same each time.

use crate::matching::statistics::Random;

/// Throws for a seed.
#[derive(Debug, Clone)]
pub(in super::super) struct Dice(Random);

impl Dice {
    /// Neighbouring seeds are set far apart, lest one should go through the other's numbers.
    pub(in super::super) fn new(seed: u64) -> Self {
        Self(Random::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// 0 up to but without 1.
    #[expect(clippy::cast_precision_loss, reason = "24 bits")]
    pub(in super::super) fn unit(&mut self) -> f32 {
        (self.0.bits() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// 0 up to but without `end`; 0 where `end` is.
    #[expect(clippy::cast_possible_truncation, reason = "below `end`")]
    pub(in super::super) fn below(&mut self, end: usize) -> usize {
        (self.0.bits() % (end.max(1) as u64)) as usize
    }

    /// About a normal distribution: mean 0, deviation 1 (the sum of 12 even numbers less 6).
    pub(in super::super) fn bell(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}
