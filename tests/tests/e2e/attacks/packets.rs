//! Packets that are wrong, or that have killed other brokers.

use super::{Attacked, DOORS, MAD, scan, topic};
use crate::harness::{Client, Connect, GREEN, Packet, Publish, QoS, Version, closed, packet, subscribe, text};

const VERSIONS: [Version; 2] = [Version::V4, Version::V5];

/// `packets_malformed` after so many of them.
const MALFORMED: &str = "doors_packets_malformed_total";

#[tokio::test]
async fn topics_and_filters_that_start_with_a_multi_byte_character_stop_nobody() {
    let mut attacked = Attacked::start().await;
    for version in VERSIONS {
        for name in ["é/#", "日本/+/decision", "\u{10FFFF}", "\u{FEFF}#"] {
            let mut client = attacked.mad(version).await;
            let code = client.subscribe(name, QoS::AtLeastOnce).await;
            assert!(code >= 0x80, "{name} was granted");
            client.publish(&name.replace(['#', '+'], "x"), QoS::AtLeastOnce, b"x").await.unwrap();
            refused(&mut client, 0x87).await;
        }
        // Half a character.
        let mut client = attacked.mad(version).await;
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        client.send(&packet(0x30, &[b"\0\x02\xE6\x97", properties, b"x"].concat())).await.unwrap();
        assert!(closed(&client.ends().await.1));
        let mut client = attacked.mad(version).await;
        client.send(&packet(0x82, &[b"\0\x01", properties, b"\0\x02\xE6\x97\x01"].concat())).await.unwrap();
        assert!(closed(&client.ends().await.1));
        attacked.serves().await;
    }
    let refused = attacked.gateway.metric("doors_publishes_refused_total", &["topic"]).await;
    assert!(refused >= 8.0, "{refused}");
    assert_eq!(attacked.gateway.metric("doors_subscriptions_refused_total", &[]).await, 8.0);
}

#[tokio::test]
async fn shared_subscriptions_of_a_kept_session_are_refused_and_stop_nobody() {
    let mut attacked = Attacked::start().await;
    for (version, code) in [(Version::V4, 0x80), (Version::V5, 0x9E)] {
        let mut connect = Connect::new(version, MAD);
        connect.clean = false;
        if version == Version::V5 {
            // The session is kept for a minute.
            connect.properties = vec![0x11, 0, 0, 0, 60];
        }
        for _ in 0..5 {
            let mut client = Client::connect(&attacked.site, &attacked.gateway, "doors", &connect).await;
            for filter in [
                format!("$share/g/{}", topic(MAD, "decision")),
                "$share/g/#".into(),
                "$share/".into(),
                "$share/g/é".into(),
            ] {
                assert_eq!(client.subscribe(&filter, QoS::AtLeastOnce).await, code, "{filter}");
            }
            // With a message that is never acknowledged.
            assert_eq!(client.subscribe(&topic(MAD, "decision"), QoS::AtLeastOnce).await, 1);
            client.publish(&topic(MAD, "scan"), QoS::AtLeastOnce, &scan(1)).await.unwrap();
            client.message().await;
        }
        attacked.serves().await;
    }
}

#[tokio::test]
async fn malformed_and_oversized_packets_end_the_connection_only() {
    let mut attacked = Attacked::start().await;
    // A message that is too large is passed over; any other packet is not.
    let oversized = packet(0x82, &[0; 30_000]);
    let wrong_length = {
        let mut bytes = Publish::new(&topic(MAD, "scan"), QoS::AtMostOnce, 0, b"").bytes(Version::V5);
        // The topic is said to be longer than the packet.
        bytes[2] = 0xFF;
        bytes
    };
    let cases: [(&str, &[u8], u8); 11] = [
        ("larger than allowed", &oversized, 0x95),
        ("256 MB are announced", &[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 0x95),
        ("a length of five bytes", &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1], 0x81),
        ("a length that never ends", &[0x82, 0x80, 0x80, 0x80, 0x80], 0x81),
        ("a wrong length within", &wrong_length, 0x81),
        ("quality of service 3", &[0x36, 4, 0, 1, b'x', 0], 0x81),
        ("a SUBSCRIBE without flags", &[0x80, 6, 0, 1, 0, 0, 0, 0], 0x81),
        ("a packet that only servers send", &[0x20, 3, 0, 0, 0], 0x82),
        ("no packet at all", &[0x00, 0], 0x82),
        ("an AUTH", &[0xF0, 0], 0x82),
        ("a second CONNECT", &Connect::new(Version::V5, MAD).bytes(), 0x82),
    ];
    for (n, (what, bytes, reason)) in cases.iter().enumerate() {
        let mut client = attacked.mad(Version::V5).await;
        // What follows a bad packet is not looked at.
        let scan = Publish::new(&topic(MAD, "scan"), QoS::AtLeastOnce, 9, &scan(1)).bytes(Version::V5);
        client.send(&[bytes, &scan[..]].concat()).await.unwrap();
        let (before, end) = client.ends().await;
        assert_eq!(before, [Packet::Disconnect { reason: *reason }], "{what}");
        assert!(closed(&end), "{what}: {end}");
        // MQTT 3.1.1 has no word for it.
        let mut client = attacked.mad(Version::V4).await;
        client.send(bytes).await.unwrap();
        let (before, end) = client.ends().await;
        assert!(before.is_empty() && closed(&end), "{what}: {before:?} {end}");
        assert_eq!(attacked.gateway.metric(MALFORMED, &[]).await, 2.0 * (n as f64 + 1.0), "{what}");
    }
    assert_eq!(attacked.gateway.metric("doors_scans_received_total", &[]).await, 0.0);
    attacked.serves().await;
}

