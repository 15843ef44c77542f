//! The spine: every scan is decided, kept and answered here, on one thread.

use bytes::Bytes;
use protocol::{DoorId, Instant, MalformedScan, Scan};
use tokio::sync::mpsc;

/// One scan as a door's session hands it in.
#[derive(Debug)]
pub struct Arrival {
    /// The door, as its certificate says.
    pub door: DoorId,
    /// The gateway's clock when the scan arrived.
    pub received_at: Instant,
    /// The reader's clock minus the gateway's in milliseconds, as the reader's last status of this connection said.
    pub clock_offset_ms: Option<i64>,
    /// What arrived.
    pub payload: Result<Scan, MalformedScan>,
    /// Where the answer goes.
    pub reply: ReplyTo,
}

/// Where the answer to an arrival goes.
#[derive(Clone, Debug)]
pub struct ReplyTo {
    /// The session's inbox. It must have room for two answers to every arrival in flight: one that says
    /// `unavailable`, and later, when the disk is back, the final one.
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
    /// It is not on disk (yet): tell the door so, acknowledge nothing. A final answer may still follow.
    Unavailable {
        /// See [`ReplyTo::ticket`].
        ticket: u64,
        /// A stable word for the decision's reason.
        reason: &'static str,
    },
}

/// Hands arrivals to the spine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ScanQueue {
    queue: mpsc::Sender<Arrival>,
}

impl ScanQueue {
    /// A queue for `events_max` arrivals, and its other end.
    pub fn new(events_max: usize) -> (Self, mpsc::Receiver<Arrival>) {
        let (queue, arrivals) = mpsc::channel(events_max);
        (Self { queue }, arrivals)
    }

    /// Hands in an arrival without waiting.
    ///
    /// # Errors
    /// Gives the arrival back when the queue is full or the spine has stopped: nothing was promised.
    pub fn submit(&self, arrival: Arrival) -> Result<(), Box<Arrival>> {
        self.queue.try_send(arrival).map_err(|refused| Box::new(refused.into_inner()))
    }
}
