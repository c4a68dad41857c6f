use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::domain::{
    Calibration, Candidate, LiveScore, PersonId, Quality, QualityFault, RatePoint, Reason, Scene, SceneFace,
    Similarity, SpoofSigns, Tail, Threshold, Together, Verdict,
};

pub(super) const MS: fn(u64) -> Duration = Duration::from_millis;

pub(super) fn policy() -> Policy {
    Policy {
        acceptance: Acceptance::Similarity(Threshold::new(0.5).expect("in range")),
        min_margin: 0.05,
        min_looks: 3,
        window: MS(2000),
        give_up_after: MS(4000),
        cooldown: MS(10_000),
        grant_valid: MS(2000),
        liveness: LivenessPolicy::Enforce(checks()),
        several_faces: SeveralFaces::Each,
    }
}

pub(super) fn checks() -> LivenessChecks {
    LivenessChecks {
        min_mean: Some(0.5),
        min_looks: 3,
        min_span: MS(0),
        refuses_overexposed: true,
        refuses_edges: true,
        max_failed_tracks: 2,
        lockout: MS(60_000),
        is_tested: true,
    }
}

/// Curves with a threshold of 0.5 for a false match rate of 1e-3.
pub(super) fn calibration() -> Calibration {
    let point =
        |similarity, rate: f64| RatePoint { similarity, rate, low: rate / 2.0, high: (rate * 2.0).min(1.0) };
    Calibration {
        data: "made up".into(),
        date: "2026-11-23".into(),
        detector: "none".into(),
        images: 100,
        people: 50,
        genuine_pairs: 50,
        impostor_pairs: 4900,
        false_match: vec![point(-1.0, 1.0), point(0.5, 1e-3)],
        tail: Tail { decades_per_unit: 10.0, at_least: 5.0 },
        false_non_match: vec![point(0.0, 0.0), point(1.0, 0.5)],
    }
}

fn no_random() -> Random {
    Box::new(|| panic!("no challenge is put here"))
}

pub(super) fn decider() -> Heard {
    Heard(EvidenceDecider::new(policy(), no_random()).expect("a good policy"))
}

pub(super) fn with(change: impl Fn(&mut Policy)) -> Heard {
    let mut policy = policy();
    change(&mut policy);
    Heard(EvidenceDecider::new(policy, no_random()).expect("a good policy"))
}

fn person(name: &str) -> PersonId {
    PersonId::new(name).expect("a name")
}

fn candidate(name: &str, similarity: f32) -> Candidate {
    Candidate { person: person(name), similarity: Similarity::new(similarity).expect("in range") }
}

/// A good look at track 1, taken at `ms`: the best of these people, and the second best. What the looks resemble
/// together is told to be the same.
pub(super) fn look(ms: u64, people: &[(&str, f32)]) -> ScoredObservation {
    let mut ranked: Vec<Candidate> = people.iter().map(|(name, s)| candidate(name, *s)).collect();
    ranked.sort_by_key(|candidate| std::cmp::Reverse(candidate.similarity));
    let mut ranked = ranked.into_iter();
    let (best, second) = (ranked.next(), ranked.next());
    ScoredObservation {
        track: TrackId(1),
        seq: ms,
        captured_at: Moment(MS(ms)),
        quality: Quality {
            score: 0.8,
            width_px: 120.0,
            sharpness: 0.1,
            luma: 120.0,
            contrast: 0.4,
            frontality: 0.9,
            faults: vec![],
        },
        liveness: Some(LiveScore(0.9)),
        signs: SpoofSigns { is_judged: true, ..SpoofSigns::default() },
        together: Together {
            best: best.clone(),
            second: second.clone(),
            barred: None,
            looks: 8,
            is_restarted: false,
        },
        best,
        second,
        people: people.len(),
    }
}

/// A decider of which only the decisions are heard.
pub(super) struct Heard(pub EvidenceDecider);

