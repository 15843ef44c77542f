//! The ledgers over HTTP: their answers, with names and offices from the directory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use protocol::api::{self, AttendanceDay, AttendanceRow, Erasure, PeopleInside, Restriction, Retention, ZonePresence};
use protocol::{Event, Instant};

use crate::config::Config;
use crate::privacy::{LastRun, PersonRights};
use access::{Directory, Snapshot, names_of};
use base::spreadsheet::Spreadsheet;
use ledgers::{
    self, Attendance, Contact, ContactQuery, DayTable, LedgerStore, LedgerStoreError, Present, Restricted, Rules,
    TablePart, Traced,
};
use web::{self, Answer, AttendanceRequest, ContactsDocument, Document, LedgerError, PersonFile, SiteCalendar};

const DAY_MS: i64 = 86_400_000;

/// Where the answers come from.
#[derive(Clone)]
pub(crate) struct Ledgers {
    pub(crate) config: Config,
    pub(crate) rights: PersonRights,
    pub(crate) last_run: LastRun,
}

/// Names and offices of some people.
struct NamesAndOffices<'d> {
    names: HashMap<String, String>,
    directory: &'d Directory,
}

impl Ledgers {
    fn ask<T>(
        &self,
        question: impl FnOnce(&LedgerStore, Instant) -> Result<T, LedgerStoreError>,
    ) -> Result<Answer<T>, LedgerError> {
        self.rights.questions.ask(question)
    }

    fn known<'d, 'a>(
        &self,
        snapshot: &'d Snapshot,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<NamesAndOffices<'d>, LedgerError> {
        let names =
            names_of(&self.rights.directory, ids).map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        let names = names.into_iter().map(|(id, name)| (id.to_owned(), name)).collect();
        Ok(NamesAndOffices { names, directory: &snapshot.directory })
    }

    /// Data are kept for a purpose so long, and not used for it when they are older.
    fn kept_since(&self, days: u32) -> Instant {
        Instant::from_unix_ms(
            self.rights.questions.clock.now().unix_ms().saturating_sub(i64::from(days).saturating_mul(DAY_MS)),
        )
    }

    fn rules(&self) -> Arc<Rules> {
        self.rights.in_force.rules()
    }

    /// Working days, and the offices and names of those whose they are.
    fn days(&self, request: &AttendanceRequest) -> Result<Answer<Vec<Attendance>>, LedgerError> {
        let first = self.rules().day_of(self.kept_since(self.config.privacy.attendance_days));
        if request.from < first {
            let days = self.config.privacy.attendance_days;
            let reason = format!("is {}: attendance is kept for {days} days, since {first}", request.from);
            return Err(LedgerError::Conflict { parameter: "from", reason });
        }
        if let Some(person) = &request.person {
            self.rights.must_know(person)?;
        }
        let snapshot = self.rights.in_force.load();
        if let Some(opd) = &request.opd
            && !snapshot.directory.staff().any(|(_, of)| of == opd)
        {
            let known: BTreeSet<&str> = snapshot.directory.staff().map(|(_, opd)| opd).collect();
            let known = known.into_iter().filter(|opd| !opd.is_empty()).map(str::to_owned).collect();
            return Err(LedgerError::UnknownOpd { opd: opd.clone(), known });
        }
        let answer = self.ask(|views, now| {
            views.attendance(request.from, request.to, request.person.as_deref(), Restricted::LeftOut, now)
        })?;
        let of_opd = |row: &Attendance| match &request.opd {
            Some(opd) => snapshot.directory.person(row.person.as_str()).is_some_and(|person| person.opd == opd),
            None => true,
        };
        Ok(answer.map(|rows| rows.into_iter().filter(of_opd).collect()))
    }

    fn trace(&self, query: &ContactQuery) -> Result<Answer<Vec<Contact>>, LedgerError> {
        self.rights.must_know(query.person.as_str())?;
        if self.rights.is_restricted(query.person.as_str()) {
            let reason = "is somebody whose data may only be kept: a restriction is in force".into();
            return Err(LedgerError::Conflict { parameter: "person", reason });
        }
        let (days, since) = (self.config.privacy.contacts_days, self.kept_since(self.config.privacy.contacts_days));
        if query.from < since {
            let reason = format!("is {}: contacts are traced back for {days} days, since {since}", query.from);
            return Err(LedgerError::Conflict { parameter: "from", reason });
        }
        self.ask(|views, now| views.contacts(query, now))
    }

    /// Events as they may be shown: see [`Subjects::shown`].
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, String> {
        let told_since = self.kept_since(self.config.privacy.events_days);
        let events = self.rights.questions.reader.read(after, limit, usize::MAX).map_err(|error| error.to_string())?;
        Ok(events.into_iter().map(|event| self.rights.subjects.shown(event, told_since)).collect())
    }

    /// A day as it is sent upstream, by office.
    pub(crate) fn rows_upstream(&self, day: Date) -> Result<Vec<(String, Vec<upstream::Row>)>, String> {
        let failed = |error: LedgerError| format!("{error:?}");
        let answer =
            self.ask(|views, now| views.attendance(day, day, None, Restricted::LeftOut, now)).map_err(failed)?;
        if answer.behind > 0 {
            return Err(format!("the ledgers are {} events behind the log", answer.behind));
        }
        let snapshot = self.rights.in_force.load();
        let known = self.known(&snapshot, answer.value.iter().map(|row| row.person.as_str())).map_err(failed)?;
        ledgers::opd_rows(&answer.value, |id| known.of(id))
    }
}

impl NamesAndOffices<'_> {
    /// The person's name and office, which may be empty.
    fn of(&self, id: &str) -> Option<(&str, &str)> {
        let opd = self.directory.person(id).map(|person| person.opd).unwrap_or_default();
        Some((self.names.get(id).map(String::as_str).unwrap_or_default(), opd))
    }

