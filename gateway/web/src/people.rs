//! The directory's people as HTTP shows and changes them.

use access::PersonError;
use base::file_error::FileError;
use protocol::api::PersonRecord;

/// The directory's people, as HTTP shows and changes them. What is changed is in force when a
/// function returns.
pub trait People: Send + Sync {
    /// People in the order of their ids, those behind `after`.
    ///
    /// # Errors
    /// When the directory cannot be used.
    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<PersonRecord>, PeopleError>;

    /// The person with this id.
    ///
    /// # Errors
    /// When the directory cannot be used.
    fn read(&self, id: &str) -> Result<Option<PersonRecord>, PeopleError>;

    /// Puts a person in, or in the place of the one with the same id; whether there was none before, and what is kept.
    ///
    /// # Errors
    /// When a field is wrong, or the directory cannot be used; then nothing is changed.
    fn put(&self, person: PersonRecord) -> Result<(bool, PersonRecord), PeopleError>;

    /// Takes a person out; whether there was one.
    ///
    /// # Errors
    /// When the directory cannot be used.
    fn remove(&self, id: &str) -> Result<bool, PeopleError>;
}

/// Why people are not shown or changed.
#[derive(Debug)]
pub enum PeopleError {
    /// A field is wrong. The reason repeats nothing of it.
    Field {
        /// Its JSON path.
        field: String,
        /// What is allowed.
        reason: String,
    },
    /// A credential is somebody else's.
    Taken {
        /// Where it stands.
        field: String,
        /// Whose it is, by id.
        reason: String,
    },
    /// Two fields do not go together.
    Conflict {
        /// One of them.
        field: String,
        /// What is allowed.
        reason: String,
    },
    /// The directory cannot be used now; the reason is for the log.
    Unavailable(String),
}

impl From<FileError> for PeopleError {
    fn from(error: FileError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<PersonError> for PeopleError {
    fn from(error: PersonError) -> Self {
        match error {
            PersonError::Field(wrong) => Self::Field { field: wrong.field.to_owned(), reason: wrong.reason },
            PersonError::Taken(wrong) => Self::Taken { field: wrong.field.to_owned(), reason: wrong.reason },
            PersonError::Order(wrong) => Self::Conflict { field: wrong.field.to_owned(), reason: wrong.reason },
            PersonError::Directory(error) => error.into(),
        }
    }
}