pub(super) fn heard(said: Vec<Said>) -> Vec<Decision> {
    let decision = |said| match said {
        Said::Decided(decision) => Some(*decision),
        Said::Asked(_) | Said::LockedOut { .. } => None,
    };
    said.into_iter().filter_map(decision).collect()
}

impl Heard {
    pub(super) fn observe(&mut self, look: &ScoredObservation, now: Moment) -> Option<Decision> {
        heard(self.0.observe(look, now)).pop()
    }

    pub(super) fn track_ended(&mut self, track: TrackId, now: Moment) -> Option<Decision> {
        heard(self.0.track_ended(track, now)).pop()
    }

    pub(super) fn tick(&mut self, now: Moment) -> Vec<Decision> {
        heard(self.0.tick(now))
    }

    pub(super) fn reset(&mut self) {
        self.0.reset();
    }
}

pub(super) fn ada(ms: u64) -> ScoredObservation {
    look(ms, &[("ada", 0.7), ("bob", 0.1)])
}

fn bob(ms: u64) -> ScoredObservation {
    look(ms, &[("ada", 0.1), ("bob", 0.7)])
}

fn nobody(ms: u64) -> ScoredObservation {
    look(ms, &[("ada", 0.2), ("bob", 0.1)])
}

pub(super) fn live(mut look: ScoredObservation, score: f32) -> ScoredObservation {
    look.liveness = Some(LiveScore(score));
    look
}

pub(super) fn of(track: u64, mut look: ScoredObservation) -> ScoredObservation {
    look.track = TrackId(track);
    look
}

/// Hands the looks in as they are taken; the first decision.
fn feed(decider: &mut Heard, looks: &[ScoredObservation]) -> Option<Decision> {
    looks.iter().find_map(|look| decider.observe(look, look.captured_at))
}

/// What the looks of track 1 come to, its end (at 3 seconds) included.
pub(super) fn verdict(mut decider: Heard, looks: &[ScoredObservation]) -> Option<Verdict> {
    let decision = feed(&mut decider, looks).or_else(|| decider.track_ended(TrackId(1), Moment(MS(3000))));
    decision.map(|decision| decision.verdict)
}

pub(super) fn verified(name: &str) -> Option<Verdict> {
    Some(Verdict::Verified(person(name)))
}

pub(super) const fn unknown(reason: Reason) -> Option<Verdict> {
    Some(Verdict::Unknown(reason))
}

pub(super) const fn rejected(reason: Reason) -> Option<Verdict> {
    Some(Verdict::Rejected(reason))
}

#[test]
fn enough_looks_that_agree_verify() {
    let mut decider = decider();
    assert_eq!(feed(&mut decider, &[ada(0), ada(100)]), None);
    let decision = decider.observe(&ada(200), Moment(MS(250))).expect("a decision");
    assert_eq!(decision.verdict, Verdict::Verified(person("ada")));
    assert_eq!((decision.captured_at, decision.decided_at), (Moment(MS(200)), Moment(MS(250))));
    let evidence = decision.evidence;
    assert_eq!((evidence.observations, evidence.agreeing, evidence.best), (3, 3, Some(person("ada"))));
    assert!((evidence.similarity.expect("known").value() - 0.7).abs() < 1e-6);
    assert!((evidence.liveness.expect("judged") - 0.9).abs() < 1e-6);
}

