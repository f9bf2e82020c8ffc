//! Which connections stay open.
//!
//! Here: their number, and how much the requests of one address can hold. Not here: what is sent over
//! them.
//! Invariant: a new connection is always accepted. If there are too many, one of the address that has the
//! most is closed: a pod that opens thousands closes its own, and not those of an API server.

use super::Limits;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The open connections.
pub(crate) struct Connections {
    limits: Limits,
    open: Mutex<Open>,
    gauge: Gauge,
    bodies: Arc<Semaphore>,
}

#[derive(Default)]
struct Open {
    next: u64,
    by_address: BTreeMap<IpAddr, Peer>,
    count: usize,
}

/// The connections of an address.
struct Peer {
    connections: BTreeMap<u64, Arc<State>>,
    bodies: Arc<Semaphore>,
}

struct State {
    closed: CancellationToken,
    /// Requests in progress.
    busy: AtomicUsize,
    last: Mutex<Instant>,
}

/// A connection. Dropped, it is closed.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Guard>);

struct Guard {
    id: u64,
    address: IpAddr,
    state: Arc<State>,
    bodies: Arc<Semaphore>,
    all: Arc<Connections>,
}

/// What a body holds of the memory for bodies.
pub(crate) struct Room(
    #[expect(dead_code, reason = "held until the body is dropped")] [OwnedSemaphorePermit; 2],
);

/// A request in progress.
pub(crate) struct Busy<'a>(&'a State);

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

impl Connections {
    pub(crate) fn new(limits: Limits, gauge: Gauge) -> Self {
        Self {
            limits,
            open: Mutex::default(),
            gauge,
            bodies: Arc::new(Semaphore::new(kib(limits.bodies_bytes))),
        }
    }

    /// A new connection. If there are too many, another one is closed.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Connection {
        let mut open = self.lock();
        if open.count >= self.limits.connections {
            open.close_one();
        }
        let id = open.next;
        open.next = id.wrapping_add(1);
        let state = Arc::new(State {
            closed: CancellationToken::new(),
            busy: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        });
        let peer = open.by_address.entry(address).or_insert_with(|| Peer {
            connections: BTreeMap::new(),
            bodies: Arc::new(Semaphore::new(kib(self.limits.bodies_bytes / 2))),
        });
        peer.connections.insert(id, Arc::clone(&state));
        let bodies = Arc::clone(&peer.bodies);
        open.count = open.count.saturating_add(1);
        self.gauge
            .set(i64::try_from(open.count).unwrap_or(i64::MAX));
        Connection(Arc::new(Guard {
            id,
            address,
            state,
            bodies,
            all: Arc::clone(self),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes a connection of the address that has the most: an idle one, if there is one, and of these
    /// the one that was used last the longest ago.
    fn close_one(&mut self) {
        let most = self
            .by_address
            .iter()
            .max_by_key(|(_, peer)| peer.connections.len());
        let Some((&address, peer)) = most else {
            return;
        };
        let oldest = peer.connections.iter().min_by_key(|(_, state)| {
            let busy = state.busy.load(Ordering::Relaxed) > 0;
            let last = *state.last.lock().unwrap_or_else(PoisonError::into_inner);
            (busy, last)
        });
        if let Some((&id, state)) = oldest {
            state.closed.cancel();
            self.remove(address, id);
        }
    }

    fn remove(&mut self, address: IpAddr, id: u64) {
        let Some(peer) = self.by_address.get_mut(&address) else {
            return;
        };
        if peer.connections.remove(&id).is_some() {
            self.count = self.count.saturating_sub(1);
        }
        if peer.connections.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Connection {
    /// Waits until the connection has to be closed.
    pub(crate) async fn closed(&self) {
        self.0.state.closed.cancelled().await;
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.0.state.busy.fetch_add(1, Ordering::Relaxed);
        Busy(&self.0.state)
    }

    /// Memory for a body of so many bytes. One address has half of it at most.
    pub(crate) async fn room(&self, bytes: usize) -> Option<Room> {
        let permits = u32::try_from(kib(bytes)).ok()?;
        let of_address = Arc::clone(&self.0.bodies).acquire_many_owned(permits);
        let of_address = of_address.await.ok()?;
        let of_all = Arc::clone(&self.0.all.bodies).acquire_many_owned(permits);
        Some(Room([of_address, of_all.await.ok()?]))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut open = self.all.lock();
        open.remove(self.address, self.id);
        self.all
            .gauge
            .set(i64::try_from(open.count).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(limit: usize) -> Arc<Connections> {
        let limits = Limits {
            connections: limit,
            bodies_bytes: 16 << 10,
            ..Limits::default()
        };
        Arc::new(Connections::new(limits, Gauge::default()))
    }

    fn is_closed(connection: &Connection) -> bool {
        connection.0.state.closed.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_opens_too_many_connections_closes_its_own() {
        let (server, pod) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let connections = connections(8);
        let kept: Vec<_> = (0..3).map(|_| connections.admit(server)).collect();
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        let flood: Vec<_> = (0..40).map(|_| connections.admit(pod)).collect();
        assert!(kept.iter().all(|connection| !is_closed(connection)));
        assert_eq!(flood.iter().filter(|c| !is_closed(c)).count(), 5);
        let another = connections.admit(server);
        assert!(!is_closed(&another));
        assert_eq!(connections.gauge.get(), 8);
        drop((kept, flood, another));
        assert_eq!(connections.gauge.get(), 0);
        assert!(connections.lock().by_address.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_before_one_with_a_request() {
        let address = [10, 0, 0, 1].into();
        let connections = connections(2);
        let first = connections.admit(address);
        let busy = first.begin();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let second = connections.admit(address);
        let third = connections.admit(address);
        assert_eq!((is_closed(&first), is_closed(&second)), (false, true));
        drop(busy);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let used = third.begin();
        drop(used);
        drop(connections.admit(address));
        assert_eq!((is_closed(&first), is_closed(&third)), (true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_holds_half_of_the_memory_for_bodies() {
        let connections = connections(8);
        let pod = connections.admit([10, 0, 0, 2].into());
        let held = pod.room(8 << 10).await.unwrap();
        let another = connections.admit([10, 0, 0, 2].into());
        let soon = std::time::Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, another.room(1)).await.is_err());
        let server = connections.admit([10, 0, 0, 1].into());
        let room = tokio::time::timeout(soon, server.room(8 << 10)).await;
        assert!(room.unwrap().is_some());
        drop(held);
        assert!(tokio::time::timeout(soon, another.room(1)).await.is_ok());
    }
}
