//! The command with files, word for word.

use super::*;
mod actions;
mod counting;
mod flags;
mod input;
mod outputs;
mod platforms;
mod sarif;
mod schema;

use crate::scratch::Scratch;
use clap::Parser as _;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    scan: ScanArgs,
}

const NOW: &str = "2026-02-01T00:00:00Z";

/// A directory with a list of packages and advisories.
struct Files(Scratch);

impl std::ops::Deref for Files {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.0
    }
}

const PACKAGES: &str = r#"[
    {"ecosystem": "PyPI", "name": "Django", "version": "3.2.1", "path": "app/site-packages"},
    {"ecosystem": "Go", "name": "stdlib", "version": "go1.20.1"},
    {"ecosystem": "Go", "name": "golang.org/x/net", "version": "v0.1.0"},
    {"ecosystem": "npm", "name": "evil", "version": "1.0.0"},
    {"ecosystem": "npm", "name": "fine", "version": "1.0.0"}
]"#;

const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const HIGH: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N";

fn record(id: &str, aliases: &[&str], package: (&str, &str), events: &Json, more: &Json) -> Json {
    let mut record = json!({
        "id": id,
        "modified": "2026-01-02T03:04:05Z",
        "aliases": aliases,
        "summary": format!("About {id}"),
        "affected": [{
            "package": {"ecosystem": package.0, "name": package.1},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }],
    });
    for (field, value) in more.as_object().unwrap() {
        record[field] = value.clone();
    }
    record
}

fn below(version: &str) -> Json {
    json!([{"introduced": "0"}, {"fixed": version}])
}

fn all() -> Json {
    json!([{"introduced": "0"}])
}

fn severity(vector: &str) -> Json {
    json!({"severity": [{"type": "CVSS_V3", "score": vector}]})
}

fn records() -> Vec<Json> {
    let django = ("PyPI", "django");
    vec![
        record(
            "PYSEC-1",
            &["CVE-2022-1"],
            django,
            &below("3.2.13"),
            &severity(CRITICAL),
        ),
        record(
            "GHSA-1",
            &["CVE-2022-1"],
            django,
            &below("3.2.14"),
            &json!({}),
        ),
        record(
            "PYSEC-2",
            &["CVE-2023-2"],
            django,
            &all(),
            &json!({"database_specific": {"severity": "LOW"}}),
        ),
        record(
            "PYSEC-3",
            &[],
            django,
            &all(),
            &json!({"withdrawn": "2026-01-01T00:00:00Z"}),
        ),
        record(
            "GO-1",
            &["CVE-2023-3"],
            ("Go", "stdlib"),
            &below("1.20.2"),
            &json!({}),
        ),
        record(
            "GO-2",
            &["CVE-2023-4"],
            ("Go", "golang.org/x/net"),
            &below("0.7.0"),
            &severity(HIGH),
        ),
        record("MAL-1", &[], ("npm", "evil"), &all(), &json!({})),
    ]
}

impl Files {
    fn new() -> Self {
        let files = Self(Scratch::new());
        files.add("packages.json", PACKAGES.as_bytes());
        std::fs::create_dir(files.path("osv")).unwrap();
        for record in records() {
            let name = format!("osv/{}.json", record["id"].as_str().unwrap());
            files.add(&name, record.to_string().as_bytes());
        }
        files
    }

    /// Runs the command with these flags; `{}` stands for the directory, also in what it prints.
    fn run(&self, flags: &str, input: &str) -> (Result<ScanOutcome, String>, String, String) {
        let line = Line::try_parse_from(self.arguments("scan", flags)).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = run_at(
            &line.scan,
            NOW.parse().unwrap(),
            &mut input.as_bytes(),
            &mut out,
            &mut err,
        );
        let result = result.map_err(|error| self.shown(&error));
        (result, self.printed(out), self.printed(err))
    }

    /// Runs the command on the list and the advisories, with more flags.
    fn scan(&self, flags: &str) -> (Result<ScanOutcome, String>, String, String) {
        self.run(
            &format!("--packages {{}}/packages.json --advisories {{}}/osv {flags}"),
            "",
        )
    }
}

