//! What one door has sent before: exact for ever, in bounded memory.
//!
//! A reader counts its scans, so what it has sent is a few ranges of sequence numbers per epoch. When a door's ranges or
//! epochs become too many, the lowest are forgotten; what lies there is then [`Lookup::Unknown`] and must be looked up in the log,
//! never guessed. So a scan is never taken for new when it is not, nor the other way round.

use std::collections::{BTreeMap, VecDeque};

use minicbor::{Decode, Encode};
use protocol::ScanId;

/// Epochs that are remembered per door.
const EPOCHS_MAX: usize = 8;

/// Ranges that are remembered per epoch: one more than the gaps that a door may have open.
const RANGES_MAX: usize = 128;

/// Newest scans whose event numbers are remembered per door: more than a reader has in flight.
const RECENT_MAX: usize = 64;

/// The scans of one door that are in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    #[n(0)]
    epochs: BTreeMap<u32, Epoch>,
    /// Epochs below this one were forgotten, save those in `epochs`.
    #[n(1)]
    forgotten_below: u32,
    /// Event numbers of the newest scans; not kept over a restart, the log has them.
    #[cbor(skip)]
    recent: VecDeque<(ScanId, u64)>,
}

/// Whether a scan was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Never: it is new.
    Fresh,
    /// It is in the log, as this event where that is remembered.
    Seen(Option<u64>),
    /// Forgotten: only the log can tell.
    Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Epoch {
    /// Sequence numbers seen, first and last of each range, rising, never touching each other.
    #[n(0)]
    ranges: Vec<(u64, u64)>,
    /// Below this number, what is in no range was forgotten, not missed.
    #[n(1)]
    forgotten_below: u64,
}

impl Seen {
    /// Whether `id` was seen.
    pub fn lookup(&self, id: ScanId) -> Lookup {
        let Some(epoch) = self.epochs.get(&id.epoch) else {
            return if id.epoch < self.forgotten_below { Lookup::Unknown } else { Lookup::Fresh };
        };
        if epoch.contains(id.seq) {
            let event = self.recent.iter().rev().find(|(recent, _)| *recent == id).map(|(_, event)| *event);
            Lookup::Seen(event)
        } else if id.seq < epoch.forgotten_below {
            Lookup::Unknown
        } else {
            Lookup::Fresh
        }
    }

    /// Remembers that `id` is in the log as event number `event`.
    pub fn remember(&mut self, id: ScanId, event: u64) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((id, event));
        let forgotten = id.epoch < self.forgotten_below;
        self.epochs
            .entry(id.epoch)
            .or_insert_with(|| Epoch { ranges: Vec::new(), forgotten_below: if forgotten { u64::MAX } else { 0 } })
            .insert(id.seq);
        if self.epochs.len() > EPOCHS_MAX
            && let Some((oldest, _)) = self.epochs.pop_first()
        {
            self.forgotten_below = self.forgotten_below.max(oldest.saturating_add(1));
        }
    }

    /// Sequence numbers that the door has skipped and not sent since.
    pub fn missing(&self) -> u64 {
        self.epochs.values().map(Epoch::missing).fold(0, u64::saturating_add)
    }
}

