//! A camera that is used for something else than watching: to enrol somebody, or to try its liveness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Note, Notes};
use crate::domain::CameraId;

/// As long as there is this, nobody is verified at the camera. However it ends, also by a panic: the camera watches again.
pub(crate) struct Hold {
    camera: CameraId,
    /// Set when the camera is paused meanwhile, it takes too long, or it is broken off.
    is_called_off: Arc<AtomicBool>,
    notes: Notes,
}

impl Hold {
    pub(super) fn new(camera: CameraId, is_called_off: Arc<AtomicBool>, notes: Notes) -> Self {
        Self { camera, is_called_off, notes }
    }

    /// Which camera.
    pub(super) fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Whether the camera was taken back: it was paused, the time is over, or [`Hold::call_off`].
    pub(crate) fn is_called_off(&self) -> bool {
        self.is_called_off.load(Ordering::Acquire)
    }

    /// Whoever works at the camera is to stop.
    pub(crate) fn call_off(&self) {
        self.is_called_off.store(true, Ordering::Release);
    }

    /// What tells this use of the camera from others, and whether it was called off.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_called_off)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.notes.send(Note::Vacated(self.camera.clone(), self.flag()));
    }
}
