//! The directory: people and their credentials, in a file for imports and in memory for decisions.

mod erase;
mod file;
mod memory;
mod people;
mod person;
mod record;

#[cfg(test)]
mod tests;

pub use erase::erase_person;
pub use memory::{Directory, Person};
pub use people::{Put, credentials_of, list_people, names_of, put_person, read_person, remove_person};
pub use person::{FieldError, PersonError, PersonRecord};

pub(super) use file::{Tables, decode, encode, in_memory, is_unusable, open_to_write, set_aside, unreadable};
pub(super) use people::{Change, change_in, each_person};
pub(super) use person::{check, is_id};
pub(super) use record::Record;
