//! The MQTT front: bytes of doors, monitors and helpers in, replies out.
//!
//! The way of a scan through it:
//!
//! 1. `listener` accepts the connection; `pending` bounds those that say nothing
//! 2. `handshake` makes the TLS handshake and reads CONNECT, and `admission` ties the client to its certificate
//! 3. `registry` knows who is connected: the old connection of the same client ends first
//! 4. `session` is the connection from then on, and `serve` waits for what comes next: bytes, answers, commands, time
//! 5. `wire` reads the bytes, `input` takes as many as may be, `framing` cuts packets out of them, `codec` says what they mean (`fields`, `packet`),
//!    and `oversized` passes over what is too large
//! 6. `publish` checks that the topic is the door's own, and hands the scan to the spine; `scans` remembers it
//! 7. the spine's answer comes back once the scan is on disk: the decision goes to the `outbox`, then the scan is acknowledged
//! 8. `reply` puts both into bytes, sent with one write
//!
//! and beside it `helper` (assist requests: the same way, and the decision to the door that they are about; `assists` takes
//! those that come over HTTP), `monitor` (what monitors hear, and what they miss), `subscribe` (what a client may hear),
//! `settings` (what a door is told about itself), `mode_changes` (and when its mode changes by plan), `refusals` (who was refused lately, and what to do about it: `remedies`), `closing` (last wills), `stored_sessions` (of doors that are away), `limits`
//! (how fast one client may send).
//!
//! What holds here: a scan is acknowledged only after the spine has said that it is kept; a client acts only under the name in its
//! certificate; nothing that a client sends may panic or make others wait; every buffer has a limit.

mod admission;
mod assists;
mod backlog;
mod client;
mod closing;
mod codec;
mod config;
mod context;
mod door_record;
mod fields;
mod framing;
mod handshake;
mod helper;
mod input;
mod limits;
mod listener;
mod lookup;
mod metrics;
mod mode_changes;
mod monitor;
mod outbox;
mod oversized;
mod packet;
mod pending;
mod publish;
mod reason;
mod refusals;
mod registry;
mod remedies;
mod reply;
mod rights;
mod scans;
mod serve;
mod session;
mod settings;
mod stored_sessions;
mod subscribe;
mod subscriptions;
mod wire;

#[cfg(test)]
mod tests;

pub use self::assists::{AssistRoute, AssistSubmitter};
pub use self::config::Config;
pub use self::context::FrontContext;
pub use self::door_record::{Contested, DoorPresence};
pub use self::listener::serve;
pub use self::lookup::{DoorLookup, DoorSettings};
pub use self::metrics::{Metrics, ReasonLabel};
pub use self::mode_changes::announce_mode_changes;
pub use self::registry::Registry;
