//! What only the main thread can do or tell: sent there, done between two of its glances, and answered at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::cmds::desk::{Desk, House, millis};
use crate::http::Problem;

/// The main thread looks up every 100 ms; reading models again takes it a few seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A main thread that did not look up for so long hangs.
const ALIVE_WITHIN_MS: u64 = 30_000;

/// Something to be done on the main thread. It must not wait for anything.
pub(crate) type Errand = Box<dyn FnOnce(&mut Desk, &mut dyn House) + Send>;

/// The way to the main thread.
#[derive(Clone)]
pub(crate) struct Errands {
    errands: Sender<Errand>,
    knock: Arc<dyn Fn() + Send + Sync>,
    /// When the main thread last looked up, milliseconds of the clock.
    looked_up: Arc<AtomicU64>,
}

impl Errands {
    pub(crate) fn new(
        errands: Sender<Errand>,
        knock: Arc<dyn Fn() + Send + Sync>,
        looked_up: Arc<AtomicU64>,
    ) -> Self {
        Self { errands, knock, looked_up }
    }

    /// Has something done on the main thread, and gives back what came of it.
    ///
    /// # Errors
    /// 503 if too much waits there already, or it does not answer in time.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        errand: impl FnOnce(&mut Desk, &mut dyn House) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer, answered) = oneshot::channel();
        let errand: Errand = Box::new(move |desk, house| {
            // Whoever asked may have gone.
            let _or_gone = answer.send(errand(desk, house));
        });
        self.errands
            .try_send(errand)
            .map_err(|_full| Problem::busy("the daemon has too much to do: try again"))?;
        (self.knock)();
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => {
                Err(Problem::unavailable("no_answer", "the daemon did not answer in time, or is ending"))
            }
        }
    }

    /// Whether the main thread still looks up.
    pub(crate) fn is_alive(&self, clock: &dyn Clock) -> bool {
        millis(clock.now()).saturating_sub(self.looked_up.load(Ordering::Relaxed)) < ALIVE_WITHIN_MS
    }
}
