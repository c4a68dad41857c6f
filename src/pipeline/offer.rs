//! Faces that were just verified, for whoever keeps some of them as templates.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{CameraId, Embedding, PersonId, Pose, Quality};

/// A face that was just verified, alone before the camera, and what that rests on.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Where.
    pub camera: CameraId,
    /// As whom.
    pub person: PersonId,
    /// All looks together: what was compared.
    pub embedding: Embedding,
    /// How alike that is to the person, -1..=1.
    pub similarity: f32,
    /// How alike it had to be, -1..=1.
    pub needed: f32,
    /// The mean quality of the looks, 0..=1.
    pub mean_quality: f32,
    /// How good the newest of them was.
    pub newest: Quality,
    /// How the head was held at the newest; `None` if that could not be told.
    pub pose: Option<Pose>,
    /// The generation of the gallery it was compared with.
    pub generation: u64,
}

/// Holds the newest offer of a camera: a newer one replaces one that was not taken. Never waits for a taker. Clones share
/// it.
#[derive(Debug, Clone, Default)]
pub struct Offers(Arc<Mutex<Option<Offer>>>);

impl Offers {
    /// The offer that is there, which is gone then.
    #[must_use]
    pub fn take(&self) -> Option<Offer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn put(&self, offer: Offer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(offer);
    }
}
