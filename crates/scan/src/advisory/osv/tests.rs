//! Records of OSV as they are published, and as nobody should publish them.

use super::*;

fn record(fields: &str) -> Result<Advisory, String> {
    let text = format!(r#"{{"id": "X-1", {fields}}}"#);
    decode(text.as_bytes()).map_err(|error| error.to_string())
}

fn affected(fields: &str) -> Result<Affected, String> {
    let text = format!(
        r#""affected": [{{"package": {{"ecosystem": "Maven", "name": "a:b"}}, {fields}}}]"#
    );
    record(&text).map(|advisory| advisory.affected.into_iter().next().unwrap())
}

#[test]
fn a_record_is_decoded() {
    let text = r#"{
        "schema_version": "1.7.0",
        "id": "GHSA-jfh8-c2jp-5v3q",
        "modified": "2025-01-02T03:04:05.678Z",
        "published": "2021-12-10T00:40:56Z",
        "aliases": ["CVE-2021-44228"],
        "upstream": ["X-2"],
        "related": ["CVE-2021-45046"],
        "summary": "\n  Remote code injection in Log4j \nmore",
        "details": "text",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:H"}],
        "affected": [
            {
                "package": {"ecosystem": "Maven", "name": "org.apache.logging.log4j:log4j-core", "purl": "x"},
                "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N"}],
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "2.13.0"}, {"fixed": "2.15.0"}]},
                    {"type": "GIT", "repo": "x", "events": [{"introduced": "0"}, {"fixed": "abc"}]}
                ],
                "versions": ["2.13.0"],
                "ecosystem_specific": {"affected_functions": ["x"]},
                "database_specific": {"last_known_affected_version_range": "<= 2.14.1", "source": "x"}
            },
            {"package": {"ecosystem": "NuGet", "name": "x"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "1"}]}]},
            {"ranges": []}
        ],
        "references": [{"type": "WEB", "url": "x"}],
        "credits": [{"name": "x"}],
        "database_specific": {"severity": "CRITICAL", "cwe_ids": []}
    }"#;
    let of = decode(text.as_bytes()).unwrap();
    assert_eq!(of.id, "GHSA-jfh8-c2jp-5v3q");
    assert_eq!(
        of.names().collect::<Vec<_>>(),
        ["GHSA-jfh8-c2jp-5v3q", "CVE-2021-44228", "X-2"]
    );
    assert_eq!(of.title, "Remote code injection in Log4j");
    assert_eq!(
        of.modified,
        Some("2025-01-02T03:04:05.678Z".parse().unwrap())
    );
    assert!(!of.withdrawn);
    assert_eq!(of.statements.len(), 2);
    let [entry] = &of.affected[..] else {
        panic!("one ecosystem is known: {:?}", of.affected);
    };
    assert_eq!(
        (&*entry.name, &entry.kind),
        ("org.apache.logging.log4j:log4j-core", &Kind::Vulnerability)
    );
    assert_eq!(entry.statements.len(), 1);
    let events = vec![
        Event::Introduced("2.13.0".to_owned()),
        Event::Fixed("2.15.0".to_owned()),
    ];
    assert_eq!(entry.ranges, [Range { events }]);
    assert_eq!(entry.versions.iter().collect::<Vec<_>>(), ["2.13.0"]);
    assert_eq!(
        entry.last_known,
        Some(End::LastAffected("2.14.1".to_owned()))
    );
}

#[test]
fn fields_can_be_missing_null_or_unknown() {
    let of = record(
        r#""affected": null, "aliases": null, "modified": "never", "withdrawn": null, "x": {}"#,
    );
    let of = of.unwrap();
    assert_eq!(
        (of.affected.len(), of.modified, of.withdrawn),
        (0, None, false)
    );
    let of = affected(
        r#""ranges": [{"type": "NEW", "events": [{"x": 1}]}], "versions": null, "severity": [{}, {"type": 3, "score": "x"}]"#,
    );
    let of = of.unwrap();
    assert_eq!(
        (of.ranges.len(), of.versions.len(), of.statements.len()),
        (0, 0, 0)
    );
}

