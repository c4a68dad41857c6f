//! Where frames come from: cameras, and what stands in for them.

mod address;
pub mod avi;
pub mod avi_write;
mod child;
pub mod devices;
pub mod ffmpeg;
pub mod folder;
pub mod nokhwa;
mod open;
mod pace;
pub mod scripted;
pub mod v4l2;
mod v4l2_device;
mod v4l2_mode;
mod y4m;

use std::time::Duration;

pub use address::shown_source;
pub use open::opener;

use crate::domain::CapturedFrame;

/// Something that gives frames, one after the other.
pub trait FrameSource: Send {
    /// Waits for the next frame, at most about `timeout`.
    ///
    /// # Errors
    /// See [`SourceError`]: each says whether the source is to be opened again.
    fn next_frame(&mut self, timeout: Duration) -> Result<CapturedFrame, SourceError>;

    /// What it is, for people: "HD Webcam at /dev/video0, 1280x720 mjpg, 30 fps".
    fn describe(&self) -> String;

    /// True if it is a recording that ends; false for a camera.
    fn is_finite(&self) -> bool;
}

/// Opens a source; called again, with back-off, whenever the source was lost.
pub type OpenSource = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, SourceError> + Send>;

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The end of a finite source. Not a fault.
    #[error("the source has ended")]
    Ended,
    /// Nothing came in time; the source may still be good.
    #[error("no frame within {0:?}")]
    TimedOut(Duration),
    /// This one frame is damaged; the next may be good.
    #[error("a frame is damaged: {0}")]
    BadFrame(String),
    /// The source is gone or was never there; opening it again may help.
    #[error("{0}")]
    Lost(String),
    /// It will never work like this: a wrong path, an unsupported format. Not tried again.
    #[error("{0}")]
    Unusable(String),
}
