//! Pauses between attempts.

use std::time::Duration;

use rand::RngExt as _;

use crate::config::Backoff;

/// How long is waited: twice as long each time up to a bound, less a random part of up to half, so that many who wait
/// for the same do not all come back at once.
#[derive(Debug)]
pub(super) struct Pause {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Pause {
    pub(super) fn new(backoff: &Backoff) -> Self {
        let first = Duration::from_millis(backoff.first_ms);
        Self { first, most: Duration::from_millis(backoff.max_ms), next: first }
    }

    /// The pause after one more attempt that failed.
    pub(super) fn take(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.most);
        pause.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// It worked: the next pause is the shortest again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_begin_anew() {
        let ms = Duration::from_millis;
        let mut pause = Pause::new(&Backoff { first_ms: 100, max_ms: 500 });
        for _ in 0..2 {
            for most in [100, 200, 400, 500, 500] {
                let pause = pause.take();
                assert!(pause >= ms(most) / 2 && pause <= ms(most), "{pause:?} of {most}");
            }
            pause.reset();
        }
    }
}
