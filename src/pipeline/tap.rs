//! Frames with the faces on them, for whoever wants to look on: a drawing, a snapshot, an enrolment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::detect::Seen;
use crate::domain::{Frame, Track, ViewFault};

/// What the detect stage of one camera shows. Takers join and leave while it runs; without any it costs nothing. Clones
/// share the takers.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// So many takers there are, to be asked without a lock.
    count: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    takers: Vec<Taker>,
    is_closed: bool,
}

#[derive(Debug)]
struct Taker {
    frames: Sender<Seen>,
    wants_all: bool,
}

impl Tap {
    /// Frames from now on, of which up to `length` wait; what finds them full is not shown. A taker leaves by dropping
    /// this, and there are no more frames when the tap is closed, or dropped.
    #[must_use]
    pub fn join(&self, length: usize) -> Receiver<Seen> {
        self.add(length, false)
    }

    /// As [`Tap::join`], and where no frame of a recording may be skipped, the recording waits for this taker.
    #[must_use]
    pub fn join_for_all(&self, length: usize) -> Receiver<Seen> {
        self.add(length, true)
    }

    /// Whether anybody looks on.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.count.load(Ordering::Acquire) > 0
    }

    fn add(&self, length: usize, wants_all: bool) -> Receiver<Seen> {
        let (frames, taken) = bounded(length);
        let mut state = self.lock();
        if !state.is_closed {
            state.takers.push(Taker { frames, wants_all });
        }
        self.0.count.store(state.takers.len(), Ordering::Release);
        taken
    }

    /// Shows a frame to everybody. Whoever looks on must not hold up the camera, so it is only waited for where
    /// `keep_all` says so.
    pub(super) fn show(&self, frame: &Frame, (tracks, unfit): (&[Track], Option<ViewFault>), keep_all: bool) {
        if !self.is_wanted() {
            return;
        }
        let mut state = self.lock();
        state.takers.retain(|taker| {
            let seen = Seen { frame: frame.clone(), tracks: tracks.to_vec(), unfit };
            if keep_all && taker.wants_all {
                taker.frames.send(seen).is_ok()
            } else {
                !matches!(taker.frames.try_send(seen), Err(TrySendError::Disconnected(_)))
            }
        });
        self.0.count.store(state.takers.len(), Ordering::Release);
    }

    /// There are no more frames, and never will be: the daemon ends.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.takers.clear();
        self.0.count.store(0, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::clock::Moment;
    use crate::domain::CameraId;

    fn show(tap: &Tap, seq: u64, keep_all: bool) {
        let frame = Frame {
            camera: CameraId::new("door").unwrap(),
            seq,
            captured_at: Moment::default(),
            pixels: Arc::new(RgbImage::new(1, 1)),
        };
        tap.show(&frame, (&[], None), keep_all);
    }

    fn taken(taker: &Receiver<Seen>) -> Vec<u64> {
        taker.try_iter().map(|seen| seen.frame.seq).collect()
    }

    #[test]
    fn takers_join_and_leave_while_it_runs() {
        let tap = Tap::default();
        show(&tap, 0, false);
        assert!(!tap.is_wanted());
        let (one, two) = (tap.join(2), tap.join(9));
        (1..=3).for_each(|seq| show(&tap, seq, false));
        assert_eq!((taken(&one), taken(&two)), (vec![1, 2], vec![1, 2, 3]), "the full one misses some");
        drop(two);
        show(&tap, 4, false);
        assert_eq!(taken(&one), [4]);
        drop(one);
        show(&tap, 5, false);
        assert!(!tap.is_wanted());
    }

    #[test]
    fn a_recording_waits_for_those_who_want_all_and_for_nobody_else() {
        let tap = Tap::default();
        let (all, some) = (tap.join_for_all(1), tap.join(1));
        let taken_by_all = std::thread::scope(|scope| {
            let reader = scope.spawn(|| all.iter().take(3).map(|seen| seen.frame.seq).collect::<Vec<_>>());
            (0..3).for_each(|seq| show(&tap, seq, true));
            reader.join().unwrap()
        });
        assert_eq!((taken_by_all, taken(&some)), (vec![0, 1, 2], vec![0]));
    }

    #[test]
    fn after_the_end_there_is_nothing_to_wait_for() {
        let tap = Tap::default();
        let before = tap.join(1);
        tap.close();
        assert!(before.recv().is_err() && tap.join(1).recv().is_err() && !tap.is_wanted());
    }
}
