//! The daemon's answers, asked with the real program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use facewarden::domain::{EventKind, PauseCause, ResumeCause};
use rustix::process::Signal;
use serde_json::Value;

use super::{ctl, settings, socket, watch};
use crate::daemon::rig::Before::{Barack, Nobody};
use crate::daemon::rig::{Before, Rig, text};
use crate::support::eventually;

/// Somebody comes every two seconds; at ten frames a second.
const AGAIN_AND_AGAIN: [Before; 2] = [Barack(10), Nobody(10)];

fn status(rig: &Rig, code: i32) -> Value {
    ctl(rig, &["status", "--json"]).code(code).json()
}

/// All keys of a JSON value, at any depth.
fn keys(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            out.push(key.clone());
            keys(value, out);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys(item, out)),
        _ => (),
    }
}

#[test]
fn status_says_how_it_goes_and_no_score() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    rig.enrol_somebody("Ann");
    let daemon = watch(&rig, "");
    daemon.wait_for("match.verified", 0);
    let found = status(&rig, 0);
    let camera = &found["cameras"][0];
    assert_eq!((camera["camera"].as_str(), camera["state"].as_str()), (Some("door"), Some("watching")));
    assert!(camera["source"].as_str().unwrap().contains(text(&rig.frames())), "{camera}");
    assert!(
        camera["counts"]["detected"].as_u64() > Some(0) && camera["counts"]["decisions"].as_u64() > Some(0)
    );
    assert!(camera["frame_lag_p50_ms"].as_u64() <= camera["frame_lag_p99_ms"].as_u64());
    // Ann is enrolled with the numbers of another model.
    assert_eq!(
        (found["people"].as_u64(), found["version"].as_str()),
        (Some(1), Some(env!("CARGO_PKG_VERSION")))
    );
    assert!(found["gallery_trouble"][0].as_str().unwrap().contains("another model"), "{found}");
    assert!(found["degraded"][0]["message"].as_str().unwrap().contains("another model"), "{found}");
    assert!(found["last_event"]["kind"].as_str().unwrap().contains('.'), "{found}");
    eventually("rates", || status(&rig, 0)["cameras"][0]["captured_fps"].as_f64() > Some(0.0));
    let mut names = Vec::new();
    keys(&found, &mut names);
    for secret in ["similarity", "score", "threshold", "person", "liveness"] {
        assert!(!names.iter().any(|name| name.contains(secret)), "{secret}: {names:?}");
    }
    let page = ctl(&rig, &["status"]).code(0).out;
    for words in ["door: watching for ", " looked at", "last event  ", "watchdog    off", "people      1\n"] {
        assert!(page.contains(words), "{words}\n{page}");
    }
}

#[test]
fn a_paused_camera_sees_nobody_until_it_is_resumed() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let mut daemon = watch(&rig, "");
    let seen = daemon.wait_for("match.verified", 0);
    assert!(ctl(&rig, &["pause", "yard"]).code(66).err.contains("no camera `yard`, only: door"));
    let said = ctl(&rig, &["pause"]).code(0).out;
    assert!(said.starts_with("door: paused until it is resumed"), "{said}");
    let paused = daemon.wait_for("camera.paused", seen);
    let EventKind::CameraPaused { why, by, until, .. } = &daemon.events()[paused - 1].kind else { panic!() };
    assert_eq!((*why, *until), (PauseCause::Asked, None));
    assert!(by.ends_with(&format!("uid {})", rustix::process::geteuid().as_raw())), "{by}");
    let page = ctl(&rig, &["status"]).code(1).out;
    assert!(page.contains("door: PAUSED for ") && page.contains(by.as_str()), "{page}");
    // The last frame before it may still be on its way.
    let captured = || status(&rig, 1)["cameras"][0]["counts"]["captured"].as_u64().unwrap();
    let mut before = captured();
    eventually("it is closed", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        std::mem::replace(&mut before, captured()) == before
    });
    for request in [&["snapshot", "-o", "never.jpg"][..], &["enroll", "Ann", "--live"]] {
        assert!(ctl(&rig, request).code(69).err.contains("door is paused"));
    }
    // A reload does not end it.
    ctl(&rig, &["reload"]).code(0);
    assert_eq!(status(&rig, 1)["cameras"][0]["state"], "paused");
    assert_eq!(daemon.kinds().len(), paused, "{:?}", daemon.kinds());

    assert_eq!(ctl(&rig, &["resume", "door"]).code(0).out, "door: watched again\n");
    let resumed = daemon.wait_for("camera.resumed", paused);
    assert_eq!(resumed, paused + 1, "{:?}", daemon.kinds());
    daemon.wait_for("match.verified", resumed);
    assert_eq!(ctl(&rig, &["resume"]).code(0).out, "door: not paused\n");

    let before = daemon.kinds().len();
    ctl(&rig, &["pause", "door", "--for", "1s"]).code(0);
    let paused = daemon.wait_for("camera.paused", before);
    let resumed = daemon.wait_for("camera.resumed", paused);
    let (EventKind::CameraPaused { until: Some(until), .. }, EventKind::CameraResumed { why, by, .. }) =
        (&daemon.events()[paused - 1].kind, &daemon.events()[resumed - 1].kind)
    else {
        panic!("{:?}", daemon.events())
    };
    assert_eq!((*why, by.as_ref()), (ResumeCause::TimeIsOver, None));
    assert!(daemon.events()[resumed - 1].at >= *until);
    daemon.wait_for("match.verified", resumed);
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0), "{}", daemon.log());
    assert!(!socket(&rig).exists());
}

