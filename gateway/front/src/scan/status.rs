//! What the spine tells the status page of its work.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::Occupancy;
use hdrhistogram::Histogram as Latencies;
use protocol::api::{Percentiles, ScanStatus};
use protocol::{ClockQuality, DoorId, Event, EventKind, Instant, ScanId};

use super::arrival::Arrival;
use super::pace::Pace;
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
#[derive(Clone, Debug, Default)]
pub struct DoorScanStatus {
    /// When its last scan arrived, since the gateway started.
    pub last_scan_at: Option<Instant>,
    /// Scans kept of it since the gateway started.
    pub scans: u64,
    /// Sequence numbers that it has skipped and not sent since, and that nobody has acknowledged.
    pub missing_scans: u64,
    /// The highest epoch of its scans, and that epoch's highest sequence number.
    pub highest: Option<ScanId>,
    /// Scans under numbers that others had used.
    pub reused_numbers: Option<Occurrences>,
    /// Payloads that were no scans.
    pub malformed: Option<Occurrences>,
    /// What was wrong with the last of them.
    pub malformed_fault: Option<String>,
    /// Scans of which nobody can tell how long ago they were made.
    pub undated: Option<Occurrences>,
    /// The reader's clock minus the gateway's in milliseconds, as the last of them lets guess.
    pub undated_by_ms: Option<i64>,
}

/// Something that happens at a door now and then, since the gateway started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrences {
    /// How often.
    pub count: u64,
    /// The first time since it last had an end.
    pub first_at: Instant,
    /// The last time.
    pub last_at: Instant,
}

/// What has not happened for so long is over, in milliseconds.
const OVER_AFTER_MS: i64 = 3_600_000;

impl Occurrences {
    /// One more at `now`.
    pub(crate) fn add(occurrences: &mut Option<Self>, now: Instant) {
        let before = occurrences.filter(|before| !before.is_over(now));
        let first_at = before.map_or(now, |before| before.first_at);
        *occurrences = Some(Self { count: before.map_or(0, |before| before.count) + 1, first_at, last_at: now });
    }

    /// Whether it has not happened for so long that it is over.
    pub fn is_over(&self, now: Instant) -> bool {
        now.ms_since(self.last_at) > OVER_AFTER_MS
    }
}

impl DoorScanStatus {
    fn count(&mut self, event: &Event, arrival: &Arrival, now: Instant) {
        self.last_scan_at = Some(event.received_at);
        self.scans += 1;
        if !event.marks.is_empty() {
            Occurrences::add(&mut self.reused_numbers, now);
        }
        let (scanned_at, clock) = match &event.subject {
            EventKind::Scan(scan) => (Some(scan.scanned_at), Some(scan.clock)),
            EventKind::Malformed(malformed) => {
                Occurrences::add(&mut self.malformed, now);
                self.malformed_fault.clone_from(&malformed.fault);
                (malformed.scanned_at, malformed.clock)
            }
            EventKind::Assist(_) => return,
        };
        let off_ms = scanned_at.map(|at| at.ms_since(event.received_at));
        let unknown = arrival.clock_offset_ms.is_none();
        // Ahead, or so far behind that it seems to have waited although it was sent by itself.
        let seems_held = !arrival.maybe_buffered && event.when() < event.received_at;
        match clock {
            Some(ClockQuality::Doubtful) => Occurrences::add(&mut self.undated, now),
            Some(ClockQuality::Ahead) if unknown => Occurrences::add(&mut self.undated, now),
            Some(ClockQuality::Unknown) if unknown && seems_held => Occurrences::add(&mut self.undated, now),
            // Its clock is right, or its status tells how far it is off.
            Some(_) if !arrival.maybe_buffered => {
                self.undated = None;
                return;
            }
            _ => return,
        }
        self.undated_by_ms = off_ms;
    }
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
    pace: Pace,
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
            pace: Pace::default(),
        })));
        status.restart(state);
        status
    }

    /// Takes the doors' missing scans and the occupancy from a rebuilt state.
    pub fn restart(&self, state: &State) {
        self.with(|inner| {
            for (door, missing_scans) in state.doors() {
                let known = inner.doors.entry(door.clone()).or_default();
                (known.missing_scans, known.highest) = (missing_scans, state.highest(door));
            }
            inner.occupancy = state.presence().occupancy().clone();
        });
    }

    /// An operator knows of what was wrong with a door's reader by now: it is a problem again when it happens again.
    pub fn acknowledge(&self, door: &DoorId) {
        self.with(|inner| {
            if let Some(door) = inner.doors.get_mut(door) {
                (door.reused_numbers, door.malformed, door.undated) = (None, None, None);
            }
        });
    }

    /// Takes note of events that were committed at `now`, what brought them, and how long after their arrival.
    pub fn committed<'a>(
        &self,
        events: impl Iterator<Item = (&'a Event, &'a Arrival, Duration)>,
        state: &State,
        now: Instant,
    ) {
        self.with(|inner| {
            // An assist request is no scan.
            for (event, arrival, latency) in events.filter(|(event, ..)| !matches!(event.subject, EventKind::Assist(_)))
            {
                inner.count(now);
                inner.latency(latency);
                let door = match inner.doors.get_mut(&event.door) {
                    Some(door) => door,
                    None => inner.doors.entry(event.door.clone()).or_default(),
                };
                door.count(event, arrival, now);
                (door.missing_scans, door.highest) = (state.missing(&event.door), state.highest(&event.door));
            }
            inner.occupancy.clone_from(state.presence().occupancy());
        });
    }

    /// Takes note of how long scans waited that were answered at `now` and met with no failure of the log.
    pub(super) fn answered(&self, waits: impl Iterator<Item = Duration>, now: Instant) {
        self.with(|inner| waits.for_each(|waited| inner.pace.add(waited, now)));
    }

    /// How long a scan waits for its answer now, at the median of the last half minute.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.with(|inner| inner.pace.median(now))
    }

    /// The highest epoch of a door's scans, and that epoch's highest sequence number.
    pub fn highest(&self, door: &DoorId) -> Option<ScanId> {
        self.with(|inner| inner.doors.get(door).and_then(|door| door.highest))
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
