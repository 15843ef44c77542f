//! What one client, or nobody in particular, must not be able to do to the doors. Each attack is followed by the proof
//! that the other doors connect, scan and are answered.

pub mod certificates;
mod floods;
mod handshakes;
mod packets;
mod rights;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use simulator::tls;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Client, Connect, GREEN, Gateway, Reader, SITE, Site, Version};

/// The door whose reader, or whoever has its certificate, has gone mad.
const MAD: &str = "mad-in";

/// Doors that work.
const DOORS: [&str; 2] = ["main-in", "main-out"];

/// The time that an attacker gives one write.
const PATIENCE: Duration = Duration::from_millis(500);

/// A gateway under attack.
struct Attacked {
    site: Site,
    gateway: Gateway,
    scans: u64,
}

impl Attacked {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these settings, as in `("GAPURA_MQTT__CONNECT_TIMEOUT_MS", 500)`.
    async fn with(settings: &[(&str, u64)]) -> Self {
        let mut site = Site::make(&[&[MAD][..], &DOORS].concat());
        for (variable, value) in settings {
            site.set(variable, value);
        }
        let gateway = site.run().await;
        Self { site, gateway, scans: 0 }
    }

    /// Every other door connects anew, scans, is let in and acknowledged, in both versions of MQTT.
    async fn serves(&mut self) {
        for (door, version) in DOORS.into_iter().zip([Version::V4, Version::V5]) {
            self.scans += 1;
            let mut reader = Reader::connect(&self.site, &self.gateway, door, version).await;
            let answer = reader.scan(self.scans, GREEN).await;
            assert!(answer.decision.open, "{answer:?}");
        }
        assert!(self.gateway.runs(), "the gateway has ended");
        let (ready, why) = self.gateway.ready().await;
        assert!(ready, "{why}");
    }

    /// A connection with the mad reader's certificate, let in.
    async fn mad(&self, version: Version) -> Client {
        Client::connect(&self.site, &self.gateway, "doors", &Connect::new(version, MAD)).await
    }

    /// A connection with the mad reader's certificate that has not said CONNECT.
    async fn dial(&self) -> Client {
        Client::dial(&self.site, &self.gateway, "doors", MAD).await.unwrap()
    }

    /// Waits until a metric is at least `least`.
    async fn counted(&self, name: &str, labels: &[&str], least: f64) {
        let what = format!("{name} {labels:?} is at least {least}");
        crate::harness::eventually(&what, async || self.gateway.metric(name, labels).await >= least).await;
    }
}

/// One of a door's topics.
fn topic(door: &str, channel: &str) -> String {
    format!("gapura/v1/{SITE}/{door}/{channel}")
}

/// The shortest payload that is a scan of nobody.
fn scan(seq: u64) -> Vec<u8> {
    format!(
        r#"{{"v":1,"epoch":1,"seq":{seq},"scanned_at":"2026-11-23T07:31:04+08:00","direction":"in","credential":"x"}}"#
    )
    .into_bytes()
}

/// A TLS connection whose socket the test can reach.
async fn raw_tls(
    socket: TcpSocket,
    address: SocketAddr,
    site: &Site,
    folder: &str,
    name: &str,
) -> TlsStream<TcpStream> {
    let roots = tls::roots(&site.ca()).unwrap();
    let config = tls::client(roots, &site.file(folder), name).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::from(address.ip()), stream).await.unwrap()
}
