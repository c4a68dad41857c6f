//! People walking about in front of a simulated camera, with the truth known.

use std::time::Duration;

use super::*;

/// A small generator of pseudo-random numbers (SplitMix64, Steele, Lea, Flood 2014): the same in every run.
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `low..high`.
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.next() >> 40) as f32 / (1_u64 << 24) as f32)
    }

    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.between(0.0, 1.0) < probability
    }

    /// About normal with standard deviation 1 (sum of uniforms).
    pub(super) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.between(-0.5, 0.5)).sum()
    }
}

/// A detection of this box, with landmarks inside it.
pub(super) fn detection(rect: Rect, score: f32) -> Detection {
    let at = |fx: f32, fy: f32| Point::new(rect.x1 + fx * rect.width(), rect.y1 + fy * rect.height());
    let landmarks_in_frame = [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.8), at(0.65, 0.8)];
    Detection { box_in_frame: rect, landmarks_in_frame, score }
}

/// A face box 0.8 times as wide as high.
pub(super) fn face(x: f32, y: f32, height: f32) -> Rect {
    Rect::new(x - 0.4 * height, y - 0.5 * height, x + 0.4 * height, y + 0.5 * height)
}

pub(super) fn at_seconds(seconds: f32) -> Moment {
    Moment(Duration::from_secs_f32(seconds))
}

/// Somebody who goes from `from` to `to` in smooth legs: walk, stay, walk on or turn back.
pub(super) struct Walker {
    pub y: f32,
    pub height: f32,
    /// Smaller is nearer to the camera.
    pub depth: f32,
    /// Way points: when (seconds), and where (x in pixels).
    pub legs: Vec<(f32, f32)>,
    /// How the face grows in each second, in parts of `height`.
    pub growth: f32,
    /// How far the head goes up and down with the steps, twice a second, in face heights.
    pub bob: f32,
}

impl Walker {
    pub(super) fn truth(&self, now: f32) -> Rect {
        let mut x = self.legs[0].1;
        for pair in self.legs.windows(2) {
            let [(t0, x0), (t1, x1)] = [pair[0], pair[1]];
            if now >= t0 {
                let part = ((now - t0) / (t1 - t0).max(1e-3)).clamp(0.0, 1.0);
                x = x0 + (x1 - x0) * part;
            }
        }
        let height = self.height * (1.0 + self.growth * now);
        let bob = self.bob * height * (4.0 * std::f32::consts::PI * now + self.depth).sin();
        face(x, self.y + bob, height)
    }
}

/// What a camera and a detector make of the truth.
pub(super) struct Optics {
    /// Part of the frames in which a visible face is not found, 0..1.
    pub miss: f32,
    /// Chance that a face that was just missed is missed again: misses come in runs.
    pub miss_again: f32,
    /// Standard deviation of a box's width and of its height, in parts of them.
    pub jitter: f32,
    /// Standard deviation of its centre, in face heights.
    pub centre_jitter: f32,
    /// A face with more of its area covered than this is not found.
    pub max_covered: f32,
    /// Of two found faces that overlap more than this, one at random is suppressed.
    pub nms_iou: f32,
}

/// Each found face with the index of its person, in random order. `missed` tells for each person whether it was
/// missed in the frame before, and is brought up to date.
pub(super) fn look(
    people: &[Walker],
    now: f32,
    optics: &Optics,
    missed: &mut [bool],
    random: &mut Random,
) -> Vec<(usize, Detection)> {
    let truths: Vec<Rect> = people.iter().map(|person| person.truth(now)).collect();
    let first_miss = optics.miss * (1.0 - optics.miss_again) / (1.0 - optics.miss);
    let mut found: Vec<(usize, Detection)> = Vec::new();
    let mut order: Vec<usize> = (0..people.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, usize::try_from(random.next() % (i as u64 + 1)).expect("small"));
    }
    for who in order {
        let is_hidden = (0..people.len()).any(|by| {
            people[by].depth < people[who].depth && covered(truths[who], truths[by]) > optics.max_covered
        });
        missed[who] = random.chance(if missed[who] { optics.miss_again } else { first_miss });
        if is_hidden || missed[who] {
            continue;
        }
        let rect = jittered(truths[who], optics, random);
        if found.iter().all(|(other, _)| truths[*other].iou(truths[who]) <= optics.nms_iou) {
            found.push((who, detection(rect, random.between(0.5, 1.0))));
        }
    }
    found
}

/// The box that a detector puts on a face that is really at `truth`.
pub(super) fn jittered(truth: Rect, optics: &Optics, random: &mut Random) -> Rect {
    let height = truth.height();
    let off = optics.centre_jitter * height;
    let centre = truth.centre();
    let (x, y) = (centre.x + off * random.normal(), centre.y + off * random.normal());
    let half_width = 0.5 * truth.width() * (optics.jitter * random.normal()).exp();
    let half_height = 0.5 * height * (optics.jitter * random.normal()).exp();
    Rect::new(x - half_width, y - half_height, x + half_width, y + half_height)
}
