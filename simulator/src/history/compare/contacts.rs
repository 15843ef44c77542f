//! Contacts beside the truth: who was together with whom, and whether the bounds hold.

use std::collections::{HashMap, HashSet};

use protocol::api::{Contact, Grade};

use super::Score;
use crate::chance::Purpose;
use crate::history::passages::{Passage, clocks, passages};
use crate::history::regency::Regency;
use crate::history::truth::{Interval, Stay, most_in_24_hours, shared, stays};

/// How many minutes within 24 hours make a contact.
pub const THRESHOLD_MINUTES: i64 = 15;
/// Days that a question is about.
const PERIOD_DAYS: usize = 14;
/// Times that two people meet within 24 hours, at most: each adds what clocks are off at its beginning and its end.
const MEETINGS_MAX: usize = 10;

/// Whose contacts are asked for, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose.
    pub person: u32,
    /// From when until when, in Unix milliseconds.
    pub period: Interval,
}

/// What is true of two people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// The most within 24 hours that they were in the same zone, in milliseconds.
    pub most_ms: i64,
    /// How far clocks that are off may change that.
    pub clocks_ms: i64,
}

/// What came of the comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContactsCheck {
    /// Contacts that were named.
    pub contacts: u64,
    /// Contacts that are said to be certain.
    pub certain: Score,
    /// Contacts that are said to be certain or possible.
    pub any: Score,
    /// More minutes are said to be proven than there were.
    pub min_too_high: u64,
    /// Fewer minutes are said to be possible than there were.
    pub max_too_low: u64,
    /// Contacts that nobody can be, or that are named twice.
    pub unknown: u64,
}

/// Questions about people who came, each in a period of its own.
pub fn questions(regency: &Regency, count: u32) -> Vec<Question> {
    let mut asked = HashSet::new();
    let mut questions = Vec::new();
    // Some are never there; there may be fewer people than questions.
    for n in 0..u64::from(count) * 20 {
        if questions.len() as u64 >= count.into() {
            break;
        }
        let draw = |salt, bound| regency.chance.below(bound, Purpose::Question, salt, n);
        let person = u32::try_from(draw(0, regency.staff.into())).unwrap_or(0);
        let starts = regency.month.len().saturating_sub(PERIOD_DAYS) as u64 + 1;
        let start = usize::try_from(draw(1, starts)).unwrap_or(0);
        let period = (regency.month.midnight_ms(start), regency.month.midnight_ms(start + PERIOD_DAYS));
        let came = || passages(regency, person).iter().any(|passage| within(passage, period));
        if !asked.contains(&person) && came() {
            asked.insert(person);
            questions.push(Question { person, period });
        }
    }
    questions
}

/// What is true of everybody and each of those who are asked about, in the order of the questions.
pub fn truth(regency: &Regency, questions: &[Question]) -> Vec<HashMap<u32, Together>> {
    let clocks = clocks(regency);
    let asked: Vec<(Vec<Stay>, bool)> = questions
        .iter()
        .map(|question| {
            let passages = passages(regency, question.person);
            (stays(&passages), meets_bad_clock(&passages, question.period, &clocks))
        })
        .collect();
    let mut truth = vec![HashMap::new(); questions.len()];
    for person in 0..regency.staff {
        let passages = passages(regency, person);
        let theirs = stays(&passages);
        for ((question, (stays, bad_clock)), truth) in questions.iter().zip(&asked).zip(&mut truth) {
            if question.person == person {
                continue;
            }
            let shared = shared(stays, &theirs, question.period);
            let doubtful = *bad_clock || meets_bad_clock(&passages, question.period, &clocks);
            let changes = i64::try_from(2 * (1 + shared.len().min(MEETINGS_MAX))).unwrap_or(0);
            let clocks_ms = if doubtful { changes * regency.slips.clock_off_max_ms() } else { 0 };
            truth.insert(person, Together { most_ms: most_in_24_hours(&shared), clocks_ms });
        }
    }
    truth
}

impl ContactsCheck {
    /// Compares the answer to one question.
    pub fn answer(&mut self, regency: &Regency, truth: &HashMap<u32, Together>, contacts: &[Contact]) {
        let mut named = HashMap::new();
        for contact in contacts {
            self.contacts += 1;
            let person = regency.person(&contact.person);
            let Some((person, together)) = person.and_then(|person| Some((person, truth.get(&person)?))) else {
                self.unknown += 1;
                continue;
            };
            self.unknown += u64::from(named.insert(person, contact.grade).is_some());
            let (least, most) = (contact.minutes_min * 60_000, (contact.minutes_max + 1) * 60_000);
            self.min_too_high += u64::from(least > together.most_ms + together.clocks_ms);
            self.max_too_low += u64::from(most <= together.most_ms - together.clocks_ms);
        }
        for (person, together) in truth {
            let grade = named.get(person);
            let met = together.most_ms >= THRESHOLD_MINUTES * 60_000;
            self.certain.add(grade == Some(&Grade::Certain), met);
            self.any.add(grade.is_some(), met);
        }
    }

