//! Keys that were used lately, so that encrypting and opening seldom touch the file.

use std::collections::HashMap;
use std::sync::Arc;

use super::key::Key;
use super::month::Month;

/// Keys that are remembered; beyond, all are forgotten and read again as they are needed.
const KEYS_MAX: usize = 100_000;

/// What is remembered. Where many threads use it, the file may change between a look into it and a note here: a note counts
/// only in the generation in which the look was taken.
#[derive(Debug, Default)]
pub(super) struct Memo {
    generation: u64,
    by_subject: HashMap<Month, HashMap<Box<str>, Arc<Key>>>,
    by_number: HashMap<(Month, u64), Arc<Key>>,
}

impl Memo {
    /// Rises whenever keys are destroyed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The subject's key of the month.
    pub fn of_subject(&self, subject: &str, month: Month) -> Option<&Arc<Key>> {
        self.by_subject.get(&month)?.get(subject)
    }

    /// The key of the month of the subject with this number.
    pub fn of_number(&self, number: u64, month: Month) -> Option<&Arc<Key>> {
        self.by_number.get(&(month, number))
    }

    /// Remembers a key that was found in `generation`.
    pub fn note(&mut self, generation: u64, subject: Option<&str>, month: Month, key: &Arc<Key>) {
        if generation != self.generation {
            return;
        }
        if self.by_number.len() >= KEYS_MAX {
            self.forget();
        }
        self.by_number.insert((month, key.of), Arc::clone(key));
        if let Some(subject) = subject {
            self.by_subject.entry(month).or_default().insert(subject.into(), Arc::clone(key));
        }
    }

    /// Forgets everything, because keys were destroyed.
    pub fn drop_all(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.forget();
    }

    fn forget(&mut self) {
        self.by_subject = HashMap::new();
        self.by_number = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_limit_and_takes_no_note_of_an_earlier_generation() {
        let mut memo = Memo::default();
        let month = Month::of("2026-11-23T00:00:00Z".parse().unwrap());
        let key = Arc::new(Key::new(7, &[1; 32]).unwrap());
        memo.note(0, Some("P-0001"), month, &key);
        assert!(memo.of_subject("P-0001", month).is_some() && memo.of_number(7, month).is_some());
        assert!(memo.of_subject("P-0001", month.previous()).is_none());
        memo.drop_all();
        memo.note(0, Some("P-0001"), month, &key);
        assert!(memo.of_subject("P-0001", month).is_none() && memo.of_number(7, month).is_none());
        for number in 0..=KEYS_MAX as u64 {
            let key = Arc::new(Key::new(number, &[1; 32]).unwrap());
            memo.note(memo.generation(), None, month, &key);
        }
        assert!(memo.by_number.len() <= KEYS_MAX);
    }
}
