//! Decisions one after the other, each remembered as the spine does: room that is taken and freed, badges handed back.

use protocol::{Direction, Event, EventKind, Instant, Outcome, Scan, ScanId};

use super::{people, wita};
use crate::testing::snapshot;
use crate::{Decided, Presence, Shown, Snapshot, Zones, decide};

/// A site whose scans are decided and remembered.
struct Day {
    snapshot: Snapshot,
    presence: Presence,
    number: u64,
}

impl Day {
    fn new(zones: &str) -> Self {
        let zones = Zones::parse(zones).unwrap().into();
        let mut snapshot = Snapshot { zones, ..snapshot(&people()) };
        snapshot.rules.passback_ms = 15 * 60_000;
        Self { snapshot, presence: Presence::default(), number: 0 }
    }

    /// What a scan is answered: outcome, whether the door opens, reason.
    fn scan(&mut self, badge: &str, door: &str, direction: Direction, at: Instant) -> (Outcome, bool, String) {
        self.number += 1;
        let scan = Scan::new(ScanId { epoch: 1, seq: self.number }, at, direction, badge).unwrap();
        let door = door.parse().unwrap();
        let shown =
            Shown { door: &door, received_at: at, clock_offset_ms: Some(0), maybe_buffered: false, scan: &scan };
        let Decided { record, verdict, .. } = decide(&self.snapshot, &self.presence, &shown, at);
        let told = (verdict.outcome, verdict.open, verdict.reason.clone());
        let subject = EventKind::Scan(record);
        let event = Event {
            number: self.number,
            door,
            received_at: at,
            decided_at: at,
            subject,
            verdict,
            encrypted: None,
            happened_at: None,
            marks: protocol::event::Marks::default(),
        };
        self.presence.remember(&event);
        told
    }
}

fn minute(minutes: i64) -> Instant {
    Instant::from_unix_ms(wita(23, "08:00:00").unix_ms() + minutes * 60_000)
}

#[test]
fn capacity_is_reached_and_freed() {
    use Direction::{In, Out};
    use Outcome::{Assist, Denied, Granted, Recorded};
    let mut day = Day::new("[main]\ncapacity = 2\n");
    for (minutes, badge, direction, outcome, open, reason) in [
        (0, "visitor-green", In, Granted, true, "visitor-green-office-hours"),
        (1, "asn-green", In, Granted, true, "staff-green"),
        (2, "staff-green", In, Assist, false, "zone-full-staff"),
        // Who was not let in takes no room, and asking again changes nothing.
        (3, "staff-green", In, Assist, false, "zone-full-staff"),
        // Who is inside needs none.
        (30, "asn-green", In, Granted, true, "staff-green"),
        (31, "visitor-green", Out, Recorded, true, "exit-always"),
        (32, "staff-green", In, Granted, true, "staff-green"),
        (33, "visitor-green", In, Denied, false, "zone-full"),
        // Red stays red, with or without room.
        (34, "asn-red", In, Denied, false, "status-red"),
        (35, "asn-green", Out, Recorded, true, "exit-always"),
        (36, "visitor-green", In, Granted, true, "visitor-green-office-hours"),
    ] {
        let told = day.scan(badge, "door-0", direction, minute(minutes));
        assert_eq!(told, (outcome, open, reason.into()), "{badge} after {minutes} minutes");
    }
}

#[test]
fn doors_that_only_observe_count_who_passes_them() {
    let mut day = Day::new("[main]\ncapacity = 1\n");
    let (outcome, open, _) = day.scan("asn-red", "watch", Direction::In, minute(0));
    assert_eq!((outcome, open), (Outcome::Recorded, true));
    let told = day.scan("visitor-green", "door-0", Direction::In, minute(1));
    assert_eq!(told, (Outcome::Denied, false, "zone-full".into()));
}

#[test]
fn a_badge_that_is_handed_back_needs_a_helper_and_a_missed_exit_is_forgiven() {
    use Direction::{In, Out};
    use Outcome::{Assist, Granted, Recorded};
    let mut day = Day::new("");
    for (minutes, door, direction, outcome, open, reason) in [
        (0, "door-0", In, Granted, true, "staff-green"),
        (2, "door-0", In, Assist, false, "passback"),
        (3, "door-1", In, Assist, false, "passback"),
        // The exit was scanned: all is well.
        (4, "door-1", Out, Recorded, true, "exit-always"),
        (5, "door-0", In, Granted, true, "staff-green"),
        // The exit was missed, but that was long ago.
        (19, "door-0", In, Assist, false, "passback"),
        (20, "door-0", In, Granted, true, "staff-green"),
        (21, "door-0", In, Assist, false, "passback"),
        // Leaving twice harms nobody.
        (22, "door-0", Out, Recorded, true, "exit-always"),
        (23, "door-0", Out, Recorded, true, "exit-always"),
        (24, "door-0", In, Granted, true, "staff-green"),
    ] {
        let told = day.scan("asn-green", door, direction, minute(minutes));
        assert_eq!(told, (outcome, open, reason.into()), "{door} after {minutes} minutes");
    }
    // A second scan at once is one too many, no second passage.
    let at = minute(40);
    assert_eq!(day.scan("staff-green", "door-0", In, at).0, Granted);
    assert_eq!(day.scan("staff-green", "door-0", In, Instant::from_unix_ms(at.unix_ms() + 3_000)).0, Granted);
    assert_eq!(day.scan("staff-green", "door-0", In, Instant::from_unix_ms(at.unix_ms() + 30_000)).0, Assist);
}