#[test]
fn actions_come_first_then_findings_then_what_does_not_count() {
    let (result, out, err) = Files::new().scan("");
    assert_eq!(result, Ok(ScanOutcome::Done));
    assert_eq!(err, "");
    assert_eq!(out, include_str!("tests/table.txt"));
}

#[test]
fn the_same_for_programs() {
    let files = Files::new();
    files.add(
        "kev.json",
        br#"{"dateReleased": "2026-01-03", "vulnerabilities": [{"cveID": "CVE-2023-4"}]}"#,
    );
    let (result, out, err) = files.scan("-o json --known-exploited {}/kev.json");
    assert_eq!((result, err.as_str()), (Ok(ScanOutcome::Done), ""));
    assert_eq!(out, include_str!("tests/result.json"));
}

#[test]
fn the_exit_code_says_whether_a_severity_is_reached() {
    let files = Files::new();
    let of = |list: &str, flags: &str| {
        let flags = format!("--packages - --advisories {{}}/osv {flags}");
        files.run(&flags, list).0.map(ScanOutcome::exit_code)
    };
    let (net, django) = (
        "pkg:golang/golang.org/x/net@v0.1.0",
        "pkg:pypi/django@3.2.14",
    );
    let (stdlib, evil, fine) = (
        "pkg:golang/stdlib@1.20.1",
        "pkg:npm/evil@1.0.0",
        "pkg:npm/fine@1.0.0",
    );
    let other = "pkg:cargo/time@0.1.43";
    for (list, flags, want) in [
        (net, "", 0),
        (net, "--fail-on high", 3),
        (net, "--fail-on critical", 0),
        (django, "--fail-on low", 3),
        (django, "--fail-on medium", 0),
        // Unknown counts, unless it is ignored.
        (stdlib, "--fail-on critical", 3),
        (stdlib, "--fail-on critical --unknown-severity ignore", 0),
        // A malicious package always counts.
        (evil, "--fail-on critical --unknown-severity ignore", 3),
        (fine, "--fail-on low", 0),
        // There are no advisories about crates.
        (other, "", 0),
        (other, "--fail-on critical", 4),
        (other, "--fail-on critical --allow-incomplete", 0),
        (&format!("{other}\n{net}"), "--fail-on high", 3),
        (&format!("{fine}\nnonsense"), "--fail-on high", 4),
        (&format!("{fine}\nnonsense"), "", 0),
    ] {
        assert_eq!(of(list, flags), Ok(want), "{list} {flags}");
    }
}

#[test]
fn what_could_not_be_read_is_reported_and_hides_nothing() {
    let files = Files::new();
    files.add("osv/broken.json", b"{\"id\": \"x\x1b[2J\"}");
    files.add("osv/notes.txt", b"not read");
    files.add("osv/broken.zip", b"PK\x03\x04");
    let list = "pkg:golang/golang.org/x/net@v0.1.0\npkg:\x1b[2J\npkg:cargo/time@0.1.43";
    let (result, out, err) = files.run(
        "--packages - --advisories {}/osv --advisories {}/gone",
        list,
    );
    assert_eq!(result, Ok(ScanOutcome::Done));
    assert!(
        out.contains("CVE-2023-4") && out.contains("The result is incomplete."),
        "{out}"
    );
    assert_eq!(
        err,
        "\
error: cannot read line 2 of standard input: must be a package URL such as pkg:pypi/django@3.2.1
error: cannot read {}/osv/broken.json: id: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 10
error: cannot read {}/osv/broken.zip: invalid Zip archive: Could not find EOCD
error: cannot read {}/gone: No such file or directory (os error 2)
error: cannot match packages of crates.io: no advisory names one; add its advisories with --advisories
"
    );
}

