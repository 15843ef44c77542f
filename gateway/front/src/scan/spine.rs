//! The one thread that decides, keeps and answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant as Monotonic};

use arc_swap::ArcSwap;
use bytes::Bytes;
use protocol::{Channel, DoorTopic, Event, SiteId};
use tokio::sync::{mpsc, oneshot};

use super::arrival::{Payload, ReplyTo};
use super::batch::{Acknowledged, Batch, Grounds, decided};
use super::complaints::Complaints;
use super::config::Config;
use super::fingerprint::Fingerprint;
use super::metrics::Metrics;
use super::queue::{Beside, Erased, QueuedArrival, ScanQueue, Work, WorkQueue};
use super::recall::{AnswerLimits, Hint, Recall, RecallRequest, committed_answer, search_since};
use super::seen::Lookup;
use super::state::{ACKNOWLEDGED, State};
use super::status::SpineStatus;
use crate::monitors::Monitors;
use access::Snapshot;
use base::clock::Clock;
use store::log::{Commit, Log, LogError, LogReader};

/// Time between two looks at the queue while the log does not work.
const HELD_POLL: Duration = Duration::from_millis(20);

/// What the spine is made of.
#[derive(Debug)]
pub struct SpineContext {
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
    pub status: SpineStatus,
    /// The spine's metrics.
    pub metrics: Metrics,
    /// How long somebody is believed to be where they were last seen, in milliseconds.
    pub presence_ms: i64,
    /// Most events of one commit.
    pub batch_events_max: usize,
    /// Its settings.
    pub config: Config,
}

/// The spine. See the [module](super) for its place.
#[derive(Debug)]
pub struct Spine {
    context: SpineContext,
    recall: Recall,
    /// The batch whose commit failed: the log, opened again, tells whether it is there.
    unsure: Option<Batch>,
    /// Arrivals that wait for the log, the oldest first.
    held: VecDeque<QueuedArrival>,
    /// When the log is next tried, while it does not work.
    reopen_at: Option<Monotonic>,
    /// The log was opened again and has kept nothing since.
    on_probation: bool,
    complaints: Complaints,
}