    /// How often the truth is outside of what was said.
    pub fn bounds_violations(&self) -> u64 {
        self.min_too_high + self.max_too_low + self.unknown
    }
}

fn within(passage: &Passage, period: Interval) -> bool {
    (period.0..period.1).contains(&passage.step.at_ms)
}

fn meets_bad_clock(passages: &[Passage], period: Interval, clocks: &[i64]) -> bool {
    let off = |passage: &Passage| clocks.get(passage.step.door).is_some_and(|ahead| *ahead != 0);
    passages.iter().any(|passage| within(passage, period) && off(passage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::testing::regency;

    fn row(person: &str, grade: Grade, minutes_min: i64, minutes_max: i64) -> Contact {
        let reached_at = protocol::Instant::from_unix_ms(0);
        let (of, encounters) = ("S-00000".into(), Vec::new());
        Contact { generation: 1, of, person: person.into(), grade, minutes_min, minutes_max, reached_at, encounters }
    }

    fn truth_of_three() -> HashMap<u32, Together> {
        let together = |minutes: i64, clocks_ms| Together { most_ms: minutes * 60_000 + 30_000, clocks_ms };
        HashMap::from([(0, together(20, 0)), (1, together(16, 60_000)), (2, together(3, 0))])
    }

    #[test]
    fn contacts_are_scored_and_their_bounds_checked() {
        let regency = regency(60, 5, 3);
        let mut check = ContactsCheck::default();
        let right = [row("S-00001", Grade::Certain, 20, 20), row("S-00002", Grade::Possible, 0, 300)];
        check.answer(&regency, &truth_of_three(), &right);
        assert_eq!(check.bounds_violations(), 0);
        assert_eq!(check.certain, Score { said: 1, truth: 2, right: 1 });
        assert_eq!(check.any, Score { said: 2, truth: 2, right: 2 });
        assert_eq!(check.contacts, 2);
    }

    #[test]
    fn what_the_truth_contradicts_is_a_violation() {
        let regency = regency(60, 5, 3);
        let violations = |rows: &[Contact]| {
            let mut check = ContactsCheck::default();
            check.answer(&regency, &truth_of_three(), rows);
            (check.min_too_high, check.max_too_low, check.unknown)
        };
        assert_eq!(violations(&[row("S-00001", Grade::Certain, 21, 30)]), (1, 0, 0));
        assert_eq!(violations(&[row("S-00001", Grade::Certain, 15, 19)]), (0, 1, 0));
        // A clock that is off by a minute excuses a minute.
        assert_eq!(violations(&[row("S-00002", Grade::Certain, 17, 17)]), (0, 0, 0));
        assert_eq!(violations(&[row("S-00002", Grade::Certain, 18, 18)]), (1, 0, 0));
        assert_eq!(violations(&[row("S-00003", Grade::Certain, 15, 20)]), (1, 0, 0));
        assert_eq!(violations(&[row("S-00060", Grade::Certain, 15, 20)]), (0, 0, 1));
        let twice = row("S-00001", Grade::Certain, 20, 20);
        assert_eq!(violations(&[twice.clone(), twice]), (0, 0, 1));
    }

    #[test]
    fn questions_are_about_different_people_who_came() {
        let regency = regency(60, 5, 31);
        let asked = questions(&regency, 20);
        assert_eq!(asked.len(), 20);
        assert_eq!(asked.iter().map(|question| question.person).collect::<HashSet<_>>().len(), 20);
        for Question { person, period } in &asked {
            assert_eq!(period.1 - period.0, 14 * 86_400_000);
            assert!(passages(&regency, *person).iter().any(|passage| within(passage, *period)));
        }
        assert!(questions(&regency, 1_000).len() <= 60);
        assert!(questions(&regency, 0).is_empty());
    }

    #[test]
    fn colleagues_are_together_for_hours_and_the_truth_is_mutual() {
        let regency = regency(60, 5, 14);
        let period = (regency.month.midnight_ms(0), regency.month.midnight_ms(14));
        let asked = [10, 14].map(|person| Question { person, period });
        let truth = truth(&regency, &asked);
        // 10 and 14 work in the same one of four offices.
        assert_eq!(truth[0][&14], truth[1][&10]);
        assert!(truth[0][&14].most_ms > 5 * 3_600_000 && !truth[0].contains_key(&10));
        assert!(truth[0][&11].most_ms < truth[0][&14].most_ms);
    }
}
