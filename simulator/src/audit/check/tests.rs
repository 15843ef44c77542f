//! Each kind of damage, and runs that are clean.

use protocol::{
    AssistAction, AssistRecord, ClockQuality, CredentialHash, Direction, Instant, MalformedScan, ScanRecord, Text,
    Verdict, Via,
};

use super::*;
use crate::audit::audit;

fn of(number: u64, subject: EventKind) -> Event {
    let at = Instant::from_unix_ms(1_795_390_264_000);
    let verdict = Verdict::own(Outcome::Granted, "staff", Text::default());
    let door = "d1".parse().unwrap();
    Event {
        number,
        door,
        received_at: at,
        decided_at: at,
        subject,
        verdict,
        encrypted: None,
        happened_at: None,
        marks: protocol::event::Marks::default(),
    }
}

fn event(number: u64, seq: u64) -> Event {
    let scan = ScanRecord {
        id: ScanId { epoch: 1, seq },
        scanned_at: Instant::from_unix_ms(1_795_390_264_000),
        direction: Direction::In,
        credential: CredentialHash([7; 16]),
        clock: ClockQuality::Good,
        kind: None,
        pass: None,
    };
    of(number, EventKind::Scan(scan))
}

fn garbage(number: u64) -> Event {
    of(number, EventKind::Malformed(MalformedScan { id: None, payload_bytes: 9, ..MalformedScan::default() }))
}

fn assist(number: u64) -> Event {
    let assist = AssistRecord {
        action: AssistAction::Admit,
        helper: "Contoh".into(),
        reason: "forgot".into(),
        person: None,
        answers: None,
        direction: Direction::In,
        device: "lobby".parse().unwrap(),
        via: Via::Http,
        id: None,
        credential: None,
        pass: None,
    };
    of(number, EventKind::Assist(assist))
}

fn acked(seq: u64) -> AckedScan<'static> {
    AckedScan {
        door: "d1".into(),
        epoch: 1,
        seq,
        scanned_at_ms: 1_795_390_264_000,
        made_at_ms: 1_795_390_264_000,
        kind: Kind::Good,
        outcome: Some(Outcome::Granted),
        event: None,
        acked: true,
    }
}

fn upstream(ids: &[u64]) -> Option<Vec<Forwarded>> {
    Some(ids.iter().map(|id| Forwarded { source: "s".into(), id: *id, refused: None }).collect())
}

fn found(report: &Report) -> [u64; 6] {
    [
        report.not_stored,
        report.not_forwarded,
        report.duplicated,
        report.out_of_order,
        report.conflicting,
        report.only_upstream,
    ]
}

#[test]
fn a_clean_run_is_clean() {
    let report = audit([acked(1), acked(2)], [event(1, 1), event(2, 2), garbage(3)], upstream(&[1, 2, 2, 1, 3]));
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.acked, report.stored, report.forwarded, report.forwarded_again), (2, 3, Some(3), 2));
    assert!(report.examples.is_empty());
}

#[test]
fn an_assist_request_is_an_event_and_no_scan() {
    let report = audit([acked(1)], [event(1, 1), assist(2), assist(3)], upstream(&[1, 2, 3]));
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.stored, 3);
    assert!(!audit([acked(1)], [event(1, 1), assist(2)], upstream(&[1])).is_clean());
}

#[test]
fn each_kind_of_damage_is_found_and_named() {
    let other = AckedScan { outcome: Some(Outcome::Denied), ..acked(1) };
    let other_event = AckedScan { event: Some(9), ..acked(1) };
    let malformed = AckedScan { kind: Kind::Unidentified, outcome: None, ..acked(8) };
    let other_door = AckedScan { door: "d2".into(), ..acked(1) };
    let log = || vec![event(1, 1), event(2, 2)];
    for (name, report, expected) in [
        ("not in the log", audit([acked(1), acked(3)], log(), upstream(&[1, 2])), [1, 0, 0, 0, 0, 0]),
        ("another door's", audit([other_door], log(), upstream(&[1, 2])), [1, 0, 0, 0, 0, 0]),
        ("malformed, lost", audit([malformed.clone()], log(), upstream(&[1, 2])), [1, 0, 0, 0, 0, 0]),
        ("malformed, kept", audit([malformed], [garbage(1)], upstream(&[1])), [0; 6]),
        ("not upstream", audit([acked(1)], log(), upstream(&[1])), [0, 1, 0, 0, 0, 0]),
        ("twice", audit([acked(1)], vec![event(1, 1), event(2, 1)], upstream(&[1, 2])), [0, 0, 1, 0, 0, 0]),
        ("a gap", audit([acked(1)], vec![event(1, 1), event(3, 2)], upstream(&[1, 3])), [0, 0, 0, 1, 0, 0]),
        ("late upstream", audit([acked(1)], log(), upstream(&[2, 1])), [0, 0, 0, 1, 0, 0]),
        ("another outcome", audit([other], log(), upstream(&[1, 2])), [0, 0, 0, 0, 1, 0]),
        ("another event", audit([other_event], log(), upstream(&[1, 2])), [0, 0, 0, 0, 1, 0]),
        ("only upstream", audit([acked(1)], log(), upstream(&[1, 2, 3])), [0, 0, 0, 0, 0, 1]),
    ] {
        assert_eq!(found(&report), expected, "{name}: {report}");
        assert_eq!(report.is_clean(), expected == [0; 6], "{name}");
        assert_eq!(report.examples.is_empty(), expected == [0; 6], "{name}");
        assert_eq!(report.lost, report.not_stored + report.not_forwarded, "{name}");
    }
}

