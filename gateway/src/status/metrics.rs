//! The status as metrics, put together at each scrape: what the status page shows, alerts can watch.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use protocol::Instant;

use super::{DAY_MS, StatusSources};
use base::status::{Severity, SiteStatus};

/// Registers the metrics that are only known when somebody asks. Making them reads certificates and asks for the disk's free
/// space, as the status does.
pub fn register(sources: &Arc<StatusSources>, registry: &mut Registry) {
    registry.register_collector(Box::new(StatusCollector(Arc::clone(sources))));
}

struct StatusCollector(Arc<StatusSources>);

impl Collector for StatusCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let Self(sources) = self;
        let (status, mut gauges) = (sources.status(), Gauges(encoder));
        gateway(&mut gauges, &status)?;
        doors(&mut gauges, &status, sources.config.scans.clock_tolerance_ms)?;
        let free_min = sources.reader.disk_free_bytes_min();
        gauges.one("log_disk_free_bytes", "Free space on the log's disk", status.log.disk_free_bytes as f64)?;
        gauges.one("log_disk_free_bytes_min", "Less free space than this raises the alarm", free_min as f64)?;
        gauges.one("log_file_bytes", "Size of the log's file", status.log.file_bytes as f64)?;
        directory(&mut gauges, &status, sources.config.access.directory_age_days_max)?;
        let failing_since = status.upstream.as_ref().and_then(|upstream| upstream.failing_since);
        let help = "Since when the upstream takes nothing; absent while it does";
        gauges.maybe("upstream_failing_since_timestamp_seconds", help, failing_since.map(seconds))?;
        let certificates = status.certificates.iter();
        gauges.each(
            "certificate_expires_timestamp_seconds",
            "When a certificate that the gateway uses expires",
            certificates.map(|of| ([("certificate", of.name.as_str())], seconds(of.not_after))),
        )?;
        gauges.each(
            "files_refused",
            "Changed files that cannot be taken over; what was in force stays in force",
            sources.refusals.problems().iter().map(|refusal| ([("what", refusal.what)], 1.0)),
        )
    }
}

impl fmt::Debug for StatusCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusCollector").finish_non_exhaustive()
    }
}

fn gateway(gauges: &mut Gauges<'_>, status: &SiteStatus) -> fmt::Result {
    let ready = status.problems.iter().all(|problem| problem.severity != Severity::Critical);
    gauges.one("ready", "Whether scans can be answered, as /readyz says", f64::from(u8::from(ready)))?;
    gauges.one("time_seconds", "The gateway's clock", seconds(status.now))?;
    gauges.one("start_time_seconds", "When the gateway started", seconds(status.started_at))?;
    gauges.one("scans_waiting", "Scans that wait for a commit", status.scans.waiting as f64)?;
    let mut problems: Vec<([(&str, &str); 2], f64)> = Vec::new();
    for problem in &status.problems {
        let severity = match problem.severity {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
        };
        let labels = [("severity", severity), ("what", problem.what)];
        match problems.iter_mut().find(|(of, _)| *of == labels) {
            Some((_, count)) => *count += 1.0,
            None => problems.push((labels, 1.0)),
        }
    }
    gauges.each("problems", "What is wrong, as the status page says; absent while nothing is", problems)
}

fn doors(gauges: &mut Gauges<'_>, status: &SiteStatus, clock_tolerance_ms: u64) -> fmt::Result {
    let doors = &status.doors;
    let online = doors.iter().filter(|door| door.connected);
    let is_off = |offset_ms: i64| offset_ms.unsigned_abs() > clock_tolerance_ms;
    let clock_off = online.clone().filter(|door| door.clock_offset_ms.is_some_and(is_off)).count();
    let missing: u64 = doors.iter().map(|door| door.missing_scans).sum();
    gauges.one("doors_registered", "Doors in doors.toml", doors.len() as f64)?;
    gauges.one("doors_online", "Registered doors whose readers are connected", online.count() as f64)?;
    gauges.one("doors_clock_off", "Connected readers whose clocks are off by more than allowed", clock_off as f64)?;
    gauges.one("doors_missing_scans", "Scans that readers have skipped and not sent since", missing as f64)
}

fn directory(gauges: &mut Gauges<'_>, status: &SiteStatus, age_days_max: u32) -> fmt::Result {
    gauges.one("directory_credentials", "Credentials in the directory", status.directory_credentials as f64)?;
    let changed_at = status.directory_changed_at.map(seconds);
    let help = "When the directory was last changed; absent where that is not known";
    gauges.maybe("directory_changed_timestamp_seconds", help, changed_at)?;
    let expires_after = (i64::from(age_days_max) * DAY_MS) as f64 / 1000.0;
    let help = "From when on staff are sent to a helper, unless the directory is changed before";
    gauges.maybe("directory_expires_timestamp_seconds", help, changed_at.map(|at| at + expires_after))
}

/// Writes gauges.
struct Gauges<'a>(DescriptorEncoder<'a>);

impl Gauges<'_> {
    fn one(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn maybe(&mut self, name: &str, help: &str, value: Option<f64>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.one(name, help, value))
    }

    /// One series for each set of labels; nothing where there are none.
    fn each<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        series.try_for_each(|(labels, value)| encoder.encode_family(&labels)?.encode_gauge(&value))
    }
}

/// Seconds since 1970.
fn seconds(at: Instant) -> f64 {
    at.unix_ms() as f64 / 1000.0
}
