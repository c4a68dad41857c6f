//! The edge of a screen or of a sheet of paper around a face.
//!
//! [`around`] finds long straight lines near a face in one frame. [`EdgeMemory`], one for each camera, forgets those
//! that are part of the place: a line that stays where it is while a face has moved past it is a door frame. What is
//! left encloses the face or does not ([`Enclosure`]). [`EdgeGate`], one for each track, says whether an enclosure
//! moves with the face: it keeps its place beside the face while its place in the frame changes. A line that never
//! moves counts for nothing, so that somebody who stands still before a shelf is not suspected.
//!
//! Measured elsewhere, on clips that may not be redistributed, edges of this kind were found on at least 85 % of the
//! frames of four of six replays, and on at most 9 % of live ones. Here only drawn replays were measured.
//!
//! # What it does not see
//!
//! - A replay that never moves, from its first frame to its last (a screen on a stand).
//! - Screens whose edges are out of the picture, farther from the face than a face's width, or as dark or bright as what
//!   is behind them; and paper cut out along the face.
//! - Anything with a camera that itself moves: the memory rests on a fixed camera.
//!
//! And it may suspect somebody who carries a frame around their face: a picture, a window they push, straight hair that
//! falls to both sides like two rulers.

mod gate;
mod lines;

pub use gate::{EdgeGate, EdgeSettings};

use std::collections::VecDeque;

use image::RgbImage;

use self::lines::{Grey, Upright, uprights};
use super::resize::{Crop, ResizeError, Sampling, resize};
use super::tensor::luma;
use crate::domain::Rect;

/// Faces are looked at in this size, pixels across: large enough for the bezel of a phone that the face fills.
const FACE_PX: f32 = 48.0;
/// Narrower faces are not looked at: enlarged, their surroundings have no sharp lines.
pub const MIN_FACE_PX: f32 = 40.0;
/// So much is looked at on each side of the face's box, in its widths and heights: three boxes across, three down.
const REACH: f32 = 1.0;
/// Parallel lines differ by no more than this slope (8 degrees): a screen held aslant, in perspective.
const PARALLEL: f32 = 0.14;
/// A line is beside the face if it runs along so much of its side.
const MIN_BESIDE: f32 = 0.6;
/// Lines may cut so much off the face's box, in its widths: boxes are rather wide than narrow.
const CUT: f32 = 0.04;

/// A long straight line, in pixels of the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Upright (within 20 degrees) or level.
    pub is_upright: bool,
    /// The place of its middle: x and y if upright, y and x if level. The first says where the line is, the second where
    /// along it.
    pub middle: [f32; 2],
    /// Change of the first for each pixel of the second.
    pub slope: f32,
    /// Pixels from one end to the other, along the second.
    pub length: f32,
    /// Whether the picture gets brighter towards the right or below.
    pub brightens: bool,
}

impl Line {
    /// Where the line, or its continuation, is at a place along it.
    fn at(&self, along: f32) -> f32 {
        self.middle[0] + self.slope * (along - self.middle[1])
    }
}

/// The long straight lines around one face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceEdges {
    /// The face's box in the frame.
    pub face: Rect,
    /// What was found.
    pub lines: Vec<Line>,
}

/// Finds the lines around a face: at least as long as the face is high, within 20 degrees of upright or level. `None` if
/// the face is narrower than [`MIN_FACE_PX`] or not on the picture. Its cost does not depend on the face's size but for
/// the scaling down.
///
/// # Errors
/// If the picture cannot be scaled, which is a defect.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "coordinates are cut to the picture's sides, and scaled sides are a few hundred pixels"
)]
pub fn around(picture: &RgbImage, face: Rect) -> Result<Option<FaceEdges>, ResizeError> {
    if !face.is_sound() || face.width() < MIN_FACE_PX || face.height() < 0.5 * face.width() {
        return Ok(None);
    }
    let (wide, high) = (face.width() * REACH, face.height() * REACH);
    let left = (face.x1 - wide).clamp(0.0, picture.width() as f32) as u32;
    let top = (face.y1 - high).clamp(0.0, picture.height() as f32) as u32;
    let right = (face.x2 + wide).clamp(0.0, picture.width() as f32) as u32;
    let bottom = (face.y2 + high).clamp(0.0, picture.height() as f32) as u32;
    if right < left + 8 || bottom < top + 8 {
        return Ok(None);
    }
    let crop = Crop { left, top, width: right - left, height: bottom - top };
    let scale = FACE_PX / face.width();
    let side = |length: u32| ((length as f32 * scale).round() as u32).max(1);
    let (width, height) = (side(crop.width), side(crop.height));
    let small = resize(picture, Some(crop), width, height, Sampling::Area)?;
    let values = small.as_raw().chunks_exact(3).map(|pixel| luma(pixel) as u8).collect();
    let grey = Grey { width: width as usize, height: height as usize, values };
    // Back to the frame, for each direction: the scales differ by the rounding of the sides.
    let (scale_x, scale_y) = (crop.width as f32 / width as f32, crop.height as f32 / height as f32);
    let min_length = face.height() / scale_y;
    let in_frame = |is_upright: bool| {
        let across = if is_upright { (left as f32, scale_x) } else { (top as f32, scale_y) };
        let along = if is_upright { (top as f32, scale_y) } else { (left as f32, scale_x) };
        move |line: Upright| {
            let middle = f32::midpoint(line.first, line.last);
            let at = line.at + line.slope * (middle - line.middle);
            let place = |at: f32, (offset, scale): (f32, f32)| offset + (at + 0.5) * scale;
            Line {
                is_upright,
                middle: [place(at, across), place(middle, along)],
                slope: line.slope * across.1 / along.1,
                length: (line.last - line.first + 1.0) * along.1,
                brightens: line.brightens,
            }
        }
    };
    let mut lines: Vec<Line> = uprights(&grey, min_length).into_iter().map(in_frame(true)).collect();
    lines.extend(uprights(&grey.transposed(), min_length).into_iter().map(in_frame(false)));
    Ok(Some(FaceEdges { face, lines }))
}

