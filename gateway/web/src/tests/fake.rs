//! Ledgers for tests.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use ::ledgers::{ContactQuery, TablePart};
use protocol::api::{
    AttendanceDay, AttendanceFlags, AttendanceRow, Bounds, Contact, Encounter, Erasure, Evidence, Generations, Grade,
    OpdSummary, PeopleInside, PersonInside, PersonRecord, Restriction, Retention, RetentionPurpose, Scope,
    ZoneOccupancy, ZonePresence,
};

use super::super::{
    Answer, AttendanceRequest, ContactsDocument, Document, LedgerError, Ledgers, PersonFile, SiteCalendar,
};
use super::*;

/// The ledgers of P-1, who has left, and P-2, who is inside.
#[derive(Default)]
pub(super) struct Fake {
    /// What goes wrong with everything, where something does.
    pub(super) error: Option<fn() -> LedgerError>,
    /// The attendance of this day and later cannot be read.
    pub(super) attendance_until: Option<Date>,
}

impl Fake {
    fn works(&self) -> Result<(), LedgerError> {
        self.error.map_or(Ok(()), |error| Err(error()))
    }

    fn knows(&self, id: &str) -> Result<(), LedgerError> {
        self.works()?;
        if ["P-1", "P-2"].contains(&id) { Ok(()) } else { Err(LedgerError::UnknownPerson) }
    }
}

fn told<T>(value: T) -> Result<Answer<T>, LedgerError> {
    Ok(Answer { value, through: 50, behind: 2 })
}

fn opd(opd: &str, staff: u64, came: u64) -> OpdSummary {
    OpdSummary { opd: opd.into(), staff, came, adoption_percent: Some(33.3), ..OpdSummary::default() }
}

fn day(request: &AttendanceRequest) -> AttendanceRow {
    AttendanceRow {
        person: request.person.clone().unwrap_or("P-1".into()),
        day: request.from,
        shift_start: None,
        shift_end: None,
        first_in: Some(at(0)),
        last_out: None,
        sessions: Vec::new(),
        worked_minutes: 0,
        worked_minutes_by_rule: 480,
        late_minutes: None,
        early_minutes: None,
        flags: AttendanceFlags { missing_exit: true, ..AttendanceFlags::default() },
        name: Some("Budi Contoh".into()),
        opd: request.opd.clone(),
    }
}

impl Ledgers for Fake {
    fn site(&self) -> SiteCalendar {
        let time_zone = TimeZone::get("Asia/Makassar").unwrap();
        SiteCalendar { site: "regency".into(), time_zone, contact_minutes: 20 }
    }

    fn presence(&self) -> Result<Answer<ZonePresence>, LedgerError> {
        self.works()?;
        told(ZonePresence {
            at: at(0),
            zones: vec![ZoneOccupancy { zone: "main".into(), capacity: Some(200), people: 1, weak: 0 }],
        })
    }

    fn people(&self, zone: Option<&str>) -> Result<Answer<PeopleInside>, LedgerError> {
        self.works()?;
        if let Some(zone) = zone.filter(|zone| *zone != "main") {
            return Err(LedgerError::UnknownZone { zone: zone.into(), known: vec!["main".into()] });
        }
        let since = Bounds { earliest: at(-60), latest: at(-60) };
        let person = PersonInside {
            person: "P-2".into(),
            zone: "main".into(),
            since,
            evidence: Evidence::Inside,
            event: Some(49),
            name: Some("<i>Sari</i>".into()),
            opd: None,
        };
        told(PeopleInside { at: at(0), people: vec![person] })
    }

    fn attendance(&self, request: &AttendanceRequest) -> Result<Answer<Vec<AttendanceRow>>, LedgerError> {
        self.knows(request.person.as_deref().unwrap_or("P-1"))?;
        if let Some(opd) = request.opd.as_ref().filter(|opd| *opd == "nowhere") {
            return Err(LedgerError::UnknownOpd { opd: opd.clone(), known: vec!["health".into()] });
        }
        if self.attendance_until.is_some_and(|until| request.to >= until) {
            return Err(LedgerError::Unavailable("the disk is gone".into()));
        }
        told(vec![day(request)])
    }

    fn attendance_csv(&self, request: &AttendanceRequest, part: TablePart) -> Result<Answer<Document>, LedgerError> {
        self.works()?;
        let bytes = format!("{part:?} {} {}\r\n", request.from, request.to).into();
        told(Document { content_type: "text/csv; charset=utf-8", bytes })
    }

    fn summary(&self, from: Date, _: Date) -> Result<Answer<Vec<AttendanceDay>>, LedgerError> {
        self.works()?;
        told(vec![AttendanceDay { day: from, opds: vec![opd("health", 3, 1)], total: opd("", 3, 1) }])
    }

    fn contacts(&self, query: &ContactQuery) -> Result<Answer<Vec<Contact>>, LedgerError> {
        self.knows(query.person.as_str())?;
        let encounter = Encounter {
            from: query.from,
            to: query.to,
            certain: None,
            zone: "main".into(),
            evidence_of: Evidence::Exit,
            evidence: Evidence::Inside,
            late: false,
            clock_doubtful: false,
        };
        told(vec![Contact {
            generation: if query.generations == Generations::Second { 2 } else { 1 },
            of: query.person.as_str().into(),
            person: "P-2".into(),
            grade: if query.scope == Scope::Around { Grade::Possible } else { Grade::Certain },
            minutes_min: 15,
            minutes_max: i64::from(query.threshold_minutes),
            reached_at: query.from,
            encounters: vec![encounter],
        }])
    }

    fn contacts_document(&self, _: &ContactQuery, form: ContactsDocument) -> Result<Answer<Document>, LedgerError> {
        self.works()?;
        let content_type = match form {
            ContactsDocument::Csv => "text/csv; charset=utf-8",
            ContactsDocument::Svg => "image/svg+xml",
        };
        told(Document { content_type, bytes: b"a document".to_vec() })
    }

    fn events_of(&self, _: &str, _: u64) -> Result<Answer<Vec<u64>>, LedgerError> {
        Err(LedgerError::Rebuilding { through: 0, of: 50 })
    }

    fn last_event_until(&self, _: Instant) -> Result<Answer<u64>, LedgerError> {
        Err(LedgerError::Rebuilding { through: 0, of: 50 })
    }

    fn person(&self, id: &str) -> Result<Answer<PersonFile>, LedgerError> {
        self.knows(id)?;
        let directory = Some(PersonRecord { id: id.into(), ..PersonRecord::default() });
        told(PersonFile { directory, restriction: None, events: vec![event(7)], attendance: Vec::new() })
    }

    fn restrict(&self, id: &str, restriction: Restriction) -> Result<Restriction, LedgerError> {
        self.knows(id).map(|()| restriction)
    }

    fn lift(&self, id: &str) -> Result<(), LedgerError> {
        self.knows(id)
    }

    fn erase(&self, id: &str, force: bool) -> Result<Erasure, LedgerError> {
        self.knows(id)?;
        if id == "P-2" && !force {
            return Err(LedgerError::StillInside);
        }
        Ok(Erasure { keys_destroyed: 3, ledger_rows: 12, directory_removed: true })
    }

    fn retention(&self) -> Result<Retention, LedgerError> {
        self.works()?;
        let purposes = vec![RetentionPurpose { purpose: "events".into(), days: 90 }];
        Ok(Retention { purposes, last_run: None })
    }
}
