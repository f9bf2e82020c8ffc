//! Credentials, and the tokens that a registry asks for.

use super::server::{Act, Authority, Request, Server, answer, naming, tls_entries};
use super::{
    INDEX, LONG, OCTO, SHA256, client, digest_of, failure, lookup, octo, parse, plain, unexpected,
};
use bailiff_oci::registry::RegistryClient;
use bailiff_oci::{Failure, Lookup};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn found() -> Vec<Act> {
    answer(
        200,
        &[("Content-Type", INDEX), ("Docker-Content-Digest", SHA256)],
        "",
    )
}

fn challenge(realm: &str) -> Vec<Act> {
    let value = format!("Bearer realm=\"{realm}\",service=\"r&x=y\",scope=\"registry:catalog:*\"");
    answer(401, &[("WWW-Authenticate", &value)], "")
}

/// A registry that wants a token of itself, which is given by `token`.
async fn with_tokens(token: impl Fn(&Request) -> Vec<Act> + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        if request.path.starts_with("/token") {
            return token(request);
        }
        match request.header("authorization") {
            Some(value) if value.starts_with("Bearer good") => found(),
            _ => challenge(&format!(
                "http://{}/token?a=b",
                request.header("host").unwrap()
            )),
        }
    })
    .await
}

async fn as_octo(client: &RegistryClient, server: &Server) -> Lookup {
    let reference = parse(&format!("{}/acme/web:1", server.host()));
    client.lookup(&reference, false, Some(&octo())).await
}

#[tokio::test]
async fn a_token_permits_pulling_the_repository_alone_and_is_kept() {
    let server = with_tokens(|_| answer(200, &[], "{\"token\": \"good\"}")).await;
    let client = plain(&server);
    for _ in 0..2 {
        assert_eq!(digest_of(&lookup(&client, &server, ":1").await), SHA256);
    }
    let manifest = "HEAD /v2/acme/web/manifests/1";
    let token = "GET /token?a=b&service=r%26x%3Dy&scope=repository%3Aacme%2Fweb%3Apull";
    assert_eq!(server.lines(), [manifest, token, manifest, manifest]);
    assert_eq!(server.requests()[1].header("authorization"), None);
    // Another credential has its own token; what the registry asks for is known.
    assert_eq!(digest_of(&as_octo(&client, &server).await), SHA256);
    assert_eq!(server.lines()[4..], [token, manifest]);
    assert_eq!(server.requests()[4].header("authorization"), Some(OCTO));
    assert_eq!(
        server.requests()[5].header("authorization"),
        Some("Bearer good")
    );
}

#[tokio::test]
async fn a_kept_token_that_is_rejected_is_replaced() {
    let turn = Arc::new(AtomicUsize::new(0));
    let (given, expected) = (Arc::clone(&turn), Arc::clone(&turn));
    let server = Server::start(move |request| {
        if request.path.starts_with("/token") {
            let token = given.load(Ordering::SeqCst);
            return answer(200, &[], &format!("{{\"token\": \"t{token}\"}}"));
        }
        let valid = format!("Bearer t{}", expected.load(Ordering::SeqCst));
        if request.header("authorization") == Some(&valid) {
            return found();
        }
        challenge(&format!("http://{}/token", request.header("host").unwrap()))
    })
    .await;
    let client = plain(&server);
    for now in 0..3 {
        turn.store(now, Ordering::SeqCst);
        assert_eq!(
            digest_of(&lookup(&client, &server, ":1").await),
            SHA256,
            "{now}"
        );
    }
}

