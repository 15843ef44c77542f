//! How far decisions bind, candidates for the next policy, and what changes with the day and with who is inside.

use protocol::{Direction, Instant, Mode, Outcome, Scan, ScanId, Verdict};

use super::{judge, people, wita};
use crate::testing::{policy_of, snapshot};
use crate::{
    Calendar, CredentialKey, Directory, Door, Doors, ImportOptions, Presence, Shown, Snapshot, Zones, decide,
    import_people,
};
use base::door_list::ModePlan;

#[test]
fn modes_bind_each_in_its_own_way_whatever_is_judged_and_whichever_way() {
    use Outcome::{Assist, Denied, Granted, Recorded};
    let base = snapshot(&people());
    let now = wita(23, "08:00:00");
    for (badge, judged) in [("asn-green", Granted), ("asn-yellow", Assist), ("asn-red", Denied), ("nobody", Denied)] {
        for (mode, outcome, open, warning) in [
            (Mode::Off, Recorded, true, false),
            (Mode::Observe, Recorded, true, false),
            (Mode::Warn, if judged == Granted { Granted } else { Recorded }, true, judged != Granted),
            (Mode::Enforce, judged, judged == Granted, false),
        ] {
            let doors = [("door-0", Some(ModePlan::always(mode))), ("by-zone", None)];
            let doors =
                doors.into_iter().map(|(name, mode)| (name.parse().unwrap(), Door { zone: "tax".into(), mode }));
            let zones = format!("[complex]\nmode = \"{mode}\"\n[tax]\nparent = \"complex\"\n");
            let zones = Zones::parse(&zones).unwrap();
            let snapshot = Snapshot { doors: Doors::from_iter(doors).into(), zones: zones.into(), ..base.clone() };
            for door in ["door-0", "by-zone"] {
                let what = format!("{badge} {mode} {door}");
                let (_, verdict) = judge(&snapshot, door, badge, Direction::In, now, now);
                assert_eq!((verdict.outcome, verdict.open), (outcome, open), "{what}");
                assert_eq!((verdict.is_warning(), verdict.mode), (warning, mode), "{what}");
                let asked = mode != Mode::Off;
                assert_eq!((verdict.policy_set.is_some(), verdict.policies.is_empty()), (asked, !asked), "{what}");
                assert_eq!(verdict.would_be, (asked && outcome != judged).then_some(judged), "{what}");
                // Where it does not bind, nobody reads what would have been.
                let hidden = mode == Mode::Observe || mode == Mode::Off;
                assert!(!hidden || verdict.text.en == "Please come in", "{what}: {}", verdict.text.en);

                let (_, leaving) = judge(&snapshot, door, badge, Direction::Out, now, now);
                assert_eq!((leaving.outcome, leaving.open, leaving.is_warning()), (Recorded, true, false), "{what}");
                let late = Instant::from_unix_ms(now.unix_ms() + 3_600_000);
                let (_, late) = judge(&snapshot, door, badge, Direction::In, now, late);
                assert_eq!((late.outcome, late.open, late.is_warning()), (Recorded, false, false), "{what}");
            }
        }
    }
}

#[test]
fn the_nearest_plan_that_has_begun_holds_and_the_next_change_is_foretold() {
    let zones = "[complex]\nmode = [{ mode = \"off\" }, { mode = \"warn\", from = \"2026-11-10\" }, { mode = \"enforce\", from = \"2026-11-20\" }]\n\
                 [tax]\nparent = \"complex\"\nmode = [{ mode = \"observe\", from = \"2026-11-15\" }, { mode = \"enforce\", from = \"2026-11-25\" }]\n";
    let doors = "[a]\nzone = \"tax\"\n[b]\nzone = \"complex\"\n[c]\nzone = \"tax\"\nmode = \"observe\"\n";
    let (zones, doors) = (Zones::parse(zones).unwrap(), Doors::parse(doors).unwrap());
    let snapshot = Snapshot { zones: zones.into(), doors: doors.into(), ..snapshot(&people()) };
    for (door, day, mode, next) in [
        // The zone's own plan has not begun: the one around holds.
        ("a", 9, Mode::Off, Some((10, Mode::Warn))),
        ("a", 10, Mode::Warn, Some((15, Mode::Observe))),
        // What changes around makes no difference any more.
        ("a", 15, Mode::Observe, Some((25, Mode::Enforce))),
        ("a", 25, Mode::Enforce, None),
        ("b", 15, Mode::Warn, Some((20, Mode::Enforce))),
        ("b", 20, Mode::Enforce, None),
        ("c", 9, Mode::Observe, None),
    ] {
        let settings = snapshot.doors.get(&door.parse().unwrap()).unwrap();
        let at = |day: u8| format!("2026-11-{day:02}T00:00:00+08:00").parse::<Instant>().unwrap();
        assert_eq!(snapshot.mode_at(settings, at(day)), mode, "{door} {day}");
        assert_eq!(
            snapshot.next_mode_change(settings, at(day)),
            next.map(|(day, mode)| (at(day), mode)),
            "{door} {day}"
        );
    }
}

