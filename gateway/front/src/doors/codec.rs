//! What a client says, the same for MQTT 3.1.1 and 5. Every byte of a packet is accounted for, and what the standard forbids is refused
//! with the reason code that it asks for.
//!
//! Our own, since no library does this: `deploy/decisions/front.md` says which were tried. Nothing is copied but names.

use bytes::Bytes;

use super::fields::{Carrier, Properties, Reader, id};
use super::framing::{Frame, kind};
use super::packet::{Connect, Filter, Packet, Publish, Respond, Retained, Subscribe, Unsubscribe, Version, Will};
use super::reason::Reason;

/// Flags of a CONNECT.
const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// The version that a connection's first packet asks for, or the one in which to refuse it; `None` when the packet is no CONNECT. The
/// packet need not be there in full.
pub(super) fn version(packet: &[u8], frame: Frame) -> Option<Result<Version, Version>> {
    /// Set in the level by a server that connects as a bridge; it comes back without when it is refused as 3.1.1 refuses.
    const BRIDGE: u8 = 0x80;
    let body = packet.get(frame.body_at..).filter(|_| frame.kind() == kind::CONNECT)?;
    let (name_len, rest) = body.split_first_chunk()?;
    let name_len = usize::from(u16::from_be_bytes(*name_len));
    let (name, level) = (rest.get(..name_len)?, *rest.get(name_len)?);
    match (name, level) {
        (b"MQTT", 4) => Some(Ok(Version::V311)),
        (b"MQTT", 5) => Some(Ok(Version::V5)),
        (b"MQTT", 6..BRIDGE) => Some(Err(Version::V5)),
        (b"MQTT" | b"MQIsdp", _) => Some(Err(Version::V311)),
        _ => None,
    }
}

/// Reads one whole packet.
pub(super) fn decode(version: Version, frame: Frame, packet: &Bytes) -> Result<Packet, Reason> {
    let body = packet.get(frame.body_at..).ok_or(Reason::MALFORMED_PACKET)?;
    let mut reader = Reader::new(body);
    match frame.kind() {
        kind::CONNECT => connect(version, &mut reader, packet).map(|connect| Packet::Connect(Box::new(connect))),
        kind::PUBLISH => publish(version, frame, packet).map(|(publish, _)| Packet::Publish(publish)),
        kind::PUBACK => ack(version, &mut reader, is_publish_reason).map(Packet::PubAck),
        kind::PUBREC => ack(version, &mut reader, is_publish_reason).map(Packet::PubRec),
        kind::PUBREL => ack(version, &mut reader, is_release_reason).map(Packet::PubRel),
        kind::PUBCOMP => ack(version, &mut reader, is_release_reason).map(|_| Packet::PubComp),
        kind::SUBSCRIBE => subscribe(version, &mut reader).map(|subscribe| Packet::Subscribe(Box::new(subscribe))),
        kind::UNSUBSCRIBE => unsubscribe(version, &mut reader).map(|filters| Packet::Unsubscribe(Box::new(filters))),
        kind::PINGREQ => reader.end().map(|()| Packet::PingReq),
        kind::DISCONNECT => disconnect(version, &mut reader),
        _ => Err(Reason::PROTOCOL_ERROR),
    }
}

/// Reads a PUBLISH, of which the end may be missing; also where its payload begins, as an index into `packet`.
pub(super) fn publish(version: Version, frame: Frame, packet: &Bytes) -> Result<(Publish, usize), Reason> {
    let body = packet.get(frame.body_at..).ok_or(Reason::MALFORMED_PACKET)?;
    let mut reader = Reader::new(body);
    let topic = reader.text()?;
    let pkid = if frame.qos() > 0 { reader.packet_id()? } else { 0 };
    let properties = properties(version, &mut reader, Carrier::Publish)?;
    let payload = reader.rest();
    let payload_at = packet.len() - payload.len();
    let publish = Publish {
        qos: frame.qos(),
        retain: frame.head & 1 != 0,
        pkid,
        topic: packet.slice_ref(topic.as_bytes()),
        payload: packet.slice_ref(payload),
        oversized: None,
        alias: properties.number(id::TOPIC_ALIAS).and_then(|alias| u16::try_from(alias).ok()),
        respond: properties.value(id::RESPONSE_TOPIC).map(|topic| {
            let topic = String::from_utf8_lossy(topic).into_owned();
            let correlation = properties.value(id::CORRELATION).map(|bytes| packet.slice_ref(bytes));
            Box::new(Respond { topic, correlation })
        }),
        properties: packet.slice_ref(properties.block),
    };
    Ok((publish, payload_at))
}

/// The properties that subscribers of a message get, and its expiry in seconds.
pub(super) fn message_properties(block: &[u8]) -> (Vec<u8>, Option<u32>) {
    // As a PUBLISH has them; they were checked when it was read.
    let properties = Properties::checked(block);
    (properties.of_message(), properties.number(id::MESSAGE_EXPIRY))
}

