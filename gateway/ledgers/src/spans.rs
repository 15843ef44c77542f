//! Who was in which zone when, by the persons' numbers, and who met whom there.
//!
//! Only zones in which somebody is whose contacts are looked for, a *source*, matter. Everybody else there is a *target*.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use protocol::Instant;

use protocol::api::{Grade, Scope};

use super::contact::{Contact, ContactQuery, Encounter};
use super::overlap::{Interval, overlaps, reached_at, rolling_max, union};
use super::stays::{Bounds, Evidence, Stay, goes_on};
use super::{Person, Rules};

/// People whose contacts are looked for at the same time.
const SOURCES_AT_ONCE: usize = 16;

/// A person in one zone: a stay, or several between which the person has not left it, cut to the period.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The person's number.
    pub person: u64,
    possible: Interval,
    certain: Interval,
    ending: Ending,
}

/// What an encounter tells of a stay.
#[derive(Clone, Copy, Debug)]
struct Ending {
    evidence: Evidence,
    late: bool,
    clock_doubtful: bool,
}

/// The zones in which sources are.
#[derive(Debug, Default)]
pub struct Zones(BTreeMap<Arc<str>, Sides>);

#[derive(Debug, Default)]
struct Sides {
    sources: Vec<Span>,
    targets: Vec<Span>,
}

impl Span {
    /// A stay; `None` where nothing of it lies in the period.
    pub fn of_stay(person: u64, stay: &Stay, period: Interval) -> Option<Self> {
        Self::of_run(person, std::iter::once(stay), period)
    }

    /// Stays that follow each other.
    fn of_run<'s>(
        person: u64,
        run: impl DoubleEndedIterator<Item = &'s Stay> + Clone,
        period: Interval,
    ) -> Option<Self> {
        let (first, last) = (run.clone().next()?, run.clone().next_back()?);
        let (possible, certain) = intervals(first.from, last.to, period);
        // What lies outside of the period counts for nothing.
        let in_period = |stay: &&Stay| stay.from.earliest.unix_ms() < period.1 && stay.to.latest.unix_ms() > period.0;
        let inside = run.filter(in_period);
        let ending = Ending {
            evidence: inside.clone().next_back().map_or(last.evidence, |stay| stay.evidence),
            late: inside.clone().any(|stay| stay.late),
            clock_doubtful: inside.clone().any(|stay| stay.clock_doubtful),
        };
        (possible.0 < possible.1).then_some(Self { person, possible, certain, ending })
    }

    /// What of it lies behind `since`; `None` where that is nothing.
    fn since(mut self, since: i64) -> Option<Self> {
        self.possible.0 = self.possible.0.max(since);
        self.certain.0 = self.certain.0.max(since);
        (self.possible.0 < self.possible.1).then_some(self)
    }
}

/// Which zones matter: those of the sources' stays, and, where [`Scope::Around`] is asked for, those around them.
pub struct Nesting<'r> {
    scope: Scope,
    rules: &'r Rules,
    /// All zones in which anybody has a stay, by number, and their numbers.
    zones: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, usize>,
    /// Each zone that matters, and for each number whether who is there is in it.
    outer: Vec<(Arc<str>, Vec<bool>)>,
}

impl<'r> Nesting<'r> {
    /// From the sources' stays.
    pub fn new<'s>(scope: Scope, stays: impl IntoIterator<Item = &'s Stay>, rules: &'r Rules) -> Self {
        let mut zones: BTreeSet<Arc<str>> = stays.into_iter().map(|stay| Arc::clone(&stay.zone)).collect();
        if scope == Scope::Around {
            let around = zones.iter().flat_map(|zone| rules.zones.around(zone)).map(|zone| Arc::from(zone.as_str()));
            zones.append(&mut around.collect());
        }
        let outer = zones.into_iter().map(|zone| (zone, Vec::new())).collect();
        Self { scope, rules, zones: Vec::new(), numbers: HashMap::new(), outer }
    }

    /// The zone's number.
    pub fn number(&mut self, zone: &Arc<str>) -> usize {
        if let Some(number) = self.numbers.get(zone) {
            return *number;
        }
        let number = self.zones.len();
        self.zones.push(Arc::clone(zone));
        self.numbers.insert(Arc::clone(zone), number);
        let (scope, rules) = (self.scope, self.rules);
        for (outer, inside) in &mut self.outer {
            inside.push(match scope {
                Scope::Innermost => zone == outer,
                Scope::Around => rules.is_within(zone, outer),
            });
        }
        number
    }

    /// The zone with this number.
    pub fn zone(&self, number: usize) -> Option<&Arc<str>> {
        self.zones.get(number)
    }

    /// One person's stays, in order, each with its zone's number.
    pub fn numbered(&mut self, stays: Vec<Stay>) -> Vec<(usize, Stay)> {
        stays.into_iter().map(|stay| (self.number(&stay.zone), stay)).collect()
    }

    /// Each zone that matters, and what a person's stays come to there.
    pub fn spans<'s>(
        &'s self,
        person: u64,
        stays: &'s [(usize, Stay)],
        period: Interval,
    ) -> impl Iterator<Item = (&'s Arc<str>, Span)> {
        self.outer.iter().flat_map(move |(zone, inside)| {
            self.runs(stays, zone, inside).filter_map(move |run| Some((zone, Span::of_run(person, run, period)?)))
        })
    }

    /// The stays in the zone: each for itself, or with zones inside it, those together between which the person has not left it.
    fn runs<'s>(
        &self,
        stays: &'s [(usize, Stay)],
        zone: &'s str,
        inside: &'s [bool],
    ) -> impl Iterator<Item = impl DoubleEndedIterator<Item = &'s Stay> + Clone> {
        let joined = self.scope == Scope::Around;
        let is_inside = |(number, _): &(usize, Stay)| inside.get(*number).copied().unwrap_or(false);
        stays
            .chunk_by(move |one, next| joined && is_inside(one) && is_inside(next) && goes_on(&one.1, &next.1, zone))
            .filter(move |run| run.first().is_some_and(is_inside))
            .map(|run| run.iter().map(|(_, stay)| stay))
    }
}

