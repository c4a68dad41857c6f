//! Who may do what: tried as another user, which takes root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{command, settings, socket};
use crate::daemon::rig::Before::Nobody;
use crate::daemon::rig::{Daemon, Rig, text};
use crate::support::{Ran, eventually};

/// A user and a group that own nothing here.
const NOBODY: u32 = 65534;
const GROUP: u32 = 54_321;

/// The program where everybody may run it.
pub(crate) struct Everywhere {
    _folder: tempfile::TempDir,
    program: PathBuf,
}

impl Everywhere {
    /// `None` without root: then it is said, and nothing is tried.
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can ask as another user");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let program = folder.path().join("facewarden");
        fs::copy(env!("CARGO_BIN_EXE_facewarden"), &program).unwrap();
        Some(Self { _folder: folder, program })
    }

    fn ask(&self, socket: &Path, who: (u32, u32), args: &[&str]) -> Ran {
        Ran::of(self.command(who).args(["ctl", "--socket", text(socket)]).args(args))
    }

    /// To be run by somebody else, by numbers.
    pub(crate) fn command(&self, (uid, gid): (u32, u32)) -> Command {
        let mut command = Command::new(&self.program);
        // Other groups are given up with it.
        command.uid(uid).gid(gid).current_dir("/");
        command
    }
}

pub(crate) fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

fn start(more: &str) -> (Rig, Daemon) {
    let rig = Rig::new(&[Nobody(10)]);
    open_to_all(&rig.path(""));
    let daemon = rig.watch(&settings(&rig, more));
    assert!(daemon.told().starts_with("READY=1"), "{}", daemon.log());
    (rig, daemon)
}

#[test]
fn whoever_may_open_it_may_ask_how_it_goes_and_no_more() {
    let Some(everywhere) = Everywhere::new() else { return };
    let (rig, daemon) = start("mode: \"0666\"");
    let ask = |args: &[&str]| everywhere.ask(&socket(&rig), (NOBODY, GROUP), args);
    ask(&["status"]).code(0);
    for request in [
        &["pause"][..],
        &["resume"],
        &["reload"],
        &["snapshot", "-o", "/tmp/never-written.jpg"],
        &["enroll", "Ann", "--live"],
    ] {
        let refused = ask(request).code(77);
        let words = format!("`{}` is for root", request[0]);
        assert!(refused.err.contains(&words), "{}", refused.err);
        assert!(
            refused.err.contains("control.operators") && refused.err.contains("uid 65534"),
            "{}",
            refused.err
        );
    }
    let warnings = || daemon.log().lines().filter(|line| line.contains("and may not")).count();
    eventually("a warning", || warnings() > 0);
    assert_eq!(warnings(), 1, "once a minute: {}", daemon.log());
    let found = Ran::of(&mut command(&socket(&rig), &["status", "--json"])).code(0).json();
    assert_eq!(found["cameras"][0]["state"], "watching", "nothing was done");
    assert_eq!(daemon.kinds(), ["service.started"]);
}

#[test]
fn operators_may_do_everything_by_user_or_by_group() {
    let Some(everywhere) = Everywhere::new() else { return };
    let more = format!("mode: \"0666\", operators: {{ users: [\"{NOBODY}\"], groups: [\"{GROUP}\"] }}");
    let (rig, daemon) = start(&more);
    let ask = |who, args: &[&str]| everywhere.ask(&socket(&rig), who, args);
    ask((NOBODY, NOBODY), &["pause"]).code(0);
    ask((NOBODY - 7, GROUP), &["resume"]).code(0);
    ask((NOBODY - 7, GROUP + 1), &["pause"]).code(77);
    let kinds = daemon.kinds();
    assert_eq!(kinds[1..], ["camera.paused", "camera.resumed"], "{kinds:?}");
}

#[test]
fn whoever_may_not_open_it_learns_who_may() {
    let Some(everywhere) = Everywhere::new() else { return };
    let (rig, _daemon) = start("mode: \"0660\", group: \"54321\"");
    let refused = everywhere.ask(&socket(&rig), (NOBODY, NOBODY), &["status"]).code(77);
    assert!(refused.err.contains("`control.mode` and `control.group` say who may"), "{}", refused.err);
    everywhere.ask(&socket(&rig), (NOBODY, GROUP), &["status"]).code(0);
}

#[test]
fn an_operator_who_does_not_exist_is_a_fault_of_the_configuration() {
    let rig = Rig::new(&[Nobody(1)]);
    let mut daemon = rig.watch(&settings(&rig, "operators: { users: [no-such-user] }"));
    let (code, said) = daemon.failure();
    assert!(code == 78 && said.contains("no user `no-such-user`"), "{code}: {said}");
}
