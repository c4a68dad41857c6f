//! The process and the system around it: threads, signals, the service manager, logs.

pub mod holders;
mod journal;
pub mod logging;
pub mod notify;
pub mod process;
pub mod signals;
pub mod thread;
