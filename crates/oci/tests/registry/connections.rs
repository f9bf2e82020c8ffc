//! Who is connected to, and what happens to connections.

use super::server::{Act, Authority, Server, answer, tls_entries};
use super::{
    INDEX, LONG, SHA256, SHORT, client, digest_of, failure, lookup, parse, plain, unexpected,
};
use bailiff_oci::registry::{Limits, Registries, RegistryClient, Resolve};
use bailiff_oci::{Failure, Lookup};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;

/// A server that finds everything.
async fn finds(tls: Option<Arc<ServerConfig>>) -> Server {
    let script = |_: &_| {
        answer(
            200,
            &[("Content-Type", INDEX), ("Docker-Content-Digest", SHA256)],
            "",
        )
    };
    match tls {
        Some(tls) => Server::start_tls(tls, script).await,
        None => Server::start(script).await,
    }
}

/// A resolver with one answer for every name.
struct Fixed(Vec<IpAddr>);

impl Resolve for Fixed {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

async fn at(registries: &str, registry: &str, named_by_policy: bool) -> Lookup {
    let reference = parse(&format!("{registry}/acme/web:1"));
    client(registries, LONG)
        .lookup(&reference, named_by_policy, None)
        .await
}

#[tokio::test]
async fn only_registries_that_an_operator_named_are_asked() {
    let server = finds(None).await;
    let found = at("", &server.host(), false).await;
    assert_eq!(failure(found), Failure::RegistryNotAllowed);
    // A policy names a registry, and no address.
    let found = at("", &server.host(), true).await;
    assert_eq!(failure(found), Failure::AddressNotAllowed);
    assert_eq!(server.connections(), 0);
    let found = at(&server.plain_entry(), &server.host(), false).await;
    assert_eq!(digest_of(&found), SHA256);
}

#[tokio::test]
async fn an_address_instead_of_a_name_is_checked() {
    for registry in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
        "0.0.0.0",
        "10.96.0.1",
    ] {
        let config = format!("{{registries: {{'{registry}': {{}}}}, denyCIDRs: [10.96.0.0/12]}}");
        let found = at(&config, registry, false).await;
        assert_eq!(failure(found), Failure::AddressNotAllowed, "{registry}");
    }
    // Resolved by the system, as is what only it takes for an address.
    for registry in ["localhost", "127.1", "0x7f.0.0.1", "0177.0.0.1"] {
        let found = at("", registry, true).await;
        assert!(
            matches!(
                failure(found),
                Failure::AddressNotAllowed | Failure::Connect
            ),
            "{registry}"
        );
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_this_host_is_not_connected_to() {
    let server = finds(None).await;
    let port = server.host().rsplit_once(':').unwrap().1.to_owned();
    let lookup = async |config: &str, address: &str| {
        let addresses = address.split(' ').map(|ip| ip.parse().unwrap()).collect();
        let resolve: Arc<dyn Resolve> = Arc::new(Fixed(addresses));
        let registries = Registries::parse(config).unwrap();
        let client = RegistryClient::with_resolver(registries, LONG, &resolve).unwrap();
        let reference = parse(&format!("registry.test:{port}/acme/web:1"));
        client.lookup(&reference, true, None).await
    };
    // Of a policy alone, so the port overrides nothing.
    for address in [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "169.254.169.254 127.0.0.1",
        "10.96.0.1",
    ] {
        let found = lookup("denyCIDRs: [10.96.0.0/12]", address).await;
        assert_eq!(failure(found), Failure::AddressNotAllowed, "{address}");
    }
    assert_eq!(server.connections(), 0);
    // Listed with its port.
    let listed = format!("registries: {{'registry.test:{port}': {{plainHTTP: true}}}}");
    assert_eq!(digest_of(&lookup(&listed, "127.0.0.1").await), SHA256);
}

#[tokio::test]
async fn a_mirror_on_this_host_needs_its_port() {
    let config = "registries: {'registry.test:5000': {endpoint: 'https://127.0.0.1'}}";
    let found = at(config, "registry.test:5000", false).await;
    assert_eq!(failure(found), Failure::AddressNotAllowed);
}

#[tokio::test]
async fn a_certificate_must_be_valid_for_the_host() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (name, host, until, trusted, expected) in [
        ("valid", "127.0.0.1", 2999, &authority, None),
        (
            "expired",
            "127.0.0.1",
            2001,
            &authority,
            Some(Failure::Certificate),
        ),
        (
            "of another host",
            "127.0.0.2",
            2999,
            &authority,
            Some(Failure::Certificate),
        ),
        (
            "of another authority",
            "127.0.0.1",
            2999,
            &other,
            Some(Failure::Certificate),
        ),
    ] {
        let server = finds(Some(authority.server(host, until))).await;
        let client = client(&tls_entries(&[&server], trusted), LONG);
        let found = lookup(&client, &server, ":1").await;
        match expected {
            None => assert_eq!(digest_of(&found), SHA256, "{name}"),
            Some(expected) => {
                assert_eq!(failure(found), expected, "{name}");
                assert!(server.requests().is_empty(), "{name}");
            }
        }
    }
    // An authority that is compiled in did not sign it.
    let server = finds(Some(authority.server("127.0.0.1", 2999))).await;
    let config = format!("registries: {{'{}': {{}}}}", server.host());
    let found = at(&config, &server.host(), false).await;
    assert_eq!(failure(found), Failure::Certificate);
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_answer() {
    let head = format!("HTTP/1.1 200 X\r\nContent-Type: {INDEX}\r\nContent-Length: 99\r\n\r\n");
    for (name, acts) in [
        ("at once", vec![Act::Reset]),
        (
            "in the headers",
            vec![Act::Send(b"HTTP/1.1 200 X\r\nA".to_vec()), Act::Reset],
        ),
        (
            "in the body",
            vec![Act::Send(head.clone().into_bytes()), Act::Reset],
        ),
    ] {
        let server = Server::start(move |request| match request.method.as_str() {
            "HEAD" => answer(405, &[], ""),
            _ => acts.clone(),
        })
        .await;
        let found = lookup(&plain(&server), &server, ":1").await;
        assert_eq!(failure(found), Failure::Connect, "{name}");
    }
    // A server that answers without TLS, and none.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let config = format!("registries: {{'{host}': {{}}}}");
    let (found, stream) = tokio::join!(at(&config, &host, false), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 X\r\n\r\n").await.unwrap();
        stream
    });
    assert_eq!(failure(found), Failure::Connect);
    drop((stream, listener));
    let config = format!("registries: {{'{host}': {{plainHTTP: true}}}}");
    assert_eq!(failure(at(&config, &host, false).await), Failure::Connect);
}

#[tokio::test]
async fn what_is_not_http_is_unexpected() {
    for text in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let server = Server::start(|_| vec![Act::Send(text.as_bytes().to_vec()), Act::Hang]).await;
        let found = lookup(&plain(&server), &server, ":1").await;
        assert_eq!(unexpected(found), "\"malformed HTTP\"", "{text:?}");
    }
}

