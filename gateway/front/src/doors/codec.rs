//! What a client says, the same for MQTT 3.1.1 and 5: rumqttd's decoders, and the checks that they leave out.

use bytes::{Bytes, BytesMut};
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::v5::V5;
use rumqttd::protocol::{self as mqtt, Protocol, RetainForwardRule};

use super::framing::{Frame, kind};
use super::reason::Reason;

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
}

#[derive(Debug)]
pub(super) struct Publish {
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// 0 at QoS 0 only.
    pub(super) pkid: u16,
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
    pub(super) alias: Option<u16>,
    pub(super) respond: Option<Box<Respond>>,
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

/// The version that a connection's first packet asks for, or the one in which to refuse it; `None` when the packet is no CONNECT.
pub(super) fn version(packet: &[u8], frame: Frame) -> Option<Result<Version, Version>> {
    let body = packet.get(frame.body_at..).filter(|_| frame.kind() == kind::CONNECT)?;
    let (name_len, rest) = body.split_first_chunk()?;
    let name_len = usize::from(u16::from_be_bytes(*name_len));
    let (name, level) = (rest.get(..name_len)?, *rest.get(name_len)?);
    match (name, level) {
        (b"MQTT", 4) => Some(Ok(Version::V311)),
        (b"MQTT", 5) => Some(Ok(Version::V5)),
        (b"MQTT", 6..) => Some(Err(Version::V5)),
        (b"MQTT" | b"MQIsdp", _) => Some(Err(Version::V311)),
        _ => None,
    }
}

/// Reads one whole packet.
pub(super) fn decode(version: Version, frame: Frame, mut packet: BytesMut) -> Result<Packet, Reason> {
    let body = packet.get(frame.body_at..).ok_or(Reason::MALFORMED_PACKET)?;
    let first = body.first().copied();
    if frame.kind() == kind::DISCONNECT && version == Version::V5 && body.len() <= 1 {
        // The decoder insists on properties, which may be left out (MQTT 5 section 3.14.2.2.1).
        return Ok(Packet::Disconnect { reason: first.unwrap_or(0), session_expiry_s: None });
    }
    if frame.kind() == kind::CONNECT {
        check_connect_flags(version, body)?;
    }
    // The decoded packet keeps its id to itself.
    let pkid = if frame.kind() == kind::PUBLISH && frame.qos() > 0 { publish_pkid(body) } else { 0 };
    let len = packet.len();
    // The packet is whole: a decoder that asks for more bytes has met a wrong length within.
    let decoded = match version {
        Version::V311 => V4.read_mut(&mut packet, len),
        Version::V5 => V5.read_mut(&mut packet, len),
    }
    .map_err(|_| Reason::MALFORMED_PACKET)?;
    Ok(match decoded {
        mqtt::Packet::Publish(publish, properties) => Packet::Publish(self::publish(frame, pkid, publish, properties)?),
        mqtt::Packet::PubAck(ack, _) => Packet::PubAck(ack.pkid),
        mqtt::Packet::PubRec(ack, _) => Packet::PubRec(ack.pkid),
        mqtt::Packet::PubRel(ack, _) => Packet::PubRel(nonzero(ack.pkid)?),
        mqtt::Packet::PubComp(..) => Packet::PubComp,
        mqtt::Packet::PingReq(_) => Packet::PingReq,
        mqtt::Packet::Subscribe(subscribe, properties) => {
            Packet::Subscribe(Box::new(self::subscribe(subscribe, properties)?))
        }
        mqtt::Packet::Unsubscribe(mqtt::Unsubscribe { pkid, filters }, _) => {
            if filters.is_empty() {
                return Err(Reason::PROTOCOL_ERROR);
            }
            Packet::Unsubscribe(Box::new(Unsubscribe { pkid: nonzero(pkid)?, filters }))
        }
        mqtt::Packet::Disconnect(_, properties) => Packet::Disconnect {
            reason: first.unwrap_or(0),
            session_expiry_s: properties.and_then(|properties| properties.session_expiry_interval),
        },
        mqtt::Packet::Connect(connect, properties, will, will_properties, _) => {
            let delay_s = will_properties.and_then(|properties| properties.delay_interval).unwrap_or(0);
            let will = will.map(|will| Will { topic: will.topic, payload: will.message, delay_s });
            Packet::Connect(Box::new(self::connect(version, connect, properties, will)?))
        }
        _ => return Err(Reason::PROTOCOL_ERROR),
    })
}

fn connect(
    version: Version,
    connect: mqtt::Connect,
    properties: Option<mqtt::ConnectProperties>,
    will: Option<Will>,
) -> Result<Connect, Reason> {
    let mut decoded = Connect {
        client_id: connect.client_id,
        clean: connect.clean_session,
        keep_alive_s: connect.keep_alive,
        will,
        session_expiry_s: (version == Version::V5 || connect.clean_session).then_some(0),
        receive_max: u16::MAX,
        packet_bytes_max: u32::MAX,
        wants_response_information: false,
        wants_authentication: false,
    };
    if let Some(properties) = properties {
        decoded.session_expiry_s = Some(properties.session_expiry_interval.unwrap_or(0));
        decoded.receive_max = properties.receive_maximum.unwrap_or(u16::MAX);
        decoded.packet_bytes_max = properties.max_packet_size.unwrap_or(u32::MAX);
        decoded.wants_response_information = properties.request_response_info == Some(1);
        decoded.wants_authentication =
            properties.authentication_method.is_some() || properties.authentication_data.is_some();
        let flags = [properties.request_response_info, properties.request_problem_info];
        if decoded.receive_max == 0 || decoded.packet_bytes_max == 0 || flags.into_iter().flatten().any(|flag| flag > 1)
        {
            return Err(Reason::PROTOCOL_ERROR);
        }
    }
    Ok(decoded)
}

fn publish(
    frame: Frame,
    pkid: u16,
    publish: mqtt::Publish,
    properties: Option<mqtt::PublishProperties>,
) -> Result<Publish, Reason> {
    let mut decoded = Publish {
        qos: frame.qos(),
        retain: publish.retain,
        pkid,
        topic: publish.topic,
        payload: publish.payload,
        alias: None,
        respond: None,
    };
    if let Some(properties) = properties {
        if !properties.subscription_identifiers.is_empty() {
            return Err(Reason::PROTOCOL_ERROR);
        }
        decoded.alias = properties.topic_alias;
        let correlation = properties.correlation_data;
        decoded.respond = properties.response_topic.map(|topic| Box::new(Respond { topic, correlation }));
    }
    Ok(decoded)
}

fn subscribe(
    mqtt::Subscribe { pkid, filters }: mqtt::Subscribe,
    properties: Option<mqtt::SubscribeProperties>,
) -> Result<Subscribe, Reason> {
    let filters = filters
        .into_iter()
        .map(|filter| Filter {
            path: filter.path,
            qos: filter.qos as u8,
            no_local: filter.nolocal,
            retain_as_published: filter.preserve_retain,
            retained: match filter.retain_forward_rule {
                RetainForwardRule::OnEverySubscribe => Retained::Always,
                RetainForwardRule::OnNewSubscribe => Retained::IfNew,
                RetainForwardRule::Never => Retained::Never,
            },
        })
        .collect();
    let has_identifier = properties.is_some_and(|properties| properties.id.is_some());
    Ok(Subscribe { pkid: nonzero(pkid)?, filters, has_identifier })
}

fn nonzero(pkid: u16) -> Result<u16, Reason> {
    if pkid == 0 { Err(Reason::PROTOCOL_ERROR) } else { Ok(pkid) }
}

/// The packet id of a PUBLISH: it follows the topic. The decoder refuses 0 and what is too short.
fn publish_pkid(body: &[u8]) -> u16 {
    let read = |at: usize| body.get(at..)?.first_chunk().copied().map(u16::from_be_bytes);
    read(0).and_then(|topic_len| read(2 + usize::from(topic_len))).unwrap_or(0)
}

fn check_connect_flags(version: Version, body: &[u8]) -> Result<(), Reason> {
    const RESERVED: u8 = 0x01;
    const PASSWORD: u8 = 0x40;
    const USER_NAME: u8 = 0x80;
    // Behind "MQTT" with its length, and the level.
    let flags = body.get(7).copied().ok_or(Reason::MALFORMED_PACKET)?;
    let password_alone = flags & (PASSWORD | USER_NAME) == PASSWORD;
    if flags & RESERVED != 0 || (version == Version::V311 && password_alone) {
        return Err(Reason::MALFORMED_PACKET);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doors::framing;

    fn read(version: Version, bytes: &[u8]) -> Result<Packet, Reason> {
        let frame = framing::peek(bytes, 8192)?.ok_or(Reason::MALFORMED_PACKET)?;
        decode(version, frame, frame.take(&mut BytesMut::from(bytes)))
    }

    #[test]
    fn the_level_in_connect_chooses_the_version() {
        for (name, level, expected) in [
            (&b"MQTT"[..], 4, Some(Ok(Version::V311))),
            (b"MQTT", 5, Some(Ok(Version::V5))),
            (b"MQTT", 6, Some(Err(Version::V5))),
            (b"MQIsdp", 3, Some(Err(Version::V311))),
            (b"HTTP", 4, None),
        ] {
            let mut bytes = vec![0x10, 20, 0, u8::try_from(name.len()).unwrap()];
            bytes.extend_from_slice(name);
            bytes.push(level);
            bytes.resize(22, 0);
            let frame = framing::peek(&bytes, 100).unwrap().unwrap();
            assert_eq!(version(&bytes, frame), expected);
        }
    }

    #[test]
    fn a_publish_shows_its_id_and_quality() {
        for (version, bytes) in
            [(Version::V311, &b"\x3C\x07\x00\x01t\x01\x02hi"[..]), (Version::V5, b"\x3C\x08\x00\x01t\x01\x02\x00hi")]
        {
            let Ok(Packet::Publish(publish)) = read(version, bytes) else { panic!("{version:?}") };
            assert_eq!(
                (publish.qos, publish.pkid, &publish.topic[..], &publish.payload[..]),
                (2, 0x102, &b"t"[..], &b"hi"[..])
            );
        }
    }

    #[test]
    fn what_the_decoders_let_pass_is_refused() {
        for (version, bytes) in [
            (Version::V311, &b"\x10\x0E\x00\x04MQTT\x04\x03\x00\x00\x00\x02id"[..]),
            (Version::V311, b"\x10\x11\x00\x04MQTT\x04\x42\x00\x00\x00\x02id\x00\x01p"),
            (Version::V311, b"\x82\x06\x00\x00\x00\x01a\x00"),
            (Version::V5, b"\xA2\x03\x00\x01\x00"),
            (Version::V5, b"\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x00"),
            (Version::V311, b"\x32\x05\x00\x01t\x00\x00"),
            (Version::V311, b"\x32\x03\x00\x01t"),
            (Version::V311, b"\x30\x02\x00\x09"),
            (Version::V311, b"\xE0\x01\x00"),
        ] {
            assert!(read(version, bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_disconnect_may_leave_its_properties_out() {
        let Ok(Packet::Disconnect { reason: 4, .. }) = read(Version::V5, b"\xE0\x01\x04") else { panic!() };
        let Ok(Packet::Disconnect { reason: 0, .. }) = read(Version::V311, b"\xE0\x00") else { panic!() };
    }

    /// Good packets to mutate.
    fn samples() -> Vec<Vec<u8>> {
        let mut connect =
            b"\x10\x00\x00\x04MQTT\x05\xC6\x00\x3C\x08\x11\x00\x00\x00\x0A\x21\x00\x0A\x00\x04door".to_vec();
        connect.extend_from_slice(b"\x05\x18\x00\x00\x00\x01\x00\x01w\x00\x01x\x00\x01u\x00\x01p");
        connect[1] = u8::try_from(connect.len() - 2).unwrap();
        vec![
            connect,
            b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3C\x00\x06door-a".to_vec(),
            b"\x32\x14\x00\x03a/b\x00\x01\x09\x08\x00\x03r/s\x09\x00\x00{}".to_vec(),
            b"\x32\x09\x00\x03a/b\x00\x01{}".to_vec(),
            b"\x82\x09\x00\x01\x00\x00\x03a/b\x01".to_vec(),
            b"\x82\x08\x00\x01\x00\x03a/b\x01".to_vec(),
            b"\xA2\x08\x00\x01\x00\x00\x03a/b".to_vec(),
            b"\xA2\x07\x00\x01\x00\x03a/b".to_vec(),
            b"\x40\x02\x00\x01".to_vec(),
            b"\x50\x04\x00\x01\x10\x00".to_vec(),
            b"\x62\x02\x00\x01".to_vec(),
            b"\xE0\x07\x00\x05\x11\x00\x00\x00\x01".to_vec(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn no_bytes_make_framing_or_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), v5: bool) {
            drop(read(if v5 { Version::V5 } else { Version::V311 }, &bytes));
        }

        #[test]
        fn no_mutated_packet_makes_them_panic(
            pick in any::<proptest::sample::Index>(),
            edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<proptest::sample::Index>(),
            fix_length: bool,
            v5: bool,
        ) {
            let samples = samples();
            let mut bytes = samples[pick.index(samples.len())].clone();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut.index(4).min(bytes.len() - 2));
            if fix_length {
                bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
            }
            let version = if v5 { Version::V5 } else { Version::V311 };
            if let Ok(Some(frame)) = framing::peek(&bytes, 8192) {
                self::version(&bytes, frame);
            }
            drop(read(version, &bytes));
        }
    }
}
