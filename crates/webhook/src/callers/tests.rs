//! What callers are verified with, without connections.

use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn of(ranges: &[&str], client_ca: Option<&str>) -> Result<CallerVerification, InvalidCallers> {
    let ranges: Vec<_> = ranges.iter().map(|range| (*range).to_owned()).collect();
    CallerVerification::new(&ranges, client_ca.map(str::as_bytes))
}

#[test]
fn callers_are_verified_by_address_or_certificate() {
    let made = rcgen::generate_simple_self_signed(["authority".to_owned()]).unwrap();
    let pem = made.cert.pem();
    for (ranges, client_ca, want) in [
        (&[][..], None, Callers::Unverified),
        (&["192.0.2.10/32"], None, Callers::Verified),
        (&[], Some(pem.as_str()), Callers::Verified),
        (&["192.0.2.10/32"], Some(pem.as_str()), Callers::Verified),
    ] {
        let callers = of(ranges, client_ca).unwrap();
        assert_eq!(callers.callers(), want, "{ranges:?}");
        assert_eq!(callers.certificates().is_some(), client_ca.is_some());
    }
}

#[test]
fn an_address_is_compared_as_ipv4_if_it_is_ipv4_mapped() {
    let callers = of(&["192.0.2.8/30", "2001:db8::1/128"], None).unwrap();
    let mapped = |address: Ipv4Addr| IpAddr::V6(address.to_ipv6_mapped());
    let (inside, outside) = (Ipv4Addr::new(192, 0, 2, 11), Ipv4Addr::new(192, 0, 2, 12));
    assert!(callers.serves(inside.into()) && callers.serves(mapped(inside)));
    assert!(!callers.serves(outside.into()) && !callers.serves(mapped(outside)));
    let (own, next): (Ipv6Addr, Ipv6Addr) = (
        "2001:db8::1".parse().unwrap(),
        "2001:db8::2".parse().unwrap(),
    );
    assert!(callers.serves(own.into()) && !callers.serves(next.into()));
    let all = of(&[], None).unwrap();
    assert!(all.serves(outside.into()) && all.serves(next.into()));
}

#[test]
fn what_verifies_nobody_or_everybody_is_rejected() {
    for (ranges, client_ca, want) in [
        (
            &["192.0.2.10/32", "192.0.2.11"][..],
            None,
            "apiServerCIDRs[1]: must be a range of addresses such as 192.0.2.10/32, not \"192.0.2.11\"",
        ),
        (
            &["0.0.0.0/0"],
            None,
            "apiServerCIDRs[0]: must not contain all addresses; to serve all callers, leave the list empty",
        ),
        (
            &["::/0"],
            None,
            "apiServerCIDRs[0]: must not contain all addresses; to serve all callers, leave the list empty",
        ),
        (
            &["::ffff:192.0.2.0/120"],
            None,
            "apiServerCIDRs[0]: must be an IPv4 range, because IPv4-mapped addresses are compared as IPv4",
        ),
        (
            &[],
            Some(""),
            "clientCA: must have one or more certificates in PEM",
        ),
        (
            &[],
            Some("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n"),
            "clientCA: must have one or more certificates in PEM",
        ),
        (
            &[],
            Some("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"),
            "clientCA: a certificate cannot be used: invalid peer certificate: BadEncoding",
        ),
    ] {
        assert_eq!(of(ranges, client_ca).unwrap_err().to_string(), want);
    }
}

#[test]
fn the_log_names_an_address_once_and_not_all_of_them() {
    let rejections = Rejections::new(Metrics::default());
    let address = |n: u8| IpAddr::from([192, 0, 2, n]);
    assert!(rejections.is_first(Rejection::Address, address(1)));
    assert!(!rejections.is_first(Rejection::Address, address(1)));
    assert!(rejections.is_first(Rejection::Certificate, address(1)));
    let named = (2..=255).filter(|n| rejections.is_first(Rejection::Address, address(*n)));
    assert_eq!(named.count(), LOGGED_LIMIT - 2);
}
