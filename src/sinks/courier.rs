//! Takes events from the outbox to a sink: each at least once, in order, for as long as it takes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::fanout::guarded;
use super::pause::Pause;
use super::{Backlog as _, Entry, Fate, Notices, Outbox, Sink, SinkError};
use crate::clock::{Clock, Moment};
use crate::config::Backoff;

/// So many events are fetched together.
const BATCH: usize = 64;
/// Nothing happens for so long: cursors are written, and the outbox is tidied.
const IDLE: Duration = Duration::from_secs(1);
/// Cursors are written at least so often while events flow.
const SAVE_EVERY: Duration = Duration::from_millis(200);
/// Operators are told at most so often of one sink.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// A file of events that were refused is begun anew when it is larger; one old one is kept.
const MAX_REFUSED_BYTES: u64 = 10_000_000;

/// A sink that is told from the outbox.
pub struct Addressee {
    /// Its name in the outbox; its cursor is kept under it.
    pub key: String,
    /// How long it is waited before something is tried again.
    pub backoff: Backoff,
    /// Who is told.
    pub sink: Box<dyn Sink>,
    /// It has everything up to here and nothing after it, whatever its cursor says. A cursor may be old after a crash,
    /// and ahead after a power cut that took what the other side had not synced; who knows it better says so.
    pub has_up_to: Option<u64>,
}

/// What a courier did.
#[derive(Debug, Default)]
pub struct CourierStats {
    /// Delivered events.
    pub delivered: AtomicU64,
    /// Attempts that failed and are made again.
    pub retries: AtomicU64,
    /// Events that were refused, and are in the file for that.
    pub refused: AtomicU64,
    /// Events that were dropped from the outbox before they could be delivered.
    pub missed: AtomicU64,
}

/// A courier at work.
#[derive(Debug)]
pub struct Courier {
    name: String,
    key: String,
    stats: Arc<CourierStats>,
    thread: JoinHandle<()>,
    finished: Receiver<()>,
}

impl Courier {
    /// Starts to deliver.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        addressee: Addressee,
        outbox: Arc<Outbox>,
        clock: Arc<dyn Clock>,
        notices: Notices,
        close_within: Duration,
    ) -> io::Result<Self> {
        let (finished_sender, finished) = bounded::<()>(0);
        let stats = Arc::new(CourierStats::default());
        let Addressee { key, backoff, sink, has_up_to } = addressee;
        let name = sink.name();
        let at = has_up_to.unwrap_or_else(|| outbox.cursor(&key));
        let round = Round {
            refused_file: outbox.folder().join(format!("refused-{key}.jsonl")),
            key: key.clone(),
            name: name.clone(),
            pause: Pause::new(&backoff),
            sink,
            outbox,
            saved: clock.now(),
            clock,
            notices,
            stats: Arc::clone(&stats),
            at,
            is_down: false,
            complained: None,
        };
        let work = move || {
            let _finished = finished_sender;
            round.run(close_within);
        };
        let thread =
            thread::Builder::new().name(format!("to {name}").chars().take(15).collect()).spawn(work)?;
        Ok(Self { name, key, stats, thread, finished })
    }

    /// Name of the sink.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the sink is called in the outbox.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What it did; counts on.
    #[must_use]
    pub fn stats(&self) -> &Arc<CourierStats> {
        &self.stats
    }

    /// Waits for its end, after the outbox was closed; false if it did not end in time, and is left behind. What it
    /// did not deliver is in the outbox.
    #[must_use]
    pub fn join_within(self, within: Duration) -> bool {
        let is_over =
            self.finished.recv_timeout(within) == Err(crossbeam_channel::RecvTimeoutError::Disconnected);
        if is_over && self.thread.join().is_err() {
            tracing::error!(sink = self.name, "the thread of a sink panicked");
        }
        is_over
    }
}

/// The state of a courier's thread.
struct Round {
    key: String,
    name: String,
    sink: Box<dyn Sink>,
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    notices: Notices,
    stats: Arc<CourierStats>,
    pause: Pause,
    refused_file: PathBuf,
    /// The sink has everything up to here.
    at: u64,
    /// It did not work the last time.
    is_down: bool,
    /// When operators last heard of this sink.
    complained: Option<Moment>,
    /// When cursors were last written.
    saved: Moment,
}

/// The sink is not to be used any more, or the end has come.
struct Over;

impl Round {
    fn run(mut self, close_within: Duration) {
        while self.turn().is_ok() {
            if self.outbox.is_closing() && self.outbox.latest() <= self.at {
                break;
            }
        }
        let sink = &mut *self.sink;
        if let Err(error) = guarded(sink, |sink| {
            sink.close(close_within);
            Ok(())
        }) {
            tracing::error!(sink = error.sink, "{}", error.message);
        }
        self.outbox.advance(&self.key, self.at);
        self.outbox.rest();
    }

