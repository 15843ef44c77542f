//! What it costs to encrypt events on their way into the log, to open them again, and to destroy somebody's keys.
//!
//! `cargo bench -p store --bench vault [-- PEOPLE]`. Keys of 13 months are made, as many as a year's log needs.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant as Monotonic};

use base::clock::Clock;
use prometheus_client::registry::Registry;
use protocol::{
    ClockQuality, CredentialHash, Direction, Event, EventKind, Instant, Mode, Outcome, PersonClass, ScanId, ScanRecord,
    Text, Verdict,
};
use store::log::{Commit, Config, Log, Metrics};
use store::vault::{Month, Vault};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PEOPLE: u64 = 7_000;
const MONTHS: u32 = 13;
const EVENTS: u64 = 200_000;
const BATCH: usize = 1024;
const CACHE_BYTES: usize = 8 << 20;
const NOW_MS: i64 = 1_795_390_264_000;

fn main() -> Result<()> {
    // Cargo adds an argument of its own.
    let people = std::env::args().skip(1).find(|argument| argument != "--bench");
    let people = people.map_or(Ok(PEOPLE), |people| people.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("vault.redb");
    let vault = Vault::open(&path, CACHE_BYTES)?;

    let mut month = Month::of(Instant::from_unix_ms(NOW_MS));
    let watch = Monotonic::now();
    for _ in 0..MONTHS {
        for first in (0..people).step_by(BATCH) {
            let batch = people.min(first + BATCH as u64) - first;
            let at = move |number: u64| event(number, first + number % batch, month_ms(month));
            black_box(vault.encrypt(&(1..=batch).map(at).collect::<Vec<_>>())?);
        }
        month = month.previous();
    }
    println!("{people} people, keys of {MONTHS} months each, made in {:.1} s", watch.elapsed().as_secs_f64());
    println!("  the file has {:.1} MB", std::fs::metadata(&path)?.len() as f64 / 1e6);
    drop(vault);

    let events: Vec<Event> = (1..=EVENTS).map(|number| event(number, number * 7919 % people, NOW_MS)).collect();
    let vault = Vault::open(&path, CACHE_BYTES)?;
    let mut encrypted = Vec::with_capacity(events.len());
    for pass in ["encrypt, keys from the file", "encrypt"] {
        encrypted.clear();
        let watch = Monotonic::now();
        for batch in events.chunks(BATCH) {
            encrypted.extend(vault.encrypt(batch)?);
        }
        tell(pass, watch.elapsed());
    }
    drop(vault);
    let bytes = |events: &[Event]| -> Result<usize> {
        Ok(events
            .iter()
            .map(|event| minicbor::to_vec(event).map(|bytes| bytes.len()))
            .sum::<std::result::Result<_, _>>()?)
    };
    let more = (bytes(&encrypted)? - bytes(&events)?) as f64 / EVENTS as f64;
    println!("  an event is {more:.0} bytes longer on disk");
    let vault = Vault::open(&path, CACHE_BYTES)?;
    for pass in ["open, keys from the file", "open"] {
        let mut opened = encrypted.clone();
        let watch = Monotonic::now();
        opened.iter_mut().try_for_each(|event| vault.open_event(event))?;
        tell(pass, watch.elapsed());
        if opened != events {
            return Err("what was opened is not what was encrypted".into());
        }
    }
    let (log, config) = (folder.path().join("log.redb"), Config::default());
    let (mut log, _) =
        Log::open(&log, &config, Metrics::new(&mut Registry::default()), Clock::system(), vault.clone())?;
    let watch = Monotonic::now();
    for batch in events.chunks(BATCH) {
        log.commit(&Commit { events: batch, ..Commit::default() })?;
    }
    tell(&format!("commit to the log, {BATCH} events at once"), watch.elapsed());

    let watch = Monotonic::now();
    let destroyed = vault.destroy(&["P-000001"])?;
    println!("one person's {} keys destroyed in {:.0} ms", destroyed.keys, watch.elapsed().as_secs_f64() * 1e3);
    let watch = Monotonic::now();
    let destroyed = vault.expire(Month::of(Instant::from_unix_ms(NOW_MS)), Month::of(Instant::from_unix_ms(NOW_MS)))?;
    println!("{} keys expired in {:.0} ms", destroyed.keys, watch.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn tell(what: &str, elapsed: Duration) {
    let us = elapsed.as_secs_f64() * 1e6 / EVENTS as f64;
    println!("  {what}: {us:.2} µs per event, {:.0} events/s", 1e6 / us);
}

/// A moment in a month that lies up to [`MONTHS`] back.
fn month_ms(month: Month) -> i64 {
    let days = (0..40 * 31).map(|days| NOW_MS - days * 86_400_000);
    days.into_iter().find(|ms| Month::of(Instant::from_unix_ms(*ms)) == month).unwrap_or(NOW_MS)
}

fn event(number: u64, person: u64, at_ms: i64) -> Event {
    let at = Instant::from_unix_ms(at_ms);
    let mut credential = [0; 16];
    credential.iter_mut().zip(person.to_be_bytes()).for_each(|(to, from)| *to = from);
    let scan = ScanRecord {
        id: ScanId { epoch: 1, seq: number },
        scanned_at: at,
        direction: Direction::In,
        credential: CredentialHash(credential),
        clock: ClockQuality::Good,
        kind: None,
        pass: None,
    };
    let mut verdict =
        Verdict::own(Outcome::Granted, "staff-working-hours", Text::new("Silakan masuk", "Please come in"));
    (verdict.mode, verdict.person, verdict.class) =
        (Mode::Enforce, Some(format!("P-{person:06}")), Some(PersonClass::Asn));
    (verdict.policies, verdict.policy_set) =
        (vec!["staff-working-hours".into()], Some(format!("b3:{}", "9f".repeat(32))));
    verdict.zone = Some("main".into());
    let door = format!("door-{}", number % 60).parse();
    #[expect(clippy::unwrap_used, reason = "every such name is a door's")]
    let door = door.unwrap();
    Event {
        number,
        door,
        received_at: at,
        decided_at: at,
        subject: EventKind::Scan(scan),
        verdict,
        encrypted: None,
        happened_at: None,
        marks: protocol::event::Marks::default(),
    }
}
