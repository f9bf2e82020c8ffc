//! What a server can do.

use super::server::{Answer, Server};
use super::*;
use std::time::Duration;

const LIMITS: Limits = Limits {
    response: Duration::from_secs(20),
    silence: Duration::from_secs(20),
    all: Duration::from_mins(1),
    bytes: 1 << 20,
};

async fn server() -> Server {
    let zip = archive(&[record("X-1", "PyPI", "django", "3.2.13")]);
    let large = vec![b'a'; (1 << 20) + 1];
    let unstated = [b"100001\r\n".as_slice(), &large, b"\r\n0\r\n\r\n"].concat();
    Server::start(
        [
            ("/all.zip", Answer::body(&zip)),
            // The name says nothing about the content.
            ("/zip/main", Answer::body(&zip)),
            ("/kev.json?key=secret", Answer::body(CATALOG.as_bytes())),
            ("/moved", Answer::redirect("/all.zip")),
            ("/downgraded", Answer::redirect("http://localhost/all.zip")),
            ("/elsewhere", Answer::redirect("//localhost/all.zip")),
            ("/user", Answer::redirect("https://a:b@localhost/all.zip")),
            ("/loop", Answer::redirect("/loop")),
            ("/gone", Answer::of("410 Gone\r\ncontent-length: 0", b"")),
            (
                "/part",
                Answer::of("206 Partial Content\r\ncontent-length: 1", b"a"),
            ),
            (
                "/short",
                Answer::of("200 OK\r\ncontent-length: 100", b"abc"),
            ),
            ("/large", Answer::body(&large)),
            (
                "/unstated",
                Answer::of("200 OK\r\ntransfer-encoding: chunked", &unstated),
            ),
            (
                "/gzip",
                Answer::of(
                    "200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1",
                    b"a",
                ),
            ),
            (
                "/silent",
                Answer::of("200 OK\r\ncontent-length: 100", b"abc").then_hangs(),
            ),
            ("/mute", Answer::default().then_hangs()),
        ]
        .into(),
    )
    .await
}

#[tokio::test]
async fn sources_are_downloaded() {
    let (files, server) = (Files::new(), server().await);
    let downloader = Downloader::with(server.roots.clone(), LIMITS).unwrap();
    let sources = [
        ("osv", "/zip/main"),
        ("kev", "/kev.json?key=secret"),
        ("osv", "/moved"),
    ]
    .map(|(kind, path)| format!("{kind}={}", server.url(path)));
    let flags = format!("build -f {{}}/new/index {}", sources.join(" "));
    let (result, out, err) = files.run_with(&downloader, NOW, &flags).await;
    assert_eq!((result, err.as_str()), (Ok(()), ""));
    let origin = |path| server.url(path);
    let table = format!(
        "\
KIND   RECORDS   UNREADABLE   NEWEST       ECOSYSTEMS   SOURCE
osv    1         0            2026-01-02   PyPI         {}
kev    1         0            2026-01-03   -            {}
osv    1         0            2026-01-02   PyPI         {}
",
        origin("/zip/main"),
        origin("/kev.json"),
        origin("/moved"),
    );
    assert!(out.starts_with(&table), "{out}");
    // Nothing of the downloads is left.
    let left: Vec<_> = std::fs::read_dir(files.path("new")).unwrap().collect();
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn what_a_server_does_wrong_is_an_error_with_its_cause() {
    let (files, server) = (Files::new(), server().await);
    let downloader = Downloader::with(server.roots.clone(), LIMITS).unwrap();
    for (path, cause) in [
        ("/none", "the server responded with status 404"),
        ("/gone", "the server responded with status 410"),
        ("/part", "the server responded with status 206"),
        (
            "/downgraded",
            "the server redirects to http://localhost/all.zip, and only https URLs without a user name are followed",
        ),
        (
            "/elsewhere",
            "the server redirects to //localhost/all.zip, and only https URLs without a user name are followed",
        ),
        (
            "/user",
            "the server redirects to https://a:b@localhost/all.zip, and only https URLs without a user name are followed",
        ),
        ("/loop", "the server redirects more than 5 times"),
        ("/short", "the connection ended after 3 of 100 bytes"),
        ("/large", "it has more than the 1048576 bytes that are read"),
        (
            "/unstated",
            "it has more than the 1048576 bytes that are read",
        ),
        ("/gzip", "it is compressed as gzip, which was not requested"),
    ] {
        let url = server.url(path);
        let flags = format!("build -f {{}}/index osv={url}");
        let (result, out, _) = files.run_with(&downloader, NOW, &flags).await;
        let remedy =
            "retry, or download it with another program and give the file instead of the URL";
        assert_eq!(
            (result.unwrap_err(), out.as_str()),
            (format!("cannot download {url}: {cause}; {remedy}"), ""),
            "{path}"
        );
    }
    assert_eq!(files.names(""), ["kev.json", "osv"]);
}

#[tokio::test]
async fn a_server_with_another_authority_is_not_read() {
    let (files, server) = (Files::new(), server().await);
    let downloader = Downloader::with(RootCertStore::empty(), LIMITS).unwrap();
    let url = server.url("/all.zip");
    let (result, _, _) = files
        .run_with(&downloader, NOW, &format!("build -f {{}}/index osv={url}"))
        .await;
    let error = result.unwrap_err();
    assert!(
        error.starts_with(&format!("cannot download {url}: ")) && error.contains("UnknownIssuer"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_silent_is_left() {
    let (files, server) = (Files::new(), server().await);
    // Each limit by itself: the others are out of reach.
    let second = Duration::from_secs(1);
    for (path, limits, cause) in [
        (
            "/mute",
            Limits {
                response: second,
                ..LIMITS
            },
            "the server sent no response within 1 s",
        ),
        (
            "/silent",
            Limits {
                silence: second,
                ..LIMITS
            },
            "the server sent nothing for 1 s",
        ),
        (
            "/silent",
            Limits {
                all: second,
                ..LIMITS
            },
            "it takes more than 1 s",
        ),
    ] {
        let downloader = Downloader::with(server.roots.clone(), limits).unwrap();
        let url = server.url(path);
        let flags = format!("build -f {{}}/index osv={url}");
        let (result, _, _) = files.run_with(&downloader, NOW, &flags).await;
        let error = result.unwrap_err();
        assert!(
            error.starts_with(&format!("cannot download {url}: {cause};")),
            "{error}"
        );
    }
}
