//! One client's connection: every phase of it has a deadline, whatever the client does or leaves.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use super::connection_slots::ConnectionSlot;
use super::metrics::{Metrics, Reason};

/// A connection, plain or TLS, as HTTP reads and writes it.
///
/// It waits for a request, takes its headers, is answered, and waits again. A deadline counts from the start of its
/// phase, so that a client that trickles bytes gains nothing.
pub(super) struct Connection {
    stream: Stream,
    peer: Peer,
    limits: Limits,
    metrics: Metrics,
    phase: Phase,
    turn: u64,
    deadline: Pin<Box<Sleep>>,
    head_bytes: usize,
    _slot: ConnectionSlot,
}

/// The bytes below HTTP.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How long each phase may last, and how much the headers may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) idle_timeout: Duration,
    pub(super) head_timeout: Duration,
    pub(super) answer_timeout: Duration,
    /// Larger headers than this are cut off unanswered; smaller ones that are still too large get an answer.
    pub(super) head_bytes_cut: usize,
}

/// What a request knows of its connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Odd while a request is being answered.
    turns: Arc<AtomicU64>,
}

/// Held from the moment a request is known until its answer is handed to the socket.
#[derive(Debug)]
pub(super) struct Answering(Peer);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Head,
    Answer,
}

impl Connection {
    pub(super) fn new(
        stream: Stream,
        address: SocketAddr,
        limits: Limits,
        metrics: Metrics,
        slot: ConnectionSlot,
    ) -> Self {
        Self {
            stream,
            peer: Peer { address, turns: Arc::default() },
            limits,
            metrics,
            phase: Phase::Waiting,
            turn: 0,
            deadline: Box::pin(tokio::time::sleep(limits.idle_timeout)),
            head_bytes: 0,
            _slot: slot,
        }
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer.clone()
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.head_bytes = 0;
        let timeout = match phase {
            Phase::Waiting => self.limits.idle_timeout,
            Phase::Head => self.limits.head_timeout,
            Phase::Answer => self.limits.answer_timeout,
        };
        self.deadline.as_mut().reset(Instant::now() + timeout);
    }

    /// Follows what the requests of this connection have done since.
    fn follow(&mut self) {
        let turn = self.peer.turns.load(Ordering::Acquire);
        if turn != self.turn {
            self.turn = turn;
            self.enter(if turn % 2 == 1 { Phase::Answer } else { Phase::Waiting });
        }
    }

    fn took(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 || self.phase == Phase::Answer {
            return Ok(());
        }
        if self.phase == Phase::Waiting {
            self.enter(Phase::Head);
        }
        self.head_bytes = self.head_bytes.saturating_add(bytes);
        if self.head_bytes > self.limits.head_bytes_cut {
            self.metrics.refuse(Reason::head_bytes);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request's headers do not end"));
        }
        Ok(())
    }

    /// What to tell HTTP when the socket is not ready: pending, or the end when the phase has lasted too long.
    fn pending<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.deadline.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        match self.phase {
            Phase::Waiting => {}
            Phase::Head => self.metrics.refuse(Reason::head_timeout),
            Phase::Answer => self.metrics.refuse(Reason::answer_timeout),
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")))
    }

    fn or_deadline<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_pending() { self.pending(cx) } else { polled }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.follow();
        let before = buf.filled().len();
        match self.stream.poll_read(cx, buf) {
            Poll::Ready(Ok(())) => Poll::Ready(self.took(buf.filled().len().saturating_sub(before))),
            other => self.or_deadline(other, cx),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.follow();
        let polled = self.stream.poll_write(cx, buf);
        self.or_deadline(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.follow();
        let polled = self.stream.poll_write_vectored(cx, bufs);
        self.or_deadline(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.follow();
        let polled = self.stream.poll_flush(cx);
        self.or_deadline(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.follow();
        let polled = self.stream.poll_shutdown(cx);
        self.or_deadline(polled, cx)
    }
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Peer {
    /// Tells the connection that a request is being answered, until the guard is dropped.
    pub(super) fn answering(&self) -> Answering {
        self.turns.fetch_add(1, Ordering::AcqRel);
        Answering(self.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.turns.fetch_add(1, Ordering::AcqRel);
    }
}
