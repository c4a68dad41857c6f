//! Secrets from files: passwords, tokens, the keys that requests are signed with.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::{is_name, located};

/// Larger than any secret.
const MAX_BYTES: u64 = 4096;

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret in {}: {source}{}", path.display(), hint(path))]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Everybody on this machine can read or change it.
    #[error("{} is open to other users (mode {mode:04o}): chmod 600 {}", path.display(), path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Empty, several lines, not text, or far too long.
    #[error("{} must hold the secret as one line of text", path.display())]
    NotOneLine {
        /// Which file.
        path: PathBuf,
    },
}

/// What somebody may have meant who named a file without a folder.
fn hint(path: &Path) -> &'static str {
    if is_name(path) {
        " (a name without a folder is a credential of the service, and this process was given none: see \
         LoadCredential= in docs/service.md)"
    } else {
        ""
    }
}

/// The secret in a file: one line, without white space at its ends. The file must not be readable by others nor
/// writable by the group (a group that may read it is how systemd hands out credentials). A name without a folder is
/// one of those, where there are any.
///
/// # Errors
/// [`SecretError`].
pub fn read_secret(path: &Path) -> Result<String, SecretError> {
    let path = &*located(path);
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let not_one_line = || SecretError::NotOneLine { path: path.to_owned() };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o027 != 0 {
        return Err(SecretError::TooOpen { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => not_one_line(),
        _ => unreadable(error),
    })?;
    let secret = text.trim();
    if secret.is_empty() || secret.contains(char::is_control) || text.len() as u64 > MAX_BYTES {
        return Err(not_one_line());
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn secret(text: &[u8], mode: u32) -> Result<String, SecretError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read_secret(&path)
    }

    #[test]
    fn a_credential_that_is_missing_is_told_from_a_file_that_is() {
        let said = |path: &str| read_secret(Path::new(path)).unwrap_err().to_string();
        assert!(said("no-such.password").contains("LoadCredential="), "{}", said("no-such.password"));
        assert!(!said("/nonexistent/no-such.password").contains("LoadCredential="));
    }

    #[test]
    fn one_line_in_a_private_file_is_a_secret() {
        assert_eq!(secret(b" s3cret\n", 0o600).unwrap(), "s3cret");
        assert_eq!(secret(b"s3cret", 0o440).unwrap(), "s3cret");
        for (text, mode) in [(&b""[..], 0o600), (b"a\nb", 0o600), (b"\xff", 0o600), (&[b'x'; 5000], 0o600)] {
            assert!(matches!(secret(text, mode), Err(SecretError::NotOneLine { .. })), "{text:?}");
        }
        for mode in [0o644, 0o604, 0o620] {
            assert!(matches!(secret(b"s3cret", mode), Err(SecretError::TooOpen { .. })), "{mode:o}");
        }
        assert!(matches!(read_secret(Path::new("/nonexistent")), Err(SecretError::Unreadable { .. })));
    }
}
