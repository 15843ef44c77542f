//! What one client must not be able to do to the others.

use super::*;

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let mut gateway = Gateway::with(|config| {
        config.handshakes_per_address_max = 20;
        config.connect_timeout_ms = 60_000;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..150 {
        // Half of them towards TLS, with the start of a handshake.
        let mut socket = TcpStream::connect(gateway.tls).await.unwrap();
        socket.write_all(&[0x16, 3, 1]).await.unwrap();
        silent.push(socket);
        silent.push(TcpStream::connect(gateway.plain).await.unwrap());
    }
    gateway.serves("a").await;
    let leaf = gateway.ca.leaf("urn:gapura:regency:door:b", 1);
    let mut client = gateway.ca.dial(gateway.tls, Some(&leaf)).await.unwrap();
    client.send(&connect_v3("b", 2, 60, &[])).await;
    assert_eq!(client.packet().await, (0x20, vec![0, 0]));
    assert!(gateway.metrics.pending.get() <= 20);
    assert!(gateway.metrics.pending_dropped.get() >= 280);
}

#[tokio::test]
async fn a_connection_that_says_nothing_ends() {
    let gateway = Gateway::with(|config| config.connect_timeout_ms = 100).await;
    gateway.dial().await.ends().await;
    Client::new(TcpStream::connect(gateway.tls).await.unwrap()).ends().await;
    assert_eq!(gateway.metrics.tls_failures.get_or_create(&ReasonLabel { reason: "timeout" }).get(), 1);
    let refused = &gateway.metrics.connections_refused;
    assert_eq!(refused.get_or_create(&ReasonLabel { reason: "connect_timeout" }).get(), 1);
}

#[tokio::test]
async fn connect_and_reset_again_and_again_leaves_the_listener_alive() {
    let mut gateway = Gateway::start().await;
    for _ in 0..50 {
        let socket = TcpStream::connect(gateway.plain).await.unwrap();
        let socket = socket.into_std().unwrap();
        // With a linger time of zero, closing sends a reset.
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
        let mut socket = TcpStream::from_std(socket).unwrap();
        socket.write_all(&connect_v3("a", 0, 60, &[])).await.unwrap();
    }
    gateway.serves("a").await;
}

#[tokio::test]
async fn topics_that_start_with_a_multi_byte_character_stop_nobody() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.v3("b").await;
    assert_eq!(client.subscribe(3, "é/#", 1).await, 0x80);
    client.send(&publish(3, "日本/scan", 1, 1, &[], b"x")).await;
    client.ends().await;
    let mut client = gateway.v3("b").await;
    client.send(&packet(0x30, b"\0\x02\xFF\xFEx")).await;
    client.ends().await;
    gateway.serves("a").await;
}

#[tokio::test]
async fn a_disconnect_in_the_middle_of_a_flood_stops_nobody() {
    let mut gateway = Gateway::start().await;
    for _ in 0..10 {
        let mut client = gateway.v3("b").await;
        client.subscribe(3, &(prefix("b") + "#"), 1).await;
        let flood: Vec<u8> =
            (1..=50).flat_map(|pkid| publish(3, &(prefix("b") + "scan"), 1, pkid, &[], b"x")).collect();
        client.send(&[&flood[..], &[0xE0, 0]].concat()).await;
    }
    eventually("it is gone", || gateway.metrics.connections.get() == 0).await;
    gateway.arrivals.clear();
    gateway.serves("a").await;
}

#[tokio::test]
async fn bad_packets_close_the_connection_and_stop_nobody() {
    let mut gateway = Gateway::start().await;
    for (bytes, reason) in [
        (&[0x82, 0xFF, 0xFF, 0x7F][..], 0x95),
        (&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 0x95),
        (&[0x20, 2, 0, 0], 0x82),
        (&[0xF0, 0], 0x82),
        (&[0x36, 4, 0, 1, b'x', 0], 0x81),
        (&[0x80, 6, 0, 1, 0, 0, 0, 0], 0x81),
        (&[0x30, 3, 0, 9, b'x'], 0x81),
        (&connect_v5("b", 2, 60, &[], &[]), 0x82),
    ] {
        let mut client = gateway.v5("b", &[]).await;
        // What follows a bad packet is not looked at.
        client.send(&[bytes, &publish(5, &(prefix("b") + "scan"), 1, 1, &[], &scan(1))].concat()).await;
        assert_eq!(client.packet().await, (0xE0, vec![reason]));
        client.ends().await;
    }
    assert_eq!(gateway.metrics.packets_malformed.get(), 8);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xC0, 0], &[0x10, 0], &[0xFF; 40]] {
        let mut client = gateway.dial().await;
        client.send(bytes).await;
        client.ends().await;
    }
    assert!(gateway.arrivals.is_empty());
    gateway.serves("a").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_and_holds_up_nobody() {
    let mut gateway = Gateway::with(|config| {
        config.write_timeout_ms = 200;
        (config.scans_per_second_max, config.scans_burst_max) = (1_000_000, 1_000_000);
    })
    .await;
    let mut deaf = gateway.v3("b").await;
    let pings = [0xC0, 0].repeat(50_000);
    let flood = timeout(DEADLINE, async { while deaf.socket.write_all(&pings).await.is_ok() {} });
    assert!(flood.await.is_ok(), "the connection must end");
    assert_eq!(gateway.metrics.write_timeouts.get(), 1);
    gateway.serves("a").await;
}

#[tokio::test]
async fn a_slowly_written_packet_is_no_sign_of_life() {
    let gateway = Gateway::with(|config| config.keep_alive_s_max = 1).await;
    let mut client = gateway.v5("a", &[]).await;
    let bytes = publish(5, &(prefix("a") + "scan"), 1, 1, &[], &scan(1));
    let ended = timeout(DEADLINE, async {
        for byte in bytes {
            if client.socket.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(ended.await.is_ok());
    assert_eq!(client.packet().await, (0xE0, vec![0x8D]));
}

#[tokio::test]
async fn a_quiet_session_is_small() {
    assert!(size_of::<super::super::session::Session>() <= 1024, "{}", size_of::<super::super::session::Session>());
}
