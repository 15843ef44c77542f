//! The file of looks: rows in a chain of hashes, appended with a sync, and taken off the front when they have expired.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use minicbor::{Decode, Encode};
use protocol::Instant;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    Filter, Look, LooksError, PERSON_CHARS_MAX, PURPOSE_CHARS_MAX, Page, QUERY_CHARS_MAX, Row, Sealer, WHAT_CHARS_MAX,
};
use crate::file::{FileKind, Opener};

/// Memory for the file's pages, in bytes.
const CACHE_BYTES: usize = 4 << 20;

/// Looks that one page goes through at most, whatever it finds.
const PAGE_LOOKS_MAX: usize = 50_000;

/// Length of a hash in the chain, in bytes.
const SEAL_BYTES: usize = 32;

const LOOKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("looks");
/// Number and seal of the last look that has expired.
const EXPIRED: TableDefinition<'static, (), (u64, [u8; SEAL_BYTES])> = TableDefinition::new("expired");

const KIND: FileKind = FileKind {
    what: "a record of looks",
    format: 1,
    if_foreign: "restore it from a backup",
    if_damaged: "restore the file from a backup",
};

/// The file, and what seals rows.
pub(super) struct Store {
    pub(super) path: PathBuf,
    sealer: Arc<dyn Sealer>,
    slot: Mutex<Slot>,
    /// Since when looks cannot be recorded, where that is known, and why.
    failing: Mutex<Option<(Option<Instant>, LooksError)>>,
}

struct Slot {
    open: Opener,
    /// Absent after a failure, until somebody needs it again.
    database: Option<Database>,
}

/// A look as it stands in the file. A field may be added with a new number and as an `Option`.
#[derive(Encode, Decode)]
struct Stored {
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
    sealed: Option<Sealed>,
}

/// [`Private`], encrypted.
#[derive(Encode, Decode)]
struct Sealed {
    #[n(0)]
    of: u64,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    bytes: Vec<u8>,
}

/// What tells whom a look was at, and why.
#[derive(Default, Encode, Decode)]
struct Private {
    #[n(0)]
    person: Option<String>,
    #[n(1)]
    purpose: Option<String>,
}

/// Where the chain ends.
#[derive(Clone, Copy, Default, PartialEq)]
struct Tail {
    number: u64,
    seal: [u8; SEAL_BYTES],
}

impl Store {
    /// A file that cannot be used is tried again at every look.
    pub(super) fn new(path: &Path, open: Opener, sealer: Arc<dyn Sealer>) -> Self {
        let slot = Mutex::new(Slot { open, database: None });
        let store = Self { path: path.into(), sealer, slot, failing: Mutex::new(None) };
        store.tell(None, store.begin_read().err());
        store
    }

