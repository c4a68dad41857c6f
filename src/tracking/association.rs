//! Which detection continues which track.
//!
//! A frame is explained as a whole: each track has a detection or is missed, each detection continues a track or
//! is new, and all of that has a cost, minus twice its log-likelihood. Each pair of the cheapest explanation is then
//! thrown out if moving, swapping or leaving out one other track costs hardly more. Where a detection may belong
//! at all is one place, [`judge`]: a check of appearance would be added there.

use crate::domain::{Detection, Rect};

use super::assignment::assign;
use super::kalman::{Misfit, Motion};

/// The squared Mahalanobis distance that a right detection stays below in 99.9 % of cases: the quantile of the
/// chi-squared distribution with 4 degrees of freedom.
const MAX_DISTANCE_SQ: f64 = 18.47;

/// A face does not grow or shrink by more than this factor against the prediction.
const MAX_SIZE_RATIO: f32 = 1.5;

/// A face that has touched another one lately is found no further from its prediction than this, in face sizes:
/// whoever was behind it must have moved further than that to be seen at all.
const MAX_COMPANY_DISTANCE: f32 = 0.3;

/// A second explanation counts as nearly as good unless its cost (minus twice the log-likelihood) is higher by
/// this: e^4, about 55 to 1.
const CLEAR_ADVANTAGE: f64 = 8.0;

/// Cost of not finding a face that was found in the frame before: measured in 6 to 7 % of frames, -2 ln(0.07).
const MISSED_COST: f64 = 5.3;
/// Cost of not finding a face that was missed in the frame before: misses come in runs, -2 ln(0.6).
const MISSED_AGAIN_COST: f64 = 1.0;
/// Cost of not finding a face that another one covers: assumed four times in five, -2 ln(0.8).
const COVERED_COST: f64 = 0.5;
/// Cost of a face that nobody expected, as a density over the same four numbers as [`Misfit::cost`]: assumed
/// about one in fifty frames, within a region of a few faces.
const NEW_COST: f64 = 6.0;

/// A track as association sees it.
pub(super) struct Expected<'a> {
    /// Predicted to the moment of the detections.
    pub motion: &'a Motion,
    /// The predicted box.
    pub rect: Rect,
    /// Somebody may be hidden beside or behind it.
    pub is_crowded: bool,
    /// It was seen in the frame before.
    pub is_fresh: bool,
    /// Another face covers its predicted box.
    pub is_covered: bool,
    /// It has touched another face lately.
    pub has_company: bool,
}

impl Expected<'_> {
    fn missed_cost(&self) -> f64 {
        match (self.is_covered, self.is_fresh) {
            (true, _) => COVERED_COST,
            (false, true) => MISSED_COST,
            (false, false) => MISSED_AGAIN_COST,
        }
    }
}

/// What became of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on with the detection of this index.
    Continues(usize),
    /// No detection is its.
    Unseen,
    /// It might be any of several: it cannot go on.
    Contested,
}

/// How a detection relates to a track.
#[derive(Clone, Copy)]
struct Judged {
    cost: f64,
    /// Close enough to be the same face. Otherwise only close enough to raise doubts.
    is_allowed: bool,
}

/// `None` where the detection is nowhere near.
fn judge(track: &Expected<'_>, rect: Rect, min_iou: f32) -> Option<Judged> {
    let misfit = misfit_near(track.motion, track.rect, rect)?;
    let distance = track.rect.centre().distance(rect.centre());
    let is_allowed = track.rect.iou(rect) >= min_iou
        && misfit.distance_sq <= MAX_DISTANCE_SQ
        && size_ratio(track.rect, rect) <= MAX_SIZE_RATIO
        && (track.is_fresh || !track.is_crowded)
        && (!track.has_company || distance <= MAX_COMPANY_DISTANCE * mean_size(track.rect, rect));
    Some(Judged { cost: misfit.cost, is_allowed })
}

/// How badly a detection fits a course; `None` where it is nowhere near.
fn misfit_near(course: &Motion, predicted: Rect, rect: Rect) -> Option<Misfit> {
    let is_near =
        predicted.iou(rect) > 0.0 || predicted.centre().distance(rect.centre()) <= mean_size(predicted, rect);
    is_near.then(|| course.misfit(rect))
}