#[tokio::test]
async fn a_slow_registry_does_not_hold_a_lookup() {
    let limits = Limits {
        lookup: SHORT,
        ..LONG
    };
    let head = format!("HTTP/1.1 200 X\r\nContent-Type: {INDEX}\r\nContent-Length: 99\r\n\r\n{{");
    for (name, acts) in [
        ("no answer", vec![Act::Hang]),
        (
            "slow headers",
            vec![Act::Send(b"HTTP/1.1 200 X\r\nA".to_vec()), Act::Hang],
        ),
        (
            "slow body",
            vec![Act::Send(head.clone().into_bytes()), Act::Hang],
        ),
        (
            "only interim answers",
            vec![Act::Repeat(b"HTTP/1.1 103 X\r\n\r\n".to_vec())],
        ),
    ] {
        let server = Server::start(move |request| match (request.method.as_str(), name) {
            ("HEAD", "slow body") => answer(405, &[], ""),
            _ => acts.clone(),
        })
        .await;
        let found = lookup(&client(&server.plain_entry(), limits), &server, ":1").await;
        assert_eq!(failure(found), Failure::Timeout, "{name}");
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_ends() {
    let limits = Limits {
        connect: SHORT,
        ..LONG
    };
    // It accepts, and waits for a request that is not encrypted.
    let server = Server::start(|_| vec![Act::Hang]).await;
    let config = format!("registries: {{'{}': {{}}}}", server.host());
    let found = lookup(&client(&config, limits), &server, ":1").await;
    assert_eq!(failure(found), Failure::Timeout);
}
