//! Which findings packages have.

mod artifacts;
mod counted;

use super::*;
use crate::advisory::osv;
use crate::package::Source;

fn advisories(records: &[&str]) -> Vec<Arc<Advisory>> {
    let decoded = records
        .iter()
        .map(|record| Arc::new(osv::decode(record.as_bytes()).unwrap()));
    decoded.collect()
}

/// A record about one package: names as a JSON list, events as JSON.
fn record(id: &str, aliases: &str, ecosystem: &str, name: &str, events: &str) -> String {
    format!(
        r#"{{"id": "{id}", "aliases": {aliases}, "summary": "About {id}", "affected": [{{"package": {{"ecosystem": "{ecosystem}", "name": "{name}"}}, "ranges": [{{"type": "ECOSYSTEM", "events": [{events}]}}]}}]}}"#
    )
}

fn package(ecosystem: &str, name: &str, version: &str) -> Package {
    Package {
        ecosystem: Ecosystem::parse(ecosystem).unwrap(),
        name: name.to_owned(),
        version: version.to_owned(),
        source: None,
        path: None,
    }
}

/// The advisories of which an entry names the package.
fn naming(all: &[Arc<Advisory>]) -> impl Fn(&Ecosystem, &str) -> Vec<Arc<Advisory>> {
    move |ecosystem, name| {
        let names = |advisory: &&Arc<Advisory>| {
            let mut entries = advisory.affected.iter();
            entries.any(|entry| {
                entry.ecosystem == *ecosystem
                    && groups::keys(&entry.ecosystem, &entry.name).any(|key| key == name)
            })
        };
        all.iter().filter(names).cloned().collect()
    }
}

/// An entry about the package with a range from the beginning and these fields.
fn debian(id: &str, events: &str, urgency: &str) -> String {
    format!(
        r#"{{"id": "{id}", "affected": [{{"package": {{"ecosystem": "Debian:12", "name": "linux"}}, "ranges": [{{"type": "ECOSYSTEM", "events": [{events}]}}], "ecosystem_specific": {{"urgency": "{urgency}"}}}}]}}"#
    )
}

fn matched(packages: &[Package], records: &[String]) -> Matches {
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    match_packages(packages, naming(&advisories(&records)), None)
}

/// Each finding as its name, package, state, fixed version and the advisories that it rests on.
fn shown(matches: &Matches) -> Vec<String> {
    let shown = matches.findings.iter().map(|finding| {
        let evidence: Vec<_> = finding
            .evidence
            .iter()
            .map(|e| e.advisory.id.as_str())
            .collect();
        let state = finding.state.as_str();
        let fixed = finding.state.fixed_version().unwrap_or("-");
        let subject = &finding.subject;
        format!(
            "{} {}/{} {} {state} {fixed} [{}]",
            finding.id,
            subject.ecosystem,
            subject.name,
            subject.version,
            evidence.join(" ")
        )
    });
    shown.collect()
}

const BELOW_2: &str = r#"{"introduced": "0"}, {"fixed": "2.0.0"}"#;
const BELOW_3: &str = r#"{"introduced": "0"}, {"fixed": "3.0.0"}"#;
const ALL: &str = r#"{"introduced": "0"}"#;

