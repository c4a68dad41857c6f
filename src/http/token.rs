//! Tokens: what programs and people show to be let in. The file holds their hashes alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rustix::fs::FlockOperation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::clock::{Clock, Moment, WallTime};

/// What each token begins with, so that scanners for leaked secrets know one when they see it.
const PREFIX: &str = "fwt_";
const SECRET_BYTES: usize = 32;
const MAX_FILE_BYTES: u64 = 1 << 20;
/// More tokens than this are a mistake.
const MAX_TOKENS: usize = 1000;
const SCHEMA: u32 = 1;
/// The file is looked at again after so long, so that one who lost their token is out within a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Compare pictures that are sent, and ask who is on them.
    Verify,
    /// What a kiosk shows: the camera's picture and what becomes of a visitor.
    Kiosk,
    /// See who is enrolled, events, cameras and how it goes.
    Read,
    /// Enrol people and change what is known of them.
    Enrol,
    /// Everything: forget people, pause cameras, see the settings.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Verify, Self::Kiosk, Self::Read, Self::Enrol, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Kiosk => "kiosk",
            Self::Read => "read",
            Self::Enrol => "enrol",
            Self::Admin => "admin",
        }
    }
}

/// Whether somebody with `scopes` may do what takes `wanted`: `admin` may do everything, `enrol` also reads, and who reads
/// also sees what a kiosk does.
#[must_use]
pub fn covers(scopes: &[Scope], wanted: Scope) -> bool {
    scopes.iter().any(|scope| match scope {
        Scope::Admin => true,
        Scope::Enrol => matches!(wanted, Scope::Enrol | Scope::Read | Scope::Kiosk),
        Scope::Read => matches!(wanted, Scope::Read | Scope::Kiosk),
        Scope::Kiosk | Scope::Verify => *scope == wanted,
    })
}

/// Scopes by their names, each once; the error is the name that is none.
///
/// # Errors
/// The first name that is no scope's.
pub fn scopes_from<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Vec<Scope>, String> {
    let mut scopes = Vec::new();
    for name in names {
        let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == name).ok_or(name)?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes.sort_unstable();
    Ok(scopes)
}

/// A token as the file has it: not the token, but how to know it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called, for people; no two have one name.
    pub name: String,
    /// What its holder may do.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the token. It has 256 random bits, so nothing slower is needed to keep it from being guessed.
    #[serde(with = "hex_bytes")]
    pub sha256: [u8; 32],
    /// When it was made.
    pub created_at: WallTime,
    /// Until when it can be used; `None` for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<WallTime>,
}

impl Token {
    /// Whether it can be used then.
    #[must_use]
    pub fn is_valid_at(&self, at: WallTime) -> bool {
        self.expires_at.is_none_or(|end| at < end)
    }
}

