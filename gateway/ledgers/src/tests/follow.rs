//! The ledgers agree with the pure core however the log comes to them.

use std::time::Duration;

use proptest::prelude::*;
use protocol::{Direction, Instant};

use super::house::{House, PEOPLE, Past, Question, answered, compare, past, question, until};
use super::site::{MINUTE_MS, passage, person, rules};
use crate::*;

/// People in and out of the main building on four days, the last event a late scan of the second day.
fn four_days() -> Past {
    let mut passages = Vec::new();
    for day in 0..4 {
        for who in 0..2 {
            for (minute, direction) in [(8 * 60, Direction::In), (15 * 60, Direction::Out)] {
                let at = start() + (day * 1_440 + minute) * MINUTE_MS + who;
                let number = passages.len() as u64 + 1;
                let who = person(usize::try_from(who).unwrap());
                passages.push((who, passage(number, Instant::from_unix_ms(at), "complex", direction)));
            }
        }
    }
    let at = Instant::from_unix_ms(start() + (1_440 + 12 * 60) * MINUTE_MS);
    let late = Passage { late: true, ..passage(17, at, "complex", Direction::Out) };
    passages.push((person(0), late));
    Past::new(0, passages)
}

fn start() -> i64 {
    let (rules, day) = rules(0);
    rules.start_of(day).unix_ms()
}

#[test]
fn events_are_found_by_person_time_and_day() {
    let past = four_days();
    let house = past.house();
    house.log.append(&past.events);
    house.rest();
    let of = |from: Option<i64>, to: Option<i64>, after, limit| {
        let times = (from.map(|minute| past.at(minute)), to.map(|minute| past.at(minute)));
        answered(|| house.views.events_of("P-0", times, after, limit, Restricted::LeftOut))
    };
    assert_eq!(of(None, None, 0, 100), [1, 2, 5, 6, 9, 10, 13, 14, 17]);
    assert_eq!(of(None, None, 5, 2), [6, 9]);
    assert_eq!(of(Some(1_440 + 8 * 60), Some(1_440 + 15 * 60), 0, 100), [5, 17]);
    assert_eq!(answered(|| house.views.events_of("P-9", (None, None), 0, 9, Restricted::Included)), [0u64; 0]);
    let until = |day: i64| answered(|| house.views.last_number_until(past.at(day * 1_440 + 9 * 60)));
    // The late scan of the second day arrived on the last.
    assert_eq!((until(-1), until(0), until(1), until(2), until(9)), (0, 4, 17, 17, 17));
}

#[test]
fn what_is_older_than_it_may_be_is_deleted_and_stays_out() {
    let past = four_days();
    let (mut house, rules) = (past.house(), past.rules());
    let day = |days: i64| rules.day_of(past.at(days * 1_440));
    let (on_time, late) = past.events.split_at(16);
    house.log.append(on_time);
    house.rest();
    let rows = |house: &House| {
        let ask = || house.views.attendance(day(0), day(3), None, Restricted::LeftOut, past.at(9 * 1_440));
        answered(ask).into_iter().map(|row| (row.day, row.sessions.len())).collect::<Vec<_>>()
    };
    assert_eq!(rows(&house).len(), 8);
    house.views.expire(day(2), day(3)).unwrap();
    assert_eq!(rows(&house), [(day(2), 1), (day(2), 1), (day(3), 1), (day(3), 1)]);
    house.log.append(late);
    house.rest();
    assert_eq!(rows(&house).len(), 4);
    house.restart(|_| ());
    house.rest();
    assert_eq!(rows(&house).len(), 4);
    assert_eq!(answered(|| house.views.last_number_until(past.at(0))), 4);
}

#[test]
fn views_of_another_log_or_time_zone_are_made_anew() {
    let past = four_days();
    let house = past.house();
    house.log.append(&past.events);
    house.rest();
    // A log that has come to as many events otherwise.
    let mut other = past.clone();
    other.events.iter_mut().for_each(|event| event.door = "other".parse().unwrap());
    let mut another = other.house();
    another.log.append(&other.events);
    another.restart(|path| assert!(std::fs::copy(house.folder.path().join("views.redb"), path).unwrap() > 0));
    another.rest();
    assert_eq!(another.rebuilds(), 1);
    // A log that is shorter.
    let mut shorter = past.house();
    shorter.log.append(&past.events[..9]);
    shorter.restart(|path| assert!(std::fs::copy(house.folder.path().join("views.redb"), path).unwrap() > 0));
    shorter.rest();
    assert_eq!((shorter.rebuilds(), shorter.views.position().through), (1, 9));

    let mut rules = past.rules();
    rules.time_zone = jiff::tz::TimeZone::UTC;
    let before = house.rebuilds();
    house.rules.store(std::sync::Arc::new(rules.clone()));
    until(|| (house.rebuilds() > before).then_some(()));
    house.rest();
    let ask = Question { now: 20_000, from: 0, length: 9_000, threshold: 15, around: false, second: false };
    compare(&house.views, &past, &rules, &ask).unwrap();
}

