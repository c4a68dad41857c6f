//! Pictures and geometry: reading photos and camera frames, scaling, alignment, what detectors' raw outputs mean,
//! quality, drawing.
//!
//! Pure: no files, no models, no clock. All coordinates are pixels, x right, y down; names say of which picture.

pub mod align;
pub mod decode;
pub mod decoders;
pub mod draw;
pub mod edges;
pub mod exposure;
pub mod gate;
pub mod jpeg;
pub mod landmarks;
pub mod letterbox;
pub mod nms;
pub mod photo;
pub mod pose;
pub mod quality;
pub mod relight;
pub mod resize;
pub mod tensor;
