//! A batch as it is posted: a JSON array of CloudEvents, compressed with gzip.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use protocol::{CloudEvent, Event, SiteId};

/// One batch, ready to be posted as often as it takes.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Number of its first event.
    pub(super) first: u64,
    /// Number of its last event.
    pub(super) last: u64,
    /// How many events it has; there is no hole between the first and the last.
    pub(super) events: usize,
    /// The compressed JSON.
    pub(super) body: Bytes,
}

impl Batch {
    /// As many of `events`, from the front, as are numbered without a hole and fit into `bytes_max` of JSON before
    /// compression, but at least one; `None` when there are none.
    ///
    /// # Errors
    /// When an event cannot be written as JSON.
    pub(super) fn of(site: &SiteId, events: Vec<Event>, bytes_max: usize) -> io::Result<Option<Self>> {
        let mut body = GzEncoder::new(Vec::new(), Compression::fast());
        let (mut bytes, mut first, mut last, mut count) = (1, 0, 0u64, 0);
        for event in events {
            let number = event.number;
            let json = serde_json::to_vec(&CloudEvent::new(site, event))?;
            bytes += json.len() + 1;
            if count == 0 {
                first = number;
            } else if number != last.saturating_add(1) || bytes > bytes_max {
                break;
            }
            body.write_all(if count == 0 { b"[" } else { b"," })?;
            body.write_all(&json)?;
            (last, count) = (number, count + 1);
        }
        if count == 0 {
            return Ok(None);
        }
        body.write_all(b"]")?;
        Ok(Some(Self { first, last, events: count, body: body.finish()?.into() }))
    }
}
