//! Signals as something that can be waited for.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use super::thread::{Thread, spawn};

/// The exit code of a program that Ctrl-C ended, as shells have it: 128 + SIGINT.
const EXIT_AFTER_SECOND_SIGINT: i32 = 130;

/// Whether the program is to end, and whether it is to read its settings again. Clones share one state.
///
/// There are three ways to use it: ask ([`Shutdown::is_requested`]), sleep with [`Shutdown::wait`], or select on
/// [`Shutdown::requested`], which is disconnected when the end is asked for.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
    requested: Receiver<()>,
}

#[derive(Debug)]
struct State {
    reason: Option<String>,
    is_reload_requested: bool,
    has_knocked: bool,
    /// Dropped when the end is asked for.
    open: Option<Sender<()>>,
}

/// Why [`Shutdown::wait`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The program is to end.
    Shutdown,
    /// The settings are to be read again. Said once for each request.
    Reload,
    /// Something else is to be attended to, see [`Shutdown::knock`]. Said once for all that knocked meanwhile.
    Knock,
    /// Nothing happened in that time.
    TimedOut,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Nothing was asked for yet.
    #[must_use]
    pub fn new() -> Self {
        let (open, requested) = bounded(0);
        let state = State { reason: None, is_reload_requested: false, has_knocked: false, open: Some(open) };
        Self(Arc::new(Inner { state: Mutex::new(state), changed: Condvar::new(), requested }))
    }

    /// Asks the program to end. The first reason stays.
    pub fn request(&self, reason: &str) {
        let mut state = self.lock();
        if state.reason.is_none() {
            state.reason = Some(reason.to_owned());
            state.open = None;
            self.0.changed.notify_all();
        }
    }

    /// Asks the program to read its settings again.
    pub fn request_reload(&self) {
        self.lock().is_reload_requested = true;
        self.0.changed.notify_all();
    }

    /// Wakes the one thread that handles reloads, without asking for one.
    pub fn knock(&self) {
        self.lock().has_knocked = true;
        self.0.changed.notify_all();
    }

    /// Whether the program is to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.lock().reason.is_some()
    }

    /// Why the program is to end, for people; `None` if it is not.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.lock().reason.clone()
    }

    /// Never gives a value; is disconnected when the program is to end. For `select!`.
    #[must_use]
    pub fn requested(&self) -> Receiver<()> {
        self.0.requested.clone()
    }

    /// Sleeps for `duration`, unless the program is to end: true if it is.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> bool {
        let result = self.0.changed.wait_timeout_while(self.lock(), duration, |state| state.reason.is_none());
        result.unwrap_or_else(PoisonError::into_inner).0.reason.is_some()
    }

    /// Sleeps for `timeout`, unless something is asked for before. For the one thread that handles reloads.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Wake {
        let is_quiet =
            |state: &mut State| state.reason.is_none() && !state.is_reload_requested && !state.has_knocked;
        let result = self.0.changed.wait_timeout_while(self.lock(), timeout, is_quiet);
        let mut state = result.unwrap_or_else(PoisonError::into_inner).0;
        if state.reason.is_some() {
            Wake::Shutdown
        } else if std::mem::take(&mut state.is_reload_requested) {
            Wake::Reload
        } else if std::mem::take(&mut state.has_knocked) {
            Wake::Knock
        } else {
            Wake::TimedOut
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes signals on to a [`Shutdown`] while it lives.
#[derive(Debug)]
pub struct SignalWatch {
    handle: Handle,
    _thread: Thread<()>,
}

/// SIGTERM and SIGINT ask for the end, SIGHUP for a reload. A second SIGINT ends the process at once, with exit
/// code 130, for the case that the orderly end hangs. (SIGPIPE needs no care: Rust's runtime ignores it, writing
/// to a closed pipe is an error, and started programs get the usual behaviour back.)
///
/// # Errors
/// If the system refuses.
pub fn watch(shutdown: Shutdown) -> io::Result<SignalWatch> {
    // In this order the first SIGINT finds the flag down and raises it, and the second finds it up.
    let seen = Arc::new(AtomicBool::new(false));
    flag::register_conditional_shutdown(SIGINT, EXIT_AFTER_SECOND_SIGINT, Arc::clone(&seen))?;
    flag::register(SIGINT, Arc::clone(&seen))?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let handle = signals.handle();
    let thread = spawn("signals", move || {
        for signal in &mut signals {
            match signal {
                SIGTERM => shutdown.request("SIGTERM"),
                SIGINT => shutdown.request("SIGINT"),
                _ => shutdown.request_reload(),
            }
        }
        // Nobody would act on a first one any more.
        seen.store(true, Ordering::Release);
    })?;
    Ok(SignalWatch { handle, _thread: thread })
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close(); // ends the thread, which is joined next
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;
    use crate::clock::{Clock, SystemClock};

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn sleeping_ends_when_the_end_is_asked_for() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.sleep(Duration::from_millis(5)));
        assert_eq!(shutdown.wait(Duration::from_millis(5)), Wake::TimedOut);
        let clock = SystemClock::new();
        let other = shutdown.clone();
        let sleeper =
            spawn("sleeper", move || (other.sleep(LONG), other.requested().recv().is_err())).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        shutdown.request("a test");
        shutdown.request("another reason");
        assert_eq!(sleeper.join(), Ok((true, true)));
        assert!(clock.now().0 < LONG / 2);
        assert_eq!(shutdown.reason().as_deref(), Some("a test"));
        assert_eq!(shutdown.wait(LONG), Wake::Shutdown);
    }

    #[test]
    fn a_reload_is_said_once_and_the_end_comes_first() {
        let shutdown = Shutdown::new();
        shutdown.request_reload();
        assert!(!shutdown.sleep(Duration::from_millis(5)), "a reload does not disturb sleepers");
        assert_eq!(shutdown.wait(LONG), Wake::Reload);
        assert_eq!(shutdown.wait(Duration::from_millis(5)), Wake::TimedOut);
        shutdown.knock();
        shutdown.request_reload();
        assert_eq!(shutdown.wait(LONG), Wake::Reload);
        assert_eq!(shutdown.wait(LONG), Wake::Knock);
        assert_eq!(shutdown.wait(Duration::from_millis(5)), Wake::TimedOut);
        shutdown.request_reload();
        shutdown.request("end");
        assert_eq!(shutdown.wait(LONG), Wake::Shutdown);
    }

    #[test]
    fn signals_arrive() {
        let shutdown = Shutdown::new();
        let watch = watch(shutdown.clone()).unwrap();
        kill_process(getpid(), Signal::HUP).unwrap();
        assert_eq!(shutdown.wait(LONG), Wake::Reload);
        kill_process(getpid(), Signal::TERM).unwrap();
        assert_eq!(shutdown.wait(LONG), Wake::Shutdown);
        assert_eq!(shutdown.reason().as_deref(), Some("SIGTERM"));
        drop(watch);
    }

    /// Runs this very test again as a process of its own, which sends itself SIGINT twice and then waits.
    #[test]
    fn a_second_sigint_ends_the_process_at_once() {
        const CHILD: &str = "FACEWARDEN_TEST_SIGINT";
        if std::env::var_os(CHILD).is_some() {
            let shutdown = Shutdown::new();
            let _watch = watch(shutdown.clone()).unwrap();
            kill_process(getpid(), Signal::INT).unwrap();
            assert_eq!(shutdown.wait(LONG), Wake::Shutdown);
            kill_process(getpid(), Signal::INT).unwrap();
            std::thread::sleep(LONG);
            return;
        }
        let name = "sys::signals::tests::a_second_sigint_ends_the_process_at_once";
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(EXIT_AFTER_SECOND_SIGINT));
    }
}
