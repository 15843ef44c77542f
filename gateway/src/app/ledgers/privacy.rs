//! What a person may ask for: everything that is known of them, that it is not used, that it is gone.

use std::collections::BTreeSet;

use protocol::{CredentialHash, Event, Subject};

use super::keys::of_looks;
use super::{Answer, Erasure, LedgerError, Ledgers, PersonFile, Restricted, Restriction};
use access::{Directory, Snapshot, credentials_of, erase_person, read_person};
use front::scan::Erased;
use ledgers::{People as _, Person};
use store::vault;

impl Ledgers {
    /// Everything about a person but the looks, also where it is restricted.
    pub(super) fn file_of(&self, id: &str) -> Result<Answer<PersonFile>, LedgerError> {
        self.must_know(id)?;
        let directory = read_person(&self.directory, id).map_err(unavailable)?;
        let directory = directory.map(serde_json::to_value).transpose().map_err(unavailable)?;
        let restriction = self.subjects.vault().restriction(id).map_err(unavailable)?;
        let (first, today) = (jiff::civil::Date::MIN, self.rules().day_of(self.clock.now()));
        let attendance = self.ask(|views, now| views.attendance(first, today, Some(id), Restricted::Included, now))?;
        let events = self.events_about(id)?;
        Ok(attendance.map(|attendance| PersonFile {
            directory,
            restriction: restriction.map(|known| Restriction { reason: known.reason, since: known.at, by: known.by }),
            events,
            attendance,
        }))
    }

    pub(super) fn put_restriction(&self, id: &str, restriction: Restriction) -> Result<Restriction, LedgerError> {
        self.must_know(id)?;
        let Restriction { reason, since, by } = restriction.clone();
        self.subjects.vault().restrict(id, &vault::Restriction { reason, at: since, by }).map_err(unavailable)?;
        self.subjects.refresh().map_err(unavailable)?;
        Ok(restriction)
    }

    pub(super) fn lift_restriction(&self, id: &str) -> Result<(), LedgerError> {
        self.must_know(id)?;
        self.subjects.vault().lift_restriction(id).map_err(unavailable)?;
        self.subjects.refresh().map_err(unavailable)
    }

    /// Erases a person. Each step may be done again: after a crash, or an error, the same request goes on where it was.
    ///
    /// Keys are destroyed before the directory forgets which credentials were the person's, and once more after it: a scan in
    /// between has made new ones. While the views are made anew nobody is erased: they tell which credentials were shown.
    pub(super) fn erase_person(&self, id: &str, force: bool) -> Result<Erasure, LedgerError> {
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
        // From here on the views leave the person out: nobody is told of somebody whom the directory does not know.
        self.subjects.refresh().map_err(unavailable)?;
        let removed = erase_person(&self.directory, id, self.clock.now()).map_err(unavailable)?;
        let read = |old: &Snapshot| {
            let directory = Directory::read(&self.directory)?.into();
            Ok(Snapshot { directory, ..old.clone() })
        };
        self.current.change(read).map_err(|error| LedgerError::Unavailable(format!("{error:#}")))?;
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
        let views_rows = self.views.forget(&numbers).map_err(unavailable)?;
        tracing::info!(keys = keys_destroyed, views_rows, "a person was erased");
        Ok(Erasure { keys_destroyed, views_rows, directory_removed: removed.is_some() })
    }

    /// Has the spine forget somebody, after everything that it had begun before.
    fn forget(&self, erased: Erased) -> Result<(), LedgerError> {
        let scans = self.scans.upgrade().ok_or_else(|| LedgerError::Unavailable("the gateway is stopping".into()))?;
        self.runtime.block_on(scans.forget(erased)).map_err(|error| LedgerError::Unavailable(error.to_string()))
    }

    fn is_inside(&self, id: &str) -> Result<bool, LedgerError> {
        let person = Person::new(id);
        let now = self.ask(ledgers::Views::presence)?.value;
        Ok(now.people.iter().any(|present| present.person == person))
    }

    /// Every event in which the person stood at a door.
    fn events_about(&self, id: &str) -> Result<Vec<Event>, LedgerError> {
        let answer = self.ask(|views, _| views.events_of(id, (None, None), 0, usize::MAX, Restricted::Included))?;
        self.reader.events(&answer.value.into_iter().collect()).map_err(unavailable)
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
        Subject::Scan(scan) => [Some(scan.credential), scan.pass.map(|pass| pass.id)],
        Subject::Assist(word) => [word.credential, word.pass.map(|pass| pass.id)],
        Subject::Malformed(_) => [None, None],
    };
    events.iter().flat_map(of_event).flatten().collect()
}

fn unavailable(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unavailable(error.to_string())
}
