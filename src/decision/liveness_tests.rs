//! What liveness does to a decision, apart from the mean of the model.

use super::tests::{
    Heard, MS, ada, checks, decider, heard, live, of, rejected, unknown, verdict, verified, with,
};
use super::*;
use crate::domain::{Reason, SpoofSigns};

#[test]
fn liveness_needs_a_full_window() {
    let slow = |p: &mut Policy| {
        p.liveness = LivenessPolicy::Enforce(LivenessChecks { min_looks: 5, min_span: MS(700), ..checks() });
    };
    let five: Vec<_> = (0..5).map(|n| ada(n * 100)).collect();
    assert_eq!(verdict(with(slow), &five), unknown(Reason::InsufficientEvidence), "only 400 ms");
    let eight: Vec<_> = (0..8).map(|n| ada(n * 100)).collect();
    assert_eq!(verdict(with(slow), &eight), verified("ada"));
}

#[test]
fn signs_of_a_picture_reject_with_their_own_reason_and_can_be_switched_off() {
    let signs = |is_overexposed, has_edges| {
        move |ms| ScoredObservation {
            signs: SpoofSigns { is_judged: true, is_overexposed, has_edges },
            ..ada(ms)
        }
    };
    let off = |p: &mut Policy| {
        let checks = LivenessChecks { refuses_overexposed: false, refuses_edges: false, ..checks() };
        p.liveness = LivenessPolicy::Enforce(checks);
    };
    for (over, edges, reason) in [(true, false, Reason::Overexposed), (false, true, Reason::ScreenEdge)] {
        let looks: Vec<_> = (0..4).map(|n| signs(over, edges)(n * 100)).collect();
        assert_eq!(verdict(decider(), &looks), rejected(reason));
        assert_eq!(verdict(with(off), &looks), verified("ada"));
    }
}

#[test]
fn signs_that_are_looked_for_must_have_been_judged() {
    let unjudged = |ms| ScoredObservation { signs: SpoofSigns::default(), ..ada(ms) };
    let looks: Vec<_> = (0..4).map(|n| unjudged(n * 100)).collect();
    assert_eq!(verdict(decider(), &looks), unknown(Reason::InsufficientEvidence));
    assert_eq!(verdict(decider(), &[&looks[..], &[ada(400)]].concat()), verified("ada"));
}

#[test]
fn without_a_self_test_that_is_asked_for_nobody_is_verified() {
    let untested = |p: &mut Policy| {
        p.liveness = LivenessPolicy::Enforce(LivenessChecks { is_tested: false, ..checks() });
    };
    let looks: Vec<_> = (0..9).map(|n| ada(n * 100)).collect();
    assert_eq!(verdict(with(untested), &looks), rejected(Reason::NoSelfTest));
}

#[test]
fn several_failures_of_liveness_lock_everybody_out_for_a_while() {
    let Heard(mut decider) = decider();
    let mut said = Vec::new();
    for track in 1..=2 {
        let at = track * 1000;
        for n in 0..3 {
            said.extend(decider.observe(&of(track, live(ada(at + n * 100), 0.1)), Moment(MS(at + n * 100))));
        }
        said.extend(decider.track_ended(TrackId(track), Moment(MS(at + 500))));
    }
    assert!(matches!(said[0], Said::Decided(_)) && matches!(said[1], Said::Decided(_)));
    assert_eq!(said[2..], [Said::LockedOut { until: Moment(MS(62_500)) }]);
    let visit = |decider: &mut EvidenceDecider, track, at: u64| {
        let looks = (0..3).map(|n| of(track, ada(at + n * 100)));
        let mut said: Vec<Said> = looks.flat_map(|look| decider.observe(&look, look.captured_at)).collect();
        said.extend(decider.track_ended(TrackId(track), Moment(MS(at + 500))));
        heard(said).pop().map(|decision| decision.verdict)
    };
    assert_eq!(visit(&mut decider, 3, 30_000), rejected(Reason::LockedOut));
    assert_eq!(visit(&mut decider, 4, 62_500), verified("ada"));
}
