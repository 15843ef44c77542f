//! The ledgers over HTTP: where their answers come from.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::Instant;

use crate::http::{
    self, Answer, AttendanceRequest, ContactsForm, DaySummary, Document, Erasure, Inside, LedgerError, Named, Occupied,
    PersonFile, Place, Restriction, Retention,
};
use crate::looks::Sealer;
use crate::views::{Attendance, Contact, ContactQuery};

/// Ledgers that cannot be used yet.
pub(super) struct Ledgers {
    pub(super) site: String,
    pub(super) time_zone: TimeZone,
}

/// Keeps nothing of whom a look was at: without keys of their own, nobody could be forgotten.
pub(super) struct NoKeys;

fn unavailable<T>() -> Result<T, LedgerError> {
    Err(LedgerError::Unavailable("there are no views yet".into()))
}

impl http::Ledgers for Ledgers {
    fn place(&self) -> Place {
        Place { site: self.site.clone(), time_zone: self.time_zone.clone(), contact_minutes: 15 }
    }

    fn presence(&self) -> Result<Answer<Occupied>, LedgerError> {
        unavailable()
    }

    fn people(&self, _: Option<&str>) -> Result<Answer<Inside>, LedgerError> {
        unavailable()
    }

    fn attendance(&self, _: &AttendanceRequest) -> Result<Answer<Vec<Named<Attendance>>>, LedgerError> {
        unavailable()
    }

    fn attendance_csv(&self, _: &AttendanceRequest) -> Result<Answer<Document>, LedgerError> {
        unavailable()
    }

    fn summary(&self, _: Date, _: Date) -> Result<Answer<Vec<DaySummary>>, LedgerError> {
        unavailable()
    }

    fn contacts(&self, _: &ContactQuery) -> Result<Answer<Vec<Contact>>, LedgerError> {
        unavailable()
    }

    fn contacts_document(&self, _: &ContactQuery, _: ContactsForm) -> Result<Answer<Document>, LedgerError> {
        unavailable()
    }

    fn person(&self, _: &str) -> Result<Answer<PersonFile>, LedgerError> {
        unavailable()
    }

    fn restrict(&self, _: &str, _: Restriction) -> Result<Restriction, LedgerError> {
        unavailable()
    }

    fn lift(&self, _: &str) -> Result<(), LedgerError> {
        unavailable()
    }

    fn erase(&self, _: &str, _: bool) -> Result<Erasure, LedgerError> {
        unavailable()
    }

    fn retention(&self) -> Result<Retention, LedgerError> {
        unavailable()
    }
}

impl Sealer for NoKeys {
    fn seal(&self, _: &str, _: Instant, _: u64, _: &[u8]) -> Result<Option<(u64, Vec<u8>)>, String> {
        Ok(None)
    }

    fn open(&self, _: u64, _: Instant, _: u64, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
