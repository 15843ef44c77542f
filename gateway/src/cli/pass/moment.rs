//! Times as they are typed.

use access::passes::moment_of;
use protocol::Instant;

/// A moment, or a day, which begins at midnight UTC.
pub(super) fn time(text: &str) -> Result<Instant, String> {
    let day = || moment_of(&format!("{text}T00:00:00Z"));
    let wrong = || "must be a day like 2026-12-31 or a time like 2026-12-31T17:00:00+08:00".to_owned();
    moment_of(text).or_else(day).ok_or_else(wrong)
}
