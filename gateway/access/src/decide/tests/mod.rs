//! Decisions with the default policy: as a table, and as properties that hold whatever is shown.

mod passes;
mod roll_out;
mod sequences;

use proptest::prelude::*;
use protocol::{
    ClockQuality, Direction, HealthStatus, Instant, MalformedScan, Mode, Outcome, PersonClass, Scan, ScanId,
    ScanRecord, Verdict,
};

use super::{Decided, Presence, Shown, ShownMalformed, Snapshot, decide, decide_malformed};
use crate::testing::{Person, policy_of, snapshot};

/// 2026-11-23 is a Monday.
fn wita(day: u8, time: &str) -> Instant {
    format!("2026-11-{day}T{time}+08:00").parse().unwrap()
}

fn people() -> Vec<Person<'static>> {
    let person = |id, class, status, until| Person { id, class, status, until };
    let (green, yellow, red, black) =
        (Some(HealthStatus::Green), Some(HealthStatus::Yellow), Some(HealthStatus::Red), Some(HealthStatus::Black));
    vec![
        person("asn-green", PersonClass::Asn, green, None),
        person("asn-yellow", PersonClass::Asn, yellow, None),
        person("asn-red", PersonClass::Asn, red, None),
        person("asn-black", PersonClass::Asn, black, None),
        person("asn-none", PersonClass::Asn, None, None),
        person("asn-until-noon", PersonClass::Asn, green, Some(wita(23, "12:00:00"))),
        person("red-until-noon", PersonClass::Asn, red, Some(wita(23, "12:00:00"))),
        person("staff-green", PersonClass::NonAsn, green, None),
        person("staff-yellow", PersonClass::NonAsn, yellow, None),
        person("staff-red", PersonClass::NonAsn, red, None),
        person("visitor-green", PersonClass::Visitor, green, None),
        person("visitor-yellow", PersonClass::Visitor, yellow, None),
        person("visitor-black", PersonClass::Visitor, black, None),
        person("visitor-none", PersonClass::Visitor, None, None),
    ]
}

fn judge(
    snapshot: &Snapshot,
    door: &str,
    badge: &str,
    direction: Direction,
    scanned_at: Instant,
    now: Instant,
) -> (ScanRecord, Verdict) {
    let scan = Scan::new(ScanId { epoch: 1, seq: 1 }, scanned_at, direction, badge).unwrap();
    let shown = Shown {
        door: &door.parse().unwrap(),
        received_at: now,
        clock_offset_ms: Some(0),
        maybe_buffered: false,
        scan: &scan,
    };
    let Decided { record, verdict, .. } = decide(snapshot, &Presence::default(), &shown, now);
    (record, verdict)
}

