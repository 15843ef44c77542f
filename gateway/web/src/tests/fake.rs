//! Ledgers for tests.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::super::{
    Answer, AttendanceRequest, ContactsForm, DaySummary, Document, Erasure, Inside, LedgerError, Ledgers, Named,
    Occupied, PersonFile, Place, Restriction, Retention, RetentionPurpose,
};
use super::*;
use ::ledgers::{
    Attendance, Bounds, Contact, ContactQuery, Depth, Encounter, Evidence, Flags, Grade, Occupancy, OpdSummary, Part,
    Person, Present, Scope,
};

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

fn opd(opd: &str, staff: usize, came: usize) -> OpdSummary {
    OpdSummary { opd: opd.into(), staff, came, ..OpdSummary::default() }
}

fn day(request: &AttendanceRequest) -> Named<Attendance> {
    let row = Attendance {
        person: Person::new(request.person.as_deref().unwrap_or("P-1")),
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
        flags: Flags { missing_exit: true, ..Flags::default() },
    };
    Named { row, name: Some("Budi Contoh".into()), opd: request.opd.clone() }
}

impl Ledgers for Fake {
    fn place(&self) -> Place {
        let time_zone = TimeZone::get("Asia/Makassar").unwrap();
        Place { site: "regency".into(), time_zone, contact_minutes: 20 }
    }

    fn presence(&self) -> Result<Answer<Occupied>, LedgerError> {
        self.works()?;
        told(Occupied {
            at: at(0),
            zones: vec![Occupancy { zone: "main".into(), capacity: Some(200), people: 1, weak: 0 }],
        })
    }

    fn people(&self, zone: Option<&str>) -> Result<Answer<Inside>, LedgerError> {
        self.works()?;
        if zone.is_some_and(|zone| zone != "main") {
            let reason = "is no zone of this site; /api/v1/presence lists them".into();
            return Err(LedgerError::Query { parameter: "zone", reason });
        }
        let since = Bounds { earliest: at(-60), latest: at(-60) };
        let (person, evidence) = (Person::new("P-2"), Evidence::Inside);
        let row = Present { person, zone: "main".into(), since, evidence, event: Some(49) };
        told(Inside { at: at(0), people: vec![Named { row, name: Some("<i>Sari</i>".into()), opd: None }] })
    }

    fn attendance(&self, request: &AttendanceRequest) -> Result<Answer<Vec<Named<Attendance>>>, LedgerError> {
        self.knows(request.person.as_deref().unwrap_or("P-1"))?;
        if self.attendance_until.is_some_and(|until| request.to >= until) {
            return Err(LedgerError::Unavailable("the disk is gone".into()));
        }
        told(vec![day(request)])
    }

    fn attendance_csv(&self, request: &AttendanceRequest, part: Part) -> Result<Answer<Document>, LedgerError> {
        self.works()?;
        let bytes = format!("{part:?} {} {}\r\n", request.from, request.to).into();
        told(Document { content_type: "text/csv; charset=utf-8", bytes })
    }

    fn summary(&self, from: Date, _: Date) -> Result<Answer<Vec<DaySummary>>, LedgerError> {
        self.works()?;
        told(vec![DaySummary { day: from, opds: vec![opd("health", 3, 1)], total: opd("", 3, 1) }])
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
            generation: if query.depth == Depth::Second { 2 } else { 1 },
            of: query.person.clone(),
            person: Person::new("P-2"),
            grade: if query.scope == Scope::Around { Grade::Possible } else { Grade::Certain },
            minutes_min: 15,
            minutes_max: i64::from(query.threshold_minutes),
            reached_at: query.from,
            encounters: vec![encounter],
        }])
    }

    fn contacts_document(&self, _: &ContactQuery, form: ContactsForm) -> Result<Answer<Document>, LedgerError> {
        self.works()?;
        let content_type = match form {
            ContactsForm::Csv => "text/csv; charset=utf-8",
            ContactsForm::Svg => "image/svg+xml",
        };
        told(Document { content_type, bytes: b"a document".to_vec() })
    }

    fn events_of(&self, _: &str, _: u64) -> Result<Answer<Vec<u64>>, LedgerError> {
        Err(LedgerError::Rebuilding { through: 0, of: 50 })
    }

    fn person(&self, id: &str) -> Result<Answer<PersonFile>, LedgerError> {
        self.knows(id)?;
        let directory = Some(serde_json::json!({ "id": id }));
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
        Ok(Erasure { keys_destroyed: 3, views_rows: 12, directory_removed: true })
    }

    fn retention(&self) -> Result<Retention, LedgerError> {
        self.works()?;
        let purposes = vec![RetentionPurpose { purpose: "events".into(), days: 90 }];
        Ok(Retention { purposes, last_run: None })
    }
}
