//! What a decision costs: with remembered answers and with every question new, with badges and with passes that were verified
//! before or never, with 10 and with 100 policies.
//!
//! `cargo bench -p access --bench decide`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop at what it did not expect")]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant as Stopwatch;

use access::passes::{HealthRules, NewPass, SigningAlgorithm, SigningKey};
use access::{
    Config, CredentialKey, DEFAULT_POLICY, Directory, Doors, ImportOptions, Passes, Policy, Presence, Rules, Shown,
    Snapshot, decide, import_people,
};
use jiff::tz::TimeZone;
use protocol::{Direction, DoorId, Instant, PersonClass, Scan, ScanId};

/// People with a badge each.
const PEOPLE: usize = 7_000;
/// Decisions of one round; the median round counts.
const DECISIONS: usize = 5_000;
const ROUNDS: usize = 9;
/// Passes that were verified before; each round shows them again and again.
const KNOWN_PASSES: usize = 1_000;
/// Minutes of a week: more different questions than are remembered.
const MINUTES: usize = 7 * 24 * 60;

fn main() {
    // `cargo test --benches` runs it too, with nothing to measure.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut first = None;
    for (name, policies) in [("default policy", None), ("10 policies", Some(10)), ("100 policies", Some(100))] {
        let place = folder.path().join(name);
        fs::create_dir_all(place.join("texts")).unwrap();
        let snapshot = site(&place, policies);
        let count = snapshot.policy.len();
        for (questions, new) in [("remembered", false), ("every one new", true)] {
            for shown in [Shows::Badges, Shows::KnownPasses, Shows::NewPasses] {
                let cost = median(&snapshot, shown, new);
                let base = *first.get_or_insert(cost);
                println!(
                    "{name:<16} {count:>4} policies   questions {questions:<14} {shown:<12?} {:>8.2} µs ({:>6.1}x)",
                    cost / 1e3,
                    cost / base
                );
            }
        }
    }
}

/// What people show.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    Badges,
    KnownPasses,
    NewPasses,
}

/// Nanoseconds of a decision, the median of the rounds.
fn median(snapshot: &Snapshot, shows: Shows, new: bool) -> f64 {
    let key = issuer();
    let known: Vec<_> = (0..KNOWN_PASSES).map(|number| pass(&key, number)).collect();
    let credential = |number: usize| match shows {
        Shows::Badges => format!("BADGE-{}", number % PEOPLE),
        Shows::KnownPasses => known[number % KNOWN_PASSES].clone(),
        Shows::NewPasses => pass(&key, PEOPLE + number),
    };
    let door: DoorId = "main-in".parse().unwrap();
    let monday = monday().unix_ms();
    let presence = Presence::default();
    let mut number = 0;
    let mut round = || {
        let scans: Vec<_> = (0..DECISIONS)
            .map(|_| {
                number += 1;
                let minute = if new { number % MINUTES } else { 8 * 60 };
                let now = Instant::from_unix_ms(monday + i64::try_from(minute).unwrap() * 60_000);
                let id = ScanId { epoch: 1, seq: number as u64 };
                (Scan::new(id, now, Direction::In, credential(number)).unwrap(), now)
            })
            .collect();
        let started = Stopwatch::now();
        for (scan, now) in &scans {
            let shown = Shown { door: &door, received_at: *now, clock_offset_ms: Some(0), maybe_buffered: false, scan };
            black_box(decide(snapshot, &presence, &shown, *now));
        }
        started.elapsed().as_nanos() as f64 / DECISIONS as f64
    };
    round();
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// The key that the sites trust, always the same.
fn issuer() -> SigningKey {
    static KEY: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let der = KEY.get_or_init(|| SigningKey::generate(SigningAlgorithm::Ed25519).unwrap());
    SigningKey::from_pkcs8(der, None).unwrap()
}

/// A pass of a person of the directory, another one for each number.
fn pass(key: &SigningKey, number: usize) -> String {
    let from = Instant::from_unix_ms(monday().unix_ms() - 60_000);
    key.issue(&NewPass {
        issuer: "regency".into(),
        subject: format!("P-{}", number % PEOPLE),
        id: (number as u64).to_be_bytes().to_vec(),
        issued: from,
        valid_from: None,
        valid_until: "2027-01-01T00:00:00Z".parse().unwrap(),
        class: Some(PersonClass::Asn),
        opd: None,
        host: None,
        status: None,
        one_time: false,
    })
    .unwrap()
}

fn monday() -> Instant {
    "2026-11-23T00:00:00+08:00".parse().unwrap()
}

/// A site with the default policy, or with so many generated ones, which read the time of day.
fn site(place: &Path, policies: Option<usize>) -> Snapshot {
    let key = CredentialKey::new([7; 32]);
    let time_zone = TimeZone::get("Asia/Makassar").unwrap();
    for (name, text) in DEFAULT_POLICY {
        fs::write(place.join(name), text).unwrap();
    }
    if let Some(policies) = policies {
        fs::write(place.join("default.cedar"), generated(policies)).unwrap();
    }
    let mut people = String::from("person,class,opd,badge,status\n");
    for number in 0..PEOPLE {
        let class = ["asn", "non-asn", "visitor"][number % 3];
        let status = ["green", "green", "green", "green", "green", "yellow", "red"][number % 7];
        writeln!(people, "P-{number},{class},office-{},BADGE-{number},{status}", number % 10).unwrap();
    }
    let directory = place.join("directory.redb");
    import_people(&directory, &key, &time_zone, people.as_bytes(), "people", &ImportOptions::default(), monday())
        .unwrap();
    fs::create_dir_all(place.join("trust/passes")).unwrap();
    let jwks = issuer().public_jwks(None).to_string();
    fs::write(place.join("trust/passes/issuer.jwks"), jwks).unwrap();
    let doors = "[main-in]\nzone = \"main\"\nmode = \"enforce\"\n";
    Snapshot {
        directory: Directory::read(&directory).unwrap().into(),
        policy: Policy::read(place).unwrap().into(),
        shadow: None,
        doors: std::sync::Arc::new(Doors::parse(doors).unwrap()),
        zones: std::sync::Arc::default(),
        calendar: std::sync::Arc::default(),
        passes: Passes::read(&place.join("trust"), HealthRules::default()).unwrap().into(),
        key: key.into(),
        rules: Rules::new(time_zone, &Config::default(), 30_000, 5_000, protocol::Instant::from_unix_ms(0)),
    }
}

fn generated(policies: usize) -> String {
    let mut text = String::from("@id(\"anybody\") permit (principal, action, resource) when { principal.known };\n");
    for number in 1..policies {
        writeln!(
            text,
            "@id(\"office-{number}\") forbid (principal, action == Gapura::Action::\"enter\", resource) when {{ \
             principal.opd == \"office-{number}\" && context.status == \"red\" && \
             (context.minute_of_day < {number} || context.weekday > 5) }};"
        )
        .unwrap();
    }
    text
}
