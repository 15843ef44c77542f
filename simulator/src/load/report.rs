//! What a run came to, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::tally::Tally;

/// What a run came to. No badge is in it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Readers that were to take part.
    pub readers: u64,
    /// Readers that have been connected.
    pub connected: u64,
    /// Distinct scans that were made, told apart by door, epoch and sequence number; malformed ones included.
    pub scans: u64,
    /// Of those, malformed ones that nobody can tell apart: they are acknowledged, and never answered.
    pub unidentified: u64,
    /// Scans written to a connection, all repetitions included.
    pub sent: u64,
    /// Distinct scans that were acknowledged.
    pub acked: u64,
    /// Distinct scans that were answered for good.
    pub decisions: u64,
    /// Those, by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Answers that promised nothing: the scan was sent again.
    pub unavailable: u64,
    /// Repetitions because something was lost or could not be promised.
    pub resent: u64,
    /// Repetitions that the mix asked for.
    pub duplicates: u64,
    /// Connections after a reader's first.
    pub reconnects: u64,
    /// Answers that contradict an earlier one to the same scan.
    pub conflicting_decisions: u64,
    /// From the first scan that was due to the last that was settled, in seconds.
    pub seconds: f64,
    /// Scans a second that were acknowledged and answered in that time.
    pub rate: f64,
    /// Latencies, in milliseconds, from when a scan was due; waiting inside the reader counts.
    pub latency_ms: Latencies,
    /// What monitors heard, where some listened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitors: Option<MonitorsReport>,
    /// What went wrong, by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// The first of each kind, in its own words.
    #[serde(skip)]
    pub error_examples: BTreeMap<&'static str, String>,
}

/// The two latencies of a scan.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latencies {
    /// To the PUBACK or PUBCOMP.
    pub ack: Percentiles,
    /// To the decision.
    pub decision: Percentiles,
}

/// What monitors have heard.
#[derive(Clone, Debug, Serialize)]
pub struct MonitorsReport {
    /// Monitors that were to listen.
    pub monitors: u16,
    /// Those that were still connected at the end.
    pub connected: u16,
    /// Decisions that they heard, all together.
    pub messages: u64,
    /// Decisions that the gateway says they have missed, all together.
    pub missed: u64,
    /// Decisions heard a second, all together.
    pub per_second: f64,
    /// From a decision to a monitor, of a sample.
    pub delay_ms: Percentiles,
}

/// Percentiles of a latency, in milliseconds; all 0 when there was none.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Report {
    /// What `tally` comes to, of a fleet of `readers`.
    pub fn new(readers: usize, tally: Tally) -> Self {
        let seconds = tally.last_settled_us as f64 / 1e6;
        Self {
            readers: readers as u64,
            connected: tally.connected,
            scans: tally.scans,
            unidentified: tally.unidentified,
            sent: tally.sent,
            acked: tally.acked,
            decisions: tally.decisions,
            outcomes: tally.outcomes,
            unavailable: tally.unavailable,
            resent: tally.resent,
            duplicates: tally.duplicates,
            reconnects: tally.reconnects,
            conflicting_decisions: tally.conflicting,
            seconds: rounded(seconds),
            rate: if seconds > 0.0 { rounded(tally.settled as f64 / seconds) } else { 0.0 },
            latency_ms: Latencies {
                ack: Percentiles::of(&tally.ack_us),
                decision: Percentiles::of(&tally.decision_us),
            },
            monitors: None,
            errors: tally.errors.iter().map(|(kind, (count, _))| (*kind, *count)).collect(),
            error_examples: tally.errors.into_iter().map(|(kind, (_, words))| (kind, words)).collect(),
        }
    }

    /// What is wrong with the run, in words for people; empty when every scan was acknowledged and answered once and
    /// for all.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut problem = |count: u64, words: &str| {
            if count > 0 {
                problems.push(format!("{count} {words}"));
            }
        };
        problem(self.readers.saturating_sub(self.connected), "readers never got a connection");
        problem(self.scans.saturating_sub(self.acked), "scans were not acknowledged");
        problem(self.scans.saturating_sub(self.unidentified + self.decisions), "scans were not answered");
        let lost = self.monitors.as_ref().map_or(0, |monitors| monitors.monitors - monitors.connected);
        problem(lost.into(), "monitors lost their connection");
        problem(self.conflicting_decisions, "answers contradict an earlier one to the same scan");
        if self.scans == 0 {
            problems.push("nothing was scanned".into());
        }
        problems
    }
}

