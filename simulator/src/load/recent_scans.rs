//! A reader's book: what it has scanned, what of it is acknowledged, and what it was answered.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::Outcome;
use serde::Deserialize;

use super::mix::Kind;

/// A reader's latest scans. A page is turned once it is settled and [`PAGES_KEPT`] later ones are there.
#[derive(Debug)]
pub struct RecentScans {
    first_seq: u64,
    pages: VecDeque<Page>,
    unsettled: usize,
}

/// One scan. Times are in microseconds since the run's start.
#[derive(Clone, Debug)]
pub struct Page {
    /// What it is.
    pub kind: Kind,
    /// When it was meant to be made.
    pub due_us: u64,
    /// When it was last handed to the client.
    pub sent_us: u64,
    /// When the reader says that it was made, in Unix milliseconds.
    pub scanned_at_ms: i64,
    /// How often the gateway could promise nothing.
    pub refusals: u32,
    /// How often it was sent again because its answer did not come.
    pub repeats: u32,
    /// Whether the gateway has acknowledged it.
    pub acked: bool,
    /// What it was answered for good.
    pub answer: Option<RememberedAnswer>,
}

/// What a book remembers of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedAnswer {
    /// What was decided; absent where a plain broker relayed the scan.
    pub outcome: Option<Outcome>,
    /// The event that keeps it.
    pub event: Option<u64>,
    fingerprint: u64,
}

/// A decision as far as a reader reads it.
#[derive(Debug, Deserialize)]
pub struct Answer<'a> {
    /// Epoch of the scan; absent where a helper has admitted somebody without one.
    pub epoch: Option<u32>,
    /// Sequence number of the scan; 0 where there was none.
    #[serde(default)]
    pub seq: u64,
    /// What was decided; absent where a plain broker relayed the scan.
    pub outcome: Option<Outcome>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    event: Option<u64>,
}

impl Answer<'_> {
    /// Whether it answers a helper: a second decision beside the scan's own.
    pub fn is_to_a_helper(&self) -> bool {
        self.reason.as_deref().is_some_and(|reason| reason.starts_with("helper-") || reason.starts_with("assist-"))
    }
}

/// What an answer is to the scans that are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The scan's first.
    First,
    /// The same as before.
    Same,
    /// Another than before: the gateway contradicts itself.
    Conflict,
    /// To a scan whose page is turned, or that never was.
    Unknown,
}

/// Settled pages that stay, for duplicates and to recognise answers that contradict earlier ones.
pub const PAGES_KEPT: usize = 64;

/// Most pages there are: past that, a reader scans nothing new until its oldest scan is settled.
pub const PAGES_MAX: usize = 8 * PAGES_KEPT;

impl Default for RecentScans {
    fn default() -> Self {
        Self { first_seq: 1, pages: VecDeque::new(), unsettled: 0 }
    }
}

impl RecentScans {
    /// Scans that still wait for their acknowledgement or their answer.
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Whether there is no page for another scan.
    pub fn is_full(&self) -> bool {
        self.pages.len() >= PAGES_MAX
    }

    /// The sequence number of the next scan.
    pub fn next_seq(&self) -> u64 {
        self.first_seq + self.pages.len() as u64
    }

    /// Enters a scan under [`Self::next_seq`].
    pub fn enter(&mut self, kind: Kind, due_us: u64, scanned_at_ms: i64) {
        self.unsettled += 1;
        self.pages.push_back(Page {
            kind,
            due_us,
            sent_us: 0,
            scanned_at_ms,
            refusals: 0,
            repeats: 0,
            acked: false,
            answer: None,
        });
    }

    /// A scan's page.
    pub fn page(&self, seq: u64) -> Option<&Page> {
        self.pages.get(usize::try_from(seq.checked_sub(self.first_seq)?).ok()?)
    }

    /// A scan's page, to write on it.
    pub fn page_mut(&mut self, seq: u64) -> Option<&mut Page> {
        self.pages.get_mut(usize::try_from(seq.checked_sub(self.first_seq)?).ok()?)
    }

    /// The gateway acknowledged a scan. The page, if that is new.
    pub fn acknowledge(&mut self, seq: u64) -> Option<Page> {
        let page = self.page_mut(seq).filter(|page| !page.acked)?;
        page.acked = true;
        let page = page.clone();
        self.unsettled -= usize::from(page.is_settled());
        Some(page)
    }

    /// The gateway answered a scan for good.
    pub fn answer(&mut self, answer: &Answer<'_>) -> Answered {
        let kept = answer.kept();
        let Some(page) = self.page_mut(answer.seq) else { return Answered::Unknown };
        match &page.answer {
            Some(before) if *before == kept => Answered::Same,
            Some(_) => Answered::Conflict,
            None => {
                let before = page.is_settled();
                page.answer = Some(kept);
                let settles = !before && page.is_settled();
                self.unsettled -= usize::from(settles);
                Answered::First
            }
        }
    }

    /// Turns the pages that are of no more use.
    pub fn turn(&mut self) {
        while self.pages.len() > PAGES_KEPT && self.pages.front().is_some_and(Page::is_settled) {
            self.pages.pop_front();
            self.first_seq += 1;
        }
    }

