//! Tables of patterns; `tests/cel.rs` compares the match with the CEL expression.

use super::*;
use crate::excerpt::Excerpt;
use crate::reference::ShortNames;

fn reference(text: &str) -> Reference {
    Reference::parse(text, ShortNames::DockerHub).unwrap()
}

fn matches(pattern: &str, text: &str) -> bool {
    Patterns::parse(&[pattern])
        .unwrap()
        .matches(&reference(text))
}

#[test]
fn a_pattern_matches_whole_repositories() {
    let cases: [(&str, &[&str], &[&str]); 16] = [
        (
            "ghcr.io/acme/web",
            &["ghcr.io/acme/web", "ghcr.io/acme/web:1"][..],
            &[
                "ghcr.io/acme/web2",
                "ghcr.io/acme/web/api",
                "ghcr.io/acme",
                "xghcr.io/acme/web",
                "ghcr.io:443/acme/web",
                "ghcrxio/acme/web",
                "evil.example/ghcr.io/acme/web",
            ],
        ),
        (
            "ghcr.io/acme/**",
            &["ghcr.io/acme/web", "ghcr.io/acme/web/api"],
            &[
                "ghcr.io/acme",
                "ghcr.io/acme2/web",
                "ghcr.io/acme-evil/web",
                "ghcr.io.evil.example/acme/web",
                "ghcr.io:80/acme/web",
                "evil.example/ghcr.io/acme/web",
            ],
        ),
        (
            "ghcr.io/acme/*",
            &["ghcr.io/acme/web"],
            &["ghcr.io/acme/web/api", "ghcr.io/acme", "ghcr.io/acme2/web"],
        ),
        (
            "ghcr.io/*/web-*",
            &["ghcr.io/acme/web-1", "ghcr.io/x/web-a.b"],
            &[
                "ghcr.io/acme/web",
                "ghcr.io/a/b/web-1",
                "ghcr.io/acme/web-1/x",
                "ghcr.io/acme/my-web-1",
            ],
        ),
        (
            "ghcr.io/**/web",
            &["ghcr.io/a/web", "ghcr.io/a/b/web"],
            &[
                "ghcr.io/web",
                "ghcr.io/a/web2",
                "ghcr.io/a/web/b",
                "ghcr.io/a/xweb",
            ],
        ),
        (
            "ghcr.io/acme/**/**",
            &["ghcr.io/acme/a/b", "ghcr.io/acme/a/b/c"],
            &["ghcr.io/acme/a"],
        ),
        (
            "*.example.com/**",
            &["a.example.com/web", "a-b.example.com/x/y"],
            &[
                "example.com/web",
                "a.b.example.com/web",
                "aexample.com/web",
                "evil-example.com/web",
                "a.example.com:5000/web",
                "a.examplexcom/web",
                "a.example.com.evil.org/web",
                "evil.org/a.example.com/web",
            ],
        ),
        (
            "*.example.com:5000/web",
            &["a.example.com:5000/web"],
            &[
                "a.example.com/web",
                "a.example.com:500/web",
                "a.example.com:5000/web/x",
                "b:80/web",
            ],
        ),
        (
            "docker.io/library/*",
            &[
                "nginx",
                "library/nginx",
                "index.docker.io/nginx",
                "registry-1.docker.io/nginx",
                "docker.io/nginx",
            ],
            &[
                "acme/nginx",
                "docker.io:443/library/nginx",
                "library.example/nginx",
            ],
        ),
        (
            "docker.io/**",
            &["nginx", "acme/web", "docker.io"],
            &["ghcr.io/docker.io/web"],
        ),
        (
            "localhost:5000/**",
            &["localhost:5000/a"],
            &["localhost/a", "localhost:50000/a"],
        ),
        (
            "[::1]:5000/a*",
            &["[::1]:5000/a", "[::1]:5000/ab"],
            &["[::1]/a", "[::1]:5000/b"],
        ),
        ("[::1]/web", &["[::1]/web"], &["[:1]/web"]),
        (
            "foo_bar.example/*",
            &["foo_bar.example/a"],
            &["foo-bar.example/a"],
        ),
        (
            "10.0.0.1/**",
            &["10.0.0.1/a"],
            &["10.0.0.10/a", "10.0.001/a"],
        ),
        (
            "10.0.0.1/a*",
            &["10.0.0.1/a"],
            &["10x0.0.1/a", "10.0.0.1/b"],
        ),
    ];
    for (pattern, matched, unmatched) in cases {
        for text in matched {
            assert!(matches(pattern, text), "{pattern} does not match {text}");
        }
        for text in unmatched {
            assert!(!matches(pattern, text), "{pattern} matches {text}");
        }
    }
}

