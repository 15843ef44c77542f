//! A fleet of readers that scan: open loop at a rate that is fixed in advance, or as fast as they are answered.
//!
//! Every reader is one task with one connection ([`rumqttc`] over mTLS). Latency is measured from when a scan was due,
//! not from when the reader got round to sending it, so that a gateway that stalls cannot hide it.

pub mod args;
pub mod schedule;

pub mod backlog;
pub mod mix;
pub mod readers;

mod connection;
mod reader;
mod reader_session;
mod shared;

pub mod packets;
pub mod recent_scans;

pub mod idle;
pub mod monitors;

pub mod ledger;
pub mod report;
pub mod tally;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::{DoorId, SiteId};
use rumqttc::QoS;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

use crate::chance::Chance;
use crate::tls;
use backlog::Backlog;
use connection::Topics;
use ledger::AckedLedger;
use mix::{Badges, Mix};
use reader::Phase;
use reader_session::ReaderSession;
use readers::ReaderMix;
pub use report::Report;
use schedule::{Profile, Schedule};
use shared::{Pace, Shared};
use tally::Tallies;

/// What a fleet does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the gateway listens: host and port.
    pub address: (String, u16),
    /// The site.
    pub site: SiteId,
    /// One reader for each.
    pub doors: Vec<DoorId>,
    /// Certificates; `None` for plaintext.
    pub identity: Option<Identity>,
    /// How much is scanned.
    pub amount: Amount,
    /// Scans a second of the whole fleet, duplicates included; `None` for as fast as they are answered.
    pub rate: Option<f64>,
    /// How the rate goes.
    pub profile: Profile,
    /// Scans that a reader has in flight at most.
    pub in_flight: u16,
    /// Quality of service of scans.
    pub qos: QoS,
    /// What is scanned.
    pub mix: Mix,
    /// What kinds of readers there are.
    pub readers: ReaderMix,
    /// The badges of good scans.
    pub badges: Badges,
    /// Connections that are cut on purpose, a minute, in the whole fleet.
    pub reconnects_per_minute: f64,
    /// The same seed gives the same scans.
    pub seed: u64,
    /// The epoch of all scans.
    pub epoch: u32,
    /// Where to write down what was acknowledged.
    pub acked: Option<PathBuf>,
    /// Whether there is no gateway but a plain broker, which gives every scan back to its reader.
    pub relay: bool,
    /// For how long readers may take to connect before scanning begins without the rest.
    pub connect_timeout: Duration,
    /// For how long a reader waits without any progress once nothing more is due.
    pub drain: Duration,
}

/// Where a fleet's certificates are.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The site's CA, PEM.
    pub ca: PathBuf,
    /// A folder with `{door}.pem` and `{door}.key`.
    pub certificates: PathBuf,
}

/// How much is scanned.
#[derive(Clone, Debug)]
pub enum Amount {
    /// So many distinct scans; duplicates come on top.
    Scans(u64),
    /// For so long.
    For(Duration),
    /// What the readers have kept from while they were offline, as fast as it is answered, whatever the mix says.
    Backlog(Arc<Backlog>),
}

/// A running fleet.
pub struct Fleet {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    readers: JoinSet<()>,
}

/// Readers that connect at the same time: TLS handshakes are work for both sides.
const CONNECTING_MAX: usize = 64;

impl Fleet {
    /// Connects the readers of `plan`, and returns once all of them are ready or the time is up.
    ///
    /// # Errors
    /// When a certificate or a file cannot be used. A gateway that does not answer is no error here but in the report.
    pub async fn connect(plan: Plan) -> Result<Self> {
        let shared = Arc::new(share(&plan)?);
        let roots = plan.identity.as_ref().map(|identity| tls::roots(&identity.ca)).transpose()?;
        let (phase, _) = watch::channel(Phase::Connecting);
        let gate = Arc::new(Semaphore::new(CONNECTING_MAX));
        let mut readers = JoinSet::new();
        for (reader, door) in plan.doors.iter().enumerate() {
            let tls = match (&plan.identity, &roots) {
                (Some(identity), Some(roots)) => {
                    Some(tls::client(roots.clone(), &identity.certificates, door.as_str())?)
                }
                _ => None,
            };
            let topics = Topics::new(&plan.site, door, plan.relay);
            let address = (plan.address.0.as_str(), plan.address.1);
            let (client, link) = connection::client(address, door, &topics, tls, plan.in_flight);
            let hand = ReaderSession::new(shared.clone(), reader, door.clone(), topics, client);
            readers.spawn(reader::play(shared.clone(), hand, link, phase.subscribe(), gate.clone()));
        }
        let fleet = Self { shared, phase, readers };
        let deadline = Instant::now() + plan.connect_timeout;
        while fleet.shared.ready.load(Ordering::Relaxed) < fleet.shared.readers {
            if timeout_at(deadline, fleet.shared.changed.notified()).await.is_err() {
                break;
            }
        }
        Ok(fleet)
    }

