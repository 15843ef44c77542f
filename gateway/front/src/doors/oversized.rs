//! A message that is larger than a client may send: its beginning is kept, the rest is thrown away as it comes, and the session lives.

use bytes::{Buf, Bytes, BytesMut};
use protocol::event::MALFORMED_BYTES_KEPT;

use super::codec;
use super::framing::{Frame, kind};
use super::packet::{Oversized, Publish, Version};
use super::reason::Reason;

/// A packet of more bytes ends the connection: nobody sends it by mistake, and it would be read for too long.
const SKIPPED_BYTES_MAX: usize = 256 * 1024;

/// A message of which the rest is thrown away.
pub(super) struct Skipped {
    publish: Publish,
    payload_bytes: usize,
    /// Bytes that are to come.
    left: usize,
    /// Of the payload, so that it is told from another one when it is sent again.
    hasher: blake3::Hasher,
}

impl Skipped {
    /// Whether a packet that is too large is passed over, and does not end the connection.
    pub(super) fn may_be(frame: Frame) -> bool {
        frame.kind() == kind::PUBLISH && frame.len <= SKIPPED_BYTES_MAX
    }

    /// Begins with `head`, the first bytes of the packet.
    ///
    /// # Errors
    /// When they are no PUBLISH, or do not reach the payload.
    pub(super) fn new(version: Version, frame: Frame, head: &Bytes) -> Result<Self, Reason> {
        let (publish, payload_at) = codec::publish(version, frame, head).map_err(|_| Reason::PACKET_TOO_LARGE)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&publish.payload);
        let kept = publish.payload.len().min(MALFORMED_BYTES_KEPT);
        // Copies, so that the large buffer does not live as long as they do.
        let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let payload = copy(publish.payload.get(..kept).unwrap_or_default());
        let (topic, properties) = (copy(&publish.topic), Bytes::new());
        Ok(Self {
            publish: Publish { topic, payload, properties, ..publish },
            payload_bytes: frame.len.saturating_sub(payload_at),
            left: frame.len.saturating_sub(head.len()),
            hasher,
        })
    }

    /// Throws away what has come of it.
    pub(super) fn skip(&mut self, input: &mut BytesMut) {
        let count = self.left.min(input.len());
        self.hasher.update(input.get(..count).unwrap_or_default());
        self.left -= count;
        input.advance(count);
    }

    /// Whether all of it has come.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The message, as far as it was kept.
    pub(super) fn into_publish(self) -> Publish {
        let Self { publish, payload_bytes, hasher, .. } = self;
        let oversized = Some(Box::new(Oversized { payload_bytes, digest: hasher.finalize().into() }));
        Publish { oversized, ..publish }
    }
}
