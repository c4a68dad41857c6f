//! The checks of who is told of events.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;

use super::check::{DAY_MS, Findings};
use super::events::{Backoff, Events, Hook, Mqtt, Only, OutboxSettings, Relay, Socket, Webhook};
use super::suggest;
use crate::domain::EventKind;

/// More sinks of one kind than this are a mistake.
const MAX_SINKS: usize = 32;
/// A year.
const MAX_HOURS: u32 = 24 * 366;
/// The kernel's limit for the path of a unix socket, without the zero byte at its end.
const MAX_SOCKET_PATH_BYTES: usize = 107;

pub(super) fn events(events: &Events, found: &mut Findings) {
    token("events.site", &events.site, found);
    if events.log.as_ref().is_some_and(|log| log.as_os_str().is_empty()) {
        found.error(
            "events.log",
            "`events.log` is empty",
            "a file, `-` for standard output, or `null` for no log",
        );
    }
    found.range("events.log_rotate_mb", events.log_rotate_mb, (1, 4096));
    found.range("events.log_keep_files", events.log_keep_files, (1, 10_000));
    if events.log.is_none() && events.hooks.is_empty() && events.relays.is_empty() && !events.needs_outbox() {
        found.warning(
            "events",
            "nobody is told of anything: there is no `events.log`, no hook and nothing else",
            "add a hook, or `log: \"-\"` for standard output",
        );
    }
    outbox(&events.outbox, found);
    several("events.hooks", "hooks", &events.hooks, hook, found);
    several("events.webhooks", "webhooks", &events.webhooks, webhook, found);
    several("events.mqtt", "brokers", &events.mqtt, mqtt, found);
    several("events.relays", "relays", &events.relays, relay, found);
    if let Some(settings) = &events.socket {
        socket(settings, found);
    }
    let webhooks =
        events.webhooks.iter().enumerate().map(|(at, w)| (format!("events.webhooks[{at}].name"), &w.name));
    let brokers = events.mqtt.iter().enumerate().map(|(at, m)| (format!("events.mqtt[{at}].name"), &m.name));
    let mut names = HashSet::new();
    for (key, name) in webhooks.chain(brokers) {
        if !names.insert(name) {
            found.error(
                &key,
                format!("there are two called `{name}`"),
                "give each webhook and each broker a `name` of its own: what it already has is remembered by it",
            );
        }
    }
    let mut lines = HashSet::new();
    for (at, relay) in events.relays.iter().enumerate() {
        if !lines.insert((&relay.chip, relay.line)) {
            found.error(
                &format!("events.relays[{at}].line"),
                format!("line {} of {} is there twice", relay.line, relay.chip.display()),
                "a line can be held once only",
            );
        }
    }
}

fn several<T>(key: &str, noun: &str, items: &[T], one: fn(&str, &T, &mut Findings), found: &mut Findings) {
    if items.len() > MAX_SINKS {
        found.error(key, format!("{} {noun} are too many", items.len()), format!("at most {MAX_SINKS}"));
    }
    for (at, item) in items.iter().take(MAX_SINKS).enumerate() {
        one(&format!("{key}[{at}]"), item, found);
    }
}

/// A name that can stand in a file name, a topic and a URI.
fn token(key: &str, text: &str, found: &mut Findings) {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(fits) || text.starts_with('.') {
        found.error(
            key,
            format!("`{key}` cannot be `{}`", text.escape_debug()),
            "1 to 64 letters, digits, `-`, `_` or `.` (not at the start)",
        );
    }
}

fn outbox(outbox: &OutboxSettings, found: &mut Findings) {
    if outbox.folder.as_os_str().is_empty() {
        found.error(
            "events.outbox.folder",
            "`events.outbox.folder` is empty",
            "name a folder, such as /var/lib/facewarden/outbox",
        );
    }
    found.range("events.outbox.max_mb", outbox.max_mb, (1, 65_536));
    found.range("events.outbox.max_age_hours", outbox.max_age_hours, (1, MAX_HOURS));
    found.range("events.outbox.keep_delivered_hours", outbox.keep_delivered_hours, (0, MAX_HOURS));
}

