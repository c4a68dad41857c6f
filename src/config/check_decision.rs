//! What [`check()`](super::check()) says about decisions and liveness.

use std::time::Duration;

use super::check::{DAY_MS, Findings};
use super::types::{Config, Decision, LivenessMode};

/// A share of strangers' visits.
pub(super) fn rate(key: &str, rate: f64, found: &mut Findings) {
    if !(rate > 0.0 && rate < 1.0) {
        found.error(
            key,
            format!("`{key}` cannot be {rate}"),
            "write a share of strangers' visits above 0 and below 1, such as 1.0e-4 for one in 10,000",
        );
    } else if rate > 0.01 {
        found.warning(
            key,
            format!("`{key}` of {rate} lets in one stranger in {:.0}", 1.0 / rate),
            "1.0e-4, one in 10,000, is the default",
        );
    }
}

pub(super) fn liveness(config: &Config, found: &mut Findings) {
    let liveness = &config.liveness;
    let fits = found.range("liveness.min_mean", liveness.min_mean, (0.0, 1.0));
    found.range("liveness.min_looks", liveness.min_looks, (1, 100));
    found.range("liveness.min_span_ms", liveness.min_span_ms, (0, 60_000));
    found.range("liveness.max_overexposed", liveness.max_overexposed, (0.0, 1.0));
    found.range("liveness.max_failed", liveness.max_failed, (1, 100));
    found.range("liveness.lockout_ms", liveness.lockout_ms, (0, DAY_MS));
    if liveness.self_test_file.as_os_str().is_empty() {
        found.error("liveness.self_test_file", "`liveness.self_test_file` is empty", "name a file");
    }
    found.range("liveness.max_apcer", liveness.max_apcer, (0.0, 1.0));
    found.range("liveness.max_bpcer", liveness.max_bpcer, (0.0, 1.0));
    let challenge = &liveness.challenge;
    found.range("liveness.challenge.steps", challenge.steps, (2, 8));
    found.range("liveness.challenge.step_timeout_ms", challenge.step_timeout_ms, (1000, 30_000));
    let min = found.range("liveness.challenge.pause_min_ms", challenge.pause_min_ms, (200, 30_000));
    if found.range("liveness.challenge.pause_max_ms", challenge.pause_max_ms, (500, 30_000))
        && min
        && challenge.pause_max_ms < challenge.pause_min_ms.saturating_add(1000)
    {
        found.pair(
            ("liveness.challenge.pause_max_ms", "liveness.challenge.pause_min_ms"),
            "the pauses of the challenge are all about equally long: a recording could fit them",
            "make pause_max_ms at least 1000 more than pause_min_ms",
        );
    }
    match liveness.mode {
        LivenessMode::Enforce | LivenessMode::Challenge if fits && liveness.min_mean < 0.2 => found.warning(
            "liveness.min_mean",
            format!("`liveness.min_mean` of {} hardly ever calls anything a picture", liveness.min_mean),
            "0.5 is the default",
        ),
        LivenessMode::Enforce | LivenessMode::Challenge => (),
        LivenessMode::Report => found.warning(
            "liveness.mode",
            "`liveness.mode` is report: a printed photo can be verified",
            "`enforce` turns away what looks like a picture",
        ),
        LivenessMode::Off => found.warning(
            "liveness.mode",
            "`liveness.mode` is off: a printed photo can be verified",
            "`enforce` turns away what looks like a picture",
        ),
    }
    if liveness.require_self_test && matches!(liveness.mode, LivenessMode::Report | LivenessMode::Off) {
        found.pair(
            ("liveness.require_self_test", "liveness.mode"),
            "`liveness.require_self_test` asks for a test of what decides nothing",
            "set `liveness.mode` to enforce or challenge, or leave require_self_test out",
        );
    }
}

pub(super) fn decision(decision: &Decision, found: &mut Findings) {
    rate("decision.false_match_rate", decision.false_match_rate, found);
    found.range("decision.stranger_visits_per_day", decision.stranger_visits_per_day, (0.0, 1e6));
    if let Some(similarity) = decision.min_similarity
        && similarity.value() < 0.3
    {
        found.warning(
            "decision.min_similarity",
            format!(
                "`decision.min_similarity` of {} takes strangers for enrolled people",
                similarity.value()
            ),
            "leave the line out: then it follows from `decision.false_match_rate`",
        );
    }
    found.range("decision.min_margin", decision.min_margin, (0.0, 1.0));
    if found.range("decision.min_looks", decision.min_looks, (1, 100)) && decision.min_looks == 1 {
        found.warning(
            "decision.min_looks",
            "`decision.min_looks` of 1 lets a single picture decide",
            "one lucky frame of a stranger is enough then; 2 is the default",
        );
    }
    let window = found.range("decision.window_ms", decision.window_ms, (1, 60_000));
    if found.range("decision.give_up_after_ms", decision.give_up_after_ms, (1, 600_000))
        && window
        && decision.give_up_after_ms < decision.window_ms
    {
        found.pair(
            ("decision.give_up_after_ms", "decision.window_ms"),
            format!(
                "`decision.give_up_after_ms` {} is shorter than `decision.window_ms` {}",
                decision.give_up_after_ms, decision.window_ms
            ),
            "people would be turned away before the window is full: make it as long or longer",
        );
    }
    found.range("decision.cooldown_ms", decision.cooldown_ms, (0, DAY_MS));
    if found.range("decision.grant_valid_ms", decision.grant_valid_ms, (1, 60_000))
        && decision.grant_valid_ms > 10_000
    {
        found.warning(
            "decision.grant_valid_ms",
            format!("`decision.grant_valid_ms` of {} lets a late event open a door", decision.grant_valid_ms),
            "whoever was verified may be gone by then; 2000 is the default",
        );
    }
}

/// As many looks as are needed have to fit into the window at the rate at which faces are looked for.
pub(super) fn looks_fit_into_window(config: &Config, found: &mut Findings) {
    let (decision, liveness) = (&config.decision, &config.liveness);
    let max_fps = config.detection.max_fps;
    // Each of them out of range has been said already.
    if !(max_fps > 0.0 && max_fps <= 240.0 && (1..=60_000).contains(&decision.window_ms)) {
        return;
    }
    let seconds = Duration::from_millis(decision.window_ms).as_secs_f64();
    // Both ends of the window count: n looks span n - 1 intervals.
    let most = (seconds * max_fps).floor() + 1.0;
    let decides = matches!(liveness.mode, LivenessMode::Enforce | LivenessMode::Challenge);
    let mut keys = vec![("decision.min_looks", decision.min_looks)];
    if decides {
        keys.push(("liveness.min_looks", liveness.min_looks));
    }
    for (key, looks) in keys {
        if looks <= 100 && f64::from(looks) > most {
            found.pair(
                (key, "decision.window_ms"),
                format!("`{key}` {looks} looks never fit into `decision.window_ms` {}", decision.window_ms),
                format!(
                    "at `detection.max_fps` {max_fps} there are {most} at most: nobody would ever be verified"
                ),
            );
        }
    }
    if decides && liveness.min_span_ms <= 60_000 && liveness.min_span_ms > decision.window_ms {
        found.pair(
            ("liveness.min_span_ms", "decision.window_ms"),
            format!(
                "`liveness.min_span_ms` {} is longer than `decision.window_ms` {}",
                liveness.min_span_ms, decision.window_ms
            ),
            "only looks within the window count: make it as long or shorter",
        );
    }
}
