//! Records of CVEs as they are published, and as nobody should publish them.

use super::*;
use crate::severity::{Rating, Severity};

/// Records of the CVE list, and a page of the National Vulnerability Database.
const LIST: &str = include_str!("../../../tests/data/cve-list.jsonl");
const PAGE: &str = include_str!("../../../tests/data/nvd.json");

fn shown(record: &CveRecord) -> String {
    let statements = record.statements.iter().map(|statement| {
        let Statement::Cve(source, version, _) = statement else {
            panic!("{statement:?}");
        };
        let score = statement.score().unwrap();
        format!(" {} {} {score:.1}", source.as_str(), version.as_str())
    });
    let statements: String = statements.collect();
    let rejected = if record.is_rejected { " rejected" } else { "" };
    format!("{}{rejected}{statements}", record.id)
}

fn nvd(text: &str) -> (Vec<CveRecord>, Vec<String>) {
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    read_nvd(text.as_bytes(), |record| match record {
        Ok(record) => records.push(record),
        Err(error) => errors.push(error),
    })
    .unwrap();
    (records, errors)
}

#[test]
fn published_records_of_the_list_are_read() {
    let records: Vec<_> = LIST
        .lines()
        .map(|line| decode(line.as_bytes()).unwrap())
        .collect();
    let shown: Vec<_> = records.iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "CVE-2024-3094 CNA 3.1 10.0",
            "CVE-2024-3931 CNA 3.1 3.5 CNA 3.0 3.5 CNA 2.0 4.0",
        ]
    );
    assert_eq!(records[0].title, "Xz: malicious code in distributed source");
}

#[test]
fn a_published_page_of_the_national_vulnerability_database_is_read() {
    let (records, errors) = nvd(PAGE);
    assert_eq!(errors, [""; 0]);
    let shown: Vec<_> = records.iter().map(shown).collect();
    assert_eq!(shown, ["CVE-2024-3400 CNA 3.1 10.0 NVD 3.1 10.0"]);
    assert!(
        records[0]
            .title
            .starts_with("A command injection as a result")
    );
}

const HIGH: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N";
const MEDIUM: &str = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N";

fn listed(state: &str, cna: &str, adp: &str) -> Result<CveRecord, CveError> {
    let text = format!(
        r#"{{"cveMetadata": {{"cveId": "CVE-2022-0001", "state": "{state}"}}, "containers": {{"cna": {cna}, "adp": [{adp}]}}}}"#
    );
    decode(text.as_bytes())
}

#[test]
fn metrics_have_the_source_that_wrote_them() {
    let cna = format!(
        r#"{{"descriptions": [{{"lang": "de", "value": "nein"}}, {{"lang": "en-US", "value": "\nAbout it\nmore"}}], "metrics": [1, {{"cvssV3_1": {{"vectorString": 1}}}}, {{"cvssV3_1": {{"vectorString": "CVSS:3.1/AV:N"}}}}, {{"cvssV4_0": {{"vectorString": "{MEDIUM}"}}, "cvssV9": {{"vectorString": "{HIGH}"}}}}, {{"cvssV4_0": {{"vectorString": "{MEDIUM}"}}}}]}}"#
    );
    let adp = |organization: &str| {
        format!(
            r#"{{"providerMetadata": {{"orgId": "{organization}", "shortName": "CISA-ADP"}}, "metrics": [{{"cvssV3_1": {{"vectorString": "{HIGH}"}}}}]}}"#
        )
    };
    let record = listed("PUBLISHED", &cna, &adp(CISA)).unwrap();
    assert_eq!(shown(&record), "CVE-2022-0001 CNA 4.0 6.9 CISA-ADP 3.1 7.5");
    assert_eq!(record.title, "About it");
    // The number of the organization is checked, and not its name.
    let record = listed("PUBLISHED", "{}", &adp("another")).unwrap();
    assert_eq!(shown(&record), "CVE-2022-0001");
    let record = listed("REJECTED", &cna, &adp(CISA)).unwrap();
    assert_eq!(shown(&record), "CVE-2022-0001 rejected");
}