fn connect(version: Version, reader: &mut Reader<'_>, packet: &Bytes) -> Result<Connect, Reason> {
    // The name and the level have chosen the version.
    reader.binary()?;
    reader.byte()?;
    let flags = reader.byte()?;
    check_connect_flags(version, flags)?;
    let keep_alive_s = reader.two()?;
    let properties = properties(version, reader, Carrier::Connect)?;
    let client_id = reader.text()?.to_owned();
    let will = (flags & WILL != 0).then(|| will(version, flags, reader, packet)).transpose()?;
    if flags & USER_NAME != 0 {
        reader.text()?;
    }
    // Any bytes; whoever connects is known by the certificate.
    if flags & PASSWORD != 0 {
        reader.binary()?;
    }
    reader.end()?;
    let clean = flags & CLEAN != 0;
    let said_s = properties.number(id::SESSION_EXPIRY).unwrap_or(0);
    let method = properties.has(id::AUTHENTICATION_METHOD);
    if properties.has(id::AUTHENTICATION_DATA) && !method {
        return Err(Reason::PROTOCOL_ERROR);
    }
    let receive_max = properties.number(id::RECEIVE_MAX).and_then(|max| u16::try_from(max).ok());
    Ok(Connect {
        client_id,
        clean,
        keep_alive_s,
        will,
        session_expiry_s: (version == Version::V5 || clean).then_some(said_s),
        receive_max: receive_max.unwrap_or(u16::MAX),
        packet_bytes_max: properties.number(id::PACKET_BYTES_MAX).unwrap_or(u32::MAX),
        wants_response_information: properties.number(id::REQUEST_RESPONSE) == Some(1),
        wants_authentication: method,
    })
}

fn check_connect_flags(version: Version, flags: u8) -> Result<(), Reason> {
    const RESERVED: u8 = 0x01;
    let without_will = flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0;
    let password_alone = version == Version::V311 && flags & (PASSWORD | USER_NAME) == PASSWORD;
    if flags & RESERVED != 0 || flags & WILL_QOS == WILL_QOS || without_will || password_alone {
        return Err(Reason::MALFORMED_PACKET);
    }
    Ok(())
}

fn will(version: Version, flags: u8, reader: &mut Reader<'_>, packet: &Bytes) -> Result<Will, Reason> {
    let properties = properties(version, reader, Carrier::Will)?;
    let topic = packet.slice_ref(reader.text()?.as_bytes());
    let payload = packet.slice_ref(reader.binary()?);
    Ok(Will {
        topic,
        payload,
        delay_s: properties.number(id::WILL_DELAY).unwrap_or(0),
        qos: (flags & WILL_QOS) >> 3,
        retain: flags & WILL_RETAIN != 0,
        properties: properties.of_message(),
        expiry_s: properties.number(id::MESSAGE_EXPIRY),
    })
}

fn subscribe(version: Version, reader: &mut Reader<'_>) -> Result<Subscribe, Reason> {
    let pkid = reader.packet_id()?;
    let properties = properties(version, reader, Carrier::Subscribe)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        let path = reader.text()?.to_owned();
        filters.push(filter(version, path, reader.byte()?)?);
    }
    if filters.is_empty() {
        return Err(Reason::PROTOCOL_ERROR);
    }
    Ok(Subscribe { pkid, filters, has_identifier: properties.has(id::SUBSCRIPTION_ID) })
}

fn filter(version: Version, path: String, options: u8) -> Result<Filter, Reason> {
    let qos = options & 0b11;
    let reserved = if version == Version::V5 { 0b1100_0000 } else { 0b1111_1100 };
    if options & reserved != 0 {
        return Err(Reason::MALFORMED_PACKET);
    }
    let retained = match options >> 4 {
        0 => Retained::Always,
        1 => Retained::IfNew,
        2 => Retained::Never,
        _ => return Err(Reason::PROTOCOL_ERROR),
    };
    let no_local = options & 0b100 != 0;
    // Section 3.8.3.1: nobody is local to a group.
    if qos == 3 || (no_local && path.starts_with("$share/")) {
        return Err(Reason::PROTOCOL_ERROR);
    }
    Ok(Filter { path, qos, no_local, retain_as_published: options & 0b1000 != 0, retained })
}

fn unsubscribe(version: Version, reader: &mut Reader<'_>) -> Result<Unsubscribe, Reason> {
    let pkid = reader.packet_id()?;
    properties(version, reader, Carrier::Unsubscribe)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(reader.text()?.to_owned());
    }
    if filters.is_empty() { Err(Reason::PROTOCOL_ERROR) } else { Ok(Unsubscribe { pkid, filters }) }
}

/// The packet id of an acknowledgement. Its reason and its properties may be left out, and are not used.
fn ack(version: Version, reader: &mut Reader<'_>, is_reason: fn(u8) -> bool) -> Result<u16, Reason> {
    let pkid = reader.packet_id()?;
    if version == Version::V5 && !reader.is_empty() {
        if !is_reason(reader.byte()?) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if !reader.is_empty() {
            properties(version, reader, Carrier::Ack)?;
        }
    }
    reader.end()?;
    Ok(pkid)
}

fn is_publish_reason(reason: u8) -> bool {
    matches!(reason, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
}

fn is_release_reason(reason: u8) -> bool {
    matches!(reason, 0x00 | 0x92)
}

fn disconnect(version: Version, reader: &mut Reader<'_>) -> Result<Packet, Reason> {
    let (mut reason, mut session_expiry_s) = (0, None);
    if version == Version::V5 && !reader.is_empty() {
        reason = reader.byte()?;
        // Those that a client may send (MQTT 5 section 3.14.2.1).
        if !matches!(reason, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if !reader.is_empty() {
            session_expiry_s = properties(version, reader, Carrier::Disconnect)?.number(id::SESSION_EXPIRY);
        }
    }
    reader.end()?;
    Ok(Packet::Disconnect { reason, session_expiry_s })
}

/// The properties that stand next in a packet; a 3.1.1 packet has none.
fn properties<'a>(version: Version, reader: &mut Reader<'a>, carrier: Carrier) -> Result<Properties<'a>, Reason> {
    match version {
        Version::V311 => Ok(Properties::default()),
        Version::V5 => reader.properties(carrier),
    }
}
