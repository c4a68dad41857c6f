//! The unit of the service manager: whether it is there, runs, and is watched over; and as whom.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::finding::{Findings, State};
use super::user::User;
use crate::config::Config;

const UNIT: &str = "facewarden.service";
const CHECK: &str = "service";

/// What is asked for.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,MainPID,User,StatusText,\
                          NRestarts,WatchdogUSec,PrivateNetwork,NeedDaemonReload";

/// Above this, `systemd-analyze security` finds more than is left open by the unit that is shipped (0.8) with the drop-in for
/// networks (1.6).
const MOST_EXPOSED: f64 = 1.6;

/// The unit, as the service manager has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    properties: BTreeMap<String, String>,
    /// Why nothing is known.
    trouble: Option<String>,
}

impl Service {
    /// Asks the service manager.
    pub(super) fn ask() -> Self {
        let output = Command::new("systemctl")
            .args(["show", "--no-pager", "--property", PROPERTIES, UNIT])
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => {
                Self { properties: parse(&String::from_utf8_lossy(&output.stdout)), trouble: None }
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Self::unknown(said.lines().next().unwrap_or("systemctl failed"))
            }
            Err(error) => Self::unknown(&format!("systemctl: {error}")),
        }
    }

    fn unknown(why: &str) -> Self {
        Self { trouble: Some(why.trim().to_owned()), ..Self::default() }
    }

    fn get(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    pub(super) fn is_installed(&self) -> bool {
        self.get("LoadState") == "loaded"
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.get("ActiveState"), "active" | "reloading")
    }

    /// The daemon's process, if it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.get("MainPID").parse().ok().filter(|&pid| pid > 0)
    }

    /// Whom the daemon runs as; `None` where there is no unit, or that user is not there.
    pub(super) fn user(&self) -> Option<User> {
        let name = self.is_installed().then(|| self.get("User")).filter(|name| !name.is_empty())?;
        User::named(name)
    }

    /// The lines about the unit.
    pub(super) fn examine(&self, config: Option<&Config>) -> Findings {
        let mut found = Findings::default();
        if let Some(trouble) = &self.trouble {
            found.warn(CHECK, format_args!("nothing is known of the service ({trouble})"), NO_MANAGER);
            return found;
        }
        if !self.is_installed() {
            found.warn(
                CHECK,
                "facewarden.service is not installed",
                "install the Debian package, or start `facewarden run` in another way",
            );
            return found;
        }
        self.examine_state(&mut found);
        self.examine_unit(config, &mut found);
        match self.get("User") {
            "" | "root" => found.warn(CHECK, "the daemon runs as root", "give the unit `User=facewarden`"),
            name if User::named(name).is_none() => found.fail(
                CHECK,
                format_args!("there is no user {name}, whom the service is to run as"),
                "systemd-sysusers facewarden.conf",
            ),
            _ => (),
        }
        found
    }

    fn examine_state(&self, found: &mut Findings) {
        let status = self.get("StatusText");
        let status = if status.is_empty() { String::new() } else { format!(": {status}") };
        match self.get("ActiveState") {
            "active" => found.ok(CHECK, format_args!("it runs{status}")),
            "reloading" => found.ok(CHECK, format_args!("it reads its settings again{status}")),
            "activating" => found.warn(
                CHECK,
                format_args!("it is starting ({}){status}", self.get("SubState")),
                "journalctl -u facewarden -e says how far it is",
            ),
            "failed" => found.fail(
                CHECK,
                format_args!(
                    "it has failed ({}, exit code {})",
                    self.get("Result"),
                    self.get("ExecMainStatus")
                ),
                "journalctl -u facewarden -e says why; then systemctl restart facewarden",
            ),
            _ => found.warn(CHECK, "it does not run", "systemctl start facewarden"),
        }
        if self.get("NRestarts").parse().is_ok_and(|times: u32| times > 0) {
            found.warn(
                CHECK,
                format_args!("it had to be started again {} times", self.get("NRestarts")),
                "journalctl -u facewarden -p warning says why",
            );
        }
        if self.get("UnitFileState") == "disabled" {
            found.warn(CHECK, "it is not started with the machine", "systemctl enable facewarden");
        }
    }

    fn examine_unit(&self, config: Option<&Config>, found: &mut Findings) {
        if self.get("NeedDaemonReload") == "yes" {
            found.warn(
                CHECK,
                "the unit was changed and not read again",
                "systemctl daemon-reload && systemctl restart facewarden",
            );
        }
        if matches!(self.get("WatchdogUSec"), "" | "0" | "infinity") {
            found.warn(CHECK, "a daemon that hangs is not started again", "give the unit `WatchdogSec=10`");
        }
        if let Some(who) = config.and_then(needs_network).filter(|_| self.get("PrivateNetwork") == "yes") {
            found.fail(
                CHECK,
                format_args!("the service has no network, and {who} needs it"),
                "copy /usr/share/doc/facewarden/examples/network.conf as it says there",
            );
        }
        match exposure() {
            Some(exposure) if exposure > MOST_EXPOSED => found.warn(
                CHECK,
                format_args!("its exposure is {exposure:.1} and should be {MOST_EXPOSED:.1} at most"),
                "systemd-analyze security facewarden says what is open",
            ),
            Some(exposure) => found.ok(CHECK, format_args!("its exposure is {exposure:.1}")),
            None => found.say(
                CHECK,
                State::Warn,
                "its exposure cannot be told: `systemd-analyze security facewarden` does not answer",
            ),
        }
    }
}

