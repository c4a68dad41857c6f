//! The socket over which a running daemon is asked something: `facewarden ctl`.
//!
//! One connection is one request: one line of JSON each way, and before the last answer as many lines about its
//! progress as there are. The permissions of the socket's file decide who may ask how it goes; who may change something
//! is decided by whom the system says they are ([`Caller`], [`Operators`]). Scores are never told here.
//!
//! The server answers nothing itself. Requests go to the daemon's main thread over a bounded link ([`Asked`]); what
//! takes longer than a moment comes back from there as [`Work`], and is done on the thread of whoever asked.

mod accounts;
mod caller;
mod client;
mod forgotten;
mod protocol;
mod server;

pub use caller::{Caller, Operators};
pub use client::{AskError, Client};
pub use forgotten::Forgotten;
pub use protocol::{
    Answer, CameraState, CameraStatus, Counts, InvalidRequest, LastEvent, MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES, PROTOCOL, Refusal, ReloadReport, Request, Status, Trouble, Waiting, read_answer,
    read_request, write_answer, write_request,
};
pub use server::{Asked, ControlServer, Gone, MAX_CLIENTS, Reply, Talk, Work};