/// A later scan of door `d1` under the number of another, as the gateway keeps it.
fn reused(number: u64, seq: u64) -> Event {
    let mut event = event(number, seq);
    if let EventKind::Scan(scan) = &mut event.subject {
        scan.scanned_at = Instant::from_unix_ms(1_795_390_265_000);
    }
    event.marks.0.push(Mark::NumberReused);
    event
}

#[test]
fn a_number_that_is_used_again_is_no_duplicate_and_nobody_elses_decision() {
    let later = AckedScan { scanned_at_ms: 1_795_390_265_000, made_at_ms: 1_795_390_265_000, ..acked(1) };
    let of = |scan: &AckedScan<'static>, event| AckedScan { event: Some(event), ..scan.clone() };
    let none = || None::<Vec<Forwarded>>;
    let clean = audit([of(&acked(1), 1), of(&later, 2)], [event(1, 1), reused(2, 1)], none());
    assert!(clean.is_clean(), "{clean}");
    assert_eq!(clean.numbers_reused, 1);
    let lost = audit([acked(1), later.clone()], [event(1, 1)], none());
    assert_eq!(lost.not_stored, 1);
    let of_another = audit([of(&acked(1), 1), of(&later, 1)], [event(1, 1), reused(2, 1)], none());
    assert_eq!(of_another.conflicting, 1);
    let unmarked = Event { marks: protocol::event::Marks::default(), ..reused(2, 1) };
    assert_eq!(audit([acked(1), later], [event(1, 1), unmarked], none()).mismarked, 1);
    assert_eq!(audit([], [reused(1, 1)], none()).mismarked, 1);
}

#[test]
fn a_wrong_time_and_a_badge_that_is_not_recognised_are_found() {
    let none = || None::<Vec<Forwarded>>;
    let filed =
        |off_ms: i64| Event { happened_at: Some(Instant::from_unix_ms(1_795_390_264_000 + off_ms)), ..event(1, 1) };
    // Its reader's clock is at 1970; what counts is when it was made.
    let clockless = AckedScan { made_at_ms: 1_795_390_264_000, ..acked(1) };
    for (off_ms, wrong) in [(0, 0), (35_000, 0), (35_001, 1), (-86_400_000, 1)] {
        assert_eq!(audit([clockless.clone()], [filed(off_ms)], none()).times_wrong, wrong, "{off_ms}");
    }
    let mut unknown = event(1, 1);
    unknown.verdict.reason = UNKNOWN.into();
    for (knows_badges, not_recognised) in [(true, 1), (false, 0)] {
        let mut audit = Audit::default();
        if knows_badges {
            audit.expect_recognised();
        }
        audit.event(&unknown);
        audit.acked(&acked(1));
        assert_eq!(audit.finish().not_recognised, not_recognised);
    }
}

#[test]
fn what_the_upstream_refused_is_quarantined_not_lost() {
    let mut audit = Audit::default();
    for number in 1..=4 {
        audit.event(&event(number, number));
    }
    audit.quarantine(2, 3);
    audit.expect_forwarding();
    audit.event(&event(5, 5));
    for (id, refused) in [(1, None), (5, Some(422)), (4, None)] {
        audit.forwarded(&Forwarded { source: "s".into(), id, refused });
    }
    let report = audit.finish();
    assert_eq!((report.quarantined, report.forwarded, report.lost), (3, Some(2), 0));
    assert!(report.is_clean(), "{report}");
}

#[test]
fn without_a_ledger_nothing_is_said_of_the_way_upstream() {
    let report = audit([acked(1)], [event(1, 1)], None::<Vec<Forwarded>>);
    assert_eq!((report.forwarded, report.is_clean()), (None, true));
}

#[test]
fn a_scan_in_two_records_counts_once() {
    let report = audit([acked(1), acked(1), acked(3), acked(3)], [event(1, 1)], None::<Vec<Forwarded>>);
    assert_eq!((report.acked, report.not_stored), (2, 1));
}

#[test]
fn examples_are_few() {
    let report = audit((1..1_000).map(acked), [], None::<Vec<Forwarded>>);
    assert_eq!((report.lost, report.examples.len()), (999, crate::audit::EXAMPLES_MAX));
}