#[tokio::test]
async fn a_question_may_wait_for_an_event() {
    let past = four_days();
    let house = past.house();
    house.log.append(&past.events[..4]);
    assert!(house.views.reach(4, Duration::from_secs(20)).await);
    assert!(!house.views.reach(5, Duration::from_millis(1)).await);
    let (views, log) = (house.views.clone(), std::sync::Arc::clone(&house.log));
    let waiting = tokio::spawn(async move { views.reach(17, Duration::from_secs(20)).await });
    log.append(&past.events[4..]);
    assert!(waiting.await.unwrap());
    assert_eq!(house.views.position(), Position { through: 17, last: 17, rebuilding: false });
    assert!(house.views.problems(past.at(0)).is_empty());
    house.views.stop();
    assert_eq!(house.views.presence(past.at(0)), Err(LedgerStoreError::Stopped));
    assert!(house.views.forget(&[17]).unwrap_err().to_string().contains("stopped"));
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig::with_cases(cases)
}

proptest! {
    #![proptest_config(cases(20))]

    #[test]
    fn in_any_batches_the_views_agree_with_the_core(past in past(), ask in question(), cut in 0..100usize) {
        let house = past.house();
        let (before, after) = past.events.split_at(past.events.len() * cut / 100);
        house.log.append(before);
        // Days are settled that later events change.
        house.rest();
        house.log.append(after);
        house.rest();
        compare(&house.views, &past, &past.rules(), &ask)?;
    }

    #[test]
    fn what_is_remembered_from_question_to_question_agrees(
        past in past(),
        mut ask in question(),
        (cuts, later) in ([0..100usize, 0..100, 100..101], [0..30i64, 0..600, 0..2_000]),
    ) {
        let house = past.house();
        let mut cuts = cuts.map(|cut| past.events.len() * cut / 100);
        cuts.sort_unstable();
        let mut taken = 0;
        for cut in cuts {
            house.log.append(&past.events[taken..cut]);
            taken = cut;
            until(|| (house.views.position().through == cut as u64 && !house.views.position().rebuilding).then_some(()));
            let past = past.first(cut);
            ask.now = past.newest();
            for later in later {
                ask.now += later;
                // The last days are those that are not over.
                (ask.from, ask.length) = (ask.now - 2 * 1_440, 3 * 1_440);
                compare(&house.views, &past, &past.rules(), &ask)?;
            }
        }
    }

    #[test]
    fn who_is_killed_anywhere_agrees_after_the_next_start(past in past(), ask in question(), cuts in [0..100usize, 0..100]) {
        let house = past.house();
        let mut cuts = cuts.map(|cut| past.events.len() * cut / 100);
        cuts.sort_unstable();
        house.log.append(&past.events[..cuts[0]]);
        house.rest();
        house.log.append(&past.events[cuts[0]..cuts[1]]);
        until(|| (house.views.position().through == cuts[1] as u64).then_some(()));
        let next = house.killed();
        next.log.append(&past.events[cuts[1]..]);
        next.rest();
        compare(&next.views, &past, &past.rules(), &ask)?;
    }

    #[test]
    fn rules_may_change(past in past(), ask in question(), gap in 0..3u32, stay in 10..60u32) {
        let house = past.house();
        house.log.append(&past.events);
        house.rest();
        let mut rules = past.rules();
        (rules.gap_minutes, rules.stay_hours_max) = (gap * 30, stay);
        rules.hours.members.insert(person(2), "night".into());
        house.rules.store(std::sync::Arc::new(rules.clone()));
        compare(&house.views, &past, &rules, &ask)?;
    }

    #[test]
    fn who_is_erased_or_restricted_is_left_out(mut past in past(), ask in question(), again: bool) {
        // An event that is not encrypted would make the subject anew.
        past.encrypt(u64::MAX);
        let mut house = past.house();
        house.log.append(&past.events);
        house.rest();
        let erased = house.book.erase(person(0).as_str());
        house.book.restrict(person(3).as_str());
        if again {
            house.restart(|path| std::fs::remove_file(path).unwrap());
        } else {
            let days: std::collections::BTreeSet<_> = past.passages.iter()
                .filter(|(who, _)| *who == person(0)).map(|(_, passage)| past.rules().day_of(passage.at)).collect();
            let deleted = house.views.forget(&[erased]).unwrap();
            prop_assert!(deleted >= days.len() as u64);
            prop_assert_eq!(house.views.forget(&[erased]).unwrap(), 0);
        }
        house.rest();
        let now = past.at(ask.now);
        let present = answered(|| house.views.presence(now));
        prop_assert!(present.people.iter().all(|present| present.person != person(0)));
        let left = past.without(&[0, 3]);
        for who in (0..PEOPLE).map(person) {
            let query = ContactQuery::new(who, past.at(0), past.at(20_000));
            let found = answered(|| house.views.contacts(&query, now));
            prop_assert!(found.iter().all(|contact| ![person(0), person(3)].contains(&contact.person)));
        }
        let day = past.rules().day_of(past.at(1_500));
        let table = answered(|| house.views.attendance(day, day, None, Restricted::LeftOut, now));
        prop_assert!(table.iter().all(|row| left.passages.iter().any(|(who, _)| *who == row.person)));
        let own = |restricted| {
            let everything = (None, None);
            answered(|| house.views.events_of(person(3).as_str(), everything, 0, usize::MAX, restricted)).len()
        };
        prop_assert_eq!(own(Restricted::LeftOut), 0);
        prop_assert!(own(Restricted::Included) >= past.passages.iter().filter(|(who, _)| *who == person(3)).count());
    }
}
