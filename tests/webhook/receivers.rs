//! The other side as the documentation shows it: the example receiver, and the signature by hand in a shell.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use facewarden::clock::{Clock as _, SystemClock, WallTime};
use facewarden::domain::Event;
use facewarden::sinks::{Fate, Sink as _, WebhookSink};
use serde_json::Value;

use super::server::{Request, Server};
use super::{DONE, Files, LATER, LONG, check, notice, sink, verified};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The example receiver, as a process.
struct Example {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
    /// Kept, so that it can say what it refuses.
    _stderr: BufReader<ChildStderr>,
}

impl Example {
    fn start(secrets: &[&Path]) -> Self {
        let mut command = Command::new("python3");
        command.arg(docs().join("integrations/webhook_receiver.py")).args(["--port", "0"]);
        for secret in secrets {
            command.arg("--secret-file").arg(secret);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut first).unwrap();
        let address =
            first.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, address, _stderr: stderr }
    }

    /// What it said about the next event that it took.
    fn said(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Sends a request again, as somebody would who recorded it; gives back the status.
    fn replay(&self, request: &Request) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut head = format!("{}\r\n", request.line);
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        stream.write_all(&request.body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn real_time_sink(files: &Files, url: &str) -> WebhookSink {
    WebhookSink::new(&files.settings(url), "main", Arc::new(SystemClock::new())).unwrap()
}

fn now() -> WallTime {
    let clock = SystemClock::new();
    clock.wall(clock.now())
}

/// The request that an event is sent as.
fn recorded(files: &Files, event: &Event) -> Request {
    let server = Server::answering(DONE);
    real_time_sink(files, &format!("http://{}/events", server.address)).deliver(event).unwrap();
    server.request()
}

#[test]
fn the_example_receiver_opens_once_and_for_good_grants_alone() {
    let files = Files::new();
    let mut example = Example::start(&[&files.settings("").secret_file]);
    let mut sink = real_time_sink(&files, &format!("http://{}/events", example.address));
    let grant = verified(1, now() + Duration::from_secs(3600));
    sink.deliver(&grant).unwrap();
    let said = example.said();
    assert_eq!((said["action"].as_str(), said["person"].as_str()), (Some("open"), Some("Zoë")), "{said}");
    sink.deliver(&grant).unwrap();
    assert_eq!(example.said()["action"], "duplicate");
    let over = verified(2, "2023-11-14T22:13:20Z".parse().map(WallTime).unwrap());
    sink.deliver(&over.as_of(now())).unwrap();
    let said = example.said();
    assert_eq!(said["type"], "facewarden.match.verified.expired");
    assert_eq!(said["action"], "expired");
    // The sender's clock may be wrong, or the event long on its way.
    sink.deliver(&verified(3, over.at)).unwrap();
    assert_eq!(example.said()["action"], "expired");
    sink.deliver(&notice(4)).unwrap();
    assert_eq!(example.said()["action"], "noted");
}

#[test]
fn the_example_receiver_takes_nothing_forged_changed_or_old() {
    let files = Files::new();
    let mut example = Example::start(&[&files.settings("").secret_file]);
    let genuine = recorded(&files, &verified(1, now() + Duration::from_secs(3600)));
    let with = |name: &str, value: &str| {
        let mut request = genuine.clone();
        request.headers.iter_mut().find(|(known, _)| known == name).unwrap().1 = value.to_owned();
        request
    };
    let mut other_person = genuine.clone();
    let text = String::from_utf8(genuine.body.clone()).unwrap();
    other_person.body = text.replace("Zoë", "Bob").into_bytes();
    other_person.body.push(b' ');
    assert_eq!(other_person.body.len(), genuine.body.len());
    let later = (now().0.as_second() + 1).to_string();
    let signature = genuine.header("webhook-signature");
    let no_version = signature.replace("v1,", "");
    for (what, request) in [
        ("body", other_person),
        ("id", with("webhook-id", &notice(2).id.to_string())),
        ("time", with("webhook-timestamp", &later)),
        ("signature", with("webhook-signature", "v1,AAAA")),
        ("no signature", with("webhook-signature", "")),
        ("no version", with("webhook-signature", &no_version)),
        ("odd signature", with("webhook-signature", "v1,\u{fc} x,y v1")),
    ] {
        assert_eq!(example.replay(&request), 401, "{what}");
    }
    assert_eq!(example.replay(&with("webhook-timestamp", "never")), 400);
    assert_eq!(example.replay(&with("content-length", "99999999")), 413);
    // One signature that fits is enough, and none of the above has used up the id.
    assert_eq!(example.replay(&with("webhook-signature", &format!("v1,AAAA v2,x {signature}"))), 204);
    assert_eq!(example.said()["action"], "open");

    let stranger = Files::new();
    stranger.write("secret", b"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
    let url = format!("http://{}/events", example.address);
    let error = real_time_sink(&stranger, &url).deliver(&notice(3)).unwrap_err();
    check(&error, Fate::Refused, &["401", "secret_file"]);
    // A clock that stands in the past: asked to come again, when it is set.
    check(&sink(&files.settings(&url)).deliver(&notice(4)).unwrap_err(), LATER, &["503"]);
}

#[test]
fn the_example_receiver_knows_two_secrets_while_they_change() {
    let (old, new) = (Files::new(), Files::new());
    new.write("secret", b"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
    let mut example = Example::start(&[&old.settings("").secret_file, &new.settings("").secret_file]);
    for (number, files) in [(1, &old), (2, &new)] {
        real_time_sink(files, &format!("http://{}/", example.address)).deliver(&notice(number)).unwrap();
        assert_eq!(example.said()["id"], notice(number).id.to_string());
    }
}

#[test]
fn the_signature_can_be_made_by_hand_in_a_shell() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("there is no openssl here: nothing was tested");
        return;
    }
    let text = fs::read_to_string(docs().join("webhooks.md")).unwrap();
    let script = text.split("```sh\n").find(|block| block.starts_with("# signature.sh ")).unwrap();
    let script = script.split("```").next().unwrap();
    let files = Files::new();
    let request = recorded(&files, &verified(1, now()));
    let body = files.write("body", &request.body);
    let output = Command::new("/bin/sh")
        .args([
            "-c",
            script,
            "signature.sh",
            request.header("webhook-id"),
            request.header("webhook-timestamp"),
        ])
        .args([body, files.settings("").secret_file])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), request.header("webhook-signature"));
}