    /// The person's name and office, where they are known.
    fn named(&self, id: &str) -> (Option<String>, Option<String>) {
        let (name, opd) = self.of(id).unwrap_or_default();
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        (some(name), some(opd))
    }
}

impl web::Ledgers for Ledgers {
    fn site(&self) -> SiteCalendar {
        SiteCalendar {
            site: self.config.site.name.to_string(),
            time_zone: self.rules().time_zone.clone(),
            contact_minutes: self.config.contacts.minutes,
        }
    }

    fn presence(&self) -> Result<Answer<ZonePresence>, LedgerError> {
        let answer = self.ask(LedgerStore::presence)?;
        Ok(answer.map(|now| ZonePresence { at: now.at, zones: now.zones.into_iter().map(Into::into).collect() }))
    }

    fn people(&self, zone: Option<&str>) -> Result<Answer<PeopleInside>, LedgerError> {
        let rules = self.rules();
        let snapshot = self.rights.in_force.load();
        let answer = self.ask(LedgerStore::presence)?;
        if let Some(zone) = zone {
            let of_doors = snapshot.doors.iter().map(|(_, door)| door.zone.as_str());
            let known: BTreeSet<&str> = answer.value.zones.iter().map(|known| &*known.zone).chain(of_doors).collect();
            if !known.contains(zone) {
                let known = known.into_iter().map(str::to_owned).collect();
                return Err(LedgerError::UnknownZone { zone: zone.to_owned(), known });
            }
        }
        let (through, behind, now) = (answer.through, answer.behind, answer.value);
        let mut people = now.people;
        people.retain(|present| zone.is_none_or(|zone| rules.is_within(&present.zone, zone)));
        let known = self.known(&snapshot, people.iter().map(|present| present.person.as_str()))?;
        let person_inside = |present: Present| {
            let (name, opd) = known.named(present.person.as_str());
            present.into_person_inside(name, opd)
        };
        let inside = PeopleInside { at: now.at, people: people.into_iter().map(person_inside).collect() };
        Ok(Answer { value: inside, through, behind })
    }

    fn attendance(&self, request: &AttendanceRequest) -> Result<Answer<Vec<AttendanceRow>>, LedgerError> {
        let answer = self.days(request)?;
        let snapshot = self.rights.in_force.load();
        let known = self.known(&snapshot, answer.value.iter().map(|row| row.person.as_str()))?;
        let row = |day: Attendance| {
            let (name, opd) = known.named(day.person.as_str());
            day.into_row(name, opd)
        };
        Ok(answer.map(|days| days.into_iter().map(row).collect()))
    }

    fn attendance_csv(&self, request: &AttendanceRequest, part: TablePart) -> Result<Answer<Document>, LedgerError> {
        let answer = self.days(request)?;
        let snapshot = self.rights.in_force.load();
        let known = self.known(&snapshot, answer.value.iter().map(|row| row.person.as_str()))?;
        let rows = answer.value.iter().map(|row| ledgers::NamedRow::day(row, |id| known.of(id)));
        let table = ledgers::attendance_csv(rows, part, &self.rules().time_zone).map(csv);
        let table = table.map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(Answer { value: table, through: answer.through, behind: answer.behind })
    }

