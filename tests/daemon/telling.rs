//! The real program tells others: a web server that is down at first, and readers of the socket.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use facewarden::domain::EventKind;
use facewarden::sinks::new_webhook_secret;
use rustix::process::Signal;

use super::rig::{Rig, text};
use super::{AGAIN_AND_AGAIN, barack};
use crate::kills::Moody;
use crate::mqtt::broker::free_port;
use crate::support::{Ran, eventually};

fn reader(rig: &Rig, more: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facewarden"));
    Ran::of(command.args(["events", "--socket", text(&rig.path("events.sock"))]).args(more))
}

#[test]
fn what_could_not_be_delivered_is_after_the_next_start_and_readers_go_on_where_they_were() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    let (port, secret) = (free_port(), rig.path("secret"));
    fs::write(&secret, new_webhook_secret()).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let settings = format!(
        "events:\n  outbox: {{ folder: \"{}\" }}\n  socket: {{ path: \"{}\" }}\n  webhooks: [{{ name: web, url: \
         \"http://127.0.0.1:{port}/\", secret_file: \"{}\", backoff: {{ first_ms: 20, max_ms: 100 }} }}]",
        rig.path("outbox").display(),
        rig.path("events.sock").display(),
        secret.display(),
    );
    let mut daemon = rig.watch(&settings);
    let seen = daemon.wait_for("match.verified", 0);
    // Nobody listens there: it is said, and nothing is held up.
    daemon.wait_for("service.degraded", 0);
    let verified = daemon.events()[seen - 1].clone();
    eventually("the socket to have it", || reader(&rig, &[]).code(0).out.contains(&verified.id.to_string()));
    daemon.wait_for("match.verified", seen);
    // Who is enrolled is told as well.
    rig.store().remove(&barack()).unwrap();
    daemon.wait_for("person.removed", seen);
    rig.enrol_barack();
    let enrolled = daemon.wait_for("person.enrolled", seen);
    assert!(matches!(&daemon.events()[enrolled - 1].kind,
        EventKind::PersonEnrolled { person, templates: 1, .. } if *person == barack()));
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0), "{}", daemon.log());
    let first_run: Vec<String> = daemon.events().iter().map(|event| event.id.to_string()).collect();
    let complaints = daemon.kinds().iter().filter(|kind| **kind == "service.degraded").count();
    assert_eq!(complaints, 1, "once, and not at every attempt: {}", daemon.log());
    assert!(!rig.path("events.sock").exists());

    let web = Moody::at(port);
    web.be_kind();
    let mut daemon = rig.watch(&settings);
    eventually("all of the first run", || web.taken().len() >= first_run.len());
    assert_eq!(web.taken()[..first_run.len()], first_run, "in order, each once");
    let since = reader(&rig, &["--since", &first_run[first_run.len() - 2]]).code(0);
    assert!(since.out.lines().next().unwrap().contains(first_run.last().unwrap()), "{}", since.out);
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0), "{}", daemon.log());
}
