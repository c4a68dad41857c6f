//! A bundle as a camera.

use std::sync::Arc;
use std::time::Duration;

use crate::bundles::Bundle;
use crate::camera::{FrameSource, OpenSource, SourceError};
use crate::clock::Moment;
use crate::domain::CapturedFrame;

/// Opens the bundle's frames. They come at once, with the numbers and the times that they were recorded with; the
/// first was taken at moment zero.
pub(super) fn opener(bundle: Arc<Bundle>) -> OpenSource {
    Box::new(move || Ok(Box::new(Frames { bundle: Arc::clone(&bundle), next: 0 })))
}

struct Frames {
    bundle: Arc<Bundle>,
    next: usize,
}

impl FrameSource for Frames {
    fn next_frame(&mut self, _timeout: Duration) -> Result<CapturedFrame, SourceError> {
        let manifest = &self.bundle.manifest;
        let entry = manifest.frames.get(self.next).ok_or(SourceError::Ended)?;
        // It was whole when the bundle was opened: a replay without it would prove nothing.
        let payload =
            self.bundle.payload(self.next).map_err(|error| SourceError::Unusable(error.to_string()))?;
        self.next += 1;
        Ok(CapturedFrame {
            camera: manifest.camera.clone(),
            seq: entry.seq,
            captured_at: Moment(Duration::from_nanos(entry.at_ns)),
            payload,
        })
    }

    fn describe(&self) -> String {
        format!("the recorded decision {}", self.bundle.manifest.event.id)
    }

    fn is_finite(&self) -> bool {
        true
    }
}
