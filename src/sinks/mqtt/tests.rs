//! Topics, states, devices, and the examples of `docs/integrations`, without a broker.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::board::{Board, Doing};
use super::topics::Topics;
use super::*;
use crate::clock::WallTime;
use crate::domain::{PauseCause, ResumeCause, SCHEMA, ViewFault};

fn camera(name: &str) -> CameraId {
    name.parse().unwrap()
}

fn topics_of(cameras: &[CameraId], site: &str) -> Result<Topics, MqttError> {
    let settings: Mqtt = serde_json::from_value(json!({ "name": "test", "host": "localhost" })).unwrap();
    Topics::new(&settings, site, cameras)
}

fn at(seconds: u64) -> WallTime {
    WallTime(jiff::Timestamp::UNIX_EPOCH) + Duration::from_secs(seconds)
}

fn event(seconds: u64, kind: EventKind) -> Event {
    Event { schema: SCHEMA, id: ulid::Ulid::nil(), at: at(seconds), kind }
}

fn lost(name: &str) -> EventKind {
    EventKind::CameraLost { camera: camera(name), message: String::new() }
}

fn started() -> EventKind {
    EventKind::Started { version: String::new(), people: 0 }
}

#[test]
fn a_camera_is_one_level_and_its_identifier_is_plain_and_unique() {
    let topics = topics_of(&[], "main").unwrap();
    assert_eq!(topics.state(&camera("front/+#/door")), "facewarden/main/front____door/state");
    assert_eq!(topics.event(None), "facewarden/main/event");
    assert_eq!(topics.granted(&camera("Tür 1")), "facewarden/main/Tür 1/granted");
    let odd =
        [("main", "front door"), ("main", "front_door"), ("main_front", "door"), ("main", "front.door")];
    let identifiers: BTreeSet<String> =
        odd.iter().map(|(site, name)| topics_of(&[], site).unwrap().identifier(&camera(name))).collect();
    assert_eq!(identifiers.len(), odd.len(), "{identifiers:?}");
    for identifier in identifiers {
        assert!(identifier.starts_with("facewarden_main_front_door_"), "{identifier}");
        assert!(identifier.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{identifier}");
    }
    assert!(matches!(topics_of(&[camera("a#"), camera("a+")], "main"), Err(MqttError::SameTopic { .. })));
}

#[test]
fn the_state_follows_the_events() {
    let cameras = [camera("a"), camera("b")];
    let mut board = Board::new(&cameras, at(100));
    let seen = |board: &Board| board.states().iter().map(|s| (s.state, s.since)).collect::<Vec<_>>();
    assert_eq!(seen(&board), [(Doing::Starting, at(100)); 2]);
    // What an earlier run left undelivered, and did not live to take back.
    assert_eq!(board.apply(&event(50, lost("a"))).len(), 1);
    assert_eq!(board.apply(&event(101, lost("b"))).len(), 1);
    assert_eq!(seen(&board), [(Doing::Lost, at(50)), (Doing::Lost, at(101))]);
    assert_eq!(board.apply(&event(102, started())).len(), 2);
    assert_eq!(seen(&board), [(Doing::Watching, at(102)), (Doing::Lost, at(101))], "b was lost in this run");
    board.apply(&event(103, EventKind::CameraRecovered { camera: camera("b") }));
    board.apply(&event(104, EventKind::CameraRecovered { camera: camera("b") }));
    assert_eq!(seen(&board)[1], (Doing::Watching, at(103)), "the first time counts");
    let paused = |why| EventKind::CameraPaused { camera: camera("b"), why, by: String::new(), until: None };
    let resumed = |why| EventKind::CameraResumed { camera: camera("b"), why, by: None };
    // While somebody is enrolled the camera still gives frames.
    assert!(board.apply(&event(104, paused(PauseCause::Enrolment))).is_empty());
    assert!(board.apply(&event(104, resumed(ResumeCause::EnrolmentEnded))).is_empty());
    board.apply(&event(104, paused(PauseCause::Asked)));
    assert_eq!(seen(&board)[1], (Doing::Paused, at(104)));
    board.apply(&event(105, resumed(ResumeCause::TimeIsOver)));
    assert_eq!(seen(&board)[1], (Doing::Watching, at(105)));
    assert!(board.apply(&event(105, lost("elsewhere"))).is_empty());
    board.apply(&event(106, EventKind::Stopping { message: String::new() }));
    assert_eq!(seen(&board), [(Doing::Stopped, at(106)); 2]);
    assert_eq!(
        serde_json::to_value(&board.states()[0]).unwrap(),
        json!({
            "camera": "a", "state": "stopped", "since": "1970-01-01T00:01:46.000Z",
            "problems": [], "last_person": null, "last_person_at": null,
        })
    );
}

#[test]
fn what_is_wrong_with_a_view_is_a_problem_until_it_is_over() {
    let mut board = Board::new(&[camera("a"), camera("b")], at(100));
    let problems = |board: &Board| serde_json::to_value(&board.states()[0].problems).unwrap();
    let wrong = |fault| EventKind::view_fault(camera("a"), fault, true, String::new());
    let over = |fault| EventKind::CameraClear { camera: camera("a"), over: fault, message: String::new() };
    assert!(Board::concerns(&wrong(ViewFault::Frozen)) && Board::concerns(&over(ViewFault::Frozen)));
    assert_eq!(board.apply(&event(101, wrong(ViewFault::Moved))).len(), 1, "that camera alone");
    board.apply(&event(102, wrong(ViewFault::Covered)));
    assert_eq!(problems(&board), json!(["covered", "moved"]));
    board.apply(&event(103, over(ViewFault::Covered)));
    assert_eq!(problems(&board), json!(["moved"]));
    board.apply(&event(104, started()));
    assert_eq!(problems(&board), json!([]), "each run looks anew");
}

#[test]
fn a_grant_tells_a_broker_how_long_it_is_good() {
    let grant: Event = serde_json::from_value(live_event(&at(1004).to_string())).unwrap();
    assert_eq!(seconds_left(&grant, at(1000)), Some(4));
    assert_eq!(seconds_left(&grant, at(1003) + Duration::from_millis(900)), Some(1), "at least one");
    assert_eq!(seconds_left(&grant.as_of(at(1004)), at(1004)), None);
}

#[test]
fn each_camera_is_a_device_of_four_entities() {
    let door = camera("front door");
    let topics = topics_of(std::slice::from_ref(&door), "main").unwrap();
    let messages = discovery::messages("homeassistant", &topics, &door);
    let device = topics.identifier(&door);
    let configs: Vec<Value> =
        messages.iter().map(|message| serde_json::from_slice(&message.payload).unwrap()).collect();
    assert!(messages.iter().all(|message| message.is_retained));
    assert_eq!(messages[0].topic, format!("homeassistant/sensor/{device}/last_person/config"));
    assert_eq!(configs[0]["state_topic"], topics.state(&door));
    assert_eq!(configs[1]["state_topic"], topics.granted(&door));
    assert_eq!((&configs[1]["payload_on"], &configs[1]["off_delay"]), (&json!("ON"), &json!(2)));
    assert_eq!(configs[2]["device_class"], "connectivity");
    assert_eq!(
        (&configs[3]["device_class"], &configs[3]["state_topic"]),
        (&json!("problem"), &json!(topics.state(&door)))
    );
    let unique: BTreeSet<_> = configs.iter().map(|c| c["unique_id"].as_str().unwrap()).collect();
    assert_eq!(unique.len(), 4);
    for config in &configs {
        assert_eq!(config["device"]["identifiers"], json!([device]));
        assert_eq!(config["device"]["manufacturer"], "Facewarden");
        assert_eq!(config["availability_topic"], topics.availability());
    }
}

// ---- the examples ----

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// The event topic of the camera `door`, with every default.
fn door_events() -> String {
    topics_of(&[], "main").unwrap().event(Some(&camera("door")))
}

fn live_event(expires_at: &str) -> Value {
    json!({
        "schema": 1, "id": "00000000000000000000000001", "at": expires_at, "type": "match.verified",
        "person": "Ada", "expires_at": expires_at, "camera": "door", "track": 1, "captured_at": expires_at,
        "decided_at": expires_at, "observations": 1, "agreeing": 1, "liveness_mode": "off", "model": "",
    })
}

#[test]
fn the_automation_for_home_assistant_listens_where_events_are_and_looks_at_the_time() {
    let text = document("integrations/home_assistant.yaml");
    let automation: Value = serde_yaml::from_str(&text).unwrap();
    let automation = &automation[0];
    let trigger = &automation["triggers"][0];
    assert_eq!((&trigger["trigger"], &trigger["topic"]), (&json!("mqtt"), &json!(door_events())));
    let condition = automation["conditions"][0]["value_template"].as_str().unwrap();
    for part in ["'match.verified'", "expired", "expires_at", "now()"] {
        assert!(condition.contains(part), "{condition}");
    }
    assert!(automation["actions"][0]["action"].is_string());
}

#[test]
fn the_documentation_has_every_topic() {
    let text = document("mqtt.md");
    let topics = topics_of(&[], "main").unwrap();
    let door = camera("door");
    for topic in [
        topics.availability(),
        topics.event(None),
        topics.event(Some(&door)),
        topics.state(&door),
        topics.granted(&door),
    ] {
        assert!(text.contains(&format!("| `{topic}` |")), "{topic}");
    }
    for message in discovery::messages("homeassistant", &topics, &door) {
        assert!(text.contains(&message.topic), "{}", message.topic);
    }
}

#[test]
fn the_flow_for_node_red_opens_for_live_grants_alone() {
    let flow: Value = serde_json::from_str(&document("integrations/node_red_flow.json")).unwrap();
    let nodes = flow.as_array().unwrap();
    let of_type = |wanted: &str| nodes.iter().find(|node| node["type"] == wanted).unwrap();
    let (input, function) = (of_type("mqtt in"), of_type("function"));
    assert_eq!(input["topic"], door_events());
    assert_eq!(input["wires"], json!([[function["id"]]]));
    assert_eq!(input["broker"], of_type("mqtt-broker")["id"]);
    let known = |id: &Value| nodes.iter().any(|node| node["id"] == *id);
    assert!(function["wires"][0].as_array().unwrap().iter().all(known));
    let run = "const [body, payload] = process.argv.slice(1);\n\
               const out = new Function('msg', body)({ payload: JSON.parse(payload) });\n\
               console.log(JSON.stringify(out ?? null));";
    let answer = |event: &Value| -> Option<Value> {
        let output = Command::new("node")
            .args(["-e", run, function["func"].as_str().unwrap(), &event.to_string()])
            .stderr(Stdio::inherit())
            .output();
        match output {
            Ok(output) => Some(serde_json::from_slice(&output.stdout).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("{error}"),
        }
    };
    let (future, past) = ("2999-01-01T00:00:00.000Z", "2000-01-01T00:00:00.000Z");
    let Some(opened) = answer(&live_event(future)) else {
        eprintln!("SKIPPED: node is not installed, so the function was not run");
        return;
    };
    assert_eq!(opened["payload"], json!({ "open": true, "person": "Ada", "camera": "door" }));
    let mut marked = live_event(future);
    marked["expired"] = json!(true);
    let mut other = live_event(future);
    other["type"] = json!("match.shadow");
    let mut without = live_event(future);
    without.as_object_mut().unwrap().remove("expires_at");
    for (what, event) in [
        ("its time is over", live_event(past)),
        ("it says that it has expired", marked),
        ("it is no grant", other),
        ("nobody knows until when", without),
        ("it is no event", json!("nonsense")),
        ("it is nothing", json!(null)),
    ] {
        assert_eq!(answer(&event), Some(Value::Null), "{what}");
    }
}
