//! What a client may publish and hear, and how it is told otherwise.

use protocol::{DoorState, DoorStatus};

use super::*;

fn refused(gateway: &Gateway, reason: &'static str) -> u64 {
    gateway.metrics.publishes_refused.get_or_create(&ReasonLabel { reason }).get()
}

#[tokio::test]
async fn a_door_publishes_only_its_scans_and_its_status() {
    let gateway = Gateway::start().await;
    let a = prefix("a");
    for (topic, reason) in [
        (prefix("b") + "scan", 0x87),
        (a.clone() + "decision", 0x87),
        (a.clone() + "config", 0x87),
        (a.clone() + "assist", 0x87),
        (a.clone() + "scan/more", 0x87),
        ("$SYS/x".into(), 0x87),
        ("é".into(), 0x87),
        (a.clone() + "+", 0x90),
        ("#".into(), 0x90),
    ] {
        let mut client = gateway.v5("a", &[]).await;
        for (qos, head) in [(1, 0x40), (2, 0x50)] {
            client.send(&publish(5, &topic, qos, 6, &[], &scan(1))).await;
            assert_eq!(client.packet().await, (head, vec![0, 6, reason]), "{topic}");
        }
        client.send(&publish(5, &topic, 0, 0, &[], &scan(1))).await;
        assert_eq!(client.packet().await, (0xE0, vec![reason]), "{topic}");
        client.ends().await;
        let mut client = gateway.v3("a").await;
        client.send(&publish(3, &topic, 1, 6, &[], &scan(1))).await;
        client.ends().await;
    }
    assert_eq!((refused(&gateway, "topic"), refused(&gateway, "topic_name")), (7 * 4, 2 * 4));
    assert!(gateway.arrivals.is_empty());
}

#[tokio::test]
async fn a_door_hears_only_what_is_under_its_own_prefix() {
    let gateway = Gateway::start().await;
    let (mut v3, mut v5) = (gateway.v3("a").await, gateway.v5("b", &[]).await);
    for (filter, granted, v5_reason) in [
        ("decision", true, 0),
        ("#", true, 0),
        ("+", true, 0),
        ("../decision", false, 0x87),
        ("all", false, 0x87),
        ("deci+", false, 0x8F),
        ("share", false, 0x9E),
    ] {
        let path = |door: &str| match filter {
            "../decision" => "gapura/v1/regency/c/decision".to_owned(),
            "all" => "gapura/v1/regency/+/decision".to_owned(),
            "share" => format!("$share/group/{}decision", prefix(door)),
            _ => prefix(door) + filter,
        };
        v3.send(&subscribe(3, 5, &path("a"), 0)).await;
        v5.send(&subscribe(5, 5, &path("b"), 0x20)).await;
        let mut answer = v3.packet().await;
        while answer.0 != 0x90 {
            answer = v3.packet().await;
        }
        assert_eq!(answer.1, [0, 5, if granted { 0 } else { 0x80 }], "{filter}");
        assert_eq!(v5.packet().await, (0x90, vec![0, 5, 0, v5_reason]), "{filter}");
    }
    assert_eq!(gateway.metrics.subscriptions_refused.get(), 8);
}

#[tokio::test]
async fn subscriptions_are_bounded_and_can_be_ended() {
    let gateway = Gateway::with(|config| config.subscriptions_max = 2).await;
    let mut client = gateway.v5("a", &[]).await;
    for (filter, reason) in [("x", 1), ("y", 1), ("z", 0x97), ("x", 1)] {
        assert_eq!(client.subscribe(5, &(prefix("a") + filter), 2).await, reason, "{filter}");
    }
    for reason in [0, 0x11] {
        let filter = text((prefix("a") + "x").as_bytes());
        client.send(&packet(0xA2, &[&[0, 3, 0][..], &filter].concat())).await;
        assert_eq!(client.packet().await, (0xB0, vec![0, 3, 0, reason]));
    }
    assert_eq!(client.subscribe(5, &(prefix("a") + "z"), 2).await, 1);
    // With a subscription identifier.
    let filter = text((prefix("a") + "x").as_bytes());
    client.send(&packet(0x82, &[&[0, 3, 2, 0x0B, 1][..], &filter, &[0]].concat())).await;
    assert_eq!(client.packet().await, (0xE0, vec![0xA1]));
}

