//! The keys that the gallery is encrypted with, and the file that they are in.
//!
//! A key file is text: comments, and a line for each key. The first key is the one that is written with; further ones
//! are former keys, which are there only while `facewarden key rotate` is at work (or was interrupted). The format is
//! described in `docs/format.md`.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::TryRng as _;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::disk;
use super::folder::Stamp;
use crate::config::{is_name, located};

/// What each line of a key begins with: the version of the format.
const PREFIX: &str = "facewarden-key-1";
const COMMENT: &str = "# The key of a Facewarden gallery. Whoever has it can read the faces enrolled there; without it nobody can.\n";
/// Several times as much as the two keys there are at most.
const MAX_BYTES: u64 = 4096;
/// The current one, and the one before while files are being encrypted anew.
const MAX_KEYS: usize = 2;
const SECRET_BYTES: usize = 32;

/// Names a key; made of it, and tells nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One key: 256 bits for XChaCha20-Poly1305. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl Key {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// If the system has none.
    pub fn new_random() -> io::Result<Self> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        rand::rngs::SysRng.try_fill_bytes(&mut *secret).map_err(io::Error::other)?;
        Ok(Self::of(secret))
    }

    pub(super) fn of(secret: Zeroizing<[u8; SECRET_BYTES]>) -> Self {
        let digest = Sha256::new().chain_update("facewarden key id").chain_update(*secret).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self { id: KeyId(id), secret }
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }
}

/// The keys that a gallery may be read with.
#[derive(Debug, Clone)]
pub struct KeyRing {
    /// What is written with.
    pub current: Key,
    /// What files may still be encrypted with while they are being encrypted anew.
    pub former: Option<Key>,
}

impl KeyRing {
    /// With a key and no former one.
    #[must_use]
    pub fn of(current: Key) -> Self {
        Self { current, former: None }
    }

    /// The key of that name.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&Key> {
        [Some(&self.current), self.former.as_ref()].into_iter().flatten().find(|key| key.id == id)
    }

    /// The text of a key file.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str(COMMENT);
        for key in [Some(&self.current), self.former.as_ref()].into_iter().flatten() {
            // Without `format!`, which would leave copies.
            text.push_str(PREFIX);
            text.push(':');
            text.push_str(&key.id.to_string());
            text.push(':');
            for byte in key.secret.iter() {
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
                }
            }
            text.push('\n');
        }
        text
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// What is wrong with it, in words that hold nothing of a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(parse_line(line).map_err(|why| format!("line {number}: {why}"))?);
        }
        if keys.len() > MAX_KEYS {
            return Err(format!("it has {} keys; at most {MAX_KEYS} are possible", keys.len()));
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or("there is no key in it")?;
        let former = keys.next();
        if former.as_ref().is_some_and(|key| key.id == current.id) {
            return Err("the same key is in it twice".into());
        }
        Ok(Self { current, former })
    }
}

fn parse_line(line: &str) -> Result<Key, String> {
    let mut parts = line.split(':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(PREFIX), Some(id), Some(digits), None) => {
            let mut secret = Zeroizing::new([0; SECRET_BYTES]);
            read_hex(digits, &mut *secret).ok_or("the key is not 64 hexadecimal digits")?;
            let key = Key::of(secret);
            // The name is made of the key, so that a digit that was lost or changed is noticed.
            if key.id.to_string() == id { Ok(key) } else { Err("the key does not fit its name".into()) }
        }
        (Some(PREFIX), ..) => Err(format!("a key is written {PREFIX}:<16 digits>:<64 digits>")),
        _ => Err("it is no key that this program knows".into()),
    }
}

fn read_hex(digits: &str, into: &mut [u8]) -> Option<()> {
    let digits = digits.as_bytes();
    if digits.len() != into.len() * 2 {
        return None;
    }
    for (byte, pair) in into.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        });
        *byte = (high? << 4) | low?;
    }
    Some(())
}

/// Why there is no key to use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no key file.
    #[error("there is no key at {}{}", .0.display(), hint(.0))]
    Missing(PathBuf),
    /// Others can read it.
    #[error("others can get at the key {} (mode {mode:03o}): run chmod 600 {}, and consider it known to them (`facewarden key rotate`)", .path.display(), .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user, who could exchange it.
    #[error("the key {} belongs to the user with the number {owner}, neither to root nor to the one who runs this ({own}): chown it", .path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs the program.
        own: u32,
    },
    /// A link, a folder, a device.
    #[error("the key {} is not an ordinary file", .0.display())]
    NotAFile(PathBuf),
    /// The system does not let it be read.
    #[error("cannot read the key {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else is in it.
    #[error("{} is not a key file: {why}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It cannot be written: a credential, or the disk refused.
    #[error("cannot write the key {}", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What somebody may have meant who named a file without a folder.
