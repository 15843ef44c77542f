//! What faces the network: listeners, TLS, tokens.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::Config;
use crate::inputs::{door_tls, http_tls, tokens};
use base::clock::Clock;
use base::tokens::Tokens;
use front::doors;

/// Connections that wait to be accepted; the kernel may allow fewer (`net.core.somaxconn`). When all doors come back at
/// once, or a flood does, one that finds no room here tries again only after a second.
const BACKLOG: u32 = 4096;

/// Where the gateway listens, told when it does.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Addresses {
    /// MQTT over TLS.
    pub mqtt: SocketAddr,
    /// MQTT without TLS, for development.
    pub plaintext: Option<SocketAddr>,
    /// The status page and API.
    pub http: SocketAddr,
}

/// What faces the network.
pub(super) struct Edge {
    pub(super) door_tls: Arc<ArcSwap<rustls::ServerConfig>>,
    pub(super) http_tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    pub(super) tokens: Arc<ArcSwap<Tokens>>,
    pub(super) mqtt: Arc<doors::Config>,
    pub(super) door_metrics: doors::Metrics,
    pub(super) connected: Arc<doors::Registry>,
    pub(super) listeners: Listeners,
}

pub(super) struct Listeners {
    pub(super) mqtt: TcpListener,
    pub(super) plaintext: Option<TcpListener>,
    pub(super) http: TcpListener,
    pub(super) addresses: Addresses,
}

impl Edge {
    pub(super) async fn prepare(config: &Config, clock: &Clock, registry: &mut Registry) -> Result<Self> {
        let (door_tls, _) = door_tls(config)?;
        let http_tls = http_tls(config)?;
        let mqtt = Arc::new(config.mqtt.clone());
        let door_metrics = doors::Metrics::new(registry);
        Ok(Self {
            door_tls: Arc::new(ArcSwap::new(door_tls)),
            http_tls: http_tls.map(|tls| Arc::new(ArcSwap::new(tls))),
            tokens: Arc::new(ArcSwap::from_pointee(tokens(&config.folder())?)),
            connected: doors::Registry::new(Arc::clone(&mqtt), door_metrics.clone(), clock.clone()),
            mqtt,
            door_metrics,
            listeners: Listeners::bind(config)?,
        })
    }
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self> {
        let mqtt = bind("[mqtt] listen", config.mqtt.listen)?;
        let plaintext = match config.mqtt.plaintext_listen {
            Some(address) => Some(bind("[mqtt] plaintext_listen", address)?),
            None => None,
        };
        let http = bind("[http] listen", config.http.listen)?;
        let addresses = Addresses {
            mqtt: mqtt.local_addr()?,
            plaintext: plaintext.as_ref().map(TcpListener::local_addr).transpose()?,
            http: http.local_addr()?,
        };
        Ok(Self { mqtt, plaintext, http, addresses })
    }
}

fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().with_context(|| {
        format!("{setting}: {address} cannot be used; is another gateway running, or is it not of this machine?")
    })
}
