//! Builds the stages, starts them, and stops them in one order: doors, then the way upstream, then the log.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::access::{self, CredentialKey, Directory, Doors, Policy, Snapshot};
use crate::clock::Clock;
use crate::config::Config;
use crate::doors::{DoorSettings, Parts};
use crate::forward::{self, Forwarder};
use crate::log::{Log, LogReader, Quarantined};
use crate::monitors::Monitors;
use crate::reload::{self, Refusals, Reloadable};
use crate::scan::{Figures, ScanQueue, Spine, SpineParts, State, UPSTREAM, UpstreamNote};
use crate::site::SiteFolder;
use crate::tls::{self, ServerFiles};
use crate::{doors, http, log, monitors, overview, scan};

/// How long the stages may take to stop.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// The file of the directory, in the site's data folder.
const DIRECTORY: &str = "directory.redb";

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
    let folder = config.folder();
    let site = config.site.name.clone();
    let started_at = clock.now();
    let mut registry = Registry::with_prefix("gapura");

    // What decisions are made from, and the log with what it remembers.
    let snapshot = Arc::new(ArcSwap::from_pointee(read_snapshot(&config)?));
    let (log, reader) = open_log(&config, &mut registry, &clock)?;
    let state = State::rebuild(&reader).context("the log cannot be read")?;
    let monitors = Monitors::start(config.monitors.clone(), monitors::Metrics::new(&mut registry))?;
    let figures = Figures::new(&state, started_at);
    let (scans, work) = ScanQueue::new(config.scans.queue_events_max);
    let spine = SpineParts {
        site: site.clone(),
        log,
        reader: reader.clone(),
        state,
        snapshot: Arc::clone(&snapshot),
        monitors: monitors.clone(),
        clock: clock.clone(),
        figures: figures.clone(),
        metrics: scan::Metrics::new(&mut registry),
        batch_events_max: config.log.batch_events_max,
        config: config.scans.clone(),
    };
    let spine = Spine::new(spine, scans.clone())?;
    let (spine_ended, spine_end) = oneshot::channel();
    thread::Builder::new().name("spine".into()).spawn(move || {
        spine.run(work);
        spine_ended.send(()).ok();
    })?;

    // Who may connect, and who is.
    let (door_tls, _) = door_tls(&folder)?;
    let door_tls = Arc::new(ArcSwap::new(door_tls));
    let http_tls = http_tls(&config)?.map(|tls| Arc::new(ArcSwap::new(tls)));
    let mqtt = Arc::new(config.mqtt.clone());
    let door_metrics = doors::Metrics::new(&mut registry);
    let connected = doors::Registry::new(Arc::clone(&mqtt), door_metrics.clone(), clock.clone());

    let listener = bind("[mqtt] listen", config.mqtt.listen).await?;
    let plaintext = match config.mqtt.plaintext_listen {
        Some(address) => Some(bind("[mqtt] plaintext_listen", address).await?),
        None => None,
    };
    let http_listener = bind("[http] listen", config.http.listen).await?;
    let addresses = Addresses {
        mqtt: listener.local_addr()?,
        plaintext: plaintext.as_ref().map(TcpListener::local_addr).transpose()?,
        http: http_listener.local_addr()?,
    };

    let (stop_doors, doors_stop) = watch::channel(false);
    let (stop_rest, rest_stop) = watch::channel(false);
    let forwarding = start_forwarder(&config, &mut registry, &reader, &scans, &clock, rest_stop.clone())?;
    let refusals = Refusals::default();
    let reload_metrics = reload::Metrics::new(&mut registry);
    let http_metrics = http::Metrics::new(&mut registry);
    let overview = Arc::new(overview::Overview {
        config: config.clone(),
        started_at,
        clock: clock.clone(),
        snapshot: Arc::clone(&snapshot),
        connected: Arc::clone(&connected),
        figures,
        reader: reader.clone(),
        // Weak: the spine ends when the last real owner of its queue is gone.
        scans: scans.downgrade(),
        upstream: forwarding.as_ref().map(|forwarding| forwarding.progress.clone()),
        monitors: monitors.clone(),
        refusals: refusals.clone(),
    });
    let sources = sources(&folder, &overview, &reader, registry)?;
    let http = tokio::spawn(http::serve(
        config.http.clone(),
        http_listener,
        http_tls.clone(),
        sources,
        http_metrics,
        rest_stop.clone(),
    ));
    let reloadables = reloadables(&config, &snapshot, &connected, &door_tls, http_tls.as_ref());
    let reloads =
        tokio::spawn(reload::run(reloadables, refusals, reload_metrics, clock.clone(), signals.reload, rest_stop));

    let known_doors = Arc::clone(&snapshot);
    let late_after_ms = config.scans.late_after_ms;
    let parts = Parts {
        site,
        scans,
        monitors: monitors.clone(),
        registry: connected,
        known_door: Arc::new(move |door| {
            let snapshot = known_doors.load();
            let door = snapshot.doors.get(door)?;
            Some(DoorSettings { mode: door.mode, zone: door.zone.clone(), late_after_ms })
        }),
        tls: door_tls,
        clock,
        metrics: door_metrics,
        config: mqtt,
    };
    let doors = tokio::spawn(doors::serve(parts, listener, plaintext, doors_stop));
    listening(addresses);

    let failure = wait_for_the_end(signals.stop, &monitors, spine_end).await;
    stop(Stages { doors, stop_doors, rest: vec![http_task(http), reloads], forwarding, stop_rest }, failure.spine_end)
        .await?;
    failure.error.map_or(Ok(()), Err)
}

