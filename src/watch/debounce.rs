//! Whether something is so, once it has been so for long enough.

use std::time::Duration;

/// Fewer frames than these prove nothing, however far apart they are.
pub(super) const MIN_FRAMES: u32 = 5;

/// Turns on after something was wrong for a time, and off after it was right for a time.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    is_on: bool,
    /// How long, and on how many frames in a row, the opposite was seen.
    held: Duration,
    frames: u32,
}

impl Debounce {
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Takes in one frame, `step` after the one before: wrong, right, or not to be told, which proves nothing either
    /// way. True if it turned with this.
    pub(super) fn see(
        &mut self,
        is_wrong: Option<bool>,
        step: Duration,
        (time_in, time_out): (Duration, Duration),
    ) -> bool {
        let Some(is_wrong) = is_wrong else { return false };
        if is_wrong == self.is_on {
            (self.held, self.frames) = (Duration::ZERO, 0);
            return false;
        }
        // The time before the first such frame still belongs to the other state.
        if self.frames > 0 {
            self.held = self.held.saturating_add(step);
        }
        self.frames += 1;
        let is_long = self.held >= if self.is_on { time_out } else { time_in };
        if is_long && self.frames >= MIN_FRAMES {
            self.set(is_wrong);
            return true;
        }
        false
    }

    /// Turns at once.
    pub(super) fn set(&mut self, is_on: bool) {
        *self = Self { is_on, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
    const TIMES: (Duration, Duration) = (ms(1000), ms(500));

    #[test]
    fn it_takes_time_on_and_time_off() {
        let mut debounce = Debounce::default();
        let mut turned = Vec::new();
        for n in 0..60_u64 {
            // Wrong from 1.0 to 3.0 s.
            if debounce.see(Some((10..30).contains(&n)), ms(100), TIMES) {
                turned.push(n);
            }
        }
        assert_eq!(turned, [20, 35]);
    }

    #[test]
    fn few_frames_prove_nothing() {
        let mut debounce = Debounce::default();
        let turned: Vec<bool> = (0..5).map(|_| debounce.see(Some(true), ms(1000), TIMES)).collect();
        assert_eq!(turned, [false, false, false, false, true]);
    }

    proptest! {
        /// It never turns before the opposite was seen for the whole time, on frames in a row.
        #[test]
        fn it_never_turns_too_early(frames in prop::collection::vec((0_u8..3, 1_u64..400), 1..300)) {
            let mut debounce = Debounce::default();
            let (mut run, mut frames_in_run) = (Duration::ZERO, 0);
            for (seen, step) in frames {
                let was_on = debounce.is_on();
                let seen = [Some(true), Some(false), None][usize::from(seen)];
                let turned = debounce.see(seen, ms(step), TIMES);
                match seen {
                    Some(wrong) if wrong != was_on => {
                        if frames_in_run > 0 {
                            run += ms(step);
                        }
                        frames_in_run += 1;
                    }
                    Some(_) => (run, frames_in_run) = (Duration::ZERO, 0),
                    None => (),
                }
                let is_due = frames_in_run >= MIN_FRAMES && run >= if was_on { TIMES.1 } else { TIMES.0 };
                prop_assert_eq!(turned, is_due && seen.is_some());
                prop_assert_eq!(debounce.is_on(), was_on != turned);
                if turned {
                    (run, frames_in_run) = (Duration::ZERO, 0);
                }
            }
        }
    }
}
