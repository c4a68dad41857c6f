//! People who may be hidden behind others.
//!
//! When a track is lost while another face covers it, its person is probably still there, out of sight. When a
//! face then turns up in that place, nobody can tell by position alone whether it is the one who stayed in sight
//! or the one who was hidden. So the place is remembered: a track in it survives no gap, and ends rather than
//! being handed to somebody else. For as long as the hidden person may simply be walking on, their predicted
//! course also competes for detections, without ever getting one. A place is given up when a face appears beside
//! the one that stayed (the hidden person came out), when nobody has been in it for a while, or when it has been
//! kept for long.

use std::time::Duration;

use crate::clock::Moment;
use crate::domain::Rect;

use super::kalman::Motion;

/// The most places remembered; the oldest goes first.
const MAX_PLACES: usize = 64;
/// A place that nobody is in is kept so long.
const KEPT_EMPTY: Duration = Duration::from_secs(2);
/// No place is kept longer.
const KEPT_AT_MOST: Duration = Duration::from_secs(10);
/// So long a hidden person's course is predicted.
const COURSE_PREDICTED: Duration = Duration::from_secs(1);
/// A place reaches beyond the face by this at each side, in face sizes...
const REACH: f32 = 0.5;
/// ...and grows by this in each second after anybody was seen in it: about the pace of somebody walking.
const REACH_PER_SECOND: f32 = 1.5;

/// Somebody out of sight.
#[derive(Debug, Clone, Copy)]
struct Hidden {
    /// The face that hides them, or where they were lost.
    rect: Rect,
    /// Where they would be, had they walked on.
    course: Motion,
    /// When a face was last seen there.
    last_seen: Moment,
    /// When they were lost.
    since: Moment,
}

impl Hidden {
    fn reaches(&self, rect: Rect, now: Moment) -> bool {
        let margin = REACH + REACH_PER_SECOND * now.since(self.last_seen).as_secs_f32();
        inflated(self.rect, margin * self.rect.area().sqrt()).iou(rect) > 0.0
    }
}

/// Everybody out of sight.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    hidden: Vec<Hidden>,
}

impl Crowd {
    /// Moves everybody on by `dt` seconds.
    pub(super) fn predict(&mut self, dt: f64) {
        for hidden in &mut self.hidden {
            hidden.course.predict(dt);
        }
    }

    /// The courses of those who were lost lately.
    pub(super) fn courses(&self, now: Moment) -> Vec<Motion> {
        let recent = self.hidden.iter().filter(|hidden| now.since(hidden.since) <= COURSE_PREDICTED);
        recent.map(|hidden| hidden.course).collect()
    }

    /// Whether somebody may be hidden at `rect`.
    pub(super) fn covers(&self, rect: Rect, now: Moment) -> bool {
        self.hidden.iter().any(|hidden| hidden.reaches(rect, now))
    }

    /// Somebody on this course was lost at `rect`.
    pub(super) fn lost(&mut self, rect: Rect, course: Motion, now: Moment) {
        if self.hidden.len() == MAX_PLACES {
            self.hidden.remove(0);
        }
        self.hidden.push(Hidden { rect, course, last_seen: now, since: now });
    }

    /// A face appeared at `rect`: if somebody was hidden there, it is taken for the one whose course fits best.
    pub(super) fn appeared(&mut self, rect: Rect, now: Moment) {
        let cost = |at: usize| self.hidden[at].course.misfit(rect).cost;
        let likeliest = (0..self.hidden.len())
            .filter(|&at| self.hidden[at].reaches(rect, now))
            .min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
        if let Some(at) = likeliest {
            self.hidden.remove(at);
        }
    }

    /// Whoever is hidden stays with the nearest face that is in sight; places that are too old are given up.
    pub(super) fn settle(&mut self, in_sight: &[Rect], now: Moment) {
        for hidden in &mut self.hidden {
            let distance = |rect: &Rect| hidden.rect.centre().distance(rect.centre());
            let nearest = in_sight
                .iter()
                .filter(|rect| hidden.reaches(**rect, now))
                .min_by(|a, b| distance(a).total_cmp(&distance(b)))
                .copied();
            if let Some(rect) = nearest {
                (hidden.rect, hidden.last_seen) = (rect, now);
            }
        }
        self.hidden.retain(|hidden| {
            now.since(hidden.last_seen) <= KEPT_EMPTY && now.since(hidden.since) <= KEPT_AT_MOST
        });
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        self.hidden.clear();
    }
}

/// Larger by `by` pixels at each side.
pub(super) fn inflated(rect: Rect, by: f32) -> Rect {
    Rect::new(rect.x1 - by, rect.y1 - by, rect.x2 + by, rect.y2 + by)
}
