//! What every test starts from: a [`Site`] on disk, a running [`Gateway`], clients and a fleet, and patience.
//!
//! ```text
//! let site = Site::make(&["main-in"]);
//! let gateway = site.run().await;
//! let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
//! let answer = reader.scan(1, GREEN).await;
//! ```

mod client;
mod fleet;
mod gateway;
mod ledgers;
mod packets;
mod reader;
mod recorder;
mod site;

use std::time::Duration;

pub use client::{Client, alert, closed};
pub use fleet::{Fleet, audit};
pub use gateway::{Gateway, Listen};
pub use ledgers::{Days, days_later, everything, lines, set, token_of};
pub use packets::{Connect, Packet, Publish, QoS, Version, packet, subscribe, text};
pub use reader::{Acknowledged, Kept, Reader};
pub use recorder::{Manner, Recorder};
pub use site::{BLACK, GREEN, NAMES, RED, SITE, Said, Site, UNKNOWN, VISITOR, YELLOW, program, unused_port};

/// How long anything may take on a busy machine. Nothing waits so long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Time between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `condition` holds; fails with `what` after [`DEADLINE`].
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let met = tokio::time::timeout(DEADLINE, waiting).await;
    assert!(met.is_ok(), "not within {} s: {what}", DEADLINE.as_secs());
}
