//! The file of the audit trail: rows in a chain of hashes, appended with a sync, and taken off the front when they have expired.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use minicbor::{Decode, Encode};
use protocol::Instant;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::cipher::AuditCipher;
use super::error::AuditError;
use super::record::{
    AuditRecord, Filter, PERSON_CHARS_MAX, PURPOSE_CHARS_MAX, Page, QUERY_CHARS_MAX, StoredRecord, WHAT_CHARS_MAX,
};
use crate::file::{FileKind, OpenError, Opener, sync_folder};

/// What the file was called in earlier versions.
const OLD_NAME: &str = "looks.redb";

/// Memory for the file's pages, in bytes.
const CACHE_BYTES: usize = 4 << 20;

/// AuditTrail that one page goes through at most, whatever it finds.
const PAGE_RECORDS_MAX: usize = 50_000;

/// Length of a hash in the chain, in bytes.
const LINK_BYTES: usize = 32;

/// Named, like the keys of a day's purposes, as in the first version of the file.
const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("looks");
/// Number and link of the last record that has expired.
const EXPIRED: TableDefinition<'static, (), (u64, [u8; LINK_BYTES])> = TableDefinition::new("expired");

pub(super) const KIND: FileKind = FileKind {
    what: "an audit trail",
    format: 1,
    if_foreign: "restore it from a backup",
    if_damaged: "restore the file from a backup",
};

/// The file, and what encrypts rows.
pub(super) struct Store {
    pub(super) path: PathBuf,
    keys: Arc<dyn AuditCipher>,
    slot: Mutex<Slot>,
    /// Since when nothing can be recorded, where that is known, and why.
    failing: Mutex<Option<(Option<Instant>, AuditError)>>,
}

struct Slot {
    open: Opener,
    /// Absent after a failure, until somebody needs it again.
    database: Option<Database>,
}

/// A record as it stands in the file. A field may be added with a new number and as an `Option`.
#[derive(Encode, Decode)]
struct RecordRow {
    #[n(0)]
    at: Instant,
    #[n(1)]
    token: String,
    #[n(2)]
    role: String,
    #[n(3)]
    what: String,
    #[n(4)]
    query: String,
    #[n(5)]
    status: u16,
    #[n(6)]
    encrypted: Option<Encrypted>,
}

/// [`PersonAndPurpose`], encrypted.
#[derive(Encode, Decode)]
struct Encrypted {
    #[n(0)]
    of: u64,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    bytes: Vec<u8>,
}

/// What tells whose data it was, and why.
#[derive(Default, Encode, Decode)]
struct PersonAndPurpose {
    #[n(0)]
    person: Option<String>,
    #[n(1)]
    purpose: Option<String>,
}

/// Where the chain ends.
#[derive(Clone, Copy, Default, PartialEq)]
struct Tail {
    number: u64,
    link: [u8; LINK_BYTES],
}

impl Store {
    /// A file that cannot be used is tried again at every record.
    pub(super) fn new(path: &Path, open: Opener, keys: Arc<dyn AuditCipher>) -> Self {
        let slot = Mutex::new(Slot { open, database: None });
        let store = Self { path: path.into(), keys, slot, failing: Mutex::new(None) };
        store.tell(None, store.begin_read().err());
        store
    }

