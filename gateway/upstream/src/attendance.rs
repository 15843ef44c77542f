//! Working days upstream: one CloudEvent for each day and office when the day is over, and another when it has changed since.
//!
//! What was sent last is kept in the log as a cursor, `attendance/{day}/{opd}`: the first 8 bytes of the hash of the content. So
//! the same content is sent once, also after a restart; if its answer is lost it is sent again with the same id. Of several
//! events of one day and office the receiver takes the one with the newest `time`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::Date;
use protocol::batch::AttendanceDay;
use protocol::{CloudEvent, Instant, SiteId};
use reqwest::Url;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::backoff::Backoff;
use super::client;
use super::config::Config;
use super::metrics::{AttendanceMetrics, BatchResult, DayLabels};
use super::privacy::Privacy;
use super::{BoxFuture, Failure, ForwardError, or_stop, stopping};
use base::clock::Clock;
use store::log::{CommitError, LogError};

/// Days that are looked at again and again, because somebody may still leave: the last ones that are over.
const RECENT_DAYS: usize = 2;

/// The days that are over and may still change, the oldest first.
pub type DaysOver = Arc<dyn Fn(Instant) -> Vec<Date> + Send + Sync>;

/// The days that may have changed since it was last asked; others are looked at anyway, only later.
pub type ChangedDays = Arc<dyn Fn() -> Vec<Date> + Send + Sync>;

/// A person's working day as JSON, with at least `person`: the person's id.
pub type Row = Map<String, Value>;

/// Each office's rows of a day. May block. An error is for the moment.
pub type DayRows = Arc<dyn Fn(Date) -> Result<Vec<(String, Vec<Row>)>, String> + Send + Sync>;

/// The cursors whose names begin with a prefix. May block.
pub type SentDays = Arc<dyn Fn(&str) -> Result<Vec<(String, u64)>, LogError> + Send + Sync>;

/// Makes a cursor durable, by its name.
pub type KeepSent = Arc<dyn Fn(String, u64) -> BoxFuture<Result<(), CommitError>> + Send + Sync>;

/// What sends working days.
#[derive(Clone)]
pub struct AttendanceContext {
    /// The site, named in every event's `source`.
    pub site: SiteId,
    /// See [`client`](super::client()); replaced when its certificate is renewed.
    pub client: Arc<ArcSwap<reqwest::Client>>,
    /// Which days are over.
    pub days: DaysOver,
    /// Which have changed.
    pub changed: ChangedDays,
    /// What they came to.
    pub rows: DayRows,
    /// What was sent.
    pub sent: SentDays,
    /// Keeps what was sent.
    pub keep: KeepSent,
    /// What of people does not leave the site. Nothing is sent of a day of somebody whose data may not be used.
    pub privacy: Privacy,
    /// The clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: AttendanceMetrics,
    /// The way upstream: address, waits, limits.
    pub config: Config,
    /// How often days are looked at.
    pub interval: Duration,
}

/// Sends working days.
pub struct Attendance {
    parts: AttendanceContext,
    url: Url,
    /// Days to look at.
    due: BTreeSet<Date>,
    /// What the upstream will never take, by the cursor's name: tried again when the content is another.
    refused: HashMap<String, u64>,
    failing: bool,
}

/// One office's day, ready to be sent.
struct Day {
    /// The cursor's name.
    name: String,
    hash: u64,
    body: Bytes,
}

