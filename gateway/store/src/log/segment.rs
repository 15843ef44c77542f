//! One segment: the events of one commit, chained to the segment before it.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | magic, `GPLS` |
//! | 2 | version of this format, big-endian: 1 |
//! | 4 | count of events, big-endian, at least 1 |
//! | 8 | number of the first event, big-endian |
//! | 32 | link of the segment before it; zeros for the first |
//! | … | the events, CBOR, one after the other ([`protocol::event`]) |
//! | 32 | link: BLAKE3 hash of all bytes above |

use std::fmt;

use minicbor::Decoder;
use protocol::Event;
use thiserror::Error;

const MAGIC: [u8; 4] = *b"GPLS";
const VERSION: u16 = 1;
const LINK_BYTES: usize = 32;
const HEADER_BYTES: usize = 4 + 2 + 4 + 8 + LINK_BYTES;

/// A segment whose link holds.
#[derive(Clone, Debug)]
pub(super) struct Segment<'b> {
    /// Number of its first event.
    pub first: u64,
    /// How many events it has, at least 1.
    pub count: u32,
    /// Link of the segment before it.
    pub previous: Link,
    /// Its own.
    pub link: Link,
    events: &'b [u8],
}

/// BLAKE3 hash of a segment, and through it of all segments before.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Link([u8; LINK_BYTES]);

/// Why bytes are not the segment that they should be.
#[derive(Debug, Error)]
pub enum SegmentFault {
    /// Shorter than any segment.
    #[error("it is cut off")]
    CutOff,
    /// Something else.
    #[error("it is no segment")]
    NoSegment,
    /// A later version has written it.
    #[error("its format is {found}, this version reads {VERSION}; use the version of the gateway that wrote it")]
    OtherVersion {
        /// Its format.
        found: u16,
    },
    /// Some byte is not as it was written.
    #[error("its bytes do not match its link")]
    SealBroken,
    /// It does not follow the segment before it.
    #[error("it does not continue the segment before it")]
    ChainBroken,
    /// It is, or an event in it is, stored under a wrong number.
    #[error("event {found} is where event {expected} should be")]
    WrongNumber {
        /// The number by its place.
        expected: u64,
        /// The number that it says.
        found: u64,
    },
    /// It has another count of events than it says.
    #[error("it does not hold as many events as it says")]
    WrongCount,
    /// An event in it cannot be decoded.
    #[error("event {number} is unreadable")]
    Event {
        /// The event's number.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: minicbor::decode::Error,
    },
}

/// Links `events`, of which there is at least one, in order, behind the segment with the link `previous`.
///
/// # Errors
/// When an event cannot be written as CBOR.
pub(super) fn link(events: &[Event], previous: Link) -> Result<(Vec<u8>, Link), String> {
    let first = events.first().map(|event| event.number).ok_or("a segment needs an event")?;
    let count = u32::try_from(events.len()).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + events.len() * 256 + LINK_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&previous.0);
    for event in events {
        minicbor::encode(event, &mut bytes).map_err(|error| error.to_string())?;
    }
    let link = Link::of(&bytes);
    bytes.extend_from_slice(&link.0);
    Ok((bytes, link))
}

impl<'b> Segment<'b> {
    /// Reads the segment that is stored under `key`, and checks its link.
    ///
    /// # Errors
    /// When it is not what was written there.
    pub fn read(key: u64, bytes: &'b [u8]) -> Result<Self, SegmentFault> {
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(SegmentFault::CutOff)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(SegmentFault::CutOff)?;
        let (linked, link) = bytes.split_last_chunk::<LINK_BYTES>().ok_or(SegmentFault::CutOff)?;
        if *magic != MAGIC {
            return Err(SegmentFault::NoSegment);
        }
        // Before the link: a later version may link in another way.
        if u16::from_be_bytes(*version) != VERSION {
            return Err(SegmentFault::OtherVersion { found: u16::from_be_bytes(*version) });
        }
        if Link::of(linked) != Link(*link) {
            return Err(SegmentFault::SealBroken);
        }
        let (count, rest) = rest.split_first_chunk::<4>().ok_or(SegmentFault::CutOff)?;
        let (first, rest) = rest.split_first_chunk::<8>().ok_or(SegmentFault::CutOff)?;
        let (previous, rest) = rest.split_first_chunk::<LINK_BYTES>().ok_or(SegmentFault::CutOff)?;
        let (events, _) = rest.split_last_chunk::<LINK_BYTES>().ok_or(SegmentFault::CutOff)?;
        let (count, first) = (u32::from_be_bytes(*count), u64::from_be_bytes(*first));
        if first != key {
            return Err(SegmentFault::WrongNumber { expected: key, found: first });
        }
        if count == 0 {
            return Err(SegmentFault::WrongCount);
        }
        Ok(Self { first, count, previous: Link(*previous), link: Link(*link), events })
    }

