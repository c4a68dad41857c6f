//! The one integration binary: it mounts the others.
