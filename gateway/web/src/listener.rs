//! Takes connections: counts them, turns away what is too much, and finishes TLS handshakes beside each other.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::Config;
use super::connection::{Connection, Limits, Peer, Stream};
use super::connection_slots::ConnectionSlots;
use super::metrics::{Metrics, Reason};

/// How long to leave the listener alone when the machine has no socket or memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listener that axum serves.
pub(super) struct HttpListener {
    tcp: TcpListener,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    handshakes: JoinSet<Option<Connection>>,
    /// The handshakes, the oldest first; some may be over.
    ages: VecDeque<AbortHandle>,
    handshakes_max: usize,
    handshake_timeout: Duration,
    limits: Limits,
    slots: ConnectionSlots,
    metrics: Metrics,
}

impl HttpListener {
    pub(super) fn new(
        config: &Config,
        tcp: TcpListener,
        tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
        metrics: Metrics,
    ) -> Self {
        Self {
            tcp,
            tls,
            handshakes: JoinSet::new(),
            ages: VecDeque::new(),
            handshakes_max: config.handshakes_max,
            handshake_timeout: Duration::from_millis(config.handshake_timeout_ms),
            limits: Limits {
                idle_timeout: Duration::from_millis(config.idle_timeout_ms),
                head_timeout: Duration::from_millis(config.head_timeout_ms),
                answer_timeout: Duration::from_millis(config.answer_timeout_ms),
                // What is read with the headers may be the body's beginning.
                head_bytes_cut: config.head_bytes_max.saturating_mul(2).saturating_add(config.body_bytes_max),
            },
            slots: ConnectionSlots::new(config, metrics.clone()),
            metrics,
        }
    }

    /// The connection, when it is ready for HTTP at once.
    fn admit(&mut self, stream: TcpStream, address: SocketAddr) -> Option<Connection> {
        let slot = match self.slots.take(address.ip().to_canonical()) {
            Ok(slot) => slot,
            Err(reason) => {
                self.metrics.refuse(reason);
                return None;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "an HTTP connection was gone before it was served");
            return None;
        }
        let (limits, metrics) = (self.limits, self.metrics.clone());
        let Some(tls) = &self.tls else {
            return Some(Connection::new(Stream::Plain(stream), address, limits, metrics, slot));
        };

        let acceptor = TlsAcceptor::from(tls.load_full());
        let timeout = self.handshake_timeout;
        self.make_room();
        self.ages.push_back(self.handshakes.spawn(async move {
            match tokio::time::timeout(timeout, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => Some(Connection::new(Stream::Tls(Box::new(stream)), address, limits, metrics, slot)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a TLS handshake for HTTP failed");
                    metrics.refuse(Reason::handshake);
                    None
                }
                Err(_) => {
                    metrics.refuse(Reason::handshake_timeout);
                    None
                }
            }
        }));
        None
    }

    /// Drops the oldest handshake when there are too many: a client that means it is done in milliseconds.
    fn make_room(&mut self) {
        self.ages.retain(|handshake| !handshake.is_finished());
        if self.ages.len() >= self.handshakes_max
            && let Some(oldest) = self.ages.pop_front()
        {
            oldest.abort();
            self.metrics.refuse(Reason::handshakes);
        }
    }
}

impl Listener for HttpListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let ready = tokio::select! {
                Some(handshake) = self.handshakes.join_next() => handshake.ok().flatten(),
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, address)) => self.admit(stream, address),
                    Err(error) if is_the_clients(&error) => None,
                    Err(error) => {
                        tracing::error!(%error, "no HTTP connection can be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        None
                    }
                },
            };
            if let Some(connection) = ready {
                let address = connection.peer().address;
                return (connection, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, HttpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, HttpListener>) -> Self {
        stream.io().peer()
    }
}

/// Whether an accept failed for a reason that concerns that one client only.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
