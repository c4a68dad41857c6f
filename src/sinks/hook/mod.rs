//! A command that is run for each event.
//!
//! No shell is involved. The command gets the event as one line of JSON on standard input and the main facts in
//! `FACEWARDEN_*` variables (see `environment.rs`), beside a fixed `PATH` and `LANG` and nothing else; it
//! starts in `/`, in a process group of its own. What it writes is logged, up to [`MAX_OUTPUT_BYTES`].

mod child;
mod environment;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use child::MAX_OUTPUT_BYTES;
use child::{End, Finished};

use super::pause::Pause;
use super::{Filter, Sink, SinkError};
use crate::clock::{Clock, Moment};
use crate::config::Hook;
use crate::domain::{Event, EventKind};

/// So many events wait for a free run; when another comes, the oldest of them is dropped.
pub const MAX_WAITING: usize = 64;
/// What `max_per_minute` counts in.
const MINUTE: Duration = Duration::from_secs(60);
/// At the end, this part of the time is kept for killing what does not end by itself.
const TIME_TO_KILL: Duration = Duration::from_secs(1);

/// Runs a command for events. At most `max_parallel` runs at once; further events wait in order.
///
/// A `match.verified` that has expired when its turn comes is not run: a door must not open for somebody who
/// left long ago.
#[derive(Debug)]
pub struct HookSink {
    shared: Arc<Shared>,
}

/// What became of the events of a hook.
#[derive(Debug, Default)]
pub struct HookStats {
    /// Runs that ended with exit code 0.
    pub succeeded: AtomicU64,
    /// Runs that ended otherwise by themselves, and commands that could not be started.
    pub failed: AtomicU64,
    /// Runs that were killed because they took too long.
    pub timed_out: AtomicU64,
    /// Runs that were made again for the same event, because the exit code asked for it.
    pub retried: AtomicU64,
    /// Events that were not run because they had expired.
    pub expired: AtomicU64,
    /// Events that were not run because too many waited, or because the daemon ended.
    pub dropped: AtomicU64,
}

struct Shared {
    name: String,
    hook: Hook,
    filter: Filter,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Something waits, a run has ended, or the end has come.
    changed: Condvar,
    /// Kill what runs.
    abort: AtomicBool,
    stats: Arc<HookStats>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Event>,
    idle: usize,
    running: usize,
    threads: Vec<JoinHandle<()>>,
    is_closed: bool,
    /// Events are being dropped, and that has been said.
    is_full: bool,
    /// When it was started within the last minute, oldest first.
    starts: VecDeque<Moment>,
}

