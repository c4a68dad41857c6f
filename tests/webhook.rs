//! The webhook sink against real web servers, good and bad ones.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod receivers;
mod server;
mod tls;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use facewarden::clock::{Clock, Moment, SimulatedClock, SystemClock, WallTime};
use facewarden::config::{Backoff, Only, Webhook};
use facewarden::domain::{Event, EventKind, PersonId, SCHEMA};
use facewarden::sinks::{Fate, Sink as _, SinkError, WebhookSink};
use serde_json::{Value, json};

use crate::sinks::{detail, wall};
use server::Server;

/// Longer than anything takes on the slowest machine.
const LONG: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const DONE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Stands still at `wall(0)`.
fn still() -> SimulatedClock {
    SimulatedClock::new(wall(0).0)
}

fn verified(number: u128, expires_at: WallTime) -> Event {
    let person = PersonId::new("Zoë").unwrap();
    let kind = EventKind::Verified { person, expires_at, expired: false, detail: detail() };
    Event { schema: SCHEMA, id: ulid::Ulid(number), at: wall(3), kind }
}

fn notice(number: u128) -> Event {
    let kind = EventKind::Degraded { message: format!("number {number}") };
    Event { schema: SCHEMA, id: ulid::Ulid(number), at: wall(3), kind }
}

/// A folder with secrets in it, and settings that name them.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("secret", SECRET.as_bytes());
        files
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn settings(&self, url: &str) -> Webhook {
        Webhook {
            name: "attendance".into(),
            url: url.into(),
            secret_file: self.0.path().join("secret"),
            bearer_token_file: None,
            ca_file: None,
            allow_plain_http: false,
            timeout_ms: 60_000,
            backoff: Backoff::default(),
            only: Only::default(),
        }
    }

    fn sink(&self, url: &str) -> WebhookSink {
        sink(&self.settings(url))
    }
}

fn sink(settings: &Webhook) -> WebhookSink {
    WebhookSink::new(settings, "main", Arc::new(still())).unwrap()
}

/// Delivers to a server that does this with every request, and gives back how that failed.
fn failure(server: &Server) -> SinkError {
    Files::new().sink(&format!("http://{}/a?token=s3cret", server.address)).deliver(&notice(1)).unwrap_err()
}

#[track_caller]
fn check(error: &SinkError, fate: Fate, words: &[&str]) {
    assert_eq!(error.fate, fate, "{error}");
    assert_eq!(error.sink, "webhook attendance");
    for word in words {
        assert!(error.message.contains(word), "no \"{word}\" in: {error}");
    }
    assert!(!error.to_string().contains("s3cret"), "an address can hold a secret: {error}");
}

const LATER: Fate = Fate::Later { after: None };

