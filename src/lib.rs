//! Facewarden watches a camera at a door or kiosk, recognises the people enrolled there, and tells other
//! programs the moment it is sure.
//!
//! The layers, lowest first: [`domain`] and [`clock`]; [`vision`], [`watch`], [`tracking`], [`matching`], [`decision`] and
//! [`config`] (pure); [`listen`] (unix sockets, for adapters); [`camera`], [`inference`], [`store`], [`bundles`],
//! [`sinks`], [`control`] and [`sys`] (adapters to the world);
//! [`pipeline`] (stages and links, sees traits only); [`cmds`] (the command line, the one place that names the
//! real adapters). `tests/architecture.rs` holds the code to it.

pub mod bundles;
pub mod camera;
pub mod clock;
pub mod cmds;
pub mod config;
pub mod control;
pub mod decision;
pub mod domain;
pub mod http;
pub mod inference;
pub mod listen;
pub mod matching;
pub mod pipeline;
pub mod sinks;
pub mod store;
pub mod sys;
pub mod tracking;
pub mod vision;
pub mod watch;