    /// Since when nothing can be recorded, and why.
    pub(super) fn failing(&self) -> Option<(Option<Instant>, AuditError)> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, at: Option<Instant>, error: Option<AuditError>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failing.as_ref().map_or(at, |(since, _)| since.or(at));
        *failing = error.map(|error| (since, error));
    }

    /// Appends the records in one commit: the number of each, or why it could not be encrypted.
    pub(super) fn append(&self, records: &[AuditRecord]) -> Result<Vec<Result<u64, AuditError>>, AuditError> {
        let appended = self.noticing(|| {
            let transaction = self.begin_write()?;
            let kept = {
                let expired = transaction.open_table(EXPIRED).map_err(database)?;
                let mut table = transaction.open_table(RECORDS).map_err(database)?;
                let mut tail = tail(&table, &expired)?;
                records.iter().map(|record| self.append_one(&mut table, &mut tail, record)).collect::<Result<_, _>>()?
            };
            transaction.commit().map_err(database)?;
            Ok::<Vec<Result<u64, AuditError>>, _>(kept)
        });
        let error = match &appended {
            Ok(kept) => kept.iter().find_map(|kept| kept.as_ref().err().cloned()),
            Err(error) => Some(error.clone()),
        };
        self.tell(records.first().map(|record| record.at), error);
        appended
    }

    /// `Err` inside when the record cannot be encrypted: then the others go on.
    fn append_one(
        &self,
        table: &mut redb::Table<'_, u64, &'static [u8]>,
        tail: &mut Tail,
        record: &AuditRecord,
    ) -> Result<Result<u64, AuditError>, AuditError> {
        let number = tail.number.saturating_add(1);
        let stored = match self.stored(record, number) {
            Ok(stored) => stored,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = encoded(&stored)?;
        let link = tail.link_of(&bytes);
        table.insert(number, [link.as_slice(), &bytes].concat().as_slice()).map_err(database)?;
        *tail = Tail { number, link };
        Ok(Ok(number))
    }

    pub(super) fn last(&self) -> Result<u64, AuditError> {
        self.noticing(|| {
            let transaction = self.begin_read()?;
            let expired = transaction.open_table(EXPIRED).map_err(database)?;
            let table = transaction.open_table(RECORDS).map_err(database)?;
            Ok(tail(&table, &expired)?.number)
        })
    }

    pub(super) fn list(&self, filter: &Filter, after: u64, limit: usize) -> Result<Page, AuditError> {
        self.noticing(|| {
            let transaction = self.begin_read()?;
            let expired = transaction.open_table(EXPIRED).map_err(database)?;
            let table = transaction.open_table(RECORDS).map_err(database)?;
            let before = table.range(..=after).map_err(database)?.next_back().transpose().map_err(database)?;
            let mut tail = match before {
                Some((number, bytes)) => Tail::of(number.value(), bytes.value())?,
                None => last_expired(&expired)?,
            };
            let mut page = Page { rows: Vec::new(), last: after, more: false };
            for (walked, entry) in table.range(after.saturating_add(1)..).map_err(database)?.enumerate() {
                if page.rows.len() == limit || walked == PAGE_RECORDS_MAX {
                    page.more = true;
                    break;
                }
                let (number, bytes) = entry.map_err(database)?;
                let (number, bytes) = (number.value(), bytes.value());
                let row = self.row(number, bytes, tail)?;
                tail = Tail::of(number, bytes)?;
                page.last = number;
                page.rows.extend(Some(row).filter(|row| filter.admits(row)));
            }
            Ok(page)
        })
    }

    pub(super) fn expire(&self, before: Instant) -> Result<u64, AuditError> {
        self.noticing(|| {
            let transaction = self.begin_write()?;
            let mut removed = 0;
            {
                let mut table = transaction.open_table(RECORDS).map_err(database)?;
                let mut last = None;
                for entry in table.iter().map_err(database)? {
                    let (number, bytes) = entry.map_err(database)?;
                    if decoded(number.value(), bytes.value())?.at >= before {
                        break;
                    }
                    last = Some(Tail::of(number.value(), bytes.value())?);
                    removed += 1;
                }
                let Some(last) = last else { return Ok(0) };
                table.retain_in(..=last.number, |_, _| false).map_err(database)?;
                let mut expired = transaction.open_table(EXPIRED).map_err(database)?;
                expired.insert((), (last.number, last.link)).map_err(database)?;
            }
            transaction.commit().map_err(database)?;
            Ok(removed)
        })
    }

    fn stored(&self, record: &AuditRecord, number: u64) -> Result<RecordRow, AuditError> {
        let private = PersonAndPurpose {
            person: record.person.as_deref().map(|person| cut(person, PERSON_CHARS_MAX)),
            purpose: record.purpose.as_deref().map(|purpose| cut(purpose, PURPOSE_CHARS_MAX)),
        };
        Ok(RecordRow {
            at: record.at,
            token: record.token.to_string(),
            role: record.role.to_string(),
            what: cut(&record.what, WHAT_CHARS_MAX),
            query: cut(&record.query, QUERY_CHARS_MAX),
            status: record.status,
            encrypted: self.encrypted(record.at, number, private)?,
        })
    }

    /// Under the person's key; where nobody is named, or nobody of whom there are keys, only the purpose, under one of
    /// the day's.
    fn encrypted(&self, at: Instant, number: u64, private: PersonAndPurpose) -> Result<Option<Encrypted>, AuditError> {
        let under = |subject: &str, private: &PersonAndPurpose| {
            let encrypted =
                self.keys.encrypt(subject, at, number, &encoded(private)?).map_err(AuditError::Encrypting)?;
            Ok::<_, AuditError>(encrypted.map(|(of, bytes)| Encrypted { of, bytes }))
        };
        if let Some(person) = &private.person
            && let Some(encrypted) = under(person, &private)?
        {
            return Ok(Some(encrypted));
        }
        if private.purpose.is_none() {
            return Ok(None);
        }
        let day = TimeZone::UTC.to_datetime(at.timestamp()).date();
        under(&format!("looks:{day}"), &PersonAndPurpose { person: None, ..private })
    }

    fn row(&self, number: u64, bytes: &[u8], before: Tail) -> Result<StoredRecord, AuditError> {
        let stored = decoded(number, bytes)?;
        let is_next = number == before.number.saturating_add(1);
        let (_, cbor) = split(number, bytes)?;
        let broken = !is_next || before.link_of(cbor) != Tail::of(number, bytes)?.link;
        let private = stored.encrypted.as_ref().map(|encrypted| {
            let plain = self.keys.decrypt(encrypted.of, stored.at, number, &encrypted.bytes)?;
            minicbor::decode::<PersonAndPurpose>(&plain).ok()
        });
        let erased = matches!(private, Some(None));
        let PersonAndPurpose { person, purpose } = private.flatten().unwrap_or_default();
        let RecordRow { at, token, role, what, query, status, .. } = stored;
        Ok(StoredRecord { number, at, token, role, what, query, purpose, person, status, erased, broken })
    }

    /// Lets the database go when the file has failed: it is opened again, and read as it is, for the next one.
    fn noticing<T>(&self, work: impl FnOnce() -> Result<T, AuditError>) -> Result<T, AuditError> {
        let done = work();
        if matches!(done, Err(AuditError::Database(_))) {
            self.slot.lock().unwrap_or_else(PoisonError::into_inner).database = None;
        }
        done
    }

    fn begin_read(&self) -> Result<ReadTransaction, AuditError> {
        self.with_database(|database| database.begin_read().map_err(redb::Error::from))
    }

    fn begin_write(&self) -> Result<WriteTransaction, AuditError> {
        let mut transaction = self.with_database(|database| database.begin_write().map_err(redb::Error::from))?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    fn with_database<T>(&self, begin: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, AuditError> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match slot.database.take() {
            Some(database) => database,
            None => {
                let opened = (slot.open)()?;
                prepare(&self.path, &opened)?;
                opened
            }
        };
        begin(slot.database.insert(open)).map_err(database)
    }
}

impl Filter {
    fn admits(&self, row: &StoredRecord) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        is(&self.token, Some(&row.token))
            && is(&self.person, row.person.as_deref())
            && self.from.is_none_or(|from| from <= row.at)
            && self.to.is_none_or(|to| row.at < to)
    }
}

