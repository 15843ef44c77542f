//! What is told over HTTP of the policy sets.

use std::sync::Arc;

use protocol::Instant;

use crate::status::StatusSources;
use access::shadow::{self, ShadowReport};
use base::status::PolicyStatus;

/// How far back a report on a candidate policy set looks when nothing else is asked for: seven days.
const SHADOW_MS: i64 = 7 * 86_400_000;

/// Bytes of the log that such a report reads at once.
const SHADOW_READ_BYTES: usize = 4 << 20;

/// Looks at the policy sets when it is asked.
pub(super) fn status(site: &Arc<StatusSources>) -> Arc<dyn Fn() -> PolicyStatus + Send + Sync> {
    let site = Arc::clone(site);
    Arc::new(move || {
        let snapshot = site.snapshot.load();
        PolicyStatus {
            in_force: snapshot.policy.status(),
            candidate: snapshot.shadow.as_ref().map(|candidate| candidate.status()),
        }
    })
}

/// Reads the report's part of the log when it is asked for.
pub(super) fn shadow_report(
    site: &Arc<StatusSources>,
) -> Arc<dyn Fn(Option<Instant>) -> Result<ShadowReport, String> + Send + Sync> {
    let site = Arc::clone(site);
    Arc::new(move |since| {
        let (snapshot, reader, now) = (site.snapshot.load(), &site.reader, site.clock.now());
        let candidate = snapshot.shadow.as_ref().map(|candidate| candidate.set_hash());
        let since = since.unwrap_or_else(|| Instant::from_unix_ms(now.unix_ms() - SHADOW_MS));
        let read =
            |after, events_max| reader.read(after, events_max, SHADOW_READ_BYTES).map_err(|error| error.to_string());
        let events = shadow::Events { newest: reader.last_event(), read: &read };
        ShadowReport::of(&events, snapshot.policy.set_hash(), candidate, since, now)
    })
}
