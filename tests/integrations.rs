//! The files in docs/integrations that no other test runs.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use facewarden::clock::{Clock, SystemClock};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/integrations").join(name)
}

/// What `unlock.sh` tells gpioset, if it calls it, for a hook's variables.
fn unlocked(variables: &[(&str, String)]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let gpioset = folder.path().join("gpioset");
    fs::write(&gpioset, "#!/bin/sh\necho \"$@\" > \"$(dirname \"$0\")/called\"\n").unwrap();
    fs::set_permissions(&gpioset, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let status = Command::new(example("unlock.sh"))
        .args(["gpiochip0", "17", "3"])
        .env_clear()
        .env("PATH", path)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .status()
        .unwrap();
    assert!(status.success());
    fs::read_to_string(folder.path().join("called")).ok()
}

#[test]
fn the_door_is_unlocked_for_a_grant_and_for_nothing_else() {
    let clock = SystemClock::new();
    let now = clock.wall(clock.now());
    let person = ("FACEWARDEN_PERSON", "Ada".to_owned());
    let expires = |at: facewarden::clock::WallTime| ("FACEWARDEN_EXPIRES_AT", at.to_string());
    let live = [person.clone(), expires(now + Duration::from_secs(60))];
    assert_eq!(unlocked(&live).as_deref(), Some("--mode=time --sec=3 gpiochip0 17=1\n"));
    assert_eq!(unlocked(&[person, expires(now)]), None, "too late");
    let other = [("FACEWARDEN_RESEMBLES", "Ada".to_owned()), ("FACEWARDEN_SUBJECT", "Ada".to_owned())];
    assert_eq!(unlocked(&other), None, "no grant");
}

#[test]
fn the_unit_for_the_journal_calls_what_there_is() {
    let unit = fs::read_to_string(example("facewarden-journal.service")).unwrap();
    let call = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/")).unwrap();
    let parsed = facewarden::cmds::cli().try_get_matches_from(call.split(' '));
    assert!(parsed.is_ok(), "{call}: {}", parsed.unwrap_err());
    let default = facewarden::config::Socket::default().path;
    assert!(call.contains(default.to_str().unwrap()));
}