/// What decisions are made from, read from the site's files.
///
/// # Errors
/// Names the file that cannot be used.
pub fn read_snapshot(config: &Config) -> Result<Snapshot> {
    let folder = config.folder();
    Ok(Snapshot {
        directory: Arc::new(Directory::read(&folder.data().join(DIRECTORY))?),
        policy: Arc::new(Policy::read(&folder.policy())?),
        doors: Arc::new(Doors::read(&folder.doors_toml())?),
        key: Arc::new(CredentialKey::read(&folder.badge_key())?),
        rules: access::Rules {
            time_zone: config.time_zone().map_err(|reason| anyhow!(reason))?,
            late_after_ms: config.scans.late_after_ms,
            clock_tolerance_ms: config.scans.clock_tolerance_ms,
        },
    })
}

/// TLS for the doors' port, from the site's own files.
///
/// # Errors
/// Names the file that cannot be used.
pub fn door_tls(folder: &SiteFolder) -> Result<(Arc<rustls::ServerConfig>, tls::Revoked)> {
    Ok(tls::door_server_config(&ServerFiles {
        certificate: &folder.gateway_certificate(),
        key: &folder.gateway_key(),
        client_ca: &folder.ca_certificate(),
        crl: &folder.crl(),
    })?)
}

/// TLS for HTTP: with the site's own certificate wherever it is reachable from other machines.
///
/// # Errors
/// Names the file that cannot be used.
pub fn http_tls(config: &Config) -> Result<Option<Arc<rustls::ServerConfig>>> {
    let folder = config.folder();
    let (certificate, key) = match (&config.http.certificate, &config.http.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ if config.http.listen.ip().is_loopback() => return Ok(None),
        _ => (folder.gateway_certificate(), folder.gateway_key()),
    };
    Ok(Some(tls::http_server_config(&certificate, &key)?))
}

/// The client that posts batches upstream.
///
/// # Errors
/// Names the file or the setting that cannot be used.
pub fn upstream_client(upstream: &forward::Config) -> Result<reqwest::Client> {
    let tls = if upstream.url.starts_with("https:") {
        Some(tls::upstream_client_config(&upstream.ca, &upstream.certificate, &upstream.key)?)
    } else {
        None
    };
    Ok(forward::client(upstream, tls)?)
}

