//! PendingScans and their answers.

use protocol::Decision;

use super::*;

#[tokio::test]
async fn a_scan_is_acknowledged_only_after_it_is_kept() {
    let mut gateway = Gateway::start().await;
    for version in [3, 5] {
        let mut client = if version == 3 { gateway.v3("a").await } else { gateway.v5("a", &[]).await };
        assert_eq!(client.subscribe(version, &(prefix("a") + "decision"), 1).await, 1);
        client.send(&publish(version, &(prefix("a") + "scan"), 1, 258, &[], &scan(4))).await;
        let arrival = gateway.arrival().await;
        assert_eq!(arrival.scan_id(), Some(ScanId { epoch: 1, seq: 4 }));
        client.is_quiet().await;
        kept(&arrival, false).await;
        let (topic, pkid, _, payload) = published(version, &client.packet().await);
        assert_eq!((topic, pkid, &payload[..]), (prefix("a") + "decision", 1, &b"{\"decided\":true}"[..]));
        assert_eq!(client.packet().await, (0x40, vec![1, 2]));
    }
}

#[tokio::test]
async fn qos_2_waits_for_the_disk_with_pubrec_and_is_not_done_twice() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v3("a").await;
    let message = publish(3, &(prefix("a") + "scan"), 2, 7, &[], &scan(1));
    client.send(&message).await;
    let arrival = gateway.arrival().await;
    client.send(&message).await;
    client.is_quiet().await;
    kept(&arrival, false).await;
    assert_eq!(client.packet().await, (0x50, vec![0, 7]));
    client.send(&message).await;
    assert_eq!(client.packet().await, (0x50, vec![0, 7]));
    client.send(&[0x62, 2, 0, 7]).await;
    assert_eq!(client.packet().await, (0x70, vec![0, 7]));
    assert!(gateway.arrivals.is_empty());
    client.send(&message).await;
    gateway.keep().await;
    assert_eq!(client.packet().await, (0x50, vec![0, 7]));
    let mut client = gateway.v5("b", &[]).await;
    client.send(&[0x62, 2, 0, 7]).await;
    assert_eq!(client.packet().await, (0x70, vec![0, 7, 0x92]));
}

#[tokio::test]
async fn qos_0_is_kept_and_answered_without_acknowledgement() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v3("a").await;
    client.subscribe(3, &(prefix("a") + "#"), 0).await;
    assert_eq!(published(3, &client.packet().await).0, prefix("a") + "config");
    client.send(&publish(3, &(prefix("a") + "scan"), 0, 0, &[], &scan(1))).await;
    gateway.keep().await;
    let decision = client.packet().await;
    assert_eq!((decision.0, published(3, &decision).0), (0x30, prefix("a") + "decision"));
    client.is_quiet().await;
}

#[tokio::test]
async fn what_is_no_scan_is_handed_in_as_malformed() {
    let mut gateway = Gateway::start().await;
    let mut v3 = gateway.v3("a").await;
    v3.send(&publish(3, &(prefix("a") + "scan"), 1, 1, &[], &[b'x'; 4000])).await;
    let arrival = gateway.arrival().await;
    let Payload::Malformed { scan: malformed, .. } = &arrival.payload else { panic!("a malformed scan must arrive") };
    assert_eq!((malformed.id, malformed.payload_bytes, malformed.payload_head.len()), (None, 4000, 512));
    kept(&arrival, true).await;
    assert_eq!(v3.packet().await, (0x40, vec![0, 1]));
    let mut v5 = gateway.v5("b", &[]).await;
    for (qos, head) in [(1, 0x40), (2, 0x50)] {
        v5.send(&publish(5, &(prefix("b") + "scan"), qos, 1, &[], b"{}")).await;
        let arrival = gateway.arrival().await;
        kept(&arrival, true).await;
        assert_eq!(v5.packet().await, (head, vec![0, 1, 0x99]));
    }
}

