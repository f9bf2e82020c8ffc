//! The memory for bodies.
//!
//! Here: how much of it the bodies of all connections and of one address hold, and which body gives way. Not
//! here: reading bodies (`body`).
//! Invariant: memory is taken for what arrived, and never for what a caller announces. An address whose callers are
//! not verified holds at most half. If it is used up, the body that has been arriving the longest gives way, if that is longer than
//! [`SLOW`]: API servers send a body at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Time after which a body that is still arriving gives way to others.
const SLOW: Duration = Duration::from_millis(500);
/// How often a body that waits for memory looks for a slow one.
const RETRY: Duration = Duration::from_millis(100);

/// The memory for the bodies of all connections.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    bytes: usize,
    held: Mutex<Held>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
    /// By their numbers, so in the order in which they began.
    arriving: BTreeMap<u64, Arriving>,
    next: u64,
}

/// A body that has not arrived as a whole.
#[derive(Debug)]
struct Arriving {
    address: IpAddr,
    since: Instant,
    gives_way: CancellationToken,
}

/// What a body holds of the memory, until it is dropped.
#[derive(Debug)]
pub(crate) struct BodyPermit {
    memory: Arc<BodyMemory>,
    address: IpAddr,
    /// Whether the caller is an API server.
    is_verified: bool,
    bytes: usize,
    /// None: nothing was taken yet.
    number: Option<u64>,
    gives_way: CancellationToken,
}

