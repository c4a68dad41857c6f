//! The thread that holds the connection, and what it shares with the sink.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::board::Board;
use super::failure::{Failure, FailureKind};
use super::message::Message;
use super::wire::{self, Client, Connection, Happening, Plan};
use super::{MqttStats, state_message};
use crate::clock::Clock;
use crate::config::Backoff;
use crate::sinks::pause::Pause;

/// The thread looks so often whether it is to end or to begin anew.
const LOOK_AROUND: Duration = Duration::from_millis(250);
/// A connection that held for so long makes the next pause a short one again.
const HELD: Duration = Duration::from_secs(10);

/// What the sink and its thread share.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) plan: Plan,
    pub(super) backoff: Backoff,
    pub(super) topics: super::topics::Topics,
    /// What is published after each connecting, before the states: `online` and the devices.
    pub(super) greeting: Vec<Message>,
    pub(super) board: Mutex<Board>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stats: Arc<MqttStats>,
    line: Mutex<Line>,
    changed: Condvar,
}

/// How it goes with the connection.
pub(super) enum Phase {
    /// It is being made, for the first time or again.
    Connecting,
    /// Messages can be handed over.
    Up(Client),
    /// It is not there, and why.
    Down(String),
    /// The thread has ended.
    Ended,
}

/// What is under way.
pub(super) struct Line {
    pub(super) phase: Phase,
    /// Messages of the present delivery that the broker has not confirmed yet.
    pub(super) awaited: usize,
    /// The broker does not take one of them: why, and whether it never would.
    pub(super) refusal: Option<(String, bool)>,
    /// The connection cannot be relied on: make another one.
    pub(super) must_reset: bool,
    /// The good-bye was handed over, and ends the connection once it is sent.
    pub(super) is_leaving: bool,
    pub(super) is_closing: bool,
}

impl Line {
    /// Has the thread make another connection: the present one cannot be relied on.
    pub(super) fn give_up(&mut self, why: String) {
        if matches!(self.phase, Phase::Up(_)) {
            self.phase = Phase::Down(why);
            self.must_reset = true;
        }
    }
}

/// The connection ended because the sink is closed.
struct Closing;

