//! Gapura: an on-prem edge gateway that aggregates door scanners.
//!
//! # The path of one scan
//!
//! ```text
//!  reader            front::doors          front::scan (the spine, one thread)     store::log
//!    │  PUBLISH        │                        │                                   │
//!    ├────────────────▶│ session: certificate   │                                   │
//!    │                 │ = topic's door?        │                                   │
//!    │                 ├── ScanQueue::submit ──▶│ sent before? ──▶ Recall answers   │
//!    │                 │                        │ access::decide                    │
//!    │                 │                        ├── Log::commit (one segment) ─────▶│ fsync
//!    │                 │                        │◀──────────────── on disk ─────────┤
//!    │                 │◀─ Answer::Committed ───┤                                   │
//!    │◀─ decision ─────┤                        ├── Monitors::publish               │
//!    │◀─ PUBACK ───────┤                        │                                   │
//!                                                          forwarder ◀ LogReader ───┤
//!                                                             └──▶ head office      │
//! ```
//!
//! In the code, socket to disk: `front::doors::listener` accepts, `session` reads a frame, `publish` parses the scan and
//! submits it, [`front::scan::Spine`] decides and calls [`store::log::Log::commit`], and the session's `answered` sends the
//! decision and the PUBACK.
//!
//! # The crates, in the order in which a scan meets them
//!
//! | crate | what it is | may use |
//! | --- | --- | --- |
//! | `protocol` | the wire contract | |
//! | `base` | clock, calendar, door list, identity, tokens, the site's folder and authority, TLS | |
//! | `store` | the log, the vault of keys, the audit trail, the one way to open a redb file | `base` |
//! | `access` | directory, import, passes, policy, `decide`: no I/O | `base`, `store` |
//! | `front` | bytes in, replies out: MQTT listener, sessions, the spine, monitors | `base`, `access`, `store` |
//! | `ledgers` | what follows the log: presence, attendance, contacts | `base`, `store` |
//! | `upstream` | batches to head office, at least once and in order | `base`, `store` |
//! | `web` | API, health, metrics, the status page | `base`, `access`, `store`, `ledgers` |
//! | `gateway` | composition, configuration, command line | `base`, `access`, `store`, `front`, `ledgers`, `upstream`, `web` |
//!
//! All may use `protocol`. The manifests are this table; a test compares them.
//!
//! # Invariants, and the place that keeps each
//!
//! | invariant | kept by |
//! | --- | --- |
//! | PUBACK (PUBREC at QoS 2) only after the commit | `front::scan::spine`: `answer` is called with a committed batch only; `front::doors::publish`: acks only on `Answer::Committed` |
//! | no door opens on a decision that is not on disk | the same: the decision travels in `Answer::Committed`, for an assist request in `Answer::Assisted` |
//! | an assist request is kept once and answered the same; a late one opens nothing | `front::scan::assists` |
//! | one event and one decision per (door, epoch, seq), for ever | `front::scan::seen` (exact, three-valued), `front::scan::recall` (asks the log) |
//! | a failed commit is held, not guessed | `front::scan::spine`: `hold`, `recover`; `store::log::writer`: a failed log takes nothing until it is reopened |
//! | the log is the only truth | `front::scan::state` is rebuilt from it; [`upstream`] keeps only a cursor, in the log itself |
//! | a door moves under its own topics only; a helper only speaks on `assist` | `front::doors`: `publish`, `assists`, `subscriptions`; [`base::identity`] reads the certificate |
//! | who may ask what over HTTP | `web::route`, the table of rules; [`base::tokens`] |
//! | whoever asks for personal data is on the record before the answer | `web::service`, around every route; [`store::audit`] |
//! | a revoked certificate loses its session within a second | [`reload`] looks five times a second, [`front::doors::Registry::drop_sessions`] |
//! | malformed and unknown scans are kept too | `front::doors::publish` submits them, [`access::refuse_malformed`] answers |
//! | a late scan never opens a door | `access::decide`: `binding` |
//! | with the upstream away doors notice nothing | [`upstream`] only reads the log; nothing on a scan's path waits for it |
//! | who an event is about is on disk only encrypted, and destroying a person's keys erases it | [`store::vault`]; `store::log::writer` encrypts, [`store::log::LogReader`] opens |
//! | every queue has a limit | each stage's `Config` |
//! | no personal data in logs and metrics | `Debug` of scans, keys and payloads is redacted; metrics have no free labels |

pub mod cli;

pub mod app;

mod descriptors;
mod in_force;
mod inputs;
mod known_files;
mod ledger_answers;
mod ledger_questions;
mod ledger_rules;
mod people;
mod privacy;

pub mod config;
pub mod reload;
pub mod status;
