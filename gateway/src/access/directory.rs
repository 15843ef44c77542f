//! The directory: people and their credentials, in a file for imports and in memory for decisions.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use minicbor::{Decode, Encode};
use protocol::{CredentialHash, HealthStatus, Instant, PersonClass};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::AccessError;

const CACHE_BYTES: usize = 16 << 20;

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
    /// Reads the file at `path` and closes it again, so that an import can write it; no file means nobody. The file is
    /// left as it is: whoever watches it for changes must not see one.
    ///
    /// # Errors
    /// When the file is in use (try again) or is no directory.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let failed = |error: redb::Error| AccessError::new(path, format!("cannot be read: {error}; import it anew"));
        let read_only = || redb::Builder::new().set_cache_size(CACHE_BYTES).open_read_only(path);
        let database = match read_only() {
            // An import was interrupted: to open the file for writing mends it.
            Err(DatabaseError::RepairAborted) => {
                drop(open(path)?);
                read_only()
            }
            opened => opened,
        };
        let database = database.map_err(|error| unusable(path, error))?;
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
    let backend = redb::backends::FileBackend::new(file).map_err(|error| unusable(path, error))?;
    redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(|error| unusable(path, error))
}

/// An empty directory that leaves nothing at `path`.
pub(super) fn in_memory(path: &Path) -> Result<Database, AccessError> {
    let backend = redb::backends::InMemoryBackend::new();
    redb::Builder::new().create_with_backend(backend).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: DatabaseError) -> AccessError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            AccessError::new(path, "is in use by another process; try again")
        }
        error => AccessError::new(path, format!("is no directory, or damaged ({error}); import it anew")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn directory_with(path: &Path, entry: &[u8]) {
        let database = open(path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(PEOPLE).unwrap().insert("P-1", entry).unwrap();
        transaction.commit().unwrap();
    }

    fn good() -> (CredentialHash, Vec<u8>) {
        let credential = CredentialHash([1; 16]);
        let record = Record {
            name: Some("Wayan".into()),
            class: PersonClass::NonAsn,
            opd: "dinkes".into(),
            status: Some(HealthStatus::Yellow),
            status_until: Some(Instant::from_unix_ms(5)),
            credentials: vec![credential],
        };
        (credential, minicbor::to_vec(record).unwrap())
    }

    #[test]
    fn what_is_in_the_file_is_found_by_credential() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        assert_eq!(Directory::read(&path).unwrap().credentials(), 0);
        assert!(!path.exists());
        let (credential, entry) = good();
        directory_with(&path, &entry);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let directory = Directory::read(&path).unwrap();
        let found = directory.find(&credential).unwrap();
        let (status, status_until) = (Some(HealthStatus::Yellow), Some(Instant::from_unix_ms(5)));
        assert_eq!(found, Person { id: "P-1", class: PersonClass::NonAsn, opd: "dinkes", status, status_until });
        assert_eq!((directory.credentials(), directory.find(&CredentialHash([2; 16]))), (1, None));
        assert!(!format!("{directory:?}").contains("Wayan"));
    }

    #[test]
    fn reading_leaves_the_file_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        directory_with(&path, &good().1);
        let fingerprint = || {
            let file = std::fs::metadata(&path).unwrap();
            (file.ino(), file.mtime(), file.mtime_nsec(), file.len())
        };
        let before = fingerprint();
        // Whatever the file system's grain of time.
        std::thread::sleep(std::time::Duration::from_millis(20));
        Directory::read(&path).unwrap();
        assert_eq!(fingerprint(), before);
    }

    #[test]
    fn a_file_in_use_is_told_from_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        let in_use = open(&path).unwrap();
        for error in [Directory::read(&path).map(drop).unwrap_err(), open(&path).map(drop).unwrap_err()] {
            assert_eq!(error.to_string(), format!("{}: is in use by another process; try again", path.display()));
        }
        drop(in_use);
        assert_eq!(Directory::read(&path).unwrap().credentials(), 0);
        directory_with(&path, b"no entry");
        let error = Directory::read(&path).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains("import it anew"), "{error}");
        std::fs::write(&path, "no directory at all").unwrap();
        let error = Directory::read(&path).unwrap_err().to_string();
        assert!(error.contains("is no directory") && error.contains("import it anew"), "{error}");
    }

    #[test]
    fn an_interrupted_import_is_mended_by_the_next_read() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("directory.redb"), folder.path().join("copy.redb"));
        let (credential, entry) = good();
        directory_with(&path, &entry);
        let importing = open(&path).unwrap();
        let transaction = importing.begin_write().unwrap();
        transaction.open_table(PEOPLE).unwrap().insert("P-2", entry.as_slice()).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        transaction.abort().unwrap();
        let directory = Directory::read(&copy).unwrap();
        assert_eq!(directory.find(&credential).map(|person| person.id), Some("P-1"));
    }
}
