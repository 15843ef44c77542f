//! What one turn of the spine decides, keeps with one commit, and answers.

use access::{Decided, Shown, ShownMalformed, Snapshot};
use protocol::event::Marks;
use protocol::{Event, EventKind, Instant, Mark};
use store::log::{UPSTREAM, UpstreamCursor};
use tokio::sync::oneshot;

use super::arrival::{Arrival, Payload};
use super::assists::AssistCase;
use super::queue::{Erased, QueuedArrival};
use super::recall::RecallRequest;
use super::seen::Lookup;
use super::state::State;

/// What one commit keeps, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    /// Who brought each event, in the same order.
    pub(super) waiting: Vec<QueuedArrival>,
    /// Duplicates of events of this same batch: the event's place in it, and who waits.
    pub(super) repeated: Vec<(usize, QueuedArrival)>,
    /// To be looked up in the log when this batch is there: the event may be one of its own.
    pub(super) to_recall: Vec<RecallRequest>,
    pub(super) note: Option<(UpstreamCursor, oneshot::Sender<()>)>,
    /// Who is to be forgotten once the batch is there.
    pub(super) erased: Vec<(Erased, oneshot::Sender<()>)>,
    pub(super) cursors: Vec<(String, u64, oneshot::Sender<()>)>,
    pub(super) acknowledged: Vec<Acknowledged>,
}

/// That an operator knows of a door's missing scans.
#[derive(Debug)]
pub(super) struct Acknowledged {
    /// The cursor that keeps it.
    pub(super) cursor: String,
    /// The last event before it.
    pub(super) after: u64,
    /// How many scans were missing.
    pub(super) missing: u64,
    pub(super) noted: oneshot::Sender<u64>,
}

impl Batch {
    /// Number of its first event, if it has any.
    pub(super) fn first_number(&self) -> Option<u64> {
        self.events.first().map(|event| event.number)
    }

    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.note.is_none() && self.cursors.is_empty() && self.acknowledged.is_empty()
    }

    /// Every cursor to be kept with it.
    pub(super) fn all_cursors(&self) -> Vec<(&str, u64)> {
        let others = self.cursors.iter().map(|(name, value, _)| (name.as_str(), *value));
        let acknowledged = self.acknowledged.iter().map(|kept| (kept.cursor.as_str(), kept.after));
        others.chain(acknowledged).chain(self.note.as_ref().map(|(note, _)| (UPSTREAM, note.acked_through))).collect()
    }

    /// Arrivals that wait for it.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.repeated.len() + self.to_recall.len()
    }

    pub(super) fn hold(&mut self) {
        let repeated = self.repeated.iter_mut().map(|(_, waiting)| waiting);
        let asked = self.to_recall.iter_mut().map(|asked| &mut asked.waiting);
        self.waiting.iter_mut().chain(repeated).chain(asked).for_each(QueuedArrival::hold);
    }

    pub(super) fn into_waiting(self) -> impl Iterator<Item = QueuedArrival> {
        let repeated = self.repeated.into_iter().map(|(_, waiting)| waiting);
        self.waiting.into_iter().chain(repeated).chain(self.to_recall.into_iter().map(|asked| asked.waiting))
    }
}

/// What an arrival is decided from, beside itself.
pub(super) struct Grounds<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) state: &'a State,
    pub(super) assist_within_ms: u64,
    /// Whether its number was used before.
    pub(super) lookup: Lookup,
}

/// Decides one arrival.
pub(super) fn decided(grounds: &Grounds<'_>, arrival: &Arrival, number: u64, decided_at: Instant) -> Event {
    let Grounds { snapshot, state, assist_within_ms, lookup } = *grounds;
    let Arrival { door, received_at, clock_offset_ms, maybe_buffered, .. } = arrival;
    let (received_at, clock_offset_ms, maybe_buffered) = (*received_at, *clock_offset_ms, *maybe_buffered);
    let (subject, happened_at, mut verdict) = match &arrival.payload {
        Payload::Scan(scan) => {
            let shown = Shown { door, received_at, clock_offset_ms, maybe_buffered, scan };
            let Decided { record, happened_at, verdict } =
                access::decide(snapshot, state.presence(), &shown, decided_at);
            (EventKind::Scan(record), happened_at, verdict)
        }
        Payload::Malformed { scan, digest } => {
            let shown = ShownMalformed { door, received_at, clock_offset_ms, maybe_buffered, scan };
            let (mut record, happened_at, verdict) =
                access::decide_malformed(snapshot, state.presence(), &shown, decided_at);
            record.payload_hash = Some(snapshot.key.hash_payload(digest));
            (EventKind::Malformed(record), happened_at, verdict)
        }
        Payload::Assist(request) => {
            let case = AssistCase { door, received_at, request };
            let (record, verdict) = state.assists().judge(snapshot, &case, assist_within_ms, decided_at);
            (EventKind::Assist(record), received_at, verdict)
        }
    };
    let marks = match lookup {
        Lookup::Reused => Marks(vec![Mark::NumberReused]),
        Lookup::Unverified => {
            verdict = verdict.recorded_only(Mark::ResendUnverified.as_str());
            Marks(vec![Mark::ResendUnverified])
        }
        Lookup::Fresh | Lookup::Seen(_) | Lookup::Unknown => Marks::default(),
    };
    let (door, happened_at) = (door.clone(), Some(happened_at));
    Event { number, door, received_at, decided_at, subject, verdict, encrypted: None, happened_at, marks }
}
