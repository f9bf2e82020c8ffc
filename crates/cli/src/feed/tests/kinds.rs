//! Sources of each kind, and what a scan says of them.

use super::*;

/// A CVE of the records.
const CVE: &str = "CVE-2024-3094";

/// Archives and files of each kind.
fn of_each_kind(files: &Files) -> &'static str {
    std::fs::create_dir_all(files.path("secdb/v3.18")).unwrap();
    let secdb = include_bytes!("../../../../scan/tests/data/secdb-made.json");
    files.add("secdb/v3.18/main.json", secdb);
    files.add("secdb/v3.18/community.json", secdb);
    let tracker = include_bytes!("../../../../scan/tests/data/debian-tracker.json");
    files.add("tracker.json", tracker);
    let list = "\
[26 Feb 2023] DSA-5363-1 php7.4 - security update
\t{CVE-2023-0567 CVE-2023-0568}
\t[bullseye] - php7.4 7.4.33-1+deb11u3
";
    files.add("DSA.list", list.as_bytes());
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let records = include_str!("../../../../scan/tests/data/cve-list.jsonl").lines();
    for (number, record) in records.enumerate() {
        let name = format!("cves/{number}.json");
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(record.as_bytes()).unwrap();
    }
    zip.start_file("cves/deltaLog.json", SimpleFileOptions::default())
        .unwrap();
    zip.write_all(b"[]").unwrap();
    files.add("cves.zip", &zip.finish().unwrap().into_inner());
    files.add(
        "nvd.json",
        include_bytes!("../../../../scan/tests/data/nvd.json"),
    );
    "alpine-secdb={}/secdb debian-tracker={}/tracker.json debian-list={}/DSA.list cve-list={}/cves.zip nvd={}/nvd.json"
}

#[tokio::test]
async fn each_kind_is_read() {
    let files = Files::new();
    let sources = of_each_kind(&files);
    let flags = format!("build -f {{}}/index osv={{}}/osv kev={{}}/kev.json {sources}");
    let (result, out, err) = files.run(&flags).await;
    assert_eq!(result, Ok(()), "{err}");
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let of_kind = |kind: &str| {
        rows.iter()
            .filter(|row| row[..].first() == Some(&kind))
            .count()
    };
    let counts =
        bailiff_scan::index::SourceKind::ALL.map(|kind| (kind.as_str(), of_kind(kind.as_str())));
    let want = [
        ("osv", 2),
        // Each file has the same names of advisories.
        ("alpine-secdb", 2),
        ("debian-tracker", 1),
        ("debian-list", 1),
        ("kev", 1),
        ("cve-list", 1),
        ("nvd", 1),
    ];
    assert_eq!(counts, want, "{out}");
    assert!(rows.iter().all(|row| row.get(1) != Some(&"0")), "{out}");
    // The date of an announcement is that of its fix.
    let file = std::fs::read(files.path("index")).unwrap();
    let index = Index::open(&file).unwrap();
    let debian = Ecosystem::parse("Debian:11").unwrap();
    let php = index.get(&debian, "php7.4").unwrap();
    let date = php[0].advisory.affected[0]
        .fix_date("7.4.33-1+deb11u3")
        .unwrap();
    assert_eq!(
        (date.date.to_string().as_str(), date.source.as_str()),
        ("2023-02-26", "DSA-5363-1")
    );
}

#[tokio::test]
async fn a_finding_without_a_severity_has_that_of_its_cve() {
    let files = Files::new();
    let sources = of_each_kind(&files);
    let mut record = record("X-9", "npm", "b", "2.0");
    record["aliases"] = json!([CVE]);
    files.add("x-9.json", record.to_string().as_bytes());
    let flags = format!("build -f {{}}/index osv={{}}/x-9.json {sources}");
    files.run(&flags).await.0.unwrap();
    let (_, out, err) = files.scan("--packages - --index {}/index -o json", "pkg:npm/b@1.0\n");
    assert_eq!(err, "");
    let json: Json = serde_json::from_str(&out).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(finding["id"], CVE);
    assert_eq!(finding["severitySource"]["advisory"], CVE, "{finding}");
    assert_ne!(finding["severity"], "Unknown");
}

#[tokio::test]
async fn a_scan_with_an_index_names_the_fix_the_end_and_the_sources() {
    let files = Files::new();
    let sources = of_each_kind(&files);
    let flags = format!("build -f {{}}/index {sources}");
    files.run(&flags).await.0.unwrap();
    let list = r#"[
        {"ecosystem": "Debian:11", "name": "php7.4", "version": "7.4.33-1+deb11u1", "source": {"name": "php7.4"}},
        {"ecosystem": "Debian:99", "name": "php7.4", "version": "1", "source": {"name": "php7.4"}},
        {"ecosystem": "crates.io", "name": "a", "version": "1.0.0"}
    ]"#;
    let scan = |flags: &str| {
        let flags = format!("--packages - --index {{}}/index --now 2026-12-01 {flags}");
        files.scan(&flags, list)
    };
    let end = "Debian:11 gets no more fixes since 2026-08-31 (distro-info-data 0.58+deb12u6). Upgrade to a supported release.\n";
    let (_, out, err) = scan("");
    let unknown =
        "Whether Debian:99 still gets fixes is unknown: Bailiff does not know the release.\n";
    assert!(
        out.contains(end)
            && out.contains(unknown)
            && out.contains("Fixed in 7.4.33-1+deb11u3 on 2023-02-26")
            && out.contains("build the index again with a source of kind kev"),
        "{out}"
    );
    assert_eq!(
        err,
        format!(
            "\
error: cannot match packages of Debian:99: no advisory names one; build the index again with a source of it: see `bailiff feed build --help`
error: cannot match packages of crates.io: no advisory names one; build the index again with a source of it: see `bailiff feed build --help`
warning: {end}"
        )
    );
    let (_, out, _) = scan("--explain CVE-2023-0567");
    assert!(
        out.contains("  7.4.33-1+deb11u3 was published on 2023-02-26, as DSA-5363-1 says.\n"),
        "{out}"
    );
    let (result, out, _) = scan("--explain CVE-1999-1");
    assert_eq!(
        (result, out.as_str()),
        (
            Ok(scan::ScanOutcome::Done),
            "No advisory about CVE-1999-1 names a package of the list.\n"
        )
    );
    let (_, out, _) = scan("-o json");
    let json: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(
        json["distributions"],
        json!([
            {"ecosystem": "Debian:11", "support": "Ended", "end": {
                "lastDay": "2026-08-31",
                "lastDayWithSubscription": null,
                "source": "distro-info-data 0.58+deb12u6",
            }},
            {"ecosystem": "Debian:99", "support": "Unknown", "end": null},
        ])
    );
    let sources = json["index"]["sources"].as_array().unwrap().iter();
    let kinds: Vec<_> = sources.map(|of| of["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"debian-list"), "{kinds:?}");
    let of = json["findings"].as_array().unwrap().iter();
    let mut of = of.filter(|finding| finding["id"] == "CVE-2023-0567");
    assert_eq!(
        of.next().unwrap()["fixDate"],
        json!({"date": "2023-02-26", "source": "DSA-5363-1"})
    );
    let (_, out, _) = scan("-o sarif");
    assert!(
        out.contains("Debian:11 gets no more fixes since 2026-08-31"),
        "{out}"
    );
}
