//! What Home Assistant is told of each camera, so that it shows a device without any configuration there
//! (<https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>).

use serde_json::{Value, json};

use super::message::Message;
use super::topics::Topics;
use crate::domain::CameraId;

/// After so long Home Assistant shows a grant as over, by itself: nobody tells it so.
const GRANT_SHOWN_SECONDS: u32 = 2;

/// The retained messages that make one device of a camera.
pub(super) fn messages(prefix: &str, topics: &Topics, camera: &CameraId) -> Vec<Message> {
    let device = topics.identifier(camera);
    let entity = |component: &str, object: &str, own: Value| {
        let mut config = json!({
            "unique_id": format!("{device}_{object}"),
            "availability_topic": topics.availability(),
            "qos": 1,
            "device": {
                "identifiers": [device],
                "name": format!("Facewarden {camera}"),
                "manufacturer": "Facewarden",
                "sw_version": env!("CARGO_PKG_VERSION"),
            },
            "origin": { "name": "Facewarden", "sw_version": env!("CARGO_PKG_VERSION") },
        });
        if let (Some(config), Value::Object(own)) = (config.as_object_mut(), own) {
            config.extend(own);
        }
        Message::retained(format!("{prefix}/{component}/{device}/{object}/config"), config.to_string())
    };
    vec![
        entity(
            "sensor",
            "last_person",
            json!({
                "name": "Last person",
                "icon": "mdi:account-check",
                "state_topic": topics.state(camera),
                "value_template": "{{ value_json.last_person }}",
                "json_attributes_topic": topics.state(camera),
            }),
        ),
        entity(
            "binary_sensor",
            "granted",
            json!({
                "name": "Granted",
                "state_topic": topics.granted(camera),
                "payload_on": "ON",
                "off_delay": GRANT_SHOWN_SECONDS,
            }),
        ),
        entity(
            "binary_sensor",
            "camera",
            json!({
                "name": "Camera",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": topics.state(camera),
                "value_template": "{{ 'ON' if value_json.state == 'watching' else 'OFF' }}",
            }),
        ),
        entity(
            "binary_sensor",
            "problem",
            json!({
                "name": "Problem",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "state_topic": topics.state(camera),
                "value_template": "{{ 'ON' if value_json.problems else 'OFF' }}",
                "json_attributes_topic": topics.state(camera),
            }),
        ),
    ]
}