#[test]
fn the_table_of_what_is_not_verified() {
    let twins = |ms| look(ms, &[("ada", 0.7), ("bob", 0.7)]);
    let close = |ms| look(ms, &[("ada", 0.7), ("bob", 0.68)]);
    let empty = |ms| look(ms, &[]);
    let unjudged = |ms| ScoredObservation { liveness: None, ..ada(ms) };
    let cases: Vec<(&str, Vec<ScoredObservation>, Option<Verdict>)> = vec![
        ("no look", vec![], None),
        ("empty gallery", vec![empty(0)], unknown(Reason::EmptyGallery)),
        ("a stranger", vec![nobody(0), nobody(1), nobody(2)], unknown(Reason::NoMatch)),
        ("a glimpse of a stranger", vec![nobody(0)], unknown(Reason::InsufficientEvidence)),
        ("a glimpse of ada", vec![ada(0), ada(1)], unknown(Reason::InsufficientEvidence)),
        (
            "a stray match",
            vec![nobody(0), ada(1), nobody(2), nobody(3)],
            unknown(Reason::InsufficientEvidence),
        ),
        (
            "a picture",
            vec![live(ada(0), 0.1), live(ada(1), 0.2), live(ada(2), 0.9)],
            rejected(Reason::NotLive),
        ),
        (
            "a picture of a stranger",
            (0..20).map(|ms| live(nobody(ms), 0.0)).collect(),
            unknown(Reason::NoMatch),
        ),
        ("two people", vec![ada(0), bob(1), ada(2), ada(3)], rejected(Reason::Inconsistent)),
        ("not judged", vec![ada(0), unjudged(1), ada(2)], rejected(Reason::LivenessUnknown)),
        ("twins", vec![twins(0), twins(1), twins(2)], rejected(Reason::Ambiguous)),
        ("close", vec![ada(0), ada(1), close(2)], rejected(Reason::Ambiguous)),
        ("close at first", vec![close(0), ada(1), ada(2)], verified("ada")),
        (
            "level, then a stranger",
            vec![twins(0), twins(1), twins(2), nobody(3)],
            unknown(Reason::InsufficientEvidence),
        ),
        ("thin", vec![ada(0), ada(1000), ada(2999)], unknown(Reason::InsufficientEvidence)),
    ];
    for (name, looks, expected) in cases {
        assert_eq!(verdict(decider(), &looks), expected, "{name}");
    }
}

#[test]
fn twins_are_ambiguous_even_without_a_margin() {
    let twins: Vec<_> = (0..5).map(|ms| look(ms, &[("ada", 0.7), ("bob", 0.7)])).collect();
    assert_eq!(verdict(with(|p| p.min_margin = 0.0), &twins), rejected(Reason::Ambiguous));
}

#[test]
fn a_person_alone_in_the_gallery_needs_no_margin() {
    let alone: Vec<_> = (0..3).map(|ms| look(ms, &[("ada", 0.5)])).collect();
    assert_eq!(verdict(decider(), &alone), verified("ada"), "at the threshold, inclusive");
}

#[test]
fn only_the_window_counts() {
    assert_eq!(verdict(decider(), &[ada(0), ada(1000), ada(2000)]), verified("ada"));
    assert_eq!(verdict(decider(), &[ada(0), ada(1000), ada(2001)]), unknown(Reason::InsufficientEvidence));
    let contrary_then_out = [bob(0), ada(100), ada(200), ada(300), ada(2101)];
    assert_eq!(verdict(decider(), &contrary_then_out), verified("ada"));
    assert_eq!(verdict(decider(), &contrary_then_out[..4]), rejected(Reason::Inconsistent));
}

#[test]
fn an_unclear_look_at_somebody_else_blocks_too() {
    let unclear_bob = look(1, &[("ada", 0.60), ("bob", 0.62)]);
    let looks = [ada(0), unclear_bob, ada(2), ada(3)];
    assert_eq!(verdict(decider(), &looks), rejected(Reason::Inconsistent));
}

#[test]
fn liveness_is_a_mean_over_all_looks_of_the_window_and_not_only_the_agreeing() {
    let spoof_between = [live(nobody(0), 0.0), live(ada(1), 0.7), live(ada(2), 0.7), live(ada(3), 0.55)];
    assert_eq!(verdict(decider(), &spoof_between), rejected(Reason::NotLive), "1.95 / 4");
    let exactly = [live(ada(0), 0.25), live(ada(1), 0.5), live(ada(2), 0.75)];
    assert_eq!(verdict(decider(), &exactly), verified("ada"), "inclusive");
    assert_eq!(verdict(with(|p| p.liveness = LivenessPolicy::Report), &spoof_between), verified("ada"));
    assert_eq!(verdict(with(|p| p.liveness = LivenessPolicy::Off), &spoof_between), verified("ada"));
}

