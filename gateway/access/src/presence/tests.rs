//! Who is where, by hand and by chance.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use protocol::{PassRecord, ScanId};

use super::*;
use base::testing::event;

const START_MS: i64 = 1_795_390_264_000;
const MINUTE: i64 = 60_000;

fn zones() -> Zones {
    Zones::parse("[complex]\n[main]\nparent = \"complex\"\ncapacity = 2\n[tax]\nparent = \"main\"\n[lab]\nparent = \"complex\"\n")
        .unwrap()
}

/// A passage of a person, `minutes` after the start.
fn passage(person: &str, zone: &str, direction: Direction, minutes: i64) -> Event {
    let at = Instant::from_unix_ms(START_MS + minutes * MINUTE);
    let mut event =
        Event { decided_at: at, received_at: at, door: format!("{zone}-door").parse().unwrap(), ..event(1) };
    event.verdict.person = Some(person.into());
    event.verdict.zone = Some(zone.into());
    if let EventKind::Scan(scan) = &mut event.subject {
        scan.id = ScanId { epoch: 1, seq: u64::try_from(minutes).unwrap() };
        scan.direction = direction;
        scan.scanned_at = at;
    }
    event
}

fn late(mut event: Event, at_minutes: i64) -> Event {
    event.verdict.outcome = Outcome::Recorded;
    event.verdict.open = false;
    if let EventKind::Scan(scan) = &mut event.subject {
        scan.scanned_at = Instant::from_unix_ms(START_MS + at_minutes * MINUTE);
    }
    event
}

fn with_pass(mut event: Event, one_time: bool) -> Event {
    let until = Instant::from_unix_ms(START_MS + 1_000 * MINUTE);
    if let EventKind::Scan(scan) = &mut event.subject {
        scan.pass = Some(PassRecord { id: CredentialHash([9; 16]), one_time_until: one_time.then_some(until) });
    }
    event
}

fn seen(events: impl IntoIterator<Item = Event>) -> Presence {
    let mut presence = Presence::default();
    events.into_iter().for_each(|event| presence.remember(&event));
    presence
}

fn attempt<'a>(door: &'a DoorId, zone: &'a str, minutes: i64) -> Attempt<'a> {
    let at = Instant::from_unix_ms(START_MS + minutes * MINUTE);
    Attempt { who: Who::person("P-1"), door, zone, direction: Direction::In, at }
}

#[test]
fn a_zone_holds_who_is_in_it_and_in_the_zones_inside() {
    let presence = seen([
        passage("P-1", "complex", Direction::In, 0),
        passage("P-2", "main", Direction::In, 1),
        passage("P-3", "tax", Direction::In, 2),
        passage("P-4", "tax", Direction::In, 3),
        // Who leaves an office is in the building around it.
        passage("P-4", "tax", Direction::Out, 4),
        passage("P-5", "complex", Direction::In, 5),
        passage("P-5", "complex", Direction::Out, 6),
    ]);
    let occupancy = |zone| presence.occupancy().of(zone, &zones());
    assert_eq!([occupancy("complex"), occupancy("main"), occupancy("tax"), occupancy("lab")], [4, 3, 1, 0]);
    assert_eq!(presence.occupancy().of("unlisted", &zones()), 0);
}

#[test]
fn capacity_is_reached_and_freed_and_who_is_inside_needs_no_room() {
    let mut presence = seen([passage("P-1", "main", Direction::In, 0), passage("P-2", "tax", Direction::In, 1)]);
    let full = |presence: &Presence, person, zone| presence.is_full(Who::person(person), zone, &zones());
    assert!(full(&presence, "P-3", "main") && full(&presence, "P-3", "tax"));
    assert!(!full(&presence, "P-3", "lab") && !full(&presence, "P-3", "complex"));
    assert!(!full(&presence, "P-1", "tax") && !full(&presence, "P-2", "main"));
    presence.remember(&passage("P-1", "main", Direction::Out, 2));
    assert!(!full(&presence, "P-3", "main"));
    presence.remember(&passage("P-3", "main", Direction::In, 3));
    assert!(full(&presence, "P-1", "main"));
    // A missed exit does not take the place for ever.
    presence.remember(&passage("P-9", "lab", Direction::In, 60 * i64::from(KEEP_HOURS) + 2));
    assert!(!full(&presence, "P-1", "main"));
    assert_eq!(presence.occupancy().of("main", &zones()), 1);
}

