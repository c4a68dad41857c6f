//! Servers whose certificates are right, or wrong in one way each.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::server::Server;
use super::{DONE, Files, LATER, check, notice, sink, still};
use facewarden::config::Webhook;
use facewarden::sinks::{Sink as _, SinkError, WebhookSink};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).unwrap()
}

/// A server with this certificate, issued by `by`.
fn server(params: &CertificateParams, by: &Authority) -> Server {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    server_with(certificate.der().clone(), &key)
}

fn server_with(certificate: CertificateDer<'static>, key: &KeyPair) -> Server {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    Server::start(Some(Arc::new(config)), |out| out.write_all(DONE.as_bytes()).unwrap())
}

fn settings(files: &Files, server: &Server, trusted: &str) -> Webhook {
    let mut settings = files.settings(&format!("https://localhost:{}/?s3cret", server.address.port()));
    settings.ca_file = Some(files.write("ca.pem", trusted.as_bytes()));
    settings
}

fn deliver(server: &Server, trusted: &str) -> Result<(), SinkError> {
    sink(&settings(&Files::new(), server, trusted)).deliver(&notice(1))
}

#[test]
fn a_certificate_from_the_named_authority_is_trusted() {
    let (right, other) = (authority("right"), authority("other"));
    let server = server(&params("localhost"), &right);
    deliver(&server, &right.pem()).unwrap();
    // One of several is enough.
    deliver(&server, &format!("{}{}", other.pem(), right.pem())).unwrap();
    assert_eq!(server.request().header("webhook-id"), notice(1).id.to_string());
}

#[test]
fn a_self_signed_certificate_can_be_named_itself() {
    let key = KeyPair::generate().unwrap();
    let certificate = params("localhost").self_signed(&key).unwrap();
    let server = server_with(certificate.der().clone(), &key);
    deliver(&server, &certificate.pem()).unwrap();
}

#[test]
fn a_bad_certificate_is_named_and_nothing_is_sent() {
    let (right, other) = (authority("right"), authority("other"));
    let namesake = authority("right");
    let mut expired = params("localhost");
    expired.not_after = date_time_ymd(2001, 1, 1);
    let mut early = params("localhost");
    early.not_before = date_time_ymd(4000, 1, 1);
    for (params, trusted, words) in [
        (expired, &right, "certificate has expired"),
        (early, &right, "certificate is not valid yet"),
        (
            params("door.example"),
            &right,
            "certificate is for another name: it is not for `localhost` but for",
        ),
        (params("localhost"), &other, "from an issuer that is not trusted here: name the issuer's"),
        (params("localhost"), &namesake, "another issuer of the same name"),
    ] {
        let server = server(&params, &right);
        check(&deliver(&server, &trusted.pem()).unwrap_err(), LATER, &[words, "localhost:"]);
        assert_eq!(server.more_requests(), 0);
    }
}

/// The certificates of the system are not trusted where others are named, and a private authority is not among them.
#[test]
fn without_a_file_the_system_decides() {
    let right = authority("right");
    let server = server(&params("localhost"), &right);
    let files = Files::new();
    let mut settings = settings(&files, &server, &right.pem());
    settings.ca_file = None;
    match WebhookSink::new(&settings, "main", Arc::new(still())) {
        Ok(mut sink) => check(&sink.deliver(&notice(1)).unwrap_err(), LATER, &["issuer that is not trusted"]),
        // A machine without any.
        Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
    }
}

#[test]
fn encryption_on_one_side_only_is_explained() {
    let right = authority("right");
    let plain = Server::answering(DONE);
    check(&deliver(&plain, &right.pem()).unwrap_err(), LATER, &["does not speak TLS"]);
    let encrypted = server(&params("localhost"), &right);
    let files = Files::new();
    let url = format!("http://{}/", encrypted.address);
    check(&files.sink(&url).deliver(&notice(1)).unwrap_err(), LATER, &["https"]);
    assert_eq!(encrypted.more_requests(), 0);
}
