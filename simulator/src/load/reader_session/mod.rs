//! A reader's hand: decides what is published next.

mod hearing;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::{DoorId, DoorState, DoorStatus, Instant, ScanId};
use rumqttc::{AsyncClient, QoS};

use super::connection::{PACKETS_PER_SCAN, Topics};
use super::mix::{Kind, payload};
use super::packets::Packets;
use super::readers::ReaderKind;
use super::recent_scans::RecentScans;
use super::schedule::share;
use super::shared::{Pace, Shared};
use crate::chance::Purpose;

/// One reader, without its connection. Times are in microseconds since the run's start.
pub(super) struct ReaderSession {
    shared: Arc<Shared>,
    reader: usize,
    door: DoorId,
    topics: Topics,
    client: AsyncClient,
    packets: Packets<Message>,
    book: RecentScans,
    connected: bool,
    subscribed: bool,
    /// Scans of its share that are still to be made; `None` while time is the only limit.
    left: Option<u64>,
    made: u64,
    /// Scans after which it is replaced by a device that counts from 1 again.
    replaced_after: Option<u64>,
    /// How often it was.
    replaced: u64,
    /// Duplicates that the mix asks for and that wait for a scan to repeat.
    owed: u64,
    /// Scans to be sent again now.
    again: VecDeque<u64>,
    /// Scans to be sent again later: when, and which.
    retries: BinaryHeap<Reverse<(u64, u64)>>,
    connections: u64,
    connected_us: u64,
    /// When its connection is next cut on purpose.
    cut_us: Option<u64>,
    cuts: u64,
    next_look_us: u64,
    last_progress_us: u64,
    finished: bool,
}

/// What is published.
#[derive(Clone, Copy, Debug)]
enum Message {
    Status,
    Scan { seq: u64, why: Why },
}

/// Why a scan is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    New,
    Again,
    Duplicate,
}

/// How often a reader looks for what has been lost.
const LOOK_US: u64 = 1_000_000;
/// After how long without an answer a scan is sent again; each time twice as long, so that a gateway that is slow is not made
/// slower.
const ANSWER_US: u64 = 3_000_000;
/// How often that time is doubled at most.
const DOUBLED_MAX: u32 = 5;
/// How long everything in flight may stay unanswered before a reader connects anew.
const STUCK_US: u64 = 10_000_000;
/// How long a reader waits before it sends a scan again for which nothing could be promised, times the attempts so far.
const RETRY_US: u64 = 200_000;
/// Attempts that still lengthen that pause.
const RETRIES_COUNTED: u32 = 10;

impl ReaderSession {
    pub(super) fn new(shared: Arc<Shared>, reader: usize, door: DoorId, topics: Topics, client: AsyncClient) -> Self {
        let readers = shared.readers as u64;
        let left = match &shared.backlog {
            Some(backlog) => Some(backlog.of(reader)),
            None => shared.scans.map(|scans| share(scans, reader as u64, readers)),
        };
        let is_replaced = shared.kinds.kind(reader, shared.readers) == ReaderKind::Replaced;
        let replaced_after = left.filter(|_| is_replaced && shared.backlog.is_none()).map(|left| left / 2);
        let mut hand = Self {
            shared,
            reader,
            door,
            topics,
            client,
            packets: Packets::default(),
            book: RecentScans::default(),
            connected: false,
            subscribed: false,
            left,
            made: 0,
            replaced_after,
            replaced: 0,
            owed: 0,
            again: VecDeque::new(),
            retries: BinaryHeap::new(),
            connections: 0,
            connected_us: 0,
            cut_us: None,
            cuts: 0,
            next_look_us: 0,
            last_progress_us: 0,
            finished: false,
        };
        hand.plan_cut(0);
        hand
    }

    /// Publishes whatever is due and fits in flight.
    pub(super) fn work(&mut self) {
        let Some(now) = self.shared.now_us() else { return };
        if now >= self.next_look_us {
            self.look(now);
        }
        if self.finished || !self.connected || !self.subscribed {
            return;
        }
        self.repeat(now);
        while self.has_room() && self.packets.len() < usize::from(self.shared.in_flight) {
            if let Some(seq) = (self.owed > 0).then(|| self.to_duplicate()).flatten() {
                self.owed -= 1;
                self.publish(seq, Why::Duplicate, now);
                continue;
            }
            let waits_for_replacement = self.replaced_after.is_some_and(|after| self.made >= after);
            if waits_for_replacement
                || self.book.unsettled() >= usize::from(self.shared.in_flight)
                || self.book.is_full()
            {
                break;
            }
            let Some(due) = self.next_due(now).filter(|due| *due <= now) else { break };
            self.make(due, now);
        }
    }

