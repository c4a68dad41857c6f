//! Everybody who is told of events, put together as the configuration says. Used by the daemon.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::exit::{Exit, Failure, OrExit};
use super::forget::Places;
use crate::clock::{Clock, SystemClock};
use crate::config::{Backoff, Config, Events};
use crate::domain::{CameraId, Event};
use crate::listen::ListenError;
use crate::sinks::{
    Addressee, Backlog, Courier, EventLog, Fanout, HookSink, LogKeeper, MqttSink, Notices, Outbox,
    OutboxError, Recorder, RelaySink, Rotation, Sink, SinkError, SocketServer, WebhookSink, notices,
};

/// Name of the event log in the outbox; no name in the configuration has a space.
pub(super) const LOG: &str = "event log";
/// How long is waited for a log that cannot be written.
const LOG_BACKOFF: Backoff = Backoff { first_ms: 200, max_ms: 5000 };
/// Events refused by a broker or server that only shuts down may be sent again at the next start, so little is
/// waited for.
const CLOSE_SINK_WITHIN: Duration = Duration::from_millis(300);

/// All sinks at work.
pub struct Telling {
    direct: Fanout,
    kept: Option<Kept>,
    log: Option<LogKeeper>,
    notices: Receiver<String>,
}

/// How it goes with a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkCounts {
    /// Its name.
    pub sink: String,
    /// Events that wait for it.
    pub waiting: u64,
    /// Events that it confirmed, where it is told from the outbox.
    pub delivered: u64,
    /// Attempts that failed and are made again.
    pub retries: u64,
    /// Events that it refused for good, which are in the file for that.
    pub refused: u64,
    /// Events that it was never told of: too many waited, or for too long.
    pub dropped: u64,
    /// Events that it could not act on.
    pub failed: u64,
}

/// Those that are told from the outbox.
struct Kept {
    outbox: Arc<Outbox>,
    couriers: Vec<Courier>,
    socket: Option<SocketServer>,
}

impl Telling {
    /// Opens all that `events` names, and `extra` beside it. Nobody has been told of anything yet. `is_read`: events are
    /// kept for readers also where no sink needs that.
    ///
    /// # Errors
    /// If something cannot be opened, with the exit code for it.
    pub fn open(
        (events, is_read): (&Events, bool),
        cameras: &[CameraId],
        extra: Vec<Box<dyn Sink>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let needs_outbox = is_read || events.needs_outbox();
        let (say, notices) = notices();
        let mut direct = extra;
        for relay in &events.relays {
            let relay = RelaySink::open(relay, Arc::clone(clock), say.clone()).or_exit(Exit::Unavailable)?;
            direct.push(Box::new(relay));
        }
        for hook in &events.hooks {
            direct.push(Box::new(HookSink::new(hook, Arc::clone(clock)).or_exit(Exit::Config)?));
        }
        let log = events.log.as_deref().map(|path| open_log(events, path, clock, &say)).transpose()?;
        let keeper = log.as_ref().and_then(EventLog::keeper);
        // What is printed is for whoever looks at it now; a file misses nothing where there is an outbox.
        let is_kept = needs_outbox && events.log.as_deref() != Some(Path::new("-"));
        let (kept_log, direct_log) = if is_kept { (log, None) } else { (None, log) };
        direct.extend(direct_log.map(|log| Box::new(log) as Box<dyn Sink>));
        let kept = if needs_outbox {
            let kept = Kept::open(events, cameras, kept_log, clock, &say)?;
            direct.push(Box::new(Recorder::new(Arc::clone(&kept.outbox))));
            Some(kept)
        } else {
            None
        };
        Ok(Self { direct: Fanout::new(direct, say).or_exit(Exit::Unavailable)?, kept, log: keeper, notices })
    }

    /// Tells everybody. Never waits.
    pub fn send(&self, event: Event) {
        self.direct.send(event);
    }

    /// Each sink that is gone for good.
    #[must_use]
    pub fn gone(&self) -> &Receiver<SinkError> {
        self.direct.gone()
    }

    /// What sinks have to say about themselves, to be announced.
    #[must_use]
    pub fn notices(&self) -> &Receiver<String> {
        &self.notices
    }

    /// How many events wait for each sink that is told from the outbox, by its name there.
    #[must_use]
    pub fn waiting(&self) -> Vec<(String, u64)> {
        self.kept.as_ref().map(|kept| kept.outbox.all_waiting()).unwrap_or_default()
    }

    /// How it goes with each sink.
    #[must_use]
    pub fn counts(&self) -> Vec<SinkCounts> {
        let direct = self.direct.states().into_iter().map(|state| SinkCounts {
            sink: state.sink,
            waiting: state.waiting as u64,
            dropped: state.dropped,
            failed: state.failed,
            ..SinkCounts::default()
        });
        let waiting = self.waiting();
        let kept = self.kept.iter().flat_map(|kept| &kept.couriers).map(|courier| {
            let (stats, key) = (courier.stats(), courier.key());
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            SinkCounts {
                waiting: waiting.iter().find(|(sink, _)| sink == key).map_or(0, |(_, waiting)| *waiting),
                delivered: count(&stats.delivered),
                retries: count(&stats.retries),
                refused: count(&stats.refused),
                dropped: count(&stats.missed),
                sink: key.to_owned(),
                ..SinkCounts::default()
            }
        });
        direct.chain(kept).collect()
    }

    /// The events that are kept, for readers; `None` where none are.
    #[must_use]
    pub fn backlog(&self) -> Option<Arc<dyn Backlog>> {
        self.kept.as_ref().map(|kept| Arc::clone(&kept.outbox) as _)
    }

