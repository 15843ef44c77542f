//! Sessions: takeover, last will, what is kept, keep-alive, status and configuration.

use protocol::{DoorConfig, DoorState, DoorStatus};

use super::*;

fn status(state: DoorState) -> Vec<u8> {
    DoorStatus::new(state, None).to_json()
}

/// Will topic and payload as they follow the client id; version 5 with a delay.
fn will(version: u8, door: &str, payload: &[u8], delay_s: u32) -> Vec<u8> {
    let properties = if version == 5 { block(&[&[0x18][..], &delay_s.to_be_bytes()].concat()) } else { Vec::new() };
    [properties, text((prefix(door) + "status").as_bytes()), text(payload)].concat()
}

fn state_of(gateway: &Gateway, door: &str) -> Option<DoorState> {
    let doors = gateway.registry.doors();
    doors.into_iter().find(|presence| presence.door.as_str() == door)?.status.map(|status| status.state)
}

fn is_connected(gateway: &Gateway, door: &str) -> bool {
    gateway.registry.doors().iter().any(|presence| presence.door.as_str() == door && presence.connected)
}

#[tokio::test]
async fn a_new_connection_ends_the_old_one_of_the_same_client() {
    let gateway = Gateway::start().await;
    let mut old = gateway.v5("a", &[]).await;
    let mut new = gateway.v5("a", &[]).await;
    assert_eq!(old.packet().await, (0xE0, vec![0x8E]));
    old.ends().await;
    new.is_quiet().await;
    assert_eq!((gateway.metrics.takeovers.get(), gateway.metrics.connections.get()), (1, 1));
    assert!(is_connected(&gateway, "a"));
}

#[tokio::test]
async fn what_is_sent_together_with_connect_is_heard_at_once() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.dial().await;
    let subscribe = subscribe(3, 1, &(prefix("a") + "decision"), 1);
    let scan = publish(3, &(prefix("a") + "scan"), 1, 9, &[], &scan(1));
    client.send(&[connect_v3("a", 2, 60, &[]), subscribe, scan].concat()).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 0]));
    assert_eq!(client.packet().await, (0x90, vec![0, 1, 1]));
    gateway.keep().await;
    assert_eq!(client.packet().await.0, 0x32);
    assert_eq!(client.packet().await, (0x40, vec![0, 9]));
}

#[tokio::test]
async fn many_connections_of_one_client_leave_one() {
    let gateway = Gateway::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.dial().await;
        client.send(&connect_v3("a", 2, 60, &[])).await;
        clients.push(client);
    }
    eventually("all but one are ended", || gateway.metrics.takeovers.get() == 19).await;
    let mut live = 0;
    for mut client in clients {
        assert_eq!(client.packet().await, (0x20, vec![0, 0]));
        client.socket.write_all(&[0xC0, 0]).await.ok();
        live += usize::from(client.next().await.is_some());
    }
    assert_eq!(live, 1);
}

#[tokio::test]
async fn a_will_is_published_unless_the_door_says_goodbye() {
    let gateway = Gateway::start().await;
    let degraded = status(DoorState::Degraded);
    let mut client = gateway.dial().await;
    client.send(&connect_v3("a", 0x2E, 60, &will(3, "a", &degraded, 0))).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 0]));
    drop(client);
    eventually("the will counts", || state_of(&gateway, "a") == Some(DoorState::Degraded)).await;
    for (goodbye, expected) in [(&[0xE0, 0][..], DoorState::Offline), (&[0xE0, 1, 4][..], DoorState::Degraded)] {
        let mut client = gateway.dial().await;
        client.send(&connect_v5("b", 0x2E, 60, &[], &will(5, "b", &degraded, 0))).await;
        assert_eq!(client.packet().await.1[1], 0);
        client.send(goodbye).await;
        client.ends().await;
        assert_eq!(state_of(&gateway, "b"), Some(expected));
    }
}

#[tokio::test]
async fn a_delayed_will_comes_later_unless_the_door_is_back() {
    let gateway = Gateway::start().await;
    let degraded = status(DoorState::Degraded);
    for door in ["a", "b"] {
        let mut client = gateway.dial().await;
        client.send(&connect_v5(door, 0x2E, 60, b"\x11\0\0\0\x3C", &will(5, door, &degraded, 1))).await;
        assert_eq!(client.packet().await.1[1], 0);
        drop(client);
        eventually("it is away", || !is_connected(&gateway, door)).await;
    }
    let _back = gateway.v3("b").await;
    assert_eq!(state_of(&gateway, "a"), None);
    eventually("the will of a is due", || state_of(&gateway, "a") == Some(DoorState::Degraded)).await;
    assert_eq!(state_of(&gateway, "b"), None);
}

