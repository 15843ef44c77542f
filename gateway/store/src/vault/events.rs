//! Encrypting and opening: events for the log, and bytes for whoever else keeps something about a person.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use protocol::{Encrypted, Event, SealedPart};

use super::fields::{self, FieldGroup, Side};
use super::key::Key;
use super::month::Month;
use super::{Vault, VaultError};

/// A key that is needed: whose, and of which month.
type Wanted = (String, Month);

impl Vault {
    /// The events with everything that tells who they are about encrypted. Subjects and keys that are not there yet are made
    /// first, all of them in one durable transaction.
    ///
    /// # Errors
    /// When keys are missing and cannot be made: nothing is encrypted, and it may be tried again.
    pub fn encrypt(&self, events: &[Event]) -> Result<Vec<Event>, VaultError> {
        let keys = self.keys_for(events)?;
        let mut keys = keys.iter();
        let mut bytes = Vec::new();
        let mut encrypted = Vec::with_capacity(events.len());
        for event in events {
            let mut kept = Encrypted { person: None, helper: None };
            for part in parts(event) {
                let key = keys.next().ok_or(VaultError::Cipher)?;
                bytes.clear();
                minicbor::encode(&part.fields, &mut bytes).map_err(|error| VaultError::Encode(error.to_string()))?;
                let place = if part.side == Side::Person { &mut kept.person } else { &mut kept.helper };
                *place =
                    Some(SealedPart { of: key.of, bytes: key.encrypt(&context(event.number, part.side), &bytes)? });
            }
            let any = kept.person.is_some() || kept.helper.is_some();
            encrypted.push(if any { Event { encrypted: Some(kept), ..fields::bare(event) } } else { event.clone() });
        }
        Ok(encrypted)
    }

