//! When handshakes begin.
//!
//! Here: a token bucket for each address. Not here: the handshakes (`server`).
//! Invariant: a handshake takes processor time before anything is known about the caller, so an address begins
//! at most [`BURST`] at once and then one each [`INTERVAL`]. Those beyond it wait, and others do not wait for
//! them. What is remembered is bounded: addresses beyond that wait for each other, and have no burst.

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
/// Longest wait of the addresses that are not remembered. Later ones have no turn.
const QUEUE_LIMIT: Duration = Duration::from_secs(5);

/// The pace of each address.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    paces: Mutex<Paces>,
}

#[derive(Debug, Default)]
struct Paces {
    /// When all that an address used is available again.
    full: BTreeMap<IpAddr, Instant>,
    /// When the next handshake of the addresses that are not remembered can begin.
    others: Option<Instant>,
}

impl Handshakes {
    /// When the next handshake of an address can begin.
    pub(crate) fn next(&self, address: IpAddr, now: Instant) -> Instant {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let Paces { full: all, others } = &mut *paces;
        if all.len() >= ADDRESSES_LIMIT && !all.contains_key(&address) {
            all.retain(|_, full| *full > now);
        }
        // Full of what is still used. If it were cleared, each of them would have another burst.
        if all.len() >= ADDRESSES_LIMIT && !all.contains_key(&address) {
            let begin = others.map_or(now, |others| others.max(now));
            if begin <= now + QUEUE_LIMIT {
                *others = Some(begin + INTERVAL);
            }
            return begin;
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
        let remembered = || handshakes.paces.lock().unwrap().full.len();
        for n in 0..4096 {
            assert_eq!(handshakes.next(address(n), start), start);
        }
        // Those beyond it wait for each other, up to a limit.
        let turns: Vec<_> = (4096..10_000)
            .map(|n| handshakes.next(address(n), start))
            .collect();
        assert_eq!(turns[0], start);
        assert_eq!(turns[1], start + INTERVAL);
        assert_eq!(turns[1000], start + INTERVAL * 1000);
        assert_eq!(turns[5903], start + QUEUE_LIMIT + INTERVAL);
        assert_eq!(remembered(), ADDRESSES_LIMIT);
        // None of those that are remembered has another burst.
        let at_once = (0..1000).filter(|_| handshakes.next(address(0), start) == start);
        assert_eq!(at_once.count(), 255);
        let later = start + Duration::from_secs(1);
        assert_eq!(handshakes.next(address(9_999), later), later);
        assert_eq!(remembered(), 2);
    }
}
