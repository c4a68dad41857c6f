//! The gallery in use, exchanged as a whole when people change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::gallery::Gallery;

/// One gallery that many read and one replaces. Clones share it.
#[derive(Debug, Clone)]
pub struct SharedGallery(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    gallery: Mutex<Arc<Gallery>>,
    generation: AtomicU64,
}

impl SharedGallery {
    /// Begins with `gallery`.
    #[must_use]
    pub fn new(gallery: Gallery) -> Self {
        Self(Arc::new(Shared { gallery: Mutex::new(Arc::new(gallery)), generation: AtomicU64::new(0) }))
    }

    /// The gallery now. Whoever holds it keeps searching the same people while it is replaced.
    #[must_use]
    pub fn current(&self) -> Arc<Gallery> {
        Arc::clone(&self.0.gallery.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it.
    pub fn replace(&self, gallery: Gallery) {
        *self.0.gallery.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(gallery);
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// Counts the replacements: evidence gathered under another generation must not be mixed in.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }
}