#[test]
fn liveness_in_the_evidence_depends_on_the_mode() {
    let seen = |liveness| {
        let mut decider = with(|p| p.liveness = liveness);
        feed(&mut decider, &[ada(0), ada(1), ada(2)]).expect("verified").evidence.liveness
    };
    assert_eq!(seen(LivenessPolicy::Report), Some(0.9));
    assert_eq!(seen(LivenessPolicy::Off), None);
}

#[test]
fn a_replay_that_passes_in_bursts_is_barred_after_few_attempts() {
    let mut decider = decider();
    let scores = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
    let looks: Vec<_> = (0..9).zip(scores).map(|(i, score)| live(ada(i * 250), score)).collect();
    let decision = feed(&mut decider, &looks).expect("barred at once");
    assert_eq!(decision.verdict, Verdict::Rejected(Reason::NotLive));
    assert_eq!(decision.captured_at, Moment(MS(2000)), "with the third failed check");
    let burst: Vec<_> = (9..30).map(|i| live(ada(i * 250), 1.0)).collect();
    assert_eq!(feed(&mut decider, &burst), None);
    assert_eq!(decider.track_ended(TrackId(1), Moment(MS(9000))), None);
}

#[test]
fn attempts_at_liveness_are_used_up_whoever_the_looks_resemble() {
    let mut looks: Vec<_> = (0..9).map(|i| live(nobody(i * 100), 0.1)).collect();
    looks.extend([2850, 2900, 2950].map(|ms| live(ada(ms), 1.0)));
    assert_eq!(verdict(decider(), &looks), rejected(Reason::NotLive));
}

#[test]
fn a_bad_start_does_not_lock_a_live_person_out() {
    let mut looks: Vec<_> = (0..3).map(|i| live(ada(i * 100), 0.2)).collect();
    looks.extend((3..9).map(|i| live(ada(i * 100), 0.9)));
    assert_eq!(verdict(decider(), &looks), verified("ada"));
}

#[test]
fn liveness_that_is_no_number_is_unknown() {
    for bad in [f32::NAN, f32::INFINITY, -0.1, 1.1] {
        let looks = [ada(0), live(ada(1), bad), ada(2)];
        assert_eq!(verdict(decider(), &looks), rejected(Reason::LivenessUnknown), "{bad}");
    }
}

#[test]
fn late_frames_grant_nothing_until_the_pipeline_catches_up() {
    let mut decider = decider();
    for ms in [0, 100, 200] {
        assert_eq!(
            decider.observe(&ada(ms), Moment(MS(ms + 2000))),
            None,
            "exactly as old as allowed is too old"
        );
    }
    let in_time = decider.observe(&ada(400), Moment(MS(2399))).map(|decision| decision.verdict);
    assert_eq!(in_time, verified("ada"));

    let mut decider = self::decider();
    for ms in [0, 100, 200] {
        decider.observe(&ada(ms), Moment(MS(ms + 5000)));
    }
    let decisions = decider.tick(Moment(MS(9000)));
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0].verdict, Verdict::Rejected(Reason::TooLate));
}

#[test]
fn gives_up_in_time_and_only_once() {
    let mut decider = decider();
    feed(&mut decider, &[nobody(1000), nobody(1500), nobody(2000)]);
    assert!(decider.tick(Moment(MS(4999))).is_empty());
    let decisions = decider.tick(Moment(MS(5000)));
    assert_eq!(decisions[0].verdict, Verdict::Unknown(Reason::NoMatch));
    assert_eq!(decisions[0].captured_at, Moment(MS(2000)));
    assert!(decider.tick(Moment(MS(9000))).is_empty());
    assert_eq!(feed(&mut decider, &[ada(9100), ada(9200), ada(9300)]), None);
    assert_eq!(decider.track_ended(TrackId(1), Moment(MS(9400))), None);
}

