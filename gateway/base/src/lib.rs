//! What every room of the gateway stands on: the clock, calendar and door list, who a certificate or token is, the types of
//! status, the site's folder with its authority, and TLS.

pub mod calendar;
pub mod clock;
pub mod door_list;
pub mod file_error;
pub mod identity;
pub mod nearest;
pub mod owner;
pub mod settings;
pub mod spreadsheet;
pub mod tokens;

pub mod site;
pub mod tls;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
