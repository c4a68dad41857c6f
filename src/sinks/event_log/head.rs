//! The head file: how far the log is known to go. It stands beside the log, is written in place, and is shorter than
//! a sector, so that no crash leaves half of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::chain::{LineHash, Place};

/// Length of the file, always.
const BYTES: usize = 215;
const TITLE: &str = "facewarden-log-head 1";

/// What the head file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The newest entry that is safe on the disk.
    pub(super) newest: Place,
    /// Number of the first entry of the oldest file that is kept.
    pub(super) first: u64,
}

impl Head {
    /// Of a log without entries.
    pub(super) const EMPTY: Self = Self { newest: Place::START, first: 1 };

    fn text(self) -> String {
        let said = format!(
            "{TITLE} n={:020} sha256={} first={:020} check=",
            self.newest.n, self.newest.hash, self.first
        );
        let check = LineHash::of(said.as_bytes());
        format!("{said}{check}\n")
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut words = text.strip_prefix(TITLE)?.split_ascii_whitespace();
        let mut field = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
        let n = field("n")?.parse().ok()?;
        let hash = field("sha256")?.parse().ok()?;
        let first = field("first")?.parse().ok()?;
        let head = Self { newest: Place { n, hash }, first };
        (head.text() == text).then_some(head)
    }
}

/// What is found in the place of a head file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Head(Head),
    Missing,
    /// Something else than a head file, or one that was changed.
    Damaged,
}

/// Reads a head file.
pub(super) fn read(path: &Path) -> io::Result<Found> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Head::read(&bytes).map_or(Found::Damaged, Found::Head)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
        Err(error) => Err(error),
    }
}

/// The head file of a log that is being written. While it is open nobody else writes that log.
#[derive(Debug)]
pub(super) struct HeadFile {
    file: File,
}

/// Why a head file cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error("another program writes it")]
    Busy,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl HeadFile {
    /// Opens or creates it, for its owner alone, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, HeadError> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file }),
            Err(Errno::WOULDBLOCK) => Err(HeadError::Busy),
            Err(error) => Err(HeadError::Io(error.into())),
        }
    }

    /// What it says. A new one, which is empty, counts as missing.
    pub(super) fn read(&self) -> io::Result<Found> {
        let mut bytes = vec![0; BYTES + 1];
        let mut have = 0;
        while have < bytes.len() {
            match self.file.read_at(&mut bytes[have..], have as u64) {
                Ok(0) => break,
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(match have {
            0 => Found::Missing,
            _ => Head::read(&bytes[..have]).map_or(Found::Damaged, Found::Head),
        })
    }

    /// Writes it in place, over what it said before.
    pub(super) fn write(&self, head: Head) -> io::Result<()> {
        self.file.write_all_at(head.text().as_bytes(), 0)
    }

    /// Returns when a power cut no longer takes away what was written.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_length_is_fixed_and_every_changed_byte_is_noticed() {
        let most = Head { newest: Place { n: u64::MAX, hash: LineHash::of(b"x") }, first: u64::MAX };
        for head in [Head::EMPTY, most] {
            let text = head.text();
            assert_eq!((text.len(), Head::read(text.as_bytes())), (BYTES, Some(head)));
            for at in 0..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1;
                assert_eq!(Head::read(&changed), None, "byte {at}");
            }
            assert_eq!(Head::read(&text.as_bytes()[..BYTES - 1]), None);
        }
    }

    #[test]
    fn two_cannot_have_it_and_it_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.head");
        assert_eq!(read(&path).unwrap(), Found::Missing);
        let file = HeadFile::open(&path).unwrap();
        assert_eq!(file.read().unwrap(), Found::Missing);
        file.write(Head::EMPTY).unwrap();
        assert_eq!(file.read().unwrap(), Found::Head(Head::EMPTY));
        assert_eq!(read(&path).unwrap(), Found::Head(Head::EMPTY));
        assert!(matches!(HeadFile::open(&path), Err(HeadError::Busy)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
