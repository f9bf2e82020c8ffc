//! The security tracker as Debian publishes it, and as nobody should publish it.

use super::*;
use crate::advisory::Verdict;

/// A part of the tracker's file.
const SAMPLE: &str = include_str!("../../../tests/data/debian-tracker.json");

fn all(text: &str) -> (Vec<Advisory>, Vec<String>) {
    let (mut advisories, mut errors) = (Vec::new(), Vec::new());
    read(text.as_bytes(), |advisory| match advisory {
        Ok(advisory) => advisories.push(advisory),
        Err(error) => errors.push(error),
    })
    .unwrap();
    (advisories, errors)
}

/// What each entry of an advisory says about a version.
fn shown(advisory: &Advisory, version: &str) -> Vec<String> {
    let entries = advisory.affected.iter().map(|entry| {
        let verdict = match entry.evaluate(version) {
            Verdict::Affected { fixed, .. } => fixed.unwrap_or_else(|| "open".to_owned()),
            Verdict::NotAffected => "no".to_owned(),
            Verdict::Unknown(cause) => cause,
        };
        let severity = entry
            .statements
            .iter()
            .map(|s| format!(" {}", s.severity()));
        let severity: String = severity.collect();
        let notes = entry.notes.iter().map(|note| format!(" {note:?}"));
        let notes: String = notes.collect();
        format!(
            "{}/{} {verdict}{severity}{notes}",
            entry.ecosystem, entry.name
        )
    });
    entries.collect()
}

#[test]
fn the_published_file_is_read() {
    let (advisories, errors) = all(SAMPLE);
    assert_eq!(errors, [""; 0]);
    let ids: Vec<_> = advisories.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "DEBIAN-CVE-2005-3111",
            "DEBIAN-CVE-2007-2383",
            "DEBIAN-CVE-2008-7220",
            "DEBIAN-CVE-2013-1444",
            "DEBIAN-CVE-2022-0358",
            "DEBIAN-CVE-2022-0456",
            "DEBIAN-CVE-2025-53603",
        ]
    );
    assert_eq!(advisories[0].upstream, ["CVE-2005-3111"]);
    assert!(
        advisories[0]
            .title
            .starts_with("The handler code for backupninja 0.8 and earlier")
    );
    assert_eq!(
        shown(&advisories[1], "1.0"),
        [
            "Debian:9/prototypejs no Unimportant",
            "Debian:8/prototypejs no Unimportant",
            "Debian:10/prototypejs no Unimportant",
            "Debian:sid/prototypejs no Unimportant",
        ]
    );
    assert_eq!(
        shown(&advisories[3], "1.5.5-4")[0],
        "Debian:9/txt2man 1.5.5-4.1 Low"
    );
    assert_eq!(shown(&advisories[4], "1"), [""; 0]);
    assert_eq!(
        shown(&advisories[5], "98.0.4758.80-1~deb11u1"),
        [
            "Debian:12/chromium 98.0.4758.80-1",
            "Debian:11/chromium no",
            r#"Debian:10/chromium open EndOfLife("")"#,
            "Debian:sid/chromium 98.0.4758.80-1",
            r#"Debian:9/chromium open EndOfLife("")"#,
        ]
    );
}

/// A vulnerability of one package with these states in releases.
fn issue(releases: &str) -> String {
    format!(
        r#"{{"a": {{"CVE-2022-0001": {{"description": "About it", "releases": {{{releases}}}}}}}}}"#
    )
}

#[test]
fn each_state_is_kept() {
    let text = issue(
        r#""bookworm": {"status": "open", "urgency": "not yet assigned", "nodsa": "Minor issue", "nodsa_reason": "ignored", "next_point_update": true},
        "bullseye": {"status": "open", "urgency": "low**", "nodsa": "Can be fixed later", "nodsa_reason": "postponed"},
        "buster": {"status": "open", "urgency": "unimportant", "nodsa": "Minor issue", "nodsa_reason": ""},
        "trixie": {"status": "undetermined"},
        "forky": {"status": "open", "fixed_version": "2.0-1"},
        "stretch": {"status": "open", "fixed_version": "0"},
        "jessie": {"status": "resolved"},
        "wheezy": {"status": "new"},
        "nemo": {"status": "open"}"#,
    );
    let (advisories, errors) = all(&text);
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        shown(&advisories[0], "1.0-1"),
        [
            r#"Debian:12/a open WontFix("Minor issue")"#,
            r#"Debian:11/a open Low Postponed("Can be fixed later")"#,
            "Debian:10/a open Unimportant",
            r#"Debian:13/a Debian has not determined whether the package is affected Undetermined("Debian has not determined whether the package is affected")"#,
            "Debian:14/a 2.0-1",
            "Debian:9/a open",
            r#"Debian:8/a Debian's tracker gives the status "resolved" without a version Undetermined("Debian's tracker gives the status \"resolved\" without a version")"#,
            r#"Debian:7/a Debian's tracker gives the status "new" without a version Undetermined("Debian's tracker gives the status \"new\" without a version")"#,
        ]
    );
}

#[test]
fn packages_with_one_vulnerability_are_in_one_advisory() {
    let release = r#"{"releases": {"bookworm": {"status": "open"}}}"#;
    let text = format!(
        r#"{{"a": {{"CVE-2022-0001": {release}, "TEMP-0517018-A83CE6": {release}}}, "b": {{"CVE-2022-0001": {release}}}}}"#
    );
    let (advisories, _) = all(&text);
    let names: Vec<Vec<_>> = advisories.iter().map(|a| a.names().collect()).collect();
    assert_eq!(
        names,
        [
            vec!["DEBIAN-CVE-2022-0001", "CVE-2022-0001"],
            vec!["TEMP-0517018-A83CE6"]
        ]
    );
    assert_eq!(
        shown(&advisories[0], "1"),
        ["Debian:12/a open", "Debian:12/b open"]
    );
}

#[test]
fn what_cannot_be_read_is_reported_and_hides_nothing_else() {
    let text = r#"{
        "": {}, "a": 1,
        "b": {"CVE-2022-0001": 1, "CVE-2022-0002": {"releases": 1}, "CVE 3": {}, "CVE-2022-0003": {"releases": {
            "bookworm": {"status": 1}, "bullseye": {"status": "resolved", "fixed_version": ""}, "trixie": {"status": "open"}}}},
        "b": {"CVE-2022-0003": {"description": 7, "releases": {"forky": {"status": "open"}}}}
    }"#;
    let (advisories, errors) = all(text);
    assert_eq!(
        errors,
        [
            ": the name must have 1 to 1024 bytes",
            "a: invalid type: integer `1`, expected an object at line 1 column 1",
            "CVE 3: the name must be printable ASCII without spaces",
            "b CVE-2022-0001: invalid type: integer `1`, expected struct Issue at line 1 column 1",
            "b CVE-2022-0002: releases: invalid type: integer `1`, expected an object at line 1 column 1",
            "b CVE-2022-0003 bookworm: status: invalid type: integer `1`, expected a string at line 1 column 12",
            "b CVE-2022-0003 bullseye: fixed_version: must have 1 to 256 bytes",
        ]
    );
    assert_eq!(
        shown(advisories.last().unwrap(), "1"),
        ["Debian:13/b open", "Debian:14/b open"]
    );
    let error = read(b"[]", drop).unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid type: sequence, expected an object at line 1 column 0"
    );
}
