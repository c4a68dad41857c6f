//! Whether the self-test that the settings ask for was passed, as the daemon sees it.

use super::super::exit::Failure;
use super::subject::fingerprint;
use super::verdict::{Counts, Limits};
use crate::config::{Config, LivenessMode};
use crate::store::{SelfTest, read_self_tests};

/// What to tell the operator if nobody may be verified for want of a self-test; `None` if one is not asked for, or was
/// passed for this very camera with these models and settings.
///
/// # Errors
/// If a model's manifest cannot be read.
pub fn untested(config: &Config) -> Result<Option<String>, Failure> {
    let liveness = &config.liveness;
    let decides = matches!(liveness.mode, LivenessMode::Enforce | LivenessMode::Challenge);
    if !liveness.require_self_test || !decides {
        return Ok(None);
    }
    let fingerprint = fingerprint(config)?;
    let camera = config.cameras.first().map_or("", |camera| camera.id.as_str());
    Ok(fault(config, &fingerprint).map(|fault| {
        format!(
            "nobody is verified at camera {camera}, because `liveness.require_self_test` is on and {fault}: run `facewarden \
             liveness-test` there (with `--camera {camera}` where there are several), then reload or start again; or test in the \
             admin page"
        )
    }))
}

/// What is wrong with the result that is kept.
fn fault(config: &Config, fingerprint: &str) -> Option<String> {
    let path = &config.liveness.self_test_file;
    let camera = config.cameras.first().map(|camera| &camera.id)?;
    let tests = match read_self_tests(path) {
        Ok(Some(tests)) => tests,
        Ok(None) => return Some(format!("there is no result of one in {}", path.display())),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            return Some(format!("{error}{}", cause.unwrap_or_default()));
        }
    };
    let Some(test) = tests.get(camera) else {
        return Some(format!("{} has no result for the camera {camera}", path.display()));
    };
    fault_of(test, &Limits::new(&config.liveness, test.min_presentations), fingerprint)
}

fn fault_of(test: &SelfTest, limits: &Limits, fingerprint: &str) -> Option<String> {
    let at = test.at;
    if !test.is_passed {
        return Some(format!("the test of {at} was not passed"));
    }
    if test.fingerprint != fingerprint {
        return Some(format!("the camera, a model or a setting was changed since the test of {at}"));
    }
    // The limits may have been tightened since.
    let counts = Counts { live: test.live, attacks: test.attacks.clone() };
    let missing = counts.shortfalls(limits);
    (!missing.is_empty()).then(|| format!("the test of {at} no longer suffices ({})", missing.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::config::Camera;
    use crate::domain::CameraId;
    use crate::store::{AttackKind, Origin, Presentations, save_self_test};
    use std::collections::BTreeMap;

    fn test(fingerprint: String) -> SelfTest {
        let seen = |taken_for_live, taken_for_picture| Presentations {
            taken_for_live,
            taken_for_picture,
            no_verdict: 0,
        };
        SelfTest {
            at: WallTime("2026-11-23T12:00:00Z".parse().unwrap()),
            program: "0.1.0".to_owned(),
            fingerprint,
            from: Origin::Camera,
            min_presentations: 5,
            live: seen(9, 1),
            attacks: BTreeMap::from([(AttackKind::Phone, seen(1, 9))]),
            is_passed: true,
        }
    }

    #[test]
    fn only_a_sound_and_passed_test_of_this_very_thing_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(Camera::new(CameraId::new("door").unwrap(), "/dev/video0".to_owned()));
        let path = folder.path().join("test.json");
        config.liveness.self_test_file.clone_from(&path);
        assert_eq!(untested(&config).unwrap(), None, "it is not asked for");
        config.liveness.require_self_test = true;
        let says = |config: &Config, what: &str| {
            let message = untested(config).unwrap().unwrap();
            assert!(
                message.contains(what) && message.contains("run `facewarden liveness-test` there"),
                "{message}"
            );
        };
        says(&config, "there is no result");
        let save = |name: &str, test| save_self_test(&path, &CameraId::new(name).unwrap(), test).unwrap();
        let good = test(fingerprint(&config).unwrap());
        save("gate", good.clone());
        says(&config, "no result for the camera door");
        save("door", good.clone());
        assert_eq!(untested(&config).unwrap(), None);

        let mut changed = config.clone();
        changed.liveness.min_mean = 0.6;
        says(&changed, "was changed since the test of 2026-11-23T12:00:00.000Z");
        let mut tightened = config.clone();
        tightened.liveness.max_apcer = 0.05;
        says(&tightened, "no longer suffices (APCER is 10 % (phone)");
        save("door", SelfTest { is_passed: false, ..good.clone() });
        says(&config, "was not passed");
        save("door", good);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, whole.replace("9", "8")).unwrap();
        says(&config, "is damaged");
        std::fs::write(&path, &whole.as_bytes()[..whole.len() / 2]).unwrap();
        says(&config, "is damaged");
    }
}
