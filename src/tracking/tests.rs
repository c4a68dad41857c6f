use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::simulation::*;
use super::*;

fn settings() -> TrackerSettings {
    TrackerSettings { confirm_after: 2, max_missed: Duration::from_millis(700), min_iou: 0.25 }
}

fn tracker() -> Tracker {
    Tracker::new(settings())
}

/// Checks what must hold of every update, and returns it.
fn checked(
    tracker: &mut Tracker,
    at: Moment,
    detections: &[Detection],
    dead: &mut BTreeSet<TrackId>,
) -> Update {
    let is_new_moment = tracker.newest != Some(at);
    let update = tracker.update(at, detections);
    let ids: BTreeSet<TrackId> = update.tracks.iter().map(|track| track.id).collect();
    assert_eq!(ids.len(), update.tracks.len(), "an id twice");
    assert!(ids.is_disjoint(dead), "an id came back");
    for track in &update.ended {
        assert!(dead.insert(track.id), "{} ended twice", track.id);
        assert!(!ids.contains(&track.id), "{} ended and lives", track.id);
    }
    let seen: Vec<&Track> = update.tracks.iter().filter(|track| track.last_seen == at).collect();
    for (index, track) in seen.iter().enumerate() {
        assert!(
            !is_new_moment || detections.contains(&track.detection),
            "a seen track shows a real detection"
        );
        assert!(
            seen[..index].iter().all(|other| other.detection != track.detection),
            "a detection in two tracks"
        );
    }
    for track in &update.tracks {
        assert!(track.detection.box_in_frame.is_sound(), "{track:?}");
        assert!(track.first_seen <= track.last_seen);
        assert!(at.since(track.last_seen) <= settings().max_missed);
    }
    assert!(update.tracks.len() <= MAX_TRACKS);
    update
}

/// Runs people past the camera; returns whom each track contained, and how many ids each person had.
fn run(
    people: &[Walker],
    seconds: f32,
    fps: f32,
    optics: &Optics,
    random: &mut Random,
) -> (BTreeMap<TrackId, BTreeSet<usize>>, BTreeMap<usize, BTreeSet<TrackId>>) {
    let (mut tracker, mut dead) = (tracker(), BTreeSet::new());
    let (mut whom, mut ids) = (BTreeMap::new(), BTreeMap::new());
    let mut missed = vec![false; people.len()];
    let mut now = 0.0;
    while now < seconds {
        let found = look(people, now, optics, &mut missed, random);
        let detections: Vec<Detection> = found.iter().map(|(_, detection)| *detection).collect();
        let at = at_seconds(now);
        let update = checked(&mut tracker, at, &detections, &mut dead);
        for track in update.tracks.iter().filter(|track| track.last_seen == at) {
            let owner = found.iter().find(|(_, d)| *d == track.detection).expect("a real detection").0;
            whom.entry(track.id).or_insert_with(BTreeSet::new).insert(owner);
            ids.entry(owner).or_insert_with(BTreeSet::new).insert(track.id);
        }
        now += random.between(0.8, 1.2) / fps;
    }
    (whom, ids)
}

/// Two people who meet, sometimes three: they cross, or stay a while and go on or turn back.
fn meeting(random: &mut Random) -> (Vec<Walker>, f32) {
    let how_many = if random.chance(0.25) { 3 } else { 2 };
    let height = random.between(40.0, 200.0);
    let mut ends = 0.0_f32;
    let meet = 400.0;
    let people = (0..how_many)
        .map(|who: u8| {
            let side = if who == 1 { 1.0 } else { -1.0 };
            let size = height * if who == 0 { 1.0 } else { random.between(0.75, 1.0) };
            let speed = random.between(0.2, 1.6) * height;
            let approach = random.between(1.0, 2.0);
            let stop = meet + random.between(-0.4, 0.4) * height;
            let stay = if random.chance(0.5) { random.between(0.0, 4.0) } else { 0.0 };
            let onward = if random.chance(0.6) { -side } else { side };
            let leave = approach + stay;
            let legs = vec![
                (0.0, stop + side * (speed * approach).max(1.2 * height) * f32::from(1 + who / 2)),
                (approach, stop),
                (leave, stop),
                (leave + 2.0, stop + onward * random.between(0.3, 1.6) * height * 2.0),
            ];
            ends = ends.max(leave + 2.0);
            let y = 300.0 + random.between(0.0, 0.6) * height;
            Walker { y, height: size, depth: f32::from(who), legs, growth: 0.0, bob: 0.0 }
        })
        .collect();
    (people, ends)
}