impl HookSink {
    /// A hook as the configuration describes it. Nothing is run and no thread started before the first event.
    ///
    /// # Errors
    /// If it names no program, or not by its absolute path, or one that is not there, cannot be run or can be changed
    /// by anybody; or allows no run at all.
    pub fn new(hook: &Hook, clock: Arc<dyn Clock>) -> Result<Self, SinkError> {
        let program = hook.argv.first().map_or("", String::as_str);
        let name = format!("hook {program}");
        if !Path::new(program).is_absolute() {
            let message = "the first item of argv must be the absolute path of a program";
            return Err(SinkError::once(name, message));
        }
        if let Err(why) = may_be_run(Path::new(program)) {
            return Err(SinkError::once(name, why));
        }
        if hook.max_parallel == 0 {
            return Err(SinkError::once(name, "max_parallel must be at least 1"));
        }
        let shared = Shared {
            name,
            hook: hook.clone(),
            filter: Filter::with_default_kind(&hook.only, "match.verified"),
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
            abort: AtomicBool::new(false),
            stats: Arc::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What became of its events; counts on while the sink lives.
    #[must_use]
    pub fn stats(&self) -> Arc<HookStats> {
        Arc::clone(&self.shared.stats)
    }
}

impl Sink for HookSink {
    fn name(&self) -> String {
        self.shared.name.clone()
    }

    fn wants(&self, event: &Event) -> bool {
        self.shared.filter.passes(event)
    }

    /// Puts the event in line. How the run ends is logged and counted when it ends.
    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        let mut state = self.shared.lock();
        if state.is_closed {
            return Err(SinkError::once(self.name(), "it is closed"));
        }
        if state.waiting.len() >= MAX_WAITING {
            state.waiting.pop_front();
            self.shared.stats.dropped.fetch_add(1, Ordering::Relaxed);
            if !std::mem::replace(&mut state.is_full, true) {
                tracing::warn!(
                    hook = self.shared.name,
                    "{MAX_WAITING} events wait for the hook: the oldest are dropped"
                );
            }
        }
        state.waiting.push_back(event.clone());
        let most = usize::try_from(self.shared.hook.max_parallel).unwrap_or(usize::MAX);
        if state.waiting.len() > state.idle && state.threads.len() < most {
            let shared = Arc::clone(&self.shared);
            let name = format!("hook-{}", state.threads.len());
            match thread::Builder::new().name(name).spawn(move || shared.work()) {
                Ok(thread) => state.threads.push(thread),
                // The threads there are will come to it.
                Err(error) if !state.threads.is_empty() => {
                    tracing::warn!(hook = self.shared.name, %error, "no further thread for the hook");
                }
                Err(error) => {
                    state.waiting.pop_back();
                    return Err(SinkError::once(self.name(), format!("no thread to run it: {error}")));
                }
            }
        }
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }

    fn close(&mut self, within: Duration) {
        let shared = &self.shared;
        let time_to_kill = TIME_TO_KILL.min(within / 2);
        let mut state = shared.lock();
        state.is_closed = true;
        shared.changed.notify_all();
        let is_busy = |state: &mut State| !state.waiting.is_empty() || state.running > 0;
        state = shared.wait_while(state, within - time_to_kill, is_busy);
        if is_busy(&mut state) {
            shared.abort.store(true, Ordering::Release);
            let waiting = state.waiting.len();
            shared.stats.dropped.fetch_add(waiting as u64, Ordering::Relaxed);
            state.waiting.clear();
            shared.changed.notify_all();
            tracing::warn!(
                hook = shared.name,
                running = state.running,
                waiting,
                "the hook did not end in time: what runs is killed, what waits is dropped"
            );
            state = shared.wait_while(state, time_to_kill, |state| state.running > 0);
        }
        let threads = if state.running == 0 { std::mem::take(&mut state.threads) } else { Vec::new() };
        drop(state);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(hook = shared.name, "a thread of the hook panicked");
            }
        }
    }
}

