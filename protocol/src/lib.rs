//! Gapura's wire contract: what doors, monitors and the upstream say to the gateway and hear from it.
//!
//! Nothing here does I/O. Every limit of the contract is checked where a value is made, so that a [`Scan`], a
//! [`DoorId`] or a [`DoorStatus`] that exists is one that the contract allows.
//!
//! In the order in which a scan meets them:
//!
//! 1. [`topic`]: `gapura/v1/{site}/{door}/{channel}`, built and parsed in one place
//! 2. [`scan`]: what a reader publishes
//! 3. [`decision`]: what the door is answered
//! 4. [`event`]: what the gateway keeps of both, on disk
//! 5. [`batch`]: how events travel upstream
//!
//! and beside that path [`status`] (how a door is), [`door_config`] (what a door is told about itself) and [`assist`]
//! (a helper lets a person through). [`api`] is what people and programs ask over HTTP.
//!
//! Every JSON document carries `v`, the contract's version. Unknown fields are ignored, an unknown `v` is refused.

pub mod topic;

pub mod scan;

pub mod decision;

pub mod event;

pub mod batch;

pub mod status;

pub mod door_config;

pub mod assist;

pub mod api;

mod answer;
mod document;
mod instant;
mod spelling;

pub use assist::{Assist, AssistAction};
pub use batch::{BatchAnswer, CloudEvent};
pub use decision::{Decision, HealthStatus, Language, Mode, Outcome, Text};
pub use document::{DocumentError, Fault};
pub use door_config::DoorConfig;
pub use event::{
    AnsweredScan, AssistRecord, ClockQuality, CredentialHash, CredentialKind, Encrypted, Event, EventKind,
    MalformedScan, Mark, PassRecord, PersonClass, ScanRecord, SealedPart, ShadowVerdict, Verdict, Via,
};
pub use instant::Instant;
pub use scan::{Direction, Scan, ScanError, ScanId};
pub use spelling::normal_code;
pub use status::{DoorState, DoorStatus};
pub use topic::{Channel, DoorId, DoorTopic, NameError, SiteId, TopicError};

/// The version of the contract that this crate speaks, the `v` of every document.
pub const VERSION: u8 = 1;

/// The MQTT 5 user property by which a monitor is told how many messages before this one it has not got, a number in
/// decimal. The log has them: ask it for the events after the last decision's `event`; subscribe again for doors' status.
pub const MISSED_PROPERTY: &str = "missed";

/// Largest payload of an MQTT message of the contract, in bytes, a [`Scan`]'s aside: see [`scan::SCAN_BYTES_MAX`].
pub const PAYLOAD_BYTES_MAX: usize = 4096;
