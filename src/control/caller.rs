//! Who asks, by what the system says of the other end of the socket, and whether they may.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;

use rustix::net::sockopt::socket_peercred;

use super::accounts::{is_member, user_id, user_name};
use crate::config;
use crate::listen::{ListenError, group_id};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Number of the user that the program ran as when it connected.
    pub uid: u32,
    /// Number of its main group.
    pub gid: u32,
    /// What the user is called, where the system's own list says so.
    pub name: Option<String>,
}

impl Caller {
    /// Asks the system who is at the other end.
    ///
    /// # Errors
    /// If it does not say.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let other = socket_peercred(stream)?;
        let (uid, gid) = (other.uid.as_raw(), other.gid.as_raw());
        Ok(Self { uid, gid, name: user_name(uid) })
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} (uid {})", name.escape_debug(), self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

/// Who may change something.
#[derive(Debug, Clone)]
pub struct Operators {
    uids: Vec<u32>,
    gids: Vec<u32>,
}

impl Operators {
    /// Root, the user of this process, and those that the settings name.
    ///
    /// # Errors
    /// If there is no user or group of that name.
    pub fn new(settings: &config::Operators) -> Result<Self, ListenError> {
        let mut uids = vec![0, rustix::process::geteuid().as_raw()];
        for user in &settings.users {
            let found =
                user_id(user).map_err(|source| ListenError::Io { path: "/etc/passwd".into(), source })?;
            uids.push(found.ok_or_else(|| ListenError::NoUser(user.clone()))?);
        }
        let gids = settings.groups.iter().map(|group| group_id(group)).collect::<Result<_, _>>()?;
        Ok(Self { uids, gids })
    }

    /// Whether `caller` is one of them.
    #[must_use]
    pub fn include(&self, caller: &Caller) -> bool {
        let belongs =
            |gid: &u32| *gid == caller.gid || caller.name.as_ref().is_some_and(|name| is_member(name, *gid));
        self.uids.contains(&caller.uid) || self.gids.iter().any(belongs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32, gid: u32) -> Caller {
        Caller { uid, gid, name: None }
    }

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let caller = Caller::of(&one).unwrap();
        assert_eq!(caller.uid, rustix::process::geteuid().as_raw());
        assert!(Operators::new(&config::Operators::default()).unwrap().include(&caller));
    }

    #[test]
    fn root_and_those_who_are_named_may() {
        let named = config::Operators { users: vec!["4711".into()], groups: vec!["4800".into()] };
        let named = Operators::new(&named).unwrap();
        assert!(named.include(&caller(0, 99)) && named.include(&caller(4711, 99)));
        assert!(named.include(&caller(4712, 4800)));
        assert!(!named.include(&caller(4712, 99)));
        let usual = Operators::new(&config::Operators::default()).unwrap();
        assert!(!usual.include(&caller(4711, 4800)));
        let wrong = config::Operators { users: vec!["no such user".into()], ..config::Operators::default() };
        assert!(matches!(Operators::new(&wrong), Err(ListenError::NoUser(_))));
        let wrong =
            config::Operators { groups: vec!["no such group".into()], ..config::Operators::default() };
        assert!(matches!(Operators::new(&wrong), Err(ListenError::NoGroup(_))));
        let shown = Caller { name: Some("ada".into()), ..caller(1000, 1000) }.to_string();
        assert_eq!((shown.as_str(), caller(7, 7).to_string().as_str()), ("ada (uid 1000)", "uid 7"));
    }
}
