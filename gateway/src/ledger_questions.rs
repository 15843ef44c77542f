//! How the ledgers are asked: not before they have reached what the log has now, and with how far behind they are.

use std::time::Duration;

use protocol::Instant;
use tokio::runtime::Handle;

use base::clock::Clock;
use ledgers::{LedgerStore, LedgerStoreError};
use store::log::LogReader;
use web::{Answer, LedgerError};

/// How long a question waits for the ledgers to reach what the log had when it was asked.
const WAIT: Duration = Duration::from_secs(2);

/// The ledgers, as questions are put to them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Questions {
    pub(crate) views: LedgerStore,
    pub(crate) reader: LogReader,
    pub(crate) clock: Clock,
    pub(crate) runtime: Handle,
}

impl Questions {
    /// Asks the ledgers, as soon as they have reached what the log has now.
    ///
    /// # Errors
    /// When they cannot answer now, or the question is wrong.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&LedgerStore, Instant) -> Result<T, LedgerStoreError>,
    ) -> Result<Answer<T>, LedgerError> {
        let wanted = self.reader.last_event();
        let reached = self.runtime.block_on(self.views.reach(wanted, WAIT));
        let position = self.views.position();
        let value = question(&self.views, self.clock.now())?;
        let through = position.through;
        let behind = if reached { wanted.saturating_sub(through) } else { position.last.saturating_sub(through) };
        Ok(Answer { value, through, behind })
    }
}
