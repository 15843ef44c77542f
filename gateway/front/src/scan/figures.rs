//! What the spine tells of its work: metrics for machines, figures for the status page.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram as Latencies;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use protocol::{CredentialKind, DoorId, Event, Instant, Outcome, Subject};

use super::State;
use access::{Occupancy, pass_faults};
use protocol::api::{Percentiles, ScanStatus};

/// Seconds over which the rate of scans is told.
const RATE_SECONDS: usize = 10;

/// How long one window of latencies lasts, in milliseconds; the last two are told.
const LATENCY_WINDOW_MS: i64 = 30_000;

/// Largest latency that is told apart from larger ones, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// The spine's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Events kept, by outcome.
    pub kept: Family<OutcomeLabel, Counter>,
    /// Kept scans of passes that do not count, by why; not of late scans, whose event does not say.
    pub pass_faults: Family<FaultLabel, Counter>,
    /// Kept payloads that were no scans.
    pub malformed: Counter,
    /// Scans that were sent before and are answered again.
    pub duplicates: Counter,
    /// Helpers' words kept, by what they say and what came of it.
    pub assists: Family<AssistLabels, Counter>,
    /// Resent scans that were looked up in the log.
    pub recalled: Counter,
    /// Scans that had to be let go; their readers send them again.
    pub refused: Counter,
    /// Scans that are held until the log works again.
    pub held: Gauge,
    /// From a scan's arrival to its commit, in seconds.
    pub seconds: Histogram,
}

/// The label of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    outcome: &'static str,
}

/// The label of a pass that does not count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FaultLabel {
    /// One of [`pass_faults`].
    reason: &'static str,
}

/// The labels of a helper's word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AssistLabels {
    action: &'static str,
    /// The verdict's reason; one of a few.
    result: String,
}

/// What the spine tells the status page. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Figures(Arc<Mutex<Inner>>);

/// What the spine knows of one door.
#[derive(Clone, Copy, Debug, Default)]
pub struct DoorFigures {
    /// When its last scan arrived, since the gateway started.
    pub last_scan_at: Option<Instant>,
    /// Scans kept of it since the gateway started.
    pub scans: u64,
    /// Sequence numbers that it has skipped and not sent since.
    pub missing_scans: u64,
}

#[derive(Debug)]
struct Inner {
    kept: u64,
    /// Scans per second, the newest last, with the second that they belong to.
    seconds: VecDeque<(i64, u64)>,
    /// The running window of latencies in microseconds, and the one before it.
    running: Option<Latencies<u32>>,
    previous: Option<Latencies<u32>>,
    window_started_at: Instant,
    doors: HashMap<DoorId, DoorFigures>,
    occupancy: Occupancy,
}

impl Metrics {
    /// Registers the spine's metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let buckets = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
        let metrics = Self {
            kept: Family::default(),
            pass_faults: Family::default(),
            malformed: Counter::default(),
            assists: Family::default(),
            duplicates: Counter::default(),
            recalled: Counter::default(),
            refused: Counter::default(),
            held: Gauge::default(),
            seconds: Histogram::new(buckets),
        };
        // From the start at 0: the first of a kind is then seen to rise.
        for outcome in Outcome::ALL {
            drop(metrics.kept.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }));
        }
        for reason in pass_faults() {
            drop(metrics.pass_faults.get_or_create(&FaultLabel { reason }));
        }
        registry.register("scans_kept", "Events kept on disk, by outcome", metrics.kept.clone());
        let help = "Kept scans of passes that do not count, by why; not of late scans";
        registry.register("scans_pass_faults", help, metrics.pass_faults.clone());
        registry.register("scans_malformed", "Kept payloads that were no scans", metrics.malformed.clone());
        registry.register("assists", "Helpers' words kept on disk, by action and result", metrics.assists.clone());
        registry.register("scans_duplicates", "Scans sent before, answered again", metrics.duplicates.clone());
        registry.register("scans_recalled", "Resent scans looked up in the log", metrics.recalled.clone());
        registry.register("scans_refused", "Scans let go for want of room, to be sent again", metrics.refused.clone());
        registry.register("scans_held", "Scans held until the log works again", metrics.held.clone());
        registry.register("scans_seconds", "From a scan's arrival to its commit", metrics.seconds.clone());
        metrics
    }

    /// Counts what a commit has kept.
    pub fn count(&self, event: &Event, latency: Duration) {
        self.kept.get_or_create(&OutcomeLabel { outcome: event.verdict.outcome.as_str() }).inc();
        if matches!(event.subject, Subject::Malformed(_)) {
            self.malformed.inc();
        }
        if let Some(label) = FaultLabel::of(event) {
            self.pass_faults.get_or_create(&label).inc();
        }
        if let Some(labels) = AssistLabels::of(event) {
            self.assists.get_or_create(&labels).inc();
        }
        self.seconds.observe(latency.as_secs_f64());
    }
}

