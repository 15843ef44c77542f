//! What follows the log: who is where, who came to work when, who met whom.
//!
//! # From an event to an answer
//!
//! ```text
//!  event ─▶ Passage ─▶ sessions and stays of one person ─┬─▶ Attendance   a person's working day, a day's table
//!           passage    stays (by Rules, rules and hours) ├─▶ PresenceNow  who is in which zone, the list for an evacuation
//!                                                        └─▶ Contact      who shared a zone with whom, for how long
//! ```
//!
//! All of that is pure: passages and [`Rules`] in, answers out, and the same ones whenever it is asked again.
//!
//! # From the log to a question
//!
//! ```text
//!  log ─▶ follower ─▶ upkeep ─▶ views.redb ─▶ Histories ─▶ sessions of those who are asked for ─▶ LedgerStore::presence, attendance
//!         a thread    batches   store          as much as      └─▶ Trace: stays of zones and times that matter ─▶ contacts
//!                     stays of days that are   it takes
//!                     over
//! ```
//!
//! `views.redb` is derived: whatever is wrong with it, it is deleted and rebuilt, while doors notice nothing. It knows people
//! by their numbers in the vault ([`People`]); somebody whose number has no subject any more is in no answer.
//!
//! # Words
//!
//! - A *passage* is one person through one door. Who was turned away has not passed; a late scan has.
//! - A *stay* is one person in one zone, the innermost that is known. Its beginning and end have [`Bounds`]: equal where
//!   they were seen, apart where a scan was missed. [`Evidence`] says how the end is known. Where scans were missed, stays
//!   that are only possible overlap others.
//! - A *session* is one person in the site without a break, from coming to going. Ways between zones are no breaks.
//! - A *working day* has the sessions that began on it; a night shift is one session of the evening's day.
//!
//! # When scans are missed
//!
//! | seen | taken for |
//! | --- | --- |
//! | the same door, the same way, within `double_scan_seconds` | one scan too many |
//! | in, and in again at an outermost zone | left unseen in between, by rule at the end of the shift |
//! | in, and then in or out at another zone | left the first zone somewhere in between; still the same session |
//! | out without in | came unseen, by rule at the start of the shift |
//! | in at an inner zone, and not at the one around it, which has doors | came there, but the entry is missing |
//! | in, and nothing for `stay_hours_max` | left unseen, by rule at the end of the shift, never on the next day |
//!
//! Rules are for attendance. Where somebody may have been, for contacts, is taken as wide as the scans allow: anywhere on the way
//! that nobody saw, and until somebody is not believed to be there any more. One thing is taken for granted: of two ways through
//! the doors of one zone that follow each other, at most one was missed.

mod answers;
mod attendance;
mod calendar;
mod config;
mod contact;
mod contacts;
mod export;
mod fingerprint;
mod follower;
mod history;
mod hours;
mod inputs;
mod ledgers;
mod locks;
mod metrics;
mod overlap;
mod passage;
mod picture;
mod presence;
mod recent;
mod rules;
mod shared;
mod spans;
mod stays;
mod tables;
mod trace;
mod upkeep;
mod working_days;

#[cfg(test)]
mod tests;

pub use attendance::{Attendance, AttendanceFlags, AttendanceSession, DayTable, OpdSummary, attendance, working_days};
pub use config::{AttendanceConfig, ContactsConfig};
pub use contact::{Contact, ContactQuery, Encounter, Line};
pub use contacts::{Stays, contacts};
pub use export::{NamedRow, TablePart, attendance_csv, contacts_csv, ndjson};
pub use hours::WorkingHours;
pub use inputs::{People, Restricted, Source};
pub use ledgers::{LedgerStore, LedgerStoreError};
pub use metrics::{Config, Metrics};
pub use passage::{Passage, Person, Sighting};
pub use picture::{CONTACTS_MAX, Traced, contacts_svg};
pub use presence::{Muster, Occupancy, PresenceNow, Present, present};
pub use protocol::api::{Generations, Grade, Scope};
pub use rules::Rules;
pub use shared::{LedgerContext, NotDeleted, Position};
pub use stays::{Arrival, Bounds, Evidence, Session, Stay, sessions};
pub use working_days::{Row, opd_rows};
