//! Everything that the front works with.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::SiteId;
use protocol::api::RefusedWhat;

use super::assists::AssistSubmitter;
use super::config::Config;
use super::lookup::DoorLookup;
use super::metrics::Metrics;
use super::refusals::Refused;
use super::registry::Registry;
use crate::monitors::Monitors;
use crate::scan::ScanQueue;
use base::clock::Clock;

/// Everything that the front works with.
pub struct FrontContext {
    /// This site: other sites' certificates are refused.
    pub site: SiteId,
    /// Where scans go.
    pub scans: ScanQueue,
    /// Where monitors get decisions and status from.
    pub monitors: Monitors,
    /// Who is connected.
    pub registry: Arc<Registry>,
    /// What assist requests pass.
    pub assists: Arc<AssistSubmitter>,
    /// The settings of a registered door; `None` for any other, which is then refused.
    pub door_settings: DoorLookup,
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

impl FrontContext {
    /// Counts a TLS handshake that failed, and keeps who it was.
    pub(super) fn refuse_handshake(&self, address: IpAddr, name: Option<String>, reason: &'static str) {
        self.metrics.fail_tls(reason);
        self.note(Refused { what: RefusedWhat::Connection, address, name, reason });
    }

    /// Counts a client that is not let in, and keeps who it was.
    pub(super) fn refuse_connection(&self, address: IpAddr, name: Option<String>, reason: &'static str) {
        self.metrics.refuse_connection(reason);
        self.note(Refused { what: RefusedWhat::Connection, address, name, reason });
    }

    /// Keeps that a message of a client was not accepted.
    pub(super) fn note_publish(&self, address: IpAddr, name: String, reason: &'static str) {
        self.note(Refused { what: RefusedWhat::Publish, address, name: Some(name), reason });
    }

    fn note(&self, refused: Refused) {
        self.registry.refusals.note(refused, self.clock.now());
    }
}
