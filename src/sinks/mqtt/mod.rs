//! Events at an MQTT broker, with the state of each camera beside them; see `docs/mqtt.md` for topics and payloads.
//!
//! A thread of the sink holds the connection and keeps it alive; [`MqttSink::deliver`](Sink::deliver) hands messages to
//! it and waits until the broker has confirmed them. After each connecting the client is a fresh one in a clean session:
//! what was not confirmed is delivered again by whoever delivers, so nothing is sent twice from here, or out of order.

mod board;
mod credentials;
mod discovery;
mod failure;
mod line;
mod message;
#[cfg(test)]
mod tests;
mod topics;
mod wire;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use rustls::pki_types::pem;

use self::board::{Board, CameraState};
use self::line::{Line, Phase, Shared};
use self::message::Message;
use self::topics::Topics;
use self::wire::Plan;
use super::secret::SecretError;
use super::tls::RootsError;
use super::{Filter, Sink, SinkError};
use crate::clock::Clock;
use crate::config::Mqtt;
use crate::domain::{CameraId, Event, EventKind};

/// An event that is larger than this as JSON, in bytes, is not published.
const MAX_EVENT_BYTES: usize = 256 * 1024;
/// So many messages one event makes at most: the event, the grant, and a state for each camera. Those of the cameras
/// are added.
const MESSAGES_BESIDE_STATES: usize = 16;
/// A sink that is dropped without having been closed waits so long for its thread.
const DROP_WAIT: Duration = Duration::from_secs(2);

