//! How it goes with a camera, for whoever wants to know.

use std::sync::{Arc, Mutex, PoisonError};

use crate::camera::FrameSource;
use crate::clock::Moment;

/// How it goes with a camera.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CameraState {
    /// It was not opened yet, or has not given its first frame.
    #[default]
    Opening,
    /// It gives frames.
    Watching,
    /// It was closed by order.
    Resting,
    /// It is missing, silent or broken, and is opened again and again.
    Lost {
        /// What is wrong, for people.
        message: String,
    },
}

/// A camera's state, since when, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// How it goes.
    pub state: CameraState,
    /// Since when.
    pub since: Moment,
    /// What is open, or was last, for people: "HD Webcam at /dev/video0, 1280x720 mjpg, 30 fps".
    pub source: Option<String>,
    /// Whether that is a recording that ends.
    pub is_finite: bool,
}

/// The condition of a camera, written by its capture stage. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SharedCondition(Arc<Mutex<Condition>>);

impl SharedCondition {
    /// How it is now.
    #[must_use]
    pub fn now(&self) -> Condition {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in a change, and says whether it is one; what is as before keeps its time.
    pub fn set(&self, state: CameraState, at: Moment) -> bool {
        let mut condition = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = condition.state != state;
        if is_news {
            condition.state = state;
            condition.since = at;
        }
        is_news
    }

    /// Whether what is open is a recording that ends.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_finite
    }

    /// True where it is known to be missing.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self.now().state, CameraState::Lost { .. })
    }

    pub(super) fn opened(&self, source: &dyn FrameSource) {
        let mut condition = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        condition.source = Some(source.describe());
        condition.is_finite = source.is_finite();
    }
}