/// Simulates one random meeting; returns the number of tracks that contain two people, and of tracks.
fn meet(seed: u64, miss: f32) -> (usize, usize) {
    let mut random = Random(seed);
    let (people, seconds) = meeting(&mut random);
    let optics = Optics {
        miss,
        miss_again: 0.6,
        jitter: random.between(0.06, 0.08),
        centre_jitter: random.between(0.03, 0.05),
        max_covered: random.between(0.3, 0.5),
        nms_iou: random.between(0.3, 0.45),
    };
    let fps = random.between(6.0, 30.0);
    let (whom, _) = run(&people, seconds, fps, &optics, &mut random);
    (whom.values().filter(|people| people.len() > 1).count(), whom.len())
}

/// How many of so many meetings joined two people, and how many tracks there were.
fn meetings(first_seed: u64, how_many: u64, miss: f32) -> (usize, usize) {
    (first_seed..first_seed + how_many).fold((0, 0), |(bad, tracks), seed| {
        let (joined, of) = meet(seed, miss);
        (bad + usize::from(joined > 0), tracks + of)
    })
}

#[test]
fn meetings_do_not_join_two_people() {
    let (bad, tracks) = meetings(0, 1000, 0.0);
    assert_eq!(bad, 0, "a pair of faces that is always found when it can be seen");
    // Not by giving everybody a new id all the time.
    assert!(tracks < 6500, "{tracks} tracks in 1000 meetings");
    // Where faces are also missed at random, someone else may be in the predicted place just then.
    for (miss, most_bad, most_tracks) in [(0.05, 4, 7500), (0.1, 6, 8500)] {
        let (bad, tracks) = meetings(0, 1000, miss);
        assert!(bad <= most_bad, "{bad} of 1000 meetings with {miss} missed joined two people");
        assert!(tracks < most_tracks, "{tracks} tracks in 1000 meetings with {miss} missed");
    }
}

#[test]
#[ignore = "a measurement: half a minute"]
fn how_often_meetings_join_two_people() {
    for (regime, miss) in [0.0, 0.05, 0.1, 0.3].into_iter().enumerate() {
        let first_seed = 1_000_000 * (u64::try_from(regime).expect("small") + 1);
        let (bad, tracks) = meetings(first_seed, 5000, miss);
        println!("misses {miss}: {bad} of 5000 meetings joined two people, {tracks} tracks");
    }
}

/// A detector as it was measured on 4.2 s of a street scene (1080p, 25 frames a second, faces of 75 to 140
/// pixels found at 320 pixels a side; 271 frames in which one of six faces was followed). Jitter is the standard
/// deviation of second differences of neighbouring frames, divided by the root of 6: centre 0.026 of the face
/// height across and 0.039 down (walking included), ln(height) 0.029, ln(width) 0.025. 14 % of the frames were
/// missed, in runs of 1 to 7 and 2.6 on average; faces went up and down by up to 0.3 of their height.
const STREET: Optics = Optics {
    miss: 0.14,
    miss_again: 0.62,
    jitter: 0.03,
    centre_jitter: 0.03,
    max_covered: 0.35,
    nms_iou: 0.3,
};

#[test]
fn people_who_walk_up_side_by_side_keep_their_ids() {
    for fps in [25.0, 12.5] {
        let (mut tracks, mut whole) = (0, 0);
        for seed in 0..200_u64 {
            let mut random = Random(seed);
            let people: Vec<Walker> = (0..3_u8)
                .map(|who| {
                    let x = 300.0 + 220.0 * f32::from(who);
                    let legs = vec![(0.0, x), (4.0, x + random.between(-40.0, 40.0))];
                    let bob = random.between(0.05, 0.15);
                    Walker { y: 500.0, height: 90.0, depth: f32::from(who), legs, growth: 0.1, bob }
                })
                .collect();
            let (whom, ids) = run(&people, 4.0, fps, &STREET, &mut random);
            assert!(whom.values().all(|people| people.len() == 1), "seed {seed}: {whom:?}");
            tracks += whom.len();
            whole += ids.values().filter(|ids| ids.len() == 1).count();
        }
        assert!(whole > 520, "{whole} of 600 people kept one id at {fps} frames a second");
        assert!(tracks < 700, "{tracks} tracks of 600 people at {fps} frames a second");
    }
}