fn only(key: &str, only: &Only, found: &mut Findings) {
    let key = format!("{key}.only");
    let empty = [
        ("kinds", only.kinds.as_ref().is_some_and(Vec::is_empty)),
        ("cameras", only.cameras.as_ref().is_some_and(Vec::is_empty)),
        ("people", only.people.as_ref().is_some_and(Vec::is_empty)),
        ("groups", only.groups.as_ref().is_some_and(Vec::is_empty)),
    ];
    for (name, _) in empty.iter().filter(|(_, is_empty)| *is_empty) {
        found.error(
            &format!("{key}.{name}"),
            format!("`{key}.{name}` is empty: nothing would pass"),
            "name some, or leave the line out",
        );
    }
    let mut seen = HashSet::new();
    for (at, kind) in only.kinds.iter().flatten().enumerate() {
        let key = format!("{key}.kinds[{at}]");
        if !EventKind::NAMES.contains(&kind.as_str()) {
            found.error(
                &key,
                format!("there is no kind of event called `{kind}`"),
                suggest::help(kind, "the kinds", &EventKind::NAMES),
            );
        } else if !seen.insert(kind) {
            found.error(&key, format!("`{kind}` is there twice"), "remove one: each event is told once");
        }
    }
}

fn backoff(key: &str, backoff: &Backoff, found: &mut Findings) {
    let (first, most) = (format!("{key}.backoff.first_ms"), format!("{key}.backoff.max_ms"));
    let fits = found.range(&first, backoff.first_ms, (10, 3_600_000));
    let fits = found.range(&most, backoff.max_ms, (10, DAY_MS)) && fits;
    if fits && backoff.first_ms > backoff.max_ms {
        found.pair(
            (&first, &most),
            format!("`first_ms` ({}) is more than `max_ms` ({})", backoff.first_ms, backoff.max_ms),
            "the first pause is the shortest one",
        );
    }
}

fn no_zero_byte(key: &str, text: &str, found: &mut Findings) {
    if text.contains('\0') {
        found.error(key, format!("`{key}` has a zero byte in it"), "no argument can have one");
    }
}

fn hook(key: &str, hook: &Hook, found: &mut Findings) {
    match hook.argv.first() {
        None => found.error(
            &format!("{key}.argv"),
            format!("`{key}.argv` is empty"),
            "name a program by its absolute path: [/usr/local/bin/unlock]",
        ),
        Some(program) if !program.starts_with('/') => found.error(
            &format!("{key}.argv[0]"),
            format!("the program `{program}` has no absolute path"),
            "write the whole path, beginning with a slash; no shell looks it up or expands it",
        ),
        Some(program) if program.ends_with('/') => found.error(
            &format!("{key}.argv[0]"),
            format!("`{program}` is a folder"),
            "name the program in it",
        ),
        Some(_) => (),
    }
    for (at, argument) in hook.argv.iter().enumerate() {
        no_zero_byte(&format!("{key}.argv[{at}]"), argument, found);
    }
    only(key, &hook.only, found);
    found.range(&format!("{key}.timeout_ms"), hook.timeout_ms, (1, 600_000));
    found.range(&format!("{key}.max_parallel"), hook.max_parallel, (1, 64));
    if let Some(most) = hook.max_per_minute {
        found.range(&format!("{key}.max_per_minute"), most, (1, 6000));
    }
    if hook.retry_exit_codes.contains(&0) {
        found.error(
            &format!("{key}.retry_exit_codes"),
            "0 cannot be among `retry_exit_codes`",
            "a command that ends with 0 has done its work",
        );
    }
    found.range(&format!("{key}.attempts"), hook.attempts, (1, 100));
    backoff(key, &hook.backoff, found);
}

