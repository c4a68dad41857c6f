//! A folder of pictures that stands in for a camera, enrolled people, and the daemon as a process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use facewarden::clock::{Clock, Moment, SystemClock, WallTime};
use facewarden::domain::{Embedding, Event, ModelDigest, PersonId};
use facewarden::inference::{
    Detector, DetectorOptions, Embedder, ModelFolders, OrtDetector, OrtEmbedder, start_runtime,
};
use facewarden::store::{Store, Template};
use facewarden::sys::thread::{self, Thread};
use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{LONG, eventually};

/// Who stands before the camera, for so many frames.
#[derive(Clone, Copy)]
pub(crate) enum Before {
    Nobody(u32),
    /// Whom the tests enrol.
    Barack(u32),
    /// Whom they do not.
    Stranger(u32),
}

pub(crate) fn now() -> WallTime {
    SystemClock::new().wall(Moment::default())
}

fn photo(name: &str) -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name);
    image::open(path).unwrap().into_rgb8()
}

/// One test's folder: `frames/`, `enrolled/`, `facewarden.yaml`.
pub(crate) struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    /// With these frames and nobody enrolled.
    pub(crate) fn new(frames: &[Before]) -> Self {
        let rig = Self { folder: tempfile::tempdir().unwrap() };
        Store::open_or_create(rig.enrolled()).unwrap();
        fs::create_dir(rig.frames()).unwrap();
        let of = |name: &str| {
            let photo = photo(name);
            resize(&photo, photo.width() * 340 / photo.height(), 340, FilterType::Triangle)
        };
        let (barack, stranger) = (of("obama.jpg"), of("astronaut.png"));
        let mut number = 0;
        for before in frames {
            let (person, count) = match *before {
                Before::Nobody(count) => (None, count),
                Before::Barack(count) => (Some(&barack), count),
                Before::Stranger(count) => (Some(&stranger), count),
            };
            for step in 0..count {
                let mut frame = RgbImage::from_pixel(640, 360, Rgb([90, 100, 110]));
                if let Some(person) = person {
                    // Somebody who sways a little.
                    overlay(&mut frame, person, 150 + i64::from(3 * step.min(10)), 10);
                }
                frame.save(rig.frames().join(format!("{number}.jpg"))).unwrap();
                number += 1;
            }
        }
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn frames(&self) -> PathBuf {
        self.path("frames")
    }

    pub(crate) fn enrolled(&self) -> PathBuf {
        self.path("enrolled")
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.enrolled()).unwrap()
    }

    /// Enrols Barack as the real models see him.
    pub(crate) fn enrol_barack(&self) {
        start_runtime(None).unwrap();
        let (folders, picture) = (ModelFolders::usual(), photo("obama.jpg"));
        let mut detector = OrtDetector::load(&folders, "centerface", DetectorOptions::default()).unwrap();
        let mut embedder = OrtEmbedder::load(&folders, "faceplugin512").unwrap();
        let face = detector.detect(&picture).unwrap()[0];
        self.enrol("Barack", embedder.embed(&picture, &face).unwrap());
    }

    /// Enrols somebody with numbers that no model made.
    pub(crate) fn enrol_somebody(&self, name: &str) {
        self.enrol(name, Embedding::new(ModelDigest([1; 32]), vec![1.0; 512]).unwrap());
    }

    fn enrol(&self, name: &str, embedding: Embedding) {
        let template = Template::new(embedding, 0.9, now());
        self.store().enrol(&PersonId::new(name).unwrap(), vec![template], now()).unwrap();
    }

    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// `run` on the frames as fast as possible, with `more` arguments; events go to standard output.
    pub(crate) fn run(&self, more: &[&str]) -> Daemon {
        let (frames, enrolled) = (self.frames(), self.enrolled());
        let mut args = vec!["run", "--source", text(&frames), "--gallery", text(&enrolled), "--events", "-"];
        args.extend(["--speed", "max", "--liveness", "report"]);
        args.extend(more);
        self.start(&args)
    }

    /// `run` from a configuration: a camera that shows the frames ten a second for ever, and `more` settings.
    pub(crate) fn watch(&self, more: &str) -> Daemon {
        self.watch_with("mode: report", more)
    }

    /// The same with these settings of liveness, as they stand in braces.
    pub(crate) fn watch_with(&self, liveness: &str, more: &str) -> Daemon {
        let yaml = format!(
            "schema: 1\ncameras:\n  - {{ id: door, source: \"{}\", fps: 10, loops: 1000000 }}\nliveness: {{ {liveness} \
             }}\ndecision: {{ cooldown_ms: 300 }}\n{more}\n",
            self.frames().display()
        );
        let config = self.path("facewarden.yaml");
        fs::write(&config, yaml).unwrap();
        self.start(&["run", "--config", text(&config), "--gallery", text(&self.enrolled())])
    }

    /// The daemon with these arguments and nothing else.
    pub(crate) fn start(&self, args: &[&str]) -> Daemon {
        let mut daemon = self.start_unheard(args);
        let (out, heard) = (daemon.child.stdout.take().unwrap(), Arc::clone(&daemon.lines));
        let read =
            move || BufReader::new(out).lines().for_each(|line| heard.lock().unwrap().push(line.unwrap()));
        daemon.reader = Some(thread::spawn("reader", read).unwrap());
        daemon
    }

    /// As [`Rig::start`], and nobody reads its standard output.
    pub(crate) fn start_unheard(&self, args: &[&str]) -> Daemon {
        let notify = self.path("notify");
        // Of the daemon before this one; that there was none is no fault.
        fs::remove_file(&notify).ok();
        let socket = UnixDatagram::bind(&notify).unwrap();
        let told = Told::listen(socket);
        let log = self.path("log");
        let child = Command::new(env!("CARGO_BIN_EXE_facewarden"))
            .args(["--log-level", "info"])
            .args(args)
            .env("NOTIFY_SOCKET", &notify)
            .env("FACEWARDEN_FFMPEG", ffmpeg())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Daemon { child, lines: Arc::default(), told, log, reader: None }
    }
}

