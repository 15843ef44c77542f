//! An answer while it is sent: until the last byte is handed over, its request's slot and its connection's deadline are held.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::response::Response;
use http_body::Frame;

use super::connection::Answering;
use super::request_slots::Permit;

/// What must live until an answer is sent.
struct Held {
    _permit: Option<Permit>,
    _answering: Answering,
}

/// Some of an answer's bytes, and what they hold.
struct Sending {
    bytes: Bytes,
    _held: Arc<Held>,
}

/// An answer that is made while it is sent.
struct SendingPieces {
    body: Body,
    held: Arc<Held>,
}

/// Holds the request's slot, and its connection's deadline for answers, until the last byte is handed over.
pub(super) async fn until_sent(response: Response, permit: Option<Permit>, answering: Answering) -> Response {
    let (parts, body) = response.into_parts();
    let held = Arc::new(Held { _permit: permit, _answering: answering });
    if body.size_hint().exact().is_none() {
        return Response::from_parts(parts, Body::new(SendingPieces { body, held }));
    }
    // It is in memory, so this neither waits nor fails.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = if bytes.is_empty() { Body::empty() } else { Body::from(Sending::bytes(bytes, held)) };
    Response::from_parts(parts, body)
}

impl Sending {
    fn bytes(bytes: Bytes, held: Arc<Held>) -> Bytes {
        Bytes::from_owner(Self { bytes, _held: held })
    }
}

impl HttpBody for SendingPieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let held = Arc::clone(&self.held);
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| Sending::bytes(bytes, held)))))
    }
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
