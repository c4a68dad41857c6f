//! The envelope that a person, and a photo, is stored in: who may not read it learns its size and its number.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) with a random nonce of 192 bits, so that nonces need no counting. The
//! header is authenticated along. The layout is in `docs/format.md`.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::TryRng as _;
use sha2::{Digest, Sha256};
use ulid::Ulid;
use zeroize::Zeroizing;

use super::error::FormatError;
use super::key::{Key, KeyId, KeyRing};
use super::person::RecordId;

/// Magic, version, reserved, length.
pub(super) const HEADER_BYTES: usize = 16;
const KEY_ID_AT: usize = HEADER_BYTES + 16;
const NONCE_AT: usize = KEY_ID_AT + 8;
const NONCE_BYTES: usize = 24;
/// Where what is encrypted begins.
pub(super) const SEALED_AT: usize = NONCE_AT + NONCE_BYTES;
const TAG_BYTES: usize = 16;
pub(super) const CHECKSUM_BYTES: usize = 32;

/// What an envelope is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The first bytes.
    pub magic: [u8; 8],
    /// The version that is written, and the newest that is read.
    pub version: u16,
    /// The first version that was encrypted.
    pub sealed_since: u16,
    /// The largest file.
    pub max_bytes: usize,
}

/// Encrypts.
///
/// # Errors
/// If it is too large, or the system has no random numbers.
pub(super) fn seal(kind: Kind, id: RecordId, plain: &[u8], key: &Key) -> Result<Vec<u8>, FormatError> {
    let length = SEALED_AT + plain.len() + TAG_BYTES + CHECKSUM_BYTES;
    let stated = u32::try_from(length).ok().filter(|_| length <= kind.max_bytes);
    let stated = stated.ok_or(FormatError::TooLarge { is: length as u64, most: kind.max_bytes })?;
    let mut nonce = [0_u8; NONCE_BYTES];
    rand::rngs::SysRng
        .try_fill_bytes(&mut nonce)
        .map_err(|error| FormatError::NoRandom(error.to_string()))?;
    let mut out = Vec::with_capacity(length);
    out.extend(kind.magic);
    out.extend(kind.version.to_le_bytes());
    out.extend([0; 2]);
    out.extend(stated.to_le_bytes());
    out.extend(id.0.to_bytes());
    out.extend(key.id().0);
    out.extend(nonce);
    let sealed = cipher(key)
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &out })
        .map_err(|_| FormatError::TooLarge { is: length as u64, most: kind.max_bytes })?;
    out.extend(sealed);
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    Ok(out)
}

/// What was encrypted, and what it was called. Any bytes at all are safe to give; no more memory is used than a small
/// multiple of their number.
///
/// # Errors
/// [`FormatError`] for everything that [`seal`] did not write, or not with one of these keys.
pub(super) fn unseal(
    kind: Kind,
    bytes: &[u8],
    keys: Option<&KeyRing>,
) -> Result<(RecordId, Zeroizing<Vec<u8>>), FormatError> {
    let (version, body) = whole(kind, bytes)?;
    if version < kind.sealed_since {
        return Err(FormatError::NotEncrypted(version));
    }
    if body.len() < SEALED_AT + TAG_BYTES {
        return Err(FormatError::TooShort(bytes.len()));
    }
    let (header, sealed) = body.split_at(SEALED_AT);
    let id = RecordId(Ulid::from_bytes(array(header, HEADER_BYTES)));
    let key_id = KeyId(array(header, KEY_ID_AT));
    let key = keys.and_then(|keys| keys.find(key_id)).ok_or(FormatError::OtherKey(key_id))?;
    let nonce = XNonce::from(array::<NONCE_BYTES>(header, NONCE_AT));
    let plain =
        cipher(key).decrypt(&nonce, Payload { msg: sealed, aad: header }).map_err(|_| FormatError::Forged)?;
    Ok((id, Zeroizing::new(plain)))
}

/// The version and all but the checksum of bytes that are whole.
pub(super) fn whole(kind: Kind, bytes: &[u8]) -> Result<(u16, &[u8]), FormatError> {
    if bytes.len() > kind.max_bytes {
        return Err(FormatError::TooLarge { is: bytes.len() as u64, most: kind.max_bytes });
    }
    let body = match bytes.len().checked_sub(CHECKSUM_BYTES) {
        Some(at) if at >= HEADER_BYTES => at,
        _ => return Err(FormatError::TooShort(bytes.len())),
    };
    let (body, checksum) = bytes.split_at(body);
    if body[..8] != kind.magic {
        return Err(FormatError::WrongStart);
    }
    let says = u32::from_le_bytes(array(body, 12));
    if usize::try_from(says) != Ok(bytes.len()) {
        return Err(FormatError::WrongLength { says, is: bytes.len() });
    }
    // Before the version is believed: a damaged version must not pass for a newer program's work.
    if Sha256::digest(body)[..] != *checksum {
        return Err(FormatError::Checksum);
    }
    let version = u16::from_le_bytes(array(body, 8));
    if version == 0 {
        return Err(super::format::invalid("version", "0 was never used"));
    }
    if version > kind.version {
        return Err(FormatError::Newer { is: version, known: kind.version });
    }
    if array::<2>(body, 10) != [0; 2] {
        return Err(super::format::invalid("reserved bytes", "they must be zero"));
    }
    Ok((version, body))
}

/// The name of the key that an envelope was made with, unchecked; `None` where it is too short to say.
pub(super) fn key_id_of(bytes: &[u8]) -> Option<KeyId> {
    (bytes.len() >= SEALED_AT).then(|| KeyId(array(bytes, KEY_ID_AT)))
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.secret().into())
}

/// `N` bytes from `at` on, which the caller has checked to be there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
