//! Which detection continues which track.
//!
//! A detection continues a track only where nothing else is nearly as likely: an optimal assignment is found,
//! and each pair of it that has a rival (another track for the detection, or another detection for the track)
//! is then thrown out. Where it belongs is one place, [`judge`]: a check of appearance would be added there.

use crate::domain::{Detection, Rect};

use super::assignment::assign;
use super::kalman::{Misfit, Motion};

/// The squared Mahalanobis distance that a right detection stays below in 99.9 % of cases: the quantile of the
/// chi-squared distribution with 4 degrees of freedom.
const MAX_DISTANCE_SQ: f64 = 18.47;

/// A face does not grow or shrink by more than this factor against the prediction.
const MAX_SIZE_RATIO: f32 = 1.5;

/// The centre is no further from the prediction than this, in sizes of the face, and by so much more for each
/// second since it was last seen (a change of pace within half a second comes to about that), up to a limit.
const MAX_CENTRE_DISTANCE: f32 = 0.2;
const MAX_CENTRE_DISTANCE_PER_SECOND: f32 = 1.0;
const MAX_CENTRE_DISTANCE_EVER: f32 = 0.5;

/// A face does not move faster, in its own sizes per second; half a size is allowed for the detector's jitter.
/// A runner close to a wide lens comes to about 6.
const MAX_SPEED: f32 = 8.0;

/// A second choice counts as nearly as good unless its cost (minus twice the log-likelihood) is higher by this:
/// e^4, about 55 to 1. At 12 there are nearly twice as many tracks and, in the simulation, no fewer mistakes.
const CLEAR_ADVANTAGE: f64 = 8.0;

/// The same limits where somebody may be hidden beside or behind this face.
const CROWDED_CENTRE_DISTANCE: f32 = 0.2;
const CROWDED_SIZE_RATIO: f32 = 1.25;

/// A track as association sees it.
pub(super) struct Expected<'a> {
    /// Predicted to the moment of the detections.
    pub motion: &'a Motion,
    /// The predicted box.
    pub rect: Rect,
    /// The box it was last seen at.
    pub last_rect: Rect,
    /// Seconds since then.
    pub unseen_s: f32,
    /// Somebody may be hidden beside or behind it.
    pub is_crowded: bool,
    /// It was seen in the frame before, and that was recent.
    pub is_fresh: bool,
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
    let size = mean_size(track.rect, rect);
    let distance = track.rect.centre().distance(rect.centre());
    let iou = track.rect.iou(rect);
    let misfit = misfit_near(track.motion, track.rect, rect)?;
    let ratio = size_ratio(track.rect, rect);
    let moved = track.last_rect.centre().distance(rect.centre());
    let max_distance = (MAX_CENTRE_DISTANCE + MAX_CENTRE_DISTANCE_PER_SECOND * track.unseen_s)
        .min(if track.is_crowded { CROWDED_CENTRE_DISTANCE } else { MAX_CENTRE_DISTANCE_EVER });
    let is_allowed = iou >= min_iou
        && misfit.distance_sq <= MAX_DISTANCE_SQ
        && ratio <= MAX_SIZE_RATIO
        && distance <= max_distance * size
        && moved <= (0.5 + MAX_SPEED * track.unseen_s) * size
        && (!track.is_crowded || (track.is_fresh && ratio <= CROWDED_SIZE_RATIO));
    Some(Judged { cost: misfit.cost, is_allowed })
}

/// How badly a detection fits a course; `None` where it is nowhere near.
fn misfit_near(course: &Motion, predicted: Rect, rect: Rect) -> Option<Misfit> {
    let is_near =
        predicted.iou(rect) > 0.0 || predicted.centre().distance(rect.centre()) <= mean_size(predicted, rect);
    is_near.then(|| course.misfit(rect))
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
    let assigned = assign(tracks.len(), detections.len(), &|track, detection| {
        judged[track][detection].filter(|pair| pair.is_allowed).map(|pair| pair.cost)
    });

    let mut fates = vec![Fate::Unseen; tracks.len()];
    for (track, detection) in assigned.into_iter().enumerate() {
        let Some(detection) = detection else { continue };
        let Some(own) = judged[track][detection] else { continue };
        let is_rival = |other: Option<Judged>| other.is_some_and(|o| o.cost - own.cost < CLEAR_ADVANTAGE);
        let rival_detection = (0..detections.len()).any(|d| d != detection && is_rival(judged[track][d]));
        let mut rival_track = false;
        for other in (0..tracks.len()).filter(|&other| other != track) {
            if is_rival(judged[other][detection]) {
                rival_track = true;
                // It may have been this one: unless a detection of its own settles that, it cannot go on.
                if fates[other] == Fate::Unseen {
                    fates[other] = Fate::Contested;
                }
            }
        }
        let seen_at = detections[detection].box_in_frame;
        let rival_hidden = hidden.iter().any(|course| {
            misfit_near(course, course.rect(), seen_at).is_some_and(|m| m.cost - own.cost < CLEAR_ADVANTAGE)
        });
        fates[track] = if rival_detection || rival_track || rival_hidden {
            Fate::Contested
        } else {
            Fate::Continues(detection)
        };
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
