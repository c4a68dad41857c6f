//! The one integration binary: it mounts the others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admission;
mod architecture;
mod cameras;
mod challenge;
mod clip;
mod config_errors;
mod control;
mod daemon;
mod docs;
mod doctor;
mod evaluation;
mod explain;
mod faults;
mod forget;
mod golden;

mod integrations;
mod keeping;
mod kills;
mod log;
mod models;
mod mqtt;
mod outbox;
mod people;
mod photo_commands;
mod relay;
mod replay;
mod replays;
mod service;
mod sinks;
mod socket;
mod store;
mod support;
mod watch;
mod web;
mod webhook;