#[test]
fn a_snapshot_is_written_by_whoever_asks_and_leaves_a_trace() {
    let rig = Rig::new(&[Barack(40)]);
    rig.enrol_barack();
    let daemon = watch(&rig, "");
    daemon.wait_for("match.verified", 0);
    let (plain, drawn) = (rig.path("plain.jpg"), rig.path("drawn.jpg"));
    let said = ctl(&rig, &["snapshot", "-o", text(&plain)]).code(0).out;
    assert!(said.starts_with(&format!("{}: door at 20", text(&plain))), "{said}");
    assert_eq!(fs::metadata(&plain).unwrap().permissions().mode() & 0o777, 0o600);
    ctl(&rig, &["snapshot", "door", "--boxes", "-o", text(&drawn)]).code(0);
    let [plain_picture, drawn_picture] = [&plain, &drawn].map(|path| image::open(path).unwrap().into_rgb8());
    assert_eq!((plain_picture.dimensions(), drawn_picture.dimensions()), ((640, 360), (640, 360)));
    // Barack is verified, so his box is green; nothing on these frames is.
    let green = |picture: &image::RgbImage| {
        picture.pixels().filter(|p| p[1] > 160 && p[0] < 90 && p[2] < 130).count()
    };
    assert_eq!(green(&plain_picture), 0);
    assert!(green(&drawn_picture) > 100, "{}", green(&drawn_picture));
    // Nothing is replaced, neither here nor through a link, and no picture is taken in vain.
    let told = || daemon.kinds().iter().filter(|kind| **kind == "camera.snapshot").count();
    eventually("two traces", || told() == 2);
    let before = fs::read(&plain).unwrap();
    let refused = ctl(&rig, &["snapshot", "-o", text(&plain)]).code(73);
    assert!(refused.err.contains("there already") && fs::read(&plain).unwrap() == before);
    assert_eq!(told(), 2);
    let link = rig.path("link.jpg");
    std::os::unix::fs::symlink(&plain, &link).unwrap();
    ctl(&rig, &["snapshot", "--force", "-o", text(&link)]).code(0);
    assert!(fs::symlink_metadata(&link).unwrap().is_file() && fs::read(&plain).unwrap() == before);
    ctl(&rig, &["snapshot", "-o", "/nonexistent/x.jpg"]).code(73);
    let names: Vec<_> = fs::read_dir(rig.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let pictures = names.iter().filter(|name| name.to_str().unwrap().contains("jpg"));
    assert_eq!(pictures.count(), 3, "{names:?}");
}

#[test]
fn a_reload_says_what_came_of_it_and_refuses_faulty_settings() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let daemon = watch(&rig, "gallery: { reload_every_ms: 3600000 }");
    daemon.wait_for("match.unknown", 0);
    rig.enrol_barack();
    let said = ctl(&rig, &["reload"]).code(0).out;
    assert!(said.ends_with("1 person enrolled\n"), "{said}");
    let seen = daemon.wait_for("person.enrolled", 0);
    daemon.wait_for("match.verified", seen);
    let config = rig.path("facewarden.yaml");
    let before = fs::read_to_string(&config).unwrap();
    let write = |from: &str, to: &str| {
        assert!(before.contains(from), "{before}");
        fs::write(&config, before.replace(from, to)).unwrap();
    };
    write("cooldown_ms: 300", "cooldown_ms: 400, min_marjin: 0.1");
    let refused = ctl(&rig, &["reload"]).code(78);
    for words in ["facewarden.yaml:5:31", "did you mean `min_margin`?"] {
        assert!(refused.err.contains(words), "{}", refused.err);
    }
    write("cooldown_ms: 300 }", "cooldown_ms: 400 }\nmodels: { detector: ultralight }");
    let said = ctl(&rig, &["reload"]).code(0).out;
    let expected =
        "in force: decision.cooldown_ms\nonly after a restart: models.detector\n1 person enrolled\n";
    assert_eq!(said, expected);
    let latest = daemon.events().len();
    daemon.wait_for("match.verified", latest);
}

