//! One model for several who need it: each asks in turn, in the order in which they came.
//!
//! So the cameras of a daemon share one budget: whatever their number, one detector and one embedder are at work, and
//! a camera that is busy delays another one by a single picture. (A mutex alone would let the busiest have the model
//! again and again.)

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use image::RgbImage;

use super::{Detector, Embedder, InferenceError, LivenessModel};
use crate::domain::{Detection, Embedding, LiveScore, ModelDigest};

/// A model that is shared. Clones share it.
pub struct Turns<T>(Arc<Shared<T>>);

struct Shared<T> {
    model: Mutex<T>,
    line: Mutex<Line>,
    moved: Condvar,
}

/// Who is served, and who comes last.
#[derive(Default)]
struct Line {
    serving: u64,
    next: u64,
}

impl<T> Clone for Turns<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Turns<T> {
    /// Shares `model`.
    pub fn new(model: T) -> Self {
        Self(Arc::new(Shared { model: Mutex::new(model), line: Mutex::default(), moved: Condvar::new() }))
    }

    fn with<R>(&self, ask: impl FnOnce(&mut T) -> R) -> R {
        let mut line = self.0.line();
        let turn = line.next;
        line.next += 1;
        let not_yet = |line: &mut Line| line.serving != turn;
        drop(self.0.moved.wait_while(line, not_yet).unwrap_or_else(PoisonError::into_inner));
        let _turn = Turn(&self.0);
        // A panic while a model was asked has changed nothing in it: the runtime keeps what matters.
        ask(&mut self.0.model.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Shared<T> {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next one go when it is over, also by a panic.
struct Turn<'a, T>(&'a Shared<T>);

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.0.line().serving += 1;
        self.0.moved.notify_all();
    }
}

impl<T: Detector> Detector for Turns<T> {
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, InferenceError> {
        self.with(|model| model.detect(picture))
    }
}

impl<T: Embedder> Embedder for Turns<T> {
    fn embed(&mut self, picture: &RgbImage, detection: &Detection) -> Result<Embedding, InferenceError> {
        self.with(|model| model.embed(picture, detection))
    }

    fn digest(&self) -> ModelDigest {
        self.with(|model| model.digest())
    }
}

impl<T: LivenessModel> LivenessModel for Turns<T> {
    fn judge(&mut self, picture: &RgbImage, detection: &Detection) -> Result<LiveScore, InferenceError> {
        self.with(|model| model.judge(picture, detection))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn whoever_came_first_is_served_first() {
        let turns = Turns::new(Vec::new());
        let (go, wait) = bounded::<()>(0);
        std::thread::scope(|scope| {
            let first = turns.clone();
            scope.spawn(move || first.with(|_| wait.recv().unwrap()));
            while turns.0.line().next < 1 {
                std::thread::yield_now();
            }
            for number in 0..4 {
                let one = turns.clone();
                scope.spawn(move || one.with(|served: &mut Vec<u64>| served.push(number)));
                while turns.0.line().next < number + 2 {
                    std::thread::yield_now();
                }
            }
            go.send(()).unwrap();
        });
        assert_eq!(turns.with(|served| served.clone()), [0, 1, 2, 3]);
    }

    #[test]
    fn one_that_panics_holds_up_nobody() {
        let turns = Turns::new(0);
        assert!(catch_unwind(AssertUnwindSafe(|| turns.with(|_| panic!("a model")))).is_err());
        assert_eq!(turns.with(|number| *number), 0);
    }
}