/// Lines that enclose a face on both or on three sides: where each side's line is in the frame, beside the face's
/// middle, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Enclosure {
    /// Left, right (x), above, below (y).
    pub sides: [Option<f32>; 4],
}

/// A line beside a face: where it is beside the face's middle, and its slope.
type Beside = (f32, f32);

/// The nearest parallel lines to both sides of the face, or to three sides; `None` if there are none.
#[must_use]
pub fn enclosure(edges: &FaceEdges) -> Option<Enclosure> {
    let face = edges.face;
    let beside = |is_upright: bool| {
        // Across the line, and along it: the face's near and far edge, and its ends.
        let (near, far, from, to) = if is_upright {
            (face.x1, face.x2, face.y1, face.y2)
        } else {
            (face.y1, face.y2, face.x1, face.x2)
        };
        let cut = CUT * face.width();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for line in edges.lines.iter().filter(|line| line.is_upright == is_upright) {
            let (first, last) = (line.middle[1] - line.length / 2.0, line.middle[1] + line.length / 2.0);
            if last.min(to) - first.max(from) < MIN_BESIDE * (to - from) {
                continue;
            }
            let (at_from, at_to) = (line.at(from), line.at(to));
            if at_from.max(at_to) <= near + cut {
                before.push((line.at(f32::midpoint(from, to)), line.slope));
            } else if at_from.min(at_to) >= far - cut {
                after.push((line.at(f32::midpoint(from, to)), line.slope));
            }
        }
        before.sort_by(|a, b| b.0.total_cmp(&a.0));
        after.sort_by(|a, b| a.0.total_cmp(&b.0));
        (before, after)
    };
    let pair = |(before, after): &(Vec<Beside>, Vec<Beside>)| {
        let pairs = before.iter().flat_map(|a| after.iter().map(move |b| (*a, *b)));
        let parallel = pairs.filter(|(a, b)| (a.1 - b.1).abs() <= PARALLEL);
        parallel.min_by(|x, y| (x.1.0 - x.0.0).total_cmp(&(y.1.0 - y.0.0)))
    };
    let (upright, level) = (beside(true), beside(false));
    let (both_upright, both_level) = (pair(&upright), pair(&level));
    let mut found = Enclosure::default();
    if let Some((left, right)) = both_upright {
        (found.sides[0], found.sides[1]) = (Some(left.0), Some(right.0));
        // A level line is square to an upright one when its slope is the negative of the other's.
        let is_square = |line: &&Beside| (line.1 + left.1).abs() <= PARALLEL;
        found.sides[2] = level.0.iter().find(is_square).map(|line| line.0);
        found.sides[3] = level.1.iter().find(is_square).map(|line| line.0);
        return Some(found);
    }
    let (above, below) = both_level?;
    (found.sides[2], found.sides[3]) = (Some(above.0), Some(below.0));
    let is_square = |line: &&Beside| (line.1 + above.1).abs() <= PARALLEL;
    found.sides[0] = upright.0.iter().find(is_square).map(|line| line.0);
    found.sides[1] = upright.1.iter().find(is_square).map(|line| line.0);
    // Above and below alone is a shelf, a collar and a fringe: a third side is needed.
    (found.sides[0].is_some() || found.sides[1].is_some()).then_some(found)
}

/// Lines that belong to the place in front of a fixed camera.
#[derive(Debug, Default)]
pub struct EdgeMemory {
    /// The ones seen last at the back.
    lines: VecDeque<Remembered>,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    line: Line,
    /// From the line to the face's middle when the line was first seen, across the line, pixels.
    from_face: f32,
    is_place: bool,
}

/// The most lines remembered; those not seen for longest are forgotten.
const MAX_REMEMBERED: usize = 512;
/// The same line in another frame is no farther off than this, in widths of the face.
const SAME_PLACE: f32 = 0.05;
/// ... and has the same slope to within this.
const SAME_SLOPE: f32 = 0.08;
/// A line is part of the place when the face has moved so far, in its widths, and it has not. Boxes jitter by 4 %.
const MOVED_AWAY: f32 = 0.10;

