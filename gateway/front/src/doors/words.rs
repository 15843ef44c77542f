//! Helpers' words: from a helper's session or over HTTP to the spine, and the decision to the door once it is on disk.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use protocol::{Assist, Channel, Decision, DoorId, DoorTopic, Via};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::codec::{Publish, Version};
use super::outbox::{Message, Topic};
use super::reason::Reason;
use super::scans::Waiting;
use super::session::{End, Part, Session};
use super::{KnownDoor, Metrics, Registry};
use crate::scan::{Answer, Arrival, ReplyTo, WeakScanQueue, Word};
use base::clock::Clock;

/// The time within which words are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Helpers whose recent words are remembered before those who were silent for a minute are forgotten.
const HELPERS_REMEMBERED: usize = 1024;

/// What helpers' words pass before they are kept, whichever way they come.
pub struct Words {
    rate: Rate,
    /// For words that come over HTTP.
    way: Way,
}

/// What a word over HTTP goes through. Weak: HTTP must not keep the spine at work.
pub struct Way {
    /// Where words go.
    pub scans: WeakScanQueue,
    /// Who is connected.
    pub registry: Arc<Registry>,
    /// The settings of a registered door.
    pub known_door: KnownDoor,
    /// The gateway's clock.
    pub clock: Clock,
    /// What the front counts.
    pub metrics: Metrics,
    /// How long an answer is waited for.
    pub answer_timeout: Duration,
}

/// A word that is on disk.
#[derive(Clone, Debug)]
pub struct Said {
    /// The answer to it.
    pub decision: Decision,
    /// Whether the door's reader was connected and has been told.
    pub door_told: bool,
}

/// Why a word was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSaid {
    /// There is no such door.
    UnknownDoor,
    /// Too many words of this helper within a minute.
    TooMany {
        /// When there will be room.
        retry_after: Duration,
    },
    /// The log cannot take it now.
    Unavailable,
}

impl Words {
    /// Lets `per_minute_max` words of each helper through within any minute.
    pub fn new(per_minute_max: u32, way: Way) -> Self {
        let per_minute_max = usize::try_from(per_minute_max).unwrap_or(usize::MAX);
        Self { rate: Rate { per_minute_max, recent: Mutex::default() }, way }
    }

    /// Keeps a word that came with an access token, and passes its decision on to the door.
    ///
    /// # Errors
    /// When it was not kept; then no door has heard of it.
    pub async fn say(&self, door: DoorId, assist: Assist, token: DoorId) -> Result<Said, NotSaid> {
        let Way { scans, registry, known_door, clock, metrics, answer_timeout } = &self.way;
        let refuse = |reason, why| {
            metrics.refuse_word(reason);
            Err(why)
        };
        if known_door(&door).is_none() {
            return refuse("unknown_door", NotSaid::UnknownDoor);
        }
        let word = Word { assist, device: token, via: Via::Http };
        if let Err(retry_after) = self.rate.take(&word, Instant::now()) {
            return refuse("rate", NotSaid::TooMany { retry_after });
        }
        let (answers, mut inbox) = mpsc::channel(2);
        let arrival = Arrival::word(door, word, clock.now(), ReplyTo { answers, ticket: 0 });
        let submitted = scans.upgrade().is_some_and(|scans| scans.submit(arrival).is_ok());
        // A word that must wait is given up: its helper hears so, and the spine does not decide what nobody waits for.
        let answer = match timeout_at(Instant::now() + *answer_timeout, inbox.recv()).await {
            Ok(answer) if submitted => answer,
            _ => None,
        };
        match answer {
            Some(Answer::Said { door, decision, for_door, .. }) => {
                let door_told = for_door && registry.tell(&door, decision.to_json().into());
                Ok(Said { decision: *decision, door_told })
            }
            _ => refuse("unavailable", NotSaid::Unavailable),
        }
    }
}

/// How many words each helper has said lately.
struct Rate {
    per_minute_max: usize,
    recent: Mutex<HashMap<(Via, DoorId), VecDeque<Instant>>>,
}

impl Rate {
    /// Counts a word, or says when there will be room for it.
    fn take(&self, word: &Word, now: Instant) -> Result<(), Duration> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |said: &Instant| now.saturating_duration_since(*said) < MINUTE;
        if recent.len() >= HELPERS_REMEMBERED {
            recent.retain(|_, said| said.back().is_some_and(is_recent));
        }
        let said = recent.entry((word.via, word.device.clone())).or_default();
        while said.front().is_some_and(|oldest| !is_recent(oldest)) {
            said.pop_front();
        }
        match said.front() {
            Some(oldest) if said.len() >= self.per_minute_max => Err(MINUTE - now.saturating_duration_since(*oldest)),
            _ => {
                said.push_back(now);
                Ok(())
            }
        }
    }
}

