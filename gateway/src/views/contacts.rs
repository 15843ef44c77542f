//! Contacts: who shared a zone with a person, when, and for how many minutes at least and at most.
//!
//! People share a zone when they are in the same innermost zone, or, where [`Scope::Around`] is asked for, in the same
//! building or complex too. A contact counts when the minutes of any 24 hours reach the threshold: for certain, when
//! what the scans prove is enough; possibly, when it takes what they leave open.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use protocol::Instant;
use serde::Serialize;

use super::overlap::{Interval, overlaps, reached_at, rolling_max, union};
use super::stays::{Bounds, Evidence, Stay, goes_on};
use super::{Person, Rules};

/// People whose contacts are looked for at the same time.
const SOURCES_AT_ONCE: usize = 16;

/// Whom to trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactQuery {
    /// Whose contacts.
    pub person: Person,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// How many minutes within 24 hours make a contact.
    pub threshold_minutes: u32,
    /// Which zones count.
    pub scope: Scope,
    /// How far to go.
    pub depth: Depth,
}

/// Which zones two people must share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The innermost zone that is known of both.
    #[default]
    Innermost,
    /// That, or any zone around it.
    Around,
}

/// How many generations of contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// The person's contacts.
    #[default]
    First,
    /// Their contacts as well, from the moment at which they have become a contact themselves.
    Second,
}

/// One contact of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// 1 for a contact of the person who was asked for, 2 for a contact of a contact.
    pub generation: u8,
    /// With whom.
    pub of: Person,
    /// Who.
    pub person: Person,
    /// How sure it is.
    pub grade: Grade,
    /// Most whole minutes within 24 hours that the scans prove.
    pub minutes_min: i64,
    /// Most whole minutes within 24 hours that the scans allow.
    pub minutes_max: i64,
    /// When the threshold may first have been reached.
    pub reached_at: Instant,
    /// When they were in the same zone, in order.
    pub encounters: Vec<Encounter>,
}

/// How sure a contact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The scans prove it.
    Certain,
    /// The scans allow it.
    Possible,
}

/// Two people in one zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Encounter {
    /// From when at the earliest.
    pub from: Instant,
    /// Until when at the latest.
    pub to: Instant,
    /// From when and until when for certain.
    pub certain: Option<(Instant, Instant)>,
    /// Where.
    pub zone: Arc<str>,
    /// How the end of the stay of the one whose contact it is is known.
    pub evidence_of: Evidence,
    /// How the end of the contact's stay is known.
    pub evidence: Evidence,
    /// A scan of the two stays arrived late.
    pub late: bool,
    /// The time of a scan of the two stays is doubtful.
    pub clock_doubtful: bool,
}

/// One row of a line list: an encounter with everything about its contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the same as in Contact and Encounter")]
pub struct Line<'a> {
    pub generation: u8,
    pub of: &'a Person,
    pub person: &'a Person,
    pub grade: Grade,
    pub minutes_min: i64,
    pub minutes_max: i64,
    pub reached_at: Instant,
    pub zone: &'a str,
    pub from: Instant,
    pub to: Instant,
    pub certain_from: Option<Instant>,
    pub certain_to: Option<Instant>,
    pub evidence_of: Evidence,
    pub evidence: Evidence,
    pub late: bool,
    pub clock_doubtful: bool,
}

/// Everybody's stays, by person; of each person in order.
pub type Stays = [(Person, Vec<Stay>)];

/// The person's contacts among `everybody`, sorted by generation and person.
pub fn contacts(query: &ContactQuery, everybody: &Stays, rules: &Rules) -> Vec<Contact> {
    let Some(index) = everybody.iter().position(|(person, _)| *person == query.person) else { return Vec::new() };
    let zones = spans(query, everybody, rules);
    let tracer = Tracer { query, everybody, zones: &zones };
    let none = HashSet::new();
    let mut found = tracer.contacts_of(&HashMap::from([(index, query.from.unix_ms())]), &none, 1);
    if query.depth == Depth::Second {
        let sources = found.iter().map(|(other, contact)| (*other, contact.reached_at.unix_ms())).collect();
        found.extend(tracer.contacts_of(&sources, &HashSet::from([index]), 2));
    }
    let mut contacts: Vec<Contact> = found.into_iter().map(|(_, contact)| contact).collect();
    contacts.sort_by(|one, other| {
        (one.generation, &one.person, &one.of).cmp(&(other.generation, &other.person, &other.of))
    });
    contacts
}

