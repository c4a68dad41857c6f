//! What becomes of people while the camera's view is unfit, and afterwards.

use super::tests::{Heard, MS, decider, heard, look, policy};
use super::*;
use crate::domain::{Reason, Scene, SceneFace, Verdict, ViewFault};

/// Ada before the camera, ten looks a second from `from` to `to`, while `unfit` is wrong; what was decided, and when.
fn stands(
    Heard(decider): &mut Heard,
    (from, to): (u64, u64),
    unfit: Option<ViewFault>,
) -> Vec<(u64, Verdict)> {
    let mut decided = Vec::new();
    for ms in (from..to).step_by(100) {
        let now = Moment(MS(ms));
        let face = SceneFace { track: TrackId(1), width_px: 100.0, pose: None, faults: Vec::new() };
        let scene = Scene { captured_at: now, unfit, faces: vec![face] };
        let mut said = decider.tick(now);
        said.extend(decider.scene(&scene, now));
        said.extend(decider.observe(&look(ms, &[("ada", 0.9), ("bob", 0.1)]), now));
        decided.extend(heard(said).into_iter().map(|decision| (ms, decision.verdict)));
    }
    decided
}

fn verified() -> Verdict {
    Verdict::Verified("ada".parse().expect("a name"))
}

#[test]
fn nobody_is_verified_while_the_view_is_unfit_and_it_is_told_why() {
    for (fault, reason) in [
        (ViewFault::Frozen, Reason::CameraFrozen),
        (ViewFault::Covered, Reason::CameraCovered),
        (ViewFault::Blinded, Reason::CameraBlinded),
        (ViewFault::Moved, Reason::CameraMoved),
    ] {
        let mut decider = decider();
        assert_eq!(stands(&mut decider, (0, 9000), Some(fault)), [(4000, Verdict::Rejected(reason))]);
        assert_eq!(reason.view_fault(), Some(fault));
    }
    assert_eq!(stands(&mut decider(), (0, 9000), None), [(200, verified())]);
    assert_eq!(Reason::LockedOut.view_fault(), None);
}

#[test]
fn only_what_is_seen_afterwards_counts() {
    let mut decider = decider();
    // Enough looks for three verdicts, but for the view; then two that are not enough, and the third that is.
    assert_eq!(stands(&mut decider, (0, 2000), Some(ViewFault::Blinded)), []);
    assert_eq!(stands(&mut decider, (2000, 5000), None), [(2300, verified())]);
    // A look from before, that comes late, is none.
    let mut late = Heard(EvidenceDecider::new(policy(), Box::new(|| 0)).expect("a good policy"));
    assert_eq!(stands(&mut late, (0, 1000), Some(ViewFault::Frozen)), []);
    assert_eq!(stands(&mut late, (1000, 1300), None), []);
    let old = [910, 920, 930].map(|ms| look(ms, &[("ada", 0.9)]));
    assert!(old.iter().all(|look| late.observe(look, Moment(MS(1300))).is_none()));
}

#[test]
fn whoever_leaves_without_being_seen_again_is_told_of_too() {
    let mut decider = decider();
    assert_eq!(stands(&mut decider, (0, 2000), Some(ViewFault::Frozen)), []);
    let Heard(inner) = &mut decider;
    let fit = Scene { captured_at: Moment(MS(2000)), unfit: None, faces: Vec::new() };
    assert_eq!(inner.scene(&fit, Moment(MS(2000))), []);
    let decision = decider.track_ended(TrackId(1), Moment(MS(3000))).expect("a decision");
    assert_eq!(decision.verdict, Verdict::Rejected(Reason::CameraFrozen));
    assert_eq!(decision.evidence.best, Some("ada".parse().expect("a name")));
    // Nobody who was not there long enough to be verified.
    let mut brief = super::tests::decider();
    assert_eq!(stands(&mut brief, (0, 200), Some(ViewFault::Frozen)), []);
    let Heard(inner) = &mut brief;
    assert_eq!(inner.scene(&fit, Moment(MS(2000))), []);
    assert_eq!(brief.track_ended(TrackId(1), Moment(MS(3000))), None);
}
