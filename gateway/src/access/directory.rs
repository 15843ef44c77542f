//! The directory: people and their credentials, in a file for imports and in memory for decisions.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use minicbor::{Decode, Encode};
use protocol::{CredentialHash, HealthStatus, Instant, PersonClass};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::AccessError;

pub(super) const PEOPLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("people");

/// The people whose credentials are known; read whole and replaced whole.
#[derive(Debug, Default)]
pub struct Directory {
    people: Vec<Row>,
    credentials: HashMap<CredentialHash, u32>,
    offices: Vec<Box<str>>,
}

/// One person, as far as decisions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person<'a> {
    /// The directory's id.
    pub id: &'a str,
    /// The person's class.
    pub class: PersonClass,
    /// The person's office; may be empty.
    pub opd: &'a str,
    /// The health status, where one is known.
    pub status: Option<HealthStatus>,
    /// When that status ends.
    pub status_until: Option<Instant>,
}

/// One person as the file keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Record {
    #[n(0)]
    pub name: Option<String>,
    #[n(1)]
    pub class: PersonClass,
    #[n(2)]
    pub opd: String,
    #[n(3)]
    pub status: Option<HealthStatus>,
    #[n(4)]
    pub status_until: Option<Instant>,
    #[n(5)]
    pub credentials: Vec<CredentialHash>,
}

#[derive(Debug)]
struct Row {
    id: Box<str>,
    office: u32,
    class: PersonClass,
    status: Option<HealthStatus>,
    status_until: Option<Instant>,
}

impl Directory {
    /// Reads the file at `path` and closes it again, so that an import can write it; no file means nobody.
    ///
    /// # Errors
    /// When the file is in use (try again) or is no directory.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let failed = |error: redb::Error| AccessError::new(path, format!("cannot be read: {error}; import it anew"));
        let database = open(path)?;
        let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
        let table = match transaction.open_table(PEOPLE) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Self::default()),
            Err(error) => return Err(failed(error.into())),
        };
        let mut directory = Self::default();
        let mut offices = HashMap::new();
        for entry in table.iter().map_err(|error| failed(error.into()))? {
            let (id, bytes) = entry.map_err(|error| failed(error.into()))?;
            let record: Record = minicbor::decode(bytes.value())
                .map_err(|error| AccessError::new(path, format!("an entry is damaged ({error}); import it anew")))?;
            directory.insert(id.value(), record, &mut offices);
        }
        directory.people.shrink_to_fit();
        directory.credentials.shrink_to_fit();
        Ok(directory)
    }

    /// The person to whom a credential belongs.
    pub fn find(&self, credential: &CredentialHash) -> Option<Person<'_>> {
        let row = self.people.get(usize::try_from(*self.credentials.get(credential)?).ok()?)?;
        let opd = usize::try_from(row.office).ok().and_then(|office| self.offices.get(office));
        Some(Person {
            id: &row.id,
            class: row.class,
            opd: opd.map_or("", |opd| opd),
            status: row.status,
            status_until: row.status_until,
        })
    }

    /// Number of credentials.
    pub fn credentials(&self) -> usize {
        self.credentials.len()
    }

    pub(super) fn insert(&mut self, id: &str, record: Record, offices: &mut HashMap<String, u32>) {
        let next_office = u32::try_from(self.offices.len()).unwrap_or(u32::MAX);
        let office = *offices.entry(record.opd).or_insert_with_key(|opd| {
            self.offices.push(opd.as_str().into());
            next_office
        });
        let row = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        self.people.push(Row {
            id: id.into(),
            office,
            class: record.class,
            status: record.status,
            status_until: record.status_until,
        });
        self.credentials.extend(record.credentials.into_iter().map(|credential| (credential, row)));
    }
}

/// Opens or makes the file, readable by its owner only.
pub(super) fn open(path: &Path) -> Result<Database, AccessError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| AccessError::new(path, format!("cannot be opened ({error}); check its folder")))?;
    let in_use = |error: DatabaseError| match error {
        DatabaseError::DatabaseAlreadyOpen => AccessError::new(path, "is in use by another process; try again"),
        error => AccessError::new(path, format!("is no directory, or damaged ({error}); import it anew")),
    };
    let backend = redb::backends::FileBackend::new(file).map_err(in_use)?;
    redb::Builder::new().set_cache_size(16 << 20).create_with_backend(backend).map_err(in_use)
}
