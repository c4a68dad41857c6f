//! Frames in, events out: what happens at a door, replayed under a clock that stands still.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use facewarden::clock::{Clock, Moment, SystemClock};
use facewarden::decision::{
    Acceptance, Decider, EvidenceDecider, InvalidPolicy, LivenessPolicy, Policy, Said, SeveralFaces,
};
use facewarden::domain::{EventKind, Scene, ScoredObservation, Threshold, TrackId};
use facewarden::inference::{ScriptedEmbedder, ScriptedLiveness};

use super::support::{ANN, BERT, Beat, Colour, Door, Heard, LONG, STRANGER, eventually, gallery, ms, scene};

/// Plays the scenes one after the other.
fn check(door: Door, scenes: Vec<Vec<Beat>>, expected: &[&str]) -> Heard {
    let heard = door.replay(scenes.into_iter().flatten().collect());
    assert_eq!(heard.lines(), expected);
    heard
}

/// Nobody, for so long that everybody who was there has left.
fn nobody(from_ms: u64, to_ms: u64) -> Vec<Beat> {
    scene(from_ms, to_ms, &[])
}

#[test]
fn somebody_enrolled_is_verified_once_a_visit() {
    let scenes = vec![nobody(0, 500), scene(500, 6000, &[(ANN, 10)]), nobody(6000, 8000)];
    let heard = check(Door::new(), scenes, &["0.8 verified Ann"]);
    let event = &heard.events()[0];
    let EventKind::Verified { expires_at, detail, .. } = &event.kind else { panic!("{event:?}") };
    assert_eq!(*expires_at, detail.captured_at + ms(2000));
    assert_eq!((event.at, detail.decided_at), (detail.captured_at, detail.captured_at));
    assert_eq!((detail.observations, detail.agreeing), (3, 3));
    assert!(detail.liveness == Some(1.0) && detail.similarity.unwrap().value() > 0.999);
    assert_eq!((detail.track.0, detail.camera.to_string().as_str()), (1, "door"));
}

#[test]
fn a_stranger_is_unknown_when_they_leave_or_stay() {
    let scenes = vec![
        scene(0, 1000, &[(STRANGER, 10)]),
        nobody(1000, 3000),
        scene(3000, 9000, &[(STRANGER, 30)]),
        nobody(9000, 11_000),
    ];
    // Gone for more than 0.7 s; then 4 s after the first look.
    check(Door::new(), scenes, &["1.7 unknown NoMatch", "7.1 unknown NoMatch"]);
}

#[test]
fn a_face_that_was_hardly_seen_is_no_match_for_anybody() {
    let scenes = vec![scene(0, 300, &[(ANN, 10)]), nobody(300, 2000)];
    check(Door::new(), scenes, &["1.0 unknown InsufficientEvidence"]);
    // Once is not enough to be a face at all.
    check(Door::new(), vec![scene(0, 100, &[(ANN, 10)]), nobody(100, 2000)], &[]);
}

#[test]
fn a_picture_of_somebody_enrolled_is_rejected_where_liveness_is_enforced() {
    let photo = || Some(Box::new(ScriptedLiveness { scores: [(ANN, 0.1)].into() }) as Box<_>);
    let scenes = || vec![scene(0, 3000, &[(ANN, 10)]), nobody(3000, 5000)];
    let heard = check(Door { liveness: photo(), ..Door::new() }, scenes(), &["0.9 rejected Ann NotLive"]);
    assert!(heard.events()[0].kind.detail().unwrap().liveness.unwrap() < 0.2);

    let mut door = Door { liveness: photo(), ..Door::new() };
    door.policy.liveness = LivenessPolicy::Report;
    check(door, scenes(), &["0.3 verified Ann"]);
}

#[test]
fn two_people_side_by_side_are_two() {
    let scenes = vec![
        scene(0, 1000, &[(ANN, 5)]),
        scene(1000, 3000, &[(ANN, 5), (BERT, 40)]),
        scene(3000, 4000, &[(BERT, 40)]),
        scene(4000, 6000, &[(BERT, 40), (STRANGER, 5)]),
        nobody(6000, 8000),
    ];
    let expected = ["0.3 verified Ann", "1.3 verified Bert", "6.7 unknown NoMatch"];
    let heard = check(Door::new(), scenes, &expected);
    let tracks: Vec<u64> = heard.events().iter().map(|e| e.kind.detail().unwrap().track.0).collect();
    assert_eq!(tracks, [1, 2, 3]);
}