    /// When [`Self::work`] should be called next if nothing happens before.
    pub(super) fn wake_us(&self) -> Option<u64> {
        let now = self.shared.now_us()?;
        if self.finished {
            return None;
        }
        let room = self.connected && self.book.unsettled() < usize::from(self.shared.in_flight);
        let due = if room { self.next_due(now) } else { None };
        let retry = self.retries.peek().map(|Reverse((at, _))| *at).filter(|_| self.connected);
        // What is due and could not be published waits for an event, not for a time.
        let later = due.into_iter().chain(retry).chain(self.cut_us).filter(|at| *at > now);
        later.chain([self.next_look_us.max(now + 1)]).min()
    }

    /// Whether the connection is to be cut now.
    pub(super) fn wants_cut(&mut self) -> bool {
        let Some(now) = self.shared.now_us().filter(|_| self.connected && !self.finished) else { return false };
        if self.cut_us.is_none_or(|at| at > now) {
            return false;
        }
        self.cut_us = None;
        self.plan_cut(now);
        true
    }

    /// How long to wait after so many failures in a row, in milliseconds.
    pub(super) fn pause_ms(&self, attempt: u32) -> u64 {
        let longest = 100u64 << attempt.min(5);
        longest / 2 + self.shared.chance.below(longest / 2, Purpose::Pause, self.reader as u64, attempt.into())
    }

    /// Says goodbye: the door is offline from now on.
    pub(super) fn leave(&mut self) {
        for (seq, page) in self.book.pages().filter(|(_, page)| page.lacks_answer()) {
            self.write_down(seq, page);
        }
        if self.connected {
            self.say(DoorState::Offline);
            if self.client.try_disconnect().is_err() {
                self.failed("client", || "its queue is full".into());
            }
        }
    }

    fn say(&mut self, state: DoorState) {
        let shown = jiff::Timestamp::now().as_millisecond().saturating_add(self.clock_ahead_ms());
        let shown = Instant::from_unix_ms(shown);
        let mut status = DoorStatus::new(state, Some(shown));
        status.buffered_scans = Some(self.book.unsettled() as u64);
        status.firmware = Some(concat!("gapura-sim ", env!("CARGO_PKG_VERSION")).into());
        match self.client.try_publish(&self.topics.status, QoS::AtLeastOnce, true, status.to_json()) {
            Ok(()) => self.packets.requested(Message::Status),
            Err(_) => self.failed("client", || "its queue is full".into()),
        }
    }

    /// How far its clock is ahead, in milliseconds; far behind where it has none.
    fn clock_ahead_ms(&self) -> i64 {
        match (&self.shared.backlog, self.kind()) {
            (Some(backlog), _) => backlog.clock_ahead_ms(self.reader),
            (None, ReaderKind::Clockless) => self.shared.switched_on_ms.saturating_neg(),
            (None, _) => 0,
        }
    }

    fn kind(&self) -> ReaderKind {
        self.shared.kinds.kind(self.reader, self.shared.readers)
    }

    /// Puts another device in its place once everything is settled, where it is due: what the old one knew is gone.
    fn replace_device(&mut self) {
        let is_due = self.replaced_after.is_some_and(|after| self.made >= after);
        if is_due && self.book.unsettled() == 0 && self.packets.is_empty() && self.owed == 0 {
            (self.replaced_after, self.book) = (None, RecentScans::default());
            self.replaced += 1;
            self.again.clear();
            self.retries.clear();
        }
    }

    /// What makes its scans differ from those of all others, and of the device before it.
    fn voice(&self) -> u64 {
        self.reader as u64 + (self.replaced << 32)
    }

    /// Publishes what is to be sent again.
    fn repeat(&mut self, now: u64) {
        while let Some(Reverse((at, seq))) = self.retries.peek().copied() {
            if at > now {
                break;
            }
            self.retries.pop();
            self.again.push_back(seq);
        }
        while self.has_room() {
            let Some(seq) = self.again.pop_front() else { break };
            if self.book.page(seq).is_some_and(|page| !page.is_settled()) {
                self.publish(seq, Why::Again, now);
            }
        }
    }

