//! Nothing is lost: a process that tells of events is killed at random moments, again and again, while the web server
//! fails every now and then and the broker is restarted. At the end everybody has every event.
//!
//! `FACEWARDEN_KILLS=1000 cargo nextest run kills` says how often; 40 times unless told.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use facewarden::clock::{Clock, SystemClock};
use facewarden::cmds::telling::Telling;
use facewarden::config::{Backoff, Events, Mqtt, OutboxSettings, Webhook};
use facewarden::domain::{CameraId, EventKind};
use facewarden::pipeline::Announcer;
use facewarden::sinks::{new_webhook_secret, print_events, verify};
use rand::RngExt as _;

use super::mqtt::broker::{self, Broker};
use super::support::{eventually, ms};

const CHILD: &str = "FACEWARDEN_TEST_KILLS";
/// How the process under test prints the id of an event that it has handed over.
const MARK: &str = "handed over ";

/// The process under test: tells of events as fast as a busy day in a second, until it is killed or has nothing more
/// to read on standard input.
fn child(settings: &Path) {
    let events: Events = serde_json::from_slice(&fs::read(settings).unwrap()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let camera = CameraId::new("door").unwrap();
    let telling =
        Arc::new(Telling::open((&events, false), std::slice::from_ref(&camera), Vec::new(), &clock).unwrap());
    let out = Arc::clone(&telling);
    let announcer = Announcer::new(Arc::clone(&clock), Arc::new(move |event| out.send(event)));
    let is_to_end = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_to_end);
    let reader = std::thread::Builder::new().spawn(move || {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        flag.store(true, Ordering::Release);
    });
    let mut number = 0_u64;
    while !is_to_end.load(Ordering::Acquire) {
        number += 1;
        let message = format!("event {number}, {}", "so that it has the size of a real one ".repeat(20));
        let kind = EventKind::CameraLost { camera: camera.clone(), message };
        let announced = announcer.announce_at(kind, clock.now());
        println!("{MARK}{}", announced.id);
        for message in telling.notices().try_iter() {
            announcer.announce(EventKind::Degraded { message });
        }
        std::thread::sleep(ms(2));
    }
    drop(announcer);
    // Everything that waits is to be delivered now, however long that takes.
    let late = Arc::into_inner(telling).unwrap().close(Duration::from_secs(60));
    assert!(late.is_empty(), "{late:?}");
    reader.unwrap().join().unwrap();
}

/// A web server with moods. What it says yes to it remembers.
pub(crate) struct Moody {
    port: u16,
    taken: Arc<Mutex<Vec<String>>>,
    is_kind: Arc<AtomicBool>,
}

impl Moody {
    fn open() -> Self {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    /// On a port that was free a moment ago.
    pub(crate) fn at(port: u16) -> Self {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap())
    }

    /// No more moods.
    pub(crate) fn be_kind(&self) {
        self.is_kind.store(true, Ordering::Relaxed);
    }

    /// The ids of what it said yes to, in order.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (taken, is_kind) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let server = (Arc::clone(&taken), Arc::clone(&is_kind));
        std::thread::Builder::new()
            .spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (taken, is_kind) = (Arc::clone(&server.0), Arc::clone(&server.1));
                    std::thread::Builder::new().spawn(move || serve(&stream, &taken, &is_kind)).unwrap();
                }
            })
            .unwrap();
        Self { port, taken, is_kind }
    }
}

