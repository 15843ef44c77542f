//! Files that may change while the gateway runs: looked at several times a second, taken over whole or not at all.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use protocol::Instant;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::status::{Problem, Severity};

/// Time between two looks. A revoked reader must lose its session within a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// Something that is made from files and can be made anew.
pub struct Reloadable {
    /// What it is, a stable word such as `policy`.
    pub what: &'static str,
    /// The files, or folders whose files count.
    pub paths: Vec<PathBuf>,
    /// Reads the files and puts what they say in force; on an error everything stays as it was. Runs on a thread that may block.
    pub reload: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// What could not be taken over. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<BTreeMap<&'static str, Problem>>>);

/// The reloads' metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    reloads: Family<ReloadLabels, Counter>,
}

/// The labels of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReloadLabels {
    what: &'static str,
    result: &'static str,
}

/// Looks at the files until `shutdown` turns true. `asked` changes when everything is to be read again.
pub async fn run(
    reloadables: Vec<Reloadable>,
    refusals: Refusals,
    metrics: Metrics,
    clock: Clock,
    mut asked: watch::Receiver<u64>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut known: Vec<_> = reloadables.iter().map(|reloadable| fingerprints(&reloadable.paths)).collect();
    loop {
        let everything = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            changed = asked.changed() => changed.is_ok(),
            () = tokio::time::sleep(INTERVAL) => false,
        };
        for (reloadable, known) in reloadables.iter().zip(&mut known) {
            let found = fingerprints(&reloadable.paths);
            if found == *known && !everything {
                continue;
            }
            *known = found;
            let reload = Arc::clone(&reloadable.reload);
            let result =
                tokio::task::spawn_blocking(move || reload()).await.unwrap_or_else(|error| Err(error.to_string()));
            refusals.note(reloadable.what, &result, clock.now());
            metrics.count(reloadable.what, result.is_ok());
            match result {
                Ok(()) => tracing::info!(what = reloadable.what, "reloaded"),
                Err(error) => {
                    tracing::error!(what = reloadable.what, error, "not reloaded, the old one stays in force")
                }
            }
        }
    }
}

impl Refusals {
    /// What could not be taken over, for the status page.
    pub fn problems(&self) -> Vec<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn note(&self, what: &'static str, result: &Result<(), String>, now: Instant) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => drop(refused.remove(what)),
            Err(error) => {
                let since = refused.get(what).and_then(|before| before.since).or(Some(now));
                let message = format!("not reloaded, the old one stays in force: {error}");
                refused.insert(what, Problem { severity: Severity::Warning, what, message, since });
            }
        }
    }
}

impl Metrics {
    /// Registers the reloads' metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self { reloads: Family::default() };
        registry.register("reloads", "Changed files, taken over or refused", metrics.reloads.clone());
        metrics
    }

    fn count(&self, what: &'static str, taken: bool) {
        let result = if taken { "taken" } else { "refused" };
        self.reloads.get_or_create(&ReloadLabels { what, result }).inc();
    }
}

/// What tells a changed file: it was written, replaced, or has another size.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Fingerprint {
    path: PathBuf,
    inode: u64,
    modified: (i64, i64),
    bytes: u64,
}

impl Fingerprint {
    fn of(path: PathBuf) -> Option<Self> {
        let file = std::fs::metadata(&path).ok()?;
        Some(Self { path, inode: file.ino(), modified: (file.mtime(), file.mtime_nsec()), bytes: file.len() })
    }
}

fn fingerprints(paths: &[PathBuf]) -> Vec<Fingerprint> {
    let inside = paths.iter().filter_map(|path| std::fs::read_dir(path).ok()).flatten().flatten();
    let inside = inside.map(|entry| entry.path());
    let mut prints: Vec<_> = paths.iter().cloned().chain(inside).filter_map(Fingerprint::of).collect();
    prints.sort();
    prints
}