    /// A scan that is settled and answered, the `number`th of the later ones that are remembered, counted round and
    /// round. Not one of the oldest: their pages could be turned before they are answered again.
    pub fn settled(&self, number: u64) -> Option<u64> {
        let len = self.pages.len() as u64;
        let oldest = len.saturating_sub(PAGES_KEPT as u64 / 2);
        let start = oldest + number.checked_rem(len - oldest)?;
        (start..len)
            .chain(oldest..start)
            .map(|index| self.first_seq + index)
            .find(|seq| self.page(*seq).is_some_and(|page| page.acked && page.answer.is_some()))
    }

    /// Every page with its sequence number.
    pub fn pages(&self) -> impl Iterator<Item = (u64, &Page)> {
        (self.first_seq..).zip(&self.pages)
    }
}

impl Page {
    /// Whether the reader has nothing more to wait for.
    pub fn is_settled(&self) -> bool {
        self.acked && (self.answer.is_some() || self.kind == Kind::Unidentified)
    }

    /// Whether it is acknowledged, and the answer that belongs to it has been lost.
    pub fn lacks_answer(&self) -> bool {
        self.acked && !self.is_settled()
    }
}

impl Answer<'_> {
    fn kept(&self) -> RememberedAnswer {
        let mut hasher = DefaultHasher::new();
        // Not whether the door opens: told again late, it does not.
        (self.outcome, &self.reason, self.event).hash(&mut hasher);
        RememberedAnswer { outcome: self.outcome, event: self.event, fingerprint: hasher.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(seq: u64, outcome: Outcome, event: u64) -> Answer<'static> {
        Answer { epoch: Some(1), seq, outcome: Some(outcome), reason: Some("r".into()), event: Some(event) }
    }

    #[test]
    fn a_scan_is_settled_once_acknowledged_and_answered_in_any_order() {
        let mut book = RecentScans::default();
        book.enter(Kind::Good, 0, 0);
        book.enter(Kind::Good, 0, 0);
        assert_eq!(book.answer(&answer(1, Outcome::Granted, 1)), Answered::First);
        assert_eq!(book.unsettled(), 2);
        assert!(book.acknowledge(1).unwrap().is_settled());
        assert!(book.acknowledge(2).unwrap().lacks_answer());
        assert_eq!(book.unsettled(), 1);
        assert_eq!(book.answer(&answer(2, Outcome::Granted, 2)), Answered::First);
        assert_eq!(book.unsettled(), 0);
        assert!(book.acknowledge(2).is_none());
    }

    #[test]
    fn an_unidentified_scan_is_settled_without_an_answer() {
        let mut book = RecentScans::default();
        book.enter(Kind::Unidentified, 0, 0);
        assert!(book.acknowledge(1).unwrap().is_settled());
        assert_eq!((book.unsettled(), book.settled(0)), (0, None));
    }

    #[test]
    fn an_answer_that_contradicts_an_earlier_one_is_noticed() {
        let mut book = RecentScans::default();
        book.enter(Kind::Good, 0, 0);
        assert_eq!(book.answer(&answer(1, Outcome::Granted, 1)), Answered::First);
        assert_eq!(book.answer(&answer(1, Outcome::Granted, 1)), Answered::Same);
        assert_eq!(book.answer(&answer(1, Outcome::Granted, 2)), Answered::Conflict);
        assert_eq!(book.answer(&answer(1, Outcome::Denied, 1)), Answered::Conflict);
        assert_eq!(book.answer(&answer(7, Outcome::Denied, 1)), Answered::Unknown);
        assert_eq!(book.answer(&answer(0, Outcome::Denied, 1)), Answered::Unknown);
    }

    #[test]
    fn a_book_stays_small_and_is_full_when_its_oldest_scan_is_never_settled() {
        let mut book = RecentScans::default();
        for seq in 1..=1_000 {
            book.enter(Kind::Unidentified, 0, 0);
            book.acknowledge(seq);
            book.turn();
        }
        assert_eq!((book.pages().count(), book.next_seq()), (PAGES_KEPT, 1_001));
        book.enter(Kind::Good, 0, 0);
        while !book.is_full() {
            let seq = book.next_seq();
            book.enter(Kind::Unidentified, 0, 0);
            book.acknowledge(seq);
            book.turn();
        }
        assert_eq!((book.pages().count(), book.unsettled()), (PAGES_MAX, 1));
        assert_eq!(book.pages().next().unwrap().0, 1_001);
    }

    #[test]
    fn a_decision_and_a_relayed_scan_are_both_read() {
        let decision = protocol::Decision::unavailable(
            protocol::ScanId { epoch: 1, seq: 2 },
            "log",
            protocol::Instant::from_unix_ms(0),
        );
        let json = decision.to_json();
        let answer: Answer<'_> = serde_json::from_slice(&json).unwrap();
        assert_eq!((answer.seq, answer.outcome), (2, Some(Outcome::Unavailable)));
        let answer: Answer<'_> = serde_json::from_str(r#"{"v":1,"epoch":1,"seq":3,"direction":"in"}"#).unwrap();
        assert_eq!((answer.seq, answer.outcome), (3, None));
    }

    #[test]
    fn what_a_helper_is_answered_is_no_scans_decision() {
        let read = |json| serde_json::from_str::<Answer<'_>>(json).unwrap();
        let by_hand = read(r#"{"v":1,"outcome":"granted","open":true,"reason":"helper-admitted","event":9}"#);
        assert_eq!((by_hand.epoch, by_hand.is_to_a_helper()), (None, true));
        let waits =
            read(r#"{"v":1,"epoch":1,"seq":3,"outcome":"assist","open":false,"reason":"status-yellow","event":8}"#);
        assert!(!waits.is_to_a_helper());
    }
}
