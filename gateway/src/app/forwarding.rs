//! The way upstream: events in order, and working days beside them.

use std::sync::Arc;

use anyhow::Result;
use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Core;
use super::inputs::upstream_client;
use super::personal::Personal;
use super::working_days::{WorkingDays, attendance_forwarder};
use crate::config::Config;
use base::clock::Clock;
use store::log::UPSTREAM;
use upstream::{self, Forwarder};

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
    let forwarder = Forwarder::new(upstream::Parts {
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
    let (rules, rows, changed) = (personal.current.clone(), personal.ledgers.clone(), personal.views.clone());
    let days = WorkingDays {
        rules: Arc::new(move || rules.rules()),
        rows: Arc::new(move |day| rows.rows_upstream(day)),
        changed: Arc::new(move || changed.changed_days()),
    };
    let attendance = attendance_forwarder(config, registry, (reader, scans), clock, &client, privacy, days)?;
    tasks.extend(attendance.map(|attendance| tokio::spawn(attendance.run(stop.clone()))));
    Ok(Some(Forwarding { tasks, progress, client }))
}
