//! Looking at many pictures: two at a time, results in order, with a progress bar.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Sender, bounded};
use indicatif::{ProgressBar, ProgressStyle};

use super::engine::{Engine, ModelArgs};
use super::exit::{Exit, Failure};
use super::pictures::{Entry, Seen, look};

/// From so many pictures on a second engine is worth the time that it takes to load.
const TWO_ENGINES_FROM: usize = 16;

/// From so many pictures on there is a progress bar.
const BAR_FROM: usize = 20;

/// One engine, or two for many pictures.
pub(super) struct Crew(Vec<Engine>);

/// The faces of one picture; or why they are not known, in words that name the file.
pub(super) type Look = Result<Vec<Seen>, String>;

impl Crew {
    /// Loads what `count` pictures need.
    pub(super) fn load(args: &ModelArgs, count: usize) -> Result<Self, Failure> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let engines = if count >= TWO_ENGINES_FROM { processors.min(2) } else { 1 };
        Ok(Self((0..engines).map(|_| Engine::load(args)).collect::<Result<_, _>>()?))
    }

    /// The first engine: for the names of the models and what their manifests say.
    pub(super) fn engine(&self) -> Result<&Engine, Failure> {
        self.0.first().ok_or_else(|| Failure::new(Exit::Internal, "no engine was loaded"))
    }

    /// Looks at all of them, and calls `each` in the order of `entries`; stops where it fails. On a terminal there
    /// is a progress bar, with `title`, if there are many.
    pub(super) fn look_at_all(
        &mut self,
        title: &'static str,
        entries: &[Entry],
        mut each: impl FnMut(&Path, Look) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let bar = bar(title, entries.len());
        let next = AtomicUsize::new(0);
        // What arrives early waits in `early`: faces and numbers, not pictures.
        let mut early: BTreeMap<usize, Look> = BTreeMap::new();
        let mut wanted = 0;
        let ended = std::thread::scope(|scope| {
            let (sender, looks) = bounded(2 * self.0.len());
            let workers: Vec<_> = self
                .0
                .iter_mut()
                .map(|engine| {
                    let (next, sender) = (&next, sender.clone());
                    scope.spawn(move || work(engine, entries, next, &sender))
                })
                .collect();
            drop(sender);
            let mut ended = Ok(());
            'looks: for (index, look) in &looks {
                early.insert(index, look);
                while let Some(look) = early.remove(&wanted) {
                    ended = bar.suspend(|| each(path_of(&entries[wanted]), look));
                    if ended.is_err() {
                        break 'looks;
                    }
                    wanted += 1;
                    bar.inc(1);
                }
            }
            // The workers stop when nobody listens.
            drop(looks);
            for worker in workers {
                worker.join().map_err(|_| Failure::new(Exit::Internal, "looking at a picture panicked"))?;
            }
            ended
        });
        bar.finish_and_clear();
        ended
    }
}

fn work(engine: &mut Engine, entries: &[Entry], next: &AtomicUsize, sender: &Sender<(usize, Look)>) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(entry) = entries.get(index) else { return };
        let look = match entry {
            Ok(path) => look(engine, path).map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if sender.send((index, look)).is_err() {
            return;
        }
    }
}

fn path_of(entry: &Entry) -> &Path {
    match entry {
        Ok(path) => path,
        Err(error) => error.path(),
    }
}

/// Hidden where standard error is no terminal.
fn bar(title: &'static str, count: usize) -> ProgressBar {
    if count < BAR_FROM {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
    let bar = ProgressBar::new(count as u64).with_message(title);
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}
