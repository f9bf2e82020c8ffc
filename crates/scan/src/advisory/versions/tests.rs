//! Which versions ranges contain.

use super::*;
use crate::version::PARSED;

fn entry(ecosystem: &str) -> Affected {
    Affected::of(Ecosystem::parse(ecosystem).unwrap(), "a".to_owned())
}

/// Events as `+` introduced, `-` fixed, `=` last affected, `<` limit.
fn range(events: &str) -> Range {
    let events = events.split_whitespace().map(|event| {
        let version = event[1..].to_owned();
        match &event[..1] {
            "+" => Event::Introduced(version),
            "-" => Event::Fixed(version),
            "=" => Event::LastAffected(version),
            "<" => Event::Limit(version),
            other => panic!("{other}"),
        }
    });
    Range {
        events: events.collect(),
    }
}

fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Affected {
            fixed: Some(fixed), ..
        } => format!("fixed {fixed}"),
        Verdict::Affected { fixed: None, .. } => "open".to_owned(),
        Verdict::NotAffected => "no".to_owned(),
        Verdict::Unknown(_) => "unknown".to_owned(),
    }
}

/// The verdicts about versions, separated by spaces.
fn verdicts(entry: &Affected, versions: &str) -> String {
    let verdicts = versions
        .split_whitespace()
        .map(|v| shown(&entry.evaluate(v)));
    verdicts.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_range_contains_the_versions_from_its_beginning_to_its_end() {
    for (events, versions, want) in [
        ("+0", "0.0.1 9.0.0", "open, open"),
        ("+0 -2.0.0", "1.9.9 2.0.0 2.0.1", "fixed 2.0.0, no, no"),
        (
            "+1.0.0 =2.0.0",
            "0.9.0 1.0.0 2.0.0 2.0.1",
            "no, open, open, no",
        ),
        (
            "+1.0.0 -2.0.0 +3.0.0 -4.0.0",
            "1.5.0 2.5.0 3.0.0 4.0.0",
            "fixed 2.0.0, no, fixed 4.0.0, no",
        ),
        (
            "+0 -1.0.0 +2.0.0",
            "0.1.0 1.0.0 2.0.0",
            "fixed 1.0.0, no, open",
        ),
        // In any order.
        (
            "+2.7.0 -2.7.1 +2.6.0 -2.6.7 +0 -2.5.11",
            "2.5.0 2.5.11 2.6.1 2.6.7 2.7.0 2.7.1",
            "fixed 2.5.11, no, fixed 2.6.7, no, fixed 2.7.1, no",
        ),
        // Beginnings first, then ends.
        (
            "+0 +2.0.0 -1.0.0 -3.0.0",
            "0.5.0 1.5.0 2.5.0 3.0.0",
            "fixed 1.0.0, no, fixed 3.0.0, no",
        ),
        // Several ends: the first counts.
        ("+0 -2.0.0 -1.0.0", "0.5.0 1.5.0", "fixed 1.0.0, no"),
        ("+0 =1.0.0 -2.0.0", "1.0.0 1.5.0", "open, no"),
        // Ends before the beginning, and at it.
        ("+2.0.0 -1.0.0", "0.5.0 1.5.0 2.0.0 3.0.0", "no, no, no, no"),
        ("+2.0.0 -2.0.0", "2.0.0 3.0.0", "no, no"),
        ("+2.0.0 =1.0.0", "1.0.0 2.0.0 3.0.0", "no, no, no"),
        ("+2.0.0 =2.0.0", "2.0.0 2.0.1", "open, no"),
        ("+0 -0", "0.0.0 1.0.0", "no, no"),
        // A part that ends where the next one begins.
        (
            "+1.0.0 =2.0.0 +2.0.0 -3.0.0",
            "2.0.0 2.5.0 3.0.0",
            "open, fixed 3.0.0, no",
        ),
        // Limits.
        ("+0 <2.0.0", "1.0.0 2.0.0", "open, no"),
        ("+0 <2.0.0 <4.0.0", "3.0.0 4.0.0", "open, no"),
        ("+0 <*", "9.0.0", "open"),
    ] {
        let mut entry = entry("npm");
        entry.ranges = vec![range(events)];
        assert_eq!(verdicts(&entry, versions), want, "{events}");
    }
}

#[test]
fn a_version_above_one_range_can_be_in_another() {
    let mut entry = entry("npm");
    entry.ranges = vec![range("+0 -2.0.0"), range("+1.0.0 -3.0.0"), range("+5.0.0")];
    assert_eq!(
        verdicts(&entry, "1.5.0 2.0.0 3.0.0 5.0.0"),
        "fixed 3.0.0, fixed 3.0.0, no, open"
    );
    entry.ranges.push(range("+1.5.0 =1.6.0"));
    assert_eq!(verdicts(&entry, "1.5.0"), "open");
}

#[test]
fn a_version_that_cannot_be_compared_is_unknown() {
    let mut entry = entry("PyPI");
    for (events, want) in [
        ("+0 -2.0", "unknown"),
        ("+1.0 -2.0", "unknown"),
        ("+1.0", "unknown"),
        // All versions are affected.
        ("+0", "open"),
    ] {
        entry.ranges = vec![range(events)];
        assert_eq!(verdicts(&entry, "not-a-version"), want, "{events}");
    }
    entry.ranges = Vec::new();
    entry.versions = ["1.0", "2004d"].into_iter().collect();
    assert_eq!(
        verdicts(&entry, "not-a-version 2004d 1.0.0 2.0"),
        "unknown, open, open, no"
    );
}

#[test]
fn a_range_that_cannot_be_compared_is_unknown_where_it_could_matter() {
    let mut entry = entry("PyPI");
    for (events, versions, want) in [
        ("+0 -not-a-version", "1.0", "unknown"),
        ("+not-a-version -1.0", "0.5", "unknown"),
        ("+2.0 -not-a-version", "1.0 2.0", "no, unknown"),
        ("+0 -1.0 -not-a-version", "0.5 1.0", "unknown, no"),
        ("+0 <not-a-version", "1.0", "unknown"),
    ] {
        entry.ranges = vec![range(events)];
        assert_eq!(verdicts(&entry, versions), want, "{events}");
    }
    // Another range that contains the version decides.
    entry.ranges = vec![range("+0 -not-a-version"), range("+0 -2.0")];
    assert_eq!(verdicts(&entry, "1.0"), "fixed 2.0");
}

#[test]
fn listed_versions_are_affected_besides_ranges() {
    let mut entry = entry("PyPI");
    entry.versions = ["1.0"].into_iter().collect();
    assert_eq!(verdicts(&entry, "1.0 1.0.0 1.1"), "open, open, no");
    entry.ranges = vec![range("+0 -0.5")];
    assert_eq!(verdicts(&entry, "0.1 1.0 1.1"), "fixed 0.5, open, no");
}

#[test]
fn an_advisory_with_commits_alone_says_nothing_about_a_version() {
    let verdict = entry("PyPI").evaluate("1.0");
    assert_eq!(
        verdict,
        Verdict::Unknown("the advisory names no versions of the package".to_owned())
    );
}

#[test]
fn the_end_beside_a_range_ends_only_ranges_that_have_none() {
    let mut entry = entry("npm");
    for (end, events, versions, want) in [
        (
            End::Before("15.5.1".to_owned()),
            "+15.5.1-canary.0",
            "15.5.1-canary.3 15.5.1 16.2.2",
            "open, no, no",
        ),
        (
            End::LastAffected("2.0.0".to_owned()),
            "+0",
            "2.0.0 2.0.1",
            "open, no",
        ),
        (
            End::LastAffected("2.0.0".to_owned()),
            "+0 -3.0.0",
            "2.5.0 3.0.0",
            "fixed 3.0.0, no",
        ),
        // It is before the range, so it is not about it.
        (
            End::Before("1.0.0".to_owned()),
            "+2.0.0",
            "2.0.0 3.0.0",
            "open, open",
        ),
        (
            End::Before("x".to_owned()),
            "+2.0.0",
            "1.0.0 3.0.0",
            "no, unknown",
        ),
    ] {
        entry.last_known = Some(end);
        entry.ranges = vec![range(events)];
        assert_eq!(verdicts(&entry, versions), want, "{events}");
    }
}

#[test]
fn custom_ranges_of_go_replace_ranges_without_an_end() {
    let mut entry = entry("Go");
    entry.ranges = vec![range("+0")];
    entry.custom_ranges = vec![range("+0 -1.9.0")];
    assert_eq!(
        verdicts(&entry, "v1.8.0 v1.9.0 v1.9.1-0.20240101000000-0123456789ab"),
        "fixed 1.9.0, no, no"
    );
    // A commit without a tag is before all tags, whenever it was made.
    let Verdict::Unknown(cause) = entry.evaluate("v0.0.0-20240101000000-0123456789ab") else {
        panic!("it cannot be compared");
    };
    assert_eq!(
        cause,
        "the advisory numbers versions differently than Go, which has no tag for this commit"
    );
    // Other commits can be compared with it.
    entry.custom_ranges = vec![range("+0 -0.0.0-20240301000000-0123456789ab")];
    let versions = "v0.0.0-20240101000000-0123456789ab v0.0.0-20240401000000-0123456789ab";
    assert_eq!(
        verdicts(&entry, versions),
        "fixed 0.0.0-20240301000000-0123456789ab, no"
    );
    // A range with an end stays.
    entry.ranges = vec![range("+2.0.0 -2.1.0 +3.0.0")];
    entry.custom_ranges = vec![range("+3.0.0 -3.1.0")];
    assert_eq!(
        verdicts(&entry, "v2.0.5 v3.0.5 v3.1.0 v1.0.0"),
        "fixed 2.1.0, fixed 3.1.0, no, no"
    );
}

#[test]
fn the_cause_is_said_in_words() {
    let mut entry = entry("npm");
    let mut cause = |events: &str| {
        entry.ranges = vec![range(events)];
        match entry.evaluate("1.0.0") {
            Verdict::Affected { cause, .. } => cause.to_string(),
            other @ (Verdict::NotAffected | Verdict::Unknown(_)) => panic!("{other:?}"),
        }
    };
    assert_eq!(cause("+0"), "all versions are affected");
    assert_eq!(cause("+0 -2.0.0"), "all versions before 2.0.0 are affected");
    assert_eq!(cause("+0.1.0"), "versions from 0.1.0 on are affected");
    assert_eq!(
        cause("+0.1.0 -2.0.0"),
        "versions from 0.1.0 before 2.0.0 are affected"
    );
    assert_eq!(
        cause("+0.1.0 =2.0.0"),
        "versions from 0.1.0 up to 2.0.0 are affected, and no fixed version is known"
    );
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    /// Where a part ends: at a number above its beginning, or nowhere.
    #[derive(Clone, Copy, Debug)]
    enum Ends {
        Fixed(u32),
        LastAffected(u32),
    }

    /// Parts with ascending beginnings that do not overlap; the last one can be open.
    fn parts() -> impl Strategy<Value = Vec<(u32, Option<Ends>)>> {
        let step = (1_u32..4, 1_u32..4, any::<bool>());
        (prop::collection::vec(step, 1..5), any::<bool>()).prop_map(|(steps, is_open)| {
            let mut at = 0;
            let mut parts = Vec::new();
            for (gap, length, is_fixed) in steps {
                let start = at + gap;
                at = start + length;
                let end = if is_fixed {
                    Ends::Fixed(at)
                } else {
                    Ends::LastAffected(at)
                };
                parts.push((start, Some(end)));
            }
            if is_open && let Some(last) = parts.last_mut() {
                last.1 = None;
            }
            parts
        })
    }

    fn contains((start, end): (u32, Option<Ends>), version: u32) -> bool {
        start <= version
            && match end {
                None => true,
                Some(Ends::Fixed(end)) => version < end,
                Some(Ends::LastAffected(end)) => version <= end,
            }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_range_contains_what_its_parts_contain_in_any_order(
            parts in parts().prop_shuffle(),
            version in 0_u32..30,
        ) {
            let events: Vec<_> = parts
                .iter()
                .map(|(start, end)| match end {
                    None => format!("+{start}.0.0"),
                    Some(Ends::Fixed(end)) => format!("+{start}.0.0 -{end}.0.0"),
                    Some(Ends::LastAffected(end)) => format!("+{start}.0.0 ={end}.0.0"),
                })
                .collect();
            let mut entry = entry("npm");
            entry.ranges = vec![range(&events.join(" "))];
            let verdict = entry.evaluate(&format!("{version}.0.0"));
            let want = parts.iter().any(|part| contains(*part, version));
            match (want, verdict) {
                (false, Verdict::NotAffected) | (true, Verdict::Affected { .. }) => {}
                (want, verdict) => prop_assert!(false, "{want} {verdict:?}"),
            }
        }

        #[test]
        fn no_text_is_a_version_that_is_not_affected_by_all_versions(version in ".{0,300}") {
            let mut entry = entry("Maven");
            for ecosystem in ["npm", "PyPI", "Go", "crates.io", "Maven", "Debian:12", "Alpine:v3.18"] {
                entry.ecosystem = Ecosystem::parse(ecosystem).unwrap();
                entry.ranges = vec![range("+0")];
                let is_affected = matches!(entry.evaluate(&version), Verdict::Affected { .. });
                prop_assert!(is_affected, "{ecosystem}");
            }
        }
    }
}

#[test]
fn each_version_is_parsed_once() {
    let mut entry = entry("npm");
    // No part has ends of its own but the last one, so each is compared with all ends.
    let begin: Vec<_> = (1..=200).map(|n| format!("+{n}.0.0")).collect();
    let end: Vec<_> = (1..=200).map(|n| format!("-{n}.5.0")).collect();
    entry.ranges = vec![range(&format!("{} {}", begin.join(" "), end.join(" ")))];
    entry.versions = (1..=300).map(|n| format!("0.0.{n}")).collect();
    PARSED.set(0);
    assert_eq!(entry.evaluate("1000.0.0"), Verdict::NotAffected);
    // Of those that are listed, only 0.0.1, 0.0.10 and 0.0.100 have the digits of the version.
    assert_eq!(PARSED.get(), 1 + 200 + 200 + 3);
}
