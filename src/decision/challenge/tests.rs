//! Everybody who passes, every fault, and what holds for whatever is shown to the camera.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::recordings::*;
use super::*;

const LEFT: Prompt = Prompt::LookLeft;
const RIGHT: Prompt = Prompt::LookRight;
const UP: Prompt = Prompt::LookUp;
const CLOSER: Prompt = Prompt::ComeCloser;

/// A plan with a pause of one second before each prompt; the first prompt is shown at 1.34 to 1.44 s.
fn known(prompts: [Prompt; 3]) -> Plan {
    Plan::known(&ChallengeSettings::default(), prompts.to_vec(), vec![MS(1000); 6]).unwrap()
}

#[test]
fn plans_are_random_and_never_ask_twice_in_a_row() {
    let settings = ChallengeSettings::default();
    let mut orders = BTreeSet::new();
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for seed in 0..2000 {
        let plan = drawn(seed);
        assert_eq!((plan.prompts().len(), plan.pauses().len()), (3, 6));
        assert!(plan.prompts().windows(2).all(|pair| pair[0] != pair[1]), "{plan:?}");
        for pause in plan.pauses() {
            assert!((settings.pause_min..=settings.pause_max).contains(pause), "{plan:?}");
            (shortest, longest) = (shortest.min(*pause), longest.max(*pause));
        }
        orders.insert(plan.prompts().to_vec());
    }
    assert_eq!(orders.len(), 4 * 3 * 3);
    assert!(shortest < MS(510) && longest > MS(3490), "{shortest:?} {longest:?}");
    let level = ChallengeSettings { look_up: false, ..settings };
    for seed in 0..200 {
        assert!(!Plan::random(&level, random(seed)).unwrap().prompts().contains(&UP));
    }
    let zeros = Plan::random(&settings, || 0).unwrap();
    assert_eq!(zeros.prompts(), [LEFT, RIGHT, LEFT]);
    assert_eq!(zeros.pauses(), [settings.pause_min; 6]);
}

#[test]
fn settings_and_plans_that_make_no_sense_are_refused() {
    let good = ChallengeSettings::default();
    assert_eq!(good.check(), Ok(()));
    let wrong = |change: fn(&mut ChallengeSettings)| {
        let mut settings = good;
        change(&mut settings);
        Plan::random(&settings, || 0).unwrap_err().to_string()
    };
    for (message, expected) in [
        (wrong(|s| s.steps = 1), "the number of prompts must be between 2 and 8, not 1"),
        (wrong(|s| s.steps = 9), "the number of prompts must be between 2 and 8, not 9"),
        (wrong(|s| s.pause_min = MS(4000)), "the pause must be between two times up to a minute"),
        (wrong(|s| s.pause_min = MS(0)), "the shortest pause must be longer than zero"),
        (wrong(|s| s.hold = MS(0)), "the hold must be longer than zero"),
        (wrong(|s| s.step_timeout = MS(800)), "the time for an answer must be longer than half a second"),
        (wrong(|s| s.turn_deg = f32::NAN), "the turn must be between 10 and 45, not NaN"),
        (wrong(|s| s.raise_deg = 1.0), "the raising must be between 8 and 35, not 1"),
        (wrong(|s| s.closer_factor = 1.0), "the growth must be between 1.1 and 3, not 1"),
    ] {
        assert!(message.starts_with(expected), "{message}");
    }
    let pauses = vec![MS(1000); 6];
    for prompts in [vec![LEFT, RIGHT], vec![LEFT, LEFT, UP]] {
        assert_eq!(Plan::known(&good, prompts, pauses.clone()), Err(InvalidChallenge::Plan));
    }
    assert_eq!(Plan::known(&good, vec![LEFT, UP, LEFT], vec![MS(9); 3]), Err(InvalidChallenge::Plan));
}

#[test]
fn everybody_passes_who_does_as_asked() {
    for seed in 0..300 {
        let plan = drawn(seed);
        let expected = plan.prompts().to_vec();
        let attempt = follow(plan, 300 + 5 * seed);
        assert!(attempt.passed(), "{:?} {:?}", attempt.prompts, attempt.end);
        assert_eq!(attempt.prompts.iter().map(|(prompt, _)| *prompt).collect::<Vec<_>>(), expected);
        assert!(attempt.ended_ms < 25_000, "{} ms", attempt.ended_ms);
    }
}

