//! The embed stage: looks become embeddings, embeddings candidates, candidates decisions, decisions events.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::announce::Announcer;
use super::detect::{Look, Work};
use super::stats::Stats;
use super::trouble::Trouble;
use crate::clock::{Clock, Moment};
use crate::decision::Decider;
use crate::domain::{
    CameraId, Decision, EventKind, Frame, MatchDetail, ModelDigest, ScoredObservation, Threshold, TrackId,
    Verdict,
};
use crate::inference::{Embedder, LivenessModel};
use crate::matching::SharedGallery;

/// How often time-outs are looked for while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// What became of the tracks that are still there, for whoever draws them.
#[derive(Debug, Clone, Default)]
pub struct Verdicts(Arc<Mutex<BTreeMap<TrackId, Verdict>>>);

impl Verdicts {
    /// What became of a track; `None` while it is undecided.
    #[must_use]
    pub fn of(&self, track: TrackId) -> Option<Verdict> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&track).cloned()
    }

    fn set(&self, track: TrackId, verdict: Verdict) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(track, verdict);
    }

    fn forget(&self, track: TrackId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&track);
    }
}

/// What events say about how decisions are made.
#[derive(Debug, Clone)]
pub struct DecisionTerms {
    /// The similarity that is needed.
    pub threshold: Threshold,
    /// How long a grant is good after its frame was taken.
    pub grant_valid: Duration,
    /// `enforce`, `report` or `off`.
    pub liveness_mode: &'static str,
}

pub(super) struct Embed {
    pub camera: CameraId,
    pub work: Receiver<Work>,
    pub settled: Sender<TrackId>,
    pub embedder: Box<dyn Embedder>,
    /// `None` when liveness is off.
    pub liveness: Option<Box<dyn LivenessModel>>,
    pub gallery: SharedGallery,
    pub decider: Box<dyn Decider>,
    pub terms: DecisionTerms,
    pub verdicts: Verdicts,
    pub announcer: Announcer,
    /// How it goes with the embedder.
    pub embedder_trouble: Trouble,
    /// How it goes with the liveness model.
    pub liveness_trouble: Trouble,
    /// Set while a recording is played as fast as the machine can, or as slowly as it must.
    pub has_own_time: Arc<AtomicBool>,
    pub clock: Arc<dyn Clock>,
    pub stats: Arc<Stats>,
}

impl Embed {
    pub(super) fn run(mut self) {
        let mut generation = self.gallery.generation();
        let mut newest = Moment::default();
        loop {
            let work = match self.work.recv_timeout(TICK) {
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            newest = newest.max(work.as_ref().map_or(newest, |work| work.at));
            let now = self.now(newest);
            if generation != self.gallery.generation() {
                generation = self.gallery.generation();
                self.decider.reset();
            }
            let mut decisions = self.decider.tick(now);
            if let Some(work) = work {
                if let Some(frame) = &work.frame {
                    for look in work.looks {
                        let scored = self.score(frame, look);
                        let now = self.now(newest);
                        decisions.extend(scored.and_then(|scored| self.decider.observe(&scored, now)));
                    }
                }
                for track in work.ended {
                    decisions.extend(self.decider.track_ended(track, now));
                    self.verdicts.forget(track);
                }
            }
            decisions.iter().for_each(|decision| self.conclude(decision));
        }
    }

    /// The time that decisions go by. In a recording that is not played at its own rate it is the time of the newest
    /// frame: what is decided must not depend on the speed of the machine.
    fn now(&self, newest: Moment) -> Moment {
        if self.has_own_time.load(Ordering::Acquire) { newest } else { self.clock.now().max(newest) }
    }

    /// Embeds one face and asks the gallery; `None` if a model fails, which is counted and said once.
    fn score(&mut self, frame: &Frame, look: Look) -> Option<ScoredObservation> {
        let embedded = self.embedder.embed(&frame.pixels, &look.detection);
        let ranking = embedded.and_then(|embedding| Ok(self.gallery.current().rank(&embedding)?));
        let ranking = match ranking {
            Ok(ranking) => {
                self.embedder_trouble.works();
                self.stats.embeddings.add_one();
                ranking
            }
            Err(error) => {
                self.embedder_trouble.failed(&self.stats.model_failures, &error.to_string());
                return None;
            }
        };
        // A liveness model that fails gives no judgement; where it is enforced, that is never "live".
        let liveness = match self.liveness.as_mut().map(|model| model.judge(&frame.pixels, &look.detection)) {
            None => None,
            Some(Ok(score)) => {
                self.liveness_trouble.works();
                Some(score)
            }
            Some(Err(error)) => {
                self.liveness_trouble.failed(&self.stats.model_failures, &error.to_string());
                None
            }
        };
        Some(ScoredObservation {
            track: look.track,
            seq: frame.seq,
            captured_at: frame.captured_at,
            quality: look.quality,
            liveness,
            best: ranking.best,
            second: ranking.second,
        })
    }

    fn conclude(&self, decision: &Decision) {
        self.stats.decisions.add_one();
        self.stats.decision_lag.record(decision.decided_at.since(decision.captured_at));
        // If the link is full the track is looked at a little more often than it need be.
        self.settled.try_send(decision.track).ok();
        self.verdicts.set(decision.track, decision.verdict.clone());
        let event =
            event_of(decision, &self.camera, &self.terms, self.embedder.digest(), self.clock.as_ref());
        tracing::info!(camera = %self.camera, track = decision.track.0, "{}", event.name());
        self.announcer.announce_at(event, decision.decided_at);
    }
}

fn event_of(
    decision: &Decision,
    camera: &CameraId,
    terms: &DecisionTerms,
    model: ModelDigest,
    clock: &dyn Clock,
) -> EventKind {
    let evidence = &decision.evidence;
    // The others from this one: asking the calendar again would give distances a little off.
    let captured_at = clock.wall(decision.captured_at);
    let detail = MatchDetail {
        camera: camera.clone(),
        track: decision.track,
        captured_at,
        decided_at: captured_at + decision.decided_at.since(decision.captured_at),
        similarity: evidence.similarity,
        threshold: terms.threshold,
        observations: evidence.observations,
        agreeing: evidence.agreeing,
        liveness: evidence.liveness,
        liveness_mode: terms.liveness_mode.to_owned(),
        model: model.to_string(),
    };
    match &decision.verdict {
        Verdict::Verified(person) => EventKind::Verified {
            person: person.clone(),
            expires_at: captured_at + terms.grant_valid,
            detail,
        },
        Verdict::Unknown(reason) => EventKind::Unknown { reason: *reason, detail },
        Verdict::Rejected(reason) => {
            EventKind::Rejected { person: evidence.best.clone(), reason: *reason, detail }
        }
    }
}