#[test]
fn an_event_is_posted_once_as_a_signed_cloud_event() {
    let server = Server::answering(DONE);
    let files = Files::new();
    let mut settings = files.settings(&format!("http://{}/events?a=b", server.address));
    settings.bearer_token_file = Some(files.write("token", b"t0ken.\n"));
    sink(&settings).deliver(&verified(1, wall(9))).unwrap();
    let request = server.request();
    assert_eq!(server.more_requests(), 0);
    assert_eq!(request.line, "POST /events?a=b HTTP/1.1");
    let (id, length) = (ulid::Ulid(1).to_string(), request.body.len().to_string());
    let host = server.address.to_string();
    let agent = format!("facewarden/{}", env!("CARGO_PKG_VERSION"));
    let mut expected = [
        ("accept", "*/*"),
        ("authorization", "Bearer t0ken."),
        ("connection", "close"),
        ("content-length", &length),
        ("content-type", "application/cloudevents+json; charset=utf-8"),
        ("host", &host),
        ("idempotency-key", &id),
        ("user-agent", &agent),
        ("webhook-id", &id),
        ("webhook-signature", request.header("webhook-signature")),
        ("webhook-timestamp", "1700000000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut headers = request.headers.clone();
    headers.sort_unstable();
    expected.sort_unstable();
    assert_eq!(headers, expected);
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let data = serde_json::to_string(&verified(1, wall(9))).unwrap();
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(data["person"], "Zoë");
    assert_eq!(
        body,
        json!({
            "specversion": "1.0", "id": id, "source": "/facewarden/main/front%20door",
            "type": "facewarden.match.verified", "time": "2023-11-14T22:13:23.000Z",
            "datacontenttype": "application/json", "data": data,
        })
    );
}

#[test]
fn another_attempt_has_the_same_body_and_a_grant_that_is_over_says_so() {
    let server = Server::answering(DONE);
    let clock = still();
    let settings = Files::new();
    let settings = settings.settings(&format!("http://{}/", server.address));
    let mut sink = WebhookSink::new(&settings, "main", Arc::new(clock.clone())).unwrap();
    let event = verified(1, wall(9));
    let mut attempt = || {
        sink.deliver(&event.as_of(clock.wall(clock.now()))).unwrap();
        clock.advance(Duration::from_secs(6));
        server.request()
    };
    let (first, second, third) = (attempt(), attempt(), attempt());
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(second.header("webhook-timestamp"), "1700000006");
    assert_ne!(first.header("webhook-signature"), second.header("webhook-signature"));
    let mut expected: Value = serde_json::from_slice(&first.body).unwrap();
    expected["type"] = "facewarden.match.verified.expired".into();
    expected["data"]["expired"] = true.into();
    assert_eq!(serde_json::from_slice::<Value>(&third.body).unwrap(), expected);
}

#[test]
fn only_wanted_events_are_offered() {
    let files = Files::new();
    let mut settings = files.settings("http://127.0.0.1:9/");
    assert!(sink(&settings).wants(&notice(1)) && sink(&settings).wants(&verified(1, wall(9))));
    settings.only.kinds = Some(vec!["match.verified".into()]);
    assert!(!sink(&settings).wants(&notice(1)) && sink(&settings).wants(&verified(1, wall(9))));
}

#[test]
fn answers_decide_what_becomes_of_the_event() {
    let after = |seconds| Fate::Later { after: Some(Duration::from_secs(seconds)) };
    for (answer, fate, words) in [
        ("400 Bad Request\r\n", Fate::Refused, &["400", "see its log"][..]),
        ("401 Unauthorized\r\n", Fate::Refused, &["401", "secret_file"]),
        ("404 Not Found\r\n", Fate::Refused, &["404", "correct `url`"]),
        ("410 Gone\r\n", Fate::Refused, &["410"]),
        ("408 Request Timeout\r\n", LATER, &["408"]),
        ("429 Too Many Requests\r\nRetry-After: 120\r\n", after(120), &["429", "too often"]),
        ("503 Service Unavailable\r\nRetry-After: 99999\r\n", after(3600), &["503"]),
        ("503 Service Unavailable\r\nRetry-After: Tue, 14 Nov 2023 22:14:00 GMT\r\n", after(40), &["503"]),
        ("500 Internal Server Error\r\nRetry-After: later\r\n", LATER, &["500"]),
    ] {
        let body = "Content-Length: 22\r\n\r\nZo\u{eb} is not known here";
        let server = Server::answering(&format!("HTTP/1.1 {answer}{body}"));
        let error = failure(&server);
        check(&error, fate, words);
        assert!(error.message.starts_with(&format!("{}: ", server.address)), "{error}");
        assert!(!error.message.contains("Zo"), "what the server says can hold names: {error}");
    }
    for done in ["200 OK\r\nContent-Length: 2\r\n\r\nok", "202 Accepted\r\n\r\nok", "204 No Content\r\n\r\n"]
    {
        let server = Server::answering(&format!("HTTP/1.1 {done}"));
        Files::new().sink(&format!("http://{}/", server.address)).deliver(&notice(1)).unwrap();
    }
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Server::answering(DONE);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("Location: http://{}/?token=s3cret\r\n", elsewhere.address);
        let server = Server::answering(&format!("HTTP/1.1 {status} Moved\r\n{to}Content-Length: 0\r\n\r\n"));
        check(&failure(&server), Fate::Refused, &[&status.to_string(), "final address into `url`"]);
        server.request();
        assert_eq!((server.more_requests(), elsewhere.more_requests()), (0, 0));
    }
}

#[test]
fn a_server_that_hangs_is_left_when_the_time_is_up() {
    // Says nothing; never ends its headers; never ends its body; takes no connection at all.
    let (release, wait) = crossbeam_channel::bounded::<()>(0);
    let silent = Server::start(None, move |_| assert!(wait.recv_timeout(LONG / 2).is_err()));
    let slow_head = dripping("HTTP/1.1 200 OK\r\nx-slow: ");
    let slow_body = dripping("HTTP/1.1 200 OK\r\n\r\n");
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let deliver = |address: SocketAddr| {
        let clock = SystemClock::new();
        let files = Files::new();
        let mut settings = files.settings(&format!("http://{address}/"));
        settings.timeout_ms = 400;
        let result = sink(&settings).deliver(&notice(1));
        assert!(clock.now() < Moment(LONG / 4), "{:?}", clock.now());
        result
    };
    for address in [silent.address, slow_head.address, full.local_addr().unwrap()] {
        check(&deliver(address).unwrap_err(), LATER, &["timed out", "400 ms"]);
    }
    deliver(slow_body.address).unwrap();
    drop(release);
}

/// Answers with this, and then byte by byte for as long as anybody listens.
fn dripping(head: &'static str) -> Server {
    Server::start(None, move |out| {
        let mut written = out.write_all(head.as_bytes());
        while written.is_ok() {
            std::thread::sleep(Duration::from_millis(20));
            written = out.write_all(b"x").and_then(|()| out.flush());
        }
    })
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    const MOST: usize = 64 << 20;
    for (head, is_done) in [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 200 OK\r\nx: ", false)] {
        let written = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&written);
        let server = Server::start(None, move |out| {
            let mut chunk = out.write_all(head.as_bytes()).map(|()| vec![b'x'; 1 << 16]);
            while let Ok(bytes) = &chunk
                && counter.fetch_add(bytes.len(), Ordering::Relaxed) < MOST
            {
                chunk = out.write_all(bytes).map(|()| vec![b'x'; 1 << 16]);
            }
        });
        let result = Files::new().sink(&format!("http://{}/", server.address)).deliver(&notice(1));
        drop(server);
        assert!(written.load(Ordering::Relaxed) < MOST, "it was read on and on");
        match is_done {
            true => result.unwrap(),
            false => check(&result.unwrap_err(), LATER, &["does not speak HTTP"]),
        }
    }
}

