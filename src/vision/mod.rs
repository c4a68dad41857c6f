//! vision

pub mod decode;
pub mod jpeg;