#[test]
fn names_reach_no_terminal_as_control_characters() {
    let files = Files::new();
    let hostile = record(
        "X-1",
        &[],
        ("npm", "a\u{1b}[2J"),
        &below("2.0.0"),
        &json!({"summary": "About \u{1b}]0;x\u{7} and \u{202e}\u{9b}2J \u{e0041} ##vso[task.complete]"}),
    );
    files.add("osv/hostile.json", hostile.to_string().as_bytes());
    let list = json!([{"ecosystem": "npm", "name": "a\u{1b}[2J", "version": "1.0.0", "path": "b\u{1b}[2J"}]);
    for flags in [
        "",
        "--explain X-1",
        "--explain x\u{1b}[2J",
        "-o json",
        "-o sarif",
    ] {
        let flags = format!("--packages - --advisories {{}}/osv {flags}");
        let (result, out, err) = files.run(&flags, &list.to_string());
        let err = result.map_or_else(|error| error, |_| err);
        let controls =
            |c: char| (c != '\n' && c.is_control()) || c == '\u{202e}' || c == '\u{e0041}';
        assert!(
            !out.contains("##vso[") && !err.contains("##vso["),
            "{flags}: {out}"
        );
        assert!(
            !out.contains(controls) && !err.contains(controls),
            "{flags}: {out:?} {err:?}"
        );
        // What is escaped in JSON is the same text for programs.
        if flags.ends_with("json") {
            let json: Json = serde_json::from_str(&out).unwrap();
            let name = &json["findings"][0]["package"]["name"];
            assert_eq!(name, "a\u{1b}[2J");
        } else if !flags.contains("x\u{1b}") {
            let shown = [r"a\u{1b}[2J", r"a\\\\u{{1b}}\\[2J"];
            assert!(shown.iter().any(|shown| out.contains(shown)), "{out}");
        }
    }
}

