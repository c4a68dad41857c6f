//! What is published where.

use sha2::{Digest as _, Sha256};

use super::MqttError;
use crate::config::Mqtt;
use crate::domain::CameraId;

/// The topics of one installation, all below `<prefix>/<site>`.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    base: String,
}

impl Topics {
    /// # Errors
    /// [`MqttError::SameTopic`] if two cameras would share their topics.
    pub(super) fn new(settings: &Mqtt, site: &str, cameras: &[CameraId]) -> Result<Self, MqttError> {
        for (at, camera) in cameras.iter().enumerate() {
            if let Some(other) = cameras[..at].iter().find(|other| level(other) == level(camera)) {
                return Err(MqttError::SameTopic { first: other.clone(), second: camera.clone() });
            }
        }
        Ok(Self { base: format!("{}/{site}", settings.topic_prefix) })
    }

    /// `online` or `offline`, retained.
    pub(super) fn availability(&self) -> String {
        format!("{}/availability", self.base)
    }

    /// Events of this camera, or those of none.
    pub(super) fn event(&self, camera: Option<&CameraId>) -> String {
        match camera {
            Some(camera) => format!("{}/{}/event", self.base, level(camera)),
            None => format!("{}/event", self.base),
        }
    }

    /// How it goes with a camera, retained.
    pub(super) fn state(&self, camera: &CameraId) -> String {
        format!("{}/{}/state", self.base, level(camera))
    }

    /// `ON` for every grant.
    pub(super) fn granted(&self, camera: &CameraId) -> String {
        format!("{}/{}/granted", self.base, level(camera))
    }

    /// Names a camera in places that take only ASCII letters, digits, `-` and `_`. Readable, and unique among all
    /// installations at a broker: the end is a digest of everything that tells them apart.
    pub(super) fn identifier(&self, camera: &CameraId) -> String {
        let whole = format!("{}/{}", self.base, level(camera));
        let mut name = String::from("facewarden_");
        let site_and_camera = whole.rsplitn(3, '/').take(2).collect::<Vec<_>>();
        for part in site_and_camera.iter().rev() {
            name.extend(
                part.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }),
            );
            name.push('_');
        }
        for byte in Sha256::digest(whole.as_bytes()).iter().take(4) {
            name.push_str(&format!("{byte:02x}"));
        }
        name
    }
}

/// A camera's name as one level of a topic. `/` would make two of it, `+` and `#` are wildcards, and brokers refuse
/// control characters (MQTT 5, sections 1.5.4 and 4.7).
fn level(camera: &CameraId) -> String {
    camera
        .as_str()
        .chars()
        .map(|c| if c.is_control() || matches!(c, '/' | '+' | '#') { '_' } else { c })
        .collect()
}
