//! How long it takes until others know, and what it costs to tell them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ulid::Ulid;

use super::super::exit::{Exit, Failure, OrExit};
use super::super::telling::Telling;
use super::Row;
use super::speed::megabytes;
use crate::clock::{Clock, SystemClock, WallTime};
use crate::config::{Events, Hook, Only, OutboxSettings, Webhook};
use crate::domain::{CameraId, EventKind};
use crate::pipeline::Announcer;
use crate::sinks::new_webhook_secret;
use crate::sys::{process, thread};

/// Events whose way is timed.
const TIMED: usize = 300;
/// Between two of them: a busy door.
const SPACING: Duration = Duration::from_millis(20);
/// Events a minute that are told for long.
const PER_MINUTE: u64 = 10_000;
/// What is told first is not timed: connections are opened.
const SETTLE: Duration = Duration::from_millis(1500);

/// All of it; the long run takes so many minutes.
pub(super) fn measure(minutes: u32) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    rows.push(hook(Server::None, "event decided -> hook process started")?);
    rows.push(hook(Server::Hangs, "the same, while a webhook hangs")?);
    rows.push(match broker()? {
        Some(broker) => mqtt(&broker)?,
        None => Row::new("event decided -> MQTT subscriber", "not measured: there is no mosquitto", "20 ms"),
    });
    rows.extend(sustained(minutes)?);
    Ok(rows)
}

/// Everything that is told, in a folder of its own.
pub(super) struct Desk {
    folder: tempfile::TempDir,
    clock: Arc<dyn Clock>,
    camera: CameraId,
}

impl Desk {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {
            folder: tempfile::tempdir().or_exit(Exit::CannotWrite)?,
            clock: Arc::new(SystemClock::new()),
            camera: CameraId::new("door").or_exit(Exit::Internal)?,
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A log and an outbox.
    pub(super) fn events(&self) -> Events {
        Events {
            log: Some(self.path("events.jsonl")),
            outbox: OutboxSettings { folder: self.path("outbox"), ..OutboxSettings::default() },
            ..Events::default()
        }
    }

    pub(super) fn webhook(&self, port: u16) -> Result<Webhook, Failure> {
        let secret_file = self.path("secret");
        let mut file = fs::OpenOptions::new();
        let mut file = file
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&secret_file)
            .or_exit(Exit::CannotWrite)?;
        file.write_all(new_webhook_secret().as_bytes()).or_exit(Exit::CannotWrite)?;
        let url = format!("http://127.0.0.1:{port}/");
        let settings = serde_json::json!({ "name": "web", "url": url, "secret_file": secret_file });
        serde_json::from_value(settings).or_exit(Exit::Internal)
    }

    fn open(&self, events: &Events) -> Result<(Arc<Telling>, Announcer), Failure> {
        let telling = Arc::new(Telling::open(
            (events, false),
            std::slice::from_ref(&self.camera),
            Vec::new(),
            &self.clock,
        )?);
        let out = Arc::clone(&telling);
        Ok((telling, Announcer::new(Arc::clone(&self.clock), Arc::new(move |event| out.send(event)))))
    }

    /// Tells of something again and again, and ends it; gives back what was decided when.
    fn tell_of_many(&self, telling: Arc<Telling>, announcer: Announcer) -> BTreeMap<Ulid, WallTime> {
        self.clock.sleep(SETTLE);
        let mut decided = BTreeMap::new();
        for _ in 0..TIMED {
            let (id, at) = self.tell(&announcer);
            decided.insert(id, at);
            self.clock.sleep(SPACING);
        }
        self.clock.sleep(SETTLE);
        drop(announcer);
        close(telling);
        decided
    }

    /// Tells of something; gives back its id and the moment just before.
    fn tell(&self, announcer: &Announcer) -> (Ulid, WallTime) {
        let now = self.clock.now();
        let kind = EventKind::CameraLost {
            camera: self.camera.clone(),
            message: "the size of a sentence or two. ".repeat(20),
        };
        let decided = self.clock.wall(now);
        (announcer.announce_at(kind, now).id, decided)
    }
}

