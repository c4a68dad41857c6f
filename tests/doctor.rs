//! `doctor` as somebody at a door runs it: the real program, with one thing broken at a time.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Rgb, RgbImage};

use crate::daemon::rig::{Before, Rig};
use crate::mqtt::broker;
use crate::support::Ran;

/// What the service manager's programs say here.
struct Machine {
    rig: Rig,
}

/// As after an installation that was not started.
const UNIT: &str = "LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\nWatchdogUSec=10s\nUser=root\n\
                    PrivateNetwork=no\n";

impl Machine {
    /// A door that is as it should be.
    fn new() -> Self {
        let machine = Self { rig: Rig::new(&[Before::Nobody(12)]) };
        fs::create_dir(machine.path("bin")).unwrap();
        machine.program("systemctl", UNIT);
        machine.program("timedatectl", "yes\n");
        machine.program("systemd-analyze", "→ Overall exposure level for facewarden.service: 0.7 SAFE\n");
        machine.program("hook", "");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.rig.path(name)
    }

    /// A program that prints this.
    fn program(&self, name: &str, prints: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\ncat <<'EOF'\n{prints}EOF\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn settings(&self, source: &Path, more: &str) -> String {
        let folder = self.path("").display().to_string();
        format!(
            "schema: 1\n\
             cameras: [{{id: door, source: {}, fps: 10}}]\n\
             gallery: {{folder: {folder}enrolled}}\n\
             liveness: {{self_test_file: {folder}self-test.json}}\n\
             events:\n  log: {folder}events.jsonl\n  hooks: [{{argv: [{folder}bin/hook]}}]\n  outbox: {{folder: {folder}outbox}}\n\
             {more}",
            source.display()
        )
    }

    fn doctor(&self, settings: &str, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(settings, arguments))
    }

    fn command(&self, settings: &str, arguments: &[&str]) -> Command {
        let file = self.path("facewarden.yaml");
        fs::write(&file, settings).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(env!("CARGO_BIN_EXE_facewarden"));
        command.arg("doctor").arg("--config").arg(file).args(arguments);
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env_remove("CREDENTIALS_DIRECTORY");
        command
    }

    /// The folder of pictures as the camera, and these settings more.
    fn with(&self, more: &str) -> Ran {
        self.doctor(&self.settings(&self.rig.frames(), more), &[])
    }
}

/// The line that has this in it.
#[track_caller]
fn line<'a>(ran: &'a Ran, part: &str) -> &'a str {
    ran.out.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part:?} in:\n{}", ran.out))
}

#[track_caller]
fn fails(ran: &Ran, part: &str) {
    assert!(line(ran, part).starts_with("FAIL"), "{}", line(ran, part));
    assert_eq!(ran.code, 1, "{}", ran.out);
}

#[test]
fn a_sound_door_is_looked_at_from_all_sides() {
    let machine = Machine::new();
    machine.rig.enrol_barack();
    let ran = machine.with("").code(0);
    for part in [
        "facewarden.yaml can be used",
        "ONNX Runtime from",
        "centerface finds faces",
        "faceplugin512 turns faces into numbers",
        "liveness tells faces from pictures",
        "1 enrolled, with 1 pictures",
        "gives 640x360",
        "mean brightness 98 of 255",
        "pictures a second",
        "can read and write all",
        "MB are free",
        "bin/hook is there",
        ", synchronised",
        "its exposure is 0.7",
    ] {
        assert!(line(&ran, part).starts_with("ok "), "{}", line(&ran, part));
    }
    // Nothing of what is only advised is a failure.
    assert!(line(&ran, "was not tried").starts_with("warn  self-test"), "{}", ran.out);
    assert!(line(&ran, "it does not run").starts_with("warn  service"), "{}", ran.out);
    assert!(!ran.out.contains("FAIL"), "{}", ran.out);

    let report = machine.doctor(&machine.settings(&machine.rig.frames(), ""), &["--json"]).code(0).json();
    assert_eq!(report["ok"], true);
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|f| f["check"] == "camera" && f["state"] == "ok"), "{report}");
    assert_eq!(findings.len(), ran.out.lines().count());
}