#[test]
fn a_pattern_has_the_simplest_shape() {
    for (pattern, shape) in [
        (
            "ghcr.io/acme/web",
            Shape::Literal("ghcr.io/acme/web".to_owned()),
        ),
        ("ghcr.io/**", Shape::Prefix("ghcr.io/".to_owned())),
        ("ghcr.io/a.b/**", Shape::Prefix("ghcr.io/a.b/".to_owned())),
        ("ghcr.io/*", Shape::Regex(r"^ghcr\.io/[^/]*$".to_owned())),
        (
            "ghcr.io/a*.b/**",
            Shape::Regex(r"^ghcr\.io/a[^/]*\.b/.+$".to_owned()),
        ),
        ("*.io:80/a", Shape::Regex(r"^[^./:]+\.io:80/a$".to_owned())),
        ("[::1]/*", Shape::Regex(r"^\[::1\]/[^/]*$".to_owned())),
    ] {
        assert_eq!(
            Pattern::parse(pattern).unwrap().shape(),
            &shape,
            "{pattern}"
        );
    }
}

#[test]
fn an_invalid_pattern_says_what_is_wrong_where_and_what_to_write() {
    let long = format!("ghcr.io/{}", "a".repeat(249));
    for (pattern, message) in [
        (
            "",
            "the pattern is empty; write host/path, such as ghcr.io/acme/** (byte 0)",
        ),
        (
            &long,
            "the pattern has 257 bytes; use at most 256 (byte 256)",
        ),
        (
            "ghcr.io/acme/{a,b}",
            "character \"{\" is not allowed; use only ASCII letters, digits and . _ - / : * (byte 13)",
        ),
        (
            "ghсr.io/acme/**",
            "character \"\\u{441}\" is not allowed; use only ASCII letters, digits and . _ - / : * (byte 2)",
        ),
        (
            "ghcr.io/acme/**\n",
            "character \"\\n\" is not allowed; use only ASCII letters, digits and . _ - / : * (byte 15)",
        ),
        (
            "ghcr.io/a'||true||'",
            "character \"\\'\" is not allowed; use only ASCII letters, digits and . _ - / : * (byte 9)",
        ),
        (
            "https://ghcr.io/**",
            "scheme \"https\" is not allowed; remove it and \"://\" (byte 0)",
        ),
        (
            "nginx",
            "\"nginx\" is not a registry host; start with the host, such as docker.io/library/nginx (byte 0)",
        ),
        (
            "library/nginx",
            "\"library\" is not a registry host; start with the host, such as docker.io/library/nginx (byte 0)",
        ),
        (
            "ghcr.io",
            "host \"ghcr.io\" has no path; append /** to match all repositories of the host (byte 7)",
        ),
        (
            "*",
            "wildcard in host \"*\" is not allowed; use * only as the first label, such as *.example.com (byte 0)",
        ),
        (
            "**",
            "wildcard in host \"**\" is not allowed; use * only as the first label, such as *.example.com (byte 0)",
        ),
        (
            "*/web",
            "wildcard in host \"*\" is not allowed; use * only as the first label, such as *.example.com (byte 0)",
        ),
        (
            "*ghcr.io/**",
            "wildcard in host \"*ghcr.io\" is not allowed; use * only as the first label, such as *.example.com (byte 0)",
        ),
        (
            "ghcr.*/**",
            "wildcard in host \"ghcr.*\" is not allowed; use * only as the first label, such as *.example.com (byte 5)",
        ),
        (
            "*.*.io/**",
            "wildcard in host \"*.*.io\" is not allowed; use * only as the first label, such as *.example.com (byte 2)",
        ),
        (
            "ghcr.io:*/**",
            "wildcard in host \"ghcr.io:*\" is not allowed; use * only as the first label, such as *.example.com (byte 8)",
        ),
        (
            "*.[::1]/**",
            "wildcard in host \"*.[::1]\" is not allowed; use * only as the first label, such as *.example.com (byte 0)",
        ),
        (
            "*./**",
            "host \"*.\" is malformed; use a DNS name of at most 253 bytes, an IPv4 address or an IPv6 address in brackets (byte 0)",
        ),
        (
            "ghcr.io./**",
            "host \"ghcr.io.\" is malformed; use a DNS name of at most 253 bytes, an IPv4 address or an IPv6 address in brackets (byte 0)",
        ),
        (
            "GHCR.io/**",
            "host \"GHCR.io\" has uppercase letters; write it in lower case (byte 0)",
        ),
        (
            "ghcr.io:0443/**",
            "port \"0443\" is malformed; use 1 to 5 digits without a leading zero (byte 8)",
        ),
        (
            "ghcr.io:/**",
            "port \"\" is malformed; use 1 to 5 digits without a leading zero (byte 8)",
        ),
        (
            "index.docker.io/**",
            "host \"index.docker.io\" is Docker Hub, whose normal form is docker.io; write docker.io (byte 0)",
        ),
        (
            "registry-1.docker.io/library/nginx",
            "host \"registry-1.docker.io\" is Docker Hub, whose normal form is docker.io; write docker.io (byte 0)",
        ),
        (
            "docker.io/nginx",
            "path \"nginx\" matches no image of docker.io; put library/ before it, or write docker.io/** (byte 10)",
        ),
        (
            "docker.io/*",
            "path \"*\" matches no image of docker.io; put library/ before it, or write docker.io/** (byte 10)",
        ),
        (
            "ghcr.io/acme/web:1",
            "\":1\" is not part of a repository; remove it; to require digests, set spec.digest (byte 16)",
        ),
        (
            "ghcr.io/acme/web@sha256:00",
            "\"@sha256:00\" is not part of a repository; remove it; to require digests, set spec.digest (byte 16)",
        ),
        (
            "web@sha256:00",
            "\"web@sha256:00\" is not part of a repository; remove it; to require digests, set spec.digest (byte 0)",
        ),
        (
            "ghcr.io/acme/",
            "path component is empty; remove the slash, or append ** to match everything below (byte 13)",
        ),
        (
            "ghcr.io//web",
            "path component is empty; remove the slash, or append ** to match everything below (byte 8)",
        ),
        (
            "ghcr.io/",
            "path component is empty; remove the slash, or append ** to match everything below (byte 8)",
        ),
        (
            "ghcr.io/acme/web**",
            "** is not allowed within path component \"web**\"; use it as a whole component, or use * (byte 16)",
        ),
        (
            "ghcr.io/***",
            "** is not allowed within path component \"***\"; use it as a whole component, or use * (byte 8)",
        ),
        (
            "ghcr.io/acme/Web*",
            "path component \"Web*\" has uppercase letters; write it in lower case (byte 13)",
        ),
        (
            "ghcr.io/acme/../web",
            "path component \"..\" matches no image; use lowercase letters and digits, separated with one period, one or two underscores, or hyphens (byte 13)",
        ),
        (
            "ghcr.io/-*",
            "path component \"-*\" matches no image; use lowercase letters and digits, separated with one period, one or two underscores, or hyphens (byte 8)",
        ),
        (
            "ghcr.io/[a-z]*",
            "path component \"[a-z]*\" matches no image; use lowercase letters and digits, separated with one period, one or two underscores, or hyphens (byte 8)",
        ),
    ] {
        let error = Pattern::parse(pattern).unwrap_err();
        assert_eq!(error.to_string(), message, "{pattern:?}");
    }
}

