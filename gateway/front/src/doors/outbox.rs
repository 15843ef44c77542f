//! Messages on their way to one client: waiting, in flight, and sent again after a reconnect.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use protocol::{Channel, Decision, Text};
use tokio::time::Instant;

use super::packet::Version;
use super::reply::{self, Publication};
use crate::monitors::PublishOptions;

/// So many bytes are put into one write at most, give or take a message.
const WRITE_BYTES: usize = 32 * 1024;

/// Messages on their way to one client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Message>,
    /// Sent with QoS 1, not acknowledged, oldest first.
    in_flight: VecDeque<Message>,
    last_pkid: u16,
}

/// A message to a client.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: Topic,
    pub(super) payload: Bytes,
    /// 0 or 1: 2 is never granted.
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) correlation: Option<Bytes>,
    /// How it was published, where not by the gateway.
    pub(super) options: Option<Arc<PublishOptions>>,
    /// 0 until it is sent with QoS 1 for the first time.
    pub(super) pkid: u16,
    /// Messages to a monitor that were lost before this one; a client of MQTT 5 is told.
    pub(super) missed: u64,
    /// A decision that opens the door: until when somebody can be standing there. Sent later, it does not open it.
    pub(super) opens_until: Option<Instant>,
}

/// Where a message is published.
#[derive(Debug)]
pub(super) enum Topic {
    /// To a channel of the client's own door.
    Own(Channel),
    /// To a topic by its whole name.
    Named(Bytes),
}

/// What a client can take.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    pub(super) version: Version,
    /// What the door's topics start with; empty for a monitor.
    pub(super) prefix: Box<str>,
    /// Messages of QoS 1 in flight.
    pub(super) receive_max: usize,
    pub(super) packet_bytes_max: usize,
}

impl Outbox {
    /// Adds a message; returns the one that was dropped for it: the oldest that waits when `messages_max` do.
    pub(super) fn push(&mut self, message: Message, messages_max: usize) -> Option<Message> {
        let mut dropped = None;
        if self.waiting.len() >= messages_max {
            // What was sent before the connection broke has a number and must be sent again: it is passed over.
            let oldest = self.waiting.iter().position(|message| message.pkid == 0);
            dropped = oldest.and_then(|oldest| self.waiting.remove(oldest));
        }
        self.waiting.push_back(message);
        dropped
    }

    /// Writes what may be sent now; how many messages were dropped because they are larger than the client takes.
    pub(super) fn write(&mut self, out: &mut BytesMut, intake: &Intake) -> u64 {
        let mut dropped = 0;
        while out.len() < WRITE_BYTES
            && let Some(message) = self.waiting.front()
            && (message.qos == 0 || self.in_flight.len() < intake.receive_max)
        {
            let Some(mut message) = self.waiting.pop_front() else { break };
            if message.is_expired(Instant::now()) {
                continue;
            }
            message.shut(Instant::now());
            let dup = message.pkid != 0;
            if message.qos > 0 && !dup {
                message.pkid = self.next_pkid();
            }
            if !message.fits(intake) && !message.shorten(intake) {
                dropped += 1;
                continue;
            }
            reply::publish(out, intake.version, &message.publication(intake, dup));
            if message.qos > 0 {
                self.in_flight.push_back(message);
            }
        }
        dropped
    }

    /// Takes note of a PUBACK.
    pub(super) fn acknowledge(&mut self, pkid: u16) {
        if let Some(at) = self.in_flight.iter().position(|message| message.pkid == pkid) {
            self.in_flight.remove(at);
        }
    }

    /// Messages that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What to keep for the client's next connection: messages of QoS 1, those in flight first and in their order.
    pub(super) fn into_stored(mut self) -> Self {
        self.waiting.retain(|message| message.qos > 0);
        self.in_flight.append(&mut self.waiting);
        self.in_flight.shrink_to_fit();
        Self { waiting: self.in_flight, in_flight: VecDeque::new(), last_pkid: self.last_pkid }
    }

    fn next_pkid(&mut self) -> u16 {
        loop {
            self.last_pkid = self.last_pkid.checked_add(1).unwrap_or(1);
            let taken = |message: &Message| message.pkid == self.last_pkid;
            if !self.in_flight.iter().any(taken) && !self.waiting.iter().any(taken) {
                return self.last_pkid;
            }
        }
    }
}

