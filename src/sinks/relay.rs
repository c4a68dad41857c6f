//! A relay on a GPIO line, by the kernel's character device: active for a while on a grant, and at no other time.
//!
//! The kernel lets go of the line when the process ends, however it ends. Which level the line has then is up to the
//! board: wire the relay so that an undriven line keeps the door shut.

use std::fmt::Display;
use std::fs::File;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use gpiocdev::line::Value;
use gpiocdev::{Chip, Request};

use super::{Filter, Notices, Sink, SinkError};
use crate::clock::{Clock, Moment};
use crate::config::Relay;
use crate::domain::Event;

/// A line that can be driven.
pub trait Line: Send {
    /// Makes it active or inactive.
    ///
    /// # Errors
    /// What the kernel says.
    fn set(&mut self, is_active: bool) -> Result<(), String>;
}

/// Switches a line on for grants.
pub struct RelaySink {
    name: String,
    filter: Filter,
    clock: Arc<dyn Clock>,
    /// Grants, on their way to the thread that holds the line. One place is enough: the next does the same.
    grants: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RelaySink {
    /// Takes hold of the line, inactive. What goes wrong with it later is said through `notices`.
    ///
    /// # Errors
    /// If the line is not there, taken by somebody else, or not for this user.
    pub fn open(settings: &Relay, clock: Arc<dyn Clock>, notices: Notices) -> Result<Self, SinkError> {
        let name = name(settings);
        let mut request = Request::builder();
        request.on_chip(&settings.chip).with_line(settings.line).with_consumer("facewarden");
        if settings.active_low {
            request.as_active_low();
        }
        request.as_output(Value::Inactive);
        match request.request() {
            Ok(line) => Self::new(settings, Box::new(line), clock, notices),
            Err(error) => Err(SinkError::gone(name, cannot_be_had(settings, &error))),
        }
    }

    /// As [`RelaySink::open`], with a line that is held already.
    ///
    /// # Errors
    /// If the line cannot be driven, or the system gives no thread.
    pub fn new(
        settings: &Relay,
        mut line: Box<dyn Line>,
        clock: Arc<dyn Clock>,
        notices: Notices,
    ) -> Result<Self, SinkError> {
        let name = name(settings);
        let failed = |why: &dyn Display| SinkError::gone(name.clone(), format!("it cannot be driven: {why}"));
        line.set(false).map_err(|why| failed(&why))?;
        let (grants, asked) = bounded(1);
        let hold = Hold {
            name: name.clone(),
            line,
            asked,
            hold: Duration::from_millis(settings.hold_ms),
            clock: Arc::clone(&clock),
            notices,
        };
        let work = move || hold.run();
        let thread =
            thread::Builder::new().name("relay".to_owned()).spawn(work).map_err(|error| failed(&error))?;
        let filter = Filter::new(&settings.only.as_only());
        Ok(Self { name, filter, clock, grants: Some(grants), thread: Some(thread) })
    }

    fn let_go(&mut self) {
        self.grants = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(sink = self.name, "the thread of the relay panicked");
        }
    }
}

impl Line for Request {
    fn set(&mut self, is_active: bool) -> Result<(), String> {
        let value = if is_active { Value::Active } else { Value::Inactive };
        self.set_lone_value(value).map(|_| ()).map_err(|error| error.to_string())
    }
}

fn name(settings: &Relay) -> String {
    format!("relay {}:{}", settings.chip.display(), settings.line)
}

/// Why the kernel does not give the line, and what to do.
fn cannot_be_had(settings: &Relay, error: &gpiocdev::Error) -> String {
    if let Err(error) = File::options().read(true).write(true).open(&settings.chip) {
        return format!(
            "{error}: `gpiodetect` lists the chips, and the daemon's user must be allowed to use this one"
        );
    }
    let info = Chip::from_path(&settings.chip).and_then(|chip| chip.line_info(settings.line));
    match info {
        Ok(line) if line.used => {
            format!(
                "the line is taken by `{}`: end that program, or use another line",
                line.consumer.escape_debug()
            )
        }
        _ => format!("{error}: `gpioinfo` lists the lines"),
    }
}

impl Sink for RelaySink {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn wants(&self, event: &Event) -> bool {
        self.filter.passes(event)
    }

    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        let now = self.clock.wall(self.clock.now());
        if !event.as_of(now).is_grant() {
            tracing::warn!(sink = self.name, event = %event.id, "not switched on: the event has expired");
            return Ok(());
        }
        match self.grants.as_ref().map(|grants| grants.try_send(())) {
            // A grant that waits already does the same.
            Some(Ok(()) | Err(TrySendError::Full(()))) => Ok(()),
            Some(Err(TrySendError::Disconnected(()))) | None => {
                Err(SinkError::gone(self.name.clone(), "the line is not held any more"))
            }
        }
    }

    /// Inactive at once, however much of the time is left.
    fn close(&mut self, _within: Duration) {
        self.let_go();
    }
}

impl Drop for RelaySink {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// The thread that holds the line.
struct Hold {
    name: String,
    line: Box<dyn Line>,
    asked: Receiver<()>,
    hold: Duration,
    clock: Arc<dyn Clock>,
    notices: Notices,
}

impl Hold {
    fn run(mut self) {
        let mut active_until: Option<Moment> = None;
        loop {
            let asked = match active_until {
                None => self.asked.recv().map_err(|_gone| RecvTimeoutError::Disconnected),
                Some(until) => self.asked.recv_timeout(until.since(self.clock.now())),
            };
            active_until = match asked {
                Ok(()) => {
                    self.set(true);
                    Some(self.clock.now() + self.hold)
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.set(false);
                    None
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
        }
    }

    fn set(&mut self, is_active: bool) {
        if let Err(why) = self.line.set(is_active) {
            let what = if is_active { "on" } else { "off" };
            self.notices.say(format!("{} could not be switched {what}: {why}", self.name));
        }
    }
}

impl Drop for Hold {
    /// Also where something panicked.
    fn drop(&mut self) {
        self.set(false);
    }
}