fn hint(path: &Path) -> &'static str {
    if path.file_name() == Some(path.as_os_str()) {
        " (a name without a folder is a credential of the service, and this process was given none: see docs/people.md)"
    } else {
        ": put it back from where it is kept, or name it with --key or gallery.key"
    }
}

/// Where the key of a gallery is.
#[derive(Debug, Clone)]
pub struct KeyPlace {
    path: PathBuf,
    /// Handed out by systemd: readable by the group there, and never written.
    is_credential: bool,
}

impl KeyPlace {
    /// Where a gallery has its key unless something else is said: beside the folder, called as it with `.key` at its end.
    #[must_use]
    pub fn beside(folder: &Path) -> Self {
        let mut name = folder.file_name().unwrap_or(folder.as_os_str()).to_owned();
        name.push(".key");
        Self { path: folder.with_file_name(name), is_credential: false }
    }

    /// At `path`, whatever it looks like.
    pub(super) fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), is_credential: false }
    }

    /// At `path`. A name without a folder is a credential of the service, where it has any.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        match located(path) {
            Cow::Owned(path) => Self { path, is_credential: true },
            Cow::Borrowed(path) => Self::file(path),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether systemd hands it out, so that it cannot be written from here.
    #[must_use]
    pub fn is_credential(&self) -> bool {
        self.is_credential
    }

    /// Whether it is named as a credential, and this process was given none.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        !self.is_credential && is_name(&self.path) && !self.path.exists()
    }

    /// What tells one state of the file from another; `None` if there is none.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata))
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(&self) -> Result<KeyRing, KeyError> {
        let path = &self.path;
        let unreadable = |source| KeyError::Unreadable { path: path.clone(), source };
        let file =
            OpenOptions::new().read(true).custom_flags(disk::no_follow() | disk::no_waiting()).open(path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => KeyError::Missing(path.clone()),
            _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                KeyError::NotAFile(path.clone())
            }
            _ => unreadable(error),
        })?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(KeyError::NotAFile(path.clone()));
        }
        let mode = metadata.mode() & 0o777;
        // A group that may read it is how systemd hands out credentials.
        let forbidden = if self.is_credential { 0o027 } else { 0o077 };
        if mode & forbidden != 0 {
            return Err(KeyError::TooOpen { path: path.clone(), mode });
        }
        let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
        // Root, who may read everything, takes the key as the daemon's user has it.
        if owner != own && owner != 0 && own != 0 {
            return Err(KeyError::NotOurs { path: path.clone(), owner, own });
        }
        let mut text = Zeroizing::new(String::with_capacity(1024));
        let invalid = |why| KeyError::Invalid { path: path.clone(), why };
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => invalid("it is no text".into()),
            _ => unreadable(error),
        })?;
        if text.len() as u64 > MAX_BYTES {
            return Err(invalid(format!("it has more than {MAX_BYTES} bytes")));
        }
        KeyRing::parse(&text).map_err(invalid)
    }

    /// Writes the keys in place of what is there: after a crash at any point the file holds what it held or the new
    /// keys. Given to the owner of `owned_as`, which is the gallery.
    pub(super) fn write(
        &self,
        disk: &dyn disk::Disk,
        ring: &KeyRing,
        owned_as: &Path,
    ) -> Result<(), KeyError> {
        let unwritable = |source| KeyError::Unwritable { path: self.path.clone(), source };
        if self.is_credential {
            let why = "it is a credential of the service, which systemd hands out: see docs/people.md on changing it";
            return Err(unwritable(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, why)));
        }
        let temporary = self.temporary();
        // Left by a writer that was killed; the lock of the gallery is held.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(error)),
            _ => {}
        }
        disk::write_whole(disk, (&temporary, &self.path), owned_as, ring.to_text().as_bytes())
            .map_err(|(_, source)| unwritable(source))?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        disk.sync_folder(folder.unwrap_or(Path::new("."))).map_err(unwritable)
    }

    fn temporary(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        self.path.with_file_name(name)
    }
}
