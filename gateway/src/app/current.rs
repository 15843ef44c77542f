//! The snapshot in force, and who may replace it: one at a time, so that nobody puts back what another has just changed.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use arc_swap::ArcSwap;

use crate::access::Snapshot;

/// The snapshot in force. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Current {
    snapshot: Arc<ArcSwap<Snapshot>>,
    changing: Arc<Mutex<()>>,
}

impl Current {
    pub(super) fn new(snapshot: Arc<ArcSwap<Snapshot>>) -> Self {
        Self { snapshot, changing: Arc::default() }
    }

    pub(super) fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts in force what `read` makes of the snapshot before. Whoever reads last stores last.
    pub(super) fn change(&self, read: impl FnOnce(&Snapshot) -> Result<Snapshot>) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = read(&self.snapshot.load())?;
        self.snapshot.store(Arc::new(new));
        Ok(())
    }
}
