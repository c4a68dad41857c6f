//! What the settings of one camera say that cannot be, beyond plain ranges.

use super::check::Findings;
use super::types::{Camera, Config, ControlValue, Driver};

/// What is to be said about the camera number `at`.
pub(super) fn camera(config: &Config, at: usize, camera: &Camera, found: &mut Findings) {
    let key = |name: &str| format!("cameras[{at}].{name}");
    for (name, value) in &camera.controls {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let control = key(&format!("controls.{name}"));
        if name.is_empty() || !name.chars().all(is_name) {
            found.error(
                &key("controls"),
                format!("`{name}` is no name of a control"),
                "small letters, digits and `_`, as `facewarden devices --controls` shows them: exposure_time_absolute",
            );
        } else if *value == ControlValue::Choice(String::new()) {
            found.error(
                &control,
                format!("`{name}` is set to nothing"),
                "write a number, true, false, or the name of a choice",
            );
        }
    }
    frames_come_in_time(camera, &key("read_timeout_ms"), &key("fps"), found);
    if camera.driver == Driver::Nokhwa {
        nokhwa(config, &key("driver"), found);
    }
}

/// A camera must not count as lost from one frame to the next.
fn frames_come_in_time(camera: &Camera, timeout: &str, fps: &str, found: &mut Findings) {
    let frame_ms = 1000.0 / camera.fps;
    let timeout_ms = f64::from(u32::try_from(camera.read_timeout_ms).unwrap_or(u32::MAX));
    if frame_ms.is_finite() && frame_ms * 1.5 > timeout_ms {
        found.pair(
            (timeout, fps),
            format!(
                "at {} frames a second each takes {frame_ms:.0} ms, and `{timeout}` is {timeout_ms} ms",
                camera.fps
            ),
            format!(
                "the camera would count as lost again and again: write {:.0} or more",
                (frame_ms * 2.0).ceil()
            ),
        );
    }
}

/// The portable driver cannot tell half a frame with the rest of an older one behind it from a whole one.
fn nokhwa(config: &Config, key: &str, found: &mut Findings) {
    let opens_something = !config.events.hooks.is_empty() || !config.events.relays.is_empty();
    if opens_something && !config.decision.shadow {
        found.error(
            key,
            "hooks and relays are not run for a camera with the driver `nokhwa`: it cannot tell a frame from half a frame with \
             an older one behind it",
            "use `v4l2`, or `decision.shadow: true` for a trial",
        );
    } else {
        found.warning(
            key,
            "the driver `nokhwa` is for trials: it cannot tell a frame from half a frame with an older one behind it",
            "use `v4l2` where anything is decided by what is seen",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Severity, check};

    fn found(camera: &str, rest: &str) -> Vec<(Severity, String)> {
        let yaml = format!("schema: 1\ncameras: [{{ id: door, source: /dev/video0, {camera} }}]\n{rest}");
        match Config::from_yaml_with_warnings(&yaml, "test") {
            Ok((config, _)) => check(&config).into_iter().map(|f| (f.severity, f.message)).collect(),
            Err(error) => error.diagnostics().iter().map(|d| (d.severity, d.message.clone())).collect(),
        }
    }

    #[test]
    fn controls_have_the_names_and_values_that_controls_can_have() {
        assert_eq!(found("controls: { power_line_frequency: 50_hz, gain: 3, auto_focus: false }", ""), []);
        for (controls, expected) in [
            ("Power Line Frequency: 1", "`Power Line Frequency` is no name of a control"),
            ("\"\": 1", "`` is no name of a control"),
            ("gain: \"\"", "`gain` is set to nothing"),
        ] {
            let said = found(&format!("controls: {{ {controls} }}"), "");
            assert_eq!(said, [(Severity::Error, expected.to_owned())]);
        }
        assert_eq!(found("controls: { gain: [1] }", "").len(), 1);
    }

    #[test]
    fn a_slow_camera_needs_patience() {
        assert_eq!(found("fps: 1, read_timeout_ms: 1500", ""), []);
        let said = found("fps: 0.5", "");
        assert!(said.len() == 1 && said[0].1.contains("each takes 2000 ms"), "{said:?}");
    }

    #[test]
    fn the_portable_driver_opens_no_door() {
        let hook = "events: { hooks: [{ argv: [/bin/true] }] }\n";
        let said = |rest: &str| found("driver: nokhwa", rest).into_iter().map(|(severity, _)| severity);
        assert_eq!(said("").collect::<Vec<_>>(), [Severity::Warning]);
        assert_eq!(said(hook).collect::<Vec<_>>(), [Severity::Error]);
        let relay = "events: { relays: [{ chip: /dev/gpiochip0, line: 4 }] }\n";
        assert!(said(relay).any(|severity| severity == Severity::Error));
        let shadow = format!("{hook}decision: {{ shadow: true }}\n");
        assert!(said(&shadow).all(|severity| severity == Severity::Warning));
    }
}