#[test]
fn a_candidate_is_recorded_beside_the_verdict_and_never_binds() {
    let nobody = "@id(\"nobody\") forbid (principal, action, resource);";
    let failing = "@id(\"fails\") permit (principal, action, resource)\
                   when { context.minute_of_day * 9223372036854775807 > 0 };";
    let now = wita(23, "08:00:00");
    let base = snapshot(&people());
    let without = judge(&base, "door-0", "asn-green", Direction::In, now, now).1;
    assert_eq!(without.shadow, None);
    for (candidate, reason) in [(nobody, "nobody"), (failing, "policy-error")] {
        let candidate = policy_of(candidate).unwrap();
        let hash = candidate.set_hash().to_owned();
        let snapshot = Snapshot { shadow: Some(candidate.into()), ..base.clone() };
        let (_, verdict) = judge(&snapshot, "door-0", "asn-green", Direction::In, now, now);
        let shadow = verdict.shadow.clone().unwrap();
        assert_eq!((shadow.policy_set, shadow.outcome, shadow.reason.as_str()), (hash, Outcome::Denied, reason));
        assert_eq!(Verdict { shadow: None, ..verdict }, without);
        let later = Instant::from_unix_ms(now.unix_ms() + 3_600_000);
        assert_eq!(judge(&snapshot, "door-0", "asn-green", Direction::In, now, later).1.shadow, None);
    }
}

#[test]
fn holidays_capacity_and_an_expired_directory_are_seen() {
    let now = wita(23, "08:00:00");
    let judged = |snapshot: &Snapshot, presence: &Presence, badge: &str| {
        let scan = Scan::new(ScanId { epoch: 1, seq: 1 }, now, Direction::In, badge).unwrap();
        let door = "door-0".parse().unwrap();
        let shown =
            Shown { door: &door, received_at: now, clock_offset_ms: Some(0), maybe_buffered: false, scan: &scan };
        let verdict = decide(snapshot, presence, &shown, now).verdict;
        (verdict.outcome, verdict.reason)
    };
    let base = snapshot(&people());
    let nobody = Presence::default();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calendar.toml");
    std::fs::write(&file, "[holidays]\n2026-11-23 = \"Contoh\"\n").unwrap();
    let holiday = Snapshot { calendar: Calendar::read(&file).unwrap().into(), ..base.clone() };
    assert_eq!(judged(&holiday, &nobody, "visitor-green"), (Outcome::Denied, "visitor-holiday".into()));
    assert_eq!(judged(&holiday, &nobody, "asn-green"), (Outcome::Granted, "staff-green".into()));

    let zones = Zones::parse("[main]\ncapacity = 1\n").unwrap();
    let limited = Snapshot { zones: zones.into(), ..base.clone() };
    assert_eq!(judged(&limited, &nobody, "visitor-green").0, Outcome::Granted);
    let mut presence = Presence::default();
    let mut inside = base::testing::event(1);
    (inside.decided_at, inside.received_at) = (now, now);
    (inside.verdict.zone, inside.verdict.person) = (Some("main".into()), Some("asn-green".into()));
    presence.remember(&inside);
    assert_eq!(judged(&limited, &presence, "visitor-green"), (Outcome::Denied, "zone-full".into()));
    assert_eq!(judged(&limited, &presence, "staff-green"), (Outcome::Assist, "zone-full-staff".into()));
    assert_eq!(judged(&limited, &presence, "asn-green").0, Outcome::Granted, "who is inside needs no room");

    let path = folder.path().join("directory.redb");
    let csv = "person,class,badge,status\nC-1,asn,old-badge,green\n";
    let key = CredentialKey::new([7; 32]);
    let day = |days: i64| Instant::from_unix_ms(now.unix_ms() - days * 86_400_000);
    for (days, outcome, reason) in [
        (0, Outcome::Granted, "staff-green"),
        (90, Outcome::Granted, "staff-green"),
        (91, Outcome::Assist, "directory-expired"),
    ] {
        std::fs::remove_file(&path).ok();
        let options = ImportOptions::default();
        import_people(&path, &key, &base.rules.time_zone, csv.as_bytes(), "people", &options, day(days)).unwrap();
        let aged = Snapshot { directory: Directory::read(&path).unwrap().into(), ..base.clone() };
        assert_eq!(judged(&aged, &nobody, "old-badge"), (outcome, reason.into()), "{days} days");
    }
}
