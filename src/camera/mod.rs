//! Where frames come from: cameras, and what stands in for them.

mod address;
pub mod avi;
pub mod avi_write;
mod child;
pub mod devices;
mod devices_show;
pub mod ffmpeg;
pub mod folder;
mod identity;
pub mod nokhwa;
mod open;
mod pace;
pub mod scripted;
pub mod v4l2;
mod v4l2_controls;
mod v4l2_device;
mod v4l2_frame;
mod v4l2_mode;
mod v4l2_settings;
mod y4m;

use std::time::Duration;

pub use address::shown_source;
pub use devices_show::as_settings;
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

    /// True if its first frame may take many seconds: network cameras wait for a key frame, and a decoder starts up.
    /// A camera of this machine is soon there or not at all.
    fn is_slow_to_start(&self) -> bool {
        true
    }

    /// What became of frames that never arrived, since this was last asked.
    fn losses(&mut self) -> Losses {
        Losses::default()
    }

    /// What about it is not as the settings want it, though it works: one line each, for people.
    fn complaints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Frames that a source got and did not hand on, or never got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// The driver said that they are damaged.
    pub flagged: u64,
    /// They were empty.
    pub empty: u64,
    /// They ended before their picture did.
    pub truncated: u64,
    /// They were damaged in another way.
    pub corrupt: u64,
    /// They are missing in the driver's count: lost on the bus, dropped by the driver as damaged, or given up for want
    /// of a free buffer.
    pub missing: u64,
    /// They were sound, and a newer one was there already.
    pub overtaken: u64,
}

impl Losses {
    /// Those that came and were damaged.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.flagged + self.empty + self.truncated + self.corrupt
    }
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
    /// A device of this machine is gone, was never there or does not work just now. Opening it again may help and
    /// costs little, so that it can be tried often.
    #[error("{0}")]
    Away(String),
    /// The source is gone or was never there; opening it again may help, and costs a process or a connection.
    #[error("{0}")]
    Lost(String),
    /// It will never work like this: a wrong path, an unsupported format. Not tried again.
    #[error("{0}")]
    Unusable(String),
}
