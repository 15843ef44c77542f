//! End-to-end tests: real processes on loopback, each test with a site of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails"
)]

mod harness;

mod attacks;
mod beginnings;
mod clients;
mod crash;
mod disk;
mod documents;
mod history;
mod house;
mod ledgers;
mod mistakes;
mod passes;
mod people;
mod process;
mod readers;
mod reload;
mod rollout;
mod satgas;
mod scans;
mod upstream;
mod vault;
mod watching;
