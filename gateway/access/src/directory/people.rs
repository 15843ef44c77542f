//! One person at a time: read, put and removed in the directory's file, which is opened and closed for it.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::path::Path;

use jiff::tz::TimeZone;
use protocol::{CredentialHash, Instant};
use redb::{Database, WriteTransaction};

use super::file::{self, PEOPLE, Tables};
use super::person::{FieldError, PersonError, PersonRecord, check, field_of, shown};
use crate::CredentialKey;
use base::file_error::FileError;

/// What putting a person has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The person was not there before.
    Added,
    /// Something about the person has changed.
    Changed,
    /// The person was there like this; nothing was written.
    Unchanged,
}

/// Puts a person into the directory at `path`, in the place of whoever had the same id. Waits a moment for a file that is in use.
///
/// # Errors
/// When a field is wrong, a badge or the ID number is somebody else's, or the file cannot be used; then nothing is written.
pub fn put_person(
    path: &Path,
    key: &CredentialKey,
    time_zone: &TimeZone,
    person: &PersonRecord,
    now: Instant,
) -> Result<Put, PersonError> {
    let record = check(person, key, time_zone)?;
    let id = person.id.as_str();
    let bytes = file::encode(path, &record)?;
    change(path, |tables| {
        let before = tables.record(id)?;
        if before.as_ref() == Some(&record) {
            return Ok((Put::Unchanged, Change::Nothing));
        }
        for credential in record.all_credentials() {
            if let Some(owner) = tables.owner(&credential)?.filter(|owner| owner != id) {
                let reason = format!("belongs to {owner}; take it from there first");
                let field = field_of(person, &record, &credential);
                return Err(PersonError::Taken(FieldError { field, reason }));
            }
        }
        before.iter().flat_map(|before| before.all_credentials()).try_for_each(|old| tables.take(&old))?;
        record.all_credentials().try_for_each(|new| tables.give(&new, id))?;
        tables.put(id, &bytes)?;
        tables.synced(now)?;
        Ok((if before.is_none() { Put::Added } else { Put::Changed }, Change::All))
    })
}

/// Removes a person and their credentials; says whether they were there. Waits a moment for a file that is in use.
///
/// # Errors
/// When the file cannot be used; then nothing is written.
pub fn remove_person(path: &Path, id: &str, now: Instant) -> Result<bool, FileError> {
    if !path.exists() {
        return Ok(false);
    }
    change(path, |tables| {
        let Some(record) = tables.record(id)? else { return Ok((false, Change::Nothing)) };
        record.all_credentials().try_for_each(|credential| tables.take(&credential))?;
        tables.strike(id)?;
        tables.synced(now)?;
        Ok((true, Change::All))
    })
}

/// The person with this id. Waits a moment for a file that is in use.
///
/// # Errors
/// When the file cannot be used.
pub fn read_person(path: &Path, id: &str) -> Result<Option<PersonRecord>, FileError> {
    let Some(database) = file::open_to_read(path)? else { return Ok(None) };
    let Some(people) = file::table(path, &database, PEOPLE)? else { return Ok(None) };
    let Some(bytes) = people.get(id).map_err(|error| file::unreadable(path, &error.into()))? else { return Ok(None) };
    Ok(Some(shown(id, &file::decode(path, bytes.value())?)))
}

/// The credentials of the person with this id, as hashes; none where there is no such person.
///
/// # Errors
/// When the file cannot be used.
pub fn credentials_of(path: &Path, id: &str) -> Result<Vec<CredentialHash>, FileError> {
    let Some(database) = file::open_to_read(path)? else { return Ok(Vec::new()) };
    let Some(people) = file::table(path, &database, PEOPLE)? else { return Ok(Vec::new()) };
    match people.get(id).map_err(|error| file::unreadable(path, &error.into()))? {
        Some(bytes) => Ok(file::decode(path, bytes.value())?.all_credentials().collect()),
        None => Ok(Vec::new()),
    }
}

/// The names of these people, as far as they are there and have one, by id. Waits a moment for a file that is in use.
///
/// # Errors
/// When the file cannot be used.
pub fn names_of<'a>(
    path: &Path,
    ids: impl IntoIterator<Item = &'a str>,
) -> Result<HashMap<&'a str, String>, FileError> {
    let failed = |error: redb::StorageError| file::unreadable(path, &error.into());
    let Some(database) = file::open_to_read(path)? else { return Ok(HashMap::new()) };
    let Some(people) = file::table(path, &database, PEOPLE)? else { return Ok(HashMap::new()) };
    // In the file's order, neighbours are read once.
    let ids: BTreeSet<&str> = ids.into_iter().collect();
    let mut names = HashMap::with_capacity(ids.len());
    for id in ids {
        let Some(bytes) = people.get(id).map_err(failed)? else { continue };
        names.extend(file::decode(path, bytes.value())?.name.map(|name| (id, name)));
    }
    Ok(names)
}

/// Up to `limit` people in the order of their ids, those behind `after`. Waits a moment for a file that is in use.
///
/// # Errors
/// When the file cannot be used.
pub fn list_people(path: &Path, after: Option<&str>, limit: usize) -> Result<Vec<PersonRecord>, FileError> {
    let mut people = Vec::new();
    each_person(path, after, |person| {
        let room = people.len() < limit;
        people.extend(Some(person).filter(|_| room));
        Ok(people.len() < limit)
    })?;
    Ok(people)
}

/// Hands people to `take` in the order of their ids, those behind `after`, until it says that it has had enough.
pub(crate) fn each_person<E: From<FileError>>(
    path: &Path,
    after: Option<&str>,
    mut take: impl FnMut(PersonRecord) -> Result<bool, E>,
) -> Result<(), E> {
    let failed = |error: redb::StorageError| file::unreadable(path, &error.into());
    let Some(database) = file::open_to_read(path)? else { return Ok(()) };
    let Some(people) = file::table(path, &database, PEOPLE)? else { return Ok(()) };
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    for entry in people.range::<&str>((from, Bound::Unbounded)).map_err(failed)? {
        let (id, bytes) = entry.map_err(failed)?;
        if !take(shown(id.value(), &file::decode(path, bytes.value())?))? {
            break;
        }
    }
    Ok(())
}

/// Whether a change is to be kept.
pub(crate) enum Change {
    /// All of it.
    All,
    /// None of it.
    Nothing,
}

/// Opens the file, makes a change to it, and closes it.
fn change<T, E: From<FileError>>(
    path: &Path,
    work: impl FnOnce(&mut Tables<'_>) -> Result<(T, Change), E>,
) -> Result<T, E> {
    change_in(path, &file::open_to_write(path)?, work)
}

/// Makes a change to an open file. What fails changes nothing.
pub(crate) fn change_in<T, E: From<FileError>>(
    path: &Path,
    database: &Database,
    work: impl FnOnce(&mut Tables<'_>) -> Result<(T, Change), E>,
) -> Result<T, E> {
    let transaction = file::begin(path, database)?;
    let done = Tables::open(path, &transaction).map_err(E::from).and_then(|mut tables| work(&mut tables));
    let ended = match &done {
        Ok((_, Change::All)) => WriteTransaction::commit(transaction).map_err(redb::Error::from),
        _ => transaction.abort().map_err(redb::Error::from),
    };
    let (result, _) = done?;
    ended.map_err(|error| file::unwritable(path, &error))?;
    Ok(result)
}
