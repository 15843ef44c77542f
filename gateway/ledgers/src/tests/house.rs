//! Ledgers with a log and people in memory, and what the pure core says of the same log.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant as Monotonic};

use arc_swap::ArcSwap;
use jiff::civil::Date;
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use protocol::{ClockQuality, Encrypted, Event, EventKind, Instant, Outcome, SealedPart};
use tempfile::TempDir;
use tokio::sync::watch;

use super::site::{DAYS, MINUTE_MS, history, of, person, rules};
use crate::rules::{days_after, plus_ms};
use crate::*;
use base::clock::Clock;
use base::testing;

/// People of a history; the second works at night.
pub const PEOPLE: usize = 5;

const PATIENCE: Duration = Duration::from_secs(30);

/// A log in memory.
#[derive(Default)]
pub struct MemoryLog {
    events: RwLock<Vec<Event>>,
    newest: watch::Sender<u64>,
}

impl MemoryLog {
    pub fn append(&self, events: &[Event]) {
        let mut all = self.events.write().unwrap();
        all.extend_from_slice(events);
        self.newest.send_replace(all.len() as u64);
    }
}

impl Source for MemoryLog {
    fn read(&self, after: u64, events_max: usize, _: usize) -> Result<Vec<Event>, String> {
        let after = usize::try_from(after).unwrap();
        Ok(self.events.read().unwrap().iter().skip(after).take(events_max).cloned().collect())
    }

    fn last_event(&self) -> u64 {
        *self.newest.borrow()
    }

    fn wait_beyond(&self, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut newest = self.newest.subscribe();
        Box::pin(async move { drop(newest.wait_for(|last| *last > number).await.map(drop)) })
    }
}

/// People by number.
#[derive(Default)]
pub struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    numbers: HashMap<String, u64>,
    subjects: HashMap<u64, Arc<str>>,
    restricted: HashSet<u64>,
}

impl Book {
    pub fn erase(&self, subject: &str) -> u64 {
        let mut pages = self.0.lock().unwrap();
        let number = pages.numbers.remove(subject).unwrap();
        pages.subjects.remove(&number);
        number
    }

    pub fn restrict(&self, subject: &str) {
        let mut pages = self.0.lock().unwrap();
        let number = pages.numbers[subject];
        pages.restricted.insert(number);
    }
}

impl People for Book {
    fn number(&self, subject: &str) -> Option<u64> {
        self.0.lock().unwrap().numbers.get(subject).copied()
    }

    fn subject(&self, number: u64) -> Option<Arc<str>> {
        self.0.lock().unwrap().subjects.get(&number).cloned()
    }

    fn intern(&self, subject: &str) -> Option<u64> {
        let mut pages = self.0.lock().unwrap();
        let next = 17 + pages.numbers.len() as u64 * 3;
        let number = *pages.numbers.entry(subject.into()).or_insert(next);
        pages.subjects.insert(number, subject.into());
        Some(number)
    }

    fn is_restricted(&self, number: u64) -> bool {
        self.0.lock().unwrap().restricted.contains(&number)
    }
}

/// Ledgers of a log, in a folder that is deleted with them.
pub struct House {
    pub folder: TempDir,
    pub log: Arc<MemoryLog>,
    pub book: Arc<Book>,
    pub rules: Arc<ArcSwap<Rules>>,
    pub views: LedgerStore,
    metrics: Metrics,
}

impl House {
    pub fn new(rules: &Rules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, book) = (Arc::new(MemoryLog::default()), Arc::new(Book::default()));
        let rules = Arc::new(ArcSwap::from_pointee(rules.clone()));
        let metrics = Metrics::new(&mut Registry::default());
        let views = start(&folder.path().join("views.redb"), &log, &book, &rules, &metrics);
        Self { folder, log, book, rules, views, metrics }
    }

    /// Stops the ledgers, has something done to the file, and starts them again.
    pub fn restart(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.views.stop();
        let path = self.folder.path().join("views.redb");
        meanwhile(&path);
        self.views = start(&path, &self.log, &self.book, &self.rules, &self.metrics);
    }

    /// What is left when the process is killed now, in a house of its own.
    pub fn killed(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("views.redb");
        std::fs::copy(self.folder.path().join("views.redb"), &path).unwrap();
        let (log, book, rules) = (Arc::clone(&self.log), Arc::clone(&self.book), Arc::clone(&self.rules));
        let metrics = Metrics::new(&mut Registry::default());
        let views = start(&path, &log, &book, &rules, &metrics);
        Self { folder, log, book, rules, views, metrics }
    }

    /// How often the file was rebuilt.
    pub fn rebuilds(&self) -> u64 {
        self.metrics.rebuilds.get()
    }

    pub fn rest(&self) {
        until(|| self.views.is_at_rest().then_some(()));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.views.stop();
    }
}