#[test]
fn with_several_cameras_one_is_paused_and_the_other_watches() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let frames = rig.frames();
    let camera = |id| format!("  - {{ id: {id}, source: \"{}\", fps: 10, loops: 1000000 }}\n", text(&frames));
    let yaml = format!(
        "schema: 1\ncameras:\n{}{}liveness: {{ mode: report }}\ndecision: {{ cooldown_ms: 300 }}\n{}\n",
        camera("door"),
        camera("gate"),
        settings(&rig, "")
    );
    let config = rig.path("facewarden.yaml");
    fs::write(&config, yaml).unwrap();
    let daemon = rig.start(&["run", "--config", text(&config), "--gallery", text(&rig.enrolled())]);
    assert!(daemon.told().starts_with("READY=1"), "{}", daemon.log());
    assert_eq!(ctl(&rig, &["pause", "door"]).code(0).out.split(':').next(), Some("door"));
    let paused = daemon.wait_for("camera.paused", 0);
    let states = || {
        let found = status(&rig, 1);
        let cameras = found["cameras"].as_array().unwrap().clone();
        cameras.iter().map(|camera| camera["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states(), ["paused", "watching"]);
    let seen = daemon.wait_for("match.verified", paused);
    let seen = daemon.wait_for("match.verified", seen);
    let of_gate =
        |event: &facewarden::domain::Event| event.kind.camera().is_some_and(|id| id.as_str() == "gate");
    assert!(daemon.events()[paused..seen].iter().all(of_gate), "{:?}", daemon.events());
    let (which, output) = (rig.path("which.jpg"), rig.path("gate.jpg"));
    let refused = ctl(&rig, &["snapshot", "-o", text(&which)]).code(66);
    assert!(refused.err.contains("several cameras, name one: door, gate"), "{}", refused.err);
    ctl(&rig, &["snapshot", "gate", "-o", text(&output)]).code(0);
    // Without a name all are meant.
    assert!(ctl(&rig, &["pause"]).code(0).out.starts_with("door, gate: paused"));
    assert_eq!(states(), ["paused", "paused"]);
    assert_eq!(ctl(&rig, &["resume"]).code(0).out, "door, gate: watched again\n");
    let latest = daemon.events().len();
    eventually("both watch", || {
        let events = daemon.events();
        let verified = |gate: bool| {
            events[latest..]
                .iter()
                .any(|event| event.kind.name() == "match.verified" && of_gate(event) == gate)
        };
        verified(true) && verified(false)
    });
}

#[test]
fn two_daemons_never_share_a_socket_and_one_that_was_killed_is_in_nobodys_way() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let mut first = watch(&rig, "");
    let other = Rig::new(&AGAIN_AND_AGAIN);
    let mut second = other.watch(&settings(&rig, ""));
    let (code, said) = second.failure();
    assert!(code == 75 && said.contains("another daemon answers"), "{code}: {said}");
    ctl(&rig, &["status"]).code(0);
    assert_eq!(first.end_by(Signal::KILL).0.code(), None);
    assert!(socket(&rig).exists());
    let left = ctl(&rig, &["status"]).code(69);
    assert!(left.err.contains("nobody answers"), "{}", left.err);
    let third = other.watch(&settings(&rig, ""));
    assert!(third.told().starts_with("READY=1"), "{}", third.log());
    ctl(&rig, &["status"]).code(0);
}

#[test]
fn where_the_socket_is_follows_from_the_configuration_or_the_service_manager() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let daemon = watch(&rig, "");
    let config = rig.path("facewarden.yaml");
    let by_config = |path: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_facewarden"));
        crate::support::Ran::of(command.args(["ctl", "status", "--config", text(path)]))
    };
    by_config(&config).code(0);
    by_config(&rig.path("none.yaml")).code(66);
    let off = rig.path("off.yaml");
    fs::write(&off, fs::read_to_string(&config).unwrap().replace("control: {", "control: { enabled: false,"))
        .unwrap();
    assert!(by_config(&off).code(69).err.contains("control.enabled"));
    drop(daemon);
    // Without a path there is none for a trial.
    let daemon = rig.watch("");
    assert!(daemon.told().starts_with("READY=1"));
    assert!(!daemon.log().contains("facewarden ctl is answered"), "{}", daemon.log());
}
