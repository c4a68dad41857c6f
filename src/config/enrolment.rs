//! What is kept of whoever is enrolled, and what is added to it by itself; and the checks of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Findings;
use super::types::{Config, LivenessMode};

/// What is kept of whoever is enrolled at the daemon (`ctl enroll --live`; for `enroll` there is `--keep-photos`), and what
/// is added to it later.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Enrolment {
    /// True: of each picture the face is cut out and kept, encrypted, so that another model needs no new pictures. A
    /// stolen photo is worth more than a stolen template.
    pub keep_photos: bool,
    /// What is added to people by itself.
    pub refresh: Refresh,
}

/// Templates that are added by themselves after a very sure match, so that people are known as they come to look. Off by
/// default; without liveness that decides there are none. What was enrolled is never changed nor removed by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Refresh {
    /// True to add templates.
    pub enabled: bool,
    /// All looks together must be more alike by this than what was needed, 0..=1.
    pub margin: f32,
    /// The picture must be at least so good, 0 (useless) to 1 (a passport photo).
    pub min_quality: f32,
    /// Of one model a person has at most so many added templates: for a new one the oldest of them goes.
    pub max_templates: u8,
    /// It must be at least so much like what was enrolled, 0..=1: added templates do not count, lest they should lead away
    /// from it step by step.
    pub min_similarity_to_originals: f32,
    /// To one person a template is added at most once in so many days.
    pub min_days: u16,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            enabled: false,
            margin: 0.15,
            min_quality: 0.6,
            max_templates: 3,
            min_similarity_to_originals: 0.5,
            min_days: 7,
        }
    }
}

impl Config {
    /// Whether templates are ever added by themselves: that is asked for, a match opens the door, and liveness decides.
    #[must_use]
    pub fn refreshes(&self) -> bool {
        self.enrolment.refresh.enabled && !self.decision.shadow && liveness_decides(self.liveness.mode)
    }
}

fn liveness_decides(mode: LivenessMode) -> bool {
    match mode {
        LivenessMode::Enforce | LivenessMode::Challenge => true,
        LivenessMode::Report | LivenessMode::Off => false,
    }
}

pub(super) fn enrolment(config: &Config, found: &mut Findings) {
    let refresh = &config.enrolment.refresh;
    found.range("enrolment.refresh.margin", refresh.margin, (0.0, 1.0));
    found.range("enrolment.refresh.min_quality", refresh.min_quality, (0.0, 1.0));
    found.range("enrolment.refresh.max_templates", refresh.max_templates, (1, 10));
    let least = refresh.min_similarity_to_originals;
    found.range("enrolment.refresh.min_similarity_to_originals", least, (0.0, 1.0));
    found.range("enrolment.refresh.min_days", refresh.min_days, (1, 3650));
    if !refresh.enabled {
        return;
    }
    if !liveness_decides(config.liveness.mode) {
        found.warning(
            "enrolment.refresh.enabled",
            format!(
                "`enrolment.refresh.enabled` does nothing while `liveness.mode` is {}",
                config.liveness.mode.as_str()
            ),
            "a picture of somebody must add nothing to them: set it to `enforce` or `challenge`",
        );
    } else if config.decision.shadow {
        found.warning(
            "enrolment.refresh.enabled",
            "`enrolment.refresh.enabled` does nothing while `decision.shadow` is true",
            "in a trial nobody is verified: nothing is added to anybody",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::super::types::Camera;
    use super::*;
    use crate::domain::CameraId;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::new(Camera::new(CameraId::new("door").unwrap(), "/dev/video0".to_owned()));
        config.liveness.mode = LivenessMode::Enforce;
        config.enrolment.refresh.enabled = true;
        change(&mut config);
        config
    }

    fn said(config: &Config) -> Vec<String> {
        let found = check(config).into_iter();
        found.filter(|found| found.key.starts_with("enrolment")).map(|found| found.key).collect()
    }

    #[test]
    fn nothing_is_added_without_liveness_that_decides_nor_in_a_trial_and_that_is_said() {
        assert!(!Config::new(config(|_| ()).cameras[0].clone()).refreshes(), "off by default");
        assert!(config(|_| ()).refreshes() && said(&config(|_| ())).is_empty());
        for mode in [LivenessMode::Off, LivenessMode::Report] {
            let without = config(|config| config.liveness.mode = mode);
            assert!(!without.refreshes());
            assert_eq!(said(&without), ["enrolment.refresh.enabled"]);
        }
        let trial = config(|config| config.decision.shadow = true);
        assert!(!trial.refreshes());
        assert_eq!(said(&trial), ["enrolment.refresh.enabled"]);
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let wrong = config(|config| {
            config.enrolment.refresh = Refresh {
                enabled: false,
                margin: f32::NAN,
                min_quality: 1.5,
                max_templates: 0,
                min_similarity_to_originals: -0.1,
                min_days: 0,
            };
        });
        assert_eq!(said(&wrong).len(), 5);
    }
}
