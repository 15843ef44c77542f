//! Fan-out of decisions and door status to monitors (stub).

use bytes::Bytes;
use thiserror::Error;

/// Publishes to every monitor that has subscribed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Monitors {}

/// One monitor's end of the fan-out.
#[derive(Debug)]
pub struct MonitorLink {}

/// A message for a monitor.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The topic that it was published to.
    pub topic: Bytes,
    /// What was published.
    pub payload: Bytes,
}

/// The fan-out does not work any more: the gateway must be restarted.
#[derive(Debug, Error)]
#[error("the router of the monitors has stopped")]
pub struct RouterStopped;

impl Monitors {
    /// Publishes without ever waiting; what does not fit is dropped and counted.
    pub fn publish(&self, _topic: &str, _payload: Bytes) {}

    /// Connects a monitor.
    ///
    /// # Errors
    /// When the router has stopped.
    pub async fn attach(&self, _client_id: &str) -> Result<MonitorLink, RouterStopped> {
        Ok(MonitorLink {})
    }
}

impl MonitorLink {
    /// Starts deliveries of what `filter` covers.
    ///
    /// # Errors
    /// When the router has stopped.
    pub async fn subscribe(&mut self, _filter: &str) -> Result<(), RouterStopped> {
        Ok(())
    }

    /// Ends them.
    ///
    /// # Errors
    /// When the router has stopped.
    pub async fn unsubscribe(&mut self, _filter: &str) -> Result<(), RouterStopped> {
        Ok(())
    }

    /// The next message. May be dropped and called again without losing one.
    ///
    /// # Errors
    /// When the router has stopped.
    pub async fn next(&mut self) -> Result<Delivery, RouterStopped> {
        std::future::pending().await
    }
}