    /// Puts back what was encrypted. What cannot be read because its key was destroyed, or because it is not what was encrypted,
    /// stays in [`Event::encrypted`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open_event(&self, event: &mut Event) -> Result<(), VaultError> {
        let Some(mut encrypted) = event.encrypted.take() else { return Ok(()) };
        let person = self.put_back(event, Side::Person, &mut encrypted.person);
        let helper = person.and_then(|()| self.put_back(event, Side::Helper, &mut encrypted.helper));
        if encrypted.person.is_some() || encrypted.helper.is_some() {
            event.encrypted = Some(encrypted);
        }
        helper
    }

    /// The event without anything that tells who it is about.
    pub fn without_persons(event: &Event) -> Event {
        fields::bare(event)
    }

    /// Encrypts `bytes` about a subject with its key of the month, which is made where there is none. They open with the same
    /// `context` only: it should name the place where they are kept.
    ///
    /// # Errors
    /// When the key is missing and cannot be made.
    pub fn encrypt_for(
        &self,
        subject: &str,
        month: Month,
        context: &[u8],
        bytes: &[u8],
    ) -> Result<SealedPart, VaultError> {
        let key = match self.remembered(subject, month) {
            Some(key) => key,
            None => self.provide(&[(subject.to_owned(), month)])?.pop().ok_or(VaultError::Cipher)?,
        };
        Ok(SealedPart { of: key.of, bytes: key.encrypt(&other_context(context), bytes)? })
    }

    /// Decrypts what [`Vault::encrypt_for`] has made; [`None`] when the key was destroyed.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] when it was changed, or belongs elsewhere; or the file cannot be read.
    pub fn open_part(&self, part: &SealedPart, month: Month, context: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        let Some(key) = self.key_of(part.of, month)? else { return Ok(None) };
        key.open(&other_context(context), &part.bytes).map(Some).ok_or(VaultError::Tampered)
    }

    /// A key for each part of the events, in the same order.
    fn keys_for(&self, events: &[Event]) -> Result<Vec<Arc<Key>>, VaultError> {
        let mut keys = Vec::with_capacity(events.len().saturating_mul(2));
        let (mut missing, mut known) = (Vec::new(), HashSet::new());
        let mut scratch = String::new();
        let memo = self.0.memo.read().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let month = Month::of(event.decided_at);
            for part in parts(event) {
                let subject = part.whose.subject(&mut scratch);
                let key = memo.of_subject(subject, month).cloned();
                if key.is_none() && known.insert((subject.to_owned(), month)) {
                    missing.push((subject.to_owned(), month));
                }
                keys.push(key);
            }
        }
        drop(memo);
        if missing.is_empty() {
            return Ok(keys.into_iter().flatten().collect());
        }
        let made = self.provide(&missing)?;
        let made: HashMap<&Wanted, Arc<Key>> = missing.iter().zip(made).collect();
        let all = events.iter().flat_map(|event| parts(event).map(|part| (part, Month::of(event.decided_at))));
        let found = keys.into_iter().zip(all).map(|(key, (part, month))| {
            let wanted = |scratch: &mut String| (part.whose.subject(scratch).to_owned(), month);
            key.or_else(|| made.get(&wanted(&mut scratch)).cloned())
        });
        found.collect::<Option<_>>().ok_or(VaultError::Cipher)
    }

    fn put_back(&self, event: &mut Event, side: Side, part: &mut Option<SealedPart>) -> Result<(), VaultError> {
        let Some(encrypted) = part.as_ref() else { return Ok(()) };
        let Some(key) = self.key_of(encrypted.of, Month::of(event.decided_at))? else { return Ok(()) };
        let bytes = key.open(&context(event.number, side), &encrypted.bytes);
        if bytes.is_some_and(|bytes| fields::put_back(event, &bytes)) {
            *part = None;
        }
        Ok(())
    }

    fn remembered(&self, subject: &str, month: Month) -> Option<Arc<Key>> {
        self.0.memo.read().unwrap_or_else(PoisonError::into_inner).of_subject(subject, month).cloned()
    }

    /// The key of the subject with this number, if it still has one.
    fn key_of(&self, number: u64, month: Month) -> Result<Option<Arc<Key>>, VaultError> {
        let generation = {
            let memo = self.0.memo.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(key) = memo.of_number(number, month) {
                return Ok(Some(Arc::clone(key)));
            }
            memo.generation()
        };
        let Some(secret) = self.secret_of(number, month)? else { return Ok(None) };
        let key = Arc::new(Key::new(number, &secret)?);
        self.0.memo.write().unwrap_or_else(PoisonError::into_inner).note(generation, None, month, &key);
        Ok(Some(key))
    }

    /// Keys from the file, in the order in which they are wanted; those that are missing are made.
    fn provide(&self, wanted: &[Wanted]) -> Result<Vec<Arc<Key>>, VaultError> {
        let generation = self.0.memo.read().unwrap_or_else(PoisonError::into_inner).generation();
        let found = match self.find(wanted)? {
            Some(found) => found,
            None => self.make(wanted)?,
        };
        let mut keys = Vec::with_capacity(found.len());
        for (number, secret) in found {
            keys.push(Arc::new(Key::new(number, &secret)?));
        }
        let mut memo = self.0.memo.write().unwrap_or_else(PoisonError::into_inner);
        for ((subject, month), key) in wanted.iter().zip(&keys) {
            memo.note(generation, Some(subject), *month, key);
        }
        Ok(keys)
    }
}

/// The parts of an event that are still to be encrypted.
fn parts(event: &Event) -> impl Iterator<Item = FieldGroup<'_>> {
    let open = event.encrypted.is_none();
    fields::parts(event).filter(move |_| open)
}

/// What binds a part to its event and its place there.
fn context(number: u64, side: Side) -> [u8; 10] {
    let mut context = [0; 10];
    let side = if side == Side::Person { b'p' } else { b'h' };
    context.iter_mut().zip(b"e".iter().chain(&[side]).chain(&number.to_be_bytes())).for_each(|(to, from)| *to = *from);
    context
}

/// What binds other bytes to their place; no event's part has the same.
fn other_context(context: &[u8]) -> Vec<u8> {
    [b"o".as_slice(), context].concat()
}