#[test]
fn an_archive_is_read_as_osv_publishes_it() {
    let files = Files::new();
    let mut archive = ZipWriter::new(std::fs::File::create(files.path("all.zip")).unwrap());
    let options = SimpleFileOptions::default();
    let large = format!(r#"{{"id": "X-9", "details": "{}"}}"#, "a".repeat(5 << 20));
    let mut add = |name: &str, content: &str| {
        archive.start_file(name, options).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    };
    add("GO-2.json", &records()[5].to_string());
    add("broken.json", "{}");
    add("large.json", &large);
    add("README", "not read");
    archive.finish().unwrap();
    let list = "pkg:golang/golang.org/x/net@v0.1.0";
    let (result, out, err) = files.run("--packages - --advisories {}/all.zip", list);
    assert_eq!(result, Ok(ScanOutcome::Done));
    assert!(
        out.contains("CVE-2023-4")
            && out.contains("Advisories of Go: 1, the newest of 2026-01-02."),
        "{out}"
    );
    assert_eq!(
        err,
        "\
error: cannot read broken.json of {}/all.zip: missing field `id` at line 1 column 2
error: cannot read large.json of {}/all.zip: it has 4194305 bytes, more than the 4194304 that are read
"
    );
}

#[test]
fn a_second_feed_does_not_withdraw_the_record_of_the_first() {
    let files = Files::new();
    let mut second = records()[0].clone();
    second["withdrawn"] = json!("2026-01-03T00:00:00Z");
    let (_, before, _) = files.scan("-o json");
    let findings = |out: &str| serde_json::from_str::<Json>(out).unwrap()["findings"].clone();
    // One is newer, the other one of the future.
    for modified in ["2026-01-31T00:00:00Z", "2036-01-31T00:00:00Z"] {
        second["modified"] = json!(modified);
        files.add("second.json", second.to_string().as_bytes());
        let (_, out, err) = files.scan("-o json --advisories {}/second.json");
        assert!(
            findings(&out)
                .as_array()
                .unwrap()
                .iter()
                .any(|f| f["id"] == "CVE-2022-1")
        );
        assert_eq!(findings(&out), findings(&before));
        let is_future = modified.starts_with("2036");
        assert_eq!(
            err.contains("error: cannot read {}/second.json: modified: must not be in the future, and is 2036-01-31T00:00:00Z; any other state of PYSEC-1 in this source counts before this one\n"),
            is_future,
            "{err}"
        );
    }
}

#[test]
fn a_list_or_advisories_that_cannot_be_read_are_an_error() {
    let files = Files::new();
    files.add("object.json", b"{\"a\": 1}");
    files.add("list.json", b"[1");
    std::fs::create_dir(files.path("empty")).unwrap();
    for (flags, want) in [
        (
            "--packages {}/gone --advisories {}/osv",
            "cannot read the packages of {}/gone: No such file or directory (os error 2); set --packages to a file that exists, or to - for standard input",
        ),
        (
            "--packages {}/list.json --advisories {}/osv",
            "cannot read the packages of {}/list.json: it is no JSON list: EOF while parsing a list at line 1 column 2; see `bailiff scan --help` for the format",
        ),
        (
            "--packages {}/packages.json --advisories {}/empty",
            "cannot read advisories of {}/empty: there are no records of an ecosystem that Bailiff knows; set --advisories to files of OSV, such as all.zip of an ecosystem",
        ),
        (
            "--packages {}/packages.json --advisories {}/gone",
            "cannot read advisories of {}/gone: cannot read {}/gone: No such file or directory (os error 2); set --advisories to files of OSV",
        ),
        (
            "--packages {}/packages.json --advisories {}/osv --known-exploited {}/object.json",
            "cannot read the known exploited vulnerabilities of {}/object.json: missing field `vulnerabilities` at line 1 column 8; set --known-exploited to CISA's JSON file",
        ),
        (
            "--packages {}/packages.json --advisories {}/osv --known-exploited {}/gone",
            "cannot read the known exploited vulnerabilities of {}/gone: No such file or directory (os error 2); set --known-exploited to a file that exists",
        ),
    ] {
        let (result, _, _) = files.run(flags, "");
        assert_eq!(result, Err(want.to_owned()), "{flags}");
    }
}

#[test]
fn a_verdict_is_explained() {
    let files = Files::new();
    let (_, out, _) = files.scan("--explain CVE-2022-1");
    assert_eq!(
        out,
        "\
PyPI/django 3.2.1
  In app/site-packages.
  GHSA-1: all versions before 3.2.14 are affected.
  PYSEC-1: all versions before 3.2.13 are affected.
  Result for CVE-2022-1: affected, fixed in 3.2.14.
  Severity: Critical, from the CVSS 3.1 score 9.8 of CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H in PYSEC-1.
  Known to be exploited: unknown; set --known-exploited.
"
    );
    let (_, out, _) = files.run(
        "--packages - --advisories {}/osv --explain PYSEC-1",
        "pkg:pypi/django@3.2.13",
    );
    assert_eq!(
        out,
        "PyPI/django 3.2.13\n  PYSEC-1: this version is not affected.\n  Result: not affected.\n"
    );
    let (_, out, _) = files.scan("--explain PYSEC-3");
    assert_eq!(
        out,
        "PyPI/django 3.2.1\n  In app/site-packages.\n  PYSEC-3: all versions are affected. The advisory was withdrawn, so it does not count.\n  Result: not affected.\n"
    );
    // Upper and lower case are the same.
    let (_, upper, _) = files.scan("--explain CVE-2022-1");
    let (_, lower, _) = files.scan("--explain cve-2022-1");
    assert_eq!(upper, lower);
}

#[test]
fn an_explanation_needs_an_advisory_about_the_vulnerability() {
    let files = Files::new();
    let (result, out, _) = files.scan("--explain CVE-1999-1");
    assert_eq!(
        (result, out.as_str()),
        (
            Err("cannot explain CVE-1999-1: no advisory about it was read; check the name, or add its advisories with --advisories".to_owned()),
            ""
        )
    );
    // One was read, and is about another package.
    let flags = "--packages - --advisories {}/osv --explain ghsa-1";
    let (result, out, _) = files.run(flags, "pkg:golang/golang.org/x/net@v0.1.0");
    assert_eq!(result, Ok(ScanOutcome::Done));
    assert_eq!(
        out,
        "No advisory about ghsa-1 names a package of the list.\n"
    );
}

#[test]
fn what_does_not_count_is_named_with_the_reason() {
    let files = Files::new();
    let debian = |id: &str, name: &str, urgency: &str| {
        let mut of = record(id, &[], ("Debian:12", name), &all(), &json!({}));
        of["affected"][0]["ecosystem_specific"] = json!({"urgency": urgency});
        files.add(&format!("osv/{id}.json"), of.to_string().as_bytes());
    };
    debian("DEBIAN-CVE-2024-1", "curl", "unimportant");
    debian("DEBIAN-CVE-2024-2", "curl", "end-of-life");
    debian("DEBIAN-CVE-2024-3", "linux", "not yet assigned");
    debian("DEBIAN-CVE-2024-4", "linux", "high**");
    let list = r#"[{"ecosystem": "Debian:12", "name": "curl", "version": "7.88.1-10", "source": {"name": "curl"}},
        {"ecosystem": "Debian:12", "name": "linux-libc-dev", "version": "6.1.0-1", "source": {"name": "linux"}}]"#;
    let scan = |flags: &str| {
        let flags = format!("--packages - --advisories {{}}/osv {flags}");
        files.run(&flags, list)
    };
    let (result, out, _) = scan("--fail-on low --unknown-severity ignore");
    assert_eq!(result, Ok(ScanOutcome::Done));
    let lines = "\
1 finding in 1 of 2 packages: 1 Unknown. Whether they are exploited is unknown; set --known-exploited.
Not counted of Debian:12/curl 7.88.1-10, because Debian rates the effect as unimportant: CVE-2024-1.
Not counted of Debian:12/linux 6.1.0-1, because the packages are header files of the kernel and not the kernel: CVE-2024-3, CVE-2024-4.
";
    assert!(out.contains(lines), "{out}");
    let (_, out, _) = scan("-o json");
    let out: Json = serde_json::from_str(&out).unwrap();
    let findings = out["findings"].as_array().unwrap().iter();
    let shown: Vec<_> = findings
        .map(|f| {
            (
                f["id"].as_str(),
                f["notCounted"].as_str(),
                f["state"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Some("CVE-2024-1"), Some("Unimportant"), Some("Open")),
            (Some("CVE-2024-2"), None, Some("EndOfLife")),
            (Some("CVE-2024-3"), Some("KernelHeaders"), Some("Open")),
            (Some("CVE-2024-4"), Some("KernelHeaders"), Some("Open")),
        ]
    );
    let result_of = |id: &str| {
        let (_, out, _) = scan(&format!("--explain {id}"));
        let mut lines = out.lines().map(str::to_owned);
        lines.find(|line| line.contains("Result")).unwrap()
    };
    let (_, out, _) = scan("--explain CVE-2024-1");
    assert!(
        out.contains("  Result for CVE-2024-1: affected, and no fixed version is known.\n"),
        "{out}"
    );
    assert!(
        out.contains("Not counted, because Debian rates the effect as unimportant.\n"),
        "{out}"
    );
    assert_eq!(
        result_of("CVE-2024-2"),
        "  Result for CVE-2024-2: affected, and its publisher no longer supports the package in this release."
    );
}

#[test]
fn a_closed_pipe_hides_no_exit_code() {
    let files = Files::new();
    let scan = |flags: &str| {
        let flags = format!("--packages {{}}/packages.json --advisories {{}}/osv {flags}");
        let line = Line::try_parse_from(files.arguments("scan", &flags)).unwrap();
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        run(&line.scan, &mut &b""[..], &mut closed(), &mut closed()).map(ScanOutcome::exit_code)
    };
    assert_eq!(scan("--fail-on high").unwrap(), 3);
    assert_eq!(scan("--explain CVE-2022-1").unwrap(), 0);
    files.add("osv/broken.json", b"{");
    files.add(
        "packages.json",
        br#"[{"ecosystem": "npm", "name": "fine", "version": "1.0.0"}]"#,
    );
    assert_eq!(scan("--fail-on high -o json").unwrap(), 4);
}
