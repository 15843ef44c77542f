//! What a client is told, as bytes of its version of MQTT.
//!
//! Written here and not by rumqttd's encoders: those lack reason codes, panic on properties towards a 3.1.1 client, and want owned
//! copies on the path of every decision.

use bytes::{BufMut, BytesMut};

use super::packet::Version;
use super::reason::Reason;

/// Which acknowledgement, as the first byte of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// PUBACK.
    Published = 0x40,
    /// PUBREC.
    Received = 0x50,
    /// PUBREL.
    Release = 0x62,
    /// PUBCOMP.
    Complete = 0x70,
}

/// What a client learns when it is let in.
#[derive(Debug, Default)]
pub(super) struct Welcome<'a> {
    pub(super) session_present: bool,
    /// Where it differs from what was asked.
    pub(super) session_expiry_s: Option<u32>,
    pub(super) receive_max: u16,
    pub(super) packet_bytes_max: u32,
    pub(super) topic_alias_max: u16,
    /// Where the client left it to the server.
    pub(super) client_id: Option<&'a str>,
    /// Where it differs from what was asked.
    pub(super) keep_alive_s: Option<u16>,
    /// Where it was asked for.
    pub(super) response_information: Option<&'a str>,
}

/// A message to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publication<'a> {
    /// The topic in two parts, so that none needs to be put together.
    pub(super) topic: (&'a [u8], &'a [u8]),
    pub(super) payload: &'a [u8],
    pub(super) correlation: Option<&'a [u8]>,
    /// Properties of MQTT 5 as whoever has published it gave them.
    pub(super) properties: &'a [u8],
    /// After so many seconds nobody needs it any more.
    pub(super) expiry_s: Option<u32>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) dup: bool,
    /// 0 at QoS 0.
    pub(super) pkid: u16,
    /// Messages to a monitor that were lost before this one.
    pub(super) missed: u64,
}

/// CONNACK that lets a client in; whether it is no larger than `bytes_max`, which nothing is sent beyond.
pub(super) fn welcome(out: &mut BytesMut, version: Version, welcome: &Welcome<'_>, bytes_max: usize) -> bool {
    let present = u8::from(welcome.session_present);
    if version == Version::V311 {
        out.extend_from_slice(&[0x20, 2, present, 0]);
        return true;
    }
    for all in [true, false] {
        let properties = welcome_properties(welcome, all);
        let body_len = 2 + length_len(properties.len()) + properties.len();
        if 1 + length_len(body_len) + body_len <= bytes_max {
            out.put_u8(0x20);
            put_length(out, body_len);
            out.extend_from_slice(&[present, 0]);
            put_length(out, properties.len());
            out.extend_from_slice(&properties);
            return true;
        }
    }
    false
}

/// What the client is told, or as much of it as it must know.
fn welcome_properties(welcome: &Welcome<'_>, all: bool) -> BytesMut {
    let mut properties = BytesMut::new();
    if let Some(seconds) = welcome.session_expiry_s {
        properties.put_u8(0x11);
        properties.put_u32(seconds);
    }
    properties.put_u8(0x21);
    properties.put_u16(welcome.receive_max);
    properties.put_u8(0x27);
    properties.put_u32(welcome.packet_bytes_max);
    if all {
        properties.put_u8(0x22);
        properties.put_u16(welcome.topic_alias_max);
    }
    if let Some(client_id) = welcome.client_id {
        properties.put_u8(0x12);
        put_text(&mut properties, (client_id.as_bytes(), b""));
    }
    if let Some(seconds) = welcome.keep_alive_s {
        properties.put_u8(0x13);
        properties.put_u16(seconds);
    }
    if let Some(information) = welcome.response_information.filter(|_| all) {
        properties.put_u8(0x1A);
        put_text(&mut properties, (information.as_bytes(), b""));
    }
    if all {
        // Retain: yes. Wildcard subscriptions: yes.
        properties.extend_from_slice(&[0x25, 1, 0x28, 1]);
    }
    // Subscription identifiers, shared subscriptions: no.
    properties.extend_from_slice(&[0x29, 0, 0x2A, 0]);
    properties
}

/// Length of the longest [`refusal`], in bytes.
pub(super) const REFUSAL_BYTES: usize = 5;

