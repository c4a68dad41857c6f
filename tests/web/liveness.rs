//! The liveness self-test at a running camera.

use std::time::Duration;

use facewarden::clock::{Clock, Moment, SystemClock};
use facewarden::domain::{CameraId, EventKind, Reason};
use facewarden::store::read_self_tests;
use serde_json::{Value, json};

use super::{AGAIN_AND_AGAIN, Served, settings};
use crate::daemon::rig::{Rig, text};
use crate::support::eventually;

/// Anything that has a face is live: what the model says of drawn clips is not what is tested here.
const EVERYTHING_PASSES: &str =
    "min_mean: 0.0, screen_edges: false, overexposure: false, min_looks: 3, min_span_ms: 200, max_apcer: 1.0";
/// The tests look again and again.
const OFTEN: &str = "requests_per_second: 1000";
const TEST: &str = "/v1/cameras/door/liveness-test";

fn served(rig: &Rig, liveness: &str) -> Served {
    let liveness = format!("self_test_file: \"{}\", {liveness}", text(&rig.path("liveness.json")));
    Served::with(rig, &liveness, &settings(rig, OFTEN, ""))
}

fn state(served: &Served) -> Value {
    served.get("/v1/cameras/door").json(200)["state"].clone()
}

/// Presents what comes to the camera until it comes to a verdict.
fn present(served: &Served, kind: &str) -> Value {
    let path = format!("{TEST}/presentations");
    for _ in 0..10 {
        let told = served.post(&path, &json!({ "kind": kind, "seconds": 6 })).json(200);
        if told["code"] == "live" || told["code"].as_str().unwrap().starts_with("picture") {
            return told;
        }
    }
    panic!("nothing came to a verdict");
}

#[test]
fn the_door_opens_from_when_the_test_was_passed() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let served = served(&rig, &format!("require_self_test: true, {EVERYTHING_PASSES}"));
    let reasons = |event: &EventKind| match event {
        EventKind::Rejected { reason, .. } => Some(*reason),
        _ => None,
    };
    served.daemon.wait_for("match.rejected", 0);
    assert!(served.daemon.events().iter().any(|event| reasons(&event.kind) == Some(Reason::NoSelfTest)));
    let standing = served.get(TEST).json(200);
    assert_eq!((&standing["is_required"], &standing["is_going_on"]), (&json!(true), &json!(false)));
    assert!(standing["missing"].as_str().unwrap().contains("there is no result"), "{standing}");

    served.post(TEST, &json!({})).json(201);
    assert_eq!(state(&served), "testing");
    served.post(TEST, &json!({})).refused(409, "in_use");
    served.post("/v1/cameras/door/enrol", &json!({ "person": "Ann" })).refused(409, "in_use");
    let decided = || served.daemon.kinds().iter().filter(|kind| kind.starts_with("match.")).count();
    let before = decided();
    let told = present(&served, "live");
    assert_eq!((&told["code"], &told["live"]["taken_for_live"]), (&json!("live"), &json!(1)), "{told}");
    let told = present(&served, "print");
    assert_eq!(told["attacks"]["print"]["taken_for_live"], 1, "{told}");
    assert_eq!(decided(), before, "somebody was decided on during the test");

    let ended = served.post(&format!("{TEST}/end"), &json!({ "min_presentations": 1 })).json(200);
    assert_eq!((&ended["report"]["is_passed"], &ended["missing"]), (&json!(true), &Value::Null), "{ended}");
    assert_eq!(ended["report"]["apcer"]["rate"], 1.0, "{ended}");
    let kept = read_self_tests(&rig.path("liveness.json")).unwrap().unwrap();
    let kept = &kept[&CameraId::new("door").unwrap()];
    assert!(kept.is_passed && kept.live.taken_for_live == 1, "{kept:?}");
    // From now on, without a restart.
    served.daemon.wait_for("match.verified", 0);
    served.post(&format!("{TEST}/end"), &json!({})).refused(409, "no_test");
    let whys: Vec<String> = served.daemon.events().iter().filter_map(|event| why(&event.kind)).collect();
    assert_eq!(whys, ["paused for LivenessTest by the token admin", "resumed for TestEnded"]);
}

