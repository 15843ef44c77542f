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

#[cfg(test)]
mod tests;

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
    /// Below this number, what is in no range was missed, and an operator knows it. Absent in checkpoints of earlier versions.
    #[n(2)]
    #[cbor(default)]
    acknowledged_below: u64,
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
        let unseen = || Epoch { forgotten_below, ..Epoch::default() };
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

    /// An operator knows of what is missing by now. Whether a scan was seen is not touched by it.
    pub fn acknowledge(&mut self) {
        self.epochs.values_mut().for_each(Epoch::acknowledge);
    }

    /// Sequence numbers that the door has skipped and not sent since, and that nobody has acknowledged.
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

    fn acknowledge(&mut self) {
        self.acknowledged_below = self.ranges.last_key_value().map_or(0, |(first, _)| *first);
    }

    /// What is below the forgotten and the acknowledged counts no more, whichever scans of there still come.
    fn missing(&self) -> u64 {
        let known_below = self.forgotten_below.max(self.acknowledged_below);
        let gap = |((_, last), (first, _)): ((&u64, &u64), (&u64, &u64))| {
            first.saturating_sub(last.saturating_add(1).max(known_below))
        };
        self.ranges.iter().zip(self.ranges.iter().skip(1)).map(gap).fold(0, u64::saturating_add)
    }
}