#[test]
fn the_default_policys_decisions() {
    use Outcome::{Assist, Denied, Granted};
    let snapshot = snapshot(&people());
    let (monday, saturday) = (wita(23, "08:00:00"), wita(28, "10:00:00"));
    for (badge, now, outcome, reason) in [
        ("asn-green", monday, Granted, "staff-green"),
        ("asn-green", saturday, Granted, "staff-green"),
        ("asn-green", wita(23, "03:00:00"), Granted, "staff-green"),
        ("staff-green", monday, Granted, "staff-green"),
        ("asn-yellow", monday, Assist, "status-yellow"),
        ("staff-yellow", monday, Assist, "status-yellow"),
        ("asn-red", monday, Denied, "status-red"),
        ("staff-red", monday, Denied, "status-red"),
        ("asn-black", monday, Denied, "status-black"),
        ("asn-none", monday, Assist, "status-unknown"),
        ("asn-until-noon", wita(23, "12:00:00"), Granted, "staff-green"),
        ("asn-until-noon", wita(23, "12:00:00.001"), Assist, "status-unknown"),
        ("red-until-noon", wita(23, "11:00:00"), Denied, "status-red"),
        ("red-until-noon", wita(23, "13:00:00"), Assist, "status-unknown"),
        ("visitor-green", wita(23, "06:59:59.999"), Denied, "visitor-outside-office-hours"),
        ("visitor-green", wita(23, "07:00:00"), Granted, "visitor-green-office-hours"),
        ("visitor-green", wita(27, "15:59:59.999"), Granted, "visitor-green-office-hours"),
        ("visitor-green", wita(27, "16:00:00"), Denied, "visitor-outside-office-hours"),
        ("visitor-green", saturday, Denied, "visitor-outside-office-hours"),
        ("visitor-green", wita(29, "10:00:00"), Denied, "visitor-outside-office-hours"),
        ("visitor-yellow", monday, Assist, "status-yellow"),
        // Two forbid: the one that a helper may not overrule speaks.
        ("visitor-yellow", saturday, Denied, "visitor-outside-office-hours"),
        ("visitor-black", monday, Denied, "status-black"),
        ("visitor-black", saturday, Denied, "status-black"),
        ("visitor-none", monday, Assist, "status-unknown"),
        ("nobody", monday, Denied, "unknown-credential"),
        ("nobody", saturday, Denied, "unknown-credential"),
    ] {
        let what = format!("{badge} at {now}");
        let (_, entering) = judge(&snapshot, "door-0", badge, Direction::In, now, now);
        assert_eq!((entering.outcome, entering.reason.as_str()), (outcome, reason), "{what}");
        assert_eq!((entering.open, entering.would_be), (outcome == Granted, None), "{what}");

        let (_, leaving) = judge(&snapshot, "door-0", badge, Direction::Out, now, now);
        assert_eq!((leaving.outcome, leaving.reason.as_str()), (Outcome::Recorded, "exit-always"), "{what}");
        assert_eq!((leaving.open, leaving.would_be), (true, Some(Granted)), "{what}");

        let (_, observed) = judge(&snapshot, "watch", badge, Direction::In, now, now);
        assert_eq!((observed.outcome, observed.open), (Outcome::Recorded, true), "{what}");
        assert_eq!((observed.would_be, observed.reason.as_str()), (Some(outcome), reason), "{what}");

        for door in ["door-0", "watch"] {
            for direction in [Direction::In, Direction::Out] {
                let later = Instant::from_unix_ms(now.unix_ms() + 3_600_000);
                let (_, late) = judge(&snapshot, door, badge, direction, now, later);
                assert_eq!((late.outcome, late.open), (Outcome::Recorded, false), "{what}");
                assert_eq!(late.reason, "late-scan", "{what}");
                // It is judged by the time at which the person stood there.
                let would_be = if direction == Direction::In { outcome } else { Granted };
                assert_eq!(late.would_be, Some(would_be), "{what}");
            }
        }
    }
}

#[test]
fn a_decision_says_who_it_was_about_and_on_what_grounds() {
    let snapshot = snapshot(&people());
    let now = wita(28, "10:00:00");
    let (record, verdict) = judge(&snapshot, "door-0", "visitor-black", Direction::In, now, now);
    assert_eq!(record.credential, snapshot.key.hash("visitor-black"));
    assert_eq!((record.id, record.scanned_at, record.direction), (ScanId { epoch: 1, seq: 1 }, now, Direction::In));
    assert_eq!((verdict.person.as_deref(), verdict.class), (Some("visitor-black"), Some(PersonClass::Visitor)));
    assert_eq!((verdict.status, verdict.zone.as_deref()), (Some(HealthStatus::Black), Some("main")));
    assert_eq!(verdict.policies, ["status-black", "visitor-outside-office-hours"]);
    assert_eq!(verdict.policy_set.as_deref(), Some(snapshot.policy.set_hash()));
    let (_, expired) = judge(&snapshot, "door-0", "asn-until-noon", Direction::In, now, now);
    assert_eq!(expired.status, None);
}

#[test]
fn a_door_that_is_not_registered_stays_shut() {
    let snapshot = snapshot(&people());
    let now = wita(23, "08:00:00");
    for direction in [Direction::In, Direction::Out] {
        let (_, verdict) = judge(&snapshot, "elsewhere", "asn-green", direction, now, now);
        assert_eq!((verdict.outcome, verdict.open, verdict.reason.as_str()), (Outcome::Denied, false, "unknown-door"));
    }
}

