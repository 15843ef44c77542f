//! What a client's bytes mean, and which are refused.

use bytes::Bytes;
use proptest::prelude::*;

use crate::doors::codec::{self, decode, version};
use crate::doors::framing::{self, Cut};
use crate::doors::packet::{Packet, Version};
use crate::doors::reason::Reason;

fn read(version: Version, bytes: &[u8]) -> Result<Packet, Reason> {
    let Cut::Whole(frame) = framing::peek(bytes, 8192)? else { return Err(Reason::MALFORMED_PACKET) };
    decode(version, frame, &Bytes::copy_from_slice(&bytes[..frame.len]))
}

#[test]
fn the_level_in_connect_chooses_the_version() {
    for (name, level, expected) in [
        (&b"MQTT"[..], 4, Some(Ok(Version::V311))),
        (b"MQTT", 5, Some(Ok(Version::V5))),
        (b"MQTT", 6, Some(Err(Version::V5))),
        (b"MQTT", 0x84, Some(Err(Version::V311))),
        (b"MQIsdp", 0x83, Some(Err(Version::V311))),
        (b"MQIsdp", 3, Some(Err(Version::V311))),
        (b"HTTP", 4, None),
    ] {
        let mut bytes = vec![0x10, 20, 0, u8::try_from(name.len()).unwrap()];
        bytes.extend_from_slice(name);
        bytes.push(level);
        bytes.resize(22, 0);
        let Ok(Cut::Whole(frame)) = framing::peek(&bytes, 100) else { panic!() };
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
    let mut connect = b"\x10\x00\x00\x04MQTT\x05\xC6\x00\x3C\x08\x11\x00\x00\x00\x0A\x21\x00\x0A\x00\x04door".to_vec();
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
        if let Ok(Cut::Whole(frame)) = framing::peek(&bytes, 8192) {
            codec::version(&bytes, frame);
        }
        drop(read(version, &bytes));
    }
}
