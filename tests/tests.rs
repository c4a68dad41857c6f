//! The one integration binary: it mounts the others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod architecture;
mod config_errors;
mod daemon;
mod docs;
mod faults;
mod replay;
mod sinks;
mod store;
mod support;
