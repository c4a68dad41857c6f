//! Templates that are added by themselves, by a daemon, and taken away again.

use std::fs;

use rustix::process::Signal;

use super::super::support::Ran;
use super::rig::{Daemon, Rig, text};
use super::{AGAIN_AND_AGAIN, barack};

fn persons(rig: &Rig, args: &[&str]) -> Ran {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_facewarden"));
    Ran::of(command.arg("persons").args(args).args(["--gallery", text(&rig.enrolled())])).code(0)
}

fn templates(rig: &Rig) -> Vec<bool> {
    rig.store().get(&barack()).unwrap().templates.iter().map(|template| template.is_refreshed).collect()
}

/// Writes settings with this mode of liveness, which every picture passes, and this margin.
fn configure(rig: &Rig, mode: &str, margin: f32) {
    let yaml = format!(
        "schema: 1\ncameras: [{{ id: door, source: \"{}\", fps: 10, loops: 1000000 }}]\nliveness: {{ mode: {mode}, min_mean: 0, \
         min_span_ms: 0, min_looks: 2, screen_edges: false, overexposure: false, require_self_test: false }}\ndecision: {{ \
         cooldown_ms: 300 }}\ngallery: {{ folder: \"{}\", reload_every_ms: 100 }}\nenrolment: {{ refresh: {{ enabled: true, \
         margin: {margin}, min_quality: 0 }} }}\n",
        text(&rig.frames()),
        text(&rig.enrolled()),
    );
    fs::write(rig.path("facewarden.yaml"), yaml).unwrap();
}

/// Waits until he was verified twice more.
fn verified_twice(daemon: &Daemon) -> usize {
    let seen = daemon.wait_for("match.verified", daemon.kinds().len());
    daemon.wait_for("match.verified", seen)
}

#[test]
fn a_sure_match_adds_a_template_and_it_can_be_taken_away() {
    let rig = Rig::new(&AGAIN_AND_AGAIN);
    rig.enrol_barack();
    // A picture of him would pass as well as he does.
    configure(&rig, "report", 0.1);
    let mut daemon = rig.start(&["run", "--config", text(&rig.path("facewarden.yaml"))]);
    verified_twice(&daemon);
    // Sure, but by far not as sure as that.
    configure(&rig, "enforce", 1.0);
    daemon.send(Signal::HUP);
    verified_twice(&daemon);
    assert_eq!((templates(&rig), daemon.kinds().contains(&"person.changed")), (vec![false], false));

    configure(&rig, "enforce", 0.1);
    daemon.send(Signal::HUP);
    let seen = daemon.wait_for("person.changed", 0);
    assert_eq!(templates(&rig), [false, true], "{}", daemon.log());
    // There is one a week at most.
    let seen = daemon.wait_for("match.verified", seen);
    daemon.wait_for("match.verified", seen);
    assert_eq!(templates(&rig), [false, true]);
    let log = daemon.log();
    assert!(log.contains("a template was added to somebody") && !log.contains("Barack"), "{log}");

    let shown = persons(&rig, &["refreshed", "Barack"]).out;
    assert!(shown.starts_with("Barack: 1 of 2 templates added by themselves\n"), "{shown}");
    assert!(shown.contains("camera door"), "{shown}");
    let shown = persons(&rig, &["show", "Barack"]).out;
    assert_eq!(shown.matches("  (added by itself, 20").count(), 1, "{shown}");
    let changed = daemon.kinds().len();
    let taken = persons(&rig, &["refreshed", "Barack", "--remove"]).out;
    assert_eq!(taken, "1 added by themselves were taken away from Barack\n");
    assert_eq!(templates(&rig), [false]);
    daemon.wait_for("person.changed", changed);
    let shown = persons(&rig, &["refreshed", "Barack"]).out;
    assert_eq!(shown, "Barack: 0 of 1 templates added by themselves\n");
    assert_eq!(daemon.end_by(Signal::TERM).0.code(), Some(0));
}
