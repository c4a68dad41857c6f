//! What is asked, and when: drawn anew for every attempt.

use std::time::Duration;

use crate::domain::Prompt;

use super::MIN_LEAVING;

/// How an active challenge is put. [`ChallengeSettings::check`] says what makes sense.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChallengeSettings {
    /// So many prompts, 2..=[`MAX_STEPS`](Self::MAX_STEPS): one alone could be "come closer", which a photo can do.
    pub steps: u32,
    /// An answer must be complete, held included, so long after its prompt was shown.
    pub step_timeout: Duration,
    /// The head rests at least so long before a prompt is shown...
    pub pause_min: Duration,
    /// ... and at most so long. The farther apart the two, the less a recording's timing fits; see
    /// [`fixed_recording_passes`](Self::fixed_recording_passes).
    pub pause_max: Duration,
    /// The end of a movement is kept so long.
    pub hold: Duration,
    /// The head must come to rest within this, at the start and after each answer.
    pub settle_timeout: Duration,
    /// The longest time between two observations.
    pub max_gap: Duration,
    /// So often may a pause begin anew in one attempt because the head moved a little in it. Leaning back
    /// some time after "come closer" takes one, too.
    pub max_restarts: u32,
    /// A head is turned when its yaw is so many degrees from where it rested.
    pub turn_deg: f32,
    /// Whether people are asked to look up at all. The five points of some detectors hardly follow pitch: those of
    /// `centerface` lose it beyond about ten degrees, those of the 68 point landmark model do not.
    pub look_up: bool,
    /// A head is raised when its pitch is so many degrees above where it rested.
    pub raise_deg: f32,
    /// A face is closer when its eyes are so many times as far apart as they were at rest.
    pub closer_factor: f32,
}

impl Default for ChallengeSettings {
    /// Three prompts, about twelve seconds in all.
    fn default() -> Self {
        Self {
            steps: 3,
            step_timeout: Duration::from_millis(3000),
            pause_min: Duration::from_millis(500),
            pause_max: Duration::from_millis(3500),
            hold: Duration::from_millis(300),
            settle_timeout: Duration::from_millis(4000),
            max_gap: Duration::from_millis(700),
            max_restarts: 3,
            turn_deg: 20.0,
            look_up: true,
            raise_deg: 14.0,
            closer_factor: 1.25,
        }
    }
}

/// Settings that make no sense.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidChallenge {
    /// Too few prompts prove nothing; too many are an ordeal.
    #[error("the number of prompts must be between 2 and {most}, not {0}", most = ChallengeSettings::MAX_STEPS)]
    Steps(u32),
    /// The least pause is longer than the longest, or that one is beyond all patience.
    #[error("the pause must be between two times up to a minute, the shorter one first")]
    Pause,
    /// Nobody could answer in time.
    #[error("the time for an answer must be longer than half a second plus the time it is held")]
    NoTimeToAnswer,
    /// A time that must be above zero is zero.
    #[error("{0} must be longer than zero")]
    NoTime(&'static str),
    /// Too little to be told from the noise of a measurement, or more than a neck can do and a detector follow.
    #[error("{what} must be between {least} and {most}, not {is}")]
    Range {
        /// Which number.
        what: &'static str,
        /// Its lower limit.
        least: f32,
        /// Its upper limit.
        most: f32,
        /// What it is.
        is: f32,
    },
    /// The prompts or pauses of a given plan do not fit the settings.
    #[error("the plan does not fit the settings")]
    Plan,
}

impl ChallengeSettings {
    /// The most prompts in one challenge.
    pub const MAX_STEPS: u32 = 8;

