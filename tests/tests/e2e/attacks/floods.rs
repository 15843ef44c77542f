//! Clients that send as fast as they can, and clients that do not listen.

use std::future::Future;
use std::io::Result;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Attacked, DOORS, MAD, PATIENCE, raw_tls, scan, topic};
use crate::harness::{Client, Connect, GREEN, Publish, QoS, Reader, Version, packet, subscribe};

const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[tokio::test]
async fn a_disconnect_in_the_middle_of_a_flood_stops_nobody() {
    let mut attacked = Attacked::start().await;
    for round in 0..40 {
        let version = [Version::V4, Version::V5][round % 2];
        let mut client = attacked.mad(version).await;
        client.subscribe(&topic(MAD, "#"), QoS::AtLeastOnce).await;
        let flood = flood(version, QUALITIES[round % 3], 1..=50);
        client.send(&[&flood[..], &packet(0xE0, &[])].concat()).await.unwrap();
    }
    attacked.serves().await;
    crate::harness::eventually("the last of them is gone", async || {
        attacked.gateway.metric("doors_connections", &[]).await == 0.0
    })
    .await;
    attacked.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doors_are_answered_while_a_mad_reader_floods() {
    let mut attacked = Attacked::start().await;
    let mut readers = Vec::new();
    for (door, version) in DOORS.into_iter().zip([Version::V4, Version::V5]) {
        readers.push(Reader::connect(&attacked.site, &attacked.gateway, door, version).await);
    }
    let flooding = mad_reader(&attacked);
    // From when the gateway slows the mad reader down.
    attacked.counted("doors_scans_throttled_total", &[], 1.0).await;
    for round in 1..=3 {
        for seq in round * 1_000..round * 1_000 + 50 {
            for reader in &mut readers {
                let answer = reader.scan(seq, GREEN).await;
                assert!(answer.decision.open, "{answer:?}");
            }
        }
        // By then it has come anew in every version and with every quality of service.
        attacked.counted("doors_takeovers_total", &[], 6.0 * round as f64).await;
    }
    drop(readers);
    attacked.serves().await;
    assert!(!flooding.is_finished(), "the mad reader has given up");
    flooding.abort();
    attacked.serves().await;
}

#[tokio::test]
async fn a_monitor_that_acknowledges_nothing_loses_messages_and_harms_no_door() {
    let mut attacked = Attacked::with(&[("GAPURA_MQTT__OUTBOX_MESSAGES_MAX", 10)]).await;
    let connect = Connect::new(Version::V5, "watch");
    let mut monitor = Client::connect(&attacked.site, &attacked.gateway, "monitors", &connect).await;
    assert_eq!(monitor.subscribe(&topic("+", "decision"), QoS::AtLeastOnce).await, 1);
    let mut reader = Reader::connect(&attacked.site, &attacked.gateway, MAD, Version::V5).await;
    // 64 in flight, 10 that wait, and the rest.
    for seq in 1..=100 {
        reader.scan(seq, GREEN).await;
    }
    attacked.counted("doors_outbox_dropped_total", &[], 20.0).await;
    attacked.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_never_reads_is_disconnected_and_harms_no_door() {
    let mut attacked = Attacked::with(&[
        ("GAPURA_MQTT__WRITE_TIMEOUT_MS", 200),
        ("GAPURA_MQTT__SCANS_PER_SECOND_MAX", 1_000_000),
        ("GAPURA_MQTT__SCANS_BURST_MAX", 1_000_000),
    ])
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    // The sooner it is full, the sooner the gateway has to wait.
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut deaf = raw_tls(socket, attacked.gateway.mqtt, &attacked.site, "monitors", "watch").await;
    deaf.write_all(&Connect::new(Version::V4, "watch").bytes()).await.unwrap();
    deaf.write_all(&subscribe(Version::V4, 1, &topic("+", "decision"), 0)).await.unwrap();
    deaf.flush().await.unwrap();
    let mut answers = [0; 9];
    deaf.read_exact(&mut answers).await.unwrap();
    assert_eq!(answers, [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0]);

    let mut reader = Reader::connect(&attacked.site, &attacked.gateway, MAD, Version::V4).await;
    let mut seq = 0;
    while attacked.gateway.metric("doors_write_timeouts_total", &[]).await < 1.0 {
        assert!(seq < 100_000, "the gateway still writes to a monitor that does not read");
        for _ in 0..10 {
            let flood = flood(Version::V4, QoS::AtLeastOnce, seq + 1..=seq + 50);
            reader.client.send(&flood).await.unwrap();
            for seq in seq + 1..=seq + 50 {
                reader.decision(seq).await;
            }
            seq += 50;
        }
        drop(reader.client.so_far().await);
    }
    attacked.serves().await;
}

/// A reader that floods over one connection after another until it is aborted.
fn mad_reader(attacked: &Attacked) -> JoinHandle<()> {
    let (site, gateway) = (attacked.site.root(), attacked.gateway.mqtt);
    tokio::spawn(async move {
        let mut seq = 0;
        for round in 0.. {
            let (version, qos) = ([Version::V4, Version::V5][round % 2], QUALITIES[round % 3]);
            let roots = simulator::tls::roots(&site.join("pki/ca.pem")).unwrap();
            let config = simulator::tls::client(roots, &site.join("doors"), MAD).unwrap();
            let Ok(mut client) = Client::tls(gateway, config).await else { continue };
            if client.hello(&Connect::new(version, MAD)).await.is_err() {
                continue;
            }
            // It never reads. When its writes stall it comes anew, in the middle of a packet.
            for _ in 0..200 {
                let flood = flood(version, qos, seq + 1..=seq + 50);
                seq += 50;
                if !sent(client.send(&flood)).await {
                    break;
                }
            }
        }
    })
}

async fn sent(sending: impl Future<Output = Result<()>>) -> bool {
    matches!(timeout(PATIENCE, sending).await, Ok(Ok(())))
}

/// Scans in one piece.
fn flood(version: Version, qos: QoS, seqs: impl Iterator<Item = u64>) -> Vec<u8> {
    seqs.flat_map(|seq| {
        let id = if qos == QoS::AtMostOnce { 0 } else { (seq % 60_000) as u16 + 1 };
        Publish::new(&topic(MAD, "scan"), qos, id, &scan(seq)).bytes(version)
    })
    .collect()
}