#[test]
fn a_policy_that_fails_keeps_the_door_shut() {
    let failing = r#"@id("anybody") permit (principal, action, resource);
        @id("fails") forbid (principal, action, resource) when { context.minute_of_day * 9223372036854775807 > 0 };"#;
    let snapshot = Snapshot { policy: policy_of(failing).unwrap().into(), ..snapshot(&people()) };
    let now = wita(23, "08:00:00");
    let (_, verdict) = judge(&snapshot, "door-0", "asn-green", Direction::In, now, now);
    assert_eq!((verdict.outcome, verdict.open, verdict.reason.as_str()), (Outcome::Denied, false, "policy-error"));
}

/// The verdict on a payload that is no scan, of which the direction may be readable; made so many milliseconds ago.
fn malformed(snapshot: &Snapshot, door: &str, direction: Option<Direction>, age_ms: i64) -> Verdict {
    let now = wita(23, "08:00:00");
    let scanned_at = Some(Instant::from_unix_ms(now.unix_ms() - age_ms));
    let scan = MalformedScan { direction, scanned_at, ..MalformedScan::default() };
    let door = door.parse().unwrap();
    let shown =
        ShownMalformed { door: &door, received_at: now, clock_offset_ms: Some(0), maybe_buffered: false, scan: &scan };
    decide_malformed(snapshot, &Presence::default(), &shown, now).2
}

#[test]
fn a_payload_that_is_no_scan_is_judged_by_the_doors_mode_and_its_direction() {
    let snapshot = snapshot(&[]);
    let (into, out) = (Some(Direction::In), Some(Direction::Out));
    for (door, direction, age_ms, outcome, open, mode) in [
        ("door-0", into, 0, Outcome::Denied, false, Mode::Enforce),
        ("door-0", None, 0, Outcome::Denied, false, Mode::Enforce),
        ("door-0", out, 0, Outcome::Recorded, true, Mode::Enforce),
        ("door-0", out, 31_000, Outcome::Recorded, false, Mode::Enforce),
        ("watch", into, 0, Outcome::Recorded, true, Mode::Observe),
        ("watch", None, 0, Outcome::Recorded, true, Mode::Observe),
        ("watch", out, 0, Outcome::Recorded, true, Mode::Observe),
        ("watch", into, 31_000, Outcome::Recorded, false, Mode::Observe),
        ("elsewhere", out, 0, Outcome::Denied, false, Mode::Enforce),
    ] {
        let verdict = malformed(&snapshot, door, direction, age_ms);
        let what = format!("{door} {direction:?} {age_ms}");
        assert_eq!((verdict.outcome, verdict.open, verdict.mode), (outcome, open, mode), "{what}");
        assert_eq!(verdict.reason, "malformed-scan", "{what}");
        assert_eq!(verdict.zone.is_some(), door != "elsewhere");
    }
    let strict = r#"@id("nobody") forbid (principal, action, resource);"#;
    let strict = Snapshot { policy: policy_of(strict).unwrap().into(), ..snapshot };
    assert_eq!(malformed(&strict, "door-0", out, 0).outcome, Outcome::Denied);
}

#[test]
fn a_reader_whose_clock_is_off_is_flagged_and_works() {
    const MINUTES_MS: i64 = 60_000;
    let snapshot = snapshot(&people());
    let now = wita(23, "08:00:00");
    // What the reader says it is, whether its status has told the offset, what is made of it, whether its scan opens.
    for (reader_ms, told, clock, opens) in [
        (0, true, ClockQuality::Good, true),
        (5_000, true, ClockQuality::Good, true),
        (5_001, true, ClockQuality::Ahead, true),
        (-5_001, true, ClockQuality::Behind, true),
        (7 * MINUTES_MS, true, ClockQuality::Ahead, true),
        (-7 * MINUTES_MS, true, ClockQuality::Behind, true),
        (0, false, ClockQuality::Unknown, true),
        (7 * MINUTES_MS, false, ClockQuality::Ahead, true),
        // Without its status nobody can tell this from a scan that was made so long ago.
        (-7 * MINUTES_MS, false, ClockQuality::Unknown, false),
    ] {
        let scanned_at = Instant::from_unix_ms(now.unix_ms() + reader_ms);
        let scan = Scan::new(ScanId { epoch: 1, seq: 1 }, scanned_at, Direction::In, "asn-green").unwrap();
        let door = "door-0".parse().unwrap();
        let shown = Shown {
            door: &door,
            received_at: now,
            clock_offset_ms: told.then_some(reader_ms),
            maybe_buffered: false,
            scan: &scan,
        };
        let Decided { record, verdict, .. } = decide(&snapshot, &Presence::default(), &shown, now);
        assert_eq!((record.clock, verdict.open), (clock, opens), "{reader_ms} ms, told: {told}");
        assert_eq!(record.scanned_at, scanned_at);
    }
}

