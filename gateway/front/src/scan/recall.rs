//! Answers scans that were sent before with the decision that the log has kept, away from the spine's thread.

use std::collections::HashMap;
use std::thread;

use bytes::Bytes;
use protocol::{Decision, Event, EventKind, Instant};
use tokio::sync::mpsc;

use super::arrival::{Answer, ReplyTo};
use super::assists::is_for_the_door;
use super::config::Config;
use super::metrics::Metrics;
use super::queue::{QueuedArrival, ScanQueue, Work};
use base::clock::Clock;
use store::log::LogReader;

/// Hands resent scans to the thread that looks them up.
#[derive(Debug)]
pub struct Recall {
    asked: mpsc::Sender<RecallRequest>,
    metrics: Metrics,
}

/// A resent scan to be looked up.
#[derive(Debug)]
pub struct RecallRequest {
    pub waiting: QueuedArrival,
    /// What the spine knows of it.
    pub hint: Hint,
}

/// What the spine knows of a resent scan.
#[derive(Clone, Copy, Debug)]
pub enum Hint {
    /// It is in the log, as this event where that is remembered.
    Committed(Option<u64>),
    /// Only the log can tell whether it was seen: if not, it goes back to the spine.
    Unknown,
}

impl Recall {
    /// Starts the thread. It ends when the spine does.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        log: LogReader,
        config: &Config,
        spine: ScanQueue,
        metrics: Metrics,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let (asked, mut waiting) = mpsc::channel(config.recall_scans_max);
        let (assist_within_ms, batch_max) = (config.assist_within_ms, config.recall_scans_max);
        let for_refusals = metrics.clone();
        // Weak: the spine's queue must close when its last real owner is gone.
        let spine = spine.queue.downgrade();
        thread::Builder::new().name("recall".into()).spawn(move || {
            let mut batch = Vec::new();
            while waiting.blocking_recv_many(&mut batch, batch_max) > 0 {
                metrics.recalled.inc_by(batch.len() as u64);
                let known = known(&log, &batch);
                let answering =
                    |reply: &ReplyTo, event: &Event| committed_answer(reply, event, assist_within_ms, clock.now()).0;
                for asked in batch.drain(..) {
                    if let Some(new) = answer((&log, &known), asked, answering, &metrics) {
                        hand_back(&spine, new, &metrics);
                    }
                }
            }
        })?;
        Ok(Self { asked, metrics: for_refusals })
    }

    /// Looks a scan up without waiting for the answer. When too many wait already, its door is told to send it again.
    pub fn ask(&self, asked: RecallRequest) {
        if let Err(refused) = self.asked.try_send(asked) {
            self.metrics.refused.inc();
            refused.into_inner().waiting.refuse("recall-full");
        }
    }
}

/// The final answer to an arrival that `event` keeps, and the decision's payload. A door hears of an assist request for
/// `assist_within_ms`.
pub fn committed_answer(
    reply: &ReplyTo,
    event: &Event,
    assist_within_ms: u64,
    now: Instant,
) -> (Answer, Option<Bytes>) {
    let ticket = reply.ticket;
    let decision = Decision::of(event);
    let payload = decision.as_ref().map(|decision| Bytes::from(decision.to_json()));
    let answer = match (&event.subject, decision) {
        (EventKind::Assist(_), Some(decision)) => {
            let for_door = is_for_the_door(event, assist_within_ms, now);
            Answer::Assisted { ticket, door: event.door.clone(), decision: Box::new(decision), for_door }
        }
        (subject, _) => {
            let malformed = matches!(subject, EventKind::Malformed(_));
            Answer::Committed { ticket, decision: payload.clone(), malformed }
        }
    };
    (answer, payload)
}

/// The events of which the numbers are remembered. After a stall every door sends again what it had in flight: that lies
/// together, and is read together.
fn known(log: &LogReader, batch: &[RecallRequest]) -> HashMap<u64, Event> {
    let number = |asked: &RecallRequest| if let Hint::Committed(number) = asked.hint { number } else { None };
    // Where that fails, each is looked up by itself.
    let events = log.events(&batch.iter().filter_map(number).collect()).unwrap_or_default();
    events.into_iter().map(|event| (event.number, event)).collect()
}

/// Answers a resent scan, whose event may be `known`; gives it back when the log does not have it.
fn answer(
    (log, known): (&LogReader, &HashMap<u64, Event>),
    RecallRequest { waiting, hint }: RecallRequest,
    answering: impl Fn(&ReplyTo, &Event) -> Answer,
    metrics: &Metrics,
) -> Option<QueuedArrival> {
    // Read first: what is committed during the search is for the spine to know.
    let searched_through = log.last_event();
    let arrival = &waiting.arrival;
    let found = match (hint, arrival.scan_id()) {
        (Hint::Committed(Some(number)), _) => match known.get(&number) {
            Some(event) => Ok(Some(event.clone())),
            None => log.event(number),
        },
        (Hint::Committed(None) | Hint::Unknown, Some(id)) => log.find_newest_first(&arrival.door, id),
        (Hint::Committed(None) | Hint::Unknown, None) => Ok(None),
    };
    let found = match (found, hint) {
        // A commit that has not returned may have just put it there: the spine knows.
        (Ok(Some(event)), Hint::Unknown) if event.number > searched_through => Ok(None),
        (found, _) => found,
    };
    match (found, hint) {
        (Ok(Some(event)), _) => arrival.reply.answer(answering(&arrival.reply, &event)),
        // It was kept once, and retention has removed it since: it needs no second event.
        (Ok(None), Hint::Committed(_)) => {
            arrival.reply.answer(Answer::Committed { ticket: arrival.reply.ticket, decision: None, malformed: false });
        }
        (Ok(None), Hint::Unknown) => return Some(QueuedArrival { not_in_log_through: searched_through, ..waiting }),
        (Err(error), _) => {
            tracing::warn!(door = %arrival.door, %error, "a resent scan could not be looked up");
            metrics.refused.inc();
            waiting.refuse("log-unavailable");
        }
    }
    None
}

/// The log does not have it, so it is new unless it was kept since: the spine decides.
fn hand_back(spine: &mpsc::WeakSender<Work>, waiting: QueuedArrival, metrics: &Metrics) {
    let Some(spine) = spine.upgrade() else { return };
    match spine.try_reserve() {
        Ok(place) => place.send(Work::Scan(waiting)),
        Err(_) => {
            metrics.refused.inc();
            waiting.refuse("queue-full");
        }
    }
}
