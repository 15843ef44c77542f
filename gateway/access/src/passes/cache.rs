//! Passes that were verified before, found by their text: bounded, and forgetting those that were not shown again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How a pass's text is found again: its BLAKE3.
pub(super) type Key = [u8; 32];

/// A map of at most `entries_max` entries. When its younger half is full the older one is forgotten; an entry that is
/// found moves to the younger half.
#[derive(Debug)]
pub(super) struct Cache<V> {
    entries_max: usize,
    halves: Mutex<Halves<V>>,
}

#[derive(Debug)]
struct Halves<V> {
    young: HashMap<Key, V>,
    old: HashMap<Key, V>,
}

impl<V: Clone> Cache<V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries_max, halves: Mutex::new(Halves { young: HashMap::new(), old: HashMap::new() }) }
    }

    pub(super) fn get(&self, key: &Key) -> Option<V> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = halves.young.get(key) {
            return Some(value.clone());
        }
        let value = halves.old.remove(key)?;
        halves.put(*key, value.clone(), self.entries_max);
        Some(value)
    }

    pub(super) fn put(&self, key: Key, value: V) {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner).put(key, value, self.entries_max);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let halves = self.halves.lock().unwrap();
        halves.young.len() + halves.old.len()
    }
}

impl<V> Halves<V> {
    fn put(&mut self, key: Key, value: V, entries_max: usize) {
        if self.young.len() >= entries_max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_it_may_and_keeps_what_is_asked_for() {
        let cache = Cache::new(8);
        let key = |number: u8| [number; 32];
        cache.put(key(0), 0);
        for number in 1..100 {
            cache.put(key(number), number);
            assert_eq!(cache.get(&key(0)), Some(0), "after {number}");
            assert!(cache.len() <= 8, "{}", cache.len());
        }
        assert_eq!(cache.get(&key(1)), None);
    }
}
