//! Puts the status together from every stage, and says what is wrong.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::Instant;

use crate::access::Snapshot;
use crate::clock::Clock;
use crate::config::Config;
use crate::log::LogReader;
use crate::monitors::Monitors;
use crate::reload::Refusals;
use crate::scan::{Figures, WeakScanQueue};
use crate::status::{CertificateFigures, DoorRow, Problem, Severity, SiteStatus, UpstreamFigures};
use crate::{doors, forward, tls};

/// A certificate that expires sooner is a problem.
const CERTIFICATE_WARNING_DAYS: i64 = 14;

const DAY_MS: i64 = 86_400_000;

/// What the status is put together from.
pub struct Overview {
    /// The configuration in force.
    pub config: Config,
    /// When the gateway started.
    pub started_at: Instant,
    /// The gateway's clock.
    pub clock: Clock,
    /// What decisions are made from.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Who is connected.
    pub connected: Arc<doors::Registry>,
    /// What the spine tells.
    pub figures: Figures,
    /// The log.
    pub reader: LogReader,
    /// The spine's queue.
    pub scans: WeakScanQueue,
    /// The way upstream, if there is one.
    pub upstream: Option<forward::Progress>,
    /// Who watches decisions.
    pub monitors: Monitors,
    /// Files that could not be reloaded.
    pub refusals: Refusals,
}

impl Overview {
    /// The whole gateway now.
    pub fn status(&self) -> SiteStatus {
        let now = self.clock.now();
        let snapshot = self.snapshot.load();
        let log = self.reader.figures();
        let upstream = self.upstream.as_ref().map(|progress| progress.figures(log.last_event));
        let certificates = self.certificates();
        SiteStatus {
            site: self.config.site.name.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            now,
            started_at: self.started_at,
            problems: self.problems_of(now, upstream.as_ref(), &certificates),
            doors: self.doors(&snapshot),
            monitors_connected: self.connected.monitors_connected(),
            scans: self.figures.scans(self.scans.waiting(), now),
            log,
            upstream,
            certificates,
            policy_set: snapshot.policy.set_hash().to_owned(),
            directory_credentials: snapshot.directory.credentials() as u64,
        }
    }

    /// What is wrong now, the worst first.
    pub fn problems(&self) -> Vec<Problem> {
        let upstream = self.upstream.as_ref().map(|progress| progress.figures(self.reader.last_event()));
        self.problems_of(self.clock.now(), upstream.as_ref(), &self.certificates())
    }

    fn problems_of(
        &self,
        now: Instant,
        upstream: Option<&UpstreamFigures>,
        certificates: &[CertificateFigures],
    ) -> Vec<Problem> {
        let mut problems = self.reader.problems(now);
        problems.extend(self.refusals.problems());
        let mut add =
            |severity, what, message: String, since| problems.push(Problem { severity, what, message, since });
        if self.monitors.stopped() {
            add(Severity::Critical, "monitors", "their router has stopped; the gateway is restarting".into(), None);
        }
        if let Some(UpstreamFigures { failing_since: Some(since), error, backlog, .. }) = upstream {
            let error = error.as_deref().unwrap_or("no answer");
            let message = format!("{backlog} events wait, nothing is lost: {error}");
            add(Severity::Warning, "upstream", message, Some(*since));
        }
        if let Some(quarantined) = upstream.map(|upstream| upstream.quarantined.len()).filter(|ranges| *ranges > 0) {
            let message = format!("the upstream has refused {quarantined} ranges of events for good; see quarantined");
            add(Severity::Warning, "quarantine", message, None);
        }
        for certificate in certificates {
            let days = certificate.not_after.ms_since(now).div_euclid(DAY_MS);
            if days < CERTIFICATE_WARNING_DAYS {
                let severity = if days < 0 { Severity::Critical } else { Severity::Warning };
                let message = format!(
                    "the certificate of the {} expires at {}; renew it",
                    certificate.name, certificate.not_after
                );
                add(severity, "certificate", message, None);
            }
        }
        problems.sort_by_key(|problem| problem.severity);
        problems
    }

    fn doors(&self, snapshot: &Snapshot) -> Vec<DoorRow> {
        let scans = self.figures.doors();
        let mut presence: HashMap<_, _> =
            self.connected.doors().into_iter().map(|door| (door.door.clone(), door)).collect();
        let mut rows: Vec<DoorRow> = snapshot
            .doors
            .iter()
            .map(|(door, settings)| {
                let presence = presence.remove(door);
                let figures = scans.get(door).copied().unwrap_or_default();
                DoorRow {
                    door: door.to_string(),
                    zone: settings.zone.clone(),
                    mode: settings.mode,
                    connected: presence.as_ref().is_some_and(|presence| presence.connected),
                    since: presence.as_ref().map(|presence| presence.since),
                    clock_offset_ms: presence.as_ref().and_then(|presence| presence.clock_offset_ms),
                    status: presence.and_then(|presence| presence.status),
                    last_scan_at: figures.last_scan_at,
                    scans: figures.scans,
                    missing_scans: figures.missing_scans,
                }
            })
            .collect();
        rows.sort_by(|left, right| left.door.cmp(&right.door));
        rows
    }

    fn certificates(&self) -> Vec<CertificateFigures> {
        let folder = self.config.folder();
        let upstream = self.config.upstream.as_ref().map(|upstream| ("upstream client", upstream.certificate.clone()));
        [("gateway", folder.gateway_certificate()), ("site CA", folder.ca_certificate())]
            .into_iter()
            .chain(upstream.filter(|(_, path)| !path.as_os_str().is_empty()))
            .filter_map(|(name, path)| {
                Some(CertificateFigures { name: name.into(), not_after: tls::certificate_expiry(&path).ok()? })
            })
            .collect()
    }
}
