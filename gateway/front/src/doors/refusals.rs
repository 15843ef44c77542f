//! Who was not let in, or not heard, lately: one entry for each address, name and reason, so that a flood is one of them.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use protocol::Instant;
use protocol::api::{RefusalRow, RefusedWhat};

use super::remedies::remedy;

/// Entries that are kept.
const ENTRIES_MAX: usize = 64;

/// Those of one source, so that it does not push out what others have.
const OF_SOURCE_MAX: usize = 16;

/// Lines in the log within a minute.
const LINES_PER_MINUTE_MAX: u32 = 20;

const MINUTE_MS: i64 = 60_000;

/// The last refusals.
#[derive(Debug, Default)]
pub(super) struct RefusalLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    /// The minute that is written about, and its lines.
    lines: (i64, u32),
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) what: RefusedWhat,
    pub(super) address: IpAddr,
    /// As shown in a certificate or CONNECT; bounded, and without anything that does not print.
    pub(super) name: Option<String>,
    /// One of a few stable words.
    pub(super) reason: &'static str,
}

#[derive(Debug)]
struct Entry {
    refused: Refused,
    count: u64,
    first_at: Instant,
    last_at: Instant,
}

impl RefusalLog {
    /// Takes note of a refusal, and writes it to the log: the first of its kind, the tenth, the hundredth and so on.
    pub(super) fn note(&self, refused: Refused, now: Instant) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.count(&refused, now);
        let told = is_power_of_ten(count) && inner.has_line(now);
        drop(inner);
        if told {
            let Refused { what, address, name, reason } = &refused;
            let (what, name, remedy) = (what.as_str(), name.as_deref().unwrap_or("nobody"), remedy(*what, reason));
            tracing::warn!(%address, name, reason, count, remedy, "a {what} was refused");
        }
    }

    /// What is remembered, the newest first.
    pub(super) fn rows(&self) -> Vec<RefusalRow> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |Entry { refused, count, first_at, last_at }: &Entry| RefusalRow {
            what: refused.what,
            address: refused.address.to_string(),
            name: refused.name.clone(),
            reason: refused.reason.replace('_', "-"),
            remedy: remedy(refused.what, refused.reason).to_owned(),
            count: *count,
            first_at: *first_at,
            last_at: *last_at,
        };
        let mut rows: Vec<_> = inner.entries.iter().map(row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.last_at));
        rows
    }
}

impl Inner {
    /// How often this was refused by now.
    fn count(&mut self, refused: &Refused, now: Instant) -> u64 {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.refused == *refused) {
            (entry.count, entry.last_at) = (entry.count.saturating_add(1), now);
            return entry.count;
        }
        self.make_room(source(refused.address));
        self.entries.push(Entry { refused: refused.clone(), count: 1, first_at: now, last_at: now });
        1
    }

    /// Lets go of the oldest entry of that source where it has many, else of the source that has most where all are many.
    fn make_room(&mut self, newcomer: IpAddr) {
        let sources: Vec<IpAddr> = self.entries.iter().map(|entry| source(entry.refused.address)).collect();
        let of = |wanted: IpAddr| sources.iter().filter(|source| **source == wanted).count();
        let from = if of(newcomer) >= OF_SOURCE_MAX {
            Some(newcomer)
        } else if sources.len() >= ENTRIES_MAX {
            let most = sources.iter().map(|source| of(*source)).max();
            // Of several that have as many, the one whose entry is the oldest.
            let candidates = self.entries.iter().filter(|entry| Some(of(source(entry.refused.address))) == most);
            candidates.min_by_key(|entry| entry.last_at).map(|entry| source(entry.refused.address))
        } else {
            None
        };
        let Some(from) = from else { return };
        let of_source = self.entries.iter().enumerate().filter(|(_, entry)| source(entry.refused.address) == from);
        if let Some((oldest, _)) = of_source.min_by_key(|(_, entry)| entry.last_at) {
            self.entries.swap_remove(oldest);
        }
    }

    /// Whether there may be another line in the log.
    fn has_line(&mut self, now: Instant) -> bool {
        let minute = now.unix_ms().div_euclid(MINUTE_MS);
        if self.lines.0 != minute {
            self.lines = (minute, 0);
        }
        self.lines.1 += 1;
        self.lines.1 <= LINES_PER_MINUTE_MAX
    }
}

/// What counts as one source: a machine may use every address of its IPv6 network.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

fn is_power_of_ten(count: u64) -> bool {
    count.checked_ilog10().and_then(|digits| 10_u64.checked_pow(digits)) == Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_unix_ms(1_795_390_264_000 + seconds * 1_000)
    }

    fn refused(address: &str, name: &str, reason: &'static str) -> Refused {
        Refused { what: RefusedWhat::Connection, address: address.parse().unwrap(), name: Some(name.into()), reason }
    }

    #[test]
    fn the_same_again_is_one_entry_with_its_count_and_times() {
        let log = RefusalLog::default();
        for second in 0..1_000 {
            log.note(refused("10.0.0.7", "door:main-in", "revoked"), at(second));
        }
        log.note(refused("10.0.0.7", "door:main-in", "expired"), at(2_000));
        let rows = log.rows();
        assert_eq!((rows.len(), rows[0].reason.as_str(), rows[0].count), (2, "expired", 1));
        assert_eq!((rows[1].count, rows[1].first_at, rows[1].last_at), (1_000, at(0), at(999)));
        assert_eq!(rows[1].name.as_deref(), Some("door:main-in"));
        assert!(rows[1].remedy.contains("gapura door renew"), "{}", rows[1].remedy);
    }

    #[test]
    fn a_flood_of_one_source_does_not_wash_out_others() {
        let log = RefusalLog::default();
        log.note(refused("10.0.0.7", "door:main-in", "revoked"), at(0));
        for number in 0..5_000 {
            log.note(refused("10.6.6.6", &format!("guess-{number}"), "client_id"), at(1 + number));
            log.note(refused(&format!("fd00::{:x}", number % 60_000), "x", "unknown_ca"), at(1 + number));
        }
        let rows = log.rows();
        assert_eq!(rows.len(), 1 + 2 * OF_SOURCE_MAX);
        assert!(rows.iter().any(|row| row.address == "10.0.0.7"));
        // The newest of the flood are there.
        assert!(rows.iter().any(|row| row.name.as_deref() == Some("guess-4999")));
    }

    #[test]
    fn there_are_never_more_entries_than_fit() {
        let log = RefusalLog::default();
        for number in 0..500 {
            let address = format!("10.1.{}.{}", number / 250, number % 250);
            log.note(refused(&address, "x", "no_certificate"), at(number));
        }
        let rows = log.rows();
        assert_eq!((rows.len(), rows[0].address.as_str(), rows[63].last_at), (ENTRIES_MAX, "10.1.1.249", at(436)));
    }

    #[test]
    fn few_lines_are_written_whatever_comes() {
        assert_eq!((1..=1_000).filter(|count| is_power_of_ten(*count)).collect::<Vec<_>>(), [1, 10, 100, 1_000]);
        let mut inner = Inner::default();
        let lines = |inner: &mut Inner, now| (0..1_000).filter(|_| inner.has_line(now)).count();
        assert_eq!((lines(&mut inner, at(0)), lines(&mut inner, at(90))), (20, 20));
    }
}