#[tokio::test]
async fn a_door_is_told_unavailable_once_and_acknowledged_when_the_disk_is_back() {
    let mut gateway = Gateway::with(|config| config.answer_timeout_ms = 30).await;
    let mut client = gateway.v3("a").await;
    client.subscribe(3, &(prefix("a") + "decision"), 0).await;
    client.send(&publish(3, &(prefix("a") + "scan"), 1, 1, &[], &scan(8))).await;
    let arrival = gateway.arrival().await;
    let decision = Decision::from_json(&published(3, &client.packet().await).3).unwrap();
    assert_eq!((decision.seq, decision.open, decision.reason.as_str()), (Some(8), false, "no-answer-in-time"));
    unavailable(&arrival).await;
    client.is_quiet().await;
    assert_eq!(gateway.metrics.scans_unavailable.get(), 1);
    kept(&arrival, false).await;
    assert_eq!(published(3, &client.packet().await).3, b"{\"decided\":true}");
    assert_eq!(client.packet().await, (0x40, vec![0, 1]));
    client.send(&publish(3, &(prefix("a") + "scan"), 1, 2, &[], &scan(9))).await;
    unavailable(&gateway.arrival().await).await;
    let decision = Decision::from_json(&published(3, &client.packet().await).3).unwrap();
    assert_eq!((decision.seq, decision.reason.as_str()), (Some(9), "disk"));
}

#[tokio::test]
async fn a_scan_that_finds_the_queue_full_is_told_so_and_handed_in_when_there_is_room() {
    let mut gateway = Gateway::with_queue(1, |_| {}).await;
    let mut client = gateway.v3("a").await;
    client.subscribe(3, &(prefix("a") + "decision"), 0).await;
    for pkid in [1, 2, 3] {
        client.send(&publish(3, &(prefix("a") + "scan"), 1, pkid, &[], &scan(pkid.into()))).await;
    }
    for seq in [2, 3] {
        let decision = Decision::from_json(&published(3, &client.packet().await).3).unwrap();
        assert_eq!((decision.seq, decision.reason.as_str()), (Some(seq), "gateway-busy"));
    }
    client.is_quiet().await;
    for pkid in [1, 2, 3] {
        let arrival = gateway.keep().await;
        assert_eq!(arrival.scan_id().unwrap().seq, u64::from(pkid));
        assert_eq!(client.packet().await.0, 0x30);
        assert_eq!(client.packet().await, (0x40, vec![0, pkid]));
    }
    assert_eq!(gateway.metrics.scans_unavailable.get(), 2);
}

#[tokio::test]
async fn a_resent_scan_that_is_in_flight_is_not_handed_in_twice() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v3("a").await;
    let mut message = publish(3, &(prefix("a") + "scan"), 1, 1, &[], &scan(1));
    client.send(&message).await;
    let arrival = gateway.arrival().await;
    message[0] |= 0x08;
    client.send(&message).await;
    client.is_quiet().await;
    assert!(gateway.arrivals.is_empty());
    kept(&arrival, false).await;
    assert_eq!(client.packet().await, (0x40, vec![0, 1]));
    client.is_quiet().await;
}

#[tokio::test]
async fn an_old_client_with_too_much_in_flight_is_not_read() {
    let mut gateway = Gateway::with(|config| config.in_flight_max = 2).await;
    let mut client = gateway.v3("a").await;
    for pkid in 1..=5 {
        client.send(&publish(3, &(prefix("a") + "scan"), 1, pkid, &[], &scan(pkid.into()))).await;
    }
    client.send(&[0xC0, 0]).await;
    let first = gateway.arrival().await;
    let second = gateway.arrival().await;
    // A third would have been handed in before the answer to another door's ping.
    gateway.v3("b").await.is_quiet().await;
    assert!(gateway.arrivals.is_empty());
    for arrival in [first, second] {
        kept(&arrival, false).await;
    }
    for _ in 3..=5 {
        gateway.keep().await;
    }
    let mut heads = Vec::new();
    for _ in 0..6 {
        heads.push(client.packet().await.0);
    }
    heads.sort_unstable();
    assert_eq!(heads, [0x40, 0x40, 0x40, 0x40, 0x40, 0xD0]);
}

#[tokio::test]
async fn a_new_client_that_exceeds_the_receive_maximum_is_disconnected() {
    let mut gateway = Gateway::with(|config| config.in_flight_max = 2).await;
    let mut client = gateway.v5("a", &[]).await;
    for (pkid, qos) in [(1, 1), (2, 2), (3, 1)] {
        client.send(&publish(5, &(prefix("a") + "scan"), qos, pkid, &[], &scan(pkid.into()))).await;
    }
    assert_eq!(client.packet().await, (0xE0, vec![0x93]));
    client.ends().await;
    gateway.arrival().await;
    gateway.arrival().await;
    assert!(gateway.arrivals.is_empty());
}