#[tokio::test]
async fn a_token_that_does_not_help_is_not_asked_for_again() {
    let server = with_tokens(|_| answer(200, &[], "{\"token\": \"bad\"}")).await;
    let client = plain(&server);
    assert_eq!(
        failure(lookup(&client, &server, ":1").await),
        Failure::Unauthorized
    );
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_token_server_has_the_failures_of_a_registry() {
    let endless = || {
        let head = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        vec![
            Act::Send(head.as_bytes().to_vec()),
            Act::Repeat(chunk.into_bytes()),
        ]
    };
    for (acts, expected) in [
        (answer(401, &[], ""), Failure::Unauthorized),
        (answer(403, &[], ""), Failure::Forbidden),
        (
            answer(429, &[("Retry-After", "7")], ""),
            Failure::RateLimited {
                retry_after: Some(std::time::Duration::from_secs(7)),
            },
        ),
        (
            answer(502, &[], ""),
            Failure::Unavailable {
                status: 502,
                retry_after: None,
            },
        ),
        (
            answer(307, &[("Location", "/token2")], ""),
            Failure::RedirectNotAllowed,
        ),
        (endless(), Failure::LimitExceeded("tokenBytes")),
        (vec![Act::Reset], Failure::Connect),
    ] {
        let sent = acts.clone();
        let server = with_tokens(move |_| sent.clone()).await;
        let found = as_octo(&plain(&server), &server).await;
        assert_eq!(failure(found), expected, "{acts:?}");
    }
    for (acts, expected) in [
        (
            answer(200, &[], "<html>"),
            "\"token server without a token\"",
        ),
        (answer(404, &[], ""), "\"token server with status 404\""),
        (
            answer(200, &[("Content-Encoding", "gzip")], "{}"),
            "\"content encoding gzip\"",
        ),
    ] {
        let server = with_tokens(move |_| acts.clone()).await;
        assert_eq!(
            unexpected(as_octo(&plain(&server), &server).await),
            expected
        );
    }
}

#[tokio::test]
async fn a_credential_does_not_go_to_a_token_server_of_another_host() {
    let thief = Server::start(|_| answer(200, &[], "{\"token\": \"good\"}")).await;
    for realm in [
        format!("http://{}/token", thief.host()),
        format!("https://{}/token", thief.host()),
        "https://169.254.169.254/token".to_owned(),
        "https://auth.docker.io/token".to_owned(),
        "not a URL".to_owned(),
        "https://user:pass@auth.docker.io/token".to_owned(),
        "ftp://auth.test/".to_owned(),
    ] {
        let sent = realm.clone();
        let server = Server::start(move |_| challenge(&sent)).await;
        let found = as_octo(&plain(&server), &server).await;
        assert_eq!(failure(found), Failure::TokenServerNotAllowed, "{realm}");
        assert_eq!(server.requests().len(), 1, "{realm}");
    }
    assert_eq!(thief.connections(), 0);
}

#[tokio::test]
async fn a_token_server_that_is_named_for_the_registry_gets_the_credential() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", 2999);
    let tokens = Server::start_tls(tls.clone(), |_| {
        answer(200, &[], "{\"access_token\": \"good\"}")
    })
    .await;
    let realm = format!("https://{}/token", tokens.host());
    let server = Server::start_tls(tls, move |request| match request.header("authorization") {
        Some("Bearer good") => found(),
        _ => challenge(&realm),
    })
    .await;
    let alone = client(&tls_entries(&[&server], &authority), LONG);
    let found = as_octo(&alone, &server).await;
    assert_eq!(failure(found), Failure::TokenServerNotAllowed);
    assert_eq!(tokens.connections(), 0);
    // That it is a registry, with an exception for its address, is nothing to this one.
    let both = tls_entries(&[&server, &tokens], &authority);
    let found = as_octo(&client(&both, LONG), &server).await;
    assert_eq!(failure(found), Failure::TokenServerNotAllowed);
    assert_eq!(tokens.connections(), 0);
    let alone = tls_entries(&[&server], &authority);
    let named = naming(&alone, &server, "tokenServers", &tokens.host());
    let named = client(&named, LONG);
    assert_eq!(digest_of(&as_octo(&named, &server).await), SHA256);
    assert_eq!(tokens.requests()[0].header("authorization"), Some(OCTO));
    // The registry itself saw the token alone.
    assert!(
        server.requests().iter().all(|request| {
            matches!(request.header("authorization"), None | Some("Bearer good"))
        })
    );
}

#[tokio::test]
async fn a_registry_does_not_choose_the_scope_of_a_credential_at_a_token_server() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", 2999);
    let tokens =
        Server::start_tls(tls.clone(), |_| answer(200, &[], "{\"token\": \"good\"}")).await;
    for query in [
        "scope=repository:acme/secret:pull",
        "a=b&service=other.test",
        "%73cope=x",
        "Scope=x",
        "a=b;scope=x",
    ] {
        let realm = format!("https://{}/token?{query}", tokens.host());
        let server = Server::start_tls(tls.clone(), move |_| challenge(&realm)).await;
        let config = tls_entries(&[&server], &authority);
        let named = naming(&config, &server, "tokenServers", &tokens.host());
        let found = as_octo(&client(&named, LONG), &server).await;
        assert_eq!(failure(found), Failure::TokenServerNotAllowed, "{query}");
        assert_eq!(tokens.connections(), 0, "{query}");
    }
}

#[tokio::test]
async fn the_address_of_a_token_server_is_checked_if_it_is_named_without_a_port() {
    let authority = Authority::new();
    let server = Server::start_tls(authority.server("127.0.0.1", 2999), |_| {
        challenge("https://169.254.169.254/token")
    })
    .await;
    let mut config = tls_entries(&[&server], &authority);
    for (named, expected) in [
        (None, Failure::TokenServerNotAllowed),
        (Some("169.254.169.254"), Failure::AddressNotAllowed),
    ] {
        if let Some(named) = named {
            config = naming(&config, &server, "tokenServers", named);
        }
        let found = as_octo(&client(&config, LONG), &server).await;
        assert_eq!(failure(found), expected, "{named:?}");
    }
}

#[tokio::test]
async fn a_password_goes_to_a_registry_that_asks_for_it() {
    let server = Server::start(|request| match request.header("authorization") {
        Some(OCTO) => found(),
        _ => answer(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], ""),
    })
    .await;
    let client = plain(&server);
    assert_eq!(digest_of(&as_octo(&client, &server).await), SHA256);
    // Others do not profit from it.
    assert_eq!(
        failure(lookup(&client, &server, ":1").await),
        Failure::Unauthorized
    );
    assert_eq!(server.requests().len(), 3);
    let wrong = bailiff_oci::registry::Credential::new("octo", "dog").unwrap();
    let reference = parse(&format!("{}/acme/web:1", server.host()));
    let rejected = client.lookup(&reference, false, Some(&wrong)).await;
    assert_eq!(failure(rejected), Failure::Unauthorized);
}

#[tokio::test]
async fn a_challenge_that_is_none_is_unauthorized() {
    for headers in [
        vec![],
        vec![("WWW-Authenticate", "Negotiate")],
        vec![("WWW-Authenticate", "\"")],
    ] {
        let sent = headers.clone();
        let server = Server::start(move |_| answer(401, &sent, "")).await;
        let found = as_octo(&plain(&server), &server).await;
        assert_eq!(failure(found), Failure::Unauthorized, "{headers:?}");
    }
    let server = Server::start(|_| answer(401, &[("WWW-Authenticate", "Bearer")], "")).await;
    let found = as_octo(&plain(&server), &server).await;
    assert_eq!(unexpected(found), "\"challenge without a realm\"");
}