    /// Looks for scans whose answer is lost, and whether there is anything left to do.
    fn look(&mut self, now: u64) {
        self.next_look_us = now + LOOK_US;
        self.replace_device();
        let lost: Vec<u64> = self
            .book
            .pages()
            .filter(|(_, page)| page.kind != Kind::Unidentified && !page.is_settled())
            .filter(|(_, page)| page.acked || self.shared.qos == QoS::AtMostOnce)
            .filter(|(_, page)| now.saturating_sub(page.sent_us) > ANSWER_US << page.repeats.min(DOUBLED_MAX))
            .map(|(seq, _)| seq)
            .collect();
        if self.again.is_empty() {
            for seq in lost {
                if let Some(page) = self.book.page_mut(seq) {
                    page.repeats = page.repeats.saturating_add(1);
                }
                self.again.push_back(seq);
            }
        }
        if self.packets.len() >= usize::from(self.shared.in_flight)
            && now.saturating_sub(self.last_progress_us.max(self.connected_us)) > STUCK_US
        {
            self.cut_us = Some(now);
        }
        let made_all = self.next_due(now).is_none();
        let repeated_all = self.owed == 0 || self.to_duplicate().is_none();
        // What was refused may stay unacknowledged for ever though a repetition was not.
        let heard_all = self.packets.is_empty() || now.saturating_sub(self.last_progress_us) > ANSWER_US;
        let over = made_all && repeated_all && self.book.unsettled() == 0 && heard_all;
        let stalled = now > self.last_progress_us.max(self.shared.end_us) + self.shared.drain_us;
        if !self.finished && (over || stalled) {
            self.finished = true;
            self.shared.finished.fetch_add(1, Ordering::Relaxed);
            self.shared.changed.notify_one();
        } else if made_all {
            // Near the end nothing else wakes a reader whose last answer has come.
            self.next_look_us = now + LOOK_US / 20;
        }
    }

    /// When the next new scan is due; `None` when there is none.
    fn next_due(&self, now: u64) -> Option<u64> {
        if self.left == Some(0) {
            return None;
        }
        match &self.shared.pace {
            Pace::Scheduled(schedule) => {
                let n = self.made * self.shared.readers as u64 + self.reader as u64;
                Some(u64::try_from(schedule.due(n).as_micros()).unwrap_or(u64::MAX))
            }
            Pace::Saturated if self.left.is_none() && now >= self.shared.end_us => None,
            Pace::Saturated => Some(now),
        }
    }

    fn make(&mut self, due: u64, now: u64) {
        let seq = self.book.next_seq();
        let (shared, voice) = (&self.shared, self.voice());
        let (kind, scanned_at_ms) = match &shared.backlog {
            Some(backlog) => (Kind::Good, backlog.scanned_at_ms(self.reader, seq)),
            None => {
                let made_at_ms = shared.wall_ms(due);
                (shared.mix.kind(shared.chance, voice, seq), made_at_ms.saturating_add(self.clock_ahead_ms()))
            }
        };
        // Nothing but its time tells a malformed scan of this device from one of the device before, and it has none.
        let kind = if self.replaced > 0 && kind == Kind::Malformed { Kind::Unknown } else { kind };
        if shared.backlog.is_none() {
            self.owed += shared.mix.duplicates_with(shared.chance, voice, seq);
        }
        self.book.enter(kind, due, scanned_at_ms);
        self.made += 1;
        self.left = self.left.map(|left| left.saturating_sub(1));
        if let Some(mut tally) = self.shared.tallies.of(self.reader) {
            tally.scans += 1;
            tally.unidentified += u64::from(kind == Kind::Unidentified);
        }
        self.publish(seq, Why::New, now);
    }

    fn publish(&mut self, seq: u64, why: Why, now: u64) {
        let Some(page) = self.book.page_mut(seq) else { return };
        page.sent_us = now;
        let scanned_at = Instant::from_unix_ms(page.scanned_at_ms);
        let kind = page.kind;
        let (shared, voice) = (&self.shared, self.voice());
        let id = ScanId { epoch: shared.epoch, seq };
        let payload = match &shared.backlog {
            Some(backlog) => backlog.payload(self.reader, id),
            None => payload(kind, id, scanned_at, self.kind(), &shared.badges, shared.chance, voice),
        };
        match self.client.try_publish(&self.topics.scan, shared.qos, false, payload) {
            Ok(()) => self.packets.requested(Message::Scan { seq, why }),
            Err(_) => {
                self.again.push_back(seq);
                self.failed("client", || "its queue is full".into());
            }
        }
    }

    fn has_room(&self) -> bool {
        self.packets.len() < usize::from(self.shared.in_flight) * usize::from(PACKETS_PER_SCAN)
    }

    fn to_duplicate(&self) -> Option<u64> {
        let number = self.shared.chance.number(Purpose::Duplicate, !(self.reader as u64), self.made + self.owed);
        self.book.settled(number)
    }

    fn plan_cut(&mut self, now: u64) {
        let per_minute = self.shared.reconnects_per_minute;
        if per_minute > 0.0 {
            let mean_us = 60e6 * self.shared.readers as f64 / per_minute;
            let chance = self.shared.chance.unit(Purpose::Reconnect, self.reader as u64, self.cuts);
            // Exponential intervals: cuts come at random, whenever the last one was.
            let pause = std::time::Duration::try_from_secs_f64(-(1.0 - chance).ln() * mean_us / 1e6);
            self.cut_us = pause.ok().and_then(|pause| now.checked_add(u64::try_from(pause.as_micros()).ok()?));
            self.cuts += 1;
        }
    }
}
