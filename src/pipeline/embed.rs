//! The embed stage: looks become embeddings, embeddings candidates, candidates decisions, decisions events.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::announce::Announcer;
use super::detect::{Look, Work};
use super::event_of::{asked, decided};
use super::latest::LatestReceiver;
use super::looks::Attention;
use super::manner::Deciding;
use super::offer::{Offer, Offers};
use super::orders::{Order, Orders};
use super::pulse::Beating;
use super::record::RecordLink;
use super::stats::Stats;
use super::trouble::Trouble;
use crate::clock::{Clock, Moment};
use crate::decision::{Decider, Said};
use crate::domain::{
    CameraId, Candidate, Decision, EmbeddingError, Event, EventKind, Frame, Pose, Quality, SCHEMA,
    ScoredObservation, Together, TrackId, Verdict,
};
use crate::inference::{Embedder, LivenessModel};
use crate::matching::{Gallery, Pool, Pooled, Ranking, SharedGallery};
use crate::vision::pose::pose;

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
    /// How long a grant is good after its frame was taken.
    pub grant_valid: Duration,
    /// Looks up to this much older than the newest of their track count together.
    pub window: Duration,
    /// `enforce`, `challenge`, `report` or `off`.
    pub liveness_mode: &'static str,
    /// True if nothing is granted, and what would have been is only told.
    pub is_shadow: bool,
    /// True if faces that are verified are offered as templates.
    pub offers: bool,
}

/// The newest look that was embedded.
pub(super) struct NewestLook {
    track: TrackId,
    quality: Quality,
    pose: Option<Pose>,
    /// Of the gallery that it was compared with.
    generation: u64,
}

pub(super) struct Embed {
    pub pulse: Beating,
    pub changes: LatestReceiver<Deciding>,
    pub camera: CameraId,
    pub work: Receiver<Work>,
    pub attention: Sender<Attention>,
    pub embedder: Box<dyn Embedder>,
    /// `None` when liveness is off.
    pub liveness: Option<Box<dyn LivenessModel>>,
    pub gallery: SharedGallery,
    pub decider: Box<dyn Decider>,
    pub terms: DecisionTerms,
    pub verdicts: Verdicts,
    /// The recent looks of each track that is there.
    pub pools: BTreeMap<TrackId, Pool>,
    /// Whether nobody may be verified because of the camera's view.
    pub is_unfit: bool,
    pub announcer: Announcer,
    /// Where decisions go, if what led up to them is kept.
    pub record: Option<RecordLink>,
    /// How it goes with the embedder.
    pub embedder_trouble: Trouble,
    /// How it goes with the liveness model.
    pub liveness_trouble: Trouble,
    /// Where faces go that were verified.
    pub offers: Offers,
    pub newest_look: Option<NewestLook>,
    /// When more than one face was last in view.
    pub company_at: Option<Moment>,
    pub orders: Orders,
    /// Set while a recording is played as fast as the machine can, or as slowly as it must.
    pub has_own_time: Arc<AtomicBool>,
    pub clock: Arc<dyn Clock>,
    pub stats: Arc<Stats>,
}

impl Embed {
    pub(super) fn run(mut self) {
        let mut generation = self.gallery.generation();
        let mut newest = Moment::default();
        let mut given = self.orders.given();
        loop {
            self.pulse.beat();
            if let Ok(deciding) = self.changes.receive(Duration::ZERO) {
                self.decide_by(deciding);
            }
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
            let before = std::mem::replace(&mut given, self.orders.given());
            let is_watching = given.order == Order::Watch;
            if before != given {
                self.decider.reset();
                self.pools.clear();
            }
            let mut said = self.decider.tick(now);
            if let Some(work) = work {
                if let (Some(scene), true) = (&work.scene, is_watching) {
                    // What was seen of a view that was not fit counts for nothing once it is.
                    if std::mem::replace(&mut self.is_unfit, scene.unfit.is_some()) && scene.unfit.is_none() {
                        self.pools.clear();
                    }
                    if scene.faces.len() > 1 {
                        self.company_at = Some(scene.captured_at);
                    }
                    said.extend(self.decider.scene(scene, self.now(newest)));
                }
                if let (Some(frame), true) = (&work.frame, is_watching) {
                    for look in work.looks {
                        let scored = self.score(frame, look, newest);
                        let now = self.now(newest);
                        said.extend(scored.into_iter().flat_map(|scored| self.decider.observe(&scored, now)));
                    }
                }
                for track in work.ended {
                    said.extend(self.decider.track_ended(track, now));
                    self.verdicts.forget(track);
                    self.pools.remove(&track);
                }
            }
            said.into_iter().for_each(|said| self.orders.if_watching(|| self.tell(said)));
        }
    }

    fn decide_by(&mut self, deciding: Deciding) {
        match self.decider.adopt(deciding.policy) {
            Ok(()) => self.terms = deciding.terms,
            // Whoever sends it has checked it.
            Err(error) => tracing::error!(camera = %self.camera, "the new settings cannot be used: {error}"),
        }
    }

    /// The time that decisions go by. In a recording that is not played at its own rate it is the time of the newest
    /// frame: what is decided must not depend on the speed of the machine.
    fn now(&self, newest: Moment) -> Moment {
        if self.has_own_time.load(Ordering::Acquire) { newest } else { self.clock.now().max(newest) }
    }