/// Opens the site's log.
///
/// # Errors
/// When it is damaged or in use.
pub fn open_log(config: &Config, registry: &mut Registry, clock: &Clock) -> Result<(Log, LogReader)> {
    let path = config.folder().data().join("log.redb");
    Ok(Log::open(&path, &config.log, log::Metrics::new(registry), clock.clone())?)
}

/// The path of a site's directory.
pub fn directory(folder: &SiteFolder) -> std::path::PathBuf {
    folder.data().join(DIRECTORY)
}

struct Forwarding {
    task: JoinHandle<()>,
    progress: forward::Progress,
}

/// The stages that run, and how to stop them.
struct Stages {
    doors: JoinHandle<()>,
    stop_doors: watch::Sender<bool>,
    rest: Vec<JoinHandle<()>>,
    forwarding: Option<Forwarding>,
    stop_rest: watch::Sender<bool>,
}

/// Why the gateway ends.
struct End {
    error: Option<anyhow::Error>,
    spine_end: Option<oneshot::Receiver<()>>,
}

async fn wait_for_the_end(
    mut stop: watch::Receiver<bool>,
    monitors: &Monitors,
    mut spine_end: oneshot::Receiver<()>,
) -> End {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => End { error: None, spine_end: Some(spine_end) },
        () = monitors.wait_stopped() => {
            let error = anyhow!("the router of the monitors has stopped; the gateway ends, its supervisor starts it again");
            End { error: Some(error), spine_end: Some(spine_end) }
        }
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
            forwarding.task.await.ok();
        }
        for task in stages.rest {
            task.await.ok();
        }
        if let Some(spine_end) = spine_end {
            spine_end.await.ok();
        }
    };
    tokio::time::timeout(SHUTDOWN_DEADLINE, stopping).await.map_err(|_| {
        anyhow!("not everything stopped within {} s; acknowledged scans are on disk", SHUTDOWN_DEADLINE.as_secs())
    })
}

fn http_task(http: JoinHandle<std::result::Result<(), http::HttpError>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Ok(Err(error)) = http.await {
            tracing::error!(%error, "the HTTP side has ended");
        }
    })
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{setting}: {address} cannot be used; is another gateway running, or is it not of this machine?")
    })
}

fn start_forwarder(
    config: &Config,
    registry: &mut Registry,
    reader: &LogReader,
    scans: &ScanQueue,
    clock: &Clock,
    stop: watch::Receiver<bool>,
) -> Result<Option<Forwarding>> {
    let Some(upstream) = &config.upstream else { return Ok(None) };
    let (read, beyond, keep, now) = (reader.clone(), reader.clone(), scans.clone(), clock.clone());
    let forwarder = Forwarder::new(forward::Parts {
        site: config.site.name.clone(),
        client: upstream_client(upstream)?,
        read: Arc::new(move |after, events_max, bytes_max| {
            read.read(after, events_max, bytes_max).map_err(|error| error.to_string())
        }),
        beyond: Arc::new(move |number| {
            let reader = beyond.clone();
            Box::pin(async move { drop(reader.wait_beyond(number).await) })
        }),
        keep: Arc::new(move |note| {
            let (scans, now) = (keep.clone(), now.now());
            let quarantined = note.quarantined.map(|quarantine| Quarantined {
                first: quarantine.first,
                last: quarantine.last,
                reason: quarantine.reason,
                at: now,
            });
            let note = UpstreamNote { acked_through: note.acked_through, quarantined };
            Box::pin(async move { scans.keep(note).await })
        }),
        start_after: reader.cursor(UPSTREAM)?.unwrap_or(0),
        quarantined: reader.quarantined()?.iter().map(|range| (range.first, range.last)).collect(),
        clock: clock.clone(),
        metrics: forward::Metrics::new(registry),
        config: upstream.clone(),
    })?;
    let progress = forwarder.progress();
    Ok(Some(Forwarding { task: tokio::spawn(forwarder.run(stop)), progress }))
}

