//! What [`check()`](super::check()) says about recording.

use super::check::Findings;
use super::types::{Config, LivenessMode};

/// Nobody needs pictures of visitors for longer than a month to look into a decision.
const MAX_HOURS: u32 = 31 * 24;

pub(super) fn debug(config: &Config, found: &mut Findings) {
    let debug = &config.debug;
    if debug.folder.as_os_str().is_empty() {
        found.error(
            "debug.folder",
            "`debug.folder` is empty",
            "name a folder of its own, such as /var/lib/facewarden/debug",
        );
    }
    found.range("debug.keep_hours", debug.keep_hours, (1, MAX_HOURS));
    found.range("debug.max_mb", debug.max_mb, (10, 1_000_000));
    let fits = found.range("debug.seconds_before", debug.seconds_before, (1, 60));
    if !debug.record {
        return;
    }
    found.warning(
        "debug.record",
        format!(
            "pictures of everybody who is decided about are stored in {} for {} hours, at most {} MB",
            debug.folder.display(),
            debug.keep_hours,
            debug.max_mb
        ),
        "switch it off, and empty the folder, when you have seen enough; people have a right to know of it",
    );
    let before_ms = u64::from(debug.seconds_before) * 1000;
    let longest_ms = longest_ms(config);
    if fits && before_ms <= longest_ms {
        found.warning(
            "debug.seconds_before",
            format!(
                "by these settings a decision may take {longest_ms} ms, and only the {before_ms} before it are kept: such \
                 a recording lacks its beginning"
            ),
            "let seconds_before be a few seconds more than that",
        );
    }
}

/// How long it may take from the first good look to the decision.
fn longest_ms(config: &Config) -> u64 {
    let challenge = &config.liveness.challenge;
    let asked_ms = match config.liveness.mode {
        LivenessMode::Challenge => u64::from(challenge.steps)
            .saturating_mul(challenge.pause_max_ms.saturating_add(challenge.step_timeout_ms)),
        _ => 0,
    };
    config.decision.give_up_after_ms.saturating_add(asked_ms)
}

#[cfg(test)]
mod tests {
    use crate::config::{Camera, Config, Debug, LivenessMode, Severity, check};
    use crate::domain::CameraId;

    fn findings(debug: Debug) -> Vec<String> {
        let camera = Camera::new(CameraId::new("door").unwrap(), "/dev/video0".into());
        let found = check(&Config { debug, ..Config::new(camera) });
        let line = |severity, message: &str| {
            format!("{}{message}", if severity == Severity::Error { "error: " } else { "" })
        };
        found.iter().map(|finding| line(finding.severity, &finding.message)).collect()
    }

    #[test]
    fn whoever_records_is_told_what_is_stored() {
        assert_eq!(findings(Debug::default()), [""; 0]);
        assert_eq!(
            findings(Debug { record: true, ..Debug::default() }),
            [
                "pictures of everybody who is decided about are stored in /var/lib/facewarden/debug for 24 hours, at \
              most 500 MB"
            ]
        );
        let short = findings(Debug { record: true, seconds_before: 4, ..Debug::default() });
        assert!(short[1].contains("may take 4000 ms, and only the 4000 before"), "{short:?}");
        let camera = Camera::new(CameraId::new("door").unwrap(), "/dev/video0".into());
        let mut config = Config::new(camera);
        config.liveness.mode = LivenessMode::Challenge;
        assert_eq!(super::longest_ms(&config), 4000 + 3 * 6500);
    }

    #[test]
    fn what_cannot_be_is_refused_also_while_it_is_off() {
        for (debug, message) in [
            (Debug { folder: "".into(), ..Debug::default() }, "error: `debug.folder` is empty"),
            (Debug { keep_hours: 0, ..Debug::default() }, "error: `debug.keep_hours` cannot be 0"),
            (Debug { max_mb: 9, ..Debug::default() }, "error: `debug.max_mb` cannot be 9"),
            (Debug { seconds_before: 61, ..Debug::default() }, "error: `debug.seconds_before` cannot be 61"),
        ] {
            assert_eq!(findings(debug), [message]);
        }
    }
}
