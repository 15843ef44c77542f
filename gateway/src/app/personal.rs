//! Everything that knows people beside the decisions: keys, ledgers, the audit trail, and what deletes what is too old.

use std::sync::Arc;

use anyhow::Result;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

use super::spine::Core;
use crate::config::Config;
use crate::in_force::InForce;
use crate::inputs;
use crate::ledger_answers::Ledgers;
use crate::ledger_questions::Questions;
use crate::privacy::{AuditKeys, LastRun, PersonRights, RetentionTask, Subjects};
use base::clock::Clock;
use ledgers::{self, LedgerStore};
use store::audit::AuditTrail;

/// The file of the ledgers, in the site's data folder.
const VIEWS: &str = "views.redb";

/// Keys, ledgers, audit trail.
pub(super) struct Personal {
    pub(super) in_force: InForce,
    pub(super) subjects: Subjects,
    pub(super) views: LedgerStore,
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
        let in_force = InForce::new(config, Arc::clone(&core.snapshot))?;
        let subjects = Subjects::new(core.vault.clone())?;
        let views = LedgerStore::start(ledgers::LedgerContext {
            path: folder.data().join(VIEWS),
            config: config.ledgers.clone(),
            source: Arc::new(core.reader.clone()),
            people: Arc::new(subjects.clone()),
            rules: in_force.rules_in_force(),
            clock: clock.clone(),
            metrics: ledgers::Metrics::new(registry),
        })?;
        let keys = AuditKeys { vault: core.vault.clone(), in_force: in_force.clone() };
        let looks = AuditTrail::open(&inputs::audit(&folder), Arc::new(keys))?;
        let rights = PersonRights {
            questions: Questions {
                views: views.clone(),
                reader: core.reader.clone(),
                clock: clock.clone(),
                runtime: Handle::current(),
            },
            subjects: subjects.clone(),
            in_force: in_force.clone(),
            directory: inputs::directory(&folder),
            // Weak: the spine ends when the last real owner of its queue is gone.
            scans: core.scans.downgrade(),
        };
        let ledgers = Ledgers { config: config.clone(), rights, last_run: LastRun::default() };
        Ok(Self { in_force, subjects, views, looks, ledgers })
    }

    /// What deletes what is too old.
    pub(super) fn retention(&self) -> RetentionTask {
        RetentionTask {
            privacy: self.ledgers.config.privacy,
            subjects: self.subjects.clone(),
            views: self.views.clone(),
            looks: self.looks.clone(),
            in_force: self.in_force.clone(),
            clock: self.ledgers.rights.questions.clock.clone(),
            last_run: self.ledgers.last_run.clone(),
        }
    }
}
