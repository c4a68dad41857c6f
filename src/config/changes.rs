//! What a running daemon can take over of changed settings, and which keys that leaves.

use std::collections::BTreeMap;

use serde_json::Value;

use super::types::{Config, LivenessMode};

/// What becomes of changed settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Takeover {
    /// The settings to go by from now on: the new ones as far as they can be taken over, else the old ones.
    pub config: Config,
    /// The keys that differ from before in them.
    pub taken: Vec<String>,
    /// The keys that take effect only when the daemon is started anew.
    pub at_next_start: Vec<String>,
}

impl Takeover {
    /// What can be taken over of `new` by a daemon that runs by `old`.
    ///
    /// Left for the next start is what the daemon is built of: which cameras there are, models, sinks, and folders.
    #[must_use]
    pub fn new(old: &Config, new: &Config) -> Self {
        let mut config = new.clone();
        let ids = |config: &Config| config.cameras.iter().map(|camera| camera.id.clone()).collect::<Vec<_>>();
        if ids(old) != ids(new) {
            config.cameras.clone_from(&old.cameras);
        }
        config.models.clone_from(&old.models);
        config.detection.max_side_px = old.detection.max_side_px;
        config.detection.min_score = old.detection.min_score;
        // Without liveness its model is not loaded.
        if (old.liveness.mode == LivenessMode::Off) != (new.liveness.mode == LivenessMode::Off) {
            config.liveness.mode = old.liveness.mode;
        }
        config.gallery.clone_from(&old.gallery);
        config.events.clone_from(&old.events);
        config.debug.clone_from(&old.debug);
        config.control.clone_from(&old.control);
        config.http.clone_from(&old.http);
        Self { taken: differences(old, &config), at_next_start: differences(&config, new), config }
    }
}

/// The keys whose values differ, in alphabetical order: `decision.min_margin`, `cameras[0].fps`. Of a list that has
/// grown or shrunk the key of the list.
fn differences(a: &Config, b: &Config) -> Vec<String> {
    let (a, b) = (leaves(a), leaves(b));
    let mut keys: Vec<String> =
        a.iter().filter(|(key, value)| b.get(*key) != Some(value)).map(|(key, _)| key.clone()).collect();
    keys.extend(b.into_keys().filter(|key| !a.contains_key(key)));
    keys.sort();
    keys.dedup();
    keys
}

/// Every value that is no map, by its key.
fn leaves(config: &Config) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    // The settings are plain data: they always have a form in JSON.
    collect(&serde_json::to_value(config).unwrap_or_default(), String::new(), &mut found);
    found
}

fn collect(value: &Value, key: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            let dot = if key.is_empty() { "" } else { "." };
            map.iter().for_each(|(name, value)| collect(value, format!("{key}{dot}{name}"), found));
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter().enumerate().for_each(|(at, value)| collect(value, format!("{key}[{at}]"), found));
        }
        _ => drop(found.insert(key, value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Camera, Hook};
    use crate::domain::CameraId;

    fn config(cameras: &[&str]) -> Config {
        let camera = |id: &&str| Camera::new(CameraId::new(id).unwrap(), format!("/dev/{id}"));
        let mut config = Config::new(camera(&cameras[0]));
        config.cameras = cameras.iter().map(camera).collect();
        config
    }

    #[test]
    fn what_can_be_is_taken_over_and_the_rest_is_named() {
        let old = config(&["door", "gate"]);
        let mut new = old.clone();
        new.decision.min_margin = 0.1;
        new.cameras[1].fps = 15.0;
        new.models.detector = "ultralight".to_owned();
        new.events.hooks.push(Hook::new(vec!["/bin/true".to_owned()]));
        let takeover = Takeover::new(&old, &new);
        assert_eq!(takeover.taken, ["cameras[1].fps", "decision.min_margin"]);
        assert_eq!(takeover.at_next_start.last().unwrap(), "models.detector");
        assert!(
            takeover
                .at_next_start
                .iter()
                .all(|key| key.starts_with("events.hooks") || key.starts_with("models."))
        );
        assert_eq!(takeover.config.models, old.models);
        assert!((takeover.config.decision.min_margin - 0.1).abs() < f32::EPSILON);
        let same = Takeover::new(&old, &old);
        assert_eq!((same.taken, same.at_next_start, same.config), (vec![], vec![], old));
    }

    #[test]
    fn other_cameras_wait_for_the_next_start_and_so_does_liveness_that_was_off() {
        let old = config(&["door"]);
        let mut new = config(&["door", "gate"]);
        new.liveness.mode = LivenessMode::Off;
        let takeover = Takeover::new(&old, &new);
        assert_eq!(takeover.config, old);
        assert!(takeover.at_next_start.iter().any(|key| key == "cameras[1].source"), "{takeover:?}");
        assert!(takeover.at_next_start.iter().any(|key| key == "liveness.mode"), "{takeover:?}");
        new.cameras.truncate(1);
        new.liveness.mode = LivenessMode::Report;
        assert_eq!(Takeover::new(&old, &new).taken, ["liveness.mode"]);
    }
}
