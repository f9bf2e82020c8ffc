//! The days on which fixes were first known.

use super::*;
use crate::advisory::FixDate;

const PACKAGE: (&str, &str) = ("npm", "a");

fn of(id: &str, fixed: &str) -> Advisory {
    record(id, "2025-01-02T00:00:00Z", PACKAGE, fixed)
}

/// The dates of the fixes in an index: advisory, version, day.
fn dates(file: &[u8]) -> Vec<String> {
    let found = Index::open(file)
        .unwrap()
        .get(&Ecosystem::Npm, "a")
        .unwrap();
    let mut dates = Vec::new();
    for Found { advisory, .. } in found {
        for entry in &advisory.affected {
            for version in entry.ranges.iter().flat_map(|range| &range.events[1..]) {
                let date = entry.fix_date(version.version());
                let date = date.map_or("unknown".to_owned(), |of| {
                    format!("{} {}", of.date, of.source)
                });
                dates.push(format!("{} {} {date}", advisory.id, version.version()));
            }
        }
    }
    dates
}

#[test]
fn a_fix_has_the_day_of_the_first_index_that_had_it() {
    // Nothing is known about how old the fixes of the first index are.
    let first = built_after(
        &[vec![of("X-1", "1.0"), of("X-2", "1.0")]],
        "2026-01-01T12:00:00Z",
        None,
    );
    assert_eq!(dates(&first), ["X-1 1.0 unknown", "X-2 1.0 unknown"]);
    let mut renamed = of("GHSA-3", "3.0");
    renamed.aliases = vec!["CVE-2026-3".to_owned()];
    let advisories = vec![of("X-1", "1.0"), of("X-2", "2.0"), renamed];
    let second = built_after(&[advisories], "2026-01-02T23:59:59Z", Some(&first));
    let want = [
        "X-1 1.0 unknown",
        "X-2 2.0 2026-01-02 index",
        "GHSA-3 3.0 2026-01-02 index",
    ];
    assert_eq!(dates(&second), want);
    // Under another name it is the same fix, if the CVE is the same. What was published has its own date.
    let mut renamed = of("PYSEC-3", "3.0");
    renamed.upstream = vec!["CVE-2026-3".to_owned()];
    let mut announced = of("X-4", "4.0");
    announced.affected[0].fix_dates = vec![FixDate {
        version: "4.0".to_owned(),
        date: "2025-12-24".parse().unwrap(),
        source: "DSA-4-1".to_owned(),
    }];
    let advisories = vec![of("X-2", "2.0"), renamed, announced, of("X-5", "3.0")];
    let third = built_after(&[advisories], "2026-01-03T00:00:00Z", Some(&second));
    let want = [
        "X-2 2.0 2026-01-02 index",
        "PYSEC-3 3.0 2026-01-02 index",
        "X-4 4.0 2025-12-24 DSA-4-1",
        "X-5 3.0 2026-01-03 index",
    ];
    assert_eq!(dates(&third), want);
}

#[test]
fn a_fix_of_an_ecosystem_that_is_new_has_no_day() {
    let other = record("X-1", "2025-01-02T00:00:00Z", ("PyPI", "a"), "1.0");
    let first = built_after(&[vec![other]], "2026-01-01T00:00:00Z", None);
    let second = built_after(
        &[vec![of("X-1", "1.0")]],
        "2026-01-02T00:00:00Z",
        Some(&first),
    );
    assert_eq!(dates(&second), ["X-1 1.0 unknown"]);
}

#[test]
fn a_fix_that_requires_a_subscription_is_another_one() {
    let ubuntu = |pro: &str| {
        let ecosystem = format!("Ubuntu:{pro}22.04:LTS");
        record(
            "X-1",
            "2025-01-02T00:00:00Z",
            (ecosystem.as_str(), "a"),
            "1",
        )
    };
    let mut both = ubuntu("");
    both.affected.extend(ubuntu("Pro:").affected);
    let release = Ecosystem::parse("Ubuntu:22.04:LTS").unwrap();
    // The index before has other advisories of the subscription.
    let other = record(
        "X-2",
        "2025-01-02T00:00:00Z",
        ("Ubuntu:Pro:22.04:LTS", "b"),
        "1",
    );
    let first = built_after(&[vec![ubuntu(""), other]], "2026-01-01T00:00:00Z", None);
    let second = built_after(&[vec![both]], "2026-01-02T00:00:00Z", Some(&first));
    let found = Index::open(&second).unwrap().get(&release, "a").unwrap();
    let dates = found[0].advisory.affected.iter();
    let dates: Vec<_> = dates
        .map(|e| e.fix_date("1").map(|of| of.date.to_string()))
        .collect();
    assert_eq!(dates, [None, Some("2026-01-02".to_owned())]);
}

#[test]
fn an_index_before_that_is_damaged_is_an_error() {
    let mut first = built(&[vec![of("X-1", "1.0")]]);
    for byte in &mut first[layout::HEADER_SIZE..] {
        *byte ^= 1;
    }
    let index = Index::open(&first).unwrap();
    let error = Builder::new(Cursor::new(Vec::new()), now(), Some(index))
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "its list of sources is damaged");
}