#[test]
fn a_model_that_is_missing_or_changed_fails() {
    let machine = Machine::new();
    let models = machine.path("models");
    fs::create_dir(&models).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for name in ["centerface", "liveness"] {
        for ending in ["yaml", "onnx"] {
            let file = format!("{name}.{ending}");
            fs::copy(shipped.join(&file), models.join(&file)).unwrap();
        }
    }
    let mut changed = fs::read(models.join("liveness.onnx")).unwrap();
    changed[1000] ^= 1;
    fs::write(models.join("liveness.onnx"), changed).unwrap();
    let ran = machine.with(&format!("models: {{folder: {}}}\n", models.display()));
    fails(&ran, "there is no model faceplugin512");
    fails(&ran, "liveness.onnx is damaged, cut short or another one");
    assert!(line(&ran, "centerface finds faces").starts_with("ok "), "the others are looked at all the same");
}

#[test]
fn a_gallery_that_cannot_be_used_fails() {
    let machine = Machine::new();
    let ran = machine.with("").code(0);
    assert!(line(&ran, "nobody is enrolled").starts_with("warn  gallery"), "{}", ran.out);
    machine.rig.enrol_somebody("Ann");
    fails(&machine.with(""), "enrolled with another model and never recognised: Ann");
    let file = fs::read_dir(machine.rig.enrolled()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|e| e == "fwp")).unwrap();
    fs::write(&file, "no person").unwrap();
    let ran = machine.with("");
    fails(&ran, "the file is damaged");
    assert!(file.exists(), "nothing is changed");
    fs::set_permissions(machine.rig.enrolled(), fs::Permissions::from_mode(0o755)).unwrap();
    fails(&machine.with(""), "nobody can be let in");
    fs::remove_dir_all(machine.rig.enrolled()).unwrap();
    fails(&machine.with(""), "nobody can be let in");
}

#[test]
fn a_camera_that_is_not_there_fails_and_a_dark_picture_is_said() {
    let machine = Machine::new();
    let settings = machine.settings(Path::new("/dev/v4l/by-id/usb-Gone-video-index0"), "");
    fails(&machine.doctor(&settings, &[]), "it is not plugged in");
    let dark = machine.path("dark");
    fs::create_dir(&dark).unwrap();
    for number in 0..6 {
        let picture = RgbImage::from_pixel(320, 180, Rgb([9, 9, 9]));
        picture.save(dark.join(format!("{number}.png"))).unwrap();
    }
    let ran = machine.doctor(&machine.settings(&dark, ""), &[]).code(0);
    let said = line(&ran, "the picture is dark (mean brightness 9 of 255)");
    assert!(said.starts_with("warn  light") && said.contains("lens covered"), "{said}");
    fs::write(dark.join("0.png"), "no picture").unwrap();
    fs::remove_file(dark.join("1.png")).unwrap();
    for number in 2..6 {
        fs::write(dark.join(format!("{number}.png")), "no picture").unwrap();
    }
    fails(&machine.doctor(&machine.settings(&dark, ""), &[]), "pictures are damaged");
}

#[test]
fn faulty_settings_fail_and_the_machine_is_looked_at_all_the_same() {
    let machine = Machine::new();
    let ran = machine.doctor("schema: 1\ncamera: []\n", &[]);
    fails(&ran, "did you mean");
    line(&ran, ", synchronised");
    line(&ran, "it does not run");
    machine.program("timedatectl", "no\n");
    assert!(line(&machine.with(""), "not synchronised").starts_with("warn  clock"));
}

