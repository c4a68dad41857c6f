//! Chance that comes out the same each time.

/// The splitmix64 sequence.
#[derive(Debug, Clone)]
pub(in super::super) struct Dice(u64);

impl Dice {
    pub(in super::super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(in super::super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 up to but without 1.
    #[expect(clippy::cast_precision_loss, reason = "24 bits")]
    pub(in super::super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// 0 up to but without `end`; 0 where `end` is.
    #[expect(clippy::cast_possible_truncation, reason = "below `end`")]
    pub(in super::super) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    /// About a normal distribution: mean 0, deviation 1 (the sum of 12 even numbers less 6).
    pub(in super::super) fn bell(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}