fn webhook(key: &str, webhook: &Webhook, found: &mut Findings) {
    token(&format!("{key}.name"), &webhook.name, found);
    let url_key = format!("{key}.url");
    match Url::read(&webhook.url) {
        Err(message) => found.error(
            &url_key,
            format!("`{url_key}` {message}"),
            "write it as https://door.example.org/events",
        ),
        Ok(url) if !url.is_encrypted && !is_loopback(url.host) && !webhook.allow_plain_http => found.error(
            &url_key,
            format!("`{url_key}` sends events to `{}` in the clear", url.host),
            "write https, or set `allow_plain_http: true` where you trust everybody in between",
        ),
        Ok(_) => (),
    }
    file(&format!("{key}.secret_file"), Some(&webhook.secret_file), found);
    file(&format!("{key}.bearer_token_file"), webhook.bearer_token_file.as_deref(), found);
    file(&format!("{key}.ca_file"), webhook.ca_file.as_deref(), found);
    found.range(&format!("{key}.timeout_ms"), webhook.timeout_ms, (100, 120_000));
    backoff(key, &webhook.backoff, found);
    only(key, &webhook.only, found);
}

fn file(key: &str, path: Option<&Path>, found: &mut Findings) {
    if path.is_some_and(|path| path.as_os_str().is_empty()) {
        found.error(key, format!("`{key}` is empty"), "name a file");
    }
}

/// The parts of an address that matter before anything is connected.
struct Url<'a> {
    is_encrypted: bool,
    host: &'a str,
}

impl<'a> Url<'a> {
    fn read(text: &'a str) -> Result<Self, &'static str> {
        let (is_encrypted, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("begins neither with https:// nor with http://"),
        };
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("has white space in it");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        if authority.contains('@') {
            return Err("has a name or password in it; secrets belong into files");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("has a bracket that is not closed")?;
                (host, port.strip_prefix(':'))
            }
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err("names no host");
        }
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err("has an impossible port");
        }
        Ok(Self { is_encrypted, host })
    }
}

/// Whether a host is this very machine, whatever name services say.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn mqtt(key: &str, mqtt: &Mqtt, found: &mut Findings) {
    token(&format!("{key}.name"), &mqtt.name, found);
    let host_key = format!("{key}.host");
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@');
    if mqtt.host.is_empty() || mqtt.host.contains(odd) {
        found.error(
            &host_key,
            format!("`{host_key}` cannot be `{}`", mqtt.host.escape_debug()),
            "write the name or address alone, such as broker.example.org; port and password have their own keys",
        );
    } else if mqtt.tls.is_none() && !is_loopback(&mqtt.host) && !mqtt.allow_plain {
        found.error(
            &host_key,
            format!("`{host_key}` sends events to `{}` in the clear", mqtt.host),
            "add `tls: {}`, or set `allow_plain: true` where you trust everybody in between",
        );
    }
    if mqtt.port == Some(0) {
        found.error(&format!("{key}.port"), "`port` cannot be 0", "1883, or 8883 with `tls`");
    }
    if mqtt.password_file.is_some() && mqtt.user.is_none() {
        found.error(
            &format!("{key}.password_file"),
            "there is a password and no `user`",
            "name the user whose password it is",
        );
    }
    file(&format!("{key}.password_file"), mqtt.password_file.as_deref(), found);
    if let Some(tls) = &mqtt.tls {
        let (certificate, own_key) = (format!("{key}.tls.certificate_file"), format!("{key}.tls.key_file"));
        if tls.certificate_file.is_some() != tls.key_file.is_some() {
            let lonely = if tls.key_file.is_some() { &own_key } else { &certificate };
            found.error(lonely, "a certificate and its key go together", "name both files, or neither");
        }
        file(&format!("{key}.tls.ca_file"), tls.ca_file.as_deref(), found);
        file(&certificate, tls.certificate_file.as_deref(), found);
        file(&own_key, tls.key_file.as_deref(), found);
    }
    topic(&format!("{key}.topic_prefix"), Some(&mqtt.topic_prefix), found);
    topic(&format!("{key}.home_assistant_prefix"), mqtt.home_assistant_prefix.as_deref(), found);
    if let Some(id) = &mqtt.client_id {
        token(&format!("{key}.client_id"), id, found);
    }
    found.range(&format!("{key}.keep_alive_seconds"), mqtt.keep_alive_seconds, (5, 3600));
    found.range(&format!("{key}.timeout_ms"), mqtt.timeout_ms, (100, 120_000));
    backoff(key, &mqtt.backoff, found);
    only(key, &mqtt.only, found);
}

