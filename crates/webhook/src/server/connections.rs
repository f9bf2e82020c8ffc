//! Which connections stay open.
//!
//! Here: their number, and which of them is closed for a new one. Not here: what is sent over them, the memory
//! for bodies (`memory`), when handshakes begin (`handshakes`).
//! Invariant: no review that arrived is lost for a new connection. The first to be closed have had no review,
//! because a connection of an API server has one at once; then those that wait for a request. In both cases the
//! address with the most goes first. A connection is refused only if each other one has a review in progress.
//!
//! A caller that is not verified can send a review, too, and then its connections are as good as those of an API
//! server. Of these only those without a request can be closed, and the API server opens another one.

use super::Limits;
use super::memory::{BodyMemory, BodyPermit};
use prometheus_client::metrics::gauge::Gauge;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Time in which a request is expected to arrive as a whole. Then its connection can be closed.
const ARRIVAL: Duration = Duration::from_secs(1);

/// The open connections.
pub(crate) struct Connections {
    limit: usize,
    open: Mutex<Open>,
    gauge: Gauge,
    memory: Arc<BodyMemory>,
}

#[derive(Default)]
struct Open {
    next: u64,
    by_address: BTreeMap<IpAddr, BTreeMap<u64, Arc<State>>>,
    count: usize,
}

struct State {
    closed: CancellationToken,
    activity: Mutex<Activity>,
}

#[derive(Clone, Copy)]
struct Activity {
    /// Requests that have not arrived as a whole.
    arriving: usize,
    /// Requests that arrived and have no response yet.
    in_progress: usize,
    /// Whether a review had a response.
    has_reviewed: bool,
    /// Whether the caller is an API server, so that its address is not limited to half.
    is_verified: bool,
    /// When a request last began or ended; before the first, when the connection was accepted.
    last: Instant,
}

/// Which connections are closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It has had no review.
    New,
    /// It waits for a request.
    Idle,
    /// Its request does not arrive.
    Slow,
}

/// A connection. Dropped, it is closed.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Guard>);

struct Guard {
    id: u64,
    address: IpAddr,
    state: Arc<State>,
    all: Arc<Connections>,
}

/// A request of a connection, until it has its response.
pub(crate) struct PendingRequest<'a> {
    state: &'a State,
    has_arrived: bool,
}

impl Connections {
    pub(crate) fn new(limits: Limits, gauge: Gauge) -> Self {
        Self {
            limit: limits.connections,
            open: Mutex::default(),
            gauge,
            memory: Arc::new(BodyMemory::new(limits.bodies_bytes)),
        }
    }

