//! Puts the status together from every stage, and says what is wrong.

mod certificates;
mod door_problems;
mod metrics;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use protocol::Instant;

use crate::config::Config;
use crate::inputs;
use crate::reload::Refusals;
use access::Snapshot;
use base::clock::Clock;
use base::tls;
use front::doors;
use front::monitors::Monitors;
use front::scan::{SpineStatus, WeakScanQueue};
use protocol::api::{DoorRow, Problem, Severity, SiteStatus, UpstreamStatus, ZoneRow};
use store::audit::AuditTrail;
use store::log::LogReader;

pub use metrics::register;

use self::certificates::{Certificate, DAY_MS};

/// What the status is put together from.
pub struct StatusSources {
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
    pub figures: SpineStatus,
    /// The log.
    pub reader: LogReader,
    /// The spine's queue.
    pub scans: WeakScanQueue,
    /// The way upstream, if there is one.
    pub upstream: Option<upstream::Progress>,
    /// Who watches decisions.
    pub monitors: Monitors,
    /// Files that could not be reloaded.
    pub refusals: Refusals,
    /// The audit trail.
    pub looks: AuditTrail,
    /// What is wrong with the ledgers.
    pub views: Arc<dyn Fn(Instant) -> Vec<Problem> + Send + Sync>,
}

impl StatusSources {
    /// The whole gateway now.
    pub fn status(&self) -> SiteStatus {
        let now = self.clock.now();
        let snapshot = self.snapshot.load();
        let log = self.reader.figures();
        let upstream = self.upstream.as_ref().map(|progress| progress.figures(log.last_event));
        let certificates = self.certificates();
        let doors = self.doors(&snapshot, now);
        let problems = self.all_problems(now, upstream.as_ref(), &certificates, &doors);
        SiteStatus {
            site: self.config.site.name.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            now,
            started_at: self.started_at,
            problems,
            doors,
            zones: self.zones(&snapshot),
            monitors_connected: self.connected.monitors_connected(),
            scans: self.figures.scans(self.scans.waiting(), now),
            log,
            upstream,
            certificates: certificates.into_iter().filter_map(Certificate::figures).collect(),
            policy_set: snapshot.policy.set_hash().to_owned(),
            policy_candidate: snapshot.shadow.as_ref().map(|candidate| candidate.set_hash().to_owned()),
            directory_credentials: snapshot.directory.credentials() as u64,
            directory_changed_at: snapshot.directory.synced_at(),
            trusted_keys: snapshot.passes.keys() as u64,
            refusals: self.connected.refusals(),
        }
    }

    /// What is wrong now, the worst first.
    pub fn problems(&self) -> Vec<Problem> {
        let upstream = self.upstream.as_ref().map(|progress| progress.figures(self.reader.last_event()));
        let now = self.clock.now();
        let doors = self.doors(&self.snapshot.load(), now);
        self.all_problems(now, upstream.as_ref(), &self.certificates(), &doors)
    }

    fn all_problems(
        &self,
        now: Instant,
        upstream: Option<&UpstreamStatus>,
        certificates: &[Certificate],
        doors: &[DoorRow],
    ) -> Vec<Problem> {
        let mut problems = self.reader.problems(now);
        problems.extend(self.pace_problem(now));
        problems.extend(self.refusals.problems());
        problems.extend(self.looks.problem());
        problems.extend((self.views)(now));
        if self.monitors.has_stopped() {
            let message = "the fan-out to them has ended; restart the gateway";
            problems.push(Problem::new(Severity::Warning, "monitors", message, None));
        }
        problems.extend(self.directory_problem(now));
        problems.extend(upstream.into_iter().flat_map(upstream_problems));
        problems.extend(certificates.iter().filter_map(|certificate| certificate.problem(now)));
        problems.extend(self.key_problems());
        problems.extend(self.connections_problem(doors.len()));
        problems.extend(self.revocation_problems(now));
        problems.extend(door_problems::of_all(doors));
        problems.sort_by_key(|problem| problem.severity);
        problems
    }

    fn key_problems(&self) -> impl Iterator<Item = Problem> {
        let exposed = inputs::exposed_keys(&self.config).into_iter();
        exposed.map(|message| Problem::new(Severity::Warning, "keys", message, None))
    }

    /// Doors are told `unavailable` when they have waited for long enough: a disk that is always too slow answers nobody.
    fn pace_problem(&self, now: Instant) -> Option<Problem> {
        let (wait, wait_max) = (self.figures.wait(now)?, Duration::from_millis(self.config.mqtt.answer_timeout_ms));
        let message = format!(
            "scans wait {:.1} s for the disk, and doors are told `unavailable` after {:.1} s; look at the disk",
            wait.as_secs_f64(),
            wait_max.as_secs_f64()
        );
        (wait > wait_max).then(|| Problem::new(Severity::Critical, "disk", message, None))
    }

    /// Lists that cannot be read are a refused change of the certificates.
    fn revocation_problems(&self, now: Instant) -> impl Iterator<Item = Problem> {
        let folder = self.config.folder();
        let gaps = tls::revocation_gaps(&folder.ca_certificate(), &folder.crl(), now).unwrap_or_default();
        gaps.into_iter().map(|gap| {
            let message = format!(
                "{gap}; what is listed stays revoked; `gapura renew` signs the list of the site's authority anew"
            );
            Problem::new(Severity::Warning, "revocation", message, None)
        })
    }