/// CONNACK that turns a client away; nothing where its version has no word for the reason.
pub(super) fn refusal(out: &mut BytesMut, version: Version, reason: Reason) {
    match version {
        Version::V5 => out.extend_from_slice(&[0x20, 3, 0, reason.0, 0]),
        Version::V311 => {
            if let Some(code) = reason.connack_3() {
                out.extend_from_slice(&[0x20, 2, 0, code]);
            }
        }
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
pub(super) fn ack(out: &mut BytesMut, version: Version, ack: Ack, pkid: u16, reason: Reason) {
    let with_reason = version == Version::V5 && reason != Reason::SUCCESS;
    out.extend_from_slice(&[ack as u8, 2 + u8::from(with_reason)]);
    out.put_u16(pkid);
    if with_reason {
        out.put_u8(reason.0);
    }
}

/// SUBACK; one reason for every filter, the granted QoS where it is no error.
pub(super) fn suback(out: &mut BytesMut, version: Version, pkid: u16, reasons: &[Reason]) {
    let v5 = version == Version::V5;
    out.put_u8(0x90);
    put_length(out, 2 + usize::from(v5) + reasons.len());
    out.put_u16(pkid);
    if v5 {
        out.put_u8(0);
    }
    out.extend(reasons.iter().map(|reason| if v5 || !reason.is_error() { reason.0 } else { 0x80 }));
}

/// Length of a SUBACK or UNSUBACK with so many reasons, in bytes.
pub(super) fn reasons_len(version: Version, reasons: usize) -> usize {
    let body_len = 2 + usize::from(version == Version::V5) + reasons;
    1 + length_len(body_len) + body_len
}

/// UNSUBACK; one reason for every filter, which a 3.1.1 client is not told.
pub(super) fn unsuback(out: &mut BytesMut, version: Version, pkid: u16, reasons: &[Reason]) {
    out.put_u8(0xB0);
    if version == Version::V311 {
        out.put_u8(2);
        out.put_u16(pkid);
        return;
    }
    put_length(out, 3 + reasons.len());
    out.put_u16(pkid);
    out.put_u8(0);
    out.extend(reasons.iter().map(|reason| reason.0));
}

/// PINGRESP.
pub(super) fn pong(out: &mut BytesMut) {
    out.extend_from_slice(&[0xD0, 0]);
}

/// DISCONNECT; nothing for a 3.1.1 client, which knows none from a server.
pub(super) fn disconnect(out: &mut BytesMut, version: Version, reason: Reason) {
    if version == Version::V5 {
        out.extend_from_slice(&[0xE0, 1, reason.0]);
    }
}

/// PUBLISH.
pub(super) fn publish(out: &mut BytesMut, version: Version, publication: &Publication<'_>) {
    let (body_len, properties_len) = publish_body(version, publication);
    out.reserve(5 + body_len);
    let flags = u8::from(publication.retain) | publication.qos << 1 | u8::from(publication.dup) << 3;
    out.put_u8(0x30 | flags);
    put_length(out, body_len);
    put_text(out, publication.topic);
    if publication.qos > 0 {
        out.put_u16(publication.pkid);
    }
    if version == Version::V5 {
        put_length(out, properties_len);
        if let Some(correlation) = publication.correlation {
            out.put_u8(0x09);
            put_text(out, (correlation, b""));
        }
        if let Some(seconds) = publication.expiry_s {
            out.put_u8(0x02);
            out.put_u32(seconds);
        }
        out.extend_from_slice(publication.properties);
        if publication.missed > 0 {
            out.put_u8(0x26);
            put_text(out, (protocol::MISSED_PROPERTY.as_bytes(), b""));
            put_text(out, (publication.missed.to_string().as_bytes(), b""));
        }
    }
    out.extend_from_slice(publication.payload);
}

/// Length of the whole PUBLISH packet, in bytes.
pub(super) fn publish_len(version: Version, publication: &Publication<'_>) -> usize {
    let (body_len, _) = publish_body(version, publication);
    1 + length_len(body_len) + body_len
}

fn publish_body(version: Version, publication: &Publication<'_>) -> (usize, usize) {
    let mut properties_len = publication.correlation.map_or(0, |correlation| 3 + correlation.len());
    properties_len += publication.properties.len() + publication.expiry_s.map_or(0, |_| 5);
    if let Some(digits) = publication.missed.checked_ilog10() {
        properties_len += 5 + protocol::MISSED_PROPERTY.len() + 1 + digits as usize;
    }
    let mut body_len = 2 + publication.topic.0.len() + publication.topic.1.len() + publication.payload.len();
    if publication.qos > 0 {
        body_len += 2;
    }
    if version == Version::V5 {
        body_len += length_len(properties_len) + properties_len;
    }
    (body_len, properties_len)
}

/// Texts are topics, names and what came in such a field: they fit 16 bits.
fn put_text(out: &mut BytesMut, text: (&[u8], &[u8])) {
    out.put_u16(u16::try_from(text.0.len() + text.1.len()).unwrap_or(u16::MAX));
    out.extend_from_slice(text.0);
    out.extend_from_slice(text.1);
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let low = u8::try_from(length & 0x7F).unwrap_or(0);
        length >>= 7;
        if length == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

fn length_len(length: usize) -> usize {
    match length {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut BytesMut)) -> Vec<u8> {
        let mut out = BytesMut::new();
        write(&mut out);
        out.to_vec()
    }

    #[test]
    fn each_version_gets_its_own_bytes() {
        let (v3, v5) = (Version::V311, Version::V5);
        let denied = Reason::NOT_AUTHORIZED;
        for (bytes, expected) in [
            (written(|o| refusal(o, v3, denied)), &b"\x20\x02\x00\x05"[..]),
            (written(|o| refusal(o, v5, denied)), b"\x20\x03\x00\x87\x00"),
            (written(|o| refusal(o, v3, Reason::PROTOCOL_ERROR)), b""),
            (written(|o| ack(o, v3, Ack::Published, 258, denied)), b"\x40\x02\x01\x02"),
            (written(|o| ack(o, v5, Ack::Received, 258, denied)), b"\x50\x03\x01\x02\x87"),
            (written(|o| suback(o, v3, 1, &[Reason(1), denied])), b"\x90\x04\x00\x01\x01\x80"),
            (written(|o| suback(o, v5, 1, &[Reason(1), denied])), b"\x90\x05\x00\x01\x00\x01\x87"),
            (written(|o| unsuback(o, v3, 1, &[denied])), b"\xB0\x02\x00\x01"),
            (written(|o| unsuback(o, v5, 1, &[Reason::NO_SUBSCRIPTION])), b"\xB0\x04\x00\x01\x00\x11"),
            (written(|o| disconnect(o, v3, denied)), b""),
            (written(|o| disconnect(o, v5, denied)), b"\xE0\x01\x87"),
        ] {
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn a_monitor_of_mqtt_5_is_told_what_it_has_missed() {
        let publication = Publication {
            topic: (b"t", b""),
            payload: b"{}",
            correlation: None,
            properties: b"",
            expiry_s: None,
            qos: 0,
            retain: false,
            dup: false,
            pkid: 0,
            missed: 120,
        };
        let told = b"\x30\x14\x00\x01t\x0E\x26\x00\x06missed\x00\x03120{}";
        assert_eq!(written(|o| publish(o, Version::V5, &publication)), told);
        assert_eq!(written(|o| publish(o, Version::V311, &publication)), b"\x30\x05\x00\x01t{}");
    }

    #[test]
    fn a_publication_is_as_long_as_foretold() {
        for version in [Version::V311, Version::V5] {
            for payload_len in [0, 100, 127, 128, 5000, 20_000] {
                for (correlation, missed) in [(None, 0), (Some(&b"cc"[..]), 0), (None, 9), (Some(&b""[..]), 10)] {
                    let (properties, expiry_s) =
                        if missed > 9 { (&b"\x01\x01"[..], Some(7)) } else { (&b""[..], None) };
                    let publication = Publication {
                        topic: (b"a/", b"b"),
                        payload: &vec![b'x'; payload_len],
                        correlation,
                        properties,
                        expiry_s,
                        qos: 1,
                        retain: true,
                        dup: true,
                        pkid: 7,
                        missed,
                    };
                    let bytes = written(|o| publish(o, version, &publication));
                    assert_eq!(bytes.len(), publish_len(version, &publication));
                    assert_eq!(bytes[0], 0x3B);
                }
            }
        }
    }
}
