//! The front over real sockets on loopback, with a spine that does what a test tells it.

mod assists;
mod attacks;
mod certificates;
mod codec;
mod monitors;
mod normative;
mod normative_v311;
mod normative_v5;
mod rights;
mod scans;
mod sessions;
mod sizes;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use protocol::{Direction, DoorId, Instant, Mode, Scan, ScanId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::certificates::Ca;
use super::*;
use crate::monitors::Monitors;
use crate::scan::{Answer, Arrival, Payload, ScanQueue, WorkQueue};
use base::clock::Clock;

/// Assist requests of one helper within a minute.
const ASSISTS_PER_MINUTE_MAX: u32 = 5;

const DEADLINE: Duration = Duration::from_secs(10);

/// `gapura/v1/regency/{door}/`
fn prefix(door: &str) -> String {
    format!("gapura/v1/regency/{door}/")
}

/// A front that serves doors `a`, `b` and `c`.
struct Gateway {
    plain: SocketAddr,
    tls: SocketAddr,
    ca: Ca,
    tls_config: Arc<ArcSwap<rustls::ServerConfig>>,
    registry: Arc<Registry>,
    assists: Arc<AssistSubmitter>,
    monitors: Monitors,
    metrics: Metrics,
    arrivals: WorkQueue,
    settings: Arc<Mutex<Option<DoorSettings>>>,
    /// How far its clock is ahead of this machine's, for what sessions make of it.
    clock_ahead_ms: Arc<AtomicI64>,
    shutdown: watch::Sender<bool>,
    /// Dropping it ends the fan-out to monitors.
    stop_monitors: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl Gateway {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(set: impl FnOnce(&mut Config)) -> Self {
        Self::with_queue(1000, set).await
    }

    async fn with_queue(events_max: usize, set: impl FnOnce(&mut Config)) -> Self {
        Self::with_monitors(crate::monitors::Config::default(), events_max, set).await
    }

    async fn with_monitors(
        monitors: crate::monitors::Config,
        events_max: usize,
        set: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::default();
        set(&mut config);
        let config = Arc::new(config);
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let registry = Registry::new(Arc::clone(&config), metrics.clone(), Clock::system());
        let (scans, arrivals) = ScanQueue::new(events_max);
        let monitors_metrics = crate::monitors::Metrics::new(&mut prometheus_client::registry::Registry::default());
        let (monitors, broadcaster) = Monitors::new(monitors, monitors_metrics).unwrap();
        let (stop_monitors, monitors_stop) = watch::channel(false);
        tokio::spawn(broadcaster.run(monitors_stop));
        let ca = Ca::new();
        let tls_config = Arc::new(ArcSwap::from_pointee(ca.server_config()));
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (tls_listener, plain_listener) = (bind().await.unwrap(), bind().await.unwrap());
        let (tls, plain) = (tls_listener.local_addr().unwrap(), plain_listener.local_addr().unwrap());
        let (shutdown, stop) = watch::channel(false);
        let settings = DoorSettings { mode: Mode::Enforce, zone: "hall".into(), late_after_ms: 60_000, highest: None };
        let settings = Arc::new(Mutex::new(Some(settings)));
        let known = Arc::clone(&settings);
        let door_settings: DoorLookup = Arc::new(move |door| {
            ["a", "b", "c"].contains(&door.as_str()).then(|| known.lock().unwrap().clone()).flatten()
        });
        let route = AssistRoute {
            scans: scans.downgrade(),
            registry: Arc::clone(&registry),
            door_settings: Arc::clone(&door_settings),
            clock: Clock::system(),
            metrics: metrics.clone(),
            answer_timeout: config.answer_timeout(),
        };
        let clock_ahead_ms = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&clock_ahead_ms);
        let clock = Clock::new(move || {
            let now = Clock::system().now().unix_ms();
            protocol::Instant::from_unix_ms(now + ahead.load(Ordering::Relaxed))
        });
        let assists = Arc::new(AssistSubmitter::new(ASSISTS_PER_MINUTE_MAX, route));
        let parts = FrontContext {
            site: "regency".parse().unwrap(),
            scans,
            monitors: monitors.clone(),
            registry: Arc::clone(&registry),
            assists: Arc::clone(&assists),
            door_settings,
            tls: Arc::clone(&tls_config),
            clock,
            metrics: metrics.clone(),
            config,
        };
        let served = tokio::spawn(serve(parts, tls_listener, Some(plain_listener), stop));
        Self {
            plain,
            tls,
            ca,
            tls_config,
            registry,
            assists,
            monitors,
            metrics,
            arrivals,
            settings,
            clock_ahead_ms,
            shutdown,
            stop_monitors,
            served,
        }
    }

