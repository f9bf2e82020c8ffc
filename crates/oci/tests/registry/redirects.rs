//! Where a registry sends a request on to.

use super::server::{Authority, Server, answer, naming, tls_entries};
use super::{
    INDEX, LONG, OCTO, SHA256, client, digest_of, failure, lookup, octo, plain, unexpected,
};
use bailiff_oci::Failure;
use bailiff_oci::registry::RegistryClient;

#[tokio::test]
async fn a_redirect_within_the_registry_is_followed_three_times() {
    for (hops, is_followed) in [(1, true), (3, true), (4, false)] {
        let server = Server::start(move |request| {
            let hop = request
                .path
                .strip_prefix("/hop")
                .map_or(0, |hop| hop.parse().unwrap());
            if hop == hops {
                let headers = [("Content-Type", INDEX), ("Docker-Content-Digest", SHA256)];
                return answer(200, &headers, "");
            }
            answer(307, &[("Location", &format!("/hop{}", hop + 1))], "")
        })
        .await;
        let found = lookup(&plain(&server), &server, ":1").await;
        if is_followed {
            assert_eq!(digest_of(&found), SHA256, "{hops}");
            assert_eq!(server.requests().len(), hops + 1, "{hops}");
        } else {
            assert_eq!(failure(found), Failure::RedirectNotAllowed, "{hops}");
            assert_eq!(server.requests().len(), 4, "{hops}");
        }
    }
}

#[tokio::test]
async fn a_redirect_elsewhere_is_not_followed() {
    let target = Server::start(|_| answer(200, &[], "")).await;
    for location in [
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[::1]/".to_owned(),
        "//other.test/".to_owned(),
        format!("http://{}/", target.host()),
        format!("https://{}/", target.host()),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let to = location.clone();
            let server = Server::start(move |_| answer(status, &[("Location", &to)], "")).await;
            let found = lookup(&plain(&server), &server, ":1").await;
            assert_eq!(
                failure(found),
                Failure::RedirectNotAllowed,
                "{status} {location}"
            );
        }
    }
    assert_eq!(target.connections(), 0);
    for location in ["", "elsewhere", "file:///etc/passwd", "https://a@b.test/"] {
        let server = Server::start(move |_| answer(307, &[("Location", location)], "")).await;
        let found = lookup(&plain(&server), &server, ":1").await;
        assert_eq!(
            unexpected(found),
            "\"redirect without a location\"",
            "{location}"
        );
    }
}

#[tokio::test]
async fn a_redirect_never_leaves_tls() {
    let authority = Authority::new();
    let plain = Server::start(|_| answer(200, &[], "")).await;
    let to = format!("http://{}/", plain.host());
    let server = Server::start_tls(authority.server("127.0.0.1", 2999), move |_| {
        answer(307, &[("Location", &to)], "")
    })
    .await;
    let config = tls_entries(&[&server], &authority);
    let found = lookup(&client(&config, LONG), &server, ":1").await;
    assert_eq!(failure(found), Failure::RedirectNotAllowed);
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn a_host_that_is_named_for_the_registry_gets_the_request_without_the_credential() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", 2999);
    let second = Server::start_tls(tls.clone(), |request| {
        if request.path == "/asks" {
            return answer(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], "");
        }
        let headers = [("Content-Type", INDEX), ("Docker-Content-Digest", SHA256)];
        answer(200, &headers, "")
    })
    .await;
    let to = format!("https://{}", second.host());
    let first = Server::start_tls(tls, move |request| {
        if request.path.ends_with("/asks") {
            return answer(307, &[("Location", &format!("{to}/asks"))], "");
        }
        match request.header("authorization") {
            None => answer(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], ""),
            Some(_) => answer(307, &[("Location", &format!("{to}/v2/moved?a=b"))], ""),
        }
    })
    .await;
    let lookup = async |client: &RegistryClient, tag: &str| {
        let reference = super::parse(&format!("{}/acme/web:{tag}", first.host()));
        client.lookup(&reference, false, Some(&octo())).await
    };
    // That the other is a registry, with an exception for its address, is nothing to the first one.
    let entries = tls_entries(&[&first, &second], &authority);
    let listed = client(&entries, LONG);
    let refused = failure(lookup(&listed, "1").await);
    assert_eq!(refused, Failure::RedirectNotAllowed);
    assert_eq!(second.connections(), 0);
    let client = client(
        &naming(&entries, &first, "redirectHosts", &second.host()),
        LONG,
    );
    let before = first.requests().len();
    let lookup = async |tag: &str| lookup(&client, tag).await;
    // Its challenge is not answered.
    assert_eq!(failure(lookup("asks").await), Failure::Unauthorized);
    assert_eq!(second.lines(), ["HEAD /asks"]);
    assert_eq!(digest_of(&lookup("1").await), SHA256);
    let third = &first.requests()[before + 2];
    assert_eq!(third.header("authorization"), Some(OCTO));
    assert_eq!(second.lines(), ["HEAD /asks", "HEAD /v2/moved?a=b"]);
    for request in second.requests() {
        assert_eq!(request.header("authorization"), None);
    }
}

#[tokio::test]
async fn an_address_is_still_checked_if_its_host_is_named_without_a_port() {
    let authority = Authority::new();
    let server = Server::start_tls(authority.server("127.0.0.1", 2999), |_| {
        answer(307, &[("Location", "https://169.254.169.254/latest/")], "")
    })
    .await;
    let entries = tls_entries(&[&server], &authority);
    let config = naming(&entries, &server, "redirectHosts", "169.254.169.254");
    let found = lookup(&client(&config, LONG), &server, ":1").await;
    assert_eq!(failure(found), Failure::AddressNotAllowed);
}