    /// Where names of people are kept by these settings.
    pub(super) fn places(&self, config: &Config, clock: &Arc<dyn Clock>) -> Places {
        let settings = &config.events.outbox;
        let (outbox, unopened) = match &self.kept {
            Some(kept) => (Some(Arc::clone(&kept.outbox)), None),
            // Of a time when there was somebody to be told from it.
            None if Outbox::is_in(&settings.folder) => {
                match Outbox::open(settings, &[], Arc::clone(clock), notices().0) {
                    Ok(outbox) => (Some(Arc::new(outbox)), None),
                    Err(error) => (None, Some(error.to_string())),
                }
            }
            None => (None, None),
        };
        Places { outbox, unopened, log: self.log.clone(), recordings: config.debug.folder.clone() }
    }

    /// Delivers what waits and ends everything, within about `within`. What cannot be delivered in that time stays in
    /// the outbox. Gives back the names of those that did not end in time.
    #[must_use]
    pub fn close(self, within: Duration) -> Vec<String> {
        let clock = SystemClock::new();
        let left = |share: Duration| share.saturating_sub(clock.now().0);
        let mut late = self.direct.close(if self.kept.is_some() { within / 2 } else { within });
        if let Some(Kept { outbox, couriers, socket }) = self.kept {
            outbox.close();
            late.extend(couriers.into_iter().filter_map(|courier| {
                let name = courier.name().to_owned();
                (!courier.join_within(left(within / 6 * 5))).then_some(name)
            }));
            if socket.is_some_and(|socket| !socket.close(left(within))) {
                late.push("the socket".to_owned());
            }
            outbox.rest();
        }
        late
    }
}

impl Kept {
    fn open(
        events: &Events,
        cameras: &[CameraId],
        log: Option<EventLog>,
        clock: &Arc<dyn Clock>,
        say: &Notices,
    ) -> Result<Self, Failure> {
        let keys = outbox_keys(events, log.is_some());
        let outbox =
            Outbox::open(&events.outbox, &keys, Arc::clone(clock), say.clone()).map_err(outbox_failure)?;
        let outbox = Arc::new(outbox);
        let mut addressees = Vec::new();
        if let Some(log) = log {
            let has_up_to = log.last_id().map(|id| outbox.seq_of(id)).transpose();
            addressees.push(Addressee {
                key: LOG.to_owned(),
                backoff: LOG_BACKOFF,
                has_up_to: has_up_to.or_exit(Exit::CannotWrite)?.flatten(),
                sink: Box::new(log),
            });
        }
        for webhook in &events.webhooks {
            let sink = WebhookSink::new(webhook, &events.site, Arc::clone(clock)).or_exit(Exit::Config)?;
            addressees.push(addressee(&webhook.name, &webhook.backoff, Box::new(sink)));
        }
        for mqtt in &events.mqtt {
            let sink = MqttSink::new(mqtt, &events.site, cameras, Arc::clone(clock)).or_exit(Exit::Config)?;
            addressees.push(addressee(&mqtt.name, &mqtt.backoff, Box::new(sink)));
        }
        let start = |addressee| {
            Courier::start(addressee, Arc::clone(&outbox), Arc::clone(clock), say.clone(), CLOSE_SINK_WITHIN)
        };
        let couriers =
            addressees.into_iter().map(start).collect::<Result<_, _>>().or_exit(Exit::Unavailable)?;
        let source: Arc<dyn Backlog> = Arc::clone(&outbox) as _;
        let open = |settings| SocketServer::open(settings, Arc::clone(&source), Arc::clone(clock));
        let socket = events.socket.as_ref().map(open).transpose().map_err(socket_failure)?;
        Ok(Self { outbox, couriers, socket })
    }
}

/// The names of all sinks in the outbox.
pub(super) fn outbox_keys(events: &Events, has_log: bool) -> Vec<String> {
    let mut keys = Vec::new();
    keys.extend(has_log.then(|| LOG.to_owned()));
    keys.extend(events.webhooks.iter().map(|webhook| webhook.name.clone()));
    keys.extend(events.mqtt.iter().map(|mqtt| mqtt.name.clone()));
    keys
}

fn addressee(name: &str, backoff: &Backoff, sink: Box<dyn Sink>) -> Addressee {
    Addressee { key: name.to_owned(), backoff: backoff.clone(), sink, has_up_to: None }
}

fn open_log(
    events: &Events,
    path: &Path,
    clock: &Arc<dyn Clock>,
    say: &Notices,
) -> Result<EventLog, Failure> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            let message = format!("there is no folder {} for the event log: make it", folder.display());
            return Err(Failure::new(Exit::CannotWrite, message));
        }
        _ => (),
    }
    EventLog::open(path, Rotation::new(events), clock, say).or_exit(Exit::CannotWrite)
}

/// The exit code of an outbox that cannot be opened.
pub(super) fn outbox_failure(error: OutboxError) -> Failure {
    let exit = match &error {
        OutboxError::Busy(_) => Exit::Busy,
        OutboxError::Newer { .. } => Exit::Data,
        OutboxError::Unusable { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        OutboxError::Unusable { .. } => Exit::CannotWrite,
    };
    Failure { exit, error: error.into() }
}

/// The exit code of a socket that cannot be opened.
pub(super) fn socket_failure(error: ListenError) -> Failure {
    let exit = match &error {
        ListenError::Busy(_) => Exit::Busy,
        ListenError::NoGroup(_) | ListenError::NoUser(_) | ListenError::Mode(_) => Exit::Config,
        ListenError::CannotGive { .. } => Exit::Permission,
        ListenError::Folder { source, .. } | ListenError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Exit::Permission
        }
        ListenError::InTheWay(_) | ListenError::Folder { .. } | ListenError::Io { .. } => Exit::CannotWrite,
    };
    Failure { exit, error: error.into() }
}
