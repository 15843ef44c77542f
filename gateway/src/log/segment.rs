//! The format of a segment: the events of one commit.
//!
//! ```text
//! byte 0        format version, 1
//! bytes 1..5    number of events, big-endian
//! bytes 5..37   BLAKE3 hash of the segment before this one; zeros for the first
//! bytes 37..69  BLAKE3 hash of bytes 0..37 and of all bytes from 69 on
//! bytes 69..    the events, one CBOR item each
//! ```

use protocol::Event;

const FORMAT: u8 = 1;
const COUNT: usize = 1;
const PREVIOUS: usize = 5;
const CHECKSUM: usize = 37;
const EVENTS: usize = 69;

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// Writes `events` as a segment that follows the one with hash `previous`.
pub fn encode(events: &[Event], previous: &Hash) -> Vec<u8> {
    let mut segment = Vec::with_capacity(EVENTS + events.len() * 256);
    segment.push(FORMAT);
    segment.extend_from_slice(&u32::try_from(events.len()).unwrap_or(u32::MAX).to_be_bytes());
    segment.extend_from_slice(previous);
    segment.extend_from_slice(&[0; 32]);
    for event in events {
        // Writing to memory does not fail.
        drop(minicbor::encode(event, &mut segment));
    }
    let checksum = checksum(&segment).unwrap_or_default();
    if let Some(place) = segment.get_mut(CHECKSUM..EVENTS) {
        place.copy_from_slice(&checksum);
    }
    segment
}

/// The hash by which the next segment names this one.
pub fn hash(segment: &[u8]) -> Hash {
    *blake3::hash(segment).as_bytes()
}

/// The hash of the segment before this one.
pub fn previous(segment: &[u8]) -> Option<Hash> {
    segment.get(PREVIOUS..CHECKSUM)?.try_into().ok()
}

/// Number of events in the segment.
pub fn count(segment: &[u8]) -> Option<u32> {
    segment.get(COUNT..PREVIOUS)?.try_into().ok().map(u32::from_be_bytes)
}

/// Reads the events of a segment whose first event is `first`.
///
/// # Errors
/// Says what does not fit.
pub fn decode(first: u64, segment: &[u8]) -> Result<Vec<Event>, String> {
    let (Some(format), Some(count), Some(body)) = (segment.first(), count(segment), segment.get(EVENTS..)) else {
        return Err(format!("it has {} bytes, too few for a segment", segment.len()));
    };
    if *format != FORMAT {
        return Err(format!("its format is {format}, this version reads format {FORMAT}"));
    }
    if segment.get(CHECKSUM..EVENTS) != checksum(segment).as_ref().map(|hash| hash.as_slice()) {
        return Err("its checksum does not fit its bytes".into());
    }
    let mut decoder = minicbor::Decoder::new(body);
    let mut events = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(1 << 16));
    for number in (first..).take(usize::try_from(count).unwrap_or(0)) {
        let event: Event = decoder.decode().map_err(|error| format!("event {number} cannot be read: {error}"))?;
        if event.number != number {
            return Err(format!("event {} stands where {number} should", event.number));
        }
        events.push(event);
    }
    if decoder.position() != body.len() {
        return Err("bytes follow its last event".into());
    }
    Ok(events)
}

fn checksum(segment: &[u8]) -> Option<Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(segment.get(..CHECKSUM)?).update(segment.get(EVENTS..)?);
    Some(*hasher.finalize().as_bytes())
}
