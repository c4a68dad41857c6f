//! What the daemon's own decider would say of whoever is presented, if they were recognised at every look.
//!
//! No rule of liveness is written a second time: the decider in use is asked, with everything but liveness given.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::decision::{
    Acceptance, Decider, EvidenceDecider, InvalidPolicy, LivenessChecks, LivenessPolicy, Policy, Said,
    SeveralFaces,
};
use crate::domain::{
    Candidate, Decision, PersonId, QualityFault, Reason, Scene, ScoredObservation, Similarity, Threshold,
    TrackId, Verdict,
};

/// Another face counts from this part of the largest one's width on.
const AS_LARGE: f32 = 0.5;

/// With several faces on more than one frame of so many it is not clear what was presented.
const CROWDED_ONE_IN: u32 = 4;

/// A grant that comes late is no matter of liveness.
const NEVER_LATE: Duration = Duration::from_secs(3600);

/// What came of a presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cmds) enum Outcome {
    /// A recognised person would have been verified.
    Live,
    /// They would have been turned away as a picture.
    Picture(Reason),
    /// Neither: it is to be repeated.
    NoVerdict(NoVerdict),
}

/// Why there is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cmds) enum NoVerdict {
    /// Nobody was seen.
    NoFace,
    /// A face was seen, never well enough.
    Poor(QualityFault),
    /// It was not seen often or long enough, or the model gave no answer.
    TooLittle,
    /// More than one face was in view.
    SeveralFaces,
}

impl Outcome {
    /// For programs: `live`, or why not.
    pub(in crate::cmds) fn code(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Picture(Reason::ScreenEdge) => "picture_edges",
            Self::Picture(Reason::Overexposed) => "picture_light",
            Self::Picture(_) => "picture_model",
            Self::NoVerdict(NoVerdict::NoFace) => "no_face",
            Self::NoVerdict(NoVerdict::Poor(_)) => "poor",
            Self::NoVerdict(NoVerdict::TooLittle) => "too_little",
            Self::NoVerdict(NoVerdict::SeveralFaces) => "several_faces",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Live => f.write_str("taken for live"),
            Self::Picture(Reason::ScreenEdge) => {
                f.write_str("taken for a picture (edges move along with the face)")
            }
            Self::Picture(Reason::Overexposed) => f.write_str("taken for a picture (lit like a screen)"),
            Self::Picture(_) => f.write_str("taken for a picture (by the passive model)"),
            Self::NoVerdict(NoVerdict::NoFace) => f.write_str("no face seen: again"),
            Self::NoVerdict(NoVerdict::Poor(fault)) => {
                write!(f, "the face was never seen well enough ({fault}: {}): again", fault.advice())
            }
            Self::NoVerdict(NoVerdict::TooLittle) => {
                f.write_str("the face was not seen for long enough: again")
            }
            Self::NoVerdict(NoVerdict::SeveralFaces) => f.write_str("more than one face was in view: again"),
        }
    }
}

/// What was seen so far.
#[derive(Debug, Clone, Default)]
struct Seen {
    is_live: bool,
    picture: Option<Reason>,
    looks: u32,
    fault: Option<QualityFault>,
    scenes: u32,
    crowded: u32,
}

/// Shows what came of a presentation while it goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct Sighting(Arc<Mutex<Seen>>);

impl Sighting {
    /// Whether nothing that follows can change the outcome.
    pub(super) fn is_settled(&self) -> bool {
        self.with(|seen| seen.is_live)
    }