impl EdgeMemory {
    /// A memory of a place that was not seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the lines around a face (of any track) and gives back those that are not known to be part of the
    /// place.
    pub fn without_place(&mut self, edges: &FaceEdges) -> FaceEdges {
        let centre = edges.face.centre();
        let unit = edges.face.width();
        let is_new = |line: &Line| {
            let middle = if line.is_upright { centre.x } else { centre.y };
            let from_face = middle - line.middle[0];
            let same = |known: &Remembered| {
                known.line.is_upright == line.is_upright
                    && known.line.brightens == line.brightens
                    && (known.line.slope - line.slope).abs() <= SAME_SLOPE
                    && (known.line.at(line.middle[1]) - line.middle[0]).abs() <= SAME_PLACE * unit
                    && (known.line.middle[1] - line.middle[1]).abs()
                        <= f32::midpoint(known.line.length, line.length)
            };
            match self.lines.iter().position(same) {
                Some(at) => {
                    let mut known = self.lines.remove(at)?;
                    known.is_place |= (from_face - known.from_face).abs() > MOVED_AWAY * unit;
                    self.lines.push_back(known);
                    (!known.is_place).then_some(*line)
                }
                None => {
                    if self.lines.len() == MAX_REMEMBERED {
                        self.lines.pop_front();
                    }
                    self.lines.push_back(Remembered { line: *line, from_face, is_place: false });
                    Some(*line)
                }
            }
        };
        FaceEdges { face: edges.face, lines: edges.lines.iter().filter_map(is_new).collect() }
    }

    /// How many lines are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether no line is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: Rect = Rect::new(260.0, 180.0, 340.0, 280.0);

    /// A screen (x, y, width, height) on a grey wall.
    fn screen(x: u32, y: u32, width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(600, 480, |column, row| {
            let on = (x..x + width).contains(&column) && (y..y + height).contains(&row);
            image::Rgb([if on { 40 } else { 150 }; 3])
        })
    }

    fn sides(picture: &RgbImage) -> Option<Enclosure> {
        enclosure(&around(picture, FACE).unwrap().unwrap())
    }

    #[test]
    fn a_screen_around_the_face_is_found_where_it_is() {
        let found = sides(&screen(230, 140, 140, 200)).unwrap();
        for (side, expected) in found.sides.into_iter().zip([230.0, 370.0, 140.0, 340.0]) {
            assert!((side.unwrap() - expected).abs() < 3.0, "{found:?}");
        }
        // Its lower edge is out of sight; then its right one.
        assert_eq!(
            sides(&screen(230, 140, 140, 340)).unwrap().sides.map(|s| s.is_some()),
            [true, true, true, false]
        );
        assert_eq!(
            sides(&screen(230, 140, 370, 200)).unwrap().sides.map(|s| s.is_some()),
            [true, false, true, true]
        );
    }

    #[test]
    fn what_does_not_enclose_the_face_is_not() {
        assert_eq!(sides(&screen(0, 0, 230, 480)), None, "one edge");
        assert_eq!(sides(&screen(0, 140, 600, 200)), None, "above and below");
        assert_eq!(sides(&screen(280, 200, 40, 60)), None, "inside the face");
        assert_eq!(sides(&screen(230, 300, 140, 100)), None, "below the face");
        assert_eq!(sides(&RgbImage::new(600, 480)), None);
    }

    #[test]
    fn faces_too_small_or_beside_the_picture_are_not_looked_at() {
        let picture = screen(230, 140, 140, 200);
        for face in [
            Rect::new(0.0, 0.0, 30.0, 40.0),
            Rect::new(900.0, 900.0, 1000.0, 1000.0),
            Rect::new(10.0, 10.0, 5.0, 5.0),
            Rect::new(f32::NAN, 0.0, 100.0, 100.0),
        ] {
            assert_eq!(around(&picture, face).unwrap(), None, "{face:?}");
        }
    }

    #[test]
    fn a_line_that_stays_while_the_face_moves_is_part_of_the_place() {
        let picture = screen(230, 60, 160, 400);
        let mut memory = EdgeMemory::new();
        let seen = |x: f32, memory: &mut EdgeMemory| {
            let face = Rect::new(FACE.x1 + x, FACE.y1, FACE.x2 + x, FACE.y2);
            enclosure(&memory.without_place(&around(&picture, face).unwrap().unwrap()))
        };
        assert!(seen(0.0, &mut memory).is_some());
        assert!(seen(3.0, &mut memory).is_some(), "a jitter of the box");
        assert_eq!(seen(18.0, &mut memory), None);
        assert_eq!(seen(0.0, &mut memory), None, "it was learned");
        assert!(!memory.is_empty());
        // However many lines come and go, no more are kept.
        for n in 0..2000_u16 {
            let line = Line {
                is_upright: true,
                middle: [f32::from(n) * 7.0, 200.0],
                slope: 0.0,
                length: 100.0,
                brightens: true,
            };
            memory.without_place(&FaceEdges { face: FACE, lines: vec![line] });
        }
        assert_eq!(memory.len(), MAX_REMEMBERED);
    }
}