#[test]
fn people_who_pass_at_a_distance_keep_their_ids() {
    for (jitter, most_tracks) in [(0.02, 400), (0.07, 408)] {
        let mut tracks = 0;
        for seed in 0..200 {
            let mut random = Random(seed);
            let walker = |y: f32, from: f32, to: f32| Walker {
                y,
                height: 100.0,
                depth: y,
                legs: vec![(0.0, from), (4.0, to)],
                growth: 0.0,
                bob: 0.0,
            };
            let people = [walker(200.0, 100.0, 700.0), walker(340.0, 700.0, 100.0)];
            let optics = Optics {
                miss: 0.0,
                miss_again: 0.0,
                jitter,
                centre_jitter: 0.6 * jitter,
                max_covered: 0.5,
                nms_iou: 0.4,
            };
            let (whom, _) = run(&people, 4.0, 15.0, &optics, &mut random);
            assert!(whom.values().all(|people| people.len() == 1), "seed {seed}: {whom:?}");
            tracks += whom.len();
        }
        assert!(tracks <= most_tracks, "{tracks} tracks of 400 people, jitter {jitter}");
    }
}

#[test]
fn a_smooth_path_keeps_its_id_through_missed_detections() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let (mut tracker, mut dead) = (tracker(), BTreeSet::new());
        let (fps, height) = (random.between(8.0, 30.0), random.between(30.0, 300.0));
        let (mut x, mut speed, mut now, mut last_shown) =
            (500.0, random.between(-0.8, 0.8) * height, 0.0, 0.0);
        let mut ids = BTreeSet::new();
        while now < 10.0 {
            let step = 1.0 / fps;
            speed = (speed + random.between(-1.0, 1.0) * height * step).clamp(-height, height);
            x += speed * step;
            let size = height * (1.0 + 0.03 * now);
            let off = 0.02 * size;
            let rect = face(x + off * random.normal(), 300.0 + off * random.normal(), size);
            // Three in ten are missed, but never for longer than a track lives.
            let shown = !random.chance(0.3) || now + step - last_shown > 0.6;
            let detections = if shown { vec![detection(rect, 0.9)] } else { vec![] };
            let update = checked(&mut tracker, at_seconds(now), &detections, &mut dead);
            ids.extend(update.tracks.iter().map(|track| track.id));
            if shown {
                last_shown = now;
            }
            now += step;
        }
        assert_eq!(ids.len(), 1, "seed {seed}, {fps} fps");
    }
}

#[test]
fn a_life_from_tentative_to_gone() {
    let mut tracker = tracker();
    let states = |update: &Update| update.tracks.iter().map(|t| (t.id.0, t.state)).collect::<Vec<_>>();
    let here = [detection(face(100.0, 100.0, 50.0), 0.9)];
    assert_eq!(states(&tracker.update(at_seconds(0.0), &here)), [(1, TrackState::Tentative)]);
    assert_eq!(states(&tracker.update(at_seconds(0.1), &here)), [(1, TrackState::Confirmed)]);
    let missed = tracker.update(at_seconds(0.2), &[]);
    assert_eq!(states(&missed), [(1, TrackState::Missed)]);
    assert_eq!(missed.tracks[0].last_seen, at_seconds(0.1));
    assert_eq!(states(&tracker.update(at_seconds(0.3), &here)), [(1, TrackState::Confirmed)]);
    assert_eq!(states(&tracker.update(at_seconds(0.9), &[])), [(1, TrackState::Missed)]);
    let gone = tracker.update(at_seconds(1.1), &[]);
    assert!(gone.tracks.is_empty());
    assert_eq!((gone.ended[0].id, gone.ended[0].last_seen), (TrackId(1), at_seconds(0.3)));
    assert_eq!(
        states(&tracker.update(at_seconds(1.2), &here)),
        [(2, TrackState::Tentative)],
        "ids are not reused"
    );
}

