//! One connection to a broker, in either version of the protocol. Only this file and `failure.rs` know the library.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5::{Packet as Packet5, PubAckReason, PublishProperties};
use rumqttc::{Event as Event4, NetworkOptions, Outgoing, Packet as Packet4, TlsConfiguration, Transport};
use rustls::ClientConfig;

use super::failure::{Failure, FailureKind};
use super::message::Message;
use crate::config::MqttVersion;

/// Nothing that is published is larger than this, in bytes; what the broker sends need not be.
pub(super) const MAX_PACKET_BYTES: u32 = 512 * 1024;
/// So many publishes are under way at most.
const MAX_IN_FLIGHT: u16 = 64;

/// All that is needed to connect.
pub(super) struct Plan {
    pub(super) version: MqttVersion,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) client_id: String,
    /// Name and password.
    pub(super) login: Option<(String, String)>,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) keep_alive: Duration,
    /// Published by the broker when this client vanishes.
    pub(super) will: Option<Message>,
    pub(super) timeout: Duration,
    /// So many messages may be handed over at once.
    pub(super) most_waiting: usize,
}

/// Hands messages to the connection. Clones lead to the same one.
#[derive(Clone)]
pub(super) enum Client {
    V311(rumqttc::Client),
    V5(v5::Client),
}

/// The connection. Nothing goes in or out while nobody polls it.
pub(super) enum Connection {
    V311(Box<rumqttc::Connection>),
    V5(Box<v5::Connection>),
}

/// What happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// The broker let this client in.
    Connected,
    /// The broker has a message.
    Confirmed,
    /// The broker does not take a message.
    Refused {
        /// Why.
        reason: String,
        /// It would not take it later either.
        is_final: bool,
    },
    /// This side said good-bye.
    Disconnected,
    /// Something that needs no answer.
    Other,
}

/// A fresh connection that nothing is left over from. It is made when it is first polled.
pub(super) fn open(plan: &Plan) -> (Client, Connection) {
    match plan.version {
        MqttVersion::V311 => open_v311(plan),
        MqttVersion::V5 => open_v5(plan),
    }
}

fn transport(plan: &Plan) -> Transport {
    match &plan.tls {
        Some(config) => Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(config))),
        None => Transport::tcp(),
    }
}

/// The library counts whole seconds; the exact limit is kept by whoever polls.
fn whole_seconds(timeout: Duration) -> u64 {
    timeout.as_secs() + 1
}

fn network(plan: &Plan) -> NetworkOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(whole_seconds(plan.timeout));
    network
}

fn open_v311(plan: &Plan) -> (Client, Connection) {
    let mut options = rumqttc::MqttOptions::new(plan.client_id.clone(), plan.host.clone(), plan.port);
    let max_bytes = usize::try_from(MAX_PACKET_BYTES).unwrap_or(usize::MAX);
    options
        .set_transport(transport(plan))
        .set_keep_alive(plan.keep_alive)
        .set_clean_session(true)
        .set_inflight(MAX_IN_FLIGHT)
        .set_max_packet_size(max_bytes, max_bytes);
    if let Some(Message { topic, payload, is_retained, .. }) = plan.will.clone() {
        options.set_last_will(rumqttc::LastWill::new(topic, payload, rumqttc::QoS::AtLeastOnce, is_retained));
    }
    if let Some((user, password)) = &plan.login {
        options.set_credentials(user.clone(), password.clone());
    }
    let (client, mut connection) = rumqttc::Client::new(options, plan.most_waiting);
    connection.eventloop.set_network_options(network(plan));
    (Client::V311(client), Connection::V311(Box::new(connection)))
}