fn why(event: &EventKind) -> Option<String> {
    match event {
        EventKind::CameraPaused { why, by, .. } => Some(format!("paused for {why:?} by {by}")),
        EventKind::CameraResumed { why, .. } => Some(format!("resumed for {why:?}")),
        _ => None,
    }
}

#[test]
fn a_test_that_is_broken_off_or_called_off_leaves_nothing_behind() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let served = served(&rig, &format!("mode: report, {EVERYTHING_PASSES}"));
    served.post(&format!("{TEST}/presentations"), &json!({ "kind": "live" })).refused(409, "no_test");
    served.delete(TEST).refused(409, "no_test");
    served.post("/v1/cameras/yard/liveness-test", &json!({})).refused(404, "no_such_camera");
    served.post(TEST, &json!({})).json(201);
    served.post(&format!("{TEST}/presentations"), &json!({ "kind": "mask" })).refused(400, "bad_json");
    served
        .post(&format!("{TEST}/presentations"), &json!({ "kind": "live", "seconds": 31 }))
        .refused(400, "bad_field");
    assert_eq!(served.delete(TEST).status, 204);
    eventually("it watches again", || state(&served) == "watching");

    served.post(TEST, &json!({})).json(201);
    served.post("/v1/cameras/door/pause", &json!({ "seconds": 60 })).json(200);
    served.post(&format!("{TEST}/presentations"), &json!({ "kind": "live" })).refused(409, "no_test");
    served.post(TEST, &json!({})).refused(409, "paused");
    assert_eq!(state(&served), "paused");
    served.post("/v1/cameras/door/resume", &json!({})).json(200);
    eventually("it watches again", || state(&served) == "watching");
    assert!(!rig.path("liveness.json").exists());
    let whys: Vec<String> = served.daemon.events().iter().filter_map(|event| why(&event.kind)).collect();
    // Resumed at once, the camera is given back by the test a moment later, and that is said as well.
    assert!(whys.len() == 5 || whys[5..] == ["resumed for TestEnded"], "{whys:?}");
    assert_eq!(
        whys[..5],
        [
            "paused for LivenessTest by the token admin",
            "resumed for TestEnded",
            "paused for LivenessTest by the token admin",
            "paused for Asked by the token admin",
            "resumed for Asked"
        ]
    );
    // The daemon ends while one goes on.
    served.post(TEST, &json!({})).json(201);
    let mut daemon = served.daemon;
    let (status, _) = daemon.end_by(rustix::process::Signal::TERM);
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
}

#[test]
fn a_test_is_broken_off_in_the_middle_of_a_presentation() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    // It would take long to come to a verdict.
    let served = served(&rig, "mode: report, min_looks: 100, min_span_ms: 20000");
    served.post(TEST, &json!({})).json(201);
    let clock = SystemClock::new();
    std::thread::scope(|scope| {
        let presented = scope.spawn(|| {
            let patient = json!({ "kind": "live", "seconds": 30 });
            served.post(&format!("{TEST}/presentations"), &patient).refused(409, "no_test")
        });
        std::thread::sleep(Duration::from_secs(1));
        served.post(&format!("{TEST}/end"), &json!({})).refused(409, "in_use");
        assert_eq!(served.delete(TEST).status, 204);
        let said = presented.join().unwrap();
        assert!(said.contains("broken off"), "{said}");
    });
    eventually("it watches again", || state(&served) == "watching");
    assert!(clock.now() < Moment(Duration::from_secs(25)), "it went on to its end: {:?}", clock.now());
    assert!(!rig.path("liveness.json").exists());
}

#[test]
fn what_cannot_be_tested_is_refused_and_the_door_goes_on() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let served = served(&rig, "mode: off");
    served.post(TEST, &json!({})).refused(409, "not_testable");
    eventually("it watches again", || state(&served) == "watching");
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let nowhere = Served::with(&rig, "self_test_file: /nowhere/test.json", &settings(&rig, OFTEN, ""));
    let said = nowhere.post(TEST, &json!({})).refused(507, "cannot_write");
    assert!(said.contains("liveness.self_test_file"), "{said}");
    eventually("it watches again", || state(&nowhere) == "watching");
}
