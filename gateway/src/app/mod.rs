//! Builds the stages, starts them, and stops them in one order: doors, then the way upstream, then the log.

mod assist;
mod edge;
mod forwarding;
mod personal;
mod policies;
mod reloads;
mod sources;
mod spine;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use prometheus_client::registry::Registry;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::inputs;
use crate::reload::{self, Refusals};
use crate::status::{self, StatusSources};
use base::clock::Clock;
use front::doors::{self, FrontContext};
use ledgers::LedgerStore;

pub use self::edge::Addresses;

use self::edge::Edge;
use self::forwarding::Forwarding;
use self::personal::Personal;
use self::spine::{Core, door_settings};

/// How long the stages may take to stop.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// What the world outside tells a running gateway.
#[derive(Debug)]
pub struct Signals {
    /// Turns true when the gateway is to stop.
    pub stop: watch::Receiver<bool>,
    /// Changes when every file is to be read again.
    pub reload: watch::Receiver<u64>,
}

/// Runs a gateway until it is told to stop. `listening` is called once, when doors may connect.
///
/// # Errors
/// When a file, an address or the log cannot be used, or a stage has died.
pub async fn run(config: Config, clock: Clock, signals: Signals, listening: impl FnOnce(Addresses)) -> Result<()> {
    let mut registry = Registry::with_prefix("gapura");
    let core = Core::start(&config, &clock, &mut registry)?;
    let edge = Edge::prepare(&config, &clock, &mut registry).await?;
    let (stop_doors, doors_stop) = watch::channel(false);
    let (stop_rest, rest_stop) = watch::channel(false);

    let personal = Personal::start(&config, &core, &clock, &mut registry)?;
    let forwarding = forwarding::start(&config, &mut registry, &core, &personal, &clock, &rest_stop)?;
    let refusals = Refusals::default();
    let reload_metrics = reload::Metrics::new(&mut registry);
    let http_metrics = web::Metrics::new(&mut registry);
    let site_status =
        Arc::new(status_sources(&config, &clock, &core, &edge, &personal, forwarding.as_ref(), &refusals));
    status::register(&site_status, &mut registry);
    let submitter = assist::submitter(&config, &core, &edge, &clock);
    let sources = sources::sources(&site_status, registry, &edge.tokens, &submitter, &personal);
    let upstream_client = forwarding.as_ref().map(|forwarding| Arc::clone(&forwarding.client));
    let known = Arc::new(inputs::known_files(&config.folder()));
    known.note();
    let reloadables = reloads::reloadables(&config, &personal.in_force, &edge, upstream_client, &known);
    let (http_config, http_tls) = (config.http.clone(), edge.http_tls.clone());
    let http = web::serve(http_config, edge.listeners.http, http_tls, sources, http_metrics, rest_stop.clone());
    let (snapshot, connected) = (Arc::clone(&core.snapshot), Arc::clone(&edge.connected));
    let mode_changes = doors::announce_mode_changes(snapshot, clock.clone(), connected, rest_stop.clone());
    let retention = personal.retention().run(rest_stop.clone());
    let reloads = reload::run(reloadables, refusals, reload_metrics, clock.clone(), signals.reload, rest_stop.clone());

    let Core { snapshot, monitors, broadcaster, figures, scans, spine_end, .. } = core;
    let broadcasting = broadcaster.run(rest_stop);
    let context = FrontContext {
        site: config.site.name,
        scans,
        monitors,
        registry: edge.connected,
        assists: submitter,
        door_settings: door_settings(snapshot, figures, clock.clone(), config.scans.late_after_ms),
        tls: edge.door_tls,
        clock,
        metrics: edge.door_metrics,
        config: edge.mqtt,
    };
    let stages = Stages {
        rest: vec![
            http_task(tokio::spawn(http)),
            tokio::spawn(reloads),
            tokio::spawn(broadcasting),
            tokio::spawn(mode_changes),
            tokio::spawn(retention),
        ],
        doors: tokio::spawn(doors::serve(context, edge.listeners.mqtt, edge.listeners.plaintext, doors_stop)),
        stop_doors,
        forwarding,
        views: personal.views.clone(),
        stop_rest,
    };
    drop(personal);
    listening(edge.listeners.addresses);

    let end = wait_for_the_end(signals.stop, spine_end).await;
    let stopped = stop(stages, end.spine_end).await;
    end.error.map_or(stopped, Err)
}

/// What the status page, readiness and metrics are made from.
fn status_sources(
    config: &Config,
    clock: &Clock,
    core: &Core,
    edge: &Edge,
    personal: &Personal,
    forwarding: Option<&Forwarding>,
    refusals: &Refusals,
) -> StatusSources {
    let views = personal.views.clone();
    StatusSources {
        config: config.clone(),
        started_at: clock.now(),
        clock: clock.clone(),
        snapshot: Arc::clone(&core.snapshot),
        connected: Arc::clone(&edge.connected),
        figures: core.figures.clone(),
        reader: core.reader.clone(),
        // Weak: the spine ends when the last real owner of its queue is gone.
        scans: core.scans.downgrade(),
        upstream: forwarding.map(|forwarding| forwarding.progress.clone()),
        monitors: core.monitors.clone(),
        refusals: refusals.clone(),
        looks: personal.looks.clone(),
        views: Arc::new(move |now| views.problems(now)),
    }
}

/// The stages that run, and how to stop them.
struct Stages {
    doors: JoinHandle<()>,
    stop_doors: watch::Sender<bool>,
    rest: Vec<JoinHandle<()>>,
    forwarding: Option<Forwarding>,
    views: LedgerStore,
    stop_rest: watch::Sender<bool>,
}

/// Why the gateway ends.
struct End {
    error: Option<anyhow::Error>,
    spine_end: Option<oneshot::Receiver<()>>,
}

async fn wait_for_the_end(mut stop: watch::Receiver<bool>, mut spine_end: oneshot::Receiver<()>) -> End {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => End { error: None, spine_end: Some(spine_end) },
        _ = &mut spine_end => End { error: Some(anyhow!("the thread that keeps scans has ended")), spine_end: None },
    }
}

/// Doors first, so that what is in flight is still kept and answered; the log last.
async fn stop(stages: Stages, spine_end: Option<oneshot::Receiver<()>>) -> Result<()> {
    tracing::info!("stopping");
    let stopping = async {
        stages.stop_doors.send_replace(true);
        stages.doors.await.ok();
        stages.stop_rest.send_replace(true);
        if let Some(forwarding) = stages.forwarding {
            for task in forwarding.tasks {
                task.await.ok();
            }
        }
        for task in stages.rest {
            task.await.ok();
        }
        let views = stages.views;
        tokio::task::spawn_blocking(move || views.stop()).await.ok();
        if let Some(spine_end) = spine_end {
            spine_end.await.ok();
        }
    };
    tokio::time::timeout(SHUTDOWN_DEADLINE, stopping).await.map_err(|_| {
        anyhow!("not everything stopped within {} s; acknowledged scans are on disk", SHUTDOWN_DEADLINE.as_secs())
    })
}

fn http_task(http: JoinHandle<std::result::Result<(), web::HttpError>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Ok(Err(error)) = http.await {
            tracing::error!(%error, "the HTTP side has ended");
        }
    })
}