#[test]
fn a_scan_is_late_when_it_is_older_than_allowed_at_its_arrival_or_its_decision() {
    let snapshot = snapshot(&people());
    let scanned = wita(23, "08:00:00");
    for (arrived_ms, decided_ms, open) in
        [(30_000, 30_000, true), (30_001, 30_001, false), (0, 30_001, false), (30_001, 0, false)]
    {
        let at = |ms| Instant::from_unix_ms(scanned.unix_ms() + ms);
        let scan = Scan::new(ScanId { epoch: 1, seq: 1 }, scanned, Direction::In, "asn-green").unwrap();
        let door = "door-0".parse().unwrap();
        let shown = Shown {
            door: &door,
            received_at: at(arrived_ms),
            clock_offset_ms: Some(0),
            maybe_buffered: false,
            scan: &scan,
        };
        assert_eq!(
            decide(&snapshot, &Presence::default(), &shown, at(decided_ms)).verdict.open,
            open,
            "{arrived_ms} {decided_ms}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_is_shown_the_door_opens_only_for_good_reasons(
        person in 0..16usize,
        door in prop_oneof![Just("door-0"), Just("watch"), Just("elsewhere")],
        direction in prop_oneof![Just(Direction::In), Just(Direction::Out)],
        now_ms in 1_795_000_000_000..1_796_000_000_000i64,
        age_ms in prop_oneof![-100_000..100_000i64, any::<i64>()],
        clock_offset_ms in proptest::option::of(prop_oneof![-100_000..100_000i64, any::<i64>()]),
    ) {
        thread_local!(static SNAPSHOT: Snapshot = snapshot(&people()));
        SNAPSHOT.with(|snapshot| {
            let people = people();
            let person = people.get(person);
            let now = Instant::from_unix_ms(now_ms);
            let scanned_at = Instant::from_unix_ms(now_ms.saturating_sub(age_ms));
            let badge = person.map_or("nobody", |person| person.id);
            let scan = Scan::new(ScanId { epoch: 1, seq: 1 }, scanned_at, direction, badge).unwrap();
            let shown = Shown { door: &door.parse().unwrap(), received_at: now, clock_offset_ms, maybe_buffered: false, scan: &scan };
            let decided = decide(snapshot, &Presence::default(), &shown, now);
            prop_assert_eq!(&decided, &decide(snapshot, &Presence::default(), &shown, now));
            let verdict = decided.verdict;
            prop_assert!(!verdict.open || matches!(verdict.outcome, Outcome::Granted | Outcome::Recorded));
            let late = verdict.reason == "late-scan";
            prop_assert!(!late || (!verdict.open && verdict.outcome == Outcome::Recorded));
            if door != "elsewhere" {
                prop_assert!(late || direction == Direction::In || verdict.open);
                let is_right = scanned_at.ms_since(now).abs() <= 5_000;
                let told_ms = clock_offset_ms.filter(|offset| offset.unsigned_abs() > 5_000);
                let offset_ms = if is_right { 0 } else { told_ms.unwrap_or(0) };
                let made_at = Instant::from_unix_ms(scanned_at.unix_ms().saturating_sub(offset_ms));
                let age_ms = now.ms_since(made_at);
                // A time that no reader can have tells nothing.
                let plausible = made_at.unix_ms() >= 0 && age_ms >= -3_600_000;
                prop_assert_eq!(late, plausible && age_ms > 30_000);
                prop_assert_eq!(decided.happened_at, if late { made_at } else { now });
            }
            let sick = matches!(verdict.status, Some(HealthStatus::Red | HealthStatus::Black));
            if sick && direction == Direction::In && verdict.mode == Mode::Enforce {
                prop_assert!(!verdict.open && verdict.outcome != Outcome::Granted);
            }
            Ok(())
        })?;
    }
}
