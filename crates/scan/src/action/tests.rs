//! Which version to upgrade to.

use super::*;
use crate::advisory::osv;
use crate::ignore::IgnoreList;
use crate::known_exploited::KnownExploited;
use crate::matching::match_packages;
use crate::package::Package;
use jiff::civil::date;
use serde_json::json;
use std::cell::Cell;

/// Advisories about packages of npm: name, package, events, whether it is malicious or information by its name.
fn advisories(of: &[(&str, &str, &str)]) -> Vec<Arc<Advisory>> {
    let decoded = of.iter().map(|(id, package, events)| {
        let events: Vec<_> = events
            .split_whitespace()
            .map(|event| {
                let kind = match &event[..1] {
                    "+" => "introduced",
                    "-" => "fixed",
                    "=" => "last_affected",
                    other => panic!("{other}"),
                };
                format!(r#"{{"{kind}": "{}"}}"#, &event[1..])
            })
            .collect();
        let informational = if id.starts_with("INFO") { r#""unmaintained""# } else { "null" };
        let text = format!(
            r#"{{"id": "{id}", "affected": [{{"package": {{"ecosystem": "npm", "name": "{package}"}}, "database_specific": {{"informational": {informational}}}, "ranges": [{{"type": "SEMVER", "events": [{}]}}]}}]}}"#,
            events.join(", ")
        );
        Arc::new(osv::decode(text.as_bytes()).unwrap())
    });
    decoded.collect()
}

/// The actions for version 1.0.0 of packages.
fn actions_of(packages: &[&str], of: &[(&str, &str, &str)], catalog: Option<&str>) -> Vec<Action> {
    actions_that_count(packages, of, catalog, &Counting::all(date(2026, 2, 1)))
}

/// As [`actions_of`], with what decides which findings count.
fn actions_that_count(
    packages: &[&str],
    of: &[(&str, &str, &str)],
    catalog: Option<&str>,
    counting: &Counting,
) -> Vec<Action> {
    let packages: Vec<_> = packages
        .iter()
        .map(|name| Package {
            ecosystem: Ecosystem::Npm,
            name: (*name).to_owned(),
            version: "1.0.0".to_owned(),
            source: None,
            path: None,
        })
        .collect();
    let all = advisories(of);
    let naming = |_: &Ecosystem, name: &str| {
        let named = all
            .iter()
            .filter(|advisory| advisory.affected[0].name == name);
        named.cloned().collect::<Vec<_>>()
    };
    let catalog = catalog.map(|text| KnownExploited::read(text.as_bytes()).unwrap());
    let matches = match_packages(&packages, naming, catalog.as_ref());
    actions(&matches, counting, naming)
}

/// The action for one package: advice, what it fixes, what remains.
fn shown(of: &[(&str, &str)]) -> String {
    let of: Vec<_> = of.iter().map(|(id, events)| (*id, "a", *events)).collect();
    let actions = actions_of(&["a"], &of, None);
    let shown = actions.iter().map(|action| {
        let advice = match &action.advice {
            Advice::Upgrade(version) => version,
            Advice::Remove => "remove",
            Advice::Subscribe => "subscribe",
            Advice::Check => "check",
            Advice::NoFix => "no fix",
        };
        format!(
            "{advice} [{}] [{}]",
            action.fixes.join(" "),
            action.remaining.join(" ")
        )
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_version_is_the_lowest_without_a_vulnerability_that_has_a_fix() {
    for (of, want) in [
        (
            &[("X-1", "+0 -1.2.0"), ("X-2", "+0 -1.1.0")][..],
            "1.2.0 [X-1 X-2] []",
        ),
        // A range that begins above the installed version.
        (
            &[("X-1", "+0 -1.2.0"), ("X-2", "+1.2.0 -1.2.5")],
            "1.2.5 [X-1] []",
        ),
        // A vulnerability that came back.
        (
            &[("X-1", "+0 -1.1.0 +1.2.0 -1.3.0"), ("X-2", "+0 -1.2.0")],
            "1.3.0 [X-1 X-2] []",
        ),
        // One that begins above the upgrade does not matter.
        (
            &[("X-1", "+0 -1.2.0"), ("X-2", "+2.0.0 -2.1.0")],
            "1.2.0 [X-1] []",
        ),
        // What has no fix remains, and is named, also if it is new.
        (
            &[("X-1", "+0 -1.2.0"), ("X-2", "+0"), ("X-3", "+1.2.0")],
            "1.2.0 [X-1] [X-2 X-3]",
        ),
        (
            &[("X-1", "+0"), ("X-2", "+0 =1.5.0")],
            "no fix [] [X-1 X-2]",
        ),
        // What can be fixed at a higher version, and has no fix below.
        (
            &[("X-1", "+0 =1.1.0 +1.2.0 -1.3.0"), ("X-2", "+0 -1.2.0")],
            "1.3.0 [X-1 X-2] []",
        ),
        (
            &[("MAL-1", "+0"), ("X-1", "+0 -1.2.0")],
            "remove [MAL-1 X-1] []",
        ),
        // Information is nothing to act upon, neither before nor after.
        (&[("INFO-1", "+0")], ""),
        (
            &[("INFO-1", "+0 -3.0.0"), ("X-1", "+0 -1.2.0")],
            "1.2.0 [X-1] []",
        ),
    ] {
        assert_eq!(shown(of), want, "{of:?}");
    }
}

#[test]
fn a_fixed_version_that_cannot_be_compared_is_never_advised() {
    assert_eq!(shown(&[("X-1", "+0 -latest")]), "check [] [X-1]");
    // One that is affected has no fix, whatever is unknown about the other.
    assert_eq!(
        shown(&[("X-1", "+0 -latest"), ("X-2", "+0")]),
        "no fix [] [X-1 X-2]"
    );
    assert_eq!(
        shown(&[("X-1", "+0 -latest"), ("X-2", "+0 -1.2.0")]),
        "1.2.0 [X-2] [X-1]"
    );
}

#[test]
fn a_fix_of_a_subscription_is_no_version_for_everybody() {
    let entry = |ecosystem: &str, events: &str| {
        format!(
            r#"{{"package": {{"ecosystem": "{ecosystem}", "name": "a"}}, "ranges": [{{"type": "ECOSYSTEM", "events": [{events}]}}]}}"#
        )
    };
    let all = r#"{"introduced": "0"}"#;
    let esm = r#"{"introduced": "0"}, {"fixed": "1.0-1ubuntu1+esm1"}"#;
    let of = |id: &str, entries: &[String]| {
        let text = format!(r#"{{"id": "{id}", "affected": [{}]}}"#, entries.join(", "));
        Arc::new(osv::decode(text.as_bytes()).unwrap())
    };
    let (plain, pro) = ("Ubuntu:16.04:LTS", "Ubuntu:Pro:16.04:LTS");
    let all = [
        of("X-1", &[entry(plain, all), entry(pro, esm)]),
        of("X-2", &[entry(plain, all)]),
    ];
    let package = Package {
        ecosystem: Ecosystem::parse(plain).unwrap(),
        name: "a".to_owned(),
        version: "1.0-1ubuntu1".to_owned(),
        source: None,
        path: None,
    };
    let naming = |ecosystem: &Ecosystem, _: &str| {
        let of = all
            .iter()
            .filter(|of| of.affected.iter().any(|e| e.ecosystem == *ecosystem));
        of.cloned().collect::<Vec<_>>()
    };
    let matches = match_packages(&[package], naming, None);
    let actions = actions(&matches, &Counting::all(date(2026, 2, 1)), naming);
    let [action] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(action.advice, Advice::Subscribe);
    assert_eq!((action.fixes.len(), action.remaining.len()), (0, 2));
}

#[test]
fn what_does_not_count_asks_for_no_upgrade() {
    let advisory = |id: &str, fixed: &str, urgency: &str| {
        let text = format!(
            r#"{{"id": "{id}", "affected": [{{"package": {{"ecosystem": "Debian:12", "name": "a"}}, "ecosystem_specific": {{"urgency": "{urgency}"}}, "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "{fixed}"}}]}}]}}]}}"#
        );
        Arc::new(osv::decode(text.as_bytes()).unwrap())
    };
    let all = [
        advisory("X-1", "2.0-1", "low"),
        advisory("X-2", "3.0-1", "unimportant"),
    ];
    let of_version = |version: &str| {
        let package = Package {
            ecosystem: Ecosystem::Debian("12".to_owned()),
            name: "a".to_owned(),
            version: version.to_owned(),
            source: None,
            path: None,
        };
        let naming = |_: &Ecosystem, _: &str| all.to_vec();
        let counting = Counting::all(date(2026, 2, 1));
        actions(&match_packages(&[package], naming, None), &counting, naming)
    };
    let [action] = &of_version("1.0-1")[..] else {
        panic!("one finding counts");
    };
    assert_eq!(action.advice, Advice::Upgrade("2.0-1".to_owned()));
    assert_eq!((action.findings, action.remaining.len()), (1, 0));
    assert_eq!(of_version("2.0-1"), []);
}

#[test]
fn the_most_urgent_action_comes_first() {
    let of = [
        ("X-1", "a", "+0"),
        ("X-2", "b", "+0"),
        ("X-3", "b", "+0"),
        ("CVE-2021-1", "c", "+0"),
        ("MAL-1", "e", "+0"),
    ];
    let catalog = r#"{"vulnerabilities": [{"cveID": "CVE-2021-1"}]}"#;
    let actions = actions_of(&["a", "b", "c", "d", "e"], &of, Some(catalog));
    let shown: Vec<_> = actions
        .iter()
        .map(|a| (&*a.subject.name, a.exploited))
        .collect();
    assert_eq!(
        shown,
        [
            ("e", Some(0)),
            ("c", Some(1)),
            ("b", Some(0)),
            ("a", Some(0))
        ]
    );
    let actions = actions_of(&["a"], &of, None);
    assert_eq!(actions[0].exploited, None);
}

#[test]
fn an_upgrade_is_about_what_counts_alone() {
    let of = [
        ("X-1", "a", "+0 -1.2.0"),
        ("X-2", "a", "+0 -3.0.0"),
        ("X-3", "a", "+0"),
        ("X-4", "b", "+0"),
    ];
    let mut counting = Counting::all(date(2026, 2, 1));
    counting.only_fixed = true;
    let entry = json!({"id": "x-2", "package": "npm/a", "reason": "r", "expires": "2026-02-01"});
    counting.ignore = IgnoreList::of(vec![entry]).unwrap();
    let actions = actions_that_count(&["a", "b"], &of, None, &counting);
    let [action] = &actions[..] else {
        panic!("only one package has a finding that counts: {actions:?}");
    };
    assert_eq!(action.advice, Advice::Upgrade("1.2.0".to_owned()));
    assert_eq!(
        (&action.fixes[..], &action.remaining[..]),
        (&["X-1".to_owned()][..], &[][..])
    );
    assert_eq!(action.findings, 1);
}

#[test]
fn the_advisories_of_a_package_are_looked_up_once_for_all_its_versions() {
    let all = advisories(&[("X-1", "a", "+0 -9.0.0"), ("X-2", "a", "+0")]);
    let lookups = Cell::new(0);
    let naming = |_: &Ecosystem, _: &str| {
        lookups.set(lookups.get() + 1);
        all.clone()
    };
    let versions = (0..50).map(|patch| Package {
        ecosystem: Ecosystem::Npm,
        name: "a".to_owned(),
        version: format!("1.0.{patch}"),
        source: None,
        path: None,
    });
    let versions: Vec<_> = versions.collect();
    let matches = match_packages(&versions, naming, None);
    assert_eq!((matches.findings.len(), lookups.get()), (100, 1));
    let counting = Counting::all(date(2026, 2, 1));
    let actions = actions(&matches, &counting, naming);
    assert_eq!((actions.len(), lookups.get()), (50, 2));
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    /// Ranges of whole numbers: where they begin, and after how many they are fixed, if ever.
    fn ranges() -> impl Strategy<Value = Vec<(u32, Option<u32>)>> {
        prop::collection::vec((0_u32..12, prop::option::weighted(0.8, 1_u32..6)), 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_version_below_the_upgrade_is_free_of_what_can_be_fixed(ranges in ranges()) {
            let events: Vec<_> = ranges
                .iter()
                .map(|(start, length)| match length {
                    Some(length) => format!("+{start}.0.0 -{}.0.0", start + length),
                    None => format!("+{start}.0.0"),
                })
                .collect();
            let ids: Vec<_> = (0..ranges.len()).map(|index| format!("X-{index}")).collect();
            let of: Vec<_> = ids.iter().zip(&events).map(|(id, e)| (&**id, "a", &**e)).collect();
            let contains = |(start, length): &(u32, Option<u32>), version: u32| {
                *start <= version && length.is_none_or(|length| version < start + length)
            };
            let can_be_fixed = |version: u32| {
                ranges.iter().any(|range| range.1.is_some() && contains(range, version))
            };
            let lowest = (1..100).find(|version| !can_be_fixed(*version)).unwrap();
            let is_affected = ranges.iter().any(|range| contains(range, 1));
            let want = match (is_affected, lowest) {
                (false, _) => None,
                (true, 1) => Some(Advice::NoFix),
                (true, lowest) => Some(Advice::Upgrade(format!("{lowest}.0.0"))),
            };
            let actions = actions_of(&["a"], &of, None);
            prop_assert_eq!(actions.first().map(|action| action.advice.clone()), want);
        }
    }
}
