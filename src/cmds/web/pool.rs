//! Where pictures that were sent are looked at: threads and models of their own, which get just the time that nobody else
//! wants, so that cameras never wait for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use crate::clock::{Clock, Moment};
use crate::cmds::engine::{Engine, ModelArgs};
use crate::cmds::exit::Exit;
use crate::config::{Config, HttpVerify, Role};
use crate::http::Problem;
use crate::inference::ModelFolders;
use crate::pipeline::{Gauge, Latency};
use crate::sys::thread::{self, Precedence, Thread};

/// Each worker keeps so many pairs of models loaded.
const LOADED: usize = 2;

/// Which models are to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Models {
    pub(super) detector: String,
    pub(super) embedder: String,
}

type Does = Box<dyn FnOnce(Result<&mut Engine, Problem>) + Send>;

struct Job {
    models: Models,
    asked_at: Moment,
    does: Does,
}

/// What the pool counts.
#[derive(Debug, Default)]
pub(crate) struct PoolStats {
    /// Jobs that were done, or failed.
    pub(crate) done: AtomicU64,
    /// Jobs refused because too many waited.
    pub(crate) refused: AtomicU64,
    /// Jobs that nobody waited for any more when their turn came.
    pub(crate) stale: AtomicU64,
    /// Most jobs that ever waited at once.
    pub(crate) most_waiting: Gauge,
    /// From the request to the end of the work on it.
    pub(crate) took: Latency,
}

/// The pool. Dropping it waits for what is being worked on.
pub(super) struct Pool {
    jobs: Sender<Job>,
    folders: ModelFolders,
    usual: Models,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    pub(super) stats: Arc<PoolStats>,
}

impl Pool {
    /// Starts the workers; models are loaded when they are first asked for. The threads end when the pool is dropped.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub(super) fn start(config: &Config, clock: &Arc<dyn Clock>) -> std::io::Result<(Self, Vec<Thread<()>>)> {
        let HttpVerify { workers, queue, timeout_ms, .. } = config.http.verify;
        let (jobs, waiting) = bounded(usize::try_from(queue).unwrap_or(usize::MAX));
        let (stats, timeout) = (Arc::<PoolStats>::default(), Duration::from_millis(timeout_ms));
        let threads = (0..workers)
            .map(|_| {
                let worker = Worker {
                    waiting: waiting.clone(),
                    folder: config.models.folder.clone(),
                    library: config.models.runtime_library.clone(),
                    loaded: Vec::new(),
                    timeout,
                    clock: Arc::clone(clock),
                    stats: Arc::clone(&stats),
                };
                thread::spawn("http-verify", move || worker.work())
            })
            .collect::<std::io::Result<_>>()?;
        let usual =
            Models { detector: config.models.detector.clone(), embedder: config.models.embedder.clone() };
        let folders = ModelFolders::or_usual(config.models.folder.clone());
        Ok((Self { jobs, folders, usual, timeout, clock: Arc::clone(clock), stats }, threads))
    }

    /// The models of the settings.
    pub(super) fn usual(&self) -> Models {
        self.usual.clone()
    }

    /// The models of these names, or the usual ones.
    ///
    /// # Errors
    /// 400 if there is no such model; a name is only ever compared with those that there are.
    pub(super) fn models(
        &self,
        detector: Option<String>,
        embedder: Option<String>,
    ) -> Result<Models, Problem> {
        let detector = self.checked("detector_backend", detector, &self.usual.detector, |role| {
            matches!(role, Role::Detector(_))
        })?;
        let embedder = self.checked("model_name", embedder, &self.usual.embedder, |role| {
            matches!(role, Role::Embedder(_))
        })?;
        Ok(Models { detector, embedder })
    }

    fn checked(
        &self,
        field: &str,
        asked: Option<String>,
        usual: &str,
        fits: impl Fn(&Role) -> bool,
    ) -> Result<String, Problem> {
        let Some(asked) = asked.filter(|asked| asked != usual) else { return Ok(usual.to_owned()) };
        let names: Vec<String> = self
            .folders
            .names()
            .into_iter()
            .filter(|name| self.folders.manifest(name).is_ok_and(|(_, manifest)| fits(&manifest.role)))
            .collect();
        if names.contains(&asked) {
            return Ok(asked);
        }
        let message =
            format!("`{field}`: there is no `{}` here, only: {}", asked.escape_debug(), names.join(", "));
        Err(Problem::bad("no_such_model", message).with("there_are", names))
    }

    /// Has something done with these models, and gives back what came of it.
    ///
    /// # Errors
    /// 503 if too many wait or it takes too long, else what `does` gives.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        models: Models,
        does: impl FnOnce(&mut Engine) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer, answered) = oneshot::channel();
        let does = Box::new(move |engine: Result<&mut Engine, Problem>| {
            // Whoever asked may have gone; then there is nothing to do either.
            if !answer.is_closed() {
                let _or_gone = answer.send(engine.and_then(does));
            }
        });
        self.jobs.try_send(Job { models, asked_at: self.clock.now(), does }).map_err(
            |error| match error {
                TrySendError::Full(_) => {
                    self.stats.refused.fetch_add(1, Ordering::Relaxed);
                    Problem::busy("too many pictures wait to be looked at: try again")
                }
                TrySendError::Disconnected(_) => Problem::unavailable("ending", "the daemon is ending"),
            },
        )?;
        self.stats.most_waiting.note(self.jobs.len());
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_dropped)) => Err(Problem::internal("a picture was not looked at to its end")),
            Err(_elapsed) => Err(Problem::busy("this took too long: try again")),
        }
    }
}