    /// What came of it. Live if at any time somebody would have been let in.
    pub(super) fn outcome(&self) -> Outcome {
        self.with(|seen| {
            if seen.crowded > seen.scenes / CROWDED_ONE_IN {
                Outcome::NoVerdict(NoVerdict::SeveralFaces)
            } else if seen.is_live {
                Outcome::Live
            } else if let Some(reason) = seen.picture {
                Outcome::Picture(reason)
            } else if seen.looks > 0 {
                Outcome::NoVerdict(NoVerdict::TooLittle)
            } else if let Some(fault) = seen.fault {
                Outcome::NoVerdict(NoVerdict::Poor(fault))
            } else if seen.scenes > 0 {
                Outcome::NoVerdict(NoVerdict::TooLittle)
            } else {
                Outcome::NoVerdict(NoVerdict::NoFace)
            }
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Stands in the decider's place, and tells nobody but its [`Sighting`].
pub(super) struct Witness {
    decider: EvidenceDecider,
    somebody: Candidate,
    sighting: Sighting,
}

/// The daemon's rules with everything but liveness given.
pub(super) fn policy(daemon: &Policy, checks: LivenessChecks, any: Threshold) -> Policy {
    Policy {
        acceptance: Acceptance::Similarity(any),
        min_margin: 0.0,
        cooldown: Duration::ZERO,
        grant_valid: NEVER_LATE,
        // A presentation is one visit: it cannot lock itself out.
        liveness: LivenessPolicy::Enforce(LivenessChecks {
            is_tested: true,
            max_failed_tracks: u32::MAX,
            ..checks
        }),
        several_faces: SeveralFaces::Each,
        ..daemon.clone()
    }
}

impl Witness {
    /// For one presentation. `somebody` is whom every face is taken for.
    pub(super) fn new(policy: Policy, somebody: (PersonId, Similarity)) -> Result<Self, InvalidPolicy> {
        // No challenge is put, so that nothing is drawn.
        let decider = EvidenceDecider::new(policy, Box::new(|| 0))?;
        let somebody = Candidate { person: somebody.0, similarity: somebody.1 };
        Ok(Self { decider, somebody, sighting: Sighting::default() })
    }

    /// What it sees.
    pub(super) fn sighting(&self) -> Sighting {
        self.sighting.clone()
    }

    fn note(&self, said: Vec<Said>) -> Vec<Said> {
        for said in said {
            let Said::Decided(decision) = said else { continue };
            let Decision { verdict, .. } = *decision;
            self.sighting.with(|seen| match verdict {
                Verdict::Verified(_) => seen.is_live = true,
                Verdict::Rejected(reason @ (Reason::NotLive | Reason::ScreenEdge | Reason::Overexposed)) => {
                    seen.picture.get_or_insert(reason);
                }
                Verdict::Rejected(_) | Verdict::Unknown(_) => (),
            });
        }
        Vec::new()
    }
}

impl Decider for Witness {
    fn observe(&mut self, observation: &ScoredObservation, now: Moment) -> Vec<Said> {
        let mut recognised = observation.clone();
        recognised.best = Some(self.somebody.clone());
        recognised.second = None;
        recognised.together.best = Some(self.somebody.clone());
        recognised.together.second = None;
        recognised.people = 1;
        self.sighting.with(|seen| seen.looks += 1);
        let said = self.decider.observe(&recognised, now);
        self.note(said)
    }

    fn scene(&mut self, scene: &Scene, now: Moment) -> Vec<Said> {
        let widest = scene.faces.iter().map(|face| face.width_px).fold(0.0, f32::max);
        let large = scene.faces.iter().filter(|face| face.width_px >= AS_LARGE * widest).count();
        self.sighting.with(|seen| {
            seen.scenes += u32::from(large > 0);
            seen.crowded += u32::from(large > 1);
            let fault = scene.faces.iter().find_map(|face| face.faults.first());
            seen.fault = fault.copied().or(seen.fault);
        });
        let said = self.decider.scene(scene, now);
        self.note(said)
    }

    fn track_ended(&mut self, track: TrackId, now: Moment) -> Vec<Said> {
        let said = self.decider.track_ended(track, now);
        self.note(said)
    }

    fn tick(&mut self, now: Moment) -> Vec<Said> {
        let said = self.decider.tick(now);
        self.note(said)
    }

    fn reset(&mut self) {
        self.decider.reset();
    }

    fn adopt(&mut self, policy: Policy) -> Result<(), InvalidPolicy> {
        self.decider.adopt(policy)
    }
}

#[cfg(test)]
#[path = "witness_tests.rs"]
mod tests;
