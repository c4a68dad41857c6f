//! The files that make it a service: that they fit each other, the settings that are installed, and the command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use facewarden::cmds::exit::Exit;
use facewarden::config::{Config, Driver};

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of each key of the unit, in order.
fn unit() -> BTreeMap<String, Vec<String>> {
    let mut unit: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text("systemd/facewarden.service").lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            unit.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    unit
}

fn installed() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/facewarden.yaml");
    let (config, warnings) = Config::read_with_warnings(&path).unwrap();
    assert!(warnings.is_empty(), "{}", warnings[0]);
    config
}

#[test]
fn the_settings_that_are_installed_work_and_fit_the_unit() {
    let (config, unit) = (installed(), unit());
    let is_below = |key: &str, root: &str, path: &Path| {
        let folders: Vec<PathBuf> = unit[key][0].split(' ').map(|name| Path::new(root).join(name)).collect();
        assert!(folders.iter().any(|folder| path.starts_with(folder)), "{} is not in {key}", path.display());
    };
    is_below("StateDirectory", "/var/lib", &config.gallery.folder);
    is_below("StateDirectory", "/var/lib", &config.liveness.self_test_file);
    is_below("StateDirectory", "/var/lib", &config.events.outbox.folder);
    is_below("StateDirectory", "/var/lib", &config.debug.folder);
    is_below("LogsDirectory", "/var/log", config.events.log.as_deref().unwrap());
    is_below("RuntimeDirectory", "/run", &config.events.socket.unwrap().path);
    // The gallery is there before anybody has been enrolled.
    let folders = text("systemd/facewarden.tmpfiles");
    assert!(folders.contains(&format!("d {} 0700 facewarden facewarden", config.gallery.folder.display())));
    assert!(text("systemd/facewarden.sysusers").contains("\nu facewarden "));
    assert_eq!(unit["User"], ["facewarden"]);

    // A camera by the link that the udev rule makes; it need not be there.
    let source = &config.cameras[0].source;
    let link = format!("SYMLINK+=\"{}\"", source.strip_prefix("/dev/").unwrap());
    assert!(text("systemd/facewarden.udev").contains(&link), "{link}");
    assert_eq!(config.cameras[0].driver, Driver::Auto);
}

#[test]
fn the_unit_calls_commands_that_there_are() {
    let unit = unit();
    let mut ours = 0;
    for command in ["ExecStartPre", "ExecStart", "ExecReload"].into_iter().flat_map(|key| &unit[key]) {
        let words: Vec<&str> = command.trim_start_matches('-').split(' ').collect();
        if words[0] == "/usr/bin/facewarden" {
            let parsed = facewarden::cmds::cli().try_get_matches_from(&words);
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
            ours += 1;
        }
    }
    assert_eq!(ours, 3);
    // What no restart can mend, and nothing else: a door has to come back.
    let ends = format!("{} {}", Exit::Usage as u8, Exit::Config as u8);
    assert_eq!(unit["RestartPreventExitStatus"], [ends]);
    assert_eq!((unit["Restart"][0].as_str(), unit["StartLimitIntervalSec"][0].as_str()), ("always", "0"));
    assert_eq!(unit["Type"], ["notify"]);
}

#[test]
fn the_unit_leaves_little_open() {
    // In tenths, as systemd has it. What a door needs leaves 0.8; a network as well, 1.6.
    const MOST: [&str; 2] = ["15", "16"];
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/facewarden.service");
    let with_network = tempfile::tempdir().unwrap();
    let dropped_in = with_network.path().join("facewarden.service.d");
    fs::create_dir(&dropped_in).unwrap();
    fs::write(dropped_in.join("network.conf"), text("packaging/examples/network.conf")).unwrap();
    let copied = with_network.path().join("facewarden.service");
    fs::copy(&unit, &copied).unwrap();
    for (unit, most) in [&unit, &copied].into_iter().zip(MOST) {
        let asked = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", "--threshold", most])
            .arg(unit)
            .output();
        let Ok(asked) = asked else {
            assert!(std::env::var_os("CI").is_none(), "systemd-analyze is missing, and CI is set");
            eprintln!("SKIPPED: systemd-analyze is missing, so how exposed the unit is was not looked at");
            return;
        };
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        let verdict = said.lines().last().unwrap_or_default();
        assert!(asked.status.success() && verdict.contains("facewarden.service"), "{verdict}");
    }
}