impl Shared {
    pub(super) fn new(
        name: String,
        plan: Plan,
        backoff: Backoff,
        (topics, greeting): (super::topics::Topics, Vec<Message>),
        board: Board,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            name,
            plan,
            backoff,
            topics,
            greeting,
            board: Mutex::new(board),
            clock,
            stats: Arc::default(),
            line: Mutex::new(Line {
                phase: Phase::Connecting,
                awaited: 0,
                refusal: None,
                must_reset: false,
                is_leaving: false,
                is_closing: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for at most `within`, and no longer than `goes_on` holds.
    pub(super) fn wait_while<'a>(
        &self,
        line: MutexGuard<'a, Line>,
        within: Duration,
        goes_on: impl Fn(&Line) -> bool,
    ) -> MutexGuard<'a, Line> {
        let waited = self.changed.wait_timeout_while(line, within, |line| goes_on(line));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Changes something and tells whoever waits.
    pub(super) fn change(&self, change: impl FnOnce(&mut Line)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// What the thread does until the sink is closed.
    pub(super) fn run(&self) {
        let mut pause = Pause::new(&self.backoff);
        let mut said = HashSet::new();
        loop {
            let mut held = Duration::ZERO;
            // The library has states that it takes for impossible; they must not end deliveries for good.
            let ended = catch_unwind(AssertUnwindSafe(|| self.hold_connection(&mut held, &mut said)))
                .unwrap_or_else(|_| Err(Failure::new(FailureKind::Protocol, "the MQTT library failed")));
            let failure = match ended {
                Ok(Closing) => break,
                Err(failure) => failure,
            };
            if held >= HELD {
                pause.reset();
            }
            self.stats.failed_attempts.fetch_add(1, Ordering::Relaxed);
            if said.insert(failure.kind) {
                self.stats.warnings.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    sink = self.name,
                    "{}; it is tried again, at last every {} s",
                    failure.message,
                    self.backoff.max_ms.div_ceil(1000)
                );
            }
            let mut line = self.lock();
            if failure.kind == FailureKind::TooLarge && line.awaited > 0 {
                line.refusal = Some((failure.message.clone(), true));
            }
            line.phase = Phase::Down(failure.message);
            line.must_reset = false;
            self.changed.notify_all();
            let line = self.wait_while(line, pause.take(), |line| !line.is_closing);
            if line.is_closing {
                break;
            }
        }
        self.change(|line| line.phase = Phase::Ended);
    }

    /// Connects, greets, and works until the connection ends.
    fn hold_connection(
        &self,
        held: &mut Duration,
        said: &mut HashSet<FailureKind>,
    ) -> Result<Closing, Failure> {
        let (client, mut connection) = wire::open(&self.plan);
        connect(&self.plan, &mut connection)?;
        if let Some(closing) = self.greet(&client, &mut connection)? {
            return Ok(closing);
        }
        if !said.is_empty() {
            tracing::info!(sink = self.name, "the broker has this client again");
            said.clear();
        }
        self.stats.connections.fetch_add(1, Ordering::Relaxed);
        let since = self.clock.now();
        self.change(|line| {
            line.awaited = 0;
            line.refusal = None;
            line.phase = Phase::Up(client);
        });
        let ended = self.work(&mut connection);
        *held = self.clock.now().since(since);
        ended
    }

    /// Publishes what is kept for those who come later, and waits until the broker has it.
    fn greet(&self, client: &Client, connection: &mut Connection) -> Result<Option<Closing>, Failure> {
        let states = {
            let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
            board.states().iter().map(|state| state_message(&self.topics, state)).collect::<Vec<_>>()
        };
        let mut awaited = 0_usize;
        for message in self.greeting.iter().chain(&states) {
            client.publish(message)?;
            awaited += 1;
        }
        let deadline = self.clock.now() + self.plan.timeout;
        while awaited > 0 {
            if self.lock().is_closing {
                return Ok(Some(Closing));
            }
            if self.clock.now() >= deadline {
                return Err(Failure::new(FailureKind::Lost, "the broker does not confirm what is published"));
            }
            match connection.poll(LOOK_AROUND)? {
                Some(Happening::Confirmed) => awaited -= 1,
                Some(Happening::Refused { reason, .. }) => {
                    awaited -= 1;
                    if !self.stats.is_restricted.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            sink = self.name,
                            "the broker does not take all of availability, states and devices ({reason}): allow this \
                             client to write below `topic_prefix` and `home_assistant_prefix`"
                        );
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Keeps the connection alive and counts what the broker confirms.
    fn work(&self, connection: &mut Connection) -> Result<Closing, Failure> {
        loop {
            match connection.poll(LOOK_AROUND)? {
                Some(Happening::Confirmed) => {
                    self.change(|line| line.awaited = line.awaited.saturating_sub(1));
                }
                Some(Happening::Refused { reason, is_final }) => self.change(|line| {
                    line.awaited = line.awaited.saturating_sub(1);
                    line.refusal = Some((format!("the broker does not take it ({reason})"), is_final));
                }),
                Some(Happening::Disconnected) => return Ok(Closing),
                Some(Happening::Connected | Happening::Other) | None => {}
            }
            let line = self.lock();
            if line.is_closing && !line.is_leaving {
                return Ok(Closing);
            }
            if line.must_reset {
                let message =
                    format!("the broker confirmed nothing within {} ms", self.plan.timeout.as_millis());
                return Err(Failure::new(FailureKind::Lost, message));
            }
        }
    }
}

/// Waits until the broker has let this client in.
pub(super) fn connect(plan: &Plan, connection: &mut Connection) -> Result<(), Failure> {
    match connection.poll(plan.timeout)? {
        Some(Happening::Connected) => Ok(()),
        Some(_) => Err(Failure::new(FailureKind::Protocol, "the broker said something else than hello")),
        None => Err(Failure::new(
            FailureKind::Unreachable,
            format!("no connection came about within {} ms: is that a broker?", plan.timeout.as_millis()),
        )),
    }
}
