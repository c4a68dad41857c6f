//! Text to settings: the configuration file and the model manifests. Pure but for reading a file.

mod types;

pub use types::{
    Camera, Config, Decision, Detection, Driver, Events, Gallery, Hook, Liveness, LivenessMode, Models,
    PixelFormat, Quality, Speed, Tracking,
};