fn start(
    path: &Path,
    log: &Arc<MemoryLog>,
    book: &Arc<Book>,
    rules: &Arc<ArcSwap<Rules>>,
    metrics: &Metrics,
) -> LedgerStore {
    LedgerStore::start(LedgerContext {
        path: path.into(),
        config: Config { cache_bytes: 1 << 20, sync_interval_ms: 100 },
        source: Arc::clone(log) as Arc<dyn Source>,
        people: Arc::clone(book) as Arc<dyn People>,
        rules: Arc::clone(rules),
        clock: Clock::new(|| Instant::from_unix_ms(1)),
        metrics: metrics.clone(),
    })
    .unwrap()
}

/// Waits until there is an answer.
pub fn until<T>(mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Monotonic::now() + PATIENCE;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Monotonic::now() < deadline, "never");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The answer, as soon as there is one.
pub fn answered<T>(question: impl Fn() -> Result<T, LedgerStoreError>) -> T {
    until(|| question().ok())
}

/// A log, and what of it is known of people.
#[derive(Clone, Debug)]
pub struct Past {
    pub which: usize,
    pub events: Vec<Event>,
    /// In the order of time.
    pub passages: Vec<(Person, Passage)>,
}

/// A random past in one of the calendars: late scans come hours or days later, some people are turned away, some payloads are no
/// scans, and somebody may come days after everything.
pub fn past() -> impl Strategy<Value = Past> {
    let history = (0..4usize).prop_flat_map(|which| (Just(which), history(PEOPLE, which)));
    (history, any::<u64>(), any::<bool>()).prop_map(|((which, history), seed, afterwards)| {
        let mut seen: Vec<(Instant, Person, Passage)> = Vec::new();
        let last = history.last().map(|(_, passage)| passage.at);
        for (who, passage) in history {
            let delay_ms = if passage.late { (seed ^ passage.number) as i64 % (3 * 1_440) * MINUTE_MS } else { 0 };
            seen.push((plus_ms(passage.at, delay_ms.abs()), who, passage));
        }
        if let Some(last) = last.filter(|_| afterwards) {
            let at = plus_ms(last, 9 * 1_440 * MINUTE_MS);
            let passage = super::site::passage(1, at, "annex", protocol::Direction::In);
            seen.push((at, person(0), passage));
        }
        seen.sort_by_key(|(received_at, ..)| *received_at);
        let (mut events, mut passages) = (Vec::new(), Vec::new());
        for (received_at, who, mut passage) in seen {
            passage.number = events.len() as u64 + 1;
            events.push(event(&passage, received_at));
            passages.push((who.clone(), passage.clone()));
            if (seed >> (events.len() % 60)) & 3 == 0 {
                let mut denied = event(&passage, received_at);
                denied.number = events.len() as u64 + 1;
                (denied.verdict.outcome, denied.verdict.open) = (Outcome::Denied, false);
                events.push(denied);
            }
        }
        passages.sort_by_key(|(_, passage)| passage.order());
        let mut past = Past { which, events, passages };
        past.encrypt(3);
        past
    })
}

fn event(passage: &Passage, received_at: Instant) -> Event {
    let mut event = testing::event(passage.number);
    event.door = passage.door.parse().unwrap();
    (event.received_at, event.decided_at) = (received_at, received_at);
    event.verdict.zone = Some(passage.zone.to_string());
    let EventKind::Scan(scan) = &mut event.subject else { panic!() };
    (scan.scanned_at, scan.direction) = (passage.at, passage.direction);
    if passage.late {
        (event.verdict.outcome, event.verdict.open) = (Outcome::Recorded, false);
    }
    if passage.clock_doubtful {
        scan.clock = ClockQuality::Unknown;
    }
    event
}

impl Past {
    /// Says whom the events are about: encrypted, or open in every so many.
    pub fn encrypt(&mut self, open: u64) {
        let book = Self::book();
        let mut who = person(0);
        for event in &mut self.events {
            if let Some((person, _)) = self.passages.iter().find(|(_, passage)| passage.number == event.number) {
                who = person.clone();
            }
            event.encrypted = None;
            if event.number.is_multiple_of(open) {
                event.verdict.person = Some(who.as_str().into());
            } else {
                let of = book.number(who.as_str()).unwrap();
                event.encrypted = Some(Encrypted { person: Some(SealedPart { of, bytes: Vec::new() }), helper: None });
            }
        }
    }

    /// A past of these passages, each an event when it was, or a late one an event behind all others.
    pub fn new(which: usize, mut passages: Vec<(Person, Passage)>) -> Self {
        let last = passages.iter().filter(|(_, passage)| !passage.late).map(|(_, passage)| passage.at).max().unwrap();
        let received = |passage: &Passage| if passage.late { last } else { passage.at };
        let events = passages.iter().map(|(_, passage)| event(passage, received(passage))).collect();
        passages.sort_by_key(|(_, passage)| passage.order());
        let mut past = Self { which, events, passages };
        past.encrypt(u64::MAX);
        past
    }

