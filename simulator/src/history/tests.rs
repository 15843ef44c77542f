//! The gateway's own ledgers, without a gateway around them, beside the truth of a small month.

mod stored;

use base::calendar::Calendar;
use base::door_list::Zones;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledgers::{
    self, Attendance, Contact, ContactQuery, Passage as Scanned, Person, Rules, Session, Stay as Stayed, WorkingHours,
};
use protocol::api::{self, AttendanceRow};
use protocol::{Direction, Instant};

use super::compare::attendance::{AttendanceCheck, TrueAttendance};
use super::compare::contacts::{ContactsCheck, questions, truth};
use super::fault_rates::FaultRates;
use super::month::TIME_ZONE;
use super::passages::{backlog, clocks};
use super::regency::Regency;
use super::testing::regency;

fn rules(regency: &Regency) -> Rules {
    let mut rules = Rules::new(TimeZone::get(TIME_ZONE).unwrap());
    rules.zones = Zones::parse(&regency.zones_toml()).unwrap();
    let calendar = Calendar::parse(&regency.calendar_toml()).unwrap();
    let guards: Vec<String> = (0..regency.guards()).map(|guard| regency.person_id(guard)).collect();
    rules.hours = WorkingHours::new(&calendar, guards.iter().map(|guard| (guard.as_str(), "guards")));
    rules
}

/// Everybody's sessions, from what the readers have kept.
fn everybody(regency: &Regency, rules: &Rules) -> Vec<(Person, Vec<Session>)> {
    let doors = regency.doors().unwrap();
    let clocks = clocks(regency);
    let mut number = 0;
    let mut scanned: Vec<Vec<Scanned>> = vec![Vec::new(); usize::try_from(regency.staff).unwrap()];
    for (door, reader) in backlog(regency).readers.iter().enumerate() {
        for (at_ms, person) in &reader.scans {
            number += 1;
            let (name, _) = doors[door].as_str().rsplit_once('-').unwrap();
            let zone = if name.starts_with("gate") { "complex" } else { name };
            scanned[usize::try_from(*person).unwrap()].push(Scanned {
                number,
                at: Instant::from_unix_ms(*at_ms),
                zone: zone.into(),
                door: doors[door].as_str().into(),
                direction: if door % 2 == 0 { Direction::In } else { Direction::Out },
                late: true,
                clock_doubtful: clocks[door] != 0,
            });
        }
    }
    let now = now();
    let sessions = |(person, mut scanned): (u32, Vec<Scanned>)| {
        scanned.sort_by_key(Scanned::order);
        let person = Person::new(&regency.person_id(person));
        let sessions = ledgers::sessions(&person, &scanned, rules, now);
        (person, sessions)
    };
    (0..).zip(scanned).map(sessions).collect()
}

/// The pure ledgers beside the truth.
fn checked(regency: &Regency, asked: u32) -> (AttendanceCheck, ContactsCheck) {
    let rules = rules(regency);
    let everybody = everybody(regency, &rules);
    let stays: Vec<(Person, Vec<Stayed>)> = everybody
        .iter()
        .map(|(person, sessions)| (person.clone(), sessions.iter().flat_map(|one| one.stays.clone()).collect()))
        .collect();
    let attendance = |date| {
        let row = |(person, sessions): &(Person, Vec<Session>)| ledgers::attendance(person, date, sessions, &rules);
        everybody.iter().filter_map(row).collect()
    };
    compared(regency, asked, attendance, |query| ledgers::contacts(query, &stays, &rules))
}

fn compared(
    regency: &Regency,
    asked: u32,
    rows_of: impl Fn(Date) -> Vec<Attendance>,
    contacts_of: impl Fn(&ContactQuery) -> Vec<Contact>,
) -> (AttendanceCheck, ContactsCheck) {
    let (mut attendance, mut contacts) = (AttendanceCheck::default(), ContactsCheck::default());
    let true_days = TrueAttendance::of(regency);
    for day in 0..regency.month.len() {
        let rows: Vec<AttendanceRow> = rows_of(regency.month.date(day).unwrap()).iter().map(as_answered).collect();
        attendance.day(regency, &true_days, day, &rows);
    }
    let questions = questions(regency, asked);
    for (question, truth) in questions.iter().zip(truth(regency, &questions)) {
        let (from, to) = (Instant::from_unix_ms(question.period.0), Instant::from_unix_ms(question.period.1));
        let query = ContactQuery::new(Person::new(&regency.person_id(question.person)), from, to);
        let rows: Vec<api::Contact> = contacts_of(&query).iter().map(as_answered).collect();
        contacts.answer(regency, &truth, &rows);
    }
    (attendance, contacts)
}

fn now() -> Instant {
    "2026-12-01T00:00:00Z".parse().unwrap()
}

/// Through JSON, as it comes over HTTP.
fn as_answered<T: serde::de::DeserializeOwned>(row: &impl serde::Serialize) -> T {
    serde_json::from_value(serde_json::to_value(row).unwrap()).unwrap()
}

#[test]
fn without_slips_the_ledgers_are_the_truth() {
    let regency = Regency { slips: FaultRates::NONE, ..regency(150, 5, 31) };
    let (attendance, contacts) = checked(&regency, 20);
    assert_eq!(attendance.mismatches, [].into());
    assert_eq!((attendance.missing_exit.said, attendance.missing_entry.said), (0, 0));
    assert_eq!(contacts.bounds_violations(), 0, "{contacts:?}");
    assert_eq!(contacts.certain, contacts.any);
    assert_eq!(contacts.certain.said, contacts.certain.right);
    assert_eq!(contacts.certain.truth, contacts.certain.right);
}

#[test]
fn with_slips_the_ledgers_say_what_they_do_not_know() {
    let regency = regency(150, 5, 31);
    let (attendance, contacts) = checked(&regency, 20);
    assert_eq!(attendance.mismatches, [].into());
    let exits = attendance.missing_exit;
    assert_eq!((exits.said, exits.right), (exits.truth, exits.truth));
    assert_eq!(contacts.certain.said, contacts.certain.right);
    assert_eq!((contacts.min_too_high, contacts.unknown), (0, 0), "{contacts:?}");
    assert_eq!(contacts.any.right, contacts.any.truth);
}
