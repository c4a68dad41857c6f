//! Recorded decisions: the frames that led up to one, and all that is needed to decide again.
//!
//! A bundle is a folder called by the id of its event. It holds `bundle.json` and one file a frame, with the bytes that
//! the camera gave. The folder is for its owner alone (0700), as are the files (0600): they are pictures of people. There
//! is no embedding in it.

mod folder;
mod forget;
mod format;
mod read;
#[cfg(test)]
mod tests;

pub use folder::BundleFolder;
pub use forget::forget;
pub use format::{FORMAT, Face, Form, FrameEntry, GalleryIdentity, Manifest, ModelIdentity, Models};
pub use read::Bundle;

use std::path::PathBuf;

use crate::clock::{Moment, WallTime};
use crate::domain::{Event, Original, Rect, TrackId};

/// A face as it was followed on one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeptFace {
    /// Which track.
    pub track: TrackId,
    /// Where, in pixels of the full frame.
    pub box_in_frame: Rect,
    /// Whether it was good enough, and its turn, to be embedded.
    pub is_looked_at: bool,
}

/// A frame that the detector saw.
#[derive(Debug, Clone)]
pub struct KeptFrame {
    /// Its number.
    pub seq: u64,
    /// When it was taken.
    pub captured_at: Moment,
    /// What the camera gave.
    pub original: Original,
    /// The faces on it, as they were followed.
    pub faces: Vec<KeptFace>,
}

/// What led up to one decision.
#[derive(Debug)]
pub struct Footage<'a> {
    /// The decision, as it was announced.
    pub event: &'a Event,
    /// Identifies who was enrolled.
    pub gallery: GalleryIdentity,
    /// What the calendar said when the first frame was taken.
    pub first_frame_at: WallTime,
    /// The frames, oldest first; never none.
    pub frames: Vec<&'a KeptFrame>,
    /// So many frames in between were not kept, because recording was behind.
    pub missing: u64,
    /// The face was there before the first frame.
    pub is_cut: bool,
}

/// Takes what led up to decisions.
pub trait BundleOut: Send {
    /// Stores a decision, and deletes what is too old or too much by then.
    ///
    /// # Errors
    /// See [`BundleError`]; nothing of it is left then.
    fn write(&mut self, footage: &Footage<'_>, now: WallTime) -> Result<(), BundleError>;

    /// Deletes what is too old, and what a writer left that was killed.
    ///
    /// # Errors
    /// See [`BundleError`].
    fn tidy(&mut self, now: WallTime) -> Result<(), BundleError>;
}

/// Why a bundle cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The disk or the system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can look into the folder.
    #[error("{path} can be read by others (mode {mode:03o}): run `chmod 700 {path}`")]
    Permissions {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// One decision takes more than all of them may.
    #[error("the frames of one decision take {bytes} bytes, more than `debug.max_mb` allows for all")]
    TooLarge {
        /// What it takes.
        bytes: u64,
    },
    /// There is no bundle of that name.
    #[error("there is no recorded decision at {0}")]
    Missing(PathBuf),
    /// It was written by a version whose bundles differ.
    #[error("{path} has the format {format}, and this version reads format {FORMAT}")]
    OtherFormat {
        /// The bundle.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Something in it is not as it was written.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The bundle or its file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

fn io_error(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> BundleError {
    move |source| BundleError::Io { doing, path: path.to_owned(), source }
}
