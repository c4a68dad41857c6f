//! Several cameras in one daemon, and settings that change while it runs.

use std::fs;

use facewarden::domain::EventKind;
use rustix::process::Signal;

use super::rig::Before::{Barack, Nobody, Stranger};
use super::rig::{Daemon, Rig, text};
use super::{AGAIN_AND_AGAIN, VISITS, barack, check_visits};

/// A daemon of several cameras, `(id, source, more settings)`, and further settings.
fn watch(rig: &Rig, cameras: &[(&str, &str, &str)], more: &str) -> Daemon {
    write(rig, cameras, more);
    rig.start(&["run", "--config", text(&rig.path("facewarden.yaml")), "--gallery", text(&rig.enrolled())])
}

fn write(rig: &Rig, cameras: &[(&str, &str, &str)], more: &str) {
    let one = |(id, source, more): &(&str, &str, &str)| {
        format!("  - {{ id: {id}, source: \"{source}\", fps: 10{more} }}\n")
    };
    let cameras: String = cameras.iter().map(one).collect();
    let yaml = format!("schema: 1\ncameras:\n{cameras}liveness: {{ mode: report }}\n{more}\n");
    fs::write(rig.path("facewarden.yaml"), yaml).unwrap();
}

/// The types of the events of one camera.
fn kinds_at(daemon: &Daemon, camera: &str) -> Vec<&'static str> {
    let events = daemon.events();
    let of_camera = events.iter().filter(|event| event.kind.camera().is_some_and(|id| id.as_str() == camera));
    of_camera.map(|event| event.kind.name()).collect()
}

#[test]
fn each_camera_decides_on_its_own() {
    let rig = Rig::new(&VISITS);
    rig.enrol_barack();
    let frames = rig.frames();
    let cameras = [("door", text(&frames), ", speed: max"), ("gate", text(&frames), ", speed: max")];
    let mut daemon = watch(&rig, &cameras, "");
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    let events = daemon.events();
    for camera in ["door", "gate"] {
        let of_it = |kind: &EventKind| kind.camera().is_none_or(|id| id.as_str() == camera);
        let own: Vec<_> = events.iter().filter(|event| of_it(&event.kind)).cloned().collect();
        check_visits(&own);
    }
}

#[test]
fn a_camera_that_is_missing_or_wrong_stops_no_other() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let frames = rig.frames();
    let cameras = [
        ("gate", "/dev/video77", ""),
        ("yard", "/nowhere/at/all.mp4", ""),
        ("door", text(&frames), ", loops: 1000000"),
    ];
    let mut daemon = watch(&rig, &cameras, "");
    daemon.wait_for("match.verified", 0);
    assert!(daemon.told().starts_with("READY=1"));
    for (camera, source) in [("gate", "/dev/video77"), ("yard", "/nowhere/at/all.mp4: No such file")] {
        let events = daemon.events();
        let lost = events.iter().find_map(|event| match &event.kind {
            EventKind::CameraLost { camera: id, message } if id.as_str() == camera => Some(message),
            _ => None,
        });
        assert!(lost.is_some_and(|message| message.contains(source)), "{events:?}");
        assert_eq!(kinds_at(&daemon, camera), ["camera.lost"]);
    }
    let mut status = daemon.told_in_all();
    while !status.contains("door: watching, 1") {
        status = daemon.told_in_all();
    }
    assert!(status.contains("gate: lost for ") && status.contains("; 1 person"), "{status}");
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0));
}

#[test]
fn options_for_one_camera_are_refused_with_several() {
    let rig = Rig::new(&[]);
    write(&rig, &[("door", "/dev/video7", ""), ("gate", "/dev/video8", "")], "");
    let config = rig.path("facewarden.yaml");
    let (code, said) = rig.start(&["run", "--config", text(&config), "--source", "/dev/video1"]).failure();
    assert!(code == 64 && said.contains("--source"), "{code}: {said}");
}