#[tokio::test]
async fn a_client_that_sends_too_fast_is_slowed_down_and_loses_nothing() {
    let mut gateway = Gateway::with(|config| (config.scans_per_second_max, config.scans_burst_max) = (2, 10)).await;
    let topic = prefix("a") + "scan";
    let flood =
        |count: u16| (1..=count).flat_map(|pkid| publish(3, &topic, 1, pkid, &[], &scan(pkid.into()))).collect();
    let mut client = gateway.v3("a").await;
    let scans: Vec<u8> = flood(12);
    client.send(&scans).await;
    for seq in 1..=12 {
        assert_eq!(gateway.keep().await.scan_id().unwrap().seq, seq);
    }
    let throttled = gateway.metrics.scans_throttled.get();
    assert!(throttled >= 1);
    // The bucket is the door's: a new connection finds it as empty as it was. Other doors have their own.
    let mut client = gateway.v3("a").await;
    let scans: Vec<u8> = flood(5);
    client.send(&scans).await;
    gateway.v3("b").await.is_quiet().await;
    for seq in 1..=5 {
        assert_eq!(gateway.keep().await.scan_id().unwrap().seq, seq);
    }
    assert!(gateway.metrics.scans_throttled.get() > throttled);
}

#[tokio::test]
async fn the_answer_goes_to_the_response_topic_with_its_correlation() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v5("a", &[]).await;
    client.subscribe(5, &(prefix("a") + "answers/#"), 1).await;
    let own = prefix("a") + "answers/1";
    let properties = [&[8][..], &text(own.as_bytes()), &[9], &text(b"\x01\x02")].concat();
    client.send(&publish(5, &(prefix("a") + "scan"), 1, 1, &properties, &scan(1))).await;
    gateway.keep().await;
    let (topic, _, properties, _) = published(5, &client.packet().await);
    assert_eq!((topic, &properties[..]), (own, &b"\x09\0\x02\x01\x02"[..]));
    assert_eq!(client.packet().await, (0x40, vec![0, 1]));
    for elsewhere in [prefix("b") + "x", prefix("a") + "+", prefix("a"), "x".into()] {
        let properties = [&[8][..], &text(elsewhere.as_bytes())].concat();
        client.send(&publish(5, &(prefix("a") + "scan"), 1, 2, &properties, &scan(2))).await;
        assert_eq!(client.packet().await, (0x40, vec![0, 2, 0x87]), "{elsewhere}");
    }
    assert!(gateway.arrivals.is_empty());
}

#[tokio::test]
async fn topic_aliases_are_resolved_and_checked() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v5("a", &[]).await;
    client.send(&publish(5, &(prefix("a") + "scan"), 0, 0, b"\x23\0\x08", &scan(1))).await;
    client.send(&publish(5, "", 1, 1, b"\x23\0\x08", &scan(2))).await;
    gateway.keep().await;
    assert_eq!(gateway.keep().await.scan_id().unwrap().seq, 2);
    assert_eq!(client.packet().await, (0x40, vec![0, 1]));
    for (alias, reason) in [(&b"\x23\0\x09"[..], 0x94), (b"\x23\0\0", 0x94), (b"\x23\0\x07", 0x82), (b"", 0x82)] {
        let mut client = gateway.v5("b", &[]).await;
        client.send(&publish(5, "", 1, 1, alias, &scan(3))).await;
        assert_eq!(client.packet().await, (0xE0, vec![reason]));
        client.ends().await;
    }
}

#[tokio::test]
async fn what_is_in_flight_is_answered_before_the_gateway_stops() {
    let mut gateway = Gateway::start().await;
    let mut busy = gateway.v5("a", &[]).await;
    let mut idle = gateway.v5("b", &[]).await;
    busy.send(&publish(5, &(prefix("a") + "scan"), 1, 1, &[], &scan(1))).await;
    let arrival = gateway.arrival().await;
    gateway.shutdown.send(true).unwrap();
    assert_eq!(idle.packet().await, (0xE0, vec![0x8B]));
    kept(&arrival, false).await;
    assert_eq!(busy.packet().await, (0x40, vec![0, 1]));
    assert_eq!(busy.packet().await, (0xE0, vec![0x8B]));
    drop((busy, idle));
    timeout(DEADLINE, gateway.served).await.unwrap().unwrap();
    assert_eq!(gateway.metrics.connections.get(), 0);
}
