//! Findings that do not count.

use super::*;

/// The findings of packages that were built from one source package.
fn of_linux(packages: &[&str], records: &[String]) -> Vec<Finding> {
    let source = || Source {
        name: "linux".to_owned(),
        version: "6.1.0-1".to_owned(),
    };
    let packages = packages.iter().map(|name| Package {
        source: Some(source()),
        ..package("Debian:12", name, "6.1.0-1")
    });
    matched(&packages.collect::<Vec<_>>(), records).findings
}

#[test]
fn what_its_publishers_call_unimportant_does_not_count() {
    let fixed = r#"{"introduced": "0"}, {"fixed": "6.1.2-1"}"#;
    let records = [
        debian("DEBIAN-CVE-2022-0001", fixed, "unimportant"),
        debian("DEBIAN-CVE-2022-0002", ALL, "unimportant"),
        // Another advisory says that it matters.
        debian("DSA-1-1", ALL, "not yet assigned").replacen(
            '{',
            r#"{"upstream": ["CVE-2022-0002"], "#,
            1,
        ),
        debian("DEBIAN-CVE-2022-0003", ALL, "not yet assigned"),
        debian("MAL-1", ALL, "unimportant"),
    ];
    let findings = of_linux(&["linux-image-6.1.0-1-amd64"], &records);
    let why: Vec<_> = findings
        .iter()
        .map(|f| {
            (
                f.id.as_str(),
                f.not_counted.as_ref().map(NotCounted::as_str),
            )
        })
        .collect();
    assert_eq!(
        why,
        [
            ("CVE-2022-0001", Some("Unimportant")),
            ("CVE-2022-0002", None),
            ("CVE-2022-0003", None),
            ("MAL-1", None),
        ]
    );
}

#[test]
fn findings_of_the_kernel_do_not_count_for_its_header_files() {
    let fixed = r#"{"introduced": "0"}, {"fixed": "6.1.2-1"}"#;
    let records = [
        debian("DEBIAN-CVE-2022-0001", fixed, "high"),
        debian("DEBIAN-CVE-2022-0002", ALL, "not yet assigned"),
    ];
    let why = |packages: &[&str]| -> Vec<Option<String>> {
        let findings = of_linux(packages, &records);
        let why = findings.iter().map(|f| f.not_counted.as_ref());
        why.map(|why| why.map(ToString::to_string)).collect()
    };
    let headers = "the packages are header files of the kernel and not the kernel";
    assert_eq!(why(&["linux-libc-dev"]), vec![Some(headers.to_owned()); 2]);
    assert_eq!(
        why(&["linux-libc-dev", "linux-image-6.1.0-1-amd64"]),
        [None, None]
    );
}
