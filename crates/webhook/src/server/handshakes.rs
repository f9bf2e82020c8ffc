//! When handshakes begin.
//!
//! Here: a token bucket for each address. Not here: the handshakes (`server`).
//! Invariant: a handshake takes processor time before anything is known about the caller, so an address begins
//! at most [`BURST`] at once and then one each [`INTERVAL`]. Those beyond it wait, and others do not wait for
//! them. What is remembered is bounded.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Most handshakes of an address at once: more than the connections that an API server opens to a new replica.
const BURST: u32 = 256;
/// Time until there is room for another one. With it, an address takes about a twentieth of a core.
const INTERVAL: Duration = Duration::from_millis(4);
/// Most addresses that are remembered.
const ADDRESSES_LIMIT: usize = 4096;

/// The pace of each address.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// When all that an address used is available again.
    full: Mutex<BTreeMap<IpAddr, Instant>>,
}

impl Handshakes {
    /// When the next handshake of an address can begin.
    pub(crate) fn next(&self, address: IpAddr, now: Instant) -> Instant {
        let mut all = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES_LIMIT && !all.contains_key(&address) {
            all.retain(|_, full| *full > now);
        }
        // Full of what is still used: all of them begin again.
        if all.len() >= ADDRESSES_LIMIT && !all.contains_key(&address) {
            all.clear();
        }
        let full = all.entry(address).or_insert(now);
        *full = now.max(*full) + INTERVAL;
        let waiting = full.saturating_duration_since(now);
        now + waiting.saturating_sub(INTERVAL * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(n).into()
    }

    #[test]
    fn an_address_has_a_burst_and_then_one_each_interval_and_others_do_not_wait() {
        let (handshakes, start) = (Handshakes::default(), Instant::now());
        let at_once = (0..1000).filter(|_| handshakes.next(address(1), start) == start);
        assert_eq!(at_once.count(), 256);
        assert_eq!(handshakes.next(address(2), start), start);
        let last = handshakes.next(address(1), start);
        assert_eq!(last, start + INTERVAL * (1001 - 256));
        let later = last + INTERVAL * BURST;
        assert_eq!(handshakes.next(address(1), later), later);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (handshakes, start) = (Handshakes::default(), Instant::now());
        for n in 0..10_000 {
            assert_eq!(handshakes.next(address(n), start), start);
            assert!(handshakes.full.lock().unwrap().len() <= ADDRESSES_LIMIT);
        }
        handshakes.next(address(0), start + Duration::from_secs(1));
        assert!(handshakes.full.lock().unwrap().len() <= ADDRESSES_LIMIT);
    }
}
