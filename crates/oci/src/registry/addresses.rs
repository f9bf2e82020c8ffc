//! The addresses that Bailiff does not connect to.
//!
//! Here: the ranges, and addresses inside addresses. Not here: when they are asked about
//! (`connect`).
//! Invariant: an address is refused if any address that it leads to is: an IPv6 address that embeds
//! an IPv4 address is judged by both.
//!
//! Private ranges are allowed, because registries are there. The service and pod ranges of a cluster
//! are private too and cannot be told from others, so the configuration has them (`denyCIDRs`).

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(segments: [u16; 8], bits: u8) -> Ipv6Net {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(s0, s1, s2, s3, s4, s5, s6, s7), bits)
}

/// What is refused of IPv4.
const REFUSED_V4: [Ipv4Net; 8] = [
    // "This" host; Linux connects 0.0.0.0 to itself.
    v4(0, 0, 0, 0, 8),
    // Loopback.
    v4(127, 0, 0, 0, 8),
    // Link-local, with the metadata services of nearly every cloud.
    v4(169, 254, 0, 0, 16),
    // Protocol assignments, with the metadata service of Oracle Cloud Classic (192.0.0.192).
    v4(192, 0, 0, 0, 24),
    // Metadata service of Alibaba Cloud.
    v4(100, 100, 100, 200, 32),
    // Platform address of Azure, which is public.
    v4(168, 63, 129, 16, 32),
    // Multicast.
    v4(224, 0, 0, 0, 4),
    // Reserved, with broadcast.
    v4(240, 0, 0, 0, 4),
];

/// What is refused of IPv6.
const REFUSED_V6: [Ipv6Net; 13] = [
    // Unspecified and loopback.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 127),
    // Local translation to IPv4: where it embeds the address is a matter of the network.
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    // Teredo: embeds addresses of servers and clients, scrambled.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    // Link-local, and site-local, which came before private ranges.
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    // Multicast.
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    // Services of EC2: metadata, DNS, time, identities of pods.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
    // Metadata services of Google Cloud, Oracle Cloud, Scaleway, Akamai and Alibaba Cloud.
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0], 32),
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
    v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1], 128),
    v6([0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200], 128),
    // Addresses that are thrown away.
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
];

/// Whether Bailiff connects to an address.
///
/// `denied` are the ranges of the configuration (`denyCIDRs`).
#[must_use]
pub fn address_allowed(address: IpAddr, denied: &[IpNet]) -> bool {
    let is_denied = |address: IpAddr| denied.iter().any(|range| range.contains(&address));
    if is_denied(address) {
        return false;
    }
    match address {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|range| range.contains(&address)),
        IpAddr::V6(address) => {
            !REFUSED_V6.iter().any(|range| range.contains(&address))
                && embedded(address)
                    .into_iter()
                    .flatten()
                    .all(|inner| address_allowed(IpAddr::V4(inner), denied))
        }
    }
}

/// The IPv4 addresses that an IPv6 address can lead to.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let pair = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // IPv4-compatible, -mapped and -translated. NAT64: how hosts without IPv4 reach public
        // registries, so it is not refused as such.
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [pair(high, low), None],
        // 6to4 with ISATAP inside, and each alone.
        [0x2002, high, low, _, 0 | 0x200, 0x5efe, inner, least] => {
            [pair(high, low), pair(inner, least)]
        }
        [0x2002, high, low, ..] | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => {
            [pair(high, low), None]
        }
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_other_hosts_are_allowed() {
        let denied: Vec<IpNet> = ["10.96.0.0/12", "fd00:10:96::/112", "203.0.113.7/32"]
            .into_iter()
            .map(|range| range.parse().unwrap())
            .collect();
        for (address, allowed) in [
            // Public and private ones.
            ("8.8.8.8", true),
            ("10.0.0.1", true),
            ("10.95.255.255", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("100.100.100.199", true),
            ("168.63.129.17", true),
            ("192.0.1.0", true),
            ("223.255.255.255", true),
            ("2606:4700::1111", true),
            ("fc00::1", true),
            ("fd12:3456::1", true),
            // This host, and the next one on the wire.
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.0.1", false),
            ("::", false),
            ("::1", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("fec0::1", false),
            // Many hosts, or none.
            ("224.0.0.1", false),
            ("239.255.255.255", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("ff02::1", false),
            ("100::1", false),
            // Metadata services.
            ("169.254.169.254", false),
            ("169.254.170.2", false),
            ("100.100.100.200", false),
            ("168.63.129.16", false),
            ("192.0.0.192", false),
            ("fd00:ec2::254", false),
            ("fd00:ec2::23", false),
            ("fd20:ce::254", false),
            ("fd00:c1::a9fe:a9fe", false),
            ("fd00:42::42", false),
            ("fd00:a9fe:a9fe::1", false),
            ("fd00:100::100:200", false),
            // IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, ISATAP.
            ("::ffff:8.8.8.8", true),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:10.96.0.1", false),
            ("::127.0.0.1", false),
            ("::a9fe:a9fe", false),
            ("::ffff:0:127.0.0.1", false),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b::10.96.0.1", false),
            ("64:ff9b:1::8.8.8.8", false),
            ("2002:808:808::1", true),
            ("2002:7f00:1::1", false),
            ("2002:a9fe:a9fe::1", false),
            ("2002:808:808::5efe:7f00:1", false),
            ("2001:db8::5efe:a9fe:a9fe", false),
            ("2001:db8::200:5efe:a9fe:a9fe", false),
            ("2001::1", false),
            // Of the configuration.
            ("10.96.0.1", false),
            ("10.111.255.255", false),
            ("10.112.0.0", true),
            ("203.0.113.7", false),
            ("203.0.113.8", true),
            ("fd00:10:96::1", false),
            ("fd00:10:97::1", true),
        ] {
            let parsed = address.parse().unwrap();
            assert_eq!(address_allowed(parsed, &denied), allowed, "{address}");
        }
    }
}
