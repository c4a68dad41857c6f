//! What is answered over HTTP: the API, the pages, and how it goes. The server itself is `http`.
//!
//! A handler never does what takes long on the threads that answer, and holds nothing that the daemon waits for when it
//! ends. What needs the main thread is sent there as an errand; pictures that were sent are looked at by a pool of its own.

mod cameras;
mod endpoint;
mod errand;
mod error_rates;
mod events;
mod health;
mod hint;
mod kiosk;
mod liveness;
mod looks;
mod metrics;
mod openapi;
mod orders;
mod pages;
mod persons;
mod pool;
mod preview;
mod routes;
mod session;
mod settings;
mod status;
mod take;
mod tally;
mod upload;
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::broadcast;

use super::desk::Desk;
use super::exit::{Exit, Failure, OrExit};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Event;
use crate::http::{Gate, HttpError, Server, TokenFile, TokenWatch};
use crate::sinks::Backlog;
use crate::sys::thread::{self, Precedence, Thread};
pub(super) use errand::{Errand, Errands};
use health::Readiness;
use liveness::Tests;
use pool::Pool;
use preview::Previews;
use tally::Tally;
use upload::Limits;

/// So many events wait for a reader who is slow; then it misses the oldest, and learns that it did.
const EVENTS: usize = 256;

/// What handlers answer from. Clones share it.
#[derive(Clone)]
struct Web(Arc<Inner>);

/// What there is one of.
struct Inner {
    /// Who may.
    gate: Arc<Gate>,
    /// The time.
    clock: Arc<dyn Clock>,
    /// The main thread.
    errands: Errands,
    /// Whether it is ready, as last told.
    readiness: Readiness,
    /// How many events there were of each kind.
    tally: Arc<Tally>,
    /// Every event, as it is sent.
    events: broadcast::Sender<Arc<Event>>,
    /// The cameras that somebody looks at.
    previews: Previews,
    /// The liveness self-tests that go on.
    tests: Tests,
    /// Looks at pictures that are sent.
    pool: Pool,
    /// What those may be like.
    limits: Limits,
    /// The events that are kept.
    backlog: Arc<dyn Backlog>,
    /// Set when the daemon ends: whoever waits for something gives it up.
    is_ending: Arc<AtomicBool>,
}

impl std::ops::Deref for Web {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The server of a daemon.
pub(super) struct OpenWeb {
    server: Server,
    web: Web,
    workers: Vec<Thread<()>>,
}

impl OpenWeb {
    /// Listens, if the settings say so.
    ///
    /// # Errors
    /// If it cannot, with the exit code for it; also where other machines could connect and there is no token.
    pub(super) fn open(
        config: &Config,
        desk: &Desk,
        backlog: Option<Arc<dyn Backlog>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, Failure> {
        let settings = &config.http;
        let (Some(address), Some(backlog)) = (settings.address(), backlog) else { return Ok(None) };
        let tokens =
            TokenWatch::open(TokenFile::at(&settings.tokens), Arc::clone(clock)).or_exit(Exit::Config)?;
        if tokens.is_empty() {
            let how = format!(
                "there are no tokens in {}: make one with `facewarden token create`",
                settings.tokens.display()
            );
            if !address.ip().is_loopback() {
                let message = format!("HTTP at {address} is open to other machines, and {how}");
                return Err(Failure::new(Exit::Config, message));
            }
            tracing::warn!("nobody can use the API or the pages yet: {how}");
        }
        let gate = Arc::new(Gate::new(settings, tokens, Arc::clone(clock)));
        let (pool, workers) = Pool::start(config, clock).or_exit(Exit::Internal)?;
        let is_ending = Arc::<AtomicBool>::default();
        let previews = Previews::new(Arc::clone(&is_ending), Arc::clone(clock));
        let web = Web(Arc::new(Inner {
            gate: Arc::clone(&gate),
            clock: Arc::clone(clock),
            errands: desk.errands(),
            readiness: Readiness::default(),
            tests: Tests::default(),
            tally: Arc::default(),
            events: broadcast::channel(EVENTS).0,
            pool,
            limits: Limits::of(&settings.verify),
            backlog,
            is_ending,
            previews,
        }));
        let router = routes::router(&web);
        let server =
            Server::open(settings, router, Arc::clone(&gate.stats), after_cameras).map_err(failure)?;
        Ok(Some(Self { server, web, workers }))
    }

    /// Tells those who look on of an event. Never waits.
    pub(super) fn teller(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let (events, tally) = (self.web.events.clone(), Arc::clone(&self.web.tally));
        move |event| {
            tally.note(event);
            if events.receiver_count() > 0 {
                // Whoever looked on may just have gone.
                let _or_gone = events.send(Arc::new(event.clone()));
            }
        }
    }

    /// Lets answers that have begun end, and hangs up. False if something was still being answered after that time.
    #[must_use]
    pub(super) fn close(self, within: Duration) -> bool {
        let Self { server, web, workers } = self;
        web.is_ending.store(true, Ordering::Release);
        let previews = web.previews.clone();
        let in_time = server.close(within);
        previews.join_all();
        // With the last of those who could ask, the workers' queue ends.
        drop(web);
        let ended =
            workers.into_iter().map(|worker| worker.join_within(within / 4).is_ok()).collect::<Vec<_>>();
        in_time && ended.into_iter().all(|ended| ended)
    }
}

/// Whoever asks waits for the cameras, never the other way round.
fn after_cameras() {
    if let Err(error) = thread::step_back(Precedence::Low) {
        tracing::warn!("HTTP is answered with the same priority as cameras: {error}");
    }
}

/// The exit code of a server that cannot be opened.
fn failure(error: HttpError) -> Failure {
    let exit = match &error {
        HttpError::NoAddress | HttpError::Tls(_) => Exit::Config,
        HttpError::Listen { source, .. } => match source.kind() {
            std::io::ErrorKind::AddrInUse => Exit::Busy,
            std::io::ErrorKind::PermissionDenied => Exit::Permission,
            _ => Exit::Unavailable,
        },
        HttpError::Threads(_) => Exit::Internal,
    };
    Failure { exit, error: error.into() }
}