#[test]
fn who_stays_close_is_measured_from_there() {
    let attempt = play(known([CLOSER, LEFT, CLOSER]), |ms, prompts| {
        let mut answers: Vec<_> =
            prompts.iter().map(|(prompt, shown)| Gesture::new(*prompt, shown + 400)).collect();
        for answer in answers.iter_mut().filter(|answer| answer.prompt == CLOSER) {
            answer.hold_ms = 1_000_000;
        }
        Some(posed(&answers, ms))
    });
    assert!(attempt.passed(), "{:?}", attempt.end);
    assert!(attempt.frames.last().unwrap().1.eye_distance_px > 1.5 * REST_POSE.eye_distance_px);
}

#[test]
fn no_answer_and_a_half_one_are_too_late() {
    assert_eq!(replay(known([LEFT, UP, LEFT]), &[]).fault(), ChallengeFault::TooLate);
    for (amount, hold_ms) in [(0.9, 5000), (1.4, 100)] {
        let attempt = play(known([LEFT, UP, LEFT]), |ms, prompts| {
            let answers =
                prompts.iter().map(|(p, shown)| Gesture { amount, hold_ms, ..Gesture::new(*p, shown + 400) });
            Some(posed(&answers.collect::<Vec<_>>(), ms))
        });
        assert_eq!(attempt.fault(), ChallengeFault::TooLate, "{amount} {hold_ms}");
        assert_eq!(attempt.prompts.len(), 1);
    }
    // Held up to the last moment, but not long enough.
    assert_eq!(follow(known([LEFT, UP, LEFT]), 2700).fault(), ChallengeFault::TooLate);
    assert!(follow(known([LEFT, UP, LEFT]), 2300).passed());
}

#[test]
fn an_answer_that_begins_with_the_prompt_is_too_early() {
    // The head leaves the resting zone about 70 ms after the movement began.
    for reaction_ms in [0, 20, 40] {
        assert_eq!(follow(known([LEFT, UP, LEFT]), reaction_ms).fault(), ChallengeFault::TooEarly);
    }
    assert!(follow(known([LEFT, UP, LEFT]), 160).passed());
}

#[test]
fn another_movement_than_asked_fails_at_once() {
    for (asked, made) in [(LEFT, RIGHT), (LEFT, UP), (UP, LEFT), (CLOSER, RIGHT), (RIGHT, CLOSER)] {
        let other = if asked == UP { LEFT } else { UP };
        let attempt = play(known([asked, other, asked]), |ms, prompts| {
            let made: Vec<_> = prompts.iter().map(|(_, shown)| Gesture::new(made, shown + 400)).collect();
            Some(posed(&made, ms))
        });
        assert_eq!(attempt.fault(), ChallengeFault::WrongMovement, "{asked:?} {made:?}");
        assert!(attempt.ended_ms - attempt.prompts[0].1 < 800);
    }
}

#[test]
fn a_whole_movement_that_nobody_asked_for_fails() {
    let attempt = replay(known([LEFT, UP, LEFT]), &[Gesture::new(LEFT, 700)]);
    assert_eq!((attempt.fault(), attempt.prompts.len()), (ChallengeFault::Unprompted, 0));
    // Also while the head should be coming back.
    let attempt = play(known([LEFT, UP, LEFT]), |ms, prompts| {
        let answers = prompts.iter().flat_map(|(prompt, shown)| {
            [Gesture::new(*prompt, shown + 400), Gesture::new(RIGHT, shown + 1400)]
        });
        Some(posed(&answers.collect::<Vec<_>>(), ms))
    });
    assert_eq!((attempt.fault(), attempt.prompts.len()), (ChallengeFault::Unprompted, 1));
}

#[test]
fn fidgeting_begins_the_pause_anew_and_not_for_ever() {
    let fidget = |begins_ms| Gesture { amount: 0.8, hold_ms: 100, ..Gesture::new(LEFT, begins_ms) };
    let fidgets = |count: usize, ms, prompts: &[(Prompt, u64)]| {
        let answers = prompts.iter().map(|(prompt, shown)| Gesture::new(*prompt, shown + 400));
        let fidgets = (0..).map(|n| fidget(700 + 1200 * n)).take(count);
        Some(posed(&fidgets.chain(answers).collect::<Vec<_>>(), ms))
    };
    let calm = follow(known([LEFT, UP, LEFT]), 400);
    let thrice = play(known([LEFT, UP, LEFT]), |ms, prompts| fidgets(3, ms, prompts));
    assert!(thrice.passed() && thrice.prompts[0].1 > calm.prompts[0].1 + 3000, "{:?}", thrice.prompts);
    let attempt = play(known([LEFT, UP, LEFT]), |ms, prompts| fidgets(4, ms, prompts));
    assert_eq!((attempt.fault(), attempt.prompts.len()), (ChallengeFault::Restless, 0));
}