impl FaultLabel {
    /// The label of an event that keeps a scan of a pass that does not count. A policy may give reasons of its own to passes
    /// that do: those are none.
    fn of(event: &Event) -> Option<Self> {
        let Subject::Scan(scan) = &event.subject else { return None };
        if !matches!(scan.kind, Some(CredentialKind::Pass | CredentialKind::HealthCertificate)) {
            return None;
        }
        let reason = pass_faults().find(|fault| *fault == event.verdict.reason)?;
        Some(Self { reason })
    }
}

impl AssistLabels {
    /// The labels of an event that keeps a helper's word.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let Subject::Assist(word) = &event.subject else { return None };
        Some(Self { action: word.action.as_str(), result: event.verdict.reason.clone() })
    }
}

impl Figures {
    /// Figures of a spine that starts with `state`.
    pub fn new(state: &State, now: Instant) -> Self {
        let figures = Self(Arc::new(Mutex::new(Inner {
            kept: 0,
            seconds: VecDeque::new(),
            running: window(),
            previous: None,
            window_started_at: now,
            doors: HashMap::new(),
            occupancy: Occupancy::default(),
        })));
        figures.restart(state);
        figures
    }

    /// Takes the doors' missing scans and the occupancy from a rebuilt state.
    pub fn restart(&self, state: &State) {
        self.with(|inner| {
            for (door, missing_scans) in state.doors() {
                inner.doors.entry(door.clone()).or_default().missing_scans = missing_scans;
            }
            inner.occupancy = state.presence().occupancy().clone();
        });
    }

    /// Takes note of events that were committed at `now`, and how long after their arrival.
    pub fn kept<'a>(&self, events: impl Iterator<Item = (&'a Event, Duration)>, state: &State, now: Instant) {
        self.with(|inner| {
            // A helper's word is no scan.
            for (event, latency) in events.filter(|(event, _)| !matches!(event.subject, Subject::Assist(_))) {
                inner.count(now);
                inner.latency(latency);
                let door = match inner.doors.get_mut(&event.door) {
                    Some(door) => door,
                    None => inner.doors.entry(event.door.clone()).or_default(),
                };
                door.last_scan_at = Some(event.received_at);
                door.scans += 1;
                door.missing_scans = state.missing(&event.door);
            }
            inner.occupancy.clone_from(state.presence().occupancy());
        });
    }

    /// Rates and latencies as of `now`; `waiting` scans are in the queue.
    pub fn scans(&self, waiting: usize, now: Instant) -> ScanStatus {
        self.with(|inner| {
            let second = now.unix_ms().div_euclid(1000);
            let recent = inner.seconds.iter().filter(|(at, _)| *at < second && *at >= second - RATE_SECONDS as i64);
            let per_second = recent.map(|(_, count)| *count).sum::<u64>() as f64 / RATE_SECONDS as f64;
            ScanStatus { kept: inner.kept, per_second, latency_ms: inner.percentiles(now), waiting: waiting as u64 }
        })
    }

    /// What is known of every door.
    pub fn doors(&self) -> HashMap<DoorId, DoorFigures> {
        self.with(|inner| inner.doors.clone())
    }

    /// How many people are where.
    pub fn occupancy(&self) -> Occupancy {
        self.with(|inner| inner.occupancy.clone())
    }

    fn with<T>(&self, see: impl FnOnce(&mut Inner) -> T) -> T {
        see(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn count(&mut self, now: Instant) {
        self.kept += 1;
        let second = now.unix_ms().div_euclid(1000);
        match self.seconds.back_mut() {
            Some((at, count)) if *at == second => *count += 1,
            _ => self.seconds.push_back((second, 1)),
        }
        while self.seconds.len() > RATE_SECONDS + 1 {
            self.seconds.pop_front();
        }
        let age_ms = now.ms_since(self.window_started_at).unsigned_abs();
        if age_ms >= LATENCY_WINDOW_MS.unsigned_abs() {
            let ended = std::mem::replace(&mut self.running, window());
            self.previous = ended.filter(|_| age_ms < 2 * LATENCY_WINDOW_MS.unsigned_abs());
            self.window_started_at = now;
        }
    }

    fn latency(&mut self, latency: Duration) {
        if let Some(running) = &mut self.running {
            running.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX));
        }
    }

    fn percentiles(&self, now: Instant) -> Option<Percentiles> {
        if now.ms_since(self.window_started_at) > 2 * LATENCY_WINDOW_MS {
            return None;
        }
        let mut both = self.running.clone()?;
        if let Some(previous) = &self.previous {
            both.add(previous).ok()?;
        }
        let ms = |quantile| both.value_at_quantile(quantile) as f64 / 1000.0;
        (!both.is_empty()).then(|| Percentiles { p50: ms(0.5), p99: ms(0.99) })
    }
}

fn window() -> Option<Latencies<u32>> {
    Latencies::new_with_max(LATENCY_US_MAX, 2).ok()
}
