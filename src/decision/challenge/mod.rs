//! The active challenge: a person is asked for movements that nobody could foresee, and makes them in time.
//!
//! A pure state machine for one attempt by one track. It is handed poses and times and says what to show. Randomness
//! is handed in with the [`Plan`].
//!
//! # How it goes
//!
//! 1. **Settle.** Over [`SETTLE_FRAMES`] frames the head must be still. How it is held then is what all movements are
//!    measured from, so that a camera mounted high, or somebody who sits askew, makes no difference. After each answer
//!    the head comes back there; only its size is measured afresh, since nobody steps back from "come closer".
//! 2. **Pause.** A time drawn at random passes, during which the head stays at rest. If it fidgets, it settles again
//!    and the next pause begins, [`ChallengeSettings::max_restarts`] times in all: people do glance about, and a
//!    restart gains an attacker nothing, since the new pause is as unforeseeable. A *whole* movement, as large as an
//!    answer, fails at once: that is what a recording does at the wrong moment.
//! 3. **Prompt.** The answer shows when the head leaves the resting zone (half-way to any target). That must not be
//!    sooner after the prompt than [`MIN_REACTION`] and the least time for that way. It must reach the target and keep it for the hold, all before the
//!    time-out. Reaching another prompt's target fails at once. Which target a pose reaches is told by the movement
//!    that is largest against its own target, so that one pose never answers two prompts.
//!
//! Throughout, two observations too far apart in time fail ([`ChallengeFault::Lost`]), and so do two too near in time
//! for the change between them ([`ChallengeFault::Jump`]): a cut between two recordings. Frames older than the newest
//! one seen, and frames from the future, are ignored; where `now` steps back, the latest time seen is used.
//!
//! # What it stops
//!
//! - A photo, still or moved about: five points in a plane keep their yaw and pitch under every shift, turn and
//!   tilt of that plane (as seen from afar), and at least every second prompt needs one of the two.
//! - A recording of somebody who moves their head at random, or who once answered another plan: it passes an attempt
//!   with the probability [`ChallengeSettings::fixed_recording_passes`], 1.6 % with the default settings: one of 36
//!   orders, and timing that fits in 83 % of the cases at each of three prompts. Two prompts: 5.7 %; four: 0.4 %.
//!   Prompts with a time-out longer than the range of the pauses plus half a second gain nothing from their timing.
//!
//! # What it does not stop
//!
//! - Somebody who plays matching clips for each prompt as it is shown, fast enough: only the jump between two clips
//!   can betray it, and no jump is seen where frames come more slowly than about ten a second.
//! - A face that is animated live (a puppet, a deepfake), on a screen or fed in place of the camera.
//! - The enrolled person, cooperating or forced; their twin; somebody in a mask who moves their own head.
//! - A bent photo or a mask worn by the attacker, as far as its points follow a head's: not measured.
//!
//! # What it does not check
//!
//! That all poses are of one track, and that it is the same person throughout: whoever hands the poses in must, else
//! an attacker answers the prompts and the photo beside them is recognised. Nor does it limit attempts, and it does
//! not know whether the prompt was really seen.

mod plan;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod tests;

pub use plan::{ChallengeSettings, InvalidChallenge, Plan};

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
pub use crate::domain::ChallengeFault;
use crate::domain::{Pose, Prompt};

/// Nobody begins to answer faster. Pressing a key when a light goes on takes people about 200 ms, hardly anybody less
/// than 150; to read a prompt and choose a movement takes longer still.
pub const MIN_REACTION: Duration = Duration::from_millis(150);

/// A head takes at least so long from where it rests to the end of the resting zone, half-way to a target: 10 degrees
/// at the highest plausible speed, [`JUMP_YAW_DEG`].
const MIN_HALF_WAY: Duration = Duration::from_millis(70);

/// No answer leaves the resting zone sooner after its prompt.
const MIN_LEAVING: Duration = MIN_REACTION.saturating_add(MIN_HALF_WAY);

