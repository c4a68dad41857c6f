use super::*;
use crate::domain::{LiveScore, Quality, SceneFace, SpoofSigns, Together};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn witness() -> Witness {
    let daemon = Policy {
        acceptance: Acceptance::Similarity(Threshold::new(0.9).unwrap()),
        min_margin: 0.1,
        min_looks: 2,
        window: ms(2000),
        give_up_after: ms(4000),
        cooldown: ms(10_000),
        grant_valid: ms(1),
        liveness: LivenessPolicy::Report,
        several_faces: SeveralFaces::Refuse,
    };
    let checks = LivenessChecks {
        min_mean: Some(0.5),
        min_looks: 8,
        min_span: ms(700),
        refuses_overexposed: true,
        refuses_edges: true,
        max_failed_tracks: 1,
        lockout: ms(60_000),
        is_tested: false,
    };
    let somebody = (PersonId::new("presented").unwrap(), Similarity::new(1.0).unwrap());
    Witness::new(policy(&daemon, checks, Threshold::new(0.0).unwrap()), somebody).unwrap()
}

fn look(n: u64, liveness: Option<f32>, signs: SpoofSigns) -> ScoredObservation {
    let quality = Quality {
        score: 0.9,
        width_px: 100.0,
        sharpness: 0.1,
        luma: 128.0,
        contrast: 0.4,
        frontality: 1.0,
        faults: Vec::new(),
    };
    ScoredObservation {
        track: TrackId(1),
        seq: n,
        captured_at: Moment(ms(100 * n)),
        quality,
        liveness: liveness.map(LiveScore),
        signs,
        best: None,
        second: None,
        together: Together { looks: u32::try_from(n).unwrap() + 1, ..Together::default() },
        people: 0,
    }
}

const CLEAR: SpoofSigns = SpoofSigns { is_judged: true, is_overexposed: false, has_edges: false };

/// What comes of so many looks at a stranger, ten a second.
fn after(looks: u64, liveness: impl Fn(u64) -> Option<f32>, signs: SpoofSigns) -> Outcome {
    let mut witness = witness();
    let sighting = witness.sighting();
    for n in 0..looks {
        let now = Moment(ms(100 * n + 50));
        assert!(witness.observe(&look(n, liveness(n), signs), now).is_empty(), "nobody else is told");
    }
    witness.track_ended(TrackId(1), Moment(ms(100 * looks)));
    sighting.outcome()
}

#[test]
fn somebody_nobody_knows_is_judged_by_liveness_alone() {
    assert_eq!(after(20, |_| Some(0.9), CLEAR), Outcome::Live);
    assert_eq!(after(8, |_| Some(0.5), CLEAR), Outcome::Live, "just enough");
    assert_eq!(after(20, |_| Some(0.4), CLEAR), Outcome::Picture(Reason::NotLive));
    let edges = SpoofSigns { has_edges: true, ..CLEAR };
    assert_eq!(after(20, |_| Some(0.9), edges), Outcome::Picture(Reason::ScreenEdge));
    let bright = SpoofSigns { is_overexposed: true, ..CLEAR };
    assert_eq!(after(20, |_| Some(0.9), bright), Outcome::Picture(Reason::Overexposed));
}

#[test]
fn attempts_are_as_few_as_at_the_door() {
    // Three full windows fail; what comes later no longer counts.
    assert_eq!(after(40, |n| Some(if n < 30 { 0.1 } else { 1.0 }), CLEAR), Outcome::Picture(Reason::NotLive));
}

#[test]
fn too_little_is_no_verdict() {
    let too_little = Outcome::NoVerdict(NoVerdict::TooLittle);
    assert_eq!(after(7, |_| Some(0.9), CLEAR), too_little);
    assert_eq!(after(20, |_| None, CLEAR), too_little, "a model that fails is not judged by");
    assert_eq!(after(20, |_| Some(0.9), SpoofSigns::default()), too_little, "signs not judged yet");
    assert_eq!(Sighting::default().outcome(), Outcome::NoVerdict(NoVerdict::NoFace));
}

#[test]
fn faces_that_are_not_seen_well_and_companions_are_told_apart() {
    let face = |track, width_px, faults| SceneFace { track: TrackId(track), width_px, pose: None, faults };
    let scenes = |faces: &dyn Fn(u64) -> Vec<SceneFace>| {
        let mut witness = witness();
        let sighting = witness.sighting();
        for n in 0..12 {
            let at = Moment(ms(100 * n));
            witness.scene(&Scene { captured_at: at, unfit: None, faces: faces(n) }, at);
        }
        sighting.outcome()
    };
    let small = scenes(&|_| vec![face(1, 20.0, vec![QualityFault::TooSmall])]);
    assert_eq!(small, Outcome::NoVerdict(NoVerdict::Poor(QualityFault::TooSmall)));
    assert!(small.to_string().contains("come closer"));
    let several = Outcome::NoVerdict(NoVerdict::SeveralFaces);
    assert_eq!(scenes(&|_| vec![face(1, 100.0, vec![]), face(2, 60.0, vec![])]), several);
    assert_ne!(scenes(&|_| vec![face(1, 100.0, vec![]), face(2, 40.0, vec![])]), several);
    let passing = |n| {
        if n < 3 { vec![face(1, 90.0, vec![]), face(2, 90.0, vec![])] } else { vec![face(1, 90.0, vec![])] }
    };
    assert_ne!(scenes(&passing), several, "on a quarter of the frames");
}
