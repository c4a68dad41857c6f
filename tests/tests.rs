//! The one integration binary: it mounts the others.

mod sinks;
mod store;
