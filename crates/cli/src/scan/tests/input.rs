//! Lists that cannot be used, and what is said about them.

use super::*;

/// The command with a list from standard input.
fn scan(list: &str, flags: &str) -> (Result<u8, String>, String, String) {
    let flags = format!("--packages - --advisories {{}}/osv {flags}");
    let (result, out, err) = Files::new().run(&flags, list);
    (result.map(ScanOutcome::exit_code), out, err)
}

#[test]
fn an_empty_list_is_incomplete() {
    let empty =
        "error: there are no packages in standard input; check the command that writes the list\n";
    let incomplete = "error: no finding meets --fail-on, but the result is incomplete; fix the errors above, or set --allow-incomplete\n";
    for list in ["", "[]", "# only a comment\n\n", "\u{feff}"] {
        let (code, out, err) = scan(list, "");
        assert_eq!((code, err.as_str()), (Ok(0), empty));
        assert_eq!(
            out,
            "No findings in 0 packages.\n\nThe result is incomplete.\n"
        );
        let (code, _, err) = scan(list, "--fail-on low");
        assert_eq!((code, err), (Ok(4), format!("{empty}{incomplete}")));
        let (code, _, err) = scan(list, "--fail-on low --allow-incomplete");
        assert_eq!((code, err.as_str()), (Ok(0), empty));
    }
}

#[test]
fn a_document_of_another_format_is_one_error() {
    let bom = r#"{
        "bomFormat": "CycloneDX",
        "components": [
            {"purl": "pkg:npm/evil@1.0.0"}
        ]
    }"#;
    let want = "cannot read the packages of standard input: CycloneDX is not supported; make a list of package URLs from it with `jq -r '.components[].purl // empty'`";
    assert_eq!(
        scan(bom, ""),
        (Err(want.to_owned()), String::new(), String::new())
    );
}

#[test]
fn a_list_of_which_no_entry_can_be_read_is_an_error() {
    let want = "cannot read the packages of standard input: no entry can be read (errors: 2); the first is line 1: must be a package URL such as pkg:pypi/django@3.2.1; see `bailiff scan --help` for the format";
    assert_eq!(
        scan("django==3.2.1\nflask==1\n", "").0,
        Err(want.to_owned())
    );
    let alpine = r#"[{"ecosystem": "Alpine:3.18", "name": "openssl", "version": "3.1.0-r0"}]"#;
    let want = "cannot read the packages of standard input: no entry can be read (errors: 1); the first is package 1: ecosystem: \"Alpine:3.18\" is not supported; write Alpine:v3.18; see `bailiff scan --help` for the format";
    assert_eq!(scan(alpine, "").0, Err(want.to_owned()));
}

#[test]
fn errors_about_packages_name_the_file_and_are_limited() {
    let files = Files::new();
    let list = format!("{}pkg:npm/evil@1.0.0\n", "nonsense\n".repeat(102));
    files.add("list.txt", list.as_bytes());
    files.add("osv/broken.json", b"{}");
    let (result, out, err) = files.run("--packages {}/list.txt --advisories {}/osv", "");
    assert_eq!(result, Ok(ScanOutcome::Done));
    assert!(out.contains("MAL-1"), "{out}");
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(lines.len(), 102);
    assert_eq!(
        lines[0],
        "error: cannot read line 1 of {}/list.txt: must be a package URL such as pkg:pypi/django@3.2.1"
    );
    assert_eq!(
        lines[100..],
        [
            // Errors of packages do not displace those of advisories.
            "error: cannot read {}/osv/broken.json: missing field `id` at line 1 column 2",
            "error: cannot read 2 more; fix the first ones and retry",
        ]
    );
}

#[test]
fn why_the_command_fails_is_said() {
    let all = "pkg:npm/evil@1.0.0\npkg:golang/golang.org/x/net@v0.1.0\npkg:golang/stdlib@1.20.1\npkg:pypi/django@3.2.14";
    for (list, flags, code, want) in [
        (
            all,
            "--fail-on high",
            3,
            "error: 3 findings meet --fail-on high: 1 malicious, 1 of severity High or higher, 1 of unknown severity; to leave out unknown severities, set --unknown-severity ignore\n",
        ),
        (
            all,
            "--fail-on critical --unknown-severity ignore",
            3,
            "error: 1 finding meets --fail-on critical: 1 malicious\n",
        ),
        (
            all,
            "--fail-on low --unknown-severity ignore",
            3,
            "error: 3 findings meet --fail-on low: 1 malicious, 2 of severity Low or higher\n",
        ),
        ("pkg:npm/fine@1.0.0", "--fail-on low", 0, ""),
        (all, "", 0, ""),
    ] {
        let (result, _, err) = scan(list, flags);
        assert_eq!((result, err.as_str()), (Ok(code), want), "{flags}");
    }
}

#[test]
fn a_package_of_a_distribution_without_its_source_is_reported_and_matched() {
    let files = Files::new();
    let of = record(
        "DEBIAN-CVE-2024-1",
        &[],
        ("Debian:12", "curl"),
        &all(),
        &json!({}),
    );
    files.add("osv/curl.json", of.to_string().as_bytes());
    let list = r#"[{"ecosystem": "Debian:12", "name": "curl", "version": "7.88.1-10"}]"#;
    let (result, out, err) = files.run(
        "--packages - --advisories {}/osv --fail-on critical --unknown-severity ignore",
        list,
    );
    assert_eq!(result, Ok(ScanOutcome::Incomplete));
    assert!(out.contains("CVE-2024-1"), "{out}");
    assert!(
        err.starts_with("error: cannot read package 1 of standard input: source: must name the source package, because advisories do; the package is matched by its own name\n"),
        "{err}"
    );
}