impl ContactQuery {
    /// The person's own contacts in their innermost zones, 15 minutes within 24 hours.
    pub fn new(person: Person, from: Instant, to: Instant) -> Self {
        let (scope, depth) = (Scope::default(), Depth::default());
        Self { person, from, to, threshold_minutes: 15, scope, depth }
    }

    /// How much time within 24 hours makes a contact, in milliseconds.
    pub(super) fn threshold_ms(&self) -> i64 {
        (i64::from(self.threshold_minutes) * 60_000).max(1)
    }
}

impl Contact {
    /// The rows of a line list.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.encounters.iter().map(|encounter| Line {
            generation: self.generation,
            of: &self.of,
            person: &self.person,
            grade: self.grade,
            minutes_min: self.minutes_min,
            minutes_max: self.minutes_max,
            reached_at: self.reached_at,
            zone: &encounter.zone,
            from: encounter.from,
            to: encounter.to,
            certain_from: encounter.certain.map(|(from, _)| from),
            certain_to: encounter.certain.map(|(_, to)| to),
            evidence_of: encounter.evidence_of,
            evidence: encounter.evidence,
            late: encounter.late,
            clock_doubtful: encounter.clock_doubtful,
        })
    }
}

/// A stay in one zone, cut to the period.
struct Span {
    person: usize,
    possible: Interval,
    certain: Interval,
    ending: Ending,
}

/// What an encounter tells of a stay.
#[derive(Clone, Copy)]
struct Ending {
    evidence: Evidence,
    late: bool,
    clock_doubtful: bool,
}

struct Tracer<'a> {
    query: &'a ContactQuery,
    everybody: &'a Stays,
    zones: &'a BTreeMap<Arc<str>, Vec<Span>>,
}

impl Tracer<'_> {
    /// The contacts of `sources`, each from a moment on, among everybody but them and `apart`.
    fn contacts_of(
        &self,
        sources: &HashMap<usize, i64>,
        apart: &HashSet<usize>,
        generation: u8,
    ) -> Vec<(usize, Contact)> {
        let mut found = Vec::new();
        let mut all: Vec<usize> = sources.keys().copied().collect();
        all.sort_unstable();
        // Whom many have met, they have met often: not all encounters are held at once.
        for some in all.chunks(SOURCES_AT_ONCE) {
            let mut pairs: HashMap<(usize, usize), Vec<Encounter>> = HashMap::new();
            for (zone, spans) in self.zones {
                let source = |span: &Span| some.binary_search(&span.person).is_ok();
                let target = |span: &Span| !sources.contains_key(&span.person) && !apart.contains(&span.person);
                if !spans.iter().any(source) {
                    continue;
                }
                overlaps(
                    spans,
                    |span| span.possible,
                    source,
                    target,
                    |of, other| {
                        let since = sources.get(&of.person).copied().unwrap_or(i64::MIN);
                        if let Some(encounter) = encounter(zone, of, other, since) {
                            pairs.entry((of.person, other.person)).or_default().push(encounter);
                        }
                    },
                );
            }
            let contact = |((of, other), encounters)| Some((other, self.contact(of, other, encounters, generation)?));
            found.extend(pairs.into_iter().filter_map(contact));
        }
        found
    }

    fn contact(&self, of: usize, other: usize, mut encounters: Vec<Encounter>, generation: u8) -> Option<Contact> {
        encounters.sort();
        let threshold_ms = self.query.threshold_ms();
        let possible = union(encounters.iter().map(|met| (met.from.unix_ms(), met.to.unix_ms())));
        let reached_at = reached_at(&possible, threshold_ms)?;
        let certain = encounters.iter().filter_map(|met| met.certain);
        let certain = union(certain.map(|(from, to)| (from.unix_ms(), to.unix_ms())));
        let min_ms = rolling_max(&certain);
        Some(Contact {
            generation,
            of: self.everybody.get(of)?.0.clone(),
            person: self.everybody.get(other)?.0.clone(),
            grade: if min_ms >= threshold_ms { Grade::Certain } else { Grade::Possible },
            minutes_min: min_ms / 60_000,
            minutes_max: rolling_max(&possible) / 60_000,
            reached_at: Instant::from_unix_ms(reached_at),
            encounters,
        })
    }
}

