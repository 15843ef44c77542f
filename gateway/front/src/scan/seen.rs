//! What one door has sent before: exact for ever, in bounded memory.
//!
//! A reader counts its scans, so what it has sent is a few ranges of sequence numbers per epoch. A number says that a scan may
//! have been sent before; whether it is the same scan, its [`Fingerprint`] says: a reader that has lost its counter uses numbers
//! again. The newest scans are known with theirs. Any other whose number was used, or forgotten because a door's ranges or epochs
//! became too many, is [`Lookup::Unknown`] and must be looked up in the log, never guessed. So a scan is never taken for new when
//! it is not, nor the other way round.

use std::collections::{BTreeMap, VecDeque};

use minicbor::{Decode, Encode};
use protocol::{CredentialHash, ScanId};

use super::fingerprint::{Fingerprint, Likeness};

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
    recent: VecDeque<(ScanId, u64, Fingerprint)>,
    /// Every event of the door beyond this number is in `recent`.
    #[cbor(skip)]
    recent_after: u64,
}

/// Whether a scan was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Its number was never used: it is new.
    Fresh,
    /// It is in the log, as this event.
    Seen(u64),
    /// Its number was used by other scans only: it is new, and its reader counts wrongly.
    Reused,
    /// Its number was used, and what was kept under it cannot be read any more: nobody can tell.
    Unverified,
    /// Its number may have been used by it or by others: only the log can tell.
    Unknown,
}

/// What a search of the log for a scan has found, where it has not found the scan itself. By default it was not searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Through which event; 0: not at all.
    pub through: u64,
    /// Other scans under its number.
    pub others: bool,
    /// What was kept under its number and may be it cannot be read any more.
    pub unverified: bool,
    /// The search went through all that there is.
    pub whole: bool,
}

