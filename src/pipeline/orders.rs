//! What one camera's pipeline is told to do while it runs.

use std::sync::{Arc, Mutex, PoisonError};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Look, decide and tell.
    #[default]
    Watch,
    /// Look, for whoever looks on, and decide nothing: nobody is verified.
    LookOnly,
    /// Close the camera. No frame is looked at, nobody is verified.
    Rest,
}

/// The order in force. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Orders(Arc<Mutex<Given>>);

/// An order, and the how many-th it is: two of a kind with another in between are not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Given {
    pub order: Order,
    number: u64,
}

impl Orders {
    /// Gives an order. Once this has returned, nothing that was decided under [`Order::Watch`] is told any more under
    /// another one.
    pub fn give(&self, order: Order) {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *given = Given { order, number: given.number + u64::from(given.order != order) };
    }

    /// The order in force.
    #[must_use]
    pub fn current(&self) -> Order {
        self.given().order
    }

    pub(super) fn given(&self) -> Given {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells something, if the order is to watch; no other order comes into force meanwhile.
    pub(super) fn if_watching(&self, tell: impl FnOnce()) {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given.order == Order::Watch {
            tell();
        }
    }
}
