//! Who a face resembles: distances, the gallery in memory, and groups of pictures. Pure.

mod cluster;
pub mod error_rates;
mod gallery;
mod metric;
mod pool;
mod shared;
mod standing;
pub mod statistics;

pub use cluster::{ClusterError, MAX_CLUSTERED, cluster};
pub use gallery::{Gallery, GalleryEntry, GalleryMetric, Ranking};
pub use metric::{Metric, confidence, convert_threshold, distance};
pub use pool::{Pool, Pooled, SAME_FACE};
pub use shared::SharedGallery;
pub use standing::Standings;
