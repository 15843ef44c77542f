//! The ledgers as HTTP shows them: who is where, who came when, who met whom, and a person's own rights.

use std::fmt;

use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::api::{
    AttendanceDay, AttendanceRow, Contact, Erasure, PeopleInside, PersonRecord, Restriction, Retention, ZonePresence,
};
use protocol::{Event, Instant};

use ::ledgers::{ContactQuery, LedgerStoreError, TablePart};

/// Days of everybody that are asked for at once.
const DAYS_AT_ONCE: i64 = 7;

/// The ledgers. The functions may block, and wait a short while for the ledgers to reach the log's end.
pub trait Ledgers: Send + Sync {
    /// Whose ledgers these are.
    fn site(&self) -> SiteCalendar;

    /// How full the zones are.
    ///
    /// # Errors
    /// When the ledgers cannot answer.
    fn presence(&self) -> Result<Answer<ZonePresence>, LedgerError>;

    /// Who is inside, in `zone` and the zones in it, or everywhere; by zone and person.
    ///
    /// # Errors
    /// When there is no such zone, or the ledgers cannot answer.
    fn people(&self, zone: Option<&str>) -> Result<Answer<PeopleInside>, LedgerError>;

    /// Working days, by day and person. All of them are in memory: see [`AttendanceRequest::parts`].
    ///
    /// # Errors
    /// When there is no such person, or the ledgers cannot answer.
    fn attendance(&self, request: &AttendanceRequest) -> Result<Answer<Vec<AttendanceRow>>, LedgerError>;

    /// The same as a table in CSV, or a further part of one.
    ///
    /// # Errors
    /// As [`Self::attendance`].
    fn attendance_csv(&self, request: &AttendanceRequest, part: TablePart) -> Result<Answer<Document>, LedgerError>;

    /// What each day comes to, from the first to the last.
    ///
    /// # Errors
    /// When the ledgers cannot answer.
    fn summary(&self, from: Date, to: Date) -> Result<Answer<Vec<AttendanceDay>>, LedgerError>;

    /// A person's contacts.
    ///
    /// # Errors
    /// When there is no such person, or the ledgers cannot answer.
    fn contacts(&self, query: &ContactQuery) -> Result<Answer<Vec<Contact>>, LedgerError>;

    /// The same as a line list or a picture.
    ///
    /// # Errors
    /// As [`Self::contacts`].
    fn contacts_document(&self, query: &ContactQuery, form: ContactsDocument) -> Result<Answer<Document>, LedgerError>;

    /// Numbers of the events behind `after` in which the person stood at a door, let through or not, in order. Does not wait for the
    /// ledgers.
    ///
    /// # Errors
    /// When the ledgers cannot answer.
    fn events_of(&self, person: &str, after: u64) -> Result<Answer<Vec<u64>>, LedgerError>;

    /// Number of the last event that happened before `to`, or on the same day; 0 where there is none. Does not wait for the
    /// ledgers.
    ///
    /// # Errors
    /// When the ledgers cannot answer.
    fn last_event_until(&self, to: Instant) -> Result<Answer<u64>, LedgerError>;

    /// Everything about one person, but the audit records.
    ///
    /// # Errors
    /// When there is no such person, or something of it cannot be read.
    fn person(&self, id: &str) -> Result<Answer<PersonFile>, LedgerError>;

    /// Restricts what is done with a person's data; what is kept of it.
    ///
    /// # Errors
    /// When there is no such person, or it cannot be kept.
    fn restrict(&self, id: &str, restriction: Restriction) -> Result<Restriction, LedgerError>;

    /// Lifts the restriction, where there is one.
    ///
    /// # Errors
    /// When there is no such person, or it cannot be kept.
    fn lift(&self, id: &str) -> Result<(), LedgerError>;

    /// Erases a person: destroys the keys of everything that tells of them.
    ///
    /// # Errors
    /// When there is no such person, when they are inside and it is not forced, while the ledgers are rebuilt, or when a file
    /// cannot be written.
    fn erase(&self, id: &str, force: bool) -> Result<Erasure, LedgerError>;

