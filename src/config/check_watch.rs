//! What [`check()`](super::check()) says about watching a camera's view.

use super::check::{DAY_MS, Findings};
use super::watch::{OnFault, Watch};

/// `key` names a setting of `watch` in full.
pub(super) fn watch(watch: &Watch, key: impl Fn(&str) -> String, found: &mut Findings) {
    found.range(&key("frozen_after_ms"), watch.frozen_after_ms, (500, 600_000));
    found.range(&key("obstructed_after_ms"), watch.obstructed_after_ms, (500, 600_000));
    found.range(&key("moved_after_ms"), watch.moved_after_ms, (1000, 600_000));
    found.range(&key("clear_after_ms"), watch.clear_after_ms, (100, 600_000));
    if let Some(confirm) = watch.moved_confirm_after_ms
        && found.range(&key("moved_confirm_after_ms"), confirm, (1000, DAY_MS))
        && watch.moved == OnFault::Refuse
    {
        found.warning(
            &key("moved_confirm_after_ms"),
            format!(
                "whoever turns the camera away need only wait {confirm} ms until people are verified again"
            ),
            "`null` waits for a reload or a restart of the service instead",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Camera, Config, Severity, Speed, check};
    use crate::domain::CameraId;

    fn findings(change: impl Fn(&mut Camera)) -> Vec<(Severity, String)> {
        let mut camera = Camera::new(CameraId::new("door").unwrap(), "/dev/video0".into());
        change(&mut camera);
        check(&Config::new(camera)).into_iter().map(|found| (found.severity, found.key)).collect()
    }

    #[test]
    fn times_have_limits_and_waiting_out_a_moved_camera_is_warned_of() {
        let with = |watch: Watch| findings(|camera| camera.watch = Some(watch.clone()));
        assert_eq!(with(Watch::default()), []);
        let refuse = Watch { moved: OnFault::Refuse, ..Watch::default() };
        let key = |name: &str| format!("cameras[0].watch.{name}");
        assert_eq!(with(refuse.clone()), [(Severity::Warning, key("moved_confirm_after_ms"))]);
        assert_eq!(with(Watch { moved_confirm_after_ms: None, ..refuse }), []);
        let short = Watch {
            frozen_after_ms: 499,
            obstructed_after_ms: 0,
            moved_after_ms: 999,
            clear_after_ms: 99,
            moved_confirm_after_ms: Some(999),
            ..Watch::default()
        };
        let keys = with(short).into_iter().map(|(severity, key)| {
            assert_eq!(severity, Severity::Error);
            key.rsplit_once('.').map(|(_, name)| name.to_owned()).unwrap_or_default()
        });
        let expected = [
            "frozen_after_ms",
            "obstructed_after_ms",
            "moved_after_ms",
            "clear_after_ms",
            "moved_confirm_after_ms",
        ];
        assert_eq!(keys.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_recording_cannot_be_played_at_any_speed() {
        for (speed, is_right) in
            [(10.0, true), (0.1, true), (0.0, false), (-1.0, false), (101.0, false), (f64::NAN, false)]
        {
            let found = findings(|camera| camera.speed = Speed::Times(speed));
            assert_eq!(found.is_empty(), is_right, "{speed}: {found:?}");
        }
    }
}
