//! What readers have kept from while they were offline: scans of the past, each at a time of its own.

use protocol::{Direction, Instant, Scan, ScanId};

use super::mix::Badges;

/// The scans that each reader of a fleet has kept.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// Of each reader, in the order of the fleet's doors.
    pub readers: Vec<ReaderScans>,
    /// The badges that were shown.
    pub badges: Badges,
}

/// The scans of one reader.
#[derive(Clone, Debug)]
pub struct ReaderScans {
    /// Which way its door leads.
    pub direction: Direction,
    /// How far its clock is ahead, in milliseconds; negative when it is behind.
    pub clock_ahead_ms: i64,
    /// In the order in which they were made: the time by the reader's clock in Unix milliseconds, and which badge.
    pub scans: Vec<(i64, u32)>,
}

impl Backlog {
    /// Scans of all readers.
    pub fn len(&self) -> u64 {
        self.readers.iter().map(|kept| kept.scans.len() as u64).sum()
    }

    /// Whether no reader has kept a scan.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scans of one reader.
    pub(super) fn of(&self, reader: usize) -> u64 {
        self.readers.get(reader).map_or(0, |kept| kept.scans.len() as u64)
    }

    /// How far the reader's clock is ahead, in milliseconds.
    pub(super) fn clock_ahead_ms(&self, reader: usize) -> i64 {
        self.readers.get(reader).map_or(0, |kept| kept.clock_ahead_ms)
    }

    /// When the reader made the scan of this number, which are counted from 1, in Unix milliseconds by its own clock.
    pub(super) fn scanned_at_ms(&self, reader: usize, seq: u64) -> i64 {
        self.scan(reader, seq).map_or(0, |(_, at_ms, _)| at_ms)
    }

    /// The scan's payload; empty where there is no such scan.
    pub(super) fn payload(&self, reader: usize, id: ScanId) -> Vec<u8> {
        let made = self.scan(reader, id.seq).and_then(|(direction, at_ms, badge)| {
            let code = self.badges.codes().get(usize::try_from(badge).ok()?)?;
            Scan::new(id, Instant::from_unix_ms(at_ms), direction, code.as_str()).ok()
        });
        made.map(|scan| scan.to_json()).unwrap_or_default()
    }

    fn scan(&self, reader: usize, seq: u64) -> Option<(Direction, i64, u32)> {
        let kept = self.readers.get(reader)?;
        let (at_ms, badge) = *kept.scans.get(usize::try_from(seq.checked_sub(1)?).ok()?)?;
        Some((kept.direction, at_ms, badge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_scan_is_sent_as_it_was_made() {
        let scans = vec![(1_000, 1), (2_000, 0)];
        let kept = ReaderScans { direction: Direction::Out, clock_ahead_ms: 7, scans };
        let backlog = Backlog { readers: vec![kept], badges: Badges::invented(2) };
        let id = ScanId { epoch: 4, seq: 1 };
        let scan = Scan::from_json(&backlog.payload(0, id)).unwrap();
        assert_eq!((scan.id(), scan.scanned_at.unix_ms(), scan.direction), (id, 1_000, Direction::Out));
        assert_eq!(scan.credential, backlog.badges.codes()[1]);
        assert_eq!((backlog.len(), backlog.of(0), backlog.of(1)), (2, 2, 0));
        for (reader, seq) in [(0, 0), (0, 3), (1, 1)] {
            assert!(backlog.payload(reader, ScanId { epoch: 4, seq }).is_empty());
        }
    }
}
