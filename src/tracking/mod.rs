//! Follows faces from frame to frame: which detection is whose, and when somebody has left.
//!
//! A track is born with every detection that continues no other, becomes `Confirmed` with its
//! [`TrackerSettings::confirm_after`]th detection, is `Missed` while it is not seen (its place is predicted), and
//! ends when it has not been seen for [`TrackerSettings::max_missed`]. Frames that were never looked at count as
//! not seen, since anything may have happened meanwhile. Ids are never used twice.
//!
//! **One track is one person.** What is decided about a track opens doors, so a track is ended too early rather
//! than handed from one person to another:
//!
//! - a detection continues nobody if giving it to somebody else explains the frame nearly as well (`association`);
//! - a leap or a sudden change of size starts a new track (`association`);
//! - a track that is not seen while another face covers its place ends at once, and the place where its person may
//!   be hidden is watched: a face there survives no gap (`crowd`);
//! - a face that has touched another one lately is only found again near its predicted place;
//! - a frame older than the one before it (no monotonic clock does that) ends all tracks.
//!
//! The price is a new id, and with it a new decision, after some crossings. Position alone cannot see a change of
//! persons that moves little: somebody who takes the place of a face in the very frames that miss it. Of 5000
//! simulated close meetings of two or three people each (`tests`; boxes off by 6 to 8 %), 1 joined two people in a
//! track if no visible face is missed, 8 if 5 % are missed in runs, 13 if 10 %, and 33 if 30 %; with 5 to 7 tracks
//! a meeting, up to 10 % missed. Whatever is decided about a track must therefore rest on looks that agree.

mod assignment;
mod association;
mod crowd;
mod intake;
mod kalman;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;
use crate::domain::{Detection, Point, Rect, Track, TrackId, TrackState};

use association::{Expected, Fate, associate};
use crowd::{Crowd, inflated};
use intake::Intake;
pub use intake::MAX_DETECTIONS;
use kalman::Motion;

/// The most tracks alive at once; past it the one that was not seen for longest ends.
pub const MAX_TRACKS: usize = 128;

/// A face that is not found while another one covers so much of its predicted box is hidden behind it, or has
/// lost its detection to it: detectors stop finding faces that are covered by about a third.
const COVERED: f32 = 0.15;

/// Somebody whom a face has touched may be behind it for so long.
const COMPANY_LASTS: Duration = Duration::from_secs(5);

/// How faces are followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackerSettings {
    /// A track is confirmed from so many detections on, at distinct moments. 0 and 1 mean the first.
    pub confirm_after: u32,
    /// A track that was not seen for longer than this ends.
    pub max_missed: Duration,
    /// A detection continues a track only if it overlaps the predicted box by this (intersection over union),
    /// 0..=1. With NaN nothing continues.
    pub min_iou: f32,
}

/// Gives track ids: 1 and up, none twice. Clones go on with each other's.
#[derive(Debug, Clone, Default)]
pub struct TrackIds(Arc<AtomicU64>);

