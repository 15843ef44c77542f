//! The ledgers of a regency's year: taking in the log, start, contacts, attendance, presence, and what memory and disk they take.
//!
//! Longer than 400 lines: the made-up year and the questions to it belong together.
//!
//! `cargo bench -p ledgers --bench ledgers [-- EVENTS]`, ten million where nothing is said. The log is made up as it is read. Taking in
//! and asking run in processes of their own, so that none is charged with the memory of the other.
//!
//! `-- log [EVENTS]` writes events, 300,000 where nothing is said, to a log with a vault, and makes the ledgers anew from these.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop at what it did not expect")]

use std::hint::black_box;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Stopwatch};

use arc_swap::ArcSwap;
use base::calendar::Week;
use base::clock::Clock;
use base::door_list::Zones;
use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use ledgers::{
    Config, ContactQuery, Generations, LedgerContext, LedgerStore, Metrics, People, Person, Restricted, Rules, Scope,
    Source,
};
use prometheus_client::registry::Registry;
use protocol::event::Marks;
use protocol::{
    ClockQuality, CredentialHash, Direction, Encrypted, Event, EventKind, Instant, Mode, Outcome, ScanId, ScanRecord,
    SealedPart, Text, Verdict,
};
use store::log::{self, Commit, Log, LogReader};
use store::vault::Vault;

const EVENTS: u64 = 10_000_000;
const LOG_EVENTS: u64 = 300_000;
const STAFF: u64 = 6_900;
const OFFICES: u64 = 60;
const FIRST_DAY: Date = date(2026, 1, 1);
/// Questions of each kind whose times are told.
const CONTACT_QUESTIONS: usize = 300;
const OTHER_QUESTIONS: usize = 12;

fn main() {
    // Cargo adds an argument of its own; `cargo test --benches` runs it with nothing to measure.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--test", ..] => {}
        ["take-in", folder, events] => take_in(folder.as_ref(), events.parse().unwrap()),
        ["ask", folder, events] => ask(folder.as_ref(), events.parse().unwrap()),
        ["log"] => real_log(LOG_EVENTS),
        ["log", events] => real_log(events.parse().unwrap()),
        [] => all(EVENTS),
        [events] => all(events.parse().unwrap()),
        _ => println!("give the number of events, or nothing"),
    }
}

fn all(events: u64) {
    let folder = tempfile::tempdir().unwrap();
    for step in ["take-in", "ask"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(step).arg(folder.path()).arg(events.to_string());
        assert!(command.status().unwrap().success(), "{step} failed");
    }
}

/// Writes the events to a log as the gateway does, and makes the ledgers from it.
fn real_log(events: u64) {
    let folder = tempfile::tempdir().unwrap();
    let year = Year::new(events);
    let vault = Vault::open(&folder.path().join("vault.redb"), 8 << 20).unwrap();
    let metrics = log::Metrics::new(&mut Registry::default());
    let path = folder.path().join("log.redb");
    let (mut log, reader) = Log::open(&path, &log::Config::default(), metrics, Clock::system(), vault.clone()).unwrap();
    let started = Stopwatch::now();
    let mut after = 0;
    loop {
        let mut events = year.read(after, 1_024, usize::MAX).unwrap();
        let Some(last) = events.last() else { break };
        after = last.number;
        for event in &mut events {
            let of = event.encrypted.take().and_then(|encrypted| encrypted.person).map(|part| part.of);
            event.verdict.person = of.map(id);
        }
        log.commit(&Commit { events: &events, ..Commit::default() }).unwrap();
    }
    println!("{after} events written to the log at {:.0} events/s", rate(after, started));
    let vault = Arc::new(VaultPeople(vault));
    let started = Stopwatch::now();
    let views = start_on(folder.path(), Arc::new(RealLog(reader)), vault);
    wait(|| !views.position().rebuilding);
    println!("taken in from the log at {:.0} events/s", rate(after, started));
    let now = year.at(year.days.len() - 1, 10 * 60);
    println!("{} people are inside", views.presence(now).unwrap().people.len());
    views.stop();
}

/// The log as the ledgers follow it.
struct RealLog(LogReader);

