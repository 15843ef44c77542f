//! Who may pass: people, doors and policy, and the pure function that decides. Files are read when they are loaded, never
//! when a scan is decided.

mod credential;
mod decide;
mod directory;
mod doors;
mod export;
mod import;
mod policy;

#[cfg(test)]
pub(crate) mod testing;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;
use thiserror::Error;

pub use crate::door_list::{Door, Doors};
pub use credential::CredentialKey;
pub use decide::{Shown, decide, refuse_malformed};
pub use directory::{
    Directory, FieldError, Language, Person, PersonError, PersonRecord, Put, list_people, put_person, read_person,
    remove_person,
};
pub use export::{ExportError, export_people};
pub use import::{
    ChangeKind, Difference, ImportError, ImportOptions, ImportReport, PeopleFormat, RowError, import_people,
};
pub use policy::{Judgement, Policy, Question};

/// The files of the default policy: name and content.
pub const DEFAULT_POLICY: &[(&str, &str)] = &[
    ("schema.cedarschema", include_str!("../../../deploy/policy/schema.cedarschema")),
    ("default.cedar", include_str!("../../../deploy/policy/default.cedar")),
];

/// Everything that a decision is made from; replaced as a whole when a part changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// People and their credentials.
    pub directory: Arc<Directory>,
    /// The policy set.
    pub policy: Arc<Policy>,
    /// The doors of the site.
    pub doors: Arc<Doors>,
    /// How a credential becomes a hash.
    pub key: Arc<CredentialKey>,
    /// Settings that decisions depend on.
    pub rules: Rules,
}

/// Settings that decisions depend on.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The site's time zone: policies see its clock.
    pub time_zone: TimeZone,
    /// A scan that is decided later than this after it was made is only recorded, in milliseconds.
    pub late_after_ms: u64,
    /// A reader's clock that is off by more than this is flagged, in milliseconds.
    pub clock_tolerance_ms: u64,
}

/// A file that decisions depend on cannot be used.
#[derive(Debug, Error)]
#[error("{file}: {reason}")]
pub struct AccessError {
    /// The file, with a line where one is to blame.
    pub file: String,
    /// What is wrong and what to do.
    pub reason: String,
}

impl AccessError {
    fn new(file: &std::path::Path, reason: impl Into<String>) -> Self {
        Self { file: PathBuf::from(file).display().to_string(), reason: reason.into() }
    }

    fn at_line(file: &std::path::Path, line: usize, reason: impl Into<String>) -> Self {
        Self { file: format!("{}:{line}", file.display()), reason: reason.into() }
    }
}

/// The line, from 1, on which byte `offset` of `text` lies.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
