//! People over HTTP: what is written is in force before the answer.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;

use crate::in_force::InForce;
use access::{Directory, PersonRecord, Put, Snapshot, list_people, put_person, read_person, remove_person};
use base::clock::Clock;
use web::{self, PeopleError};

/// The directory's file, and the snapshot that follows it.
pub(crate) struct People {
    pub(crate) path: PathBuf,
    pub(crate) in_force: InForce,
    pub(crate) clock: Clock,
}

impl People {
    /// Reads the directory anew, so that the next scan is decided by it.
    fn put_in_force(&self) -> Result<(), PeopleError> {
        let read = |old: &Snapshot| Ok(Snapshot { directory: Arc::new(Directory::read(&self.path)?), ..old.clone() });
        // It is written: should this fail, the watch over the file tries again.
        self.in_force.change(read).map_err(|error| PeopleError::Unavailable(format!("{error:#}")))
    }
}

impl web::People for People {
    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Value>, PeopleError> {
        list_people(&self.path, after, limit)?.iter().map(value).collect()
    }

    fn read(&self, id: &str) -> Result<Option<Value>, PeopleError> {
        read_person(&self.path, id)?.as_ref().map(value).transpose()
    }

    fn put(&self, id: &str, person: Value) -> Result<(bool, Value), PeopleError> {
        let mut record: PersonRecord = serde_path_to_error::deserialize(person).map_err(|error| {
            // A name that is unknown here may be anything, even a badge: it is not repeated.
            let path = error.path().to_string();
            let unknown = error.inner().to_string().starts_with("unknown field");
            let field = if unknown { "person".to_owned() } else { path };
            let reason = "is not what is expected here; GET of a person shows the fields".into();
            PeopleError::Field { field, reason }
        })?;
        if !record.id.is_empty() && record.id != id {
            let reason = "must be the one of the address, or absent".into();
            return Err(PeopleError::Field { field: "id".into(), reason });
        }
        record.id = id.to_owned();
        let snapshot = self.in_force.load();
        let put = put_person(&self.path, &snapshot.key, &snapshot.rules.time_zone, &record, self.clock.now())?;
        // Also when nothing was written now: what was written before may not be in force yet.
        self.put_in_force()?;
        let kept = self.read(id)?.unwrap_or_default();
        Ok((put == Put::Added, kept))
    }

    fn remove(&self, id: &str) -> Result<bool, PeopleError> {
        let removed = remove_person(&self.path, id, self.clock.now())?;
        self.put_in_force()?;
        Ok(removed)
    }
}

fn value(person: &PersonRecord) -> Result<Value, PeopleError> {
    serde_json::to_value(person).map_err(|error| PeopleError::Unavailable(error.to_string()))
}
