//! What all readers of a fleet share.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rumqttc::QoS;
use tokio::sync::Notify;

use super::backlog::Backlog;
use super::ledger::AckedLedger;
use super::mix::{Badges, Mix};
use super::readers::ReaderMix;
use super::schedule::Schedule;
use super::tally::Tallies;
use crate::chance::Chance;

/// What all readers of a fleet share.
pub(super) struct Shared {
    pub(super) readers: usize,
    pub(super) epoch: u32,
    pub(super) relay: bool,
    pub(super) qos: QoS,
    pub(super) in_flight: u16,
    pub(super) mix: Mix,
    pub(super) kinds: ReaderMix,
    /// When readers without a clock were switched on, in Unix milliseconds.
    pub(super) switched_on_ms: i64,
    pub(super) badges: Badges,
    /// What is sent instead of a mix.
    pub(super) backlog: Option<Arc<Backlog>>,
    pub(super) chance: Chance,
    pub(super) reconnects_per_minute: f64,
    pub(super) pace: Pace,
    /// Scans of the whole run; `None` while time is the only limit.
    pub(super) scans: Option<u64>,
    /// When the last scan is due at the latest, in microseconds since the start.
    pub(super) end_us: u64,
    /// For how long a reader waits without any progress after that.
    pub(super) drain_us: u64,
    pub(super) tallies: Tallies,
    pub(super) ledger: Option<AckedLedger>,
    /// Readers that are connected and subscribed for the first time.
    pub(super) ready: AtomicUsize,
    /// Readers that have nothing left to do.
    pub(super) finished: AtomicUsize,
    /// One of the two has changed.
    pub(super) changed: Notify,
    /// When scanning began, by both clocks.
    pub(super) start: OnceLock<(Instant, i64)>,
}

/// When scans are made.
pub(super) enum Pace {
    /// Open loop: when the schedule says, whatever the gateway does.
    Scheduled(Schedule),
    /// Closed loop: as soon as an earlier one is answered.
    Saturated,
}

impl Shared {
    /// Scanning begins now.
    pub(super) fn begin(&self) {
        self.start.get_or_init(|| (Instant::now(), jiff::Timestamp::now().as_millisecond()));
    }

    /// Microseconds since then; `None` before.
    pub(super) fn now_us(&self) -> Option<u64> {
        let (start, _) = self.start.get()?;
        u64::try_from(start.elapsed().as_micros()).ok()
    }

    /// The moment `us` microseconds after the start.
    pub(super) fn instant(&self, us: u64) -> Option<Instant> {
        let (start, _) = self.start.get()?;
        start.checked_add(Duration::from_micros(us))
    }

    /// The same in Unix milliseconds.
    pub(super) fn wall_ms(&self, us: u64) -> i64 {
        let start_ms = self.start.get().map_or(0, |(_, start_ms)| *start_ms);
        start_ms.saturating_add_unsigned(us / 1_000)
    }
}