#[tokio::test]
async fn a_will_that_is_no_status_of_the_door_is_refused() {
    let gateway = Gateway::start().await;
    for (door, payload, v3_code, v5_code) in
        [("b", status(DoorState::Offline), 5, 0x87), ("a", b"offline".to_vec(), 5, 0x99)]
    {
        let mut client = gateway.dial().await;
        client.send(&connect_v3("a", 0x0E, 60, &will(3, door, &payload, 0))).await;
        assert_eq!(client.packet().await, (0x20, vec![0, v3_code]));
        let mut client = gateway.dial().await;
        client.send(&connect_v5("a", 0x0E, 60, &[], &will(5, door, &payload, 0))).await;
        assert_eq!(client.packet().await.1[1], v5_code);
    }
    assert_eq!(gateway.metrics.connections_refused.get_or_create(&ReasonLabel { reason: "will" }).get(), 4);
}

#[tokio::test]
async fn a_door_that_vanishes_without_a_will_is_offline() {
    let gateway = Gateway::start().await;
    let mut client = gateway.v3("a").await;
    client.send(&publish(3, &(prefix("a") + "status"), 1, 1, &[], &status(DoorState::Online))).await;
    assert_eq!(client.packet().await, (0x40, vec![0, 1]));
    assert_eq!(state_of(&gateway, "a"), Some(DoorState::Online));
    assert!(is_connected(&gateway, "a"));
    drop(client);
    eventually("offline", || state_of(&gateway, "a") == Some(DoorState::Offline) && !is_connected(&gateway, "a")).await;
}

#[tokio::test]
async fn a_door_that_is_back_is_not_said_to_be_offline_any_more() {
    let gateway = Gateway::start().await;
    let topic = prefix("a") + "status";
    let mut monitor = gateway.v5("monitor-1", &[]).await;
    drop(gateway.v3("a").await);
    eventually("offline", || state_of(&gateway, "a") == Some(DoorState::Offline) && !is_connected(&gateway, "a")).await;
    monitor.subscribe(5, &topic, 0).await;
    let heard = async |monitor: &mut Client| {
        let packet = monitor.packet().await;
        DoorStatus::from_json(&published(5, &packet).3).unwrap().state
    };
    assert_eq!(heard(&mut monitor).await, DoorState::Offline);
    // It never publishes a status.
    let _back = gateway.v3("a").await;
    assert_eq!(heard(&mut monitor).await, DoorState::Online);
    assert_eq!(state_of(&gateway, "a"), Some(DoorState::Online));
    // A monitor that comes later hears the same.
    let mut late = gateway.v5("monitor-2", &[]).await;
    late.subscribe(5, &topic, 0).await;
    assert_eq!(heard(&mut late).await, DoorState::Online);
}

#[tokio::test]
async fn a_status_is_remembered_with_the_clocks_offset_and_comes_back_retained() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v5("a", &[]).await;
    client.subscribe(5, &(prefix("a") + "status"), 1).await;
    let ahead = Instant::from_unix_ms(Instant::from(jiff::Timestamp::now()).unix_ms() + 3_600_000);
    let payload = DoorStatus::new(DoorState::Online, Some(ahead)).to_json();
    client.send(&publish(5, &(prefix("a") + "status"), 1, 1, &[], &payload)).await;
    assert_eq!(client.packet().await, (0x40, vec![0, 1]));
    let live = client.packet().await;
    assert_eq!((live.0, published(5, &live).3), (0x32, payload.clone()));
    let offset = gateway.registry.doors()[0].clock_offset_ms.unwrap();
    assert!((3_590_000..=3_600_000).contains(&offset), "{offset}");
    client.send(&publish(5, &(prefix("a") + "scan"), 1, 2, &[], &scan(1))).await;
    assert_eq!(gateway.keep().await.clock_offset_ms, Some(offset));
    assert_eq!(client.packet().await, (0x40, vec![0, 2]));
    // Retain handling: 0 always, 1 for new subscriptions only, 2 never.
    for (options, retained) in [(0x01, true), (0x11, false), (0x21, false)] {
        client.subscribe(5, &(prefix("a") + "status"), options).await;
        if retained {
            let message = client.packet().await;
            assert_eq!((message.0, published(5, &message).3), (0x33, payload.clone()));
        }
        client.is_quiet().await;
    }
    client.send(&publish(5, &(prefix("a") + "status"), 1, 3, &[], b"{}")).await;
    assert_eq!(client.packet().await, (0x40, vec![0, 3, 0x99]));
}

