//! The vault of keys as the ledgers, the audit trail and the forwarder use it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use protocol::{Encrypted, Event, Instant, SealedPart};

use crate::in_force::InForce;
use ledgers::People;
use store::audit::AuditCipher;
use store::vault::{self, Month, Vault, VaultError};
use upstream::Privacy;

/// Subjects that are remembered; beyond, all are looked up anew.
const REMEMBERED_MAX: usize = 200_000;
/// Stands for somebody while the vault cannot be read: a row that was taken for one of an erased person would be lost.
const UNREADABLE: &str = "?";

/// Who hides behind the vault's numbers, and whose data may only be kept. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Subjects(Arc<SubjectCache>);

struct SubjectCache {
    vault: Vault,
    names: RwLock<HashMap<u64, Option<Arc<str>>>>,
    restricted: RwLock<HashSet<u64>>,
}

impl Subjects {
    /// # Errors
    /// When the vault cannot be read.
    pub(crate) fn new(vault: Vault) -> Result<Self, VaultError> {
        let restricted = RwLock::new(vault.restricted()?);
        Ok(Self(Arc::new(SubjectCache { vault, names: RwLock::default(), restricted })))
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// Looks everything up anew: somebody was erased or restricted, or is not any more.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub(crate) fn refresh(&self) -> Result<(), VaultError> {
        let restricted = self.0.vault.restricted()?;
        *self.0.restricted.write().unwrap_or_else(PoisonError::into_inner) = restricted;
        self.0.names.write().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// Whether the data of the subject with this name may only be kept.
    fn is_restricted_by_name(&self, subject: &str) -> Result<bool, String> {
        if self.0.restricted.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(false);
        }
        let number = self.0.vault.number(subject).map_err(|error| error.to_string())?;
        Ok(number.is_some_and(|number| self.is_restricted(number)))
    }

    /// What of people does not leave the site.
    pub(crate) fn upstream_privacy(&self, pseudonymise: bool) -> Privacy {
        let (pseudonyms, restrictions) = (self.clone(), self.clone());
        let pseudonym = move |subject: &str| pseudonyms.0.vault.pseudonym(subject).map_err(|error| error.to_string());
        Privacy {
            pseudonym: if pseudonymise { Some(Arc::new(pseudonym)) } else { None },
            restricted: Arc::new(move |subject| restrictions.is_restricted_by_name(subject)),
        }
    }

    /// The event as it may be shown: what is too old, or about somebody whose data may only be kept, tells of nobody.
    pub(crate) fn shown(&self, event: Event, told_since: Instant) -> Event {
        let person = event.verdict.person.as_deref();
        let restricted = person.is_some_and(|person| self.is_restricted_by_name(person).unwrap_or(true));
        if event.decided_at >= told_since && !restricted {
            return event;
        }
        Event { encrypted: Some(Encrypted { person: None, helper: None }), ..Vault::without_persons(&event) }
    }
}

impl People for Subjects {
    fn number(&self, subject: &str) -> Option<u64> {
        logged(self.0.vault.number(subject), "a person's number").flatten()
    }

    fn subject(&self, number: u64) -> Option<Arc<str>> {
        let names = &self.0.names;
        if let Some(known) = names.read().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return known.clone();
        }
        let Some(found) = logged(self.0.vault.subject(number), "whose a number is") else {
            return Some(UNREADABLE.into());
        };
        let found: Option<Arc<str>> = found.map(Into::into);
        let mut names = names.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= REMEMBERED_MAX {
            names.clear();
        }
        // Only who is there: a number is of nobody for a moment before it is given away.
        if found.is_some() {
            names.insert(number, found.clone());
        }
        found
    }

    fn intern(&self, subject: &str) -> Option<u64> {
        logged(self.0.vault.intern(subject), "a number for a person")
    }

    fn is_restricted(&self, number: u64) -> bool {
        self.0.restricted.read().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }
}

/// Keys for the audit trail, kept apart from those of events so that both can be kept for their own time.
pub(crate) struct AuditKeys {
    pub(crate) vault: Vault,
    pub(crate) in_force: InForce,
}

impl AuditCipher for AuditKeys {
    fn encrypt(
        &self,
        subject: &str,
        at: Instant,
        context: u64,
        plain: &[u8],
    ) -> Result<Option<(u64, Vec<u8>)>, String> {
        let encrypt = |subject: &str| self.vault.encrypt_for(subject, Month::of(at), &context.to_be_bytes(), plain);
        let failed = |error: VaultError| error.to_string();
        if subject.starts_with(vault::AUDIT) {
            return encrypt(subject).map(|part| Some((part.of, part.bytes))).map_err(failed);
        }
        // Whoever was erased gets no key again.
        if !self.knows(subject).map_err(failed)? {
            return Ok(None);
        }
        let looks = of_looks(subject);
        let part = encrypt(&looks).map_err(failed)?;
        if !self.knows(subject).map_err(failed)? {
            // They were erased meanwhile, and the key may be a new one.
            self.vault.destroy(&[looks]).map_err(failed)?;
            return Ok(None);
        }
        Ok(Some((part.of, part.bytes)))
    }

    fn decrypt(&self, of: u64, at: Instant, context: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let part = SealedPart { of, bytes: bytes.to_vec() };
        logged(self.vault.open_part(&part, Month::of(at), &context.to_be_bytes()), "a record of the audit trail")
            .flatten()
    }
}

impl AuditKeys {
    /// Whether the site knows somebody of this id: the directory, or an event.
    fn knows(&self, id: &str) -> Result<bool, VaultError> {
        Ok(self.in_force.load().directory.person(id).is_some() || self.vault.number(id)?.is_some())
    }
}

/// The subject under whose keys looks at this person are recorded.
pub(crate) fn of_looks(person: &str) -> String {
    format!("{}{person}", vault::AUDIT)
}

fn logged<T>(result: Result<T, VaultError>, what: &'static str) -> Option<T> {
    result.inspect_err(|error| tracing::error!(%error, what, "the vault cannot be used")).ok()
}
