//! The way upstream: events in order, and working days beside them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::personal::Personal;
use super::spine::Core;
use crate::config::Config;
use crate::inputs::upstream_client;
use base::clock::Clock;
use store::log::UPSTREAM;
use upstream::{self, AttendanceContext, AttendanceMetrics, Forwarder};

/// Time between two checks of the working days.
const INTERVAL: Duration = Duration::from_secs(300);

/// How long after its last shift a day counts as over: most people have left by then.
const GRACE_MINUTES: u32 = 60;

/// Days that may still change: a reader that was cut off sends its scans within that time.
const DAYS: u32 = 31;

/// The way upstream.
pub(super) struct Forwarding {
    pub(super) tasks: Vec<JoinHandle<()>>,
    pub(super) progress: upstream::Progress,
    pub(super) client: Arc<ArcSwap<reqwest::Client>>,
}

/// Starts to forward events, and working days where that is asked for; nothing where there is no upstream.
///
/// # Errors
/// When the configuration is wrong, or the log cannot be read.
pub(super) fn start(
    config: &Config,
    registry: &mut Registry,
    core: &Core,
    personal: &Personal,
    clock: &Clock,
    stop: &watch::Receiver<bool>,
) -> Result<Option<Forwarding>> {
    let Some(upstream) = &config.upstream else { return Ok(None) };
    let client = Arc::new(ArcSwap::from_pointee(upstream_client(upstream)?));
    let Core { reader, scans, .. } = core;
    let privacy = personal.subjects.upstream_privacy(config.privacy.pseudonymise_upstream);
    let (read, beyond, keep) = (reader.clone(), reader.clone(), scans.clone());
    let forwarder = Forwarder::new(upstream::ForwarderContext {
        site: config.site.name.clone(),
        client: Arc::clone(&client),
        read: Arc::new(move |after, events_max, bytes_max| read.read(after, events_max, bytes_max)),
        beyond: Arc::new(move |number| {
            let reader = beyond.clone();
            Box::pin(async move { drop(reader.wait_beyond(number).await) })
        }),
        keep: Arc::new(move |cursor| {
            let scans = keep.clone();
            Box::pin(async move { scans.keep(cursor).await })
        }),
        privacy: privacy.clone(),
        start_after: reader.cursor(UPSTREAM)?.unwrap_or(0),
        quarantined: reader.quarantined()?.iter().map(|range| (range.first, range.last)).collect(),
        clock: clock.clone(),
        metrics: upstream::Metrics::new(registry),
        config: upstream.clone(),
    })?;
    let (progress, newest) = (forwarder.progress(), reader.clone());
    progress.register_backlog(registry, move || newest.last_event());
    let mut tasks = vec![tokio::spawn(forwarder.run(stop.clone()))];
    if config.attendance.upstream {
        let working_days = working_days(upstream, registry, core, personal, clock, &client, privacy)?;
        tasks.push(tokio::spawn(working_days.run(stop.clone())));
    }
    Ok(Some(Forwarding { tasks, progress, client }))
}

/// What sends working days.
fn working_days(
    upstream: &upstream::Config,
    registry: &mut Registry,
    core: &Core,
    personal: &Personal,
    clock: &Clock,
    client: &Arc<ArcSwap<reqwest::Client>>,
    privacy: upstream::Privacy,
) -> Result<upstream::Attendance> {
    let (reader, scans) = (core.reader.clone(), core.scans.clone());
    let (in_force, rows, changed) = (personal.in_force.clone(), personal.ledgers.clone(), personal.views.clone());
    let attendance = upstream::Attendance::new(AttendanceContext {
        site: personal.ledgers.config.site.name.clone(),
        client: Arc::clone(client),
        days: Arc::new(move |now| in_force.rules().days_over(now, DAYS, GRACE_MINUTES)),
        changed: Arc::new(move || changed.changed_days()),
        rows: Arc::new(move |day| rows.rows_upstream(day)),
        sent: Arc::new(move |prefix| reader.cursors(prefix)),
        keep: Arc::new(move |name, hash| {
            let scans = scans.clone();
            Box::pin(async move { scans.keep_cursor(name, hash).await })
        }),
        privacy,
        clock: clock.clone(),
        metrics: AttendanceMetrics::new(registry),
        config: upstream.clone(),
        interval: INTERVAL,
    })?;
    Ok(attendance)
}