impl BodyMemory {
    /// Memory of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            held: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// The permit of a body from an address, of which nothing arrived yet.
    pub(crate) fn permit(self: &Arc<Self>, address: IpAddr, is_verified: bool) -> BodyPermit {
        BodyPermit {
            memory: Arc::clone(self),
            address,
            is_verified,
            bytes: 0,
            number: None,
            gives_way: CancellationToken::new(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn give_back(&mut self, address: IpAddr, bytes: usize) {
        self.all = self.all.saturating_sub(bytes);
        if let Some(of_address) = self.by_address.get_mut(&address) {
            *of_address = of_address.saturating_sub(bytes);
            if *of_address == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl BodyPermit {
    /// Takes memory for a body of which so many bytes arrived, and waits until there is enough.
    pub(crate) async fn grow(&mut self, bytes: usize) {
        let memory = Arc::clone(&self.memory);
        loop {
            let freed = memory.freed.notified();
            let mut freed = std::pin::pin!(freed);
            // What is given back from here on wakes it.
            freed.as_mut().enable();
            if self.take(bytes, Instant::now()) {
                return;
            }
            // A body that arrives slowly is one only after a while.
            drop(tokio::time::timeout(RETRY, freed).await);
        }
    }

    /// Whether there is memory now. If not, the next body gives way.
    fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let mut held = self.memory.held();
        let more = bytes.saturating_sub(self.bytes);
        let of_address = held.by_address.get(&self.address).copied();
        let of_address = of_address.unwrap_or_default().saturating_add(more);
        let all = held.all.saturating_add(more);
        let number = *self.number.get_or_insert_with(|| {
            let number = held.next;
            held.next = number.wrapping_add(1);
            let arriving = Arriving {
                address: self.address,
                since: now,
                gives_way: self.gives_way.clone(),
            };
            held.arriving.insert(number, arriving);
            number
        });
        let has_its_share = self.is_verified || of_address <= self.memory.bytes / 2;
        if has_its_share && all <= self.memory.bytes {
            held.all = all;
            held.by_address.insert(self.address, of_address);
            self.bytes = bytes.max(self.bytes);
            return true;
        }
        let slow = held.arriving.iter().find(|(other, arriving)| {
            **other != number
                && (has_its_share || arriving.address == self.address)
                && now.saturating_duration_since(arriving.since) >= SLOW
        });
        if let Some((_, slow)) = slow {
            slow.gives_way.cancel();
        }
        false
    }

    /// The body has arrived as a whole, so it gives way to none any more.
    pub(crate) fn arrived(&self) {
        if let Some(number) = self.number {
            self.memory.held().arriving.remove(&number);
        }
    }

    /// Gives back what is more than so many bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        if less == 0 {
            return;
        }
        self.bytes = bytes;
        self.memory.held().give_back(self.address, less);
        self.memory.freed.notify_waiters();
    }

    /// Ends when the body has to give way.
    pub(crate) fn gives_way(&self) -> CancellationToken {
        self.gives_way.clone()
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            return;
        };
        let mut held = self.memory.held();
        held.arriving.remove(&number);
        held.give_back(self.address, self.bytes);
        drop(held);
        self.memory.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const POD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    async fn held(memory: &Arc<BodyMemory>, address: IpAddr, bytes: usize) -> BodyPermit {
        let mut room = memory.permit(address, false);
        room.grow(bytes).await;
        room
    }

    /// Whether room for a body is there within the time.
    async fn has_room(room: &mut BodyPermit, bytes: usize, within: Duration) -> bool {
        tokio::time::timeout(within, room.grow(bytes)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_holds_half() {
        let memory = Arc::new(BodyMemory::new(16));
        let whole = held(&memory, POD, 8).await;
        whole.arrived();
        let mut another = memory.permit(POD, false);
        assert!(!has_room(&mut another, 1, Duration::from_mins(1)).await);
        let server = held(&memory, SERVER, 8).await;
        drop(whole);
        assert!(has_room(&mut another, 8, Duration::ZERO).await);
        drop((another, server));
        let held = memory.held();
        assert_eq!(
            (held.all, held.by_address.len(), held.arriving.len()),
            (0, 0, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn api_servers_behind_one_address_hold_all() {
        let memory = Arc::new(BodyMemory::new(16));
        let first = held(&memory, SERVER, 8).await;
        first.arrived();
        let mut second = memory.permit(SERVER, true);
        assert!(has_room(&mut second, 8, Duration::ZERO).await);
        assert!(!has_room(&mut second, 9, SLOW * 10).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_is_for_others_at_once() {
        let memory = Arc::new(BodyMemory::new(16));
        let mut decoded = held(&memory, POD, 8).await;
        decoded.arrived();
        let mut another = memory.permit(POD, false);
        assert!(!has_room(&mut another, 6, SLOW).await);
        decoded.shrink(2);
        assert!(has_room(&mut another, 6, Duration::ZERO).await);
        assert!(!has_room(&mut another, 7, SLOW).await);
        // Nothing is taken by it.
        decoded.shrink(8);
        drop(decoded);
        assert!(has_room(&mut another, 8, Duration::ZERO).await);
        drop(another);
        assert_eq!(memory.held().all, 0);
        assert!(memory.held().by_address.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_slowly_gives_way() {
        let memory = Arc::new(BodyMemory::new(16));
        let first = held(&memory, POD, 8).await;
        tokio::time::advance(SLOW / 2).await;
        let second = held(&memory, [10, 0, 0, 3].into(), 8).await;
        let mut server = memory.permit(SERVER, false);
        assert!(!has_room(&mut server, 4, SLOW / 4).await);
        assert!(!first.gives_way.is_cancelled(), "it began just now");
        assert!(!has_room(&mut server, 4, SLOW / 2).await);
        assert!(first.gives_way.is_cancelled() && !second.gives_way.is_cancelled());
        drop(first);
        assert!(has_room(&mut server, 4, Duration::ZERO).await);
        // What arrived as a whole is under review.
        second.arrived();
        tokio::time::advance(SLOW * 10).await;
        let mut last = memory.permit([10, 0, 0, 4].into(), false);
        assert!(!has_room(&mut last, 8, SLOW).await);
        assert!(!second.gives_way.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_holds_its_half_cuts_off_no_other() {
        let memory = Arc::new(BodyMemory::new(16));
        let server = held(&memory, SERVER, 4).await;
        let own = held(&memory, POD, 8).await;
        tokio::time::advance(SLOW * 2).await;
        let mut pod = memory.permit(POD, false);
        assert!(!has_room(&mut pod, 1, SLOW).await);
        assert!(own.gives_way.is_cancelled() && !server.gives_way.is_cancelled());
    }
}
