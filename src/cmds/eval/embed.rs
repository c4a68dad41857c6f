//! The embeddings of many pictures, on all cores.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};

use super::super::engine::{Engine, LookError, ModelArgs, decode_photo, read_photo_file};
use super::super::exit::{Exit, Failure, OrExit};
use super::cache::{Cache, FileHash, Known};
use super::recipe::{Recipe, embed};
use crate::clock::{Clock, Moment, SystemClock};
use crate::domain::Embedding;
use crate::sys::signals::{Shutdown, watch};

/// New embeddings are written down so often.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// What is asked for beside the pictures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    /// Where embeddings are kept; nowhere if `None`.
    pub(crate) cache: Option<&'a Path>,
    /// A file that cannot be read counts as one without a face, instead of ending it all.
    pub(crate) skip_unreadable: bool,
}

/// What came of all pictures.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// In the order of the files; `None` if no face was found or the file was skipped.
    pub(crate) faces: Vec<Option<Embedding>>,
    /// Files that were skipped, as words that name them.
    pub(crate) unreadable: Vec<String>,
    /// How many pictures were looked at, and not taken from the cache.
    pub(crate) fresh: usize,
    /// What each of those took one thread to decode, detect and embed, milliseconds; 0 if there were none.
    pub(crate) ms_each: f64,
}

/// What came of one picture.
enum Look {
    Known(Option<Embedding>),
    Fresh(FileHash, Option<Embedding>, Duration),
    Unreadable(String),
}

/// What the workers share.
struct Work<'a> {
    models: &'a ModelArgs,
    recipe: &'a Recipe,
    cache: Option<&'a Cache>,
    skip_unreadable: bool,
    files: &'a [PathBuf],
    next: &'a AtomicUsize,
    clock: &'a SystemClock,
}

/// The embedding of the main face of each file. Ctrl-C ends it; what was embedded by then is in the cache.
///
/// # Errors
/// If a model cannot be loaded or fails, a file cannot be read (unless they are to be skipped), the cache cannot be
/// written, or the user wants to stop.
pub(crate) fn embed_all(
    models: &ModelArgs,
    files: &[PathBuf],
    options: Options<'_>,
) -> Result<Embedded, Failure> {
    let recipe = Recipe::of(models)?;
    let cache = options.cache.map(|folder| Cache::open(folder, &recipe)).transpose()?;
    let (shutdown, clock) = (Shutdown::new(), SystemClock::new());
    let _signals = watch(shutdown.clone()).or_exit(Exit::Internal)?;
    let next = AtomicUsize::new(0);
    let mut results = Results {
        embedded: Embedded { faces: vec![None; files.len()], unreadable: Vec::new(), fresh: 0, ms_each: 0.0 },
        busy: Duration::ZERO,
        cache: cache.as_ref(),
        new: Known::new(),
        saved: 0,
        saved_at: clock.now(),
    };
    let bar = bar(files.len());
    let ended = std::thread::scope(|scope| {
        let count = threads().min(files.len().max(1));
        let (sender, looks) = bounded(4 * count);
        let workers: Vec<_> = (0..count)
            .map(|_| {
                let work = Work {
                    models,
                    recipe: &recipe,
                    cache: cache.as_ref(),
                    skip_unreadable: options.skip_unreadable,
                    files,
                    next: &next,
                    clock: &clock,
                };
                let sender = sender.clone();
                scope.spawn(move || work.run(&sender))
            })
            .collect();
        drop(sender);
        let mut ended = Ok(());
        for look in &looks {
            ended = look.and_then(|(at, look)| results.take(at, look, &clock));
            if ended.is_ok() && shutdown.is_requested() {
                let message = match options.cache {
                    Some(_) => "interrupted; what was embedded so far is in the cache",
                    None => "interrupted",
                };
                ended = Err(Failure::new(Exit::CannotTell, message));
            }
            if ended.is_err() {
                break;
            }
            bar.inc(1);
        }
        // The workers stop when nobody listens.
        drop(looks);
        for worker in workers {
            worker.join().map_err(|_| Failure::new(Exit::Internal, "looking at a picture panicked"))?;
        }
        ended
    });
    bar.finish_and_clear();
    // Also when it failed: nothing that was embedded is lost. The first error is the one to tell.
    let saved = results.save(&clock);
    ended.and(saved)?;
    let mut embedded = results.embedded;
    if let Ok(fresh @ 1..) = u32::try_from(embedded.fresh) {
        embedded.ms_each = results.busy.as_secs_f64() * 1000.0 / f64::from(fresh);
    }
    Ok(embedded)
}

struct Results<'a> {
    embedded: Embedded,
    busy: Duration,
    cache: Option<&'a Cache>,
    /// What the cache does not have.
    new: Known,
    /// How much of that was written.
    saved: usize,
    saved_at: Moment,
}

impl Results<'_> {
    fn take(&mut self, at: usize, look: Look, clock: &SystemClock) -> Result<(), Failure> {
        match look {
            Look::Known(face) => self.embedded.faces[at] = face,
            Look::Unreadable(problem) => self.embedded.unreadable.push(problem),
            Look::Fresh(file, face, took) => {
                self.embedded.fresh += 1;
                self.busy += took;
                if self.cache.is_some() {
                    self.new.insert(file, face.as_ref().map(|face| face.values().to_vec()));
                }
                self.embedded.faces[at] = face;
            }
        }
        if clock.now().since(self.saved_at) >= SAVE_EVERY { self.save(clock) } else { Ok(()) }
    }

    fn save(&mut self, clock: &SystemClock) -> Result<(), Failure> {
        self.saved_at = clock.now();
        match self.cache {
            Some(cache) if self.new.len() > self.saved => {
                self.saved = self.new.len();
                cache.save(&self.new)
            }
            _ => Ok(()),
        }
    }
}

impl Work<'_> {
    fn run(&self, sender: &Sender<Result<(usize, Look), Failure>>) {
        let mut engine = None;
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = self.files.get(at) else { return };
            let look = match self.look(&mut engine, path) {
                Ok(look) => Ok((at, look)),
                Err(failure) => Err(failure),
            };
            let is_end = look.is_err();
            if sender.send(look).is_err() || is_end {
                return;
            }
        }
    }

    fn look(&self, engine: &mut Option<Engine>, path: &Path) -> Result<Look, Failure> {
        let bytes = match read_photo_file(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(error),
        };
        let file: FileHash = Sha256::digest(&bytes).into();
        if let Some(known) = self.cache.and_then(|cache| cache.get(&file)) {
            let face = known.map(|values| Embedding::new(self.recipe.model, values.to_vec())).transpose();
            return Ok(Look::Known(face.or_exit(Exit::Data)?));
        }
        // A run that finds everything in the cache needs no model.
        let engine = match engine {
            Some(engine) => engine,
            None => engine.insert(Engine::load(self.models)?),
        };
        let started = self.clock.now();
        let picture = match decode_photo(path, &bytes) {
            Ok(picture) => picture,
            Err(error) => return self.unreadable(error),
        };
        let face = embed(engine, path, &picture).or_exit(Exit::Internal)?;
        Ok(Look::Fresh(file, face, self.clock.now().since(started)))
    }

    fn unreadable(&self, error: LookError) -> Result<Look, Failure> {
        if self.skip_unreadable {
            Ok(Look::Unreadable(error.to_string()))
        } else {
            Err(error).or_exit(Exit::NoInput)
        }
    }
}

/// How many threads work.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Hidden where standard error is no terminal.
fn bar(count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
    let bar = ProgressBar::new(count as u64).with_message("Looking at pictures");
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}