    /// Delivers what is there, or waits for something.
    fn turn(&mut self) -> Result<(), Over> {
        let entries = match self.outbox.after(self.at, BATCH) {
            Ok(entries) => entries,
            Err(error) => return self.put_off(&error),
        };
        if entries.is_empty() {
            // Everything that waited may have been dropped: else it would be looked for again and again.
            self.miss_up_to(self.outbox.oldest().saturating_sub(1));
            self.save();
            if let Err(error) = guarded(&mut *self.sink, |sink| sink.rest()) {
                self.not_done(&error)?;
            }
            self.outbox.wait_after(self.at, IDLE);
            return Ok(());
        }
        for entry in entries {
            self.miss_up_to(entry.seq - 1);
            self.deliver(&entry)?;
            self.at = entry.seq;
            self.outbox.advance(&self.key, self.at);
            if self.clock.now().since(self.saved) >= SAVE_EVERY {
                self.save();
            }
        }
        Ok(())
    }

    fn save(&mut self) {
        self.outbox.rest();
        self.saved = self.clock.now();
    }

    /// What lies between was dropped from the outbox.
    fn miss_up_to(&mut self, seq: u64) {
        let missed = seq.saturating_sub(self.at);
        if missed > 0 {
            self.stats.missed.fetch_add(missed, Ordering::Relaxed);
            self.complain(format!(
                "{}: {missed} events are lost for it: the outbox had no room for them any longer (events.outbox)",
                self.name
            ));
            self.at = seq;
        }
    }

    /// Tries until the event is delivered, refused or dropped from the outbox.
    fn deliver(&mut self, entry: &Entry) -> Result<(), Over> {
        if !entry.event.kind.is_told() || !self.sink.wants(&entry.event) {
            return Ok(());
        }
        loop {
            // Meanwhile: it may have been tried for days.
            if self.outbox.is_forgotten(entry.seq) {
                return Ok(());
            }
            let event = entry.event.as_of(self.clock.wall(self.clock.now()));
            match guarded(&mut *self.sink, |sink| sink.deliver(&event)) {
                Ok(()) => {
                    self.stats.delivered.fetch_add(1, Ordering::Relaxed);
                    self.pause.reset();
                    if std::mem::take(&mut self.is_down) {
                        tracing::info!(sink = self.name, "events are delivered again");
                    }
                    return Ok(());
                }
                Err(error) if error.fate == Fate::Refused => {
                    self.stats.refused.fetch_add(1, Ordering::Relaxed);
                    self.keep_refused(entry.seq, &event, &error);
                    return Ok(());
                }
                Err(error) => self.not_done(&error)?,
            }
            if self.outbox.oldest() > entry.seq {
                self.miss_up_to(entry.seq);
                return Ok(());
            }
        }
    }

    fn not_done(&mut self, error: &SinkError) -> Result<(), Over> {
        if error.fate.is_end() {
            self.notices.say(format!("{error}: it gets no more events until the daemon is started again"));
            return Err(Over);
        }
        self.stats.retries.fetch_add(1, Ordering::Relaxed);
        self.put_off(error)
    }

    /// Tells operators. What is said becomes an event, which this sink may fail to take as well: so now and then only.
    fn complain(&mut self, message: String) {
        let now = self.clock.now();
        if self.complained.is_some_and(|last| now.since(last) < COMPLAIN_EVERY) {
            tracing::debug!("{message}");
        } else {
            self.complained = Some(now);
            self.notices.say(message);
        }
    }

    /// Waits before the next attempt.
    fn put_off(&mut self, error: &SinkError) -> Result<(), Over> {
        if !std::mem::replace(&mut self.is_down, true) {
            self.complain(format!("{error}; events for it are kept and tried again"));
        }
        // Somebody may wait long, and cursors are written meanwhile.
        self.save();
        let asked = match error.fate {
            Fate::Later { after } => after,
            _ => None,
        };
        let pause = self.pause.take();
        if self.outbox.wait_for_close(asked.map_or(pause, |asked| asked.max(pause))) {
            Err(Over)
        } else {
            Ok(())
        }
    }

    /// An event that the other side will never take: kept in a file for whoever looks after this.
    fn keep_refused(&mut self, seq: u64, event: &crate::domain::Event, error: &SinkError) {
        let kept = {
            let _held = self.outbox.hold_refused();
            if self.outbox.is_forgotten(seq) {
                return;
            }
            append_refused(&self.refused_file, event, error)
        };
        let place = match &kept {
            Ok(()) => format!("it is in {}", self.refused_file.display()),
            Err(error) => format!("and it cannot be written to {}: {error}", self.refused_file.display()),
        };
        self.complain(format!("{error}; event {} will not be tried again, {place}", event.id));
    }
}

fn append_refused(path: &Path, event: &crate::domain::Event, error: &SinkError) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.len() > MAX_REFUSED_BYTES) {
        fs::rename(path, path.with_extension("old.jsonl"))?;
    }
    let mut line = serde_json::to_vec(&serde_json::json!({ "why": error.message, "event": event }))?;
    line.push(b'\n');
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(&line)?;
    file.sync_data()
}
