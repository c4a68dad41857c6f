//! Simulated scenes: what is told of them, and when.

use proptest::prelude::*;

use super::*;
use crate::domain::ViewFault::{Blinded, Covered, Frozen, Moved};
use image::RgbImage;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn settings() -> WatchSettings {
    WatchSettings {
        frozen: Some(ms(3000)),
        covered: Some(ms(3000)),
        blinded: Some(ms(3000)),
        moved: Some(ms(10_000)),
        clear_after: ms(1000),
        confirm_after: Some(ms(60_000)),
    }
}

/// A place made of patches of different brightness, and what is done to its picture.
#[derive(Clone)]
struct Shot {
    place: u64,
    /// Part of the light that there is, ...
    light: f32,
    /// ... and where a lamp makes it brighter, from the left.
    lamp: f32,
    /// Black parts of the picture, from the left: somebody who stands there, or a hand.
    hidden: f32,
    /// White parts, from the left.
    white: f32,
    /// Pixels that the camera is turned by.
    shift: f32,
    /// Standard deviation of the sensor's noise, luma.
    noise: f32,
    faces: Vec<Rect>,
}

const ROOM: Shot = Shot {
    place: 1,
    light: 1.0,
    lamp: 0.0,
    hidden: 0.0,
    white: 0.0,
    shift: 0.0,
    noise: 2.0,
    faces: Vec::new(),
};

fn scramble(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 0..1, the same for the same number.
fn dice(seed: u64) -> f32 {
    (scramble(seed) >> 40) as f32 / (1_u64 << 24) as f32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "test pictures")]
fn picture(shot: &Shot, nth: u64) -> RgbImage {
    let (width, height) = (128, 72);
    RgbImage::from_fn(width, height, |x, y| {
        let at = x as f32 / width as f32;
        let noise = shot.noise * 3.46 * (dice(nth << 32 | u64::from(y * width + x)) - 0.5);
        let (patch_x, patch_y) = ((x as f32 + shot.shift + 4096.0) / 10.5, y as f32 / 8.5);
        let patch = patch_x as u64 * 1000 + patch_y as u64;
        let surface = 40.0 + 150.0 * dice(shot.place << 48 | patch);
        let light = shot.light * (1.0 + shot.lamp * (1.0 - at));
        let luma = match at {
            _ if at < shot.white => 255.0,
            _ if at < shot.hidden => 6.0,
            _ => surface * light,
        };
        image::Rgb([(luma + noise).clamp(0.0, 255.0) as u8; 3])
    })
}

/// Plays shots, each for so many seconds at ten frames a second; what changed, with the second.
fn play(watch: &mut SceneWatch, shots: &[(u64, Shot)]) -> Vec<(u64, Change)> {
    let (mut frame, mut told) = (0_u64, Vec::new());
    for (seconds, shot) in shots {
        for _ in 0..seconds * 10 {
            let glance = Glance::of(&picture(shot, frame));
            let at = Moment(ms(frame * 100));
            let sight = Sight { at, glance: &glance, payload: None, faces: &shot.faces };
            told.extend(watch.see(&sight).into_iter().map(|change| (frame / 10, change)));
            frame += 1;
        }
    }
    told
}

fn told(shots: &[(u64, Shot)]) -> Vec<(u64, Change)> {
    play(&mut SceneWatch::new(settings()), shots)
}

#[test]
fn a_quiet_room_with_people_and_lamps_is_no_fault() {
    let face = Rect::new(15.0, 15.0, 30.0, 33.0);
    let shots = [
        (20, ROOM),
        // Somebody stands in a third of it, for long, with their face to the camera, and with their back.
        (60, Shot { hidden: 0.33, faces: vec![face], ..ROOM }),
        (60, Shot { hidden: 0.33, ..ROOM }),
        // A lamp is switched on at one side, and off; dusk, and night with an eighth of the light.
        (60, Shot { lamp: 1.2, light: 0.7, ..ROOM }),
        (30, ROOM),
        (60, Shot { light: 0.4, ..ROOM }),
        (60, Shot { light: 0.125, noise: 6.0, ..ROOM }),
        (30, ROOM),
        // Half of it is a bright window.
        (30, Shot { white: 0.4, ..ROOM }),
    ];
    assert_eq!(told(&shots), []);
}

