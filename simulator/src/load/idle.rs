//! Connections that do nothing, to see what one costs: a CONNECT and its answer, without a client library's memory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use protocol::DoorId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Plan;
use crate::tls;

/// Connections that are held open.
pub struct Idle {
    streams: Vec<Box<dyn Stream>>,
    failures: Vec<anyhow::Error>,
}

/// Either kind of connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

const CONNECTING_MAX: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that MQTT has: nothing is sent meanwhile.
const KEEP_ALIVE_S: u16 = u16::MAX;

impl Idle {
    /// Connects one idle client for each door of `plan`.
    ///
    /// # Errors
    /// When a certificate cannot be used.
    pub async fn connect(plan: &Plan) -> Result<Self> {
        let roots = plan.identity.as_ref().map(|identity| tls::roots(&identity.ca)).transpose()?;
        let gate = Arc::new(Semaphore::new(CONNECTING_MAX));
        let mut tasks = JoinSet::new();
        for door in &plan.doors {
            let tls = match (&plan.identity, &roots) {
                (Some(identity), Some(roots)) => Some(TlsConnector::from(Arc::new(tls::client(
                    roots.clone(),
                    &identity.certificates,
                    door.as_str(),
                )?))),
                _ => None,
            };
            let (address, door, gate) = (plan.address.clone(), door.clone(), gate.clone());
            tasks.spawn(async move {
                let _permit = gate.acquire().await?;
                timeout(CONNECT_TIMEOUT, open(&address, &door, tls)).await.context("no answer in time")?
            });
        }
        let mut idle = Self { streams: Vec::with_capacity(plan.doors.len()), failures: Vec::new() };
        while let Some(opened) = tasks.join_next().await {
            match opened? {
                Ok(stream) => idle.streams.push(stream),
                Err(error) => idle.failures.push(error),
            }
        }
        Ok(idle)
    }

    /// Connections that are held.
    pub fn connected(&self) -> usize {
        self.streams.len()
    }

    /// Why the others are not.
    pub fn failures(&self) -> &[anyhow::Error] {
        &self.failures
    }
}

/// A connection without any MQTT on it yet.
pub(super) async fn dial((host, port): &(String, u16), tls: Option<TlsConnector>) -> Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((host.as_str(), *port)).await.context("cannot connect")?;
    tcp.set_nodelay(true)?;
    Ok(match tls {
        None => Box::new(tcp),
        Some(connector) => {
            let name = rustls::pki_types::ServerName::try_from(host.clone())?;
            Box::new(connector.connect(name, tcp).await.context("the TLS handshake failed")?)
        }
    })
}

async fn open(address: &(String, u16), door: &DoorId, tls: Option<TlsConnector>) -> Result<Box<dyn Stream>> {
    let mut stream = dial(address, tls).await?;
    stream.write_all(&connect_packet(door)).await?;
    stream.flush().await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.context("the connection was closed instead of answered")?;
    match answer {
        [0x20, 2, _, 0] => Ok(stream),
        [0x20, 2, _, code] => bail!("CONNECT was refused with code {code}"),
        _ => bail!("CONNECT was answered with something else than CONNACK"),
    }
}

/// CONNECT of MQTT 3.1.1 (section 3.1) with a clean session and the door's name as client id.
fn connect_packet(door: &DoorId) -> Vec<u8> {
    let id = door.as_str().as_bytes();
    // A door's name has at most 32 bytes: all lengths fit in one byte.
    let id_len = u8::try_from(id.len()).unwrap_or(u8::MAX);
    let mut packet = vec![0x10, id_len.saturating_add(12), 0, 4, b'M', b'Q', b'T', b'T', 4, 2];
    packet.extend(KEEP_ALIVE_S.to_be_bytes());
    packet.extend([0, id_len]);
    packet.extend(id);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connect_packet_is_what_mqtt_says() {
        let packet = connect_packet(&"d0001".parse().unwrap());
        assert_eq!(packet, b"\x10\x11\x00\x04MQTT\x04\x02\xff\xff\x00\x05d0001");
    }
}