/// From a decision to a process that runs.
fn hook(server: Server, what: &str) -> Result<Row, Failure> {
    let desk = Desk::new()?;
    let (script, times) = (desk.path("hook"), desk.path("times"));
    // The first thing that the process does is to look at the time.
    let text = format!(
        "#!/bin/bash\nnow=$EPOCHREALTIME\necho \"$FACEWARDEN_EVENT_ID $now\" >> {}\n",
        times.display()
    );
    fs::write(&script, text).or_exit(Exit::CannotWrite)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).or_exit(Exit::CannotWrite)?;
    let only = Only { kinds: Some(vec!["camera.lost".to_owned()]), ..Only::default() };
    let mut events = Events {
        hooks: vec![Hook { only, ..Hook::new(vec![script.display().to_string()]) }],
        ..desk.events()
    };
    let server = server.start()?;
    if let Some(server) = &server {
        events.webhooks = vec![desk.webhook(server.port)?];
    }
    let (telling, announcer) = desk.open(&events)?;
    let decided = desk.tell_of_many(telling, announcer);
    let text = fs::read_to_string(&times).or_exit(Exit::Internal)?;
    let started = text.lines().filter_map(|line| {
        let (id, seconds) = line.split_once(' ')?;
        // Written with the decimal point of the language that is set.
        Some((id.parse().ok()?, seconds.replace(',', ".").parse::<f64>().ok()?))
    });
    Ok(Row::new(what, percentiles(&decided, started)?, "p99 20 ms"))
}

/// p50 and p99 of the time from the decision, for arrivals in seconds since 1970.
fn percentiles(
    decided: &BTreeMap<Ulid, WallTime>,
    arrived: impl Iterator<Item = (Ulid, f64)>,
) -> Result<String, Failure> {
    let mut took: Vec<f64> = arrived
        .filter_map(|(id, at)| Some((at - decided.get(&id)?.0.as_duration().as_secs_f64()) * 1e3))
        .collect();
    took.sort_by(f64::total_cmp);
    let at =
        |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied();
    match (at(50), at(99)) {
        (Some(p50), Some(p99)) => {
            Ok(format!("p50 {p50:.1} ms, p99 {p99:.1} ms ({} of {} events)", took.len(), decided.len()))
        }
        _ => Err(Failure::new(Exit::Internal, "no event arrived")),
    }
}

fn close(telling: Arc<Telling>) {
    if let Some(telling) = Arc::into_inner(telling) {
        for late in telling.close(Duration::from_secs(3)) {
            tracing::debug!("{late} did not end in time");
        }
    }
}

/// A program that was started for the measurement.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Broker {
    programs: PathBuf,
    port: u16,
    _process: Started,
    _folder: tempfile::TempDir,
}

/// A broker of its own, where mosquitto is in the checkout or on the system.
fn broker() -> Result<Option<Broker>, Failure> {
    let program = std::env::current_exe().or_exit(Exit::Internal)?;
    let fetched = program.ancestors().map(|folder| folder.join("vendor/mosquitto/bin"));
    let Some(programs) =
        fetched.chain(["/usr/sbin".into()]).find(|folder| folder.join("mosquitto").is_file())
    else {
        return Ok(None);
    };
    let folder = tempfile::tempdir().or_exit(Exit::CannotWrite)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).or_exit(Exit::Unavailable)?;
    let port = listener.local_addr().or_exit(Exit::Unavailable)?.port();
    drop(listener);
    let file = folder.path().join("mosquitto.conf");
    fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\n"))
        .or_exit(Exit::CannotWrite)?;
    let mut command = Command::new(programs.join("mosquitto"));
    let process =
        quiet(command.arg("-c").arg(&file)).stdout(Stdio::null()).spawn().or_exit(Exit::Unavailable)?;
    let broker = Broker { programs, port, _process: Started(process), _folder: folder };
    let clock = SystemClock::new();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if clock.now().0 > Duration::from_secs(10) {
            return Err(Failure::new(Exit::Unavailable, "mosquitto does not start"));
        }
        clock.sleep(Duration::from_millis(20));
    }
    Ok(Some(broker))
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stderr(Stdio::null())
}

/// From a decision to somebody who listens at a broker.
fn mqtt(broker: &Broker) -> Result<Row, Failure> {
    let desk = Desk::new()?;
    let mqtt = serde_json::json!({ "name": "broker", "host": "127.0.0.1", "port": broker.port });
    let events =
        Events { mqtt: vec![serde_json::from_value(mqtt).or_exit(Exit::Internal)?], ..desk.events() };
    let heard = desk.path("heard");
    let out = fs::File::create(&heard).or_exit(Exit::CannotWrite)?;
    let mut command = Command::new(broker.programs.join("mosquitto_sub"));
    // The time of arrival in seconds with nine decimals, then the event.
    command.args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-F", "%U %p"]);
    let listener = quiet(command.args(["-t", "facewarden/main/door/event"])).stdout(out).spawn();
    let listener = Started(listener.or_exit(Exit::Unavailable)?);
    let (telling, announcer) = desk.open(&events)?;
    let decided = desk.tell_of_many(telling, announcer);
    drop(listener);
    let text = fs::read_to_string(&heard).or_exit(Exit::Internal)?;
    let arrived = text.lines().filter_map(|line| {
        let (seconds, event) = line.split_once(' ')?;
        let event: serde_json::Value = serde_json::from_str(event).ok()?;
        Some((event["id"].as_str()?.parse().ok()?, seconds.parse::<f64>().ok()?))
    });
    Ok(Row::new("event decided -> MQTT subscriber", percentiles(&decided, arrived)?, "p99 20 ms"))
}

