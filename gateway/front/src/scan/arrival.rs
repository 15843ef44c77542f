//! What is handed to the spine, and what becomes of it.

use bytes::Bytes;
use protocol::{Assist, Decision, DoorId, Instant, MalformedScan, Scan, ScanId, Via};
use tokio::sync::mpsc;

/// One scan as a door's session hands it in, or an assist request.
#[derive(Debug)]
pub struct Arrival {
    /// The door, as its certificate says; for an assist request, where the helper stands.
    pub door: DoorId,
    /// The gateway's clock when the scan arrived.
    pub received_at: Instant,
    /// The same moment, to measure from.
    pub arrived: std::time::Instant,
    /// The reader's clock minus the gateway's in milliseconds, as the reader's last status of this connection said.
    pub clock_offset_ms: Option<i64>,
    /// Whether the reader may have held it back: it has just connected, or sends what it has stored.
    pub maybe_buffered: bool,
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
    Malformed {
        /// What is kept of it.
        scan: Box<MalformedScan>,
        /// BLAKE3 of the payload.
        digest: [u8; 32],
    },
    /// An assist request. It is only decided while somebody waits for its answer.
    Assist(AssistRequest),
}

/// An assist request, and who has brought it.
#[derive(Clone, Debug)]
pub struct AssistRequest {
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
    Committed {
        /// See [`ReplyTo::ticket`].
        ticket: u64,
        /// The decision as an MQTT payload; absent for a malformed scan whose id was not readable.
        decision: Option<Bytes>,
        /// Whether what is kept is a malformed scan.
        malformed: bool,
        /// Until when the decision may open the door; absent where it does not.
        opens_until: Option<std::time::Instant>,
    },
    /// An assist request is on disk: tell the door where that is asked for, then acknowledge the message.
    Assisted {
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

impl ReplyTo {
    /// Answers. A session that is gone hears nothing: its reader sends the scan again.
    pub(super) fn answer(&self, answer: Answer) {
        drop(self.answers.try_send(answer));
    }
}

impl Arrival {
    /// An assist request at `door`, arrived now.
    pub fn assist(door: DoorId, request: AssistRequest, received_at: Instant, reply: ReplyTo) -> Self {
        let (arrived, payload) = (std::time::Instant::now(), Payload::Assist(request));
        Self { door, received_at, arrived, clock_offset_ms: None, maybe_buffered: false, payload, reply }
    }

    /// Whether it is an assist request for whose answer nobody waits.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(self.payload, Payload::Assist(_)) && self.reply.answers.is_closed()
    }

    /// Which scan of its door this is, where that is readable.
    pub fn scan_id(&self) -> Option<ScanId> {
        match &self.payload {
            Payload::Scan(scan) => Some(scan.id()),
            Payload::Malformed { scan, .. } => scan.id,
            Payload::Assist(_) => None,
        }
    }
}