/// Over at least so many frames in a row the head must be still...
pub const SETTLE_FRAMES: usize = 4;
/// ... and these must span at least so long.
const SETTLE_SPAN: Duration = Duration::from_millis(250);
/// Still is when the angles of those frames differ by no more than this, degrees: landmarks of a resting head vary
/// by a few degrees.
const SETTLE_SPREAD_DEG: f32 = 8.0;
/// ... and their sizes by no more than this factor.
const SETTLE_SPREAD_FACTOR: f32 = 1.1;
/// A head at rest faces the camera at least this much, yaw and pitch, degrees: from beyond, an answer to one side
/// would be out of the detector's sight.
const MAX_NEUTRAL_DEG: [f32; 2] = [25.0, 35.0];

/// The resting zone ends half-way to a target.
const REST: f32 = 0.5;

/// How fast yaw can change: what the noise of two measurements can feign, degrees, and degrees a second. A turn of
/// 30 degrees takes somebody who does as asked about half a second, and is fastest in its middle, at about 110.
const JUMP_YAW_DEG: [f32; 2] = [8.0, 150.0];
/// The same for pitch: a raised chin goes less far in the same time.
const JUMP_PITCH_DEG: [f32; 2] = [7.0, 100.0];
/// How fast the size can change, as the logarithm of a factor: noise, and a second. Walking up at 1 m/s from 0.8 m
/// is 1.25.
const JUMP_SIZE: [f32; 2] = [0.08, 1.3];

/// What there is to tell. All but `Waiting` are told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing new.
    Waiting,
    /// To be shown at once.
    Prompt {
        /// Which prompt, from 1.
        step: u32,
        /// Of how many.
        of: u32,
        /// What is asked.
        prompt: Prompt,
        /// The answer must be complete by then.
        until: Moment,
    },
    /// All prompts were answered. The challenge is over.
    Passed,
    /// It is over, in vain.
    Failed(ChallengeFault),
}

/// One attempt.
#[derive(Debug)]
pub struct Challenge {
    plan: Plan,
    phase: Phase,
    neutral: Option<Pose>,
    /// Answered so far.
    answered: usize,
    /// Pauses begun so far.
    pauses: usize,
    newest: Option<(Pose, Moment)>,
    /// When the newest observation was handed in.
    handed_in: Moment,
    now: Moment,
}

#[derive(Debug)]
enum Phase {
    Settling {
        since: Moment,
        frames: VecDeque<(Pose, Moment)>,
        /// The answer from which the head is coming back: being still there is no fault.
        after: Option<Prompt>,
    },
    Pausing {
        until: Moment,
    },
    Asked {
        prompt: Prompt,
        shown: Moment,
        until: Moment,
        /// Since when the target has been kept.
        reached: Option<Moment>,
    },
    Over,
}

impl Challenge {
    /// An attempt that begins now.
    #[must_use]
    pub fn new(plan: Plan, started: Moment) -> Self {
        Self {
            plan,
            phase: Phase::Settling { since: started, frames: VecDeque::new(), after: None },
            neutral: None,
            answered: 0,
            pauses: 0,
            newest: None,
            handed_in: started,
            now: started,
        }
    }

    /// Whether it has passed or failed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Takes in how the head of the challenged track was held in the frame taken at `captured_at`.
    pub fn observe(&mut self, pose: &Pose, captured_at: Moment, now: Moment) -> Progress {
        if let Some(fault) = self.overdue(now) {
            return self.fail(fault);
        }
        let is_old = self.newest.is_some_and(|(_, newest)| captured_at <= newest);
        if self.is_over() || is_old || captured_at > self.now {
            return self.ask_if_due();
        }
        let before = self.newest.replace((*pose, captured_at));
        self.handed_in = self.now;
        let checked = before.map_or(Ok(()), |before| self.check_step(before, pose, captured_at));
        match checked.and_then(|()| self.advance(pose, captured_at)) {
            Ok(Progress::Waiting) => self.ask_if_due(),
            Ok(progress) => progress,
            Err(fault) => self.fail(fault),
        }
    }

    /// Lets time pass; to be called several times a second.
    pub fn tick(&mut self, now: Moment) -> Progress {
        match self.overdue(now) {
            Some(fault) => self.fail(fault),
            None => self.ask_if_due(),
        }
    }

    /// Moves time on; what should have happened by now.
    fn overdue(&mut self, now: Moment) -> Option<ChallengeFault> {
        self.now = self.now.max(now);
        let (now, settings) = (self.now, &self.plan.settings);
        match &self.phase {
            Phase::Over => None,
            _ if self.newest.is_some() && now.since(self.handed_in) > settings.max_gap => {
                Some(ChallengeFault::Lost)
            }
            Phase::Settling { since, .. } if now.since(*since) > settings.settle_timeout => {
                Some(ChallengeFault::NotSettled)
            }
            Phase::Asked { until, .. } if now > *until => Some(ChallengeFault::TooLate),
            _ => None,
        }
    }

