//! Files of Alpine's security database as they are published, and as nobody should publish them.

use super::*;
use crate::advisory::Verdict;

/// Each advisory as its names and what it says about packages, and the errors.
fn shown(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut advisories, mut errors) = (Vec::new(), Vec::new());
    read(text.as_bytes(), |advisory| match advisory {
        Ok(advisory) => {
            let names: Vec<_> = advisory.names().collect();
            let affected = advisory.affected.iter().map(|entry| {
                let fixed = entry.ranges.iter().map(|range| range.events[1].version());
                let fixed: Vec<_> = fixed.collect();
                format!("{}/{} {}", entry.ecosystem, entry.name, fixed.join(" "))
            });
            let affected: Vec<_> = affected.collect();
            advisories.push(format!("{}: {}", names.join(" "), affected.join(", ")));
        }
        Err(error) => errors.push(error),
    })
    .unwrap();
    (advisories, errors)
}

fn file(packages: &str) -> String {
    format!(
        r#"{{"apkurl": "x", "archs": ["x86_64"], "distroversion": "v3.18", "reponame": "main", "packages": [{packages}], "urlprefix": "x"}}"#
    )
}

fn package(name: &str, secfixes: &str) -> String {
    format!(r#"{{"pkg": {{"name": "{name}", "secfixes": {secfixes}}}}}"#)
}

#[test]
fn entries_are_read_as_people_write_them() {
    let xen = package(
        "xen",
        r#"{"4.12.1-r0": ["CVE-2018-7542 XSA-256", "CVE-????-?????  XSA-295", "CVE_2019-2426", "CVE 2018-16859"],
            "4.12.0-r0": ["CVE-2017-17434-1", "CVE-2017-17434-2", "CVE-2019-19451.patch", "cve-2018-14466 (AFS/RX)", "GHSA-wfm5-v35h-vwf4 CVE-2021-3 X",
                "CVE-2020-1111, CVE-2020-2222 (XSA-300)", "CVE-2017-2616 (+ regression fix)"]}"#,
    );
    let (advisories, errors) = shown(&file(&xen));
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        advisories,
        [
            "ALPINE-CVE-2017-17434 CVE-2017-17434: Alpine:v3.18/xen 4.12.0-r0 4.12.0-r0",
            "ALPINE-CVE-2017-2616 CVE-2017-2616: Alpine:v3.18/xen 4.12.0-r0",
            "ALPINE-CVE-2018-14466 CVE-2018-14466: Alpine:v3.18/xen 4.12.0-r0",
            "ALPINE-CVE-2018-16859 CVE-2018-16859: Alpine:v3.18/xen 4.12.1-r0",
            "ALPINE-CVE-2018-7542 XSA-256 CVE-2018-7542: Alpine:v3.18/xen 4.12.1-r0",
            "ALPINE-CVE-2019-19451 CVE-2019-19451: Alpine:v3.18/xen 4.12.0-r0",
            "ALPINE-CVE-2019-2426 CVE-2019-2426: Alpine:v3.18/xen 4.12.1-r0",
            "ALPINE-CVE-2020-1111 XSA-300 CVE-2020-1111: Alpine:v3.18/xen 4.12.0-r0",
            "ALPINE-CVE-2020-2222 XSA-300 CVE-2020-2222: Alpine:v3.18/xen 4.12.0-r0",
            // A number of three digits is no CVE.
            "GHSA-wfm5-v35h-vwf4 CVE-2021-3: Alpine:v3.18/xen 4.12.0-r0",
            "XSA-295: Alpine:v3.18/xen 4.12.1-r0",
        ]
    );
}

#[test]
fn the_highest_of_several_versions_fixes_and_zero_was_never_affected() {
    let fixes = r#"{"1.2.11-r0": ["CVE-2022-0001"], "1.2.9-r1": ["CVE-2022-0001"], "0": ["CVE-2022-0002", "CVE-2022-0001"]}"#;
    let text = file(&package("zlib", fixes));
    let mut advisories = Vec::new();
    read(text.as_bytes(), |advisory| {
        advisories.push(advisory.unwrap());
    })
    .unwrap();
    let verdict = |index: usize, version: &str| {
        let advisory: &Advisory = &advisories[index];
        match advisory.affected[0].evaluate(version) {
            Verdict::Affected { fixed, .. } => format!("fixed {}", fixed.unwrap()),
            Verdict::NotAffected => "no".to_owned(),
            Verdict::Unknown(_) => "unknown".to_owned(),
        }
    };
    assert_eq!(verdict(0, "1.2.8-r0"), "fixed 1.2.11-r0");
    assert_eq!(verdict(0, "1.2.10-r0"), "fixed 1.2.11-r0");
    assert_eq!(verdict(0, "1.2.11-r0"), "no");
    assert_eq!(verdict(0, "no version"), "unknown");
    for version in ["0", "0.0.1-r0", "1.2.8-r0", "no version"] {
        assert_eq!(verdict(1, version), "no", "{version}");
    }
}

#[test]
fn what_cannot_be_read_is_reported_and_hides_nothing_else() {
    let packages = [
        package(
            "a",
            r#"{"1-r0": ["CVE-2022-0001", 1, "nothing", ""], "2-r0": 3, "": ["CVE-2022-0002"]}"#,
        ),
        package("b", "[]"),
        package("c", "null"),
        package("d", "7"),
        r#"{"pkg": {"name": "e"}}"#.to_owned(),
        r#"{"pkg": {"name": ""}}"#.to_owned(),
        "7".to_owned(),
        package("a", r#"{"3-r0": ["CVE-2022-0001"], "1-r0": null}"#),
        package(
            "f",
            &format!(r#"{{"1-r0": ["CVE-2022-0001 {}"]}}"#, "x".repeat(250)),
        ),
    ];
    let (advisories, errors) = shown(&file(&packages.join(", ")));
    assert_eq!(
        advisories,
        ["ALPINE-CVE-2022-0001 CVE-2022-0001: Alpine:v3.18/a 1-r0 3-r0"]
    );
    assert_eq!(
        errors,
        [
            "a 1-r0: invalid type: integer `1`, expected a string at line 1 column 1",
            r#"a 1-r0: "nothing" names no vulnerability"#,
            r#"a 1-r0: "" names no vulnerability"#,
            "a 2-r0: invalid type: integer `3`, expected a sequence at line 1 column 1",
            "a : the version must have 1 to 256 bytes",
            "packages[3]: invalid type: integer `7`, expected an object at line 1 column 1",
            "packages[5]: pkg.name: must have 1 to 1024 bytes",
            "packages[6]: invalid type: integer `7`, expected struct Item at line 1 column 1",
            "f 1-r0: an entry must have at most 256 bytes",
        ]
    );
}

#[test]
fn a_file_without_a_release_is_an_error() {
    let of = |text: &str| read(text.as_bytes(), drop).map(|e| e.to_string());
    assert_eq!(of(&file("")).unwrap(), "Alpine:v3.18");
    let edge = file("").replace("v3.18", "edge");
    assert_eq!(of(&edge).unwrap(), "Alpine:edge");
    let error = |text: &str| of(text).unwrap_err().to_string();
    assert_eq!(
        error(&file("").replace("v3.18", "v3\\u001b")),
        "distroversion: must be a release of Alpine, such as v3.18, of at most 32 characters"
    );
    assert_eq!(
        error("{}"),
        "missing field `distroversion` at line 1 column 2"
    );
    let deep = file(&"[".repeat(64));
    assert_eq!(error(&deep), "it is nested deeper than 64 levels");
}