#[test]
fn a_finding_has_all_advisories_about_it_and_the_highest_fixed_version() {
    let records = [
        record("GHSA-1", r#"["CVE-2021-1"]"#, "npm", "a", BELOW_2),
        record("X-1", r#"["GHSA-1", "CVE-2021-1"]"#, "npm", "a", BELOW_3),
        record("X-2", "[]", "npm", "a", ALL),
        record("X-3", "[]", "npm", "a", r#"{"introduced": "9.0.0"}"#),
        record("X-4", "[]", "npm", "b", ALL),
    ];
    let matches = matched(
        &[package("npm", "a", "1.0.0"), package("npm", "a", "2.5.0")],
        &records,
    );
    assert_eq!(
        shown(&matches),
        [
            "CVE-2021-1 npm/a 1.0.0 Fixed 3.0.0 [GHSA-1 X-1]",
            "X-2 npm/a 1.0.0 Open - [X-2]",
            // One advisory about it is enough.
            "CVE-2021-1 npm/a 2.5.0 Fixed 3.0.0 [X-1]",
            "X-2 npm/a 2.5.0 Open - [X-2]",
        ]
    );
    let finding = &matches.findings[0];
    assert_eq!(finding.aliases, ["GHSA-1", "X-1"]);
    assert_eq!(finding.title, "About GHSA-1");
    assert_eq!(finding.exploited, Exploited::Unknown);
    assert_eq!(matches.subjects.len(), 2);
}

#[test]
fn an_advisory_about_two_cves_is_part_of_two_findings() {
    let both = r#"["CVE-2021-1", "CVE-2021-2"]"#;
    let records = [
        record("X-1", both, "npm", "a", BELOW_3),
        record("X-2", r#"["CVE-2021-2"]"#, "npm", "a", BELOW_2),
    ];
    let matches = matched(&[package("npm", "a", "1.0.0")], &records);
    assert_eq!(
        shown(&matches),
        [
            "CVE-2021-1 npm/a 1.0.0 Fixed 3.0.0 [X-1]",
            "CVE-2021-2 npm/a 1.0.0 Fixed 3.0.0 [X-1 X-2]",
        ]
    );
    // The name of the other CVE is no name of this finding.
    assert_eq!(matches.findings[0].aliases, ["X-1"]);
    assert_eq!(matches.findings[1].aliases, ["X-1", "X-2"]);
}

#[test]
fn a_version_that_cannot_be_compared_is_unknown_where_an_advisory_names_the_package() {
    let records = [
        record("X-1", "[]", "npm", "a", BELOW_2),
        record(
            "X-2",
            r#"["CVE-2021-2"]"#,
            "npm",
            "a",
            r#"{"introduced": "1.0.0"}"#,
        ),
        record("X-3", r#"["CVE-2021-2"]"#, "npm", "a", ALL),
    ];
    let matches = matched(
        &[package("npm", "a", "latest"), package("npm", "b", "latest")],
        &records,
    );
    assert_eq!(
        shown(&matches),
        [
            "CVE-2021-2 npm/a latest Open - [X-2 X-3]",
            "X-1 npm/a latest Unknown - [X-1]"
        ]
    );
    let State::Unknown(cause) = &matches.findings[1].state else {
        panic!("{:?}", matches.findings[1].state);
    };
    assert!(
        cause.starts_with("cannot compare \"latest\" as an npm version: "),
        "{cause}"
    );
}

#[test]
fn a_withdrawn_advisory_is_no_finding_and_is_named() {
    let withdrawn = |id: &str, events| {
        let record = record(id, "[]", "npm", "a", events);
        record.replacen('{', r#"{"withdrawn": "2025-01-02T00:00:00Z", "#, 1)
    };
    let records = [
        withdrawn("X-1", ALL),
        withdrawn("X-2", r#"{"introduced": "9.0.0"}"#),
        record("X-3", "[]", "npm", "a", ALL),
    ];
    let matches = matched(&[package("npm", "a", "1.0.0")], &records);
    assert_eq!(shown(&matches), ["X-3 npm/a 1.0.0 Open - [X-3]"]);
    assert_eq!(matches.withdrawn, ["X-1"]);
}

#[test]
fn packages_of_a_distribution_are_matched_by_source_package_and_release() {
    let records = [
        record(
            "X-1",
            "[]",
            "Debian:12",
            "openssl",
            r#"{"introduced": "0"}, {"fixed": "3.0.9-1"}"#,
        ),
        record("X-2", "[]", "Debian:11", "openssl", ALL),
        record("X-3", "[]", "Debian:12", "libssl3", ALL),
    ];
    let binary = |name: &str, version: &str, source: &str| Package {
        source: Some(Source {
            name: "openssl".to_owned(),
            version: source.to_owned(),
        }),
        ..package("Debian:12", name, version)
    };
    let matches = matched(
        &[
            binary("libssl3", "3.0.9-1", "3.0.8-1"),
            binary("openssl", "3.0.8-1", "3.0.8-1"),
            binary("libssl-dev", "3.0.8-1", "3.0.9-1"),
        ],
        &records,
    );
    assert_eq!(
        shown(&matches),
        ["X-1 Debian:12/openssl 3.0.8-1 Fixed 3.0.9-1 [X-1]"]
    );
    assert_eq!(matches.findings[0].subject.packages, ["libssl3", "openssl"]);
}

#[test]
fn a_fix_of_ubuntu_can_require_a_subscription() {
    let entry = |ecosystem: &str, events: &str| {
        format!(
            r#"{{"package": {{"ecosystem": "{ecosystem}", "name": "unzip"}}, "ranges": [{{"type": "ECOSYSTEM", "events": [{events}]}}]}}"#
        )
    };
    let of = |id: &str, entries: &[String]| {
        format!(r#"{{"id": "{id}", "affected": [{}]}}"#, entries.join(", "))
    };
    let (plain, pro) = ("Ubuntu:16.04:LTS", "Ubuntu:Pro:16.04:LTS");
    let esm = r#"{"introduced": "0"}, {"fixed": "6.0-20+esm1"}"#;
    let free = r#"{"introduced": "0"}, {"fixed": "6.0-21"}"#;
    let records = [
        of("X-1", &[entry(pro, esm)]),
        of("X-2", &[entry(plain, ALL), entry(pro, esm)]),
        of("X-3", &[entry(plain, free), entry(pro, esm)]),
        of("X-4", &[entry(pro, ALL)]),
    ];
    let matches = matched(&[package(plain, "unzip", "6.0-20")], &records);
    assert_eq!(
        shown(&matches),
        [
            "X-1 Ubuntu:16.04:LTS/unzip 6.0-20 FixedWithSubscription 6.0-20+esm1 [X-1]",
            "X-2 Ubuntu:16.04:LTS/unzip 6.0-20 FixedWithSubscription 6.0-20+esm1 [X-2]",
            "X-3 Ubuntu:16.04:LTS/unzip 6.0-20 Fixed 6.0-21 [X-3]",
            "X-4 Ubuntu:16.04:LTS/unzip 6.0-20 Open - [X-4]",
        ]
    );
    // The build of the subscription is fixed.
    let matches = matched(&[package(plain, "unzip", "6.0-20+esm1")], &records);
    assert_eq!(
        shown(&matches),
        ["X-4 Ubuntu:16.04:LTS/unzip 6.0-20+esm1 Open - [X-4]"]
    );
    // A higher version of another build is not.
    let matches = matched(&[package(plain, "unzip", "6.0-25")], &records[1..2]);
    assert_eq!(
        shown(&matches),
        ["X-2 Ubuntu:16.04:LTS/unzip 6.0-25 Open - [X-2]"]
    );
}

#[test]
fn the_kind_that_counts_more_is_that_of_the_finding() {
    let informational = |id: &str, aliases: &str| {
        let record = record(id, aliases, "crates.io", "a", ALL);
        record.replacen(
            r#""ranges""#,
            r#""database_specific": {"informational": "unsound"}, "ranges""#,
            1,
        )
    };
    let records = [
        informational("X-1", "[]"),
        informational("X-2", r#"["CVE-2021-1"]"#),
        record("X-3", r#"["CVE-2021-1"]"#, "crates.io", "a", ALL),
        record("MAL-1", "[]", "crates.io", "a", ALL),
        record("X-4", r#"["MAL-1"]"#, "crates.io", "a", ALL),
    ];
    let matches = matched(&[package("crates.io", "a", "1.0.0")], &records);
    let kinds: Vec<_> = matches
        .findings
        .iter()
        .map(|f| (&*f.id, f.kind.clone()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("CVE-2021-1", Kind::Vulnerability),
            ("MAL-1", Kind::Malicious),
            ("X-1", Kind::Informational("unsound".to_owned())),
        ]
    );
}

#[test]
fn what_is_known_to_be_exploited_is_marked() {
    let catalog = br#"{"vulnerabilities": [{"cveID": "CVE-2021-1"}]}"#;
    let catalog = KnownExploited::read(catalog).unwrap();
    let records = [
        record("X-1", r#"["CVE-2021-1"]"#, "npm", "a", ALL),
        record("X-2", "[]", "npm", "a", ALL),
    ];
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let records = advisories(&records);
    let matches = match_packages(
        &[package("npm", "a", "1.0.0")],
        naming(&records),
        Some(&catalog),
    );
    let exploited: Vec<_> = matches
        .findings
        .iter()
        .map(|finding| finding.exploited)
        .collect();
    assert_eq!(exploited, [Exploited::Yes, Exploited::No]);
}

#[test]
fn the_severity_in_the_package_counts_before_that_of_the_advisory() {
    let high = r#""severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N"}], "#;
    let word = |word: &str| format!(r#"{{"database_specific": {{"severity": "{word}"}}, "#);
    let of =
        |id: &str| record(id, r#"["CVE-2021-1"]"#, "npm", "a", ALL).replacen('{', &word("LOW"), 1);
    let with_package = of("X-1").replacen(r#""ranges""#, &format!(r#"{high}"ranges""#), 1);
    let rating = |records: &[String]| {
        let rating = matched(&[package("npm", "a", "1.0.0")], records).findings[0]
            .rating
            .clone();
        (
            rating.severity.as_str(),
            rating.source.map(|(_, advisory)| advisory),
        )
    };
    assert_eq!(rating(&[of("X-1")]), ("Low", Some("X-1".to_owned())));
    assert_eq!(
        rating(&[of("X-0"), with_package]),
        ("High", Some("X-1".to_owned()))
    );
    let unrated = record("X-1", "[]", "npm", "a", ALL);
    assert_eq!(rating(&[unrated]), ("Unknown", None));
}

#[test]
fn no_advisory_lowers_the_severity_that_another_one_has() {
    let high = r#""severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N"}], "#;
    let low = high
        .replace("I:H", "I:N")
        .replace("A:N", "A:L")
        .replace("AC:L", "AC:H");
    let ubuntu = r#""severity": [{"type": "Ubuntu", "score": "negligible"}], "#;
    let of = |id: &str, ecosystem: &str, severity: &str| {
        let record = record(id, r#"["CVE-2021-1"]"#, ecosystem, "a", ALL);
        record.replacen('{', &format!("{{{severity}"), 1)
    };
    let rating = |ecosystem: &str, records: &[String]| {
        let matches = matched(&[package(ecosystem, "a", "1.0.0")], records);
        let rating = &matches.findings[0].rating;
        let source = rating
            .source
            .as_ref()
            .map(|(_, advisory)| advisory.as_str());
        format!("{} {}", rating.severity, source.unwrap_or("-"))
    };
    let word = r#""database_specific": {"severity": "CRITICAL"}, "#;
    for (severities, want) in [
        (vec![high, &low], "High X-0"),
        (vec![&low, high], "High X-1"),
        // Another source says it in a way that counts later within one advisory.
        (vec![&low, word], "Critical X-1"),
        (vec![ubuntu, high], "High X-1"),
        (vec![ubuntu], "Unknown -"),
    ] {
        let records: Vec<_> = severities
            .iter()
            .enumerate()
            .map(|(index, severity)| of(&format!("X-{index}"), "npm", severity))
            .collect();
        assert_eq!(rating("npm", &records), want, "{severities:?}");
    }
    // Within an advisory about a package of Ubuntu, its priority counts first.
    let both = ubuntu.replace(
        "}], ",
        r#"}, {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N"}], "#,
    );
    let release = "Ubuntu:22.04:LTS";
    assert_eq!(rating(release, &[of("X-0", release, &both)]), "Low X-0");
}

#[test]
fn more_findings_than_the_limit_are_reported() {
    let records = [
        record("X-1", "[]", "npm", "a", ALL),
        record("X-2", "[]", "npm", "a", ALL),
    ];
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let all = advisories(&records);
    let packages = ["1.0.0", "1.0.1", "1.0.2"].map(|version| package("npm", "a", version));
    for (limit, is_cut) in [(6, false), (5, true), (4, true), (3, true), (0, true)] {
        let matches = match_up_to(limit, &packages, naming(&all), None);
        assert_eq!(matches.findings.len(), limit);
        assert_eq!(matches.subjects.len(), 3);
        assert_eq!(matches.is_cut, is_cut, "{limit}");
        let said =
            "keep more than 100000 findings: the others are missing; scan fewer packages at a time";
        assert_eq!(matches.cut().as_deref(), is_cut.then_some(said));
    }
}

#[test]
fn advisories_about_a_vulnerability_say_why_a_version_is_not_affected() {
    let records = [
        record("X-1", r#"["CVE-2021-1"]"#, "npm", "a", BELOW_2),
        record("X-2", "[]", "npm", "a", ALL),
    ];
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let records = advisories(&records);
    let subject = &subjects(&[package("npm", "a", "2.0.0")])[0];
    let named = Named::of(subject, naming(&records));
    let claims = |id: &str, version: &str| {
        let claims = named.claims_about(id, version).into_iter();
        claims
            .map(|(a, c)| (a.id.clone(), c == Claim::NotAffected))
            .collect::<Vec<_>>()
    };
    assert_eq!(claims("CVE-2021-1", "2.0.0"), [("X-1".to_owned(), true)]);
    assert_eq!(claims("X-1", "1.0.0"), [("X-1".to_owned(), false)]);
    assert_eq!(claims("CVE-2021-2", "1.0.0"), []);
}

#[test]
fn the_advisories_of_a_package_are_looked_up_once_for_all_its_versions() {
    let all = advisories(&[&record("X-1", "[]", "npm", "a", r#"{"introduced": "0"}"#)]);
    let lookups = std::cell::Cell::new(0);
    let of = |ecosystem: &Ecosystem, name: &str| {
        lookups.set(lookups.get() + 1);
        naming(&all)(ecosystem, name)
    };
    let packages = ["1.0.0", "2.0.0", "3.0.0"].map(|version| package("npm", "a", version));
    let matches = match_packages(&packages, of, None);
    assert_eq!(matches.findings.len(), 3);
    assert_eq!(lookups.get(), 1);
}

#[test]
fn what_a_publisher_says_about_fixing_is_the_state_if_nothing_is_fixed() {
    let release = |state: &str| {
        format!(r#"{{"linux": {{"CVE-2022-0001": {{"releases": {{"bookworm": {state}}}}}}}}}"#)
    };
    let wont_fix = r#"{"status": "open", "nodsa": "Minor issue", "nodsa_reason": "ignored"}"#;
    let postponed = r#"{"status": "open", "nodsa": "Later", "nodsa_reason": "postponed"}"#;
    let ended =
        r#"{"status": "open", "urgency": "end-of-life", "nodsa": "x", "nodsa_reason": "ignored"}"#;
    let undetermined = r#"{"status": "undetermined"}"#;
    let never = r#"{"status": "resolved", "fixed_version": "0"}"#;
    let open = debian("DEBIAN-CVE-2022-0001", ALL, "not yet assigned");
    let fixed = debian(
        "DSA-1-1",
        r#"{"introduced": "0"}, {"fixed": "6.1.2-1"}"#,
        "",
    )
    .replacen('{', r#"{"upstream": ["CVE-2022-0001"], "#, 1);
    let state = |tracked: &[&str], records: &[&String]| {
        let records: Vec<&str> = records.iter().map(|record| record.as_str()).collect();
        let mut all = advisories(&records);
        for state in tracked {
            let text = release(state);
            crate::advisory::debian::read(text.as_bytes(), |advisory| {
                all.push(Arc::new(advisory.unwrap()));
            })
            .unwrap();
        }
        let package = package("Debian:12", "linux", "6.1.0-1");
        let matches = match_packages(&[package], naming(&all), None);
        let states = matches.findings.into_iter().map(|finding| finding.state);
        states.collect::<Vec<_>>()
    };
    let reason = "Minor issue".to_owned();
    assert_eq!(state(&[wont_fix], &[]), [State::WontFix(reason.clone())]);
    assert_eq!(
        state(&[postponed], &[]),
        [State::Postponed("Later".to_owned())]
    );
    assert_eq!(state(&[ended], &[]), [State::EndOfLife(String::new())]);
    let unknown = "Debian has not determined whether the package is affected".to_owned();
    assert_eq!(state(&[undetermined], &[]), [State::Unknown(unknown)]);
    assert_eq!(state(&[never], &[]), []);
    // Of several advisories, a fixed version counts first, then what leaves the least hope.
    assert_eq!(
        state(&[wont_fix], &[&fixed]),
        [State::Fixed("6.1.2-1".to_owned())]
    );
    assert_eq!(
        state(&[postponed, wont_fix], &[&open]),
        [State::WontFix(reason)]
    );
    assert_eq!(state(&[undetermined], &[&open]), [State::Open]);
    assert_eq!(state(&[never], &[&open]), [State::Open]);
}

#[test]
fn what_is_known_about_a_cve_is_added_where_advisories_say_nothing() {
    let high = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N";
    let titled = record("X-1", r#"["CVE-2022-0001"]"#, "npm", "a", ALL);
    let untitled = titled.replace("About X-1", "").replace("0001", "0002");
    let rated = titled
        .replacen('{', r#"{"database_specific": {"severity": "LOW"}, "#, 1)
        .replace("0001", "0003")
        .replace("About X-1", "");
    let records = [
        titled,
        untitled.replace("X-1", "X-2"),
        rated.replace("X-1", "X-3"),
        record("X-4", "[]", "npm", "a", ALL),
    ];
    let mut matches = matched(&[package("npm", "a", "1.0.0")], &records);
    matches.describe(|id| {
        let text = format!(
            r#"{{"cveMetadata": {{"cveId": "{id}"}}, "containers": {{"cna": {{"title": "The CVE", "metrics": [{{"cvssV3_1": {{"vectorString": "{high}"}}}}]}}}}}}"#
        );
        crate::severity::cve::decode(text.as_bytes()).ok()
    });
    let shown = matches.findings.iter().map(|finding| {
        let source = finding
            .rating
            .source
            .as_ref()
            .map(|(_, source)| source.as_str());
        let (severity, source) = (finding.rating.severity, source.unwrap_or("-"));
        format!("{} {severity} {source} {}", finding.id, finding.title)
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "CVE-2022-0001 High CVE-2022-0001 About X-1",
            "CVE-2022-0002 High CVE-2022-0002 The CVE",
            "CVE-2022-0003 Low X-3 The CVE",
            "X-4 Unknown - About X-4",
        ]
    );
}
