//! Who a face resembles: distances, the gallery in memory, and groups of pictures. Pure.

mod block;
mod cluster;
pub mod error_rates;
mod gallery;
mod kernels;
mod metric;
mod person_map;
mod pool;
mod search;
mod shared;
mod standing;
pub mod statistics;

pub use cluster::{ClusterError, MAX_CLUSTERED, cluster};
pub use gallery::{Gallery, GalleryEntry, GalleryMetric, Ranking};
pub use kernels::kernel;
pub use metric::{Metric, confidence, convert_threshold, distance};
pub use pool::{Pool, Pooled, SAME_FACE};
pub use search::Scan;
pub use shared::SharedGallery;
pub use standing::Standings;