#[test]
fn a_picture_that_stands_still_is_frozen_until_it_changes() {
    let mut watch = SceneWatch::new(settings());
    let moving: Vec<Glance> = (0..20).map(|n| Glance::of(&picture(&ROOM, n))).collect();
    let mut told = Vec::new();
    for frame in 0..200_u64 {
        // Each picture twice, as in the dark; from 5 to 12 s always the same.
        let nth = if (50..120).contains(&frame) { 0 } else { frame / 2 % 20 };
        let glance = &moving[usize::try_from(nth).unwrap()];
        let sight = Sight { at: Moment(ms(frame * 100)), glance, payload: None, faces: &[] };
        told.extend(watch.see(&sight).into_iter().map(|change| (frame, change)));
        if (52..110).contains(&frame) {
            assert!(watch.is_repeat(), "{frame}");
        }
    }
    assert_eq!(told, [(81, Change::Began(Frozen)), (132, Change::Ended(Frozen))]);
}

#[test]
fn the_same_file_again_is_frozen_and_blank_pictures_are_not() {
    let room = |n| Glance::of(&picture(&ROOM, n));
    let frozen = |payload: fn(u64) -> u64, glance: &dyn Fn(u64) -> Glance| {
        let mut watch = SceneWatch::new(settings());
        for n in 0..60 {
            let (glance, payload) = (glance(n), Some(payload(n)));
            watch.see(&Sight { at: Moment(ms(n * 100)), glance: &glance, payload, faces: &[] });
        }
        watch.is_on(Frozen)
    };
    assert!(frozen(|_| 7, &room), "the bytes say so, whatever the pixels that are looked at");
    assert!(frozen(|n| n, &|_| room(0)), "a file that carries its time");
    assert!(!frozen(|n| n, &room));
    // Black as night, or white as snow: no sensor shows noise there.
    assert!(!frozen(|_| 7, &|_| Glance::of(&RgbImage::new(64, 32))));
    assert!(!frozen(|_| 7, &|_| Glance::of(&RgbImage::from_pixel(64, 32, image::Rgb([255; 3])))));
}

#[test]
fn a_covered_lens_is_told_and_its_end_too() {
    let taped = Shot { hidden: 1.0, ..ROOM };
    assert_eq!(
        told(&[(20, ROOM), (20, taped.clone()), (20, ROOM)]),
        [(23, Change::Began(Covered)), (41, Change::Ended(Covered))]
    );
    // With a noisy sensor; and light that comes through paper: even, and not dark.
    let noisy = told(&[(20, ROOM), (20, Shot { noise: 8.0, ..taped.clone() })]);
    assert!(matches!(noisy[..], [(23..=25, Change::Began(Covered))]), "{noisy:?}");
    let mut watch = SceneWatch::new(settings());
    play(&mut watch, &[(20, ROOM)]);
    let mut changes = Vec::new();
    for n in 200..300 {
        let paper = RgbImage::from_fn(128, 72, |x, _| image::Rgb([(110 + x / 16).to_le_bytes()[0]; 3]));
        let mut glance = Glance::of(&paper);
        // Not frozen besides.
        glance.digest = n;
        changes.extend(watch.see(&Sight {
            at: Moment(ms(n * 100)),
            glance: &glance,
            payload: None,
            faces: &[],
        }));
    }
    assert_eq!(changes, [Change::Began(Covered)]);
    // Black from the start; a hand that passes; a face that is seen all the same.
    assert_eq!(told(&[(10, taped.clone())]), [(3, Change::Began(Covered))]);
    assert_eq!(told(&[(20, ROOM), (2, taped.clone()), (20, ROOM)]), []);
    let face = Rect::new(50.0, 15.0, 65.0, 33.0);
    assert_eq!(told(&[(20, ROOM), (20, Shot { faces: vec![face], ..taped })]), []);
}

#[test]
fn a_light_in_the_lens_is_told_and_a_window_is_not() {
    let lamp = |white| Shot { white, ..ROOM };
    assert_eq!(
        told(&[(20, ROOM), (20, lamp(0.7)), (20, ROOM)]),
        [(23, Change::Began(Blinded)), (41, Change::Ended(Blinded))]
    );
    assert_eq!(told(&[(20, lamp(0.4)), (20, lamp(0.6))]), [], "it was bright before");
    assert_eq!(told(&[(10, lamp(1.0))]), [(3, Change::Began(Blinded))], "from the start");
    // A camera that dims its picture for the lamp: a quarter is white, and the rest is lost.
    let dimmed = Shot { white: 0.25, light: 0.004, ..ROOM };
    assert_eq!(
        told(&[(20, ROOM), (20, dimmed), (20, ROOM)]).first().map(|told| told.1),
        Some(Change::Began(Blinded))
    );
}

