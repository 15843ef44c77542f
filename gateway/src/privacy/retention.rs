//! What is kept for a purpose is deleted when its time is over: at the start, and every day.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use jiff::Span;
use jiff::civil::Date;
use protocol::Instant;
use protocol::api::{Retention, RetentionPurpose, RetentionRun};
use tokio::sync::watch;

use super::subjects::Subjects;
use crate::config::Privacy;
use crate::in_force::InForce;
use base::clock::Clock;
use ledgers::LedgerStore;
use store::audit::AuditTrail;
use store::vault::Month;

/// Time between two checks whether a day has begun.
const INTERVAL: Duration = Duration::from_secs(600);

/// What was done the last time. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct LastRun(Arc<Mutex<Option<RetentionRun>>>);

/// Deletes what is too old.
pub(crate) struct RetentionTask {
    pub(crate) privacy: Privacy,
    pub(crate) subjects: Subjects,
    pub(crate) views: LedgerStore,
    pub(crate) looks: AuditTrail,
    pub(crate) in_force: InForce,
    pub(crate) clock: Clock,
    pub(crate) last_run: LastRun,
}

impl LastRun {
    /// For how long what is kept, and what was done about it the last time.
    pub(crate) fn status(&self, privacy: &Privacy) -> Retention {
        let purposes = [
            ("events", privacy.events_days),
            ("contacts", privacy.contacts_days),
            ("attendance", privacy.attendance_days),
            ("audit", privacy.audit_days),
            ("malformed", privacy.malformed_days),
        ];
        let purpose = |(purpose, days): (&str, u32)| RetentionPurpose { purpose: purpose.into(), days };
        let last_run = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Retention { purposes: purposes.map(purpose).to_vec(), last_run }
    }
}

impl RetentionTask {
    /// Runs until `stop` is true. What fails is tried again.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let task = Arc::new(self);
        let mut done_on: Option<Date> = None;
        loop {
            let today = task.in_force.rules().day_of(task.clock.now());
            if done_on != Some(today) {
                let working = Arc::clone(&task);
                match tokio::task::spawn_blocking(move || working.delete_expired()).await {
                    Ok(Ok(())) => done_on = Some(today),
                    Ok(Err(error)) => {
                        tracing::error!(error = format!("{error:#}"), "what is too old could not be deleted")
                    }
                    Err(error) => tracing::error!(%error, "what is too old could not be deleted"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Deletes everything whose time is over.
    ///
    /// Events, contacts and attendance are read from the same events, whose keys are kept as long as the longest of them, by
    /// whole months. A shorter time is kept by what is shown, and by the tables.
    fn delete_expired(&self) -> Result<()> {
        let (now, privacy, vault) = (self.clock.now(), &self.privacy, self.subjects.vault());
        let longest = privacy.events_days.max(privacy.contacts_days).max(privacy.attendance_days);
        let before = |days: u32| plus_days(now, -i64::from(days));
        let malformed = vault.expire_malformed(before(privacy.malformed_days))?;
        let keys = vault.expire(Month::of(before(longest)), Month::of(before(privacy.audit_days)))?;
        self.subjects.refresh()?;
        let today = self.in_force.rules().day_of(now);
        let day_before = |days: u32| today.saturating_sub(Span::new().days(i64::from(days)));
        self.views.expire(day_before(longest), day_before(privacy.contacts_days))?;
        let looks = self.looks.expire(before(privacy.audit_days))?;
        let removed =
            [("audit", looks), ("malformed", malformed.subjects), ("keys", keys.keys), ("people", keys.subjects)];
        tracing::info!(looks, malformed = malformed.subjects, keys = keys.keys, "what was too old was deleted");
        let removed = removed.map(|(what, count)| (what.to_owned(), count)).into_iter().collect::<BTreeMap<_, _>>();
        *self.last_run.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(RetentionRun { at: now, removed });
        Ok(())
    }
}

fn plus_days(at: Instant, days: i64) -> Instant {
    Instant::from_unix_ms(at.unix_ms().saturating_add(days.saturating_mul(86_400_000)))
}
