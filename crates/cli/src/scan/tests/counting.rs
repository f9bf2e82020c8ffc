//! Findings that do not count.

use super::*;

const IGNORE: &str = "\
- id: ghsa-1
  package: PyPI/Django
  reason: |-
    Not reachable,
    as \u{202e}reviewed
  expires: 2026-02-01
- id: MAL-1
  package: npm/evil
  reason: A fork of ours
  expires: 2026-12-31
- id: CVE-2023-2
  package: PyPI/django
  reason: Low
  expires: 2026-01-31
- id: CVE-2023-9
  package: PyPI/django
  reason: Gone
  expires: 2026-01-31
- id: CVE-2023-3
  package: npm/fine
  reason: Mistaken
  expires: 2026-12-31
";

fn ignoring(list: &[u8], flags: &str) -> (Result<ScanOutcome, String>, String, String) {
    let files = Files::new();
    files.add("ignore.yaml", list);
    files.scan(&format!("--ignore {{}}/ignore.yaml {flags}"))
}

#[test]
fn an_ignored_finding_is_shown_with_the_reason_and_does_not_count() {
    let (result, out, err) = ignoring(IGNORE.as_bytes(), "");
    assert_eq!(result, Ok(ScanOutcome::Done));
    assert_eq!(out, include_str!("ignored.txt"));
    assert_eq!(
        err,
        "\
warning: entry 3 of {}/ignore.yaml (CVE-2023-2 of PyPI/django) expired on 2026-01-31, so it ignores nothing; fix the finding, or renew the entry
warning: entry 4 of {}/ignore.yaml (CVE-2023-9 of PyPI/django) expired on 2026-01-31 and matches no finding; remove it
warning: entry 5 of {}/ignore.yaml (CVE-2023-3 of npm/fine) matches no finding; remove it
"
    );
}

#[test]
fn programs_see_what_is_ignored() {
    let (_, out, _) = ignoring(IGNORE.as_bytes(), "-o json");
    let json: Json = serde_json::from_str(&out).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let not_counted: Vec<_> = findings
        .iter()
        .filter(|finding| !finding["notCounted"].is_null())
        .map(|finding| (&finding["id"], &finding["notCounted"], &finding["ignored"]))
        .collect();
    let entry = |entry: u32, id: &str, package: (&str, &str), reason: &str, expires: &str| {
        let package = json!({"ecosystem": package.0, "name": package.1});
        json!({"entry": entry, "id": id, "package": package, "reason": reason, "expires": expires})
    };
    let django = ("PyPI", "django");
    let reviewed = "Not reachable,\nas \u{202e}reviewed";
    assert_eq!(
        not_counted,
        [
            (
                &json!("CVE-2022-1"),
                &json!("Ignored"),
                &entry(1, "ghsa-1", django, reviewed, "2026-02-01")
            ),
            (
                &json!("MAL-1"),
                &json!("Ignored"),
                &entry(2, "MAL-1", ("npm", "evil"), "A fork of ours", "2026-12-31")
            ),
        ]
    );
    assert_eq!(
        json["ignoreList"],
        json!({
            "expired": [
                entry(3, "CVE-2023-2", django, "Low", "2026-01-31"),
                entry(4, "CVE-2023-9", django, "Gone", "2026-01-31"),
            ],
            "unmatched": [
                entry(4, "CVE-2023-9", django, "Gone", "2026-01-31"),
                entry(5, "CVE-2023-3", ("npm", "fine"), "Mistaken", "2026-12-31"),
            ],
        })
    );
    let actions = json["actions"].as_array().unwrap();
    assert!(
        actions
            .iter()
            .all(|action| action["package"]["name"] != "evil")
    );
}

#[test]
fn an_ignored_finding_does_not_fail_the_command() {
    let list = json!([
        {"id": "CVE-2023-4", "package": "Go/golang.org/x/net", "reason": "r", "expires": "2026-02-01"},
        {"id": "CVE-2022-1", "package": "PyPI/django", "reason": "r", "expires": "2026-02-01"},
        {"id": "MAL-1", "package": "npm/evil", "reason": "r", "expires": "2026-02-01"},
    ]);
    let flags = "--fail-on high --unknown-severity ignore";
    let code = |list: &Json| ignoring(list.to_string().as_bytes(), flags).0;
    assert_eq!(code(&list), Ok(ScanOutcome::Done));
    for index in 0..3 {
        // A day after its last one.
        let mut expired = list.clone();
        expired[index]["expires"] = json!("2026-01-31");
        assert_eq!(code(&expired), Ok(ScanOutcome::Failed));
    }
}

#[test]
fn an_ignored_finding_is_explained_as_that() {
    let (_, out, _) = ignoring(IGNORE.as_bytes(), "--explain CVE-2022-1");
    assert!(
        out.ends_with(
            "\n  Ignored until 2026-02-01, because: Not reachable, as \\u{202e}reviewed\n"
        ),
        "{out}"
    );
}

#[test]
fn a_list_of_findings_to_ignore_that_cannot_be_used_is_an_error() {
    for (list, want) in [
        (
            "id: X-1",
            "it is no list in YAML or JSON: invalid type: map, expected a sequence; see `bailiff scan --help` for the format",
        ),
        (
            "- {id: X-1, package: npm/a, reason: r}",
            "entry 1: missing field `expires`; each entry needs id, package, reason and expires",
        ),
        (
            "- {id: X-1, package: a, reason: r, expires: 2026-01-01}",
            "entry 1: package: must be written as in the output, such as PyPI/django or Debian:12/openssl; each entry needs id, package, reason and expires",
        ),
    ] {
        let (result, out, err) = ignoring(list.as_bytes(), "");
        let want = format!("cannot read the findings to ignore of {{}}/ignore.yaml: {want}");
        assert_eq!(
            (result, out, err),
            (Err(want), String::new(), String::new())
        );
    }
    let (result, _, _) = Files::new().scan("--ignore {}/gone");
    assert_eq!(
        result,
        Err("cannot read the findings to ignore of {}/gone: No such file or directory (os error 2); set --ignore to a file that exists".to_owned())
    );
    // An empty list ignores nothing.
    for list in ["[]", "# none\n", ""] {
        assert_eq!(ignoring(list.as_bytes(), "").2, "");
    }
}

#[test]
fn without_a_fix_a_finding_can_be_left_out_and_is_named() {
    let files = Files::new();
    files.add(
        "osv/PYSEC-4.json",
        record(
            "PYSEC-4",
            &[],
            ("PyPI", "django"),
            &below("latest"),
            &json!({}),
        )
        .to_string()
        .as_bytes(),
    );
    let (result, out, err) = files.scan("--only-fixed");
    assert_eq!((result, err.as_str()), (Ok(ScanOutcome::Done), ""));
    assert_eq!(out, include_str!("only_fixed.txt"));
    let flags =
        "--packages - --advisories {}/osv --only-fixed --fail-on low --unknown-severity ignore";
    let code = |list: &str| files.run(flags, list).0;
    // One is Low and has no fixed version, another one is of unknown severity.
    assert_eq!(code("pkg:pypi/django@3.2.14"), Ok(ScanOutcome::Done));
    // A malicious package has none either.
    assert_eq!(code("pkg:npm/evil@1.0.0"), Ok(ScanOutcome::Failed));
}
