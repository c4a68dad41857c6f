//! A link with one place, in which a newer value replaces an older one.
//!
//! Not a bounded channel whose receiver the producer also holds: such a link reports "full" for ever after its
//! consumer has died. Here each end knows when the other is gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Makes a link. `replaced` counts the values that were never received.
#[must_use]
pub fn latest<T>(replaced: Arc<AtomicU64>) -> (LatestSender<T>, LatestReceiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State { value: None, is_closed: false }),
        changed: Condvar::new(),
        replaced,
    });
    (LatestSender(Arc::clone(&shared)), LatestReceiver(shared))
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    replaced: Arc<AtomicU64>,
}

struct State<T> {
    value: Option<T>,
    is_closed: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }
}

/// The other end is gone; the value comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed<T>(pub T);

/// Puts values in. Dropping it closes the link.
pub struct LatestSender<T>(Arc<Shared<T>>);

impl<T> LatestSender<T> {
    /// Puts a value in; never waits. One that is still there is replaced and counted.
    ///
    /// # Errors
    /// If the receiver is gone.
    pub fn replace(&self, value: T) -> Result<(), Closed<T>> {
        let mut state = self.0.lock();
        if state.is_closed {
            return Err(Closed(value));
        }
        if state.value.replace(value).is_some() {
            self.0.replaced.fetch_add(1, Ordering::Relaxed);
        }
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Waits until the place is free, then puts a value in. For recordings of which no frame may be lost.
    ///
    /// # Errors
    /// If the receiver is gone.
    pub fn wait_and_send(&self, value: T) -> Result<(), Closed<T>> {
        let occupied = |state: &mut State<T>| state.value.is_some() && !state.is_closed;
        let mut state =
            self.0.changed.wait_while(self.0.lock(), occupied).unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return Err(Closed(value));
        }
        state.value = Some(value);
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Drop for LatestSender<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Takes values out. Dropping it closes the link.
pub struct LatestReceiver<T>(Arc<Shared<T>>);

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {
    /// Not yet.
    TimedOut,
    /// The sender is gone and everything was received.
    Ended,
}

impl<T> LatestReceiver<T> {
    /// Waits for the newest value, at most `timeout`.
    ///
    /// # Errors
    /// See [`Nothing`].
    pub fn receive(&self, timeout: Duration) -> Result<T, Nothing> {
        let waiting = |state: &mut State<T>| state.value.is_none() && !state.is_closed;
        let result = self.0.changed.wait_timeout_while(self.0.lock(), timeout, waiting);
        let mut state = result.unwrap_or_else(PoisonError::into_inner).0;
        let nothing = if state.is_closed { Nothing::Ended } else { Nothing::TimedOut };
        let value = state.value.take().ok_or(nothing);
        drop(state);
        self.0.changed.notify_all();
        value
    }
}

impl<T> Drop for LatestReceiver<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_newest_wins_and_the_rest_is_counted() {
        let replaced = Arc::new(AtomicU64::new(0));
        let (sender, receiver) = latest(Arc::clone(&replaced));
        for n in 1..=5 {
            sender.replace(n).unwrap();
        }
        assert_eq!(receiver.receive(SOON), Ok(5));
        assert_eq!(receiver.receive(SOON), Err(Nothing::TimedOut));
        assert_eq!(replaced.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn what_was_sent_before_the_end_is_still_received() {
        let (sender, receiver) = latest(Arc::default());
        sender.replace(1).unwrap();
        drop(sender);
        assert_eq!(receiver.receive(LONG), Ok(1));
        assert_eq!(receiver.receive(LONG), Err(Nothing::Ended));
    }

    #[test]
    fn a_sender_learns_that_the_receiver_is_gone_even_while_it_waits() {
        let (sender, receiver) = latest(Arc::default());
        sender.wait_and_send(1).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| sender.wait_and_send(2));
            scope.spawn(|| drop(receiver));
            assert_eq!(waiting.join().unwrap(), Err(Closed(2)));
        });
        assert_eq!(sender.replace(3), Err(Closed(3)));
    }

    #[test]
    fn nothing_is_lost_when_the_sender_waits() {
        let replaced = Arc::new(AtomicU64::new(0));
        let (sender, receiver) = latest(Arc::clone(&replaced));
        std::thread::scope(|scope| {
            scope.spawn(move || (0..1000).try_for_each(|n| sender.wait_and_send(n)).unwrap());
            let received: Vec<i32> = std::iter::from_fn(|| receiver.receive(LONG).ok()).collect();
            assert_eq!(received, (0..1000).collect::<Vec<_>>());
        });
        assert_eq!(replaced.load(Ordering::Relaxed), 0);
    }
}
