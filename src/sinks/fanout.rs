//! One event to all sinks, none of which can delay another or the caller.
//!
//! Each sink has a named thread and a bounded queue. When a queue is full, the new event is dropped for that
//! sink, counted, and said once until there is room again.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{
    Receiver, RecvError, RecvTimeoutError, Sender, TryRecvError, TrySendError, after, bounded, never, select,
};

use super::{Fate, Notices, Sink, SinkError};
use crate::domain::Event;

/// So many events wait for one sink before new ones are dropped for it.
pub const QUEUE_LENGTH: usize = 256;

/// What did not work is tried again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Hands events to sinks.
#[derive(Debug)]
pub struct Fanout {
    links: Vec<Link>,
    gone: Receiver<SinkError>,
    closing: Arc<Closing>,
    /// Dropped when no time is left for events that still wait.
    in_time: Sender<()>,
    notices: Notices,
}

/// How it goes with one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// Name of the sink.
    pub sink: String,
    /// Events that wait for it.
    pub waiting: usize,
    /// Events it never saw, because its queue was full, it was gone, or time ran out at the end.
    pub dropped: u64,
    /// Events it could not deliver.
    pub failed: u64,
}

#[derive(Debug)]
struct Link {
    sink: String,
    queue: Sender<Arc<Event>>,
    counters: Arc<Counters>,
    /// Events are being dropped, and that has been said.
    is_full: AtomicBool,
    thread: JoinHandle<()>,
    /// Disconnected when the thread has done all its work.
    finished: Receiver<()>,
}

#[derive(Debug, Default)]
struct Counters {
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// What the threads need to know about the end.
#[derive(Debug, Default)]
struct Closing {
    /// How long each sink may take to close.
    sink_within_ms: AtomicU64,
}

impl Fanout {
    /// Starts a thread for each sink. What is dropped for one is said through `notices`.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub fn new(sinks: Vec<Box<dyn Sink>>, notices: Notices) -> io::Result<Self> {
        // Each sink is gone at most once, so there is always room.
        let (gone_sender, gone) = bounded(sinks.len());
        let closing = Arc::new(Closing::default());
        let (in_time, too_late) = bounded(0);
        let mut links = Vec::with_capacity(sinks.len());
        for (number, sink) in sinks.into_iter().enumerate() {
            let (queue, events) = bounded(sink.queue_length());
            let (finished_sender, finished) = bounded(0);
            let name = sink.name();
            let counters = Arc::new(Counters::default());
            let worker = Worker {
                sink,
                name: name.clone(),
                events,
                counters: Arc::clone(&counters),
                gone: gone_sender.clone(),
                closing: Arc::clone(&closing),
                too_late: too_late.clone(),
                notices: notices.clone(),
                is_failing: false,
                _finished: finished_sender,
            };
            let thread = thread::Builder::new().name(format!("sink-{number}")).spawn(|| worker.run())?;
            links.push(Link {
                sink: name,
                queue,
                counters,
                is_full: AtomicBool::new(false),
                thread,
                finished,
            });
        }
        Ok(Self { links, gone, closing, in_time, notices })
    }

    /// Gives the event to every sink that wants it. Never waits.
    pub fn send(&self, event: Event) {
        let event = Arc::new(event);
        for link in &self.links {
            match link.queue.try_send(Arc::clone(&event)) {
                Ok(()) => {
                    if link.is_full.swap(false, Ordering::Relaxed) {
                        let dropped = link.counters.dropped.load(Ordering::Relaxed);
                        tracing::info!(sink = link.sink, dropped_so_far = dropped, "the sink keeps up again");
                    }
                }
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    link.counters.dropped.fetch_add(1, Ordering::Relaxed);
                    if !link.is_full.swap(true, Ordering::Relaxed) {
                        self.notices.say(format!("{} is too slow: events for it are dropped", link.sink));
                    }
                }
            }
        }
    }

    /// Tells of each sink that is gone for good: it said so, or it panicked. At most one error a sink.
    #[must_use]
    pub fn gone(&self) -> &Receiver<SinkError> {
        &self.gone
    }

    /// How it goes with each sink.
    #[must_use]
    pub fn states(&self) -> Vec<LinkState> {
        let state = |link: &Link| LinkState {
            sink: link.sink.clone(),
            waiting: link.queue.len(),
            dropped: link.counters.dropped.load(Ordering::Relaxed),
            failed: link.counters.failed.load(Ordering::Relaxed),
        };
        self.links.iter().map(state).collect()
    }

    /// Delivers what waits, closes the sinks and joins their threads, all within about `within`: half of it for
    /// the waiting events, half for closing. Gives back the names of the sinks that did not end in time; their
    /// threads are left behind.
    #[must_use]
    pub fn close(self, within: Duration) -> Vec<String> {
        let Self { links, closing, in_time, .. } = self;
        let mut in_time = Some(in_time);
        let half = within / 2;
        let half_ms = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        closing.sink_within_ms.store(half_ms, Ordering::Release);
        let (mut half_time, mut full_time) = (after(half), after(within));
        let mut is_over = false;
        let ending: Vec<_> = links
            .into_iter()
            // The queue is dropped here, which tells the thread that nothing more comes.
            .map(|Link { sink, finished, thread, .. }| (sink, finished, thread))
            .collect();
        let mut late = Vec::new();
        for (sink, finished, thread) in ending {
            let mut is_finished = false;
            while !is_finished && !is_over {
                select! {
                    recv(finished) -> _ => is_finished = true,
                    recv(half_time) -> _ => {
                        drop(in_time.take());
                        half_time = never();
                    }
                    recv(full_time) -> _ => {
                        is_over = true;
                        full_time = never();
                    }
                }
            }
            let is_finished =
                is_finished || finished.try_recv() == Err(crossbeam_channel::TryRecvError::Disconnected);
            // What panics in a sink is caught in its thread, so joining says nothing new.
            if is_finished {
                drop(thread.join());
            } else {
                tracing::warn!(sink, "the sink did not end in time");
                late.push(sink);
            }
        }
        late
    }
}

