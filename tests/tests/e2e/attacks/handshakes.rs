//! Connections that never become a client: silent, slow, reset, or speaking something else.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use simulator::tls;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use super::{Attacked, MAD, raw_tls, topic};
use crate::harness::{Client, Connect, Packet, Publish, QoS, Site, Version, closed, eventually};

/// Handshakes that are left half open.
const HALF_OPEN: u64 = 5_000;

/// Fewer would prove little.
const HALF_OPEN_LEAST: u64 = 1_000;

#[tokio::test]
async fn thousands_of_half_open_handshakes_keep_nobody_out() {
    let half_open = affordable_connections();
    let mut attacked = Attacked::with(&[
        ("GAPURA_MQTT__HANDSHAKES_PER_ADDRESS_MAX", 8_192),
        ("GAPURA_MQTT__CONNECT_TIMEOUT_MS", 120_000),
    ])
    .await;
    let held = half_open_handshakes(&attacked, half_open).await;
    // All of them at once, not one after the other.
    attacked.counted("doors_pending", &[], half_open as f64).await;
    attacked.serves().await;
    drop(held);
    eventually("the gateway notices that they are gone", async || {
        attacked.gateway.metric("doors_pending", &[]).await == 0.0
    })
    .await;
    attacked.serves().await;
}

#[tokio::test]
async fn half_open_handshakes_beyond_the_limit_push_out_their_own() {
    let mut attacked = Attacked::with(&[
        ("GAPURA_MQTT__HANDSHAKES_PER_ADDRESS_MAX", 100),
        ("GAPURA_MQTT__CONNECT_TIMEOUT_MS", 120_000),
    ])
    .await;
    let held = half_open_handshakes(&attacked, 500).await;
    attacked.counted("doors_pending_dropped_total", &[], 400.0).await;
    attacked.serves().await;
    assert!(attacked.gateway.metric("doors_pending", &[]).await <= 100.0);
    drop(held);
}

#[tokio::test]
async fn a_handshake_or_a_connect_that_never_ends_is_ended() {
    let mut attacked = Attacked::with(&[("GAPURA_MQTT__CONNECT_TIMEOUT_MS", 500)]).await;
    for bytes in [vec![], vec![0x16, 3, 1], client_hello(&attacked.site)] {
        let mut client = Client::tcp(attacked.gateway.mqtt).await.unwrap();
        client.send(&bytes).await.unwrap();
        assert!(closed(&client.ends().await.1));
    }
    let mut silent = attacked.dial().await;
    assert!(closed(&silent.ends().await.1));
    let mut halfway = attacked.dial().await;
    halfway.send(&Connect::new(Version::V5, MAD).bytes()[..9]).await.unwrap();
    assert!(closed(&halfway.ends().await.1));
    attacked.counted("doors_tls_failures_total", &["timeout"], 3.0).await;
    attacked.counted("doors_connections_refused_total", &["connect_timeout"], 2.0).await;
    attacked.serves().await;
}

#[tokio::test]
async fn a_slow_drip_of_bytes_wins_no_time() {
    let mut attacked = Attacked::with(&[("GAPURA_MQTT__CONNECT_TIMEOUT_MS", 500)]).await;
    let hello = client_hello(&attacked.site);
    let mut tcp = Client::tcp(attacked.gateway.mqtt).await.unwrap();
    drip(&mut tcp, &hello).await;

    let mut connect = Connect::new(Version::V4, MAD);
    connect.will = Some((topic(MAD, "status"), vec![b'x'; 4_000]));
    drip(&mut attacked.dial().await, &connect.bytes()).await;

    // A client that is let in must send whole packets within its keep-alive.
    let mut client = attacked.dial().await;
    let mut connect = Connect::new(Version::V5, MAD);
    connect.keep_alive_s = 1;
    client.hello(&connect).await.unwrap();
    drip(&mut client, &Publish::new("x", QoS::AtMostOnce, 0, &[b'x'; 4_000]).bytes(Version::V5)).await;
    attacked.counted("doors_keep_alive_timeouts_total", &[], 1.0).await;
    attacked.serves().await;
}