    /// For how long what is kept.
    ///
    /// # Errors
    /// When that cannot be told.
    fn retention(&self) -> Result<Retention, LedgerError>;
}

/// An answer, and how far the ledgers were when it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// Number of the last event that it reflects.
    pub through: u64,
    /// How many events of the log it does not reflect yet.
    pub behind: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum LedgerError {
    /// What a parameter asks for is not to be had as things stand.
    Conflict {
        /// Which one.
        parameter: &'static str,
        /// Why; tells of no person.
        reason: String,
    },
    /// There is no such zone.
    UnknownZone {
        /// The one that was asked for.
        zone: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// There is no such OPD.
    UnknownOpd {
        /// The one that was asked for.
        opd: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Nobody of this id is known.
    UnknownPerson,
    /// The person is inside.
    StillInside,
    /// The ledgers are being rebuilt from the log.
    Rebuilding {
        /// Number of the last event that they reflect.
        through: u64,
        /// Number of the log's last event.
        of: u64,
    },
    /// The ledgers cannot be used now; the reason is for the log.
    Unavailable(String),
}

/// Whose ledgers, and by which clock and calendar.
#[derive(Clone, Debug)]
pub struct SiteCalendar {
    /// The site's name.
    pub site: String,
    /// Where its days begin and end.
    pub time_zone: TimeZone,
    /// How many minutes within 24 hours make a contact, where a request does not say.
    pub contact_minutes: u32,
}

/// Whose working days.
#[derive(Clone, PartialEq, Eq)]
pub struct AttendanceRequest {
    /// The first.
    pub from: Date,
    /// The last.
    pub to: Date,
    /// One person's; everybody's where absent.
    pub person: Option<String>,
    /// Those of one OPD's staff; of all where absent.
    pub opd: Option<String>,
}

/// How contacts are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactsDocument {
    /// A line list in CSV.
    Csv,
    /// A picture of who met whom, and when, in SVG.
    Svg,
}

/// A document that is handed on as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// Its type, as in the header `Content-Type`.
    pub content_type: &'static str,
    /// Itself.
    pub bytes: Vec<u8>,
}

/// Everything about one person, but the audit records.
#[derive(Clone)]
pub struct PersonFile {
    /// What the directory has; absent when it has nothing.
    pub directory: Option<PersonRecord>,
    /// Whether and why the person's data are restricted.
    pub restriction: Option<Restriction>,
    /// Every event that tells of the person.
    pub events: Vec<Event>,
    /// Every working day.
    pub attendance: Vec<AttendanceRow>,
}

impl AttendanceRequest {
    /// The same in requests of at most a week, to be asked one after the other: more days of everybody do not belong in memory. One
    /// person's are one.
    pub fn parts(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut next = Some(self.from);
        while let Some(from) = next.filter(|from| *from <= self.to) {
            let last = from.saturating_add(Span::new().days(DAYS_AT_ONCE - 1));
            let to = if self.person.is_some() { self.to } else { last.min(self.to) };
            parts.push(Self { from, to, ..self.clone() });
            next = to.tomorrow().ok();
        }
        parts
    }
}

impl<T> Answer<T> {
    /// The same answer about something made of it.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: make(self.value), through: self.through, behind: self.behind }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (content_type, bytes) = (self.content_type, self.bytes.len());
        f.debug_struct("Document").field("content_type", &content_type).field("bytes", &bytes).finish()
    }
}

impl From<LedgerStoreError> for LedgerError {
    fn from(error: LedgerStoreError) -> Self {
        match error {
            LedgerStoreError::Rebuilding { through, last } => Self::Rebuilding { through, of: last },
            LedgerStoreError::TooMany { .. } => Self::Conflict { parameter: "generations", reason: error.to_string() },
            LedgerStoreError::Stopped => Self::Unavailable(error.to_string()),
        }
    }
}
