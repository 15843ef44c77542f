//! How many connections are open, in all and from one address: each holds a slot until it is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Config;
use super::metrics::{Metrics, Reason};

/// The slots for connections, in all and for one address.
#[derive(Clone)]
pub(super) struct ConnectionSlots {
    taken: Arc<Mutex<Taken>>,
    connections_max: usize,
    per_address_max: usize,
    metrics: Metrics,
}

#[derive(Default)]
struct Taken {
    connections: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's slot, given back when dropped.
pub(super) struct ConnectionSlot {
    slots: ConnectionSlots,
    address: IpAddr,
}

impl ConnectionSlots {
    pub(super) fn new(config: &Config, metrics: Metrics) -> Self {
        Self {
            taken: Arc::default(),
            connections_max: config.connections_max,
            per_address_max: config.connections_per_address_max,
            metrics,
        }
    }

    /// A slot for a connection from this address.
    ///
    /// # Errors
    /// Says which limit is reached.
    pub(super) fn take(&self, address: IpAddr) -> Result<ConnectionSlot, Reason> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.connections >= self.connections_max {
            return Err(Reason::connections);
        }
        let of_address = taken.by_address.entry(address).or_default();
        if *of_address >= self.per_address_max {
            return Err(Reason::address);
        }
        *of_address += 1;
        taken.connections += 1;
        self.metrics.connections.inc();
        Ok(ConnectionSlot { slots: self.clone(), address })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.connections = taken.connections.saturating_sub(1);
        if let Some(of_address) = taken.by_address.get_mut(&self.address) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                taken.by_address.remove(&self.address);
            }
        }
        self.slots.metrics.connections.dec();
    }
}
