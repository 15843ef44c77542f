//! The one thread that decides, keeps and answers.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant as Monotonic};

use arc_swap::ArcSwap;
use bytes::Bytes;
use protocol::{Channel, DoorTopic, Event, SiteId, Subject};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;

use super::recall::{Asked, Recall, kept};
use super::seen::Lookup;
use super::{
    Answer, Arrival, Config, Figures, Metrics, ReplyTo, ScanQueue, State, UPSTREAM, UpstreamNote, Work, WorkQueue,
};
use crate::access::{self, Snapshot};
use crate::clock::Clock;
use crate::log::{Commit, Log, LogError, LogReader};
use crate::monitors::Monitors;

/// Time between two looks at the queue while the log does not work.
const HELD_POLL: Duration = Duration::from_millis(20);

/// What the spine is made of.
#[derive(Debug)]
pub struct SpineParts {
    /// The site whose topics decisions go to.
    pub site: SiteId,
    /// The writer's end of the log.
    pub log: Log,
    /// A reader's end of the same log.
    pub reader: LogReader,
    /// What the reader's end says doors have sent.
    pub state: State,
    /// People, doors and policy in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Who else hears decisions.
    pub monitors: Monitors,
    /// The gateway's clock.
    pub clock: Clock,
    /// For the status page.
    pub figures: Figures,
    /// The spine's metrics.
    pub metrics: Metrics,
    /// Most events of one commit.
    pub batch_events_max: usize,
    /// Its settings.
    pub config: Config,
}

/// The spine. See the [module](super) for its place.
#[derive(Debug)]
pub struct Spine {
    parts: SpineParts,
    recall: Recall,
    /// Arrivals whose commit failed, the oldest first; decided again when the log works.
    held: Vec<Arrival>,
    /// When the log is next tried, while it does not work.
    reopen_at: Option<Monotonic>,
    events_since_checkpoint: u64,
}

/// What one commit keeps, and who waits for it.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<Event>,
    /// Who brought each event, in the same order.
    arrivals: Vec<Arrival>,
    /// Duplicates of events of this same batch: the event's place in it, and who waits.
    repeated: Vec<(usize, Arrival)>,
    note: Option<UpstreamNote>,
    noted: Vec<oneshot::Sender<()>>,
}