#[test]
fn a_face_seen_again_after_too_long_is_somebody_else() {
    let mut tracker = tracker();
    let here = [detection(face(100.0, 100.0, 50.0), 0.9)];
    tracker.update(at_seconds(0.0), &here);
    let update = tracker.update(at_seconds(0.8), &here);
    assert_eq!((update.ended[0].id, update.tracks[0].id), (TrackId(1), TrackId(2)));
}

#[test]
fn the_prediction_carries_box_and_landmarks_on() {
    let mut tracker = tracker();
    for frame in 0..10_u8 {
        let x = 100.0 + 10.0 * f32::from(frame);
        tracker.update(at_seconds(0.1 * f32::from(frame)), &[detection(face(x, 100.0, 100.0), 0.9)]);
    }
    let missed = tracker.update(at_seconds(1.1), &[]).tracks[0].detection;
    // 20 px on from where it was seen, less what a fading rate makes of it.
    let x = missed.box_in_frame.centre().x;
    assert!((203.0..212.0).contains(&x), "{missed:?}");
    let nose = missed.landmarks_in_frame[2];
    assert!((nose.x - missed.box_in_frame.centre().x).abs() < 0.1, "the nose stays in the middle: {nose:?}");
}

#[test]
fn leaps_and_sudden_changes_of_size_start_new_tracks() {
    for other in [
        face(150.0, 100.0, 50.0),
        face(100.0, 100.0, 90.0),
        face(100.0, 100.0, 28.0),
        face(600.0, 90.0, 50.0),
    ] {
        let mut tracker = tracker();
        for frame in 0..5_u8 {
            tracker.update(at_seconds(0.1 * f32::from(frame)), &[detection(face(100.0, 100.0, 50.0), 0.9)]);
        }
        let update = tracker.update(at_seconds(0.5), &[detection(other, 0.9)]);
        let seen: Vec<u64> =
            update.tracks.iter().filter(|t| t.last_seen == at_seconds(0.5)).map(|t| t.id.0).collect();
        assert_eq!(seen, [2], "{other:?}");
    }
}

#[test]
fn two_faces_that_could_be_either_get_new_ids() {
    let mut tracker = tracker();
    let two =
        |x: f32| [detection(face(x - 35.0, 100.0, 100.0), 0.9), detection(face(x + 35.0, 100.0, 100.0), 0.8)];
    tracker.update(at_seconds(0.0), &two(300.0));
    // Half a distance to the side: each new box is as near to the one as to the other.
    let update = tracker.update(at_seconds(0.3), &two(335.0));
    let seen: BTreeSet<u64> =
        update.tracks.iter().filter(|t| t.last_seen == at_seconds(0.3)).map(|t| t.id.0).collect();
    assert!(seen.is_disjoint(&BTreeSet::from([1, 2])), "{update:?}");
}

#[test]
fn time_that_stands_still_confirms_nobody() {
    let mut tracker = tracker();
    let here = [detection(face(100.0, 100.0, 50.0), 0.9)];
    for _ in 0..5 {
        let update = tracker.update(at_seconds(1.0), &here);
        assert_eq!((update.tracks.len(), update.tracks[0].state), (1, TrackState::Tentative));
        assert_eq!(update.tracks[0].id, TrackId(1));
    }
}

#[test]
fn time_that_goes_backwards_ends_everything() {
    let mut tracker = tracker();
    let here = [detection(face(100.0, 100.0, 50.0), 0.9)];
    tracker.update(at_seconds(5.0), &here);
    let update = tracker.update(at_seconds(4.9), &here);
    assert_eq!((update.ended[0].id, update.tracks[0].id), (TrackId(1), TrackId(2)));
    assert_eq!(update.tracks[0].first_seen, at_seconds(4.9));
    assert_eq!(tracker.update(at_seconds(5.0), &here).tracks[0].id, TrackId(2), "and goes on from there");
}

