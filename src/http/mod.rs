//! The HTTP server's outer parts: connections and their limits, TLS, tokens and sessions, who may do what, and errors as
//! JSON. What is answered is `cmds::web`.
//!
//! It runs on threads of its own with tokio, and nothing of it is ever waited for by a pipeline or the main thread.
//!
//! | limit | where |
//! |---|---|
//! | connections at once | `http.max_connections`; one more is closed without a word |
//! | headers | 16 kB, 64 of them, within 10 seconds |
//! | bodies | each endpoint's own, 64 kB unless it takes pictures; see [`Gate`] for the time |
//! | a body that was refused | up to 16 MB more of it are thrown away, for 2 seconds, so that the answer is read |
//! | a peer that takes nothing | 30 seconds |
//! | requests a second | `http.requests_per_second` for each token, or each address without one |

mod gate;
mod problem;
mod rate;
mod rest;
mod server;
mod session;
mod stats;
mod tls;
mod token;

pub use gate::{Caller, Gate, Peer};
pub use problem::Problem;
pub use server::{HttpError, Server};
pub use session::{COOKIE, CSRF_HEADER, Granted, Session, Sessions};
pub use stats::HttpStats;
pub use tls::TlsError;
pub use token::{NewToken, Scope, Token, TokenError, TokenFile, TokenWatch, covers, scopes_from};