    /// A connection that has said nothing.
    async fn dial(&self) -> Client {
        Client::new(TcpStream::connect(self.plain).await.unwrap())
    }

    /// A 3.1.1 client with a clean session.
    async fn v3(&self, client_id: &str) -> Client {
        let mut client = self.dial().await;
        client.send(&connect_v3(client_id, 0x02, 60, &[])).await;
        assert_eq!(client.packet().await, (0x20, vec![0, 0]));
        client
    }

    /// An MQTT 5 client with a clean session and these properties; its CONNACK is read.
    async fn v5(&self, client_id: &str, properties: &[u8]) -> Client {
        let mut client = self.dial().await;
        client.send(&connect_v5(client_id, 0x02, 60, properties, &[])).await;
        let (head, body) = client.packet().await;
        assert_eq!((head, &body[..2]), (0x20, &[0, 0][..]));
        client
    }

    async fn arrival(&mut self) -> Arrival {
        timeout(DEADLINE, self.arrivals.next_arrival()).await.expect("a scan must arrive").unwrap()
    }

    /// Takes the next scan and says that it is kept.
    async fn keep(&mut self) -> Arrival {
        let arrival = self.arrival().await;
        kept(&arrival, false).await;
        arrival
    }

    /// Whether a door serves and is answered.
    async fn serves(&mut self, door: &str) {
        let mut client = self.v3(door).await;
        client.send(&subscribe(3, 1, &(prefix(door) + "decision"), 1)).await;
        assert_eq!(client.packet().await.0, 0x90);
        client.send(&publish(3, &(prefix(door) + "scan"), 1, 9, &[], &scan(1))).await;
        self.keep().await;
        assert_eq!(client.packet().await.0 & 0xF0, 0x30);
        assert_eq!(client.packet().await, (0x40, vec![0, 9]));
    }
}

async fn kept(arrival: &Arrival, malformed: bool) {
    let decision = Some(Bytes::from_static(b"{\"decided\":true}"));
    let ticket = arrival.reply.ticket;
    arrival.reply.answers.send(Answer::Committed { ticket, decision, malformed, opens_until: None }).await.unwrap();
}

async fn unavailable(arrival: &Arrival) {
    arrival.reply.answers.send(Answer::Held { ticket: arrival.reply.ticket, reason: "disk" }).await.unwrap();
}

/// Waits for a condition, with a deadline.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let met = timeout(DEADLINE, async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(met.await.is_ok(), "{what}");
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// An MQTT client that sends whatever bytes it is given.
struct Client {
    socket: Box<dyn Socket>,
    input: BytesMut,
}

impl Client {
    fn new(socket: impl Socket + 'static) -> Self {
        Self { socket: Box::new(socket), input: BytesMut::new() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The next packet: its first byte, and what follows the length. `None` at the end of the connection.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(DEADLINE, async {
            loop {
                if let Some((len, body_at)) = whole(&self.input) {
                    let packet = self.input.split_to(len);
                    return Some((packet[0], packet[body_at..].to_vec()));
                }
                match self.socket.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
        .expect("a packet must come, or the end")
    }

    async fn packet(&mut self) -> (u8, Vec<u8>) {
        self.next().await.expect("a packet must come")
    }

    async fn ends(&mut self) {
        assert_eq!(self.next().await, None);
    }

    /// Proves that nothing else came before the answer to a PINGREQ.
    async fn is_quiet(&mut self) {
        self.send(&[0xC0, 0]).await;
        assert_eq!(self.packet().await, (0xD0, vec![]));
    }

    async fn subscribe(&mut self, version: u8, filter: &str, qos: u8) -> u8 {
        self.send(&subscribe(version, 77, filter, qos)).await;
        let (head, body) = self.packet().await;
        assert_eq!((head, &body[..2]), (0x90, &[0, 77][..]));
        *body.last().unwrap()
    }
}

fn whole(input: &[u8]) -> Option<(usize, usize)> {
    let mut len = 0;
    for (at, byte) in input.iter().skip(1).enumerate() {
        len |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return (input.len() >= at + 2 + len).then_some((at + 2 + len, at + 2));
        }
    }
    None
}

fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![head];
    let mut len = body.len();
    while len >= 128 {
        bytes.push(u8::try_from(len % 128).unwrap() | 128);
        len /= 128;
    }
    bytes.push(u8::try_from(len).unwrap());
    bytes.extend_from_slice(body);
    bytes
}

fn text(text: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(text);
    bytes
}

fn block(properties: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(properties.len()).unwrap()];
    bytes.extend_from_slice(properties);
    bytes
}

fn connect_v3(client_id: &str, flags: u8, keep_alive_s: u16, rest: &[u8]) -> Vec<u8> {
    let head = [&b"\0\x04MQTT\x04"[..], &[flags], &keep_alive_s.to_be_bytes()].concat();
    packet(0x10, &[&head[..], &text(client_id.as_bytes()), rest].concat())
}

fn connect_v5(client_id: &str, flags: u8, keep_alive_s: u16, properties: &[u8], rest: &[u8]) -> Vec<u8> {
    let head = [&b"\0\x04MQTT\x05"[..], &[flags], &keep_alive_s.to_be_bytes(), &block(properties)].concat();
    packet(0x10, &[&head[..], &text(client_id.as_bytes()), rest].concat())
}

/// PUBLISH; `properties` for version 5 only, `flags` are added to the first byte by way of `qos`.
fn publish(version: u8, topic: &str, qos: u8, pkid: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic.as_bytes());
    if qos > 0 {
        body.extend_from_slice(&pkid.to_be_bytes());
    }
    if version == 5 {
        body.extend_from_slice(&block(properties));
    }
    body.extend_from_slice(payload);
    packet(0x30 | qos << 1, &body)
}

fn subscribe(version: u8, pkid: u16, filter: &str, options: u8) -> Vec<u8> {
    let mut body = pkid.to_be_bytes().to_vec();
    if version == 5 {
        body.push(0);
    }
    body.extend_from_slice(&text(filter.as_bytes()));
    body.push(options);
    packet(0x82, &body)
}

fn scan(seq: u64) -> Vec<u8> {
    let id = ScanId { epoch: 1, seq };
    Scan::new(id, Instant::from_unix_ms(1_000), Direction::In, "GP1:TEST").unwrap().to_json()
}

/// What a PUBLISH says: its topic, packet id at QoS 1, properties of version 5, and payload.
fn published(version: u8, (head, body): &(u8, Vec<u8>)) -> (String, u16, Vec<u8>, Vec<u8>) {
    assert_eq!(head & 0xF0, 0x30, "{head:#x}");
    let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let mut at = 2 + topic_len;
    let topic = String::from_utf8(body[2..at].to_vec()).unwrap();
    let mut pkid = 0;
    if head & 0b110 != 0 {
        pkid = u16::from_be_bytes([body[at], body[at + 1]]);
        at += 2;
    }
    let mut properties = Vec::new();
    if version == 5 {
        let len = usize::from(body[at]);
        properties = body[at + 1..at + 1 + len].to_vec();
        at += 1 + len;
    }
    (topic, pkid, properties, body[at..].to_vec())
}
