//! What a reader hears: its connection, acknowledgements and answers, entered into its book.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use protocol::{DoorState, Outcome};
use rumqttc::{Event, Incoming, Outgoing, Publish, QoS, SubscribeFilter, SubscribeReasonCode};

use super::{Message, RETRIES_COUNTED, RETRY_US, ReaderSession, Why};
use crate::load::ledger::AckedScan;
use crate::load::mix::Kind;
use crate::load::packets::Written;
use crate::load::recent_scans::{Answer, Answered, Page};

impl ReaderSession {
    /// What `rumqttc` tells. True when it has forgotten the messages that waited to be written.
    pub(in crate::load) fn event(&mut self, event: &Event) -> bool {
        match event {
            Event::Incoming(Incoming::ConnAck(ack)) => {
                self.connect(ack.session_present);
                return !ack.session_present;
            }
            Event::Incoming(Incoming::SubAck(ack)) => self.subscribe(&ack.return_codes),
            Event::Incoming(Incoming::Publish(publish)) => self.hear(publish),
            Event::Incoming(Incoming::PubAck(ack)) => self.acknowledge(ack.pkid),
            Event::Incoming(Incoming::PubComp(ack)) => self.acknowledge(ack.pkid),
            Event::Outgoing(Outgoing::Publish(id)) => self.written(*id),
            Event::Outgoing(Outgoing::AwaitAck(id)) => {
                if let Some(dropped) = self.packets.collided(*id) {
                    self.request_again(dropped);
                }
            }
            _ => {}
        }
        false
    }

    /// The connection is gone.
    pub(in crate::load) fn disconnected(&mut self) {
        self.connected = false;
        self.subscribed = false;
    }

    /// Counts what went wrong.
    pub(in crate::load) fn failed(&self, kind: &'static str, words: impl FnOnce() -> String) {
        if let Some(mut tally) = self.shared.tallies.of(self.reader) {
            tally.failed(kind, words);
        }
    }

