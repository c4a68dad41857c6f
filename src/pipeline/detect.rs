//! The detect stage: decodes the newest frame, finds faces, follows them, and picks the looks worth embedding.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::idle::Idle;
use super::latest::{LatestReceiver, Nothing};
use super::looks::{Attention, LookPicker};
use super::manner::Looking;
use super::orders::{Order, Orders};
use super::pulse::Beating;
use super::record::RecordLink;
use super::signs::SignWatch;
use super::stats::Stats;
use super::tap::Tap;
use super::trouble::Trouble;
use super::watching::ViewWatch;
use crate::clock::{Clock, Moment};
use crate::domain::{
    CapturedFrame, Detection, Frame, Original, Quality, Scene, SceneFace, SpoofSigns, Track, TrackId,
    TrackState, ViewFault,
};
use crate::inference::Detector;
use crate::tracking::Tracker;
use crate::vision::decode::{decode, decode_and_keep};
use crate::vision::pose::pose;
use crate::vision::quality::{Gates, assess};
use crate::watch::{Glance, payload_digest};

/// How long the stage waits for a frame before it looks up.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the detect stage hands to the embed stage.
pub(super) struct Work {
    /// The frame that the looks are on; `None` if only tracks have ended.
    pub frame: Option<Frame>,
    /// Faces to embed.
    pub looks: Vec<Look>,
    /// All faces that are followed; `None` if only tracks have ended.
    pub scene: Option<Scene>,
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
    /// Signs of a picture, apart from what the liveness model says.
    pub signs: SpoofSigns,
}

/// A frame and the faces followed on it, for whoever looks on.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The frame.
    pub frame: Frame,
    /// All tracks, also predicted ones.
    pub tracks: Vec<Track>,
    /// What is wrong with the view, where that keeps people from being verified.
    pub unfit: Option<ViewFault>,
}

/// A frame that was decoded.
struct Decoded {
    frame: Frame,
    /// What the camera gave, where it is kept.
    original: Option<Original>,
    /// The frame in brief, where anybody wants that.
    glance: Option<Glance>,
    /// Digest of what the camera gave, where the view is watched.
    payload: Option<u64>,
}

