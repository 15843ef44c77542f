//! Builds the stages, starts them, and stops them in one order: doors, then the way upstream, then the log.

mod assist;
mod forwarding;
mod personal;
mod policies;
mod reloads;
mod sources;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::inputs::{door_tls, http_tls, open_log, open_vault, read_snapshot, tokens};
use crate::reload::{self, Refusals};
use crate::status::{self, StatusSources};
use access::Snapshot;
use base::clock::Clock;
use base::tokens::Tokens;
use front::doors::{DoorSettings, FrontContext};
use front::monitors::{Broadcaster, Monitors};
use front::scan::{ScanQueue, Spine, SpineContext, SpineStatus, State};
use front::{doors, monitors, scan};
use ledgers::Views;
use store::log::LogReader;
use store::vault::Vault;

use self::forwarding::Forwarding;
use self::personal::Personal;

/// How long the stages may take to stop.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// Connections that wait to be accepted; the kernel may allow fewer (`net.core.somaxconn`). When all doors come back at
/// once, or a flood does, one that finds no room here tries again only after a second.
const BACKLOG: u32 = 4096;

/// Where the gateway listens, told when it does.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Addresses {
    /// MQTT over TLS.
    pub mqtt: SocketAddr,
    /// MQTT without TLS, for development.
    pub plaintext: Option<SocketAddr>,
    /// The status page and API.
    pub http: SocketAddr,
}

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
    let reloadables = reloads::reloadables(&config, &personal.in_force, &edge, upstream_client);
    let (http_config, http_tls) = (config.http.clone(), edge.http_tls.clone());
    let http = web::serve(http_config, edge.listeners.http, http_tls, sources, http_metrics, rest_stop.clone());
    let (snapshot, connected) = (Arc::clone(&core.snapshot), Arc::clone(&edge.connected));
    let mode_changes = doors::announce_mode_changes(snapshot, clock.clone(), connected, rest_stop.clone());
    let retention = personal.retention().run(rest_stop.clone());
    let reloads = reload::run(reloadables, refusals, reload_metrics, clock.clone(), signals.reload, rest_stop.clone());

    let Core { snapshot, monitors, broadcaster, scans, spine_end, .. } = core;
    let broadcasting = broadcaster.run(rest_stop);
    let context = FrontContext {
        site: config.site.name,
        scans,
        monitors,
        registry: edge.connected,
        assists: submitter,
        door_settings: door_settings(snapshot, clock.clone(), config.scans.late_after_ms),
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

/// What a scan needs between its door and the disk.
struct Core {
    snapshot: Arc<ArcSwap<Snapshot>>,
    vault: Vault,
    reader: LogReader,
    monitors: Monitors,
    broadcaster: Broadcaster,
    figures: SpineStatus,
    scans: ScanQueue,
    /// Resolves when the spine has ended.
    spine_end: oneshot::Receiver<()>,
}

impl Core {
    fn start(config: &Config, clock: &Clock, registry: &mut Registry) -> Result<Self> {
        let snapshot = Arc::new(ArcSwap::from_pointee(read_snapshot(config)?));
        let vault = open_vault(config)?;
        let (log, reader) = open_log(config, registry, clock, &vault)?;
        let state = State::rebuild(&reader, config.access.presence_ms()).context("the log cannot be read")?;
        let (monitors, broadcaster) = Monitors::new(config.monitors.clone(), monitors::Metrics::new(registry))?;
        let figures = SpineStatus::new(&state, clock.now());
        let (scans, work) = ScanQueue::new(config.scans.queue_events_max);
        let context = SpineContext {
            site: config.site.name.clone(),
            log,
            reader: reader.clone(),
            state,
            snapshot: Arc::clone(&snapshot),
            monitors: monitors.clone(),
            clock: clock.clone(),
            status: figures.clone(),
            metrics: scan::Metrics::new(registry),
            presence_ms: config.access.presence_ms(),
            batch_events_max: config.log.batch_events_max,
            config: config.scans.clone(),
        };
        let spine = Spine::new(context, scans.clone())?;
        let (ended, spine_end) = oneshot::channel();
        thread::Builder::new().name("spine".into()).spawn(move || {
            spine.run(work);
            ended.send(()).ok();
        })?;
        Ok(Self { snapshot, vault, reader, monitors, broadcaster, figures, scans, spine_end })
    }
}

/// What faces the network.
struct Edge {
    door_tls: Arc<ArcSwap<rustls::ServerConfig>>,
    http_tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    tokens: Arc<ArcSwap<Tokens>>,
    mqtt: Arc<doors::Config>,
    door_metrics: doors::Metrics,
    connected: Arc<doors::Registry>,
    listeners: Listeners,
}

struct Listeners {
    mqtt: TcpListener,
    plaintext: Option<TcpListener>,
    http: TcpListener,
    addresses: Addresses,
}

impl Edge {
    async fn prepare(config: &Config, clock: &Clock, registry: &mut Registry) -> Result<Self> {
        let (door_tls, _) = door_tls(&config.folder())?;
        let http_tls = http_tls(config)?;
        let mqtt = Arc::new(config.mqtt.clone());
        let door_metrics = doors::Metrics::new(registry);
        Ok(Self {
            door_tls: Arc::new(ArcSwap::new(door_tls)),
            http_tls: http_tls.map(|tls| Arc::new(ArcSwap::new(tls))),
            tokens: Arc::new(ArcSwap::from_pointee(tokens(&config.folder())?)),
            connected: doors::Registry::new(Arc::clone(&mqtt), door_metrics.clone(), clock.clone()),
            mqtt,
            door_metrics,
            listeners: Listeners::bind(config)?,
        })
    }
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self> {
        let mqtt = bind("[mqtt] listen", config.mqtt.listen)?;
        let plaintext = match config.mqtt.plaintext_listen {
            Some(address) => Some(bind("[mqtt] plaintext_listen", address)?),
            None => None,
        };
        let http = bind("[http] listen", config.http.listen)?;
        let addresses = Addresses {
            mqtt: mqtt.local_addr()?,
            plaintext: plaintext.as_ref().map(TcpListener::local_addr).transpose()?,
            http: http.local_addr()?,
        };
        Ok(Self { mqtt, plaintext, http, addresses })
    }
}

/// Doors are registered in the snapshot; what it says of one is asked anew each time.
fn door_settings(snapshot: Arc<ArcSwap<Snapshot>>, clock: Clock, late_after_ms: u64) -> doors::DoorLookup {
    Arc::new(move |door| {
        let snapshot = snapshot.load();
        let door = snapshot.doors.get(door)?;
        let mode = snapshot.mode_at(door, clock.now());
        Some(DoorSettings { mode, zone: door.zone.clone(), late_after_ms })
    })
}

/// The stages that run, and how to stop them.
struct Stages {
    doors: JoinHandle<()>,
    stop_doors: watch::Sender<bool>,
    rest: Vec<JoinHandle<()>>,
    forwarding: Option<Forwarding>,
    views: Views,
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

fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().with_context(|| {
        format!("{setting}: {address} cannot be used; is another gateway running, or is it not of this machine?")
    })
}
