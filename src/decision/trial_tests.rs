//! The active challenge inside the decider.

use super::challenge::{ChallengeSettings, Plan};
use super::tests::{MS, checks, look, of, policy};
use super::*;
use crate::domain::{ChallengeFault, PersonId, Pose, Reason, SceneFace, Verdict, ViewFault};

/// Always the same plan: the last choice, and the shortest pause.
fn decider() -> EvidenceDecider {
    let mut policy = policy();
    policy.min_looks = 2;
    policy.liveness = LivenessPolicy::Challenge { settings: ChallengeSettings::default(), checks: checks() };
    EvidenceDecider::new(policy, Box::new(|| 0)).expect("a good policy")
}

fn plan() -> Plan {
    Plan::random(&ChallengeSettings::default(), || 0).expect("good settings")
}

/// Somebody before the camera, ten times a second, who answers each prompt unless told otherwise.
struct Visitor {
    ms: u64,
    /// Since when the prompt is answered, and with what.
    asked: Option<(u64, Prompt)>,
    obeys: bool,
    /// From then on the camera's view is unfit.
    unfit_from_ms: u64,
}

impl Visitor {
    /// A head moves in about half a second, stays, and comes back once the next prompt or the end is near.
    fn pose(&self) -> Pose {
        let rest = Pose { yaw: 0.0, pitch: 0.0, roll: 0.0, eye_distance_px: 60.0 };
        let Some((since, prompt)) = self.asked.filter(|_| self.obeys) else { return rest };
        let t = (self.ms - since) as f32 / 1000.0;
        // Reacts after 0.3 s, is there at 0.8 s, goes back from 1.5 s, is back at 2 s.
        let part = ((t - 0.3) / 0.5).clamp(0.0, 1.0) - ((t - 1.5) / 0.5).clamp(0.0, 1.0);
        match prompt {
            Prompt::LookLeft => Pose { yaw: 30.0 * part, ..rest },
            Prompt::LookRight => Pose { yaw: -30.0 * part, ..rest },
            Prompt::LookUp => Pose { pitch: 22.0 * part, ..rest },
            Prompt::ComeCloser => Pose { eye_distance_px: 60.0 * (1.0 + 0.4 * part), ..rest },
        }
    }

    /// Plays `until_ms`; what was said. `looks` gives the look at a time, if there is one.
    fn play(
        &mut self,
        decider: &mut EvidenceDecider,
        until_ms: u64,
        looks: impl Fn(u64) -> Option<ScoredObservation>,
    ) -> Vec<Said> {
        let mut all = Vec::new();
        while self.ms < until_ms {
            self.ms += 100;
            let now = Moment(MS(self.ms));
            let mut said = decider.tick(now);
            // A head that is turned away gives no good look.
            if let Some(look) = looks(self.ms).filter(|_| self.pose().yaw.abs() < 10.0) {
                said.extend(decider.observe(&look, now));
            }
            let unfit = (self.ms >= self.unfit_from_ms).then_some(ViewFault::Covered);
            let face =
                SceneFace { track: TrackId(1), width_px: 100.0, pose: Some(self.pose()), faults: vec![] };
            said.extend(decider.scene(&Scene { captured_at: now, unfit, faces: vec![face] }, now));
            for said in &said {
                if let Said::Asked(ask) = said {
                    self.asked = Some((self.ms, ask.prompt));
                }
            }
            all.extend(said);
        }
        all
    }
}

fn visitor() -> Visitor {
    Visitor { ms: 0, asked: None, obeys: true, unfit_from_ms: u64::MAX }
}

fn ada(ms: u64) -> Option<ScoredObservation> {
    Some(look(ms, &[("ada", 0.7), ("bob", 0.1)]))
}

fn asked(said: &[Said]) -> Vec<Prompt> {
    said.iter()
        .filter_map(|said| match said {
            Said::Asked(ask) => Some(ask.prompt),
            Said::Decided(_) | Said::LockedOut { .. } => None,
        })
        .collect()
}

fn decided(said: Vec<Said>) -> Vec<(Verdict, Option<ChallengeFault>)> {
    said.into_iter()
        .filter_map(|said| match said {
            Said::Decided(decision) => Some((decision.verdict, decision.evidence.challenge)),
            Said::Asked(_) | Said::LockedOut { .. } => None,
        })
        .collect()
}