#[tokio::test]
async fn a_door_is_told_its_configuration_and_each_change_of_it() {
    let gateway = Gateway::start().await;
    let mut client = gateway.v3("a").await;
    client.subscribe(3, &(prefix("a") + "config"), 1).await;
    let (topic, _, _, payload) = published(3, &client.packet().await);
    let config = DoorConfig::from_json(&payload).unwrap();
    assert_eq!((topic, config.mode, config.zone.as_str()), (prefix("a") + "config", Mode::Enforce, "hall"));
    gateway.settings.lock().unwrap().as_mut().unwrap().zone = "yard".into();
    gateway.registry.send_config();
    assert_eq!(DoorConfig::from_json(&published(3, &client.packet().await).3).unwrap().zone, "yard");
    let mut other = gateway.v5("b", &[]).await;
    *gateway.settings.lock().unwrap() = None;
    gateway.registry.send_config();
    assert_eq!(other.packet().await, (0xE0, vec![0x98]));
}

#[tokio::test]
async fn unacknowledged_decisions_are_sent_again_to_a_kept_session() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.dial().await;
    client.send(&connect_v3("a", 0, 60, &[])).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 0]));
    client.subscribe(3, &(prefix("a") + "decision"), 1).await;
    for pkid in [1, 2, 3] {
        client.send(&publish(3, &(prefix("a") + "scan"), 1, pkid, &[], &scan(pkid.into()))).await;
        gateway.keep().await;
        let decision = client.packet().await;
        assert_eq!((decision.0, published(3, &decision).1), (0x32, pkid));
        assert_eq!(client.packet().await.0, 0x40);
    }
    client.send(&[0x40, 2, 0, 2]).await;
    client.is_quiet().await;
    drop(client);
    let mut client = gateway.dial().await;
    client.send(&connect_v3("a", 0, 60, &[])).await;
    assert_eq!(client.packet().await, (0x20, vec![1, 0]));
    for pkid in [1, 3] {
        let again = client.packet().await;
        assert_eq!((again.0, published(3, &again).1), (0x3A, pkid));
    }
    client.is_quiet().await;
    // A clean session forgets.
    gateway.v3("a").await.is_quiet().await;
    let mut client = gateway.dial().await;
    client.send(&connect_v3("a", 0, 60, &[])).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 0]));
}

#[tokio::test]
async fn a_kept_session_remembers_its_qos_2_ids_and_hears_of_changed_settings() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v5("a", b"\x11\0\0\0\x3C").await;
    client.subscribe(5, &(prefix("a") + "config"), 1).await;
    client.packet().await;
    let message = publish(5, &(prefix("a") + "scan"), 2, 7, &[], &scan(1));
    client.send(&message).await;
    gateway.keep().await;
    assert_eq!(client.packet().await, (0x50, vec![0, 7]));
    client.send(&[0x40, 2, 0, 1, 0xE0, 0]).await;
    client.ends().await;
    gateway.registry.send_config();
    let mut client = gateway.dial().await;
    client.send(&connect_v5("a", 0, 60, b"\x11\0\0\0\x3C", &[])).await;
    assert_eq!(client.packet().await.1[..2], [1, 0]);
    assert_eq!(published(5, &client.packet().await).0, prefix("a") + "config");
    client.send(&message).await;
    assert_eq!(client.packet().await, (0x50, vec![0, 7]));
    client.send(&[0x62, 2, 0, 7]).await;
    assert_eq!(client.packet().await, (0x70, vec![0, 7]));
    assert!(gateway.arrivals.is_empty());
}

