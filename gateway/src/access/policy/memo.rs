//! Answers that a policy set has given, to be given again: they depend on nothing but the question.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use protocol::Direction;

use super::{Judgement, Question};

/// Answers that are remembered; when there are more, all are forgotten. They outlive their minute for nothing anyway.
const ANSWERS_MAX: usize = 8192;

/// Answers by their questions' hashes.
#[derive(Default)]
pub(super) struct Memo {
    answers: HashMap<u64, (Asked, Judgement)>,
    hasher: RandomState,
}

/// A question that was asked.
struct Asked {
    class: Box<str>,
    opd: Box<str>,
    known: bool,
    status: Box<str>,
    status_expired: bool,
    door: Box<str>,
    zone: Box<str>,
    direction: Direction,
    weekday: i64,
    minute_of_day: i64,
}

impl Memo {
    /// The answer that is remembered, or that of `judge`.
    pub(super) fn answer(&mut self, question: &Question<'_>, judge: impl FnOnce() -> Judgement) -> Judgement {
        let hash = self.hasher.hash_one(question);
        match self.answers.get(&hash) {
            Some((asked, judgement)) if asked.as_question() == *question => return judgement.clone(),
            // Another question of the same hash makes room, as unlikely as it is.
            _ => {}
        }
        let judgement = judge();
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
        }
        self.answers.insert(hash, (Asked::new(question), judgement.clone()));
        judgement
    }
}

impl Asked {
    fn new(question: &Question<'_>) -> Self {
        let Question { class, opd, known, status, status_expired, door, zone, direction, weekday, minute_of_day } =
            *question;
        Self {
            class: class.into(),
            opd: opd.into(),
            known,
            status: status.into(),
            status_expired,
            door: door.into(),
            zone: zone.into(),
            direction,
            weekday,
            minute_of_day,
        }
    }

    fn as_question(&self) -> Question<'_> {
        Question {
            class: &self.class,
            opd: &self.opd,
            known: self.known,
            status: &self.status,
            status_expired: self.status_expired,
            door: &self.door,
            zone: &self.zone,
            direction: self.direction,
            weekday: self.weekday,
            minute_of_day: self.minute_of_day,
        }
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
        let others = [
            Question { class: "visitor", ..QUESTION },
            Question { opd: "bkd", ..QUESTION },
            Question { known: false, ..QUESTION },
            Question { status: "red", ..QUESTION },
            Question { status_expired: true, ..QUESTION },
            Question { door: "main-out", ..QUESTION },
            Question { zone: "east", ..QUESTION },
            Question { direction: Direction::Out, ..QUESTION },
            Question { weekday: 2, ..QUESTION },
            Question { minute_of_day: 452, ..QUESTION },
            QUESTION,
        ];
        let mut memo = Memo::default();
        for _ in 0..2 {
            for (number, question) in others.iter().enumerate() {
                assert_eq!(memo.answer(question, || numbered(number)), numbered(number));
                assert_eq!(memo.answer(question, || unreachable!()), numbered(number));
            }
        }
    }

    #[test]
    fn no_more_answers_are_remembered_than_allowed() {
        let mut memo = Memo::default();
        for minute_of_day in 0..2 * ANSWERS_MAX as i64 + 1 {
            memo.answer(&Question { minute_of_day, ..QUESTION }, || numbered(0));
            assert!((1..=ANSWERS_MAX).contains(&memo.answers.len()));
        }
    }

    #[test]
    fn a_question_with_the_hash_of_another_gets_its_own_answer() {
        let mut memo = Memo::default();
        let hash = memo.hasher.hash_one(QUESTION);
        memo.answers.insert(hash, (Asked::new(&Question { weekday: 7, ..QUESTION }), numbered(7)));
        assert_eq!(memo.answer(&QUESTION, || numbered(1)), numbered(1));
    }
}
