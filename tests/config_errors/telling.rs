//! What cannot be in `events` and `control`: each fault alone, and what its message has to say.

use super::{warnings, with_camera};

#[test]
fn who_is_told_is_checked() {
    let web = "name: web, url: \"https://a.example/x\", secret_file: /s";
    let broker = "name: home, host: localhost";
    for (events, says) in [
        ("site: \"a/b\"", "`events.site` cannot be `a/b`"),
        ("log_rotate_mb: 0", "`events.log_rotate_mb` cannot be 0"),
        ("outbox: { max_age_hours: 0 }", "`events.outbox.max_age_hours` cannot be 0"),
        (
            "webhooks: [{ name: \"a b\", url: \"https://a.example\", secret_file: /s }]",
            "`events.webhooks[0].name` cannot be",
        ),
        (
            "webhooks: [{ name: web, url: \"http://a.example\", secret_file: /s }]",
            "sends events to `a.example` in the clear",
        ),
        (
            "webhooks: [{ name: web, url: \"https://u:p@a.example\", secret_file: /s }]",
            "has a name or password in it",
        ),
        ("webhooks: [{ name: web, url: \"https://a.example\" }]", "secret_file"),
        (&format!("webhooks: [{{ {web}, timeout_ms: 5 }}]"), "timeout_ms` cannot be 5"),
        (&format!("webhooks: [{{ {web}, secret: x }}]"), "secret"),
        (&format!("webhooks: [{{ {web} }}, {{ {web} }}]"), "there are two called `web`"),
        (
            &format!("webhooks: [{{ {web}, backoff: {{ first_ms: 500, max_ms: 100 }} }}]"),
            "is more than `max_ms`",
        ),
        (
            &format!("webhooks: [{{ {web}, only: {{ kinds: [match.verifed] }} }}]"),
            "did you mean `match.verified`?",
        ),
        (&format!("webhooks: [{{ {web}, only: {{ people: [] }} }}]"), "nothing would pass"),
        ("mqtt: [{ name: home, host: broker.example }]", "in the clear"),
        ("mqtt: [{ name: home, host: \"mqtt://localhost\" }]", "write the name or address alone"),
        (&format!("mqtt: [{{ {broker}, password_file: /p }}]"), "there is a password and no `user`"),
        (&format!("mqtt: [{{ {broker}, version: \"4\" }}]"), "3.1.1"),
        (
            &format!("mqtt: [{{ {broker}, tls: {{ key_file: /k }} }}]"),
            "a certificate and its key go together",
        ),
        (&format!("mqtt: [{{ {broker}, topic_prefix: \"a/#\" }}]"), "cannot begin a topic"),
        (
            &format!("webhooks: [{{ {web} }}]\n  mqtt: [{{ name: web, host: localhost }}]"),
            "there are two called `web`",
        ),
        ("socket: { path: events.sock }", "an absolute path of at most 107 bytes"),
        ("socket: { mode: \"660\" }", "four octal digits in quotes"),
        ("relays: [{ chip: gpiochip0, line: 1 }]", "has no absolute path"),
        ("relays: [{ chip: /dev/gpiochip0, line: 1, only: { kinds: [match.unknown] } }]", "kinds"),
        ("relays: [{ chip: /dev/g, line: 1 }, { chip: /dev/g, line: 1 }]", "line 1 of /dev/g is there twice"),
        ("hooks: [{ argv: [/bin/true], retry_exit_codes: [0] }]", "0 cannot be among `retry_exit_codes`"),
        ("hooks: [{ argv: [/bin/true], max_per_minute: 0 }]", "max_per_minute` cannot be 0"),
    ] {
        let text = with_camera(&format!("events:\n  {events}\n"));
        assert!(text.contains(says), "{events}\n{text}");
        assert!(text.contains("facewarden.yaml:"), "it says where: {text}");
    }
    for fine in [
        &format!("webhooks: [{{ {web} }}]"),
        "webhooks: [{ name: web, url: \"http://[::1]:8080/\", secret_file: /s }]",
        "webhooks: [{ name: web, url: \"http://a.example\", secret_file: /s, allow_plain_http: true }]",
        &format!("mqtt: [{{ {broker}, version: \"5\" }}]"),
        "mqtt: [{ name: home, host: broker.example, tls: {} }]",
        "socket: {}",
        "relays: [{ chip: /dev/gpiochip0, line: 1, only: { people: [Ada] } }]",
    ] {
        assert_eq!(warnings(&format!("events:\n  {fine}\n")), "", "{fine}");
    }
    let open = warnings("events:\n  socket: { mode: \"0666\" }\n");
    assert!(open.contains("everybody on this machine may read who comes and goes"), "{open}");
}

#[test]
fn what_holds_for_people_is_checked() {
    for (people, says) in [
        ("time_zone: Berlin", "`people.time_zone` cannot be `Berlin`"),
        ("time_zone: europe/berlin", "write `Europe/Berlin`"),
        ("holidays: [2026-02-30]", "`people.holidays[0]`"),
        ("holidays: 2026-12-25", "`people.holidays`"),
        ("require_consent: maybe", "`people.require_consent`"),
    ] {
        let text = with_camera(&format!("people:\n  {people}\n"));
        assert!(text.contains(says), "{people}\n{text}");
        assert!(text.contains("facewarden.yaml:"), "it says where: {text}");
    }
    for fine in
        ["time_zone: Europe/Berlin", "holidays: [2026-12-25, \"2026-12-26\"]", "require_consent: true"]
    {
        assert_eq!(warnings(&format!("people:\n  {fine}\n")), "", "{fine}");
    }
    let twice = warnings("people:\n  holidays: [2026-12-25, 2026-12-25]\n");
    assert!(twice.contains("names 2026-12-25 twice"), "{twice}");
}

#[test]
fn who_may_ask_is_checked() {
    for (control, says) in [
        ("path: control.sock", "`control.path` cannot be control.sock"),
        ("mode: \"660\"", "`control.mode` cannot be `660`"),
        ("group: \" \"", "`control.group` is empty"),
        ("operators: { users: [\"\"] }", "`control.operators.users[0]` cannot be ``"),
        ("operators: { groups: [a, \"b:c\"] }", "`control.operators.groups[1]` cannot be `b:c`"),
        ("operators: { uids: [0] }", "users"),
        ("operators: { users: ada }", "users"),
    ] {
        let text = with_camera(&format!("control:\n  {control}\n"));
        assert!(text.contains(says), "{control}\n{text}");
        assert!(text.contains("facewarden.yaml:"), "it says where: {text}");
    }
    for fine in ["path: /tmp/c.sock", "enabled: false", "operators: { users: [ada, \"1000\"] }"] {
        assert_eq!(warnings(&format!("control:\n  {fine}\n")), "", "{fine}");
    }
    let open = warnings("control:\n  mode: \"0666\"\n");
    assert!(open.contains("everybody on this machine may see how it goes here"), "{open}");
}
