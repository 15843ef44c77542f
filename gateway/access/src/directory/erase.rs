//! Takes a person out of the directory's file so that nothing of them is left in it, also not in pages that are free.

use std::path::Path;

use protocol::{CredentialHash, Instant};
use redb::{Database, Key, ReadableDatabase, ReadableTable, TableDefinition, TableError, Value, WriteTransaction};

use super::file::{self, META, OWNERS, PEOPLE, SYNCED_AT};
use base::file_error::FileError;
use store::file::{beside, exchange, sync_folder};

/// Removes the person and writes the file anew without them, in the place of the old one, also where they were removed
/// before. Says which credentials were theirs; `None` where the directory did not know them. Waits a moment for a file that
/// is in use.
///
/// # Errors
/// When the file cannot be used or the new one cannot be written; then nothing is changed.
pub fn erase_person(path: &Path, id: &str, now: Instant) -> Result<Option<Vec<CredentialHash>>, FileError> {
    if !path.exists() {
        return Ok(None);
    }
    // Held until the new file has its place: nobody else writes to the old one meanwhile.
    let old = file::open_to_write(path)?;
    let beside = beside(path);
    remove_if_there(&beside)?;
    let credentials = copy(path, &old, &beside, id, now).inspect_err(|_| {
        // What is left of a new file is removed by the next try at the latest.
        remove_if_there(&beside).unwrap_or_default();
    })?;
    let put = exchange(path).and_then(|()| sync_folder(path));
    put.map_err(|error| FileError::new(path, format!("cannot be replaced ({error}); check its folder")))?;
    Ok(credentials)
}

fn copy(
    path: &Path,
    old: &Database,
    beside: &Path,
    id: &str,
    now: Instant,
) -> Result<Option<Vec<CredentialHash>>, FileError> {
    let new = file::open_to_write(beside)?;
    let transaction = file::begin(beside, &new)?;
    let mut credentials = None;
    each(path, old, PEOPLE, |person, bytes| {
        if person == id {
            credentials = Some(file::decode(path, bytes)?.all_credentials().collect());
            return Ok(());
        }
        insert(beside, &transaction, PEOPLE, person, bytes)
    })?;
    each(path, old, OWNERS, |credential, owner| {
        if owner == id { Ok(()) } else { insert(beside, &transaction, OWNERS, credential, owner) }
    })?;
    each(path, old, META, |name, value| insert(beside, &transaction, META, name, value))?;
    if credentials.is_some() {
        insert(beside, &transaction, META, SYNCED_AT, now.unix_ms())?;
    }
    transaction.commit().map_err(|error| file::unwritable(beside, &error.into()))?;
    Ok(credentials)
}

/// Hands every row of a table to `take`; none where there is no such table.
fn each<K: Key + 'static, V: Value + 'static>(
    path: &Path,
    database: &Database,
    definition: TableDefinition<'_, K, V>,
    mut take: impl FnMut(K::SelfType<'_>, V::SelfType<'_>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let failed = |error: redb::Error| file::unreadable(path, &error);
    let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
    let table = match transaction.open_table(definition) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(failed(error.into())),
    };
    for row in table.iter().map_err(|error| failed(error.into()))? {
        let (key, value) = row.map_err(|error| failed(error.into()))?;
        take(key.value(), value.value())?;
    }
    Ok(())
}

fn insert<'k, 'v, K: Key + 'static, V: Value + 'static>(
    path: &Path,
    transaction: &WriteTransaction,
    definition: TableDefinition<'_, K, V>,
    key: impl std::borrow::Borrow<K::SelfType<'k>>,
    value: impl std::borrow::Borrow<V::SelfType<'v>>,
) -> Result<(), FileError> {
    let mut table = transaction.open_table(definition).map_err(|error| file::unwritable(path, &error.into()))?;
    table.insert(key, value).map(drop).map_err(|error| file::unwritable(path, &error.into()))
}

fn remove_if_there(path: &Path) -> Result<(), FileError> {
    store::file::remove_if_there(path)
        .map_err(|error| FileError::new(path, format!("is in the way and cannot be removed ({error})")))
}
