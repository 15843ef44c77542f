//! The spine: every scan is decided, kept and answered here.
//!
//! ```text
//! sessions ──submit──▶ ScanQueue ──▶ Spine (one thread): seen before? ─▶ decide ─▶ log.commit ─▶ answer, tell monitors
//!                                       │ yes                               │ failed
//!                                       ▼                                   ▼
//!                                    Recall (one thread):                hold the batch, say `unavailable`, reopen
//!                                    read the event, answer              the log: is it there? answer, else decide again
//! ```
//!
//! A helper's word goes the same way as a scan: judged from the spine's state, kept, then answered. So a door hears of it only
//! when it is on disk.
//!
//! One thread decides and commits, in turns: while a commit is under way the queue fills, and what it holds then is the
//! next batch. So batches grow with the load by themselves, and nothing is decided twice at the same time.

mod assists;
mod figures;
mod recall;
mod seen;
mod spine;
mod state;

#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use protocol::{Assist, CredentialHash, Decision, DoorId, Instant, MalformedScan, Scan, ScanId, Via};
use tokio::sync::{mpsc, oneshot};

pub use figures::{DoorFigures, Figures, Metrics};
pub use seen::{Lookup, Seen};
pub use spine::{Spine, SpineParts};
pub use state::State;

use store::log::{CommitError, UpstreamCursor};

base::settings! {
    /// How scans are judged and kept.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// Scans of all doors that may wait to be decided and kept; further ones are answered `unavailable`.
        pub queue_events_max: usize = 16_384 => "scans", in 1..=1_000_000;
        /// A scan that is decided later than this after it was made is recorded, but never opens the door.
        pub late_after_ms: u64 = 30_000 => "milliseconds", in 1_000..=86_400_000;
        /// A reader's clock may be off by this much before its scans are marked as uncertain.
        pub clock_tolerance_ms: u64 = 5_000 => "milliseconds", in 100..=3_600_000;
        /// Events between two checkpoints of what doors have sent; a restart reads at most so many again.
        pub checkpoint_events: u64 = 50_000 => "events", in 1..=10_000_000;
        /// Time between two tries to open the log again after a failed commit.
        pub reopen_interval_ms: u64 = 500 => "milliseconds", in 10..=60_000;
        /// Resent scans that may wait to be looked up in the log; further ones are answered `unavailable`.
        pub recall_scans_max: usize = 256 => "scans", in 1..=100_000;
        /// Time after a decision `assist` in which a helper may still confirm or refuse it.
        pub assist_within_ms: u64 = 120_000 => "milliseconds", in 1_000..=3_600_000;
        /// Assist requests of one helper's device or token in a minute; further ones are refused and not kept.
        pub assists_per_minute_max: u32 = 30 => "requests per minute", in 1..=6_000;
    }
}

/// One scan as a door's session hands it in, or a helper's word.
#[derive(Debug)]
pub struct Arrival {
    /// The door, as its certificate says; for a helper's word, where the helper stands.
    pub door: DoorId,
    /// The gateway's clock when the scan arrived.
    pub received_at: Instant,
    /// The same moment, to measure from.
    pub arrived: std::time::Instant,
    /// The reader's clock minus the gateway's in milliseconds, as the reader's last status of this connection said.
    pub clock_offset_ms: Option<i64>,
    /// What arrived.
    pub payload: Payload,
    /// Where the answer goes.
    pub reply: ReplyTo,
}

/// What arrived.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A scan.
    Scan(Scan),
    /// What should be a scan and is none.
    Malformed(MalformedScan),
    /// A helper's word. It is only decided while somebody waits for its answer.
    Word(Word),
}

/// A helper's word, and who has brought it.
#[derive(Clone, Debug)]
pub struct Word {
    /// What the helper says.
    pub assist: Assist,
    /// The name of the certificate or token that it came with.
    pub device: DoorId,
    /// The way it came.
    pub via: Via,
}

/// Where the answer to an arrival goes.
#[derive(Clone, Debug)]
pub struct ReplyTo {
    /// The session's inbox. It must have room for two answers to every arrival in flight: that it is held, and the
    /// one that ends the spine's part in it. No arrival gets more than these between two times of being handed in.
    pub answers: mpsc::Sender<Answer>,
    /// Tells the session which of its arrivals is answered.
    pub ticket: u64,
}