impl TrackIds {
    fn next(&self) -> TrackId {
        TrackId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What one frame changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Update {
    /// All live tracks, by id. Those seen in this frame have it as `last_seen`.
    pub tracks: Vec<Track>,
    /// Tracks that ended with this frame, as they last were, by id.
    pub ended: Vec<Track>,
    /// Detections dropped because they were no boxes or no scores: not a number, inverted, out of range.
    pub unsound: usize,
    /// Detections dropped because they were the same face again.
    pub duplicates: usize,
    /// Detections dropped because there were more than [`MAX_DETECTIONS`].
    pub excess: usize,
}

/// A track and what is needed to continue it.
#[derive(Debug, Clone)]
struct Live {
    track: Track,
    /// As it was last seen; `track.detection` is a prediction while it is missed.
    seen: Detection,
    /// Predicted to the newest frame.
    motion: Motion,
    hits: u32,
    /// When it last overlapped another face, or took the place of one that had.
    touched: Option<Moment>,
}

/// Follows the faces of one camera.
#[derive(Debug)]
pub struct Tracker {
    settings: TrackerSettings,
    live: Vec<Live>,
    crowd: Crowd,
    newest: Option<Moment>,
    ids: TrackIds,
}

impl Tracker {
    /// A tracker that has seen nobody yet; the first id is 1.
    #[must_use]
    pub fn new(settings: TrackerSettings) -> Self {
        Self::with_ids(settings, TrackIds::default())
    }

    /// As [`Tracker::new`], with ids that go on where another tracker's ended.
    #[must_use]
    pub fn with_ids(settings: TrackerSettings, ids: TrackIds) -> Self {
        Self { settings, live: Vec::new(), crowd: Crowd::default(), newest: None, ids }
    }

    /// Follows by other settings from now on; tracks that are alive stay so.
    pub fn adopt(&mut self, settings: TrackerSettings) {
        self.settings = settings;
    }

    /// Takes in all detections of the frame taken at `at`, in any order.
    ///
    /// A second frame of the same moment moves tracks, but confirms none and makes none missed. A frame older than the one before
    /// ends all tracks and starts anew.
    pub fn update(&mut self, at: Moment, detections: &[Detection]) -> Update {
        let intake = Intake::new(detections);
        let mut ended = Vec::new();
        if self.newest.is_some_and(|newest| at < newest) {
            ended = self.end_all();
        }
        let step = self.newest.map_or(Duration::ZERO, |newest| at.since(newest));
        let previous = self.newest.replace(at);

        self.end_overdue(at, &mut ended);
        self.crowd.predict(step.as_secs_f64());
        for live in &mut self.live {
            live.motion.predict(step.as_secs_f64());
        }
        let fates = self.fates(at, previous, &intake.detections);
        let predicted: Vec<Rect> = self.live.iter().map(|live| live.motion.rect()).collect();
        let is_covered =
            |rect: Rect| intake.detections.iter().any(|d| covered(rect, d.box_in_frame) > COVERED);

        let mut taken = vec![false; intake.detections.len()];
        let mut kept = Vec::with_capacity(self.live.len());
        let mut ended_company: Vec<(Rect, Moment)> = Vec::new();
        for (index, mut live) in std::mem::take(&mut self.live).into_iter().enumerate() {
            match fates[index] {
                Fate::Continues(detection) => {
                    taken[detection] = true;
                    live.see(at, intake.detections[detection], self.settings.confirm_after);
                    kept.push(live);
                }
                Fate::Unseen if predicted[index].is_sound() && !is_covered(predicted[index]) => {
                    if live.track.last_seen < at {
                        live.miss(predicted[index]);
                    }
                    kept.push(live);
                }
                Fate::Unseen | Fate::Contested => {
                    let place =
                        if predicted[index].is_sound() { predicted[index] } else { live.seen.box_in_frame };
                    self.crowd.lost(place, live.motion, at);
                    ended_company.extend(live.touched.map(|touched| (place, touched)));
                    ended.push(live.track);
                }
            }
        }
        self.live = kept;
        for (detection, _) in intake.detections.iter().zip(taken).filter(|(_, taken)| !taken) {
            self.crowd.appeared(detection.box_in_frame, at);
            let inherited = ended_company.iter().filter(|(place, _)| place.iou(detection.box_in_frame) > 0.0);
            let touched = inherited.map(|(_, touched)| *touched).max();
            self.start(at, *detection, touched, &mut ended);
        }
        self.note_touches(at);
        let in_sight: Vec<Rect> =
            self.live.iter().filter(|l| l.track.last_seen == at).map(|l| l.seen.box_in_frame).collect();
        self.crowd.settle(&in_sight, at);

        self.live.sort_by_key(|live| live.track.id);
        ended.sort_by_key(|track| track.id);
        Update {
            tracks: self.live.iter().map(|live| live.track).collect(),
            ended,
            unsound: intake.unsound,
            duplicates: intake.duplicates,
            excess: intake.excess,
        }
    }

    /// Ends all tracks, for when the camera was lost or the daemon stops. Ids go on counting.
    #[must_use = "whoever follows the tracks must be told that they ended"]
    pub fn end_all(&mut self) -> Vec<Track> {
        self.crowd.clear();
        self.newest = None;
        std::mem::take(&mut self.live).into_iter().map(|live| live.track).collect()
    }

    fn fates(&self, at: Moment, previous: Option<Moment>, seen: &[Detection]) -> Vec<Fate> {
        let expected: Vec<Expected<'_>> = self
            .live
            .iter()
            .enumerate()
            .map(|(index, live)| {
                let rect = live.motion.rect();
                let is_covered = (0..self.live.len())
                    .any(|other| other != index && covered(rect, self.live[other].motion.rect()) > COVERED);
                Expected {
                    is_covered,
                    has_company: live.touched.is_some_and(|touched| at.since(touched) <= COMPANY_LASTS),
                    motion: &live.motion,
                    rect,
                    is_crowded: self.crowd.covers(rect, at),
                    is_fresh: previous == Some(live.track.last_seen),
                }
            })
            .collect();
        associate(&expected, &self.crowd.courses(at), seen, self.settings.min_iou)
    }

    /// Notes who overlaps whom, also where a face is only predicted.
    fn note_touches(&mut self, at: Moment) {
        let boxes: Vec<Rect> = self.live.iter().map(|live| live.track.detection.box_in_frame).collect();
        for (index, live) in self.live.iter_mut().enumerate() {
            if (0..boxes.len()).any(|other| other != index && boxes[index].iou(boxes[other]) > 0.0) {
                live.touched = Some(at);
            }
        }
    }

    /// Ends what was not seen for too long.
    fn end_overdue(&mut self, at: Moment, ended: &mut Vec<Track>) {
        let is_overdue = |live: &Live| at.since(live.track.last_seen) > self.settings.max_missed;
        for (index, live) in self.live.iter().enumerate().filter(|(_, live)| is_overdue(live)) {
            // Too long ago to predict anything: those who touched then may still be one behind the other.
            let own = inflated(live.seen.box_in_frame, live.seen.box_in_frame.width() / 2.0);
            let touches = |other: &Live| other.seen.box_in_frame.iou(own) > 0.0;
            if self.live.iter().enumerate().any(|(other, live)| other != index && touches(live)) {
                self.crowd.lost(live.seen.box_in_frame, live.motion, at);
            }
            ended.push(live.track);
        }
        self.live.retain(|live| !is_overdue(live));
    }

    fn start(&mut self, at: Moment, detection: Detection, touched: Option<Moment>, ended: &mut Vec<Track>) {
        if self.live.len() >= MAX_TRACKS {
            let longest_unseen =
                (0..self.live.len()).min_by_key(|&i| (self.live[i].track.last_seen, self.live[i].track.id));
            if let Some(index) = longest_unseen {
                ended.push(self.live.swap_remove(index).track);
            }
        }
        let state =
            if self.settings.confirm_after <= 1 { TrackState::Confirmed } else { TrackState::Tentative };
        self.live.push(Live {
            track: Track { id: self.ids.next(), state, detection, first_seen: at, last_seen: at },
            seen: detection,
            motion: Motion::new(detection.box_in_frame),
            hits: 1,
            touched,
        });
    }
}

impl Live {
    /// It was seen.
    fn see(&mut self, at: Moment, detection: Detection, confirm_after: u32) {
        if at > self.track.last_seen {
            self.hits = self.hits.saturating_add(1);
        }
        self.motion.correct(detection.box_in_frame);
        self.seen = detection;
        self.track.detection = detection;
        self.track.last_seen = at;
        self.track.state =
            if self.hits >= confirm_after { TrackState::Confirmed } else { TrackState::Tentative };
    }

    /// It was not seen: its face is taken to have moved as one piece. One that was never confirmed stays
    /// tentative.
    fn miss(&mut self, predicted: Rect) {
        if self.track.state == TrackState::Confirmed {
            self.track.state = TrackState::Missed;
        }
        let (from, to) = (self.seen.box_in_frame, predicted);
        let (scale_x, scale_y) = (to.width() / from.width(), to.height() / from.height());
        self.track.detection.box_in_frame = predicted;
        self.track.detection.landmarks_in_frame = self
            .seen
            .landmarks_in_frame
            .map(|p| Point::new(to.x1 + (p.x - from.x1) * scale_x, to.y1 + (p.y - from.y1) * scale_y));
    }
}

/// Which part of `rect` the other box covers, 0..=1.
fn covered(rect: Rect, by: Rect) -> f32 {
    let shared = Rect::new(rect.x1.max(by.x1), rect.y1.max(by.y1), rect.x2.min(by.x2), rect.y2.min(by.y2));
    shared.area() / rect.area()
}