fn open_v5(plan: &Plan) -> (Client, Connection) {
    let mut options = v5::MqttOptions::new(plan.client_id.clone(), plan.host.clone(), plan.port);
    options
        .set_transport(transport(plan))
        .set_keep_alive(plan.keep_alive)
        .set_clean_start(true)
        .set_outgoing_inflight_upper_limit(MAX_IN_FLIGHT)
        .set_max_packet_size(Some(MAX_PACKET_BYTES))
        .set_network_options(network(plan))
        .set_connection_timeout(whole_seconds(plan.timeout));
    if let Some(Message { topic, payload, is_retained, .. }) = plan.will.clone() {
        let qos = v5::mqttbytes::QoS::AtLeastOnce;
        options.set_last_will(v5::mqttbytes::v5::LastWill::new(topic, payload, qos, is_retained, None));
    }
    if let Some((user, password)) = &plan.login {
        options.set_credentials(user.clone(), password.clone());
    }
    let (client, connection) = v5::Client::new(options, plan.most_waiting);
    (Client::V5(client), Connection::V5(Box::new(connection)))
}

impl Client {
    /// Hands a message over without waiting.
    ///
    /// # Errors
    /// If too many wait already.
    pub(super) fn publish(&self, message: &Message) -> Result<(), Failure> {
        let Message { topic, payload, is_retained, is_confirmed, expires_in_s } = message.clone();
        let handed_over = match self {
            Self::V311(client) => {
                let qos = if is_confirmed { rumqttc::QoS::AtLeastOnce } else { rumqttc::QoS::AtMostOnce };
                client.try_publish(topic, qos, is_retained, payload).is_ok()
            }
            Self::V5(client) => {
                use v5::mqttbytes::QoS;
                let qos = if is_confirmed { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                let properties = PublishProperties {
                    message_expiry_interval: expires_in_s,
                    ..PublishProperties::default()
                };
                client.try_publish_with_properties(topic, qos, is_retained, payload, properties).is_ok()
            }
        };
        let full = || Failure::new(FailureKind::Lost, "the connection takes no more messages");
        if handed_over { Ok(()) } else { Err(full()) }
    }

    /// Says good-bye, so that the broker keeps the will to itself.
    pub(super) fn disconnect(&self) {
        // Where that is not possible any more, the connection is dropped, and the will says the same.
        match self {
            Self::V311(client) => drop(client.try_disconnect()),
            Self::V5(client) => drop(client.try_disconnect()),
        }
    }
}

impl Connection {
    /// Lets the connection work for at most `within`, and gives back the next thing that happens. `None` if nothing
    /// did; a connection that was being made is then given up.
    ///
    /// # Errors
    /// If there is no connection (any more).
    pub(super) fn poll(&mut self, within: Duration) -> Result<Option<Happening>, Failure> {
        match self {
            Self::V311(connection) => match connection.recv_timeout(within) {
                Ok(Ok(event)) => Ok(Some(of_v311(&event))),
                Ok(Err(error)) => Err(Failure::of_v311(&error)),
                Err(rumqttc::RecvTimeoutError::Timeout) => Ok(None),
                Err(rumqttc::RecvTimeoutError::Disconnected) => Ok(Some(Happening::Disconnected)),
            },
            Self::V5(connection) => match connection.recv_timeout(within) {
                Ok(Ok(event)) => Ok(Some(of_v5(&event))),
                Ok(Err(error)) => Err(Failure::of_v5(&error)),
                Err(v5::RecvTimeoutError::Timeout) => Ok(None),
                Err(v5::RecvTimeoutError::Disconnected) => Ok(Some(Happening::Disconnected)),
            },
        }
    }
}

fn of_v311(event: &Event4) -> Happening {
    match event {
        Event4::Incoming(Packet4::ConnAck(_)) => Happening::Connected,
        Event4::Incoming(Packet4::PubAck(_)) => Happening::Confirmed,
        Event4::Outgoing(Outgoing::Disconnect) => Happening::Disconnected,
        _ => Happening::Other,
    }
}

fn of_v5(event: &v5::Event) -> Happening {
    match event {
        v5::Event::Incoming(Packet5::ConnAck(_)) => Happening::Connected,
        v5::Event::Incoming(Packet5::PubAck(ack)) => match ack.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Happening::Confirmed,
            reason => Happening::Refused {
                reason: format!("{reason:?}"),
                is_final: matches!(
                    reason,
                    PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid
                ),
            },
        },
        v5::Event::Outgoing(Outgoing::Disconnect) => Happening::Disconnected,
        _ => Happening::Other,
    }
}
