//! The views agree with the pure core however the log comes to them.

use proptest::prelude::*;

use super::house::{PEOPLE, answered, compare, past, question};
use super::site::person;
use crate::views::*;

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
    fn who_is_killed_anywhere_agrees_after_the_next_start(past in past(), ask in question(), cuts in [0..100usize, 0..100]) {
        let house = past.house();
        let mut cuts = cuts.map(|cut| past.events.len() * cut / 100);
        cuts.sort_unstable();
        house.log.append(&past.events[..cuts[0]]);
        house.rest();
        house.log.append(&past.events[cuts[0]..cuts[1]]);
        super::house::until(|| (house.views.position().through == cuts[1] as u64).then_some(()));
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
        // An event that is not sealed would make the subject anew.
        past.seal(u64::MAX);
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