#[test]
fn without_a_tick_a_look_after_the_deadline_does_not_verify() {
    let mut decider = decider();
    let looks = [ada(0), ada(3000), ada(3500), ada(4000)];
    let decision = feed(&mut decider, &looks).expect("given up");
    assert_eq!(decision.verdict, Verdict::Unknown(Reason::InsufficientEvidence));
    assert_eq!(decision.evidence.observations, 3);
}

#[test]
fn bad_looks_duplicates_and_looks_from_the_future_do_not_count() {
    let mut decider = decider();
    let poor = |ms| {
        let mut look = ada(ms);
        look.quality.faults = vec![QualityFault::Blurred];
        look
    };
    let same_seq = ScoredObservation { seq: 0, ..ada(1) };
    assert_eq!(feed(&mut decider, &[ada(0), ada(0), same_seq, poor(2), poor(3), ada(4)]), None);
    for ms in 100..110 {
        assert_eq!(decider.observe(&ada(ms), Moment(MS(50))), None, "not taken yet");
    }
    let decision = decider.track_ended(TrackId(1), Moment(MS(200))).expect("two good looks");
    assert_eq!(decision.evidence.observations, 2);

    let mut decider = self::decider();
    feed(&mut decider, &[poor(0), poor(1)]);
    assert_eq!(decider.track_ended(TrackId(1), Moment(MS(10))), None, "no good look, nothing to say");
}

#[test]
fn looks_out_of_order_count_by_when_they_were_taken() {
    let mut decider = decider();
    let now = Moment(MS(1000));
    assert_eq!(decider.observe(&ada(900), now), None);
    assert_eq!(decider.observe(&ada(700), now), None);
    let decision = decider.observe(&ada(800), now).expect("three within the window");
    assert_eq!(decision.captured_at, Moment(MS(900)));
}

#[test]
fn time_that_steps_back_makes_nothing_younger() {
    let mut decider = decider();
    decider.tick(Moment(MS(10_000)));
    for ms in 0..10 {
        assert_eq!(decider.observe(&ada(5000 + ms), Moment(MS(5000 + ms))), None);
    }
    let decision = decider.track_ended(TrackId(1), Moment(MS(5100))).expect("seen, and too late");
    assert_eq!(decision.verdict, Verdict::Rejected(Reason::TooLate));
    assert_eq!(decision.decided_at, Moment(MS(10_000)));
}

#[test]
fn a_verified_person_is_announced_again_only_after_the_cooldown() {
    let mut decider = decider();
    let visit = |decider: &mut Heard, track, ms: u64| {
        let looks: Vec<_> = (0..3).map(|i| of(track, ada(ms + i * 100))).collect();
        let decision = feed(decider, &looks);
        assert_eq!(decider.track_ended(TrackId(track), Moment(MS(ms + 300))), None, "settled either way");
        decision.map(|decision| decision.verdict)
    };
    assert_eq!(visit(&mut decider, 1, 0), verified("ada"));
    assert_eq!(visit(&mut decider, 2, 9000), None, "9.0 s after the look at 0.2 s");
    assert_eq!(visit(&mut decider, 3, 18_000), None, "the silent visit counted as seen");
    assert_eq!(visit(&mut decider, 4, 28_199 - 200), None);
    assert_eq!(visit(&mut decider, 5, 38_199), verified("ada"), "exactly the cooldown after 28.199 s");
}

