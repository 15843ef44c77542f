//! An answer that is made while it is sent, so that no more than pieces of it are in memory.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use thiserror::Error;
use tokio::sync::mpsc;

/// Pieces that are ready before they are sent.
const READY_PIECES: usize = 1;

/// An answer's body while it is made. Whoever makes it ends with `None`.
struct Pieces {
    first: Option<Bytes>,
    rest: mpsc::Receiver<Option<Bytes>>,
    complete: bool,
}

/// Its connection is cut, so that nobody takes a part for the whole.
#[derive(Debug, Error)]
#[error("the rest of an answer could not be made")]
struct Broken;

/// A body of `first` and what `next` makes, until that is `None`, on a thread for what may block. It is called when there is room for
/// a piece, and not any more when nobody reads.
pub(super) fn body<E: Display>(
    first: Vec<u8>,
    mut next: impl FnMut() -> Result<Option<Vec<u8>>, E> + Send + 'static,
) -> Body {
    let (pieces, rest) = mpsc::channel(READY_PIECES);
    let make = move || {
        loop {
            let piece = match next() {
                Ok(piece) => piece.map(Bytes::from),
                Err(error) => return tracing::error!(%error, "an answer breaks off"),
            };
            let complete = piece.is_none();
            if pieces.blocking_send(piece).is_err() || complete {
                return;
            }
        }
    };
    // It ends by itself.
    drop(tokio::task::spawn_blocking(make));
    Body::new(Pieces { first: Some(first.into()), rest, complete: false })
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.complete {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.rest.poll_recv(cx)) {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => {
                self.complete = true;
                None
            }
            None => Some(Err(Broken.into())),
        })
    }
}
