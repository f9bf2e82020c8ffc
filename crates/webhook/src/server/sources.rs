//! What the limits of a caller count by.
//!
//! Here: from the address of a peer to what it is counted as. Not here: the limits (`connections`, `handshakes`,
//! `memory`).
//! Invariant: who has one address has no more than one share, however many addresses come with it.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that its host chooses itself: it has all addresses of its /64.
const OF_HOST: u128 = u64::MAX as u128;

/// The address that a peer is counted as: of IPv6 the first one of its /64.
pub(super) fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !OF_HOST).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_host_are_counted_as_one() {
        for (peer, counted) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            assert_eq!(counted_as(peer.parse().unwrap()).to_string(), counted);
        }
    }
}
