//! Whether the daemon's user may read and write what the settings name.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::finding::Findings;
use super::machine::existing;
use super::user::{Deed, User};
use crate::config::Config;

const CHECK: &str = "permissions";

/// Looks at every file and folder of the settings. `daemon` is whoever the daemon runs as; without it, whoever asks.
pub(super) fn examine(file: &Path, config: &Config, daemon: Option<&User>) -> Findings {
    let mut found = Findings::default();
    let asks = Asks { daemon, found: &mut found };
    let wrong = asks.all(file, config);
    if wrong == 0 {
        let who = daemon.map_or_else(|| "this user".to_owned(), |user| user.name.clone());
        found.ok(CHECK, format_args!("{who} can read and write all that the settings name"));
    }
    found
}

struct Asks<'a> {
    daemon: Option<&'a User>,
    found: &'a mut Findings,
}

impl Asks<'_> {
    /// How many are wrong.
    fn all(mut self, file: &Path, config: &Config) -> usize {
        let events = &config.events;
        self.check(Deed::Read, "the settings", file);
        self.folder("gallery.folder", &config.gallery.folder);
        self.folder("liveness.self_test_file", parent(&config.liveness.self_test_file));
        if let Some(log) = events.log.as_deref().filter(|log| *log != Path::new("-")) {
            // It is not made by the daemon.
            self.check(Deed::Fill, "events.log", parent(log));
        }
        if config.needs_outbox() {
            self.folder("events.outbox.folder", &events.outbox.folder);
        }
        if config.debug.record {
            self.folder("debug.folder", &config.debug.folder);
        }
        if let Some(socket) = &events.socket {
            let folder = parent(&socket.path);
            // The service manager makes that one at each start, and removes it at the end.
            if folder != Path::new("/run/facewarden") || folder.exists() {
                self.folder("events.socket.path", folder);
            }
        }
        for path in secrets(config) {
            self.check(Deed::Read, "the secret", &path);
        }
        self.found.0.len()
    }

    /// A folder that the daemon makes where it is missing.
    fn folder(&mut self, what: &str, folder: &Path) {
        match existing(folder) {
            Some(there) => self.check(Deed::Fill, what, &there),
            None => self.check(Deed::Fill, what, folder),
        }
    }

    fn check(&mut self, deed: Deed, what: &str, path: &Path) {
        let shown = path.display();
        let may = match self.daemon.filter(|user| user.id != rustix::process::geteuid().as_raw()) {
            Some(user) => user.may(deed, path),
            None => {
                let access = match deed {
                    Deed::Read => rustix::fs::Access::READ_OK,
                    Deed::Fill => rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
                };
                match rustix::fs::access(path, access) {
                    Ok(()) => Ok(true),
                    Err(rustix::io::Errno::ACCESS | rustix::io::Errno::ROFS) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
        };
        let name = self.daemon.map_or("this user", |user| &user.name);
        match (may, deed) {
            (Ok(true), _) => (),
            (Ok(false), Deed::Read) => self.found.fail(
                CHECK,
                format_args!("{name} may not read {shown} ({what})"),
                &format!("chgrp {name} {shown} && chmod 640 {shown}"),
            ),
            (Ok(false), Deed::Fill) => self.found.fail(
                CHECK,
                format_args!("{name} may not write into {shown} ({what})"),
                &format!("install -d -m 700 -o {name} {shown}"),
            ),
            (Err(error), _) if error.kind() == ErrorKind::NotFound => {
                self.found.fail(
                    CHECK,
                    format_args!("there is no {shown} ({what})"),
                    "make it, or correct the settings",
                );
            }
            (Err(error), _) => self.found.warn(
                CHECK,
                format_args!("{shown} ({what}) cannot be looked at: {error}"),
                "run this as root",
            ),
        }
    }
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The files with secrets that are on disk for the daemon's user; credentials of the service are none of them.
fn secrets(config: &Config) -> Vec<PathBuf> {
    let webhooks = config.events.webhooks.iter();
    let webhooks = webhooks.flat_map(|hook| [Some(&hook.secret_file), hook.bearer_token_file.as_ref()]);
    let mqtt = config.events.mqtt.iter().flat_map(|mqtt| {
        let key = mqtt.tls.as_ref().and_then(|tls| tls.key_file.as_ref());
        [mqtt.password_file.as_ref(), key]
    });
    webhooks.chain(mqtt).flatten().filter(|path| path.components().count() > 1).cloned().collect()
}