/// The thread of one sink.
struct Worker {
    sink: Box<dyn Sink>,
    name: String,
    events: Receiver<Arc<Event>>,
    counters: Arc<Counters>,
    gone: Sender<SinkError>,
    closing: Arc<Closing>,
    /// Disconnected when no time is left for events that still wait.
    too_late: Receiver<()>,
    notices: Notices,
    /// The last attempt went wrong, and that has been said.
    is_failing: bool,
    _finished: Sender<()>,
}

impl Worker {
    fn run(mut self) {
        let mut is_gone = false;
        let mut abandoned = 0_u64;
        while let Ok(event) = self.next(&mut is_gone) {
            let is_late = self.too_late.try_recv() == Err(TryRecvError::Disconnected);
            if is_gone || is_late {
                abandoned += u64::from(is_late && !is_gone);
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            } else if let Err(error) = self.deliver(&event) {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                is_gone = error.fate.is_end();
                self.report(error);
            }
        }
        if abandoned > 0 {
            tracing::warn!(
                sink = self.name,
                events = abandoned,
                "no time was left to deliver the last events"
            );
        }
        let within = Duration::from_millis(self.closing.sink_within_ms.load(Ordering::Acquire));
        let sink = &mut self.sink;
        if !is_gone && let Err(panic) = catch_unwind(AssertUnwindSafe(|| sink.close(within))) {
            tracing::error!(sink = self.name, panic = text(&*panic), "the sink panicked when it was closed");
        }
    }

    /// The next event. When none waits, the sink is told so before it is waited for.
    fn next(&mut self, is_gone: &mut bool) -> Result<Arc<Event>, RecvError> {
        self.events.try_recv().or_else(|_nothing_waits| {
            if !*is_gone && let Err(error) = guarded(&mut *self.sink, |sink| sink.rest()) {
                *is_gone = error.fate.is_end();
                self.report(error);
            }
            self.events.recv()
        })
    }

    /// Delivers an event. Where it may go well later it is tried again: those that come after it wait in the queue.
    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        loop {
            let tried =
                guarded(&mut *self.sink, |sink| if sink.wants(event) { sink.deliver(event) } else { Ok(()) });
            let Err(error) = tried else {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(sink = self.name, "events are delivered again");
                }
                return Ok(());
            };
            let Fate::Later { after } = error.fate else { return Err(error) };
            if !std::mem::replace(&mut self.is_failing, true) {
                self.notices.say(format!("{error}; events for it wait in memory and are tried again"));
            }
            let pause = after.unwrap_or(RETRY_AFTER);
            if self.too_late.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return Err(error);
            }
        }
    }

    fn report(&self, error: SinkError) {
        if error.fate.is_end() {
            tracing::warn!(sink = error.sink, "{}: the sink is not used any more", error.message);
            drop(self.gone.try_send(error));
        } else {
            tracing::warn!(sink = error.sink, "{}", error.message);
        }
    }
}

/// Does something with a sink. A panic is an error; the sink is not to be used after it, so it does not matter in
/// which state that leaves it.
pub(super) fn guarded(
    sink: &mut dyn Sink,
    work: impl FnOnce(&mut dyn Sink) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let name = sink.name();
    catch_unwind(AssertUnwindSafe(|| work(sink))).unwrap_or_else(|panic| {
        let message = format!("it panicked: {}", text(&*panic));
        Err(SinkError { sink: name, message, fate: Fate::Defect })
    })
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
