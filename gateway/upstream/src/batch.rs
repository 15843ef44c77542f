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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::fake::event;

    fn read(batch: &Batch) -> (usize, Vec<String>) {
        let mut json = String::new();
        GzDecoder::new(&batch.body[..]).read_to_string(&mut json).unwrap();
        let events: Vec<CloudEvent<serde_json::Value>> = serde_json::from_str(&json).unwrap();
        (json.len(), events.into_iter().map(|event| event.id).collect())
    }

    fn batch(numbers: impl IntoIterator<Item = u64>, bytes_max: usize) -> Option<Batch> {
        Batch::of(&"regency".parse().unwrap(), numbers.into_iter().map(event).collect(), bytes_max).unwrap()
    }

    #[test]
    fn a_batch_is_a_compressed_array_of_cloud_events() {
        let batch = batch(7..=9, 1 << 20).unwrap();
        assert_eq!((batch.first, batch.last, batch.events), (7, 9, 3));
        assert_eq!(read(&batch).1, ["7", "8", "9"]);
    }

    #[test]
    fn a_batch_keeps_its_limit_of_bytes_but_takes_one_event_at_least() {
        let (one, _) = read(&batch([1], 1).unwrap());
        for (bytes_max, events) in [(1, 1), (one, 1), (2 * one - 2, 1), (2 * one - 1, 2), (3 * one, 3)] {
            let batch = batch(1..=9, bytes_max).unwrap();
            assert_eq!(batch.events, events, "{bytes_max}");
            assert!(events == 1 || read(&batch).0 <= bytes_max);
        }
    }

    #[test]
    fn a_batch_ends_before_a_hole() {
        assert_eq!(batch([3, 4, 6, 7], 1 << 20).map(|batch| (batch.first, batch.last)), Some((3, 4)));
        assert!(batch([], 1 << 20).is_none());
    }
}
