//! Whom TLS trusts, and what it means when it does not: for every sink that speaks TLS.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CertificateError, InvalidMessage, RootCertStore};

/// Larger than the collection of any system.
const MAX_PEM_BYTES: u64 = 8 << 20;

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("cannot read the certificates in {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no PEM file, or one that was cut off.
    #[error("{} is not a file of certificates in PEM form: {problem}", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate in it cannot be one that is trusted.
    #[error("certificate {number} in {} cannot be used: {problem}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// The how many-th in that file, from 1.
        number: usize,
        /// What is wrong with it.
        problem: rustls::Error,
    },
    /// There is nobody whom this system trusts.
    #[error(
        "this system has no trusted certificates{}: install the package ca-certificates, or name a `ca_file`",
        if problems.is_empty() { String::new() } else { format!(" ({problems})") }
    )]
    NoneOnSystem {
        /// What was wrong while they were looked for; empty where there was just nothing.
        problems: String,
    },
}

/// The certificates that are trusted: all those in `ca_file` (PEM) and no others, or those of the system where no
/// file is named. Each was found to be usable as a trust anchor, and there is at least one.
///
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` in the environment say where those of the system are, as for other programs.
///
/// # Errors
/// [`RootsError`].
pub(super) fn trusted_roots(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    match ca_file {
        Some(path) => certificates(path),
        None => from_system(),
    }
}

/// The same as a store.
///
/// # Errors
/// [`RootsError`].
pub(super) fn root_store(ca_file: Option<&Path>) -> Result<RootCertStore, RootsError> {
    let mut store = RootCertStore::empty();
    // Each was found to be usable.
    store.add_parsable_certificates(trusted_roots(ca_file)?);
    Ok(store)
}

/// The certificates in a file (PEM), at least one.
///
/// # Errors
/// [`RootsError`], but never [`RootsError::NoneOnSystem`].
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let path = &*crate::config::located(path);
    let unreadable = |source| RootsError::Unreadable { path: path.to_owned(), source };
    let not_pem = |problem: String| RootsError::NotPem { path: path.to_owned(), problem };
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_PEM_BYTES + 1).read_to_end(&mut pem))
        .map_err(unreadable)?;
    if pem.len() as u64 > MAX_PEM_BYTES {
        return Err(not_pem(format!("it is larger than {MAX_PEM_BYTES} bytes")));
    }
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|problem| not_pem(problem.to_string()))?;
    if certificates.is_empty() {
        return Err(not_pem("there is no certificate in it".into()));
    }
    let mut store = RootCertStore::empty();
    for (at, certificate) in certificates.iter().enumerate() {
        let unusable = |problem| RootsError::Unusable { path: path.to_owned(), number: at + 1, problem };
        store.add(certificate.clone()).map_err(unusable)?;
    }
    Ok(certificates)
}

fn from_system() -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let mut found = rustls_native_certs::load_native_certs();
    // Collections have old certificates in them that nothing can read any more: those are left out, as everywhere.
    found.certs.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    let problems = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if found.certs.is_empty() {
        return Err(RootsError::NoneOnSystem { problems });
    }
    if !problems.is_empty() {
        tracing::warn!("not all trusted certificates of this system can be read: {problems}");
    }
    Ok(found.certs)
}

/// What went wrong with TLS and what to do, for an operator. Begins in lower case and ends without a full stop.
pub(super) fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(problem) => explain_certificate(problem),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what answers there does not speak TLS: is the port right?".into()
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::AccessDenied,
        ) => "the server does not accept this client's certificate, or wants one".into(),
        other => format!("TLS failed: {other}"),
    }
}

fn explain_certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: renew it, or set this machine's clock".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: set this machine's clock, or the server's".into()
        }
        CertificateError::UnknownIssuer => {
            "its certificate is from an issuer that is not trusted here: name the issuer's certificate in \
             `ca_file`; if it is the right one, the server does not send the certificates in between"
                .into()
        }
        CertificateError::BadSignature => {
            "its certificate is from another issuer of the same name as one that is trusted here: was the issuer's \
             certificate made anew? Then put the new one into `ca_file`"
                .into()
        }
        CertificateError::NotValidForName => "its certificate is for another name".into(),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "its certificate is for another name: it is not for `{}` but for {}",
            expected.to_str(),
            if presented.is_empty() { "none at all".into() } else { shown(presented) },
        ),
        CertificateError::Revoked => "its certificate was revoked".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one for servers".into()
        }
        other => format!("its certificate cannot be trusted: {other}"),
    }
}

/// Names that the other side gave, cut to a length that fits into a log.
fn shown(names: &[String]) -> String {
    const MOST: usize = 4;
    let mut out: Vec<String> =
        names.iter().take(MOST).map(|name| name.escape_debug().take(100).collect()).collect();
    if names.len() > MOST {
        out.push("others".into());
    }
    out.join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn from(pem: &[u8]) -> Result<usize, RootsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, pem).unwrap();
        trusted_roots(Some(&path)).map(|roots| roots.len())
    }

    fn certificate() -> String {
        rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn a_file_of_certificates_is_taken_whole_or_not_at_all() {
        let two = format!("For the door:\n{}\n{}", certificate(), certificate());
        assert_eq!(from(two.as_bytes()).unwrap(), 2);
        let cut_off = &two[..two.len() - 10];
        let not_base64 = two.replacen("MII", "!!!", 1);
        for odd in
            [b"".as_slice(), b"\xff\xfe", b"no certificates", cut_off.as_bytes(), not_base64.as_bytes()]
        {
            let error = from(odd).unwrap_err();
            assert!(matches!(&error, RootsError::NotPem { .. }), "{error}");
            assert!(error.to_string().contains("ca.pem"), "{error}");
        }
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = from(format!("{two}{no_certificate}").as_bytes()).unwrap_err();
        assert!(matches!(&error, RootsError::Unusable { number: 3, .. }), "{error}");
        assert!(matches!(trusted_roots(Some(Path::new("/nonexistent"))), Err(RootsError::Unreadable { .. })));
        assert!(matches!(trusted_roots(Some(Path::new("/"))), Err(RootsError::Unreadable { .. })));
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let error = trusted_roots(Some(Path::new("/dev/zero"))).unwrap_err();
        assert!(error.to_string().contains("larger than"), "{error}");
    }

    #[test]
    fn names_of_the_other_side_cannot_break_a_log() {
        let names = vec!["a\nb".to_owned(), "x".repeat(1000), "c".into(), "d".into(), "e".into()];
        let text = shown(&names);
        assert!(text.starts_with("a\\nb, xxx") && text.ends_with("c, d, others"), "{text}");
        assert!(text.len() < 150, "{text}");
    }
}