#[test]
fn whoever_follows_is_verified_after_the_last_prompt_and_not_before() {
    let (mut decider, mut visitor) = (decider(), visitor());
    let said = visitor.play(&mut decider, 20_000, ada);
    assert_eq!(asked(&said), plan().prompts());
    assert!(matches!(said.last(), Some(Said::Decided(_))), "nothing is decided before: {said:?}");
    let ada = PersonId::new("ada").expect("a name");
    assert_eq!(decided(said), [(Verdict::Verified(ada), None)]);
}

#[test]
fn whoever_does_not_follow_is_rejected() {
    let (mut decider, mut visitor) = (decider(), Visitor { obeys: false, ..visitor() });
    let said = visitor.play(&mut decider, 20_000, ada);
    let expected = (Verdict::Rejected(Reason::ChallengeFailed), Some(ChallengeFault::TooLate));
    assert_eq!(decided(said), [expected]);
}

#[test]
fn somebody_else_in_the_same_place_fails_it() {
    let stranger_later = |ms| {
        let mut look = ada(ms)?;
        if ms > 4000 {
            look = super::tests::look(ms, &[("ada", 0.1), ("bob", 0.2)]);
            look.together.is_restarted = true;
        }
        Some(look)
    };
    let bob_later = |ms| if ms > 4000 { Some(look(ms, &[("ada", 0.1), ("bob", 0.7)])) } else { ada(ms) };
    let expected = [(Verdict::Rejected(Reason::ChallengeFailed), Some(ChallengeFault::OtherFace))];
    assert_eq!(decided(visitor().play(&mut decider(), 20_000, stranger_later)), expected);
    assert_eq!(decided(visitor().play(&mut decider(), 20_000, bob_later)), expected);
}

#[test]
fn whoever_moves_must_be_seen_meanwhile() {
    // No look at all after the first seconds: the movements alone open nothing.
    let (mut decider, mut visitor) = (decider(), visitor());
    let said = visitor.play(&mut decider, 30_000, |ms| ada(ms).filter(|_| ms < 2000));
    assert!(asked(&said).len() < 3, "{said:?}");
    let expected = (Verdict::Rejected(Reason::ChallengeFailed), Some(ChallengeFault::Lost));
    assert_eq!(decided(said), [expected]);
}

#[test]
fn a_challenge_does_not_go_on_before_a_camera_that_sees_nothing() {
    let (mut decider, mut visitor) = (decider(), Visitor { unfit_from_ms: 3000, ..visitor() });
    let said = visitor.play(&mut decider, 20_000, ada);
    assert_eq!(asked(&said).len(), 1, "{said:?}");
    let expected = (Verdict::Rejected(Reason::ChallengeFailed), Some(ChallengeFault::Lost));
    assert_eq!(decided(said), [expected]);
}

#[test]
fn a_stranger_is_never_asked() {
    let (mut decider, mut visitor) = (decider(), visitor());
    let said = visitor.play(&mut decider, 10_000, |ms| Some(look(ms, &[("ada", 0.2), ("bob", 0.1)])));
    assert_eq!(asked(&said), []);
    assert_eq!(decided(said), [(Verdict::Unknown(Reason::NoMatch), None)]);
}

#[test]
fn only_one_is_asked_at_a_time() {
    let (mut decider, mut visitor) = (decider(), visitor());
    let second = |n: u64| of(2, look(n, &[("ada", 0.1), ("bob", 0.7)]));
    let mut tracks = Vec::new();
    for step in 0..40 {
        let said = visitor.play(&mut decider, (step + 1) * 100, ada);
        let more = decider.observe(&second((step + 1) * 100), Moment(MS((step + 1) * 100)));
        tracks.extend(said.into_iter().chain(more).filter_map(|said| match said {
            Said::Asked(ask) => Some(ask.track),
            Said::Decided(_) | Said::LockedOut { .. } => None,
        }));
    }
    assert!(!tracks.is_empty() && tracks.iter().all(|track| *track == TrackId(1)), "{tracks:?}");
}