    /// Lets the readers scan until they have nothing left to do. May be dropped: they go on.
    ///
    /// # Errors
    /// When the record of acknowledged scans cannot be written.
    pub async fn scan(&self) -> Result<Report> {
        self.shared.begin();
        self.phase.send_replace(Phase::Scanning);
        let bar = bar(self.shared.scans);
        let mut tick = interval(Duration::from_millis(200));
        while self.shared.finished.load(Ordering::Relaxed) < self.shared.readers {
            tokio::select! {
                () = self.shared.changed.notified() => {}
                _ = tick.tick() => {
                    let (scans, settled) = self.shared.tallies.progress();
                    bar.set_position(settled);
                    bar.set_message(format!("{} in flight", scans.saturating_sub(settled)));
                }
            }
        }
        bar.finish_and_clear();
        self.report()
    }

    /// What the run comes to so far.
    ///
    /// # Errors
    /// When the record of acknowledged scans cannot be written.
    pub fn report(&self) -> Result<Report> {
        if let Some(ledger) = &self.shared.ledger {
            ledger.flush().context("cannot write the record of acknowledged scans")?;
        }
        Ok(Report::new(self.shared.readers, self.shared.tallies.sum()?))
    }

    /// Lets the readers say goodbye.
    ///
    /// # Errors
    /// When the record of acknowledged scans cannot be written.
    pub async fn leave(mut self) -> Result<()> {
        self.phase.send_replace(Phase::Leaving);
        while let Some(left) = self.readers.join_next().await {
            left.context("a reader broke off")?;
        }
        self.report().map(drop)
    }
}

fn share(plan: &Plan) -> Result<Shared> {
    ensure!(!plan.doors.is_empty(), "there is no door: use --doors 1 or more");
    ensure!(plan.in_flight > 0, "--in-flight must be 1 or more");
    let chance = Chance::new(plan.seed);
    let distinct_rate = plan.rate.map(|rate| rate * plan.mix.distinct_share());
    let (scans, backlog) = match (&plan.amount, distinct_rate) {
        (Amount::Scans(scans), _) => (Some(*scans), None),
        (Amount::For(time), Some(rate)) => (Some(schedule::arrivals(rate, *time)), None),
        (Amount::For(_), None) => (None, None),
        (Amount::Backlog(backlog), _) => (Some(backlog.len()), Some(backlog.clone())),
    };
    let (pace, length) = match (scans, distinct_rate, &plan.amount) {
        (_, _, Amount::Backlog(_)) => (Pace::Saturated, Duration::ZERO),
        (Some(scans), Some(rate), _) => {
            let schedule = Schedule::new(scans, rate, plan.profile, chance);
            (Pace::Scheduled(schedule), schedule.length())
        }
        (_, _, Amount::For(time)) => (Pace::Saturated, *time),
        _ => (Pace::Saturated, Duration::ZERO),
    };
    let ledger = plan
        .acked
        .as_ref()
        .map(|path| AckedLedger::create(path).with_context(|| format!("cannot write to {}", path.display())));
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 4);
    Ok(Shared {
        readers: plan.doors.len(),
        epoch: plan.epoch,
        relay: plan.relay,
        qos: plan.qos,
        in_flight: plan.in_flight,
        mix: plan.mix,
        kinds: plan.readers,
        switched_on_ms: jiff::Timestamp::now().as_millisecond(),
        badges: plan.badges.clone(),
        backlog,
        chance,
        reconnects_per_minute: plan.reconnects_per_minute,
        pace,
        scans,
        end_us: us(length),
        drain_us: us(plan.drain),
        tallies: Tallies::new()?,
        ledger: ledger.transpose()?,
        ready: AtomicUsize::new(0),
        finished: AtomicUsize::new(0),
        changed: Notify::new(),
        start: OnceLock::new(),
    })
}

/// A progress bar on standard error; nothing where that is no terminal.
fn bar(scans: Option<u64>) -> ProgressBar {
    let (bar, template) = match scans {
        Some(scans) => (ProgressBar::new(scans), "{bar:40} {pos}/{len} scans, {per_sec}, {msg}, {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {pos} scans, {per_sec}, {msg}, {elapsed}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