impl Message {
    pub(super) fn new(topic: Topic, payload: Bytes, qos: u8, retain: bool) -> Self {
        Self { topic, payload, qos, retain, correlation: None, options: None, pkid: 0, missed: 0, opens_until: None }
    }

    /// Whether the client takes a packet of this size.
    fn fits(&self, intake: &Intake) -> bool {
        reply::publish_len(intake.version, &self.publication(intake, false)) <= intake.packet_bytes_max
    }

    /// Lets a decision open the door no more, once nobody can be standing there.
    fn shut(&mut self, now: Instant) {
        if self.opens_until.take_if(|until| *until <= now).is_some()
            && let Ok(decision) = Decision::from_json(&self.payload)
        {
            let mut shut = decision;
            shut.open = false;
            self.payload = shut.to_json().into();
        }
    }

    /// Takes out of a decision what a door can do without, until it fits; whether it does.
    fn shorten(&mut self, intake: &Intake) -> bool {
        let Ok(mut decision) = Decision::from_json(&self.payload) else { return false };
        let steps: [fn(&mut Decision); 3] = [
            |decision| (decision.policy, decision.policies) = (None, Vec::new()),
            |decision| decision.text = Text::default(),
            |decision| (decision.language, decision.status, decision.event, decision.assist) = (None, None, None, None),
        ];
        steps.into_iter().any(|step| {
            step(&mut decision);
            self.payload = decision.to_json().into();
            self.fits(intake)
        })
    }