impl Source for RealLog {
    fn read(&self, after: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, String> {
        self.0.read_sealed(after, events_max, bytes_max).map_err(|error| error.to_string())
    }

    fn last_event(&self) -> u64 {
        self.0.last_event()
    }

    fn wait_beyond(&self, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

struct VaultPeople(Vault);

impl People for VaultPeople {
    fn number(&self, subject: &str) -> Option<u64> {
        self.0.number(subject).unwrap()
    }

    fn subject(&self, number: u64) -> Option<Arc<str>> {
        self.0.subject(number).unwrap().map(Into::into)
    }

    fn intern(&self, subject: &str) -> Option<u64> {
        Some(self.0.intern(subject).unwrap())
    }

    fn is_restricted(&self, _: u64) -> bool {
        false
    }
}

fn take_in(folder: &Path, events: u64) {
    let year = Arc::new(Year::new(events));
    println!("{} events of {STAFF} people on {} working days", year.events(), year.days.len());
    let started = Stopwatch::now();
    let mut after = 0;
    while let Some(last) = year.read(after, 4_096, usize::MAX).unwrap().last() {
        after = last.number;
    }
    println!("the log is made up at {:.0} events/s", rate(after, started));

    let started = Stopwatch::now();
    let views = start(folder, &year);
    wait(|| !views.position().rebuilding);
    println!("taken in at {:.0} events/s ({:.1} s)", rate(year.events(), started), started.elapsed().as_secs_f64());
    println!("{} MB resident, at most {}", memory("VmRSS"), memory("VmHWM"));
    let started = Stopwatch::now();
    wait(|| views.is_at_rest());
    println!("stays filed and everything checked after another {:.1} s", started.elapsed().as_secs_f64());
    views.stop();
    println!("the file has {} MB", std::fs::metadata(folder.join("views.redb")).unwrap().len() / 1_000_000);
    println!("{} MB resident, at most {}", memory("VmRSS"), memory("VmHWM"));
}

fn ask(folder: &Path, events: u64) {
    let year = Arc::new(Year::new(events));
    println!("{} MB resident before the ledgers", memory("VmRSS"));
    let started = Stopwatch::now();
    let views = start(folder, &year);
    let now = year.at(year.days.len() - 1, 10 * 60);
    wait(|| views.presence(now).is_ok());
    println!("first answer {:.3} s after the start", started.elapsed().as_secs_f64());
    wait(|| views.is_at_rest());
    println!("everything checked {:.1} s after the start", started.elapsed().as_secs_f64());

    let present = views.presence(now).unwrap().people.len();
    told(&format!("presence ({present} people)"), OTHER_QUESTIONS, |_| views.presence(now).unwrap().people.len());
    let day =
        |dice: &mut Dice, length: usize| usize::try_from(dice.below((year.days.len() - length).max(1) as u64)).unwrap();
    let later = year.at(year.days.len() - 1, 23 * 60);
    told("a day's attendance of everybody", OTHER_QUESTIONS, |dice| {
        let day = year.days[day(dice, 1)];
        views.attendance(day, day, None, Restricted::LeftOut, later).unwrap().len()
    });
    let today = *year.days.last().unwrap();
    told("today's attendance of everybody", OTHER_QUESTIONS, |_| {
        views.attendance(today, today, None, Restricted::LeftOut, now).unwrap().len()
    });
    // As HTTP asks for many days of everybody: a week at a time.
    let quarter = year.days.len().min(64);
    told("a quarter's attendance of everybody, by weeks", 1, |_| {
        let last = &year.days[year.days.len() - quarter..];
        let week = |days: &[Date]| views.attendance(days[0], days[days.len() - 1], None, Restricted::LeftOut, later);
        last.chunks(5).map(|days| week(days).unwrap().len()).sum()
    });
    println!("{} MB resident, at most {}", memory("VmRSS"), memory("VmHWM"));
    let month = 23.min(year.days.len());
    told("a month's attendance of one", OTHER_QUESTIONS * 4, |dice| {
        let (first, person) = (day(dice, month), id(dice.below(STAFF)));
        let days = (year.days[first], year.days[first + month - 1]);
        views.attendance(days.0, days.1, Some(&person), Restricted::LeftOut, later).unwrap().len()
    });
    told("the events of one in a year", OTHER_QUESTIONS * 4, |dice| {
        views.events_of(&id(dice.below(STAFF)), (None, None), 0, usize::MAX, Restricted::Included).unwrap().len()
    });
    // 14 days have 10 working days.
    let fortnight = 10.min(year.days.len());
    let query = |dice: &mut Dice| {
        let first = day(dice, fortnight);
        let (from, to) = (year.at(first, 0), year.at(first + fortnight - 1, 24 * 60));
        ContactQuery::new(Person::new(&id(dice.below(STAFF))), from, to)
    };
    told("contacts in 14 days", CONTACT_QUESTIONS, |dice| views.contacts(&query(dice), later).unwrap().len());
    told("contacts in 14 days until now", OTHER_QUESTIONS, |dice| {
        let query = ContactQuery { from: year.at(year.days.len() - fortnight, 0), to: later, ..query(dice) };
        views.contacts(&query, later).unwrap().len()
    });
    told("the same with all zones around", OTHER_QUESTIONS, |dice| {
        views.contacts(&ContactQuery { scope: Scope::Around, ..query(dice) }, later).unwrap().len()
    });
    println!("{} MB resident, at most {}", memory("VmRSS"), memory("VmHWM"));
    told("contacts of contacts on one day", OTHER_QUESTIONS, |dice| {
        let query = query(dice);
        // One day, half an hour: of more, there are too many.
        let query =
            ContactQuery { to: plus_day(query.from), generations: Generations::Second, threshold_minutes: 30, ..query };
        views.contacts(&query, later).map_or(0, |found| found.len())
    });
    println!("{} MB resident, at most {}", memory("VmRSS"), memory("VmHWM"));
    views.stop();
}

fn plus_day(at: Instant) -> Instant {
    Instant::from_unix_ms(at.unix_ms() + 86_400_000)
}

/// Asks so often, and tells how long it takes.
fn told(what: &str, times: usize, mut question: impl FnMut(&mut Dice) -> usize) {
    let mut dice = Dice(42);
    let mut took: Vec<(Duration, usize)> = (0..times)
        .map(|_| {
            let started = Stopwatch::now();
            let answers = black_box(question(&mut dice));
            (started.elapsed(), answers)
        })
        .collect();
    took.sort_unstable();
    let ms = |percent: usize| took[(times - 1) * percent / 100].0.as_secs_f64() * 1e3;
    let answers = took.iter().map(|(_, answers)| answers).sum::<usize>() / times;
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms; {answers} rows", ms(50), ms(99), ms(100));
}

fn start(folder: &Path, year: &Arc<Year>) -> LedgerStore {
    start_on(folder, Arc::clone(year) as Arc<dyn Source>, Arc::new(Register::new()))
}

fn start_on(folder: &Path, source: Arc<dyn Source>, people: Arc<dyn People>) -> LedgerStore {
    LedgerStore::start(LedgerContext {
        path: folder.join("views.redb"),
        config: Config::default(),
        source,
        people,
        rules: Arc::new(ArcSwap::from_pointee(rules())),
        clock: Clock::system(),
        metrics: Metrics::new(&mut Registry::default()),
    })
    .unwrap()
}

fn rules() -> Rules {
    let mut rules = Rules::new(TimeZone::get("Asia/Makassar").unwrap());
    let offices: String = (0..OFFICES).map(|office| format!("[{}]\nparent = \"complex\"\n", zone(office))).collect();
    rules.zones = Zones::parse(&format!("[complex]\n{offices}")).unwrap();
    rules.hours.week = Week::workdays("07:30-16:00".parse().unwrap());
    rules
}

fn zone(office: u64) -> String {
    format!("opd-{office:02}")
}

fn id(number: u64) -> String {
    format!("P-{number:04}")
}

fn wait(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn rate(events: u64, started: Stopwatch) -> f64 {
    events as f64 / started.elapsed().as_secs_f64()
}

/// A line of this process's status, in MB.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|found| found.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_000
}

/// Everybody, with the number that their id has.
struct Register(Vec<Arc<str>>);

impl Register {
    fn new() -> Self {
        Self((0..STAFF).map(|number| id(number).into()).collect())
    }
}

impl People for Register {
    fn number(&self, subject: &str) -> Option<u64> {
        subject.strip_prefix("P-")?.parse().ok()
    }

    fn subject(&self, number: u64) -> Option<Arc<str>> {
        self.0.get(usize::try_from(number).ok()?).cloned()
    }

    fn intern(&self, subject: &str) -> Option<u64> {
        self.number(subject)
    }

    fn is_restricted(&self, _: u64) -> bool {
        false
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Somebody at a door.
#[derive(Clone, Copy)]
struct Scan {
    received_ms: i64,
    at_ms: i64,
    person: u64,
    /// [`OFFICES`]: the gate of the complex.
    office: u64,
    direction: Direction,
}

/// The log of some working days, made up day by day.
struct Year {
    days: Vec<Date>,
    /// Number of each day's first event, and one behind the last.
    firsts: Vec<u64>,
    rules: Rules,
    recent: Mutex<(usize, Arc<Vec<Scan>>)>,
}

impl Year {
    fn new(events: u64) -> Self {
        let recent = Mutex::new((usize::MAX, Arc::default()));
        let mut year = Self { days: Vec::new(), firsts: vec![1], rules: rules(), recent };
        let mut day = FIRST_DAY;
        while year.events() < events {
            if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
                year.days.push(day);
                let scans = year.scans(year.days.len() - 1).len();
                year.firsts.push(year.firsts.last().unwrap() + scans as u64);
            }
            day = day.tomorrow().unwrap();
        }
        year
    }

    fn events(&self) -> u64 {
        self.firsts.last().unwrap() - 1
    }

    /// The moment so many minutes into a working day.
    fn at(&self, day: usize, minute: i64) -> Instant {
        Instant::from_unix_ms(self.rules.start_of(self.days[day]).unix_ms() + minute * 60_000)
    }

    /// A day's scans, in the order in which they arrive.
    fn scans(&self, day: usize) -> Vec<Scan> {
        let midnight_ms = self.at(day, 0).unix_ms();
        let mut dice = Dice(day as u64 * 1_000_003);
        let mut scans = Vec::with_capacity(45_000);
        for person in 0..STAFF {
            if dice.percent(90) {
                walk(person, midnight_ms, &mut dice, &mut scans);
            }
        }
        scans.sort_unstable_by_key(|scan| (scan.received_ms, scan.person));
        scans
    }

    fn of_day(&self, day: usize) -> Arc<Vec<Scan>> {
        let mut recent = self.recent.lock().unwrap();
        if recent.0 != day {
            *recent = (day, Arc::new(self.scans(day)));
        }
        Arc::clone(&recent.1)
    }
}

/// One person's day.
fn walk(person: u64, midnight_ms: i64, dice: &mut Dice, scans: &mut Vec<Scan>) {
    let own = person % OFFICES;
    let mut at_ms = midnight_ms + 7 * 3_600_000 + dice.below(45 * 60_000) as i64;
    let mut pass = |dice: &mut Dice, office, direction, minutes: (u64, u64)| {
        let (here_ms, missed, late) = (at_ms, dice.percent(2), dice.percent(1));
        at_ms += (minutes.0 * 60_000 + dice.below(minutes.1 * 60_000)) as i64;
        let received_ms = here_ms + if late { dice.below(6 * 3_600_000) as i64 } else { 0 };
        if !missed {
            scans.push(Scan { received_ms, at_ms: here_ms, person, office, direction });
        }
    };
    pass(dice, OFFICES, Direction::In, (2, 6));
    pass(dice, own, Direction::In, (60, 150));
    if dice.percent(20) {
        let other = dice.below(OFFICES);
        pass(dice, own, Direction::Out, (2, 5));
        pass(dice, other, Direction::In, (15, 60));
        pass(dice, other, Direction::Out, (2, 5));
        pass(dice, own, Direction::In, (20, 60));
    }
    if dice.percent(50) {
        let away = dice.percent(60);
        pass(dice, own, Direction::Out, (2, 5));
        if away {
            pass(dice, OFFICES, Direction::Out, (15, 30));
            pass(dice, OFFICES, Direction::In, (2, 5));
        }
        pass(dice, own, Direction::In, (120, 90));
    } else {
        pass(dice, own, Direction::Out, (2, 5));
        pass(dice, own, Direction::In, (120, 90));
    }
    pass(dice, own, Direction::Out, (2, 6));
    pass(dice, OFFICES, Direction::Out, (1, 1));
}

impl Source for Year {
    fn read(&self, after: u64, events_max: usize, _: usize) -> Result<Vec<Event>, String> {
        let day = self.firsts.partition_point(|first| *first <= after + 1) - 1;
        if day >= self.days.len() {
            return Ok(Vec::new());
        }
        let scans = self.of_day(day);
        let skip = usize::try_from(after + 1 - self.firsts[day]).unwrap();
        Ok((after + 1..)
            .zip(scans.iter().skip(skip).take(events_max))
            .map(|(number, scan)| event(number, scan))
            .collect())
    }

    fn last_event(&self) -> u64 {
        self.events()
    }

    fn wait_beyond(&self, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

fn event(number: u64, scan: &Scan) -> Event {
    let late = scan.received_ms != scan.at_ms;
    let (zone, door) = match scan.office {
        OFFICES => ("complex".to_owned(), format!("gate-{}", scan.person % 8)),
        office => (zone(office), format!("door-{office:02}")),
    };
    Event {
        number,
        door: door.parse().unwrap(),
        received_at: Instant::from_unix_ms(scan.received_ms),
        decided_at: Instant::from_unix_ms(scan.received_ms),
        subject: EventKind::Scan(ScanRecord {
            id: ScanId { epoch: 1, seq: number },
            scanned_at: Instant::from_unix_ms(scan.at_ms),
            direction: scan.direction,
            credential: CredentialHash([0; 16]),
            clock: ClockQuality::Good,
            kind: None,
            pass: None,
        }),
        verdict: Verdict {
            outcome: if late { Outcome::Recorded } else { Outcome::Granted },
            open: !late,
            reason: "staff-working-hours".into(),
            text: Text::new("Silakan masuk", "Please come in"),
            mode: Mode::Enforce,
            would_be: None,
            person: None,
            class: None,
            status: None,
            policies: Vec::new(),
            policy_set: None,
            zone: Some(zone),
            shadow: None,
            language: None,
        },
        encrypted: Some(Encrypted { person: Some(SealedPart { of: scan.person, bytes: Vec::new() }), helper: None }),
        happened_at: Some(Instant::from_unix_ms(scan.at_ms)),
        marks: Marks::default(),
    }
}
