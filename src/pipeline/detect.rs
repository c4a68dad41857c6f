//! The detect stage: decodes the newest frame, finds faces, follows them, and picks the looks worth embedding.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::latest::{LatestReceiver, Nothing};
use super::looks::LookPicker;
use super::stats::Stats;
use super::trouble::Trouble;
use crate::clock::{Clock, Moment};
use crate::domain::{CapturedFrame, Detection, Frame, Quality, Track, TrackId, TrackState};
use crate::inference::Detector;
use crate::tracking::Tracker;
use crate::vision::decode::decode;
use crate::vision::quality::{Gates, assess};

/// How long the stage waits for a frame before it looks up.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the detect stage hands to the embed stage.
pub(super) struct Work {
    /// The frame that the looks are on; `None` if only tracks have ended.
    pub frame: Option<Frame>,
    /// Faces to embed.
    pub looks: Vec<Look>,
    /// Tracks that are over.
    pub ended: Vec<TrackId>,
    /// The time of the frame.
    pub at: Moment,
}

/// One face worth embedding.
pub(super) struct Look {
    pub track: TrackId,
    pub detection: Detection,
    pub quality: Quality,
}

/// A frame and the faces followed on it, for whoever draws them.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The frame.
    pub frame: Frame,
    /// All tracks, also predicted ones.
    pub tracks: Vec<Track>,
}

pub(super) struct Detect {
    pub frames: LatestReceiver<CapturedFrame>,
    pub detector: Box<dyn Detector>,
    pub tracker: Tracker,
    pub gates: Gates,
    /// Frames closer together than this are not looked at.
    pub min_interval: Duration,
    /// True if no look may be dropped.
    pub keep_all: bool,
    pub work: Sender<Work>,
    /// Tracks that need no more looks for now.
    pub settled: Receiver<TrackId>,
    /// Where frames with their tracks go, if anybody draws them.
    pub view: Option<Sender<Seen>>,
    /// How it goes with the detector.
    pub trouble: Trouble,
    pub clock: Arc<dyn Clock>,
    pub stats: Arc<Stats>,
}

impl Detect {
    pub(super) fn run(mut self) {
        let mut picker = LookPicker::default();
        let mut ended: Vec<TrackId> = Vec::new();
        let mut last_looked: Option<Moment> = None;
        loop {
            let captured = match self.frames.receive(PATIENCE) {
                Ok(frame) => frame,
                Err(Nothing::TimedOut) => continue,
                Err(Nothing::Ended) => break,
            };
            let at = captured.captured_at;
            if last_looked.is_some_and(|last| at.since(last) < self.min_interval && at >= last) {
                self.stats.skipped.add_one();
                continue;
            }
            let Some((frame, found)) = self.look(captured) else { continue };
            last_looked = Some(at);

            let update = self.tracker.update(at, &found);
            self.settled.try_iter().for_each(|track| picker.settle(track));
            ended.extend(update.ended.iter().map(|track| track.id));
            let looks = self.pick(&mut picker, &frame, &update.tracks);
            update.ended.iter().for_each(|track| picker.forget(track.id));
            self.show(&frame, &update.tracks);
            self.stats.frame_lag.record(self.clock.now().since(at));
            if !self.hand_on(frame, looks, &mut ended, at) {
                return;
            }
        }
        ended.extend(self.tracker.end_all().iter().map(|track| track.id));
        // The last word about every track; there is nothing newer that could wait behind it.
        drop(self.work.send(Work {
            frame: None,
            looks: Vec::new(),
            ended,
            at: last_looked.unwrap_or_default(),
        }));
    }

    /// Decodes a frame and finds its faces; `None` if either fails, which is counted and said once.
    fn look(&mut self, captured: CapturedFrame) -> Option<(Frame, Vec<Detection>)> {
        let CapturedFrame { camera, seq, captured_at, payload } = captured;
        let pixels = match decode(payload) {
            Ok(pixels) => Arc::new(pixels),
            Err(error) => {
                self.stats.bad_frames.add_one();
                tracing::debug!(%camera, seq, "a frame is damaged: {error}");
                return None;
            }
        };
        match self.detector.detect(&pixels) {
            Ok(found) => {
                self.trouble.works();
                self.stats.detected.add_one();
                self.stats.faces.add(found.len());
                Some((Frame { camera, seq, captured_at, pixels }, found))
            }
            Err(error) => {
                self.trouble.failed(&self.stats.model_failures, &error.to_string());
                None
            }
        }
    }

    /// The faces of this frame that are worth an embedding.
    fn pick(&self, picker: &mut LookPicker, frame: &Frame, tracks: &[Track]) -> Vec<Look> {
        let mut looks = Vec::new();
        for track in tracks.iter().filter(|track| track.state == TrackState::Confirmed) {
            if picker.is_new(track.id) {
                self.stats.tracks.add_one();
            }
            if !picker.is_due(track.id, frame.captured_at) {
                continue;
            }
            let quality = assess(&frame.pixels, &track.detection, &self.gates);
            if picker.take(track.id, frame.captured_at, &quality) {
                looks.push(Look { track: track.id, detection: track.detection, quality });
            }
        }
        looks
    }

    fn show(&self, frame: &Frame, tracks: &[Track]) {
        let Some(view) = &self.view else { return };
        let seen = Seen { frame: frame.clone(), tracks: tracks.to_vec() };
        // Whoever draws must not hold up the camera; only a recording waits for them.
        if self.keep_all { drop(view.send(seen)) } else { drop(view.try_send(seen)) }
    }

    /// Hands looks and ends on; false if the next stage is gone. Looks are dropped if it is behind (newer ones
    /// follow); ends are kept for the next time.
    fn hand_on(&self, frame: Frame, looks: Vec<Look>, ended: &mut Vec<TrackId>, at: Moment) -> bool {
        if looks.is_empty() && ended.is_empty() {
            return true;
        }
        let frame = (!looks.is_empty()).then_some(frame);
        let work = Work { frame, looks, ended: std::mem::take(ended), at };
        if self.keep_all {
            return self.work.send(work).is_ok();
        }
        match self.work.try_send(work) {
            Ok(()) => true,
            Err(TrySendError::Full(work)) => {
                self.stats.looks_dropped.add(work.looks.len());
                *ended = work.ended;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}
