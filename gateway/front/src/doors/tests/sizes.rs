//! What is larger than one side takes: messages of readers beyond the limit, and decisions for readers with little room.

use protocol::Decision;
use protocol::scan::SCAN_BYTES_MAX;

use super::*;

/// A scan whose payload is larger than a packet may be.
fn large(len: usize) -> Vec<u8> {
    let mut payload = scan(4);
    payload.resize(len, b' ');
    payload
}

#[tokio::test]
async fn a_scan_that_is_too_large_is_kept_by_its_beginning_and_the_session_lives() {
    let mut gateway = Gateway::start().await;
    let most = Config::default().packet_bytes_max;
    for (version, reason) in [(3, vec![0, 9]), (5, vec![0, 9, 0x99])] {
        let mut client = if version == 3 { gateway.v3("a").await } else { gateway.v5("a", &[]).await };
        for len in [SCAN_BYTES_MAX + 1, most, most + 1, 200_000] {
            let payload = large(len);
            client.send(&publish(version, &(prefix("a") + "scan"), 1, 9, &[], &payload)).await;
            let arrival = gateway.arrival().await;
            let Payload::Malformed { scan, digest } = &arrival.payload else { panic!("{len}") };
            assert_eq!((scan.payload_bytes as usize, &scan.payload_head[..]), (len, &payload[..512]));
            assert!(scan.fault.as_ref().is_some_and(|fault| fault.contains("bytes")), "{:?}", scan.fault);
            assert_eq!(digest, blake3::hash(&payload).as_bytes());
            kept(&arrival, true).await;
            assert_eq!(client.packet().await, (0x40, reason.clone()));
        }
        client.send(&publish(version, &(prefix("a") + "scan"), 1, 9, &[], &scan(5))).await;
        assert_eq!(gateway.keep().await.scan_id().unwrap().seq, 5);
        assert_eq!(client.packet().await, (0x40, vec![0, 9]));
    }
}

#[tokio::test]
async fn the_largest_scan_fits() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v5("a", &[]).await;
    client.send(&publish(5, &(prefix("a") + "scan"), 1, 9, &[], &large(SCAN_BYTES_MAX))).await;
    assert_eq!(gateway.keep().await.scan_id().unwrap().seq, 4);
    assert_eq!(client.packet().await, (0x40, vec![0, 9]));
}

#[tokio::test]
async fn other_messages_that_are_too_large_are_answered_and_the_session_lives() {
    let gateway = Gateway::start().await;
    let mut client = gateway.v5("a", &[]).await;
    // One whose beginning would be a status.
    let mut status = protocol::DoorStatus::new(protocol::DoorState::Online, None).to_json();
    status.resize(100_000, b' ');
    for (topic, reason) in [("status", 0x99), ("elsewhere", 0x87)] {
        client.send(&publish(5, &(prefix("a") + topic), 1, 9, &[], &status)).await;
        assert_eq!(client.packet().await, (0x40, vec![0, 9, reason]));
    }
    let mut client = gateway.v3("b").await;
    client.send(&publish(3, &(prefix("b") + "status"), 1, 9, &[], &status)).await;
    assert_eq!(client.packet().await, (0x40, vec![0, 9]));
    client.is_quiet().await;
    assert!(gateway.registry.doors().iter().all(|presence| presence.status.is_none() || presence.door.as_str() == "a"));
}

#[tokio::test]
async fn what_is_passed_over_has_a_limit_and_is_paid_for() {
    let gateway = Gateway::with(|config| (config.scans_per_second_max, config.scans_burst_max) = (10, 4)).await;
    let mut client = gateway.v5("a", &[]).await;
    // 300,000 bytes are announced.
    client.send(&[0x32, 0xE0, 0xA7, 0x12]).await;
    assert_eq!(client.packet().await, (0xE0, vec![0x95]));
    let mut client = gateway.v5("b", &[]).await;
    client.send(&publish(5, &(prefix("b") + "elsewhere"), 1, 9, &[], &[b'x'; 100_000])).await;
    assert_eq!(client.packet().await, (0x40, vec![0, 9, 0x87]));
    assert!(gateway.metrics.scans_throttled.get() >= 1);
}

