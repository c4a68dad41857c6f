//! Who may ask the running daemon something, and over which socket; and the checks of it.

use std::ffi::OsStr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Findings;
use super::check_events::socket_file;

/// The socket that `facewarden ctl` asks the running daemon over. Whoever may open it may ask how it goes; to change
/// something takes more: root, the daemon's own user, and `operators`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// False for no such socket.
    pub enabled: bool,
    /// The socket's file. Left out: `control.sock` in the folder that systemd makes for the service
    /// (`RUNTIME_DIRECTORY`, /run/facewarden), and no socket where there is none.
    pub path: Option<PathBuf>,
    /// Who may open it, as octal digits: `0600` the daemon's user alone, `0660` its group as well, `0666` everybody.
    pub mode: String,
    /// The group that the file is given to. Left out: the daemon's own.
    pub group: Option<String>,
    /// Who may pause, resume, reload, take snapshots and enrol.
    pub operators: Operators,
}

impl Default for Control {
    fn default() -> Self {
        let operators = Operators::default();
        Self { enabled: true, path: None, mode: "0660".into(), group: None, operators }
    }
}

impl Control {
    /// Name of the socket in the service's folder.
    pub const FILE: &'static str = "control.sock";

    /// Where the socket is; `None` for none. `runtime_directory` is what systemd says of the service's folders, one or
    /// several with colons between them.
    #[must_use]
    pub fn effective_path(&self, runtime_directory: Option<&OsStr>) -> Option<PathBuf> {
        if !self.enabled {
            return None;
        }
        let of_service = || {
            let folders = runtime_directory?.to_str()?;
            let first = folders.split(':').next().filter(|first| first.starts_with('/'))?;
            Some(PathBuf::from(first).join(Self::FILE))
        };
        self.path.clone().or_else(of_service)
    }
}

/// Who may change something over the socket, beside root and the daemon's own user. They must be able to open it too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Operators {
    /// Users by name, as in /etc/passwd, or by number.
    pub users: Vec<String>,
    /// Groups by name, as in /etc/group, or by number: whoever is a member there, or has it as their main group.
    pub groups: Vec<String>,
}

pub(super) fn control(control: &Control, found: &mut Findings) {
    let path = control.path.as_deref();
    socket_file("control", path, &control.mode, control.group.as_deref(), "see how it goes here", found);
    let Operators { users, groups } = &control.operators;
    for (key, names) in [("control.operators.users", users), ("control.operators.groups", groups)] {
        for (at, name) in names.iter().enumerate() {
            if name.trim().is_empty() || name.contains([':', '\n', '\0']) {
                let message = format!("`{key}[{at}]` cannot be `{}`", name.escape_debug());
                found.error(&format!("{key}[{at}]"), message, "a name such as ada, or a number in quotes");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_socket_and_a_trial_has_none() {
        let path = |control: &Control, folder: Option<&str>| {
            control.effective_path(folder.map(OsStr::new)).map(|path| path.display().to_string())
        };
        let usual = Control::default();
        assert_eq!(path(&usual, None), None);
        assert_eq!(path(&usual, Some("/run/facewarden")).as_deref(), Some("/run/facewarden/control.sock"));
        assert_eq!(path(&usual, Some("/run/a:/run/b")).as_deref(), Some("/run/a/control.sock"));
        assert_eq!(path(&usual, Some("")), None);
        let named = Control { path: Some("/tmp/c.sock".into()), ..Control::default() };
        assert_eq!(path(&named, Some("/run/facewarden")).as_deref(), Some("/tmp/c.sock"));
        let off = Control { enabled: false, ..named };
        assert_eq!(path(&off, Some("/run/facewarden")), None);
    }
}