    fn fail(&mut self, fault: ChallengeFault) -> Progress {
        self.phase = Phase::Over;
        Progress::Failed(fault)
    }

    /// Whether one head can have come from one pose to the next.
    fn check_step(
        &mut self,
        (from, from_at): (Pose, Moment),
        to: &Pose,
        to_at: Moment,
    ) -> Result<(), ChallengeFault> {
        let time = to_at.since(from_at);
        let seconds = time.as_secs_f32();
        let is_plausible = [
            ((to.yaw - from.yaw).abs(), JUMP_YAW_DEG),
            ((to.pitch - from.pitch).abs(), JUMP_PITCH_DEG),
            ((to.eye_distance_px / from.eye_distance_px).ln().abs(), JUMP_SIZE),
        ]
        .iter()
        .all(|(change, [noise, a_second])| *change <= noise + a_second * seconds);
        let is_lost = time > self.plan.settings.max_gap;
        match &mut self.phase {
            // Nothing has been asked yet: somebody who has just come into view may begin again.
            Phase::Settling { frames, .. } if self.neutral.is_none() => {
                if is_lost || !is_plausible {
                    frames.clear();
                }
                Ok(())
            }
            _ if is_lost => Err(ChallengeFault::Lost),
            _ if !is_plausible => Err(ChallengeFault::Jump),
            _ => Ok(()),
        }
    }

    fn advance(&mut self, pose: &Pose, captured_at: Moment) -> Result<Progress, ChallengeFault> {
        let moved = self.neutral.as_ref().map(|neutral| Movement::new(neutral, pose, &self.plan.settings));
        let target = moved.and_then(Movement::target);
        match &mut self.phase {
            Phase::Settling { frames, after, .. } => {
                if target.is_some() && target != *after {
                    return Err(ChallengeFault::Unprompted);
                }
                frames.push_back((*pose, captured_at));
                // No more than the count and the span need: a fast camera needs more frames for the span.
                while frames.len() > SETTLE_FRAMES
                    && frames.get(1).is_some_and(|(_, second)| captured_at.since(*second) >= SETTLE_SPAN)
                {
                    frames.pop_front();
                }
                let Some(still) = settled(frames) else { return Ok(Progress::Waiting) };
                self.rest(still);
                Ok(Progress::Waiting)
            }
            Phase::Pausing { .. } if target.is_some() => Err(ChallengeFault::Unprompted),
            Phase::Pausing { .. } if moved.is_some_and(Movement::is_rest) => Ok(Progress::Waiting),
            Phase::Pausing { .. } => {
                // Each prompt that is left, this one included, needs a pause of its own.
                let left = self.plan.prompts().len() - self.answered;
                if self.pauses + left > self.plan.pauses().len() {
                    return Err(ChallengeFault::Restless);
                }
                self.phase = Phase::Settling { since: self.now, frames: VecDeque::new(), after: None };
                Ok(Progress::Waiting)
            }
            Phase::Asked { prompt, shown, until, reached } => {
                let is_rest = moved.is_some_and(Movement::is_rest);
                if captured_at > *until {
                    Err(ChallengeFault::TooLate)
                } else if captured_at < *shown + MIN_LEAVING && !is_rest {
                    Err(ChallengeFault::TooEarly)
                } else if target.is_some() && target != Some(*prompt) {
                    Err(ChallengeFault::WrongMovement)
                } else if target.is_none() {
                    *reached = None;
                    Ok(Progress::Waiting)
                } else {
                    let since = *reached.get_or_insert(captured_at);
                    let is_kept = captured_at.since(since) >= self.plan.settings.hold;
                    Ok(if is_kept { self.answer() } else { Progress::Waiting })
                }
            }
            Phase::Over => Ok(Progress::Waiting),
        }
    }

