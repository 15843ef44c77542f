//! What is done at doors over HTTP: assist requests, and what they pass; acknowledgements of missing scans.

use std::sync::Arc;
use std::time::Duration;

use super::edge::Edge;
use super::spine::{Core, door_settings};
use crate::config::Config;
use crate::status::StatusSources;
use base::clock::Clock;
use front::doors::{AssistRoute, AssistSubmitter};
use protocol::DoorId;
use protocol::api::AssistRefusal;
use web::AcknowledgeError;

/// What assist requests pass, from helpers' sessions and over HTTP.
pub(super) fn submitter(config: &Config, core: &Core, edge: &Edge, clock: &Clock) -> Arc<AssistSubmitter> {
    let route = AssistRoute {
        // Weak: the spine ends when the last real owner of its queue is gone.
        scans: core.scans.downgrade(),
        registry: Arc::clone(&edge.connected),
        door_settings: door_settings(
            Arc::clone(&core.snapshot),
            core.figures.clone(),
            clock.clone(),
            config.scans.late_after_ms,
        ),
        clock: clock.clone(),
        metrics: edge.door_metrics.clone(),
        answer_timeout: Duration::from_millis(config.mqtt.answer_timeout_ms),
    };
    Arc::new(AssistSubmitter::new(config.scans.assists_per_minute_max, route))
}

/// Submits an assist request that came over HTTP. On a task of its own: a client that hangs up must not come between the disk and
/// the door.
pub(super) fn submit(
    submitter: &Arc<AssistSubmitter>,
) -> Arc<dyn Fn(web::AssistSubmission) -> web::AssistResult + Send + Sync> {
    let submitter = Arc::clone(submitter);
    Arc::new(move |web::AssistSubmission { door, assist, token }| {
        let submitter = Arc::clone(&submitter);
        let submitted = tokio::spawn(async move { submitter.submit(door, assist, token).await });
        Box::pin(async move { submitted.await.unwrap_or(Err(AssistRefusal::Unavailable)) })
    })
}

/// Keeps that an operator knows of a door's missing scans.
pub(super) fn acknowledge(site: &Arc<StatusSources>) -> Arc<dyn Fn(DoorId) -> web::AcknowledgeResult + Send + Sync> {
    let site = Arc::clone(site);
    Arc::new(move |door| {
        let known = site.snapshot.load().doors.get(&door).is_some();
        let (scans, site) = (site.scans.upgrade().filter(|_| known), Arc::clone(&site));
        Box::pin(async move {
            match scans {
                Some(scans) => {
                    let acknowledged = scans.acknowledge(door.clone()).await.map_err(|_| AcknowledgeError::NotKept)?;
                    site.figures.acknowledge(&door);
                    site.connected.acknowledge(&door);
                    Ok(acknowledged)
                }
                None if known => Err(AcknowledgeError::NotKept),
                None => Err(AcknowledgeError::UnknownDoor),
            }
        })
    })
}