fn sources(
    folder: &SiteFolder,
    overview: &Arc<overview::Overview>,
    reader: &LogReader,
    registry: Registry,
) -> Result<http::Sources> {
    let (status, ready, reader) = (Arc::clone(overview), Arc::clone(overview), reader.clone());
    Ok(http::Sources {
        status: Arc::new(move || status.status()),
        ready: Arc::new(move || ready.problems()),
        metrics: Arc::new(registry),
        events: Arc::new(move |after, limit| reader.read(after, limit, usize::MAX).map_err(|error| error.to_string())),
        admin_token_hash: admin_token_hash(&folder.admin_token())?,
    })
}

/// The hash of the administrator's token, as the site's file holds it.
///
/// # Errors
/// Names the file that cannot be used.
pub fn admin_token_hash(path: &Path) -> Result<[u8; 32]> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let hash = blake3::Hash::from_hex(text.trim())
        .with_context(|| format!("{} must hold the token's BLAKE3 hash, 64 hexadecimal digits", path.display()))?;
    Ok(*hash.as_bytes())
}

/// Makes a snapshot with one part read anew.
type ReadPart = Arc<dyn Fn(&Snapshot) -> Result<Snapshot> + Send + Sync>;

fn reloadables(
    config: &Config,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    connected: &Arc<doors::Registry>,
    door_tls: &Arc<ArcSwap<rustls::ServerConfig>>,
    http_tls: Option<&Arc<ArcSwap<rustls::ServerConfig>>>,
) -> Vec<Reloadable> {
    let folder = config.folder();
    let part = |what, paths, read: ReadPart| {
        let (snapshot, connected) = (Arc::clone(snapshot), Arc::clone(connected));
        let reload = move || {
            // Only the reloader replaces the snapshot, so nothing is lost between the two.
            let new = read(&snapshot.load()).map_err(|error| format!("{error:#}"))?;
            snapshot.store(Arc::new(new));
            connected.send_config();
            Ok(())
        };
        Reloadable { what, paths, reload: Arc::new(reload) }
    };
    let (policy, doors, people) = (folder.policy(), folder.doors_toml(), directory(&folder));
    let mut reloadables = vec![
        part(
            "policy",
            vec![policy.clone()],
            Arc::new(move |old| Ok(Snapshot { policy: Arc::new(Policy::read(&policy)?), ..old.clone() })),
        ),
        part(
            "doors",
            vec![doors.clone()],
            Arc::new(move |old| Ok(Snapshot { doors: Arc::new(Doors::read(&doors)?), ..old.clone() })),
        ),
        part(
            "directory",
            vec![people.clone()],
            Arc::new(move |old| Ok(Snapshot { directory: Arc::new(Directory::read(&people)?), ..old.clone() })),
        ),
    ];
    let paths = vec![folder.gateway_certificate(), folder.gateway_key(), folder.ca_certificate(), folder.crl()];
    let (tls, connected) = (Arc::clone(door_tls), Arc::clone(connected));
    let reload = move || {
        let (new, revoked) = self::door_tls(&folder).map_err(|error| format!("{error:#}"))?;
        tls.store(new);
        let dropped = connected.drop_sessions(|identity| revoked.contains(&identity.serial));
        if dropped > 0 {
            tracing::info!(dropped, "sessions of revoked certificates were closed");
        }
        Ok(())
    };
    reloadables.push(Reloadable { what: "certificates", paths: paths.clone(), reload: Arc::new(reload) });
    if let Some(tls) = http_tls {
        let (tls, config) = (Arc::clone(tls), config.clone());
        let own = config.http.certificate.iter().chain(&config.http.key).cloned();
        let paths = paths.into_iter().chain(own).collect();
        let reload = move || {
            if let Some(new) = self::http_tls(&config).map_err(|error| format!("{error:#}"))? {
                tls.store(new);
            }
            Ok(())
        };
        reloadables.push(Reloadable { what: "http_certificate", paths, reload: Arc::new(reload) });
    }
    reloadables
}
