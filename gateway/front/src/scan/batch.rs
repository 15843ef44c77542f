//! What one turn of the spine decides, keeps with one commit, and answers.

use access::Snapshot;
use protocol::{Event, EventKind, Instant};
use store::log::UpstreamCursor;
use tokio::sync::oneshot;

use super::arrival::{Arrival, Payload};
use super::assists::AssistCase;
use super::queue::{Erased, QueuedArrival};
use super::recall::RecallRequest;
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
}

impl Batch {
    /// Number of its first event, if it has any.
    pub(super) fn first_number(&self) -> Option<u64> {
        self.events.first().map(|event| event.number)
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

/// Decides one arrival.
pub(super) fn decided(
    snapshot: &Snapshot,
    state: &State,
    assist_within_ms: u64,
    arrival: &Arrival,
    number: u64,
    decided_at: Instant,
) -> Event {
    let Arrival { door, received_at, .. } = arrival;
    let (subject, verdict) = match &arrival.payload {
        Payload::Scan(scan) => {
            let shown =
                access::Shown { door, received_at: *received_at, clock_offset_ms: arrival.clock_offset_ms, scan };
            let (record, verdict) = access::decide(snapshot, state.presence(), &shown, decided_at);
            (EventKind::Scan(record), verdict)
        }
        Payload::Malformed(malformed) => {
            (EventKind::Malformed(malformed.clone()), access::refuse_malformed(snapshot, door, decided_at))
        }
        Payload::Assist(request) => {
            let case = AssistCase { door, received_at: *received_at, request };
            let (record, verdict) = state.assists().judge(snapshot, &case, assist_within_ms, decided_at);
            (EventKind::Assist(record), verdict)
        }
    };
    Event { number, door: door.clone(), received_at: *received_at, decided_at, subject, verdict, encrypted: None }
}