    /// A new connection, for which another one is closed if there are too many; none: each has a review in
    /// progress. An address has at most half of them, besides those of verified callers.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Connection> {
        let now = Instant::now();
        let mut open = self.lock();
        let own = open.by_address.get(&address).into_iter().flatten();
        let own = own.filter(|(_, state)| !state.activity().is_verified);
        if own.count() >= self.limit.div_ceil(2) {
            open.close_one(Some(address), now)?;
        } else if open.count >= self.limit {
            open.close_one(None, now)?;
        }
        let id = open.next;
        open.next = id.wrapping_add(1);
        let state = Arc::new(State {
            closed: CancellationToken::new(),
            activity: Mutex::new(Activity {
                arriving: 0,
                in_progress: 0,
                has_reviewed: false,
                is_verified: false,
                last: now,
            }),
        });
        let peer = open.by_address.entry(address).or_default();
        peer.insert(id, Arc::clone(&state));
        open.count = open.count.saturating_add(1);
        self.measure(&open);
        Some(Connection(Arc::new(Guard {
            id,
            address,
            state,
            all: Arc::clone(self),
        })))
    }

    fn measure(&self, open: &Open) {
        let count = i64::try_from(open.count).unwrap_or(i64::MAX);
        self.gauge.set(count);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the connection that is the first to be closed, of all or of callers of one address that are not
    /// verified; none: none can be.
    fn close_one(&mut self, of: Option<IpAddr>, now: Instant) -> Option<()> {
        let peers = self.by_address.iter();
        let peers = peers.filter(|(address, _)| of.is_none_or(|of| of == **address));
        let mut closable = Vec::new();
        let mut counts: BTreeMap<(Rank, IpAddr), usize> = BTreeMap::new();
        for (&address, connections) in peers {
            for (&id, state) in connections {
                let activity = *state.activity();
                if of.is_some() && activity.is_verified {
                    continue;
                }
                if let Some(rank) = activity.rank(now) {
                    *counts.entry((rank, address)).or_default() += 1;
                    closable.push((rank, address, activity.last, id));
                }
            }
        }
        let first = closable
            .into_iter()
            .min_by_key(|(rank, address, last, id)| {
                let count = counts.get(&(*rank, *address)).copied();
                (*rank, Reverse(count), *last, *id)
            });
        let (_, address, _, id) = first?;
        let state = self.by_address.get(&address)?.get(&id)?;
        state.closed.cancel();
        self.remove(address, id);
        Some(())
    }

    fn remove(&mut self, address: IpAddr, id: u64) {
        let Some(connections) = self.by_address.get_mut(&address) else {
            return;
        };
        if connections.remove(&id).is_some() {
            self.count = self.count.saturating_sub(1);
        }
        if connections.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Activity {
    /// When it is closed; none: it is not.
    fn rank(self, now: Instant) -> Option<Rank> {
        let is_slow = now.saturating_duration_since(self.last) >= ARRIVAL;
        match (self.in_progress, self.arriving, self.has_reviewed) {
            (1.., _, _) => None,
            (0, _, false) => Some(Rank::New),
            (0, 0, true) => Some(Rank::Idle),
            (0, 1.., true) => is_slow.then_some(Rank::Slow),
        }
    }
}

impl State {
    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Waits until the connection has to be closed.
    pub(crate) async fn closed(&self) {
        self.0.state.closed.cancelled().await;
    }

    /// The caller is an API server. Several of them can have one address: that of a proxy.
    pub(crate) fn verified(&self) {
        self.0.state.activity().is_verified = true;
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> PendingRequest<'_> {
        let state = &*self.0.state;
        let mut activity = state.activity();
        activity.arriving += 1;
        activity.last = Instant::now();
        PendingRequest {
            state,
            has_arrived: false,
        }
    }

    /// The permit of a body.
    pub(crate) fn permit(&self) -> BodyPermit {
        let is_verified = self.0.state.activity().is_verified;
        self.0.all.memory.permit(self.0.address, is_verified)
    }
}

impl PendingRequest<'_> {
    /// The request has arrived as a whole.
    pub(crate) fn arrived(&mut self) {
        if !std::mem::replace(&mut self.has_arrived, true) {
            let mut activity = self.state.activity();
            activity.arriving -= 1;
            activity.in_progress += 1;
        }
    }

    /// The request is a review.
    pub(crate) fn is_review(&self) {
        self.state.activity().has_reviewed = true;
    }
}

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        let mut activity = self.state.activity();
        if self.has_arrived {
            activity.in_progress -= 1;
        } else {
            activity.arriving -= 1;
        }
        activity.last = Instant::now();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut open = self.all.lock();
        open.remove(self.address, self.id);
        self.all.measure(&open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn pod(n: usize) -> IpAddr {
        [10, 0, 1, u8::try_from(n).unwrap()].into()
    }

    fn connections(limit: usize) -> Arc<Connections> {
        let limits = Limits {
            connections: limit,
            ..Limits::default()
        };
        Arc::new(Connections::new(limits, Gauge::default()))
    }

    fn is_closed(connection: &Connection) -> bool {
        connection.0.state.closed.is_cancelled()
    }

    fn open(connections: &[Connection]) -> usize {
        connections.iter().filter(|c| !is_closed(c)).count()
    }

    /// A connection that has had a review.
    fn reviewed(connections: &Arc<Connections>, address: IpAddr) -> Connection {
        let connection = connections.admit(address).unwrap();
        connection.begin().is_review();
        connection
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_opens_too_many_connections_closes_its_own() {
        let connections = connections(8);
        let kept: Vec<_> = (0..3).map(|_| connections.admit(SERVER).unwrap()).collect();
        tokio::time::advance(Duration::from_mins(1)).await;
        let flood = (0..40).map(|_| connections.admit(pod(1)).unwrap());
        let flood: Vec<_> = flood.collect();
        assert_eq!((open(&kept), open(&flood)), (3, 4), "an address has half");
        let another = connections.admit(SERVER).unwrap();
        assert!(!is_closed(&another));
        assert_eq!(connections.gauge.get(), 8);
        drop((kept, flood, another));
        assert_eq!(connections.gauge.get(), 0);
        assert!(connections.lock().by_address.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn api_servers_behind_one_address_are_not_limited_to_half() {
        let connections = connections(8);
        let proxy = pod(1);
        let mut servers = Vec::new();
        for _ in 0..6 {
            let server = connections.admit(proxy).unwrap();
            server.verified();
            server.begin().is_review();
            servers.push(server);
        }
        assert_eq!(open(&servers), 6);
        // Others of the address close each other, and none of these.
        let flood: Vec<_> = (0..40).map(|_| connections.admit(proxy).unwrap()).collect();
        assert_eq!((open(&servers), open(&flood)), (6, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_close_no_connection_that_has_had_a_review() {
        let connections = connections(8);
        let kept: Vec<_> = (0..3).map(|_| reviewed(&connections, SERVER)).collect();
        tokio::time::advance(Duration::from_mins(1)).await;
        let flood: Vec<_> = (0..40)
            .map(|n| connections.admit(pod(n)).unwrap())
            .collect();
        assert_eq!((open(&kept), open(&flood)), (3, 5));
        // The oldest of them gives way to a new one of an API server, too.
        let another = connections.admit(SERVER).unwrap();
        assert_eq!((open(&kept), open(&flood)), (3, 4));
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(connections.admit(pod(0)).unwrap());
        assert!(!is_closed(&another), "others are older");
    }

    #[tokio::test(start_paused = true)]
    async fn no_review_in_progress_is_lost_for_a_new_connection() {
        let connections = connections(4);
        let kept = reviewed(&connections, SERVER);
        let mut review = kept.begin();
        review.arrived();
        let forged: Vec<_> = (0..3).map(|n| reviewed(&connections, pod(n))).collect();
        tokio::time::advance(Duration::from_mins(1)).await;
        // Idle ones are closed, the address with the most first, and of these the oldest.
        let more = reviewed(&connections, pod(2));
        assert_eq!(open(&forged), 2);
        assert!(is_closed(&forged[0]));
        let rest = [&forged[1], &forged[2], &more];
        let mut busy: Vec<_> = rest.iter().map(|forged| forged.begin()).collect();
        for review in &mut busy {
            review.arrived();
        }
        assert!(connections.admit(pod(9)).is_none());
        assert!(connections.admit(SERVER).is_none());
        assert!(!is_closed(&kept));
        drop(busy);
        assert!(connections.admit(SERVER).is_some());
        assert!(!is_closed(&kept));
        drop(review);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_arrive_protects_no_connection() {
        let connections = connections(2);
        let slow = reviewed(&connections, pod(1));
        let request = slow.begin();
        let other = reviewed(&connections, pod(2));
        let mut review = other.begin();
        review.arrived();
        assert!(connections.admit(SERVER).is_none(), "it arrives just now");
        tokio::time::advance(ARRIVAL).await;
        assert!(connections.admit(SERVER).is_some());
        assert_eq!((is_closed(&slow), is_closed(&other)), (true, false));
        drop((request, review));
    }
}
