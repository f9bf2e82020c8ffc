//! Where a registry sends a request on to.

use super::server::{Authority, Server, answer, tls_entries};
use super::{
    INDEX, LONG, OCTO, SHA256, client, digest_of, failure, lookup, octo, plain, unexpected,
};
use bailiff_oci::Failure;

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
async fn a_listed_registry_gets_the_request_without_the_credential() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", 2999);
    let second = Server::start_tls(tls.clone(), |request| {
        let headers = [("Content-Type", INDEX), ("Docker-Content-Digest", SHA256)];
        let is_back = request.path == "/back";
        answer(
            if is_back { 401 } else { 200 },
            if is_back { &[] } else { &headers },
            "",
        )
    })
    .await;
    for (path, is_found) in [("/v2/moved/manifests/1?a=b", true), ("/back", false)] {
        let to = format!("https://{}{path}", second.host());
        let first = Server::start_tls(tls.clone(), move |request| {
            match request.header("authorization") {
                None => answer(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], ""),
                Some(_) => answer(307, &[("Location", &to)], ""),
            }
        })
        .await;
        let client = client(&tls_entries(&[&first, &second], &authority), LONG);
        let reference = super::parse(&format!("{}/acme/web:1", first.host()));
        let found = client.lookup(&reference, false, Some(&octo())).await;
        if is_found {
            assert_eq!(digest_of(&found), SHA256);
        } else {
            // Its challenge is not answered.
            assert_eq!(failure(found), Failure::Unauthorized);
        }
        assert_eq!(first.requests()[1].header("authorization"), Some(OCTO));
        let last = second.requests().pop().unwrap();
        assert_eq!(last.path, path);
        assert_eq!(last.header("authorization"), None);
    }
}

#[tokio::test]
async fn a_listed_address_is_still_checked() {
    let authority = Authority::new();
    let server = Server::start_tls(authority.server("127.0.0.1", 2999), |_| {
        answer(307, &[("Location", "https://169.254.169.254/latest/")], "")
    })
    .await;
    let mut config: serde_json::Value =
        serde_json::from_str(&tls_entries(&[&server], &authority)).unwrap();
    config["registries"]["169.254.169.254"] = serde_json::json!({});
    let found = lookup(&client(&config.to_string(), LONG), &server, ":1").await;
    assert_eq!(failure(found), Failure::AddressNotAllowed);
}