/// What is known about one frame: all costs, and the best explanation.
struct Explained<'a, 'b> {
    tracks: &'a [Expected<'b>],
    judged: Vec<Vec<Option<Judged>>>,
    detection_of: Vec<Option<usize>>,
    track_of: Vec<Option<usize>>,
}

impl Explained<'_, '_> {
    fn cost(&self, track: usize, detection: usize) -> Option<f64> {
        self.judged[track][detection].map(|pair| pair.cost)
    }

    /// How much more the frame costs if `track` is not at `own` but at `elsewhere`.
    fn extra_elsewhere(&self, track: usize, own: usize, elsewhere: usize) -> Option<f64> {
        let moved = self.cost(track, elsewhere)? - self.cost(track, own)?;
        let Some(other) = self.track_of[elsewhere] else { return Some(moved) };
        let others = self.cost(other, elsewhere)?;
        // The other one is then at `own`, or missed while a new face is at `own`.
        let gone = NEW_COST + self.tracks[other].missed_cost();
        Some(moved - others + self.cost(other, own).map_or(gone, |swapped| swapped.min(gone)))
    }

    /// How much more the frame costs if `other` is at the detection `own` of `track`, and `track` is missed.
    fn extra_taken(&self, track: usize, own: usize, other: usize) -> Option<f64> {
        let moved = self.cost(other, own)? - self.cost(track, own)? + self.tracks[track].missed_cost();
        match self.detection_of[other] {
            Some(left) => Some(moved + NEW_COST - self.cost(other, left)?),
            None => Some(moved - self.tracks[other].missed_cost()),
        }
    }
}

/// The fate of each track. `hidden` are the predicted courses of people out of sight, who may be what was
/// detected and are given nothing.
pub(super) fn associate(
    tracks: &[Expected<'_>],
    hidden: &[Motion],
    detections: &[Detection],
    min_iou: f32,
) -> Vec<Fate> {
    let judged: Vec<Vec<Option<Judged>>> = tracks
        .iter()
        .map(|track| detections.iter().map(|d| judge(track, d.box_in_frame, min_iou)).collect())
        .collect();
    let detection_of = assign(tracks.len(), detections.len(), &|track, detection| {
        judged[track][detection].filter(|pair| pair.is_allowed).map(|pair| pair.cost)
    });
    let mut track_of = vec![None; detections.len()];
    for (track, detection) in detection_of.iter().enumerate() {
        if let Some(detection) = *detection {
            track_of[detection] = Some(track);
        }
    }
    let frame = Explained { tracks, judged, detection_of, track_of };

    let mut fates = vec![Fate::Unseen; tracks.len()];
    for (track, own) in frame.detection_of.iter().enumerate() {
        let Some(own) = *own else { continue };
        let is_rival = |extra: Option<f64>| extra.is_some_and(|extra| extra < CLEAR_ADVANTAGE);
        let mut is_contested = (0..detections.len())
            .any(|other| other != own && is_rival(frame.extra_elsewhere(track, own, other)));
        for other in (0..tracks.len()).filter(|&other| other != track) {
            if is_rival(frame.extra_taken(track, own, other)) {
                is_contested = true;
                // It may have been this one: unless a detection of its own settles that, it cannot go on.
                if frame.detection_of[other].is_none() {
                    fates[other] = Fate::Contested;
                }
            }
        }
        let own_cost = frame.cost(track, own).unwrap_or(f64::INFINITY) - tracks[track].missed_cost();
        let seen_at = detections[own].box_in_frame;
        is_contested |= hidden.iter().any(|course| {
            is_rival(misfit_near(course, course.rect(), seen_at).map(|misfit| misfit.cost - own_cost))
        });
        fates[track] = if is_contested { Fate::Contested } else { Fate::Continues(own) };
    }
    fates
}

/// Geometric mean of the two boxes' sizes, in pixels; a box's size is the geometric mean of its sides.
fn mean_size(a: Rect, b: Rect) -> f32 {
    a.area().sqrt().sqrt() * b.area().sqrt().sqrt()
}

/// How many times larger the larger one is, 1 and up.
fn size_ratio(a: Rect, b: Rect) -> f32 {
    let ratio = (a.area() / b.area()).sqrt();
    ratio.max(1.0 / ratio)
}
