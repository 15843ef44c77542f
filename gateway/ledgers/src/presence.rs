//! Presence: who is in which zone now, how full the zones are, and the list for an evacuation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::Instant;
use serde::Serialize;

use super::stays::{Bounds, Evidence, Session};
use super::{Person, Rules};

/// Who is in the site at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PresenceNow {
    /// The moment.
    pub at: Instant,
    /// Everybody who may be inside, by zone and person.
    pub people: Vec<Present>,
    /// Every zone that is listed or that somebody is in, by name.
    pub zones: Vec<Occupancy>,
}

/// Somebody who may be inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Present {
    /// Who.
    pub person: Person,
    /// The innermost zone that is known.
    pub zone: Arc<str>,
    /// Since when they are in it.
    pub since: Bounds,
    /// [`Evidence::Inside`], or [`Evidence::Rule`] where the evidence is weak: the shift is over, and they were not seen
    /// leaving.
    pub evidence: Evidence,
    /// Number of the event by which they were last seen.
    pub event: Option<u64>,
}

/// How full a zone is, with the zones in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Occupancy {
    /// The zone.
    pub zone: Arc<str>,
    /// How many people may be in it; absent: no limit.
    pub capacity: Option<u32>,
    /// How many are in it, those with weak evidence left out.
    pub people: usize,
    /// How many more may be in it.
    pub weak: usize,
}

/// One zone of the list for an evacuation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Muster<'a> {
    /// The innermost zone.
    pub zone: &'a str,
    /// Everybody who may be in it, by person.
    pub people: &'a [Present],
}

/// Where the person is at `now`, out of the sessions as they are known then; `None` when they are outside.
pub fn present(person: &Person, sessions: &[Session], rules: &Rules, now: Instant) -> Option<Present> {
    let session = sessions.last()?;
    // Behind it are those that the person may have passed through since.
    let stay = session.stays.iter().rfind(|stay| stay.entry.is_some())?;
    let believed = match session.evidence {
        Evidence::Inside => true,
        Evidence::Rule => now.ms_since(session.to.earliest) <= rules.stay_ms(),
        Evidence::Exit | Evidence::NextDoor => false,
    };
    believed.then(|| Present {
        person: person.clone(),
        zone: Arc::clone(&stay.zone),
        since: stay.from,
        evidence: stay.evidence,
        event: stay.entry,
    })
}

impl PresenceNow {
    /// Sorts and counts the people.
    pub fn new(at: Instant, mut people: Vec<Present>, rules: &Rules) -> Self {
        people.sort_by(|one, other| (&one.zone, &one.person).cmp(&(&other.zone, &other.person)));
        let listed = rules.zones.iter().map(|(zone, _)| zone);
        let zones: BTreeSet<&str> = listed.chain(people.iter().map(|present| &*present.zone)).collect();
        let mut counts: BTreeMap<&str, (usize, usize)> = zones.iter().map(|zone| (*zone, (0, 0))).collect();
        for present in &people {
            let around = rules.zones.around(&present.zone).iter().map(String::as_str);
            for zone in std::iter::once(&*present.zone).chain(around) {
                let (sure, weak) = counts.entry(zone).or_default();
                *(if present.evidence == Evidence::Inside { sure } else { weak }) += 1;
            }
        }
        let occupancy = |(zone, (people, weak)): (&str, (usize, usize))| Occupancy {
            zone: zone.into(),
            capacity: rules.zones.get(zone).and_then(|zone| zone.capacity),
            people,
            weak,
        };
        let zones = counts.into_iter().map(occupancy).collect();
        Self { at, people, zones }
    }

    /// The list for an evacuation: everybody who may be inside, zone by zone.
    pub fn muster(&self) -> impl Iterator<Item = Muster<'_>> {
        self.people
            .chunk_by(|one, other| one.zone == other.zone)
            .filter_map(|people| people.first().map(|first| Muster { zone: &first.zone, people }))
    }
}
