//! The same with the file of the ledgers: a month that arrives late, from all doors at once, each in its own order.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use arc_swap::ArcSwap;
use base::clock::Clock;
use ledgers::{Config, LedgerContext, LedgerStore, Metrics, People, Restricted, Source};
use prometheus_client::registry::Registry;
use protocol::{
    ClockQuality, CredentialHash, Direction, Encrypted, Event, EventKind, Instant, Mode, Outcome, ScanId, ScanRecord,
    SealedPart, Text, Verdict,
};

use super::{compared, now, regency, rules};
use crate::history::passages::backlog;
use crate::history::regency::Regency;

/// The log of a month whose scans all arrive now.
struct Log(Vec<Event>);

impl Log {
    /// In turns, one scan of each door.
    fn of(regency: &Regency) -> Self {
        let (backlog, doors) = (backlog(regency), regency.doors().unwrap());
        let mut events = Vec::new();
        for seq in 0..backlog.readers.iter().map(|reader| reader.scans.len()).max().unwrap() {
            for (reader, door) in backlog.readers.iter().zip(&doors) {
                let Some((at_ms, person)) = reader.scans.get(seq) else { continue };
                let (name, _) = door.as_str().rsplit_once('-').unwrap();
                let zone = if name.starts_with("gate") { "complex" } else { name };
                let clock = if reader.clock_ahead_ms == 0 { ClockQuality::Good } else { ClockQuality::Ahead };
                let number = events.len() as u64 + 1;
                let mut event = late(number, *at_ms, *person, reader.direction, zone, clock);
                event.door = door.clone();
                events.push(event);
            }
        }
        Self(events)
    }
}

fn late(number: u64, at_ms: i64, person: u32, direction: Direction, zone: &str, clock: ClockQuality) -> Event {
    Event {
        number,
        door: "door".parse().unwrap(),
        received_at: now(),
        decided_at: now(),
        subject: EventKind::Scan(ScanRecord {
            id: ScanId { epoch: 1, seq: number },
            scanned_at: Instant::from_unix_ms(at_ms),
            direction,
            credential: CredentialHash([0; 16]),
            clock,
            kind: None,
            pass: None,
        }),
        verdict: Verdict {
            mode: Mode::Observe,
            zone: Some(zone.into()),
            ..Verdict::own(Outcome::Recorded, "late", Text::new("", ""))
        },
        encrypted: Some(Encrypted { person: Some(SealedPart { of: person.into(), bytes: Vec::new() }), helper: None }),
        happened_at: None,
        marks: protocol::event::Marks::default(),
    }
}

impl Source for Log {
    fn read(&self, after: u64, events_max: usize, _: usize) -> Result<Vec<Event>, String> {
        Ok(self.0.iter().skip(usize::try_from(after).unwrap()).take(events_max).cloned().collect())
    }

    fn last_event(&self) -> u64 {
        self.0.len() as u64
    }

    fn wait_beyond(&self, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

impl People for Regency {
    fn number(&self, subject: &str) -> Option<u64> {
        self.person(subject).map(u64::from)
    }

    fn subject(&self, number: u64) -> Option<Arc<str>> {
        Some(self.person_id(u32::try_from(number).ok()?).into())
    }

    fn intern(&self, subject: &str) -> Option<u64> {
        self.number(subject)
    }

    fn is_restricted(&self, _: u64) -> bool {
        false
    }
}

#[test]
fn a_month_that_arrives_late_from_all_doors_at_once_is_read_as_if_it_had_come_in_time() {
    let mut regency = regency(150, 5, 31);
    regency.slips.bad_clocks = 2;
    let folder = tempfile::tempdir().unwrap();
    let views = LedgerStore::start(LedgerContext {
        path: folder.path().join("views.redb"),
        config: Config::default(),
        source: Arc::new(Log::of(&regency)),
        people: Arc::new(regency.clone()),
        rules: Arc::new(ArcSwap::from_pointee(rules(&regency))),
        clock: Clock::new(now),
        metrics: Metrics::new(&mut Registry::default()),
    })
    .unwrap();
    let deadline = Stopwatch::now() + Duration::from_secs(60);
    while views.position().rebuilding {
        assert!(Stopwatch::now() < deadline, "not taken in after a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    let stored = compared(
        &regency,
        20,
        |date| views.attendance(date, date, None, Restricted::LeftOut, now()).unwrap(),
        |query| views.contacts(query, now()).unwrap(),
    );
    assert_eq!(stored, super::checked(&regency, 20));
    assert_eq!(stored.0.mismatches, [].into());
    let inside = views.presence(now()).unwrap();
    assert!(inside.people.is_empty());
    views.stop();
}