impl Spine {
    /// Prepares the spine; `queue` is where looked-up scans come back.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(parts: SpineParts, queue: ScanQueue) -> std::io::Result<Self> {
        let recall = Recall::start(parts.reader.clone(), parts.config.recall_scans_max, queue, parts.metrics.clone())?;
        Ok(Self { parts, recall, held: Vec::new(), reopen_at: None, events_since_checkpoint: 0 })
    }

    /// Works until every [`ScanQueue`] is gone, then keeps a last checkpoint.
    pub fn run(mut self, queue: WorkQueue) {
        let WorkQueue(mut queue) = queue;
        let batch_max = self.parts.batch_events_max;
        let mut inbox = Vec::with_capacity(batch_max);
        loop {
            if self.reopen_at.is_some() {
                if !self.wait_for_the_log(&mut queue) {
                    return;
                }
                continue;
            }
            if self.held.is_empty() {
                if queue.blocking_recv_many(&mut inbox, batch_max) == 0 {
                    break;
                }
            } else {
                let chunk = self.held.len().min(batch_max);
                inbox.extend(self.held.drain(..chunk).map(Work::Scan));
                self.parts.metrics.held.set(self.held.len() as i64);
            }
            self.keep(&mut inbox);
        }
        let checkpoint = self.parts.state.to_checkpoint();
        if let Err(error) = self.parts.log.commit(&Commit { checkpoint: Some(&checkpoint), ..Commit::default() }) {
            tracing::warn!(%error, "the last checkpoint was not kept; the next start reads more of the log");
        }
    }

    /// One turn: decides what came in, commits it, answers.
    fn keep(&mut self, inbox: &mut Vec<Work>) {
        let batch = self.decide(inbox);
        if batch.events.is_empty() && batch.note.is_none() {
            return;
        }
        match self.commit(&batch) {
            Ok(()) => self.answer(batch),
            Err(error) => self.hold(batch, &error),
        }
    }

    /// Sorts out what was sent before and decides the rest.
    fn decide(&mut self, inbox: &mut Vec<Work>) -> Batch {
        let snapshot = self.parts.snapshot.load();
        let first_number = self.parts.log.next_number();
        let mut batch = Batch::default();
        for work in inbox.drain(..) {
            let (arrival, looked_up) = match work {
                Work::Scan(arrival) => (arrival, false),
                Work::NotInLog(arrival) => (arrival, true),
                Work::Upstream(note, noted) => {
                    batch.take_note(note, noted);
                    continue;
                }
            };
            let lookup = arrival.scan_id().map_or(Lookup::Fresh, |id| self.parts.state.lookup(&arrival.door, id));
            match lookup {
                Lookup::Seen(number) => {
                    self.parts.metrics.duplicates.inc();
                    let in_batch = number.and_then(|number| number.checked_sub(first_number));
                    match in_batch.and_then(|index| usize::try_from(index).ok()) {
                        Some(index) => batch.repeated.push((index, arrival)),
                        None => self.recall.ask(Asked::Known(arrival, number)),
                    }
                }
                Lookup::Unknown if !looked_up => self.recall.ask(Asked::Unknown(arrival)),
                Lookup::Unknown | Lookup::Fresh => {
                    let number = first_number + batch.events.len() as u64;
                    let event = decided(&snapshot, &arrival, number, &self.parts.clock);
                    self.parts.state.remember(&event);
                    batch.events.push(event);
                    batch.arrivals.push(arrival);
                }
            }
        }
        batch
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), LogError> {
        self.events_since_checkpoint += batch.events.len() as u64;
        let checkpoint = (self.events_since_checkpoint >= self.parts.config.checkpoint_events)
            .then(|| self.parts.state.to_checkpoint());
        let cursor = batch.note.as_ref().map(|note| (UPSTREAM, note.acked_through));
        self.parts.log.commit(&Commit {
            events: &batch.events,
            cursors: cursor.as_slice(),
            quarantined: batch.note.as_ref().and_then(|note| note.quarantined.as_ref()),
            checkpoint: checkpoint.as_deref(),
        })?;
        if checkpoint.is_some() {
            self.events_since_checkpoint = 0;
        }
        Ok(())
    }

    /// The commit is on disk: only from here on may anybody hear of it.
    fn answer(&mut self, batch: Batch) {
        for (event, arrival) in batch.events.iter().zip(&batch.arrivals) {
            let decision = answer(&arrival.reply, event);
            self.parts.metrics.count(event, arrival.arrived.elapsed());
            if let Some(decision) = decision {
                let topic = DoorTopic::new(self.parts.site.clone(), event.door.clone(), Channel::Decision);
                self.parts.monitors.publish(&topic.to_string(), decision);
            }
        }
        for (index, arrival) in &batch.repeated {
            if let Some(event) = batch.events.get(*index) {
                answer(&arrival.reply, event);
            }
        }
        for noted in batch.noted {
            noted.send(()).ok();
        }
        let latencies = batch.arrivals.iter().map(|arrival| arrival.arrived.elapsed());
        self.parts.figures.kept(batch.events.iter().zip(latencies), &self.parts.state, self.parts.clock.now());
    }

    /// The commit failed, or nobody knows: the doors are told, the scans are held, the log must be opened again.
    fn hold(&mut self, batch: Batch, error: &LogError) {
        tracing::error!(%error, scans = batch.arrivals.len(), "a commit failed; scans are held and not acknowledged");
        let repeated = batch.repeated.into_iter().map(|(_, arrival)| arrival);
        let mut failed: Vec<Arrival> = batch.arrivals.into_iter().chain(repeated).collect();
        for arrival in &failed {
            arrival.reply.hold();
        }
        // What was held before arrived later than what has just failed.
        failed.append(&mut self.held);
        self.held = failed;
        self.parts.metrics.held.set(self.held.len() as i64);
        self.reopen_at = Some(Monotonic::now());
    }

    /// Holds what arrives until the log can be opened again. Says whether there is still anybody to work for.
    fn wait_for_the_log(&mut self, queue: &mut tokio::sync::mpsc::Receiver<Work>) -> bool {
        if self.reopen_at.is_some_and(|at| at <= Monotonic::now()) {
            match self.recover() {
                Ok(()) => {
                    tracing::info!(held = self.held.len(), "the log works again");
                    self.reopen_at = None;
                    return true;
                }
                Err(error) => {
                    tracing::error!(%error, "the log cannot be opened again yet");
                    let interval = Duration::from_millis(self.parts.config.reopen_interval_ms);
                    self.reopen_at = Some(Monotonic::now() + interval);
                }
            }
        }
        while self.held.len() < self.parts.config.queue_events_max {
            match queue.try_recv() {
                Ok(Work::Scan(arrival) | Work::NotInLog(arrival)) => {
                    arrival.reply.hold();
                    self.held.push(arrival);
                }
                // Its sender hears that it was not kept, and says it again.
                Ok(Work::Upstream(..)) => {}
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    tracing::error!(
                        scans = self.held.len(),
                        "stopped while the log does not work; the held scans were not acknowledged"
                    );
                    return false;
                }
            }
        }
        self.parts.metrics.held.set(self.held.len() as i64);
        thread::sleep(HELD_POLL);
        true
    }

    /// Opens the log again and learns from it what the failed commit has left there. A log that opens may still not
    /// take a commit (a full disk): that is tried with an empty one before anybody is told that it works.
    fn recover(&mut self) -> Result<(), LogError> {
        self.parts.log.reopen()?;
        let state = State::rebuild(&self.parts.reader)?;
        let checkpoint = state.to_checkpoint();
        self.parts.log.commit(&Commit { checkpoint: Some(&checkpoint), ..Commit::default() })?;
        self.parts.figures.restart(&state);
        self.parts.state = state;
        self.events_since_checkpoint = 0;
        Ok(())
    }
}

