//! What a door is told of an event that was kept.

use crate::VERSION;
use crate::decision::Decision;
use crate::event::{Event, EventKind};

impl Decision {
    /// The decision that `event` keeps; `None` where a scan could not be told from others, so that no answer could be matched to
    /// it.
    pub fn of(event: &Event) -> Option<Self> {
        let (id, assist) = match &event.subject {
            EventKind::Scan(scan) => (Some(scan.id), None),
            EventKind::Malformed(malformed) => (Some(malformed.id?), None),
            EventKind::Assist(word) => (word.answers.map(|scan| scan.id), word.id.clone()),
        };
        let verdict = &event.verdict;
        Some(Self {
            v: VERSION.into(),
            epoch: id.map(|id| id.epoch),
            seq: id.map(|id| id.seq),
            outcome: verdict.outcome,
            open: verdict.open,
            warning: verdict.is_warning(),
            status: verdict.status,
            reason: verdict.reason.clone(),
            text: verdict.text.clone(),
            language: verdict.language,
            event: Some(event.number),
            policy: verdict.policy_set.clone(),
            policies: verdict.policies.clone(),
            assist,
            decided_at: event.decided_at,
        })
    }
}