/// What became of an arrival.
#[derive(Debug)]
pub enum Answer {
    /// It is on disk: publish the decision, acknowledge the message.
    Kept {
        /// See [`ReplyTo::ticket`].
        ticket: u64,
        /// The decision as an MQTT payload; absent for a malformed scan whose id was not readable.
        decision: Option<Bytes>,
        /// Whether what is kept is a malformed scan.
        malformed: bool,
    },
    /// A helper's word is on disk: tell the door where that is asked for, then acknowledge the message.
    Said {
        /// See [`ReplyTo::ticket`].
        ticket: u64,
        /// Where the helper stands.
        door: DoorId,
        /// The answer.
        decision: Box<Decision>,
        /// Whether the door is to hear it: somebody passes or does not, and may still stand there.
        for_door: bool,
    },
    /// It is not on disk yet: tell the door so, acknowledge nothing. It is held, and a final answer follows when the disk is back.
    Held {
        /// See [`ReplyTo::ticket`].
        ticket: u64,
        /// A stable word for the decision's reason.
        reason: &'static str,
    },
    /// There was no room for it: tell the door so, acknowledge nothing, and hand it in again a little later.
    Refused {
        /// The arrival.
        arrival: Box<Arrival>,
        /// A stable word for the decision's reason.
        reason: &'static str,
    },
}

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
    queue: mpsc::Sender<Work>,
}

/// A view of the queue that does not keep the spine at work.
#[derive(Clone, Debug)]
pub struct WeakScanQueue(mpsc::WeakSender<Work>);

/// The spine's end of the queue.
#[derive(Debug)]
pub struct WorkQueue(mpsc::Receiver<Work>);

#[derive(Debug)]
enum Work {
    Scan(Waiting),
    Upstream(UpstreamCursor, oneshot::Sender<()>),
    Forget(Erased, oneshot::Sender<()>),
    Cursor(String, u64, oneshot::Sender<()>),
}

/// An arrival that has no final answer yet.
#[derive(Debug)]
struct Waiting {
    arrival: Arrival,
    /// The log was searched for it through this event, in vain.
    not_in_log_through: u64,
    /// Its session has heard that it is held.
    told_held: bool,
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
            Ok(place) => place.send(Work::Scan(Waiting { arrival, not_in_log_through: 0, told_held: false })),
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
        self.queue.send(Work::Upstream(cursor, kept)).await.map_err(|_| CommitError::Stopped)?;
        on_disk.await.map_err(|_| CommitError::Failed)
    }

    /// Forgets somebody whose keys were destroyed; resolves when a checkpoint that tells nothing of them is on disk, and no
    /// earlier one can be read.
    ///
    /// # Errors
    /// When that could not be done: say it again.
    pub async fn forget(&self, erased: Erased) -> Result<(), CommitError> {
        let (done, forgotten) = oneshot::channel();
        self.queue.send(Work::Forget(erased, done)).await.map_err(|_| CommitError::Stopped)?;
        forgotten.await.map_err(|_| CommitError::Failed)
    }

    /// Keeps a cursor of another follower beside the events, by its name; resolves when that is on disk.
    ///
    /// # Errors
    /// When it could not be kept: say it again.
    pub async fn keep_cursor(&self, name: String, value: u64) -> Result<(), CommitError> {
        let (kept, on_disk) = oneshot::channel();
        self.queue.send(Work::Cursor(name, value, kept)).await.map_err(|_| CommitError::Stopped)?;
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
                Work::Upstream(..) | Work::Forget(..) | Work::Cursor(..) => {}
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

impl ReplyTo {
    /// Answers. A session that is gone hears nothing: its reader sends the scan again.
    fn answer(&self, answer: Answer) {
        drop(self.answers.try_send(answer));
    }
}

impl Waiting {
    /// Tells the session once that its arrival is held.
    fn hold(&mut self) {
        if !std::mem::replace(&mut self.told_held, true) {
            let ReplyTo { ticket, .. } = self.arrival.reply;
            self.arrival.reply.answer(Answer::Held { ticket, reason: "log-unavailable" });
        }
    }

    /// Gives the arrival back to its session.
    fn refuse(self, reason: &'static str) {
        self.arrival.reply.clone().answer(Answer::Refused { arrival: Box::new(self.arrival), reason });
    }
}

impl Arrival {
    /// A helper's word at `door`, arrived now.
    pub fn word(door: DoorId, word: Word, received_at: Instant, reply: ReplyTo) -> Self {
        let (arrived, payload) = (std::time::Instant::now(), Payload::Word(word));
        Self { door, received_at, arrived, clock_offset_ms: None, payload, reply }
    }

    /// Whether it is a helper's word for whose answer nobody waits.
    fn is_abandoned(&self) -> bool {
        matches!(self.payload, Payload::Word(_)) && self.reply.answers.is_closed()
    }

    /// Which scan of its door this is, where that is readable.
    pub fn scan_id(&self) -> Option<ScanId> {
        match &self.payload {
            Payload::Scan(scan) => Some(scan.id()),
            Payload::Malformed(malformed) => malformed.id,
            Payload::Word(_) => None,
        }
    }
}