impl Batch {
    fn take_note(&mut self, note: UpstreamNote, noted: oneshot::Sender<()>) {
        // One quarantine entry fits into a commit: a second one of the same turn is refused and said again.
        match &mut self.note {
            Some(first) if first.quarantined.is_some() && note.quarantined.is_some() => {}
            Some(first) => {
                first.acked_through = first.acked_through.max(note.acked_through);
                first.quarantined = first.quarantined.take().or(note.quarantined);
                self.noted.push(noted);
            }
            None => {
                self.note = Some(note);
                self.noted.push(noted);
            }
        }
    }
}

impl ReplyTo {
    fn hold(&self) {
        self.answer(Answer::Held { ticket: self.ticket, reason: "log-unavailable" });
    }
}

/// Decides one arrival.
fn decided(snapshot: &Snapshot, arrival: &Arrival, number: u64, clock: &Clock) -> Event {
    let decided_at = clock.now();
    let (subject, verdict) = match &arrival.payload {
        Ok(scan) => {
            let shown = access::Shown {
                door: &arrival.door,
                received_at: arrival.received_at,
                clock_offset_ms: arrival.clock_offset_ms,
                scan,
            };
            let (record, verdict) = access::decide(snapshot, &shown, decided_at);
            (Subject::Scan(record), verdict)
        }
        Err(malformed) => (Subject::Malformed(malformed.clone()), access::refuse_malformed(snapshot, &arrival.door)),
    };
    Event { number, door: arrival.door.clone(), received_at: arrival.received_at, decided_at, subject, verdict }
}

/// Answers one arrival with the event that keeps it; gives back the decision's payload.
fn answer(reply: &ReplyTo, event: &Event) -> Option<Bytes> {
    let (answer, decision) = kept(reply, event);
    reply.answer(answer);
    decision
}