impl Zones {
    /// A source whose contacts from `since` on are looked for is in the zone.
    pub fn add_source(&mut self, zone: &Arc<str>, span: Span, since: i64) {
        self.sides(zone).sources.extend(span.since(since));
    }

    /// Others are in the zone.
    pub fn add_targets(&mut self, zone: &Arc<str>, spans: impl IntoIterator<Item = Span>) {
        self.sides(zone).targets.extend(spans);
    }

    fn sides(&mut self, zone: &Arc<str>) -> &mut Sides {
        self.0.entry(Arc::clone(zone)).or_default()
    }

    /// When any of the sources may have been in each of the zones.
    pub fn sources_by_zone(&self) -> HashMap<Arc<str>, Vec<Interval>> {
        let possible = |sides: &Sides| union(sides.sources.iter().map(|span| span.possible));
        self.0.iter().map(|(zone, sides)| (Arc::clone(zone), possible(sides))).collect()
    }

    /// Who has met a source long enough, with the person's number. `name` says who hides behind a number; without a name, nobody
    /// is a contact.
    pub fn contacts(
        mut self,
        query: &ContactQuery,
        generation: u8,
        name: impl Fn(u64) -> Option<Person>,
    ) -> Vec<(u64, Contact)> {
        for Sides { sources, targets } in self.0.values_mut() {
            sources.sort_unstable_by_key(|span| span.possible);
            targets.sort_unstable_by_key(|span| span.possible);
        }
        let all: BTreeSet<u64> = self.0.values().flat_map(|sides| &sides.sources).map(|span| span.person).collect();
        let all: Vec<u64> = all.into_iter().collect();
        let mut found = Vec::new();
        // Whom many have met, they have met often: not all encounters are held at once.
        for some in all.chunks(SOURCES_AT_ONCE) {
            for ((of, other), encounters) in self.encounters(some) {
                let contact = || contact((generation, name(of)?, name(other)?), encounters, query);
                found.extend(contact().map(|contact| (other, contact)));
            }
        }
        found
    }

    /// What these sources have in common with each target.
    fn encounters(&self, some: &[u64]) -> HashMap<(u64, u64), Vec<Encounter>> {
        let mut pairs: HashMap<(u64, u64), Vec<Encounter>> = HashMap::new();
        for (zone, Sides { sources, targets }) in &self.0 {
            let sources: Vec<&Span> = sources.iter().filter(|span| some.binary_search(&span.person).is_ok()).collect();
            overlaps(
                &sources,
                targets,
                |span| span.possible,
                |of, other| {
                    let met = pairs.entry((of.person, other.person)).or_default();
                    met.extend(encounter(zone, of, other));
                },
            );
        }
        pairs
    }
}

/// The contact to which encounters come; `None` where they are too short.
fn contact(
    (generation, of, person): (u8, Person, Person),
    mut encounters: Vec<Encounter>,
    query: &ContactQuery,
) -> Option<Contact> {
    let threshold_ms = query.threshold_ms();
    let possible = union(encounters.iter().map(|met| (met.from.unix_ms(), met.to.unix_ms())));
    let reached_at = reached_at(&possible, threshold_ms)?;
    let certain = encounters.iter().filter_map(|met| met.certain);
    let certain = union(certain.map(|(from, to)| (from.unix_ms(), to.unix_ms())));
    let min_ms = rolling_max(&certain);
    encounters.sort_unstable();
    Some(Contact {
        generation,
        of,
        person,
        grade: if min_ms >= threshold_ms { Grade::Certain } else { Grade::Possible },
        minutes_min: min_ms / 60_000,
        minutes_max: rolling_max(&possible) / 60_000,
        reached_at: Instant::from_unix_ms(reached_at),
        encounters,
    })
}

fn intervals(from: Bounds, to: Bounds, period: Interval) -> (Interval, Interval) {
    let cut = |from: Instant, to: Instant| (from.unix_ms().max(period.0), to.unix_ms().min(period.1));
    (cut(from.earliest, to.latest), cut(from.latest, to.earliest))
}

/// What two stays in the zone have in common.
fn encounter(zone: &Arc<str>, of: &Span, other: &Span) -> Option<Encounter> {
    let common = |one: Interval, other: Interval| {
        let (from, to) = (one.0.max(other.0), one.1.min(other.1));
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
