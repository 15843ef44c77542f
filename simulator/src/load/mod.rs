//! A fleet of readers that scan: open loop at a rate that is fixed in advance, or as fast as they are answered.

pub mod book;
pub mod ledger;
pub mod mix;
pub mod packets;
pub mod report;
pub mod schedule;
pub mod tally;
