//! Getting manifests and blobs from a registry that does whatever it likes.

use super::server::{Act, Authority, Server, answer, naming, tls_entries};
use super::{BODY, LONG, MANIFEST, OCTO, OTHER, SHA256, client, octo, parse, plain};
use bailiff_oci::registry::{PullError, PullLimits, PulledManifest, Registries, RegistryClient};
use bailiff_oci::{Digest, Missing};
use std::io;
use std::time::Duration;

/// Times that no test reaches.
const PATIENT: PullLimits = PullLimits {
    silence: Duration::from_mins(5),
    window: Duration::from_mins(5),
    least: 1,
};

async fn manifest(
    client: &RegistryClient,
    server: &Server,
    suffix: &str,
) -> Result<PulledManifest, PullError> {
    let reference = parse(&format!("{}/acme/web{suffix}", server.host()));
    client.pull_manifest(&reference, None).await
}

/// Pulls a blob of two bytes; the result has what was kept.
async fn blob_within(
    client: &RegistryClient,
    server: &Server,
    digest: &str,
    limits: PullLimits,
) -> (Vec<u8>, Result<(), PullError>) {
    let reference = parse(&format!("{}/acme/web:1", server.host()));
    let digest = Digest::parse(digest).unwrap();
    let mut kept = Vec::new();
    let keep = |bytes: &[u8]| {
        kept.extend_from_slice(bytes);
        Ok(())
    };
    let octo = octo();
    let pulled = client
        .pull_blob(&reference, (&digest, 2), Some(&octo), limits, keep)
        .await;
    (kept, pulled)
}

async fn blob(client: &RegistryClient, server: &Server) -> (Vec<u8>, Result<(), PullError>) {
    blob_within(client, server, SHA256, PATIENT).await
}

/// What is the matter, as it is printed, with what only some errors have.
fn what<T: std::fmt::Debug>(pulled: Result<T, PullError>) -> String {
    match pulled.unwrap_err() {
        PullError::Missing(missing) => format!("{missing:?}"),
        PullError::Failed(failure) => failure.to_string(),
        PullError::Keep(error) => format!("Keep: {error}"),
        error @ (PullError::NoBlob | PullError::Size { .. } | PullError::TooSlow { .. }) => {
            error.to_string()
        }
    }
}

const SIZE: &str = "the blob has another size than the 2 bytes of the manifest";

