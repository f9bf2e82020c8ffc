//! Tables of references; `tests/differential.rs` compares more of them with the library.

use super::*;

/// The digits of a digest of SHA-256.
const HEX: &str = "7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa";

fn parse(text: &str) -> Result<Reference, InvalidReference> {
    Reference::parse(text, ShortNames::DockerHub)
}

/// A text, its normal form, and the registry and path of that.
const NORMAL: &[(&str, &str, &str, &str)] = &[
    (
        "nginx",
        "docker.io/library/nginx:latest",
        "docker.io",
        "library/nginx",
    ),
    (
        "library/nginx",
        "docker.io/library/nginx:latest",
        "docker.io",
        "library/nginx",
    ),
    (
        "docker.io/nginx",
        "docker.io/library/nginx:latest",
        "docker.io",
        "library/nginx",
    ),
    (
        "index.docker.io/nginx",
        "docker.io/library/nginx:latest",
        "docker.io",
        "library/nginx",
    ),
    (
        "registry-1.docker.io/nginx",
        "docker.io/library/nginx:latest",
        "docker.io",
        "library/nginx",
    ),
    (
        "registry-1.docker.io/library/nginx",
        "docker.io/library/nginx:latest",
        "docker.io",
        "library/nginx",
    ),
    (
        "acme/web:1",
        "docker.io/acme/web:1",
        "docker.io",
        "acme/web",
    ),
    ("localhost/web", "localhost/web:latest", "localhost", "web"),
    ("web:5000/api:1", "web:5000/api:1", "web:5000", "api"),
    (
        "[::1]:5000/api",
        "[::1]:5000/api:latest",
        "[::1]:5000",
        "api",
    ),
    (
        "docker.io:443/nginx",
        "docker.io:443/nginx:latest",
        "docker.io:443",
        "nginx",
    ),
    (
        "foo_bar.example/web",
        "foo_bar.example/web:latest",
        "foo_bar.example",
        "web",
    ),
];

#[test]
fn a_reference_has_one_normal_form() {
    for (text, normal, registry, path) in NORMAL {
        for (text, normal) in [
            ((*text).to_owned(), (*normal).to_owned()),
            (
                format!("{text}@sha256:{HEX}"),
                format!("{registry}/{path}@sha256:{HEX}"),
            ),
        ] {
            let reference = parse(&text).unwrap();
            assert_eq!(reference.to_string(), normal, "{text}");
            assert_eq!(reference.registry(), *registry, "{text}");
            assert_eq!(reference.path(), *path, "{text}");
            assert_eq!(
                reference.repository(),
                format!("{registry}/{path}"),
                "{text}"
            );
            assert_eq!(parse(&normal).unwrap().to_string(), normal, "{text}");
        }
    }
}

#[test]
fn a_tag_beside_a_digest_selects_nothing() {
    let digest = format!("sha256:{HEX}");
    for (text, tag, written, has_digest) in [
        ("nginx".to_owned(), Some("latest"), None, false),
        ("nginx:1".to_owned(), Some("1"), Some("1"), false),
        (format!("nginx@{digest}"), None, None, true),
        (format!("nginx:1@{digest}"), None, Some("1"), true),
    ] {
        let reference = parse(&text).unwrap();
        assert_eq!(reference.tag(), tag, "{text}");
        assert_eq!(reference.written_tag(), written, "{text}");
        let digest = has_digest.then_some(&*digest);
        assert_eq!(reference.digest().map(Digest::as_str), digest, "{text}");
    }
}

#[test]
fn short_names_are_rejected_only_where_the_runtime_resolves_them() {
    let digest = format!("acme/web@sha256:{HEX}");
    for (text, name) in [
        ("nginx", "nginx"),
        ("nginx:1", "nginx"),
        ("library/nginx", "library/nginx"),
        (&digest, "acme/web"),
        ("docker.io", "docker.io"),
    ] {
        assert!(parse(text).is_ok(), "{text}");
        let part = Excerpt::of(name);
        assert_eq!(
            Reference::parse(text, ShortNames::Rejected),
            Err(InvalidReference::ShortName { part }),
            "{text}"
        );
    }
    // What is no reference has the same error.
    let long = "p".repeat(248);
    for text in [
        "docker.io/nginx",
        "localhost/nginx",
        "ghcr.io/acme/web:1",
        &long,
        "Nginx",
        "nginx@md5:0",
        "sha256:0",
    ] {
        assert_eq!(
            Reference::parse(text, ShortNames::Rejected),
            parse(text),
            "{text}"
        );
    }
}

