//! Passwords and certificates.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;

use facewarden::config::{Mqtt, MqttVersion};
use facewarden::sinks::{Fate, Sink as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use serde_json::json;

use super::broker::{self, Broker, private};
use super::{BOTH, deliver, notice, settings, sink};
use crate::support::{LONG, eventually};

// ---- passwords ----

#[test]
fn a_wrong_password_is_said_once_with_what_to_do() {
    if !broker::is_there() {
        return;
    }
    for version in BOTH {
        let broker = broker::with_password("door", "right");
        let file = broker.folder.path().join("own");
        private(&file, "wrong\n");
        let settings =
            Mqtt { version, ..settings(broker.port, json!({ "user": "door", "password_file": file })) };
        let mut wrong = sink(&settings);
        let stats = wrong.stats();
        eventually("attempts", || stats.failed_attempts.load(Ordering::Relaxed) >= 5);
        assert_eq!(stats.warnings.load(Ordering::Relaxed), 1);
        eventually("the reason", || {
            wrong.deliver(&notice(1)).is_err_and(|error| {
                assert!(!error.message.contains("wrong"), "a password is in no message");
                error.message.contains("refuses") && error.message.contains("check `user` and the password")
            })
        });
        assert_eq!(stats.connections.load(Ordering::Relaxed), 0);
        private(&file, "right\n");
        let mut right = sink(&settings);
        deliver(&mut right, &notice(1));
        right.close(LONG);
        wrong.close(LONG);
    }
}

#[test]
fn a_password_that_everybody_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own");
    fs::write(&file, "s3cret\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let settings = settings(1, json!({ "user": "door", "password_file": file }));
    let clock = std::sync::Arc::new(facewarden::clock::SystemClock::new());
    let error = facewarden::sinks::MqttSink::new(&settings, "home", &[], clock).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn what_the_brokers_rules_forbid_is_said_and_kept_for_later() {
    if !broker::is_there() {
        return;
    }
    let broker = Broker::with("allow_anonymous true\nacl_file {folder}/rules\n", |folder| {
        private(
            &folder.join("rules"),
            "topic readwrite facewarden/home/availability\ntopic readwrite listener/#\n",
        );
    });
    let mut sink = sink(&Mqtt { version: MqttVersion::V5, ..settings(broker.port, json!({})) });
    let stats = sink.stats();
    let error = sink.deliver(&notice(1)).unwrap_err();
    assert!(matches!(error.fate, Fate::Later { .. }), "the rules may be changed");
    assert!(error.message.contains("NotAuthorized"), "{error}");
    assert!(stats.is_restricted.load(Ordering::Relaxed), "states and devices are forbidden too");
    assert_eq!(stats.failed_attempts.load(Ordering::Relaxed), 0, "the connection is kept");
    sink.close(LONG);
    broker.listener().wait("facewarden/home/availability", "offline");
}

// ---- certificates ----

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key of a server (or client) with this name.
fn signed(ca: &Ca, name: &str, last_year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    (params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}

fn broker_with_tls(ca: &Ca, (certificate, key): (String, String), more: &str) -> Broker {
    let settings = format!(
        "allow_anonymous true\ncafile {{folder}}/ca.pem\ncertfile {{folder}}/server.pem\nkeyfile {{folder}}/server.key\n{more}"
    );
    Broker::with(&settings, |folder| {
        fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
        fs::write(folder.join("server.pem"), certificate).unwrap();
        private(&folder.join("server.key"), &key);
    })
}

fn encrypted(broker: &Broker, tls: serde_json::Value) -> Mqtt {
    settings(broker.port, json!({ "host": "localhost", "tls": tls }))
}

#[test]
fn with_the_right_ca_it_is_encrypted() {
    if !broker::is_there() {
        return;
    }
    let ca = ca("right");
    let broker = broker_with_tls(&ca, signed(&ca, "localhost", 4000), "");
    let file = broker.folder.path().join("ca.pem");
    for version in BOTH {
        let mut sink = sink(&Mqtt { version, ..encrypted(&broker, json!({ "ca_file": file })) });
        deliver(&mut sink, &notice(1));
        sink.close(LONG);
    }
}

#[test]
fn a_certificate_that_is_wrong_in_one_way_is_refused_and_the_way_is_named() {
    if !broker::is_there() {
        return;
    }
    let (right, wrong) = (ca("right"), ca("wrong"));
    for (certificate, part) in [
        (signed(&wrong, "localhost", 4000), "unknown issuer"),
        (signed(&right, "localhost", 2001), "has expired"),
        (signed(&right, "broker.example.org", 4000), "another host name"),
    ] {
        let broker = broker_with_tls(&right, certificate, "");
        let file = broker.folder.path().join("ca.pem");
        for version in BOTH {
            let mut sink = sink(&Mqtt { version, ..encrypted(&broker, json!({ "ca_file": file })) });
            let stats = sink.stats();
            eventually("attempts", || stats.failed_attempts.load(Ordering::Relaxed) >= 3);
            assert_eq!(stats.warnings.load(Ordering::Relaxed), 1);
            let mut seen = String::new();
            eventually(part, || {
                seen = sink.deliver(&notice(1)).unwrap_err().message;
                // Between two attempts it is being connected.
                seen.contains("certificate")
            });
            assert!(seen.contains(part), "{seen}");
            assert_eq!(stats.connections.load(Ordering::Relaxed), 0);
            sink.close(LONG);
        }
    }
}

#[test]
fn a_client_certificate_lets_in_where_the_broker_asks_for_one() {
    if !broker::is_there() {
        return;
    }
    let ca = ca("right");
    let broker = broker_with_tls(&ca, signed(&ca, "localhost", 4000), "require_certificate true\n");
    let folder = broker.folder.path();
    let (certificate, key) = signed(&ca, "facewarden", 4000);
    private(&folder.join("own.pem"), &certificate);
    private(&folder.join("own.key"), &key);
    let ca_file = folder.join("ca.pem");
    let mut without = sink(&encrypted(&broker, json!({ "ca_file": ca_file })));
    let stats = without.stats();
    eventually("attempts", || stats.failed_attempts.load(Ordering::Relaxed) >= 3);
    assert_eq!(stats.connections.load(Ordering::Relaxed), 0);
    without.close(LONG);
    let own = json!({
        "ca_file": ca_file, "certificate_file": folder.join("own.pem"), "key_file": folder.join("own.key"),
    });
    let mut with = sink(&encrypted(&broker, own));
    deliver(&mut with, &notice(1));
    with.close(LONG);
}

#[test]
fn a_handshake_that_nobody_answers_ends_in_time() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, ca("right").pem()).unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut sink = sink(&settings(port, json!({ "timeout_ms": 300, "tls": { "ca_file": file } })));
    let stats = sink.stats();
    eventually("attempts", || stats.failed_attempts.load(Ordering::Relaxed) >= 2);
    eventually("the reason", || {
        sink.deliver(&notice(1)).is_err_and(|error| error.message.contains("within 300 ms"))
    });
    sink.close(LONG);
}
