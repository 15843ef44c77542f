//! An MQTT client that sends whatever bytes it is told, and acknowledges nothing by itself.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use simulator::tls;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::DEADLINE;
use super::gateway::Gateway;
use super::packets::{Connect, Packet, Publish, QoS, Version, packet, subscribe};
use super::site::Site;

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// A connection.
pub struct Client {
    version: Version,
    socket: Box<dyn Socket>,
    input: BytesMut,
    /// What came while something else was waited for.
    aside: VecDeque<Packet>,
    last_id: u16,
    /// The certificate that the gateway has shown, DER; empty without TLS.
    pub server_certificate: Vec<u8>,
}

impl Client {
    /// Connects over TCP alone.
    pub async fn tcp(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(TcpStream::connect(address).await?))
    }

    /// Connects over TLS with `config`. In TLS 1.3 a client that is turned away learns it from its first read.
    pub async fn tls(address: SocketAddr, config: rustls::ClientConfig) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|shown| shown.to_vec());
        Ok(Self { server_certificate: shown.unwrap_or_default(), ..Self::over(stream) })
    }

    /// Connects with the certificate `{folder}/{name}.pem` of the site, `folder` being `doors` or `monitors`.
    pub async fn dial(site: &Site, gateway: &Gateway, folder: &str, name: &str) -> Result<Self> {
        let roots = tls::roots(&site.ca()).unwrap();
        Self::tls(gateway.mqtt, tls::client(roots, &site.file(folder), name).unwrap()).await
    }

    /// Connects and says CONNECT; fails when that is not accepted.
    pub async fn connect(site: &Site, gateway: &Gateway, folder: &str, connect: &Connect) -> Self {
        let mut client = Self::dial(site, gateway, folder, &connect.client_id).await.unwrap();
        let answer = client.hello(connect).await.unwrap();
        assert!(matches!(answer, Packet::ConnAck { code: 0, .. }), "{answer:?}");
        client
    }

    /// Says CONNECT, and returns what is answered.
    pub async fn hello(&mut self, connect: &Connect) -> Result<Packet> {
        self.version = connect.version;
        self.send(&connect.bytes()).await?;
        self.next().await
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(DEADLINE, async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        })
        .await
        .expect("the gateway reads")
    }

    /// A packet id that was not used lately.
    pub fn fresh_id(&mut self) -> u16 {
        self.last_id = self.last_id % 60_000 + 1;
        self.last_id
    }

    /// Publishes under a fresh packet id, which is returned; waits for nothing.
    pub async fn publish(&mut self, topic: &str, qos: QoS, payload: &[u8]) -> Result<u16> {
        let id = if qos == QoS::AtMostOnce { 0 } else { self.fresh_id() };
        let bytes = Publish::new(topic, qos, id, payload).bytes(self.version);
        self.send(&bytes).await?;
        Ok(id)
    }

    /// Subscribes, and returns the code that is answered: the QoS, or 128 and more for a refusal.
    pub async fn subscribe(&mut self, filter: &str, qos: QoS) -> u8 {
        let id = self.fresh_id();
        self.send(&subscribe(self.version, id, filter, qos as u8)).await.unwrap();
        let answer = self.wait_for("a SUBACK", |packet| matches!(packet, Packet::SubAck { id: its, .. } if *its == id));
        let Packet::SubAck { codes, .. } = answer.await else { unreachable!() };
        codes[0]
    }

    /// Acknowledges a message of QoS 1, or the first half of one of QoS 2.
    pub async fn acknowledge(&mut self, message: &Publish) {
        let head = match message.qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => 0x40,
            QoS::ExactlyOnce => 0x50,
        };
        self.send(&packet(head, &message.id.to_be_bytes())).await.unwrap();
    }

    /// Sends a packet that holds nothing but its id: PUBACK is `0x40`, PUBREC `0x50`, PUBREL `0x62`, PUBCOMP `0x70`.
    pub async fn send_id(&mut self, head: u8, id: u16) -> Result<()> {
        self.send(&packet(head, &id.to_be_bytes())).await
    }

    /// The next packet, or how the connection ended.
    pub async fn next(&mut self) -> Result<Packet> {
        match self.aside.pop_front() {
            Some(packet) => Ok(packet),
            None => self.receive().await,
        }
    }

    /// The next packet that `wanted` holds for; what else comes is kept for later.
    pub async fn wait_for(&mut self, what: &str, wanted: impl Fn(&Packet) -> bool) -> Packet {
        if let Some(at) = self.aside.iter().position(&wanted) {
            return self.aside.remove(at).unwrap();
        }
        let waiting = async {
            loop {
                match self.receive().await {
                    Ok(packet) if wanted(&packet) => return Ok(packet),
                    Ok(packet) => self.aside.push_back(packet),
                    Err(error) => return Err(error),
                }
            }
        };
        match timeout(DEADLINE, waiting).await {
            Ok(Ok(packet)) => packet,
            Ok(Err(error)) => panic!("{what} must come, but the connection ended: {error}; before: {:?}", self.aside),
            Err(_) => panic!("{what} must come; came instead: {:?}", self.aside),
        }
    }

    /// The next message.
    pub async fn message(&mut self) -> Publish {
        let Packet::Publish(message) = self.wait_for("a message", |p| matches!(p, Packet::Publish(_))).await else {
            unreachable!()
        };
        message
    }

    /// Everything that came up to the answer of a PINGREQ: what the gateway had sent before, and no more.
    pub async fn so_far(&mut self) -> Vec<Packet> {
        self.send(&packet(0xC0, &[])).await.unwrap();
        self.wait_for("a PINGRESP", |packet| *packet == Packet::PingResp).await;
        self.aside.drain(..).collect()
    }

    /// Waits until the gateway ends the connection; returns what came before, and how it ended.
    pub async fn ends(&mut self) -> (Vec<Packet>, Error) {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                Ok(packet) => before.push(packet),
                Err(error) => return (before, error),
            }
        }
    }

    fn over(socket: impl Socket + 'static) -> Self {
        Self {
            version: Version::V4,
            socket: Box::new(socket),
            input: BytesMut::new(),
            aside: VecDeque::new(),
            last_id: 0,
            server_certificate: Vec::new(),
        }
    }

    async fn receive(&mut self) -> Result<Packet> {
        let receiving = async {
            loop {
                if let Some((packet, len)) = Packet::read(self.version, &self.input) {
                    drop(self.input.split_to(len));
                    return Ok(packet);
                }
                if self.socket.read_buf(&mut self.input).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
        };
        timeout(DEADLINE, receiving).await.expect("a packet must come, or the end of the connection")
    }
}

/// The TLS alert that ended a connection.
pub fn alert(error: &Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Whether the other end has closed the connection, with or without ceremony.
pub fn closed(error: &Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind())
}
