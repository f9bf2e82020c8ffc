//! Which callers the server serves.

use super::*;
use client::Identity;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::net::IpAddr;

/// An authority, and its certificate in PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// A certificate of an authority, for a purpose.
fn issued(authority: &Issuer<'_, KeyPair>, purpose: ExtendedKeyUsagePurpose) -> Identity {
    let mut params = CertificateParams::new(["api-server".to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    (certificate.der().clone(), Arc::new(key.into()))
}

fn callers(ranges: &[&str], client_ca: Option<&str>) -> CallerVerification {
    let ranges: Vec<_> = ranges.iter().map(|range| (*range).to_owned()).collect();
    CallerVerification::new(&ranges, client_ca.map(str::as_bytes)).unwrap()
}

impl Running {
    /// How many connections were rejected by address, and by certificate.
    fn rejected(&self) -> (u64, u64) {
        let of = |reason: &'static str| {
            let label = crate::metrics::RejectedLabel { reason };
            let counters = &self.metrics.rejected_connections;
            counters.get_or_create(&label).get()
        };
        (of("address"), of("certificate"))
    }
}

const IN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
const OUT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3));

#[tokio::test]
async fn only_connections_from_the_addresses_of_api_servers_are_served() {
    let callers = callers(&["127.0.0.2/32"], None);
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let (running, client) = Running::start_for(callers, limits).await;
    let api_server = client.clone().from(IN);
    let mut http = api_server.http1().await;
    assert_eq!(http.post("/validate/pods", review("u", "web")).await.0, 200);
    let pod = client.clone().from(OUT);
    for _ in 0..3 {
        assert!(pod.try_review().await.is_err());
    }
    assert_eq!(running.rejected(), (3, 0));
    // There is room for one connection, and it is still that of the API server.
    assert_eq!(http.post("/validate/pods", review("u", "web")).await.0, 200);
    assert_eq!(running.count("allowed"), 2);
}

#[tokio::test]
async fn only_connections_with_a_client_certificate_of_the_authority_are_served() {
    let ((ours, pem), (foreign, _)) = (authority(), authority());
    let (running, client) = Running::start_for(callers(&[], Some(&pem)), Limits::default()).await;
    let with = |authority, purpose| client.clone().with(issued(authority, purpose));
    let good = with(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(good.try_review().await.unwrap(), 200);
    for (bad, rejected) in [
        (client.clone(), 1),
        (with(&foreign, ExtendedKeyUsagePurpose::ClientAuth), 2),
        // The certificate of a server of the same authority.
        (with(&ours, ExtendedKeyUsagePurpose::ServerAuth), 3),
    ] {
        assert!(bad.try_review().await.is_err(), "{rejected}");
        assert_eq!(running.rejected(), (0, rejected));
    }
    assert_eq!(running.count("allowed"), 1);
}

#[tokio::test]
async fn verified_callers_behind_one_address_have_all_connections() {
    let (ours, pem) = authority();
    let limits = Limits {
        connections: 4,
        ..Limits::default()
    };
    for (callers, identity) in [
        (callers(&["127.0.0.2/32"], None), None),
        (
            callers(&[], Some(&pem)),
            Some(issued(&ours, ExtendedKeyUsagePurpose::ClientAuth)),
        ),
    ] {
        let (running, client) = Running::start_for(callers, limits).await;
        let mut proxy = client.from(IN);
        if let Some(identity) = identity {
            proxy = proxy.with(identity);
        }
        let mut open = Vec::new();
        for _ in 0..4 {
            let mut http = proxy.http1().await;
            assert_eq!(http.post("/validate/pods", review("u", "web")).await.0, 200);
            open.push(http);
        }
        assert_eq!(running.metrics.connections.get(), 4);
        for http in &mut open {
            assert_eq!(http.post("/validate/pods", review("u", "web")).await.0, 200);
        }
    }
}

#[tokio::test]
async fn with_both_the_address_and_the_certificate_are_required() {
    let (ours, pem) = authority();
    let callers = callers(&["127.0.0.2/32"], Some(&pem));
    let (running, client) = Running::start_for(callers, Limits::default()).await;
    let identity = || issued(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    let at = |address| client.clone().from(address);
    assert_eq!(at(IN).with(identity()).try_review().await.unwrap(), 200);
    assert!(at(IN).try_review().await.is_err());
    assert!(at(OUT).with(identity()).try_review().await.is_err());
    assert_eq!(running.rejected(), (1, 1));
    assert_eq!(running.count("allowed"), 1);
}

#[tokio::test]
async fn a_new_certificate_of_the_server_keeps_the_verification_of_callers() {
    let (ours, pem) = authority();
    let (running, _) = Running::start_for(callers(&[], Some(&pem)), Limits::default()).await;
    let (secret, trusted) = certificate::tests::secret();
    running.certificate.replace(&secret).unwrap();
    let after = Client::new(running.address, trusted);
    assert!(after.try_review().await.is_err());
    assert_eq!(running.rejected(), (0, 1));
    let identity = issued(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(after.with(identity).try_review().await.unwrap(), 200);
}

#[tokio::test]
async fn a_handshake_that_fails_for_another_reason_is_no_rejected_caller() {
    let (_, pem) = authority();
    let (running, client) = Running::start_for(callers(&[], Some(&pem)), Limits::default()).await;
    let (_, other) = certificate::tests::secret();
    let distrusts = Client::new(running.address, other);
    assert!(distrusts.tls("http/1.1").await.is_err());
    drop(client.tcp().await);
    assert!(client.try_review().await.is_err());
    assert_eq!(running.rejected(), (0, 1));
}
