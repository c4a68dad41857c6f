//! What the settings come to: who is verified when, and how often that goes wrong.

use std::sync::Arc;
use std::time::Duration;

use super::engine::model_failure;
use super::exit::{Exit, Failure};
use crate::config::{self, Config, LivenessMode};
use crate::decision::challenge::ChallengeSettings;
use crate::decision::{
    Acceptance, LivenessChecks, LivenessPolicy, Policy, SeveralFaces, per_comparison, tries,
};
use crate::domain::{Calibration, Estimate};
use crate::inference::ModelFolders;
use crate::pipeline::most_looks;

/// The settings that decide, together with what was measured about the embedder.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What it takes to be verified.
    pub policy: Policy,
    /// What was measured; `None` where the similarity was set and the model has no calibration.
    calibration: Option<Arc<Calibration>>,
    model: String,
    looks: u32,
    strangers_per_day: f64,
}

impl Terms {
    /// Brings together the settings, what was measured about the embedder called `model`, and whether liveness was
    /// tested at this camera.
    ///
    /// # Errors
    /// [`Exit::Config`] if the embedder has no calibration and no similarity is set, or its data cannot support the
    /// rate that is asked for and the settings do not allow that.
    pub fn new(
        config: &Config,
        model: &str,
        calibration: Option<&Calibration>,
        is_tested: bool,
    ) -> Result<Self, Failure> {
        let decision = &config.decision;
        let looks = most_looks(Duration::from_millis(decision.give_up_after_ms), config.detection.max_fps);
        let calibration = calibration.map(|calibration| Arc::new(calibration.clone()));
        let rate = config.cameras.first().and_then(|camera| camera.false_match_rate);
        let acceptance = match (decision.min_similarity, &calibration) {
            (Some(threshold), _) => Acceptance::Similarity(threshold),
            (None, Some(calibration)) => Acceptance::FalseMatchRate {
                per_visit: rate.unwrap_or(decision.false_match_rate),
                calibration: Arc::clone(calibration),
                looks,
            },
            (None, None) => return Err(uncalibrated(model)),
        };
        let policy = Policy {
            acceptance,
            min_margin: decision.min_margin,
            min_looks: decision.min_looks,
            window: Duration::from_millis(decision.window_ms),
            give_up_after: Duration::from_millis(decision.give_up_after_ms),
            cooldown: Duration::from_millis(decision.cooldown_ms),
            grant_valid: Duration::from_millis(decision.grant_valid_ms),
            liveness: liveness(&config.liveness, is_tested),
            several_faces: match decision.several_faces {
                config::SeveralFaces::Each => SeveralFaces::Each,
                config::SeveralFaces::Largest => SeveralFaces::Largest,
                config::SeveralFaces::Refuse => SeveralFaces::Refuse,
            },
        };
        let terms = Self {
            policy,
            calibration,
            model: model.to_owned(),
            looks,
            strangers_per_day: decision.stranger_visits_per_day,
        };
        terms.supported(decision.allow_extrapolation)?;
        Ok(terms)
    }

    /// Whether the calibration reaches to the rate that is asked for, for a single person enrolled.
    fn supported(&self, allow_extrapolation: bool) -> Result<(), Failure> {
        let Acceptance::FalseMatchRate { per_visit, calibration, .. } = &self.policy.acceptance else {
            return Ok(());
        };
        let data = format!(
            "the calibration of {} was measured down to {:.1e} in one comparison, and {per_visit:e} a visit needs {:.1e}",
            self.model,
            calibration.measured_down_to(),
            per_comparison(*per_visit, 1, self.looks)
        );
        let refused = |message: String| Err(Failure::new(Exit::Config, message));
        match self.policy.acceptance.needed(1) {
            None => {
                refused(format!("`decision.false_match_rate` cannot be kept: {data}, beyond any similarity"))
            }
            Some(needed) if needed.is_extrapolated && !allow_extrapolation => refused(format!(
                "`decision.false_match_rate` {per_visit:e} is not supported by data: {data}. Ask for {:.1e} or more, \
                 or set `decision.allow_extrapolation: true` to go by the curve drawn on beyond the data",
                calibration.measured_down_to() * tries(self.looks)
            )),
            Some(_) => Ok(()),
        }
    }

    /// A sentence for the operator if nobody can be verified with so many people enrolled.
    #[must_use]
    pub fn out_of_reach(&self, people: usize) -> Option<String> {
        self.policy.acceptance.needed(people).is_none().then(|| {
            format!(
                "with {people} people enrolled no similarity keeps `decision.false_match_rate`: nobody is verified; \
                 ask for a higher rate"
            )
        })
    }

    /// A sentence for the operator if so many people enrolled take the threshold beyond what was measured.
    #[must_use]
    pub fn beyond_data(&self, people: usize) -> Option<String> {
        let needed = self.policy.acceptance.needed(people)?;
        needed.is_extrapolated.then(|| {
            format!(
                "with {people} people enrolled the threshold {} lies beyond what was measured about {}: the curve is \
                 drawn on there, on the cautious side",
                needed.threshold, self.model
            )
        })
    }

