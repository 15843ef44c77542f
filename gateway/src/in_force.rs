//! The snapshot in force, and who may replace it: one at a time, so that nobody puts back what another has just changed.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use arc_swap::ArcSwap;

use crate::config::Config;
use crate::ledger_rules::ledger_rules;
use access::Snapshot;
use ledgers::Rules;

/// The snapshot in force, and the ledgers' rules, which follow from it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    config: Arc<Config>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    rules: Arc<ArcSwap<Rules>>,
    changing: Arc<Mutex<()>>,
}

impl InForce {
    /// # Errors
    /// When the working hours and `[attendance]` do not go together.
    pub(crate) fn new(config: &Config, snapshot: Arc<ArcSwap<Snapshot>>) -> Result<Self> {
        let rules = Arc::new(ArcSwap::from_pointee(ledger_rules(config, &snapshot.load())?));
        Ok(Self { config: Arc::new(config.clone()), snapshot, rules, changing: Arc::default() })
    }

    /// The rules by which the ledgers are read now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The same, for whoever reads them again and again.
    pub(crate) fn rules_in_force(&self) -> Arc<ArcSwap<Rules>> {
        Arc::clone(&self.rules)
    }

    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts in force what `read` makes of the snapshot before. Whoever reads last stores last.
    pub(crate) fn change(&self, read: impl FnOnce(&Snapshot) -> Result<Snapshot>) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.snapshot.load();
        let new = read(&old)?;
        let same = Arc::ptr_eq(&old.zones, &new.zones)
            && Arc::ptr_eq(&old.calendar, &new.calendar)
            && Arc::ptr_eq(&old.directory, &new.directory);
        if !same {
            self.rules.store(Arc::new(ledger_rules(&self.config, &new)?));
        }
        self.snapshot.store(Arc::new(new));
        Ok(())
    }
}
