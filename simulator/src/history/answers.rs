//! What the gateway's ledgers answer over HTTP, as far as a history compares it.

use jiff::civil::Date;
use protocol::Instant;
use serde::Deserialize;

/// `GET attendance`.
#[derive(Clone, Debug, Deserialize)]
pub struct AttendanceAnswer {
    /// One for each person and day.
    pub rows: Vec<AttendanceRow>,
}

/// Somebody's working day.
#[derive(Clone, Debug, Deserialize)]
pub struct AttendanceRow {
    /// Their id.
    pub person: String,
    /// The working day.
    pub day: Date,
    /// When they were seen coming.
    pub first_in: Option<Instant>,
    /// When they were seen leaving for the last time.
    pub last_out: Option<Instant>,
    /// Whole minutes that scans prove.
    pub worked_minutes: i64,
    /// They were not seen leaving.
    pub missing_exit: bool,
    /// They were seen leaving without having come.
    pub missing_entry: bool,
}

/// `GET contacts`.
#[derive(Clone, Debug, Deserialize)]
pub struct ContactsAnswer {
    /// One for each person.
    pub contacts: Vec<ContactRow>,
}

/// Somebody who was together with whom was asked for.
#[derive(Clone, Debug, Deserialize)]
pub struct ContactRow {
    /// Their id.
    pub person: String,
    /// How sure that is.
    pub grade: Grade,
    /// The most whole minutes within 24 hours that are proven.
    pub minutes_min: i64,
    /// The most whole minutes within 24 hours that are possible.
    pub minutes_max: i64,
}

/// How sure a contact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It is proven.
    Certain,
    /// It is possible.
    Possible,
}

/// `GET presence`.
#[derive(Clone, Debug, Deserialize)]
pub struct PresenceAnswer {
    /// Every zone.
    pub zones: Vec<ZoneCount>,
}

/// How many people are in a zone.
#[derive(Clone, Debug, Deserialize)]
pub struct ZoneCount {
    /// Those who are.
    pub people: u64,
    /// Those who may be.
    pub weak: u64,
}