    /// Whether nobody needs it any more. What was sent once is sent again all the same (MQTT 5 section 4.3.3).
    fn is_expired(&self, now: Instant) -> bool {
        let expires_at = self.options.as_ref().and_then(|options| options.expires_at);
        self.pkid == 0 && expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    fn publication<'a>(&'a self, intake: &'a Intake, dup: bool) -> Publication<'a> {
        let options = self.options.as_deref();
        // Whole seconds that it has waited count (MQTT 5 section 3.3.2.3.3).
        let left = |at: Instant| at.saturating_duration_since(Instant::now()).as_millis().div_ceil(1000);
        let topic = match &self.topic {
            Topic::Own(channel) => (intake.prefix.as_bytes(), channel.as_str().as_bytes()),
            Topic::Named(topic) => (&topic[..], &b""[..]),
        };
        Publication {
            topic,
            payload: &self.payload,
            correlation: self.correlation.as_deref(),
            properties: options.map_or(&b""[..], |options| &options.properties),
            expiry_s: options
                .and_then(|options| options.expires_at)
                .map(|at| u32::try_from(left(at)).unwrap_or(u32::MAX)),
            qos: self.qos,
            retain: self.retain,
            dup,
            pkid: self.pkid,
            missed: self.missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &'static str, qos: u8) -> Message {
        let payload = Bytes::from_static(payload.as_bytes());
        Message::new(Topic::Own(Channel::Decision), payload, qos, false)
    }

    fn intake(receive_max: usize) -> Intake {
        Intake { version: Version::V311, prefix: "d/".into(), receive_max, packet_bytes_max: 100 }
    }

    /// Pairs of first byte and packet id of what was written.
    fn written(outbox: &mut Outbox, intake: &Intake) -> Vec<(u8, u16)> {
        let mut out = BytesMut::new();
        outbox.write(&mut out, intake);
        let mut packets = Vec::new();
        let mut rest = &out[..];
        while !rest.is_empty() {
            let id_at = 4 + usize::from(rest[3]);
            packets.push((rest[0], u16::from_be_bytes([rest[id_at], rest[id_at + 1]])));
            rest = &rest[2 + usize::from(rest[1])..];
        }
        packets
    }

    #[test]
    fn no_more_is_in_flight_than_the_client_takes() {
        let mut outbox = Outbox::default();
        (0..3).for_each(|_| assert!(outbox.push(message("xx", 1), 9).is_none()));
        assert_eq!(written(&mut outbox, &intake(2)), [(0x32, 1), (0x32, 2)]);
        assert_eq!(written(&mut outbox, &intake(2)), []);
        outbox.acknowledge(77);
        outbox.acknowledge(1);
        assert_eq!(written(&mut outbox, &intake(2)), [(0x32, 3)]);
    }

    #[test]
    fn a_decision_that_comes_too_late_opens_nothing_also_when_it_is_sent_again() {
        let payload = br#"{"v":1,"epoch":1,"seq":2,"outcome":"granted","open":true,"reason":"x","text":{"id":"","en":""},"decided_at":"2026-11-22T23:31:04.125Z"}"#;
        let sent = |outbox: &mut Outbox| {
            let mut out = BytesMut::new();
            outbox.write(&mut out, &Intake { packet_bytes_max: 1_000, ..intake(9) });
            String::from_utf8_lossy(&out).into_owned()
        };
        let now = Instant::now();
        for (until, first, again) in [(now + std::time::Duration::from_secs(60), true, true), (now, false, false)] {
            let mut outbox = Outbox::default();
            let topic = Topic::Own(Channel::Decision);
            let message = Message::new(topic, Bytes::from_static(payload), 1, false);
            outbox.push(Message { opens_until: Some(until), ..message }, 9);
            assert_eq!(sent(&mut outbox).contains(r#""open":true"#), first);
            let mut outbox = outbox.into_stored();
            let resent = sent(&mut outbox);
            assert_eq!((resent.contains(r#""open":true"#), resent.contains("granted")), (again, true));
        }
        // Sent in time, and again when nobody stands there any more.
        let mut outbox = Outbox::default();
        let message = Message::new(Topic::Own(Channel::Decision), Bytes::from_static(payload), 1, false);
        outbox.push(Message { opens_until: Some(now + std::time::Duration::from_secs(60)), ..message }, 9);
        assert!(sent(&mut outbox).contains(r#""open":true"#));
        outbox.in_flight.iter_mut().for_each(|message| message.opens_until = Some(now));
        assert!(sent(&mut outbox.into_stored()).contains(r#""open":false"#));
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_first_and_marked() {
        let mut outbox = Outbox::default();
        for qos in [1, 1, 0, 1] {
            outbox.push(message("xx", qos), 9);
        }
        assert_eq!(written(&mut outbox, &intake(2)).len(), 3);
        outbox.acknowledge(1);
        let mut outbox = outbox.into_stored();
        assert_eq!(written(&mut outbox, &intake(9)), [(0x3A, 2), (0x32, 3)]);
    }

    #[test]
    fn the_oldest_that_waits_makes_room_and_what_was_sent_stays() {
        let mut outbox = Outbox::default();
        outbox.push(message("aa", 1), 2);
        written(&mut outbox, &intake(1));
        let mut outbox = outbox.into_stored();
        let dropped = [outbox.push(message("bb", 1), 2), outbox.push(message("cc", 1), 2)];
        assert_eq!(dropped.map(|dropped| dropped.map(|message| message.payload)), [None, Some("bb".into())]);
        let mut out = BytesMut::new();
        outbox.write(&mut out, &intake(9));
        let text = String::from_utf8_lossy(&out);
        assert!(text.contains("aa") && text.contains("cc") && !text.contains("bb"));
    }

    #[test]
    fn packet_ids_wrap_around_and_skip_those_in_use() {
        let mut outbox = Outbox { last_pkid: u16::MAX - 1, ..Outbox::default() };
        outbox.in_flight.push_back(Message { pkid: 1, ..message("", 1) });
        (0..2).for_each(|_| assert!(outbox.push(message("xx", 1), 9).is_none()));
        assert_eq!(written(&mut outbox, &intake(9)), [(0x32, u16::MAX), (0x32, 2)]);
    }

    #[test]
    fn what_is_larger_than_the_client_takes_is_dropped() {
        let mut outbox = Outbox::default();
        outbox.push(message("a payload that is too long", 1), 9);
        let small = Intake { packet_bytes_max: 20, ..intake(9) };
        assert_eq!(outbox.write(&mut BytesMut::new(), &small), 1);
        assert_eq!(outbox.waiting(), 0);
    }
}
