//! The camera stays open from one presentation to the next, and is read all the while: what waits in its buffers
//! would be from before.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::daemon::source_failure;
use super::super::exit::{Exit, Failure};
use crate::camera::{FrameSource, OpenSource, SourceError, opener};
use crate::clock::Clock;
use crate::config;
use crate::domain::CapturedFrame;

/// The first frame may take so long: network cameras wait for a key frame.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(15);

/// One wait for a frame.
const SLICE: Duration = Duration::from_millis(200);

/// A camera that pipelines use in their turn.
#[derive(Clone)]
pub(super) struct HeldCamera(Arc<Mutex<Held>>);

struct Held {
    open: OpenSource,
    /// `None` while it is lost.
    source: Option<Box<dyn FrameSource>>,
}

impl HeldCamera {
    /// Opens the camera and waits for its first frame.
    ///
    /// # Errors
    /// If it is not there, in use, or gives none.
    pub(super) fn open(camera: &config::Camera, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let mut open = opener(camera, Arc::clone(&clock)).map_err(source_failure)?;
        let source = Some(open().map_err(source_failure)?);
        let held = Self(Arc::new(Mutex::new(Held { open, source })));
        let begun = clock.now();
        loop {
            match held.next_frame(SLICE) {
                Ok(_) => return Ok(held),
                Err(SourceError::TimedOut(_) | SourceError::BadFrame(_)) => (),
                Err(error) => return Err(source_failure(error)),
            }
            if clock.now().since(begun) >= FIRST_FRAME_WITHIN {
                return Err(Failure::new(Exit::Unavailable, "no picture came from the camera"));
            }
        }
    }

    /// Reads a frame that nobody looks at. A lost camera is opened again by the next presentation.
    ///
    /// # Errors
    /// If a recording that stands in for a camera has ended.
    pub(super) fn pass_the_time(&self) -> Result<(), Failure> {
        match self.next_frame(SLICE) {
            Err(error @ (SourceError::Ended | SourceError::Unusable(_))) => Err(source_failure(error)),
            _ => Ok(()),
        }
    }

    /// The camera for one pipeline.
    pub(super) fn lend(&self) -> OpenSource {
        let held = self.clone();
        let mut is_first = true;
        Box::new(move || {
            held.with(|camera| {
                // Asked for again, it was lost, or fell silent.
                if !std::mem::take(&mut is_first) {
                    camera.source = None;
                }
                if camera.source.is_none() {
                    camera.source = Some((camera.open)()?);
                }
                Ok(Box::new(held.clone()) as Box<dyn FrameSource>)
            })
        })
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Held) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FrameSource for HeldCamera {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        HeldCamera::next_frame(self, timeout)
    }

    fn describe(&self) -> String {
        self.with(|camera| camera.source.as_ref().map_or_else(|| "lost".to_owned(), |s| s.describe()))
    }

    fn is_finite(&self) -> bool {
        self.with(|camera| camera.source.as_ref().is_some_and(|source| source.is_finite()))
    }
}

impl HeldCamera {
    fn next_frame(&self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        self.with(|camera| {
            let Some(source) = &mut camera.source else {
                return Err(SourceError::Lost("the camera is gone".to_owned()));
            };
            let frame = source.next_frame(timeout);
            if let Err(SourceError::Lost(_) | SourceError::Away(_)) = &frame {
                camera.source = None;
            }
            frame
        })
    }
}