#[test]
fn a_head_that_is_never_still_or_far_from_the_camera_s_direction_is_not_asked() {
    let swaying = play(drawn(1), |ms, _| Some(Pose { yaw: 20.0 * (ms as f32 / 150.0).sin(), ..REST_POSE }));
    assert_eq!((swaying.fault(), swaying.prompts.len()), (ChallengeFault::NotSettled, 0));
    let aside = play(drawn(1), |_, _| Some(Pose { yaw: 40.0, ..REST_POSE }));
    assert_eq!((aside.fault(), aside.prompts.len()), (ChallengeFault::NotSettled, 0));
    let nobody = play(drawn(1), |_, _| None);
    assert_eq!(nobody.fault(), ChallengeFault::NotSettled);
    // An answer, and then never back.
    let stays = play(known([LEFT, UP, LEFT]), |ms, prompts| {
        let answers = prompts
            .iter()
            .map(|(prompt, shown)| Gesture { hold_ms: 60_000, ..Gesture::new(*prompt, shown + 400) });
        Some(posed(&answers.collect::<Vec<_>>(), ms))
    });
    assert_eq!((stays.fault(), stays.prompts.len()), (ChallengeFault::NotSettled, 1));
}

#[test]
fn a_cut_is_seen() {
    for (prompt, other) in [(LEFT, UP), (UP, LEFT), (CLOSER, LEFT)] {
        let attempt = play(known([prompt, other, prompt]), |ms, prompts| {
            let answers: Vec<_> =
                prompts.iter().map(|(prompt, shown)| Gesture::new(*prompt, shown + 400)).collect();
            let begun = answers.last().is_some_and(|answer| ms > answer.begins_ms);
            // From rest to the end of the movement within a frame.
            Some(posed(
                &answers,
                if begun { ms + 200 } else { ms.min(answers.last().map_or(ms, |a| a.begins_ms)) },
            ))
        });
        assert_eq!(attempt.fault(), ChallengeFault::Jump, "{prompt:?}");
    }
}

#[test]
fn a_face_that_is_away_for_a_while_is_lost() {
    let away = |from: u64, to: u64| {
        play(known([LEFT, UP, LEFT]), move |ms, prompts| {
            let answers: Vec<_> =
                prompts.iter().map(|(prompt, shown)| Gesture::new(*prompt, shown + 400)).collect();
            (!(from..to).contains(&ms)).then(|| posed(&answers, ms))
        })
    };
    assert!(away(1000, 1500).passed());
    assert_eq!(away(1000, 1900).fault(), ChallengeFault::Lost);
    let held_up = away(1000, u64::MAX);
    assert_eq!((held_up.fault(), held_up.ended_ms), (ChallengeFault::Lost, 1000 - 100 + 40 + 800));
}

#[test]
fn frames_out_of_order_or_of_the_future_never_help() {
    let at = |ms| Moment(MS(ms));
    let mut challenge = Challenge::new(known([LEFT, UP, LEFT]), at(0));
    let mut prompt = None;
    for ms in (0..1600).step_by(100) {
        let progress = challenge.observe(&REST_POSE, at(ms), at(ms + 20));
        if progress != Progress::Waiting {
            prompt = Some((ms + 20, progress));
        }
    }
    let (shown, Progress::Prompt { prompt: LEFT, .. }) = prompt.unwrap() else { panic!("{prompt:?}") };
    let turned = posed(&[Gesture::new(LEFT, 0)], 400);
    // Of the past, again and again, and of the future: as if they had not come.
    for ms in 0..30 {
        assert_eq!(challenge.observe(&turned, at(1400 - ms), at(1540)), Progress::Waiting);
        assert_eq!(challenge.observe(&turned, at(5000 + 20 * ms), at(1540)), Progress::Waiting);
    }
    // Time that steps back is the latest time seen: the frames after it are those of the future.
    assert_eq!(challenge.observe(&turned, at(1545), at(100)), Progress::Waiting);
    assert_eq!(challenge.tick(at(50)), Progress::Waiting);
    // And they did not keep the face in sight.
    assert_eq!(challenge.tick(at(1520 + 690)), Progress::Waiting);
    assert_eq!(challenge.tick(at(1520 + 710)), Progress::Failed(ChallengeFault::Lost));
    assert!(shown < 1540);
}

