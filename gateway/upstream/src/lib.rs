//! The way upstream: every event, in order, at least once, in batches, with a durable cursor.
//!
//! ```text
//!  log ── read after the cursor ──▶ batch ── POST ──▶ upstream
//!   ▲                                                     │
//!   └── keep the cursor ◀── {"acked_through": N} ◀────────┘
//! ```
//!
//! Working days go the same way beside the events, by [`Attendance`], and neither waits for the other.
//!
//! One batch is on its way at a time. The cursor moves only to where the upstream says that everything is safe, and is
//! durable before the next batch leaves. So what is sent twice was never confirmed, and nothing is skipped, with one
//! exception that is on the record: an event that the upstream refuses for good (HTTP 400, 413, 415, 422). Its batch is
//! halved until it stands alone; then it is put in quarantine, and the cursor passes over it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use arc_swap::ArcSwap;
use protocol::{Event, SiteId};
use reqwest::{StatusCode, Url};
use tokio::sync::watch;

use self::backoff::Backoff;
use self::batch::Batch;
use self::client::Reply;
use self::error::Failure;
use self::metrics::{BatchLabels, BatchResult};
use self::size::BatchSize;
use base::clock::Clock;
use store::log::{CommitError, LogError, Quarantined, UpstreamCursor};

pub use self::attendance::{Attendance, AttendanceContext, ChangedDays, DayRows, DaysOver, KeepSent, Row, SentDays};
pub use self::client::client;
pub use self::config::Config;
pub use self::error::ForwardError;
pub use self::metrics::{AttendanceMetrics, Metrics};
pub use self::privacy::{Privacy, Pseudonym, Restricted};
pub use self::progress::Progress;

mod config;
mod error;
mod metrics;

mod privacy;

mod batch;
mod size;

mod attendance;

mod client;

mod backoff;
mod progress;

#[cfg(test)]
mod attendance_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

/// A future that may be sent to another thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Reads the log: events beyond a number, in order; at most so many; stopping at about so many bytes, but at least one
/// when there is one. May block.
pub type ReadEvents = Arc<dyn Fn(u64, usize, usize) -> Result<Vec<Event>, LogError> + Send + Sync>;

/// Waits until the log has an event beyond a number.
pub type EventBeyond = Arc<dyn Fn(u64) -> BoxFuture<()> + Send + Sync>;

/// Makes the cursor durable. Must do no harm when the same one comes again: it does after an error.
pub type KeepCursor = Arc<dyn Fn(UpstreamCursor) -> BoxFuture<Result<(), CommitError>> + Send + Sync>;

/// What a forwarder is made of.
#[derive(Clone)]
pub struct ForwarderContext {
    /// The site, named in every event's `source`.
    pub site: SiteId,
    /// See [`client`]; replaced when its certificate is renewed.
    pub client: Arc<ArcSwap<reqwest::Client>>,
    /// Reads the log.
    pub read: ReadEvents,
    /// Waits for the log.
    pub beyond: EventBeyond,
    /// Keeps the cursor.
    pub keep: KeepCursor,
    /// What of people does not leave the site.
    pub privacy: Privacy,
    /// The cursor as it was last kept; 0 at the very first start.
    pub start_after: u64,
    /// Ranges that were put in quarantine before, first and last event, in order.
    pub quarantined: Vec<(u64, u64)>,
    /// The clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Metrics,
    /// The configuration.
    pub config: Config,
}

/// Sends events upstream.
pub struct Forwarder {
    parts: ForwarderContext,
    url: Url,
    progress: Progress,
    cursor: u64,
    size: BatchSize,
    /// What the upstream has confirmed and the log has not kept yet: no batch leaves before it has.
    unkept: Option<UpstreamCursor>,
}