impl Tail {
    /// The chain up to this row.
    fn of(number: u64, row: &[u8]) -> Result<Self, AuditError> {
        Ok(Self { number, link: *split(number, row)?.0 })
    }

    /// The link of the row that comes next, whose CBOR is `cbor`.
    fn link_of(&self, cbor: &[u8]) -> [u8; LINK_BYTES] {
        *blake3::Hasher::new().update(&self.link).update(cbor).finalize().as_bytes()
    }
}

/// Opens the database in the file at `path`, which is made when there is none.
pub(super) fn file_opener(path: &Path) -> Opener {
    let path = path.to_path_buf();
    Box::new(move || {
        take_over(&path)?;
        KIND.open(&path, CACHE_BYTES)
    })
}

/// Renames a file that an earlier version kept under another name.
fn take_over(path: &Path) -> Result<(), OpenError> {
    let old = path.with_file_name(OLD_NAME);
    if path.exists() || !old.exists() {
        return Ok(());
    }
    let renamed = std::fs::rename(&old, path).and_then(|()| sync_folder(path));
    renamed.map_err(|source| OpenError::System { path: old, source })
}

/// Makes the tables in an empty file, else checks that it is an audit trail.
fn prepare(path: &Path, file: &Database) -> Result<(), AuditError> {
    KIND.prepare(path, file, |transaction| {
        transaction.open_table(RECORDS)?;
        transaction.open_table(EXPIRED)?;
        Ok(())
    })?;
    Ok(())
}

fn tail(
    table: &impl ReadableTable<u64, &'static [u8]>,
    expired: &impl ReadableTable<(), (u64, [u8; LINK_BYTES])>,
) -> Result<Tail, AuditError> {
    match table.last().map_err(database)? {
        Some((number, bytes)) => Tail::of(number.value(), bytes.value()),
        None => last_expired(expired),
    }
}

fn last_expired(expired: &impl ReadableTable<(), (u64, [u8; LINK_BYTES])>) -> Result<Tail, AuditError> {
    let last = expired.get(()).map_err(database)?.map(|last| last.value());
    Ok(last.map(|(number, link)| Tail { number, link }).unwrap_or_default())
}

fn split(number: u64, row: &[u8]) -> Result<(&[u8; LINK_BYTES], &[u8]), AuditError> {
    row.split_first_chunk().ok_or(AuditError::Damaged { number })
}

fn decoded(number: u64, row: &[u8]) -> Result<RecordRow, AuditError> {
    minicbor::decode(split(number, row)?.1).map_err(|_| AuditError::Damaged { number })
}

fn encoded(value: &impl Encode<()>) -> Result<Vec<u8>, AuditError> {
    minicbor::to_vec(value).map_err(|error| AuditError::Encrypting(error.to_string()))
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

fn database(error: impl Into<redb::Error>) -> AuditError {
    AuditError::Database(Arc::new(error.into()))
}