#[test]
fn what_is_no_box_is_dropped_and_counted() {
    let good = detection(face(100.0, 100.0, 50.0), 0.9);
    let with = |change: &dyn Fn(&mut Detection)| {
        let mut bad = good;
        change(&mut bad);
        bad
    };
    let bad = [
        with(&|d| d.box_in_frame.x1 = f32::NAN),
        with(&|d| d.box_in_frame.y2 = f32::INFINITY),
        with(&|d| d.box_in_frame = Rect::new(10.0, 10.0, 5.0, 20.0)),
        with(&|d| d.box_in_frame = Rect::new(10.0, 10.0, 10.0, 20.0)),
        with(&|d| d.box_in_frame = Rect::new(-3e38, -3e38, 3e38, 3e38)),
        with(&|d| d.landmarks_in_frame[3].y = f32::NAN),
        with(&|d| d.score = f32::NAN),
        with(&|d| d.score = 1.5),
    ];
    let mut all = bad.to_vec();
    all.push(good);
    all.push(with(&|d| d.score = 0.5));
    let update = tracker().update(at_seconds(0.0), &all);
    assert_eq!((update.unsound, update.duplicates, update.excess, update.tracks.len()), (bad.len(), 1, 0, 1));
    assert_eq!(update.tracks[0].detection, good, "the more certain of two on one face");
}

#[test]
fn the_most_certain_of_too_many_are_followed() {
    let many: Vec<Detection> = (0..100_u8)
        .map(|i| detection(face(100.0 * f32::from(i), 100.0, 50.0), 0.5 + 0.004 * f32::from(i)))
        .collect();
    let mut tracker = tracker();
    let update = tracker.update(at_seconds(0.0), &many);
    assert_eq!((update.tracks.len(), update.excess), (MAX_DETECTIONS, 36));
    assert!(update.tracks.iter().all(|track| track.detection.score > 0.64));
}

#[test]
fn ids_count_on_after_the_end_of_everything() {
    let mut tracker = tracker();
    let here = [detection(face(100.0, 100.0, 50.0), 0.9)];
    tracker.update(at_seconds(0.0), &here);
    assert_eq!(tracker.end_all().len(), 1);
    assert_eq!(tracker.update(at_seconds(0.0), &here).tracks[0].id, TrackId(2));
}

/// Frames of arbitrary boxes, sound or not, some of them near each other, at uneven and backward times.
fn films() -> impl Strategy<Value = Vec<(f32, Vec<Detection>)>> {
    let edge = prop_oneof![9 => 0.0_f32..400.0, 1 => Just(f32::NAN)];
    let any = (edge.clone(), edge.clone(), edge.clone(), edge, 0.0_f32..1.1)
        .prop_map(|(x1, y1, x2, y2, score)| detection(Rect::new(x1, y1, x2, y2), score));
    let near = (0_u8..4, -0.2_f32..0.2, 0.7_f32..1.3, 0.0_f32..1.0).prop_map(|(place, off, grown, score)| {
        detection(face(f32::from(place) * 70.0 + off * 90.0, 100.0, 90.0 * grown), score)
    });
    let step = prop_oneof![8 => 0.0_f32..0.3, 1 => Just(0.0), 1 => -1.0_f32..2.0];
    prop::collection::vec((step, prop::collection::vec(prop_oneof![1 => any, 3 => near], 0..8)), 1..30)
}

proptest! {
    #[test]
    fn whatever_comes_ids_and_detections_stay_unique(film in films()) {
        let (mut tracker, mut dead) = (tracker(), BTreeSet::new());
        let mut now = 10.0_f32;
        for (step, detections) in film {
            now = (now + step).max(0.0);
            checked(&mut tracker, at_seconds(now), &detections, &mut dead);
        }
    }

    #[test]
    fn the_order_of_detections_does_not_matter(film in films(), seed in any::<u64>()) {
        let (mut one, mut other) = (tracker(), tracker());
        let (mut random, mut now) = (Random(seed), 10.0_f32);
        for (step, detections) in film {
            now = (now + step).max(0.0);
            let mut shuffled = detections.clone();
            shuffled.sort_by_key(|_| random.next());
            prop_assert_eq!(one.update(at_seconds(now), &detections), other.update(at_seconds(now), &shuffled));
        }
    }
}
