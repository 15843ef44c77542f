//! The front of the receiver: TLS that asks every client for a certificate, on connections that can be cut.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls;

/// Most connections at once, those in their handshake included; more wait.
const CONNECTIONS_MAX: usize = 256;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepts connections; handshakes do not wait for each other.
#[derive(Debug)]
pub(super) struct MutualTlsListener {
    ready: mpsc::Receiver<(Connection, Peer)>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    _permit: OwnedSemaphorePermit,
}

/// The other end of a connection, and the knife.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    cut: Arc<AtomicBool>,
}

impl MutualTlsListener {
    /// Starts to listen.
    pub(super) async fn bind(address: SocketAddr, tls: ServerConfig) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let (handshaken, ready) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), handshaken));
        Ok(Self { ready, address, accepting })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// TLS with this certificate, for clients with a certificate of `client_ca`; all files are PEM.
pub(super) fn tls(certificate: &Path, key: &Path, client_ca: &Path) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authorities = tls::roots(client_ca)?;
    let clients = WebPkiClientVerifier::builder_with_provider(authorities, Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(tls::certificates(certificate)?, tls::key(key)?)
        .with_context(|| format!("{} and {} do not fit together", certificate.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn accept(mut listener: TcpListener, tls: TlsAcceptor, handshaken: mpsc::Sender<(Connection, Peer)>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let (stream, _) = Listener::accept(&mut listener).await;
        let (tls, handshaken) = (tls.clone(), handshaken.clone());
        tokio::spawn(async move {
            // A client without a fitting certificate learns of it by the TLS alert; there is nothing else to do.
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                let peer = Peer::default();
                let connection = Connection { stream, peer: peer.clone(), _permit: permit };
                drop(handshaken.send((connection, peer)).await);
            }
        });
    }
}

impl Drop for MutualTlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for MutualTlsListener {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        match self.ready.recv().await {
            Some(ready) => ready,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer::default())
    }
}

impl Connected<IncomingStream<'_, MutualTlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, MutualTlsListener>) -> Self {
        stream.remote_addr().clone()
    }
}

impl Peer {
    /// Lets nothing more be written to the connection, so that it ends at the next attempt to answer.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.peer.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.peer.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.peer.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
