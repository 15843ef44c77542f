//! What HTTP shows, and where it comes from.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;

use super::people::People;
use super::personal::Personal;
use super::{policies, words};
use crate::overview::Overview;
use base::tokens::Tokens;
use front::doors::Words;
use web;

/// What HTTP shows.
pub(super) fn sources(
    overview: &Arc<Overview>,
    registry: Registry,
    tokens: &Arc<ArcSwap<Tokens>>,
    words: &Arc<Words>,
    personal: &Personal,
) -> web::Sources {
    let (status, ready) = (Arc::clone(overview), Arc::clone(overview));
    let (newest, events) = (overview.reader.clone(), personal.ledgers.clone());
    let people = People {
        path: personal.ledgers.directory.clone(),
        current: personal.current.clone(),
        clock: overview.clock.clone(),
    };
    web::Sources {
        status: Arc::new(move || status.status()),
        ready: Arc::new(move || ready.problems()),
        metrics: Arc::new(registry),
        events: Arc::new(move |after, limit| events.events(after, limit)),
        last_event: Arc::new(move || newest.last_event()),
        people: Arc::new(people),
        ledgers: Arc::new(personal.ledgers.clone()),
        audit: personal.looks.clone(),
        policy: policies::status(overview),
        shadow: policies::shadow_report(overview),
        assist: words::submit(words),
        tokens: Arc::clone(tokens),
        clock: overview.clock.clone(),
    }
}