#[tokio::test]
async fn connect_and_reset_again_and_again_under_one_name_leaves_the_gateway_alive() {
    let mut attacked = Attacked::start().await;
    for round in 0..100 {
        let socket = TcpSocket::new_v4().unwrap();
        let mut stream = raw_tls(socket, attacked.gateway.mqtt, &attacked.site, "doors", MAD).await;
        let mut connect = Connect::new([Version::V4, Version::V5][round % 2], MAD);
        connect.clean = round % 3 == 0;
        stream.write_all(&connect.bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // With a linger time of zero, closing sends a reset.
        rustix::net::sockopt::set_socket_linger(stream.get_ref().0, Some(Duration::ZERO)).unwrap();
    }
    attacked.serves().await;
    // And under that name itself.
    attacked.mad(Version::V5).await;
}

#[tokio::test]
async fn what_is_not_tls_or_not_mqtt_is_closed() {
    let mut attacked = Attacked::start().await;
    let garbage: Vec<u8> = (0..=255).rev().collect();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &garbage, &Connect::new(Version::V5, MAD).bytes()] {
        let mut client = Client::tcp(attacked.gateway.mqtt).await.unwrap();
        client.send(bytes).await.unwrap();
        assert!(closed(&client.ends().await.1));
    }
    attacked.counted("doors_tls_failures_total", &["other"], 3.0).await;

    let publish = Publish::new("x", QoS::AtLeastOnce, 1, b"x").bytes(Version::V4);
    for bytes in
        [&publish[..], b"GET / HTTP/1.1\r\n\r\n", &garbage, &[0xC0, 0], &[0xE0, 0], &[0x10, 0], &[0x10, 2, 0, 9]]
    {
        let mut client = attacked.dial().await;
        client.send(bytes).await.unwrap();
        let (before, end) = client.ends().await;
        assert!(before.is_empty() && closed(&end), "{bytes:?}: {before:?} {end}");
    }
    let refused = attacked.gateway.metric("doors_connections_refused_total", &[]).await;
    assert_eq!(refused, 7.0);
    assert_eq!(attacked.gateway.metric("doors_scans_received_total", &[]).await, 0.0);
    attacked.serves().await;
}

#[tokio::test]
async fn an_unknown_version_of_mqtt_is_told_so() {
    let mut attacked = Attacked::start().await;
    for (level, version, code) in [(3, Version::V4, 1), (6, Version::V5, 0x84)] {
        let mut bytes = Connect::new(version, MAD).bytes();
        bytes[8] = level;
        let mut client = attacked.dial().await;
        client.send(&bytes).await.unwrap();
        let answer = client.next().await.unwrap();
        assert!(matches!(answer, Packet::ConnAck { code: its, .. } if its == code), "{answer:?}");
    }
    attacked.counted("doors_connections_refused_total", &["protocol_version"], 2.0).await;
    attacked.serves().await;
}

/// Connects so often and says a little of TLS, or nothing.
async fn half_open_handshakes(attacked: &Attacked, count: u64) -> Vec<TcpStream> {
    let hello = client_hello(&attacked.site);
    let mut held = Vec::new();
    for n in 0..count {
        let mut socket = TcpStream::connect(attacked.gateway.mqtt).await.unwrap();
        match n % 3 {
            0 => socket.write_all(&hello).await.unwrap(),
            1 => socket.write_all(&hello[..3]).await.unwrap(),
            _ => {}
        }
        held.push(socket);
    }
    held
}

/// How many connections this process may hold beside its other files.
fn affordable_connections() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let room = limit.maximum.unwrap_or(u64::MAX).saturating_sub(500);
    if room < HALF_OPEN {
        eprintln!("the limit of open files allows for {room} half-open handshakes instead of {HALF_OPEN}");
    }
    let count = room.min(HALF_OPEN);
    assert!(count >= HALF_OPEN_LEAST, "{room} connections are too few: raise the limit of open files (ulimit -Hn)");
    count
}

/// The first flight of a real handshake.
fn client_hello(site: &Site) -> Vec<u8> {
    let config = tls::anonymous(tls::roots(&site.ca()).unwrap()).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = rustls::ClientConnection::new(config.into(), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// Sends byte by byte until the connection ends.
async fn drip(client: &mut Client, bytes: &[u8]) {
    for byte in bytes {
        if client.send(&[*byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{} bytes were heard to their end", bytes.len());
}
