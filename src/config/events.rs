//! Who is told of events, and how: the section `events` of the configuration file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{CameraId, GroupId, PersonId};

/// Who is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// Name of this installation, in MQTT topics and as the source of webhooks: letters, digits, `-`, `_` and `.`.
    pub site: String,
    /// One JSON object a line: a file, or `-` for standard output.
    pub log: Option<PathBuf>,
    /// The log file is moved aside, and a new one begun, when it is larger than this (millions of bytes).
    pub log_rotate_mb: u32,
    /// So many files that were moved aside are kept; older ones are deleted.
    pub log_keep_files: u32,
    /// Where events wait for webhooks, MQTT and readers of the socket.
    pub outbox: OutboxSettings,
    /// Commands that are run for events.
    pub hooks: Vec<Hook>,
    /// Web servers that are told.
    pub webhooks: Vec<Webhook>,
    /// MQTT brokers that are told.
    pub mqtt: Vec<Mqtt>,
    /// A unix socket that programs on this machine read events from.
    pub socket: Option<Socket>,
    /// Lines of a GPIO chip that are switched on for a grant.
    pub relays: Vec<Relay>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            site: "main".into(),
            log: Some("-".into()),
            log_rotate_mb: 16,
            log_keep_files: 20,
            outbox: OutboxSettings::default(),
            hooks: Vec::new(),
            webhooks: Vec::new(),
            mqtt: Vec::new(),
            socket: None,
            relays: Vec::new(),
        }
    }
}

impl Events {
    /// Whether anything is configured that an outbox is needed for.
    #[must_use]
    pub fn needs_outbox(&self) -> bool {
        !self.webhooks.is_empty() || !self.mqtt.is_empty() || self.socket.is_some()
    }
}

/// Where events wait until they are delivered. Only used with webhooks, MQTT or a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxSettings {
    /// It is in there, for the daemon's user alone.
    pub folder: PathBuf,
    /// When it is larger than this (millions of bytes), the oldest events are dropped.
    pub max_mb: u32,
    /// Events that could not be delivered for so long are dropped.
    pub max_age_hours: u32,
    /// Events that everybody has are kept for so long, for readers of the socket that ask for them.
    pub keep_delivered_hours: u32,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            folder: "/var/lib/facewarden/outbox".into(),
            max_mb: 64,
            max_age_hours: 7 * 24,
            keep_delivered_hours: 24,
        }
    }
}

/// Which events somebody is told of. What is left out does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Only {
    /// These kinds, by their `type`. Left out: for hooks `match.verified` alone, for all others every kind.
    pub kinds: Option<Vec<String>>,
    /// Events of these cameras. Events that belong to no camera pass.
    pub cameras: Option<Vec<CameraId>>,
    /// Events about these people. Events that are about nobody in particular pass.
    pub people: Option<Vec<PersonId>>,
    /// Events about people of at least one of these groups. Events that are about nobody in particular pass.
    pub groups: Option<Vec<GroupId>>,
}

/// How long is waited before something is tried again: twice as long each time, and never exactly, so that many
/// who wait do not all come back at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// At first.
    pub first_ms: u64,
    /// At most.
    pub max_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: 500, max_ms: 60_000 }
    }
}

/// A command that is run for each event: no shell; the event on standard input and in `FACEWARDEN_*` variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The program by its absolute path, and its arguments.
    pub argv: Vec<String>,
    /// For which events; `match.verified` alone unless it says otherwise.
    #[serde(default)]
    pub only: Only,
    /// It is killed, with all it started, after so long.
    #[serde(default = "Hook::default_timeout_ms")]
    pub timeout_ms: u64,
    /// At most so many run at once; further events wait, and the oldest waiting is dropped past a bound.
    #[serde(default = "Hook::default_max_parallel")]
    pub max_parallel: u32,
    /// It is started at most so often within a minute; further events wait. Left out: no limit.
    #[serde(default)]
    pub max_per_minute: Option<u32>,
    /// When it ends with one of these exit codes it is run again for the same event.
    #[serde(default)]
    pub retry_exit_codes: Vec<u8>,
    /// So often at most, the first time included.
    #[serde(default = "Hook::default_attempts")]
    pub attempts: u32,
    /// How long is waited in between.
    #[serde(default)]
    pub backoff: Backoff,
}

impl Hook {
    /// A hook with every setting but its command at its default.
    #[must_use]
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            argv,
            only: Only::default(),
            timeout_ms: Self::default_timeout_ms(),
            max_parallel: Self::default_max_parallel(),
            max_per_minute: None,
            retry_exit_codes: Vec::new(),
            attempts: Self::default_attempts(),
            backoff: Backoff::default(),
        }
    }

    fn default_timeout_ms() -> u64 {
        10_000
    }
    fn default_max_parallel() -> u32 {
        4
    }
    fn default_attempts() -> u32 {
        3
    }
}

/// A web server that gets each event as a signed POST of a CloudEvent, until it says that it has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its name in logs and in the outbox: letters, digits, `-` and `_`. Under a new name it starts anew.
    pub name: String,
    /// Where events are posted to. `https`, or `http` to this very machine.
    pub url: String,
    /// File with the secret that requests are signed with: one line, `whsec_` and base64 of 24 to 64 bytes. A name without
    /// a folder is a credential of the service, here and for every other file with a secret or a certificate.
    pub secret_file: PathBuf,
    /// File with a token that is sent as `Authorization: Bearer`.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// File with the certificates (PEM) that are trusted, instead of those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// True to allow `http` to other machines: whoever is in between can read who comes and goes.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// An attempt may take so long.
    #[serde(default = "Webhook::default_timeout_ms")]
    pub timeout_ms: u64,
    /// How long is waited after an attempt that failed.
    #[serde(default)]
    pub backoff: Backoff,
    /// For which events.
    #[serde(default)]
    pub only: Only,
}