    /// Whether they make sense.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), InvalidChallenge> {
        if !(2..=Self::MAX_STEPS).contains(&self.steps) {
            return Err(InvalidChallenge::Steps(self.steps));
        }
        if self.pause_min > self.pause_max || self.pause_max > Duration::from_secs(60) {
            return Err(InvalidChallenge::Pause);
        }
        for (what, time) in [
            ("the hold", self.hold),
            ("the time to come to rest", self.settle_timeout),
            ("the longest gap", self.max_gap),
            ("the shortest pause", self.pause_min),
        ] {
            if time.is_zero() {
                return Err(InvalidChallenge::NoTime(what));
            }
        }
        if self.step_timeout <= self.hold.saturating_add(Duration::from_millis(500)) {
            return Err(InvalidChallenge::NoTimeToAnswer);
        }
        // Twice the noise of a measurement at least; at most what the detectors still follow.
        for (what, is, least, most) in [
            ("the turn", self.turn_deg, 10.0, 45.0),
            ("the raising", self.raise_deg, 8.0, 35.0),
            ("the growth", self.closer_factor, 1.1, 3.0),
        ] {
            if !(least..=most).contains(&is) {
                return Err(InvalidChallenge::Range { what, least, most, is });
            }
        }
        Ok(())
    }

    /// The probability that one fixed recording of a real person's movements passes an attempt, at best: 0..=1.
    ///
    /// The prompts must be those of the recording: with four different ones there are 4 x 3^(steps - 1) orders, all
    /// equally likely; without looking up, 3 x 2^(steps - 1). And each
    /// movement must fall into its window: at the earliest a reaction (0.22 s in all) after the prompt, at the latest so that
    /// it is held within `step_timeout`. Seen from the moment the head came to rest, which the recording sets, the
    /// prompt comes anywhere in `pause_min..=pause_max`; the recording fits where the prompt falls within
    /// `step_timeout - 0.22 s - hold` before its movement, less the time the movement takes, which is left
    /// out here. The windows of the steps are independent, as each pause begins with the recording's own rest.
    ///
    /// Several attempts have several chances: the number of attempts must be limited elsewhere.
    #[must_use]
    pub fn fixed_recording_passes(&self) -> f64 {
        let window = self.step_timeout.saturating_sub(MIN_LEAVING).saturating_sub(self.hold).as_secs_f64();
        let range = self.pause_max.saturating_sub(self.pause_min).as_secs_f64();
        let fits = if window < range { window / range } else { 1.0 };
        let later = f64::from(self.steps.saturating_sub(1));
        let prompts: f64 = self.prompts().map(|_| 1.0).sum();
        fits.powf(f64::from(self.steps)) / (prompts * (prompts - 1.0).powf(later))
    }

    /// What can be asked.
    fn prompts(&self) -> impl Iterator<Item = Prompt> + use<> {
        let look_up = self.look_up;
        Prompt::ALL.into_iter().filter(move |prompt| look_up || *prompt != Prompt::LookUp)
    }
}

/// What one attempt asks for: prompts, and the pauses before them. It is a secret until it is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) settings: ChallengeSettings,
    prompts: Vec<Prompt>,
    /// One before each prompt, and one more for each time a pause may begin anew.
    pauses: Vec<Duration>,
}

impl Plan {
    /// Draws a plan: prompts at random, none twice in a row, and pauses evenly distributed between the shortest and
    /// the longest. `random` gives 64 even bits at each call. They must be such that nobody can foretell them: from
    /// the system's source of randomness, or a generator for cryptography that was seeded from it for this attempt.
    ///
    /// # Errors
    /// If the settings make no sense.
    pub fn random(
        settings: &ChallengeSettings,
        mut random: impl FnMut() -> u64,
    ) -> Result<Self, InvalidChallenge> {
        settings.check()?;
        let mut prompts = Vec::new();
        for _ in 0..settings.steps {
            let allowed = settings.prompts().filter(|prompt| prompts.last() != Some(prompt));
            let allowed: Vec<Prompt> = allowed.collect();
            // The remainder favours some choices by less than 2^-61.
            let choice = random() % u64::try_from(allowed.len()).unwrap_or(1);
            prompts.extend(usize::try_from(choice).ok().and_then(|choice| allowed.get(choice)));
        }
        let range = settings.pause_max.saturating_sub(settings.pause_min);
        let range_ns = u64::try_from(range.as_nanos()).map_err(|_| InvalidChallenge::Pause)?;
        let mut pause = || settings.pause_min + Duration::from_nanos(random() % (range_ns + 1));
        let pauses = (0..settings.steps.saturating_add(settings.max_restarts)).map(|_| pause()).collect();
        Ok(Self { settings: *settings, prompts, pauses })
    }

    /// A plan that is known beforehand, for tests and rehearsals; it proves nothing. `pauses` has one for each prompt
    /// and one for each restart that is allowed.
    ///
    /// # Errors
    /// If the settings make no sense, the numbers of prompts or pauses are others than the settings say, or a prompt
    /// comes twice in a row.
    pub fn known(
        settings: &ChallengeSettings,
        prompts: Vec<Prompt>,
        pauses: Vec<Duration>,
    ) -> Result<Self, InvalidChallenge> {
        settings.check()?;
        let is = |count: usize, expected: u32| u32::try_from(count) == Ok(expected);
        let fits = is(prompts.len(), settings.steps)
            && is(pauses.len(), settings.steps.saturating_add(settings.max_restarts))
            && prompts.windows(2).all(|pair| pair[0] != pair[1]);
        fits.then_some(Self { settings: *settings, prompts, pauses }).ok_or(InvalidChallenge::Plan)
    }

    /// What is asked, in order.
    #[must_use]
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// The pauses before the prompts, then the ones kept for restarts: they are taken in this order.
    #[must_use]
    pub fn pauses(&self) -> &[Duration] {
        &self.pauses
    }
}