#[tokio::test]
async fn a_connect_that_is_too_large_is_told_so() {
    let gateway = Gateway::start().await;
    let large = |connect: Vec<u8>| [&[0x10, 0x80, 0x80, 0x04][..], &connect[2..]].concat();
    let mut client = gateway.dial().await;
    client.send(&large(connect_v5("a", 2, 60, &[], &[]))).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 0x95, 0]));
    client.ends().await;
    let mut client = gateway.dial().await;
    client.send(&large(connect_v3("a", 2, 60, &[]))).await;
    client.ends().await;
    let refused = gateway.metrics.connections_refused.get_or_create(&ReasonLabel { reason: "packet_too_large" });
    assert_eq!(refused.get(), 2);
}

#[tokio::test]
async fn a_decision_that_is_too_large_for_its_reader_is_sent_short() {
    let decision = br#"{"v":1,"epoch":1,"seq":4,"outcome":"denied","open":false,"warning":true,"status":"red",
        "reason":"health-red","text":{"id":"Silakan menghubungi petugas di meja depan","en":"Please see the front desk"},
        "language":"id","event":77,"policy":"b3:0123456789abcdef0123456789abcdef","policies":["health-red","default"],
        "decided_at":"2026-11-23T07:31:04.120+08:00"}"#;
    let full = Decision::from_json(decision).unwrap();
    let mut gateway = Gateway::start().await;
    for (bytes_max, policy, text, event) in
        [(600u32, true, true, true), (350, false, true, true), (270, false, false, true), (210, false, false, false)]
    {
        let mut client = gateway.v5("a", &[&[0x27][..], &bytes_max.to_be_bytes()].concat()).await;
        client.subscribe(5, &(prefix("a") + "decision"), 1).await;
        client.send(&publish(5, &(prefix("a") + "scan"), 1, 9, &[], &scan(4))).await;
        let arrival = gateway.arrival().await;
        let decision = Some(Bytes::from(full.to_json()));
        let answer = Answer::Committed { ticket: arrival.reply.ticket, decision, malformed: false, opens_until: None };
        arrival.reply.answers.send(answer).await.unwrap();
        let message = client.packet().await;
        assert!(packet(message.0, &message.1).len() <= bytes_max as usize);
        let short = Decision::from_json(&published(5, &message).3).unwrap();
        assert_eq!((short.id(), short.outcome, short.open, short.warning), (full.id(), full.outcome, false, true));
        assert_eq!((short.reason.as_str(), short.decided_at), ("health-red", full.decided_at));
        let has = (short.policy.is_some(), !short.text.id.is_empty(), short.event.is_some());
        assert_eq!(has, (policy, text, event), "{bytes_max}");
        assert_eq!(client.packet().await, (0x40, vec![0, 9]));
    }
}

#[tokio::test]
async fn a_status_expires() {
    let gateway = Gateway::start().await;
    let mut client = gateway.v5("a", &[]).await;
    let status = protocol::DoorStatus::new(protocol::DoorState::Online, None).to_json();
    for (expiry_s, comes) in [(0u32, false), (600, true)] {
        let properties = [&[2][..], &expiry_s.to_be_bytes()].concat();
        client.send(&publish(5, &(prefix("a") + "status"), 1, 1, &properties, &status)).await;
        assert_eq!(client.packet().await, (0x40, vec![0, 1]));
        client.subscribe(5, &(prefix("a") + "status"), 0).await;
        let asked = std::time::Instant::now();
        while comes && asked.elapsed() < DEADLINE {
            let (_, _, properties, payload) = published(5, &client.packet().await);
            let left_s =
                properties.strip_prefix(&[2]).map(|left| u32::from_be_bytes(left.try_into().unwrap())).unwrap();
            assert!(payload == status && left_s <= expiry_s);
            // What is left grows less while it waits.
            if left_s < expiry_s {
                break;
            }
            client.subscribe(5, &(prefix("a") + "status"), 0).await;
        }
        assert!(asked.elapsed() < DEADLINE, "what is left does not grow less");
        client.is_quiet().await;
        client.send(&packet(0xA2, &[vec![0, 9, 0], text((prefix("a") + "status").as_bytes())].concat())).await;
        assert_eq!(client.packet().await.0, 0xB0);
    }
}
