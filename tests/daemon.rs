//! The real program with real models, on pictures that stand in for a camera.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod admission;
mod cameras;
mod refresh;
pub(crate) mod rig;
mod self_test;
mod telling;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use facewarden::domain::{Event, EventKind, PersonId, Reason, SCHEMA};
use rustix::process::Signal;

use super::support::eventually;
use rig::Before::{Barack, Nobody, Stranger};
use rig::{Rig, text};

/// All of the shutdown, and the time that a busy machine takes to notice.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Somebody enrolled comes and goes, then a stranger; at thirty frames a second.
const VISITS: [rig::Before; 3] = [Barack(12), Nobody(23), Stranger(12)];

/// Somebody comes every two seconds; at ten frames a second.
const AGAIN_AND_AGAIN: [rig::Before; 2] = [Barack(10), Nobody(10)];

fn barack() -> PersonId {
    PersonId::new("Barack").unwrap()
}

/// Whether the events are what `VISITS` ought to give.
fn check_visits(events: &[Event]) {
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(
        kinds,
        ["service.started", "match.verified", "match.unknown", "service.stopping"],
        "{events:#?}"
    );
    let EventKind::Verified { person, .. } = &events[1].kind else { panic!() };
    assert_eq!(*person, barack());
    let EventKind::Unknown { reason, .. } = &events[2].kind else { panic!() };
    assert_eq!(*reason, Reason::NoMatch);
}

#[test]
fn somebody_enrolled_is_verified_and_a_stranger_is_not() {
    let rig = Rig::new(&VISITS);
    rig.enrol_barack();
    let mut daemon = rig.run(&[]);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    let events = daemon.events();
    check_visits(&events);
    assert!(events.is_sorted_by_key(|event| event.id));
    assert!(events.iter().all(|event| event.schema == SCHEMA));
    let EventKind::Started { people, version } = &events[0].kind else { panic!() };
    assert_eq!((*people, version.as_str()), (1, env!("CARGO_PKG_VERSION")));
    let EventKind::Verified { expires_at, detail, .. } = &events[1].kind else { panic!() };
    assert_eq!(*expires_at, detail.captured_at + Duration::from_secs(2));
    assert!(detail.decided_at >= detail.captured_at && detail.decided_at < *expires_at);
    assert!(detail.similarity.unwrap().value() >= detail.threshold.unwrap().value());
    assert!(detail.agreeing >= 2 && detail.observations >= detail.agreeing);
    assert!((0.0..=1.0).contains(&detail.liveness.unwrap()));
    assert_eq!((detail.liveness_mode.as_str(), detail.model.len()), ("report", 64));
    // Times as the documentation shows them: 2026-11-23T19:08:11.851Z.
    let line: serde_json::Value = serde_json::from_str(&daemon.lines()[1]).unwrap();
    for key in ["at", "captured_at", "decided_at", "expires_at"] {
        let time = line[key].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && &time[19..20] == ".", "{key}: {time}");
    }
    assert!(daemon.told().starts_with("READY=1"));
    assert!(daemon.told().starts_with("STOPPING=1"));
}

#[test]
fn sigterm_drains_and_ends_it() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let mut daemon = rig.watch("");
    assert!(daemon.told().starts_with("READY=1"));
    daemon.wait_for("service.started", 0);
    let (status, took) = daemon.end_by(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(took < SHUTDOWN, "{took:?}");
    assert_eq!(daemon.told().lines().next(), Some("STOPPING=1"));
    assert!(daemon.has_told_all());
    let events = daemon.events();
    let EventKind::Stopping { message } = &events.last().unwrap().kind else { panic!("{events:?}") };
    assert_eq!(message, "SIGTERM");
}

#[test]
fn a_second_sigint_does_not_wait_for_a_hook_that_hangs() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let hook = rig.script("hang", "touch \"$(dirname \"$0\")/hangs\"; exec sleep 60");
    let events = format!(
        "events: {{ hooks: [{{ argv: [\"{}\"], only: {{ kinds: [service.started] }} }}] }}",
        text(&hook)
    );
    let mut daemon = rig.watch(&events);
    eventually("the hook", || rig.path("hangs").exists());
    assert!(daemon.told().starts_with("READY=1"));
    daemon.send(Signal::INT);
    assert!(daemon.told().starts_with("STOPPING=1"));
    assert!(daemon.is_running(), "the hook has a moment to end");
    assert_eq!(daemon.end_by(Signal::INT).0.code(), Some(130));
}

#[test]
fn people_come_and_go_while_it_runs() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let mut daemon = rig.watch("gallery: { reload_every_ms: 3600000 }");
    let seen = daemon.wait_for("match.unknown", 0);
    rig.enrol_barack();
    daemon.send(Signal::HUP);
    let seen = daemon.wait_for("match.verified", seen);
    rig.store().remove(&barack()).unwrap();
    daemon.send(Signal::HUP);
    daemon.wait_for("match.unknown", seen);
    let latest = daemon.events().len();
    daemon.wait_for("match.unknown", latest);
    assert!(!daemon.kinds()[latest..].contains(&"match.verified"));
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0));
}