#[test]
fn settings_are_taken_over_while_it_runs_and_faulty_ones_are_refused() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let frames = rig.frames();
    let cameras = [("door", text(&frames), ", loops: 1000000")];
    let decision = |more: &str| format!("decision: {{ cooldown_ms: 300{more} }}");
    let mut daemon = watch(&rig, &cameras, &decision(""));
    let seen = daemon.wait_for("match.verified", 0);

    write(&rig, &cameras, &decision(", shadow: true"));
    daemon.send(Signal::HUP);
    let seen = daemon.wait_for("match.shadow", seen);
    assert!(daemon.log().contains("decision.shadow"), "{}", daemon.log());

    write(&rig, &cameras, &decision(", shadwo: false"));
    daemon.send(Signal::HUP);
    let seen = daemon.wait_for("service.degraded", seen);
    let EventKind::Degraded { message } = &daemon.events()[seen - 1].kind else { panic!() };
    assert!(message.contains("the old ones stay") && message.contains("shadow"), "{message}");
    let seen = daemon.wait_for("match.shadow", seen);

    // A rate that the data cannot support is refused as at the start, and nothing else is taken over with it.
    write(&rig, &cameras, &decision(", false_match_rate: 1.0e-9"));
    daemon.send(Signal::HUP);
    let seen = daemon.wait_for("service.degraded", seen);
    let seen = daemon.wait_for("match.shadow", seen);

    let events = format!("{}\nevents: {{ log: null }}\nmodels: {{ detector: ultralight }}", decision(""));
    write(&rig, &cameras, &events);
    daemon.send(Signal::HUP);
    let seen = daemon.wait_for("match.verified", seen);
    assert!(
        daemon
            .log()
            .contains("take effect only when the daemon is started anew: events.log, models.detector"),
        "{}",
        daemon.log()
    );

    // Each visit is told once, whatever is read again meanwhile.
    for _ in 0..20 {
        daemon.send(Signal::HUP);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    daemon.wait_for("match.verified", seen);
    assert!(daemon.told().starts_with("READY=1"));
    assert!(daemon.told().starts_with("RELOADING=1"));
    assert!(daemon.told().starts_with("READY=1"));
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0));
    assert!(!daemon.kinds().contains(&"camera.lost"));
}

#[test]
fn events_carry_the_groups_of_whom_they_are_about() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let frames = rig.frames();
    let hook = rig.script("hook", "echo \"$0 $1\" >>\"$(dirname \"$0\")/ran\"");
    let hook =
        |group: &str| format!("{{ argv: [\"{}\", {group}], only: {{ groups: [{group}] }} }}", text(&hook));
    let more = format!(
        "decision: {{ cooldown_ms: 300 }}\ngallery: {{ reload_every_ms: 100 }}\nevents: {{ hooks: [{}, {}] }}",
        hook("staff"),
        hook("guests")
    );
    let mut daemon = watch(&rig, &[("door", text(&frames), ", loops: 1000000")], &more);
    let seen = daemon.wait_for("match.verified", 0);
    assert!(daemon.events()[seen - 1].kind.groups().is_empty());

    let enrolled = rig.enrolled();
    let into =
        ["persons", "--gallery", text(&enrolled), "groups", "Barack", "--add", "staff", "--add", "night"];
    let ran =
        crate::support::Ran::of(std::process::Command::new(env!("CARGO_BIN_EXE_facewarden")).args(into));
    assert_eq!(ran.code(0).out, "Barack is in night, staff\n");
    let seen = daemon.wait_for("person.changed", seen);
    let groups =
        |at: usize| daemon.events()[at].kind.groups().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(groups(seen - 1), ["night", "staff"]);
    let seen = daemon.wait_for("match.verified", seen);
    assert_eq!(groups(seen - 1), ["night", "staff"]);
    super::eventually("the hook", || rig.path("ran").exists());
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0));
    let ran = fs::read_to_string(rig.path("ran")).unwrap();
    assert!(ran.contains(" staff") && !ran.contains(" guests"), "{ran}");
}

#[test]
fn people_of_one_gallery_are_known_at_every_camera() {
    let rig = Rig::new(&[Barack(10), Nobody(10), Stranger(5), Nobody(10)]);
    let frames = rig.frames();
    let cameras = [("door", text(&frames), ", loops: 1000000"), ("gate", text(&frames), ", loops: 1000000")];
    let mut daemon = watch(&rig, &cameras, "decision: { cooldown_ms: 300 }");
    daemon.wait_for("match.unknown", 0);
    rig.enrol_barack();
    for camera in ["door", "gate"] {
        super::eventually(camera, || kinds_at(&daemon, camera).contains(&"match.verified"));
    }
    let person = |event: &facewarden::domain::Event| event.kind.person().cloned();
    assert!(daemon.events().iter().filter_map(person).all(|person| person == barack()));
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0));
}
