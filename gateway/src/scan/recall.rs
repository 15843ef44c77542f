//! Answers scans that were sent before with the decision that the log has kept, away from the spine's thread.

use std::thread;

use bytes::Bytes;
use protocol::{Decision, Event, Subject};
use tokio::sync::mpsc;

use super::{Answer, Arrival, Metrics, ReplyTo, ScanQueue, Work};
use crate::log::LogReader;

/// Hands resent scans to the thread that looks them up.
#[derive(Debug)]
pub struct Recall {
    asked: mpsc::Sender<Asked>,
}

/// A resent scan to be looked up.
#[derive(Debug)]
pub enum Asked {
    /// It is in the log, as this event where that is remembered.
    Known(Arrival, Option<u64>),
    /// Only the log can tell whether it was seen: if not, it goes back to the spine.
    Unknown(Arrival),
}

impl Recall {
    /// Starts the thread. It ends when the spine does.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(log: LogReader, scans_max: usize, spine: ScanQueue, metrics: Metrics) -> std::io::Result<Self> {
        let (asked, mut waiting) = mpsc::channel(scans_max);
        // Weak: the spine's queue must close when its last real owner is gone.
        let spine = spine.queue.downgrade();
        thread::Builder::new().name("recall".into()).spawn(move || {
            while let Some(asked) = waiting.blocking_recv() {
                metrics.recalled.inc();
                match answer(&log, asked) {
                    Outcome::Answered => {}
                    Outcome::NotFound(arrival) => {
                        let arrival = *arrival;
                        let reply = arrival.reply.clone();
                        let handed_back =
                            spine.upgrade().is_some_and(|spine| spine.try_send(Work::NotInLog(arrival)).is_ok());
                        if !handed_back {
                            reply.refuse("queue-full");
                        }
                    }
                }
            }
        })?;
        Ok(Self { asked })
    }

    /// Looks a scan up without waiting for the answer. When too many wait already, its door is told to send it again.
    pub fn ask(&self, asked: Asked) {
        if let Err(refused) = self.asked.try_send(asked) {
            let (Asked::Known(arrival, _) | Asked::Unknown(arrival)) = refused.into_inner();
            arrival.reply.refuse("recall-full");
        }
    }
}

/// The final answer to an arrival that `event` keeps.
pub fn kept(reply: &ReplyTo, event: &Event) -> (Answer, Option<Bytes>) {
    let decision = Decision::of(event).map(|decision| Bytes::from(decision.to_json()));
    let malformed = matches!(event.subject, Subject::Malformed(_));
    (Answer::Kept { ticket: reply.ticket, decision: decision.clone(), malformed }, decision)
}

enum Outcome {
    Answered,
    NotFound(Box<Arrival>),
}

fn answer(log: &LogReader, asked: Asked) -> Outcome {
    let (arrival, known, event) = match asked {
        Asked::Known(arrival, event) => (arrival, true, event),
        Asked::Unknown(arrival) => (arrival, false, None),
    };
    let Some(id) = arrival.scan_id() else {
        return Outcome::NotFound(Box::new(arrival));
    };
    let found = match event {
        Some(number) => log.event(number),
        None => log.find_newest_first(&arrival.door, id),
    };
    match found {
        Ok(Some(event)) => arrival.reply.answer(kept(&arrival.reply, &event).0),
        // It was kept once, and retention has removed it since: it needs no second event.
        Ok(None) if known => {
            arrival.reply.answer(Answer::Kept { ticket: arrival.reply.ticket, decision: None, malformed: false });
        }
        Ok(None) => return Outcome::NotFound(Box::new(arrival)),
        Err(error) => {
            tracing::warn!(door = %arrival.door, %error, "a resent scan could not be looked up");
            arrival.reply.refuse("log-unavailable");
        }
    }
    Outcome::Answered
}