#[test]
fn somebody_who_comes_again_soon_is_not_announced_again() {
    let visit = |at_s: u64| {
        [scene(at_s * 1000, at_s * 1000 + 1000, &[(ANN, 10)]), nobody(at_s * 1000 + 1000, at_s * 1000 + 2000)]
    };
    // Each visit is within the cooldown of the one before; the last one is not.
    let scenes = [1, 9, 17, 40].map(visit).into_iter().flatten().collect();
    check(Door::new(), scenes, &["1.3 verified Ann", "40.3 verified Ann"]);
}

#[test]
fn a_change_of_the_gallery_counts_from_the_next_look_on() {
    let door = Door::new();
    door.gallery.replace(gallery(&[("Ann", ANN)]));
    // Waits for what was before, since the stages work side by side.
    let change = |events: usize, people: &[(&str, [u8; 3])]| {
        let (shared, heard, next) = (door.gallery.clone(), door.heard.clone(), gallery(people));
        vec![Beat::Do(Box::new(move || {
            heard.wait_for(events);
            shared.replace(next);
        }))]
    };
    let scenes = vec![
        scene(0, 1000, &[(BERT, 10)]),
        nobody(1000, 2000),
        change(1, &[("Ann", ANN), ("Bert", BERT)]),
        scene(2000, 3000, &[(BERT, 10)]),
        nobody(3000, 20_000),
        change(2, &[]),
        scene(20_000, 21_000, &[(BERT, 10)]),
        nobody(21_000, 23_000),
    ];
    let expected = ["1.7 unknown NoMatch", "2.3 verified Bert", "21.7 unknown EmptyGallery"];
    check(door, scenes, &expected);
}

/// Counts the looks that were taken in.
struct Counted(EvidenceDecider, Arc<AtomicU64>);

impl Decider for Counted {
    fn observe(&mut self, observation: &ScoredObservation, now: Moment) -> Vec<Said> {
        let said = self.0.observe(observation, now);
        self.1.fetch_add(1, Ordering::Release);
        said
    }

    fn scene(&mut self, scene: &Scene, now: Moment) -> Vec<Said> {
        self.0.scene(scene, now)
    }

    fn track_ended(&mut self, track: TrackId, now: Moment) -> Vec<Said> {
        self.0.track_ended(track, now)
    }

