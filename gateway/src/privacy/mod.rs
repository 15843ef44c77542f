//! What is done about people's data in all rooms: who stands behind the vault's numbers, what a person may ask for, and how long
//! data is kept.

mod retention;
mod rights;
mod subjects;

pub(crate) use retention::{LastRun, RetentionTask};
pub(crate) use rights::PersonRights;
pub(crate) use subjects::{AuditKeys, Subjects};
