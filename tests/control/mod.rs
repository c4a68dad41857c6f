//! The control socket: its server with rude clients, the daemon behind it, and `facewarden ctl`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod daemon;
mod enrol;
mod orders;
pub(crate) mod rights;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::rig::{Daemon, Rig, text};
use crate::support::Ran;

/// The settings for a socket in the rig's folder, with `more` of them.
fn settings(rig: &Rig, more: &str) -> String {
    format!("control: {{ path: \"{}\", {more} }}", text(&socket(rig)))
}

fn socket(rig: &Rig) -> PathBuf {
    rig.path("control.sock")
}

/// A daemon that is ready, with a control socket.
fn watch(rig: &Rig, more: &str) -> Daemon {
    let daemon = rig.watch(&format!("{}\n{more}", settings(rig, "")));
    assert!(daemon.told().starts_with("READY=1"));
    daemon
}

/// `facewarden ctl` at that socket.
fn command(socket: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facewarden"));
    command.args(["ctl", "--socket", text(socket)]).args(args);
    command
}

fn ctl(rig: &Rig, args: &[&str]) -> Ran {
    Ran::of(&mut command(&socket(rig), args))
}