fn topic(key: &str, topic: Option<&str>, found: &mut Findings) {
    let odd = |c: char| c.is_control() || matches!(c, '+' | '#');
    if topic.is_some_and(|t| t.is_empty() || t.contains(odd) || t.starts_with(['/', '$']) || t.ends_with('/'))
    {
        found.error(
            key,
            format!("`{key}` cannot begin a topic"),
            "words with slashes between them and without `+`, `#` and `$`, such as `facewarden`",
        );
    }
}

fn socket(socket: &Socket, found: &mut Findings) {
    let (path, group) = (Some(socket.path.as_path()), socket.group.as_deref());
    socket_file("events.socket", path, &socket.mode, group, "read who comes and goes", found);
    found.range("events.socket.max_readers", socket.max_readers, (1, 256));
    found.range("events.socket.stall_ms", socket.stall_ms, (100, 600_000));
    only("events.socket", &socket.only, found);
}

/// A socket's file: where it is, and who may open it. `everybody` is what those may do whom nobody means.
pub(super) fn socket_file(
    key: &str,
    path: Option<&Path>,
    mode: &str,
    group: Option<&str>,
    everybody: &str,
    found: &mut Findings,
) {
    let file = if key == "control" { "control" } else { "events" };
    if let Some(path) = path.filter(|p| !p.is_absolute() || p.as_os_str().len() > MAX_SOCKET_PATH_BYTES) {
        found.error(
            &format!("{key}.path"),
            format!("`{key}.path` cannot be {}", path.display()),
            format!("an absolute path of at most {MAX_SOCKET_PATH_BYTES} bytes, such as /run/facewarden/{file}.sock"),
        );
    }
    let mode_key = format!("{key}.mode");
    match socket_mode(mode) {
        None => found.error(
            &mode_key,
            format!("`{mode_key}` cannot be `{}`", mode.escape_debug()),
            "four octal digits in quotes, such as \"0660\"",
        ),
        Some(mode) if mode & 0o007 != 0 => found.warning(
            &mode_key,
            format!("everybody on this machine may {everybody}"),
            "give the socket to a `group`, with mode \"0660\"",
        ),
        Some(_) => (),
    }
    if group.is_some_and(|group| group.trim().is_empty()) {
        found.error(
            &format!("{key}.group"),
            format!("`{key}.group` is empty"),
            "name a group, or leave the line out",
        );
    }
}

/// The permission bits that a socket's `mode` says; `None` if it says none.
#[must_use]
pub fn socket_mode(text: &str) -> Option<u32> {
    let fits = text.len() == 4 && text.starts_with('0') && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    fits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

fn relay(key: &str, relay: &Relay, found: &mut Findings) {
    if !relay.chip.is_absolute() {
        found.error(
            &format!("{key}.chip"),
            format!("`{key}.chip` has no absolute path"),
            "such as /dev/gpiochip0; `gpiodetect` lists the chips",
        );
    }
    found.range(&format!("{key}.hold_ms"), relay.hold_ms, (10, 600_000));
    only(key, &relay.only.as_only(), found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let read = |text| Url::read(text).map(|url| (url.is_encrypted, url.host));
        assert_eq!(read("https://a.example/x?y"), Ok((true, "a.example")));
        assert_eq!(read("http://localhost:8080"), Ok((false, "localhost")));
        assert_eq!(read("http://[::1]:8080/x"), Ok((false, "::1")));
        for odd in [
            "ftp://a",
            "https://",
            "https:///x",
            "https://u:p@a/x",
            "https://a:99999/",
            "https://[::1",
            "https://a b/",
        ] {
            assert!(read(odd).is_err(), "{odd}");
        }
        assert!(["127.0.0.1", "127.3.2.1", "::1", "LocalHost"].into_iter().all(is_loopback));
        assert!(!["0.0.0.0", "10.0.0.1", "localhost.example.org", ""].into_iter().any(is_loopback));
    }

    #[test]
    fn modes_are_four_octal_digits() {
        assert_eq!(socket_mode("0660"), Some(0o660));
        for odd in ["", "660", "0o66", "0669", "1660", "00660"] {
            assert_eq!(socket_mode(odd), None, "{odd}");
        }
    }
}
