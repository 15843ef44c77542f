//! What a person may ask for: everything that is known of them, that it is not used, that it is gone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use protocol::{CredentialHash, Event, EventKind};

use super::subjects::{Subjects, of_looks};
use crate::in_force::InForce;
use crate::ledger_questions::Questions;
use access::{Directory, Snapshot, credentials_of, erase_person, read_person};
use front::scan::{Erased, WeakScanQueue};
use ledgers::{Attendance, LedgerStore, People as _, Person, Restricted};
use protocol::api::{Erasure, Restriction};
use store::vault;
use web::{Answer, LedgerError, PersonFile};

/// Carries out what a person may ask for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PersonRights {
    pub(crate) questions: Questions,
    pub(crate) subjects: Subjects,
    pub(crate) in_force: InForce,
    /// The directory's file.
    pub(crate) directory: PathBuf,
    pub(crate) scans: WeakScanQueue,
}

impl PersonRights {
    /// Checks that the site knows somebody of this id: the directory, or an event.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn must_know(&self, id: &str) -> Result<(), LedgerError> {
        let known = self.in_force.load().directory.person(id).is_some() || self.subjects.number(id).is_some();
        if known { Ok(()) } else { Err(LedgerError::UnknownPerson) }
    }

    /// Whether the person's data may only be kept, not used.
    pub(crate) fn is_restricted(&self, id: &str) -> bool {
        self.subjects.number(id).is_some_and(|number| self.subjects.is_restricted(number))
    }

    /// Everything about a person but the audit records, also where it is restricted.
    pub(crate) fn file_of(&self, id: &str) -> Result<Answer<PersonFile>, LedgerError> {
        self.must_know(id)?;
        let directory = read_person(&self.directory, id).map_err(unavailable)?;
        let restriction = self.subjects.vault().restriction(id).map_err(unavailable)?;
        let (first, today) = (jiff::civil::Date::MIN, self.in_force.rules().day_of(self.questions.clock.now()));
        let attendance =
            self.questions.ask(|views, now| views.attendance(first, today, Some(id), Restricted::Included, now))?;
        let events = self.events_about(id)?;
        let rows = |days: Vec<Attendance>| days.into_iter().map(|day| day.into_row(None, None)).collect();
        Ok(attendance.map(|attendance| PersonFile {
            directory,
            restriction: restriction.map(|known| Restriction { reason: known.reason, since: known.at, by: known.by }),
            events,
            attendance: rows(attendance),
        }))
    }

    pub(crate) fn put_restriction(&self, id: &str, restriction: Restriction) -> Result<Restriction, LedgerError> {
        self.must_know(id)?;
        let Restriction { reason, since, by } = restriction.clone();
        self.subjects.vault().restrict(id, &vault::Restriction { reason, at: since, by }).map_err(unavailable)?;
        self.subjects.refresh().map_err(unavailable)?;
        Ok(restriction)
    }

    pub(crate) fn lift_restriction(&self, id: &str) -> Result<(), LedgerError> {
        self.must_know(id)?;
        self.subjects.vault().lift_restriction(id).map_err(unavailable)?;
        self.subjects.refresh().map_err(unavailable)
    }

    /// Erases a person. Each step may be done again: after a crash, or an error, the same request goes on where it was.
    ///
    /// Keys are destroyed before the directory forgets which credentials were the person's, and once more after it: a scan in
    /// between has made new ones. While the ledgers are rebuilt nobody is erased: they tell which credentials were shown.
    pub(crate) fn erase_person(&self, id: &str, force: bool) -> Result<Erasure, LedgerError> {
        self.must_know(id)?;
        if !force && self.is_inside(id)? {
            return Err(LedgerError::StillInside);
        }
        // Also what the directory does not have any more. Once the keys are gone nobody can tell what was shown.
        let mut credentials: BTreeSet<CredentialHash> = shown_by(&self.events_about(id)?).into_iter().collect();
        credentials.extend(credentials_of(&self.directory, id).map_err(unavailable)?);
        let credentials: Vec<CredentialHash> = credentials.into_iter().collect();
        let subjects = subjects_of(id, &credentials);
        let mut numbers = self.numbers_of(&subjects);

        let before = self.subjects.vault().destroy(&subjects).map_err(unavailable)?;
        // From here on the ledgers leave the person out: nobody is told of somebody whom the directory does not know.
        self.subjects.refresh().map_err(unavailable)?;
        let removed = erase_person(&self.directory, id, self.questions.clock.now()).map_err(unavailable)?;
        let read = |old: &Snapshot| {
            let directory = Directory::read(&self.directory)?.into();
            Ok(Snapshot { directory, ..old.clone() })
        };
        self.in_force.change(read).map_err(|error| LedgerError::Unavailable(format!("{error:#}")))?;
        let erased = Erased { person: id.to_owned(), credentials };
        let mut keys_destroyed = before.keys;
        loop {
            numbers.extend(self.numbers_of(&subjects));
            let after = self.subjects.vault().destroy(&subjects).map_err(unavailable)?;
            keys_destroyed = keys_destroyed.saturating_add(after.keys);
            self.subjects.refresh().map_err(unavailable)?;
            self.forget(erased.clone())?;
            // What was decided by the old directory is on disk by now, maybe under a key that is newer than the destruction.
            if self.subjects.number(id).is_none() {
                break;
            }
        }
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let ledger_rows = self.questions.views.forget(&numbers).map_err(unavailable)?;
        tracing::info!(keys = keys_destroyed, ledger_rows, "a person was erased");
        Ok(Erasure { keys_destroyed, ledger_rows, directory_removed: removed.is_some() })
    }

    /// Has the spine forget somebody, after everything that it had begun before.
    fn forget(&self, erased: Erased) -> Result<(), LedgerError> {
        let scans = self.scans.upgrade().ok_or_else(|| LedgerError::Unavailable("the gateway is stopping".into()))?;
        let forgotten = self.questions.runtime.block_on(scans.forget(erased));
        forgotten.map_err(|error| LedgerError::Unavailable(error.to_string()))
    }

    fn is_inside(&self, id: &str) -> Result<bool, LedgerError> {
        let person = Person::new(id);
        let now = self.questions.ask(LedgerStore::presence)?.value;
        Ok(now.people.iter().any(|present| present.person == person))
    }

    /// Every event in which the person stood at a door.
    fn events_about(&self, id: &str) -> Result<Vec<Event>, LedgerError> {
        let answer =
            self.questions.ask(|views, _| views.events_of(id, (None, None), 0, usize::MAX, Restricted::Included))?;
        self.questions.reader.events(&answer.value.into_iter().collect()).map_err(unavailable)
    }

    fn numbers_of(&self, subjects: &[String]) -> BTreeSet<u64> {
        subjects.iter().filter_map(|subject| self.subjects.number(subject)).collect()
    }
}

/// Under which names the vault knows somebody: the id, the credentials, and the looks at both.
fn subjects_of(id: &str, credentials: &[CredentialHash]) -> Vec<String> {
    let anonymous = credentials.iter().map(|credential| Person::anonymous(*credential).as_str().to_owned());
    let names: Vec<String> = std::iter::once(id.to_owned()).chain(anonymous).collect();
    let looks: Vec<String> = names.iter().map(|name| of_looks(name)).collect();
    names.into_iter().chain(looks).collect()
}

/// Hashes of what the person has shown: credentials and passes.
fn shown_by(events: &[Event]) -> Vec<CredentialHash> {
    let of_event = |event: &Event| match &event.subject {
        EventKind::Scan(scan) => [Some(scan.credential), scan.pass.map(|pass| pass.id)],
        EventKind::Assist(word) => [word.credential, word.pass.map(|pass| pass.id)],
        EventKind::Malformed(_) => [None, None],
    };
    events.iter().flat_map(of_event).flatten().collect()
}

fn unavailable(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unavailable(error.to_string())
}
