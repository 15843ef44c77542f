//! One client's socket: what came and is not read yet, what goes and is not written yet.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// Most that is taken from a socket at once, in bytes.
const READ_BYTES: usize = 8192;

/// An emptied buffer above this is given back, so that a quiet client costs little.
const IDLE_BYTES: usize = 512;

/// How long and how much a closing connection is still read, so that the last words are not lost to a reset.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 256 * 1024;

/// One client's socket. It holds no buffer while nothing is under way.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// Received, not yet taken.
    pub(super) input: BytesMut,
    /// To be sent with the next [`flush`](Self::flush).
    pub(super) out: BytesMut,
    write_timeout: Duration,
}

/// A socket with or without TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn new(stream: Stream, write_timeout: Duration) -> Self {
        Self { stream, input: BytesMut::new(), out: BytesMut::new(), write_timeout }
    }

    /// Adds what the client has sent to `input`; 0 when it sends no more. May be dropped without losing anything.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if self.input.is_empty() {
                self.input = BytesMut::with_capacity(read.filled().len());
            }
            self.input.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
        .await
    }

    /// Gives back a buffer that is empty.
    pub(super) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Sends all of `out`.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the client does not take it in time.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let Self { stream, out, .. } = self;
        let written = timeout(self.write_timeout, async {
            while !out.is_empty() {
                let count = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, out)).await?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                out.advance(count);
            }
            poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
        });
        written.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if self.out.capacity() > IDLE_BYTES {
            self.out = BytesMut::new();
        } else {
            self.out.clear();
        }
        Ok(())
    }

    /// Sends what is left, then closes. What the client still sends is thrown away.
    pub(super) async fn close(mut self) {
        let write_timeout = self.write_timeout;
        let last_words = async {
            self.flush().await?;
            self.stream.shutdown().await
        };
        if !matches!(timeout(write_timeout, last_words).await, Ok(Ok(()))) {
            return;
        }
        let drained = async {
            let mut total = 0;
            while total < LINGER_BYTES {
                match self.read().await {
                    Ok(count) if count > 0 => total += count,
                    _ => break,
                }
                self.input.clear();
            }
        };
        if timeout(LINGER, drained).await.is_err() {
            tracing::trace!("a client keeps its end open");
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, read),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, read),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
