//! A model that fails: said once, not once a frame.

use super::announce::Announcer;
use super::stats::Counter;
use crate::domain::EventKind;

/// From so many failures in a row on it is not one bad picture but the model.
const FAILURES_IN_A_ROW: u32 = 5;

/// How it goes with one model.
pub(super) struct Trouble {
    /// For people: "finding faces".
    doing: &'static str,
    /// For people: "nobody is seen".
    consequence: &'static str,
    announcer: Announcer,
    failures_in_a_row: u32,
}

impl Trouble {
    pub(super) fn new(doing: &'static str, consequence: &'static str, announcer: Announcer) -> Self {
        Self { doing, consequence, announcer, failures_in_a_row: 0 }
    }

    /// It failed: counted, logged once a series, and told to others when it keeps failing.
    pub(super) fn failed(&mut self, failures: &Counter, message: &str) {
        failures.add_one();
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        if self.failures_in_a_row == 1 {
            tracing::error!("{} failed: {message}", self.doing);
        }
        if self.failures_in_a_row == FAILURES_IN_A_ROW {
            let message = format!("{} keeps failing, so {}: {message}", self.doing, self.consequence);
            self.announcer.announce(EventKind::Degraded { message });
        }
    }

    /// It gave an answer.
    pub(super) fn works(&mut self) {
        if std::mem::take(&mut self.failures_in_a_row) >= FAILURES_IN_A_ROW {
            tracing::info!("{} works again", self.doing);
        }
    }
}
