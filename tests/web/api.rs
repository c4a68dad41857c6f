//! The API under /v1.

use std::io::{BufRead as _, BufReader};

use facewarden::domain::EventKind;
use serde_json::{Value, json};

use super::{AGAIN_AND_AGAIN, Served, bearer};
use crate::daemon::rig::{Before, Rig};
use crate::support::eventually;

#[test]
fn people_are_listed_changed_and_forgotten() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    rig.enrol_somebody("Ann");
    rig.enrol_somebody("Zoë Ünal");
    let served = Served::start(&rig, "", "");
    served.daemon.wait_for("match.verified", 0);

    let all = served.get("/v1/persons?limit=2").json(200);
    let names = |list: &Value| -> Vec<String> {
        list["persons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (names(&all), all["next"].as_str(), all["total"].as_u64()),
        (vec!["Ann".into(), "Barack".into()], Some("Barack"), Some(3))
    );
    let rest = served.get("/v1/persons?limit=2&after=Barack").json(200);
    assert_eq!((names(&rest), rest["next"].as_str()), (vec!["Zoë Ünal".to_owned()], None));
    assert_eq!(names(&served.get("/v1/persons?search=%C3%BCnal").json(200)), ["Zoë Ünal"]);
    served.get("/v1/persons?limit=0").refused(400, "bad_query");
    served.get("/v1/persons?limt=1").refused(400, "bad_query");

    let barack = served.get("/v1/persons/Barack").json(200);
    let path = format!("/v1/persons/{}", barack["record"].as_str().unwrap());
    assert_eq!(served.get(&path).json(200), barack);
    assert!(!barack.to_string().contains("embedding"));
    served.get("/v1/persons/Nobody").refused(404, "no_such_person");

    let set = json!({
        "set": { "display_name": "Mr. B", "valid_until": "2020-01-01", "time_zone": "UTC", "notes": "x" },
        "add_to_groups": ["staff"]
    });
    let changed = served.patch(&path, &set).json(200);
    assert_eq!((&changed["groups"], &changed["barred"]), (&json!(["staff"]), &json!("expired")));
    assert_eq!(changed["particulars"]["display_name"], "Mr. B");
    // At the door, too, and at once.
    let seen = served.daemon.kinds().len();
    served.daemon.wait_for("match.rejected", seen);
    let set = json!({ "set": { "clear": ["valid_until", "notes"] }, "take_out_of_groups": ["staff"], "rename": "Obama" });
    let changed = served.patch(&path, &set).json(200);
    assert_eq!(
        (&changed["name"], &changed["groups"], &changed["barred"]),
        (&json!("Obama"), &json!([]), &Value::Null)
    );
    served.patch(&path, &json!({ "rename": "Ann" })).refused(409, "conflict");
    served.patch(&path, &json!({ "set": { "valid_until": "soon" } })).refused(422, "cannot_be");
    served.patch(&path, &json!({ "set": { "consent_by": "Ann" } })).refused(422, "cannot_be");
    served.patch(&path, &json!({ "name": "x" })).refused(400, "bad_json");
    served.delete(&format!("{path}/photos/2")).refused(404, "no_such_photo");
    served.delete(&format!("{path}/photos/1")).refused(409, "last_photo");

    let seen = served.daemon.kinds().len();
    served.daemon.wait_for("match.verified", seen);
    let receipt = served.delete(&path).json(200);
    assert_eq!((&receipt["schema"], &receipt["record"]), (&json!("facewarden.forget/1"), &barack["record"]));
    assert_eq!((&receipt["left"], &receipt["removed"]["templates"]), (&json!([]), &json!(1)));
    assert!(receipt["removed"]["outbox_events"].as_u64() > Some(1), "{receipt}");
    served.delete(&path).refused(404, "no_such_person");
    let seen = served.daemon.kinds().len();
    served.daemon.wait_for("match.unknown", seen);
    let kept = served.get("/v1/events?limit=500").text().to_owned();
    assert!(!kept.contains("Obama") && !kept.contains("Barack"), "{kept}");
}

