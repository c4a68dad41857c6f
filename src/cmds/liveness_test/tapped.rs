//! What a running camera shows, as a source of frames for a pipeline of its own.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::camera::{FrameSource, OpenSource, SourceError};
use crate::domain::{CapturedFrame, Frame, Payload};
use crate::pipeline::{Seen, Tap};

/// The frames of a camera that the daemon holds, from when the source is opened.
pub(in crate::cmds) fn tapped(tap: Tap) -> OpenSource {
    Box::new(move || Ok(Box::new(Tapped(tap.join(1))) as Box<dyn FrameSource>))
}

struct Tapped(Receiver<Seen>);

impl FrameSource for Tapped {
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError> {
        match self.0.recv_timeout(timeout) {
            Ok(Seen { frame: Frame { camera, seq, captured_at, pixels }, .. }) => {
                // Whoever else looks on shares the picture: then it is copied.
                let pixels = std::sync::Arc::unwrap_or_clone(pixels);
                Ok(CapturedFrame { camera, seq, captured_at, payload: Payload::Rgb(pixels) })
            }
            Err(RecvTimeoutError::Timeout) => Err(SourceError::TimedOut(timeout)),
            Err(RecvTimeoutError::Disconnected) => Err(SourceError::Ended),
        }
    }

    fn describe(&self) -> String {
        "the running camera".to_owned()
    }

    fn is_finite(&self) -> bool {
        false
    }
}