#[test]
fn a_withdrawn_record_says_so() {
    assert!(
        record(r#""withdrawn": "2025-01-02T03:04:05Z""#)
            .unwrap()
            .withdrawn
    );
}

#[test]
fn malicious_packages_and_information_are_kinds_of_their_own() {
    let package = r#""affected": [{"package": {"ecosystem": "crates.io", "name": "a"}, "database_specific": {"informational": "unmaintained"}}], "aliases": ["GHSA-1"]"#;
    let kind = |id: &str| {
        let text = format!(r#"{{"id": "{id}", {package}}}"#);
        decode(text.as_bytes()).unwrap().affected[0].kind.clone()
    };
    assert_eq!(
        kind("RUSTSEC-2020-0001"),
        Kind::Informational("unmaintained".to_owned())
    );
    assert_eq!(kind("MAL-2024-1"), Kind::Malicious);
    let of = affected(r#""database_specific": {"informational": null}"#).unwrap();
    assert_eq!(of.kind, Kind::Vulnerability);
}

#[test]
fn the_urgency_of_debian_is_read() {
    let entry = |ecosystem: &str, urgency: &str| {
        let text = format!(
            r#""affected": [{{"package": {{"ecosystem": "{ecosystem}", "name": "a"}}, "ecosystem_specific": {{"urgency": {urgency}}}}}]"#
        );
        let entry = record(&text).unwrap().affected.remove(0);
        (entry.notes, entry.statements)
    };
    let low = Statement::of_word("low").unwrap();
    for (urgency, notes, statements) in [
        (r#""unimportant""#, vec![Note::Unimportant], vec![]),
        (
            r#""end-of-life""#,
            vec![Note::EndOfLife(String::new())],
            vec![],
        ),
        (r#""low**""#, vec![], vec![low]),
        (r#""not yet assigned""#, vec![], vec![]),
        ("1", vec![], vec![]),
    ] {
        assert_eq!(
            entry("Debian:12", urgency),
            (notes, statements),
            "{urgency}"
        );
        assert_eq!(entry("Ubuntu:22.04:LTS", urgency), (vec![], vec![]));
    }
}

#[test]
fn information_that_has_a_cve_or_a_cvss_vector_is_about_a_vulnerability() {
    let vector = r#"{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}"#;
    let unsound = || Kind::Informational("unsound".to_owned());
    for (of_record, of_package, want) in [
        (String::new(), String::new(), unsound()),
        (r#", "aliases": ["GHSA-1"]"#.to_owned(), String::new(), unsound()),
        (r#", "aliases": ["GHSA-1", "CVE-2025-1"]"#.to_owned(), String::new(), Kind::Vulnerability),
        (r#", "upstream": ["CVE-2025-1"]"#.to_owned(), String::new(), Kind::Vulnerability),
        (format!(r#", "severity": [{vector}]"#), String::new(), Kind::Vulnerability),
        (String::new(), format!(r#", "severity": [{vector}]"#), Kind::Vulnerability),
        // A vector that cannot be read, and a word, say nothing.
        (
            r#", "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/x"}], "database_specific": {"severity": "HIGH"}"#.to_owned(),
            String::new(),
            unsound(),
        ),
    ] {
        let text = format!(
            r#"{{"id": "RUSTSEC-1", "affected": [{{"package": {{"ecosystem": "crates.io", "name": "a"}}, "database_specific": {{"informational": "unsound"}}{of_package}}}]{of_record}}}"#
        );
        let kind = decode(text.as_bytes()).unwrap().affected[0].kind.clone();
        assert_eq!(kind, want, "{text}");
    }
}

#[test]
fn the_end_beside_a_range_is_read_if_it_is_one() {
    for (text, want) in [
        ("<= 2.14.1", Some(End::LastAffected("2.14.1".to_owned()))),
        ("<2.0", Some(End::Before("2.0".to_owned()))),
        ("< 2.0, >= 1.0", None),
        ("= 2.0", None),
        ("<", None),
        ("", None),
    ] {
        let of = affected(&format!(
            r#""database_specific": {{"last_known_affected_version_range": "{text}"}}"#
        ));
        assert_eq!(of.unwrap().last_known, want, "{text}");
    }
}

#[test]
fn custom_ranges_of_go_are_read() {
    let of = affected(
        r#""ecosystem_specific": {"custom_ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.9.0"}]}]}"#,
    );
    assert_eq!(of.unwrap().custom_ranges[0].events.len(), 2);
    let of = affected(r#""ecosystem_specific": {"custom_ranges": null}"#);
    assert_eq!(of.unwrap().custom_ranges, []);
    let error = affected(r#""ecosystem_specific": {"custom_ranges": 1}"#).unwrap_err();
    assert_eq!(
        error,
        "affected[0].ecosystem_specific.custom_ranges: must be ranges: invalid type: integer `1`, expected a sequence at line 1 column 19"
    );
}

#[test]
fn a_record_that_cannot_be_used_has_an_error_with_its_field() {
    let id = "have 1 to 256 printable ASCII characters without spaces";
    let many = |count: usize, item: &str| vec![item; count].join(",");
    for (fields, want) in [
        (r#""id": "X-2""#.to_owned(), "duplicate field `id` at line 1 column 18".to_owned()),
        (r#""aliases": ["a", "b c"]"#.to_owned(), format!("aliases[1]: must {id}")),
        (r#""upstream": [""]"#.to_owned(), format!("upstream[0]: must {id}")),
        (r#""aliases": [1]"#.to_owned(), "aliases[0]: invalid type: integer `1`, expected a string at line 1 column 27".to_owned()),
        (
            r#""affected": [{"package": {"ecosystem": "Go", "name": ""}}]"#.to_owned(),
            "affected[0].package.name: must have 1 to 1024 bytes".to_owned(),
        ),
        (
            r#""affected": [{"package": {"ecosystem": "Go", "name": "a"}, "ranges": [{"type": "SEMVER", "events": [{"fixed": "1"}]}]}]"#.to_owned(),
            "affected[0].ranges[0].events: must have an event \"introduced\"".to_owned(),
        ),
        (
            format!(
                r#""affected": [{{"package": {{"ecosystem": "Go", "name": "a"}}, "ranges": [{{"type": "SEMVER", "events": [{}]}}]}}]"#,
                many(501, r#"{"introduced": "0"}"#)
            ),
            "affected[0].ranges[0].events: must have at most 500 items".to_owned(),
        ),
        (
            format!(
                r#""affected": [{{"package": {{"ecosystem": "Go", "name": "a"}}, "ranges": [{}]}}]"#,
                many(20_001, r#"{"type": "SEMVER", "events": [{"introduced": "0"}]}"#)
            ),
            "affected: must have at most 20000 events in all ranges".to_owned(),
        ),
        (
            format!(
                r#""affected": [{{"package": {{"ecosystem": "Go", "name": "a"}}, "versions": [{0}]}}, {{"package": {{"ecosystem": "Go", "name": "b"}}, "versions": [{0}]}}]"#,
                many(50_001, r#""1""#)
            ),
            "affected: must list at most 100000 versions".to_owned(),
        ),
        (
            format!(r#""aliases": [{}]"#, many(10_001, r#""a""#)),
            "aliases: must have at most 10000 items at line 1 column 40030".to_owned(),
        ),
        (
            format!(r#""affected": [{}]"#, many(20_001, "{}")),
            "affected: must have at most 20000 items at line 1 column 60030".to_owned(),
        ),
        (
            r#""affected": [{"package": {"ecosystem": "Go", "name": "a"}, "versions": [1]}]"#.to_owned(),
            "affected[0].versions: must be a list of versions: invalid type: integer `1`, expected a string at line 1 column 2".to_owned(),
        ),
        (
            r#""affected": [{"ranges": [{"type": "SEMVER", "events": [{"fixed": 1}]}]}]"#.to_owned(),
            "affected[0].ranges[0].events[0].fixed: invalid type: integer `1`, expected a string at line 1 column 80".to_owned(),
        ),
        (
            format!(r#""x": {}"#, "[".repeat(64)),
            "it is nested deeper than 64 levels".to_owned(),
        ),
        (
            format!(r#""x": "{}""#, "a".repeat(RECORD_LIMIT)),
            "it has 4194326 bytes, more than the 4194304 that are read".to_owned(),
        ),
    ] {
        let error = record(&fields).unwrap_err();
        assert_eq!(error, want);
    }
    for id_text in ["", "a b", "\\u001b[2J", "ä"] {
        let text = format!(r#"{{"id": "{id_text}"}}"#);
        let error = decode(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, format!("id: must {id}"));
    }
}

#[test]
fn a_damaged_field_of_a_database_is_none() {
    for specific in [
        "1",
        r#"["HIGH"]"#,
        r#"{"severity": 1, "informational": {}}"#,
        r#"{"severity": "low", "severity": "low"}"#,
    ] {
        let of = affected(&format!(
            r#""database_specific": {specific}, "ecosystem_specific": 1"#
        ));
        let of = of.unwrap();
        assert_eq!((of.statements, of.kind), (Vec::new(), Kind::Vulnerability));
    }
}

#[test]
fn a_title_is_one_line_of_bounded_length() {
    let of = |fields: &str| record(fields).unwrap().title;
    assert_eq!(of(r#""details": "\n\n## Impact\n\nText""#), "Impact");
    assert_eq!(of(r#""summary": "", "details": "Text""#), "Text");
    assert_eq!(of(r#""x": 1"#), "");
    let long = of(&format!(r#""summary": "{}""#, "ä".repeat(300)));
    assert_eq!(long, format!("{}…", "ä".repeat(200)));
}
