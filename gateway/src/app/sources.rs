//! What HTTP shows, and where it comes from.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;

use super::personal::Personal;
use super::{assist, policies};
use crate::people::People;
use crate::status::StatusSources;
use base::tokens::Tokens;
use front::doors::AssistSubmitter;
use web;

/// What HTTP shows.
pub(super) fn sources(
    site: &Arc<StatusSources>,
    registry: Registry,
    tokens: &Arc<ArcSwap<Tokens>>,
    submitter: &Arc<AssistSubmitter>,
    personal: &Personal,
) -> web::Sources {
    let (status, ready) = (Arc::clone(site), Arc::clone(site));
    let (newest, events) = (site.reader.clone(), personal.ledgers.clone());
    let people = People {
        path: personal.ledgers.rights.directory.clone(),
        in_force: personal.in_force.clone(),
        clock: site.clock.clone(),
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
        policy: policies::status(site),
        shadow: policies::shadow_report(site),
        assist: assist::submit(submitter),
        acknowledge: assist::acknowledge(site),
        tokens: Arc::clone(tokens),
        clock: site.clock.clone(),
    }
}