/// Very many events for long, to a log, a webhook, and a broker where there is one.
fn sustained(minutes: u32) -> Result<Vec<Row>, Failure> {
    let desk = Desk::new()?;
    let server = Server::Answers.start()?;
    let broker = broker()?;
    let mut events = desk.events();
    if let Some(server) = &server {
        events.webhooks = vec![desk.webhook(server.port)?];
    }
    if let Some(broker) = &broker {
        let mqtt = serde_json::json!({ "name": "broker", "host": "127.0.0.1", "port": broker.port });
        events.mqtt = vec![serde_json::from_value(mqtt).or_exit(Exit::Internal)?];
    }
    let (telling, announcer) = desk.open(&events)?;
    desk.clock.sleep(SETTLE);
    let total = u64::from(minutes) * PER_MINUTE;
    let between = Duration::from_secs(60) / u32::try_from(PER_MINUTE).or_exit(Exit::Internal)?;
    let (began, mut early) = (desk.clock.now(), None);
    let cpu = process::cpu_time();
    for number in 0..total {
        desk.tell(&announcer);
        if number == total / 10 {
            early = Some(process::resident_bytes().or_exit(Exit::Internal)?);
        }
        let due = began + between * u32::try_from(number + 1).or_exit(Exit::Internal)?;
        desk.clock.sleep(due.since(desk.clock.now()));
    }
    let took = desk.clock.now().since(began);
    let cpu = process::cpu_time().saturating_sub(cpu);
    let late = process::resident_bytes().or_exit(Exit::Internal)?;
    let behind =
        |telling: &Telling| telling.waiting().into_iter().map(|(_, waiting)| waiting).max().unwrap_or(0);
    let waiting = behind(&telling);
    while behind(&telling) > 0 && desk.clock.now().since(began) < took + Duration::from_secs(30) {
        desk.clock.sleep(Duration::from_millis(20));
    }
    drop(announcer);
    close(telling);
    let answered = server.map_or(0, |server| server.answered.load(Ordering::Relaxed));
    let rate = format!(
        "{total} events in {:.0} s, {answered} at the webhook, {waiting} waited at the end",
        took.as_secs_f64()
    );
    let early = early.unwrap_or(late);
    let memory = format!("{} after a tenth, {} at the end", megabytes(early), megabytes(late));
    let size = directory_bytes(&desk.path("outbox"))?;
    let cost = cpu.as_secs_f64() * 1e3 / total.max(1) as f64;
    Ok(vec![
        Row::new(
            &format!("{PER_MINUTE} events a minute for {minutes} min, log + webhook + MQTT"),
            rate,
            "all delivered",
        ),
        Row::new("memory meanwhile", memory, "bounded"),
        Row::new("outbox on disk", megabytes(size), "bounded"),
        Row::new("processor time of an event, all told", format!("{cost:.2} ms"), ""),
    ])
}

fn directory_bytes(folder: &Path) -> Result<u64, Failure> {
    let files = fs::read_dir(folder).or_exit(Exit::Internal)?;
    Ok(files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum())
}

/// A web server for the measurement.
#[derive(Clone, Copy)]
pub(super) enum Server {
    None,
    Answers,
    /// Takes connections and says nothing.
    Hangs,
}

pub(super) struct Running {
    pub(super) port: u16,
    pub(super) answered: Arc<AtomicU64>,
}

impl Server {
    /// Its threads end with the program.
    pub(super) fn start(self) -> Result<Option<Running>, Failure> {
        if matches!(self, Self::None) {
            return Ok(None);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).or_exit(Exit::Unavailable)?;
        let port = listener.local_addr().or_exit(Exit::Unavailable)?.port();
        let answered = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&answered);
        let serve = move || {
            let mut held = Vec::new();
            for stream in listener.incoming().filter_map(Result::ok) {
                if matches!(self, Self::Hangs) {
                    held.push(stream);
                } else {
                    // One at a time is enough for one client.
                    answer(&stream, &counter);
                }
            }
        };
        // Left behind on purpose: it listens until the program ends.
        std::mem::forget(thread::spawn("web server", serve).or_exit(Exit::Unavailable)?);
        Ok(Some(Running { port, answered }))
    }
}

/// Says yes to all requests of a connection.
fn answer(stream: &TcpStream, answered: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
        answered.fetch_add(1, Ordering::Relaxed);
    }
}