/// A token that was just made; shown once and kept by nobody.
pub struct NewToken {
    /// The token itself.
    pub secret: String,
    /// What the file keeps of it.
    pub kept: Token,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    schema: u32,
    tokens: Vec<Token>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no file.
    #[error("there are no tokens yet ({}): make one with `facewarden token create`", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read or written.
    #[error("the tokens in {} cannot be read or written: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read or write it.
    #[error("{} is open to other users (mode {mode:04o}): chmod 600 {}", path.display(), path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not as this program writes it.
    #[error("{} is damaged ({problem}): no token is accepted; put it right, or move it away and make new tokens", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is one of that name.
    #[error("there is a token called `{0}` already: choose another name, or revoke that one")]
    Taken(String),
    /// There is none of that name.
    #[error("there is no token called `{0}`; `facewarden token list` shows them")]
    NoSuch(String),
    /// There are too many.
    #[error("there are {MAX_TOKENS} tokens, and that is the most: revoke some")]
    TooMany,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// The file with the tokens.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The one at `path`, which need not exist.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// What is in it.
    ///
    /// # Errors
    /// [`TokenError`]; damage is never read as "no tokens".
    pub fn read(&self) -> Result<Vec<Token>, TokenError> {
        let path = || self.path.clone();
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => TokenError::Missing(path()),
            _ => TokenError::Io { path: path(), source },
        };
        let file = File::open(&self.path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o027 != 0 {
            return Err(TokenError::TooOpen { path: path(), mode });
        }
        let damaged = |problem: String| TokenError::Damaged { path: path(), problem };
        let mut text = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(io)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(damaged("it is far too large".to_owned()));
        }
        let read: Contents = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if read.schema != SCHEMA {
            return Err(damaged(format!("its schema is {}, and this version reads {SCHEMA}", read.schema)));
        }
        Ok(read.tokens)
    }

    /// Makes a token and adds it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn create(
        &self,
        name: &str,
        scopes: Vec<Scope>,
        created_at: WallTime,
        expires_at: Option<WallTime>,
    ) -> Result<NewToken, TokenError> {
        let secret = format!("{PREFIX}{}", random()?);
        let kept = Token { name: name.to_owned(), scopes, sha256: hash(&secret), created_at, expires_at };
        self.change(|tokens| {
            if tokens.iter().any(|token| token.name == name) {
                return Err(TokenError::Taken(name.to_owned()));
            }
            if tokens.len() >= MAX_TOKENS {
                return Err(TokenError::TooMany);
            }
            tokens.push(kept.clone());
            Ok(())
        })?;
        Ok(NewToken { secret, kept })
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|token| token.name != name);
            if tokens.len() == before { Err(TokenError::NoSuch(name.to_owned())) } else { Ok(()) }
        })
    }

    /// Changes the file as a whole: it is either as before or as afterwards. Root leaves it to whom the folder belongs.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        let io = |source| TokenError::Io { path: self.path.clone(), source };
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let held = File::open(folder).map_err(io)?;
        rustix::fs::flock(&held, FlockOperation::LockExclusive).map_err(|error| io(error.into()))?;
        let mut tokens = match self.read() {
            Err(TokenError::Missing(_)) => Vec::new(),
            read => read?,
        };
        change(&mut tokens)?;
        let mut text = serde_json::to_vec_pretty(&Contents { schema: SCHEMA, tokens })
            .map_err(|error| io(error.into()))?;
        text.push(b'\n');
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = folder.join(name);
        let write = || -> io::Result<()> {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _gone => (),
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(&text)?;
            let of_folder = held.metadata()?;
            if rustix::process::geteuid().is_root() {
                fchown(&file, Some(of_folder.uid()), Some(of_folder.gid()))?;
            }
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            held.sync_all()
        };
        write().map_err(io)
    }
}

