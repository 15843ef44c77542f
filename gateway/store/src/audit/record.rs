//! What is recorded: who has asked for whose data, why, and what they were answered.

use std::fmt;

use base::tokens::TokenRole;
use protocol::{DoorId, Instant};
use serde::Serialize;

/// Longest query that is kept, in characters; what is longer is cut.
pub const QUERY_CHARS_MAX: usize = 512;

/// Longest purpose, in characters; what is longer is cut.
pub const PURPOSE_CHARS_MAX: usize = 200;

/// Longest id of a person, in characters; what is longer is cut.
pub const PERSON_CHARS_MAX: usize = 128;

/// Longest word for what was asked for, in characters.
pub(super) const WHAT_CHARS_MAX: usize = 48;

/// A request for personal data, or an attempt. Its `Debug` form leaves person and purpose out.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub at: Instant,
    /// The name of the token that came with the request.
    pub token: DoorId,
    /// The token's role.
    pub role: TokenRole,
    /// What was asked for, as a stable word.
    pub what: String,
    /// With which parameters, those that tell of a person left out.
    pub query: String,
    /// What was answered: a status of HTTP. 100 stands for a change that is about to be made.
    pub status: u16,
    /// Whose data; absent where nobody was named.
    pub person: Option<String>,
    /// Why, in the asker's own words.
    pub purpose: Option<String>,
}

/// A record as it is in the file. Its `Debug` form leaves person and purpose out.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct StoredRecord {
    /// Its number: 1 for the first, rising by one.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// The name of the token.
    pub token: String,
    /// The token's role.
    pub role: String,
    /// What was asked for.
    pub what: String,
    /// With which parameters.
    pub query: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Whose data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// What was answered: a status of HTTP; 100 for a change that was about to be made.
    pub status: u16,
    /// Person and purpose cannot be told any more: the person's keys were destroyed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    /// The row, or one before it, is not what was written: somebody has changed the file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub broken: bool,
}

/// Which records.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of the token of this name.
    pub token: Option<String>,
    /// Those at this person's data.
    pub person: Option<String>,
    /// Not before.
    pub from: Option<Instant>,
    /// Before.
    pub to: Option<Instant>,
}

/// Some records, in the order in which they were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Those that the filter lets through.
    pub rows: Vec<StoredRecord>,
    /// Number of the last one that was looked at: where the next page goes on.
    pub last: u64,
    /// Whether there may be more behind it.
    pub more: bool,
}

impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditRecord")
            .field("at", &self.at)
            .field("token", &self.token)
            .field("role", &self.role)
            .field("what", &self.what)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("number", &self.number)
            .field("what", &self.what)
            .field("status", &self.status)
            .field("erased", &self.erased)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}