#[test]
fn somebody_who_stays_keeps_the_cooldown_going_and_nobody_else_does() {
    let mut decider = decider();
    feed(&mut decider, &[ada(0), ada(100), ada(200)]).expect("verified");
    assert_eq!(feed(&mut decider, &[ada(8000)]), None);
    let again = |track, ms: u64| [0, 1, 2].map(|i| of(track, ada(ms + i)));
    assert_eq!(feed(&mut decider, &again(2, 17_000)), None, "seen at 8 s");

    let mut decider = self::decider();
    feed(&mut decider, &[ada(0), ada(100), ada(200)]).expect("verified");
    // Somebody else on that track: not verified by it, and nothing of ada's lives on.
    let others: Vec<_> = (1..80).map(|i| bob(200 + i * 100)).collect();
    assert_eq!(feed(&mut decider, &others), None);
    assert_eq!(feed(&mut decider, &[ada(8150)]), None);
    assert_eq!(feed(&mut decider, &again(2, 10_300)).map(|d| d.verdict), verified("ada"));
}

#[test]
fn a_glimpse_of_somebody_just_verified_is_not_reported() {
    let mut decider = decider();
    feed(&mut decider, &[ada(0), ada(100), ada(200)]).expect("verified");
    feed(&mut decider, &[of(2, ada(1000)), of(2, nobody(1100))]);
    assert_eq!(decider.track_ended(TrackId(2), Moment(MS(1500))), None);
    feed(&mut decider, &[of(3, bob(2000))]);
    let decision = decider.track_ended(TrackId(3), Moment(MS(2500))).expect("bob was not verified before");
    assert_eq!(decision.verdict, Verdict::Unknown(Reason::InsufficientEvidence));
}

#[test]
fn a_reset_drops_evidence_but_not_decisions() {
    let mut decider = decider();
    feed(&mut decider, &[ada(0), ada(1), of(2, bob(2)), of(2, bob(3)), of(2, bob(4))]).expect("bob");
    decider.reset();
    assert_eq!(feed(&mut decider, &[ada(10), ada(11), of(2, bob(12)), of(2, bob(13)), of(2, bob(14))]), None);
    assert_eq!(feed(&mut decider, &[ada(15)]).map(|d| d.verdict), verified("ada"));
    decider.reset();
    assert_eq!(
        feed(&mut decider, &[of(3, bob(20)), of(3, bob(21)), of(3, bob(22))]),
        None,
        "still cooling down"
    );
}

#[test]
fn a_look_after_the_end_brings_nothing_back() {
    let mut decider = decider();
    decider.track_ended(TrackId(1), Moment(MS(0)));
    assert_eq!(feed(&mut decider, &[ada(1), ada(2), ada(3)]), None);
    assert!(decider.tick(Moment(MS(60_000))).is_empty());
}

#[test]
fn memory_is_bounded() {
    let mut decider = with(|p| (p.give_up_after, p.window) = (MS(1_000_000), MS(1_000_000)));
    for ms in 0..1000 {
        decider.observe(&nobody(ms), Moment(MS(ms)));
    }
    let decision = decider.track_ended(TrackId(1), Moment(MS(1000))).expect("given up");
    assert_eq!(decision.evidence.observations, 256);

    // Tracks whose end is never told.
    let mut decider = self::decider();
    let tracks = u64::try_from(MAX_TRACKS).expect("small") * 3;
    let mut decided = BTreeSet::new();
    for track in 1..=tracks {
        let ms = track * 100;
        decider.observe(&of(track, nobody(ms)), Moment(MS(ms)));
        for decision in decider.tick(Moment(MS(ms))) {
            assert!(decided.insert(decision.track));
        }
    }
    assert!(format!("{:?}", decider.0).matches("last_active").count() <= MAX_TRACKS);
    assert!(decided.len() > MAX_TRACKS * 2, "{}", decided.len());
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let check = |change: &dyn Fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        EvidenceDecider::new(policy, no_random()).map(|_| ()).expect_err("no sense")
    };
    assert!(matches!(check(&|p| p.min_margin = f32::NAN), InvalidPolicy::Margin(_)));
    assert!(matches!(check(&|p| p.min_margin = -0.1), InvalidPolicy::Margin(_)));
    assert_eq!(check(&|p| p.min_looks = 0), InvalidPolicy::Looks(0));
    assert_eq!(check(&|p| p.min_looks = 257), InvalidPolicy::Looks(257));
    assert!(matches!(check(&|p| p.window = Duration::ZERO), InvalidPolicy::NoTime(_)));
    let nan = LivenessPolicy::Enforce(LivenessChecks { min_mean: Some(f32::NAN), ..checks() });
    assert!(matches!(check(&|p| p.liveness = nan), InvalidPolicy::MinMean(_)));
}