/// Whether a scan under some number is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    Certainly,
    /// It was forgotten.
    Perhaps,
    Never,
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
    /// Whether the scan `id` that looks like `wanted` was seen; `searched` is what the log was found to hold.
    pub fn lookup(&self, id: ScanId, wanted: &Fingerprint, searched: Searched) -> Lookup {
        let (mut others, mut unverified) = (searched.others, searched.unverified);
        for (_, event, kept) in self.recent.iter().rev().filter(|(recent, ..)| *recent == id) {
            match kept.likeness(wanted) {
                Likeness::Same => return Lookup::Seen(*event),
                Likeness::Other => others = true,
                Likeness::Unknown => unverified = true,
            }
        }
        // Where the search ended at or behind this point, `recent` has the rest.
        let complete = searched.through >= self.recent_after;
        match (self.is_used(id), complete) {
            (Used::Never, _) => Lookup::Fresh,
            (_, false) => Lookup::Unknown,
            _ if unverified => Lookup::Unverified,
            // What was kept under its number is not there any more.
            (Used::Certainly, true) if searched.whole && !others => Lookup::Unverified,
            (Used::Certainly, true) => Lookup::Reused,
            (Used::Perhaps, true) if others => Lookup::Reused,
            (Used::Perhaps, true) => Lookup::Fresh,
        }
    }

    /// Whether a scan under this number is in the log.
    fn is_used(&self, id: ScanId) -> Used {
        let epoch = self.epochs.get(&id.epoch);
        let forgotten = epoch.map_or(id.epoch < self.forgotten_below, |epoch| id.seq < epoch.forgotten_below);
        match epoch {
            Some(epoch) if epoch.contains(id.seq) => Used::Certainly,
            _ if forgotten => Used::Perhaps,
            _ => Used::Never,
        }
    }

    /// The highest epoch, and its highest sequence number.
    pub fn highest(&self) -> Option<ScanId> {
        let (number, epoch) = self.epochs.last_key_value()?;
        Some(ScanId { epoch: *number, seq: *epoch.ranges.last_key_value()?.1 })
    }

    /// Remembers that the scan `id` is in the log as event number `event`.
    pub fn remember(&mut self, id: ScanId, event: u64, fingerprint: Fingerprint) {
        if self.recent.len() == RECENT_MAX
            && let Some((_, oldest, _)) = self.recent.pop_front()
        {
            self.recent_after = oldest;
        }
        self.recent.push_back((id, event, fingerprint));
        let forgotten_below = if id.epoch < self.forgotten_below { u64::MAX } else { 0 };
        let unseen = || Epoch { ranges: BTreeMap::new(), forgotten_below };
        self.epochs.entry(id.epoch).or_insert_with(unseen).insert(id.seq);
        if self.epochs.len() > EPOCHS_MAX
            && let Some((lowest, _)) = self.epochs.pop_first()
        {
            self.forgotten_below = self.forgotten_below.max(lowest.saturating_add(1));
        }
    }

    /// Forgets whom scans were about that showed one of these credentials.
    pub fn forget(&mut self, credentials: &[CredentialHash]) {
        self.recent.iter_mut().for_each(|(.., fingerprint)| fingerprint.forget(credentials));
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
    use protocol::{Direction, Instant};

    use super::*;

    fn id(epoch: u32, seq: u64) -> ScanId {
        ScanId { epoch, seq }
    }

    /// What scan `look` looks like.
    fn looks(look: u8) -> Fingerprint {
        let (credential, scanned_at) = (Some(CredentialHash([look; 16])), Instant::from_unix_ms(0));
        Fingerprint::Scan { credential, scanned_at, direction: Direction::In }
    }

    /// Everything that was ever kept: the event of each scan by its number and its look.
    #[derive(Default)]
    struct Model(BTreeMap<(ScanId, u8), u64>);

    impl Model {
        fn of(&self, id: ScanId) -> impl Iterator<Item = (u8, u64)> {
            self.0.range((id, 0)..=(id, u8::MAX)).map(|((_, look), event)| (*look, *event))
        }

        /// What a search through an event finds: the scan's own event, or what else there is.
        fn search(&self, id: ScanId, look: u8, through: u64) -> Result<u64, Searched> {
            let seen = |(_, event): &(u8, u64)| *event <= through;
            let own = self.of(id).filter(seen).find(|(of, _)| *of == look);
            let others = self.of(id).any(|of| seen(&of));
            own.map(|(_, event)| event).ok_or(Searched { through, others, unverified: false, whole: true })
        }
    }

    proptest! {
        #[test]
        fn a_scan_is_never_mistaken(
            scans in proptest::collection::vec((0..20u32, prop_oneof![0..60u64, 0..100_000u64], 0..3u8), 0..600),
        ) {
            let (mut seen, mut log) = (Seen::default(), Model::default());
            for (number, (epoch, seq, look)) in (1..).zip(scans) {
                let id = id(epoch, seq);
                let (known, used) = (log.0.get(&(id, look)).copied(), log.of(id).next().is_some());
                match seen.lookup(id, &looks(look), Searched::default()) {
                    Lookup::Fresh => prop_assert!(!used),
                    Lookup::Seen(event) => prop_assert_eq!(Some(event), known),
                    Lookup::Reused => prop_assert!(used && known.is_none()),
                    Lookup::Unverified => prop_assert!(false, "nothing was forgotten on purpose"),
                    Lookup::Unknown => {}
                }
                if known.is_none() {
                    log.0.insert((id, look), number);
                    seen.remember(id, number, looks(look));
                }
                prop_assert!(seen.epochs.len() <= EPOCHS_MAX && seen.recent.len() <= RECENT_MAX);
                prop_assert!(seen.epochs.values().all(|epoch| epoch.ranges.len() <= RANGES_MAX));
            }
        }

        /// Searches of the log end some events before their answers arrive; by then it may have been sent again.
        #[test]
        fn what_was_searched_for_is_kept_once(
            scans in proptest::collection::vec((0..30u32, 0..40u64, 0..2u8, 0..200u64), 0..600),
        ) {
            let (mut seen, mut log) = (Seen::default(), Model::default());
            for (number, (epoch, seq, look, delay)) in (1u64..).zip(scans) {
                let id = id(epoch, seq);
                let known = log.0.get(&(id, look)).copied();
                let used = log.of(id).next().is_some();
                let mut searched = log.search(id, look, number.saturating_sub(1 + delay));
                // One search more where the first did not go far enough.
                let lookup = loop {
                    match searched {
                        Ok(event) => break Lookup::Seen(event),
                        Err(found) => match seen.lookup(id, &looks(look), found) {
                            Lookup::Unknown => searched = log.search(id, look, number - 1),
                            lookup => break lookup,
                        },
                    }
                };
                match (lookup, known) {
                    (Lookup::Seen(event), Some(known)) => prop_assert_eq!(event, known),
                    (Lookup::Fresh, None) => prop_assert!(!used),
                    (Lookup::Reused, None) => prop_assert!(used),
                    (lookup, known) => prop_assert!(false, "{:?} although the log says {:?}", lookup, known),
                }
                if known.is_none() {
                    log.0.insert((id, look), number);
                    seen.remember(id, number, looks(look));
                }
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
                prop_assert_eq!(seen.lookup(*id, &looks(1), Searched::default()), Lookup::Fresh);
                seen.remember(*id, number, looks(1));
            }
            prop_assert_eq!(seen.missing(), 0);
            prop_assert_eq!(seen.highest(), Some(id(epochs - 1, seqs - 1)));
        }

        #[test]
        fn what_is_restored_knows_the_same_scans(scans in proptest::collection::vec((0..12u32, 0..500u64), 0..300)) {
            let mut seen = Seen::default();
            for (number, (epoch, seq)) in (1..).zip(&scans) {
                seen.remember(id(*epoch, *seq), number, looks(1));
            }
            let mut restored: Seen = minicbor::decode(&minicbor::to_vec(&seen).unwrap()).unwrap();
            restored.restored_through(scans.len() as u64);
            for (epoch, seq) in scans.iter().copied().chain([(13, 1), (0, 501)]) {
                let lookup = |seen: &Seen| seen.lookup(id(epoch, seq), &looks(1), Searched::default());
                let as_before = lookup(&seen) == lookup(&restored);
                // The newest scans are known by their events until the restart.
                let before = matches!(lookup(&seen), Lookup::Seen(_) | Lookup::Fresh);
                prop_assert!(as_before || (before && lookup(&restored) == Lookup::Unknown));
                if !scans.contains(&(epoch, seq)) {
                    continue;
                }
                let searched = Searched { through: scans.len() as u64, others: true, ..Searched::default() };
                prop_assert_eq!(restored.lookup(id(epoch, seq), &looks(2), searched), Lookup::Reused);
                prop_assert_eq!(restored.highest(), seen.highest());
            }
        }
    }

    #[test]
    fn nobody_can_tell_what_is_erased_or_gone() {
        let mut seen = Seen::default();
        seen.remember(id(1, 1), 1, looks(1));
        seen.remember(id(1, 2), 2, looks(2));
        seen.forget(&[CredentialHash([1; 16])]);
        let lookup = |seq, look| seen.lookup(id(1, seq), &looks(look), Searched::default());
        assert_eq!((lookup(1, 1), lookup(1, 9)), (Lookup::Unverified, Lookup::Unverified));
        assert_eq!((lookup(2, 2), lookup(2, 1)), (Lookup::Seen(2), Lookup::Reused));
        // Another instant is another scan, whoever it was.
        let later = Fingerprint::Scan {
            credential: Some(CredentialHash([1; 16])),
            scanned_at: Instant::from_unix_ms(1),
            direction: Direction::In,
        };
        assert_eq!(seen.lookup(id(1, 1), &later, Searched::default()), Lookup::Reused);

        seen.recent.clear();
        seen.restored_through(2);
        let searched = |others, unverified, whole| {
            seen.lookup(id(1, 1), &looks(1), Searched { through: 2, others, unverified, whole })
        };
        assert_eq!(searched(false, true, true), Lookup::Unverified);
        assert_eq!(searched(false, false, true), Lookup::Unverified);
        assert_eq!(searched(true, false, true), Lookup::Reused);
        assert_eq!(searched(false, false, false), Lookup::Reused);
    }

    #[test]
    fn gaps_are_counted_until_they_are_filled() {
        let mut seen = Seen::default();
        for (event, seq) in (1..).zip([10, 11, 15, 20]) {
            seen.remember(id(1, seq), event, looks(1));
        }
        assert_eq!(seen.missing(), 3 + 4);
        seen.remember(id(1, 13), 5, looks(1));
        assert_eq!(seen.missing(), 2 + 4);
        for (event, seq) in (6..).zip([12, 14, 16, 17, 18, 19]) {
            seen.remember(id(1, seq), event, looks(1));
        }
        assert_eq!(seen.missing(), 0);
    }

    #[test]
    fn the_newest_scans_are_known_by_their_event() {
        let mut seen = Seen::default();
        for seq in 0..=RECENT_MAX as u64 {
            seen.remember(id(1, seq), 100 + seq, looks(1));
        }
        let lookup = |seq, look| seen.lookup(id(1, seq), &looks(look), Searched::default());
        assert_eq!((lookup(0, 1), lookup(0, 2)), (Lookup::Unknown, Lookup::Unknown));
        assert_eq!((lookup(1, 1), lookup(500, 1)), (Lookup::Seen(101), Lookup::Fresh));
    }
}