#[test]
fn a_badge_that_is_handed_back_is_found_and_a_missed_exit_is_forgiven() {
    let door: DoorId = "main-door".parse().unwrap();
    let other: DoorId = "side-door".parse().unwrap();
    let back = |presence: &Presence, attempt: Attempt<'_>| presence.is_passback(&attempt, 15 * MINUTE, 5_000);
    let inside = seen([passage("P-1", "main", Direction::In, 0)]);
    assert!(back(&inside, attempt(&door, "main", 1)) && back(&inside, attempt(&other, "main", 1)));
    // The same door again at once is a double scan; at another door it is not.
    assert!(!back(&inside, attempt(&door, "main", 0)) && back(&inside, attempt(&other, "main", 0)));
    assert!(!back(&inside, attempt(&door, "main", 15)), "a missed exit");
    assert!(!back(&inside, attempt(&door, "tax", 1)), "another zone");
    assert!(!back(&inside, Attempt { direction: Direction::Out, ..attempt(&door, "main", 1) }));
    assert!(!back(&inside, Attempt { who: Who::person("P-2"), ..attempt(&door, "main", 1) }));
    let left = seen([passage("P-1", "main", Direction::In, 0), passage("P-1", "main", Direction::Out, 1)]);
    assert!(!back(&left, attempt(&door, "main", 2)));
    let moved = seen([passage("P-1", "main", Direction::In, 0), passage("P-1", "lab", Direction::In, 1)]);
    assert!(!back(&moved, attempt(&door, "main", 2)), "seen elsewhere: the exit was missed");
}

#[test]
fn who_was_turned_away_has_not_moved_and_a_late_scan_tells_of_the_past() {
    let denied = |mut event: Event| {
        event.verdict.outcome = Outcome::Denied;
        event.verdict.open = false;
        event
    };
    assert_eq!(seen([denied(passage("P-1", "main", Direction::In, 0))]).occupancy().of("main", &zones()), 0);
    let late_in = late(passage("P-1", "main", Direction::In, 9), 2);
    assert_eq!(seen([late_in.clone()]).occupancy().of("main", &zones()), 1);
    let left_since = [passage("P-1", "main", Direction::Out, 5), late_in];
    assert_eq!(seen(left_since).occupancy().of("main", &zones()), 0);
}

#[test]
fn a_pass_at_two_doors_within_seconds_is_found() {
    let (here, there): (DoorId, DoorId) = ("main-door".parse().unwrap(), "lab-door".parse().unwrap());
    let shown = seen([with_pass(passage("P-1", "main", Direction::In, 0), false)]);
    let pass = CredentialHash([9; 16]);
    assert!(shown.is_elsewhere(pass, &attempt(&there, "lab", 0), 5_000));
    assert!(!shown.is_elsewhere(pass, &attempt(&there, "lab", 1), 5_000));
    assert!(!shown.is_elsewhere(pass, &attempt(&here, "main", 0), 5_000));
    assert!(!shown.is_elsewhere(CredentialHash([1; 16]), &attempt(&there, "lab", 0), 5_000));
    assert!(!shown.is_used(pass, &attempt(&here, "main", 30), 5_000), "it admits as often as it is shown");
}

