//! Threads with a name that somebody joins.

use std::any::Any;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

/// How far a thread lets others go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// A tenth of the time that a usual thread gets where both want the processor (`nice` 10).
    Low,
    /// A seventieth (`nice` 19).
    Lowest,
    /// Just the time that nobody else wants (`SCHED_IDLE`). A thread that is woken takes the processor from it at once,
    /// where it may have to wait for a thread that is merely nice.
    Idle,
}

/// Why there is no result of a thread.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThreadError {
    /// It panicked: a defect of the program.
    #[error("the thread {name} panicked: {message}")]
    Panicked {
        /// Name of the thread.
        name: String,
        /// What the panic said.
        message: String,
    },
    /// It did not end in time, and is left behind.
    #[error("the thread {name} did not end within {within:?}")]
    StillRunning {
        /// Name of the thread.
        name: String,
        /// How long it was waited for.
        within: Duration,
    },
}

/// Lets other threads go before this one, and before those that it starts from now on.
///
/// # Errors
/// If the system refuses.
pub fn step_back(to: Precedence) -> io::Result<()> {
    // For Linux a thread is a process of its own here.
    let nice = |level| Ok(rustix::process::setpriority_process(Some(rustix::thread::gettid()), level)?);
    match to {
        Precedence::Low => nice(10),
        Precedence::Lowest => nice(19),
        Precedence::Idle => idle(),
    }
}

#[expect(unsafe_code, reason = "rustix has no call for it")]
fn idle() -> io::Result<()> {
    let usual = libc::sched_param { sched_priority: 0 };
    // SAFETY: it reads the structure, which lives until it has returned; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const usual) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A running thread. Dropping it waits for its end, so that none is forgotten.
#[derive(Debug)]
pub struct Thread<T> {
    name: String,
    handle: Option<JoinHandle<T>>,
    /// Disconnected when the thread's work is done.
    finished: Receiver<()>,
}

/// Starts a thread. Linux shows the first 15 bytes of its name.
///
/// # Errors
/// If the system gives no more threads, or the name contains a NUL byte.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Thread<T>> {
    let (sender, finished) = bounded(0);
    if name.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of a thread contains a NUL byte"));
    }
    let work = move || {
        // Dropped at the end, also by a panic.
        let _sender: crossbeam_channel::Sender<()> = sender;
        work()
    };
    let handle = Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(Thread { name: name.to_owned(), handle: Some(handle), finished })
}

impl<T> Thread<T> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for its end, however long that takes.
    ///
    /// # Errors
    /// [`ThreadError::Panicked`].
    pub fn join(mut self) -> Result<T, ThreadError> {
        self.take_result()
    }

    /// Waits for its end, at most for `within`. A thread that still runs then is left behind.
    ///
    /// # Errors
    /// [`ThreadError`].
    pub fn join_within(mut self, within: Duration) -> Result<T, ThreadError> {
        if self.finished.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            self.handle = None;
            return Err(ThreadError::StillRunning { name: std::mem::take(&mut self.name), within });
        }
        self.take_result()
    }

    fn take_result(&mut self) -> Result<T, ThreadError> {
        let Some(handle) = self.handle.take() else {
            unreachable!("the handle is taken once, by what consumes the thread");
        };
        handle
            .join()
            .map_err(|panic| ThreadError::Panicked { name: self.name.clone(), message: text(&*panic) })
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take()
            && let Err(panic) = handle.join()
        {
            tracing::error!(thread = self.name, panic = text(&*panic), "a thread panicked");
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn it_has_its_name_and_gives_its_result() {
        let thread = spawn("detect", || std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(thread.name(), "detect");
        assert_eq!(thread.join(), Ok(Some("detect".to_owned())));
    }

    /// The number of that field of `/proc/thread-self/stat`, counted from 1 as in proc(5).
    fn stat(field: usize) -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The name, which is field 2, may have spaces.
        let after = stat.rsplit_once(") ").unwrap().1;
        after.split(' ').nth(field - 3).unwrap().to_owned()
    }

    #[test]
    fn a_thread_that_steps_back_takes_along_whom_it_starts() {
        const NICE: usize = 19;
        const POLICY: usize = 41;
        for (to, field, shown) in
            [(Precedence::Low, NICE, "10"), (Precedence::Lowest, NICE, "19"), (Precedence::Idle, POLICY, "5")]
        {
            let thread = spawn("back", move || {
                step_back(to).unwrap();
                (stat(field), spawn("child", move || stat(field)).unwrap().join().unwrap())
            });
            assert_eq!(thread.unwrap().join().unwrap(), (shown.to_owned(), shown.to_owned()), "{to:?}");
        }
        assert_eq!(stat(POLICY), "0", "the others stay as they are");
    }

    #[test]
    fn a_panic_is_an_error_value() {
        let thread = spawn("broken", || -> u8 { panic!("number {}", 7) }).unwrap();
        let expected = ThreadError::Panicked { name: "broken".into(), message: "number 7".into() };
        assert_eq!(thread.join_within(Duration::from_secs(10)), Err(expected));
    }

    #[test]
    fn a_thread_that_hangs_is_left_behind() {
        let (_keep, stuck) = bounded::<()>(0);
        let thread = spawn("stuck", move || stuck.recv()).unwrap();
        let error = thread.join_within(Duration::from_millis(30)).unwrap_err();
        assert!(matches!(error, ThreadError::StillRunning { name, .. } if name == "stuck"));
    }

    #[test]
    fn dropping_waits() {
        let done = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&done);
        let thread = spawn("slow", move || {
            std::thread::sleep(Duration::from_millis(50));
            flag.store(true, Ordering::Release);
        });
        drop(thread.unwrap());
        assert!(done.load(Ordering::Acquire));
        drop(spawn("broken", || panic!("dropping does not pass it on")).unwrap());
    }

    #[test]
    fn a_name_with_a_nul_byte_is_an_error() {
        assert!(spawn("a\0b", || ()).is_err());
    }
}
