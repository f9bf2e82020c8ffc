//! Lists of findings to ignore, and what they ignore.

use super::*;
use crate::advisory::osv;
use crate::matching::match_packages;
use crate::package::Package;
use serde_json::json;
use std::sync::Arc;

fn entry(id: &str, package: &str) -> Json {
    json!({"id": id, "package": package, "reason": "Not reachable", "expires": "2026-06-30"})
}

fn list(entries: &[(&str, &str)]) -> IgnoreList {
    let entries = entries.iter().map(|(id, package)| entry(id, package));
    IgnoreList::of(entries.collect()).unwrap()
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// The findings of `npm/a` 1.0.0 with advisories that affect all versions of it: name, and other names.
fn findings(advisories: &[(&str, &[&str])]) -> Vec<Finding> {
    let records = advisories.iter().map(|(id, aliases)| {
        let record = json!({"id": id, "aliases": aliases, "affected": [{
            "package": {"ecosystem": "npm", "name": "a"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
        }]});
        Arc::new(osv::decode(record.to_string().as_bytes()).unwrap())
    });
    let records: Vec<_> = records.collect();
    let package = Package {
        ecosystem: Ecosystem::Npm,
        name: "a".to_owned(),
        version: "1.0.0".to_owned(),
        source: None,
        path: None,
    };
    match_packages(&[package], |_, _| records.clone(), None).findings
}

/// The names of the findings that are ignored on a day.
fn ignored(list: &IgnoreList, findings: &[Finding], today: &str) -> Vec<String> {
    let ignored = findings
        .iter()
        .filter(|finding| list.ignoring(finding, day(today)).is_some());
    ignored.map(|finding| finding.id.clone()).collect()
}

const TODAY: &str = "2026-02-01";

#[test]
fn a_finding_is_ignored_by_any_of_its_names_in_the_package_of_the_entry() {
    let findings = findings(&[("GHSA-1", &["CVE-2025-1"]), ("X-2", &[])]);
    for (id, package, want) in [
        ("CVE-2025-1", "npm/a", &["CVE-2025-1"][..]),
        ("cve-2025-1", "npm/a", &["CVE-2025-1"]),
        ("GHSA-1", "npm/a", &["CVE-2025-1"]),
        ("x-2", "npm/a", &["X-2"]),
        ("CVE-2025-1", "npm/b", &[]),
        ("CVE-2025-1", "PyPI/a", &[]),
        ("CVE-2025-11", "npm/a", &[]),
    ] {
        let list = list(&[(id, package)]);
        assert_eq!(ignored(&list, &findings, TODAY), want, "{id} {package}");
        let unmatched = list.unmatched(&findings).count();
        assert_eq!(unmatched, usize::from(want.is_empty()), "{id} {package}");
    }
}

#[test]
fn an_entry_ends_after_its_last_day() {
    let findings = findings(&[("X-1", &[])]);
    let list = list(&[("X-1", "npm/a")]);
    for (today, is_ignored) in [("2026-06-30", true), ("2026-07-01", false)] {
        assert_eq!(!ignored(&list, &findings, today).is_empty(), is_ignored);
        assert_eq!(list.expired(day(today)).count(), usize::from(!is_ignored));
        // What has expired is about the finding nevertheless.
        assert_eq!(list.unmatched(&findings).count(), 0);
    }
}

#[test]
fn an_entry_that_expired_hides_none_that_did_not() {
    let findings = findings(&[("X-1", &[])]);
    let mut expired = entry("X-1", "npm/a");
    expired["expires"] = json!("2026-01-01");
    let list = IgnoreList::of(vec![expired, entry("X-1", "npm/a")]).unwrap();
    let ignoring = list.ignoring(&findings[0], day(TODAY)).unwrap();
    assert_eq!(ignoring.number, 2);
}

#[test]
fn a_malicious_package_is_ignored_by_the_names_of_all_advisories_that_say_so_alone() {
    let one = findings(&[("MAL-1", &["GHSA-1"]), ("GHSA-1", &[])]);
    assert_eq!(one[0].aliases, ["MAL-1"]);
    for (id, want) in [("GHSA-1", 0), ("MAL-1", 1), ("mal-1", 1)] {
        let list = list(&[(id, "npm/a")]);
        assert_eq!(ignored(&list, &one, TODAY).len(), want, "{id}");
        assert_eq!(list.unmatched(&one).count(), 1 - want, "{id}");
    }
    // Another feed says that a package that is ignored is the same as one that is not.
    let two = findings(&[("MAL-1", &["MAL-2"]), ("MAL-2", &[])]);
    assert_eq!(two.len(), 1);
    assert_eq!(ignored(&list(&[("MAL-1", "npm/a")]), &two, TODAY), [""; 0]);
    let both = list(&[("MAL-1", "npm/a"), ("MAL-2", "npm/a")]);
    assert_eq!(ignored(&both, &two, TODAY), ["MAL-1"]);
}

#[test]
fn a_package_is_written_as_in_the_output() {
    for (package, ecosystem, name) in [
        ("PyPI/Zope.Interface", "PyPI", "zope-interface"),
        ("npm/@angular/core", "npm", "@angular/core"),
        ("Go/golang.org/x/net", "Go", "golang.org/x/net"),
        ("Maven/a.b:c", "Maven", "a.b:c"),
        ("Debian:12/openssl", "Debian:12", "openssl"),
        ("Ubuntu:22.04:LTS/unzip", "Ubuntu:22.04:LTS", "unzip"),
    ] {
        let list = list(&[("X-1", package)]);
        let entry = &list.entries[0];
        assert_eq!(
            (entry.ecosystem.to_string().as_str(), entry.name.as_str()),
            (ecosystem, name)
        );
    }
}

#[test]
fn an_entry_that_cannot_be_used_is_an_error_with_its_number() {
    let with = |field: &str, value: Json| {
        let mut entry = entry("X-1", "npm/a");
        entry[field] = value;
        entry
    };
    let without = |field: &str| {
        let mut entry = entry("X-1", "npm/a");
        entry.as_object_mut().unwrap().remove(field);
        entry
    };
    let is_written =
        "package: must be written as in the output, such as PyPI/django or Debian:12/openssl";
    for (written, want) in [
        (without("id"), "missing field `id`"),
        (without("package"), "missing field `package`"),
        (without("reason"), "missing field `reason`"),
        (without("expires"), "missing field `expires`"),
        (
            with("until", json!("2026-01-01")),
            "unknown field `until`, expected one of `id`, `package`, `reason`, `expires`",
        ),
        (
            with("id", json!("CVE 1")),
            "id: must be the name of a vulnerability, such as CVE-2021-44228",
        ),
        (
            with("id", json!("")),
            "id: must be the name of a vulnerability, such as CVE-2021-44228",
        ),
        (with("package", json!("django")), is_written),
        (with("package", json!("PyPI/")), is_written),
        (
            with("package", json!("Alpine:3.18/openssl")),
            "package: \"Alpine:3.18\" is not supported; write Alpine:v3.18",
        ),
        (
            with("reason", json!(" ")),
            "reason: must have 1 to 1000 characters",
        ),
        (
            with("reason", json!("a".repeat(1_001))),
            "reason: must have 1 to 1000 characters",
        ),
        (
            with("expires", json!("2026-02-30")),
            "expires: must be a day, such as 2027-01-31",
        ),
        (
            with("expires", json!("never")),
            "expires: must be a day, such as 2027-01-31",
        ),
        (
            with("expires", json!("2026-06-30T12:00:00")),
            "expires: must be a day, such as 2027-01-31",
        ),
        (
            with("expires", json!(2026)),
            "invalid type: integer `2026`, expected a string",
        ),
    ] {
        let error = IgnoreList::of(vec![entry("X-1", "npm/a"), written]).unwrap_err();
        assert_eq!(error.to_string(), format!("entry 2: {want}"));
    }
    let many = vec![Json::Null; ENTRIES_LIMIT + 1];
    assert_eq!(
        IgnoreList::of(many).unwrap_err().to_string(),
        "it has 10001 entries, more than the 10000 that are read"
    );
}
