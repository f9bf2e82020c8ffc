//! Artifacts of Maven whose group is not known.

use super::*;

/// Advisories about artifacts of several groups.
fn of_artifacts() -> [String; 5] {
    let fixed = r#"{"introduced": "2.0"}, {"fixed": "2.15.0"}"#;
    [
        record(
            "A-1",
            r#"["CVE-2021-44228"]"#,
            "Maven",
            "org.apache.logging.log4j:log4j-core",
            fixed,
        ),
        record(
            "A-2",
            r#"["CVE-2021-1"]"#,
            "Maven",
            "org.other:log4j-core",
            r#"{"introduced": "0"}, {"fixed": "1.0"}"#,
        ),
        record(
            "A-3",
            r#"["CVE-2021-2"]"#,
            "Maven",
            "org.other:log4j-core",
            r#"{"introduced": "0"}"#,
        ),
        record(
            "A-4",
            r#"["CVE-2021-3"]"#,
            "Maven",
            "org.other:log4j-api",
            r#"{"introduced": "0"}"#,
        ),
        record(
            "A-5",
            r#"["CVE-2021-4"]"#,
            "npm",
            "org.other:log4j-core",
            r#"{"introduced": "0"}"#,
        ),
    ]
}

#[test]
fn an_artifact_without_a_group_is_possibly_that_of_each_group() {
    let records = of_artifacts();
    let name = groups::any_group("log4j-core");
    let matches = matched(&[package("Maven", &name, "2.14.1")], &records);
    let causes: Vec<_> = matches
        .findings
        .iter()
        .map(|finding| match &finding.state {
            State::Unknown(cause) => format!("{}: {cause}", finding.id),
            State::Fixed(_)
            | State::FixedWithSubscription(_)
            | State::Open
            | State::WontFix(_)
            | State::Postponed(_)
            | State::EndOfLife(_) => panic!("{finding:?}"),
        })
        .collect();
    assert_eq!(
        causes,
        [
            "CVE-2021-2: the group of the artifact is not known; org.other:log4j-core is affected",
            "CVE-2021-44228: the group of the artifact is not known; org.apache.logging.log4j:log4j-core is affected and fixed in 2.15.0",
        ]
    );
    // Fixed for each group.
    let matches = matched(&[package("Maven", &name, "3.0")], &records);
    let ids: Vec<_> = matches.findings.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids, ["CVE-2021-2"]);
    // A version that could not be read.
    let matches = matched(&[package("Maven", &name, "")], &records);
    assert_eq!(matches.findings.len(), 3);
    // A known group has the advisories of that group alone.
    let known = package("Maven", "org.apache.logging.log4j:log4j-core", "2.14.1");
    assert_eq!(
        shown(&matched(&[known], &records)),
        ["CVE-2021-44228 Maven/org.apache.logging.log4j:log4j-core 2.14.1 Fixed 2.15.0 [A-1]"]
    );
}