#[test]
fn an_answer_seen_too_late_does_not_count() {
    let at = |ms| Moment(MS(ms));
    let mut challenge = Challenge::new(known([LEFT, UP, LEFT]), at(0));
    let mut until = None;
    for ms in (0..1600).step_by(100) {
        if let Progress::Prompt { until: moment, .. } = challenge.observe(&REST_POSE, at(ms), at(ms)) {
            until = Some(moment);
        }
    }
    let until = u64::try_from(until.unwrap().0.as_millis()).unwrap();
    // Taken in time, handed in later than the time-out.
    let answer = Gesture::new(LEFT, until - 700);
    for ms in (1600..until - 400).step_by(100) {
        assert_eq!(challenge.observe(&posed(&[answer], ms), at(ms), at(ms)), Progress::Waiting);
    }
    let progress = challenge.observe(&posed(&[answer], until - 200), at(until - 200), at(until + 1));
    assert_eq!(progress, Progress::Failed(ChallengeFault::TooLate));
}

#[test]
fn a_still_picture_and_one_that_is_waved_about_never_pass() {
    for seed in 0..200 {
        let still = replay(drawn(seed), &[]);
        assert!(matches!(still.fault(), ChallengeFault::TooLate), "{:?}", still.end);
        // Turned in its plane and moved to and fro, whatever the prompt: five points in a plane keep their angles.
        let waved = play(drawn(seed), |ms, prompts| {
            let closer: Vec<_> = prompts.iter().map(|(_, shown)| Gesture::new(CLOSER, shown + 300)).collect();
            let roll = 30.0 * (ms as f32 / 400.0).sin();
            Some(Pose { roll, ..posed(&closer, ms) })
        });
        assert!(!waved.passed() && waved.prompts.len() <= 2);
    }
}

#[test]
fn what_a_fixed_recording_is_worth_is_as_documented() {
    let settings = ChallengeSettings::default();
    let expected = settings.fixed_recording_passes();
    assert!((expected - 0.0157).abs() < 0.0005, "{expected}");
    let with_steps = |steps| ChallengeSettings { steps, ..settings }.fixed_recording_passes();
    assert!((with_steps(2) - 0.057).abs() < 0.001 && (with_steps(4) - 0.0043).abs() < 0.0003);
    let level = ChallengeSettings { look_up: false, ..settings };
    assert!((level.fixed_recording_passes() / expected - 3.0).abs() < 1e-9);
    let unhurried = ChallengeSettings { step_timeout: MS(10_000), ..settings };
    assert!((unhurried.fixed_recording_passes() - 1.0 / 36.0).abs() < 1e-9);

    // The best recording of all: each movement comes so long after the rest that most prompts fit, and it is quick.
    // Settling takes 300 ms after the head is back; the pauses are 500 to 3,500 ms; a prompt may be 2,300 ms before
    // its movement. The movements are 2,900 ms after the pause began: those prompts fit that come from 600 ms on.
    let (rest_ms, gap_ms) = (340, 2900);
    let mut begins = rest_ms + gap_ms;
    let mut recording = Vec::new();
    for prompt in [LEFT, UP, RIGHT] {
        let gesture = Gesture { hold_ms: 500, ..Gesture::new(prompt, begins) };
        recording.push(gesture);
        begins += 200 + 500 + 300 + rest_ms + gap_ms;
    }
    let mut random = random(7);
    let (mut passed, mut in_order, mut order_fits) = (0_u32, 0_u32, 0_u32);
    for _ in 0..10_000 {
        let plan = Plan::random(&settings, &mut random).unwrap();
        let fits = plan.prompts() == [LEFT, UP, RIGHT];
        let attempt = replay(plan, &recording);
        passed += u32::from(attempt.passed());
        order_fits += u32::from(fits);
        in_order += u32::from(fits && attempt.passed());
    }
    assert_eq!(passed, in_order, "passed with another order");
    // Within four standard deviations of the bound, and not far below it: the bound is no exaggeration.
    let (rate, deviation) = (f64::from(passed) / 10_000.0, (expected / 10_000.0).sqrt());
    assert!(rate <= expected + 4.0 * deviation, "{passed} of 10,000 passed, not {expected}");
    assert!(rate >= 0.4 * expected, "{passed} of 10,000 passed, {order_fits} had the order");
    assert!((220..=340).contains(&order_fits), "{order_fits}");
}

/// One movement after the other, with times between, in any order.
fn any_recording() -> impl Strategy<Value = Vec<Gesture>> {
    let one = (0_usize..4, 100_u64..4000, 0.3_f32..1.6, 0_u64..1200);
    prop::collection::vec(one, 0..8).prop_map(|movements| {
        let mut at = 300;
        let next = |(prompt, after_ms, amount, hold_ms): (usize, u64, f32, u64)| {
            let gesture = Gesture { prompt: Prompt::ALL[prompt], begins_ms: at + after_ms, amount, hold_ms };
            at = gesture.begins_ms + 500 + hold_ms;
            gesture
        };
        movements.into_iter().map(next).collect()
    })
}