impl Session {
    /// Takes in a helper's word, which names its door in the topic.
    pub(super) fn on_word(&mut self, publish: Publish) -> Result<(), End> {
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(|topic| topic.parse::<DoorTopic>().ok());
        let topic = topic.filter(|topic| topic.site == self.front.site && topic.channel == Channel::Assist);
        let Some(DoorTopic { door, .. }) = topic else {
            return self.refuse(&publish, Reason::NOT_AUTHORIZED, "topic");
        };
        if (self.front.known_door)(&door).is_none() {
            self.front.metrics.refuse_word("unknown_door");
            return self.refuse(&publish, Reason::NOT_AUTHORIZED, "topic");
        }
        if publish.qos != 1 {
            self.front.metrics.refuse_word("qos");
            return self.refuse(&publish, Reason::IMPLEMENTATION_SPECIFIC, "qos");
        }
        let Part::Monitor(part) = &mut self.part else { return Ok(()) };
        let Some(helper) = &mut part.helper else { return Ok(()) };
        if helper.scans.has(publish.pkid) {
            helper.scans.retry(&self.front.scans);
            return Ok(());
        }
        let Ok(assist) = Assist::from_json(&publish.payload) else {
            self.front.metrics.refuse_word("payload");
            let told = self.intake.version == Version::V5;
            self.ack(&publish, if told { Reason::PAYLOAD_INVALID } else { Reason::SUCCESS });
            return Ok(());
        };
        let word = Word { assist, device: helper.name.clone(), via: Via::Mqtt };
        if self.front.words.rate.take(&word, Instant::now()).is_err() {
            self.front.metrics.refuse_word("rate");
            // A 3.1.1 client has no word for it, and PUBACK would say that it is kept.
            if self.intake.version == Version::V5 {
                self.ack(&publish, Reason::QUOTA_EXCEEDED);
            }
            return Ok(());
        }
        let arrival = Arrival::word(door, word, self.front.clock.now(), helper.scans.reply_to());
        let waiting = Waiting::new(publish.pkid, publish.qos, None, None);
        helper.scans.submit(&self.front.scans, waiting, arrival);
        Ok(())
    }

    /// A helper's word is on disk: the door hears of it, then the helper.
    pub(super) fn said(&mut self, ticket: u64, door: &DoorId, decision: &Decision, for_door: bool) {
        if for_door {
            self.front.registry.tell(door, decision.to_json().into());
        }
        if let Some(waiting) = self.part.scans().and_then(|scans| scans.answered(ticket)) {
            self.ack_scan(&waiting, false);
        }
    }

    /// Passes decisions on helpers' words on to the door, if it listens.
    pub(super) fn send_told(&mut self, decisions: impl IntoIterator<Item = Bytes>) {
        for payload in decisions {
            let subscription = self.subscriptions.covering_own(&self.intake.prefix, Channel::Decision);
            let Some(qos) = subscription.map(|subscription| subscription.qos) else { return };
            let topic = Topic::Own(Channel::Decision);
            self.push(Message::new(topic, payload, qos, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::AssistAction;

    use super::*;

    fn word(device: &str, via: Via) -> Word {
        let assist = Assist::new(AssistAction::Admit, "Contoh Satgas", "known by sight", None, None).unwrap();
        Word { assist, device: device.parse().unwrap(), via }
    }

    #[test]
    fn no_minute_holds_more_words_of_one_helper_than_allowed() {
        let rate = Rate { per_minute_max: 3, recent: Mutex::default() };
        let start = Instant::now();
        let (lobby, at) = (word("lobby", Via::Mqtt), |seconds| start + Duration::from_secs(seconds));
        for seconds in [0, 10, 20] {
            rate.take(&lobby, at(seconds)).unwrap();
        }
        assert_eq!(rate.take(&lobby, at(30)), Err(Duration::from_secs(30)));
        // Others are not held back, nor is a token of the same name.
        rate.take(&word("east", Via::Mqtt), at(30)).unwrap();
        rate.take(&word("lobby", Via::Http), at(30)).unwrap();
        rate.take(&lobby, at(60)).unwrap();
        assert_eq!(rate.take(&lobby, at(60)), Err(Duration::from_secs(10)));
        let kept = (0..600).filter(|seconds| rate.take(&lobby, at(100 + seconds)).is_ok()).count();
        assert_eq!(kept, 30);
    }

    #[test]
    fn silent_helpers_are_forgotten() {
        let rate = Rate { per_minute_max: 3, recent: Mutex::default() };
        let start = Instant::now();
        for n in 0..2 * HELPERS_REMEMBERED {
            rate.take(&word(&format!("h-{n}"), Via::Mqtt), start + MINUTE * u32::try_from(n).unwrap()).unwrap();
        }
        assert!(rate.recent.lock().unwrap().len() <= HELPERS_REMEMBERED);
    }
}