impl Spine {
    /// Prepares the spine; `queue` is where looked-up scans come back.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(context: SpineContext, queue: ScanQueue) -> std::io::Result<Self> {
        let (reader, metrics, clock) = (context.reader.clone(), context.metrics.clone(), context.clock.clone());
        let recall = Recall::start(reader, &context.config, queue, metrics, clock)?;
        Ok(Self {
            context,
            recall,
            unsure: None,
            held: VecDeque::new(),
            reopen_at: None,
            on_probation: false,
            complaints: Complaints::default(),
        })
    }

    /// Works until every [`ScanQueue`] is gone, then keeps a last checkpoint.
    pub fn run(mut self, queue: WorkQueue) {
        let WorkQueue(mut queue) = queue;
        let batch_max = self.context.batch_events_max;
        let mut inbox = Vec::with_capacity(batch_max);
        loop {
            if let Some(reopen_at) = self.reopen_at {
                if reopen_at <= Monotonic::now() {
                    self.try_the_log();
                } else if queue.is_closed() {
                    let scans = self.held_len() + queue.len();
                    tracing::error!(
                        scans,
                        "stopped while the log does not work; scans that wait were not acknowledged"
                    );
                    return;
                } else {
                    self.hold_arrivals(&mut queue);
                    thread::sleep(HELD_POLL);
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
            }
            self.keep(&mut inbox);
            self.context.metrics.held.set(self.held_len() as i64);
        }
        if let Err(error) = self.keep_checkpoint() {
            tracing::warn!(%error, "the last checkpoint was not kept; the next start reads more of the log");
        }
    }

    /// One turn: decides what came in, commits it, answers.
    fn keep(&mut self, inbox: &mut Vec<Work>) {
        let mut batch = self.decide(inbox);
        let erased = std::mem::take(&mut batch.erased);
        if batch.is_empty() {
            self.answer(batch);
        } else {
            match self.commit(&batch) {
                Ok(()) => {
                    self.on_probation = false;
                    self.answer(batch);
                }
                // Whoever wants somebody forgotten hears that it was not done, and says it again.
                Err(error) => return self.hold(batch, &error),
            }
        }
        if !erased.is_empty() {
            self.forget(erased);
        }
    }

    /// Forgets people, and sees to it that no checkpoint tells of them.
    fn forget(&mut self, erased: Vec<(Erased, oneshot::Sender<()>)>) {
        erased.iter().for_each(|(erased, _)| self.context.state.forget(erased));
        self.context.status.restart(&self.context.state);
        match self.context.log.invalidate_checkpoints().and_then(|()| self.keep_checkpoint()) {
            Ok(()) => erased.into_iter().for_each(|(_, done)| {
                done.send(()).ok();
            }),
            Err(error) => self.hold(Batch::default(), &error),
        }
    }

    /// Sorts out what was sent before and decides the rest.
    fn decide(&mut self, inbox: &mut Vec<Work>) -> Batch {
        let snapshot = self.context.snapshot.load();
        let first_number = self.context.log.next_number();
        let mut batch = Batch::default();
        for work in inbox.drain(..) {
            let waiting = match work {
                Work::Scan(waiting) => waiting,
                Work::Beside(beside) => {
                    self.keep_beside(beside, first_number, &mut batch);
                    continue;
                }
            };
            let QueuedArrival { arrival, searched, .. } = &waiting;
            // Whoever brought it does not wait any more, and would neither tell the door nor the helper.
            if arrival.is_abandoned() {
                continue;
            }
            let SpineContext { state, config, clock, .. } = &self.context;
            let fingerprint = Fingerprint::of_arrival(&arrival.payload, &snapshot.key);
            let lookup = match (&arrival.payload, arrival.scan_id().zip(fingerprint)) {
                (Payload::Assist(request), _) => state.lookup_assist(&arrival.door, request),
                (_, Some((id, fingerprint))) => state.lookup(&arrival.door, id, &fingerprint, *searched),
                (_, None) => Lookup::Fresh,
            };
            match (lookup, fingerprint) {
                (Lookup::Seen(number), _) => {
                    self.context.metrics.duplicates.inc();
                    let in_batch = number.checked_sub(first_number);
                    match in_batch.and_then(|index| usize::try_from(index).ok()) {
                        Some(index) => batch.repeated.push((index, waiting)),
                        None => batch.to_recall.push(RecallRequest { waiting, hint: Hint::Committed(number) }),
                    }
                }
                (Lookup::Unknown, Some(wanted)) => {
                    let since = search_since(&snapshot.rules, arrival);
                    batch.to_recall.push(RecallRequest { waiting, hint: Hint::Unknown { wanted, since } });
                }
                (lookup, _) => {
                    let number = first_number.saturating_add(batch.events.len() as u64);
                    let grounds =
                        Grounds { snapshot: &snapshot, state, assist_within_ms: config.assist_within_ms, lookup };
                    let event = decided(&grounds, arrival, number, clock.now());
                    self.context.state.remember(&event);
                    batch.events.push(event);
                    batch.waiting.push(waiting);
                }
            }
        }
        batch
    }

    /// Puts what is no scan into the batch.
    fn keep_beside(&mut self, beside: Beside, first_number: u64, batch: &mut Batch) {
        match beside {
            // One fits into a commit. Another of the same turn is let go: its sender hears it and says it again.
            Beside::Upstream(note, noted) => {
                batch.note.get_or_insert((note, noted));
            }
            Beside::Forget(erased, done) => batch.erased.push((erased, done)),
            Beside::Cursor(name, value, noted) => batch.cursors.push((name, value, noted)),
            Beside::Acknowledge(door, noted) => {
                let after = first_number.saturating_add(batch.events.len() as u64).saturating_sub(1);
                let (cursor, missing) = (format!("{ACKNOWLEDGED}{door}"), self.context.state.missing(&door));
                self.context.state.acknowledge(&door);
                batch.acknowledged.push(Acknowledged { cursor, after, missing, noted });
            }
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), LogError> {
        let SpineContext { log, state, config, .. } = &mut self.context;
        let checkpoint = (state.events_since_checkpoint() >= config.checkpoint_events).then(|| state.to_checkpoint());
        let note = batch.note.as_ref().map(|(note, _)| note);
        let cursors = batch.all_cursors();
        log.commit(&Commit {
            events: &batch.events,
            cursors: &cursors,
            quarantined: note.and_then(|note| note.quarantined.as_ref()),
            checkpoint: checkpoint.as_deref(),
        })?;
        if checkpoint.is_some() {
            state.checkpointed();
        }
        Ok(())
    }

    /// The batch is on disk: only from here on may anybody hear of it.
    fn answer(&mut self, batch: Batch) {
        let mut latencies = Vec::with_capacity(batch.events.len());
        for (event, QueuedArrival { arrival, .. }) in batch.events.iter().zip(&batch.waiting) {
            let decision = self.reply(&arrival.reply, event);
            let latency = arrival.arrived.elapsed();
            latencies.push(latency);
            self.context.metrics.count(event, latency);
            if let Some(decision) = decision {
                let topic = DoorTopic::new(self.context.site.clone(), event.door.clone(), Channel::Decision);
                self.context.monitors.publish(&topic, decision);
            }
        }
        for (index, waiting) in &batch.repeated {
            if let Some(event) = batch.events.get(*index) {
                self.reply(&waiting.arrival.reply, event);
            }
        }
        batch.to_recall.into_iter().for_each(|asked| self.recall.ask(asked));
        if let Some((_, noted)) = batch.note {
            noted.send(()).ok();
        }
        for (.., noted) in batch.cursors {
            noted.send(()).ok();
        }
        if !batch.acknowledged.is_empty() {
            // Whoever hears that it is done finds nothing missing any more.
            self.context.status.restart(&self.context.state);
        }
        for Acknowledged { missing, noted, .. } in batch.acknowledged {
            noted.send(missing).ok();
        }
        // What the log did not take at first tells of its failure, which is told by itself.
        let prompt = batch.waiting.iter().zip(&latencies).filter(|(waiting, _)| !waiting.told_held);
        self.context.status.answered(prompt.map(|(_, latency)| *latency), self.context.clock.now());
        let brought = batch.events.iter().zip(&batch.waiting).zip(latencies);
        let events = brought.map(|((event, waiting), latency)| (event, &waiting.arrival, latency));
        self.context.status.committed(events, &self.context.state, self.context.clock.now());
    }

    /// Answers one arrival with the event that keeps it; gives back the decision's payload.
    fn reply(&self, reply: &ReplyTo, event: &Event) -> Option<Bytes> {
        let limits = AnswerLimits::of(&self.context.config);
        let (answer, decision) = committed_answer(reply, event, limits, self.context.clock.now());
        reply.answer(answer);
        decision
    }

    /// The commit failed, or nobody knows: the doors are told, the scans are held, the log must be opened again.
    fn hold(&mut self, mut batch: Batch, error: &LogError) {
        if let Some((error, unsaid)) = self.complaints.of(error, Monotonic::now()) {
            tracing::error!(error, unsaid, scans = batch.len(), "a commit failed; scans are held and not acknowledged");
        }
        batch.hold();
        // Their senders hear that they were not kept, and say it again; it does no harm to keep them twice.
        (batch.note, batch.cursors, batch.acknowledged) = (None, Vec::new(), Vec::new());
        self.unsure = Some(batch);
        // A log that opens and fails again and again is not hurried.
        let pause = if self.on_probation { self.reopen_interval() } else { Duration::ZERO };
        self.reopen_at = Some(Monotonic::now() + pause);
    }

    /// Holds what arrives, up to the limit; the rest stays in the queue, which then refuses.
    fn hold_arrivals(&mut self, queue: &mut mpsc::Receiver<Work>) {
        while self.held_len() < self.context.config.queue_events_max {
            match queue.try_recv() {
                Ok(Work::Scan(mut waiting)) => {
                    waiting.hold();
                    self.held.push_back(waiting);
                }
                // Its sender hears that it was not kept, and says it again.
                Ok(Work::Beside(_)) => {}
                Err(_) => break,
            }
        }
        self.context.metrics.held.set(self.held_len() as i64);
    }

    fn try_the_log(&mut self) {
        match self.recover() {
            Ok(()) => {
                tracing::info!(held = self.held_len(), "the log works again");
                self.reopen_at = None;
                self.on_probation = true;
            }
            Err(error) => {
                if let Some((error, unsaid)) = self.complaints.of(&error, Monotonic::now()) {
                    tracing::error!(error, unsaid, "the log cannot be opened again yet");
                }
                self.reopen_at = Some(Monotonic::now() + self.reopen_interval());
            }
        }
    }

    /// Opens the log again and learns from it what the failed commit has left there. A log that opens may still not
    /// take a commit (a full disk): that is tried with a checkpoint before anybody is told that it works.
    fn recover(&mut self) -> Result<(), LogError> {
        self.context.log.reopen()?;
        self.context.state = State::rebuild(&self.context.reader, self.context.presence_ms)?;
        self.keep_checkpoint()?;
        self.context.status.restart(&self.context.state);
        if let Some(batch) = self.unsure.take() {
            if batch.first_number().is_some_and(|first| first < self.context.log.next_number()) {
                self.answer(batch);
            } else {
                // What is held arrived later than what failed.
                let later = std::mem::replace(&mut self.held, batch.into_waiting().collect());
                self.held.extend(later);
            }
        }
        Ok(())
    }

    fn keep_checkpoint(&mut self) -> Result<(), LogError> {
        let checkpoint = self.context.state.to_checkpoint();
        self.context.log.commit(&Commit { checkpoint: Some(&checkpoint), ..Commit::default() })?;
        self.context.state.checkpointed();
        Ok(())
    }

    fn held_len(&self) -> usize {
        self.held.len() + self.unsure.as_ref().map_or(0, Batch::len)
    }

    fn reopen_interval(&self) -> Duration {
        Duration::from_millis(self.context.config.reopen_interval_ms)
    }
}