#[test]
fn a_set_has_limits() {
    let many = |count: usize, pattern: &str| -> Vec<String> {
        (0..count)
            .map(|n| format!("r{n}.example/{pattern}"))
            .collect()
    };
    let nothing: [&str; 0] = [];
    assert!(
        !Patterns::parse(&nothing)
            .unwrap()
            .matches(&reference("nginx"))
    );
    for (name, texts, error) in [
        ("the most patterns", many(64, "a"), None),
        (
            "one more",
            many(65, "a"),
            Some(InvalidPatterns::TooMany { count: 65 }),
        ),
        (
            "a million",
            vec![String::new(); 1_000_000],
            Some(InvalidPatterns::TooMany { count: 1_000_000 }),
        ),
        ("the most regular expressions", many(16, "*"), None),
        (
            "one more",
            many(17, "*"),
            Some(InvalidPatterns::TooManyRegexes { count: 17 }),
        ),
        ("prefixes need none", many(64, "**"), None),
    ] {
        assert_eq!(Patterns::parse(&texts).err(), error, "{name}");
    }
    assert_eq!(
        InvalidPatterns::TooMany { count: 65 }.to_string(),
        "65 repository patterns are too many; use at most 64, with /** for what is below a path"
    );
    assert_eq!(
        InvalidPatterns::TooManyRegexes { count: 17 }.to_string(),
        "17 repository patterns have wildcards other than /** at the end; use at most 16"
    );
    let error = Patterns::parse(&["ghcr.io/a", "nginx"]).unwrap_err();
    assert_eq!(error.to_string(), "repository pattern 1 is invalid");
    assert_eq!(
        error,
        InvalidPatterns::Pattern {
            index: 1,
            source: InvalidPattern {
                position: 0,
                fault: PatternFault::NoHost {
                    part: Excerpt::of("nginx")
                }
            }
        }
    );
}

