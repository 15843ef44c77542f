//! Subjects in the file: numbers, keys, pseudonyms, restrictions; and how they are destroyed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use protocol::Instant;
use redb::{ReadOnlyTable, ReadableTable, Table};

use super::fields::{MALFORMED, day};
use super::key::{self, Key, Secret};
use super::month::Month;
use super::storage::{self, KEYS, Keep, META, NEXT_NUMBER, NUMBERS, RESTRICTIONS, SUBJECTS};
use super::{CheckpointKey, Destroyed, Restriction, Vault, VaultError, Writing};

/// What every pseudonym begins with.
const PSEUDONYM: &str = "p-";
/// What the names of the subjects begin with under whose keys the audit trail is encrypted, so that they can be kept
/// longer than events.
pub const AUDIT: &str = "looks:";

impl Vault {
    /// The number under which events are encrypted that are about this subject, where it has one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn number(&self, subject: &str) -> Result<Option<u64>, VaultError> {
        self.read(|file| Ok(file.open_table(SUBJECTS)?.get(subject)?.map(|found| found.value().0)))
    }

    /// The subject with this number; [`None`] when it was destroyed, or there never was one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn subject(&self, number: u64) -> Result<Option<String>, VaultError> {
        self.read(|file| Ok(file.open_table(NUMBERS)?.get(number)?.map(|found| found.value().to_owned())))
    }

    /// The subjects with these numbers, in the same order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn subjects(&self, numbers: &[u64]) -> Result<Vec<Option<String>>, VaultError> {
        self.read(|file| {
            let names = file.open_table(NUMBERS)?;
            numbers.iter().map(|number| Ok(names.get(number)?.map(|found| found.value().to_owned()))).collect()
        })
    }

    /// The subject's number; the subject is made where there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn intern(&self, subject: &str) -> Result<u64, VaultError> {
        match self.number(subject)? {
            Some(number) => Ok(number),
            None => Ok(self.make_subject(&mut self.writing(), subject)?.0),
        }
    }

    /// A stable name for the subject that tells nothing of it: `p-` and 32 hexadecimal digits. The subject is made where there
    /// is none.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn pseudonym(&self, subject: &str) -> Result<String, VaultError> {
        let found = self.read(|file| Ok(file.open_table(SUBJECTS)?.get(subject)?.map(|found| found.value().1)))?;
        let secret = match found {
            Some(secret) => secret,
            None => self.make_subject(&mut self.writing(), subject)?.1,
        };
        let hash = blake3::keyed_hash(&secret, b"gapura pseudonym").to_hex();
        Ok(PSEUDONYM.chars().chain(hash.chars().take(32)).collect())
    }

    /// Why, when and by whom the use of the subject's data was restricted, where it was.
    ///
    /// # Errors
    /// When the file cannot be read, or the entry is damaged.
    pub fn restriction(&self, subject: &str) -> Result<Option<Restriction>, VaultError> {
        let bytes = self.read(|file| {
            let Some(found) = file.open_table(SUBJECTS)?.get(subject)? else { return Ok(None) };
            Ok(file.open_table(RESTRICTIONS)?.get(found.value().0)?.map(|bytes| bytes.value().to_vec()))
        })?;
        let damaged = |error: minicbor::decode::Error| VaultError::Entry {
            path: self.0.storage.shown(),
            reason: error.to_string(),
        };
        bytes.map(|bytes| minicbor::decode(&bytes).map_err(damaged)).transpose()
    }

    /// Restricts the use of the subject's data, or changes why; the subject is made where there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn restrict(&self, subject: &str, restriction: &Restriction) -> Result<(), VaultError> {
        let bytes = minicbor::to_vec(restriction).map_err(|error| VaultError::Encode(error.to_string()))?;
        let mut writing = self.writing();
        let (number, _) = self.make_subject(&mut writing, subject)?;
        self.write(|file| Ok(file.open_table(RESTRICTIONS)?.insert(number, bytes.as_slice()).map(drop)?))
    }

    /// Takes a restriction back; says whether there was one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn lift_restriction(&self, subject: &str) -> Result<bool, VaultError> {
        let _writing = self.writing();
        let Some(number) = self.number(subject)? else { return Ok(false) };
        self.write(|file| Ok(file.open_table(RESTRICTIONS)?.remove(number)?.is_some()))
    }

    /// Destroys all that the vault has of these subjects, and of the malformed scans of every day, because nobody knows whose
    /// data they hold; and the key of the log's checkpoints, which tell of people too. When it returns, the file has none of
    /// it any more: what was encrypted for them is noise. After a crash it has happened as a whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written anew: do it again.
    pub fn destroy<S: AsRef<str>>(&self, subjects: &[S]) -> Result<Destroyed, VaultError> {
        let writing = self.writing();
        let gone = self.read(|file| {
            let names = file.open_table(SUBJECTS)?;
            let mut gone = HashSet::new();
            for subject in subjects {
                gone.extend(names.get(subject.as_ref())?.map(|found| found.value().0));
            }
            gone.extend(named(&names, MALFORMED)?.into_iter().map(|(_, number)| number));
            Ok(gone)
        })?;
        let keep = Keep { subject: &|number| !gone.contains(&number), key: &|_, _| true };
        self.rewrite(&writing, &keep, Some(key::random()?))
    }

    /// Destroys the keys of all months before `before`, those of the audit trail only when they are of months before `audit_before`, and
    /// then subjects that have no key left, except those whose data are restricted. Nothing is written when there is nothing to
    /// destroy.
    ///
    /// # Errors
    /// When the file cannot be read or written anew.
    pub fn expire(&self, before: Month, audit_before: Month) -> Result<Destroyed, VaultError> {
        let writing = self.writing();
        let audit = self.read(|file| named(&file.open_table(SUBJECTS)?, AUDIT))?;
        let audit: HashSet<u64> = audit.into_iter().map(|(_, number)| number).collect();
        let keeps = |month: u32, number: u64| {
            let before = if audit.contains(&number) { audit_before } else { before };
            month >= before.number()
        };
        let (any, alive) = self.read(|file| {
            let mut alive = HashSet::new();
            for entry in file.open_table(RESTRICTIONS)?.iter()? {
                alive.insert(entry?.0.value());
            }
            let mut any = false;
            for entry in file.open_table(KEYS)?.iter()? {
                let (month, number) = entry?.0.value();
                if keeps(month, number) {
                    alive.insert(number);
                } else {
                    any = true;
                }
            }
            for entry in file.open_table(NUMBERS)?.iter()? {
                any |= !alive.contains(&entry?.0.value());
            }
            Ok((any, alive))
        })?;
        if !any {
            return Ok(Destroyed::default());
        }
        self.rewrite(&writing, &Keep { subject: &|number| alive.contains(&number), key: &keeps }, None)
    }

    /// The numbers of the subjects whose data are restricted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn restricted(&self) -> Result<HashSet<u64>, VaultError> {
        self.read(|file| {
            Ok(file
                .open_table(RESTRICTIONS)?
                .iter()?
                .map(|entry| Ok(entry?.0.value()))
                .collect::<Result<_, redb::StorageError>>()?)
        })
    }

    /// Destroys the keys of what malformed scans hold that came on days before that of `before`, days in UTC. Nothing is
    /// written when there is nothing to destroy.
    ///
    /// # Errors
    /// When the file cannot be read or written anew.
    pub fn expire_malformed(&self, before: Instant) -> Result<Destroyed, VaultError> {
        let writing = self.writing();
        let first_kept = format!("{MALFORMED}{}", day(before));
        let gone = self.read(|file| {
            let all = named(&file.open_table(SUBJECTS)?, MALFORMED)?;
            Ok(all.into_iter().filter(|(name, _)| *name < first_kept).map(|(_, number)| number).collect::<HashSet<_>>())
        })?;
        if gone.is_empty() {
            return Ok(Destroyed::default());
        }
        self.rewrite(&writing, &Keep { subject: &|number| !gone.contains(&number), key: &|_, _| true }, None)
    }

    /// Destroys the key of the log's checkpoints and makes a new one; does nothing where the key was not used yet.
    ///
    /// # Errors
    /// When the file cannot be written anew.
    pub fn rotate_checkpoint_key(&self) -> Result<(), VaultError> {
        let writing = self.writing();
        let used = self.0.checkpoint.read().unwrap_or_else(PoisonError::into_inner).used.load(Ordering::Acquire);
        if !used {
            return Ok(());
        }
        let everything = Keep { subject: &|_| true, key: &|_, _| true };
        self.rewrite(&writing, &everything, Some(key::random()?)).map(drop)
    }

    /// The secret of a key.
    pub(super) fn secret_of(&self, number: u64, month: Month) -> Result<Option<Secret>, VaultError> {
        self.read(|file| Ok(file.open_table(KEYS)?.get((month.number(), number))?.map(|secret| secret.value())))
    }

    /// Numbers and secrets of the wanted keys; [`None`] where one of them is not there.
    pub(super) fn find(&self, wanted: &[(String, Month)]) -> Result<Option<Vec<(u64, Secret)>>, VaultError> {
        self.read(|file| {
            let (subjects, keys) = (file.open_table(SUBJECTS)?, file.open_table(KEYS)?);
            let mut found = Vec::with_capacity(wanted.len());
            for (subject, month) in wanted {
                let Some(number) = subjects.get(subject.as_str())?.map(|found| found.value().0) else {
                    return Ok(None);
                };
                let Some(secret) = keys.get((month.number(), number))? else { return Ok(None) };
                found.push((number, secret.value()));
            }
            Ok(Some(found))
        })
    }

    /// Numbers and secrets of the wanted keys, made where they are missing.
    pub(super) fn make(&self, wanted: &[(String, Month)]) -> Result<Vec<(u64, Secret)>, VaultError> {
        let secrets = wanted
            .iter()
            .map(|_| Ok::<_, VaultError>((key::random()?, key::random()?)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut writing = self.writing();
        let mut next = writing.next_number;
        let made = self.write(|file| {
            let (mut subjects, mut numbers) = (file.open_table(SUBJECTS)?, file.open_table(NUMBERS)?);
            let mut keys = file.open_table(KEYS)?;
            let mut made = Vec::with_capacity(wanted.len());
            for ((subject, month), (own, new)) in wanted.iter().zip(secrets) {
                let (number, _) = get_or_make(&mut subjects, &mut numbers, subject, own, &mut next)?;
                let cell = (month.number(), number);
                let there = keys.get(cell)?.map(|secret| secret.value());
                if there.is_none() {
                    keys.insert(cell, new)?;
                }
                made.push((number, there.unwrap_or(new)));
            }
            file.open_table(META)?.insert(NEXT_NUMBER, next)?;
            Ok(made)
        })?;
        writing.next_number = next;
        Ok(made)
    }

    fn make_subject(&self, writing: &mut Writing, subject: &str) -> Result<(u64, Secret), VaultError> {
        let own = key::random()?;
        let mut next = writing.next_number;
        let made = self.write(|file| {
            let (mut subjects, mut numbers) = (file.open_table(SUBJECTS)?, file.open_table(NUMBERS)?);
            let made = get_or_make(&mut subjects, &mut numbers, subject, own, &mut next)?;
            file.open_table(META)?.insert(NEXT_NUMBER, next)?;
            Ok(made)
        })?;
        writing.next_number = next;
        Ok(made)
    }

    /// Writes the file anew with what is to be kept, and puts it in the place of the old one; with another key for checkpoints
    /// where one is given.
    ///
    /// What is to be kept was looked up under the lock of whoever writes: nothing can have come since.
    fn rewrite(
        &self,
        _writing: &MutexGuard<'_, Writing>,
        keep: &Keep<'_>,
        checkpoint: Option<Secret>,
    ) -> Result<Destroyed, VaultError> {
        let storage = &self.0.storage;
        let fresh = storage.open_beside()?;
        let secret = match checkpoint {
            Some(secret) => secret,
            None => self.checkpoint_secret()?,
        };
        let (subjects, keys) = self.read(|old| storage::copy(old, &fresh, keep, &secret))?;
        let new_key = checkpoint.map(|secret| Key::new(0, &secret)).transpose()?;
        let old = {
            let mut slot = self.0.database.write().unwrap_or_else(PoisonError::into_inner);
            storage.exchange()?;
            slot.replace(fresh)
        };
        self.0.memo.write().unwrap_or_else(PoisonError::into_inner).drop_all();
        if let Some(key) = new_key {
            let mut checkpoint = self.0.checkpoint.write().unwrap_or_else(PoisonError::into_inner);
            *checkpoint = CheckpointKey { key: Arc::new(key), used: AtomicBool::new(false) };
        }
        drop(old);
        storage.sync_folder()?;
        Ok(Destroyed { subjects, keys })
    }

    fn checkpoint_secret(&self) -> Result<Secret, VaultError> {
        let own = |file: &redb::ReadTransaction| {
            Ok(file.open_table(storage::OWN_KEYS)?.get(storage::CHECKPOINT)?.map(|secret| secret.value()))
        };
        Ok(self.read(own)?.unwrap_or_default())
    }
}

/// Names and numbers of the subjects whose names begin so.
fn named(
    subjects: &ReadOnlyTable<&'static str, (u64, Secret)>,
    prefix: &str,
) -> Result<Vec<(String, u64)>, redb::Error> {
    let mut found = Vec::new();
    for entry in subjects.range(prefix..)? {
        let (name, subject) = entry?;
        if !name.value().starts_with(prefix) {
            break;
        }
        found.push((name.value().to_owned(), subject.value().0));
    }
    Ok(found)
}

fn get_or_make(
    subjects: &mut Table<'_, &'static str, (u64, Secret)>,
    numbers: &mut Table<'_, u64, &'static str>,
    subject: &str,
    secret: Secret,
    next: &mut u64,
) -> Result<(u64, Secret), redb::Error> {
    if let Some(found) = subjects.get(subject)? {
        return Ok(found.value());
    }
    let number = *next;
    *next = next.saturating_add(1);
    subjects.insert(subject, (number, secret))?;
    numbers.insert(number, subject)?;
    Ok((number, secret))
}
