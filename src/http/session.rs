//! Sessions of browsers: made for a token that was shown once, kept in memory, over when the token is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::token::{Scope, Token, TokenError, random};
use crate::clock::{Clock, Moment};

/// Name of the cookie.
pub const COOKIE: &str = "facewarden_session";
/// Whoever uses the cookie to change something shows in this header that they can read what the server told its own pages.
pub const CSRF_HEADER: &str = "x-facewarden-csrf";
/// A working day.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// More at once than this, and the oldest ends.
const MOST: usize = 1000;

/// A session that was just opened.
pub struct Granted {
    /// The cookie's value.
    pub cookie: String,
    /// The session.
    pub session: Session,
}

/// A browser that has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Name of the token.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// What [`CSRF_HEADER`] has to say.
    pub csrf: String,
    /// When it ends.
    pub ends: Moment,
    /// The token it was made for.
    pub(super) token: [u8; 32],
}

impl Session {
    /// Whether this is the session's own `csrf`.
    #[must_use]
    pub(super) fn is_csrf(&self, shown: &str) -> bool {
        self.csrf.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// The open sessions. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    clock: Arc<dyn Clock>,
    /// By the hash of their cookie.
    open: Arc<Mutex<HashMap<[u8; 32], Session>>>,
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, open: Arc::default() }
    }

    /// Opens one for whoever showed this token.
    ///
    /// # Errors
    /// [`TokenError::NoRandomness`].
    pub fn open(&self, token: &Token) -> Result<Granted, TokenError> {
        let (cookie, csrf) = (random()?, random()?);
        let now = self.clock.now();
        let session = Session {
            name: token.name.clone(),
            scopes: token.scopes.clone(),
            csrf,
            ends: now + LASTS,
            token: token.sha256,
        };
        let mut open = self.lock();
        open.retain(|_, session| session.ends > now);
        if open.len() >= MOST
            && let Some(oldest) = open.iter().min_by_key(|(_, session)| session.ends).map(|(id, _)| *id)
        {
            open.remove(&oldest);
        }
        open.insert(id(&cookie), session.clone());
        Ok(Granted { cookie, session })
    }

    /// The session of a cookie, if it is open.
    #[must_use]
    pub fn find(&self, cookie: &str) -> Option<Session> {
        let now = self.clock.now();
        self.lock().get(&id(cookie)).filter(|session| session.ends > now).cloned()
    }

    /// Ends it.
    pub fn close(&self, cookie: &str) {
        self.lock().remove(&id(cookie));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SimulatedClock, WallTime};

    #[test]
    fn a_session_ends_by_itself_or_when_it_is_closed() {
        let clock = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
        let sessions = Sessions::new(Arc::clone(&clock) as _);
        let token = Token {
            name: "ada".into(),
            scopes: vec![Scope::Read],
            sha256: [7; 32],
            created_at: WallTime(jiff::Timestamp::UNIX_EPOCH),
            expires_at: None,
        };
        let (one, two) = (sessions.open(&token).unwrap(), sessions.open(&token).unwrap());
        assert_eq!(sessions.find(&one.cookie), Some(one.session.clone()));
        assert!(one.session.is_csrf(&one.session.csrf) && !one.session.is_csrf(&two.session.csrf));
        assert!(sessions.find("").is_none() && sessions.find(&one.session.csrf).is_none());
        sessions.close(&one.cookie);
        assert!(sessions.find(&one.cookie).is_none() && sessions.find(&two.cookie).is_some());
        clock.advance(LASTS);
        assert!(sessions.find(&two.cookie).is_none());
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let clock = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
        let sessions = Sessions::new(Arc::clone(&clock) as _);
        let created_at = WallTime(jiff::Timestamp::UNIX_EPOCH);
        let token =
            Token { name: "a".into(), scopes: Vec::new(), sha256: [0; 32], created_at, expires_at: None };
        let first = sessions.open(&token).unwrap();
        for _ in 0..MOST {
            clock.advance(Duration::from_millis(1));
            sessions.open(&token).unwrap();
        }
        assert_eq!(sessions.lock().len(), MOST);
        assert!(sessions.find(&first.cookie).is_none());
    }
}