#[test]
fn without_an_answer_it_is_tried_again_and_the_cause_is_named() {
    let files = Files::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cause = |url: &str, words: &[&str]| {
        check(&files.sink(url).deliver(&notice(1)).unwrap_err(), LATER, words);
    };
    let refused = format!("http://{free}/?s3cret");
    cause(&refused, &["connection was refused", &free.to_string()]);
    cause("http://door.invalid:8080/?s3cret", &["door.invalid:8080: its name cannot be found"]);
    let closes = Server::start(None, |_| ());
    cause(&format!("http://{}/", closes.address), &["closed the connection without an answer"]);
    let mumbles = Server::answering("220 mail.example ESMTP\r\n");
    cause(&format!("http://{}/", mumbles.address), &["does not speak HTTP"]);
}

#[test]
fn settings_that_cannot_work_are_errors_that_name_the_file() {
    let files = Files::new();
    let good = files.settings("https://a.example/");
    let with = |change: &dyn Fn(&mut Webhook)| {
        let mut settings = good.clone();
        change(&mut settings);
        WebhookSink::new(&settings, "main", Arc::new(still())).unwrap_err().to_string()
    };
    let bad_secret = files.write("bad", b"whsec_c2hvcnQ=");
    let bad_token = files.write("bad.token", "zwei Wörter".as_bytes());
    let bad_roots = files.write("bad.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n");
    let open = files.write("open", SECRET.as_bytes());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let missing = Path::new("/nonexistent/file");
    type Change<'a> = &'a dyn Fn(&mut Webhook);
    let cases: [(Change<'_>, &[&str]); 10] = [
        (&|s| s.secret_file = bad_secret.clone(), &["/bad must hold `whsec_`", "`facewarden secret` makes"]),
        (&|s| s.secret_file = open.clone(), &["/open is open to other users", "chmod 600"]),
        (&|s| s.secret_file = missing.into(), &["/nonexistent/file"]),
        (&|s| s.bearer_token_file = Some(bad_token.clone()), &["bad.token", "characters"]),
        (&|s| s.bearer_token_file = Some(missing.into()), &["/nonexistent/file"]),
        (&|s| s.ca_file = Some(bad_roots.clone()), &["bad.pem is not a file of certificates"]),
        (&|s| s.ca_file = Some(missing.into()), &["/nonexistent/file"]),
        (&|s| (s.url, s.ca_file) = ("http://a.example/".into(), Some(bad_roots.clone())), &["bad.pem"]),
        (&|s| s.url = "ftp://a.example/?s3cret".into(), &["`url` is no address"]),
        (&|s| s.url = "https://a b/?s3cret".into(), &["`url` is no address"]),
    ];
    for (change, words) in cases {
        let error = with(change);
        assert!(error.starts_with("webhook attendance: "), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "no {words:?} in: {error}");
        for secret in ["s3cret", "c2hvcnQ", "Wörter"] {
            assert!(!error.contains(secret), "{error}");
        }
    }
}

#[test]
fn nothing_secret_is_in_what_debugging_shows() {
    let files = Files::new();
    let mut settings = files.settings("http://a.example/?s3cret");
    settings.bearer_token_file = Some(files.write("token", b"t0ken"));
    let text = format!("{:?}", sink(&settings));
    assert!(text.contains("a.example"), "{text}");
    assert!(["s3cret", "t0ken", "AAEC"].iter().all(|secret| !text.contains(secret)), "{text}");
}

/// Runs this very test again as a process of its own, with a proxy in its environment that does not exist.
#[test]
fn proxies_of_the_environment_are_not_used() {
    const CHILD: &str = "FACEWARDEN_TEST_PROXY";
    if std::env::var_os(CHILD).is_some() {
        let server = Server::answering(DONE);
        // By name, which no list of exceptions holds.
        let url = format!("http://localhost:{}/", server.address.port());
        Files::new().sink(&url).deliver(&notice(1)).unwrap();
        assert!(server.request().line.starts_with("POST / "));
        return;
    }
    let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "webhook::proxies_of_the_environment_are_not_used", "--nocapture"])
        .env(CHILD, "1")
        .envs(["http_proxy", "HTTP_PROXY", "ALL_PROXY", "HTTPS_PROXY"].map(|name| (name, &nobody)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_command_prints_a_secret_that_can_be_used() {
    let secret = || {
        let output = Command::new(env!("CARGO_BIN_EXE_facewarden")).arg("secret").output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (one, other) = (secret(), secret());
    assert_ne!(one, other);
    let files = Files::new();
    let mut settings = files.settings("http://127.0.0.1:9/");
    settings.secret_file = files.write("new", one.as_bytes());
    sink(&settings);
}