    /// What `config check` says of it: threshold, false grants to expect, and how far the evidence goes.
    #[must_use]
    pub fn report(&self, people: usize) -> String {
        let mut text = String::new();
        let mut line = |what: &str, says: String| {
            text.push_str(&format!("  {what:<18} {says}\n"));
        };
        let Some(needed) = self.policy.acceptance.needed(people) else {
            line("threshold", self.out_of_reach(people).unwrap_or_default());
            return text;
        };
        let source = match needed.false_match_rate {
            Some(rate) => {
                format!("from false_match_rate {rate:e}, {people} enrolled, up to {} looks", self.looks)
            }
            None => "set by min_similarity".to_owned(),
        };
        line("threshold", format!("{} ({source})", needed.threshold));
        let Some(calibration) = &self.calibration else {
            line("false grants", "unknown: the model has no calibration".to_owned());
            return text;
        };
        let one = calibration.false_match_rate(f64::from(needed.threshold.value()));
        let comparisons = 1.0 / per_comparison(1.0, people, self.looks);
        let visit = |rate: f64| (rate * comparisons).min(1.0);
        let month = |rate: f64| visit(rate) * self.strangers_per_day * 30.0;
        let visits = format!(
            "{} of strangers' visits (95 %: {} to {})",
            few(visit(one.rate)),
            few(visit(one.low)),
            few(visit(one.high))
        );
        line("expected", visits);
        line(
            "false grants",
            format!(
                "{} a month at {} strangers a day (95 %: {} to {})",
                few(month(one.rate)),
                self.strangers_per_day,
                few(month(one.low)),
                few(month(one.high))
            ),
        );
        let missed = calibration.false_non_match_rate(f64::from(needed.threshold.value()));
        line(
            "single pictures",
            format!(
                "{:.1} % of an enrolled person's would not reach it; several looks do better",
                missed.rate * 100.0
            ),
        );
        line("evidence", evidence(calibration, one));
        text
    }
}

fn evidence(calibration: &Calibration, one: Estimate) -> String {
    let how = if one.is_extrapolated {
        format!("DRAWN ON below the {:.1e} measured", calibration.measured_down_to())
    } else {
        "measured".to_owned()
    };
    format!(
        "{how}; {} ({} people, {} pairs of strangers, {})",
        calibration.data, calibration.people, calibration.impostor_pairs, calibration.date
    )
}

/// A small number so that it can be read.
fn few(number: f64) -> String {
    if number >= 10.0 {
        format!("{number:.0}")
    } else if number == 0.0 {
        "0".to_owned()
    } else if number >= 0.095 {
        format!("{number:.1}")
    } else {
        format!("{number:.1e}")
    }
}

fn uncalibrated(model: &str) -> Failure {
    Failure::new(
        Exit::Config,
        format!(
            "the embedder {model} has no calibration, so that `decision.false_match_rate` means nothing for it: make \
             one with `facewarden eval --all-pairs DIR --model {model} --calibrate --write`, or set \
             `decision.min_similarity`"
        ),
    )
}

/// What passive liveness needs, by the settings; in mode `report` and `off` what it would need.
pub(super) fn passive_checks(liveness: &config::Liveness, is_tested: bool) -> LivenessChecks {
    let with_model = liveness.mode != LivenessMode::Challenge || liveness.challenge.with_passive;
    LivenessChecks {
        min_mean: with_model.then_some(liveness.min_mean),
        min_looks: liveness.min_looks,
        min_span: Duration::from_millis(liveness.min_span_ms),
        refuses_overexposed: liveness.overexposure,
        refuses_edges: liveness.screen_edges,
        max_failed_tracks: liveness.max_failed,
        lockout: Duration::from_millis(liveness.lockout_ms),
        is_tested: is_tested || !liveness.require_self_test,
    }
}

fn liveness(liveness: &config::Liveness, is_tested: bool) -> LivenessPolicy {
    let checks = passive_checks(liveness, is_tested);
    match liveness.mode {
        LivenessMode::Enforce => LivenessPolicy::Enforce(checks),
        LivenessMode::Challenge => LivenessPolicy::Challenge {
            settings: ChallengeSettings {
                steps: liveness.challenge.steps,
                step_timeout: Duration::from_millis(liveness.challenge.step_timeout_ms),
                pause_min: Duration::from_millis(liveness.challenge.pause_min_ms),
                pause_max: Duration::from_millis(liveness.challenge.pause_max_ms),
                look_up: liveness.challenge.look_up,
                ..ChallengeSettings::default()
            },
            checks,
        },
        LivenessMode::Report => LivenessPolicy::Report,
        LivenessMode::Off => LivenessPolicy::Off,
    }
}

/// The manifest of the embedder that a configuration names.
///
/// # Errors
/// If it is missing, faulty, or of another kind of model.
pub fn embedder_of(config: &Config) -> Result<config::Manifest, Failure> {
    let folders = ModelFolders::or_usual(config.models.folder.clone());
    let (_, manifest) = folders.manifest(&config.models.embedder).map_err(model_failure)?;
    if matches!(manifest.role, config::Role::Embedder(_)) {
        return Ok(manifest);
    }
    Err(Failure::new(Exit::Config, format!("`models.embedder`: {} is no embedder", config.models.embedder)))
}

/// How many people are enrolled in a folder; `None` if there is none yet.
///
/// # Errors
/// If it cannot be read.
pub fn enrolled(gallery: &config::Gallery) -> Result<Option<usize>, Failure> {
    if !gallery.folder.exists() {
        return Ok(None);
    }
    let store = super::gallery::open_configured(gallery).map_err(super::gallery::store_failure)?;
    Ok(Some(store.load().map_err(super::gallery::store_failure)?.people.len()))
}
