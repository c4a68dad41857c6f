//! cmds

pub mod config;