    /// The people of every past.
    pub fn book() -> Arc<Book> {
        let book = Book::default();
        (0..PEOPLE).for_each(|who| assert!(book.intern(person(who).as_str()).is_some()));
        Arc::new(book)
    }

    /// A house in which everybody is known and nothing has happened.
    pub fn house(&self) -> House {
        let house = House::new(&self.rules());
        (0..PEOPLE).for_each(|who| assert!(house.book.intern(person(who).as_str()).is_some()));
        house
    }

    pub fn rules(&self) -> Rules {
        rules(self.which).0
    }

    /// The moment so many minutes after the beginning.
    pub fn at(&self, minute: i64) -> Instant {
        let (rules, day) = rules(self.which);
        plus_ms(rules.start_of(day), minute * MINUTE_MS)
    }

    /// Its first events.
    pub fn first(&self, events: usize) -> Self {
        let known = |passage: &Passage| passage.number <= events as u64;
        let passages = self.passages.iter().filter(|(_, passage)| known(passage)).cloned().collect();
        Self { which: self.which, events: self.events[..events].to_vec(), passages }
    }

    /// So many minutes after the beginning the newest event was decided.
    pub fn newest(&self) -> i64 {
        let newest = self.events.iter().map(|event| event.decided_at).max();
        newest.map_or(0, |newest| newest.ms_since(self.at(0)) / MINUTE_MS)
    }

    /// Without whatever is about these people.
    pub fn without(&self, people: &[usize]) -> Self {
        let left_out = |who: &Person| people.iter().any(|one| person(*one) == *who);
        let passages = self.passages.iter().filter(|(who, _)| !left_out(who)).cloned().collect();
        Self { passages, ..self.clone() }
    }

    fn day(&self, days: i32) -> Date {
        days_after(rules(self.which).1, days)
    }
}

/// What to ask.
#[derive(Clone, Debug)]
pub struct Question {
    /// Minutes since the beginning.
    pub now: i64,
    pub from: i64,
    pub length: i64,
    pub threshold: u32,
    pub around: bool,
    pub second: bool,
}

pub fn question() -> impl Strategy<Value = Question> {
    let minutes = DAYS * 1_440 + 2_000;
    let now = prop_oneof![1 => 0..minutes, 2 => Just(30 * 1_440)];
    (now, 0..3_000i64, 500..DAYS * 1_440, 1..90u32, any::<bool>(), any::<bool>()).prop_map(
        |(now, from, length, threshold, around, second)| Question { now, from, length, threshold, around, second },
    )
}

/// Compares whatever the ledgers can be asked with what the pure core makes of the past.
pub fn compare(views: &LedgerStore, past: &Past, rules: &Rules, ask: &Question) -> Result<(), TestCaseError> {
    let now = past.at(ask.now);
    let known = |who: &Person| of(who, &past.passages).into_iter().filter(|passage| passage.at <= now).collect();
    let people: Vec<(Person, Vec<Passage>)> = (0..PEOPLE).map(person).map(|who| (who.clone(), known(&who))).collect();
    let all = |who: &Person, passages: &[Passage]| sessions(who, passages, rules, now);

    let (first, last) = (past.day(-2), past.day(14));
    let expected = |who: &Person, passages: &[Passage]| working_days(who, first, last, &all(who, passages), rules);
    let mut table: Vec<Attendance> = people.iter().flat_map(|(who, passages)| expected(who, passages)).collect();
    table.sort_by(|one, other| (one.day, &one.person).cmp(&(other.day, &other.person)));
    let attendance =
        |person: Option<&str>| answered(|| views.attendance(first, last, person, Restricted::LeftOut, now));
    prop_assert_eq!(&attendance(None), &table);
    let one: Vec<Attendance> = table.iter().filter(|row| row.day == past.day(1)).cloned().collect();
    prop_assert_eq!(answered(|| views.attendance(past.day(1), past.day(1), None, Restricted::LeftOut, now)), one);
    for (who, passages) in &people {
        prop_assert_eq!(attendance(Some(who.as_str())), expected(who, passages));
    }

    let present = people.iter().filter_map(|(who, passages)| present(who, &all(who, passages), rules, now));
    prop_assert_eq!(answered(|| views.presence(now)), PresenceNow::new(now, present.collect(), rules));

    let everybody: Vec<(Person, Vec<Stay>)> = people
        .iter()
        .map(|(who, passages)| {
            (who.clone(), all(who, passages).into_iter().flat_map(|session| session.stays).collect())
        })
        .collect();
    for who in (0..PEOPLE).map(person) {
        let query = ContactQuery {
            threshold_minutes: ask.threshold,
            scope: if ask.around { Scope::Around } else { Scope::Innermost },
            generations: if ask.second { Generations::Second } else { Generations::First },
            ..ContactQuery::new(who, past.at(ask.from), past.at(ask.from + ask.length))
        };
        prop_assert_eq!(answered(|| views.contacts(&query, now)), contacts(&query, &everybody, rules));
    }
    Ok(())
}