impl Webhook {
    fn default_timeout_ms() -> u64 {
        10_000
    }
}

/// An MQTT broker that each event is published at, with the state of each camera beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// Its name in logs and in the outbox: letters, digits, `-` and `_`. Under a new name it starts anew.
    pub name: String,
    /// Name or address of the broker.
    pub host: String,
    /// Its port. Left out: 8883 with `tls`, else 1883.
    #[serde(default)]
    pub port: Option<u16>,
    /// Version of the protocol.
    #[serde(default)]
    pub version: MqttVersion,
    /// Encrypted, and the broker's certificate verified. Left out: in the clear, to this very machine only.
    #[serde(default)]
    pub tls: Option<MqttTls>,
    /// True to allow an unencrypted connection to another machine: whoever is in between can read who comes and goes,
    /// and the password.
    #[serde(default)]
    pub allow_plain: bool,
    /// Name to log in with.
    #[serde(default)]
    pub user: Option<String>,
    /// File with the password, one line.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How the broker tells clients apart. Left out: `facewarden-` and the site, `-` and the name.
    #[serde(default)]
    pub client_id: Option<String>,
    /// All topics begin with it.
    #[serde(default = "Mqtt::default_topic_prefix")]
    pub topic_prefix: String,
    /// Where Home Assistant looks for new devices; `null` not to be found there.
    #[serde(default = "Mqtt::default_home_assistant_prefix")]
    pub home_assistant_prefix: Option<String>,
    /// The broker is asked for a sign of life so often.
    #[serde(default = "Mqtt::default_keep_alive_seconds")]
    pub keep_alive_seconds: u16,
    /// Connecting, and the confirmation of an event, may each take so long.
    #[serde(default = "Mqtt::default_timeout_ms")]
    pub timeout_ms: u64,
    /// How long is waited after an attempt that failed.
    #[serde(default)]
    pub backoff: Backoff,
    /// For which events.
    #[serde(default)]
    pub only: Only,
}

impl Mqtt {
    fn default_topic_prefix() -> String {
        "facewarden".into()
    }
    #[expect(clippy::unnecessary_wraps, reason = "the default of an optional setting")]
    fn default_home_assistant_prefix() -> Option<String> {
        Some("homeassistant".into())
    }
    fn default_keep_alive_seconds() -> u16 {
        30
    }
    fn default_timeout_ms() -> u64 {
        10_000
    }

    /// The port that is connected to.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(if self.tls.is_some() { 8883 } else { 1883 })
    }
}

/// Version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum MqttVersion {
    /// MQTT 3.1.1, which every broker speaks.
    #[default]
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5: tells more about refusals, and lets old messages expire.
    #[serde(rename = "5")]
    V5,
}

/// Whom to trust, and how to prove who this is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MqttTls {
    /// File with the certificates (PEM) that are trusted, instead of those of the system.
    pub ca_file: Option<PathBuf>,
    /// File with this client's own certificate (PEM), where the broker asks for one...
    pub certificate_file: Option<PathBuf>,
    /// ... and with its key.
    pub key_file: Option<PathBuf>,
}

/// A unix socket. Whoever may open it reads events, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Socket {
    /// The socket's file.
    pub path: PathBuf,
    /// Who may read events, as octal digits: `0600` the daemon's user alone, `0660` its group as well.
    pub mode: String,
    /// The group that the file is given to. Left out: the daemon's own.
    pub group: Option<String>,
    /// At most so many read at once.
    pub max_readers: u32,
    /// A reader that takes nothing for so long, while something waits for it, is dropped.
    pub stall_ms: u64,
    /// False: only root and the daemon's own user are told how alike, how live and how good a look was; everybody else
    /// gets the events without these numbers.
    pub scores: bool,
    /// Which events are offered.
    pub only: Only,
}

impl Default for Socket {
    fn default() -> Self {
        Self {
            path: "/run/facewarden/events.sock".into(),
            mode: "0600".into(),
            group: None,
            max_readers: 16,
            stall_ms: 10_000,
            scores: false,
            only: Only::default(),
        }
    }
}

/// A line of a GPIO chip that is active for a while whenever somebody is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// The chip, such as `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// Number of the line on that chip.
    pub line: u32,
    /// True where the relay is switched on by a low level.
    #[serde(default)]
    pub active_low: bool,
    /// It is active for so long; another grant meanwhile starts that time anew.
    #[serde(default = "Relay::default_hold_ms")]
    pub hold_ms: u64,
    /// For which grants.
    #[serde(default)]
    pub only: OnlyGrants,
}

/// For which grants a relay is switched on. What is left out does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OnlyGrants {
    /// At these cameras.
    pub cameras: Option<Vec<CameraId>>,
    /// To these people.
    pub people: Option<Vec<PersonId>>,
    /// To people of at least one of these groups.
    pub groups: Option<Vec<GroupId>>,
}

impl OnlyGrants {
    /// The same as a filter of events: live grants are of one kind.
    #[must_use]
    pub fn as_only(&self) -> Only {
        Only {
            kinds: Some(vec!["match.verified".into()]),
            cameras: self.cameras.clone(),
            people: self.people.clone(),
            groups: self.groups.clone(),
        }
    }
}

impl Relay {
    fn default_hold_ms() -> u64 {
        3000
    }
}