/// The ffmpeg that `./setup` fetches, or the one the environment names.
pub(crate) fn ffmpeg() -> PathBuf {
    let fetched = || Path::new(env!("CARGO_MANIFEST_DIR")).join("vendor/ffmpeg");
    std::env::var_os("FACEWARDEN_FFMPEG").map_or_else(fetched, PathBuf::from)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a daemon tells the service manager. It is taken as soon as it comes, as systemd does: the kernel keeps but few
/// messages, and whoever sends one more waits.
struct Told {
    heard: Receiver<String>,
    is_over: Arc<AtomicBool>,
    _listener: Thread<()>,
}

impl Told {
    fn listen(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (sender, heard) = bounded(10_000);
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let listen = move || {
            let mut buffer = [0; 1024];
            while !over.load(Ordering::Acquire) {
                let Ok(length) = socket.recv(&mut buffer) else { continue };
                sender.send(String::from_utf8(buffer[..length].to_vec()).unwrap()).unwrap();
            }
        };
        Self { heard, is_over, _listener: thread::spawn("manager", listen).unwrap() }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // Before the listener is waited for.
        self.is_over.store(true, Ordering::Release);
    }
}

/// A running daemon; killed when the test is over.
pub(crate) struct Daemon {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    told: Told,
    log: PathBuf,
    reader: Option<Thread<()>>,
}

impl Daemon {
    /// Closes the reading end of its standard output.
    pub(crate) fn stop_listening(&mut self) {
        drop(self.child.stdout.take());
    }

    /// What it printed: one event a line, each of them whole.
    pub(crate) fn events(&self) -> Vec<Event> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The types of its events so far.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.events().iter().map(|event| event.kind.name()).collect()
    }

    /// Waits for an event of this type after the first `after` ones; gives back how many there are up to it.
    pub(crate) fn wait_for(&self, kind: &str, after: usize) -> usize {
        let at = || self.kinds().iter().skip(after).position(|found| *found == kind).map(|at| at + after + 1);
        let mut found = None;
        eventually(&format!("{kind}\n{}", self.log()), || {
            found = at();
            found.is_some()
        });
        found.unwrap()
    }

    /// What it tells the service manager next, apart from how it goes.
    pub(crate) fn told(&self) -> String {
        loop {
            let told = self.told_in_all();
            if !told.starts_with("STATUS=") {
                return told;
            }
        }
    }

    /// What it tells the service manager next, whatever it is.
    pub(crate) fn told_in_all(&self) -> String {
        self.told.heard.recv_timeout(LONG).unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// True if it has told the service manager nothing more.
    pub(crate) fn has_told_all(&self) -> bool {
        self.told.heard.is_empty()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // Its last lines may still be on their way.
        eventually("the last lines", || self.reader.as_ref().is_none_or(Thread::is_finished));
        status.unwrap()
    }

    /// Sends a signal, and says how long the end took.
    pub(crate) fn end_by(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        let clock = SystemClock::new();
        self.send(signal);
        (self.end(), clock.now().0)
    }

    /// The exit code and the last line of the log, which is the error.
    pub(crate) fn failure(&mut self) -> (i32, String) {
        let code = self.end().code().unwrap();
        (code, self.log().lines().last().unwrap_or_default().to_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Before the reader is waited for, which reads until the daemon has closed its end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