    /// The head is still: the pause begins, if it is where it was at first.
    fn rest(&mut self, still: Pose) {
        let neutral = match self.neutral {
            None if still.yaw.abs() > MAX_NEUTRAL_DEG[0] || still.pitch.abs() > MAX_NEUTRAL_DEG[1] => return,
            None => still,
            Some(neutral) => Pose { eye_distance_px: still.eye_distance_px, ..neutral },
        };
        if !Movement::new(&neutral, &still, &self.plan.settings).is_rest() {
            return;
        }
        self.neutral = Some(neutral);
        // There is always one left: they are counted before a pause begins anew.
        let Some(pause) = self.plan.pauses().get(self.pauses) else { return };
        self.phase = Phase::Pausing { until: self.now + *pause };
        self.pauses += 1;
    }

    /// Shows the next prompt if the pause before it is over.
    fn ask_if_due(&mut self) -> Progress {
        let Phase::Pausing { until } = self.phase else { return Progress::Waiting };
        let Some(&prompt) = self.plan.prompts().get(self.answered) else { return Progress::Waiting };
        if self.now < until {
            return Progress::Waiting;
        }
        let until = self.now + self.plan.settings.step_timeout;
        self.phase = Phase::Asked { prompt, shown: self.now, until, reached: None };
        let step = u32::try_from(self.answered + 1).unwrap_or(u32::MAX);
        Progress::Prompt { step, of: self.plan.settings.steps, prompt, until }
    }

    /// A prompt was answered.
    fn answer(&mut self) -> Progress {
        let after = self.plan.prompts().get(self.answered).copied();
        self.answered += 1;
        if self.answered == self.plan.prompts().len() {
            self.phase = Phase::Over;
            return Progress::Passed;
        }
        self.phase = Phase::Settling { since: self.now, frames: VecDeque::new(), after };
        Progress::Waiting
    }
}

/// How the head was held over these frames, if it was still: the median of each number.
fn settled(frames: &VecDeque<(Pose, Moment)>) -> Option<Pose> {
    let ((_, first), (_, last)) = (frames.front()?, frames.back()?);
    if frames.len() < SETTLE_FRAMES || last.since(*first) < SETTLE_SPAN {
        return None;
    }
    let sorted = |number: fn(&Pose) -> f32| {
        let mut numbers: Vec<f32> = frames.iter().map(|(pose, _)| number(pose)).collect();
        numbers.sort_by(f32::total_cmp);
        numbers
    };
    let median =
        |numbers: &[f32]| f32::midpoint(numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
    let (yaws, pitches, rolls) = (sorted(|p| p.yaw), sorted(|p| p.pitch), sorted(|p| p.roll));
    let sizes = sorted(|p| p.eye_distance_px);
    let spread = |numbers: &[f32]| numbers[numbers.len() - 1] - numbers[0];
    let is_still = spread(&yaws) <= SETTLE_SPREAD_DEG
        && spread(&pitches) <= SETTLE_SPREAD_DEG
        && sizes[sizes.len() - 1] <= sizes[0] * SETTLE_SPREAD_FACTOR;
    is_still.then(|| Pose {
        yaw: median(&yaws),
        pitch: median(&pitches),
        roll: median(&rolls),
        eye_distance_px: median(&sizes),
    })
}

/// How far a head is from where it rested, each movement as a part of its target: 1 reaches it.
#[derive(Debug, Clone, Copy)]
struct Movement {
    left: f32,
    up: f32,
    closer: f32,
}

impl Movement {
    fn new(neutral: &Pose, pose: &Pose, settings: &ChallengeSettings) -> Self {
        Self {
            left: (pose.yaw - neutral.yaw) / settings.turn_deg,
            up: (pose.pitch - neutral.pitch) / settings.raise_deg,
            closer: (pose.eye_distance_px / neutral.eye_distance_px).ln() / settings.closer_factor.ln(),
        }
    }

    /// The one prompt that is answered by being there.
    fn target(self) -> Option<Prompt> {
        let of = |prompt| match prompt {
            Prompt::LookLeft => self.left,
            Prompt::LookRight => -self.left,
            Prompt::LookUp => self.up,
            Prompt::ComeCloser => self.closer,
        };
        let largest = Prompt::ALL.into_iter().max_by(|a, b| of(*a).total_cmp(&of(*b)))?;
        (of(largest) >= 1.0).then_some(largest)
    }

    fn is_rest(self) -> bool {
        [self.left, self.up, self.closer].iter().all(|part| part.abs() <= REST)
    }
}
