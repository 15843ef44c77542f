//! Answers that a policy set has given, to be given again: they depend on nothing but the question.

use std::collections::HashMap;

use protocol::Direction;

use super::question::{Judgement, Question};
use super::reads::Reads;

/// Answers that are remembered; when there are more, all are forgotten. They outlive their minute for nothing anyway.
const ANSWERS_MAX: usize = 8192;

/// Answers by their questions, written out.
#[derive(Default)]
pub(super) struct Memo {
    answers: HashMap<Box<[u8]>, Judgement>,
    key: Vec<u8>,
}

impl Memo {
    /// The answer that is remembered, or that of `judge`. What the policies do not read tells no questions apart.
    pub(super) fn answer(
        &mut self,
        question: &Question<'_>,
        reads: Reads,
        judge: impl FnOnce() -> Judgement,
    ) -> Judgement {
        self.key.clear();
        write(question, reads, &mut self.key);
        if let Some(judgement) = self.answers.get(self.key.as_slice()) {
            return judgement.clone();
        }
        let judgement = judge();
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
        }
        self.answers.insert(self.key.as_slice().into(), judgement.clone());
        judgement
    }
}

/// Writes a question so that two that differ in what is read are written differently.
fn write(question: &Question<'_>, reads: Reads, key: &mut Vec<u8>) {
    let Question {
        class,
        opd,
        groups,
        known,
        validity,
        has_host,
        credential,
        pass_fault,
        status,
        status_expired,
        status_age_hours,
        door,
        zone,
        around,
        zone_opd,
        direction,
        weekday,
        minute_of_day,
        holiday,
        occupancy,
        capacity,
        zone_full,
        passback,
        directory_age_hours,
        directory_expired,
    } = *question;
    let flags = [
        known,
        has_host,
        status_expired,
        direction == Direction::In,
        holiday,
        zone_full,
        passback,
        directory_expired,
        capacity.is_some(),
        status_age_hours.is_some(),
    ];
    let flags = flags.into_iter().fold(0_u16, |flags, flag| flags << 1 | u16::from(flag));
    key.extend_from_slice(&flags.to_le_bytes());
    let numbers = [
        (weekday, true),
        (capacity.unwrap_or(0), true),
        (minute_of_day, reads.minute_of_day),
        (occupancy, reads.occupancy),
        (status_age_hours.unwrap_or(0), reads.status_age_hours),
        (directory_age_hours, reads.directory_age_hours),
    ];
    for (number, _) in numbers.into_iter().filter(|(_, read)| *read) {
        key.extend_from_slice(&number.to_le_bytes());
    }
    let door = if reads.door { door } else { "" };
    let lists = groups.len().to_le_bytes().into_iter().chain(around.len().to_le_bytes());
    key.extend(lists);
    let texts = [class, opd, validity, credential, pass_fault, status, door, zone, zone_opd];
    let groups = groups.iter().map(AsRef::as_ref);
    for text in texts.into_iter().chain(groups).chain(around.iter().map(String::as_str)) {
        key.extend_from_slice(&text.len().to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Outcome, Text};

    use super::super::tests::QUESTION;
    use super::*;

    fn numbered(number: usize) -> Judgement {
        Judgement { outcome: Outcome::Granted, reason: number.to_string(), text: Text::default(), policies: Vec::new() }
    }

    #[test]
    fn the_same_question_is_judged_once_and_any_other_anew() {
        let (groups, around) = ([Box::from("council")], ["complex".to_owned()]);
        let others = [
            Question { class: "visitor", ..QUESTION },
            Question { opd: "bkd", ..QUESTION },
            Question { groups: &groups, ..QUESTION },
            Question { known: false, ..QUESTION },
            Question { validity: "over", ..QUESTION },
            Question { has_host: true, ..QUESTION },
            Question { credential: "pass", ..QUESTION },
            Question { pass_fault: "pass-expired", ..QUESTION },
            Question { status: "red", ..QUESTION },
            Question { status_expired: true, ..QUESTION },
            Question { status_age_hours: Some(7), ..QUESTION },
            Question { door: "main-out", ..QUESTION },
            Question { zone: "east", ..QUESTION },
            Question { around: &around, ..QUESTION },
            Question { zone_opd: "bkd", ..QUESTION },
            Question { direction: Direction::Out, ..QUESTION },
            Question { weekday: 2, ..QUESTION },
            Question { minute_of_day: 452, ..QUESTION },
            Question { holiday: true, ..QUESTION },
            Question { occupancy: 8, ..QUESTION },
            Question { capacity: Some(8), ..QUESTION },
            Question { zone_full: true, ..QUESTION },
            Question { passback: true, ..QUESTION },
            Question { directory_age_hours: 8, ..QUESTION },
            Question { directory_expired: true, ..QUESTION },
            QUESTION,
        ];
        let mut memo = Memo::default();
        for _ in 0..2 {
            for (number, question) in others.iter().enumerate() {
                assert_eq!(memo.answer(question, Reads::everything(), || numbered(number)), numbered(number));
                assert_eq!(memo.answer(question, Reads::everything(), || unreachable!()), numbered(number));
            }
        }
    }

    #[test]
    fn what_no_policy_reads_tells_no_questions_apart() {
        let mut memo = Memo::default();
        memo.answer(&QUESTION, Reads::default(), || numbered(1));
        let other = Question {
            minute_of_day: 452,
            occupancy: 8,
            status_age_hours: QUESTION.status_age_hours.map(|hours| hours + 1),
            directory_age_hours: 8,
            door: "main-out",
            ..QUESTION
        };
        assert_eq!(memo.answer(&other, Reads::default(), || unreachable!()), numbered(1));
    }

    #[test]
    fn no_more_answers_are_remembered_than_allowed() {
        let mut memo = Memo::default();
        for minute_of_day in 0..2 * ANSWERS_MAX as i64 + 1 {
            memo.answer(&Question { minute_of_day, ..QUESTION }, Reads::everything(), || numbered(0));
            assert!((1..=ANSWERS_MAX).contains(&memo.answers.len()));
        }
    }
}