    /// Embeds one face and asks the gallery; `None` if a model fails, which is counted and said once. `newest`: when the
    /// newest frame was taken.
    fn score(&mut self, frame: &Frame, look: Look, newest: Moment) -> Option<ScoredObservation> {
        // Asked first: whatever is compared with is at least as new.
        let generation = self.gallery.generation();
        let gallery = self.gallery.current();
        let began = self.clock.now();
        let embedded = self.embedder.embed(&frame.pixels, &look.detection);
        let ranked = embedded.and_then(|embedding| {
            let alone = gallery.rank(&embedding)?;
            let pool = self.pools.entry(look.track).or_default();
            let pooled = pool.add(frame.captured_at, embedding, self.terms.window)?;
            Ok((alone, together(&gallery, pool, pooled)?))
        });
        let (alone, mut together) = match ranked {
            Ok(ranked) => {
                self.embedder_trouble.works();
                self.stats.embeddings.add_one();
                ranked
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
        self.stats.score.record(self.clock.now().since(began));
        self.newest_look = self.terms.offers.then(|| NewestLook {
            track: look.track,
            quality: look.quality.clone(),
            pose: pose(&look.detection.landmarks_in_frame),
            generation,
        });
        // Last, so that it is asked for the time of the decision.
        let now = self.clock.wall(self.now(newest));
        let barred = |best: &Candidate| gallery.standings().barred(&best.person, now);
        together.barred = together.best.as_ref().and_then(barred);
        Some(ScoredObservation {
            track: look.track,
            seq: frame.seq,
            captured_at: frame.captured_at,
            quality: look.quality,
            liveness,
            signs: look.signs,
            best: alone.best,
            second: alone.second,
            together,
            people: gallery.people(),
        })
    }

    fn tell(&self, said: Said) {
        match said {
            Said::Decided(decision) => self.conclude(&decision),
            Said::Asked(ask) => {
                // If the link is full the next prompt says it again.
                self.attention.try_send(Attention::Watched(ask.track)).ok();
                self.announcer.announce(asked(&ask, &self.camera, self.clock.as_ref()));
            }
            Said::LockedOut { until } => {
                tracing::warn!(camera = %self.camera, "liveness failed too often: nobody is verified for a while");
                let (camera, until) = (self.camera.clone(), self.clock.wall(until));
                self.announcer.announce(EventKind::LockedOut { camera, until });
            }
        }
    }

    fn conclude(&self, decision: &Decision) {
        self.stats.decisions.add_one();
        self.stats.decision_lag.record(decision.decided_at.since(decision.captured_at));
        // If the link is full the track is looked at a little more often than it need be.
        self.attention.try_send(Attention::Settled(decision.track)).ok();
        self.verdicts.set(decision.track, decision.verdict.clone());
        if let Some(offer) = self.offer(decision) {
            self.offers.put(offer);
        }
        let (model, gallery, clock) = (self.embedder.digest(), self.gallery.current(), self.clock.as_ref());
        let event = decided(decision, &self.camera, &self.terms, model, &gallery, clock);
        tracing::info!(camera = %self.camera, track = decision.track.0, "{}", event.name());
        let Some(record) = &self.record else {
            self.announcer.announce_at(event, decision.decided_at);
            return;
        };
        let announced = self.announcer.announce_at(event.clone(), decision.decided_at);
        let event = Event { schema: SCHEMA, id: announced.id, at: announced.at, kind: event };
        record.decided(event, gallery);
    }

    /// The face of a decision as a template to be, if it was verified, and nobody else was there while it was looked at.
    fn offer(&self, decision: &Decision) -> Option<Offer> {
        let Verdict::Verified(person) = &decision.verdict else { return None };
        if !self.terms.offers || self.terms.is_shadow {
            return None;
        }
        let is_alone = self.company_at.is_none_or(|at| decision.captured_at.since(at) > self.terms.window);
        let newest = self.newest_look.as_ref().filter(|look| look.track == decision.track && is_alone)?;
        Some(Offer {
            camera: self.camera.clone(),
            person: person.clone(),
            embedding: self.pools.get(&decision.track)?.mean()?.ok()?,
            similarity: decision.evidence.similarity?.value(),
            needed: decision.evidence.needed?.threshold.value(),
            mean_quality: mean(decision.evidence.looks.iter().map(|look| look.quality)),
            newest: newest.quality.clone(),
            pose: newest.pose,
            generation: newest.generation,
        })
    }
}

/// The mean of numbers; 0 of none.
fn mean(numbers: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = numbers.fold((0.0, 0.0_f32), |(sum, count), number| (sum + number, count + 1.0));
    sum / count.max(1.0)
}

/// Asks the gallery for what the looks at a track resemble together.
fn together(gallery: &Gallery, pool: &Pool, pooled: Pooled) -> Result<Together, EmbeddingError> {
    let Ranking { best, second } = match pool.mean() {
        Some(mean) => gallery.rank(&mean?)?,
        None => Ranking::default(),
    };
    let looks = u32::try_from(pool.len()).unwrap_or(u32::MAX);
    Ok(Together { best, second, barred: None, looks, is_restarted: pooled == Pooled::Restarted })
}
