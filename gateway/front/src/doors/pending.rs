//! Connections that have not sent CONNECT yet: bounded in all and by address, the oldest making room for the newest.
//!
//! To drop the oldest and not the newest means that a flood of connections that never say anything pushes out its own, while a
//! client that speaks at once has spoken before its turn comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::metrics::Metrics;

/// The connections that have not sent CONNECT yet.
pub(super) struct Pending {
    max: usize,
    per_address_max: usize,
    metrics: Metrics,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By age.
    connections: BTreeMap<u64, Connection>,
    addresses: HashMap<IpAddr, BTreeSet<u64>>,
    last: u64,
}

struct Connection {
    address: IpAddr,
    /// Dropping it is what ends the connection.
    _keep: oneshot::Sender<()>,
}

/// A place in the table, given up when dropped.
pub(super) struct PendingSlot {
    pending: Arc<Pending>,
    number: u64,
    dropped: oneshot::Receiver<()>,
}

impl Pending {
    pub(super) fn new(max: usize, per_address_max: usize, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { max, per_address_max, metrics, table: Mutex::default() })
    }

    /// A place for a new connection, at the cost of the oldest where a limit is reached.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> PendingSlot {
        let address = network(address);
        let (keep, dropped) = oneshot::channel();
        let mut table = self.table();
        let of_address = table.addresses.get(&address);
        if of_address.is_some_and(|numbers| numbers.len() >= self.per_address_max) {
            let oldest = of_address.and_then(|numbers| numbers.first().copied());
            self.drop_connection(&mut table, oldest);
        } else if table.connections.len() >= self.max {
            let oldest = table.connections.keys().next().copied();
            self.drop_connection(&mut table, oldest);
        }
        table.last += 1;
        let number = table.last;
        table.connections.insert(number, Connection { address, _keep: keep });
        table.addresses.entry(address).or_default().insert(number);
        self.metrics.pending.inc();
        PendingSlot { pending: Arc::clone(self), number, dropped }
    }

    /// Ends them all.
    pub(super) fn clear(&self) {
        let mut table = self.table();
        let numbers: Vec<_> = table.connections.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.leave(&mut table, number));
    }

    fn drop_connection(&self, table: &mut Table, number: Option<u64>) {
        if let Some(number) = number {
            self.metrics.pending_dropped.inc();
            self.leave(table, number);
        }
    }

    fn leave(&self, table: &mut Table, number: u64) {
        let Some(connection) = table.connections.remove(&number) else { return };
        self.metrics.pending.dec();
        if let Some(numbers) = table.addresses.get_mut(&connection.address) {
            numbers.remove(&number);
            if numbers.is_empty() {
                table.addresses.remove(&connection.address);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingSlot {
    /// Completes when the place was given to another.
    pub(super) async fn lost(&mut self) {
        // An error is what is waited for: nothing is ever sent.
        (&mut self.dropped).await.ok();
    }
}

impl Drop for PendingSlot {
    fn drop(&mut self) {
        self.pending.leave(&mut self.pending.table(), self.number);
    }
}

/// What counts as one address: a host can choose freely within its IPv6 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(slot: &mut PendingSlot) -> bool {
        matches!(slot.dropped.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn the_oldest_of_the_same_address_makes_room_first() {
        let metrics = Metrics::default();
        let pending = Pending::new(3, 2, metrics.clone());
        let [a, b, c] = ["192.0.2.1", "2001:db8::1", "2001:db8::2:0:0:1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let mut first = pending.enter(b);
        let mut second = pending.enter(a);
        let mut third = pending.enter("::ffff:192.0.2.1".parse().unwrap());
        let mut fourth = pending.enter(a);
        assert_eq!([&mut first, &mut second, &mut third, &mut fourth].map(is_lost), [false, true, false, false]);
        let mut fifth = pending.enter(c);
        assert_eq!([&mut first, &mut third, &mut fourth, &mut fifth].map(is_lost), [true, false, false, false]);
        assert_eq!((metrics.pending.get(), metrics.pending_dropped.get()), (3, 2));
        drop((first, second, third, fourth));
        assert_eq!(metrics.pending.get(), 1);
        pending.clear();
        assert!(is_lost(&mut fifth));
        drop(fifth);
        assert!(pending.table().connections.is_empty() && pending.table().addresses.is_empty());
    }
}
