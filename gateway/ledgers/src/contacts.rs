//! Contacts: who shared a zone with a person, when, and for how many minutes at least and at most.
//!
//! People share a zone when they are in the same innermost zone, or, where [`Scope::Around`](super::Scope::Around) is asked for, in the same
//! building or complex too. A contact counts when the minutes of any 24 hours reach the threshold: for certain, when
//! what the scans prove is enough; possibly, when it takes what they leave open.

use std::collections::HashMap;

use super::contact::{Contact, ContactQuery};
use super::spans::{Nesting, Zones};
use super::stays::Stay;
use super::{Person, Rules};
use protocol::api::Generations;

/// Everybody's stays, by person; of each person in order.
pub type Stays = [(Person, Vec<Stay>)];

/// The person's contacts among `everybody`, sorted by generation and person.
pub fn contacts(query: &ContactQuery, everybody: &Stays, rules: &Rules) -> Vec<Contact> {
    let people = || (0u64..).zip(everybody);
    let person = |number: u64| Some(everybody.get(usize::try_from(number).ok()?)?.0.clone());
    let Some((source, _)) = people().find(|(_, (person, _))| *person == query.person) else { return Vec::new() };
    let generation = |generation, sources: &HashMap<u64, i64>, apart| {
        let (mut zones, period) = (Zones::default(), query.period());
        let of_sources = people().filter(|(number, _)| sources.contains_key(number));
        let mut nesting = Nesting::new(query.scope, of_sources.flat_map(|(_, (_, stays))| stays), rules);
        for (number, (_, stays)) in people().filter(|(number, _)| Some(*number) != apart) {
            let stays = nesting.numbered(stays.clone());
            for (zone, span) in nesting.spans(number, &stays, period) {
                match sources.get(&number) {
                    Some(since) => zones.add_source(zone, span, *since),
                    None => zones.add_targets(zone, [span]),
                }
            }
        }
        zones.contacts(query, generation, person)
    };
    let mut found = generation(1, &HashMap::from([(source, query.from.unix_ms())]), None);
    if query.generations == Generations::Second {
        found.extend(generation(2, &since_reached(&found), Some(source)));
    }
    in_order(found)
}

/// When each of these became a contact.
pub(super) fn since_reached(found: &[(u64, Contact)]) -> HashMap<u64, i64> {
    found.iter().map(|(person, contact)| (*person, contact.reached_at.unix_ms())).collect()
}

/// Contacts as they are told.
pub(super) fn in_order(found: Vec<(u64, Contact)>) -> Vec<Contact> {
    let mut contacts: Vec<Contact> = found.into_iter().map(|(_, contact)| contact).collect();
    contacts.sort_by(|one, other| {
        (one.generation, &one.person, &one.of).cmp(&(other.generation, &other.person, &other.of))
    });
    contacts
}
