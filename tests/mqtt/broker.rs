//! A real broker for each test, and somebody who listens there.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::support::{eventually, ms};

/// A program of mosquitto: what `./setup` fetched, else the system's own.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("vendor/mosquitto/bin").join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_system = std::env::split_paths(&path).chain(["/usr/sbin".into()]).map(|folder| folder.join(name));
    std::iter::once(fetched).chain(on_system).find(|path| path.is_file())
}

/// Whether tests that need a broker can run. They are skipped loudly where they cannot, and fail where that must not be.
pub(crate) fn is_there() -> bool {
    let missing: Vec<_> = ["mosquitto", "mosquitto_sub", "mosquitto_pub"]
        .into_iter()
        .filter(|p| program(p).is_none())
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{missing:?} is missing, and CI is set: run ./setup");
    eprintln!("SKIPPED: {missing:?} is missing, so nothing was tried with a broker; ./setup fetches it");
    false
}

/// Ends its process when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A port where nobody listens, for the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A file for its owner alone.
pub(crate) fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A broker that lets nobody in but this user, and notes all that it is told.
pub(crate) fn with_password(user: &str, password: &str) -> Broker {
    Broker::with("allow_anonymous false\npassword_file {folder}/passwords\nlog_type all\n", |folder| {
        // Made by `mosquitto_passwd`, which hashes what stands there.
        let file = folder.join("passwords");
        private(&file, &format!("{user}:{password}\n"));
        assert!(
            Command::new(program("mosquitto_passwd").unwrap())
                .arg("-U")
                .arg(&file)
                .status()
                .unwrap()
                .success()
        );
    })
}

/// A broker with a folder and a port of its own.
pub(crate) struct Broker {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    running: Option<Running>,
}

impl Broker {
    /// Everybody may do everything.
    pub(crate) fn open() -> Self {
        Self::with("allow_anonymous true\n", |_| {})
    }

    /// With these lines below the listener's; `{folder}` in them is the broker's folder, where `prepare` may put files.
    pub(crate) fn with(settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let settings = settings.replace("{folder}", folder.path().to_str().unwrap());
        fs::write(folder.path().join("settings"), settings).unwrap();
        let mut broker = Self { folder, port: 0, running: None };
        // Somebody else may take the free port first.
        for _ in 0..20 {
            broker.port = free_port();
            if broker.try_start() {
                return broker;
            }
        }
        panic!(
            "the broker does not start: {}",
            fs::read_to_string(broker.folder.path().join("log")).unwrap()
        );
    }

    fn try_start(&mut self) -> bool {
        let file = self.folder.path().join("mosquitto.conf");
        let settings = fs::read_to_string(self.folder.path().join("settings")).unwrap();
        // The user counts only where root starts it.
        let text = format!("user root\nlistener {} 127.0.0.1\n{settings}", self.port);
        fs::write(&file, text).unwrap();
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let mut child = Command::new(program("mosquitto").unwrap())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut is_up = false;
        eventually("the broker to listen or to end", || {
            is_up = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
            is_up || child.try_wait().unwrap().is_some()
        });
        // It may be somebody else who listens.
        std::thread::sleep(ms(20));
        is_up &= child.try_wait().unwrap().is_none();
        self.running = Some(Running(child));
        is_up
    }

    /// What it noted so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// As the system ends it: with `persistence` on it remembers what it has not handed out.
    pub(crate) fn stop_in_order(&mut self) {
        if let Some(mut running) = self.running.take() {
            let pid = rustix::process::Pid::from_child(&running.0);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            running.0.wait().unwrap();
        }
    }

    /// After [`Broker::stop`] or [`Broker::stop_in_order`]; else nothing.
    pub(crate) fn start_if_stopped(&mut self) {
        if self.running.is_none() {
            self.start();
        }
    }

    /// On the same port again, without anything retained.
    pub(crate) fn start(&mut self) {
        eventually("the broker to start again", || self.try_start());
    }

    fn client(&self, name: &str) -> Command {
        let mut command = Command::new(program(name).unwrap());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-V", "mqttv5"]);
        command
    }

    pub(crate) fn publish_retained(&self, topic: &str, payload: &str) {
        let status = self
            .client("mosquitto_pub")
            .args(["-r", "-q", "1", "-t", topic, "-m", payload])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Somebody who listens to everything from now on; what is retained they get at once.
    pub(crate) fn listener(&self) -> Listener {
        const MARK: &str = "listener/mark";
        self.publish_retained(MARK, "here");
        let mut child = self
            .client("mosquitto_sub")
            .args(["-q", "1", "-t", "#", "-F", "%r\t%E\t%t\t%p"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let writer = Arc::clone(&heard);
        // It ends with the process.
        std::thread::Builder::new()
            .name("listener".into())
            .spawn(move || {
                for line in lines.map_while(Result::ok) {
                    let mut parts = line.splitn(4, '\t').map(str::to_owned);
                    let mut next = || parts.next().unwrap_or_default();
                    let (retained, expiry, topic, payload) = (next(), next(), next(), next());
                    let expires_in_s = expiry.parse().ok();
                    writer.lock().unwrap().push(Heard {
                        is_retained: retained == "1",
                        expires_in_s,
                        topic,
                        payload,
                    });
                }
            })
            .unwrap();
        let listener = Listener { heard, _running: Running(child) };
        listener.wait(MARK, "here");
        listener
    }
}

/// One message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// From before the listener came.
    pub(crate) is_retained: bool,
    pub(crate) expires_in_s: Option<u32>,
    pub(crate) topic: String,
    pub(crate) payload: String,
}

pub(crate) struct Listener {
    heard: Arc<Mutex<Vec<Heard>>>,
    _running: Running,
}

impl Listener {
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// What arrived at a topic, in order.
    pub(crate) fn at(&self, topic: &str) -> Vec<String> {
        self.heard().into_iter().filter(|heard| heard.topic == topic).map(|heard| heard.payload).collect()
    }

    /// Waits until the newest message of a topic has this in it.
    #[track_caller]
    pub(crate) fn wait(&self, topic: &str, part: &str) -> Heard {
        let newest = || self.heard().into_iter().rev().find(|heard| heard.topic == topic);
        eventually(&format!("`{part}` at {topic}"), || newest().is_some_and(|h| h.payload.contains(part)));
        newest().unwrap()
    }
}