#[tokio::test]
async fn a_silent_client_is_disconnected_and_told_the_servers_keep_alive() {
    let gateway = Gateway::with(|config| config.keep_alive_s_max = 1).await;
    for asked_s in [0, 1, 600] {
        let mut client = gateway.dial().await;
        client.send(&connect_v5("a", 2, asked_s, &[], &[])).await;
        let (_, body) = client.packet().await;
        let told = body.windows(3).any(|window| window == b"\x13\0\x01");
        assert_eq!(told, asked_s != 1);
        assert_eq!(client.packet().await, (0xE0, vec![0x8D]));
        client.ends().await;
    }
    assert_eq!(gateway.metrics.keep_alive_timeouts.get(), 3);
}

#[tokio::test]
async fn connack_says_what_the_server_offers() {
    let gateway = Gateway::with(|config| config.session_expiry_s_max = 10).await;
    let mut client = gateway.dial().await;
    client.send(&connect_v5("", 2, 60, b"\x11\0\0\x0E\x10\x19\x01", &[])).await;
    assert_eq!(client.packet().await.1[1], 0x85, "nobody to assign a name to");
    let leaf = gateway.ca.leaf("urn:gapura:regency:door:a", 1);
    let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
    client.send(&connect_v5("", 2, 60, b"\x11\0\0\x0E\x10\x19\x01", &[])).await;
    let (_, body) = client.packet().await;
    let information = [&[0x1A][..], &text(prefix("a").as_bytes())].concat();
    for property in [
        &b"\x11\0\0\0\x0A"[..],
        b"\x21\0\x40",
        b"\x27\0\0\x60\0",
        b"\x22\0\x08",
        b"\x12\0\x01a",
        &information,
        b"\x25\x01\x28\x01\x29\0\x2A\0",
    ] {
        assert!(body.windows(property.len()).any(|window| window == property), "{property:?} in {body:?}");
    }
}

#[tokio::test]
async fn a_client_gets_no_more_than_it_can_take() {
    let mut gateway = Gateway::with(|config| config.outbox_messages_max = 2).await;
    // Receive maximum 1, maximum packet size 60.
    let mut client = gateway.v5("a", b"\x21\0\x01\x27\0\0\0\x80").await;
    client.subscribe(5, &(prefix("a") + "decision"), 1).await;
    for pkid in 1..=5 {
        client.send(&publish(5, &(prefix("a") + "scan"), 1, pkid, &[], &scan(pkid.into()))).await;
        gateway.keep().await;
        if pkid == 1 {
            assert_eq!(published(5, &client.packet().await).1, 1);
        }
        assert_eq!(client.packet().await, (0x40, pkid.to_be_bytes().to_vec()));
    }
    assert_eq!(gateway.metrics.outbox_dropped.get(), 2);
    for pkid in 1..=2u8 {
        client.send(&[0x40, 2, 0, pkid]).await;
        assert_eq!(published(5, &client.packet().await).1, u16::from(pkid) + 1);
    }
    client.send(&publish(5, &(prefix("a") + "scan"), 1, 9, &[], &scan(9))).await;
    let arrival = gateway.arrival().await;
    let decision = Some(Bytes::from(vec![b'x'; 200]));
    let answer = Answer::Committed { ticket: arrival.reply.ticket, decision, malformed: false, opens_until: None };
    client.send(&[0x40, 2, 0, 3]).await;
    client.is_quiet().await;
    arrival.reply.answers.send(answer).await.unwrap();
    assert_eq!(client.packet().await, (0x40, vec![0, 9]));
    assert_eq!(gateway.metrics.outbox_dropped.get(), 3);
}

#[tokio::test]
async fn takeovers_are_counted_for_their_door_and_many_in_a_short_time_are_a_contested_identity() {
    let gateway = Gateway::start().await;
    let door = || gateway.registry.doors().remove(0);
    let mut old = gateway.v3("a").await;
    for takeovers in 1..=5 {
        let new = gateway.v3("a").await;
        old.ends().await;
        old = new;
        assert_eq!((door().connects, door().takeovers, door().contested), (takeovers + 1, takeovers, None));
    }
    let _new = gateway.v3("a").await;
    let contested = door().contested.unwrap();
    assert_eq!((contested.takeovers.count, contested.addresses.map(|address| address.is_loopback())), (1, [true; 2]));
    assert_eq!(door().certificate_not_after, None);
    gateway.registry.acknowledge(&"a".parse().unwrap());
    assert_eq!(door().contested, None);
    // Another door has none of it.
    let _other = gateway.v3("b").await;
    assert_eq!((gateway.registry.doors()[1].connects, gateway.registry.doors()[1].takeovers), (1, 0));
}
