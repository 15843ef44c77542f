//! What is on disk: the log of events, the vault with the keys that they are encrypted under, and the record of who looked
//! at whom.

pub mod file;

pub mod log;

pub mod vault;

pub mod audit;
