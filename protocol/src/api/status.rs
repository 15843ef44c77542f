//! What IT sees of the gateway: one picture of every stage, for the status page and for programs; and whether it is ready.

use serde::{Deserialize, Serialize};

use crate::{DoorStatus, Instant, Mode};

/// The whole gateway at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteStatus {
    /// The site's name.
    pub site: String,
    /// The gateway's version.
    pub version: String,
    /// The gateway's clock when this was put together.
    pub now: Instant,
    /// When the gateway started.
    pub started_at: Instant,
    /// What keeps the gateway from its work, the worst first; empty when it is ready.
    pub problems: Vec<Problem>,
    /// Every registered door, by name.
    pub doors: Vec<DoorRow>,
    /// Monitors that are connected.
    pub monitors_connected: u64,
    /// Every zone that is listed or that a door leads into, by name.
    pub zones: Vec<ZoneRow>,
    /// Rates and latencies of scans.
    pub scans: ScanStatus,
    /// The durable log.
    pub log: LogStatus,
    /// The way upstream; absent when none is configured.
    pub upstream: Option<UpstreamStatus>,
    /// Certificates that the gateway itself uses.
    pub certificates: Vec<CertificateStatus>,
    /// The policy set in force, its hash `b3:…`.
    pub policy_set: String,
    /// The candidate for the next policy set that is tried beside it, where there is one.
    pub policy_candidate: Option<String>,
    /// Credentials in the directory.
    pub directory_credentials: u64,
    /// When the directory was last changed, where that is known.
    pub directory_changed_at: Option<Instant>,
    /// Keys that may sign passes and health certificates.
    pub trusted_keys: u64,
    /// Connections and messages that were refused since the gateway started, the newest first; one for each address, name and
    /// reason, and only the last of them.
    #[serde(default)]
    pub refusals: Vec<RefusalRow>,
}

/// Something that was refused, once or more often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusalRow {
    /// What was refused.
    pub what: RefusedWhat,
    /// Whose address it came from.
    pub address: String,
    /// The name in its certificate or, for want of one, its client id; as it says, which need not be true. At most 160 characters.
    pub name: Option<String>,
    /// Why, a stable word such as `revoked`, `unknown-ca`, `client-id`, `topic`.
    pub reason: String,
    /// What to do, for people.
    pub remedy: String,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_at: Instant,
    /// The last time.
    pub last_at: Instant,
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RefusedWhat {
    /// To be let in.
    Connection,
    /// A message.
    Publish,
}

impl RefusedWhat {
    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Publish => "publish",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is concerned, a stable word such as `log`, `disk`, `upstream`, `certificate`, `policy`.
    pub what: String,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// Since when, where that is known.
    pub since: Option<Instant>,
}

impl Problem {
    /// Something that is wrong, since when where that is known.
    pub fn new(severity: Severity, what: &str, message: impl Into<String>, since: Option<Instant>) -> Self {
        Self { severity, what: what.into(), message: message.into(), since }
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Scans cannot be answered: not ready.
    Critical,
    /// Doors work; someone should look.
    Warning,
}

/// One registered door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DoorRow {
    /// Its name.
    pub door: String,
    /// The zone that it leads into.
    pub zone: String,
    /// Its mode.
    pub mode: Mode,
    /// Whether its reader is connected.
    pub connected: bool,
    /// Since when it is connected, or since when it is not; absent when it was never seen.
    pub since: Option<Instant>,
    /// What its reader last said of itself.
    pub status: Option<DoorStatus>,
    /// The reader's clock minus the gateway's in milliseconds, as last told.
    pub clock_offset_ms: Option<i64>,
    /// When its last scan arrived.
    pub last_scan_at: Option<Instant>,
    /// Scans kept of it since the gateway started.
    pub scans: u64,
    /// Sequence numbers that it has skipped and not sent since, in all epochs that are remembered, as far as no operator has
    /// acknowledged them.
    pub missing_scans: u64,
    /// The highest epoch of its scans that are kept.
    #[serde(default)]
    pub highest_epoch: Option<u32>,
    /// The highest sequence number of that epoch.
    #[serde(default)]
    pub highest_seq: Option<u64>,
    /// How often it has connected since the gateway started.
    #[serde(default)]
    pub connects: u64,
    /// How often it did while its connection before was still there, which then ended.
    #[serde(default)]
    pub takeovers: u64,
    /// When the certificate expires that its reader has last connected with since the gateway started.
    #[serde(default)]
    pub certificate_not_after: Option<Instant>,
    /// What is wrong with its reader.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

impl DoorRow {
    /// A door of which nothing more is known.
    pub fn named(door: &str, zone: &str) -> Self {
        Self {
            door: door.into(),
            zone: zone.into(),
            mode: Mode::default(),
            connected: false,
            since: None,
            status: None,
            clock_offset_ms: None,
            last_scan_at: None,
            scans: 0,
            missing_scans: 0,
            highest_epoch: None,
            highest_seq: None,
            connects: 0,
            takeovers: 0,
            certificate_not_after: None,
            problems: Vec::new(),
        }
    }
}

/// One zone, listed or at the other side of a door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ZoneRow {
    /// Its name.
    pub zone: String,
    /// The zone around it.
    pub parent: Option<String>,
    /// People who are believed to be in it and the zones inside it.
    pub occupancy: u32,
    /// How many may be.
    pub capacity: Option<u32>,
}

/// Rates and latencies of scans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanStatus {
    /// Scans kept since the gateway started.
    pub kept: u64,
    /// Scans a second over the last ten seconds.
    pub per_second: f64,
    /// From the scan's arrival to its commit, in milliseconds, over the last minute or so: median and 99th percentile.
    pub latency_ms: Option<Percentiles>,
    /// Scans that wait for a commit.
    pub waiting: u64,
}

/// Two percentiles of a latency, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// The durable log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogStatus {
    /// Number of the newest event; 0 when there is none.
    pub last_event: u64,
    /// Size of its file, in bytes.
    pub file_bytes: u64,
    /// Free space on its disk, in bytes.
    pub disk_free_bytes: u64,
    /// When the last commit succeeded.
    pub last_commit_at: Option<Instant>,
    /// Commits that failed since the gateway started.
    pub failed_commits: u64,
}

/// The way upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpstreamStatus {
    /// Every event up to this number is safe upstream or in quarantine.
    pub acked_through: u64,
    /// Events that wait for the upstream.
    pub backlog: u64,
    /// When the upstream last took a batch.
    pub last_success_at: Option<Instant>,
    /// Since when it does not; absent while it does.
    pub failing_since: Option<Instant>,
    /// Why it does not.
    pub error: Option<String>,
    /// Ranges that the upstream refused for good, first and last event.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<[u64; 2]>))]
    pub quarantined: Vec<(u64, u64)>,
}

/// One certificate that the gateway uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CertificateStatus {
    /// What for, such as `gateway`, `site CA`, `revocation list`.
    pub name: String,
    /// When it expires.
    pub not_after: Instant,
}

/// Whether the gateway does its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// Whether nothing critical is wrong.
    pub ready: bool,
    /// What is wrong, the worst first.
    pub problems: Vec<Problem>,
}

/// Parameters of the readiness check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct ReadinessQuery {
    /// Warnings too; also without a value.
    #[cfg_attr(feature = "openapi", param(value_type = Option<super::schema::Switch>, inline))]
    pub verbose: Option<bool>,
}