    fn summary(&self, from: Date, to: Date) -> Result<Answer<Vec<AttendanceDay>>, LedgerError> {
        let snapshot = self.rights.in_force.load();
        let mut summed = Answer { value: Vec::new(), through: 0, behind: 0 };
        for part in (AttendanceRequest { from, to, person: None, opd: None }).parts() {
            let answer = self.days(&part)?;
            (summed.through, summed.behind) = (answer.through, answer.behind);
            let mut by_day: HashMap<Date, Vec<Attendance>> = HashMap::new();
            answer.value.into_iter().for_each(|row| by_day.entry(row.day).or_default().push(row));
            let day = |day: Date| {
                let rows = by_day.remove(&day).unwrap_or_default();
                DayTable::new(day, rows, snapshot.directory.staff()).summary()
            };
            let days = part.from.series(jiff::Span::new().days(1)).take_while(|day| *day <= part.to);
            summed.value.extend(days.map(day));
        }
        Ok(summed)
    }

    fn contacts(&self, query: &ContactQuery) -> Result<Answer<Vec<api::Contact>>, LedgerError> {
        Ok(self.trace(query)?.map(|contacts| contacts.into_iter().map(Into::into).collect()))
    }

    fn contacts_document(&self, query: &ContactQuery, form: ContactsDocument) -> Result<Answer<Document>, LedgerError> {
        let answer = self.trace(query)?;
        let (snapshot, rules) = (self.rights.in_force.load(), self.rules());
        let contacts = &answer.value;
        let people = contacts.iter().flat_map(|contact| [contact.person.as_str(), contact.of.as_str()]);
        let known = self.known(&snapshot, people.chain([query.person.as_str()]))?;
        let document = match form {
            ContactsDocument::Csv => ledgers::contacts_csv(contacts, |id| known.of(id), &rules.time_zone)
                .map(csv)
                .map_err(|error| LedgerError::Unavailable(error.to_string()))?,
            ContactsDocument::Svg => {
                let stays = self.rights.questions.views.stays(
                    &query.person,
                    query.from,
                    query.to,
                    self.rights.questions.clock.now(),
                )?;
                let traced = Traced {
                    person: &query.person,
                    from: query.from,
                    to: query.to,
                    minutes: query.threshold_minutes,
                    stays: &stays,
                    contacts,
                };
                let picture = ledgers::contacts_svg(&traced, |id| known.of(id), &rules.time_zone);
                Document { content_type: "image/svg+xml", bytes: picture.into_bytes() }
            }
        };
        Ok(Answer { value: document, through: answer.through, behind: answer.behind })
    }

    fn events_of(&self, person: &str, after: u64) -> Result<Answer<Vec<u64>>, LedgerError> {
        let position = self.rights.questions.views.position();
        let value =
            self.rights.questions.views.events_of(person, (None, None), after, usize::MAX, Restricted::LeftOut)?;
        Ok(Answer { value, through: position.through, behind: position.last.saturating_sub(position.through) })
    }

    fn last_event_until(&self, to: Instant) -> Result<Answer<u64>, LedgerError> {
        let views = &self.rights.questions.views;
        let position = views.position();
        let value = views.last_number_until(to)?;
        Ok(Answer { value, through: position.through, behind: position.last.saturating_sub(position.through) })
    }

    fn person(&self, id: &str) -> Result<Answer<PersonFile>, LedgerError> {
        self.rights.file_of(id)
    }

    fn restrict(&self, id: &str, restriction: Restriction) -> Result<Restriction, LedgerError> {
        self.rights.put_restriction(id, restriction)
    }

    fn lift(&self, id: &str) -> Result<(), LedgerError> {
        self.rights.lift_restriction(id)
    }

    fn erase(&self, id: &str, force: bool) -> Result<Erasure, LedgerError> {
        self.rights.erase_person(id, force)
    }

    fn retention(&self) -> Result<Retention, LedgerError> {
        Ok(self.last_run.status(&self.config.privacy))
    }
}

fn csv(bytes: Vec<u8>) -> Document {
    Document { content_type: Spreadsheet::CONTENT_TYPE, bytes }
}
