//! Answers scans that were sent before with the decision that the log has kept, away from the spine's thread.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant as Monotonic};

use bytes::Bytes;
use protocol::{Decision, DoorId, Event, EventKind, Instant, ScanId};
use tokio::sync::mpsc;

use super::arrival::{Answer, Arrival, Payload, ReplyTo};
use super::assists::is_for_the_door;
use super::config::Config;
use super::fingerprint::{Fingerprint, Likeness};
use super::metrics::Metrics;
use super::queue::{QueuedArrival, ScanQueue, Work};
use super::seen::Searched;
use access::Rules;
use base::clock::Clock;
use store::log::{LogError, LogReader, WalkEnd};

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
    /// It is in the log, as this event.
    Committed(u64),
    /// Only the log can tell whether it was seen: if not, it goes back to the spine.
    Unknown {
        /// What the scan looks like.
        wanted: Fingerprint,
        /// It cannot have been kept before.
        since: Instant,
    },
}

/// How long an answer may say what it says.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimits {
    /// A door is told to open so long after the scan arrived, in milliseconds.
    late_after_ms: u64,
    /// A door hears of an assist request so long after it was decided, in milliseconds.
    assist_within_ms: u64,
}

/// How far a gateway's clock may have been off when a scan was kept for the first time, in milliseconds.
const CLOCK_SLACK_MS: i64 = 3_600_000;

/// How far back a scan is looked for whose reader's clock tells nothing of its age, in milliseconds.
const BLIND_SEARCH_MS: i64 = 7 * 86_400_000;

impl AnswerLimits {
    /// The limits that the spine's settings give.
    pub fn of(config: &Config) -> Self {
        Self { late_after_ms: config.late_after_ms, assist_within_ms: config.assist_within_ms }
    }
}

/// Since when a scan that has just arrived may have been kept already: it was made before.
pub fn search_since(rules: &Rules, arrival: &Arrival) -> Instant {
    let back = |from: Instant, ms: i64| Instant::from_unix_ms(from.unix_ms().saturating_sub(ms));
    let scanned_at = match &arrival.payload {
        Payload::Scan(scan) => Some(scan.scanned_at),
        Payload::Malformed { scan, .. } => scan.scanned_at,
        Payload::Assist(_) => None,
    };
    let made_at = scanned_at.map(|at| back(at, arrival.clock_offset_ms.unwrap_or(0)));
    let known = made_at.filter(|at| (rules.since..=arrival.received_at).contains(at));
    known.map_or_else(|| back(arrival.received_at, BLIND_SEARCH_MS), |at| back(at, CLOCK_SLACK_MS))
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
        let (limits, batch_max) = (AnswerLimits::of(config), config.recall_scans_max);
        let for_refusals = metrics.clone();
        // Weak: the spine's queue must close when its last real owner is gone.
        let spine = spine.queue.downgrade();
        thread::Builder::new().name("recall".into()).spawn(move || {
            let mut batch = Vec::new();
            while waiting.blocking_recv_many(&mut batch, batch_max) > 0 {
                metrics.recalled.inc_by(batch.len() as u64);
                let known = known(&log, &batch);
                let answering = |reply: &ReplyTo, event: &Event| committed_answer(reply, event, limits, clock.now()).0;
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

/// The final answer to an arrival that `event` keeps, and the decision's payload. The outcome is what it was; a door is told to open
/// only while somebody can be standing there, and hears of an assist request as long.
pub fn committed_answer(reply: &ReplyTo, event: &Event, limits: AnswerLimits, now: Instant) -> (Answer, Option<Bytes>) {
    let ticket = reply.ticket;
    // A clock that was set back tells nothing of how long ago it was.
    let age_ms = now.ms_since(event.received_at).unsigned_abs();
    let is_late = !matches!(event.subject, EventKind::Assist(_)) && age_ms > limits.late_after_ms;
    let mut decision = Decision::of(event);
    decision.iter_mut().filter(|_| is_late).for_each(|decision| decision.open = false);
    let payload = decision.as_ref().map(|decision| Bytes::from(decision.to_json()));
    let answer = match (&event.subject, decision) {
        (EventKind::Assist(_), Some(decision)) => {
            let for_door = is_for_the_door(event, limits.assist_within_ms, now);
            Answer::Assisted { ticket, door: event.door.clone(), decision: Box::new(decision), for_door }
        }
        (subject, decision) => {
            let malformed = matches!(subject, EventKind::Malformed(_));
            let left_ms =
                decision.filter(|decision| decision.open).map(|_| limits.late_after_ms.saturating_sub(age_ms));
            let opens_until = left_ms.map(|left_ms| Monotonic::now() + Duration::from_millis(left_ms));
            Answer::Committed { ticket, decision: payload.clone(), malformed, opens_until }
        }
    };
    (answer, payload)
}

/// The events of which the numbers are remembered. After a stall every door sends again what it had in flight: that lies
/// together, and is read together.
fn known(log: &LogReader, batch: &[RecallRequest]) -> HashMap<u64, Event> {
    let number = |asked: &RecallRequest| if let Hint::Committed(number) = asked.hint { Some(number) } else { None };
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
    let arrival = &waiting.arrival;
    let found = match (hint, arrival.scan_id()) {
        (Hint::Unknown { wanted, since }, Some(id)) => search(log, &arrival.door, id, (wanted, since)),
        (Hint::Unknown { .. }, None) => Ok(Err(Searched::default())),
        (Hint::Committed(number), _) => match known.get(&number) {
            Some(event) => Ok(Ok(event.clone())),
            None => log.event(number).map(|event| event.ok_or_else(Searched::default)),
        },
    };
    match found {
        Ok(Ok(event)) => arrival.reply.answer(answering(&arrival.reply, &event)),
        Ok(Err(searched)) => return Some(QueuedArrival { searched, ..waiting }),
        Err(error) => {
            tracing::warn!(door = %arrival.door, %error, "a resent scan could not be looked up");
            metrics.refused.inc();
            waiting.refuse("log-unavailable");
        }
    }
    None
}

/// The event of a scan, or what else there is under its number.
fn search(
    log: &LogReader,
    door: &DoorId,
    id: ScanId,
    (wanted, since): (Fingerprint, Instant),
) -> Result<Result<Event, Searched>, LogError> {
    // Read first: what is committed during the search is for the spine to know.
    let mut searched = Searched { through: log.last_event(), ..Searched::default() };
    let mut same = None;
    let end = log.find_newest_first(door, id, since, |event| {
        // A commit that has not returned may have just put it there: the spine knows.
        if event.number > searched.through {
            return false;
        }
        match Fingerprint::of_event(&event).map(|kept| kept.likeness(&wanted)) {
            Some(Likeness::Same) => {
                same = Some(event);
                return true;
            }
            Some(Likeness::Unknown) => searched.unverified = true,
            Some(Likeness::Other) | None => searched.others = true,
        }
        false
    })?;
    searched.whole = end == WalkEnd::Start;
    Ok(same.ok_or(searched))
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
