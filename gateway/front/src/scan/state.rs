//! What the spine remembers between scans: derived from the log, rebuilt from its last checkpoint and what follows it.

use std::collections::HashMap;

use minicbor::{Decode, Encode};
use protocol::{DoorId, Event, ScanId};

use super::arrival::AssistRequest;
use super::assists::Assists;
use super::fingerprint::Fingerprint;
use super::queue::Erased;
use super::seen::{Lookup, Searched, Seen};
use access::Presence;
use store::log::{LogError, LogReader};

/// Events that are read at once when the state is rebuilt.
const REBUILD_EVENTS: usize = 4096;

/// Bytes that are read at once when the state is rebuilt.
const REBUILD_BYTES: usize = 4 << 20;

/// What the names of the cursors start with that keep operators' acknowledgements of missing scans; a door's name follows.
pub(super) const ACKNOWLEDGED: &str = "acknowledged/";

/// What every door has sent, where people were last seen, and who waits for a helper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct State {
    #[n(0)]
    doors: HashMap<DoorId, Seen>,
    /// Absent in checkpoints of earlier versions.
    #[n(1)]
    #[cbor(default)]
    presence: Presence,
    /// Absent in checkpoints of earlier versions.
    #[n(2)]
    #[cbor(default)]
    assists: Assists,
    #[cbor(skip)]
    events_since_checkpoint: u64,
}

impl State {
    /// Rebuilds the state from the newest checkpoint that can be read and the events behind it. Who was seen is believed
    /// to be there for `presence_ms` milliseconds.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn rebuild(log: &LogReader, presence_ms: i64) -> Result<Self, LogError> {
        let (mut through, mut state) = Self::newest_checkpoint(log)?;
        state.presence = state.presence.restored(presence_ms);
        let mut acknowledged = Self::acknowledgements(log, through)?.into_iter().peekable();
        loop {
            let events = log.read(through, REBUILD_EVENTS, REBUILD_BYTES)?;
            let Some(last) = events.last() else { break };
            through = last.number;
            for event in &events {
                while let Some((_, door)) = acknowledged.next_if(|(after, _)| *after < event.number) {
                    state.acknowledge(&door);
                }
                state.remember(event);
            }
        }
        acknowledged.for_each(|(_, door)| state.acknowledge(&door));
        Ok(state)
    }

    /// The acknowledgements that a checkpoint that covers `covers` may not reflect, each with the event behind which it came, in
    /// order. Of a door's several only the last is kept: it says all that those before it said.
    fn acknowledgements(log: &LogReader, covers: u64) -> Result<Vec<(u64, DoorId)>, LogError> {
        let kept = log.cursors(ACKNOWLEDGED)?.into_iter();
        let door = |name: &str| name.strip_prefix(ACKNOWLEDGED)?.parse::<DoorId>().ok();
        let mut later: Vec<_> = kept
            .filter(|(_, after)| *after >= covers)
            .filter_map(|(name, after)| Some((after, door(&name)?)))
            .collect();
        later.sort_unstable();
        Ok(later)
    }

    /// Whether `door` has sent this scan before, see [`Seen::lookup`].
    pub fn lookup(&self, door: &DoorId, id: ScanId, wanted: &Fingerprint, searched: Searched) -> Lookup {
        self.doors.get(door).map_or(Lookup::Fresh, |seen| seen.lookup(id, wanted, searched))
    }

    /// Whether an assist request was made before.
    pub fn lookup_assist(&self, door: &DoorId, request: &AssistRequest) -> Lookup {
        self.assists.lookup(door, request).map_or(Lookup::Fresh, Lookup::Seen)
    }

    /// What doors' helpers were asked and have answered.
    pub fn assists(&self) -> &Assists {
        &self.assists
    }

    /// Where people were last seen.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Takes note of an event.
    pub fn remember(&mut self, event: &Event) {
        self.presence.remember(event);
        self.assists.remember(event);
        self.events_since_checkpoint = self.events_since_checkpoint.saturating_add(1);
        let Some((id, fingerprint)) = event.scan_id().zip(Fingerprint::of_event(event)) else { return };
        if let Some(seen) = self.doors.get_mut(&event.door) {
            seen.remember(id, event.number, fingerprint);
        } else {
            let mut seen = Seen::default();
            seen.remember(id, event.number, fingerprint);
            self.doors.insert(event.door.clone(), seen);
        }
    }

    /// Forgets who somebody was: the state is then as if their events did not tell it any more.
    pub fn forget(&mut self, erased: &Erased) {
        self.presence.forget(&erased.person, &erased.credentials);
        self.assists.forget(&erased.person, &erased.credentials);
        self.doors.values_mut().for_each(|seen| seen.forget(&erased.credentials));
    }

    /// Takes note that an operator knows of the scans that a door is missing.
    pub fn acknowledge(&mut self, door: &DoorId) {
        if let Some(seen) = self.doors.get_mut(door) {
            seen.acknowledge();
        }
    }

    /// The highest epoch of a door's scans, and its highest sequence number.
    pub fn highest(&self, door: &DoorId) -> Option<ScanId> {
        self.doors.get(door).and_then(Seen::highest)
    }

    /// Sequence numbers that `door` has skipped and not sent since, and that nobody has acknowledged.
    pub fn missing(&self, door: &DoorId) -> u64 {
        self.doors.get(door).map_or(0, Seen::missing)
    }

    /// Every door with the number of its missing scans.
    pub fn doors(&self) -> impl Iterator<Item = (&DoorId, u64)> {
        self.doors.iter().map(|(door, seen)| (door, seen.missing()))
    }

    /// Events that a restart would read again.
    pub fn events_since_checkpoint(&self) -> u64 {
        self.events_since_checkpoint
    }

    /// Takes note that a checkpoint of this state is kept.
    pub fn checkpointed(&mut self) {
        self.events_since_checkpoint = 0;
    }

    /// The state as a checkpoint.
    pub fn to_checkpoint(&self) -> Vec<u8> {
        minicbor::to_vec(self).unwrap_or_default()
    }

    /// A checkpoint that cannot be read costs time, not correctness: the one before it, or the whole log, serves.
    fn newest_checkpoint(log: &LogReader) -> Result<(u64, Self), LogError> {
        let mut checkpoint = log.newest_checkpoint();
        loop {
            let covers = match checkpoint {
                Ok(None) => return Ok((0, Self::default())),
                Ok(Some((covers, bytes))) => match minicbor::decode::<Self>(&bytes) {
                    Ok(mut state) => {
                        state.doors.values_mut().for_each(|seen| seen.restored_through(covers));
                        return Ok((covers, state));
                    }
                    Err(_) => covers,
                },
                Err(LogError::DamagedCheckpoint { covers }) => covers,
                Err(error) => return Err(error),
            };
            tracing::warn!(covers, "a checkpoint cannot be read; an older one, or the whole log, serves");
            checkpoint = log.older_checkpoint(covers);
        }
    }
}
