//! Plays a fleet of door readers against the gateway, and proves that nothing was lost.
//!
//! - [`load`]: readers that scan, over MQTT, at a rate that is fixed in advance or as fast as they are answered
//! - [`upstream`]: head office's end of the upstream feed, with a ledger and faults
//! - [`audit`]: compares what readers had acknowledged, the gateway's log and the upstream's ledger
//! - [`demo`]: all of that around a gateway of its own, on loopback, with a temporary site
//! - [`history`]: a month of which everything is known, and the gateway's ledgers beside the truth
//!
//! Whatever is left to chance is hashed from a seed ([`chance`]): the same arguments give the same scans.

pub mod cli;

pub mod chance;
pub mod load;

pub mod upstream;

pub mod audit;

pub mod demo;

pub mod history;

pub mod api;
pub mod signals;
pub mod tls;