    /// Since when looks cannot be recorded, and why.
    pub(super) fn failing(&self) -> Option<(Option<Instant>, LooksError)> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, at: Option<Instant>, error: Option<LooksError>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failing.as_ref().map_or(at, |(since, _)| since.or(at));
        *failing = error.map(|error| (since, error));
    }

    /// Appends the looks in one commit: the number of each, or why it could not be sealed.
    pub(super) fn append(&self, looks: &[Look]) -> Result<Vec<Result<u64, LooksError>>, LooksError> {
        let appended = self.noticing(|| {
            let transaction = self.begin_write()?;
            let kept = {
                let expired = transaction.open_table(EXPIRED).map_err(database)?;
                let mut table = transaction.open_table(LOOKS).map_err(database)?;
                let mut tail = tail(&table, &expired)?;
                looks.iter().map(|look| self.append_one(&mut table, &mut tail, look)).collect::<Result<_, _>>()?
            };
            transaction.commit().map_err(database)?;
            Ok::<Vec<Result<u64, LooksError>>, _>(kept)
        });
        let error = match &appended {
            Ok(kept) => kept.iter().find_map(|kept| kept.as_ref().err().cloned()),
            Err(error) => Some(error.clone()),
        };
        self.tell(looks.first().map(|look| look.at), error);
        appended
    }

    /// `Err` inside when the look cannot be sealed: then the others go on.
    fn append_one(
        &self,
        table: &mut redb::Table<'_, u64, &'static [u8]>,
        tail: &mut Tail,
        look: &Look,
    ) -> Result<Result<u64, LooksError>, LooksError> {
        let number = tail.number.saturating_add(1);
        let stored = match self.stored(look, number) {
            Ok(stored) => stored,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = encoded(&stored)?;
        let seal = tail.seal_of(&bytes);
        table.insert(number, [seal.as_slice(), &bytes].concat().as_slice()).map_err(database)?;
        *tail = Tail { number, seal };
        Ok(Ok(number))
    }

    pub(super) fn list(&self, filter: &Filter, after: u64, limit: usize) -> Result<Page, LooksError> {
        self.noticing(|| {
            let transaction = self.begin_read()?;
            let expired = transaction.open_table(EXPIRED).map_err(database)?;
            let table = transaction.open_table(LOOKS).map_err(database)?;
            let before = table.range(..=after).map_err(database)?.next_back().transpose().map_err(database)?;
            let mut tail = match before {
                Some((number, bytes)) => Tail::of(number.value(), bytes.value())?,
                None => last_expired(&expired)?,
            };
            let mut page = Page { rows: Vec::new(), last: after, more: false };
            for (walked, entry) in table.range(after.saturating_add(1)..).map_err(database)?.enumerate() {
                if page.rows.len() == limit || walked == PAGE_LOOKS_MAX {
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

    pub(super) fn expire(&self, before: Instant) -> Result<u64, LooksError> {
        self.noticing(|| {
            let transaction = self.begin_write()?;
            let mut removed = 0;
            {
                let mut table = transaction.open_table(LOOKS).map_err(database)?;
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
                expired.insert((), (last.number, last.seal)).map_err(database)?;
            }
            transaction.commit().map_err(database)?;
            Ok(removed)
        })
    }

    fn stored(&self, look: &Look, number: u64) -> Result<Stored, LooksError> {
        let private = Private {
            person: look.person.as_deref().map(|person| cut(person, PERSON_CHARS_MAX)),
            purpose: look.purpose.as_deref().map(|purpose| cut(purpose, PURPOSE_CHARS_MAX)),
        };
        Ok(Stored {
            at: look.at,
            token: look.token.to_string(),
            role: look.role.to_string(),
            what: cut(&look.what, WHAT_CHARS_MAX),
            query: cut(&look.query, QUERY_CHARS_MAX),
            status: look.status,
            sealed: self.seal(look.at, number, private)?,
        })
    }

    /// Under the person's key; where nobody is named, or nobody of whom there are keys, only the purpose, under one of
    /// the day's.
    fn seal(&self, at: Instant, number: u64, private: Private) -> Result<Option<Sealed>, LooksError> {
        let under = |subject: &str, private: &Private| {
            let sealed = self.sealer.seal(subject, at, number, &encoded(private)?).map_err(LooksError::Sealing)?;
            Ok::<_, LooksError>(sealed.map(|(of, bytes)| Sealed { of, bytes }))
        };
        if let Some(person) = &private.person
            && let Some(sealed) = under(person, &private)?
        {
            return Ok(Some(sealed));
        }
        if private.purpose.is_none() {
            return Ok(None);
        }
        let day = TimeZone::UTC.to_datetime(at.timestamp()).date();
        under(&format!("looks:{day}"), &Private { person: None, ..private })
    }

    fn row(&self, number: u64, bytes: &[u8], before: Tail) -> Result<Row, LooksError> {
        let stored = decoded(number, bytes)?;
        let is_next = number == before.number.saturating_add(1);
        let (_, cbor) = split(number, bytes)?;
        let broken = !is_next || before.seal_of(cbor) != Tail::of(number, bytes)?.seal;
        let private = stored.sealed.as_ref().map(|sealed| {
            let plain = self.sealer.open(sealed.of, stored.at, number, &sealed.bytes)?;
            minicbor::decode::<Private>(&plain).ok()
        });
        let erased = matches!(private, Some(None));
        let Private { person, purpose } = private.flatten().unwrap_or_default();
        let Stored { at, token, role, what, query, status, .. } = stored;
        Ok(Row { number, at, token, role, what, query, purpose, person, status, erased, broken })
    }

    /// Lets the database go when the file has failed: it is opened anew, and looked at as it is, for the next one.
    fn noticing<T>(&self, work: impl FnOnce() -> Result<T, LooksError>) -> Result<T, LooksError> {
        let done = work();
        if matches!(done, Err(LooksError::Database(_))) {
            self.slot.lock().unwrap_or_else(PoisonError::into_inner).database = None;
        }
        done
    }

    fn begin_read(&self) -> Result<ReadTransaction, LooksError> {
        self.with_database(|database| database.begin_read().map_err(redb::Error::from))
    }

    fn begin_write(&self) -> Result<WriteTransaction, LooksError> {
        let mut transaction = self.with_database(|database| database.begin_write().map_err(redb::Error::from))?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    fn with_database<T>(&self, begin: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, LooksError> {
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
    fn admits(&self, row: &Row) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        is(&self.token, Some(&row.token))
            && is(&self.person, row.person.as_deref())
            && self.from.is_none_or(|from| from <= row.at)
            && self.to.is_none_or(|to| row.at < to)
    }
}

impl Tail {
    /// The chain up to this row.
    fn of(number: u64, row: &[u8]) -> Result<Self, LooksError> {
        Ok(Self { number, seal: *split(number, row)?.0 })
    }

    /// The seal of the row that comes next, whose CBOR is `cbor`.
    fn seal_of(&self, cbor: &[u8]) -> [u8; SEAL_BYTES] {
        *blake3::Hasher::new().update(&self.seal).update(cbor).finalize().as_bytes()
    }
}

/// Opens the database in the file at `path`, which is made when there is none.
pub(super) fn file_opener(path: &Path) -> Opener {
    let path = path.to_path_buf();
    Box::new(move || KIND.open(&path, CACHE_BYTES))
}

/// Makes the tables in an empty file, else checks that it is a record of looks.
fn prepare(path: &Path, file: &Database) -> Result<(), LooksError> {
    KIND.prepare(path, file, |transaction| {
        transaction.open_table(LOOKS)?;
        transaction.open_table(EXPIRED)?;
        Ok(())
    })?;
    Ok(())
}

fn tail(
    table: &impl ReadableTable<u64, &'static [u8]>,
    expired: &impl ReadableTable<(), (u64, [u8; SEAL_BYTES])>,
) -> Result<Tail, LooksError> {
    match table.last().map_err(database)? {
        Some((number, bytes)) => Tail::of(number.value(), bytes.value()),
        None => last_expired(expired),
    }
}

fn last_expired(expired: &impl ReadableTable<(), (u64, [u8; SEAL_BYTES])>) -> Result<Tail, LooksError> {
    let last = expired.get(()).map_err(database)?.map(|last| last.value());
    Ok(last.map(|(number, seal)| Tail { number, seal }).unwrap_or_default())
}

fn split(number: u64, row: &[u8]) -> Result<(&[u8; SEAL_BYTES], &[u8]), LooksError> {
    row.split_first_chunk().ok_or(LooksError::Damaged { number })
}

fn decoded(number: u64, row: &[u8]) -> Result<Stored, LooksError> {
    minicbor::decode(split(number, row)?.1).map_err(|_| LooksError::Damaged { number })
}

fn encoded(value: &impl Encode<()>) -> Result<Vec<u8>, LooksError> {
    minicbor::to_vec(value).map_err(|error| LooksError::Sealing(error.to_string()))
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

fn database(error: impl Into<redb::Error>) -> LooksError {
    LooksError::Database(Arc::new(error.into()))
}