#[test]
fn events_are_listed_streamed_and_explained() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let served = Served::start(&rig, "", "");
    let seen = served.daemon.wait_for("match.verified", 0);
    let verified = served.daemon.events()[seen - 1].clone();

    let page = || served.get("/v1/events?type=match.verified&person=Barack&camera=door&limit=1").json(200);
    eventually("it is kept", || page()["events"].as_array().is_some_and(|events| events.len() == 1));
    let found = page();
    let as_told: Value = serde_json::from_str(&serde_json::to_string(&verified).unwrap()).unwrap();
    assert_eq!(found["events"][0]["event"], as_told);
    let seq = found["events"][0]["seq"].as_u64().unwrap();
    assert_eq!(found["next"].as_u64(), Some(seq));
    for none in ["person=Ann", "camera=yard", "type=relay."] {
        assert_eq!(served.get(&format!("/v1/events?{none}")).json(200)["events"], json!([]), "{none}");
    }
    assert!(served.get("/v1/events?type=match.").text().contains("match.verified"));
    served.get("/v1/events?limit=501").refused(400, "bad_query");
    served.get("/v1/events?after=-1").refused(400, "bad_query");

    let explained = served.get(&format!("/v1/decisions/{}/explain", verified.id)).json(200);
    assert!(explained["text"].as_str().unwrap().contains("Barack"), "{explained}");
    served.get("/v1/decisions/01KB000000000000000000000A/explain").refused(404, "no_such_event");
    served.get("/v1/decisions/nothing/explain").refused(404, "no_such_event");

    // A reader that goes on after what it has seen misses nothing, and gets what is new.
    let stream =
        Served::agent().get(served.url("/v1/events/stream")).header("Authorization", bearer(&served.admin));
    let stream = stream.header("Last-Event-ID", (seq - 1).to_string()).call().unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut lines = BufReader::new(stream.into_body().into_reader()).lines().map(Result::unwrap);
    assert_eq!(lines.by_ref().find(|line| line.starts_with("id:")).unwrap(), format!("id: {seq}"));
    let kinds: Vec<String> = lines.filter(|line| line.starts_with("event:")).take(3).collect();
    assert!(kinds.iter().any(|kind| kind == "event: match.verified"), "{kinds:?}");
    let odd =
        Served::agent().get(served.url("/v1/events/stream")).header("Authorization", bearer(&served.admin));
    super::Answer::of(odd.header("Last-Event-ID", "x").call().unwrap()).refused(400, "bad_header");
}

#[test]
fn cameras_are_shown_paused_and_looked_through() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let mut served = Served::start(&rig, "", "");
    served.daemon.wait_for("match.verified", 0);
    assert_eq!(served.get("/v1/cameras").json(200)["cameras"][0]["state"], "watching");
    assert_eq!(served.get("/v1/cameras/door").json(200)["camera"], "door");
    served.get("/v1/cameras/yard").refused(404, "no_such_camera");

    let picture = served.get("/v1/cameras/door/snapshot?boxes=true");
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/jpeg"));
    assert_eq!(image::load_from_memory(&picture.bytes).unwrap().into_rgb8().dimensions(), (640, 360));
    let seen = served.daemon.wait_for("camera.snapshot", 0);
    let EventKind::CameraSnapshot { by, .. } = &served.daemon.events()[seen - 1].kind else { panic!() };
    assert_eq!(by, "the token admin");
    served.get("/v1/cameras/door/snapshot?boxes=perhaps").refused(400, "bad_query");
    served.get("/v1/cameras/yard/snapshot").refused(404, "no_such_camera");

    served.post("/v1/cameras/door/pause", &json!({ "seconds": 0 })).refused(422, "cannot_be");
    served.post("/v1/cameras/door/pause", &json!({})).json(200);
    assert_eq!(served.get("/v1/cameras/door").json(200)["state"], "paused");
    let ready = served.get("/readyz").json(503);
    assert_eq!(ready["reasons"], json!(["a camera is paused"]));
    served.get("/v1/cameras/door/snapshot").refused(409, "paused");
    served.post("/v1/cameras/door/enrol", &json!({ "person": "Ann" })).refused(409, "paused");
    let seen = served.daemon.kinds().len();
    served.post("/v1/cameras/door/resume", &Value::Null).json(200);
    served.daemon.wait_for("match.verified", seen);
    assert_eq!(
        served.daemon.end_by(rustix::process::Signal::TERM).0.code(),
        Some(0),
        "{}",
        served.daemon.log()
    );
}

#[test]
fn somebody_is_enrolled_at_the_camera_over_http() {
    let rig = Rig::new(&[Before::Barack(40)]);
    let served = Served::start(&rig, "", "");
    let wanted = json!({ "person": "Barack", "seconds": 20, "pictures": 1 });
    let told = served.post("/v1/cameras/door/enrol", &wanted);
    assert_eq!((told.status, told.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = told.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["type"], "done", "{lines:?}");
    assert!(lines.len() > 1 && lines[0]["type"] == "progress", "{lines:?}");
    served.daemon.wait_for("match.verified", 0);
}

#[test]
fn settings_are_shown_and_a_text_of_them_is_checked() {
    let rig = Rig::new(&[Before::Nobody(3)]);
    rig.enrol_barack();
    let served = Served::start(&rig, "", "");
    let shown = served.get("/v1/settings").json(200);
    assert_eq!(shown["settings"]["cameras"][0]["id"], "door");
    let check = |yaml: &str| served.post("/v1/config/check", &json!({ "yaml": yaml })).json(200);
    let good = check("schema: 1\ncameras: [{ id: door, source: /dev/video0 }]\n");
    assert_eq!(good["usable"], true, "{good}");
    let odd = check("schema: 1\ncameras: [{ id: door, source: /dev/video0, fsp: 3 }]\n");
    let finding = &odd["findings"][0];
    assert_eq!(
        (&odd["usable"], &finding["severity"], &finding["line"]),
        (&json!(false), &json!("error"), &json!(2))
    );
    let rates = served.get("/v1/error-rates").json(200);
    assert_eq!((rates["people"].as_u64(), rates["points"].as_array().unwrap().len()), (Some(1), 121));
    assert!(rates["needed_similarity"].as_f64() > Some(0.1), "{rates}");
}