/// Whether this attempt deserved to pass, from its frames alone: for each prompt a movement that left the resting
/// zone after a reaction, and kept the target for the hold.
fn deserved(attempt: &Attempt) -> bool {
    let settings = ChallengeSettings::default();
    attempt.prompts.len() == 3
        && attempt.prompts.iter().all(|(prompt, shown)| {
            let window: Vec<_> =
                attempt.frames.iter().filter(|(ms, _)| *ms > *shown && *ms <= shown + 3000).collect();
            let extent = |pose: &Pose| match prompt {
                Prompt::LookLeft => (pose.yaw - REST_POSE.yaw) / settings.turn_deg,
                Prompt::LookRight => (REST_POSE.yaw - pose.yaw) / settings.turn_deg,
                Prompt::LookUp => (pose.pitch - REST_POSE.pitch) / settings.raise_deg,
                Prompt::ComeCloser => (pose.eye_distance_px / REST_POSE.eye_distance_px).ln() / 1.25_f32.ln(),
            };
            let early = window.iter().any(|(ms, pose)| *ms < shown + 220 && extent(pose) > 0.55);
            let mut kept: Option<u64> = None;
            let held = window.iter().any(|(ms, pose)| {
                kept = (extent(pose) >= 0.99).then(|| kept.unwrap_or(*ms));
                kept.is_some_and(|since| ms - since >= 300)
            });
            held && !early
        })
}

proptest! {
    #[test]
    fn whatever_passes_has_answered_each_prompt(
        seed: u64, recording in any_recording(), follows: bool, slow in 0_u64..3500,
    ) {
        let attempt = play(drawn(seed), |ms, prompts| {
            let answers = prompts.iter().map(|(prompt, shown)| Gesture::new(*prompt, shown + slow));
            let all: Vec<_> = recording.iter().copied().filter(|_| !follows).chain(answers.filter(|_| follows)).collect();
            Some(posed(&all, ms))
        });
        prop_assert!(!attempt.passed() || deserved(&attempt), "{attempt:?}");
        if follows && (200..2200).contains(&slow) {
            prop_assert!(attempt.passed(), "{:?}", attempt.end);
        }
    }

    #[test]
    fn a_recording_of_another_plan_passes_only_if_order_and_times_fit(a: u64, b: u64, reaction in 200_u64..2000) {
        let recorded = follow(drawn(a), reaction);
        prop_assume!(recorded.passed());
        let played = replay(drawn(b), &recorded.answers(reaction));
        if played.passed() {
            prop_assert_eq!(drawn(a).prompts().to_vec(), drawn(b).prompts().to_vec());
            for ((_, shown), answer) in played.prompts.iter().zip(recorded.answers(reaction)) {
                prop_assert!(*shown < answer.begins_ms + 70 && answer.begins_ms + 300 < shown + 3000);
            }
        }
    }

    #[test]
    fn a_recording_of_this_very_plan_passes_only_while_in_step(
        seed: u64, reaction in 300_u64..1500, shift in -4000_i64..4000,
    ) {
        let recorded = follow(drawn(seed), reaction);
        prop_assume!(recorded.passed());
        let answers: Vec<_> = recorded.answers(reaction);
        let played = play(drawn(seed), |ms, _| Some(posed(&answers, ms.saturating_add_signed(shift))));
        // The first prompt comes when it came before: the rest at the start tells nothing of the recording's time.
        let late = i64::try_from(reaction).unwrap() - shift;
        if !(0..2700).contains(&late) {
            prop_assert!(!played.passed(), "{late} ms after the prompt");
        } else if recorded.prompts[0].0 != CLOSER && shift.abs() < 100 && (200..2200).contains(&late) {
            // (Whoever stays close for a moment may have settled there, and the next pause begins anew.)
            prop_assert!(played.prompts.len() > 1, "{late} ms after the prompt: {:?}", played.end);
        }
    }

    #[test]
    fn random_poses_never_pass(
        seed: u64,
        poses in prop::collection::vec((-60.0_f32..60.0, -50.0_f32..50.0, 20.0_f32..100.0), 10..300),
        settle in 0_usize..30,
    ) {
        let mut poses = poses.into_iter();
        let attempt = play(drawn(seed), |ms, _| {
            if ms < 100 * settle as u64 {
                return Some(REST_POSE);
            }
            poses.next().map(|(yaw, pitch, eye_distance_px)| Pose { yaw, pitch, roll: 0.0, eye_distance_px })
        });
        prop_assert!(!attempt.passed());
    }
}