#[test]
fn the_source_of_a_metric_of_the_national_vulnerability_database_is_checked() {
    let metric = |source: &str, vector: &str| {
        format!(
            r#"{{"source": "{source}", "type": "Secondary", "cvssData": {{"vectorString": "{vector}"}}}}"#
        )
    };
    let metrics = [
        metric("cna@example.org", MEDIUM),
        metric("other@example.org", HIGH),
        metric(CISA, HIGH),
        metric(NVD, HIGH),
        "7".to_owned(),
    ];
    let item = |status: &str| {
        format!(
            r#"{{"cve": {{"id": "CVE-2022-0001", "sourceIdentifier": "cna@example.org", "vulnStatus": "{status}", "metrics": {{"cvssMetricV40": [{}], "cvssMetricV31": 1}}}}}}"#,
            metrics.join(", ")
        )
    };
    let text = format!(
        r#"{{"vulnerabilities": [{}, 1, {{"cve": {{"id": "x"}}}}, {}]}}"#,
        item("Analyzed"),
        item("Rejected")
    );
    let (records, errors) = nvd(&text);
    let shown: Vec<_> = records.iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "CVE-2022-0001 CNA 4.0 6.9 CISA-ADP 3.1 7.5 NVD 3.1 7.5",
            "CVE-2022-0001 rejected",
        ]
    );
    assert_eq!(
        errors,
        [
            "vulnerabilities[1]: invalid type: integer `1`, expected struct NvdItem at line 1 column 1",
            "vulnerabilities[2]: cve.id: must be a CVE such as CVE-2021-44228",
        ]
    );
    let mut merged = records[0].clone();
    merged.merge(records[1].clone());
    assert!(merged.is_rejected && merged.statements.is_empty());
}

#[test]
fn a_record_has_a_bounded_number_of_statements() {
    // Optional metrics make vectors that differ, and that have the same score.
    let values = |metric: &str, values: &[&str]| -> Vec<String> {
        values
            .iter()
            .map(|value| format!("/{metric}:{value}"))
            .collect()
    };
    let (exploit, remedy) = (
        values("E", &["X", "U", "P", "F", "H"]),
        values("RL", &["X", "O", "T", "W", "U"]),
    );
    let confidence = values("RC", &["X", "U"]);
    let mut metrics = Vec::new();
    for (e, rl) in exploit
        .iter()
        .flat_map(|e| remedy.iter().map(move |rl| (e, rl)))
    {
        for rc in &confidence {
            metrics.push(format!(
                r#"{{"cvssV3_1": {{"vectorString": "{HIGH}{e}{rl}{rc}"}}}}"#
            ));
        }
    }
    assert_eq!(metrics.len(), 50);
    let cna = format!(r#"{{"metrics": [{}]}}"#, metrics.join(","));
    let record = listed("PUBLISHED", &cna, "").unwrap();
    assert_eq!(record.statements.len(), STATEMENTS_LIMIT);
}

#[test]
fn a_record_that_cannot_be_read_is_an_error() {
    let error = |text: &str| decode(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error("{}"),
        "missing field `cveMetadata` at line 1 column 2"
    );
    assert_eq!(
        error(r#"{"cveMetadata": {"cveId": "GHSA-1"}}"#),
        "cveMetadata.cveId: must be a CVE such as CVE-2021-44228"
    );
    assert_eq!(
        error(r#"{"cveMetadata": {"cveId": "CVE-\u001b"}}"#),
        "cveMetadata.cveId: must be a CVE such as CVE-2021-44228"
    );
    assert_eq!(error(&"[".repeat(65)), "it is nested deeper than 64 levels");
    let error = read_nvd(b"{}", drop).unwrap_err().to_string();
    assert_eq!(error, "missing field `vulnerabilities` at line 1 column 2");
}

/// What the statement that counts says about CVEs, as an other program wrote it from the same list.
#[test]
fn the_severity_of_a_cve_is_that_of_the_table() {
    let mut count = 0;
    for line in include_str!("../../../tests/data/cve-cvss.tsv").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<_> = line.split('\t').collect();
        let [id, vectors, want_source, want_score, want] = fields[..] else {
            panic!("{line}");
        };
        let statements: Vec<_> = vectors
            .split(' ')
            .map(|vector| {
                let (source, vector) = vector.split_once('=').unwrap();
                let source = match source {
                    "CNA" => CveSource::Cna,
                    "CISA-ADP" => CveSource::CisaAdp,
                    other => panic!("{other}"),
                };
                Statement::of_cve(source, vector).unwrap()
            })
            .collect();
        let rating = Rating::of(statements.iter().map(|s| (s, id)));
        let (statement, _) = rating.source.unwrap();
        let Statement::Cve(source, ..) = statement else {
            panic!("{statement:?}");
        };
        let score = format!("{:.1}", statement.score().unwrap());
        assert_eq!(
            (source.as_str(), score.as_str()),
            (want_source, want_score),
            "{id}"
        );
        assert_eq!(rating.severity.as_str(), want, "{id}");
        count += usize::from(rating.severity != Severity::Unknown);
    }
    assert!(count > 300, "{count}");
}