pub(super) struct Detect {
    pub pulse: Beating,
    pub changes: LatestReceiver<Looking>,
    pub frames: LatestReceiver<CapturedFrame>,
    pub detector: Box<dyn Detector>,
    pub tracker: Tracker,
    pub gates: Gates,
    /// Signs of pictures of faces; `None` when liveness is off.
    pub signs: Option<SignWatch>,
    /// Frames closer together than this are not looked at.
    pub min_interval: Duration,
    /// What is looked at while nobody is there.
    pub idle: Idle,
    /// Whether the view is fit to go by.
    pub view_watch: ViewWatch,
    /// What the next stage was told of that.
    pub told_unfit: Option<ViewFault>,
    /// True if no look may be dropped.
    pub keep_all: bool,
    pub work: Sender<Work>,
    /// Which tracks need fewer looks, or more.
    pub attention: Receiver<Attention>,
    /// Shows frames with their tracks to whoever looks on.
    pub tap: Tap,
    pub orders: Orders,
    /// Where frames go as the camera gave them, if they are kept.
    pub record: Option<RecordLink>,
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
        let mut given = self.orders.given();
        loop {
            self.pulse.beat();
            if let Ok(looking) = self.changes.receive(Duration::ZERO) {
                self.look_by(looking);
            }
            let received = self.frames.receive(PATIENCE);
            if given != self.orders.given() {
                given = self.orders.given();
                // Whoever is there now is somebody new afterwards: nothing is inherited.
                picker = LookPicker::default();
                ended.extend(self.end_tracks());
                let at = last_looked.unwrap_or_default();
                if !self.hand_on(None, at, Vec::new(), None, &mut ended) {
                    return;
                }
            }
            let captured = match received {
                Ok(frame) => frame,
                Err(Nothing::TimedOut) => continue,
                Err(Nothing::Ended) => break,
            };
            if given.order == Order::Rest {
                continue;
            }
            let at = captured.captured_at;
            // Whoever looks on wants to see what is there now, and whoever enrols is looked for.
            if self.tap.is_wanted() {
                self.idle.is_busy(at);
            }
            let is_soon = last_looked.is_some_and(|last| at.since(last) < self.min_interval && at >= last);
            if is_soon || !self.idle.is_worth_a_glance(at) {
                self.stats.skipped.add_one();
                continue;
            }
            let began = self.clock.now();
            let Some(Decoded { frame, original, glance, payload }) = self.decode(captured) else { continue };
            self.stats.decode.record(self.clock.now().since(began));
            let is_searched = self.idle.is_worth_a_search(at, glance.as_ref());
            if !is_searched {
                self.stats.quiet.add_one();
            }
            let Some(found) = (if is_searched { self.search(&frame) } else { Some(Vec::new()) }) else {
                continue;
            };
            last_looked = Some(at);
            let began = self.clock.now();
            if let Some(glance) = glance.filter(|_| self.view_watch.needs_glances()) {
                self.view_watch.see(at, &glance, payload, &found);
            }

            let update = self.tracker.update(at, &found);
            if is_searched && !update.tracks.is_empty() {
                self.idle.is_busy(at);
            }
            self.stats.tracks_now.set(update.tracks.len());
            self.stats.most_attention_waiting.note(self.attention.len());
            self.attention.try_iter().for_each(|attention| match attention {
                Attention::Settled(track) => picker.settle(track),
                Attention::Watched(track) => picker.watch(track),
            });
            ended.extend(update.ended.iter().map(|track| track.id));
            let (looks, scene) = match given.order {
                Order::Watch => {
                    let (looks, scene) = self.pick(&mut picker, &frame, &update.tracks);
                    (looks, Some(scene))
                }
                _ => (Vec::new(), None),
            };
            self.stats.follow.record(self.clock.now().since(began));
            for track in &update.ended {
                picker.forget(track.id);
                if let Some(signs) = &mut self.signs {
                    signs.forget(track.id);
                }
            }
            self.tap.show(&frame, (&update.tracks, self.view_watch.unfit()), self.keep_all);
            // Before the looks go on, so that no decision comes before its frame.
            if let (Some(record), Some(original), Order::Watch) =
                (&self.record, original.filter(|_| is_searched), given.order)
            {
                record.frame(&frame, original, &update.tracks, &looks);
            }
            self.stats.frame_lag.record(self.clock.now().since(at));
            let frame = (!looks.is_empty()).then_some(frame);
            if !self.hand_on(frame, at, looks, scene, &mut ended) {
                return;
            }
        }
        ended.extend(self.end_tracks());
        // The last word about every track; there is nothing newer that could wait behind it.
        drop(self.work.send(Work {
            frame: None,
            looks: Vec::new(),
            scene: None,
            ended,
            at: last_looked.unwrap_or_default(),
        }));
    }

    fn look_by(&mut self, looking: Looking) {
        self.min_interval = looking.min_detect_interval;
        self.idle.adopt(looking.idle, self.keep_all);
        self.view_watch.adopt(looking.watching);
        self.tracker.adopt(looking.tracker);
        self.gates = looking.gates;
        self.signs = match (self.signs.take(), looking.signs) {
            (Some(signs), Some(settings)) => Some(signs.adopting(settings)),
            (None, settings) => settings.map(SignWatch::new),
            (Some(_), None) => None,
        };
    }

    /// Decodes a frame; `None` if that fails, which is counted.
    fn decode(&self, captured: CapturedFrame) -> Option<Decoded> {
        let CapturedFrame { camera, seq, captured_at, payload } = captured;
        let is_watched = self.view_watch.needs_glances();
        let digest = if is_watched { payload_digest(&payload) } else { None };
        let decoded = match &self.record {
            None => decode(payload).map(|pixels| (Arc::new(pixels), None)),
            Some(_) => decode_and_keep(payload).map(|(pixels, original)| (pixels, Some(original))),
        };
        let (pixels, original) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                self.stats.bad_frames.add_one();
                tracing::debug!(%camera, seq, "a frame is damaged: {error}");
                return None;
            }
        };
        let glance = (is_watched || self.idle.needs_glances()).then(|| Glance::of(&pixels));
        Some(Decoded { frame: Frame { camera, seq, captured_at, pixels }, original, glance, payload: digest })
    }

    /// Finds the faces of a frame; `None` if that fails, which is counted and said once.
    fn search(&mut self, frame: &Frame) -> Option<Vec<Detection>> {
        let began = self.clock.now();
        match self.detector.detect(&frame.pixels) {
            Ok(found) => {
                self.stats.search.record(self.clock.now().since(began));
                self.trouble.works();
                self.stats.detected.add_one();
                self.stats.faces.add(found.len());
                Some(found)
            }
            Err(error) => {
                self.trouble.failed(&self.stats.model_failures, &error.to_string());
                None
            }
        }
    }

    /// The faces of this frame that are worth an embedding, and all that are there.
    fn pick(&mut self, picker: &mut LookPicker, frame: &Frame, tracks: &[Track]) -> (Vec<Look>, Scene) {
        let mut looks = Vec::new();
        let unfit = self.view_watch.unfit();
        let is_stale = self.view_watch.is_stale();
        let mut scene = Scene { captured_at: frame.captured_at, unfit, faces: Vec::new() };
        for track in tracks.iter().filter(|track| track.state == TrackState::Confirmed) {
            if picker.is_new(track.id) {
                self.stats.tracks.add_one();
            }
            let mut faults = Vec::new();
            if !is_stale && picker.is_due(track.id, frame.captured_at) {
                let quality = assess(&frame.pixels, &track.detection, &self.gates);
                if picker.take(track.id, frame.captured_at, &quality) {
                    let face = track.detection.box_in_frame;
                    let signs = self.signs.as_mut().map(|signs| signs.look(track.id, frame, face));
                    let signs = signs.unwrap_or_default();
                    looks.push(Look { track: track.id, detection: track.detection, quality, signs });
                } else {
                    faults = quality.faults;
                }
            }
            scene.faces.push(SceneFace {
                track: track.id,
                width_px: track.detection.box_in_frame.width(),
                pose: pose(&track.detection.landmarks_in_frame),
                faults,
            });
        }
        (looks, scene)
    }

    /// Ends all tracks, and forgets what is kept of each.
    fn end_tracks(&mut self) -> Vec<TrackId> {
        let ended: Vec<TrackId> = self.tracker.end_all().iter().map(|track| track.id).collect();
        if let Some(signs) = &mut self.signs {
            ended.iter().for_each(|track| signs.forget(*track));
        }
        self.stats.tracks_now.set(0);
        ended
    }

    /// Hands looks, faces and ends on; false if the next stage is gone. Looks and faces are dropped if it is behind
    /// (newer ones follow); ends are kept for the next time.
    fn hand_on(
        &mut self,
        frame: Option<Frame>,
        at: Moment,
        looks: Vec<Look>,
        scene: Option<Scene>,
        ended: &mut Vec<TrackId>,
    ) -> bool {
        let unfit = scene.as_ref().map_or(self.told_unfit, |scene| scene.unfit);
        let nobody = scene.as_ref().is_none_or(|scene| scene.faces.is_empty());
        if nobody && ended.is_empty() && unfit == self.told_unfit {
            return true;
        }
        let work = Work { frame, looks, scene, ended: std::mem::take(ended), at };
        if self.keep_all {
            self.told_unfit = unfit;
            return self.work.send(work).is_ok();
        }
        match self.work.try_send(work) {
            Ok(()) => {
                self.stats.most_work_waiting.note(self.work.len());
                self.told_unfit = unfit;
                true
            }
            Err(TrySendError::Full(work)) => {
                self.stats.looks_dropped.add(work.looks.len());
                *ended = work.ended;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}