    fn connections_problem(&self, doors: usize) -> Option<Problem> {
        let connections_max = self.config.mqtt.connections_max;
        let message = format!(
            "at most {connections_max} clients may be connected, and there are {doors} doors; raise [mqtt] connections_max, or the \
             limit of open files where that allows no more (LimitNOFILE=, ulimit -n), and restart"
        );
        (doors > connections_max).then(|| Problem::new(Severity::Warning, "connections", message, None))
    }

    /// A directory that nobody has changed for long tells of people who have left since.
    fn directory_problem(&self, now: Instant) -> Option<Problem> {
        let days_max = i64::from(self.config.access.directory_age_days_max);
        let changed_at = self.snapshot.load().directory.synced_at()?;
        let days = now.ms_since(changed_at) / DAY_MS;
        let message = if days >= days_max {
            format!("was last changed {days} days ago and has expired: staff are sent to a helper; import it anew")
        } else if days * 3 >= days_max * 2 {
            format!("was last changed {days} days ago and expires after {days_max}; import it anew")
        } else {
            return None;
        };
        Some(Problem::new(Severity::Warning, "directory", message, Some(changed_at)))
    }

    fn doors(&self, snapshot: &Snapshot, now: Instant) -> Vec<DoorRow> {
        let scans = self.figures.doors();
        let mut presence: HashMap<_, _> =
            self.connected.doors().into_iter().map(|door| (door.door.clone(), door)).collect();
        let mut rows: Vec<DoorRow> = snapshot
            .doors
            .iter()
            .map(|(door, settings)| {
                let presence = presence.remove(door);
                let figures = scans.get(door).cloned().unwrap_or_default();
                let mut problems = door_problems::of_door(door, &figures, &snapshot.rules.time_zone, now);
                problems.extend(presence.iter().flat_map(|presence| door_problems::of_identity(presence, now)));
                DoorRow {
                    door: door.to_string(),
                    zone: settings.zone.clone(),
                    mode: snapshot.mode_at(settings, now),
                    connected: presence.as_ref().is_some_and(|presence| presence.connected),
                    since: presence.as_ref().map(|presence| presence.since),
                    clock_offset_ms: presence.as_ref().and_then(|presence| presence.clock_offset_ms),
                    last_scan_at: figures.last_scan_at,
                    scans: figures.scans,
                    missing_scans: figures.missing_scans,
                    highest_epoch: figures.highest.map(|id| id.epoch),
                    highest_seq: figures.highest.map(|id| id.seq),
                    connects: presence.as_ref().map_or(0, |presence| presence.connects),
                    takeovers: presence.as_ref().map_or(0, |presence| presence.takeovers),
                    certificate_not_after: presence.as_ref().and_then(|presence| presence.certificate_not_after),
                    status: presence.and_then(|presence| presence.status),
                    problems,
                }
            })
            .collect();
        rows.sort_by(|left, right| left.door.cmp(&right.door));
        rows
    }

    fn zones(&self, snapshot: &Snapshot) -> Vec<ZoneRow> {
        let (zones, occupancy) = (&snapshot.zones, self.figures.occupancy());
        let of_doors = snapshot.doors.iter().map(|(_, door)| door.zone.as_str());
        let mut names: Vec<&str> = zones.iter().map(|(zone, _)| zone).chain(of_doors).collect();
        names.sort_unstable();
        names.dedup();
        let row = |zone: &str| ZoneRow {
            zone: zone.to_owned(),
            parent: zones.around(zone).first().cloned(),
            occupancy: occupancy.of(zone, zones),
            capacity: zones.get(zone).and_then(|zone| zone.capacity),
        };
        names.into_iter().map(row).collect()
    }

    fn certificates(&self) -> Vec<Certificate> {
        let folder = self.config.folder();
        let own = [("gateway", folder.gateway_certificate(), true), ("site CA", folder.ca_certificate(), true)];
        let http = self.config.http.certificate.clone().map(|path| ("HTTP side", path, false));
        let upstream = self.config.upstream.as_ref().map(|upstream| upstream.certificate.clone());
        let upstream = upstream.filter(|path| !path.as_os_str().is_empty());
        let upstream = upstream.map(|path| ("upstream client", path, false));
        let all = own.into_iter().chain(http).chain(upstream);
        all.map(|(name, path, doors_need_it)| Certificate::read(name, path, doors_need_it)).collect()
    }
}

fn upstream_problems(upstream: &UpstreamStatus) -> impl Iterator<Item = Problem> {
    let failing = upstream.failing_since.map(|since| {
        let error = upstream.error.as_deref().unwrap_or("no answer");
        let message = format!("{} events wait, nothing is lost: {error}", upstream.backlog);
        Problem::new(Severity::Warning, "upstream", message, Some(since))
    });
    let ranges = upstream.quarantined.len();
    let quarantine = (ranges > 0).then(|| {
        let message = format!("the upstream has refused {ranges} ranges of events for good; see quarantined");
        Problem::new(Severity::Warning, "quarantine", message, None)
    });
    failing.into_iter().chain(quarantine)
}