    fn tick(&mut self, now: Moment) -> Vec<Said> {
        self.0.tick(now)
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn adopt(&mut self, policy: Policy) -> Result<(), InvalidPolicy> {
        self.0.adopt(policy)
    }
}

#[test]
fn evidence_from_before_a_change_of_the_gallery_does_not_count() {
    let door = Door::new();
    let (shared, without_ann) = (door.gallery.clone(), gallery(&[("Bert", BERT)]));
    let looks = Arc::new(AtomicU64::new(0));
    let taken = Arc::clone(&looks);
    let door = Door { wrap: Box::new(move |decider| Box::new(Counted(decider, looks))), ..door };
    // Two of the three looks that are needed, then Ann is removed.
    let remove = vec![Beat::Do(Box::new(move || {
        eventually("two looks", || taken.load(Ordering::Acquire) == 2);
        shared.replace(without_ann);
    }))];
    let scenes =
        vec![scene(0, 300, &[(ANN, 10)]), remove, scene(300, 2000, &[(ANN, 10)]), nobody(2000, 4000)];
    check(door, scenes, &["2.7 unknown NoMatch"]);
}

/// Eight hours of a door: a frame every ten seconds while nobody is there, somebody every four minutes.
fn working_day() -> Vec<Beat> {
    let mut beats = Vec::new();
    for visit in 0..120 {
        let at = visit * 240_000;
        beats.extend((at..at + 230_000).step_by(10_000).map(|ms| Beat::Frame(ms, Vec::new())));
        let who = [ANN, BERT, STRANGER][usize::try_from(visit % 3).unwrap()];
        beats.extend(scene(at + 230_000, at + 231_000, &[(who, 10)]));
        beats.extend(scene(at + 231_000, at + 232_000, &[]));
    }
    beats
}

#[test]
fn a_working_day_takes_no_time_and_is_the_same_every_time() {
    let clock = SystemClock::new();
    let run = || {
        let heard = Door::new().replay(working_day());
        let mut events: Vec<_> = heard.events();
        assert!(events.is_sorted_by_key(|event| event.id), "ids sort in the order of events");
        events.iter_mut().for_each(|event| event.id = ulid::Ulid::nil());
        (heard.lines(), events)
    };
    let (lines, events) = run();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    lines.iter().for_each(|line| *counts.entry(line.split_once(' ').unwrap().1).or_default() += 1);
    assert_eq!(counts, [("unknown NoMatch", 40), ("verified Ann", 40), ("verified Bert", 40)].into());
    assert_eq!(lines.last().unwrap(), "28791.7 unknown NoMatch");
    assert_eq!(run().1, events);
    assert!(clock.now() < Moment(LONG), "two working days took {:?}", clock.now().0);
}

#[test]
fn twins_are_told_apart_or_nobody_is_verified() {
    // As alike to Ann as to Bert.
    let vectors = [(STRANGER, vec![200.0, 200.0, 40.0])].into();
    let mut door = Door { embedder: Box::new(ScriptedEmbedder { vectors }), ..Door::new() };
    door.policy.acceptance = Acceptance::Similarity(Threshold::new(0.5).unwrap());
    let scenes = vec![scene(0, 2000, &[(STRANGER, 10)]), nobody(2000, 4000)];
    check(door, scenes, &["2.7 rejected Ann Ambiguous"]);
}

#[test]
fn in_shadow_mode_nothing_is_granted_and_all_is_told() {
    let scenes = vec![scene(0, 2000, &[(ANN, 10)]), nobody(2000, 4000)];
    let heard = Door { is_shadow: true, ..Door::new() }.replay(scenes.into_iter().flatten().collect());
    let names: Vec<&str> = heard.events().iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["match.shadow"]);
}

#[test]
fn with_company_nobody_is_verified_where_that_is_refused() {
    let scenes = || {
        vec![scene(0, 2000, &[(ANN, 5), (STRANGER, 40)]), scene(2000, 3500, &[(ANN, 5)]), nobody(3500, 5000)]
    };
    let mut door = Door::new();
    door.policy.several_faces = SeveralFaces::Refuse;
    // Once the stranger is gone for a second, Ann is let in.
    check(door, scenes(), &["2.7 unknown NoMatch", "3.0 verified Ann"]);
    check(Door::new(), scenes(), &["0.3 verified Ann", "2.7 unknown NoMatch"]);
}

#[test]
fn a_face_is_offered_if_it_was_verified_alone_and_that_is_wanted() {
    let offered = |change: fn(&mut Door), other: Option<(Colour, u32)>| {
        let mut door = Door { offers_on: true, ..Door::new() };
        change(&mut door);
        let offers = door.offers.clone();
        let faces: Vec<_> = [(ANN, 5)].into_iter().chain(other).collect();
        let scenes = [scene(0, 2000, &faces), nobody(2000, 4000)];
        door.replay(scenes.into_iter().flatten().collect());
        offers.take()
    };
    let offer = offered(|_| (), None).unwrap();
    assert_eq!((offer.person.as_str(), offer.needed, offer.generation), ("Ann", 0.8, 0));
    assert!(offer.similarity > 0.99 && offer.mean_quality > 0.0);
    assert!(offered(|_| (), Some((STRANGER, 40))).is_none(), "somebody stood beside her");
    assert!(offered(|door| door.offers_on = false, None).is_none());
    assert!(offered(|door| door.is_shadow = true, None).is_none());
    let spoof = |door: &mut Door| {
        door.liveness = Some(Box::new(ScriptedLiveness { scores: [(ANN, 0.1)].into() }));
    };
    assert!(offered(spoof, None).is_none(), "a picture of her");
}
