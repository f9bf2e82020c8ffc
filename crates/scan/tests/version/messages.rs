//! What cannot be compared says which version, as what, and why; word for word.

use bailiff_scan::version::{MAX_VERSION_BYTES, Operand, Scheme};
use std::cmp::Ordering;

#[track_caller]
fn assert_message(scheme: Scheme, text: &str, valid: &str, message: &str) {
    for (a, b, operand) in [
        (text, valid, Operand::First),
        (valid, text, Operand::Second),
    ] {
        let error = scheme.compare(a, b).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!((error.scheme(), error.operand()), (scheme, operand));
    }
}

#[test]
fn a_text_that_is_no_version_is_named_with_its_reason() {
    let messages = [
        (
            Scheme::Dpkg,
            "",
            "cannot compare \"\" as a Debian version: it is empty",
        ),
        (
            Scheme::Dpkg,
            "x1",
            "cannot compare \"x1\" as a Debian version: the upstream version must start with a digit",
        ),
        (
            Scheme::Dpkg,
            "1.0-",
            "cannot compare \"1.0-\" as a Debian version: it has no revision after the last -",
        ),
        (
            Scheme::Dpkg,
            "2147483648:1",
            "cannot compare \"2147483648:1\" as a Debian version: the epoch before the first : must be a number of at most 2147483647",
        ),
        (
            Scheme::Dpkg,
            "1_0",
            "cannot compare \"1_0\" as a Debian version: the upstream version must consist of letters, digits and . + - : ~",
        ),
        (
            Scheme::Dpkg,
            "1-0:1",
            "cannot compare \"1-0:1\" as a Debian version: the epoch before the first : must be a number of at most 2147483647",
        ),
        (
            Scheme::Dpkg,
            "0:1-1:1",
            "cannot compare \"0:1-1:1\" as a Debian version: the revision must consist of letters, digits and . + ~",
        ),
        (
            Scheme::Apk,
            ".1",
            "cannot compare \".1\" as an Alpine version: it must start with a digit",
        ),
        (
            Scheme::Apk,
            "1..2",
            "cannot compare \"1..2\" as an Alpine version: a . must be followed by a digit",
        ),
        (
            Scheme::Apk,
            "1_blah",
            "cannot compare \"1_blah\" as an Alpine version: after _ must be alpha, beta, pre, rc, cvs, svn, git, hg or p",
        ),
        (
            Scheme::Apk,
            "1~-r0",
            "cannot compare \"1~-r0\" as an Alpine version: a ~ must be followed by the hash of a commit",
        ),
        (
            Scheme::Apk,
            "1-r0-r1",
            "cannot compare \"1-r0-r1\" as an Alpine version: - is not allowed at byte 4",
        ),
        (
            Scheme::Pep440,
            "1.0-bulbasaur",
            "cannot compare \"1.0-bulbasaur\" as a Python version: it is no version of PEP 440",
        ),
        (
            Scheme::Npm,
            "1.2",
            "cannot compare \"1.2\" as an npm version: it must start with three numbers, divided by .",
        ),
        (
            Scheme::Npm,
            "9007199254740992.0.0",
            "cannot compare \"9007199254740992.0.0\" as an npm version: a number must be at most 9007199254740991",
        ),
        (
            Scheme::Npm,
            "1.2.3-a..b",
            "cannot compare \"1.2.3-a..b\" as an npm version: the pre-release must consist of letters, digits and -, divided by .",
        ),
        (
            Scheme::Npm,
            "1.2.3+a_b",
            "cannot compare \"1.2.3+a_b\" as an npm version: the build metadata must consist of letters, digits and -, divided by .",
        ),
        (
            Scheme::Maven,
            "1 2",
            "cannot compare \"1 2\" as a Maven version: it must consist of printable ASCII characters without spaces",
        ),
        (
            Scheme::Go,
            "(devel)",
            "cannot compare \"(devel)\" as a Go version: a build from a working tree has no version",
        ),
        (
            Scheme::Go,
            "go1.20.03",
            "cannot compare \"go1.20.03\" as a Go version: a toolchain is go1.20, go1.20.3 or go1.20rc1",
        ),
        (
            Scheme::Go,
            "v1.x",
            "cannot compare \"v1.x\" as a Go version: unexpected character 'x' while parsing minor version number",
        ),
        (
            Scheme::Cargo,
            "1.2",
            "cannot compare \"1.2\" as a Cargo version: unexpected end of input while parsing minor version number",
        ),
    ];
    for (scheme, text, message) in messages {
        assert_message(scheme, text, "1.0.0", message);
    }
}

#[test]
fn a_version_is_compared_up_to_256_bytes() {
    let longest = format!("1.0.0-{}", "a".repeat(MAX_VERSION_BYTES - 6));
    let longer = format!("{longest}a");
    for scheme in [
        Scheme::Dpkg,
        Scheme::Maven,
        Scheme::Npm,
        Scheme::Go,
        Scheme::Cargo,
    ] {
        assert_eq!(
            scheme.compare(&longest, &longest),
            Ok(Ordering::Equal),
            "{scheme:?}"
        );
    }
    for scheme in Scheme::ALL {
        let error = scheme.compare("1.0.0", &longer).unwrap_err();
        assert_eq!(error.operand(), Operand::Second);
        assert_eq!(error.reason(), "it is longer than 256 bytes");
        assert_eq!(error.excerpt(), format!("1.0.0-{}...", "a".repeat(71)));
        assert!(error.to_string().len() <= 300);
    }
}

#[test]
fn an_excerpt_is_printable_ascii_and_bounded() {
    let excerpt = |text: &str| {
        let error = Scheme::Maven.compare(text, "1").unwrap_err();
        assert!(error.to_string().len() <= 300);
        error.excerpt().to_owned()
    };
    assert_eq!(
        excerpt("1\u{1b}[2J\"\\\u{202e}é"),
        "1\\u{1b}[2J\\\"\\\\\\u{202e}\\u{e9}"
    );
    assert_eq!(
        excerpt(&"\u{10ffff}".repeat(60)),
        format!("{}...", "\\u{10ffff}".repeat(7))
    );
    let message = Scheme::Go
        .compare("v1.\u{202e}", "v1")
        .unwrap_err()
        .to_string();
    assert!(
        message.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
        "{message}"
    );
}

/// What the tables of the ecosystems do not have: a toolchain and the version of an advisory for the standard library.
#[test]
fn a_toolchain_compares_with_versions_of_the_standard_library() {
    let sorted = [
        "1.20.0-rc.1",
        "go1.20",
        "1.20.1",
        "go1.20.14 X:boringcrypto",
        "go1.21",
        "1.21.0-rc.1",
        "go1.21rc2",
        "1.21.0",
        "go1.21.1-acme",
        "1.21.2",
    ];
    for pair in sorted.windows(2) {
        assert_eq!(
            Scheme::Go.compare(pair[0], pair[1]),
            Ok(Ordering::Less),
            "{pair:?}"
        );
    }
    for (a, b) in [
        ("go1.20", "1.20.0"),
        ("go1.21.3", "v1.21.3"),
        ("go1.22rc1", "1.22.0-rc.1"),
        ("v2.0.0+incompatible", "2"),
    ] {
        assert_eq!(Scheme::Go.compare(a, b), Ok(Ordering::Equal), "{a} {b}");
    }
}
