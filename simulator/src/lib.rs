//! Plays a fleet of door readers against the gateway, and proves that nothing was lost.

pub mod cli;

pub mod chance;
pub mod load;

pub mod upstream;
