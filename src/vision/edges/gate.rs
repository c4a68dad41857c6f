//! Whether an enclosure moves with its face.

use std::collections::VecDeque;
use std::time::Duration;

use super::Enclosure;
use crate::clock::Moment;
use crate::domain::Rect;
use crate::vision::gate::GateVerdict;

/// When a track is suspicious.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EdgeSettings {
    /// Only frames taken within this before the newest count.
    pub window: Duration,
    /// So many frames are needed for a verdict, at least 2.
    pub min_frames: usize,
    /// The share of frames in which the face is enclosed by the same lines, above 0..=1.
    pub min_share: f32,
    /// An enclosure keeps its place beside the face when it is within this of its median, in widths of the face. The
    /// jitter of boxes is 0.04.
    pub keeps_within: f32,
    /// It moves when its place in the frame changes by this, in widths of the face, without the tenth of the frames that
    /// are farthest off at either end. Lines of a place that stand still vary by 0.02.
    pub min_motion: f32,
}

impl Default for EdgeSettings {
    /// Half of at least twelve frames within three seconds (time enough to learn the place from somebody who moves):
    /// between 9 % of live frames and 85 % of those of most replays.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(3),
            min_frames: 12,
            min_share: 0.5,
            keeps_within: 0.12,
            min_motion: 0.08,
        }
    }
}

/// The newest frames of one track.
#[derive(Debug, Clone)]
pub struct EdgeGate {
    settings: EdgeSettings,
    frames: VecDeque<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    captured_at: Moment,
    face: Rect,
    enclosure: Option<Enclosure>,
}

/// See [`follows`]: boxes that jitter by 0.02 leave 0.8 of a motion by 0.08 and more.
const MIN_FOLLOWING: f32 = 0.7;

/// No more frames are kept, whatever the window.
const MAX_FRAMES: usize = 128;

impl EdgeGate {
    /// A track of which nothing was seen yet.
    #[must_use]
    pub fn new(settings: EdgeSettings) -> Self {
        Self { settings, frames: VecDeque::new() }
    }

    /// Takes in one frame: the face's box, and what encloses it ([`super::enclosure`] of what
    /// [`super::EdgeMemory::without_place`] leaves). Frames that are not newer than the newest one are ignored.
    pub fn add(&mut self, captured_at: Moment, face: Rect, enclosure: Option<Enclosure>) {
        if self.frames.back().is_some_and(|newest| captured_at <= newest.captured_at) {
            return;
        }
        self.frames.push_back(Seen { captured_at, face, enclosure });
        let window = self.settings.window;
        while self.frames.len() > MAX_FRAMES
            || self.frames.front().is_some_and(|oldest| captured_at.since(oldest.captured_at) > window)
        {
            self.frames.pop_front();
        }
    }

    /// The frames in which a side's line keeps its place beside the face: within a tolerance of the median.
    fn same_line(&self, side: usize) -> Vec<Place> {
        let offset = |place: &Place| (place.line - place.face) / self.frames[place.frame].face.width();
        let place = |(frame, seen): (usize, &Seen)| {
            let line = seen.enclosure?.sides[side]?;
            let centre = seen.face.centre();
            Some(Place { frame, face: if side < 2 { centre.x } else { centre.y }, line })
        };
        let mut places: Vec<Place> = self.frames.iter().enumerate().filter_map(place).collect();
        let mut offsets: Vec<f32> = places.iter().map(offset).collect();
        offsets.sort_by(f32::total_cmp);
        let Some(median) = offsets.get(offsets.len() / 2) else { return places };
        places.retain(|place| (offset(place) - median).abs() <= self.settings.keeps_within);
        places
    }

    /// How far lines move in the frame, pixels, without the tenth at either end.
    fn motion_px(places: &[Place]) -> f32 {
        let mut sorted: Vec<f32> = places.iter().map(|place| place.line).collect();
        sorted.sort_by(f32::total_cmp);
        let tenth = sorted.len() / 10;
        let (first, last) = (sorted.get(tenth), sorted.get(sorted.len().saturating_sub(1 + tenth)));
        first.zip(last).map_or(0.0, |(first, last)| last - first)
    }

