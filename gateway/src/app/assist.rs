//! The way of helpers' words: what they pass, and how HTTP hands them in.

use std::sync::Arc;
use std::time::Duration;

use super::{Core, Edge, known_door};
use crate::config::Config;
use base::clock::Clock;
use front::doors;
use front::doors::{Way, Words};

/// What helpers' words pass, from their sessions and over HTTP.
pub(super) fn words(config: &Config, core: &Core, edge: &Edge, clock: &Clock) -> Arc<Words> {
    let way = Way {
        // Weak: the spine ends when the last real owner of its queue is gone.
        scans: core.scans.downgrade(),
        registry: Arc::clone(&edge.connected),
        known_door: known_door(Arc::clone(&core.snapshot), clock.clone(), config.scans.late_after_ms),
        clock: clock.clone(),
        metrics: edge.door_metrics.clone(),
        answer_timeout: Duration::from_millis(config.mqtt.answer_timeout_ms),
    };
    Arc::new(Words::new(config.scans.assists_per_minute_max, way))
}

/// Keeps a helper's word that came over HTTP. On a task of its own: a client that hangs up must not come between the disk and
/// the door.
pub(super) fn say(words: &Arc<Words>) -> Arc<dyn Fn(web::Word) -> web::Saying + Send + Sync> {
    let words = Arc::clone(words);
    Arc::new(move |web::Word { door, assist, token }| {
        let words = Arc::clone(&words);
        let saying = tokio::spawn(async move { words.say(door, assist, token).await });
        Box::pin(async move {
            let said = saying.await.map_err(|_| web::NotSaid::Unavailable)?;
            said.map(|doors::Said { decision, door_told }| web::Said { decision, door_told }).map_err(|why| match why {
                doors::NotSaid::UnknownDoor => web::NotSaid::UnknownDoor,
                doors::NotSaid::TooMany { retry_after } => {
                    web::NotSaid::TooMany { retry_after_s: retry_after.as_secs().saturating_add(1) }
                }
                doors::NotSaid::Unavailable => web::NotSaid::Unavailable,
            })
        })
    })
}
