//! Gapura: an on-prem edge gateway that aggregates door scanners.
//!
//! # The path of one scan
//!
//! ```text
//!  reader            doors                 scan (the spine, one thread)            log
//!    │  PUBLISH        │                        │                                   │
//!    ├────────────────▶│ session: certificate   │                                   │
//!    │                 │ = topic's door?        │                                   │
//!    │                 ├── ScanQueue::submit ──▶│ sent before? ──▶ Recall answers   │
//!    │                 │                        │ access::decide                    │
//!    │                 │                        ├── Log::commit (one segment) ─────▶│ fsync
//!    │                 │                        │◀──────────────── on disk ─────────┤
//!    │                 │◀──── Answer::Kept ─────┤                                   │
//!    │◀─ decision ─────┤                        ├── Monitors::publish               │
//!    │◀─ PUBACK ───────┤                        │                                   │
//!                                                          forward ◀── LogReader ───┤
//!                                                             └──▶ upstream         │
//! ```
//!
//! In the code, socket to disk: `doors::listener` accepts, `doors::session` reads a frame, `doors::publish` parses the
//! scan and submits it, [`scan::Spine`] decides and calls [`log::Log::commit`], and the session's `answered` sends the
//! decision and the PUBACK.
//!
//! # Invariants, and the place that keeps each
//!
//! | invariant | kept by |
//! | --- | --- |
//! | PUBACK (PUBREC at QoS 2) only after the commit | `scan::spine`: `answer` is called with a committed batch only; `doors::publish`: acks only on `Answer::Kept` |
//! | no door opens on a decision that is not on disk | the same: the decision travels in `Answer::Kept`, for a helper's word in `Answer::Said` |
//! | a helper's word is kept once and answered the same; a late one opens nothing | `scan::assists` |
//! | one event and one decision per (door, epoch, seq), for ever | `scan::seen` (exact, three-valued), `scan::recall` (asks the log) |
//! | a failed commit is held, not guessed | `scan::spine`: `hold`, `recover`; `log::writer`: a failed log takes nothing until it is reopened |
//! | the log is the only truth | `scan::state` is rebuilt from it; [`forward`] keeps only a cursor, in the log itself |
//! | a door moves under its own topics only; a helper only speaks on `assist` | `doors::publish`, `doors::words`, `doors::subscriptions`; [`identity`] reads the certificate |
//! | who may ask what over HTTP | `http::route`, the table of rules; [`tokens`] |
//! | whoever asks for personal data is on the record before the answer | `http::front`, around every route; [`looks`] |
//! | a revoked certificate loses its session within a second | [`reload`] looks five times a second, [`doors::Registry::drop_sessions`] |
//! | malformed and unknown scans are kept too | `doors::publish` submits them, [`access::refuse_malformed`] answers |
//! | a late scan never opens a door | `access::decide`: `binding` |
//! | with the upstream away doors notice nothing | [`forward`] only reads the log; nothing on a scan's path waits for it |
//! | who an event is about is on disk only encrypted, and destroying a person's keys erases it | [`vault`]; `log::writer` seals, [`log::LogReader`] opens |
//! | every queue has a limit | each stage's `Config` |
//! | no personal data in logs and metrics | `Debug` of scans, keys and payloads is redacted; metrics have no free labels |
//!
//! Modules are declared in the order in which a scan meets them. Arrows point one way: `app → http → {views, looks}`,
//! `doors → scan → {access, log, monitors}`, `forward`, `views` and `scan` read the [`log`], which knows none of them; the [`log`]
//! has its keys of the [`vault`].

pub mod cli;

pub mod app;
pub mod config;
pub mod overview;
pub mod reload;

pub mod calendar;
pub mod clock;
pub mod door_list;
pub mod identity;
pub mod spreadsheet;
pub mod tokens;

pub mod doors;

pub mod scan;

pub mod access;

pub mod passes;

pub mod shadow;

pub mod log;

pub mod vault;

pub mod monitors;

pub mod forward;

pub mod views;

pub mod looks;

pub mod http;
pub mod status;

pub mod site;
pub mod tls;

#[cfg(test)]
mod testing;