#[test]
fn a_look_that_breaks_with_the_others_drops_them() {
    let mut other = ada(250);
    other.together.is_restarted = true;
    other.together.looks = 1;
    let looks = [ada(0), ada(100), other, ada(300)];
    assert_eq!(verdict(decider(), &looks), unknown(Reason::InsufficientEvidence));
    assert_eq!(verdict(decider(), &[&looks[..], &[ada(400)]].concat()), verified("ada"));
}

#[test]
fn one_look_alone_is_never_enough_however_alike() {
    let mut first = ada(0);
    first.together.looks = 1;
    assert_eq!(verdict(with(|p| p.min_looks = 2), &[first]), unknown(Reason::InsufficientEvidence));
    assert_eq!(
        verdict(with(|p| (p.min_looks, p.liveness) = (2, LivenessPolicy::Report)), &[ada(0), ada(80)]),
        verified("ada")
    );
}

fn scene_of(ms: u64, faces: &[(u64, f32)]) -> Scene {
    let face = |(track, width_px): &(u64, f32)| SceneFace {
        track: TrackId(*track),
        width_px: *width_px,
        pose: None,
        faults: Vec::new(),
    };
    Scene { captured_at: Moment(MS(ms)), unfit: None, faces: faces.iter().map(face).collect() }
}

#[test]
fn company_counts_as_the_settings_say() {
    let come = |several_faces, other_width| {
        let Heard(mut decider) = with(|p| p.several_faces = several_faces);
        let mut said = Vec::new();
        for n in 0..4 {
            let ms = n * 100;
            said.extend(decider.scene(&scene_of(ms, &[(1, 100.0), (2, other_width)]), Moment(MS(ms))));
            said.extend(decider.observe(&ada(ms), Moment(MS(ms))));
        }
        said.extend(decider.track_ended(TrackId(1), Moment(MS(1000))));
        heard(said).pop().map(|decision| decision.verdict)
    };
    assert_eq!(come(SeveralFaces::Each, 120.0), verified("ada"));
    assert_eq!(come(SeveralFaces::Largest, 90.0), verified("ada"));
    assert_eq!(come(SeveralFaces::Largest, 120.0), rejected(Reason::NotTheLargest));
    assert_eq!(come(SeveralFaces::Refuse, 90.0), rejected(Reason::SeveralFaces));
    assert_eq!(come(SeveralFaces::Refuse, 20.0), verified("ada"), "somebody in the background");
}

#[test]
fn somebody_who_stood_there_and_was_never_seen_well_is_told_why() {
    let stood = |faults: &[QualityFault], until_ms: u64| {
        let Heard(mut decider) = decider();
        for ms in (0..=until_ms).step_by(100) {
            let mut scene = scene_of(ms, &[(1, 100.0)]);
            scene.faces[0].faults = faults.to_vec();
            assert!(decider.scene(&scene, Moment(MS(ms))).is_empty());
        }
        heard(decider.track_ended(TrackId(1), Moment(MS(until_ms)))).pop()
    };
    let dark = [QualityFault::TooDark];
    let decision = stood(&dark, 4000).expect("told");
    assert_eq!(
        (decision.verdict, decision.evidence.faults),
        (Verdict::Unknown(Reason::PoorQuality), dark.to_vec())
    );
    assert_eq!(stood(&dark, 3900), None, "passed by");
    assert_eq!(
        stood(&[QualityFault::TooDark, QualityFault::TooSmall], 9000),
        None,
        "too far away to be meant"
    );
    assert_eq!(stood(&[], 9000), None);
}
