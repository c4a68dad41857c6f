//! How the server shows who it is.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::config::{HttpTls, located};

/// Larger than any chain of certificates.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key can be read by others.
    #[error("the key {} is open to other users (mode {mode:04o}): chmod 600 {}", path.display(), path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no PEM file of the kind that is needed.
    #[error("there is no {what} in PEM form in {}{}", path.display(), problem.as_ref().map(|p| format!(": {p}")).unwrap_or_default())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// Certificate or key.
        what: &'static str,
        /// What is wrong with it, where that is known.
        problem: Option<String>,
    },
    /// Certificate and key do not go together, or are of a kind that cannot be used.
    #[error("the certificate {} cannot be used with the key {}: {source}", certificate.display(), key.display())]
    Unusable {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// What TLS is spoken with: version 1.2 or 1.3, HTTP/1.1.
pub(super) fn server_config(settings: &HttpTls) -> Result<Arc<ServerConfig>, TlsError> {
    let (certificate, key) = (&*located(&settings.certificate), &*located(&settings.key));
    let not_pem = |path: &Path, what, problem: Option<String>| TlsError::NotPem {
        path: path.to_owned(),
        what,
        problem,
    };
    let pem = read(certificate, false)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| not_pem(certificate, "certificate", Some(error.to_string())))?;
    if chain.is_empty() {
        return Err(not_pem(certificate, "certificate", None));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key, true)?).map_err(|_| not_pem(key, "key", None))?;
    let unusable =
        |source| TlsError::Unusable { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(path: &Path, is_private: bool) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if is_private && mode & 0o027 != 0 {
        return Err(TlsError::TooOpen { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_PEM_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn certificate_and_key_have_to_be_there_private_and_of_one_kind() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let made = rcgen::generate_simple_self_signed(["door.example".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["door.example".to_owned()]).unwrap();
        let certificate = write("c.pem", &made.cert.pem(), 0o644);
        let key = write("k.pem", &made.signing_key.serialize_pem(), 0o600);
        let config = |certificate: &PathBuf, key: &PathBuf| {
            server_config(&HttpTls { certificate: certificate.clone(), key: key.clone() })
        };
        assert!(config(&certificate, &key).is_ok());
        let open = write("open.pem", &made.signing_key.serialize_pem(), 0o644);
        assert!(matches!(config(&certificate, &open), Err(TlsError::TooOpen { mode: 0o644, .. })));
        let wrong = write("other.pem", &other.signing_key.serialize_pem(), 0o600);
        assert!(matches!(config(&certificate, &wrong), Err(TlsError::Unusable { .. })));
        assert!(matches!(config(&key, &key), Err(TlsError::NotPem { what: "certificate", .. })));
        let public = write("public.pem", &made.cert.pem(), 0o600);
        assert!(matches!(config(&certificate, &public), Err(TlsError::NotPem { what: "key", .. })));
        assert!(matches!(config(&"/nonexistent".into(), &key), Err(TlsError::Unreadable { .. })));
    }
}
