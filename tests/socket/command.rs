//! `facewarden events`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Child;

use facewarden::domain::Event;
use rustix::process::{Pid, Signal, kill_process};

use super::{Desk, facewarden, notice, output};
use crate::support::eventually;

pub(super) fn follow(socket: &Path) -> Child {
    facewarden().args(["events", "--follow", "--socket"]).arg(socket).spawn().unwrap()
}

fn events(text: &str) -> Vec<Event> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn without_follow_it_prints_what_is_kept_and_ends() {
    let desk = Desk::new();
    desk.push(1..=300);
    let run = |more: &[&str]| {
        let child =
            facewarden().args(["events", "--socket"]).arg(&desk.settings.path).args(more).spawn().unwrap();
        output(child)
    };
    let (out, err, code) = run(&[]);
    assert_eq!((events(&out), code), ((1..=300).map(notice).collect(), Some(0)), "{err}");
    let (out, _, code) = run(&["--since", &notice(298).id.to_string()]);
    assert_eq!((events(&out), code), (vec![notice(299), notice(300)], Some(0)));
    let (out, err, code) = run(&["--since", &notice(999).id.to_string()]);
    assert_eq!((events(&out).len(), code), (300, Some(0)));
    assert!(err.contains("not kept"), "{err}");
}

#[test]
fn with_follow_it_goes_on_until_the_daemon_ends_and_says_so() {
    let mut desk = Desk::new();
    let child = follow(&desk.settings.path);
    eventually("it is in", || desk.readers() == 1);
    desk.push(1..=50);
    eventually("it reads", || desk.readers() == 1);
    desk.close();
    let (out, err, code) = output(child);
    assert_eq!((events(&out), code), ((1..=50).map(notice).collect(), Some(69)), "{err}");
    assert!(err.contains("the daemon has ended"), "{err}");
}

#[test]
fn with_reconnect_it_waits_and_misses_nothing() {
    let mut desk = Desk::new();
    let mut child = facewarden()
        .args(["events", "--follow", "--reconnect", "--socket"])
        .arg(&desk.settings.path)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = || serde_json::from_str::<Event>(&lines.next().unwrap()).unwrap();
    eventually("it is in", || desk.readers() == 1);
    desk.push(1..=1);
    assert_eq!(next(), notice(1));
    desk.close();
    desk.push(2..=3);
    desk.open();
    assert_eq!((next(), next()), (notice(2), notice(3)));
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn ctrl_c_and_a_reader_that_has_gone_end_it_quietly() {
    let desk = Desk::new();
    let child = follow(&desk.settings.path);
    eventually("it is in", || desk.readers() == 1);
    signal(&child, Signal::INT);
    let (out, err, code) = output(child);
    assert_eq!((out.as_str(), code), ("", Some(0)), "{err}");
    let mut child = follow(&desk.settings.path);
    eventually("it is in", || desk.readers() == 1);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "though no event came");
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let (_, err, code) = output(follow(&path));
    assert_eq!(code, Some(69));
    assert!(err.contains("is the daemon running"), "{err}");
    drop(UnixListener::bind(&path).unwrap());
    let (_, err, code) = output(follow(&path));
    assert_eq!(code, Some(69));
    assert!(err.contains("nobody answers"), "{err}");
    let config = folder.path().join("facewarden.yaml");
    fs::write(&config, "schema: 1\ncameras:\n  - id: door\n    source: /dev/video0\n").unwrap();
    let child = facewarden().args(["events", "--config"]).arg(&config).spawn().unwrap();
    let (_, err, code) = output(child);
    assert_eq!(code, Some(69));
    assert!(err.contains("has no socket"), "{err}");
}

#[test]
fn a_socket_that_may_not_be_opened_is_a_matter_of_permissions() {
    let desk = Desk::new();
    let (folder, other) = (desk.settings.path.parent().unwrap(), tempfile::tempdir().unwrap());
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can try it as another user");
        return;
    }
    // As nobody, from a place that nobody can read.
    use std::os::unix::fs::PermissionsExt as _;
    for folder in [folder, folder.parent().unwrap(), other.path()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = other.path().join("facewarden");
    fs::copy(env!("CARGO_BIN_EXE_facewarden"), &program).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["events", "--socket"])
        .arg(&desk.settings.path)
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: there is no setpriv");
        return;
    };
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(77), "{err}");
    assert!(err.contains("events.socket.mode"), "{err}");
}
