//! Signatures, after the Standard Webhooks specification: HMAC-SHA256 of the id, the time and the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret may have.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many a new one has: as many as the signature itself.
const NEW_KEY_BYTES: usize = 32;

/// A new secret for a webhook, from the system's randomness: `whsec_` and the base64 of 32 bytes.
#[must_use]
pub fn new_webhook_secret() -> String {
    format!("{PREFIX}{}", STANDARD.encode(rand::random::<[u8; NEW_KEY_BYTES]>()))
}

/// What requests are signed with.
#[derive(Clone)]
pub(super) struct SigningKey(Hmac<Sha256>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Reads a secret: `whsec_` and the base64, with its padding, of 24 to 64 bytes. `None` if it is anything else.
    pub(super) fn read(secret: &str) -> Option<Self> {
        let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
        if !KEY_BYTES.contains(&key.len()) {
            return None;
        }
        Hmac::new_from_slice(&key).ok().map(Self)
    }

    /// The value of `webhook-signature`. Neither `id` nor the time may contain a full stop: it is what keeps the
    /// parts apart.
    pub(super) fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{unix_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_secret_is_a_prefix_and_base64_of_enough_bytes() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for bytes in [24, 25, 32, 64] {
            assert!(SigningKey::read(&of(bytes)).is_some(), "{bytes}");
        }
        let long = of(32);
        for odd in
            ["", "whsec_", &long[6..], &of(23), &of(65), &long.replace('=', ""), "whsec_!!!!", "WHSEC_x"]
        {
            assert!(SigningKey::read(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn new_secrets_can_be_used_and_differ() {
        let secrets: HashSet<String> = (0..100).map(|_| new_webhook_secret()).collect();
        assert_eq!(secrets.len(), 100);
        assert!(secrets.iter().all(|secret| SigningKey::read(secret).is_some()));
    }

    /// The expected value comes from `openssl dgst -sha256 -mac HMAC`.
    #[test]
    fn the_signature_covers_id_time_and_body() {
        let key = SigningKey::read("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let signature = key.sign("01J", 1_700_000_000, b"{}");
        assert_eq!(signature, "v1,RPPJiCNoNXUpW7ohuN5pMHZvDihQ7wus7Q/dzVKF2Jk=");
        assert_ne!(signature, key.sign("01K", 1_700_000_000, b"{}"));
        assert_ne!(signature, key.sign("01J", 1_700_000_001, b"{}"));
        assert_ne!(signature, key.sign("01J", 1_700_000_000, b"{ }"));
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }
}
