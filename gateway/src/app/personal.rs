//! Everything that knows people beside the decisions: keys, views, the audit trail, and what takes away what is too old.

use std::sync::Arc;

use anyhow::Result;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

use super::current::Current;
use super::ledgers::{FollowedLog, Ledgers, RecordKeys, Subjects};
use super::retention::{Keeper, Kept};
use super::{Core, inputs};
use crate::config::Config;
use base::clock::Clock;
use ledgers::{self, Views};
use store::audit::AuditTrail;

/// The file of the views, in the site's data folder.
const VIEWS: &str = "views.redb";

/// Keys, views, looks.
pub(super) struct Personal {
    pub(super) current: Current,
    pub(super) subjects: Subjects,
    pub(super) views: Views,
    pub(super) looks: AuditTrail,
    pub(super) ledgers: Ledgers,
}

impl Personal {
    /// Starts to follow the log, and opens the audit trail.
    ///
    /// # Errors
    /// When the vault cannot be read, working hours and settings do not go together, or no thread can be started.
    pub(super) fn start(config: &Config, core: &Core, clock: &Clock, registry: &mut Registry) -> Result<Self> {
        let folder = config.folder();
        let current = Current::new(config, Arc::clone(&core.snapshot))?;
        let subjects = Subjects::new(core.vault.clone())?;
        let views = Views::start(ledgers::Parts {
            path: folder.data().join(VIEWS),
            config: config.views.clone(),
            source: Arc::new(FollowedLog(core.reader.clone())),
            people: Arc::new(subjects.clone()),
            rules: current.rules_in_force(),
            clock: clock.clone(),
            metrics: ledgers::Metrics::new(registry),
        })?;
        let keys = RecordKeys { vault: core.vault.clone(), current: current.clone() };
        let looks = AuditTrail::open(&inputs::audit(&folder), Arc::new(keys))?;
        let ledgers = Ledgers {
            config: config.clone(),
            views: views.clone(),
            subjects: subjects.clone(),
            reader: core.reader.clone(),
            current: current.clone(),
            directory: inputs::directory(&folder),
            // Weak: the spine ends when the last real owner of its queue is gone.
            scans: core.scans.downgrade(),
            kept: Kept::default(),
            clock: clock.clone(),
            runtime: Handle::current(),
        };
        Ok(Self { current, subjects, views, looks, ledgers })
    }

    /// What takes away what is too old.
    pub(super) fn keeper(&self) -> Keeper {
        Keeper {
            privacy: self.ledgers.config.privacy,
            subjects: self.subjects.clone(),
            views: self.views.clone(),
            looks: self.looks.clone(),
            current: self.current.clone(),
            clock: self.ledgers.clock.clone(),
            kept: self.ledgers.kept.clone(),
        }
    }
}
