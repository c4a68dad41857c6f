//! People and recordings for the tests: poses as functions of time, and a door that plays them.

use std::time::Duration;

use super::*;

pub(super) const MS: fn(u64) -> Duration = Duration::from_millis;

/// Ten frames a second, handed in 40 ms after they were taken.
const FRAME_MS: u64 = 100;
const LATENCY_MS: u64 = 40;
/// How long a movement takes, there and back.
const THERE_MS: f32 = 200.0;
const BACK_MS: f32 = 300.0;

/// `SplitMix64`, the generator of Steele, Lea and Flood (2014).
pub(super) fn random(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

pub(super) fn drawn(seed: u64) -> Plan {
    Plan::random(&ChallengeSettings::default(), random(seed)).unwrap()
}

/// Somebody who sits a little askew under a camera that is mounted high.
pub(super) const REST_POSE: Pose = Pose { yaw: 6.0, pitch: 11.0, roll: -4.0, eye_distance_px: 48.0 };

/// One movement; `amount` 1 just reaches the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gesture {
    pub(super) prompt: Prompt,
    pub(super) begins_ms: u64,
    pub(super) amount: f32,
    pub(super) hold_ms: u64,
}

impl Gesture {
    pub(super) fn new(prompt: Prompt, begins_ms: u64) -> Self {
        Self { prompt, begins_ms, amount: 1.4, hold_ms: 600 }
    }

    fn extent(&self, ms: u64) -> f32 {
        let t = ms as f32 - self.begins_ms as f32;
        let back = t - THERE_MS - self.hold_ms as f32;
        self.amount * (t / THERE_MS).clamp(0.0, 1.0) * (1.0 - back / BACK_MS).clamp(0.0, 1.0)
    }
}

/// How the head is held when these movements are made.
pub(super) fn posed(gestures: &[Gesture], ms: u64) -> Pose {
    let settings = ChallengeSettings::default();
    gestures.iter().fold(REST_POSE, |pose, gesture| {
        let extent = gesture.extent(ms);
        match gesture.prompt {
            Prompt::LookLeft => Pose { yaw: pose.yaw + extent * settings.turn_deg, ..pose },
            Prompt::LookRight => Pose { yaw: pose.yaw - extent * settings.turn_deg, ..pose },
            Prompt::LookUp => Pose { pitch: pose.pitch + extent * settings.raise_deg, ..pose },
            Prompt::ComeCloser => {
                Pose { eye_distance_px: pose.eye_distance_px * settings.closer_factor.powf(extent), ..pose }
            }
        }
    })
}

/// What happened in an attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The prompts, and when they were shown.
    pub(super) prompts: Vec<(Prompt, u64)>,
    /// All frames that were handed in.
    pub(super) frames: Vec<(u64, Pose)>,
    pub(super) end: Progress,
    pub(super) ended_ms: u64,
}

impl Attempt {
    pub(super) fn passed(&self) -> bool {
        self.end == Progress::Passed
    }

    pub(super) fn fault(&self) -> ChallengeFault {
        let Progress::Failed(fault) = self.end else { panic!("{self:?}") };
        fault
    }

    /// The movements of this attempt, as a recording would show them.
    pub(super) fn answers(&self, reaction_ms: u64) -> Vec<Gesture> {
        self.prompts.iter().map(|(prompt, shown)| Gesture::new(*prompt, shown + reaction_ms)).collect()
    }
}

/// Plays what the camera sees: at each frame's time, given the prompts shown so far, a pose, or nobody.
pub(super) fn play(plan: Plan, mut seen: impl FnMut(u64, &[(Prompt, u64)]) -> Option<Pose>) -> Attempt {
    let mut challenge = Challenge::new(plan, Moment(MS(LATENCY_MS)));
    let mut attempt = Attempt { prompts: vec![], frames: vec![], end: Progress::Waiting, ended_ms: 0 };
    for captured_ms in (0..200_000).step_by(usize::try_from(FRAME_MS).unwrap()) {
        let (captured_at, now) = (Moment(MS(captured_ms)), Moment(MS(captured_ms + LATENCY_MS)));
        let progress = match seen(captured_ms, &attempt.prompts) {
            Some(pose) => {
                attempt.frames.push((captured_ms, pose));
                challenge.observe(&pose, captured_at, now)
            }
            None => challenge.tick(now),
        };
        match progress {
            Progress::Waiting => {}
            Progress::Prompt { prompt, step, of, until } => {
                attempt.prompts.push((prompt, captured_ms + LATENCY_MS));
                assert_eq!((step as usize, of), (attempt.prompts.len(), 3));
                assert_eq!(until, now + ChallengeSettings::default().step_timeout);
            }
            end => {
                assert!(challenge.is_over());
                assert_eq!(challenge.tick(now), Progress::Waiting, "told twice");
                assert_eq!(challenge.observe(&REST_POSE, now, now), Progress::Waiting, "told twice");
                (attempt.end, attempt.ended_ms) = (end, captured_ms + LATENCY_MS);
                return attempt;
            }
        }
        assert!(!challenge.is_over());
    }
    panic!("an attempt without an end: {:?}", attempt.prompts);
}

/// Plays a recording that knows nothing of the prompts.
pub(super) fn replay(plan: Plan, gestures: &[Gesture]) -> Attempt {
    play(plan, |ms, _| Some(posed(gestures, ms)))
}

/// Somebody who does as asked, so long after each prompt.
pub(super) fn follow(plan: Plan, reaction_ms: u64) -> Attempt {
    play(plan, |ms, prompts| {
        let answers: Vec<_> =
            prompts.iter().map(|(p, shown)| Gesture::new(*p, shown + reaction_ms)).collect();
        Some(posed(&answers, ms))
    })
}