/// One connection, with as many requests as the other side likes.
fn serve(stream: &TcpStream, taken: &Mutex<Vec<String>>, is_kind: &AtomicBool) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut id, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(": ") else { continue };
            match name.to_ascii_lowercase().as_str() {
                "webhook-id" => id = Some(value.to_owned()),
                "content-length" => length = value.parse().ok()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mood = if is_kind.load(Ordering::Relaxed) { 100 } else { rand::rng().random_range(0..100) };
        let answer = match mood {
            // Never answers, and hangs up.
            0..3 => return None,
            3..8 => "503 Service Unavailable",
            8..10 => "429 Too Many Requests",
            _ => {
                // Before the answer: what it did not hear of it sends again, under the same id.
                taken.lock().unwrap().push(id?);
                "204 No Content"
            }
        };
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

/// Somebody at the broker who remembers what they were told, also while the broker was away.
struct Subscriber {
    process: Child,
    heard: PathBuf,
}

impl Subscriber {
    fn open(broker: &Broker, folder: &Path) -> Self {
        let heard = folder.join("heard");
        let process = Command::new(broker::program("mosquitto_sub").unwrap())
            .args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-i", "witness", "-c", "-q", "1"])
            .args(["-t", "facewarden/main/+/event", "-t", "facewarden/main/event"])
            .stdin(Stdio::null())
            .stdout(fs::File::create(&heard).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, heard }
    }

    fn ids(&self) -> Vec<String> {
        ids(&fs::read_to_string(&self.heard).unwrap())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The ids of events, one JSON object a line.
fn ids(text: &str) -> Vec<String> {
    let id = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        value["id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

/// Each once, where it first was.
fn first_of_each(ids: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.iter().filter(|id| seen.insert(*id)).cloned().collect()
}

fn all_log_entries(folder: &Path) -> Vec<String> {
    let mut text = Vec::new();
    print_events(&folder.join("events.jsonl"), &|_, _| true, &mut text).unwrap().unwrap();
    ids(std::str::from_utf8(&text).unwrap())
}

#[test]
fn nothing_is_lost_however_often_the_process_is_killed() {
    if let Some(settings) = std::env::var_os(CHILD) {
        return child(Path::new(&settings));
    }
    if !broker::is_there() {
        return;
    }
    let kills: u32 = std::env::var("FACEWARDEN_KILLS").map_or(40, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::with(
        "allow_anonymous true\npersistence true\npersistence_location {folder}/\nmax_queued_messages 0\n",
        |_| {},
    );
    let subscriber = Subscriber::open(&broker, folder.path());
    let web = Moody::open();
    let secret = folder.path().join("secret");
    fs::write(&secret, new_webhook_secret()).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let settings = folder.path().join("events.json");
    fs::write(&settings, serde_json::to_vec(&events(folder.path(), web.port, broker.port)).unwrap()).unwrap();

    let mut handed_over: Vec<Vec<String>> = Vec::new();
    for run in 0..=kills {
        let is_last = run == kills;
        if run % 10 == 9 {
            // In the middle of a run, and away for a while.
            broker.stop_in_order();
        }
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::nothing_is_lost_however_often_the_process_is_killed", "--nocapture"])
            .env(CHILD, &settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let reader = std::thread::Builder::new()
            .spawn(move || {
                let lines = BufReader::new(output).lines().map_while(Result::ok);
                lines
                    .filter_map(|line| line.split_once(MARK).map(|(_, id)| id.to_owned()))
                    .collect::<Vec<_>>()
            })
            .unwrap();
        if is_last {
            broker.start_if_stopped();
            web.be_kind();
            std::thread::sleep(ms(300));
            drop(process.stdin.take());
            assert!(
                process.wait().unwrap().success(),
                "{}",
                fs::read_to_string(folder.path().join("stderr")).unwrap()
            );
        } else {
            std::thread::sleep(ms(rand::rng().random_range(1..250)));
            broker.start_if_stopped();
            process.kill().unwrap();
            process.wait().unwrap();
        }
        // A line that was cut short by the end is none.
        handed_over.push(reader.join().unwrap().into_iter().filter(|id| id.len() == 26).collect());
        let log = folder.path().join("events.jsonl");
        if log.exists()
            && let Err(error) = verify(&log, None)
        {
            panic!("after kill {run}: {error}");
        }
    }

    let log = all_log_entries(folder.path());
    assert_eq!(first_of_each(&log), log, "the log has nothing twice");
    let taken = web.taken();
    eventually("the subscriber to have heard all", || first_of_each(&subscriber.ids()).len() >= log.len());
    let heard = subscriber.ids();
    assert_eq!(first_of_each(&taken), log, "the web server has every event, in order");
    assert_eq!(first_of_each(&heard), log, "the subscriber has every event, in order");

    // What was handed over a moment before a kill may not have been written yet, and no more than that.
    let logged: HashSet<&String> = log.iter().collect();
    let mut lost = 0;
    for run in &handed_over {
        let kept = run.iter().take_while(|id| logged.contains(id)).count();
        assert!(run[kept..].iter().all(|id| !logged.contains(id)), "what is lost is the end of a run");
        lost += run.len() - kept;
    }
    assert!(
        handed_over.last().unwrap().iter().all(|id| logged.contains(id)),
        "nothing is lost without a kill"
    );
    println!(
        "{kills} kills: {} events in the log, at the web server ({} times) and at the subscriber ({} times); {lost} were \
         handed over and not written yet when their process was killed",
        log.len(),
        taken.len(),
        heard.len(),
    );
    assert!(log.len() > kills as usize, "{}", log.len());
}

fn events(folder: &Path, web_port: u16, broker_port: u16) -> Events {
    let backoff = Backoff { first_ms: 10, max_ms: 100 };
    let webhook = Webhook {
        name: "web".into(),
        url: format!("http://127.0.0.1:{web_port}/events"),
        secret_file: folder.join("secret"),
        bearer_token_file: None,
        ca_file: None,
        allow_plain_http: false,
        timeout_ms: 5000,
        backoff: backoff.clone(),
        only: facewarden::config::Only::default(),
    };
    let mqtt = serde_json::json!({ "name": "broker", "host": "127.0.0.1", "port": broker_port });
    Events {
        log: Some(folder.join("events.jsonl")),
        outbox: OutboxSettings { folder: folder.join("outbox"), ..OutboxSettings::default() },
        webhooks: vec![webhook],
        mqtt: vec![Mqtt { backoff, ..serde_json::from_value(mqtt).unwrap() }],
        ..Events::default()
    }
}
