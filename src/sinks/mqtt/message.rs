//! One thing to publish, whichever version of the protocol carries it.

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// Kept by the broker for those who come later.
    pub(super) is_retained: bool,
    /// Quality of service 1, else 0.
    pub(super) is_confirmed: bool,
    /// After so long the broker is to throw it away (MQTT 5 only).
    pub(super) expires_in_s: Option<u32>,
}

impl Message {
    /// Confirmed, and kept for those who come later.
    pub(super) fn retained(topic: String, payload: impl Into<Vec<u8>>) -> Self {
        Self { is_retained: true, ..Self::confirmed(topic, payload) }
    }

    /// Confirmed by the broker, for those who listen.
    pub(super) fn confirmed(topic: String, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic, payload: payload.into(), is_retained: false, is_confirmed: true, expires_in_s: None }
    }

    /// For those who listen right now: quality of service 0 is not kept for anybody who is away.
    pub(super) fn momentary(topic: String, payload: impl Into<Vec<u8>>) -> Self {
        Self { is_confirmed: false, ..Self::confirmed(topic, payload) }
    }
}