#[test]
fn a_camera_that_is_turned_is_told_until_it_is_turned_back_or_that_is_confirmed() {
    let elsewhere = Shot { place: 2, ..ROOM };
    let back = told(&[(30, ROOM), (30, elsewhere.clone()), (30, ROOM)]);
    let [(began, Change::Began(Moved)), (ended, Change::Ended(Moved))] = back[..] else { panic!("{back:?}") };
    assert!((40..43).contains(&began) && (61..64).contains(&ended), "{back:?}");
    // A minute of the same other place, as the settings have it, then that is the place: a lamp there is none.
    let stays = told(&[
        (30, ROOM),
        (90, elsewhere.clone()),
        (20, Shot { lamp: 1.0, ..elsewhere.clone() }),
        (30, ROOM),
    ]);
    let [(_, Change::Began(Moved)), (at, Change::Confirmed), (again, Change::Began(Moved))] = stays[..]
    else {
        panic!("{stays:?}")
    };
    assert!((100..106).contains(&at) && (150..155).contains(&again), "{stays:?}");
    // Turned by 8 % of the picture, which is a patch.
    let turned = told(&[(30, ROOM), (30, Shot { shift: 10.5, ..ROOM })]);
    assert_eq!(turned.first().map(|told| told.1), Some(Change::Began(Moved)));
    // The place is not the light: another place is told in the dark too.
    let dark = told(&[(30, ROOM), (30, Shot { light: 0.3, ..elsewhere })]);
    assert_eq!(dark.first().map(|told| told.1), Some(Change::Began(Moved)));
}

#[test]
fn the_place_is_learned_anew_when_somebody_says_so() {
    let elsewhere = Shot { place: 2, ..ROOM };
    let mut watch = SceneWatch::new(WatchSettings { confirm_after: None, ..settings() });
    assert_eq!(watch.learn_anew(), None);
    assert_eq!(play(&mut watch, &[(30, ROOM), (200, elsewhere.clone())]).len(), 1, "no time makes it right");
    assert_eq!(watch.learn_anew(), Some(Change::Confirmed));
    assert!(!watch.is_on(Moved));
    assert_eq!(play(&mut watch, &[(60, elsewhere)]), []);
}

#[test]
fn what_is_switched_off_is_not_told() {
    let off = WatchSettings { frozen: None, covered: None, blinded: None, moved: None, ..settings() };
    let mut watch = SceneWatch::new(off);
    let shots = [
        (20, ROOM),
        (20, Shot { hidden: 1.0, ..ROOM }),
        (20, Shot { white: 1.0, ..ROOM }),
        (20, Shot { place: 2, ..ROOM }),
    ];
    assert_eq!(play(&mut watch, &shots), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes, in whatever order and at whatever times: beginnings and ends take turns, nothing is told before
    /// its time, and what is told is what is on.
    #[test]
    fn beginnings_and_ends_take_turns(
        shots in prop::collection::vec((0_usize..7, 1_u64..90, -200_i64..1500), 1..12),
    ) {
        let kinds = [
            ROOM,
            Shot { hidden: 1.0, ..ROOM },
            Shot { white: 0.8, ..ROOM },
            Shot { place: 2, ..ROOM },
            Shot { light: 0.1, ..ROOM },
            Shot { noise: 0.0, ..ROOM },
            Shot { faces: vec![Rect::new(-25.0, 0.0, 10.0, 450.0)], hidden: 0.2, ..ROOM },
        ];
        let glances: Vec<[Glance; 2]> =
            kinds.iter().map(|shot| [Glance::of(&picture(shot, 1)), Glance::of(&picture(shot, 2))]).collect();
        let mut watch = SceneWatch::new(settings());
        let (mut at, mut is_on) = (Duration::from_secs(1000), [false; 4]);
        for (kind, frames, step_ms) in shots {
            for n in 0..frames {
                at = if step_ms < 0 { at.saturating_sub(ms(step_ms.unsigned_abs())) } else { at + ms(step_ms.unsigned_abs()) };
                let glance = &glances[kind][usize::try_from(n % 2).unwrap()];
                let sight = Sight { at: Moment(at), glance, payload: None, faces: &kinds[kind].faces };
                for change in watch.see(&sight) {
                    let (fault, now_on) = match change {
                        Change::Began(fault) => (fault, true),
                        Change::Ended(fault) => (fault, false),
                        Change::Confirmed => (Moved, false),
                    };
                    prop_assert_eq!(is_on[fault as usize], !now_on);
                    is_on[fault as usize] = now_on;
                }
                prop_assert_eq!(is_on, crate::domain::ViewFault::ALL.map(|fault| watch.is_on(fault)));
            }
        }
    }
}
