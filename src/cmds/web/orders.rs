//! Orders to the daemon that `facewarden ctl` gives too: to pause, to take a picture, to enrol somebody at a camera.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use tokio::sync::mpsc;

use super::Web;
use crate::control::{Answer, Gone, InvalidRequest, Refusal, Reply, Request, Talk, Work};
use crate::http::{Caller, Problem};

impl Web {
    /// Gives an order, and does what comes of it, if it takes longer, on a thread for such things. Given up where nobody
    /// waits for the answer any more.
    ///
    /// # Errors
    /// Why it was not done.
    pub(super) async fn order(&self, request: Request, caller: &Caller) -> Result<Answer, Problem> {
        match self.begin(request, caller).await? {
            Reply::Answer(answer) => refused(answer),
            Reply::Work(work) => self.work(work, None).await,
        }
    }

    /// Gives an order; the answer, or what is left to do.
    ///
    /// # Errors
    /// If it is no order, or the main thread has too much to do.
    pub(super) async fn begin(&self, request: Request, caller: &Caller) -> Result<Reply, Problem> {
        request.check().map_err(|error| match error {
            InvalidRequest::Form(why) => Problem::unusable("cannot_be", why),
            other => Problem::bad("bad_request", other),
        })?;
        let by = caller.as_doer();
        self.errands
            .ask(move |desk, house| {
                let reply = desk.reply(&request, &by, house);
                if request.is_for_operators() {
                    tracing::info!("{by} asked for `{}` over HTTP", request.name());
                }
                reply
            })
            .await
    }

    /// Does what is left to do; `progress` is told how it goes.
    ///
    /// # Errors
    /// Why it was not done.
    pub(super) async fn work(
        &self,
        work: Work,
        progress: Option<mpsc::Sender<Answer>>,
    ) -> Result<Answer, Problem> {
        let waiting = Waiting::default();
        let (is_gone, is_ending) = (Arc::clone(&waiting.0), Arc::clone(&self.is_ending));
        let mut line = Line { progress, is_gone, is_ending };
        let answer = tokio::task::spawn_blocking(move || work(&mut line)).await;
        drop(waiting);
        refused(answer.map_err(Problem::internal)?)
    }

    /// Does something that waits for a disk, on a thread for such things.
    ///
    /// # Errors
    /// What it gives, or 500 if it panics.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        does: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        tokio::task::spawn_blocking(does).await.map_err(Problem::internal)?
    }
}

/// Somebody waits for an answer, until this is dropped.
#[derive(Default)]
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

struct Line {
    progress: Option<mpsc::Sender<Answer>>,
    is_gone: Arc<AtomicBool>,
    is_ending: Arc<AtomicBool>,
}

impl Talk for Line {
    fn say(&mut self, answer: &Answer) -> Result<(), Gone> {
        if let Some(progress) = &self.progress {
            // Who is slow to read misses a word of how it goes, and not what came of it.
            let _or_slow = progress.try_send(answer.clone());
        }
        if self.is_gone() { Err(Gone) } else { Ok(()) }
    }

    fn is_gone(&mut self) -> bool {
        self.is_ending.load(Ordering::Acquire)
            || self.is_gone.load(Ordering::Acquire)
            || self.progress.as_ref().is_some_and(mpsc::Sender::is_closed)
    }
}

/// A refusal as an error, anything else as it is.
pub(super) fn refused(answer: Answer) -> Result<Answer, Problem> {
    let Answer::Refused { reason, message } = answer else { return Ok(answer) };
    Err(refusal(reason, message))
}

/// A refusal as a problem.
pub(super) fn refusal(reason: Refusal, message: String) -> Problem {
    match reason {
        Refusal::NotAllowed => Problem::forbidden("not_allowed", message),
        Refusal::NoRequest => Problem::bad("bad_request", message),
        Refusal::Busy => Problem::busy(message),
        Refusal::Paused => Problem::conflict("paused", message),
        Refusal::InUse => Problem::conflict("in_use", message),
        Refusal::NoCamera => Problem::missing("no_such_camera", message),
        Refusal::Unavailable => Problem::unavailable("unavailable", message),
        Refusal::Config => Problem::unavailable("config", message),
        Refusal::Conflict => Problem::conflict("conflict", message),
        Refusal::CannotTell => Problem::unusable("cannot_tell", message),
        Refusal::CannotWrite => Problem::new(StatusCode::INSUFFICIENT_STORAGE, "cannot_write", message),
        Refusal::Data | Refusal::Internal => Problem::internal(message),
    }
}