    /// What the frames within the window say. Lines that surround the face and do not move are `Clear`: they cannot be
    /// told from the place.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are at most 128 frames")]
    pub fn verdict(&self) -> GateVerdict {
        if self.frames.len() < self.settings.min_frames.max(2) {
            return GateVerdict::Undecided;
        }
        // For each side: in which frames its line keeps its place beside the face, and how far it moves in them.
        let mut kept = vec![[false; 4]; self.frames.len()];
        // One unit for the whole window: somebody who comes closer does not move the wall behind them.
        let mut widths: Vec<f32> = self.frames.iter().map(|seen| seen.face.width()).collect();
        widths.sort_by(f32::total_cmp);
        let min_motion_px = self.settings.min_motion * widths[widths.len() / 2];
        let mut moves = false;
        for (side, same) in [0, 1, 2, 3].map(|side| (side, self.same_line(side))) {
            moves |= Self::motion_px(&same) >= min_motion_px && follows(&same) >= MIN_FOLLOWING;
            same.iter().for_each(|place| kept[place.frame][side] = true);
        }
        let enclosed = kept.iter().filter(|sides| {
            let count = sides.iter().filter(|kept| **kept).count();
            (sides[0] && sides[1]) || count >= 3
        });
        let share = enclosed.count() as f32 / self.frames.len() as f32;
        if moves && share >= self.settings.min_share { GateVerdict::Suspicious } else { GateVerdict::Clear }
    }
}

/// A side's line in one of the frames.
#[derive(Debug, Clone, Copy)]
struct Place {
    frame: usize,
    /// Across the line: the face's middle, and the line, pixels of the frame.
    face: f32,
    line: f32,
}

/// How closely lines follow the face: the lesser of their correlation and of how far
/// they move for each pixel of the face's motion; about 1 for what the face is on, 0 for what stands still. In between is
/// what seems to move because now this line of the place is the nearest one, now that.
#[expect(clippy::cast_precision_loss, reason = "there are at most 128 frames")]
fn follows(places: &[Place]) -> f32 {
    let count = places.len() as f32;
    let face = places.iter().map(|place| place.face).sum::<f32>() / count;
    let line = places.iter().map(|place| place.line).sum::<f32>() / count;
    let sum =
        |of: fn(f32, f32) -> f32| -> f32 { places.iter().map(|p| of(p.face - face, p.line - line)).sum() };
    let (both, faces, lines) = (sum(|f, l| f * l), sum(|f, _| f * f), sum(|_, l| l * l));
    let (gain, correlation) = (both / faces, both / (faces * lines).sqrt());
    // Nothing moves: nothing follows.
    if gain.is_finite() && correlation.is_finite() { gain.min(correlation) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A face that moves by so many widths, with lines on both sides that go along by a part of it.
    fn after(motion: f32, along: f32, every: usize) -> GateVerdict {
        let mut gate = EdgeGate::new(EdgeSettings::default());
        for n in 0..20_u16 {
            let by = 100.0 * motion * (f32::from(n) / 3.0).sin() / 2.0;
            let face = Rect::new(300.0 + by, 200.0, 400.0 + by, 320.0);
            let lines = Enclosure { sides: [Some(280.0 + along * by), Some(420.0 + along * by), None, None] };
            let enclosure = (usize::from(n) % every == 0).then_some(lines);
            gate.add(Moment(Duration::from_millis(100 * u64::from(n))), face, enclosure);
        }
        gate.verdict()
    }

    #[test]
    fn lines_must_move_and_move_with_the_face() {
        assert_eq!(after(0.2, 1.0, 1), GateVerdict::Suspicious);
        assert_eq!(after(0.2, 1.0, 2), GateVerdict::Suspicious, "in half of the frames");
        assert_eq!(after(0.2, 1.0, 3), GateVerdict::Clear, "in a third of the frames");
        assert_eq!(after(0.2, 0.0, 1), GateVerdict::Clear, "they stand still");
        assert_eq!(after(0.2, 0.5, 1), GateVerdict::Clear, "they go half-way");
        assert_eq!(after(0.0, 1.0, 1), GateVerdict::Clear, "nothing moves");
        assert_eq!(EdgeGate::new(EdgeSettings::default()).verdict(), GateVerdict::Undecided);
    }

    #[test]
    fn above_and_below_alone_do_not_count() {
        let mut gate = EdgeGate::new(EdgeSettings::default());
        for n in 0..20_u16 {
            let by = f32::from(n);
            let face = Rect::new(300.0, 200.0 + by, 400.0, 320.0 + by);
            let sides = [None, None, Some(180.0 + by), Some(340.0 + by)];
            gate.add(Moment(Duration::from_millis(100 * u64::from(n))), face, Some(Enclosure { sides }));
        }
        assert_eq!(gate.verdict(), GateVerdict::Clear);
    }
}
