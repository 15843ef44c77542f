//! What is asked about contacts, and what is told of each.

use std::sync::Arc;

use protocol::Instant;
use protocol::api::{Generations, Grade, Scope};
use serde::Serialize;

use super::Person;
use super::overlap::Interval;
use super::stays::Evidence;

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
    pub generations: Generations,
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

impl ContactQuery {
    /// The person's own contacts in their innermost zones, 15 minutes within 24 hours.
    pub fn new(person: Person, from: Instant, to: Instant) -> Self {
        let (scope, generations) = (Scope::default(), Generations::default());
        Self { person, from, to, threshold_minutes: 15, scope, generations }
    }

    /// How much time within 24 hours makes a contact, in milliseconds.
    pub(super) fn threshold_ms(&self) -> i64 {
        (i64::from(self.threshold_minutes) * 60_000).max(1)
    }

    /// From when until when, in Unix milliseconds.
    pub(super) fn period(&self) -> Interval {
        (self.from.unix_ms(), self.to.unix_ms())
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