    fn connect(&mut self, session_present: bool) {
        self.connected = true;
        if let Some(mut tally) = self.shared.tallies.of(self.reader) {
            *(if self.connections == 0 { &mut tally.connected } else { &mut tally.reconnects }) += 1;
        }
        self.connections += 1;
        self.connected_us = self.shared.now_us().unwrap_or(0);
        if !session_present {
            for message in self.packets.forgotten() {
                self.request_again(message);
            }
            // Whatever answer was on its way is forgotten, too.
            self.again.extend(self.book.pages().filter(|(_, page)| page.lacks_answer()).map(|(seq, _)| seq));
        }
        let filters = self.topics.answers.iter().map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce));
        if self.client.try_subscribe_many(filters).is_err() {
            self.failed("client", || "its queue is full".into());
        }
        self.say(DoorState::Online);
    }

    fn subscribe(&mut self, codes: &[SubscribeReasonCode]) {
        if codes.contains(&SubscribeReasonCode::Failure) {
            self.failed("subscription refused", || format!("{}: {codes:?}", self.topics.answers.join(", ")));
            return;
        }
        if self.connections == 1 && !self.subscribed {
            self.shared.ready.fetch_add(1, Ordering::Relaxed);
            self.shared.changed.notify_one();
        }
        self.subscribed = true;
    }

    /// A decision, or in a relay the scan itself.
    fn hear(&mut self, publish: &Publish) {
        if self.topics.answers.first() != Some(&publish.topic) {
            return;
        }
        let answer: Answer<'_> = match serde_json::from_slice(&publish.payload) {
            Ok(answer) => answer,
            // A relay gives malformed scans back as they are.
            Err(_) if self.shared.relay => return,
            // Only where: the error's own words repeat what was read.
            Err(error) => {
                let words = || format!("line {} column {}", error.line(), error.column());
                return self.failed("unreadable decision", words);
            }
        };
        if answer.epoch != Some(self.shared.epoch) || answer.is_to_a_helper() {
            return;
        }
        let now = self.shared.now_us().unwrap_or(0);
        if answer.outcome == Some(Outcome::Unavailable) {
            return self.refused(answer.seq, now);
        }
        let answered = self.book.answer(&answer);
        let page = self.book.page(answer.seq).cloned();
        if let Some(mut tally) = self.shared.tallies.of(self.reader) {
            match (answered, &page) {
                (Answered::First, Some(page)) => tally.decided(answer.outcome, now.saturating_sub(page.due_us)),
                (Answered::Conflict, _) => tally.conflicting += 1,
                _ => return,
            }
        }
        if let Some(page) = page.filter(|_| answered == Answered::First) {
            self.last_progress_us = now;
            // Nothing acknowledges a message of QoS 0; but there is no decision that is not on disk.
            if self.shared.qos == QoS::AtMostOnce {
                self.acked(answer.seq, now);
            } else if page.is_settled() {
                self.settled(answer.seq, &page, now);
            }
        }
    }

    fn refused(&mut self, seq: u64, now: u64) {
        if let Some(mut tally) = self.shared.tallies.of(self.reader) {
            tally.unavailable += 1;
        }
        if let Some(page) = self.book.page_mut(seq).filter(|page| !page.is_settled()) {
            page.refusals = page.refusals.saturating_add(1);
            let pause = RETRY_US * u64::from(page.refusals.min(RETRIES_COUNTED));
            self.retries.push(Reverse((now + pause, seq)));
        }
    }

    fn acknowledge(&mut self, id: u16) {
        let now = self.shared.now_us().unwrap_or(0);
        if let Some(Message::Scan { seq, .. }) = self.packets.acknowledged(id) {
            self.acked(seq, now);
        }
    }

    fn acked(&mut self, seq: u64, now: u64) {
        let Some(page) = self.book.acknowledge(seq) else { return };
        self.last_progress_us = now;
        if let Some(mut tally) = self.shared.tallies.of(self.reader) {
            tally.acked += 1;
            tally.ack_us.saturating_record(now.saturating_sub(page.due_us));
        }
        if page.is_settled() {
            self.settled(seq, &page, now);
        }
    }

    fn settled(&mut self, seq: u64, page: &Page, now: u64) {
        if let Some(mut tally) = self.shared.tallies.of(self.reader) {
            tally.settled += 1;
            tally.last_settled_us = tally.last_settled_us.max(now);
        }
        self.write_down(seq, page);
        self.book.turn();
        self.replace_device();
        if self.left == Some(0) && self.book.unsettled() == 0 {
            self.next_look_us = now;
        }
    }

    pub(super) fn write_down(&self, seq: u64, page: &Page) {
        if let Some(ledger) = &self.shared.ledger {
            ledger.write(&AckedScan {
                door: self.door.as_str().into(),
                epoch: self.shared.epoch,
                seq,
                scanned_at_ms: page.scanned_at_ms,
                made_at_ms: page.scanned_at_ms.saturating_sub(self.clock_ahead_ms()),
                kind: page.kind,
                outcome: page.answer.and_then(|answer| answer.outcome),
                event: page.answer.and_then(|answer| answer.event),
                acked: true,
            });
        }
    }

    fn written(&mut self, id: u16) {
        let (message, first) = match self.packets.written(id) {
            Written::First(message) | Written::Unacknowledged(message) => (message, true),
            Written::Again(message) => (message, false),
            Written::Unknown => return self.failed("client", || format!("packet id {id} was not asked for")),
        };
        let Message::Scan { seq, why } = message else { return };
        if let Some(mut tally) = self.shared.tallies.of(self.reader) {
            tally.sent += 1;
            tally.resent += u64::from(!first || why == Why::Again);
            tally.duplicates += u64::from(first && why == Why::Duplicate);
        }
        // Of a scan that is never answered, nothing more will be heard.
        if id == 0 && self.book.page(seq).is_some_and(|page| page.kind == Kind::Unidentified) {
            self.acked(seq, self.shared.now_us().unwrap_or(0));
        }
    }

    fn request_again(&mut self, message: Message) {
        match message {
            Message::Scan { seq, .. } => self.again.push_back(seq),
            // It is said anew with every connection.
            Message::Status => {}
        }
    }
}
