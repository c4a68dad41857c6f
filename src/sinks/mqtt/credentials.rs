//! Who this client is to the broker, and whom it trusts.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::MqttError;
use crate::config::located;
use crate::config::{Mqtt, MqttTls};
use crate::sinks::secret::{SecretError, read_secret};
use crate::sinks::tls::{certificates, root_store};

/// The name and password to log in with, if there is a name.
pub(super) fn login(settings: &Mqtt) -> Result<Option<(String, String)>, MqttError> {
    let Some(user) = &settings.user else { return Ok(None) };
    let password = settings.password_file.as_deref().map(read_secret).transpose()?.unwrap_or_default();
    Ok(Some((user.clone(), password)))
}

/// How an encrypted connection is made. The broker's certificate is verified, and so is its name.
pub(super) fn tls(settings: &MqttTls) -> Result<ClientConfig, MqttError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(MqttError::OwnCertificate)?
        .with_root_certificates(root_store(settings.ca_file.as_deref())?);
    match (&settings.certificate_file, &settings.key_file) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(MqttError::OwnCertificate),
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(_), None) | (None, Some(_)) => Err(MqttError::HalfACertificate),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, MqttError> {
    let path = &*located(path);
    let metadata = std::fs::metadata(path)
        .map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o027 != 0 {
        return Err(SecretError::TooOpen { path: path.to_owned(), mode }.into());
    }
    PrivateKeyDer::from_pem_file(path).map_err(|source| MqttError::Key { path: path.to_owned(), source })
}
