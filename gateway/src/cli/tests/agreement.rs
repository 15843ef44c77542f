//! What the gateway's own types write is what the tables read.

use jiff::civil::date;
use protocol::api;
use protocol::{
    AssistAction, AssistRecord, ClockQuality, CredentialHash, Direction, Encrypted, Event, EventKind, Instant,
    MalformedScan, Mode, Outcome, ScanId, ScanRecord, Text, Verdict, Via,
};
use serde_json::json;

use super::{Canned, Fake};
use ledgers::{
    Attendance, AttendanceFlags, AttendanceSession, Bounds, Contact, Encounter, Evidence, Grade, Occupancy, Person,
    Present,
};

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn text() -> Text {
    Text { id: "Silakan".into(), en: "Welcome".into() }
}

#[test]
fn views_are_read() {
    let (came, left) = (at("2026-11-22T23:30:00Z"), at("2026-11-23T08:00:00Z"));
    let person = Person::new("C-0001");
    let session = AttendanceSession { from: came, from_seen: true, to: left, evidence: Evidence::Inside };
    let attendance = Attendance {
        person: person.clone(),
        day: date(2026, 11, 23),
        shift_start: None,
        shift_end: None,
        first_in: Some(came),
        last_out: None,
        sessions: vec![session],
        worked_minutes: 510,
        worked_minutes_by_rule: 510,
        late_minutes: None,
        early_minutes: None,
        flags: AttendanceFlags::default(),
    };
    let encounter = Encounter {
        from: came,
        to: left,
        certain: Some((came, left)),
        zone: "hall".into(),
        evidence_of: Evidence::Exit,
        evidence: Evidence::NextDoor,
        late: false,
        clock_doubtful: false,
    };
    let contact = Contact {
        generation: 1,
        of: person.clone(),
        person: Person::new("C-0002"),
        grade: Grade::Certain,
        minutes_min: 510,
        minutes_max: 510,
        reached_at: left,
        encounters: vec![encounter],
    };
    let since = Bounds { earliest: came, latest: came };
    let present = Present { person, zone: "hall".into(), since, evidence: Evidence::Rule, event: None };
    let occupancy = Occupancy { zone: "hall".into(), capacity: None, people: 1, weak: 0 };
    let total = api::OpdSummary { staff: 4, came: 1, ..api::OpdSummary::default() };
    let body = |body: serde_json::Value| Canned::json(&body.to_string());
    let gateway = Fake::new([
        body(json!({ "from": "2026-11-23", "to": "2026-11-23", "rows": [attendance.into_row(None, None)] })),
        body(
            json!({ "person": "C-0001", "from": came, "to": left, "minutes": 15, "contacts": [api::Contact::from(contact)] }),
        ),
        body(json!({ "at": came, "people": [present.into_person_inside(None, None)] })),
        body(json!({ "at": came, "zones": [api::ZoneOccupancy::from(occupancy)] })),
        body(json!({ "days": [{ "day": "2026-11-23", "opds": [total], "total": total }] })),
    ]);
    for (line, row) in [
        ("attendance", "07:30 8:30 8:30 still inside, day off"),
        (
            "contacts C-0001 --from 2026-11-23 --to 2026-11-23 --purpose x",
            "hall 2026-11-23 07:30-16:00 C-0002 seen next at another door",
        ),
        ("presence --people", "2026-11-23 07:30 shift over, not seen leaving"),
        ("presence", "1 zone, 0 full"),
        ("attendance --summary", "of 4 who could come 1 came (25.0 %)"),
    ] {
        let told = gateway.gapura(line);
        let words: Vec<&str> = told.well().split_whitespace().collect();
        assert!(words.join(" ").contains(row), "{}", told.out);
    }
}

#[test]
fn events_of_every_kind_are_read() {
    let moment = at("2026-11-22T23:30:00Z");
    let scan = ScanRecord {
        id: ScanId { epoch: 1, seq: 2 },
        scanned_at: moment,
        direction: Direction::Out,
        credential: CredentialHash([7; 16]),
        clock: ClockQuality::Good,
        kind: None,
        pass: None,
    };
    let said = AssistRecord {
        action: AssistAction::Admit,
        helper: "Wayan".into(),
        reason: "known".into(),
        person: Some("C-0001".into()),
        answers: None,
        direction: Direction::In,
        device: "desk".parse().unwrap(),
        via: Via::Http,
        id: None,
        credential: None,
        pass: None,
    };
    let malformed =
        MalformedScan { id: None, payload_bytes: 3, payload_head: vec![1, 2, 3], ..MalformedScan::default() };
    let event = |number, subject, encrypted| Event {
        number,
        door: "main-in".parse().unwrap(),
        received_at: moment,
        decided_at: moment,
        subject,
        verdict: Verdict { mode: Mode::Observe, ..Verdict::own(Outcome::Recorded, "exit", text()) },
        encrypted,
        happened_at: None,
        marks: protocol::event::Marks::default(),
    };
    let events = [
        event(1, EventKind::Scan(scan), Some(Encrypted { person: None, helper: None })),
        event(2, EventKind::Malformed(malformed), None),
        event(3, EventKind::Assist(said), None),
    ];
    let lines: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    let gateway = Fake::new([Canned::json(&lines)]);
    assert_eq!(
        gateway.gapura("events").well(),
        "\
EVENT  TIME                 DOOR     ZONE  WAY  OUTCOME   REASON  PERSON    NOTES
    1  2026-11-23 07:30:00  main-in        out  recorded  exit    (erased)
    2  2026-11-23 07:30:00  main-in             recorded  exit              was no scan
    3  2026-11-23 07:30:00  main-in        in   recorded  exit    C-0001    assist request: admit

3 events
"
    );
}
