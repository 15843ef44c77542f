//! Gapura: an on-prem edge gateway that aggregates door scanners.
//!
//! Modules are declared in the order in which a scan meets them.

pub mod cli;

pub mod app;
pub mod config;
pub mod overview;
pub mod reload;

pub mod clock;
pub mod identity;

pub mod doors;

pub mod scan;

pub mod access;

pub mod log;

pub mod monitors;

pub mod forward;

pub mod http;
pub mod status;

pub mod site;
pub mod tls;