#[test]
fn a_gallery_that_others_can_read_opens_no_door() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let mut daemon = rig.watch("gallery: { reload_every_ms: 100 }");
    let seen = daemon.wait_for("match.verified", 0);
    fs::set_permissions(rig.enrolled(), fs::Permissions::from_mode(0o755)).unwrap();
    let seen = daemon.wait_for("service.degraded", seen);
    let EventKind::Degraded { message } = &daemon.events()[seen - 1].kind else { panic!() };
    assert!(message.contains("nobody is recognised") && message.contains("chmod 700"), "{message}");
    let seen = daemon.wait_for("match.unknown", seen);
    let EventKind::Unknown { reason, .. } = &daemon.events()[seen - 1].kind else { panic!() };
    assert_eq!(*reason, Reason::EmptyGallery);
    fs::set_permissions(rig.enrolled(), fs::Permissions::from_mode(0o700)).unwrap();
    let seen = daemon.wait_for("match.verified", seen);
    let said = daemon.kinds()[..seen].iter().filter(|kind| **kind == "service.degraded").count();
    assert_eq!(said, 1, "what is wrong is said once");
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0));
}

#[test]
fn a_killed_daemon_leaves_a_readable_gallery_and_whole_events() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let before = rig.store().load().unwrap();
    let mut daemon = rig.watch("");
    daemon.wait_for("match.verified", 0);
    assert_eq!(daemon.end_by(Signal::KILL).0.code(), None);
    let after = rig.store().load().unwrap();
    assert_eq!((after.people, after.refused), (before.people, vec![]));
    rig.enrol_somebody("Ann");
    // As before, and with one template that no model of this daemon made, which is said.
    let daemon = rig.watch("");
    daemon.wait_for("match.verified", 0);
    let EventKind::Degraded { message } = &daemon.events()[0].kind else { panic!("{:?}", daemon.events()) };
    assert!(message.starts_with("1 templates were made by another model"), "{message}");
}

#[test]
fn a_damaged_file_is_set_aside_and_the_others_are_recognised() {
    let rig = Rig::new(&VISITS);
    rig.enrol_somebody("Ann");
    let file = fs::read_dir(rig.enrolled()).unwrap().map(|e| e.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|e| e == "fwp")).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    // Enrolling beside a damaged file is refused, so that comes first.
    rig.enrol_barack();
    fs::write(&file, bytes).unwrap();
    let mut daemon = rig.run(&[]);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    let events = daemon.events();
    let EventKind::Degraded { message } = &events[0].kind else { panic!("{events:?}") };
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(message.starts_with(name) && message.contains("checksum"), "{message}");
    check_visits(&events[1..]);
    assert!(rig.enrolled().join("quarantine").join(name).is_file());
}

#[test]
fn it_ends_when_nobody_listens_any_more() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    let (frames, enrolled) = (rig.frames(), rig.enrolled());
    let mut args = vec!["run", "--source", text(&frames), "--gallery", text(&enrolled)];
    args.extend(["--loops", "1000000", "--events", "-"]);
    let mut daemon = rig.start_unheard(&args);
    assert!(daemon.told().starts_with("READY=1"));
    daemon.stop_listening();
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    assert!(daemon.told().contains("nobody takes the events any more"));
    assert!(!daemon.log().contains("panic"), "{}", daemon.log());
}

#[test]
fn a_hook_runs_with_the_event() {
    let rig = Rig::new(&VISITS);
    rig.enrol_barack();
    let hook =
        rig.script("hook", "cd \"$(dirname \"$0\")\" && cat >stdin && echo \"$1 $FACEWARDEN_PERSON\" >args");
    let config = rig.path("facewarden.yaml");
    let yaml = format!(
        "schema: 1\ncameras: [{{ id: door, source: {}, speed: max }}]\ngallery: {{ folder: {} }}\nliveness: {{ mode: off \
         }}\nevents:\n  log: {}\n  hooks: [{{ argv: [{}, \"open $HOME\"] }}]\n",
        rig.frames().display(),
        rig.enrolled().display(),
        rig.path("events.jsonl").display(),
        hook.display()
    );
    fs::write(&config, yaml).unwrap();
    let mut daemon = rig.start(&["run", "--config", text(&config)]);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    assert_eq!(fs::read_to_string(rig.path("args")).unwrap(), "open $HOME Barack\n");
    let told: Event = serde_json::from_str(&fs::read_to_string(rig.path("stdin")).unwrap()).unwrap();
    let log = fs::read_to_string(rig.path("events.jsonl")).unwrap();
    let events: Vec<Event> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    check_visits(&events);
    assert_eq!(told, events[1]);
    assert_eq!(told.kind.detail().unwrap().liveness, None);
    assert!(daemon.lines().is_empty());
}

