//! The packets that a client sends, the same for MQTT 3.1.1 and 5.

use bytes::Bytes;

/// The protocol's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.
    V5,
}

/// A packet of a client.
#[derive(Debug)]
pub(super) enum Packet {
    Connect(Box<Connect>),
    Publish(Publish),
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp,
    Subscribe(Box<Subscribe>),
    Unsubscribe(Box<Unsubscribe>),
    PingReq,
    Disconnect {
        /// As MQTT 5 numbers them; 0 for a 3.1.1 client.
        reason: u8,
        session_expiry_s: Option<u32>,
    },
}

#[derive(Debug)]
pub(super) struct Connect {
    pub(super) client_id: String,
    pub(super) clean: bool,
    /// 0 for none.
    pub(super) keep_alive_s: u16,
    pub(super) will: Option<Will>,
    /// How long to keep the session; `None` where the client could not say (3.1.1 without a clean session).
    pub(super) session_expiry_s: Option<u32>,
    pub(super) receive_max: u16,
    pub(super) packet_bytes_max: u32,
    pub(super) wants_response_information: bool,
    pub(super) wants_authentication: bool,
}

#[derive(Debug)]
pub(super) struct Will {
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
    pub(super) delay_s: u32,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// Those that subscribers get, as they were sent.
    pub(super) properties: Vec<u8>,
    pub(super) expiry_s: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Publish {
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// 0 at QoS 0 only.
    pub(super) pkid: u16,
    pub(super) topic: Bytes,
    /// Its beginning, where it is [`oversized`](Self::oversized).
    pub(super) payload: Bytes,
    /// For a message whose packet is larger than a client may send.
    pub(super) oversized: Option<Box<Oversized>>,
    pub(super) alias: Option<u16>,
    pub(super) respond: Option<Box<Respond>>,
    /// As they were sent, without their length.
    pub(super) properties: Bytes,
}

/// What is known of a payload that was not kept.
#[derive(Debug)]
pub(super) struct Oversized {
    pub(super) payload_bytes: usize,
    pub(super) digest: [u8; 32],
}

/// Where a client wants the answer to a message.
#[derive(Debug)]
pub(super) struct Respond {
    pub(super) topic: String,
    pub(super) correlation: Option<Bytes>,
}

#[derive(Debug)]
pub(super) struct Subscribe {
    pub(super) pkid: u16,
    pub(super) filters: Vec<Filter>,
    pub(super) has_identifier: bool,
}

#[derive(Debug)]
pub(super) struct Filter {
    pub(super) path: String,
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) retained: Retained,
}

/// When a subscription brings retained messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retained {
    Always,
    IfNew,
    Never,
}

#[derive(Debug)]
pub(super) struct Unsubscribe {
    pub(super) pkid: u16,
    pub(super) filters: Vec<String>,
}

impl Publish {
    /// The payload as a document; nothing where it is larger than any.
    pub(super) fn document(&self) -> &[u8] {
        if self.oversized.is_some() { b"" } else { &self.payload }
    }
}