struct Worker {
    waiting: Receiver<Job>,
    folder: Option<PathBuf>,
    library: Option<PathBuf>,
    /// The one used last stands last.
    loaded: Vec<(Models, Engine)>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    stats: Arc<PoolStats>,
}

impl Worker {
    fn work(mut self) {
        if let Err(error) = thread::step_back(Precedence::Idle) {
            tracing::warn!("pictures that are sent are looked at with the same priority as cameras: {error}");
        }
        while let Ok(Job { models, asked_at, does }) = self.waiting.recv() {
            if self.clock.now().since(asked_at) >= self.timeout {
                self.stats.stale.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let mut engine = self.take(&models);
            let done = catch_unwind(AssertUnwindSafe(|| match &mut engine {
                Ok(engine) => does(Ok(engine)),
                Err(problem) => does(Err(problem.clone())),
            }));
            match (done, engine) {
                (Ok(()), Ok(engine)) => self.loaded.push((models, engine)),
                // A model that was interrupted is not used again.
                (Err(_), _) => {
                    tracing::error!("looking at a picture panicked: this is a defect of the program")
                }
                (Ok(()), Err(_)) => (),
            }
            self.stats.done.fetch_add(1, Ordering::Relaxed);
            self.stats.took.record(self.clock.now().since(asked_at));
        }
    }

    /// The engine with these models; loads them where they are not loaded yet.
    fn take(&mut self, models: &Models) -> Result<Engine, Problem> {
        if let Some(at) = self.loaded.iter().position(|(loaded, _)| loaded == models) {
            return Ok(self.loaded.remove(at).1);
        }
        if self.loaded.len() >= LOADED {
            self.loaded.remove(0);
        }
        let args = ModelArgs {
            detector: models.detector.clone(),
            model: models.embedder.clone(),
            models_dir: self.folder.clone(),
            detect_side: None,
            runtime_library: self.library.clone(),
        };
        Engine::load(&args).map_err(|failure| match failure.exit {
            Exit::Config | Exit::Data | Exit::Unavailable => {
                tracing::error!("models for pictures that are sent cannot be loaded: {failure}");
                Problem::unavailable("no_models", "the models cannot be loaded; the daemon's log says why")
            }
            _ => Problem::internal(failure),
        })
    }
}
