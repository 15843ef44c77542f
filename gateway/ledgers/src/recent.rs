//! Stays of days that are not over, remembered between questions: of a person who was not seen since, they are still the same.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use protocol::Instant;

use super::history::History;
use super::locks::lock;
use super::rules::plus_ms;
use super::tables::{Filed, PackedStay};
use super::{Evidence, Rules};

/// What is remembered, for whoever asks and for the follower.
#[derive(Default)]
pub struct Recent(Mutex<State>);

#[derive(Default)]
struct State {
    key: Option<Key>,
    people: HashMap<u64, Arc<RecentStays>>,
    /// Number of the last event of the batch by which a person's sightings last changed.
    changed: HashMap<u64, u64>,
    /// How often everything was forgotten.
    forgotten: u64,
}

/// What all that is remembered goes by: the rules' fingerprint, and the days on which the stays began.
#[derive(Clone, Debug)]
pub struct Key {
    pub rules: u64,
    pub days: RangeInclusive<i32>,
}

/// One person's stays that began on the days, as they were known at a moment.
pub struct RecentStays {
    /// Number of the last event that they reflect.
    through: u64,
    /// The moment.
    at: Instant,
    /// Where the last stays have no end that was seen: until when they last as long as the moment is later.
    lasting_until: Option<Instant>,
    stays: Vec<(Arc<str>, PackedStay)>,
}

/// What is remembered and holds for one state of the file.
pub struct RememberedStays {
    /// Of which days.
    pub key: Key,
    people: HashMap<u64, Arc<RecentStays>>,
    forgotten: u64,
}

impl Recent {
    /// What holds for the state of the file that reflects the events through `through`: of the days of `wanted` and maybe more,
    /// or else nothing yet.
    pub fn known(&self, wanted: Key, through: u64) -> RememberedStays {
        let state = lock(&self.0);
        let covers = |key: &&Key| {
            let (has, wants) = (&key.days, &wanted.days);
            key.rules == wanted.rules && has.start() <= wants.start() && wants.end() <= has.end()
        };
        let forgotten = state.forgotten;
        let Some(key) = state.key.as_ref().filter(covers).cloned() else {
            return RememberedStays { key: wanted, people: HashMap::new(), forgotten };
        };
        let holds = |(person, stays): &(&u64, &Arc<RecentStays>)| {
            let changed = state.changed.get(person).copied().unwrap_or(0);
            changed <= through && changed <= stays.through
        };
        let people = state.people.iter().filter(holds).map(|(person, stays)| (*person, Arc::clone(stays))).collect();
        RememberedStays { key, people, forgotten }
    }

    /// Remembers what was found out meanwhile, where it still holds.
    pub fn remember(&self, known: RememberedStays, new: Vec<(u64, RecentStays)>) {
        let mut state = lock(&self.0);
        if state.forgotten != known.forgotten || new.is_empty() {
            return;
        }
        let same = |key: &Key| (key.rules, &key.days) == (known.key.rules, &known.key.days);
        if !state.key.as_ref().is_some_and(same) {
            state.people.clear();
            state.key = Some(known.key);
        }
        for (person, stays) in new {
            if state.changed.get(&person).is_none_or(|changed| *changed <= stays.through) {
                state.people.insert(person, Arc::new(stays));
            }
        }
    }

    /// Notes that a batch which ends with event `through` is about to change what is known of these people.
    pub fn changing(&self, people: impl Iterator<Item = u64>, through: u64) {
        let mut state = lock(&self.0);
        for person in people {
            state.people.remove(&person);
            state.changed.insert(person, through);
        }
    }

    /// Forgets everything, also what is being found out.
    pub fn forget(&self) {
        let mut state = lock(&self.0);
        state.people.clear();
        state.forgotten = state.forgotten.wrapping_add(1);
    }
}

impl RememberedStays {
    /// The person's stays, if they are known as they are at `now`.
    pub fn of(&self, person: u64, now: Instant) -> Option<&RecentStays> {
        let stays = self.people.get(&person)?;
        let lasts = stays.lasting_until.is_none_or(|until| now <= until);
        (stays.at <= now && lasts).then_some(stays)
    }
}

impl RecentStays {
    /// The stays of a history that has nothing later than `now`.
    pub fn new(history: &History, days: &RangeInclusive<i32>, rules: &Rules, now: Instant, through: u64) -> Self {
        let sessions = history.sessions(rules, now);
        let lasting_until = sessions.last().and_then(|last| {
            let seen_at = last.to.earliest;
            match last.evidence {
                Evidence::Exit | Evidence::NextDoor => None,
                Evidence::Inside => Some(rules.end_by_rule(&history.person, last.day, seen_at)),
                // Once nobody believes it any more, nothing changes.
                Evidence::Rule => Some(plus_ms(seen_at, rules.stay_ms())).filter(|forgotten| now < *forgotten),
            }
        });
        let filed = history.filed_of(sessions, days, rules);
        let packed = |filed: Filed| (Arc::clone(&filed.stay.zone), PackedStay::new(&filed));
        Self { through, at: now, lasting_until, stays: filed.into_iter().map(packed).collect() }
    }

    /// The stays as they are at `now`, with their zones.
    pub fn at(&self, now: Instant) -> impl Iterator<Item = (&Arc<str>, PackedStay)> {
        let lasting = self.lasting_until.is_some();
        self.stays.iter().map(move |(zone, stay)| (zone, if lasting { stay.lasting(self.at, now) } else { *stay }))
    }
}
