//! The gallery in use. When people change it is exchanged for another, which shares with it what has not changed.

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
        let mut gallery = Arc::new(gallery);
        std::mem::swap(&mut *self.0.gallery.lock().unwrap_or_else(PoisonError::into_inner), &mut gallery);
        self.0.generation.fetch_add(1, Ordering::Release);
        // Freeing the memory of a large one takes a while, for which nobody is kept waiting at the lock.
        drop(gallery);
    }

    /// Counts the replacements: evidence gathered under another generation must not be mixed in.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }
}
