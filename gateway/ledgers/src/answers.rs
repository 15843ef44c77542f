//! What the ledgers find, as the API answers it.

use protocol::api::{self, AttendanceDay, AttendanceRow, PersonInside, ZoneOccupancy};

use super::{Attendance, Contact, DayTable, Encounter, Occupancy, OpdSummary, Present};

impl Attendance {
    /// The working day of somebody of this name and OPD, where they are known.
    pub fn into_row(self, name: Option<String>, opd: Option<String>) -> AttendanceRow {
        AttendanceRow {
            person: self.person.as_str().to_owned(),
            day: self.day,
            shift_start: self.shift_start,
            shift_end: self.shift_end,
            first_in: self.first_in,
            last_out: self.last_out,
            sessions: self.sessions,
            worked_minutes: self.worked_minutes,
            worked_minutes_by_rule: self.worked_minutes_by_rule,
            late_minutes: self.late_minutes,
            early_minutes: self.early_minutes,
            flags: self.flags,
            name,
            opd,
        }
    }
}

impl DayTable {
    /// What the day comes to, without its rows.
    pub fn summary(&self) -> AttendanceDay {
        AttendanceDay {
            day: self.day,
            opds: self.opds.iter().map(api::OpdSummary::from).collect(),
            total: (&self.total).into(),
        }
    }
}

impl From<&OpdSummary> for api::OpdSummary {
    fn from(summary: &OpdSummary) -> Self {
        Self {
            opd: summary.opd.to_string(),
            staff: summary.staff as u64,
            came: summary.came as u64,
            late: summary.late as u64,
            early: summary.early as u64,
            missing_exit: summary.missing_exit as u64,
            missing_entry: summary.missing_entry as u64,
            worked_minutes_by_rule: summary.worked_minutes_by_rule,
            adoption_percent: Some((summary.adoption_percent() * 10.0).round() / 10.0),
        }
    }
}

impl Present {
    /// Somebody inside, of this name and OPD, where they are known.
    pub fn into_person_inside(self, name: Option<String>, opd: Option<String>) -> PersonInside {
        let Self { person, zone, since, evidence, event } = self;
        PersonInside { person: person.as_str().to_owned(), zone: zone.to_string(), since, evidence, event, name, opd }
    }
}

impl From<Occupancy> for ZoneOccupancy {
    fn from(Occupancy { zone, capacity, people, weak }: Occupancy) -> Self {
        Self { zone: zone.to_string(), capacity, people: people as u64, weak: weak as u64 }
    }
}

impl From<Contact> for api::Contact {
    fn from(contact: Contact) -> Self {
        Self {
            generation: contact.generation,
            of: contact.of.as_str().to_owned(),
            person: contact.person.as_str().to_owned(),
            grade: contact.grade,
            minutes_min: contact.minutes_min,
            minutes_max: contact.minutes_max,
            reached_at: contact.reached_at,
            encounters: contact.encounters.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Encounter> for api::Encounter {
    fn from(encounter: Encounter) -> Self {
        Self {
            from: encounter.from,
            to: encounter.to,
            certain: encounter.certain,
            zone: encounter.zone.to_string(),
            evidence_of: encounter.evidence_of,
            evidence: encounter.evidence,
            late: encounter.late,
            clock_doubtful: encounter.clock_doubtful,
        }
    }
}
