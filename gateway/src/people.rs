//! People over HTTP: what is written is in force before the answer.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use protocol::api::PersonRecord;

use crate::in_force::InForce;
use crate::reload::loss;
use access::{Directory, Put, Snapshot, list_people, put_person, read_person, remove_person};
use base::clock::Clock;
use web::{self, PeopleError};

/// The directory's file, and the snapshot that follows it.
pub(crate) struct People {
    pub(crate) path: PathBuf,
    pub(crate) in_force: InForce,
    pub(crate) clock: Clock,
}

impl People {
    /// Refuses to write to a directory that has vanished while its people are in force: a new one would hold nobody else.
    fn must_be_there(&self) -> Result<(), PeopleError> {
        let known = self.in_force.load().directory.synced_at().is_some();
        match loss(&self.path).filter(|_| known) {
            Some(reason) => Err(PeopleError::Unavailable(reason)),
            None => Ok(()),
        }
    }

    /// Reads the directory anew, so that the next scan is decided by it.
    fn put_in_force(&self) -> Result<(), PeopleError> {
        let read = |old: &Snapshot| Ok(Snapshot { directory: Arc::new(Directory::read(&self.path)?), ..old.clone() });
        // It is written: should this fail, the watch over the file tries again.
        self.in_force.change(read).map_err(|error| PeopleError::Unavailable(format!("{error:#}")))
    }
}

impl web::People for People {
    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<PersonRecord>, PeopleError> {
        Ok(list_people(&self.path, after, limit)?)
    }

    fn read(&self, id: &str) -> Result<Option<PersonRecord>, PeopleError> {
        Ok(read_person(&self.path, id)?)
    }

    fn put(&self, person: PersonRecord) -> Result<(bool, PersonRecord), PeopleError> {
        self.must_be_there()?;
        let snapshot = self.in_force.load();
        let put = put_person(&self.path, &snapshot.key, &snapshot.rules.time_zone, &person, self.clock.now())?;
        // Also when nothing was written now: what was written before may not be in force yet.
        self.put_in_force()?;
        let kept = self.read(&person.id)?.unwrap_or_default();
        Ok((put == Put::Added, kept))
    }

    fn remove(&self, id: &str) -> Result<bool, PeopleError> {
        self.must_be_there()?;
        let removed = remove_person(&self.path, id, self.clock.now())?;
        self.put_in_force()?;
        Ok(removed)
    }
}