    /// Number of its last event.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// Its events with a number of at least `from`, each with its encoded size in bytes.
    pub fn events_from(&self, from: u64) -> impl Iterator<Item = Result<(Event, usize), SegmentFault>> + use<'b> {
        self.events_with(move |number| number >= from)
    }

    /// Its events with a number that is `wanted`, each with its encoded size in bytes.
    pub fn events_with<F: Fn(u64) -> bool>(
        &self,
        wanted: F,
    ) -> impl Iterator<Item = Result<(Event, usize), SegmentFault>> + use<'b, F> {
        let mut decoder = Decoder::new(self.events);
        let (first, last, total) = (self.first, self.last(), self.events.len());
        (first..=last).filter_map(move |number| {
            let unreadable = |source| SegmentFault::Event { number, source };
            let start = decoder.position();
            if !wanted(number) {
                return decoder.skip().err().map(|source| Err(unreadable(source)));
            }
            let event: Event = match decoder.decode() {
                Ok(event) => event,
                Err(source) => return Some(Err(unreadable(source))),
            };
            if event.number != number {
                return Some(Err(SegmentFault::WrongNumber { expected: number, found: event.number }));
            }
            if number == last && decoder.position() != total {
                return Some(Err(SegmentFault::WrongCount));
            }
            Some(Ok((event, decoder.position().saturating_sub(start))))
        })
    }
}

impl Link {
    /// Links `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; LINK_BYTES] {
        &self.0
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("b3:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::faulty_disk::{event, events};
    use super::*;

    /// A segment of version 1 with events 7 and 8, as it is on disks out there. It must be readable for ever.
    const VERSION_1: &str = "\
        47504c530001000000020000000000000007fa6d4db17b507b2e12b3afc874fc99ce262ef7db64fe0ddf7647db4ea2f64c4d\
        860766646f6f722d311b000001a2059953381b000001a205995339820081858201071b000001a20599532400500707070707\
        0707070707070707070707008a03f5676f627365727665826d53696c616b616e206d6173756b6e506c6561736520636f6d65\
        20696e00f6f6f6f680860866646f6f722d321b000001a2059953381b000001a205995339820081858201081b000001a20599\
        5324005007070707070707070707070707070707008a03f5676f627365727665826d53696c616b616e206d6173756b6e506c\
        6561736520636f6d6520696e00f6f6f6f6805d5531d34df85f643782e2cec2bceb35ede0f5578b2d94b25cc0f4e3be80ab04";

    fn read_all(key: u64, bytes: &[u8]) -> Result<Vec<Event>, SegmentFault> {
        Segment::read(key, bytes)?.events_from(0).map(|event| event.map(|(event, _)| event)).collect()
    }

    fn from_hex(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Links bytes again that were changed.
    fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - LINK_BYTES);
        let link = Link::of(&bytes);
        bytes.extend_from_slice(&link.0);
        bytes
    }

    #[test]
    fn a_segment_of_version_1_is_read_and_written_the_same() {
        let bytes = from_hex(VERSION_1);
        assert_eq!(read_all(7, &bytes).unwrap(), events(7..=8));
        let segment = Segment::read(7, &bytes).unwrap();
        assert_eq!((segment.first, segment.count, segment.last()), (7, 2, 8));
        assert_eq!(segment.previous, Link::of(b"the segment before"));
        assert_eq!(link(&events(7..=8), segment.previous).unwrap(), (bytes.clone(), segment.link));
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let (bytes, _) = link(&events(1..=3), Link::default()).unwrap();
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 0x10;
            assert!(Segment::read(1, &flipped).is_err(), "byte {position}");
            assert!(Segment::read(1, &bytes[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn each_fault_is_told_apart() {
        let (bytes, _) = link(&events(1..=2), Link::default()).unwrap();
        let changed = |position: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[position] = value;
            bytes
        };
        assert!(matches!(read_all(1, &bytes[..5]), Err(SegmentFault::CutOff)));
        assert!(matches!(read_all(1, &changed(0, b'X')), Err(SegmentFault::NoSegment)));
        assert!(matches!(read_all(1, &changed(5, 2)), Err(SegmentFault::OtherVersion { found: 2 })));
        assert!(matches!(read_all(1, &changed(60, 0xff)), Err(SegmentFault::SealBroken)));
        assert!(matches!(read_all(2, &bytes), Err(SegmentFault::WrongNumber { expected: 2, found: 1 })));
        assert!(matches!(read_all(1, &resealed(changed(9, 0))), Err(SegmentFault::WrongCount)));
        assert!(matches!(read_all(1, &resealed(changed(9, 1))), Err(SegmentFault::WrongCount)));
        assert!(matches!(read_all(1, &resealed(changed(9, 3))), Err(SegmentFault::Event { number: 3, .. })));
        let (gap, _) = link(&[event(1), event(3)], Link::default()).unwrap();
        assert!(matches!(read_all(1, &gap), Err(SegmentFault::WrongNumber { expected: 2, found: 3 })));
    }

    #[test]
    fn a_count_beyond_all_bounds_ends_with_the_first_missing_event() {
        let (mut bytes, _) = link(&events(1..=2), Link::default()).unwrap();
        bytes[6..10].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(read_all(1, &resealed(bytes)), Err(SegmentFault::Event { number: 3, .. })));
    }

    #[test]
    fn a_seal_depends_on_the_seal_before() {
        let first = link(&[event(1)], Link::default()).unwrap().1;
        assert_ne!(link(&[event(2)], first).unwrap().1, link(&[event(2)], Link::default()).unwrap().1);
        assert_eq!(first.to_string().len(), "b3:".len() + 64);
    }
}
