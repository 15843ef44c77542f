//! What the spine tells the status page of its work.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::Occupancy;
use hdrhistogram::Histogram as Latencies;
use protocol::api::{Percentiles, ScanStatus};
use protocol::{DoorId, Event, EventKind, Instant};

use super::state::State;

/// Seconds over which the rate of scans is told.
const RATE_SECONDS: usize = 10;

/// How long one window of latencies lasts, in milliseconds; the last two are told.
const LATENCY_WINDOW_MS: i64 = 30_000;

/// Largest latency that is told apart from larger ones, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// What the spine tells the status page. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SpineStatus(Arc<Mutex<Inner>>);

/// What the spine knows of one door.
#[derive(Clone, Copy, Debug, Default)]
pub struct DoorScanStatus {
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
    doors: HashMap<DoorId, DoorScanStatus>,
    occupancy: Occupancy,
}

impl SpineStatus {
    /// Figures of a spine that starts with `state`.
    pub fn new(state: &State, now: Instant) -> Self {
        let status = Self(Arc::new(Mutex::new(Inner {
            kept: 0,
            seconds: VecDeque::new(),
            running: window(),
            previous: None,
            window_started_at: now,
            doors: HashMap::new(),
            occupancy: Occupancy::default(),
        })));
        status.restart(state);
        status
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
    pub fn committed<'a>(&self, events: impl Iterator<Item = (&'a Event, Duration)>, state: &State, now: Instant) {
        self.with(|inner| {
            // An assist request is no scan.
            for (event, latency) in events.filter(|(event, _)| !matches!(event.subject, EventKind::Assist(_))) {
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
    pub fn doors(&self) -> HashMap<DoorId, DoorScanStatus> {
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