#[test]
fn a_service_that_failed_or_has_no_network_fails() {
    let machine = Machine::new();
    let failed = UNIT.replace("inactive", "failed") + "Result=exit-code\nExecMainStatus=78\nStatusText=\n";
    machine.program("systemctl", &failed);
    fails(&machine.with(""), "it has failed (exit-code, exit code 78)");
    machine.program("systemctl", &UNIT.replace("PrivateNetwork=no", "PrivateNetwork=yes"));
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let ran = machine.with(&format!("  mqtt: [{{name: house, host: 127.0.0.1, port: {closed}}}]\n"));
    fails(&ran, "the service has no network, and `events.mqtt` needs it");
    fails(&ran, "house: 127.0.0.1:");
}

#[test]
fn files_that_the_daemon_may_not_read_are_named_with_what_to_do() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can look at files as another user would");
        return;
    }
    let machine = Machine::new();
    fs::set_permissions(machine.path(""), fs::Permissions::from_mode(0o700)).unwrap();
    // A user who owns nothing.
    machine.program("systemctl", &UNIT.replace("User=root", "User=nobody"));
    let ran = machine.with("");
    fails(&ran, "nobody may not read");
    fails(&ran, "nobody may not write into");
    fails(&ran, "does not belong to nobody, whom the daemon runs as");
    assert!(line(&ran, "nobody may not read").contains("chmod 640"), "{}", ran.out);
}

fn with_password(folder: &Path, password: &str) -> PathBuf {
    let file = folder.join("door.password");
    fs::write(&file, password).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    file
}

#[test]
fn a_broker_is_tried_with_the_password_and_told_nothing() {
    if !broker::is_there() {
        return;
    }
    let machine = Machine::new();
    for version in ["3.1.1", "5"] {
        let broker = broker::with_password("door", "right");
        let yaml = |password_file: &str| {
            let port = broker.port;
            machine.settings(
                &machine.rig.frames(),
                &format!(
                    "  mqtt: [{{name: house, host: 127.0.0.1, port: {port}, version: \"{version}\", user: door, \
                     password_file: {password_file}, client_id: mine}}]\n"
                ),
            )
        };
        let file = with_password(broker.folder.path(), "wrong");
        let ran = machine.doctor(&yaml(file.to_str().unwrap()), &[]);
        fails(&ran, "check `user` and the password in `password_file`");
        fs::remove_file(&file).unwrap();

        // A credential of the service, as systemd hands it out: for the service alone.
        with_password(broker.folder.path(), "right");
        let settings = yaml("door.password");
        let ran = machine.doctor(&settings, &[]).code(0);
        let said = line(&ran, "door.password is a credential of the service");
        assert!(said.starts_with("warn  broker") && said.contains("not tried"), "{said}");
        let mut command = machine.command(&settings, &[]);
        let ran = Ran::of(command.env("CREDENTIALS_DIRECTORY", broker.folder.path())).code(0);
        assert!(line(&ran, "lets this machine in").starts_with("ok    broker"), "{}", ran.out);
        let log = broker.log();
        assert!(log.contains("mine-doctor") && log.contains("disconnected"), "{log}");
        assert!(!log.contains("PUBLISH"), "{log}");
        fs::remove_file(broker.folder.path().join("door.password")).unwrap();
    }
}

#[test]
fn a_web_server_is_connected_to_and_sent_nothing() {
    let machine = Machine::new();
    let secret = machine.path("secret");
    let made = Ran::of(Command::new(env!("CARGO_BIN_EXE_facewarden")).arg("secret")).code(0);
    fs::write(&secret, made.out).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let more = |scheme: &str| {
        format!(
            "  webhooks: [{{name: list, url: \"{scheme}://127.0.0.1:{port}/x\", timeout_ms: 2000, secret_file: {}}}]\n",
            secret.display()
        )
    };
    let ran = machine.with(&more("http")).code(0);
    assert!(
        line(&ran, "list: its server answers (nothing was sent)").starts_with("ok    webhook"),
        "{}",
        ran.out
    );
    let (mut stream, _) = listener.accept().unwrap();
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut got).unwrap();
    assert_eq!(got, b"");
    drop(listener);
    fails(&machine.with(&more("http")), "nothing listens there");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    fails(&machine.with(&more("http")), "is open to other users");
}