/// A text, the stable reason, and the message.
const INVALID: &[(&str, &str, &str)] = &[
    (
        "",
        "Empty",
        "image reference is empty; write host/path:tag or host/path@digest",
    ),
    (
        "ghcr.io/acme\u{1b}[2J",
        "Character",
        "image reference contains \"\\u{1b}\" at byte 12; use only ASCII letters, digits and . _ - / : @",
    ),
    (
        "nginх",
        "Character",
        "image reference contains \"\\u{445}\" at byte 4; use only ASCII letters, digits and . _ - / : @",
    ),
    (
        " nginx",
        "Character",
        "image reference contains \" \" at byte 0; use only ASCII letters, digits and . _ - / : @",
    ),
    (
        "https://ghcr.io/acme/web",
        "Scheme",
        "image reference starts with the scheme \"https\"; remove it and \"://\"",
    ),
    (
        "sha256:7cc4b5aefd1d",
        "ImageID",
        "\"sha256:7cc4b5aefd1d\" is an image ID, which selects a local image of any registry; write host/path@digest",
    ),
    (
        "GHCR.io/acme/web",
        "UppercaseHost",
        "registry host \"GHCR.io\" has uppercase letters; write it in lower case",
    ),
    (
        "Foo/bar",
        "UppercaseHost",
        "registry host \"Foo\" has uppercase letters; write it in lower case",
    ),
    (
        "ghcr.io./acme/web",
        "Host",
        "registry host \"ghcr.io.\" is malformed; use a DNS name of at most 253 bytes, an IPv4 address or an IPv6 address in brackets",
    ),
    (
        "ghcr.io:0443/acme/web",
        "Port",
        "registry port \"0443\" is malformed; use 1 to 5 digits without a leading zero",
    ),
    (
        "acme/Web:1",
        "UppercasePath",
        "path component \"Web\" has uppercase letters; write it in lower case",
    ),
    (
        "ghcr.io/acme/../web",
        "PathComponent",
        "path component \"..\" is malformed; use lowercase letters and digits, separated with one period, one or two underscores, or hyphens",
    ),
    (
        "nginx:-a",
        "Tag",
        "tag \"-a\" is malformed; use at most 128 letters, digits and _ . -, with no . or - at the start",
    ),
    (
        "nginx@md5:7cc4",
        "DigestAlgorithm",
        "digest algorithm \"md5\" is not supported; use sha256, sha384 or sha512",
    ),
    (
        "nginx@sha512:7cc4",
        "DigestDigits",
        "sha512 digest \"7cc4\" is malformed; write exactly 128 lowercase hexadecimal digits",
    ),
];

#[test]
fn an_invalid_reference_says_what_is_wrong_and_what_to_write() {
    for (text, reason, message) in INVALID {
        let error = parse(text).unwrap_err();
        assert_eq!(error.reason(), *reason, "{text:?}");
        assert_eq!(error.to_string(), *message, "{text:?}");
    }
    let path = format!("ghcr.io/{}", "p".repeat(256));
    for (text, reason, message) in [
        (
            "a".repeat(1025),
            "TooLong",
            "image reference has 1025 bytes; use at most 1024".to_owned(),
        ),
        (
            path,
            "PathTooLong",
            format!(
                "repository path \"{}...\" has 256 bytes; use at most 255",
                "p".repeat(61)
            ),
        ),
        (
            HEX.to_owned(),
            "ImageID",
            format!(
                "\"{HEX}\" is an image ID, which selects a local image of any registry; write host/path@digest"
            ),
        ),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.reason(), reason, "{text}");
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn a_host_is_no_longer_than_a_dns_name() {
    let host = |bytes: usize| "h.".repeat((bytes - 1) / 2) + &"h".repeat(2 - bytes % 2);
    for port in ["", ":65535"] {
        assert!(parse(&format!("{}{port}/web", host(253))).is_ok(), "{port}");
        let error = parse(&format!("{}{port}/web", host(254))).unwrap_err();
        assert_eq!(error.reason(), "Host", "{port}");
    }
    assert_eq!([host(253).len(), host(254).len()], [253, 254]);
}

#[test]
fn a_runtime_takes_no_valid_reference_for_a_local_image() {
    for (text, is_id) in [
        (HEX.to_owned(), true),
        (format!("sha256:{HEX}"), true),
        ("sha256:7".to_owned(), true),
        ("sha384:7".to_owned(), true),
        (format!("sha512:{HEX}{HEX}"), true),
        // Not an ID, but nothing that anybody means.
        ("sha256:latest".to_owned(), true),
        // The kubelet appends `:latest`.
        ("sha256".to_owned(), false),
        (format!("{HEX}:latest"), false),
        ("docker.io/library/sha256:7".to_owned(), false),
        ("library/sha256:7".to_owned(), false),
        (format!("sha256:7@sha256:{HEX}"), false),
        ("sha256:5000/nginx".to_owned(), false),
        (HEX.chars().skip(1).collect(), false),
    ] {
        let part = Excerpt::of(&text);
        let rejected = parse(&text) == Err(InvalidReference::ImageId { part });
        assert_eq!(rejected, is_id, "{text}: {:?}", parse(&text));
        assert!(is_id || parse(&text).is_ok(), "{text}: {:?}", parse(&text));
    }
}

#[test]
fn hostile_text_costs_little_and_is_not_repeated() {
    for (name, text) in [
        ("letters", "a".repeat(1 << 20)),
        ("slashes", "/".repeat(1 << 20)),
        ("colons", ":".repeat(1 << 20)),
        ("control characters", "\0".repeat(1 << 20)),
        ("wide characters", "\u{10ffff}".repeat(1 << 18)),
        ("slashes within the limit", "/".repeat(1024)),
        ("control characters within the limit", "\0".repeat(1024)),
        ("a long component", format!("a.b/{}", "-".repeat(1000))),
        ("a long host", format!("{}/a", ".".repeat(1000))),
        ("a long tag", format!("a:{}", "-".repeat(1000))),
        ("a long digest", format!("a@sha256:{}", "G".repeat(1000))),
        ("a long algorithm", format!("a@{}", "s".repeat(1000))),
    ] {
        let mut error = None;
        let used = allocation_counter::measure(|| error = parse(&text).err());
        let error = error.unwrap_or_else(|| panic!("{name} is valid"));
        assert!(
            used.bytes_total < 1024,
            "{name}: {} bytes",
            used.bytes_total
        );
        let message = error.to_string();
        assert!(message.len() < 256, "{name}: {message}");
        assert!(
            message.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
            "{name}: {message}"
        );
    }
}