impl Forwarder {
    /// A forwarder that continues after `parts.start_after`.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn new(parts: ForwarderContext) -> Result<Self, ForwardError> {
        parts.config.validate().map_err(ForwardError::Config)?;
        Ok(Self {
            url: parts.config.parsed_url().map_err(ForwardError::Config)?,
            progress: Progress::new(parts.start_after, parts.quarantined.clone(), parts.metrics.clone()),
            cursor: parts.start_after,
            size: BatchSize::new(parts.config.batch_events_max),
            unkept: None,
            parts,
        })
    }

    /// A handle on what is known of the way upstream; outlives [`Forwarder::run`].
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Sends events until `shutdown` is true or its sender is gone. Waiting ends at once then; a request that is under
    /// way is finished and its cursor kept, so give this a deadline (dropping it is safe: what was under way is sent again).
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let Config { backoff_ms_min, backoff_ms_max, .. } = self.parts.config;
        let mut backoff = Backoff::new(Duration::from_millis(backoff_ms_min), Duration::from_millis(backoff_ms_max));
        let mut announced = None;
        while !stopping(&shutdown) {
            let step = match self.step().await {
                // Without this a log at odds with itself would keep a processor busy.
                Ok(Step::CaughtUp) if announced == Some(self.cursor) => {
                    announced = None;
                    Err(Failure::new(format!("the log has announced an event after {} and gives none", self.cursor)))
                }
                step => step,
            };
            match step {
                Ok(Step::Advanced) => backoff.reset(),
                Ok(Step::Narrowed) => {}
                Ok(Step::CaughtUp) => {
                    or_stop((self.parts.beyond)(self.cursor), &mut shutdown).await;
                    announced = Some(self.cursor);
                }
                Err(failure) => {
                    let wait = backoff.next(failure.retry_after);
                    self.note_failure(&failure, wait);
                    or_stop(tokio::time::sleep(wait), &mut shutdown).await;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Failure> {
        if self.unkept.is_some() {
            return self.settle().await;
        }
        let Some(batch) = self.next_batch().await? else {
            return Ok(Step::CaughtUp);
        };
        let ForwarderContext { client, metrics, config, .. } = &self.parts;
        let client = client.load_full();
        metrics.events_sent.inc_by(batch.events as u64);
        let started = Stopwatch::now();
        let reply = client::post(&client, &self.url, &batch, config.answer_bytes_max).await;
        metrics.request_seconds.observe(started.elapsed().as_secs_f64());
        match reply {
            Reply::AckedThrough(number) => self.accepted(&batch, number).await,
            Reply::Refused(status) => self.refused(&batch, status).await,
            Reply::Failed(failure) => {
                self.count(BatchResult::Failed);
                Err(failure)
            }
        }
    }

    async fn next_batch(&self) -> Result<Option<Batch>, Failure> {
        let (read, site, after) = (Arc::clone(&self.parts.read), self.parts.site.clone(), self.cursor);
        let (events_max, bytes_max) = (self.size.next(), self.parts.config.batch_bytes_max);
        let privacy = self.parts.privacy.clone();
        let batch = tokio::task::spawn_blocking(move || {
            let mut events = read(after, events_max, bytes_max).map_err(|error| error.to_string())?;
            events.truncate(events_max);
            events.iter_mut().try_for_each(|event| privacy.event(event))?;
            Batch::of(&site, events, bytes_max).map_err(|error| error.to_string())
        });
        let batch = batch.await.map_err(|error| error.to_string()).and_then(|batch| batch);
        let batch = batch.map_err(|error| Failure::new(format!("events after {after} cannot be read: {error}")))?;
        match &batch {
            Some(batch) if batch.first <= after => {
                Err(Failure::new(format!("the log gave event {} where one after {after} was asked for", batch.first)))
            }
            _ => Ok(batch),
        }
    }

    async fn accepted(&mut self, batch: &Batch, number: u64) -> Result<Step, Failure> {
        if number < batch.first {
            self.count(BatchResult::Failed);
            return Err(Failure::new(format!(
                "the upstream has taken events through {number} only, this batch is {} to {}: has it lost some?",
                batch.first, batch.last
            )));
        }
        let acked_through = number.min(batch.last);
        let left = usize::try_from(batch.last - acked_through).unwrap_or(usize::MAX);
        self.size.accepted(batch.events.saturating_sub(left));
        self.count(if left == 0 { BatchResult::Accepted } else { BatchResult::Partial });
        self.note_hole(batch);
        if let Some(since) = self.progress.succeeded(self.parts.clock.now()) {
            tracing::info!(acked_through, failing_since = %since, "the upstream takes events again");
        }
        self.unkept = Some(UpstreamCursor { acked_through, quarantined: None });
        self.settle().await
    }

    async fn refused(&mut self, batch: &Batch, status: StatusCode) -> Result<Step, Failure> {
        self.count(BatchResult::Refused);
        if batch.events > 1 {
            tracing::debug!(first = batch.first, last = batch.last, status = status.as_u16(), "batch refused: halved");
            match status {
                StatusCode::PAYLOAD_TOO_LARGE => self.size.too_large(batch.events),
                _ => self.size.refused(batch.events),
            }
            return Ok(Step::Narrowed);
        }
        let limit = self.parts.config.quarantined_events_max;
        if self.progress.quarantined_events() >= limit {
            self.parts.metrics.quarantine_full.inc();
            return Err(Failure::new(format!(
                "the upstream refuses event {} with HTTP {status}, and the quarantine is full with {limit} events: mend \
                 the upstream, or raise quarantined_events_max",
                batch.first
            )));
        }
        self.note_hole(batch);
        self.size.isolated();
        let reason = format!("HTTP {}", status.as_u16());
        let quarantined =
            Some(Quarantined { first: batch.first, last: batch.last, reason, at: self.parts.clock.now() });
        self.unkept = Some(UpstreamCursor { acked_through: batch.last, quarantined });
        tracing::warn!(event = batch.first, status = status.as_u16(), "the upstream refuses an event: quarantined");
        self.settle().await
    }

    /// Makes the confirmed cursor durable, then moves it.
    async fn settle(&mut self) -> Result<Step, Failure> {
        let Some(cursor) = &self.unkept else {
            return Ok(Step::Advanced);
        };
        (self.parts.keep)(cursor.clone())
            .await
            .map_err(|error| Failure::new(format!("the cursor {} cannot be kept: {error}", cursor.acked_through)))?;
        self.cursor = cursor.acked_through;
        self.progress.acked(self.cursor);
        if let Some(refused) = &cursor.quarantined {
            self.progress.quarantined(refused);
            self.parts.metrics.quarantined_events.inc();
        }
        self.unkept = None;
        Ok(Step::Advanced)
    }

    fn note_hole(&self, batch: &Batch) {
        let missing = batch.first.saturating_sub(self.cursor).saturating_sub(1);
        if missing > 0 {
            self.parts.metrics.missing_events.inc_by(missing);
            let (after, before) = (self.cursor, batch.first);
            tracing::error!(after, before, missing, "events were gone from the log before the upstream had them");
        }
    }

    fn note_failure(&self, failure: &Failure, wait: Duration) {
        self.parts.metrics.retries.inc();
        let (error, wait_ms) = (failure.what.as_str(), wait.as_millis());
        if self.progress.failed(self.parts.clock.now(), error) {
            tracing::warn!(error, wait_ms, after = self.cursor, "events cannot be sent upstream, trying on");
        } else {
            tracing::debug!(error, wait_ms, after = self.cursor, "events still cannot be sent upstream");
        }
    }

    fn count(&self, result: BatchResult) {
        self.parts.metrics.batches.get_or_create(&BatchLabels { result }).inc();
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// What a step has come to.
enum Step {
    /// The cursor has moved.
    Advanced,
    /// The next batch is smaller.
    Narrowed,
    /// There is nothing to send.
    CaughtUp,
}

fn stopping(shutdown: &watch::Receiver<bool>) -> bool {
    *shutdown.borrow() || shutdown.has_changed().is_err()
}

async fn or_stop(waiting: impl Future<Output = ()>, shutdown: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = waiting => {}
        // Either it is true, or nobody is left who could make it so.
        _ = shutdown.wait_for(|stop| *stop) => {}
    }
}