#[tokio::test]
async fn a_client_id_must_be_the_clients_own() {
    let gateway = Gateway::start().await;
    for (client_id, clean, v3_code, v5_code) in
        [("", 2, 2, 0x85), ("Not A Name", 2, 2, 0x85), ("stranger", 2, 5, 0x87), ("", 0, 2, 0x85)]
    {
        let mut client = gateway.dial().await;
        client.send(&connect_v3(client_id, clean, 60, &[])).await;
        assert_eq!(client.packet().await, (0x20, vec![0, v3_code]), "{client_id}");
        client.ends().await;
        let mut client = gateway.dial().await;
        client.send(&connect_v5(client_id, clean, 60, &[], &[])).await;
        assert_eq!(client.packet().await.1, [0, v5_code, 0], "{client_id}");
        client.ends().await;
    }
}

#[tokio::test]
async fn what_connect_asks_and_is_not_offered_is_refused() {
    let gateway = Gateway::start().await;
    let mut client = gateway.dial().await;
    client.send(&connect_v5("a", 2, 60, b"\x15\0\x01x", &[])).await;
    assert_eq!(client.packet().await.1[1], 0x8C);
    for (level, answer) in [(3, vec![0, 1]), (6, vec![0, 0x84, 0])] {
        let mut client = gateway.dial().await;
        let mut connect = connect_v3("a", 2, 60, &[]);
        connect[8] = level;
        client.send(&connect).await;
        assert_eq!(client.packet().await, (0x20, answer));
        client.ends().await;
    }
}

#[tokio::test]
async fn connections_are_bounded_but_a_client_may_replace_its_own() {
    let gateway = Gateway::with(|config| config.connections_max = 1).await;
    let _first = gateway.v3("a").await;
    let mut client = gateway.dial().await;
    client.send(&connect_v3("b", 2, 60, &[])).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 3]));
    let mut client = gateway.dial().await;
    client.send(&connect_v5("b", 2, 60, &[], &[])).await;
    assert_eq!(client.packet().await.1[1], 0x89);
    gateway.v3("a").await.is_quiet().await;
}

#[tokio::test]
async fn a_monitor_hears_of_all_doors_and_publishes_nothing() {
    let gateway = Gateway::start().await;
    let online = DoorStatus::new(DoorState::Online, None).to_json();
    let mut doors = Vec::new();
    for name in ["a", "b", "c"] {
        let mut door = gateway.v3(name).await;
        door.send(&publish(3, &(prefix(name) + "status"), 1, 1, &[], &online)).await;
        assert_eq!(door.packet().await.0, 0x40);
        doors.push(door);
    }
    // Receive maximum 1: the retained status comes one by one.
    let mut monitor = gateway.v5("monitor-1", b"\x21\0\x01").await;
    assert_eq!(gateway.registry.monitors_connected(), 1);
    assert_eq!(monitor.subscribe(5, "gapura/v1/regency/+/status", 1).await, 1);
    let mut topics = Vec::new();
    for _ in 0..3 {
        let message = monitor.packet().await;
        let (topic, pkid, _, payload) = published(5, &message);
        assert_eq!((message.0, payload), (0x33, online.clone()));
        topics.push(topic);
        monitor.is_quiet().await;
        monitor.send(&[&[0x40, 2][..], &pkid.to_be_bytes()].concat()).await;
    }
    topics.sort_unstable();
    assert_eq!(topics, ["a", "b", "c"].map(|door| prefix(door) + "status"));
    // And what follows comes live.
    drop(doors.remove(0));
    let (topic, _, _, payload) = published(5, &monitor.packet().await);
    assert_eq!(topic, prefix("a") + "status");
    assert_eq!(DoorStatus::from_json(&payload).unwrap().state, DoorState::Offline);
    for filter in ["gapura/v1/regency/+/scan", "gapura/v1/regency/#", "#", "gapura/v1/other/+/status"] {
        assert_eq!(monitor.subscribe(5, filter, 0).await, 0x87, "{filter}");
    }
    monitor.send(&publish(5, &(prefix("a") + "scan"), 1, 1, &[], &scan(1))).await;
    assert_eq!(monitor.packet().await, (0x40, vec![0, 1, 0x87]));
    let mut monitor = gateway.v3("monitor-2").await;
    monitor.send(&publish(3, &(prefix("a") + "scan"), 0, 0, &[], &scan(1))).await;
    monitor.ends().await;
    assert_eq!(refused(&gateway, "monitor"), 2);
}