#[test]
fn the_largest_set_compiles_and_matches() {
    for wildcard in ["a*", "*/", "**/"] {
        let texts: Vec<String> = (10..26)
            .map(|n| {
                let path = wildcard.repeat(240 / wildcard.len());
                format!("*.{n}.example/{path}a")
            })
            .collect();
        assert!(
            texts
                .iter()
                .all(|text| (240..=MAX_PATTERN_BYTES).contains(&text.len()))
        );
        let patterns = Patterns::parse(&texts).unwrap();
        let depth = 240 / wildcard.len();
        let path = if wildcard == "a*" {
            "a".repeat(depth) + "a"
        } else {
            "a/".repeat(depth) + "a"
        };
        let text = format!("x.17.example/{path}");
        assert!(patterns.matches(&reference(&text)), "{wildcard}");
        let text = format!("x.7.example/{path}");
        assert!(!patterns.matches(&reference(&text)), "{wildcard}");
    }
}

#[test]
fn the_first_pattern_that_matches_is_found() {
    let texts = [
        "ghcr.io/b*",
        "ghcr.io/a",
        "ghcr.io/a*",
        "*.io/**",
        "ghcr.io/**",
    ];
    let patterns = Patterns::parse(&texts).unwrap();
    for (text, found) in [
        ("ghcr.io/bc", Some("ghcr.io/b*")),
        ("ghcr.io/a", Some("ghcr.io/a")),
        ("ghcr.io/ab", Some("ghcr.io/a*")),
        ("quay.io/a", Some("*.io/**")),
        ("ghcr.io/c/d", Some("*.io/**")),
        ("localhost/a", None),
    ] {
        let pattern = patterns.find(&reference(text));
        assert_eq!(pattern.map(Pattern::as_str), found, "{text}");
        assert_eq!(
            patterns.matches(&reference(text)),
            found.is_some(),
            "{text}"
        );
    }
}

#[test]
fn the_expression_has_one_call_for_each_shape() {
    for (texts, expression) in [
        (&[][..], "false"),
        (&["ghcr.io/a"], "(r in ['ghcr.io/a'])"),
        (
            &["ghcr.io/a", "ghcr.io/b"],
            "(r in ['ghcr.io/a', 'ghcr.io/b'])",
        ),
        (&["ghcr.io/**"], "(r.startsWith('ghcr.io/'))"),
        (&["ghcr.io/*"], r"(r.matches(r'^(?:ghcr\.io/[^/]*)$'))"),
        (
            &["ghcr.io/*", "a.io/**", "a.io/b", "*.b.io/c", "b.io/**"],
            r"(r in ['a.io/b'] || r.startsWith('a.io/') || r.startsWith('b.io/') || r.matches(r'^(?:ghcr\.io/[^/]*|[^./:]+\.b\.io/c)$'))",
        ),
    ] {
        assert_eq!(Patterns::parse(texts).unwrap().to_cel("r"), expression);
    }
}