/// Everybody's stays by zone, cut to the period.
fn spans(query: &ContactQuery, everybody: &Stays, rules: &Rules) -> BTreeMap<Arc<str>, Vec<Span>> {
    let period = (query.from.unix_ms(), query.to.unix_ms());
    let mut zones: BTreeMap<Arc<str>, Vec<Span>> = BTreeMap::new();
    let mut add = |person: usize, zone: &Arc<str>, run: &[Stay]| {
        let ([first, ..], [.., last]) = (run, run) else { return };
        let (possible, certain) = intervals(first.from, last.to, period);
        if possible.0 >= possible.1 {
            return;
        }
        // What lies outside of the period counts for nothing.
        let inside = || run.iter().filter(|stay| stay.from.earliest < query.to && stay.to.latest > query.from);
        let ending = Ending {
            evidence: inside().next_back().map_or(last.evidence, |stay| stay.evidence),
            late: inside().any(|stay| stay.late),
            clock_doubtful: inside().any(|stay| stay.clock_doubtful),
        };
        let span = Span { person, possible, certain, ending };
        match zones.get_mut(zone) {
            Some(spans) => spans.push(span),
            None => drop(zones.insert(Arc::clone(zone), vec![span])),
        }
    };
    for (person, (_, stays)) in everybody.iter().enumerate() {
        match query.scope {
            Scope::Innermost => stays.iter().for_each(|stay| add(person, &stay.zone, std::slice::from_ref(stay))),
            Scope::Around => runs(stays, rules, |zone, run| add(person, zone, run)),
        }
    }
    zones
}

/// Calls `each` with every zone, inner or outer, and the stays in it between which nobody has left it.
fn runs(stays: &[Stay], rules: &Rules, mut each: impl FnMut(&Arc<str>, &[Stay])) {
    let paths = stays
        .iter()
        .flat_map(|stay| std::iter::once(&*stay.zone).chain(rules.zones.around(&stay.zone).iter().map(String::as_str)));
    let zones: BTreeSet<&str> = paths.collect();
    for zone in zones {
        let name: Arc<str> = zone.into();
        let within = |stay: &Stay| rules.is_within(&stay.zone, zone);
        for run in stays.chunk_by(|one, next| within(one) && within(next) && goes_on(one, next, zone)) {
            if run.first().is_some_and(within) {
                each(&name, run);
            }
        }
    }
}

fn intervals(from: Bounds, to: Bounds, period: Interval) -> (Interval, Interval) {
    let cut = |from: Instant, to: Instant| (from.unix_ms().max(period.0), to.unix_ms().min(period.1));
    (cut(from.earliest, to.latest), cut(from.latest, to.earliest))
}

/// What two stays in the zone have in common from `since` on.
fn encounter(zone: &Arc<str>, of: &Span, other: &Span, since: i64) -> Option<Encounter> {
    let common = |one: Interval, other: Interval| {
        let (from, to) = (one.0.max(other.0).max(since), one.1.min(other.1));
        (from < to).then(|| (Instant::from_unix_ms(from), Instant::from_unix_ms(to)))
    };
    let (from, to) = common(of.possible, other.possible)?;
    Some(Encounter {
        from,
        to,
        certain: common(of.certain, other.certain),
        zone: Arc::clone(zone),
        evidence_of: of.ending.evidence,
        evidence: other.ending.evidence,
        late: of.ending.late || other.ending.late,
        clock_doubtful: of.ending.clock_doubtful || other.ending.clock_doubtful,
    })
}
