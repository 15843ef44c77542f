//! What the demo came to, after the audit.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::{audit, load};

/// What the demo came to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Distinct scans that the readers made.
    pub scans: u64,
    /// Of those, acknowledged ones.
    pub acked: u64,
    /// Of those, answered ones.
    pub decisions: u64,
    /// Of the scans, malformed ones that nobody can tell apart: they are kept, and never answered.
    pub unidentified: u64,
    /// Events in the gateway's log.
    pub stored: u64,
    /// Distinct events that arrived upstream.
    pub forwarded: u64,
    /// Events that the upstream refused for good.
    pub quarantined: u64,
    /// Acknowledged scans that are not in the log, and events that are not upstream.
    pub lost: u64,
    /// Scans that are in the log more than once.
    pub duplicated: u64,
    /// Places where the log or the upstream's ledger is out of order.
    pub out_of_order: u64,
    /// Answers that contradict an earlier one, or the log.
    pub conflicting_decisions: u64,
    /// Scans under numbers that others had: readers that were replaced count from 1 again.
    pub numbers_reused: u64,
    /// Events that are wrongly marked as such, or not marked.
    pub mismarked: u64,
    /// Scans that are filed under another time than they were made.
    pub times_wrong: u64,
    /// Scans of known badges that were not recognised.
    pub not_recognised: u64,
    /// Answers that promised nothing.
    pub unavailable: u64,
    /// Repetitions because something was lost or could not be promised.
    pub resent: u64,
    /// Connections after a reader's first.
    pub reconnects: u64,
    /// Decisions, by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// From when a scan was due to its decision.
    pub latency_ms: load::report::Percentiles,
    /// Scans a second that were acknowledged and answered.
    pub rate: f64,
    /// How long the readers scanned.
    pub seconds: f64,
    /// What is wrong, in words; empty when nothing is.
    pub problems: Vec<String>,
}

impl Summary {
    /// Puts together what the readers say and what the audit found.
    pub fn new(fleet: &load::Report, audit: &audit::Report) -> Self {
        let mut problems = fleet.problems();
        problems.extend(audit.problems());
        problems.extend(audit.examples.iter().cloned());
        Self {
            scans: fleet.scans,
            acked: fleet.acked,
            decisions: fleet.decisions,
            unidentified: fleet.unidentified,
            stored: audit.stored,
            forwarded: audit.forwarded.unwrap_or(0),
            quarantined: audit.quarantined,
            lost: audit.lost,
            duplicated: audit.duplicated,
            out_of_order: audit.out_of_order,
            conflicting_decisions: fleet.conflicting_decisions + audit.conflicting,
            numbers_reused: audit.numbers_reused,
            mismarked: audit.mismarked,
            times_wrong: audit.times_wrong,
            not_recognised: audit.not_recognised,
            unavailable: fleet.unavailable,
            resent: fleet.resent,
            reconnects: fleet.reconnects,
            outcomes: fleet.outcomes.clone(),
            latency_ms: fleet.latency_ms.decision,
            rate: fleet.rate,
            seconds: fleet.seconds,
            problems,
        }
    }

    /// Whether everything went as it must.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcomes: Vec<String> = self.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let latency = self.latency_ms;
        for (name, value) in [
            ("scans", format!("{} ({} resent, {} reconnects)", self.scans, self.resent, self.reconnects)),
            ("acknowledged", self.acked.to_string()),
            ("decisions", format!("{} ({})", self.decisions, outcomes.join(", "))),
            ("never answered", format!("{} malformed scans without a readable number", self.unidentified)),
            ("in the log", self.stored.to_string()),
            ("upstream", format!("{} ({} in quarantine)", self.forwarded, self.quarantined)),
            ("lost", self.lost.to_string()),
            ("twice", self.duplicated.to_string()),
            ("out of order", self.out_of_order.to_string()),
            ("contradictions", self.conflicting_decisions.to_string()),
            ("numbers reused", format!("{} ({} wrongly marked)", self.numbers_reused, self.mismarked)),
            ("wrong time", self.times_wrong.to_string()),
            ("not recognised", self.not_recognised.to_string()),
            ("rate", format!("{:.0} scans/s over {:.1} s", self.rate, self.seconds)),
            (
                "scan to decision",
                format!("{} ms median, {} ms 99 %, {} ms longest", latency.p50, latency.p99, latency.max),
            ),
        ] {
            writeln!(f, "{name:<18}{value}")?;
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM           {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::Tally;

    #[test]
    fn a_summary_has_what_scripts_read_and_names_what_is_wrong() {
        let mut tally = Tally::new().unwrap();
        (tally.scans, tally.acked, tally.decisions, tally.connected) = (3, 3, 3, 1);
        let fleet = load::Report::new(1, tally);
        let clean = audit::Report { acked: 3, stored: 3, forwarded: Some(3), ..audit::Report::default() };
        let summary = Summary::new(&fleet, &clean);
        assert!(summary.is_clean());
        let json = serde_json::to_value(&summary).unwrap();
        for name in ["scans", "acked", "decisions", "stored", "forwarded"] {
            assert_eq!(json[name], 3, "{name}");
        }
        for name in ["lost", "duplicated", "out_of_order"] {
            assert_eq!(json[name], 0, "{name}");
        }
        assert!(json["latency_ms"]["p50"].is_number() && json["latency_ms"]["p99"].is_number());

        let lossy = audit::Report { lost: 1, not_stored: 1, ..clean };
        let summary = Summary::new(&fleet, &lossy);
        assert!(!summary.is_clean() && summary.to_string().contains("1 acknowledged scans are not in the log"));
        assert!(!Summary::new(&load::Report::new(0, Tally::new().unwrap()), &audit::Report::default()).is_clean());
    }
}