impl Attendance {
    /// Prepares it.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn new(parts: AttendanceContext) -> Result<Self, ForwardError> {
        parts.config.validate().map_err(ForwardError::Config)?;
        let url = parts.config.parsed_url().map_err(ForwardError::Config)?;
        // Something may have changed while the gateway was down.
        let due = (parts.days)(parts.clock.now()).into_iter().collect();
        Ok(Self { parts, url, due, refused: HashMap::new(), failing: false })
    }

    /// Sends what is over until `shutdown` is true or its sender is gone. Dropping it is safe: what was under way is sent
    /// again, with the same id.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let Config { backoff_ms_min, backoff_ms_max, .. } = self.parts.config;
        let mut backoff = Backoff::new(Duration::from_millis(backoff_ms_min), Duration::from_millis(backoff_ms_max));
        while !stopping(&shutdown) {
            let wait = match self.look(&shutdown).await {
                Ok(()) => {
                    backoff.reset();
                    self.failing = false;
                    self.parts.interval
                }
                Err(failure) => {
                    let wait = backoff.next(failure.retry_after);
                    self.note_failure(&failure, wait);
                    wait
                }
            };
            or_stop(tokio::time::sleep(wait), &mut shutdown).await;
        }
    }

    /// Looks at every day that is due and sends what is new.
    async fn look(&mut self, shutdown: &watch::Receiver<bool>) -> Result<(), Failure> {
        let over = (self.parts.days)(self.parts.clock.now());
        self.due.extend((self.parts.changed)());
        self.due.extend(over.iter().rev().take(RECENT_DAYS));
        // A day that is not over yet becomes one of the last that are.
        self.due.retain(|day| over.contains(day));
        let mut unread = Ok(());
        for day in self.due.clone() {
            let new = match self.read(day).await {
                Ok(new) => new,
                // The others need not wait for this one.
                Err(failure) => {
                    unread = Err(failure);
                    continue;
                }
            };
            for new in new {
                if stopping(shutdown) {
                    return Ok(());
                }
                self.send(new).await?;
            }
            self.due.remove(&day);
        }
        unread
    }

    /// What of a day was not sent yet.
    async fn read(&self, day: Date) -> Result<Vec<Day>, Failure> {
        let (parts, refused, time) = (self.parts.clone(), self.refused.clone(), self.parts.clock.now());
        let read = tokio::task::spawn_blocking(move || {
            let prefix = format!("attendance/{day}/");
            let sent: HashMap<String, u64> =
                (parts.sent)(&prefix).map_err(|error| error.to_string())?.into_iter().collect();
            let mut opds: BTreeMap<String, Vec<_>> = (parts.rows)(day)?.into_iter().collect();
            // Whoever came and did not after all, or belongs to another office, must go upstream as well.
            for opd in sent.keys().filter_map(|name| name.strip_prefix(&prefix)) {
                opds.entry(opd.to_owned()).or_default();
            }
            let mut days = Vec::new();
            for (opd, rows) in opds {
                let name = format!("{prefix}{opd}");
                let data = content(&parts.privacy, day, opd, rows)?;
                let json = serde_json::to_vec(&data).map_err(|error| error.to_string())?;
                let hash = beginning(&blake3::hash(&json));
                let (last, refused) = (sent.get(&name), refused.get(&name));
                let is_new = last != Some(&hash) && refused != Some(&hash);
                // Where nobody has come nothing is said, unless something else was said before.
                if is_new && !(data.rows.is_empty() && last.is_none()) {
                    let event = CloudEvent::attendance(&parts.site, data, issue(hash, last.copied()), time);
                    days.push(Day { name, hash, body: compressed(&event).map_err(|error| error.to_string())? });
                }
            }
            Ok(days)
        });
        let read = read.await.map_err(|error| error.to_string()).and_then(|days: Result<_, String>| days);
        read.map_err(|error| Failure::new(format!("the working day {day} cannot be read: {error}")))
    }

    async fn send(&mut self, day: Day) -> Result<(), Failure> {
        let Day { name, hash, body } = day;
        let client = self.parts.client.load_full();
        let answer = client::send(&client, &self.url, body, self.parts.config.answer_bytes_max).await?;
        if answer.status.is_success() {
            (self.parts.keep)(name.clone(), hash)
                .await
                .map_err(|error| Failure::new(format!("that a working day was sent cannot be kept: {error}")))?;
            self.refused.remove(&name);
            self.count(BatchResult::Accepted);
        } else {
            let status = answer.status.as_u16();
            tracing::error!(
                day = name,
                status,
                "the upstream refuses a working day, and gets it again when it changes"
            );
            self.refused.insert(name, hash);
            self.count(BatchResult::Refused);
        }
        Ok(())
    }

    fn count(&self, result: BatchResult) {
        self.parts.metrics.days.get_or_create(&DayLabels { result }).inc();
    }

    fn note_failure(&mut self, failure: &Failure, wait: Duration) {
        self.parts.metrics.retries.inc();
        let (error, wait_ms) = (failure.what.as_str(), wait.as_millis());
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(error, wait_ms, "working days still cannot be sent upstream");
        } else {
            tracing::warn!(error, wait_ms, "working days cannot be sent upstream, trying on");
        }
    }
}

impl fmt::Debug for Attendance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attendance").field("due", &self.due).finish_non_exhaustive()
    }
}

/// An office's day as it may be sent.
fn content(privacy: &Privacy, day: Date, opd: String, rows: Vec<Row>) -> Result<AttendanceDay<Row>, String> {
    let rows = rows.into_iter().filter_map(|row| privacy.row(row).transpose());
    let mut rows = rows.collect::<Result<Vec<Row>, String>>()?;
    // By what is sent: the order of ids would tell of them.
    rows.sort_by(|one, other| person(one).cmp(person(other)));
    Ok(AttendanceDay { day: day.to_string(), opd, rows })
}

/// Tells what is sent from all else that is sent of this day and office: what was sent before comes again as another event when
/// something else was sent in between.
fn issue(hash: u64, last: Option<u64>) -> u64 {
    let Some(last) = last else { return hash };
    beginning(&blake3::hash(&[last.to_be_bytes(), hash.to_be_bytes()].concat()))
}

/// The first 16 hexadecimal digits as a number.
fn beginning(hash: &blake3::Hash) -> u64 {
    hash.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

fn compressed(event: &CloudEvent<AttendanceDay<Row>>) -> io::Result<Bytes> {
    let mut body = GzEncoder::new(Vec::new(), Compression::fast());
    body.write_all(&serde_json::to_vec(&[event])?)?;
    Ok(body.finish()?.into())
}

fn person(row: &Row) -> &str {
    row.get("person").and_then(Value::as_str).unwrap_or_default()
}
