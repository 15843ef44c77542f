//! What a scan needs between its door and the disk.

use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::inputs::{open_log, open_vault, read_snapshot};
use access::Snapshot;
use base::clock::Clock;
use front::doors::{self, DoorSettings};
use front::monitors::{self, Broadcaster, Monitors};
use front::scan::{self, ScanQueue, Spine, SpineContext, SpineStatus, State};
use store::log::LogReader;
use store::vault::Vault;

/// What a scan needs between its door and the disk.
pub(super) struct Core {
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) vault: Vault,
    pub(super) reader: LogReader,
    pub(super) monitors: Monitors,
    pub(super) broadcaster: Broadcaster,
    pub(super) figures: SpineStatus,
    pub(super) scans: ScanQueue,
    /// Resolves when the spine has ended.
    pub(super) spine_end: oneshot::Receiver<()>,
}

impl Core {
    pub(super) fn start(config: &Config, clock: &Clock, registry: &mut Registry) -> Result<Self> {
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

/// Doors are registered in the snapshot; what it says of one is asked anew each time.
pub(super) fn door_settings(
    snapshot: Arc<ArcSwap<Snapshot>>,
    kept: SpineStatus,
    clock: Clock,
    late_after_ms: u64,
) -> doors::DoorLookup {
    Arc::new(move |id| {
        let snapshot = snapshot.load();
        let door = snapshot.doors.get(id)?;
        let mode = snapshot.mode_at(door, clock.now());
        let highest = kept.highest(id);
        Some(DoorSettings { mode, zone: door.zone.clone(), late_after_ms, highest })
    })
}