impl Percentiles {
    /// The percentiles of a histogram in microseconds.
    pub(super) fn of(us: &Histogram<u64>) -> Self {
        let ms = |us: u64| rounded(us as f64 / 1e3);
        if us.is_empty() {
            return Self::default();
        }
        let at = |quantile| ms(us.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: ms(us.max()) }
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String| writeln!(f, "{name:<22}{value}");
        row(f, "readers", format!("{} of {} connected, {} reconnects", self.connected, self.readers, self.reconnects))?;
        row(
            f,
            "scans",
            format!("{} ({} sent, {} resent, {} duplicates)", self.scans, self.sent, self.resent, self.duplicates),
        )?;
        row(f, "acknowledged", self.acked.to_string())?;
        let outcomes: Vec<String> = self.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        row(f, "decisions", format!("{} ({})", self.decisions, outcomes.join(", ")))?;
        if self.unidentified > 0 {
            row(f, "never answered", format!("{} malformed scans without a readable number", self.unidentified))?;
        }
        row(f, "unavailable", self.unavailable.to_string())?;
        row(f, "conflicting decisions", self.conflicting_decisions.to_string())?;
        row(f, "rate", format!("{:.0} scans/s over {:.1} s", self.rate, self.seconds))?;
        row(f, "latency, ms", format!("{:>10}{:>10}{:>10}{:>10}", "p50", "p90", "p99", "max"))?;
        for (name, Percentiles { p50, p90, p99, max }) in
            [("  to PUBACK", self.latency_ms.ack), ("  to decision", self.latency_ms.decision)]
        {
            row(f, name, format!("{p50:>10.2}{p90:>10.2}{p99:>10.2}{max:>10.2}"))?;
        }
        if let Some(MonitorsReport { monitors, connected, messages, missed, per_second, delay_ms }) = &self.monitors {
            let Percentiles { p50, p90, p99, max } = delay_ms;
            row(f, "  to monitors", format!("{p50:>10.2}{p90:>10.2}{p99:>10.2}{max:>10.2}"))?;
            row(f, "monitors", format!("{connected} of {monitors} connected to the end"))?;
            row(f, "decisions heard", format!("{messages} ({per_second:.0} a second, {missed} missed)"))?;
        }
        for (kind, count) in &self.errors {
            let example = self.error_examples.get(kind).map_or("", String::as_str);
            row(f, "error", format!("{count} × {kind}: {example}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use protocol::Outcome;

    use super::*;

    #[test]
    fn percentiles_and_rate_come_from_the_tally() {
        let mut tally = Tally::new().unwrap();
        for ms in 1..=100 {
            tally.decided(Some(Outcome::Granted), ms * 1_000);
        }
        (tally.scans, tally.acked, tally.settled, tally.connected) = (100, 100, 100, 1);
        tally.last_settled_us = 2_000_000;
        let report = Report::new(1, tally);
        assert_eq!((report.rate, report.decisions, report.outcomes["granted"]), (50.0, 100, 100));
        assert!((report.latency_ms.decision.p50 - 50.0).abs() < 0.1);
        assert!((report.latency_ms.decision.max - 100.0).abs() < 0.1);
        assert!(report.problems().is_empty());
        assert!(report.to_string().contains("100 granted"));
    }

    #[test]
    fn whatever_is_missing_is_a_problem() {
        let mut tally = Tally::new().unwrap();
        (tally.scans, tally.acked, tally.decisions, tally.unidentified, tally.conflicting) = (10, 8, 6, 1, 2);
        let problems = Report::new(3, tally).problems();
        assert_eq!(
            problems,
            [
                "3 readers never got a connection",
                "2 scans were not acknowledged",
                "3 scans were not answered",
                "2 answers contradict an earlier one to the same scan"
            ]
        );
        assert_eq!(Report::new(0, Tally::new().unwrap()).problems(), ["nothing was scanned"]);
    }
}
