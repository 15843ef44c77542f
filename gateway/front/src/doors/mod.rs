//! The MQTT front: bytes of doors, monitors and helpers in, replies out.
//!
//! The way of a scan through it:
//!
//! 1. `listener` accepts the connection; `pending` bounds those that say nothing
//! 2. `admission` makes the TLS handshake, reads CONNECT and ties the client to its certificate
//! 3. `registry` knows who is connected: the old connection of the same client ends first
//! 4. `session` waits for what comes next: bytes, answers, orders, time
//! 5. `wire` reads the bytes, `framing` cuts packets out of them, `codec` (rumqttd's) says what they mean
//! 6. `publish` checks that the topic is the door's own, and hands the scan to the spine; `scans` remembers it
//! 7. the spine's answer comes back once the scan is on disk: the decision goes to the `outbox`, then the scan is acknowledged
//! 8. `reply` puts both into bytes, sent with one write
//!
//! and beside it `words` (what helpers say: the same way, and the decision to the door they speak of), `monitor` (what monitors hear, and what they miss), `subscribe` (what a client may hear), `settings` (what a door is told about itself), `mode_changes` (and when its mode changes by plan), `farewell` (last wills), `kept`
//! (sessions of doors that are away), `limits` (how fast one client may send).
//!
//! What holds here: a scan is acknowledged only after the spine has said that it is kept; a client acts only under the name in its
//! certificate; nothing that a client sends may panic or make others wait; every buffer has a limit.

mod admission;
mod codec;
mod config;
mod farewell;
mod framing;
mod kept;
mod limits;
mod listener;
mod metrics;
mod mode_changes;
mod monitor;
mod outbox;
mod pending;
mod publish;
mod reason;
mod registry;
mod reply;
mod scans;
mod session;
mod settings;
mod subscribe;
mod subscriptions;
mod wire;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::{DoorId, Mode, SiteId};

pub use self::config::Config;
pub use self::listener::serve;
pub use self::metrics::{Because, Metrics};
pub use self::mode_changes::announce_mode_changes;
pub use self::registry::{DoorPresence, Registry};
pub use self::words::{NotSaid, Said, Way, Words};
use crate::monitors::Monitors;
use crate::scan::ScanQueue;
use base::clock::Clock;

/// Everything that the front works with.
pub struct Parts {
    /// This site: other sites' certificates are refused.
    pub site: SiteId,
    /// Where scans go.
    pub scans: ScanQueue,
    /// Where monitors get decisions and status from.
    pub monitors: Monitors,
    /// Who is connected.
    pub registry: Arc<Registry>,
    /// What helpers' words pass.
    pub words: Arc<Words>,
    /// The settings of a registered door; `None` for any other, which is then refused.
    pub known_door: KnownDoor,
    /// Read for every new connection, so that certificates are renewed and revoked without a restart. It must ask clients for
    /// certificates of the site's CA.
    pub tls: Arc<ArcSwap<rustls::ServerConfig>>,
    /// The gateway's clock.
    pub clock: Clock,
    /// What the front counts.
    pub metrics: Metrics,
    /// Section `[mqtt]`, validated.
    pub config: Arc<Config>,
}

/// Looks up a registered door. Called for every connection and change of settings, not for every scan.
pub type KnownDoor = Arc<dyn Fn(&DoorId) -> Option<DoorSettings> + Send + Sync>;

/// What a door is told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorSettings {
    /// How far decisions bind.
    pub mode: Mode,
    /// The zone that the door leads into.
    pub zone: String,
    /// A scan that arrives later than this after it was made is only recorded, in milliseconds.
    pub late_after_ms: u64,
}

type Front = Arc<Parts>;
