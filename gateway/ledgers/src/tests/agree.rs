//! Stays, attendance, presence and contacts agree with the oracle for random histories.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::Instant;

use super::naive::{self, Met, Naive, Run};
use super::site::{DAYS, MINUTE_MS, ZONES, history, of, person, rules};
use crate::rules::plus_ms;
use crate::stays::{break_between, without_doubles};
use crate::*;

/// People of a history; the second works at night.
const PEOPLE: usize = 4;

/// Every minute of a history, from half a day before it to half a day behind it.
fn minutes(rules: &Rules, day: jiff::civil::Date) -> Vec<Instant> {
    let start = rules.start_of(day);
    (-720..DAYS * 1_440 + 720).map(|minute| plus_ms(start, minute * MINUTE_MS)).collect()
}

fn scenario(people: usize) -> impl Strategy<Value = (usize, Vec<(Person, Passage)>, i64, u32)> {
    (0..4usize).prop_flat_map(move |which| (Just(which), history(people, which), 0..DAYS * 1_440 + 2_000, 0..3u32))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn stays_are_where_the_scan_before_and_the_scan_after_leave_somebody((which, passages, now, _) in scenario(2)) {
        let (rules, day) = rules(which);
        let minutes = minutes(&rules, day);
        let now = plus_ms(rules.start_of(day), now * MINUTE_MS);
        for who in [person(0), person(1)] {
            let passages = of(&who, &passages);
            let naive = Naive::new(&who, &passages, &rules, now);
            let stays: Vec<Stay> =
                sessions(&who, &passages, &rules, now).into_iter().flat_map(|session| session.stays).collect();
            for minute in minutes.iter().step_by(7) {
                let possible = stays.iter().filter(|stay| stay.from.earliest <= *minute && *minute < stay.to.latest);
                let possible = possible.map(|stay| stay.zone.to_string()).collect();
                prop_assert_eq!(naive.possible(*minute), possible, "{}", minute);
                let certain = stays.iter().find(|stay| stay.from.latest <= *minute && *minute < stay.to.earliest);
                prop_assert_eq!(naive.certain(*minute), certain.map(|stay| stay.zone.to_string()), "{}", minute);
            }
        }
    }

    #[test]
    fn working_days_agree_with_minutes_counted((which, passages, now, gap) in scenario(2)) {
        let (mut rules, day) = rules(which);
        rules.gap_minutes = gap * 15;
        let now = plus_ms(rules.start_of(day), now * MINUTE_MS);
        for who in [person(0), person(1)] {
            let passages = of(&who, &passages);
            let naive = Naive::new(&who, &passages, &rules, now);
            let sessions = sessions(&who, &passages, &rules, now);
            let (from, to) = (rules.day_of(plus_ms(rules.start_of(day), -MINUTE_MS)), day.saturating_add(jiff::Span::new().days(9)));
            let mut days: BTreeMap<_, Vec<Run>> = BTreeMap::new();
            for run in naive.runs() {
                days.entry(naive.working_day(run.first)).or_default().push(run);
            }
            let found = working_days(&who, from, to, &sessions, &rules);
            prop_assert_eq!(found.iter().map(|row| row.day).collect::<Vec<_>>(), days.keys().copied().collect::<Vec<_>>());
            for row in found {
                let runs = &days[&row.day];
                let (first, last) = (runs[0], runs[runs.len() - 1]);
                prop_assert_eq!((row.worked_minutes, row.worked_minutes_by_rule), naive.minutes(runs));
                let (seen, begin) = naive.begin(first);
                prop_assert_eq!(row.first_in, seen.then_some(begin));
                let (evidence, end) = naive.end(last);
                prop_assert_eq!(row.last_out, (evidence == Evidence::Exit).then_some(end));
                let ends: Vec<Evidence> = runs.iter().map(|run| naive.end(*run).0).collect();
                prop_assert_eq!(row.sessions.iter().map(|one| one.evidence).collect::<Vec<_>>(), ends.clone());
                prop_assert_eq!(row.flags.closed_by_rule, ends.contains(&Evidence::Rule));
                prop_assert_eq!(row.flags.missing_exit, ends.contains(&Evidence::Rule) || ends.contains(&Evidence::NextDoor));
                prop_assert_eq!(row.flags.missing_entry, runs.iter().any(|run| naive.entry_missed(*run)));
                let scans = || runs.iter().flat_map(|run| run.first..=run.last).map(|scan| naive.scan(scan));
                // The scan that shows that one before was missed belongs to the next session, but counts as well.
                if !ends.contains(&Evidence::NextDoor) {
                    prop_assert_eq!(row.flags.late_scan, scans().any(|scan| scan.late));
                    prop_assert_eq!(row.flags.doubtful_clock, scans().any(|scan| scan.clock_doubtful));
                }
            }
        }
    }

    #[test]
    fn presence_agrees_with_the_last_scan((which, passages, now, _) in scenario(PEOPLE)) {
        let (rules, day) = rules(which);
        let now = plus_ms(rules.start_of(day), now * MINUTE_MS);
        let mut people = Vec::new();
        let mut expected: BTreeMap<String, (String, Instant, bool)> = BTreeMap::new();
        for who in (0..PEOPLE).map(person) {
            let passages: Vec<_> = of(&who, &passages).into_iter().filter(|passage| passage.at <= now).collect();
            if let Some(found) = Naive::new(&who, &passages, &rules, now).present() {
                expected.insert(who.as_str().into(), found);
            }
            people.extend(present(&who, &sessions(&who, &passages, &rules, now), &rules, now));
        }
        let table = PresenceNow::new(now, people, &rules);
        let found: BTreeMap<String, _> = table.people.iter().map(|present| {
            let weak = present.evidence == Evidence::Rule;
            (present.person.as_str().into(), (present.zone.to_string(), present.since.latest, weak))
        }).collect();
        prop_assert_eq!(&found, &expected);
        for zone in &table.zones {
            let within = |place: &&(String, Instant, bool)| rules.is_within(&place.0, &zone.zone);
            let (weak, sure): (Vec<_>, Vec<_>) = expected.values().filter(within).partition(|place| place.2);
            prop_assert_eq!((zone.people, zone.weak), (sure.len(), weak.len()), "{}", zone.zone);
            prop_assert_eq!(zone.capacity, (&*zone.zone == "complex").then_some(900));
        }
        prop_assert!(table.zones.len() >= ZONES.len() - 1);
        prop_assert_eq!(table.muster().map(|zone| zone.people.len()).sum::<usize>(), expected.len());
    }

    #[test]
    fn a_part_of_a_history_behind_a_break_tells_the_same((which, passages, now, gap) in scenario(1)) {
        let (mut rules, day) = rules(which);
        rules.gap_minutes = gap * 15;
        let (who, now) = (person(0), plus_ms(rules.start_of(day), now * MINUTE_MS));
        let passages = of(&who, &passages);
        let whole = sessions(&who, &passages, &rules, now);
        let kept: Vec<Passage> = without_doubles(&passages, &rules).cloned().collect();
        for pair in kept.windows(2).filter(|pair| break_between(&pair[0], &pair[1], &rules)) {
            let part: Vec<Passage> = passages.iter().filter(|passage| passage.order() >= pair[0].order()).cloned().collect();
            let behind = |sessions: Vec<Session>| -> Vec<Session> {
                sessions.into_iter().filter(|session| session.began > pair[0].order()).collect()
            };
            prop_assert_eq!(behind(sessions(&who, &part, &rules, now)), behind(whole.clone()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn contacts_agree_with_minutes_counted(
        (which, passages, now, _) in scenario(PEOPLE),
        threshold in 1..90u32,
        around: bool,
        (start, length) in (0..2_000i64, 500..DAYS * 1_440),
    ) {
        let (rules, day) = rules(which);
        let begin = plus_ms(rules.start_of(day), start * MINUTE_MS);
        let now = plus_ms(rules.start_of(day), now * MINUTE_MS);
        let period: Vec<Instant> = (0..length).map(|minute| plus_ms(begin, minute * MINUTE_MS)).collect();
        let people: Vec<(Person, Vec<Passage>)> = (0..PEOPLE).map(person).map(|who| (who.clone(), of(&who, &passages))).collect();
        let naive: Vec<(Person, Naive<'_>)> =
            people.iter().map(|(who, passages)| (who.clone(), Naive::new(who, passages, &rules, now))).collect();
        let everybody: Vec<(Person, Vec<Stay>)> = people.iter().map(|(who, passages)| {
            let sessions = sessions(who, passages, &rules, now);
            (who.clone(), sessions.into_iter().flat_map(|session| session.stays).collect())
        }).collect();
        let query = ContactQuery {
            threshold_minutes: threshold,
            scope: if around { Scope::Around } else { Scope::Innermost },
            generations: Generations::Second,
            ..ContactQuery::new(person(0), begin, plus_ms(begin, length * MINUTE_MS))
        };
        let found: BTreeMap<(u8, String, String), Met> = contacts(&query, &everybody, &rules).into_iter().map(|contact| {
            let key = (contact.generation, contact.of.as_str().into(), contact.person.as_str().into());
            let certain = contact.grade == Grade::Certain;
            (key, (certain, contact.minutes_min, contact.minutes_max, contact.reached_at))
        }).collect();
        prop_assert_eq!(found, naive::contacts(&naive, &person(0), &period, threshold.into(), around));
    }
}
