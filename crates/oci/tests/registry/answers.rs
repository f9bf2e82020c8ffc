//! What a registry says about an image.

use super::server::{Act, Request, Server, answer, answer_to};
use super::{
    BODY, INDEX, LONG, MANIFEST, OTHER, SHA256, SHA512, client, digest_of, failure, lookup, plain,
    unexpected,
};
use bailiff_oci::{Failure, Lookup, ManifestKind, Missing};
use std::time::Duration;

#[tokio::test]
async fn one_request_finds_a_tag() {
    let server = Server::start(|_| {
        answer(
            200,
            &[("Content-Type", INDEX), ("Docker-Content-Digest", SHA256)],
            "",
        )
    })
    .await;
    let found = lookup(&plain(&server), &server, ":1").await;
    assert_eq!(digest_of(&found), SHA256);
    assert!(
        matches!(&found, Lookup::Found { facts, .. } if facts.kind == ManifestKind::Index),
        "{found:?}"
    );
    assert_eq!(server.lines(), ["HEAD /v2/acme/web/manifests/1"]);
    let request = &server.requests()[0];
    assert_eq!(request.header("user-agent"), Some("bailiff/0.1.0"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("accept-encoding"), None);
    assert_eq!(
        request.header("accept"),
        Some(
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
             application/vnd.docker.distribution.manifest.list.v2+json, \
             application/vnd.docker.distribution.manifest.v2+json"
        )
    );
}

#[tokio::test]
async fn a_digest_is_asked_for_and_not_its_tag() {
    let server = Server::start(|_| {
        answer(
            200,
            &[
                ("Content-Type", MANIFEST),
                ("Docker-Content-Digest", SHA256),
            ],
            "",
        )
    })
    .await;
    let found = lookup(&plain(&server), &server, &format!(":1@{SHA256}")).await;
    assert_eq!(digest_of(&found), SHA256);
    let path = format!("HEAD /v2/acme/web/manifests/{SHA256}");
    assert_eq!(server.lines(), [path]);
}

#[tokio::test]
async fn what_head_does_not_say_get_does() {
    type Head = fn(&Request) -> Vec<Act>;
    for (name, head) in [
        (
            "no digest",
            (|_| answer(200, &[("Content-Type", INDEX)], "")) as Head,
        ),
        ("no media type", |_| {
            answer(200, &[("Docker-Content-Digest", SHA256)], "")
        }),
        ("another media type", |_| {
            answer(
                200,
                &[
                    ("Docker-Content-Digest", SHA256),
                    ("Content-Type", "text/plain"),
                ],
                "",
            )
        }),
        ("405", |_| answer(405, &[], "")),
        ("501", |_| answer(501, &[], "")),
        ("404", |_| answer(404, &[], "")),
    ] {
        for (suffix, digest) in [
            (":1".to_owned(), SHA256),
            (format!("@{SHA256}"), SHA256),
            (format!("@{SHA512}"), SHA512),
        ] {
            // A registry that states sha256 contradicts who asks for sha512.
            if digest == SHA512 && name.contains("media type") {
                continue;
            }
            let server = Server::start(move |request| match request.method.as_str() {
                "HEAD" => head(request),
                _ => answer(200, &[("Content-Type", INDEX)], BODY),
            })
            .await;
            let found = lookup(&plain(&server), &server, &suffix).await;
            assert_eq!(digest_of(&found), digest, "{name}");
            assert_eq!(server.lines().len(), 2, "{name}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_lies_about_a_digest_is_caught() {
    for (name, suffix, head, get) in [
        ("another digest", format!("@{SHA256}"), vec![OTHER], vec![]),
        (
            "another algorithm",
            format!("@{SHA512}"),
            vec![SHA256],
            vec![],
        ),
        ("two digests", ":1".to_owned(), vec![SHA256, OTHER], vec![]),
        ("other bytes", format!("@{OTHER}"), vec![], vec![]),
        (
            "other bytes than stated",
            format!("@{OTHER}"),
            vec![],
            vec![OTHER],
        ),
        (
            "other bytes than stated for a tag",
            ":1".to_owned(),
            vec![],
            vec![OTHER],
        ),
        (
            "another digest of the bytes",
            format!("@{OTHER}"),
            vec![],
            vec![SHA256],
        ),
    ] {
        let server = Server::start(move |request| {
            let digests = if request.method == "HEAD" {
                &head
            } else {
                &get
            };
            let mut headers = vec![("Content-Type", INDEX)];
            headers.extend(
                digests
                    .iter()
                    .map(|digest| ("Docker-Content-Digest", *digest)),
            );
            answer_to(request, 200, &headers, BODY)
        })
        .await;
        let found = lookup(&plain(&server), &server, &suffix).await;
        assert_eq!(failure(found), Failure::DigestMismatch, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_manifest_is_unexpected() {
    for (headers, expected) in [
        (
            vec![("Content-Type", "text/html")],
            "\"media type text/html\"",
        ),
        (vec![], "\"no media type\""),
        (
            vec![(
                "Content-Type",
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
            )],
            "\"media type application/vnd.docker.distribution.manifest.v1+pr...\"",
        ),
        (
            vec![
                ("Content-Type", INDEX),
                ("Docker-Content-Digest", "sha256:0"),
            ],
            "\"digest sha256:0\"",
        ),
        (
            vec![("Content-Type", INDEX), ("Content-Encoding", "gzip")],
            "\"content encoding gzip\"",
        ),
    ] {
        let sent = headers.clone();
        let server = Server::start(move |request| answer_to(request, 200, &sent, BODY)).await;
        let found = lookup(&plain(&server), &server, ":1").await;
        assert_eq!(unexpected(found), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn an_image_is_missing_only_if_the_registry_says_so() {
    let missing = |code: &str| format!("{{\"errors\": [{{\"code\": \"{code}\", \"detail\": 1}}]}}");
    for (body, expected) in [
        (
            missing("MANIFEST_UNKNOWN"),
            Lookup::NotFound(Missing::Manifest),
        ),
        (missing("NOT_FOUND"), Lookup::NotFound(Missing::Manifest)),
        (
            missing("NAME_UNKNOWN"),
            Lookup::NotFound(Missing::Repository),
        ),
    ] {
        let sent = body.clone();
        let server = Server::start(move |request| answer_to(request, 404, &[], &sent)).await;
        assert_eq!(
            lookup(&plain(&server), &server, ":1").await,
            expected,
            "{body}"
        );
        assert_eq!(
            server.lines(),
            [
                "HEAD /v2/acme/web/manifests/1",
                "GET /v2/acme/web/manifests/1"
            ]
        );
    }
    for (body, expected) in [
        (
            "<html>404</html>".to_owned(),
            "\"404 without an error code\"",
        ),
        (String::new(), "\"404 without an error code\""),
        (
            "{\"errors\": []}".to_owned(),
            "\"404 without an error code\"",
        ),
        (
            "{\"errors\": ".repeat(1000),
            "\"404 without an error code\"",
        ),
        (missing("DENIED"), "\"404 with code DENIED\""),
        (missing("\\u001b[31m"), "\"404 with code \\u{1b}[31m\""),
    ] {
        let sent = body.clone();
        let server = Server::start(move |request| answer_to(request, 404, &[], &sent)).await;
        assert_eq!(
            unexpected(lookup(&plain(&server), &server, ":1").await),
            expected,
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_status_code_has_its_failure() {
    let limited = |seconds: Option<u64>| Failure::RateLimited {
        retry_after: seconds.map(Duration::from_secs),
    };
    let unavailable = |status, seconds: Option<u64>| Failure::Unavailable {
        status,
        retry_after: seconds.map(Duration::from_secs),
    };
    for (status, retry_after, expected) in [
        (401, None, Failure::Unauthorized),
        (403, None, Failure::Forbidden),
        (429, None, limited(None)),
        (429, Some("17"), limited(Some(17))),
        (429, Some("Thu, 01 Jan 1970 00:00:00 GMT"), limited(Some(0))),
        (
            429,
            Some("Tue, 01 Jan 2999 00:00:00 GMT"),
            limited(Some(300)),
        ),
        (429, Some("99999999999999999999999"), limited(Some(300))),
        (429, Some("-1"), limited(None)),
        (429, Some("soon"), limited(None)),
        (500, None, unavailable(500, None)),
        (503, Some("9"), unavailable(503, Some(9))),
        (599, None, unavailable(599, None)),
    ] {
        let server = Server::start(move |_| {
            let headers: Vec<_> = retry_after
                .iter()
                .map(|&text| ("Retry-After", text))
                .collect();
            answer(status, &headers, "")
        })
        .await;
        let found = lookup(&plain(&server), &server, ":1").await;
        assert_eq!(failure(found), expected, "{status} {retry_after:?}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
    for (status, requests, expected) in [
        (204, 1, "\"status 204\""),
        (304, 1, "\"status 304\""),
        (400, 1, "\"status 400\""),
        (405, 2, "\"status 405\""),
        (600, 1, "\"status 600\""),
    ] {
        let server = Server::start(move |_| answer(status, &[], "")).await;
        let found = lookup(&plain(&server), &server, ":1").await;
        assert_eq!(unexpected(found), expected, "{status}");
        assert_eq!(server.requests().len(), requests, "{status}");
    }
}

#[tokio::test]
async fn an_answer_has_a_limited_size() {
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000)).into_bytes();
    let endless = move |status: u16| {
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: {INDEX}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        vec![Act::Send(head.into_bytes()), Act::Repeat(chunk.clone())]
    };
    let stated = |status: u16, bytes: usize| {
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: {INDEX}\r\nContent-Length: {bytes}\r\n\r\n"
        );
        vec![Act::Send(head.into_bytes()), Act::Hang]
    };
    for (name, status, acts, limit) in [
        ("endless manifest", 200, endless(200), "manifestBytes"),
        (
            "stated manifest",
            200,
            stated(200, (4 << 20) + 1),
            "manifestBytes",
        ),
        ("endless error", 404, endless(404), "errorBytes"),
        (
            "stated error",
            404,
            stated(404, (64 << 10) + 1),
            "errorBytes",
        ),
        (
            "length that does not fit",
            200,
            stated(200, usize::MAX >> 1),
            "manifestBytes",
        ),
    ] {
        let server = Server::start(move |request| match request.method.as_str() {
            "HEAD" => answer(status, &[], ""),
            _ => acts.clone(),
        })
        .await;
        let found = lookup(&plain(&server), &server, ":1").await;
        assert_eq!(failure(found), Failure::LimitExceeded(limit), "{name}");
    }
}

#[tokio::test]
async fn a_manifest_can_be_as_large_as_the_limit() {
    let server = Server::start(|request| {
        answer_to(
            request,
            200,
            &[("Content-Type", INDEX)],
            &"x".repeat(4 << 20),
        )
    })
    .await;
    let found = lookup(&plain(&server), &server, ":1").await;
    assert!(matches!(found, Lookup::Found { .. }), "{found:?}");
}

#[tokio::test]
async fn headers_have_a_limited_size_and_number() {
    for (name, header) in [
        ("one large", format!("X: {}\r\n", "x".repeat(128 << 10))),
        ("many", "X: x\r\n".repeat(101)),
        ("no end", "X: x\r\n".repeat(1 << 16)),
    ] {
        let server = Server::start(move |_| {
            let head = format!("HTTP/1.1 200 X\r\n{header}\r\n");
            vec![Act::Send(head.into_bytes()), Act::Hang]
        })
        .await;
        let found = lookup(&plain(&server), &server, ":1").await;
        assert_eq!(failure(found), Failure::LimitExceeded("headers"), "{name}");
    }
}

#[tokio::test]
async fn a_mirror_is_asked_under_its_own_names() {
    let server = Server::start(|_| {
        answer(
            200,
            &[("Content-Type", INDEX), ("Docker-Content-Digest", SHA256)],
            "",
        )
    })
    .await;
    let host = server.host();
    for (endpoint, path) in [
        (
            host.clone(),
            "/v2/library/nginx/manifests/latest?ns=docker.io",
        ),
        (
            format!("http://{host}/v2/hub"),
            "/v2/hub/library/nginx/manifests/latest?ns=docker.io",
        ),
        (
            format!("{host}/hub"),
            "/hub/v2/library/nginx/manifests/latest?ns=docker.io",
        ),
    ] {
        let config =
            format!("registries: {{docker.io: {{endpoint: '{endpoint}', plainHTTP: true}}}}");
        let client = client(&config, LONG);
        let reference = super::parse("docker.io/nginx");
        let found = client.lookup(&reference, false, None).await;
        assert_eq!(digest_of(&found), SHA256, "{endpoint}");
        assert_eq!(server.requests().last().unwrap().path, path, "{endpoint}");
    }
}
