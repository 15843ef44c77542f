//! PendingScans of one connection that wait for their answer.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::ScanId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::packet::Respond;
use crate::scan::{Answer, Arrival, ReplyTo, ScanQueue};

/// Pause before a scan that found the queue full is handed in again.
const RETRY: Duration = Duration::from_millis(100);

/// PendingScans of one connection that wait for their answer, oldest first.
pub(super) struct PendingScans {
    waiting: VecDeque<PendingScan>,
    /// How many of them found the queue full.
    not_queued: usize,
    retry_at: Option<Instant>,
    next_ticket: u64,
    inbox: mpsc::Sender<Answer>,
    /// What the spine answers.
    pub(super) answers: mpsc::Receiver<Answer>,
}

/// A scan that waits for its answer.
pub(super) struct PendingScan {
    ticket: u64,
    /// 0 at QoS 0.
    pub(super) pkid: u16,
    pub(super) qos: u8,
    /// Where that much was readable.
    pub(super) id: Option<ScanId>,
    pub(super) respond: Option<Box<Respond>>,
    arrived: Instant,
    told_unavailable: bool,
    /// When the queue was full: to be handed in again.
    arrival: Option<Box<Arrival>>,
}

impl PendingScan {
    pub(super) fn new(pkid: u16, qos: u8, id: Option<ScanId>, respond: Option<Box<Respond>>) -> Self {
        let arrived = Instant::now();
        Self { ticket: 0, pkid, qos, id, respond, arrived, told_unavailable: false, arrival: None }
    }
}

impl PendingScans {
    /// Room for `waiting_max` scans, and two answers to each: that it must wait, and later the final one.
    pub(super) fn new(waiting_max: usize) -> Self {
        let (inbox, answers) = mpsc::channel(2 * waiting_max + 2);
        Self { waiting: VecDeque::new(), not_queued: 0, retry_at: None, next_ticket: 0, inbox, answers }
    }

    /// Where the answer to the next scan goes.
    pub(super) fn reply_to(&mut self) -> ReplyTo {
        self.next_ticket += 1;
        ReplyTo { answers: self.inbox.clone(), ticket: self.next_ticket }
    }

    /// Hands in a scan; whether it found room. One that did not is handed in again by [`retry`](Self::retry), before any later
    /// one, so that scans stay in order.
    pub(super) fn submit(&mut self, queue: &ScanQueue, mut waiting: PendingScan, arrival: Arrival) -> bool {
        waiting.ticket = arrival.reply.ticket;
        let refused = if self.not_queued > 0 { Some(Box::new(arrival)) } else { queue.submit(arrival).err() };
        let queued = refused.is_none();
        if !queued {
            self.not_queued += 1;
            self.retry_at = self.retry_at.or_else(|| Some(Instant::now() + RETRY));
            waiting.arrival = refused;
        }
        self.waiting.push_back(waiting);
        queued
    }

    /// Takes back a scan for which there was no room; it is handed in again like one that found the queue full.
    pub(super) fn take_back(&mut self, arrival: Box<Arrival>) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.ticket == arrival.reply.ticket) {
            waiting.arrival = Some(arrival);
            self.not_queued += 1;
            self.retry_at = self.retry_at.or_else(|| Some(Instant::now() + RETRY));
        }
    }

    /// Hands in what found the queue full.
    pub(super) fn retry(&mut self, queue: &ScanQueue) {
        self.retry_at = None;
        for waiting in &mut self.waiting {
            let Some(arrival) = waiting.arrival.take() else { continue };
            if let Err(refused) = queue.submit(*arrival) {
                waiting.arrival = Some(refused);
                self.retry_at = Some(Instant::now() + RETRY);
                return;
            }
            self.not_queued -= 1;
        }
    }

    /// Takes out the scan that is answered for good.
    pub(super) fn answered(&mut self, ticket: u64) -> Option<PendingScan> {
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        self.waiting.remove(at)
    }

    /// The scan that is to be told `unavailable`, unless it has been.
    pub(super) fn unavailable(&mut self, ticket: u64) -> Option<&PendingScan> {
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.ticket == ticket)?;
        (!std::mem::replace(&mut waiting.told_unavailable, true)).then_some(waiting)
    }

    /// The ticket of the next scan that has waited for `timeout` without a word.
    pub(super) fn overdue(&self, timeout: Duration) -> Option<u64> {
        let oldest = self.waiting.iter().find(|waiting| !waiting.told_unavailable)?;
        (oldest.arrived + timeout <= Instant::now()).then_some(oldest.ticket)
    }

    /// When [`overdue`](Self::overdue) or [`retry`](Self::retry) have something to do next.
    pub(super) fn due(&self, timeout: Duration) -> Option<Instant> {
        let oldest = self.waiting.iter().find(|waiting| !waiting.told_unavailable);
        oldest.map(|oldest| oldest.arrived + timeout).into_iter().chain(self.retry_at).min()
    }

    /// Whether to [`retry`](Self::retry) now.
    pub(super) fn retry_is_due(&self) -> bool {
        self.retry_at.is_some_and(|at| at <= Instant::now())
    }

    /// Whether a scan with this packet id waits.
    pub(super) fn has(&self, pkid: u16) -> bool {
        pkid != 0 && self.waiting.iter().any(|waiting| waiting.pkid == pkid)
    }

    /// PendingScans that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// PendingScans that wait and have a packet id.
    pub(super) fn numbered(&self) -> usize {
        self.waiting.iter().filter(|waiting| waiting.pkid != 0).count()
    }
}