#[tokio::test]
async fn a_manifest_is_got_whatever_it_is() {
    for (media_type, digests) in [
        (Some(MANIFEST), vec![SHA256]),
        (Some("application/vnd.test"), vec![]),
        (None, vec![]),
        // What is stated of this format is the digest of a part of it.
        (
            Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
            vec![OTHER],
        ),
    ] {
        let server = Server::start(move |_| {
            let types = media_type.map(|text| ("Content-Type", text));
            let digests = digests.iter().map(|text| ("Docker-Content-Digest", *text));
            let headers: Vec<_> = types.into_iter().chain(digests).collect();
            answer(200, &headers, BODY)
        })
        .await;
        let pulled = manifest(&plain(&server), &server, ":1").await.unwrap();
        assert_eq!(pulled.bytes, BODY.as_bytes());
        assert_eq!(pulled.digest.as_str(), SHA256);
        assert_eq!(pulled.media_type.as_deref(), media_type);
        assert_eq!(server.lines(), ["GET /v2/acme/web/manifests/1"]);
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_the_one_that_was_asked_for_is_an_error() {
    let endless = || {
        let head = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
        vec![
            Act::Send(head.into()),
            Act::Repeat(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).into()),
        ]
    };
    let unknown = r#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#;
    let no_repository = r#"{"errors": [{"code": "NAME_UNKNOWN"}]}"#;
    for (suffix, acts, want) in [
        (
            format!("@{OTHER}"),
            answer(200, &[], BODY),
            "DigestMismatch",
        ),
        (
            ":1".to_owned(),
            answer(200, &[("Docker-Content-Digest", OTHER)], BODY),
            "DigestMismatch",
        ),
        (
            format!("@{SHA256}"),
            answer(200, &[("Docker-Content-Digest", OTHER)], BODY),
            "DigestMismatch",
        ),
        (":1".to_owned(), endless(), "LimitExceeded: manifestBytes"),
        (":1".to_owned(), answer(404, &[], unknown), "Manifest"),
        (
            ":1".to_owned(),
            answer(404, &[], no_repository),
            "Repository",
        ),
        (
            ":1".to_owned(),
            answer(404, &[], ""),
            "UnexpectedAnswer: \"404 without an error code\"",
        ),
        (":1".to_owned(), answer(401, &[], ""), "Unauthorized"),
        (":1".to_owned(), answer(403, &[], ""), "Forbidden"),
        (":1".to_owned(), answer(429, &[], ""), "RateLimited"),
        (
            ":1".to_owned(),
            answer(405, &[], ""),
            "UnexpectedAnswer: \"status 405\"",
        ),
    ] {
        let server = Server::start(move |_| acts.clone()).await;
        let pulled = manifest(&plain(&server), &server, &suffix).await;
        assert_eq!(what(pulled), want, "{suffix}");
    }
    let missing = PullError::Missing(Missing::Manifest).to_string();
    assert_eq!(missing, "the registry does not have it");
}

#[tokio::test]
async fn a_blob_has_the_size_and_the_digest_of_the_manifest() {
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
        vec![Act::Send(format!("{head}{body}").into())]
    };
    let endless = || {
        let mut acts = chunked("");
        acts.push(Act::Repeat(
            format!("1000\r\n{}\r\n", "x".repeat(0x1000)).into(),
        ));
        acts
    };
    let cut = || {
        vec![
            Act::Send(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{".to_vec()),
            Act::Reset,
        ]
    };
    for (acts, want) in [
        (answer(200, &[], BODY), None),
        (chunked("2\r\n{}\r\n0\r\n\r\n"), None),
        (answer(200, &[("Content-Encoding", "identity")], BODY), None),
        (answer(200, &[], "[]"), Some("DigestMismatch")),
        // Neither a stated nor a real size is exceeded.
        (answer(200, &[], "{} "), Some(SIZE)),
        (answer(200, &[], "{"), Some(SIZE)),
        (chunked("3\r\n{} \r\n0\r\n\r\n"), Some(SIZE)),
        (chunked("1\r\n{\r\n0\r\n\r\n"), Some(SIZE)),
        (endless(), Some(SIZE)),
        (cut(), Some("Connect")),
        (
            answer(200, &[("Content-Encoding", "gzip")], BODY),
            Some("UnexpectedAnswer: \"content encoding gzip\""),
        ),
        (
            answer(404, &[], ""),
            Some("the registry does not have the blob"),
        ),
        (
            answer(206, &[], BODY),
            Some("UnexpectedAnswer: \"status 206\""),
        ),
        (answer(429, &[], ""), Some("RateLimited")),
        (answer(503, &[], ""), Some("Unavailable: 503")),
    ] {
        let shown = format!("{acts:?}").chars().take(300).collect::<String>();
        let server = Server::start(move |_| acts.clone()).await;
        let (kept, pulled) = blob(&plain(&server), &server).await;
        assert!(kept.len() <= 2, "{shown}");
        match want {
            None => {
                pulled.unwrap();
                assert_eq!(kept, BODY.as_bytes());
            }
            Some(want) => assert_eq!(what(pulled), want, "{shown}"),
        }
        assert_eq!(server.lines(), [format!("GET /v2/acme/web/blobs/{SHA256}")]);
    }
}

#[tokio::test]
async fn a_blob_does_not_take_longer_than_its_size_allows() {
    let silent = Server::start(|_| {
        let start = b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{".to_vec();
        vec![Act::Send(start), Act::Hang]
    })
    .await;
    for (limits, want) in [
        (
            PullLimits {
                silence: super::SHORT,
                ..PATIENT
            },
            "Timeout",
        ),
        (
            PullLimits {
                window: super::SHORT,
                least: 1,
                ..PATIENT
            },
            "fewer than 1 bytes of the blob came in 0 s",
        ),
    ] {
        let (kept, pulled) = blob_within(&plain(&silent), &silent, SHA256, limits).await;
        assert_eq!(what(pulled), want);
        assert_eq!(kept, b"{");
    }
}

/// Pulls a blob that is larger than what comes of it.
async fn endless(server: &Server, limits: PullLimits) -> PullError {
    let reference = parse(&format!("{}/acme/web:1", server.host()));
    let digest = Digest::parse(SHA256).unwrap();
    let blob = (&digest, 1 << 40);
    let client = plain(server);
    let pulled = client.pull_blob(&reference, blob, None, limits, |_| Ok(()));
    pulled.await.unwrap_err()
}

#[tokio::test]
async fn a_blob_that_comes_too_slowly_is_an_error_however_often_a_byte_comes() {
    let server = Server::start(|_| {
        let start = b"HTTP/1.1 200 X\r\nContent-Length: 1099511627776\r\n\r\n".to_vec();
        // The first window has enough.
        let much = vec![b'x'; 100_000];
        let pause = Duration::from_millis(20);
        vec![
            Act::Send(start),
            Act::Send(much),
            Act::Trickle(b"x".to_vec(), pause),
        ]
    })
    .await;
    let limits = PullLimits {
        window: super::SHORT,
        least: 50_000,
        ..PATIENT
    };
    let error = endless(&server, limits).await;
    assert_eq!(
        error.to_string(),
        "fewer than 50000 bytes of the blob came in 0 s"
    );
}

#[tokio::test]
async fn a_blob_that_cannot_be_kept_is_not_read_on() {
    let server = Server::start(|_| answer(200, &[], BODY)).await;
    let reference = parse(&format!("{}/acme/web:1", server.host()));
    let digest = Digest::parse(SHA256).unwrap();
    let keep = |_: &[u8]| Err(io::Error::other("full"));
    let pulled = plain(&server)
        .pull_blob(&reference, (&digest, 2), None, PATIENT, keep)
        .await;
    assert_eq!(what(pulled), "Keep: full");
}

#[tokio::test]
async fn a_blob_is_got_where_the_registry_keeps_it_without_the_credential() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", 2999);
    let storage = Server::start_tls(tls.clone(), |_| answer(200, &[], BODY)).await;
    let to = format!("https://{}/bucket?signature=x", storage.host());
    let registry = Server::start_tls(tls, move |request| match request.header("authorization") {
        None => answer(401, &[("WWW-Authenticate", "Basic realm=\"r\"")], ""),
        Some(_) => answer(307, &[("Location", &to)], ""),
    })
    .await;
    // A storage on loopback has to be named: where a registry leads, only addresses of others are connected to.
    let entries = tls_entries(&[&registry], &authority);
    let (_, pulled) = blob(&client(&entries, LONG), &registry).await;
    assert_eq!(what(pulled), "AddressNotAllowed");
    assert_eq!(storage.connections(), 0);
    let named = naming(&entries, &registry, "redirectHosts", &storage.host());
    let (kept, pulled) = blob(&client(&named, LONG), &registry).await;
    pulled.unwrap();
    assert_eq!(kept, BODY.as_bytes());
    let last = registry.requests().pop().unwrap();
    assert_eq!(last.header("authorization"), Some(OCTO));
    assert_eq!(storage.lines(), ["GET /bucket?signature=x"]);
    assert_eq!(storage.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_blob_is_not_got_where_it_must_not() {
    let target = Server::start(|_| answer(200, &[], BODY)).await;
    for (location, want) in [
        (format!("http://{}/", target.host()), "RedirectNotAllowed"),
        ("http://169.254.169.254/".to_owned(), "RedirectNotAllowed"),
        ("https://169.254.169.254/".to_owned(), "AddressNotAllowed"),
        ("https://[::1]/".to_owned(), "AddressNotAllowed"),
        (format!("https://{}/", target.host()), "AddressNotAllowed"),
    ] {
        let to = location.clone();
        let server = Server::start(move |_| answer(307, &[("Location", &to)], "")).await;
        let (_, pulled) = blob(&plain(&server), &server).await;
        assert_eq!(what(pulled), want, "{location}");
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_registry_that_a_person_typed_is_asked_at_any_address() {
    let server = Server::start(|_| answer(200, &[], BODY)).await;
    let host = server.host();
    let unlisted = client("", LONG);
    let pulled = manifest(&unlisted, &server, ":1").await;
    assert_eq!(what(pulled), "RegistryNotAllowed");
    // The server waits for the end of a request, which TLS has not.
    let limits = bailiff_oci::registry::Limits {
        connect: super::SHORT,
        ..LONG
    };
    let typed = |registry: &str, plain_http, limits| {
        let registries = Registries::default().with_typed(registry, plain_http);
        RegistryClient::new(registries, limits).unwrap()
    };
    let pulled = manifest(&typed(&host, true, LONG), &server, ":1").await;
    assert_eq!(pulled.unwrap().bytes, BODY.as_bytes());
    // With TLS, unless the person says otherwise.
    let pulled = manifest(&typed(&host, false, limits), &server, ":1").await;
    assert_eq!(what(pulled), "Timeout");
    // What is listed counts.
    let listed = Registries::parse(&server.plain_entry()).unwrap();
    let client = RegistryClient::new(listed.with_typed(&host, false), LONG).unwrap();
    assert!(manifest(&client, &server, ":1").await.is_ok());
    // Nobody types the address of Docker Hub.
    let hub = typed("docker.io", false, LONG);
    assert_eq!(
        &*hub.endpoint_key("docker.io"),
        "https://registry-1.docker.io/v2"
    );
}
