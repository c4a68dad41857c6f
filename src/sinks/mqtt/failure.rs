//! What can go wrong with a connection, and what whoever runs the daemon can do about it.

use std::error::Error;
use std::io;

use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode as Code5, DisconnectReasonCode};
use rumqttc::{ConnectReturnCode as Code4, ConnectionError as Error4};
use rustls::CertificateError;

/// What went wrong. Each kind is said once in an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FailureKind {
    /// Nobody answers there, or it takes too long.
    Unreachable,
    /// There is no encrypted connection that can be trusted.
    Untrusted,
    /// The broker does not let this client in.
    Refused,
    /// The connection was lost.
    Lost,
    /// The broker takes no message so large.
    TooLarge,
    /// The other side does not keep to the protocol, or the library failed.
    Protocol,
}

/// A connection that did not come about, or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// What is wrong and what to do.
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// From the library's side of MQTT 3.1.1.
    pub(super) fn of_v311(error: &Error4) -> Self {
        match error {
            Error4::ConnectionRefused(code) => refused_v311(*code),
            Error4::NetworkTimeout | Error4::FlushTimeout => {
                Self::new(FailureKind::Unreachable, "the broker takes too long")
            }
            Error4::MqttState(rumqttc::StateError::Deserialization(
                rumqttc::mqttbytes::Error::OutgoingPacketTooLarge { max, .. },
            )) => too_large(max),
            Error4::MqttState(rumqttc::StateError::ConnectionAborted) => closed(),
            Error4::MqttState(rumqttc::StateError::AwaitPingResp) => silent(),
            other => of_chain(other),
        }
    }

    /// From the library's side of MQTT 5.
    pub(super) fn of_v5(error: &v5::ConnectionError) -> Self {
        use v5::StateError;
        use v5::mqttbytes::Error as Wire;
        let v5::ConnectionError::MqttState(state) = error else {
            return match error {
                v5::ConnectionError::ConnectionRefused(code) => refused_v5(*code),
                v5::ConnectionError::Timeout(_) => {
                    Self::new(FailureKind::Unreachable, "the broker takes too long")
                }
                other => of_chain(other),
            };
        };
        match state {
            StateError::Deserialization(Wire::OutgoingPacketTooLarge { max, .. })
            | StateError::OutgoingPacketTooLarge { max, .. } => too_large(max),
            StateError::ConnectionAborted => closed(),
            StateError::AwaitPingResp => silent(),
            StateError::ServerDisconnect { reason_code: DisconnectReasonCode::SessionTakenOver, .. } => {
                Self::new(
                    FailureKind::Refused,
                    "another client came with the same `client_id` (SessionTakenOver): give each its own",
                )
            }
            StateError::ServerDisconnect { reason_code, .. } => {
                Self::new(FailureKind::Lost, format!("the broker ended the connection ({reason_code:?})"))
            }
            StateError::Deserialization(error) => of_chain(error),
            other => of_chain(other),
        }
    }
}

fn too_large(max: impl std::fmt::Display) -> Failure {
    Failure::new(
        FailureKind::TooLarge,
        format!("the message is larger than the {max} bytes that may be sent"),
    )
}

fn closed() -> Failure {
    Failure::new(FailureKind::Lost, "the broker closed the connection")
}

fn silent() -> Failure {
    Failure::new(FailureKind::Lost, "the broker gives no sign of life")
}

fn refused_v311(code: Code4) -> Failure {
    let advice = match code {
        Code4::BadUserNamePassword | Code4::NotAuthorized => {
            "check `user` and the password in `password_file`"
        }
        Code4::BadClientId => "it does not take this `client_id`",
        Code4::RefusedProtocolVersion => "it does not speak MQTT 3.1.1",
        Code4::ServiceUnavailable | Code4::Success => "it is not available now",
    };
    Failure::new(FailureKind::Refused, format!("the broker refuses this client ({code:?}): {advice}"))
}

fn refused_v5(code: Code5) -> Failure {
    let advice = match code {
        Code5::BadUserNamePassword | Code5::NotAuthorized | Code5::BadAuthenticationMethod => {
            "check `user` and the password in `password_file`"
        }
        Code5::BadClientId | Code5::ClientIdentifierNotValid => "it does not take this `client_id`",
        Code5::RefusedProtocolVersion | Code5::UnsupportedProtocolVersion => {
            "it does not speak MQTT 5: set `version: \"3.1.1\"`"
        }
        Code5::TopicNameInvalid => "it does not take `topic_prefix`",
        _ => "the broker's own log says more",
    };
    Failure::new(FailureKind::Refused, format!("the broker refuses this client ({code:?}): {advice}"))
}

/// Looks through what caused the error for something that can be told apart.
fn of_chain(error: &(dyn Error + 'static)) -> Failure {
    let mut link = Some(error);
    while let Some(cause) = link {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return untrusted(tls);
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            // What is inside is not among the causes that an I/O error names.
            return match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(tls) => untrusted(tls),
                None => of_io(io),
            };
        }
        link = cause.source();
    }
    Failure::new(FailureKind::Protocol, format!("the broker is not understood: {error}"))
}

fn of_io(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::new(
            FailureKind::Unreachable,
            "nothing listens there (connection refused): is the broker running?",
        ),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => Failure::new(FailureKind::Lost, "the broker closed the connection"),
        _ => Failure::new(FailureKind::Unreachable, format!("the broker cannot be reached: {error}")),
    }
}

fn untrusted(error: &rustls::Error) -> Failure {
    use CertificateError as C;
    let message = match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => {
            "the broker's certificate comes from nobody who is trusted (unknown issuer): name its CA in `tls.ca_file`"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "the broker's certificate has expired: renew it, or set this machine's clock".to_owned()
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "the broker's certificate is not valid yet: set this machine's clock".to_owned()
        }
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "the broker's certificate is for another host name: write `host` as the certificate does".to_owned()
        }
        rustls::Error::InvalidCertificate(C::BadSignature) => {
            "the broker's certificate was not signed by the CA in `tls.ca_file` (bad signature)".to_owned()
        }
        rustls::Error::InvalidMessage(_) => {
            "what answers there does not speak TLS: check `port`, or leave `tls` out".to_owned()
        }
        rustls::Error::AlertReceived(alert) => {
            format!("the broker ended the encrypted connection ({alert:?}): check `tls.certificate_file` and `key_file`")
        }
        other => format!("no encrypted connection: {other}"),
    };
    Failure::new(FailureKind::Untrusted, message)
}
