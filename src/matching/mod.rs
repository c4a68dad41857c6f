//! Who a face resembles: distances, the gallery in memory, and groups of pictures. Pure.

mod cluster;
mod gallery;
mod metric;
mod shared;

pub use cluster::{ClusterError, MAX_CLUSTERED, cluster};
pub use gallery::{Gallery, GalleryEntry, GalleryMetric, Ranking};
pub use metric::{Metric, confidence, convert_threshold, distance};
pub use shared::SharedGallery;