impl Drop for HookSink {
    /// Does not wait, but leaves nothing running for long.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.waiting.clear();
        self.shared.abort.store(true, Ordering::Release);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        within: Duration,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        let result = self.changed.wait_timeout_while(state, within, condition);
        result.unwrap_or_else(PoisonError::into_inner).0
    }

    /// One thread's life: an event, a run, the next event.
    fn work(&self) {
        while let Some(event) = self.next() {
            // Counted down also if something panics, so that nobody waits for this run for ever.
            let _running = Running(self);
            if is_expired(&event, &*self.clock) {
                self.stats.expired.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(hook = self.name, event = %event.id, "not run: the event expired while it waited");
                continue;
            }
            self.attend(&event);
        }
    }

    /// Runs the command for an event, again where its exit code asks for that.
    fn attend(&self, event: &Event) {
        let mut pause = Pause::new(&self.hook.backoff);
        for attempt in 1..=self.hook.attempts {
            match self.run(event) {
                Ok(finished) => {
                    self.report(event, &finished);
                    let is_to_be_retried = matches!(finished.end, End::Exited(code)
                        if u8::try_from(code).is_ok_and(|code| self.hook.retry_exit_codes.contains(&code)));
                    if !is_to_be_retried || attempt == self.hook.attempts {
                        return;
                    }
                }
                Err(error) => {
                    self.stats.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(hook = self.name, event = %event.id, %error, "the hook could not be run");
                    return;
                }
            }
            if self.wait_while(self.lock(), pause.take(), |state| !state.is_closed).is_closed {
                tracing::warn!(hook = self.name, event = %event.id, "not run again: the daemon ends");
                return;
            }
            if is_expired(event, &*self.clock) {
                self.stats.expired.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(hook = self.name, event = %event.id, "not run again: the event expired");
                return;
            }
            self.stats.retried.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How long no further run may be started, by `max_per_minute`; `None` if one may, which is then counted.
    fn rate_limit(&self, starts: &mut VecDeque<Moment>) -> Option<Duration> {
        let most = usize::try_from(self.hook.max_per_minute?).unwrap_or(usize::MAX);
        let now = self.clock.now();
        while starts.front().is_some_and(|start| now.since(*start) >= MINUTE) {
            starts.pop_front();
        }
        match starts.front() {
            Some(first) if starts.len() >= most => Some(MINUTE.saturating_sub(now.since(*first))),
            _ => {
                starts.push_back(now);
                None
            }
        }
    }

    /// Waits for an event; `None` at the end.
    fn next(&self) -> Option<Event> {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            while state.waiting.is_empty() && !state.is_closed {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.waiting.is_empty() {
                break;
            }
            match self.rate_limit(&mut state.starts) {
                None => break,
                // At the end nobody waits for the minute to pass: what waits is counted as dropped.
                Some(pause) => {
                    let abort = |_: &mut State| !self.abort.load(Ordering::Acquire);
                    state = self.wait_while(state, pause, abort);
                }
            }
        }
        state.idle -= 1;
        let event = state.waiting.pop_front()?;
        state.running += 1;
        if state.waiting.is_empty() && std::mem::take(&mut state.is_full) {
            let dropped = self.stats.dropped.load(Ordering::Relaxed);
            tracing::info!(hook = self.name, dropped_so_far = dropped, "the hook keeps up again");
        }
        Some(event)
    }

    fn run(&self, event: &Event) -> io::Result<Finished> {
        let mut input = serde_json::to_vec(event)?;
        input.push(b'\n');
        let Some((program, arguments)) = self.hook.argv.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment::variables(event)).current_dir("/");
        let timeout = Duration::from_millis(self.hook.timeout_ms);
        child::run(&mut command, &input, timeout, &*self.clock, &self.abort)
    }

    fn report(&self, event: &Event, finished: &Finished) {
        let Finished { end, took, output } = finished;
        let counter = match end {
            End::Exited(0) => &self.stats.succeeded,
            End::Exited(_) | End::Signalled(_) => &self.stats.failed,
            End::TimedOut => &self.stats.timed_out,
            End::Aborted => &self.stats.dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // Escaped, since it is foreign text on its way to a terminal or a journal.
        let text = String::from_utf8_lossy(&output.kept);
        let (output, discarded) = (text.trim_end().escape_debug(), output.discarded_bytes);
        let (hook, event, took_ms) = (&self.name, event.id, took.as_millis());
        match end {
            End::Exited(0) => {
                tracing::debug!(hook, %event, took_ms, %output, discarded, "the hook succeeded");
            }
            End::Exited(code) => {
                tracing::warn!(hook, %event, code, took_ms, %output, discarded, "the hook failed");
            }
            End::Signalled(signal) => {
                tracing::warn!(hook, %event, signal, took_ms, %output, discarded, "the hook died of a signal");
            }
            End::TimedOut => {
                tracing::warn!(hook, %event, took_ms, %output, discarded, "the hook took too long: killed");
            }
            End::Aborted => {
                tracing::warn!(hook, %event, took_ms, %output, discarded, "the hook was killed: the daemon ends");
            }
        }
    }
}

/// A program that opens doors has to be there at the start, and must not be everybody's to change.
fn may_be_run(program: &Path) -> Result<(), String> {
    let file = fs::metadata(program).map_err(|error| format!("the program cannot be run: {error}"))?;
    let mode = file.permissions().mode();
    if !file.is_file() || mode & 0o111 == 0 {
        return Err("the program cannot be run: chmod +x it".to_owned());
    }
    if mode & 0o002 != 0 {
        return Err("every user can change the program: chmod o-w it".to_owned());
    }
    Ok(())
}

/// Counts a run while it lasts.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_all();
    }
}

/// Whether the event must not open anything any more.
fn is_expired(event: &Event, clock: &dyn Clock) -> bool {
    match &event.kind {
        EventKind::Verified { expires_at, .. } => clock.wall(clock.now()) >= *expires_at,
        _ => false,
    }
}
