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

/// Newest scans whose event numbers are remembered per door: several times what a reader has in flight, so that one scan may be
/// sent again and again while others overtake it, and the log need not be searched for it.
const RECENT_MAX: usize = 256;

/// The scans of one door that are in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    #[n(0)]
    epochs: BTreeMap<u32, Epoch>,
    /// Epochs below this one were forgotten, save those in `epochs`.
    #[n(1)]
    forgotten_below: u32,
    /// Newest scans with their event numbers; not kept over a restart, the log has them.
    #[cbor(skip)]
    recent: VecDeque<(ScanId, u64)>,
    /// Every event of the door beyond this number is in `recent`.
    #[cbor(skip)]
    recent_after: u64,
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
    /// Sequence numbers seen: the last of each range by its first; ranges never touch each other.
    #[n(0)]
    ranges: BTreeMap<u64, u64>,
    /// Below this number, what is in no range was forgotten, not missed.
    #[n(1)]
    forgotten_below: u64,
}

impl Seen {
    /// Whether `id` was seen, where the log was searched for it through event `not_in_log_through` in vain; 0 when it
    /// was not searched.
    pub fn lookup(&self, id: ScanId, not_in_log_through: u64) -> Lookup {
        let epoch = self.epochs.get(&id.epoch);
        let remembered = epoch.is_some_and(|epoch| epoch.contains(id.seq));
        let forgotten = epoch.map_or(id.epoch < self.forgotten_below, |epoch| id.seq < epoch.forgotten_below);
        if !remembered && !forgotten {
            return Lookup::Fresh;
        }
        let event = self.recent.iter().rev().find(|(recent, _)| *recent == id).map(|(_, event)| *event);
        if remembered || event.is_some() {
            return Lookup::Seen(event);
        }
        // Where the search ended at or behind this point, `recent` has the rest.
        if not_in_log_through >= self.recent_after { Lookup::Fresh } else { Lookup::Unknown }
    }

    /// Remembers that `id` is in the log as event number `event`.
    pub fn remember(&mut self, id: ScanId, event: u64) {
        if self.recent.len() == RECENT_MAX
            && let Some((_, oldest)) = self.recent.pop_front()
        {
            self.recent_after = oldest;
        }
        self.recent.push_back((id, event));
        let forgotten_below = if id.epoch < self.forgotten_below { u64::MAX } else { 0 };
        let unseen = || Epoch { ranges: BTreeMap::new(), forgotten_below };
        self.epochs.entry(id.epoch).or_insert_with(unseen).insert(id.seq);
        if self.epochs.len() > EPOCHS_MAX
            && let Some((lowest, _)) = self.epochs.pop_first()
        {
            self.forgotten_below = self.forgotten_below.max(lowest.saturating_add(1));
        }
    }

    /// Says that what is restored from a checkpoint covers the log through event `covers`.
    pub fn restored_through(&mut self, covers: u64) {
        self.recent_after = covers;
    }

    /// Sequence numbers that the door has skipped and not sent since.
    pub fn missing(&self) -> u64 {
        self.epochs.values().map(Epoch::missing).fold(0, u64::saturating_add)
    }
}

impl Epoch {
    fn contains(&self, seq: u64) -> bool {
        self.ranges.range(..=seq).next_back().is_some_and(|(_, last)| seq <= *last)
    }

    fn insert(&mut self, seq: u64) {
        if self.contains(seq) {
            return;
        }
        let before = self.ranges.range(..seq).next_back().filter(|(_, last)| last.saturating_add(1) == seq);
        let first = before.map_or(seq, |(first, _)| *first);
        let last = seq.checked_add(1).and_then(|next| self.ranges.remove(&next)).unwrap_or(seq);
        self.ranges.insert(first, last);
        if self.ranges.len() > RANGES_MAX
            && let Some((_, last)) = self.ranges.pop_first()
        {
            self.forgotten_below = self.forgotten_below.max(last.saturating_add(1));
        }
    }

    fn missing(&self) -> u64 {
        let gap = |((_, last), (first, _)): ((&u64, &u64), (&u64, &u64))| first.saturating_sub(*last).saturating_sub(1);
        self.ranges.iter().zip(self.ranges.iter().skip(1)).map(gap).fold(0, u64::saturating_add)
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
                match (seen.lookup(id, 0), log.get(&id)) {
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

        /// Searches of the log end some events before their answers arrive; by then it may have been sent again.
        #[test]
        fn what_was_searched_for_is_kept_once(scans in proptest::collection::vec((0..30u32, 0..40u64, 0..200u64), 0..600)) {
            let mut seen = Seen::default();
            let mut log = BTreeMap::new();
            for (number, (epoch, seq, delay)) in (1u64..).zip(scans) {
                let id = id(epoch, seq);
                let searched_through = number.saturating_sub(1 + delay);
                let found = log.get(&id).filter(|event| **event <= searched_through);
                let fresh = match seen.lookup(id, searched_through) {
                    // Searched again, this time through the newest event.
                    Lookup::Unknown => !log.contains_key(&id),
                    Lookup::Fresh => found.is_none(),
                    Lookup::Seen(_) => false,
                };
                prop_assert_eq!(fresh, !log.contains_key(&id));
                if fresh {
                    log.insert(id, number);
                    seen.remember(id, number);
                }
                prop_assert!(delay > 0 || seen.lookup(id, number) != Lookup::Unknown);
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
                prop_assert_eq!(seen.lookup(*id, 0), Lookup::Fresh);
                seen.remember(*id, number);
            }
            for id in &order {
                prop_assert!(matches!(seen.lookup(*id, 0), Lookup::Seen(_)));
            }
            prop_assert_eq!(seen.missing(), 0);
        }

        #[test]
        fn what_is_restored_knows_the_same_scans(scans in proptest::collection::vec((0..12u32, 0..500u64), 0..300)) {
            let mut seen = Seen::default();
            for (number, (epoch, seq)) in (1..).zip(&scans) {
                seen.remember(id(*epoch, *seq), number);
            }
            let mut restored: Seen = minicbor::decode(&minicbor::to_vec(&seen).unwrap()).unwrap();
            restored.restored_through(scans.len() as u64);
            for (epoch, seq) in scans {
                let known = |seen: &Seen| match seen.lookup(id(epoch, seq), 0) { Lookup::Seen(_) => "seen", Lookup::Fresh => "fresh", Lookup::Unknown => "unknown" };
                // The newest scans are known by their events as well, until the restart.
                prop_assert!(known(&seen) == known(&restored) || (known(&seen), known(&restored)) == ("seen", "unknown"));
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
        assert_eq!(seen.lookup(id(1, 0), 0), Lookup::Seen(None));
        assert_eq!(seen.lookup(id(1, 1), 0), Lookup::Seen(Some(101)));
        assert_eq!(seen.lookup(id(1, 500), 0), Lookup::Fresh);
    }
}