/// Text that nobody can guess.
///
/// # Errors
/// [`TokenError::NoRandomness`].
pub(super) fn random() -> Result<String, TokenError> {
    let mut bytes = [0_u8; SECRET_BYTES];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|_| TokenError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The tokens of a file as they are now: it is read again when it has changed.
#[derive(Clone)]
pub struct TokenWatch(Arc<Watched>);

struct Watched {
    file: TokenFile,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    looked_at: Moment,
    stamp: Option<Stamp>,
    tokens: Arc<Vec<Token>>,
}

type Stamp = (u64, u64, i64, i64);

impl TokenWatch {
    /// Reads the file.
    ///
    /// # Errors
    /// [`TokenError`]. A file that is missing is none: there are no tokens yet.
    pub fn open(file: TokenFile, clock: Arc<dyn Clock>) -> Result<Self, TokenError> {
        let stamp = stamp(&file.path);
        let tokens = match file.read() {
            Err(TokenError::Missing(_)) => Vec::new(),
            read => read?,
        };
        let state = State { looked_at: clock.now(), stamp, tokens: Arc::new(tokens) };
        Ok(Self(Arc::new(Watched { file, clock, state: Mutex::new(state) })))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current().is_empty()
    }

    /// The token that this is, if it is one and can be used now. Every hash is compared, each in constant time.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<Token> {
        let (shown, now) = (hash(secret), self.0.clock.wall(self.0.clock.now()));
        let mut found = None;
        for token in self.current().iter() {
            if bool::from(token.sha256.ct_eq(&shown)) {
                found = Some(token.clone());
            }
        }
        found.filter(|token| token.is_valid_at(now))
    }

    /// Whether this very token can still be used.
    #[must_use]
    pub fn still_has(&self, sha256: &[u8; 32]) -> bool {
        let now = self.0.clock.wall(self.0.clock.now());
        self.current().iter().any(|token| token.sha256 == *sha256 && token.is_valid_at(now))
    }

    fn current(&self) -> Arc<Vec<Token>> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.0.clock.now();
        if now.since(state.looked_at) >= LOOK_EVERY {
            state.looked_at = now;
            let stamp = stamp(&self.0.file.path);
            if stamp != state.stamp {
                state.stamp = stamp;
                state.tokens = Arc::new(match self.0.file.read() {
                    Ok(tokens) => tokens,
                    Err(error) => {
                        tracing::error!("nobody is let in over HTTP: {error}");
                        Vec::new()
                    }
                });
            }
        }
        Arc::clone(&state.tokens)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(D::Error::custom("a hash has 64 hexadecimal digits"));
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(digits, 16).map_err(D::Error::custom)?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    fn at(second: i64) -> WallTime {
        WallTime(jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn scopes_include_what_they_should_and_no_more() {
        use Scope::{Admin, Enrol, Kiosk, Read, Verify};
        for (scope, includes) in [
            (Verify, &[Verify][..]),
            (Kiosk, &[Kiosk]),
            (Read, &[Kiosk, Read]),
            (Enrol, &[Kiosk, Read, Enrol]),
            (Admin, &Scope::ALL),
        ] {
            for wanted in Scope::ALL {
                assert_eq!(covers(&[scope], wanted), includes.contains(&wanted), "{scope:?} {wanted:?}");
            }
        }
        assert!(!covers(&[], Kiosk));
        assert_eq!(scopes_from(["read", "verify", "read"]), Ok(vec![Verify, Read]));
        assert_eq!(scopes_from(["read", "fly"]), Err("fly".to_owned()));
    }

    #[test]
    fn a_token_is_known_again_until_it_is_revoked_or_expires() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let (file, clock) =
            (TokenFile::at(&path), Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH)));
        let watch = TokenWatch::open(file.clone(), Arc::clone(&clock) as _).unwrap();
        assert!(watch.is_empty() && watch.find("").is_none());
        let made = file.create("door", vec![Scope::Read], at(0), None).unwrap();
        let now = clock.wall(clock.now());
        let soon = now + Duration::from_secs(60);
        let short = file.create("short", vec![Scope::Admin], at(0), Some(soon)).unwrap();
        assert!(matches!(file.create("door", vec![], at(0), None), Err(TokenError::Taken(_))));
        clock.advance(LOOK_EVERY);
        assert_eq!(watch.find(&made.secret).unwrap(), made.kept);
        assert_eq!(watch.find(&short.secret).unwrap().name, "short");
        assert!(watch.find(&made.secret[1..]).is_none() && watch.still_has(&made.kept.sha256));
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&made.secret) && !text.contains(&made.secret[4..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        clock.advance(Duration::from_secs(60));
        assert!(watch.find(&short.secret).is_none());
        file.revoke("door").unwrap();
        assert!(matches!(file.revoke("door"), Err(TokenError::NoSuch(_))));
        clock.advance(LOOK_EVERY);
        assert!(watch.find(&made.secret).is_none() && !watch.still_has(&made.kept.sha256));
    }

    #[test]
    fn damage_lets_nobody_in_and_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let (file, clock) =
            (TokenFile::at(&path), Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH)));
        let made = file.create("door", vec![Scope::Read], at(0), None).unwrap();
        let watch = TokenWatch::open(file.clone(), Arc::clone(&clock) as _).unwrap();
        assert!(watch.find(&made.secret).is_some());
        let whole = fs::read_to_string(&path).unwrap();
        for damaged in [&whole[..whole.len() / 2], "", "[]", &whole.replace("\"schema\": 1", "\"schema\": 9")]
        {
            fs::write(&path, damaged).unwrap();
            clock.advance(LOOK_EVERY);
            assert!(watch.find(&made.secret).is_none(), "{damaged}");
            assert!(matches!(file.revoke("door"), Err(TokenError::Damaged { .. })));
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
            assert!(TokenWatch::open(file.clone(), Arc::clone(&clock) as _).is_err());
        }
        fs::write(&path, &whole).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(file.read(), Err(TokenError::TooOpen { mode: 0o644, .. })));
    }
}
