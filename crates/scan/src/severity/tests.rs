//! Which statement about a severity counts, and what it means.

use super::*;

const HIGH_31: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N";
const CRITICAL_30: &str = "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const MEDIUM_40: &str = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N";
const HIGH_20: &str = "AV:N/AC:L/Au:N/C:C/I:C/A:C";

fn rated(statements: &[(&str, &str)]) -> (Severity, Option<String>) {
    let statements: Vec<_> = statements
        .iter()
        .filter_map(|(kind, score)| match *kind {
            "word" => Statement::of_word(score),
            "CNA" => Statement::of_cve(CveSource::Cna, score),
            "CISA-ADP" => Statement::of_cve(CveSource::CisaAdp, score),
            "NVD" => Statement::of_cve(CveSource::Nvd, score),
            kind => Statement::of_osv(kind, score),
        })
        .collect();
    let rating = Rating::of(statements.iter().map(|statement| (statement, "A-1")));
    let source = rating.source.map(|(statement, advisory)| {
        assert_eq!(advisory, "A-1");
        match statement {
            Statement::UbuntuPriority(word) => format!("ubuntu {word}"),
            Statement::Cvss(version, _) => format!("cvss {}", version.as_str()),
            Statement::Word(word) => format!("word {word}"),
            Statement::Cve(source, version, _) => {
                format!("{} {}", source.as_str(), version.as_str())
            }
        }
    });
    (rating.severity, source)
}

#[test]
fn the_statement_that_counts_first_gives_the_severity() {
    let all = [
        ("NVD", HIGH_31),
        ("CISA-ADP", HIGH_20),
        ("CNA", HIGH_20),
        ("CNA", MEDIUM_40),
        ("CNA", CRITICAL_30),
        ("CNA", HIGH_31),
        ("word", "LOW"),
        ("CVSS_V2", HIGH_20),
        ("CVSS_V4", MEDIUM_40),
        ("CVSS_V3", CRITICAL_30),
        ("CVSS_V3", HIGH_31),
        ("Ubuntu", "medium"),
    ];
    for (count, want) in [
        (12, (Severity::Medium, "ubuntu medium")),
        (11, (Severity::High, "cvss 3.1")),
        (10, (Severity::Critical, "cvss 3.0")),
        (9, (Severity::Medium, "cvss 4.0")),
        (8, (Severity::Critical, "cvss 2.0")),
        (7, (Severity::Low, "word low")),
        (6, (Severity::High, "CNA 3.1")),
        (5, (Severity::Critical, "CNA 3.0")),
        (4, (Severity::Medium, "CNA 4.0")),
        (3, (Severity::Critical, "CNA 2.0")),
        (2, (Severity::Critical, "CISA-ADP 2.0")),
        (1, (Severity::High, "NVD 3.1")),
    ] {
        let (severity, source) = rated(&all[..count]);
        assert_eq!((severity, source.as_deref()), (want.0, Some(want.1)));
    }
    assert_eq!(rated(&[]), (Severity::Unknown, None));
}

#[test]
fn of_two_vectors_of_one_version_the_more_severe_counts() {
    let low = "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:L";
    for order in [[low, HIGH_31], [HIGH_31, low]] {
        let statements = order.map(|vector| ("CVSS_V3", vector));
        assert_eq!(rated(&statements).0, Severity::High);
    }
}

#[test]
fn words_mean_severities() {
    for (word, want) in [
        ("CRITICAL", Severity::Critical),
        ("High", Severity::High),
        ("MODERATE", Severity::Medium),
        ("medium", Severity::Medium),
        ("low", Severity::Low),
        ("negligible", Severity::Low),
    ] {
        assert_eq!(rated(&[("word", word)]).0, want, "{word}");
        assert_eq!(rated(&[("Ubuntu", word)]).0, want, "{word}");
    }
}

#[test]
fn what_cannot_be_read_is_no_statement() {
    let long = format!("{HIGH_31}/E:{}", "X".repeat(VECTOR_LIMIT));
    for (kind, score) in [
        ("word", "UNSPECIFIED"),
        ("Ubuntu", "untriaged"),
        ("CVSS_V3", ""),
        ("CVSS_V3", "7.5"),
        ("CVSS_V3", "CVSS:3.1/AV:N"),
        (
            "CVSS_V3",
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N\u{1b}",
        ),
        ("CVSS_V3", "CVSS:3.9/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N"),
        ("CVSS_V3", long.as_str()),
        ("CVSS_V9", HIGH_31),
        ("EPSS", "0.9"),
    ] {
        assert_eq!(
            rated(&[(kind, score)]),
            (Severity::Unknown, None),
            "{kind} {score}"
        );
    }
}

#[test]
fn scores_have_the_severity_of_their_range() {
    for (score, want) in [
        (0.0, Severity::Low),
        (3.9, Severity::Low),
        (4.0, Severity::Medium),
        (6.9, Severity::Medium),
        (7.0, Severity::High),
        (8.9, Severity::High),
        (9.0, Severity::Critical),
        (10.0, Severity::Critical),
    ] {
        assert_eq!(Severity::of_score(score), want, "{score}");
    }
}

/// Vectors and their scores, as the organizations that rated the CVEs published them.
#[test]
fn scores_are_those_that_others_computed() {
    let mut count = 0;
    for line in include_str!("../../tests/data/cvss.tsv").lines() {
        if line.starts_with('#') {
            continue;
        }
        let (vector, want) = line.split_once('\t').unwrap();
        let version = CvssVersion::of(vector).unwrap();
        let score = Statement::Cvss(version, vector.to_owned()).score();
        let want: f32 = want.parse().unwrap();
        let shown = |score: f32| format!("{score:.1}");
        assert_eq!(score.map(shown), Some(shown(want)), "{vector}");
        count += 1;
    }
    assert!(count > 500, "{count}");
}
