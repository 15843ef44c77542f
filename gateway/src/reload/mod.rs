//! Files that may change while the gateway runs: looked at several times a second, taken over whole or not at all.

mod fingerprint;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Monotonic};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use protocol::Instant;
use tokio::sync::watch;

use base::clock::Clock;
use protocol::api::{Problem, Severity};

pub use fingerprint::Vanishing;
pub(crate) use fingerprint::loss;
use fingerprint::{Fingerprint, fingerprints, lost};

/// Time between two looks. What has changed is taken over when the next look finds it the same, so that no half of a change
/// is; and a revoked reader must lose its session within a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// Time after which what was refused is tried again: its cause may be elsewhere, such as a lock or a permission.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Something that is made from files and can be made anew.
pub struct Reloadable {
    /// What it is, a stable word such as `policy`.
    pub what: &'static str,
    /// The files, or folders whose files count.
    pub paths: Vec<PathBuf>,
    /// What it means that one of them is gone.
    pub vanishing: Vanishing,
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

/// Looks at the files until `shutdown` turns true. What changes from this call on is noticed. `asked` changes when everything
/// is to be read again.
pub fn run(
    reloadables: Vec<Reloadable>,
    refusals: Refusals,
    metrics: Metrics,
    clock: Clock,
    mut asked: watch::Receiver<u64>,
    mut shutdown: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send {
    let mut all: Vec<_> = reloadables.into_iter().map(Watched::new).collect();
    async move {
        loop {
            let everything = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                Ok(()) = asked.changed() => true,
                () = tokio::time::sleep(INTERVAL) => false,
            };
            for watched in &mut all {
                let due = watched.is_due().await;
                if due || everything {
                    watched.reload(everything, &refusals, &metrics, &clock).await;
                }
            }
        }
    }
}

/// A reloadable, and what was seen of its files.
struct Watched {
    what: &'static str,
    paths: Arc<[PathBuf]>,
    vanishing: Vanishing,
    reload: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The files that were taken over last.
    in_force: Vec<Fingerprint>,
    /// The files that were taken over or refused.
    dealt_with: Vec<Fingerprint>,
    /// The files at the last look.
    seen: Vec<Fingerprint>,
    /// Why they were refused, and when they are tried again.
    refused: Option<(String, Monotonic)>,
}

impl Watched {
    fn new(Reloadable { what, paths, vanishing, reload }: Reloadable) -> Self {
        let seen = fingerprints(&paths);
        let (in_force, dealt_with) = (seen.clone(), seen.clone());
        Self { what, paths: paths.into(), vanishing, reload, in_force, dealt_with, seen, refused: None }
    }

    /// Looks at the files. A disk that does not answer keeps nothing else waiting.
    async fn is_due(&mut self) -> bool {
        let paths = Arc::clone(&self.paths);
        let Ok(found) = tokio::task::spawn_blocking(move || fingerprints(&paths)).await else { return false };
        let settled = std::mem::replace(&mut self.seen, found) == self.seen;
        let retry = self.refused.as_ref().is_some_and(|(_, again_at)| *again_at <= Monotonic::now());
        settled && (retry || self.seen != self.dealt_with)
    }

    /// `asked`: somebody wants the files as they are now.
    async fn reload(&mut self, asked: bool, refusals: &Refusals, metrics: &Metrics, clock: &Clock) {
        let changed = self.dealt_with != self.seen;
        self.dealt_with.clone_from(&self.seen);
        let result = match lost(&self.paths, self.vanishing, &self.in_force, &self.seen, asked) {
            Some(reason) => Err(reason),
            None => {
                let reload = Arc::clone(&self.reload);
                let reloading = tokio::task::spawn_blocking(move || reload()).await;
                reloading.unwrap_or_else(|error| Err(error.to_string()))
            }
        };
        if result.is_ok() {
            self.in_force.clone_from(&self.seen);
        }
        refusals.note(self.what, &result, clock.now());
        let before = self.refused.take();
        if let Err(error) = &result {
            self.refused = Some((error.clone(), Monotonic::now() + RETRY_INTERVAL));
            if !changed && before.is_some_and(|(reason, _)| reason == *error) {
                return;
            }
        }
        metrics.count(self.what, result.is_ok());
        match result {
            Ok(()) => tracing::info!(what = self.what, "reloaded"),
            Err(error) => tracing::error!(what = self.what, error, "not reloaded, the old one stays in force"),
        }
    }
}

impl Refusals {
    /// What could not be taken over, for the status page.
    pub fn problems(&self) -> Vec<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn note(&self, what: &'static str, result: &Result<(), String>, now: Instant) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => drop(refused.remove(what)),
            Err(error) => {
                let since = refused.get(what).and_then(|before| before.since).or(Some(now));
                let message = format!("not reloaded, the old one stays in force: {error}");
                refused.insert(what, Problem { severity: Severity::Warning, what: what.into(), message, since });
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