const NO_MANAGER: &str =
    "systemd is needed for it; without, something else must start the daemon and watch over it";

/// What in the settings needs a network.
fn needs_network(config: &Config) -> Option<&'static str> {
    if !config.events.webhooks.is_empty() {
        return Some("`events.webhooks`");
    }
    if !config.events.mqtt.is_empty() {
        return Some("`events.mqtt`");
    }
    let is_address = |source: &str| source.contains("://") && !source.starts_with("file://");
    config.cameras.iter().any(|camera| is_address(&camera.source)).then_some("a camera's address")
}

fn parse(shown: &str) -> BTreeMap<String, String> {
    let pairs = shown.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// From 0 (nothing is open) to 10.
fn exposure() -> Option<f64> {
    let output = Command::new("systemd-analyze")
        .args(["security", "--no-pager", UNIT])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    parse_exposure(&String::from_utf8_lossy(&output.stdout))
}

/// The last line is `→ Overall exposure level for facewarden.service: 0.7 SAFE`.
fn parse_exposure(text: &str) -> Option<f64> {
    let line = text.lines().rev().find(|line| line.contains(UNIT))?;
    let (_, verdict) = line.rsplit_once(UNIT)?;
    verdict.trim_start_matches(':').split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(shown: &str, config: Option<&Config>) -> Vec<String> {
        let service = Service { properties: parse(shown), trouble: None };
        service.examine(config).0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_unit_that_has_failed_is_a_failure_and_one_that_is_off_a_warning() {
        let shown = "LoadState=loaded\nUser=root\nWatchdogUSec=10s\n";
        let failed =
            lines(&format!("{shown}ActiveState=failed\nResult=exit-code\nExecMainStatus=78\n"), None);
        assert!(
            failed[0].starts_with("FAIL  service     it has failed (exit-code, exit code 78)"),
            "{failed:?}"
        );
        let off = lines(&format!("{shown}ActiveState=inactive\nUnitFileState=disabled\n"), None);
        assert!(off[0].starts_with("warn  service     it does not run: systemctl start"), "{off:?}");
        assert!(off[1].contains("not started with the machine"), "{off:?}");
        let on = lines(&format!("{shown}ActiveState=active\nStatusText=30 fps = all\nNRestarts=0\n"), None);
        assert_eq!(on[0], "ok    service     it runs: 30 fps = all");
        assert!(!on.iter().any(|line| line.contains("started again")), "{on:?}");
        assert!(on.iter().any(|line| line.contains("runs as root")), "{on:?}");
        assert!(lines("LoadState=not-found\n", None)[0].contains("is not installed"));
    }

    #[test]
    fn a_unit_without_network_is_a_failure_where_the_settings_need_it() {
        let yaml = |source: &str| {
            Config::from_yaml(&format!("schema: 1\ncameras: [{{id: a, source: \"{source}\"}}]\n"), "x")
                .unwrap()
        };
        let shown = "LoadState=loaded\nActiveState=active\nPrivateNetwork=yes\n";
        let said =
            |config: &Config, shown: &str| lines(shown, Some(config)).join("\n").contains("has no network");
        assert!(said(&yaml("rtsp://cam/x"), shown));
        assert!(!said(&yaml("rtsp://cam/x"), &shown.replace("yes", "no")));
        assert!(!said(&yaml("/dev/video0"), shown));
    }

    #[test]
    fn the_exposure_is_read_from_the_last_line() {
        let text = "  NAME  DESCRIPTION\n✗ PrivateDevices=  facewarden.service may  0.2\n\n\
                    → Overall exposure level for facewarden.service: 0.7 SAFE 😀\n";
        assert_eq!(parse_exposure(text), Some(0.7));
        assert_eq!(parse_exposure("Unit facewarden.service not found.\n"), None);
    }
}