#[test]
fn a_one_time_pass_lets_into_each_zone_once() {
    let (here, there): (DoorId, DoorId) = ("main-door".parse().unwrap(), "side-door".parse().unwrap());
    let pass = CredentialHash([9; 16]);
    let mut used = seen([with_pass(passage("V-1", "main", Direction::In, 0), true)]);
    assert!(used.is_used(pass, &attempt(&here, "main", 30), 5_000));
    assert!(used.is_used(pass, &attempt(&there, "main", 0), 5_000));
    assert!(!used.is_used(pass, &attempt(&here, "main", 0), 5_000), "a double scan");
    assert!(!used.is_used(pass, &attempt(&here, "tax", 30), 5_000), "a zone further in");
    assert!(!used.is_used(pass, &Attempt { direction: Direction::Out, ..attempt(&here, "main", 30) }, 5_000));
    // It is remembered for as long as the pass is good, and no longer.
    used.remember(&passage("P-2", "lab", Direction::In, 999));
    assert!(used.is_used(pass, &attempt(&here, "main", 999), 5_000));
    used.remember(&passage("P-2", "lab", Direction::In, 1_001));
    assert!(!used.is_used(pass, &attempt(&here, "main", 1_001), 5_000));
}

#[test]
fn an_event_whose_keys_were_destroyed_is_nobodys_passage() {
    let mut erased = with_pass(passage("P-1", "main", Direction::In, 0), true);
    let part = protocol::SealedPart { of: 7, bytes: Vec::new() };
    erased.verdict.person = None;
    erased.encrypted = Some(protocol::Encrypted { person: Some(part), helper: None });
    let presence = seen([erased]);
    assert!(presence.people.is_empty() && presence.passes.is_empty());
}

#[test]
fn who_is_forgotten_was_never_seen() {
    let by_credential = |mut event: Event| {
        event.verdict.person = None;
        event
    };
    let theirs = [
        with_pass(passage("P-1", "main", Direction::In, 1), true),
        by_credential(passage("P-1", "tax", Direction::In, 2)),
    ];
    let other = passage("P-2", "main", Direction::In, 3);
    let mut presence = seen(theirs.into_iter().chain([other.clone()]));
    assert_eq!(presence.occupancy().of("complex", &zones()), 3);
    presence.forget("P-1", &[CredentialHash([7; 16]), CredentialHash([9; 16])]);
    assert_eq!(Presence { purged_at: None, ..presence }, Presence { purged_at: None, ..seen([other]) });
}

#[test]
fn a_checkpoint_brings_everything_back() {
    let presence = seen([
        passage("P-1", "main", Direction::In, 0),
        with_pass(passage("P-2", "tax", Direction::In, 1), true),
        passage("P-2", "tax", Direction::Out, 2),
    ]);
    let bytes = minicbor::to_vec(&presence).unwrap();
    let restored = minicbor::decode::<Presence>(&bytes).unwrap().restored(presence.keep_ms);
    assert_eq!(restored, presence);
}

proptest! {
    #[test]
    fn occupancy_agrees_with_a_walk_through_all_that_happened(
        steps in proptest::collection::vec((0..6u8, 0..4usize, any::<bool>(), 0..40i64), 0..60)
    ) {
        let (zones, names) = (zones(), ["complex", "main", "tax", "lab"]);
        let (mut presence, mut last, mut minute) = (Presence::default(), BTreeMap::new(), 0);
        for (person, zone, enters, later) in steps {
            minute += later;
            let direction = if enters { Direction::In } else { Direction::Out };
            presence.remember(&passage(&person.to_string(), names[zone], direction, minute));
            last.insert(person, (names[zone], enters, minute));
        }
        presence.purge(Instant::from_unix_ms(START_MS + minute * MINUTE));
        for zone in names {
            let inside: BTreeSet<_> = last
                .iter()
                .filter(|(_, (_, _, at))| minute - at <= 60 * i64::from(KEEP_HOURS))
                .filter(|(_, (place, enters, _))| {
                    let position = if *enters { Some(*place) } else { zones.around(place).first().map(String::as_str) };
                    position.is_some_and(|at| at == zone || zones.around(at).iter().any(|around| around == zone))
                })
                .collect();
            prop_assert_eq!(presence.occupancy().of(zone, &zones) as usize, inside.len(), "{}", zone);
        }
    }
}