impl Epoch {
    fn contains(&self, seq: u64) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= seq);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, last)| seq <= *last)
    }

    fn insert(&mut self, seq: u64) {
        let after = self.ranges.partition_point(|(first, _)| *first <= seq);
        let touches_next = self.ranges.get(after).is_some_and(|(first, _)| *first == seq.saturating_add(1));
        let before = after.checked_sub(1).and_then(|at| self.ranges.get_mut(at));
        match before {
            Some((_, last)) if seq <= *last => {}
            Some((_, last)) if last.saturating_add(1) == seq => {
                *last = seq;
                if touches_next {
                    let (_, next_last) = self.ranges.remove(after);
                    if let Some((_, last)) = after.checked_sub(1).and_then(|at| self.ranges.get_mut(at)) {
                        *last = next_last;
                    }
                }
            }
            _ if touches_next => {
                if let Some((first, _)) = self.ranges.get_mut(after) {
                    *first = seq;
                }
            }
            _ => self.ranges.insert(after, (seq, seq)),
        }
        if self.ranges.len() > RANGES_MAX {
            let (_, last) = self.ranges.remove(0);
            self.forgotten_below = self.forgotten_below.max(last.saturating_add(1));
        }
    }

    fn missing(&self) -> u64 {
        self.ranges
            .iter()
            .zip(self.ranges.iter().skip(1))
            .map(|((_, last), (first, _))| first.saturating_sub(*last).saturating_sub(1))
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn id(epoch: u32, seq: u64) -> ScanId {
        ScanId { epoch, seq }
    }

    proptest! {
        /// The model is the log itself: a map of everything that was ever sent.
        #[test]
        fn a_scan_is_never_mistaken(scans in proptest::collection::vec((0..20u32, prop_oneof![0..60u64, 0..100_000u64]), 0..600)) {
            let mut seen = Seen::default();
            let mut log = BTreeMap::new();
            for (number, (epoch, seq)) in (1..).zip(scans) {
                let id = id(epoch, seq);
                match (seen.lookup(id), log.get(&id)) {
                    (Lookup::Fresh, None) | (Lookup::Unknown, _) | (Lookup::Seen(None), Some(_)) => {}
                    (Lookup::Seen(Some(event)), Some(known)) => prop_assert_eq!(event, *known),
                    (lookup, known) => prop_assert!(false, "{:?} although the log says {:?}", lookup, known),
                }
                if let std::collections::btree_map::Entry::Vacant(new) = log.entry(id) {
                    new.insert(number);
                    seen.remember(id, number);
                }
                prop_assert!(seen.epochs.len() <= EPOCHS_MAX && seen.recent.len() <= RECENT_MAX);
                prop_assert!(seen.epochs.values().all(|epoch| epoch.ranges.len() <= RANGES_MAX));
            }
        }

        #[test]
        fn a_reader_that_counts_is_never_unknown(epochs in 1..4u32, seqs in 1..400u64, swaps in proptest::collection::vec(0..400usize, 0..50)) {
            let mut order: Vec<_> = (0..epochs).flat_map(|epoch| (0..seqs).map(move |seq| id(epoch, seq))).collect();
            for at in swaps {
                let last = order.len() - 1;
                order.swap(at.min(last), (at + 1).min(last));
            }
            let mut seen = Seen::default();
            for (number, id) in (1..).zip(&order) {
                prop_assert_eq!(seen.lookup(*id), Lookup::Fresh);
                seen.remember(*id, number);
            }
            for id in &order {
                prop_assert!(matches!(seen.lookup(*id), Lookup::Seen(_)));
            }
            prop_assert_eq!(seen.missing(), 0);
        }

        #[test]
        fn what_is_restored_knows_the_same_scans(scans in proptest::collection::vec((0..12u32, 0..500u64), 0..300)) {
            let mut seen = Seen::default();
            for (number, (epoch, seq)) in (1..).zip(&scans) {
                seen.remember(id(*epoch, *seq), number);
            }
            let restored: Seen = minicbor::decode(&minicbor::to_vec(&seen).unwrap()).unwrap();
            for (epoch, seq) in scans {
                let known = |seen: &Seen| match seen.lookup(id(epoch, seq)) { Lookup::Seen(_) => "seen", Lookup::Fresh => "fresh", Lookup::Unknown => "unknown" };
                prop_assert_eq!(known(&seen), known(&restored));
            }
        }
    }

    #[test]
    fn gaps_are_counted_until_they_are_filled() {
        let mut seen = Seen::default();
        for (event, seq) in (1..).zip([10, 11, 15, 20]) {
            seen.remember(id(1, seq), event);
        }
        assert_eq!(seen.missing(), 3 + 4);
        seen.remember(id(1, 13), 5);
        assert_eq!(seen.missing(), 2 + 4);
        for (event, seq) in (6..).zip([12, 14, 16, 17, 18, 19]) {
            seen.remember(id(1, seq), event);
        }
        assert_eq!(seen.missing(), 0);
    }

    #[test]
    fn the_newest_scans_are_known_by_their_event() {
        let mut seen = Seen::default();
        for seq in 0..=RECENT_MAX as u64 {
            seen.remember(id(1, seq), 100 + seq);
        }
        assert_eq!(seen.lookup(id(1, 0)), Lookup::Seen(None));
        assert_eq!(seen.lookup(id(1, 1)), Lookup::Seen(Some(101)));
        assert_eq!(seen.lookup(id(1, 500)), Lookup::Fresh);
    }
}
