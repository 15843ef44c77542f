//! Names of doors and zones, by number.

use std::collections::HashMap;
use std::sync::Arc;

/// The writer's side: finds the number of a name, and gives new ones.
#[derive(Clone, Debug, Default)]
pub struct Names {
    list: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    /// How many of them are written down.
    written: usize,
}

impl Names {
    /// Those that are written down.
    pub fn new(list: &[Arc<str>]) -> Self {
        let mut names = Self::default();
        for name in list {
            names.number(name);
        }
        names.written = names.list.len();
        names
    }

    /// The name's number, a new one if need be.
    pub fn number(&mut self, name: &Arc<str>) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // Doors and zones are registered by hand: there are never four billion.
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.numbers.insert(Arc::clone(name), number);
        self.list.push(Arc::clone(name));
        number
    }

    /// All of them, by number.
    pub fn list(&self) -> &[Arc<str>] {
        &self.list
    }

    /// Those that are new since the last call, with their numbers.
    pub(super) fn take_new(&mut self) -> Vec<(u32, Arc<str>)> {
        let new = self.list.iter().skip(self.written);
        let new = new.filter_map(|name| Some((*self.numbers.get(name)?, Arc::clone(name)))).collect();
        self.written = self.list.len();
        new
    }
}