#[test]
fn what_cannot_work_is_said_in_one_line_with_an_exit_code_of_its_own() {
    let rig = Rig::new(&[Nobody(1)]);
    let config = |yaml: &str| {
        let path = rig.path("broken.yaml");
        let (frames, enrolled) = (rig.frames(), rig.enrolled());
        let (frames, enrolled) = (text(&frames), text(&enrolled));
        fs::write(&path, yaml.replace("FRAMES", frames).replace("ENROLLED", enrolled)).unwrap();
        rig.start(&["run", "--config", text(&path)]).failure()
    };
    let head = "schema: 1\ncameras: [{ id: door, source: FRAMES }]\n";
    let (code, _) = config(&format!("{head}gallery: {{ foldr: ENROLLED }}\n"));
    let log = fs::read_to_string(rig.path("log")).unwrap();
    assert!(code == 78 && log.contains("broken.yaml:3:12") && log.contains("folder"), "{code}: {log}");

    let (code, said) =
        config(&format!("{head}gallery: {{ folder: ENROLLED }}\nmodels: {{ embedder: arcface }}\n"));
    assert!(code == 69 && said.contains("arcface") && said.contains("faceplugin512"), "{code}: {said}");

    let (code, said) = config(&format!("{head}gallery: {{ folder: ENROLLED/nowhere }}\n"));
    assert!(code == 66 && said.contains("does not exist"), "{code}: {said}");

    let (code, said) = rig.start(&["run", "--config", "/nowhere/facewarden.yaml"]).failure();
    assert!(code == 66 && said.contains("/nowhere/facewarden.yaml"), "{code}: {said}");

    let (code, said) = rig.start(&["run", "--source", "/nowhere/at/all.mp4"]).failure();
    assert!(code == 69 && said.contains("/nowhere/at/all.mp4: No such file"), "{code}: {said}");

    // Found out only after the start: not ready for a moment, and no event of having watched.
    fs::write(rig.path("text.mp4"), "no film").unwrap();
    let (enrolled, film) = (rig.enrolled(), rig.path("text.mp4"));
    let mut daemon = rig.start(&["run", "--source", text(&film), "--gallery", text(&enrolled)]);
    let (code, said) = daemon.failure();
    assert!(code == 69 && said.contains("text.mp4"), "{code}: {said}");
    assert_eq!(daemon.kinds(), ["service.stopping"]);
    assert!(daemon.told().starts_with("STOPPING=1"));

    fs::remove_dir_all(rig.frames()).unwrap();
    fs::create_dir(rig.frames()).unwrap();
    fs::write(rig.frames().join("1.jpg"), b"\xFF\xD8 cut short").unwrap();
    fs::write(rig.frames().join("2.png"), b"no picture").unwrap();
    let mut daemon = rig.run(&[]);
    let (code, said) = daemon.failure();
    assert!(code == 65 && said.contains("all 2 frames that came are damaged"), "{code}: {said}");
}

#[test]
fn a_missing_camera_is_waited_for() {
    let rig = Rig::new(&[]);
    let enrolled = rig.enrolled();
    let mut daemon = rig.start(&["run", "--source", "/dev/video77", "--gallery", text(&enrolled)]);
    // Said at once; ready only when it is clear that no frame comes soon.
    daemon.wait_for("camera.lost", 0);
    let EventKind::CameraLost { message, .. } = &daemon.events()[0].kind else {
        panic!("{:?}", daemon.events())
    };
    assert!(message.contains("/dev/video77"), "{message}");
    assert!(daemon.told().starts_with("READY=1"));
    daemon.wait_for("service.started", 1);
    let (status, took) = daemon.end_by(Signal::TERM);
    assert!(status.code() == Some(0) && took < SHUTDOWN, "{status} {took:?}");
    assert_eq!(daemon.kinds(), ["camera.lost", "service.started", "service.stopping"]);
}

#[test]
fn a_drawing_and_films_are_sources_too() {
    let rig = Rig::new(&VISITS);
    rig.enrol_barack();
    let (drawn, avi, mp4) = (rig.path("drawn"), rig.path("drawn.avi"), rig.path("film.mp4"));
    let mut daemon = rig.run(&["--annotate", text(&drawn)]);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    check_visits(&daemon.events());
    let pictures = fs::read_dir(&drawn).unwrap().map(|e| e.unwrap().path());
    assert_eq!(pictures.filter(|p| image::open(p).unwrap().width() == 640).count(), 47);

    let made = Command::new(rig::ffmpeg())
        .args([
            "-nostdin",
            "-loglevel",
            "error",
            "-framerate",
            "30",
            "-i",
            "%d.jpg",
            "-c:v",
            "mpeg4",
            "-q:v",
            "2",
        ])
        .arg(&mp4)
        .current_dir(rig.frames())
        .status();
    assert!(made.unwrap().success());
    let enrolled = rig.enrolled();
    let play = |film: &str, more: &[&str]| {
        let mut args = vec!["run", "--source", film, "--gallery", text(&enrolled), "--speed", "max"];
        args.extend(["--liveness", "off", "--events", "-"]);
        args.extend(more);
        let mut daemon = rig.start(&args);
        assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
        check_visits(&daemon.events());
    };
    play(text(&mp4), &["--annotate", text(&avi)]);
    play(text(&avi), &[]);
}
