//! From frames to a verdict about a track: how many of its newest frames are suspicious.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// When a track is suspicious.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateSettings {
    /// Only frames taken within this before the newest count.
    pub window: Duration,
    /// So many frames are needed for a verdict, at least 1.
    pub min_frames: usize,
    /// The track is suspicious from this share of suspicious frames on, above 0..=1.
    pub min_share: f32,
}

impl Default for GateSettings {
    /// Eight frames within three seconds, a quarter of them suspicious: between the 3 % of live frames and the 28 %
    /// of the hardest replay that over-exposure was measured with.
    fn default() -> Self {
        Self { window: Duration::from_secs(3), min_frames: 8, min_share: 0.25 }
    }
}

/// What the newest frames of a track say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateVerdict {
    /// Too few frames.
    Undecided,
    /// Nothing suspicious.
    Clear,
    /// Like a replay.
    Suspicious,
}

/// The newest frames of one track.
#[derive(Debug, Clone)]
pub struct Gate {
    settings: GateSettings,
    frames: VecDeque<(Moment, bool)>,
}

/// No more frames are kept, whatever the window: about the frames of a fast camera in three seconds.
const MAX_FRAMES: usize = 128;

impl Gate {
    /// A track of which nothing was seen yet.
    #[must_use]
    pub fn new(settings: GateSettings) -> Self {
        Self { settings, frames: VecDeque::new() }
    }

    /// Takes in one frame. Frames that are not newer than the newest one are ignored.
    pub fn add(&mut self, captured_at: Moment, is_suspicious: bool) {
        if self.frames.back().is_some_and(|(newest, _)| captured_at <= *newest) {
            return;
        }
        self.frames.push_back((captured_at, is_suspicious));
        let window = self.settings.window;
        while self.frames.len() > MAX_FRAMES
            || self.frames.front().is_some_and(|(oldest, _)| captured_at.since(*oldest) > window)
        {
            self.frames.pop_front();
        }
    }

    /// What the frames within the window say.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are at most 128 frames")]
    pub fn verdict(&self) -> GateVerdict {
        if self.frames.len() < self.settings.min_frames.max(1) {
            return GateVerdict::Undecided;
        }
        let suspicious = self.frames.iter().filter(|(_, is)| *is).count();
        if suspicious as f32 >= self.settings.min_share * self.frames.len() as f32 && suspicious > 0 {
            GateVerdict::Suspicious
        } else {
            GateVerdict::Clear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(frames: impl IntoIterator<Item = (u64, bool)>) -> GateVerdict {
        let mut gate = Gate::new(GateSettings::default());
        for (ms, is_suspicious) in frames {
            gate.add(Moment(Duration::from_millis(ms)), is_suspicious);
        }
        gate.verdict()
    }

    #[test]
    fn a_quarter_of_at_least_eight_frames() {
        assert_eq!(after([]), GateVerdict::Undecided);
        assert_eq!(after((0..7).map(|n| (100 * n, true))), GateVerdict::Undecided);
        assert_eq!(after((0..8).map(|n| (100 * n, n < 2))), GateVerdict::Suspicious);
        assert_eq!(after((0..8).map(|n| (100 * n, n < 1))), GateVerdict::Clear);
    }

    #[test]
    fn only_the_window_counts_and_no_frame_twice() {
        // Suspicious until three seconds ago.
        assert_eq!(after((0..60).map(|n| (100 * n, n < 29))), GateVerdict::Clear);
        assert_eq!(after((0..60).map(|n| (100 * n, n < 40))), GateVerdict::Suspicious);
        assert_eq!(after((0..60).map(|_| (700, true))), GateVerdict::Undecided);
        // Old frames after the newest one.
        assert_eq!(after((0..20).rev().map(|n| (100 * n, true))), GateVerdict::Undecided);
        assert_eq!(after((0..100_000).map(|n| (n, true))), GateVerdict::Suspicious);
    }
}
