//! The HTTP API under `/api/v1`: what is asked and what is answered, once for the gateway and everybody who asks it.
//!
//! Each module is one part of the API: its queries (the parameters of an address, written as
//! `application/x-www-form-urlencoded`), the bodies of its requests, and its answers (JSON). Every type is written and read with
//! serde by both sides; with the feature `openapi`, its schema is made of it as well.
//!
//! Unknown parameters are refused by the gateway. Unknown fields of an answer are ignored by whoever reads it, so that a gateway may be
//! newer than its clients.

mod assist;
mod attendance;
mod contacts;
mod events;
mod people;
mod policy;
mod presence;
mod privacy;
mod problem;
mod role;
#[cfg(feature = "openapi")]
mod schema;
mod status;

pub use assist::{Acknowledgement, AssistOutcome, AssistRefusal};
pub use attendance::{
    AttendanceDay, AttendanceFlags, AttendanceFormat, AttendanceQuery, AttendanceRow, AttendanceSession,
    AttendanceSummary, AttendanceTable, OpdSummary, SummaryQuery,
};
pub use contacts::{Contact, Contacts, ContactsFormat, ContactsQuery, Encounter, Generations, Grade, Scope};
pub use events::{EventPage, EventsQuery, PageFormat};
pub use people::{PeoplePage, PeopleQuery, PersonRecord};
pub use policy::{PolicyRow, PolicySetRow, PolicyStatus, ShadowChange, ShadowJudgement, ShadowQuery, ShadowReport};
pub use presence::{
    Bounds, Evidence, PeopleInside, PeopleInsideFormat, PeopleInsideQuery, PersonInside, ZoneOccupancy, ZonePresence,
};
pub use privacy::{
    AuditPage, AuditQuery, AuditRecord, EraseQuery, ErasedPerson, Erasure, ExportQuery, PersonExport, Restriction,
    RestrictionRequest, Retention, RetentionPurpose, RetentionRun,
};
pub use problem::ProblemDetails;
pub use role::{TokenRole, UnknownRole};
pub use status::{
    CertificateStatus, DoorRow, LogStatus, Percentiles, Problem, Readiness, ReadinessQuery, RefusalRow, RefusedWhat,
    ScanStatus, Severity, SiteStatus, UpstreamStatus, ZoneRow,
};

/// Most rows of a page of events, people or audit records.
pub const PAGE_ROWS_MAX: usize = 10_000;

/// Rows of such a page where a request does not say.
pub const PAGE_ROWS: usize = 1_000;

/// Most days that one question about attendance may span.
pub const ATTENDANCE_DAYS_MAX: i32 = 92;

/// Longest purpose or reason that a request gives, in characters.
pub const PURPOSE_CHARS_MAX: usize = 200;

/// Longest id of a person in a request, in characters.
pub const PERSON_CHARS_MAX: usize = 128;

/// Header: number of the last event that an answer of the ledgers reflects.
pub const THROUGH: &str = "gapura-through";

/// Header: how many events of the log such an answer does not reflect yet.
pub const BEHIND: &str = "gapura-behind";

/// Header of a page: whether there may be another behind it.
pub const MORE: &str = "gapura-more";

/// Header of a page of events: the number behind which the next page begins.
pub const LAST_EVENT: &str = "gapura-last-event";

/// Header of a page of people: the id behind which the next page begins.
pub const LAST_PERSON: &str = "gapura-last-person";

/// Header of a page of audit records: the number behind which the next page begins.
pub const LAST_RECORD: &str = "gapura-last-record";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
