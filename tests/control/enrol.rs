//! Enrolling through the daemon, in front of its camera.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use facewarden::domain::{EventKind, PauseCause, PersonId, ResumeCause};

use super::{command, ctl, socket, watch};
use crate::daemon::rig::Before::{Barack, Nobody, Stranger};
use crate::daemon::rig::{Daemon, Rig};

/// Begins to enrol, and waits until the daemon has begun.
fn begin(rig: &Rig, daemon: &Daemon, args: &[&str]) -> (Child, usize) {
    let before = daemon.kinds().len();
    let mut command = command(&socket(rig), &[&["enroll"], args].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    (child, daemon.wait_for("camera.paused", before))
}

/// Its exit code and what it said on standard error.
fn end(mut child: Child) -> (Option<i32>, String) {
    let said: Vec<String> =
        BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    (child.wait().unwrap().code(), said.join("\n"))
}

#[test]
fn whoever_stands_there_is_enrolled_and_known_at_once() {
    let rig = Rig::new(&[Stranger(10), Nobody(10)]);
    let daemon = watch(&rig, "gallery: { reload_every_ms: 3600000 }");
    let unknown = daemon.wait_for("match.unknown", 0);
    let ran = ctl(&rig, &["enroll", "Eileen", "--live", "--camera", "door", "--seconds", "6"]).code(0);
    assert!(ran.out.starts_with("Eileen: ") && ran.out.contains("added"), "{}", ran.out);
    assert!(ran.err.contains(" of 5: ") && ran.err.contains("step in front of the camera"), "{}", ran.err);
    let person = PersonId::new("Eileen").unwrap();
    let loaded = rig.store().load().unwrap();
    assert_eq!(loaded.people.len(), 1);
    assert!(loaded.people[0].name == person && !loaded.people[0].templates.is_empty());

    let resumed = daemon.wait_for("camera.resumed", unknown);
    let events = daemon.events();
    let during: Vec<&str> = events[unknown..resumed].iter().map(|event| event.kind.name()).collect();
    let begun = during.iter().position(|kind| *kind == "camera.paused").unwrap();
    assert_eq!(
        during[begun..],
        ["camera.paused", "person.enrolled", "camera.resumed"],
        "nobody is decided about"
    );
    let EventKind::CameraPaused { why, until, .. } = &events[unknown + begun].kind else { panic!() };
    assert!(*why == PauseCause::Enrolment && until.is_some());
    let EventKind::CameraResumed { why, .. } = &events[resumed - 1].kind else { panic!() };
    assert_eq!(*why, ResumeCause::EnrolmentEnded);
    daemon.wait_for("match.verified", resumed);
}

#[test]
fn a_face_that_is_known_under_another_name_is_refused_without_a_score() {
    let rig = Rig::new(&[Barack(20)]);
    rig.enrol_barack();
    let daemon = watch(&rig, "");
    daemon.wait_for("match.verified", 0);
    let before = rig.store().load().unwrap().people;
    let ran = ctl(&rig, &["enroll", "Bert", "--live", "--seconds", "4", "--pictures", "1"]).code(1);
    let said = ran.err.lines().last().unwrap();
    assert!(said.contains("looks like Barack, who is enrolled already; nothing was changed"), "{said}");
    assert!(!said.contains("0."), "{said}");
    assert_eq!(rig.store().load().unwrap().people, before);
    // More of the right person is no conflict.
    ctl(&rig, &["enroll", "Barack", "--live", "--seconds", "4", "--pictures", "1"]).code(0);
}

#[test]
fn it_ends_without_a_trace_when_nobody_waits_or_the_camera_is_paused() {
    let rig = Rig::new(&[Stranger(20)]);
    let daemon = watch(&rig, "");
    let (mut child, paused) =
        begin(&rig, &daemon, &["Eileen", "--live", "--seconds", "600", "--pictures", "50"]);
    let busy = ctl(&rig, &["enroll", "Bert", "--live"]).code(75);
    assert!(busy.err.contains("being enrolled at door already"), "{}", busy.err);
    let status = ctl(&rig, &["status", "--json"]).code(1).json();
    assert_eq!(status["cameras"][0]["state"], "enrolling");
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = daemon.wait_for("camera.resumed", paused);

    let (child, paused) = begin(&rig, &daemon, &["Eileen", "--live", "--seconds", "600", "--pictures", "50"]);
    ctl(&rig, &["pause"]).code(0);
    let (code, said) = end(child);
    assert!(
        code == Some(69) && said.contains("the camera was paused") && said.contains("nothing was changed"),
        "{code:?} {said}"
    );
    assert_eq!(daemon.kinds()[paused..], ["camera.paused"], "{resumed}: it is still closed");
    ctl(&rig, &["resume"]).code(0);
    assert_eq!(rig.store().load().unwrap().people, []);
}

#[test]
fn without_a_good_look_nobody_is_enrolled() {
    let rig = Rig::new(&[Nobody(20)]);
    let _daemon = watch(&rig, "");
    let ran = ctl(&rig, &["enroll", "Eileen", "--live", "--seconds", "1"]).code(2);
    assert!(ran.err.contains("Eileen was not enrolled: no good look in 1 seconds"), "{}", ran.err);
    assert_eq!(rig.store().load().unwrap().people, []);
}