#[tokio::test]
async fn odd_filters_and_names_are_refused_one_by_one() {
    let mut attacked = Attacked::start().await;
    let own = topic(MAD, "");
    let mut client = attacked.mad(Version::V5).await;
    for (filter, code) in [
        (String::new(), 0x8F),
        (format!("{own}#/x"), 0x8F),
        (format!("{own}a#"), 0x8F),
        (format!("{own}+x"), 0x8F),
        ("x".repeat(5_000), 0x87),
        ("/".repeat(2_000), 0x87),
        ("$SYS/#".into(), 0x87),
        (format!("{own}#"), 1),
        (format!("{own}+/+/+/+/+/+"), 1),
    ] {
        assert_eq!(client.subscribe(&filter, QoS::AtLeastOnce).await, code, "{filter}");
    }
    // More filters than one client may have: the rest is refused.
    let mut codes = Vec::new();
    for n in 0..30 {
        codes.push(client.subscribe(&format!("{own}x{n}"), QoS::AtLeastOnce).await);
    }
    assert!(codes.starts_with(&[1; 14]) && codes.ends_with(&[0x97; 16]), "{codes:?}");
    client.so_far().await;
    // Thousands of filters in one packet: too large, and nothing else happens.
    let mut body = vec![0, 9, 0];
    for _ in 0..4_000 {
        body.extend([&text("a/b/c")[..], &[1]].concat());
    }
    client.send(&packet(0x82, &body)).await.unwrap();
    assert_eq!(client.ends().await.0, [Packet::Disconnect { reason: 0x95 }]);
    attacked.serves().await;

    for (name, code) in [("a/+", 0x90), ("#", 0x90)] {
        let mut client = attacked.mad(Version::V5).await;
        client.publish(name, QoS::AtLeastOnce, b"x").await.unwrap();
        refused(&mut client, code).await;
    }
    // What is no text of MQTT at all.
    let mut client = attacked.mad(Version::V5).await;
    client.publish("a\0b", QoS::AtLeastOnce, b"x").await.unwrap();
    assert_eq!(client.ends().await.0, [Packet::Disconnect { reason: 0x81 }]);
    attacked.serves().await;
}

#[tokio::test]
async fn payloads_that_are_no_scans_are_kept_and_stop_nobody() {
    let mut attacked = Attacked::start().await;
    let mut client = attacked.mad(Version::V5).await;
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let payloads: [&[u8]; 6] =
        [b"", b"\xFF\xFE", deep.as_bytes(), b"{\"v\":1", &[b' '; 4_000], b"{\"v\":99,\"epoch\":1,\"seq\":1}"];
    for payload in payloads {
        let id = client.publish(&topic(MAD, "scan"), QoS::AtLeastOnce, payload).await.unwrap();
        let acknowledged = client.wait_for("a PUBACK", |p| matches!(p, Packet::PubAck { .. })).await;
        assert_eq!(acknowledged, Packet::PubAck { id, reason: 0x99 });
    }
    let kept = attacked.gateway.events().await.len();
    assert_eq!(kept, payloads.len());
    attacked.serves().await;
}

#[tokio::test]
async fn acknowledgements_of_what_was_never_sent_stop_nobody() {
    let mut attacked = Attacked::start().await;
    for version in VERSIONS {
        let mut client = attacked.mad(version).await;
        for head in [0x40, 0x50, 0x62, 0x70] {
            client.send_id(head, 7).await.unwrap();
        }
        let answers = client.so_far().await;
        let unknown = if version == Version::V5 { 0x92 } else { 0 };
        assert!(answers.contains(&Packet::PubComp { id: 7, reason: unknown }), "{answers:?}");
        // A packet id of 0 is none.
        client.send(&subscribe(version, 0, DOORS[0], 1)).await.unwrap();
        assert!(closed(&client.ends().await.1));
    }
    attacked.serves().await;
    assert_eq!(attacked.gateway.metric(MALFORMED, &[]).await, 2.0);
}

#[tokio::test]
async fn more_unanswered_messages_than_allowed_end_the_connection_only() {
    let mut attacked = Attacked::with(&[("GAPURA_MQTT__IN_FLIGHT_MAX", 4)]).await;
    let mut client = attacked.mad(Version::V5).await;
    // At QoS 2 a message is in flight until it is released.
    for seq in 1..=4 {
        client.publish(&topic(MAD, "scan"), QoS::ExactlyOnce, &scan(seq)).await.unwrap();
        client.wait_for("a PUBREC", |p| matches!(p, Packet::PubRec { .. })).await;
    }
    client.publish(&topic(MAD, "scan"), QoS::ExactlyOnce, &scan(5)).await.unwrap();
    assert_eq!(client.ends().await.0, [Packet::Disconnect { reason: 0x93 }]);
    attacked.serves().await;
    let kept = attacked.gateway.events().await;
    assert!(!kept.iter().any(|event| event.to_string().contains(GREEN)), "a badge is in the log");
}

/// A message is refused with this reason; MQTT 3.1.1 ends the connection.
async fn refused(client: &mut Client, reason: u8) {
    if client.version() == Version::V5 {
        let answer = client.wait_for("a PUBACK", |packet| matches!(packet, Packet::PubAck { .. })).await;
        assert!(matches!(answer, Packet::PubAck { reason: its, .. } if its == reason), "{answer:?}");
    } else {
        assert!(closed(&client.ends().await.1));
    }
}
