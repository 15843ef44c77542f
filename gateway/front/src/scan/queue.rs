//! The way to the spine: arrivals and what is to be kept beside them, bounded in number.

use std::fmt;

use protocol::{CredentialHash, DoorId};
use store::log::{CommitError, UpstreamCursor};
use tokio::sync::{mpsc, oneshot};

use super::arrival::{Answer, Arrival, ReplyTo};
use super::seen::Searched;

/// Somebody whose keys were destroyed, and who is to be forgotten.
#[derive(Clone)]
pub struct Erased {
    /// The directory's id of the person, or whatever else events have called them.
    pub person: String,
    /// Hashes of their credentials, and of the ids of passes that they have shown.
    pub credentials: Vec<CredentialHash>,
}

/// Hands work to the spine. Cheap to clone; the spine ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct ScanQueue {
    pub(super) queue: mpsc::Sender<Work>,
}

/// A view of the queue that does not keep the spine at work.
#[derive(Clone, Debug)]
pub struct WeakScanQueue(mpsc::WeakSender<Work>);

/// The spine's end of the queue.
#[derive(Debug)]
pub struct WorkQueue(pub(super) mpsc::Receiver<Work>);

/// What the spine is handed.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all work is scans")]
pub(super) enum Work {
    Scan(QueuedArrival),
    Beside(Beside),
}

/// What is to be kept, or forgotten, beside the events. Where that fails its sender hears it, and says it again.
#[derive(Debug)]
pub(super) enum Beside {
    Upstream(UpstreamCursor, oneshot::Sender<()>),
    Forget(Erased, oneshot::Sender<()>),
    Cursor(String, u64, oneshot::Sender<()>),
    Acknowledge(DoorId, oneshot::Sender<u64>),
}

/// An arrival that has no final answer yet.
#[derive(Debug)]
pub(super) struct QueuedArrival {
    pub(super) arrival: Arrival,
    /// What the log was found to hold under its number.
    pub(super) searched: Searched,
    /// Its session has heard that it is held.
    pub(super) told_held: bool,
}

impl ScanQueue {
    /// A queue for `events_max` arrivals, and its other end.
    pub fn new(events_max: usize) -> (Self, WorkQueue) {
        let (queue, work) = mpsc::channel(events_max);
        (Self { queue }, WorkQueue(work))
    }

    /// Hands in an arrival without waiting.
    ///
    /// # Errors
    /// Gives the arrival back when the queue is full or the spine has stopped: nothing was promised.
    pub fn submit(&self, arrival: Arrival) -> Result<(), Box<Arrival>> {
        match self.queue.try_reserve() {
            Ok(permit) => {
                permit.send(Work::Scan(QueuedArrival { arrival, searched: Searched::default(), told_held: false }))
            }
            Err(_) => return Err(Box::new(arrival)),
        }
        Ok(())
    }

    /// Keeps how far the upstream has come; resolves when that is on disk.
    ///
    /// # Errors
    /// When it could not be kept: say it again.
    pub async fn keep(&self, cursor: UpstreamCursor) -> Result<(), CommitError> {
        let (kept, on_disk) = oneshot::channel();
        self.queue.send(Work::Beside(Beside::Upstream(cursor, kept))).await.map_err(|_| CommitError::Stopped)?;
        on_disk.await.map_err(|_| CommitError::Failed)
    }

    /// Forgets somebody whose keys were destroyed; resolves when a checkpoint that tells nothing of them is on disk, and no
    /// earlier one can be read.
    ///
    /// # Errors
    /// When that could not be done: say it again.
    pub async fn forget(&self, erased: Erased) -> Result<(), CommitError> {
        let (done, forgotten) = oneshot::channel();
        self.queue.send(Work::Beside(Beside::Forget(erased, done))).await.map_err(|_| CommitError::Stopped)?;
        forgotten.await.map_err(|_| CommitError::Failed)
    }

    /// Keeps a cursor of another follower beside the events, by its name; resolves when that is on disk.
    ///
    /// # Errors
    /// When it could not be kept: say it again.
    pub async fn keep_cursor(&self, name: String, value: u64) -> Result<(), CommitError> {
        let (kept, on_disk) = oneshot::channel();
        self.queue.send(Work::Beside(Beside::Cursor(name, value, kept))).await.map_err(|_| CommitError::Stopped)?;
        on_disk.await.map_err(|_| CommitError::Failed)
    }

    /// Keeps that an operator knows of the scans that a door is missing by now; resolves when that is on disk, with their number.
    ///
    /// # Errors
    /// When it could not be kept: say it again.
    pub async fn acknowledge(&self, door: DoorId) -> Result<u64, CommitError> {
        let (kept, on_disk) = oneshot::channel();
        self.queue.send(Work::Beside(Beside::Acknowledge(door, kept))).await.map_err(|_| CommitError::Stopped)?;
        on_disk.await.map_err(|_| CommitError::Failed)
    }

    /// A view that does not keep the spine at work.
    pub fn downgrade(&self) -> WeakScanQueue {
        WeakScanQueue(self.queue.downgrade())
    }
}

impl WeakScanQueue {
    /// The queue, while the spine is at work.
    pub fn upgrade(&self) -> Option<ScanQueue> {
        self.0.upgrade().map(|queue| ScanQueue { queue })
    }

    /// Arrivals that wait.
    pub fn waiting(&self) -> usize {
        self.0.upgrade().map_or(0, |queue| queue.max_capacity().saturating_sub(queue.capacity()))
    }
}

/// For tests of what hands arrivals in.
#[cfg(test)]
impl WorkQueue {
    /// Takes the next arrival.
    pub async fn next_arrival(&mut self) -> Option<Arrival> {
        loop {
            match self.0.recv().await? {
                Work::Scan(waiting) => return Some(waiting.arrival),
                Work::Beside(_) => {}
            }
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets go of everything that waits.
    pub fn clear(&mut self) {
        while self.0.try_recv().is_ok() {}
    }
}

impl fmt::Debug for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Erased").field("credentials", &self.credentials.len()).finish_non_exhaustive()
    }
}

impl QueuedArrival {
    /// Tells the session once that its arrival is held.
    pub(super) fn hold(&mut self) {
        if !std::mem::replace(&mut self.told_held, true) {
            let ReplyTo { ticket, .. } = self.arrival.reply;
            self.arrival.reply.answer(Answer::Held { ticket, reason: "log-unavailable" });
        }
    }

    /// Gives the arrival back to its session.
    pub(super) fn refuse(self, reason: &'static str) {
        self.arrival.reply.clone().answer(Answer::Refused { arrival: Box::new(self.arrival), reason });
    }
}