/// Why a broker cannot be used with these settings.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// Two cameras would publish at the same topics.
    #[error(
        "the cameras `{first}` and `{second}` would have the same MQTT topics (`/`, `+` and `#` become `_` there): rename one"
    )]
    SameTopic {
        /// One of them.
        first: CameraId,
        /// The other.
        second: CameraId,
    },
    /// The password or the client's own key cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Nobody can be trusted, or the client's own certificate cannot be read.
    #[error(transparent)]
    Tls(#[from] RootsError),
    /// The client's own key cannot be read.
    #[error("cannot read the key in {}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The client's own certificate and key cannot be used.
    #[error("cannot use `tls.certificate_file` with `tls.key_file`: {0}")]
    OwnCertificate(#[source] rustls::Error),
    /// A certificate without a key, or a key without a certificate.
    #[error("`tls.certificate_file` and `tls.key_file` go together")]
    HalfACertificate,
    /// Brokers are not asked for a sign of life so often.
    #[error("`keep_alive_seconds` must be at least 5")]
    KeepAlive,
    /// The broker cannot be reached, cannot be trusted, or does not let this client in.
    #[error("{0}")]
    NotLetIn(String),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// How it went with a broker.
#[derive(Debug, Default)]
pub struct MqttStats {
    /// Times that the broker let this client in.
    pub connections: AtomicU64,
    /// Attempts to connect that failed, and connections that were lost.
    pub failed_attempts: AtomicU64,
    /// Warnings about the connection in the log: one for each kind of trouble in an outage.
    pub warnings: AtomicU64,
    /// Events that the broker confirmed.
    pub delivered: AtomicU64,
    /// The broker did not take everything that is retained, and that has been said.
    pub is_restricted: AtomicBool,
}

/// Publishes events at a broker.
pub struct MqttSink {
    shared: Arc<Shared>,
    filter: Filter,
    stats: Arc<MqttStats>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the thread has ended.
    finished: Receiver<()>,
}

impl std::fmt::Debug for MqttSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MqttSink").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl MqttSink {
    /// A sink for one broker, which it begins to connect to at once, in a thread of its own. `site` and `cameras` name
    /// the topics; the state of a camera is told for those in `cameras`. Secrets and certificates are read here, once.
    ///
    /// # Errors
    /// [`MqttError`]: two cameras with the same topics, secrets or certificates that cannot be used, no thread. A broker
    /// that cannot be reached is none.
    pub fn new(
        settings: &Mqtt,
        site: &str,
        cameras: &[CameraId],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MqttError> {
        if settings.keep_alive_seconds < 5 {
            return Err(MqttError::KeepAlive);
        }
        let topics = Topics::new(settings, site, cameras)?;
        let mut greeting = vec![Message::retained(topics.availability(), "online")];
        if let Some(prefix) = &settings.home_assistant_prefix {
            greeting.extend(cameras.iter().flat_map(|camera| discovery::messages(prefix, &topics, camera)));
        }
        let plan = Plan {
            will: Some(Message::retained(topics.availability(), "offline")),
            most_waiting: greeting.len() + cameras.len() + MESSAGES_BESIDE_STATES,
            ..plan(settings, site)?
        };
        let name = format!("mqtt {}", settings.name);
        let board = Board::new(cameras, clock.wall(clock.now()));
        let shared =
            Arc::new(Shared::new(name, plan, settings.backoff.clone(), (topics, greeting), board, clock));
        let (finished_sender, finished) = bounded::<()>(0);
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(format!("mqtt-{}", settings.name))
            .spawn(move || {
                let _finished = finished_sender;
                of_thread.run();
            })
            .map_err(MqttError::Thread)?;
        let stats = Arc::clone(&shared.stats);
        Ok(Self { filter: Filter::new(&settings.only), stats, shared, thread: Some(thread), finished })
    }

    /// How it went so far; counts on while the sink lives.
    #[must_use]
    pub fn stats(&self) -> Arc<MqttStats> {
        Arc::clone(&self.stats)
    }

    /// All that is to be published for an event, in this order.
    fn messages(&self, event: &Event) -> Result<Vec<Message>, SinkError> {
        let now = self.shared.clock.wall(self.shared.clock.now());
        let event = event.as_of(now);
        let topics = &self.shared.topics;
        let mut messages = Vec::new();
        if self.filter.passes(&event) {
            let camera = event.kind.camera();
            let expires_in_s = seconds_left(&event, now);
            let json = serde_json::to_vec(&*event).map_err(|error| SinkError::once(self.name(), error))?;
            if json.len() > MAX_EVENT_BYTES {
                let message = format!("event {} is too large: {} bytes", event.id, json.len());
                return Err(SinkError::once(self.name(), message));
            }
            messages.push(Message { expires_in_s, ..Message::confirmed(topics.event(camera), json) });
            if let Some(camera) = camera.filter(|_| event.is_grant()) {
                messages.push(Message { expires_in_s, ..Message::momentary(topics.granted(camera), "ON") });
            }
        }
        let touched = self.shared.board.lock().unwrap_or_else(PoisonError::into_inner).apply(&event);
        messages.extend(touched.iter().map(|state| state_message(topics, state)));
        Ok(messages)
    }

    /// Publishes, and waits until the broker has confirmed everything.
    fn publish(&self, messages: &[Message]) -> Result<(), SinkError> {
        let shared = &self.shared;
        // A connection that is just being made is waited for; one that failed a moment ago is not.
        let connecting = |line: &Line| matches!(line.phase, Phase::Connecting);
        drop(shared.wait_while(shared.lock(), shared.plan.timeout, connecting));
        // One confirmation after the other: a broker that gathers small packets (Nagle's algorithm, which mosquitto
        // leaves on) would hold the second one back for 40 ms.
        for part in messages.chunk_by(|_, next| !next.is_confirmed) {
            self.publish_part(part)?;
        }
        Ok(())
    }

    /// Publishes what the broker confirms at once.
    fn publish_part(&self, part: &[Message]) -> Result<(), SinkError> {
        let shared = &self.shared;
        let timeout = shared.plan.timeout;
        let later = |why: &str| Err(SinkError::later(shared.name.clone(), why, None));
        let mut line = shared.lock();
        let Phase::Up(client) = &line.phase else { return Err(self.not_up(&line)) };
        let client = client.clone();
        line.awaited = part.iter().filter(|message| message.is_confirmed).count();
        line.refusal = None;
        for message in part {
            if let Err(failure) = client.publish(message) {
                line.give_up(failure.message.clone());
                return later(&failure.message);
            }
        }
        let mut line =
            shared.wait_while(line, timeout, |line| line.awaited > 0 && matches!(line.phase, Phase::Up(_)));
        if let Some((why, is_final)) = line.refusal.take() {
            return if is_final { Err(SinkError::once(shared.name.clone(), why)) } else { later(&why) };
        }
        if !matches!(line.phase, Phase::Up(_)) {
            return Err(self.not_up(&line));
        }
        if line.awaited == 0 {
            return Ok(());
        }
        let why = format!("the broker confirmed nothing within {} ms", timeout.as_millis());
        line.give_up(why.clone());
        later(&why)
    }

    /// Why nothing can be handed over.
    fn not_up(&self, line: &Line) -> SinkError {
        let why = match &line.phase {
            Phase::Down(why) => why,
            Phase::Connecting => "the broker takes too long to connect",
            Phase::Up(_) => "the connection was lost",
            Phase::Ended => return SinkError::gone(self.name(), "it is closed"),
        };
        SinkError::later(self.name(), why, None)
    }

    /// Ends the thread, and joins it if it ends within so long.
    fn end_thread(&mut self, within: Duration) {
        self.shared.change(|line| line.is_closing = true);
        let Some(thread) = self.thread.take() else { return };
        if self.finished.recv_timeout(within) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            // It is connecting, which nothing can interrupt; it ends with the attempt.
            tracing::debug!(sink = self.shared.name, "an attempt to connect is left behind");
        } else if thread.join().is_err() {
            tracing::error!(sink = self.shared.name, "the thread of the connection panicked");
        }
    }
}

/// How to connect, with nothing that is published.
fn plan(settings: &Mqtt, site: &str) -> Result<Plan, MqttError> {
    let client_id = settings.client_id.clone();
    Ok(Plan {
        version: settings.version,
        host: settings.host.clone(),
        port: settings.effective_port(),
        client_id: client_id.unwrap_or_else(|| format!("facewarden-{site}-{}", settings.name)),
        login: credentials::login(settings)?,
        tls: settings.tls.as_ref().map(credentials::tls).transpose()?.map(Arc::new),
        keep_alive: Duration::from_secs(settings.keep_alive_seconds.into()),
        will: None,
        timeout: Duration::from_millis(settings.timeout_ms),
        most_waiting: MESSAGES_BESIDE_STATES,
    })
}

/// Whether the broker lets this client in: connects as the sink would, under a name of its own beside that of the daemon,
/// publishes nothing, and leaves.
///
/// # Errors
/// [`MqttError`]: secrets or certificates that cannot be used, or [`MqttError::NotLetIn`] with why and what to do.
pub fn try_broker(settings: &Mqtt, site: &str) -> Result<(), MqttError> {
    let mut plan = plan(settings, site)?;
    plan.client_id.push_str("-doctor");
    let (client, mut connection) = wire::open(&plan);
    line::connect(&plan, &mut connection).map_err(|failure| MqttError::NotLetIn(failure.message))?;
    client.disconnect();
    // So that the good-bye is sent; that the broker hangs up is no failure any more.
    drop(connection.poll(plan.timeout));
    Ok(())
}

/// The retained message with a camera's state.
fn state_message(topics: &Topics, state: &CameraState) -> Message {
    // It is made of texts and times alone, which always have a form in JSON.
    let json = serde_json::to_vec(state).unwrap_or_default();
    Message::retained(topics.state(&state.camera), json)
}

/// How long a grant is good for, in whole seconds and at least one; `None` for everything else.
fn seconds_left(event: &Event, now: crate::clock::WallTime) -> Option<u32> {
    match &event.kind {
        EventKind::Verified { expires_at, .. } if event.is_grant() => {
            let left = expires_at.0.duration_since(now.0).as_secs();
            Some(u32::try_from(left.max(1)).unwrap_or(u32::MAX))
        }
        _ => None,
    }
}

impl Sink for MqttSink {
    fn name(&self) -> String {
        self.shared.name.clone()
    }

    fn wants(&self, event: &Event) -> bool {
        self.filter.passes(event) || Board::concerns(&event.kind)
    }

    fn deliver(&mut self, event: &Event) -> Result<(), SinkError> {
        let messages = self.messages(event)?;
        if messages.is_empty() {
            return Ok(());
        }
        self.publish(&messages)?;
        self.stats.delivered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn close(&mut self, within: Duration) {
        let half = within / 2;
        let shared = &self.shared;
        let mut line = shared.lock();
        if let Phase::Up(client) = &line.phase {
            let client = client.clone();
            line.awaited = 1;
            if shared.plan.will.as_ref().is_some_and(|offline| client.publish(offline).is_ok()) {
                line = shared
                    .wait_while(line, half, |line| line.awaited > 0 && matches!(line.phase, Phase::Up(_)));
            }
            // Without a good-bye the broker publishes the will, which says the same.
            if line.awaited == 0 && matches!(line.phase, Phase::Up(_)) {
                client.disconnect();
                line.is_leaving = true;
            }
        }
        drop(line);
        self.end_thread(half);
    }
}

impl Drop for MqttSink {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end_thread(DROP_WAIT);
        }
    }
}
